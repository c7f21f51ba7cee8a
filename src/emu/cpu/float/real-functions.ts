/**
 * Elementary functions on fixed-point BigInt values of FRACTION_BITS fractional bits, for results of 64 significant bits.
 *
 * Errors are below 2^-220 absolute; arguments down to 2^-TINY_BITS therefore give more than 140 good bits.
 * Why BigInt: these instructions are rare, and exact rounding matters more than their speed.
 */
export const FRACTION_BITS = 240;
/** Arguments below 2^-TINY_BITS are left to short expansions by the callers. */
export const TINY_BITS = 72;
const BITS = BigInt(FRACTION_BITS);
export const ONE: bigint = 1n << BITS;

const times = (a: bigint, b: bigint): bigint => (a * b) >> BITS;
const over = (a: bigint, b: bigint): bigint => (a << BITS) / b;

/** floor(sqrt(n)). */
export function integerSquareRoot(n: bigint): bigint {
  if (n < 2n) return n;
  let x = 1n << BigInt((n.toString(16).length * 4 + 1) >> 1);
  for (;;) {
    const y = (x + n / x) >> 1n;
    if (y >= x) return x;
    x = y;
  }
}

/** Sum of t^(2k+1) / (2k+1), signs alternating when `alternate`: atanh or atan of a small t. */
function oddSeries(t: bigint, alternate: boolean): bigint {
  const square = times(t, t);
  let power = t;
  let sum = 0n;
  for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
    const term = power / n;
    sum += alternate && (n & 2n) !== 0n ? -term : term;
    power = times(power, square);
  }
  return sum;
}

/** Machin: pi = 16 atan(1/5) - 4 atan(1/239). */
export const PI: bigint = 16n * oddSeries(ONE / 5n, true) - 4n * oddSeries(ONE / 239n, true);
/** ln 2 = 2 atanh(1/3). */
export const LN2: bigint = 2n * oddSeries(ONE / 3n, false);

/** Sine and cosine, |r| <= 1. */
export function sineCosine(r: bigint): { sine: bigint; cosine: bigint } {
  const square = times(r, r);
  const series = (first: bigint, start: bigint): bigint => {
    let term = first;
    let sum = 0n;
    for (let n = start; term !== 0n && term !== -1n; n += 2n) {
      sum += term;
      term = -times(term, square) / ((n + 1n) * (n + 2n));
    }
    return sum;
  };
  return { sine: series(r, 1n), cosine: series(ONE, 0n) };
}

/** Arc tangent, 0 <= t <= 1. */
export function arcTangent(t: bigint): bigint {
  let x = t;
  // atan t = 2 atan(t / (1 + sqrt(1 + t^2))); four halvings bring t below 1/20.
  const HALVINGS = 4;
  for (let i = 0; i < HALVINGS; i++) x = over(x, ONE + integerSquareRoot((ONE + times(x, x)) << BITS));
  return oddSeries(x, true) << BigInt(HALVINGS);
}

/** Natural logarithm of 1 + d, -1/2 < d <= 1. */
export const logOnePlus = (d: bigint): bigint => 2n * oddSeries(over(d, 2n * ONE + d), false);

/** e^z - 1, |z| < 1. */
export function exponentialMinusOne(z: bigint): bigint {
  let term = z;
  let sum = 0n;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    sum += term;
    term = times(term, z) / n;
  }
  return sum;
}

export const divideFixed = over;
export const multiplyFixed = times;
