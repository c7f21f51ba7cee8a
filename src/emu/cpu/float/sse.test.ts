/** Every SSE, SSE2, SSE3 and MMX row against the host CPU: values, MXCSR, exceptions, alignment, x87 state. */
import { afterAll, describe, expect, test } from 'vitest';
import { mmxRows } from '../isa/mmx-rows.ts';
import type { Row } from '../isa/row.ts';
import { sseRows } from '../isa/sse-rows.ts';
import { Case, difference, Emulated, type Form, Native } from './native.suite.ts';
import { Random, random32, random64, random80 } from './operands.suite.ts';

const native = new Native();
afterAll(() => native.close());

const CASES = Number(process.env['FLOAT_CASES'] ?? 60);
const APPROXIMATIONS = /^(rcp|rsqrt)/;
const ESI = 6;
const EDI = 7;

interface RowForm {
  readonly row: Row;
  readonly form: Form;
}

/** The register and the memory form, where there are both. */
function formsOf(row: Row): RowForm[] {
  const both = /(^|,)[WQE]/.test(row.operands);
  const memory = row.opcode.endsWith(' m');
  const list: boolean[] = memory ? [true] : both ? [false, true] : [false];
  return list.map((m) => ({ row, form: { memory: m, reg: 1, rm: 2, immediate: 0 } }));
}

const single = (r: Random): bigint => BigInt.asUintN(32, BigInt(random32(r)));
const pair = (r: Random): bigint => (single(r) << 32n) | single(r);
/** A float near the range of 32-bit integers. */
const nearInteger32 = (r: Random): bigint =>
  (BigInt(r.below(2)) << 31n) |
  (BigInt(127 - 3 + r.below(36)) << 23n) |
  BigInt(r.u32() & 0x7fffff & (r.below(2) ? -1 : 0x7ff000));
const nearInteger64 = (r: Random): bigint =>
  (BigInt(r.below(2)) << 63n) |
  (BigInt(1023 - 3 + r.below(36)) << 52n) |
  (r.u64() & 0xfffffffffffffn & (r.below(2) ? -1n : ~0xfffffffn));

/** Eight bytes fit for the row. */
function operand(r: Random, mnemonic: string): bigint {
  if (/^cvtt?p?s?[ps][sd]2(pi|si|dq)/.test(mnemonic) && r.below(3)) {
    return /[ps]d2/.test(mnemonic) ? nearInteger64(r) : (nearInteger32(r) << 32n) | nearInteger32(r);
  }
  if (/(ps|ss)$|ps2|ss2/.test(mnemonic) && !mnemonic.startsWith('cvtp')) return pair(r);
  if (/^cvt(ps|ss)/.test(mnemonic)) return pair(r);
  if (/(pd|sd)$|pd2|sd2/.test(mnemonic)) return random64(r);
  if (/^ps(rl|ra|ll)/.test(mnemonic) && r.below(2)) return BigInt(r.below(70));
  return r.below(4)
    ? r.u64()
    : r.pick([0n, 0xffffffffffffffffn, 0x8000800080008000n, 0x7fff7fff80807f7fn, 0x8000000080000000n]);
}

