/**
 * Which CPUID bits announce a row. A machine without one of them does not know the row: #UD, or what its encoding meant
 * before there was that extension (F3 0F BD is BSR to a processor without LZCNT).
 * Source: SDM Vol. 2, column "CPUID Feature Flag" of each instruction; the test compares with iced-x86.
 */
import type { Feature } from '../system/cpu-features.ts';
import { nameOf, type Row } from './row.ts';

const SSE2_MMX = 'paddq psubq pmuludq movq2dq movdq2q cvtpi2pd cvtpd2pi cvttpd2pi';
const SSE_MMX =
  'pshufw pinsrw pextrw pmovmskb movntq maskmovq pavgb pavgw pmaxub pmaxsw pminub pminsw psadbw pmulhuw cvtpi2ps ' +
  'cvtps2pi cvttps2pi';
/** Of the instructions on XMM registers whose names end as those of SSE do. */
const SSE2_SINGLE = 'cvtdq2ps cvtpd2ps cvtps2pd cvtsd2ss cvtss2sd';

/** By name, for what has no group of opcodes of its own. */
const BY_NAME: Readonly<Record<string, readonly Feature[]>> = named([
  ['rdtsc', 'tsc'],
  ['rdmsr wrmsr', 'msr'],
  ['sysenter sysexit', 'sep'],
  ['cmpxchg8b', 'cx8'],
  ['fxsave fxrstor', 'fxsr'],
  ['clflush', 'clfsh'],
  ['monitor mwait', 'monitor'],
  ['clflushopt', 'clflushopt'],
  ['clwb', 'clwb'],
  ['xsave xrstor xgetbv xsetbv', 'xsave'],
  ['xsaveopt', 'xsaveopt'],
  ['ldmxcsr stmxcsr sfence', 'sse'],
  ['lfence mfence movnti', 'sse2'],
  ['popcnt', 'popcnt'],
  ['lzcnt', 'lzcnt'],
  ['tzcnt andn bextr blsi blsmsk blsr', 'bmi1'],
  ['bzhi mulx pdep pext rorx sarx shlx shrx', 'bmi2'],
  ['movbe', 'movbe'],
  ['crc32', 'sse42'],
  ['adcx adox', 'adx'],
  ['rdrand', 'rdrand'],
  ['rdseed', 'rdseed'],
  ['clac stac', 'smap'],
  ['invpcid', 'invpcid'],
  ['rdtscp', 'rdtscp'],
  ['syscall sysret', 'syscall'],
  ['swapgs', 'lm'],
  ['rdfsbase rdgsbase wrfsbase wrgsbase', 'fsgsbase'],
  ['emms', 'mmx'],
  [SSE_MMX, 'sse'],
  [SSE2_MMX, 'sse2'],
]);

function named(groups: readonly (readonly [names: string, feature: Feature])[]): Record<string, Feature[]> {
  const all: Record<string, Feature[]> = {};
  for (const [names, feature] of groups) for (const name of names.split(' ')) all[name] = [feature];
  return all;
}

const AVX2_ONLY =
  /^v(broadcasti128|pbroadcast|extracti128|inserti128|perm2i128|perm[dq]$|permp[ds]$|pblendd|p?gather|pmaskmov|psllv|psrlv|psrav)/;

/** @param long in 64-bit code @returns all of them must be announced; none: every processor of ours has it */
export function featuresOf(row: Row, long: boolean): readonly Feature[] {
  const name = nameOf(row);
  if (name === 'lahf' || name === 'sahf') return long ? ['lahf64'] : [];
  if (row.opcode.startsWith('VEX')) return vexFeatures(row, name);
  if (/^D[8-F]/.test(row.opcode)) return x87Features(name);
  if (name.startsWith('cmov')) return ['cmov'];
  const onMmx = /(^|,)[PQN]/.test(row.operands);
  const onXmm = /(^|,)[VWU]/.test(row.operands);
  // A name is shared between the registers (PADDQ, PINSRW); those of MMX are the older ones.
  const alone = Object.hasOwn(BY_NAME, name) && (onMmx || !onXmm) ? BY_NAME[name] : undefined;
  if (alone) return alone;
  if (!onMmx && !onXmm) return [];
  const [, map, opcode] = /0F (38|3A) (..)/.exec(row.opcode) ?? [];
  if (map !== undefined) return laterFeatures(map, Number.parseInt(opcode, 16));
  return onXmm ? xmmFeatures(name) : ['mmx'];
}

/** What announces one form of a row, beside what announces the row. */
export interface FormFeatures {
  /** With 64-bit operands. */
  readonly wide: readonly Feature[];
  /** ModRM names a register. */
  readonly register: readonly Feature[];
}

export function formFeaturesOf(row: Row): FormFeatures {
  const name = nameOf(row);
  return {
    wide: name === 'cmpxchg8b' ? ['cx16'] : [],
    register: /^vbroadcasts[sd]$/.test(name) ? ['avx2'] : [],
  };
}

function x87Features(name: string): readonly Feature[] {
  if (name.startsWith('fcmov') || /^fu?comip?$/.test(name)) return ['fpu', 'cmov'];
  return name === 'fisttp' ? ['fpu', 'sse3'] : ['fpu'];
}

function xmmFeatures(name: string): readonly Feature[] {
  if (/^(addsub|hadd|hsub)p[sd]$|^lddqu$|^mov(d|sh|sl)dup$/.test(name)) return ['sse3'];
  if (SSE2_SINGLE.split(' ').includes(name)) return ['sse2'];
  return /[ps]s$|^cvtt?ss2si$/.test(name) ? ['sse'] : ['sse2'];
}

/** Maps 0F 38 and 0F 3A. */
function laterFeatures(map: string, opcode: number): readonly Feature[] {
  if (map === '38') {
    if (opcode <= 0x0b || (opcode >= 0x1c && opcode <= 0x1e)) return ['ssse3'];
    if (opcode >= 0xc8 && opcode <= 0xcd) return ['sha'];
    if (opcode >= 0xdb && opcode <= 0xdf) return ['aes'];
    return opcode === 0x37 ? ['sse42'] : ['sse41'];
  }
  if (opcode === 0x0f) return ['ssse3'];
  if (opcode === 0x44) return ['pclmulqdq'];
  if (opcode === 0xcc) return ['sha'];
  if (opcode === 0xdf) return ['aes'];
  return opcode >= 0x60 && opcode <= 0x63 ? ['sse42'] : ['sse41'];
}

function vexFeatures(row: Row, name: string): readonly Feature[] {
  const alone = Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined;
  if (alone) return alone;
  if (/^vfn?m/.test(name)) return ['avx', 'fma'];
  if (/^vcvtp(h2ps|s2ph)$/.test(name)) return ['avx', 'f16c'];
  if (name.startsWith('vaes')) return ['avx', 'aes'];
  if (name === 'vpclmulqdq') return ['avx', 'pclmulqdq'];
  const wide = /^VEX\.256/.test(row.opcode);
  const integers = /^vp(?!erm|test)/.test(name) || /^v(mpsadbw|movntdqa)$/.test(name);
  return AVX2_ONLY.test(name) || (wide && integers) ? ['avx', 'avx2'] : ['avx'];
}
