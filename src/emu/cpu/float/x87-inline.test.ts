/** The short ways of x87 arithmetic against the host CPU: what they do not refuse is right, and they refuse little. */
import { afterAll, describe, expect, test } from 'vitest';
import { type I64, i32, i64, k32, type Val } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { createLinearMemory, instantiate } from '../wasm/host.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { Case, Native } from './native.suite.ts';
import { Random, random32, random64, random80 } from './operands.suite.ts';
import { F32, F64 } from './round.ts';
import {
  addInline,
  compareInline,
  divideInline,
  EXPONENT_LIMIT,
  type Inline,
  type Keyed,
  keyOf,
  multiplyInline,
  narrowInline,
  negated,
  signExpOf,
  squareRootInline,
  widenInline,
} from './x87-inline.ts';

const native = new Native();
afterAll(() => native.close());

const CASES = 40_000;
/** PE set, eight registers in use, TOP 0. */
const STATUS = 0x20;
const C1 = 0x200;
/** Has anything but PE been raised? */
const raised = (c: Case): boolean => (c.status & 0x5f) !== 0;
const limit = k32(EXPONENT_LIMIT);

/** (a, b) -> 1: refused; else 0, and at 0 the significand or bits, at 8 sign and exponent, at 12 C1. */
type Build = (
  f: FunctionBuilder,
  a: Keyed,
  b: Keyed,
) => Inline | { sig: I64; up: Val<'i32'>; bad: readonly Val<'i32'>[] };

const normal = (v: { significand: bigint; signExponent: number }): boolean =>
  v.significand >> 63n === 1n && (v.signExponent & 0x7fff) !== 0 && (v.signExponent & 0x7fff) !== 0x7fff;

