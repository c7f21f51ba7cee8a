/**
 * What GDB is told about our registers.
 * Source: GDB manual, appendix G "Target Descriptions", G.5 (i386 features), G.3 (predefined types).
 */
import type { Register } from './registers.ts';

export type Architecture = 'i386' | 'i386:x86-64';

const FLAGS: readonly (readonly [string, number])[] = [
  ...([
    ['CF', 0],
    ['', 1],
    ['PF', 2],
    ['AF', 4],
    ['ZF', 6],
    ['SF', 7],
    ['TF', 8],
    ['IF', 9],
    ['DF', 10],
    ['OF', 11],
  ] as const),
  ...([
    ['NT', 14],
    ['RF', 16],
    ['VM', 17],
    ['AC', 18],
    ['VIF', 19],
    ['VIP', 20],
    ['ID', 21],
  ] as const),
];
const MXCSR: readonly (readonly [string, number])[] = [
  ...([
    ['IE', 0],
    ['DE', 1],
    ['ZE', 2],
    ['OE', 3],
    ['UE', 4],
    ['PE', 5],
    ['DAZ', 6],
    ['IM', 7],
    ['DM', 8],
  ] as const),
  ...([
    ['ZM', 9],
    ['OM', 10],
    ['UM', 11],
    ['PM', 12],
    ['FZ', 15],
  ] as const),
];
const VECTORS: readonly (readonly [id: string, type: string, count: number])[] = [
  ['v4f', 'ieee_single', 4],
  ['v2d', 'ieee_double', 2],
  ['v16i8', 'int8', 16],
  ['v8i16', 'int16', 8],
  ['v4i32', 'int32', 4],
  ['v2i64', 'int64', 2],
];
const FIELDS = [
  ...[
    ['v4_float', 'v4f'],
    ['v2_double', 'v2d'],
    ['v16_int8', 'v16i8'],
    ['v8_int16', 'v8i16'],
  ],
  ...[
    ['v4_int32', 'v4i32'],
    ['v2_int64', 'v2i64'],
    ['uint128', 'uint128'],
  ],
];

const flagType = (id: string, flags: readonly (readonly [string, number])[]): string =>
  `<flags id="${id}" size="4">${flags.map(([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`).join('')}</flags>`;

/** Types a feature's registers need, before them. */
const TYPES: Readonly<Record<Register['feature'], string>> = {
  core: flagType('i386_eflags', FLAGS),
  sse:
    VECTORS.map(([id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>`).join('') +
    `<union id="vec128">${FIELDS.map(([name, type]) => `<field name="${name}" type="${type}"/>`).join('')}</union>` +
    flagType('i386_mxcsr', MXCSR),
  avx: '',
  segments: '',
  system: '',
};

const NAMES: Readonly<Record<Register['feature'], string>> = {
  core: 'org.gnu.gdb.i386.core',
  sse: 'org.gnu.gdb.i386.sse',
  avx: 'org.gnu.gdb.i386.avx',
  segments: 'org.gnu.gdb.i386.segments',
  system: 'org.tabbox.system',
};

/** The `target.xml` for registers whose numbers are their places in the list. */
export function targetDescription(architecture: Architecture, registers: readonly Register[]): string {
  const features = (['core', 'sse', 'avx', 'segments', 'system'] as const)
    .map((feature) => featureText(feature, registers))
    .join('');
  return `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0"><architecture>${architecture}</architecture>${features}</target>`;
}

function featureText(feature: Register['feature'], registers: readonly Register[]): string {
  const lines = registers.flatMap((register, number) => {
    if (register.feature !== feature) return [];
    const { name, bits, type, group } = register;
    return `<reg name="${name}" bitsize="${bits}" type="${type}" regnum="${number}"${group ? ` group="${group}"` : ''}/>`;
  });
  return lines.length === 0 ? '' : `<feature name="${NAMES[feature]}">${TYPES[feature]}${lines.join('')}</feature>`;
}
