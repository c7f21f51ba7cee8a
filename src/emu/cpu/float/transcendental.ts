/**
 * F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS and FSINCOS, correctly rounded.
 * Source: SDM Vol. 1, 8.3.7-8.3.10 (66-bit pi for argument reduction); Vol. 2, tables of those instructions.
 *
 * In TypeScript and not a kernel: rare instructions whose exactness needs more than 128 bits. The semantics have checked
 * availability and pending exceptions and have recorded the pointers. Arguments outside the documented ranges of F2XM1
 * and FYL2XP1, where the manual leaves the result undefined: F2XM1 returns its argument, FYL2XP1 the true value.
 */
import type { CpuState } from '../state/cpu-state.ts';
import { FPR_BYTES, STATE } from '../state/layout.ts';
import { CC, CONTROL, EXTENDED_BIAS, EXTENDED_MAX, FLAG, SUMMARY } from './kernel-set.ts';
import {
  arcTangent,
  divideFixed,
  exponentialMinusOne,
  FRACTION_BITS,
  LN2,
  logOnePlus,
  multiplyFixed,
  ONE,
  PI,
  sineCosine,
  TINY_BITS,
} from './real-functions.ts';

export const TRANSCENDENTAL = {
  f2xm1: 0,
  fyl2x: 1,
  fptan: 2,
  fpatan: 3,
  fyl2xp1: 4,
  fsincos: 5,
  fsin: 6,
  fcos: 7,
} as const;

const INTEGER = 1n << 63n;
const QUIET = 1n << 62n;
/** Pi to 66 bits, in units of 2^-66 (SDM Vol. 1, 8.3.8). */
const PI_66 = 0xc90fdaa22168c234cn;
const PI_66_SCALE = 66;
const BIAS_ADJUST = 24576;

/** A value as stored: sign 0 or 1, biased exponent, significand. */
interface Raw {
  readonly sign: number;
  readonly exp: number;
  readonly sig: bigint;
}
/** (-1)^sign * magnitude * 2^scale, the true value lying strictly between it and the next when `sticky`. */
interface Real {
  readonly sign: number;
  readonly magnitude: bigint;
  readonly scale: number;
  readonly sticky: boolean;
}
type Result = Raw | Real;

const raw = (sign: number, exp: number, sig: bigint): Raw => ({ sign, exp, sig });
const INDEFINITE = raw(1, EXTENDED_MAX, INTEGER | QUIET);
const ONE_RAW = raw(0, EXTENDED_BIAS, INTEGER);
const zero = (sign: number): Raw => raw(sign, 0, 0n);
const infinity = (sign: number): Raw => raw(sign, EXTENDED_MAX, INTEGER);
/** A fixed-point value of real-functions.ts: never exact. */
const fixed = (sign: number, value: bigint): Real => ({
  sign: value < 0n ? sign ^ 1 : sign,
  magnitude: value < 0n ? -value : value,
  scale: -FRACTION_BITS,
  sticky: true,
});

const unsupported = (v: Raw): boolean => v.exp !== 0 && v.sig < INTEGER;
const isNan = (v: Raw): boolean => v.exp === EXTENDED_MAX && v.sig > INTEGER;
const signalling = (v: Raw): boolean => isNan(v) && (v.sig & QUIET) === 0n;
const isInfinite = (v: Raw): boolean => v.exp === EXTENDED_MAX && v.sig === INTEGER;
const isZero = (v: Raw): boolean => v.sig === 0n;
const denormal = (v: Raw): boolean => v.exp === 0 && v.sig !== 0n;
/** Exponent of two of the significand's unit. */
const scaleOf = (v: Raw): number => Math.max(v.exp, 1) - EXTENDED_BIAS - 63;
const bitLength = (n: bigint): number => {
  const hex = n.toString(16);
  return n === 0n ? 0 : hex.length * 4 - Math.clz32(Number.parseInt(hex[0], 16)) + 28;
};
/** floor(log2 |v|) of a finite value that is not zero. */
const log2Floor = (v: Raw): number => scaleOf(v) + bitLength(v.sig) - 1;
/** |v| in fixed point; exact for what is at least 2^-TINY_BITS. */
function toFixed(v: Raw): bigint {
  const shift = scaleOf(v) + FRACTION_BITS;
  return shift >= 0 ? v.sig << BigInt(shift) : v.sig >> BigInt(-shift);
}

