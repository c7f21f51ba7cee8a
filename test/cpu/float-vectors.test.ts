/**
 * Floating-point operations of the virtual CPU against the host's, in the manner of Berkeley TestFloat: every routine of
 * vectors/routines.ts over the corners of its formats and random values, in every rounding mode, for the x87 also in every
 * precision, for SSE also with flush-to-zero and denormals-are-zero. Values and exception flags must agree, all of them.
 *
 * Environment: TABBOX_VECTORS_RANDOM (random cases a routine and mode), TABBOX_VECTORS_CORNERS (at most so many
 * combinations of corners, of all that there are), TABBOX_VECTORS_SEED.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/emu/cpu/float/operands.suite.ts';
import { IntegerBench } from '../../src/emu/cpu/isa/integer-bench.suite.ts';
import { corners, randomOperand } from './vectors/operands.ts';
import { ANSWER, loopOf, RECORD, type Routine, routines } from './vectors/routines.ts';

const { env } = process;
const seed = Number(env['TABBOX_VECTORS_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const RANDOM = Number(env['TABBOX_VECTORS_RANDOM'] ?? 500);
/** Pairs of corners above this are drawn from instead of all being taken. */
const MOST_CORNERS = Number(env['TABBOX_VECTORS_CORNERS'] ?? 4000);

const folder = mkdtempSync(join(tmpdir(), 'tabbox-vectors-'));
const program = join(folder, 'vectors');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function compile(): void {
  const source = fileURLToPath(new URL('native/float-vectors.c', import.meta.url));
  const flags = ['-O1', '-static', '-no-pie', '-fno-pic', '-fcf-protection=none'];
  const { status, stderr } = spawnSync('gcc', [...flags, source, '-o', program], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`gcc failed; these tests need an x86-64 Linux host with gcc\n${stderr}`);
}

