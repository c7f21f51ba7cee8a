/**
 * Floating-point operations as loops of machine code that run on the host and on the virtual CPU: each takes a record of
 * operands and leaves the result and the exception flags. The encodings mean the same in 32- and 64-bit code.
 */
import type { Format } from './operands.ts';

/** Bytes of a record: MXCSR, x87 control word, three operands. And of an answer: the value, the flags. */
export const RECORD = { mxcsr: 0, control: 4, operands: [16, 32, 48], bytes: 64 } as const;
export const ANSWER = { value: 0, flags: 16, bytes: 32 } as const;

export interface Routine {
  readonly name: string;
  /** Formats of the operands. */
  readonly operands: readonly Format[];
  /** Which control register its rounding follows. */
  readonly unit: 'sse' | 'x87';
  /** x87: rounded to the control word's precision. */
  readonly precise: boolean;
  /** Of the status word that is compared. */
  readonly status: number;
  /** Loop body between the loads of MXCSR or control word and the next record. */
  readonly code: string;
}

const LOAD: Readonly<Record<string, string>> = {
  f32: 'F30F10',
  f64: 'F20F10',
};
/** MOVSS or MOVSD XMMn,[ESI+operand]. */
const load = (format: 'f32' | 'f64', n: number): string =>
  LOAD[format] + (0x46 | (n << 3)).toString(16) + RECORD.operands[n].toString(16);
const STORE_XMM = '660FD607';
const STORE_EAX = '8907';
const FLAGS_OF_SSE = '0FAE5F10';

function sse(name: string, operands: readonly ('f32' | 'f64')[], code: string, store = STORE_XMM): Routine {
  const loads = operands.map((format, n) => load(format, n)).join('');
  return { name, operands, unit: 'sse', precise: false, status: 0, code: loads + code + store + FLAGS_OF_SSE };
}

const SCALAR = [
  ...[
    ['add', '58'],
    ['sub', '5C'],
    ['mul', '59'],
    ['div', '5E'],
    ['min', '5D'],
    ['max', '5F'],
  ],
] as const;

function sseRoutines(format: 'f32' | 'f64'): Routine[] {
  const s = format === 'f32' ? 'F3' : 'F2';
  const double = format === 'f64';
  const two = [format, format];
  const compare = (name: string, opcode: string): Routine =>
    // XOR EAX,EAX before, LAHF behind.
    sse(`${format} ${name}`, two, `31C0${double ? '66' : ''}0F${opcode}C19F`, STORE_EAX);
  return [
    ...SCALAR.map(([name, opcode]) => sse(`${format} ${name}`, two, `${s}0F${opcode}C1`)),
    sse(`${format} sqrt`, [format], `${s}0F51C0`),
    sse(`${format} to ${double ? 'f32' : 'f64'}`, [format], `${s}0F5AC0`),
    sse(`${format} to i32`, [format], `${s}0F2DC0`, STORE_EAX),
    sse(`${format} to i32, truncated`, [format], `${s}0F2CC0`, STORE_EAX),
    sse(`${format} to integer`, [format], `660F3A${double ? '0B' : '0A'}C004`),
    sse(`${format} to integer, never inexact`, [format], `660F3A${double ? '0B' : '0A'}C00C`),
    compare('ordered compare', '2F'),
    compare('unordered compare', '2E'),
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => sse(`${format} cmp ${n}`, two, `${s}0FC2C10${n}`)),
    ...[
      ['multiply-add', 'A9'],
      ['negative multiply-subtract', 'AF'],
    ].map(([name, opcode]) =>
      sse(`${format} fused ${name}`, [format, format, format], `C4E2${double ? 'F1' : '71'}${opcode}C2`),
    ),
  ];
}

const FLAGS_OF_X87 = 'DD7F10';
const FLD_A = 'DB6E10';
const FLD_B = 'DB6E20';
const ALL_STATUS = 0xffff;
const EXCEPTIONS = 0x3f;

