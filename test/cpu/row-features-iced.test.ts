/**
 * Which CPUID bits announce each row, against what iced-x86 says of its encodings; and a decoder for which a bit is
 * hidden. Every form of every row: ModRM naming memory and a register, REX.W or VEX.W set and clear, 32- and 64-bit code.
 */
import { Code, CpuidFeature, DecoderOptions, Instruction, Decoder as Oracle } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import { DECODE } from '../../src/emu/cpu/decoder/decoded.ts';
import { Decoder, newDecoded } from '../../src/emu/cpu/decoder/decoder.ts';
import { type OpcodeSpec, parseOpcode } from '../../src/emu/cpu/decoder/opcode-map.ts';
import type { Row } from '../../src/emu/cpu/isa/row.ts';
import { instructionTable } from '../../src/emu/cpu/isa/table.ts';
import { CPU_PROFILES, CpuFeatures, DEFAULT_CPU, type Feature } from '../../src/emu/cpu/system/cpu-features.ts';

/** Our names of iced-x86's; what is not here every processor has. */
const NAMES: readonly (readonly [Feature, ...number[]])[] = [
  ['fpu', CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387],
  ['tsc', CpuidFeature.TSC],
  ['msr', CpuidFeature.MSR],
  ['cx8', CpuidFeature.CX8],
  ['sep', CpuidFeature.SEP],
  ['cmov', CpuidFeature.CMOV],
  ['clfsh', CpuidFeature.CLFSH],
  ['monitor', CpuidFeature.MONITOR],
  ['mmx', CpuidFeature.MMX],
  ['fxsr', CpuidFeature.FXSR],
  ['sse', CpuidFeature.SSE],
  ['sse2', CpuidFeature.SSE2],
  ['sse3', CpuidFeature.SSE3],
  ['pclmulqdq', CpuidFeature.PCLMULQDQ],
  ['ssse3', CpuidFeature.SSSE3],
  ['fma', CpuidFeature.FMA],
  ['cx16', CpuidFeature.CMPXCHG16B],
  ['sse41', CpuidFeature.SSE4_1],
  ['sse42', CpuidFeature.SSE4_2],
  ['movbe', CpuidFeature.MOVBE],
  ['popcnt', CpuidFeature.POPCNT],
  ['aes', CpuidFeature.AES],
  ['xsave', CpuidFeature.XSAVE],
  ['avx', CpuidFeature.AVX],
  ['f16c', CpuidFeature.F16C],
  ['rdrand', CpuidFeature.RDRAND],
  ['fsgsbase', CpuidFeature.FSGSBASE],
  ['bmi1', CpuidFeature.BMI1],
  ['avx2', CpuidFeature.AVX2],
  ['bmi2', CpuidFeature.BMI2],
  ['invpcid', CpuidFeature.INVPCID],
  ['rdseed', CpuidFeature.RDSEED],
  ['adx', CpuidFeature.ADX],
  ['smap', CpuidFeature.SMAP],
  ['clflushopt', CpuidFeature.CLFLUSHOPT],
  ['clwb', CpuidFeature.CLWB],
  ['sha', CpuidFeature.SHA],
  ['xsaveopt', CpuidFeature.XSAVEOPT],
  ['lzcnt', CpuidFeature.LZCNT],
  ['syscall', CpuidFeature.SYSCALL],
  ['rdtscp', CpuidFeature.RDTSCP],
];
const PREFIX_BYTES = [[], [0x66], [0xf3], [0xf2]];
const MAP_BYTES = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const BYTES = 16;

interface Form {
  readonly wide: boolean;
  readonly register: boolean;
}

/** Registers 1 (reg), 3 (vvvv), the index 2 of a vector; no displacement; immediates of zero. */
function encode(row: Row, spec: OpcodeSpec, long: boolean, { wide, register }: Form): Uint8Array | undefined {
  const prefix = spec.prefix ?? 0;
  const head: number[] = [];
  if (spec.vex) {
    const w = wide ? 1 : 0;
    if (!spec.vex.w.includes(w)) return undefined;
    const l = spec.vex.l[0];
    const vvvv = /(^|,)[HB]/.test(row.operands) ? 3 : 0;
    head.push(0xc4, 0xe0 | spec.map, (w << 7) | ((~vvvv & 15) << 3) | (l << 2) | prefix);
  } else {
    if (wide && !long) return undefined;
    head.push(...PREFIX_BYTES[prefix], ...(wide ? [0x48] : []), ...MAP_BYTES[spec.map]);
  }
  head.push(spec.opcode + (spec.register ? 1 : 0));
  if (spec.modrm) {
    if (spec.mod !== undefined && (spec.mod === 'register') !== register) return undefined;
    const reg = spec.extension ?? 1;
    const byVector = row.options.vsib !== undefined;
    if (byVector) head.push(4 | (reg << 3), 2 << 3);
    else head.push(spec.exact ?? (register ? 0xc0 : 0) | (reg << 3));
  }
  const bytes = new Uint8Array(BYTES);
  bytes.set(head);
  return bytes;
}