function onHost(routine: Routine, records: Uint8Array): Uint8Array {
  const code = [...loopOf(routine), 0xc3];
  const head = new Uint32Array([code.length, records.length / RECORD.bytes, RECORD.bytes, ANSWER.bytes]);
  const input = Buffer.concat([Buffer.from(head.buffer), Buffer.from(code), records]);
  const { stdout, status, signal } = spawnSync(program, { input, maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`${routine.name}: the host's program ended with ${signal ?? status}`);
  return stdout;
}

const BATCH = 4096;
const RECORDS_AT = 0x4_0000;
const ANSWERS_AT = RECORDS_AT + BATCH * RECORD.bytes;
/** CR4.OSFXSR, OSXMMEXCPT and OSXSAVE, XCR0 = 7. */
const AVX_ON = '0F20E0 0D00060400 0F22E0 31C9 31D2 B807000000 0F01D1';

function onVirtual(bench: IntegerBench, routine: Routine, records: Uint8Array): Uint8Array {
  const loop = Buffer.from(loopOf(routine)).toString('hex');
  const { bytes } = bench.physical;
  const ram = bench.physical.entry(0) & ~0xfff;
  const answers = new Uint8Array((records.length / RECORD.bytes) * ANSWER.bytes);
  for (let from = 0; from < records.length; from += BATCH * RECORD.bytes) {
    const batch = records.subarray(from, from + BATCH * RECORD.bytes);
    const count = batch.length / RECORD.bytes;
    bytes.set(batch, ram + RECORDS_AT);
    bytes.fill(0, ram + ANSWERS_AT, ram + ANSWERS_AT + count * ANSWER.bytes);
    // MOV ECX,EBX: XSETBV takes ECX.
    const { fault } = bench.run(`${AVX_ON} 89D9 ${loop}`, { ebx: count, esi: RECORDS_AT, edi: ANSWERS_AT });
    if (fault !== undefined) throw new Error(`${routine.name}: exception ${fault}`);
    const at = ram + ANSWERS_AT;
    answers.set(bytes.subarray(at, at + count * ANSWER.bytes), (from / RECORD.bytes) * ANSWER.bytes);
  }
  return answers;
}

const ROUNDINGS = [0, 1, 2, 3];
const MASKED = { mxcsr: 0x1f80, control: 0x003f } as const;
/** Rounding modes with what else changes results. */
function modesOf({ unit, precise }: Routine): readonly { mxcsr: number; control: number }[] {
  const extended = 0x300;
  return ROUNDINGS.flatMap((rounding) => {
    const mxcsr = MASKED.mxcsr | (rounding << 13);
    const control = MASKED.control | (rounding << 10);
    if (unit === 'x87') {
      return (precise ? [0, 0x200, extended] : [extended]).map((precision) => ({
        mxcsr,
        control: control | precision,
      }));
    }
    return [0, 0x8040].map((flush) => ({ mxcsr: mxcsr | flush, control: control | extended }));
  });
}

/** Every combination, or `most` of them by chance. */
function combinations(sets: readonly (readonly bigint[])[], most: number, r: Random): bigint[][] {
  const product = sets.reduce((all, set) => all * set.length, 1);
  return Array.from({ length: Math.min(product, most) }, (_, i) => {
    let n = product <= most ? i : r.below(product);
    return sets.map((set) => {
      const value = set[n % set.length];
      n = Math.trunc(n / set.length);
      return value;
    });
  });
}

function operandsOf(routine: Routine, r: Random): readonly (readonly bigint[])[] {
  const { operands } = routine;
  const few = operands.map((format) => corners(format, true));
  const all = operands.length === 3 ? few : operands.map((format) => corners(format));
  const chosen = combinations(all, MOST_CORNERS, r);
  if (operands.length === 2) chosen.push(...combinations(few, Number.POSITIVE_INFINITY, r));
  for (let i = 0; i < RANDOM; i++) {
    const values = operands.map((format) => randomOperand(r, format));
    // Near each other, so that differences cancel.
    if (values.length > 1 && r.below(4) === 0) values[1] = values[0] ^ BigInt(r.below(4));
    chosen.push(values);
  }
  return chosen;
}

function recordsOf(routine: Routine, r: Random): Uint8Array {
  const operands = operandsOf(routine, r);
  const modes = modesOf(routine);
  const records = new Uint8Array(operands.length * modes.length * RECORD.bytes);
  const view = new DataView(records.buffer);
  let at = 0;
  for (const values of operands) {
    for (const { mxcsr, control } of modes) {
      view.setUint32(at + RECORD.mxcsr, mxcsr, true);
      view.setUint16(at + RECORD.control, control, true);
      values.forEach((value, n) => {
        view.setBigUint64(at + RECORD.operands[n], BigInt.asUintN(64, value), true);
        view.setUint16(at + RECORD.operands[n] + 8, Number(value >> 64n), true);
      });
      at += RECORD.bytes;
    }
  }
  return records;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).reverse().toString('hex');

/** The first differences in words, and how many cases there were. */
function compare(routine: Routine, bench: IntegerBench): { cases: number; differences: string[] } {
  const records = recordsOf(routine, new Random(seed));
  const host = onHost(routine, records);
  const virtual = onVirtual(bench, routine, records);
  const cases = records.length / RECORD.bytes;
  const differences: string[] = [];
  // Code that does nothing would agree, too.
  const distinct = new Set(
    Array.from({ length: cases }, (_, n) => hex(host.subarray(n * ANSWER.bytes, (n + 1) * ANSWER.bytes))),
  );
  expect(distinct.size).toBeGreaterThan(3);
  const flags = (answers: Uint8Array, at: number): number => {
    const word = new DataView(answers.buffer, answers.byteOffset + at + ANSWER.flags, 4);
    return routine.unit === 'sse' ? word.getUint32(0, true) : word.getUint16(0, true) & routine.status;
  };
  for (let n = 0; n < cases && differences.length < 5; n++) {
    const at = n * ANSWER.bytes;
    const theirs = host.subarray(at, at + ANSWER.flags);
    const ours = virtual.subarray(at, at + ANSWER.flags);
    const [want, have] = [flags(host, at), flags(virtual, at)];
    if (want === have && Buffer.compare(theirs, ours) === 0) continue;
    const record = records.subarray(n * RECORD.bytes, (n + 1) * RECORD.bytes);
    const given = routine.operands.map((_, i) => hex(record.subarray(RECORD.operands[i], RECORD.operands[i] + 10)));
    differences.push(
      `${given.join(' ')} mxcsr ${hex(record.subarray(0, 4))} control ${hex(record.subarray(4, 6))}: ` +
        `${hex(theirs)} ${want.toString(16)}, not ${hex(ours)} ${have.toString(16)}`,
    );
  }
  return { cases, differences };
}

describe(`floating-point vectors, seed ${seed}`, () => {
  compile();
  const bench = new IntegerBench();
  let total = 0;
  it.each(routines.map((routine) => [routine.name, routine] as const))('%s', { timeout: 3_600_000 }, (_, routine) => {
    const { cases, differences } = compare(routine, bench);
    total += cases;
    expect(differences, `TABBOX_VECTORS_SEED=${seed}`).toEqual([]);
    expect(cases).toBeGreaterThan(RANDOM);
  });
  afterAll(() => {
    console.info(`floating-point vectors: seed ${seed}, ${total} cases`);
  });
});