/** The x87 unit while one instruction runs: flags are gathered and committed once. */
class Unit {
  readonly #state: CpuState;
  readonly #control: number;
  #flags = 0;

  constructor(state: CpuState) {
    this.#state = state;
    this.#control = state.get(STATE.fpuControl);
  }

  #slot(i: number): number {
    return STATE.fpr + ((this.#state.get(STATE.fpuTop) + i) & 7) * FPR_BYTES;
  }
  #bit(i: number): number {
    return 1 << ((this.#state.get(STATE.fpuTop) + i) & 7);
  }
  empty(i: number): boolean {
    return (this.#state.get(STATE.fpuTags) & this.#bit(i)) === 0;
  }
  read(i: number): Raw {
    const at = this.#slot(i);
    const signExp = this.#state.view.getUint16(at + 8, true);
    return raw(signExp >> 15, signExp & EXTENDED_MAX, this.#state.view.getBigUint64(at, true));
  }
  write(i: number, v: Raw): void {
    const at = this.#slot(i);
    this.#state.view.setBigUint64(at, v.sig, true);
    this.#state.view.setUint16(at + 8, v.exp | (v.sign << 15), true);
    this.#state.set(STATE.fpuTags, this.#state.get(STATE.fpuTags) | this.#bit(i));
  }
  pop(): void {
    this.#state.set(STATE.fpuTags, this.#state.get(STATE.fpuTags) & ~this.#bit(0));
    this.#state.set(STATE.fpuTop, (this.#state.get(STATE.fpuTop) + 1) & 7);
  }
  push(v: Raw): void {
    this.#state.set(STATE.fpuTop, (this.#state.get(STATE.fpuTop) + 7) & 7);
    this.write(0, v);
  }
  setIncomplete(incomplete: boolean): void {
    const status = this.#state.get(STATE.fpuStatus) & ~CC.c2;
    this.#state.set(STATE.fpuStatus, status | (incomplete ? CC.c2 : 0));
  }

  /** @returns whether the exceptions are masked, so that the instruction goes on. */
  raise(flags: number): boolean {
    this.#flags |= flags;
    return (flags & ~this.#control & 0x3f) === 0;
  }
  commit(): void {
    let status = (this.#state.get(STATE.fpuStatus) & ~CC.c1) | this.#flags;
    if (status & ~this.#control & 0x3f) status |= SUMMARY;
    this.#state.set(STATE.fpuStatus, status);
  }

  /** Rounds to 64 bits, with overflow and underflow; C1 is that of the last rounding. */
  round(result: Result): Raw {
    if ('sig' in result) return result;
    const { sign, magnitude, scale } = result;
    const length = bitLength(magnitude);
    const exp = scale + length - 1 + EXTENDED_BIAS;
    const normal = this.#cut(result, length - 64);
    const rounded = normal.sig >> 64n ? { sig: normal.sig >> 1n, exp: exp + 1 } : { sig: normal.sig, exp };
    this.#flags &= ~FLAG.c1;
    if (rounded.exp >= 1 && rounded.exp < EXTENDED_MAX) {
      this.#flags |= normal.flags;
      return raw(sign, rounded.exp, rounded.sig);
    }
    if (rounded.exp < 1) {
      if ((this.#control & FLAG.ue) === 0) {
        this.#flags |= normal.flags | FLAG.ue;
        return raw(sign, rounded.exp + BIAS_ADJUST, rounded.sig);
      }
      const small = this.#cut(result, length - 64 + 1 - exp);
      this.#flags |= small.flags | (small.flags & FLAG.pe ? FLAG.ue : 0);
      return raw(sign, small.sig >= INTEGER ? 1 : 0, small.sig);
    }
    if ((this.#control & FLAG.oe) === 0) {
      this.#flags |= normal.flags | FLAG.oe;
      return raw(sign, rounded.exp - BIAS_ADJUST, rounded.sig);
    }
    this.#flags |= FLAG.oe | FLAG.pe;
    const mode = this.#control & CONTROL.rounding;
    if (mode === CONTROL.zero || mode === (sign ? CONTROL.up : CONTROL.down)) {
      return raw(sign, EXTENDED_MAX - 1, 2n * INTEGER - 1n);
    }
    this.#flags |= FLAG.c1;
    return infinity(sign);
  }

  /** Drops `drop` bits (negative: appends) of the magnitude, rounded by RC. */
  #cut({ sign, magnitude, sticky }: Real, drop: number): { sig: bigint; flags: number } {
    if (drop <= 0) return this.#cut({ sign, magnitude: magnitude << BigInt(2 - drop), scale: 0, sticky }, 2);
    const kept = magnitude >> BigInt(drop);
    const half = 1n << BigInt(drop - 1);
    const rest = magnitude - (kept << BigInt(drop));
    if (rest === 0n && !sticky) return { sig: kept, flags: 0 };
    const mode = this.#control & CONTROL.rounding;
    const up =
      mode === CONTROL.nearest
        ? rest > half || (rest === half && (sticky || (kept & 1n) === 1n))
        : mode === (sign ? CONTROL.down : CONTROL.up);
    return { sig: up ? kept + 1n : kept, flags: up ? FLAG.pe | FLAG.c1 : FLAG.pe };
  }
}

/** NaN and unsupported operands (table 4-7); undefined when there are none. */
function nanResult(unit: Unit, a: Raw, b: Raw): { value: Raw; masked: boolean } | undefined {
  if (unsupported(a) || unsupported(b)) return { value: INDEFINITE, masked: unit.raise(FLAG.ie) };
  if (!isNan(a) && !isNan(b)) return undefined;
  const loudA = signalling(a);
  const loudB = signalling(b);
  let first = isNan(a);
  if (isNan(a) && isNan(b)) {
    if (loudA !== loudB) first = loudB;
    else first = a.sig === b.sig ? a.sign <= b.sign : a.sig > b.sig;
  }
  const chosen = first ? a : b;
  const masked = loudA || loudB ? unit.raise(FLAG.ie) : true;
  return { value: raw(chosen.sign, chosen.exp, chosen.sig | QUIET), masked };
}

/** An angle: the quadrant modulo 4 and the rest, |rest| <= pi/4, as an exact multiple of 2^scale. */
interface Angle {
  readonly quadrant: number;
  readonly rest: bigint;
  readonly scale: number;
}

function reduce(v: Raw): Angle {
  // Units of 2^-67 at least: pi/2 is then an integer.
  const scale = Math.min(scaleOf(v), -(PI_66_SCALE + 1));
  const x = v.sig << BigInt(scaleOf(v) - scale);
  const half = PI_66 << BigInt(-(PI_66_SCALE + 1) - scale);
  if (2n * x <= half) return { quadrant: 0, rest: v.sign ? -x : x, scale };
  const k = (2n * x + half) / (2n * half);
  const rest = x - k * half;
  const quadrant = Number((v.sign ? -k : k) & 3n);
  return { quadrant, rest: v.sign ? -rest : rest, scale };
}

/** Sine and cosine of a reduced angle; for tiny ones rest -+ rest^3/6 and 1 - rest^2/2. */
function sineAndCosine(angle: Angle): { sine: Real; cosine: Real; tangent: Real } {
  const { rest, scale } = angle;
  const negative = rest < 0n ? 1 : 0;
  const size = negative ? -rest : rest;
  const length = bitLength(size) + scale;
  if (length < -TINY_BITS) {
    const wide = size << 128n;
    const near = (magnitude: bigint): Real => ({ sign: negative, magnitude, scale: scale - 128, sticky: true });
    return { sine: near(wide - 1n), tangent: near(wide), cosine: fixed(0, ONE - 1n) };
  }
  const shift = FRACTION_BITS + scale;
  const r = shift >= 0 ? rest << BigInt(shift) : rest >> BigInt(-shift);
  const { sine, cosine } = sineCosine(r);
  return { sine: fixed(0, sine), cosine: fixed(0, cosine), tangent: fixed(0, divideFixed(sine, cosine)) };
}

const negate = (v: Real): Real => ({ ...v, sign: v.sign ^ 1 });
const reciprocal = (v: Real): Real => {
  const places = 256 + bitLength(v.magnitude);
  return { sign: v.sign, magnitude: (1n << BigInt(places)) / v.magnitude, scale: -places - v.scale, sticky: true };
};

function trigonometric(unit: Unit, which: number): void {
  const pushes = which === TRANSCENDENTAL.fptan || which === TRANSCENDENTAL.fsincos;
  const second = which === TRANSCENDENTAL.fptan ? ONE_RAW : undefined;
  const deliver = (value: Raw, pushed: Raw): void => {
    unit.write(0, value);
    if (pushes) unit.push(pushed);
  };
  if (unit.empty(0) || (pushes && !unit.empty(7))) {
    const overflow = unit.empty(0) ? 0 : FLAG.c1;
    unit.setIncomplete(false);
    if (unit.raise(FLAG.ie | FLAG.sf | overflow)) deliver(INDEFINITE, INDEFINITE);
    return;
  }
  const v = unit.read(0);
  const nan = nanResult(unit, v, v);
  if (nan) {
    unit.setIncomplete(false);
    if (nan.masked) deliver(nan.value, nan.value);
    return;
  }
  if (isInfinite(v)) {
    unit.setIncomplete(false);
    if (unit.raise(FLAG.ie)) deliver(INDEFINITE, INDEFINITE);
    return;
  }
  if (v.exp >= EXTENDED_BIAS + 63) {
    unit.setIncomplete(true);
    return;
  }
  unit.setIncomplete(false);
  if (isZero(v)) {
    deliver(which === TRANSCENDENTAL.fcos ? ONE_RAW : v, ONE_RAW);
    return;
  }
  if (denormal(v) && !unit.raise(FLAG.de)) return;
  const angle = reduce(v);
  const { sine, cosine, tangent } = sineAndCosine(angle);
  const q = angle.quadrant;
  const sin = q & 1 ? cosine : sine;
  const cos = q & 1 ? sine : cosine;
  const trueSine = q & 2 ? negate(sin) : sin;
  const trueCosine = q === 1 || q === 2 ? negate(cos) : cos;
  if (which === TRANSCENDENTAL.fcos) deliver(unit.round(trueCosine), ONE_RAW);
  else if (which === TRANSCENDENTAL.fptan) {
    deliver(unit.round(q & 1 ? negate(reciprocal(tangent)) : tangent), second ?? ONE_RAW);
  } else {
    const s = unit.round(trueSine);
    deliver(s, pushes ? unit.round(trueCosine) : ONE_RAW);
  }
}

/** 2^x - 1. */
function f2xm1(unit: Unit): void {
  if (unit.empty(0)) {
    if (unit.raise(FLAG.ie | FLAG.sf)) unit.write(0, INDEFINITE);
    return;
  }
  const v = unit.read(0);
  const nan = nanResult(unit, v, v);
  if (nan) {
    if (nan.masked) unit.write(0, nan.value);
    return;
  }
  if (isZero(v)) return;
  if (isInfinite(v)) {
    if (v.sign) unit.write(0, raw(1, EXTENDED_BIAS, INTEGER));
    return;
  }
  if (denormal(v) && !unit.raise(FLAG.de)) return;
  if (v.exp >= EXTENDED_BIAS) {
    // The ends are exact: 2^1 - 1 = 1, 2^-1 - 1 = -1/2.
    if (v.exp === EXTENDED_BIAS && v.sig === INTEGER && v.sign) unit.write(0, raw(1, EXTENDED_BIAS - 1, INTEGER));
    return;
  }
  unit.write(0, unit.round(powerMinusOne(v)));
}

function powerMinusOne(v: Raw): Real {
  if (log2Floor(v) < -TINY_BITS) {
    // x ln 2 (1 + x ln 2 / 2): the factor in fixed point, the rest exact.
    const z = multiplyFixed(toFixed(v), LN2);
    const factor = multiplyFixed(LN2, ONE + (v.sign ? -z : z) / 2n);
    return { sign: v.sign, magnitude: v.sig * factor, scale: scaleOf(v) - FRACTION_BITS, sticky: true };
  }
  const z = multiplyFixed(toFixed(v), LN2);
  return fixed(0, exponentialMinusOne(v.sign ? -z : z));
}

/** Binary operations that replace ST1 and pop; `compute` may raise flags and returns undefined to keep the operands. */
function binary(unit: Unit, compute: (x: Raw, y: Raw) => Result | undefined): void {
  const deliver = (v: Raw): void => {
    unit.write(1, v);
    unit.pop();
  };
  if (unit.empty(0) || unit.empty(1)) {
    if (unit.raise(FLAG.ie | FLAG.sf)) deliver(INDEFINITE);
    return;
  }
  const x = unit.read(0);
  const y = unit.read(1);
  const nan = nanResult(unit, x, y);
  if (nan) {
    if (nan.masked) deliver(nan.value);
    return;
  }
  const result = compute(x, y);
  if (result) deliver(unit.round(result));
}

const invalid = (unit: Unit): Raw | undefined => (unit.raise(FLAG.ie) ? INDEFINITE : undefined);

/** y times a logarithm given as a real number that is not zero. */
const scaled = (y: Raw, logarithm: Real): Real => ({
  sign: y.sign ^ logarithm.sign,
  magnitude: y.sig * logarithm.magnitude,
  scale: scaleOf(y) + logarithm.scale,
  sticky: logarithm.sticky,
});

/** log2 of a positive finite value other than 1. */
function logarithm2(v: Raw): Real {
  const top = log2Floor(v);
  const length = bitLength(v.sig);
  let exponent = top;
  // The significand as 1 + d in [1, 2), or halved into [1/sqrt 2, 1) so that nothing cancels.
  let m = (v.sig << BigInt(FRACTION_BITS)) >> BigInt(length - 1);
  if (m === ONE) return { sign: top < 0 ? 1 : 0, magnitude: BigInt(Math.abs(top)), scale: 0, sticky: false };
  if (m * m > 2n * ONE * ONE) {
    m >>= 1n;
    exponent++;
  }
  const fraction = divideFixed(logOnePlus(m - ONE), LN2);
  return fixed(0, (BigInt(exponent) << BigInt(FRACTION_BITS)) + fraction);
}

/** y log2 x. */
function fyl2x(unit: Unit): void {
  binary(unit, (x, y) => {
    const isOne = x.exp === EXTENDED_BIAS && x.sig === INTEGER && x.sign === 0;
    if (x.sign && !isZero(x)) return invalid(unit);
    if (isInfinite(x)) {
      if (isZero(y)) return invalid(unit);
      return denormal(y) && !unit.raise(FLAG.de) ? undefined : infinity(y.sign);
    }
    if (isZero(x)) {
      if (isZero(y)) return invalid(unit);
      if (isInfinite(y)) return infinity(y.sign ^ 1);
      return unit.raise(FLAG.ze) ? infinity(y.sign ^ 1) : undefined;
    }
    const below = x.exp < EXTENDED_BIAS ? 1 : 0;
    if (isInfinite(y) && isOne) return invalid(unit);
    if ((denormal(x) || denormal(y)) && !unit.raise(FLAG.de)) return undefined;
    if (isInfinite(y)) return infinity(y.sign ^ below);
    if (isZero(y) || isOne) return zero(y.sign ^ below);
    return scaled(y, logarithm2(x));
  });
}

/** y log2(x + 1). */
function fyl2xp1(unit: Unit): void {
  binary(unit, (x, y) => {
    if (isInfinite(x)) {
      if (x.sign || isZero(y)) return invalid(unit);
      return denormal(y) && !unit.raise(FLAG.de) ? undefined : infinity(y.sign);
    }
    const minusOne = x.sign && x.exp >= EXTENDED_BIAS;
    if (minusOne || (isZero(x) && isInfinite(y))) return invalid(unit);
    if ((denormal(x) || denormal(y)) && !unit.raise(FLAG.de)) return undefined;
    if (isInfinite(y)) return infinity(y.sign ^ x.sign);
    if (isZero(x) || isZero(y)) return zero(x.sign ^ y.sign);
    return scaled(y, logarithmOnePlus(x));
  });
}

function logarithmOnePlus(x: Raw): Real {
  const top = log2Floor(x);
  if (top < -TINY_BITS) {
    // x log2(e) (1 - x/2).
    const z = toFixed(x);
    const factor = multiplyFixed(divideFixed(ONE, LN2), ONE + (x.sign ? z : -z) / 2n);
    return { sign: x.sign, magnitude: x.sig * factor, scale: scaleOf(x) - FRACTION_BITS, sticky: true };
  }
  if (top >= -1) {
    // Far from 0: the logarithm of the exact sum.
    const unitScale = Math.min(scaleOf(x), 0);
    const one = 1n << BigInt(-unitScale);
    const magnitude = x.sig << BigInt(scaleOf(x) - unitScale);
    const sum = x.sign ? one - magnitude : one + magnitude;
    const length = bitLength(sum);
    const m = (sum << BigInt(FRACTION_BITS)) >> BigInt(length - 1);
    const exponent = BigInt(unitScale + length - 1);
    if (m === ONE) {
      return { sign: exponent < 0n ? 1 : 0, magnitude: exponent < 0n ? -exponent : exponent, scale: 0, sticky: false };
    }
    return fixed(0, (exponent << BigInt(FRACTION_BITS)) + divideFixed(logOnePlus(m - ONE), LN2));
  }
  const d = toFixed(x);
  return fixed(0, divideFixed(logOnePlus(x.sign ? -d : d), LN2));
}

/** The angle of the point (x, y): ST1 / ST0. */
function fpatan(unit: Unit): void {
  binary(unit, (x, y) => {
    const sign = y.sign;
    if (isInfinite(y)) {
      if (denormal(x) && !unit.raise(FLAG.de)) return undefined;
      if (!isInfinite(x)) return fixed(sign, PI / 2n);
      return fixed(sign, x.sign ? (3n * PI) / 4n : PI / 4n);
    }
    if ((denormal(x) || denormal(y)) && !unit.raise(FLAG.de)) return undefined;
    if (isZero(y) || isInfinite(x)) return x.sign ? fixed(sign, PI) : zero(sign);
    if (isZero(x)) return fixed(sign, PI / 2n);
    return arcTangentOf(sign, y, x);
  });
}

function arcTangentOf(sign: number, y: Raw, x: Raw): Real {
  const ratio = log2Floor(y) - log2Floor(x);
  const quotient = (a: Raw, b: Raw): bigint => {
    const shift = FRACTION_BITS + scaleOf(a) - scaleOf(b);
    return shift >= 0 ? (a.sig << BigInt(shift)) / b.sig : (a.sig >> BigInt(-shift)) / b.sig;
  };
  if (ratio < -TINY_BITS && x.sign === 0) {
    // y/x - (y/x)^3 / 3: just below the quotient, which may be exact.
    const wide = y.sig << 256n;
    const q = wide / x.sig;
    const exact = q * x.sig === wide;
    return { sign, magnitude: exact ? q - 1n : q, scale: scaleOf(y) - scaleOf(x) - 256, sticky: true };
  }
  const upper = quotient(y, x) > ONE;
  const angle = arcTangent(upper ? quotient(x, y) : quotient(y, x));
  const first = upper ? PI / 2n - angle : angle;
  return fixed(sign, x.sign ? PI - first : first);
}

/** Runs one of TRANSCENDENTAL on the x87 unit of `state`. */
export function x87Transcendental(state: CpuState, which: number): void {
  const unit = new Unit(state);
  switch (which) {
    case TRANSCENDENTAL.f2xm1:
      f2xm1(unit);
      break;
    case TRANSCENDENTAL.fyl2x:
      fyl2x(unit);
      break;
    case TRANSCENDENTAL.fpatan:
      fpatan(unit);
      break;
    case TRANSCENDENTAL.fyl2xp1:
      fyl2xp1(unit);
      break;
    default:
      trigonometric(unit, which);
  }
  unit.commit();
}