class Short {
  readonly #run: (...args: (number | bigint)[]) => unknown;
  readonly #view: DataView;
  constructor(build: Build, needsNormal: boolean) {
    const linear = createLinearMemory(65536);
    this.#view = new DataView(linear.buffer);
    const module = new ModuleBuilder({ initial: linear.pages, maximum: linear.pages });
    module.define(
      ['i64', 'i32', 'i64', 'i32'],
      'i32',
      (f) => {
        const operand = (n: number): Keyed => {
          const sig = f.param(n, 'i64').get;
          return { sig, key: f.let(keyOf(f, sig, f.param(n + 1, 'i32').get)) };
        };
        const [a, b] = [operand(0), operand(2)];
        if (needsNormal) f.if(i32.and(i32.or(a.key, b.key), k32(1 << 20)), () => f.return(k32(1)));
        const r = build(f, a, b);
        for (const bad of r.bad) f.if(bad, () => f.return(k32(1)));
        f.store64(k32(0), r.sig);
        if ('key' in r) f.store32(k32(0), signExpOf(r.key), 8);
        f.store32(k32(0), r.up, 12);
        f.return(k32(0));
      },
      'run',
    );
    this.#run = instantiate(module.bytes(), linear, {})['run'];
  }
  /** undefined: refused. */
  run(c: Case): { sig: bigint; signExp: number; up: number } | undefined {
    const [a, b] = [c.st(0), c.st(1)];
    if (this.#run(a.significand, a.signExponent, b.significand, b.signExponent) === 1) return undefined;
    const view = this.#view;
    return { sig: view.getBigUint64(0, true), signExp: view.getUint32(8, true), up: view.getUint32(12, true) };
  }
}

function operands(r: Random, code: readonly number[]): Case {
  const c = new Case();
  c.code = code;
  c.status = STATUS;
  c.tags = 0xff;
  const a = random80(r);
  let b = random80(r);
  // Often near each other, so that sums cancel; often with few bits, so that results are exact or lie in the middle.
  if (r.below(4) === 0)
    b = { significand: a.significand ^ BigInt(r.below(4)), signExponent: a.signExponent ^ (r.below(2) << 15) };
  else if (r.below(3) === 0) {
    const near = Math.min(0x7fff, Math.max(0, (a.signExponent & 0x7fff) + r.below(140) - 70));
    b = { significand: b.significand, signExponent: near | (r.below(2) << 15) };
  }
  c.setSt(0, a.significand, a.signExponent);
  c.setSt(1, b.significand, b.signExponent);
  return c;
}

interface Kind {
  readonly name: string;
  readonly code: readonly number[];
  readonly build: Build;
  readonly needsNormal?: boolean;
  /** Least share of normal operands that is not refused. */
  readonly share: number;
}
const memory = [0x16] as const;
const KINDS: readonly Kind[] = [
  { name: 'fadd', code: [0xd8, 0xc1], build: (f, a, b) => addInline(f, a, b, limit), share: 0.4 },
  {
    name: 'fsub',
    code: [0xd8, 0xe1],
    build: (f, a, b) => addInline(f, a, { sig: b.sig, key: f.let(negated(b.key)) }, limit),
    share: 0.4,
  },
  { name: 'fmul', code: [0xd8, 0xc9], build: (f, a, b) => multiplyInline(f, a, b, limit), share: 0.5 },
  { name: 'fdiv', code: [0xd8, 0xf1], build: (f, a, b) => divideInline(f, a, b, limit), needsNormal: true, share: 0.5 },
  { name: 'fsqrt', code: [0xd9, 0xfa], build: (f, a) => squareRootInline(f, a, limit), needsNormal: true, share: 0.3 },
];

type Answer = NonNullable<ReturnType<Short['run']>>;

/** Compares with the host what is not refused. @returns how many cases that were */
function agree(short: Short, cases: readonly Case[], isRight: (got: Answer, host: Case) => boolean): number {
  const answers = native.run(cases);
  const wrong: string[] = [];
  let done = 0;
  cases.forEach((c, i) => {
    const got = short.run(c);
    if (!got) return;
    done++;
    if (!isRight(got, answers[i])) wrong.push(describeOperands(c));
  });
  expect(wrong.slice(0, 5)).toEqual([]);
  return done;
}

describe('short x87 arithmetic agrees with the host', () => {
  test.each(KINDS)('$name', { timeout: 120_000 }, ({ code, build, needsNormal, share }) => {
    const short = new Short(build, needsNormal ?? false);
    const r = new Random(code[0] * 256 + code[1]);
    const cases = Array.from({ length: CASES }, () => operands(r, code));
    const usual = cases.filter((c) => normal(c.st(0)) && normal(c.st(1))).length;
    const done = agree(short, cases, (got, host) => {
      const { significand, signExponent } = host.st(0);
      const up = host.status & C1 ? 1 : 0;
      return got.sig === significand && got.signExp === signExponent && got.up === up && !raised(host);
    });
    expect(done).toBeGreaterThan(usual * share);
  });

  test.each([
    { format: F64, code: [0xdd, ...memory] },
    { format: F32, code: [0xd9, ...memory] },
  ])('fst of $format.bits bits', { timeout: 120_000 }, ({ format, code }) => {
    const short = new Short((f, a) => {
      const { bits, up, bad } = narrowInline(f, a, format, limit);
      return { sig: bits, up, bad: [bad] };
    }, false);
    const r = new Random(format.bits);
    const cases = Array.from({ length: CASES }, () => operands(r, code));
    const done = agree(short, cases, (got, host) => {
      const view = new DataView(host.memory.buffer, host.memory.byteOffset);
      const want = format.bits === 64 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
      const up = host.status & C1 ? 1 : 0;
      return BigInt.asUintN(format.bits, got.sig) === want && got.up === up && !raised(host);
    });
    expect(done).toBeGreaterThan(CASES / 5);
  });

  test.each([
    { bits: 64, code: [0xdd, 0x06] },
    { bits: 32, code: [0xd9, 0x06] },
  ])('fld of $bits bits', ({ bits, code }) => {
    const short = new Short((f, a) => {
      const v = widenInline(f, bits === 64 ? a.sig : i32.wrap(a.sig));
      return { ...v, up: k32(0), bad: [v.bad] };
    }, false);
    const r = new Random(bits);
    const cases = Array.from({ length: CASES / 4 }, () => {
      const c = operands(r, code);
      const value = bits === 64 ? random64(r) : BigInt.asUintN(32, BigInt(random32(r)));
      new DataView(c.memory.buffer, c.memory.byteOffset).setBigUint64(0, value, true);
      c.setSt(0, value, 0);
      c.status = STATUS | (1 << 11);
      c.tags = 0xfe;
      return c;
    });
    const done = agree(short, cases, (got, host) => {
      const { significand, signExponent } = host.st(0);
      return got.sig === significand && got.signExp === signExponent;
    });
    expect(done).toBeGreaterThan(cases.length / 2);
  });

  test('fucomi', { timeout: 120_000 }, () => {
    const short = new Short((f, a, b) => {
      const { code, bad } = compareInline(f, a, b);
      return { sig: i64.extendU(code), up: k32(0), bad: [bad] };
    }, false);
    const r = new Random(77);
    const cases = Array.from({ length: CASES }, () => operands(r, [0xdb, 0xe9]));
    const done = agree(short, cases, (got, host) => Number(got.sig >> 8n) === (host.eflags & 0x45));
    expect(done).toBeGreaterThan(CASES / 3);
  });
});

function describeOperands(c: Case): string {
  const st = (k: number): string => `${c.st(k).signExponent.toString(16)}:${c.st(k).significand.toString(16)}`;
  return `st0 ${st(0)} st1 ${st(1)}`;
}