/** FNCLEX before, FNINIT behind. */
function x87(
  name: string,
  operands: readonly Format[],
  code: string,
  { status = ALL_STATUS, precise = false }: { status?: number; precise?: boolean } = {},
): Routine {
  return { name, operands, unit: 'x87', precise, status, code: `DBE2${code}DBE3` };
}

const X87_TWO = [
  ...[
    ['add', 'D8C1'],
    ['sub', 'D8E1'],
    ['mul', 'D8C9'],
    ['div', 'D8F1'],
    ['rem', 'D9F8'],
    ['ieee rem', 'D9F5'],
    ['scale', 'D9FD'],
  ],
] as const;
const X87_TO = [
  ...[
    ['f32', 'D91F'],
    ['f64', 'DD1F'],
    ['i16', 'DF1F'],
    ['i32', 'DB1F'],
    ['i64', 'DF3F'],
    ['bcd', 'DF37'],
  ],
  ...[
    ['i16, truncated', 'DF0F'],
    ['i32, truncated', 'DB0F'],
    ['i64, truncated', 'DD0F'],
  ],
] as const;
const X87_FROM = [
  ...[
    ['f32', 'D94610'],
    ['f64', 'DD4610'],
    ['i16', 'DF4610'],
    ['i32', 'DB4610'],
    ['i64', 'DF6E10'],
  ],
] as const;

const x87Routines: readonly Routine[] = [
  ...X87_TWO.map(([name, code]) =>
    x87(`extF80 ${name}`, ['extF80', 'extF80'], `${FLD_B}${FLD_A}${code}${FLAGS_OF_X87}DB3F`, {
      precise: /^(add|sub|mul|div)$/.test(name),
    }),
  ),
  x87('extF80 sqrt', ['extF80'], `${FLD_A}D9FA${FLAGS_OF_X87}DB3F`, { precise: true }),
  x87('extF80 to integer', ['extF80'], `${FLD_A}D9FC${FLAGS_OF_X87}DB3F`),
  ...X87_TO.map(([name, code]) => x87(`extF80 to ${name}`, ['extF80'], `${FLD_A}${code}${FLAGS_OF_X87}`)),
  ...X87_FROM.map(([name, code]) => x87(`${name} to extF80`, [name], `${code}${FLAGS_OF_X87}DB3F`)),
  // C1 after these differs between processors.
  ...[
    ['ordered', 'DBF1'],
    ['unordered', 'DBE9'],
  ].map(([name, code]) =>
    x87(`extF80 ${name} compare`, ['extF80', 'extF80'], `${FLD_B}${FLD_A}31C0${code}9F${STORE_EAX}${FLAGS_OF_X87}`, {
      status: EXCEPTIONS,
    }),
  ),
];

const integers = (format: 'f32' | 'f64'): Routine => ({
  ...sse(`i32 to ${format}`, [], `0F57C0${format === 'f32' ? 'F3' : 'F2'}0F2A4610`),
  operands: ['i32'],
});

export const routines: readonly Routine[] = [
  ...sseRoutines('f32'),
  ...sseRoutines('f64'),
  integers('f32'),
  integers('f64'),
  // VCVTPH2PS, and VCVTPS2PH that rounds as MXCSR says.
  { ...sse('f16 to f32', ['f32'], 'C4E27913C0'), operands: ['f16'] },
  sse('f32 to f16', ['f32'], 'C4E3791DC004'),
  ...x87Routines,
];

/** LDMXCSR or FLDCW, the body, the next record. `count` is in ECX. */
export function loopOf(routine: Routine): number[] {
  const hex = `${routine.unit === 'sse' ? '0FAE16' : 'D96E04'}${routine.code}83C64083C72083E901`;
  const body = (hex.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16));
  const back = -(body.length + 6);
  return [...body, 0x0f, 0x85, ...[0, 8, 16, 24].map((shift) => (back >> shift) & 0xff)];
}
