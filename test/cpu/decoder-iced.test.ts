/**
 * The decoder and the disassembler against iced-x86, on random bytes in 16-, 32- and 64-bit code.
 *
 * What iced-x86 calls valid and of a feature set we announce must be valid, of the same length, with the same operands
 * (compared as text); everything else must be undefined. TABBOX_DECODE_CASES: how many strings; TABBOX_DECODE_SEED: which.
 *
 * Differences that are meant:
 * - 0F 0D and 0F 18 to 0F 1F: what processors without the prefetches, MPX and CET do: NOP with a ModRM byte (SDM Vol. 2D,
 *   table A-3, reserved NOP). iced-x86 knows some of them by newer names.
 * - D9 D8+i: iced-x86 says FSTPNCE, an unofficial name of an alias that processors execute as FSTP.
 * - F3 90 with REX.B: iced-x86 says PAUSE; processors exchange R8 and RAX.
 * - 66 63: iced-x86's MOVSXD takes 16 bits then; processors read 32.
 * - 64-bit names of the registers that MOVMSKPS, PMOVMSKB, PEXTRB and PEXTRW zero-extend to and PINSRB and PINSRW take few bits of.
 * - F3 0F 09: WBNOINVD is WBINVD where CPUID does not announce it; iced-x86 has an option for that.
 * Ways of writing that differ: WRITTEN_OTHERWISE below; the 16-bit register that LAR, LSL and MOV Sreg read (iced-x86
 * names its 32 bits); string instructions, whose operands we do not write.
 */
import {
  Code,
  CpuidFeature,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
  Instruction,
  MemorySizeOptions,
  Mnemonic,
  Decoder as Oracle,
  Register,
} from 'iced-x86';
import { expect, it } from 'vitest';
import type { Decoded } from '../../src/emu/cpu/decoder/decoded.ts';
import { Decoder, newDecoded } from '../../src/emu/cpu/decoder/decoder.ts';
import { operandsText } from '../../src/emu/cpu/decoder/disassembler.ts';
import type { Row } from '../../src/emu/cpu/isa/row.ts';
import { instructionTable } from '../../src/emu/cpu/isa/table.ts';
import { SEG } from '../../src/emu/cpu/state/layout.ts';

const CASES = Number(process.env['TABBOX_DECODE_CASES'] ?? 200_000);
const SEED = Number(process.env['TABBOX_DECODE_SEED'] ?? Date.now() % 2 ** 31);

const ANNOUNCED: ReadonlySet<number> = new Set([
  ...[CpuidFeature.INTEL8086, CpuidFeature.INTEL186, CpuidFeature.INTEL286, CpuidFeature.INTEL386],
  ...[CpuidFeature.INTEL486, CpuidFeature.CPUID, CpuidFeature.MSR, CpuidFeature.TSC, CpuidFeature.CX8],
  ...[CpuidFeature.CMOV, CpuidFeature.RDPMC, CpuidFeature.SEP, CpuidFeature.CLFSH, CpuidFeature.PAUSE],
  ...[CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387, CpuidFeature.FXSR, CpuidFeature.MMX],
  ...[CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.MULTIBYTENOP, CpuidFeature.MONITOR],
  ...[CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2, CpuidFeature.POPCNT, CpuidFeature.LZCNT],
  ...[CpuidFeature.MOVBE, CpuidFeature.ADX, CpuidFeature.AES, CpuidFeature.PCLMULQDQ, CpuidFeature.SHA],
  ...[CpuidFeature.RDRAND, CpuidFeature.RDSEED, CpuidFeature.CLFLUSHOPT, CpuidFeature.CLWB],
  ...[CpuidFeature.AVX, CpuidFeature.AVX2, CpuidFeature.FMA, CpuidFeature.F16C, CpuidFeature.BMI1, CpuidFeature.BMI2],
  ...[CpuidFeature.XSAVE, CpuidFeature.XSAVEOPT],
  ...[CpuidFeature.RDTSCP, CpuidFeature.SMAP, CpuidFeature.INVPCID],
  ...[CpuidFeature.X64, CpuidFeature.CMPXCHG16B, CpuidFeature.FSGSBASE, CpuidFeature.SYSCALL],
]);