const FORMS: readonly Form[] = [false, true].flatMap((wide) => [false, true].map((register) => ({ wide, register })));

interface Sample {
  readonly bytes: Uint8Array;
  readonly codeSize: 32 | 64;
  readonly text: string;
  readonly needs: readonly Feature[];
}

const all = new Decoder(instructionTable);
const decoded = newDecoded();

function samples(): Sample[] {
  const found: Sample[] = [];
  const theirs = new Instruction();
  for (const codeSize of [32, 64] as const) {
    for (const row of instructionTable) {
      const spec = parseOpcode(row);
      for (const form of FORMS) {
        const bytes = encode(row, spec, codeSize === 64, form);
        // Another row may be meant, or none: by REX, ModRM or the code's size.
        if (!bytes || all.decode(bytes, 0, BYTES, codeSize, decoded) !== DECODE.ok || decoded.row !== row) continue;
        const oracle = new Oracle(codeSize, bytes, DecoderOptions.NoWbnoinvd);
        oracle.decodeOut(theirs);
        oracle.free();
        const { code } = theirs;
        // Hints that are no instructions of ours.
        if (code === Code.INVALID || /^0F (0D|1[89A-F])\b/.test(row.opcode)) continue;
        const features = theirs.cpuidFeatures();
        const needs: Feature[] = NAMES.filter(([, ...ids]) => ids.some((id) => features.includes(id))).map(([f]) => f);
        // Newer than their names.
        if (codeSize === 64 && /^[ls]ahf$/.test(row.mnemonic)) needs.push('lahf64');
        // iced-x86 names the newest of bits that need one another.
        if (needs.some((feature) => feature === 'avx2' || feature === 'fma' || feature === 'f16c')) needs.push('avx');
        if (needs.includes('cx16')) needs.push('cx8');
        // The SDM's table says MMX, its history and every processor without SSE2 otherwise.
        if (code === Code.Paddq_mm_mmm64) needs.splice(0, 1, 'sse2');
        found.push({ bytes, codeSize, needs, text: `${Code[code]} (${row.opcode} ${row.mnemonic}, ${codeSize} bits)` });
      }
    }
  }
  return found;
}

describe('rows and CPUID bits', () => {
  const known = samples();

  it('covers the table', () => {
    expect(known.length).toBeGreaterThan(instructionTable.length * 2);
  });

  it.each([...NAMES.map(([feature]) => feature), 'lahf64' as const])('without %s', (hidden) => {
    const decoder = new Decoder(instructionTable, (feature) => feature !== hidden);
    const wrong: string[] = [];
    let lost = 0;
    for (const { bytes, codeSize, needs, text } of known) {
      all.decode(bytes, 0, BYTES, codeSize, decoded);
      const { row, length } = decoded;
      const status = decoder.decode(bytes, 0, BYTES, codeSize, decoded);
      if (!needs.includes(hidden)) {
        if (status !== DECODE.ok || decoded.row !== row || decoded.length !== length) wrong.push(`lost: ${text}`);
        continue;
      }
      lost++;
      // F3 before BSR and BSF means nothing to older processors.
      const older = { lzcnt: 'bsr', bmi1: 'bsf' }[hidden as string];
      const means = older !== undefined && /^F3/.test(row?.opcode ?? '') ? older : undefined;
      if (decoded.row?.mnemonic !== means) wrong.push(`kept: ${text}`);
    }
    expect(wrong).toEqual([]);
    expect(lost).toBeGreaterThan(0);
  });

  it.each(CPU_PROFILES)('of %s: those it announces, and no other', (profile) => {
    const features = new CpuFeatures({ ...DEFAULT_CPU, profile });
    const decoder = new Decoder(instructionTable, (feature) => features.has(feature));
    const wrong: string[] = [];
    for (const { bytes, codeSize, needs, text } of known) {
      if (codeSize === 64 && !features.has('lm')) continue;
      all.decode(bytes, 0, BYTES, codeSize, decoded);
      const { row } = decoded;
      const known = decoder.decode(bytes, 0, BYTES, codeSize, decoded) === DECODE.ok && decoded.row === row;
      if (known !== needs.every((feature) => features.has(feature))) wrong.push(text);
    }
    expect(wrong).toEqual([]);
  });
});