function randomCase(r: Random, { row, form }: RowForm, masked: boolean): { c: Case; immediate: number } {
  const c = new Case();
  const flags = r.below(3) ? 0x20 : r.below(64);
  const masks = masked || r.below(3) ? 0x1f80 : (r.below(64) << 7) & 0x1f80;
  const mode = r.below(2) ? 0 : (r.below(4) << 13) | (r.below(2) << 15) | (r.below(2) << 6);
  c.mxcsr = flags | masks | mode;
  c.status = r.below(8) << 11;
  c.tags = r.below(256);
  for (let i = 0; i < 8; i++) {
    const v = random80(r);
    c.setSt(i, v.significand, v.signExponent);
    c.setXmm(i, operand(r, row.mnemonic), operand(r, row.mnemonic));
    if (i !== ESI && i !== EDI) c.setGpr(i, r.u32() | 0);
  }
  if (/^p|^mov|^mask|^cvtpi/.test(row.mnemonic)) {
    for (let i = 0; i < 8; i++) c.setSt(i, operand(r, row.mnemonic), r.u32() & 0xffff);
  }
  // Equal operands, and operands that differ in sign only.
  if (r.below(6) === 0) {
    const a = c.xmm(1);
    const flip = r.below(2) ? 0x8000000080000000n : 0n;
    c.setXmm(2, a.low ^ flip, a.high ^ flip);
  }
  for (let i = 0; i < 64; i += 8)
    new DataView(c.memory.buffer, c.memory.byteOffset).setBigUint64(i, operand(r, row.mnemonic), true);
  if (row.mnemonic === 'ldmxcsr') {
    // Bit 17 exists on some processors (misaligned operands allowed): always clear.
    c.memory[2] = r.below(3) ? 0 : r.below(256) & ~2;
    c.memory[3] = 0;
  }
  c.eflags = r.u32() & 0x8d5;
  const spread = form.memory && r.below(8) === 0 ? r.below(16) : 0;
  c.setGpr(ESI, spread);
  c.setGpr(EDI, row.mnemonic.startsWith('maskmov') ? r.below(32) : 0);
  return { c, immediate: r.below(256) };
}

function describeCase(c: Case): string {
  const hex = (n: bigint): string => n.toString(16).padStart(16, '0');
  const x = (i: number): string => `${hex(c.xmm(i).high)}:${hex(c.xmm(i).low)}`;
  const memory = Buffer.from(c.memory.subarray(0, 16)).reverse().toString('hex');
  return `mxcsr ${c.mxcsr.toString(16)} esi ${c.gpr(ESI)} xmm1 ${x(1)} xmm2 ${x(2)} mm2 ${hex(c.st(2).significand)} mem ${memory}`;
}

/** Immediates are part of the code: a few forms of each row that has one. */
function withImmediates(forms: readonly RowForm[], r: Random): RowForm[] {
  return forms.flatMap((f) => {
    if (!f.row.operands.includes('Ib')) return [f];
    const list = f.row.mnemonic.startsWith('cmp')
      ? [0, 1, 2, 3, 4, 5, 6, 7]
      : /^ps(rl|ra|ll)/.test(f.row.mnemonic)
        ? [0, 1, 7, 15, 16, 31, 32, 63, 64, 255]
        : [r.below(256), r.below(256), r.below(256)];
    return list.map((immediate) => ({ row: f.row, form: { ...f.form, immediate } }));
  });
}

function compareAll(rows: readonly Row[], count: number, seed: number, masked = false): string[] {
  const r = new Random(seed);
  const forms = withImmediates(rows.flatMap(formsOf), r);
  const emulated = new Emulated(forms);
  const failures: string[] = [];
  forms.forEach((f, n) => {
    const share = f.row.operands.includes('Ib') ? Math.ceil(count / 4) : count;
    const cases = Array.from({ length: share }, () => {
      const { c } = randomCase(r, f, masked);
      c.code = emulated.code(n);
      return c;
    });
    let wrong = 0;
    native.run(cases).forEach((answer, i) => {
      const d = difference(answer, emulated.run(n, cases[i]), { emptyRegisters: true });
      if (d === undefined || ++wrong > 3) return;
      failures.push(
        `${f.row.opcode} ${f.row.mnemonic} ${f.row.operands} ${f.form.immediate} [${describeCase(cases[i])}]: ${d}`,
      );
    });
    if (wrong > 3) failures.push(`${f.row.opcode} ${f.row.mnemonic}: ${wrong} of ${share}`);
  });
  return failures;
}