const OPTIONS = DecoderOptions.NoWbnoinvd;
const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65] as const;
const STRING_BYTES = 16;
const ROUND = 4096;
const CODE_SIZES = [32, 64, 16, 64] as const;

/** xorshift32: a number below `below` at each call. */
const random = (seed: number): ((below: number) => number) => {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
};

/** One string in eight is left random; the others get few or many prefixes, in 64-bit code a REX prefix, and often an escape. */
const fill = (bytes: Uint8Array, next: (below: number) => number, long: boolean): void => {
  for (let i = 0; i < bytes.length; i++) bytes[i] = next(256);
  for (let at = 0; at < bytes.length; at += STRING_BYTES) {
    if (next(8) === 0) continue;
    let p = at;
    const prefixes = next(2) === 0 ? 0 : next(16) === 0 ? next(14) : next(3);
    for (let n = 0; n < prefixes; n++) bytes[p++] = PREFIXES[next(PREFIXES.length)];
    if (next(4) === 0) {
      // A VEX prefix of a map that exists, mostly without what would make it undefined.
      const last = next(4) === 0 ? next(256) : (long ? next(16) << 3 : 0x78) | next(8);
      if (next(2) === 0) {
        bytes[p++] = 0xc5;
        bytes[p++] = (long && next(2) === 0 ? 0 : 0x80) | last;
      } else {
        bytes[p++] = 0xc4;
        bytes[p++] = (long ? next(8) << 5 : 0xe0) | (1 + next(3));
        bytes[p++] = last ^ (next(2) << 7);
      }
      continue;
    }
    if (long && next(2) === 0) bytes[p++] = 0x40 | next(16);
    const map = next(16);
    if (map >= 8) bytes[p++] = 0x0f;
    if (map === 14) bytes[p++] = 0x38;
    if (map === 15) bytes[p++] = 0x3a;
  }
};

/** Order (XCHG), implicit operands, a prefix without effect (LEA), a base of 10 (AAM), images without a size's name. */
const WRITTEN_OTHERWISE: ReadonlySet<string> = new Set([
  ...['aad', 'aam', 'fcom', 'fcomp', 'fldenv', 'fnsave', 'fnstenv', 'frstor', 'fucom', 'fucomp', 'fxch', 'fxrstor'],
  ...['blendvpd', 'blendvps', 'pblendvb', 'sha256rnds2'],
  ...['fxsave', 'int3', 'lea', 'maskmovdqu', 'vmaskmovdqu', 'maskmovq', 'monitor', 'mwait', 'nop', 'xchg', 'xlatb'],
]);
const writtenOtherwise = ({ mnemonic, operands }: Row, memory: boolean): boolean =>
  WRITTEN_OTHERWISE.has(mnemonic) ||
  /(^|,)([XY]|Ms)/.test(operands) ||
  (!memory &&
    (/^[C-GS]S,Ew$/.test(operands) ||
      mnemonic === 'lar' ||
      mnemonic === 'lsl' ||
      /^v?(pinsr[bw]|pextr[bw]|p?movmsk)/.test(mnemonic)));

/** Our way of writing what iced-x86 wrote. */
const written = (operands: string): string => operands.replace(/\bmmword/, 'qword').replace(/\*1(?=[-+\]])/, '');

const repeat = (row: Row, theirs: Instruction): Decoded['rep'] => {
  if (theirs.hasRepnePrefix) return row.options.rep === 'rep' ? 'rep' : 'repne';
  return theirs.hasRepPrefix ? 'rep' : 'none';
};

const decoder = new Decoder(instructionTable);

const isHint = (opcode: string): boolean => /^0F (0D|18|19|1A|1B|1C|1D|1E|1F)\b/.test(opcode);

it(`agrees with iced-x86 on ${CASES} strings`, { timeout: 3_600_000 }, () => {
  const bytes = new Uint8Array(ROUND * STRING_BYTES);
  const next = random(SEED);
  const ours = newDecoded();
  const theirs = new Instruction();
  const formatter = new Formatter(FormatterSyntax.Masm);
  formatter.spaceAfterOperandSeparator = true;
  formatter.memorySizeOptions = MemorySizeOptions.Always;
  formatter.usePseudoOps = false;
  formatter.showBranchSize = false;
  const features = new Map<number, boolean>();
  const differences = new Map<string, string>();
  let valid = 0;

  /** What differs, without operand values; undefined when all agrees. */
  const compare = (at: number, codeSize: 16 | 32 | 64): string | undefined => {
    const status = decoder.decode(bytes, at, at + STRING_BYTES, codeSize, ours);
    const row = ours.row;
    const code = theirs.code;
    const text = `${Code[code]}, ours: ${row?.opcode} ${row?.mnemonic} ${row?.operands}, status ${status}`;
    if (row && isHint(row.opcode)) return ours.length === theirs.length ? undefined : `length of ${text}`;
    let announced = features.get(code);
    if (announced === undefined) {
      announced = code !== Code.INVALID && theirs.cpuidFeatures().every((f) => ANNOUNCED.has(f));
      features.set(code, announced);
    }
    // SYSCALL outside 64-bit mode is AMD's; control and debug registers that do not exist are found out when executed.
    if (codeSize !== 64 && (code === Code.Syscall || code === Code.Sysretd)) return row && `validity of ${text}`;
    if (code === Code.INVALID && row && /(^|,)[CD][dq]/.test(row.operands)) return undefined;
    if (announced !== (row !== undefined)) return `validity of ${text}`;
    if (!row) return undefined;
    valid++;
    if (ours.length !== theirs.length) return `length of ${text}`;
    if (code === Code.Pause && row.opcode === '90 +r') return undefined;
    const name = Mnemonic[theirs.mnemonic].toLowerCase();
    const ourName = name === 'fstpnce' ? 'fstp' : name.replace(/^(sysret|sysexit)q$|^(pcmpestr[im])64$/, '$1$2');
    if (!row.mnemonic.split('|').includes(ourName)) return `name of ${text}`;
    if (ours.lock !== theirs.hasLockPrefix) return `lock of ${text}`;
    const segment = theirs.memorySegment - Register.ES;
    const counts = codeSize === 64 && segment < SEG.fs ? SEG.ds : segment;
    if (/(^|,)X/.test(row.operands) && ours.segment !== counts) return `segment of ${text}`;
    if (row.options.rep && ours.rep !== repeat(row, theirs)) return `repeat of ${text}`;
    if (writtenOtherwise(row, ours.memory) || code === Code.Movsxd_r16_rm16) return undefined;
    // A 32-bit absolute address of 64-bit code looks to our disassembler like one of 32-bit code.
    const ourText = operandsText(ours, 0x1000);
    const here = codeSize === 64 && ours.addressSize === 32 ? ourText.replace('ptr ds:[', 'ptr [') : ourText;
    const there = written(formatter.formatAllOperands(theirs));
    return here === there ? undefined : `operands of ${text}: ${here} | ${there}`;
  };

  for (let done = 0; done < CASES; done += ROUND) {
    const codeSize = CODE_SIZES[(done / ROUND) % CODE_SIZES.length];
    fill(bytes, next, codeSize === 64);
    const oracle = new Oracle(codeSize, bytes, OPTIONS);
    for (let at = 0; at < bytes.length; at += STRING_BYTES) {
      oracle.position = at;
      oracle.ip = 0x1000n;
      oracle.decodeOut(theirs);
      const difference = compare(at, codeSize);
      if (difference === undefined) continue;
      const key = difference.replace(/: .*/, '');
      if (differences.has(key)) continue;
      const text = Array.from(bytes.subarray(at, at + STRING_BYTES), (b) => b.toString(16).padStart(2, '0')).join(' ');
      differences.set(key, `${difference} (${codeSize} bits: ${text})`);
    }
    oracle.free();
  }
  expect([...differences.values()].slice(0, 40), `TABBOX_DECODE_SEED=${SEED}`).toEqual([]);
  expect(valid / CASES).toBeGreaterThan(0.25);
});