describe('SSE rows', () => {
  const rows = sseRows.filter((row) => !APPROXIMATIONS.test(row.mnemonic));
  test('as the host does them', { timeout: 300_000 }, () => {
    expect(compareAll(rows, CASES, 11)).toEqual([]);
  });

  test('RCP and RSQRT: within 1.5 * 2^-12, special values as the host', () => {
    const approximate = sseRows.filter((row) => APPROXIMATIONS.test(row.mnemonic)).flatMap(formsOf);
    const emulated = new Emulated(approximate);
    const r = new Random(12);
    const failures: string[] = [];
    approximate.forEach((f, n) => {
      const cases = Array.from({ length: CASES }, () => {
        const { c } = randomCase(r, f, true);
        c.setGpr(ESI, 0);
        c.code = emulated.code(n);
        return c;
      });
      native.run(cases).forEach((answer, i) => {
        const mine = emulated.run(n, cases[i]);
        const lanes = [answer, mine].map((c) => new Float32Array(c.bytes.slice(64 + 160 + 16, 64 + 160 + 32).buffer));
        const bits = [answer, mine].map((c) => new Uint32Array(c.bytes.slice(64 + 160 + 16, 64 + 160 + 32).buffer));
        const close = [...lanes[0]].every((a, k) => {
          if (bits[0][k] === bits[1][k]) return true;
          // Results at the edge of the denormals may be flushed on one side only.
          if (Math.abs(a) < 2 ** -125 && Math.abs(lanes[1][k]) < 2 ** -125) return true;
          return Math.abs(lanes[1][k] / a - 1) <= 3 * 2 ** -12;
        });
        if (!close || answer.mxcsr !== mine.mxcsr)
          failures.push(`${f.row.mnemonic} [${describeCase(cases[i])}]: ${[...lanes[0]]}, not ${[...lanes[1]]}`);
      });
    });
    expect(failures.slice(0, 8)).toEqual([]);
  });

  test('unavailable without OS support, when emulated, or when a task switch happened', () => {
    const forms = rows.flatMap(formsOf).slice(0, 3);
    const emulated = new Emulated(forms);
    const c = new Case();
    forms.forEach((_, n) => {
      expect(emulated.run(n, c, 1, 0x400).trap).toBe(6);
      expect(emulated.run(n, c, 1 | 4, 0x600).trap).toBe(6);
      expect(emulated.run(n, c, 1 | 8, 0x600).trap).toBe(7);
      expect(emulated.run(n, c, 1 | 4 | 8, 0x600).trap).toBe(6);
    });
  });

  test('a numeric exception is #UD when the OS does not expect #XM', () => {
    const divide = rows.filter((row) => row.mnemonic === 'divsd').flatMap(formsOf);
    const emulated = new Emulated(divide);
    const c = new Case();
    c.mxcsr = 0x1d80;
    c.setXmm(1, 0x3ff0000000000000n, 7n);
    expect(emulated.run(0, c, 1, 0x600).trap).toBe(19);
    expect(emulated.run(0, c, 1, 0x200).trap).toBe(6);
    expect(emulated.run(0, c, 1, 0x600).mxcsr).toBe(0x1d84);
    expect(emulated.run(0, c, 1, 0x600).xmm(1)).toEqual({ low: 0x3ff0000000000000n, high: 7n });
  });
});

describe('MMX rows', () => {
  test('as the host does them', { timeout: 300_000 }, () => {
    expect(compareAll(mmxRows, CASES, 13)).toEqual([]);
  });

  test('a pending x87 exception comes first', () => {
    const forms = mmxRows.flatMap(formsOf);
    const emulated = new Emulated(forms);
    const failures: string[] = [];
    forms.forEach((f, n) => {
      const c = new Case();
      c.code = emulated.code(n);
      c.control = 0x37e;
      c.status = 0x8081;
      const d = difference(native.run([c])[0], emulated.run(n, c));
      if (d) failures.push(`${f.row.opcode} ${f.row.mnemonic}: ${d}`);
    });
    expect(failures).toEqual([]);
  });

  test('#UD when emulated, #NM when a task switch happened', () => {
    const forms = mmxRows.flatMap(formsOf);
    const emulated = new Emulated(forms);
    forms.forEach((_, n) => {
      expect(emulated.run(n, new Case(), 1 | 4).trap).toBe(6);
      expect(emulated.run(n, new Case(), 1 | 8).trap).toBe(7);
    });
  });
});
