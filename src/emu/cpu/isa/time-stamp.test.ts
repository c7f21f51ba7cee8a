import { describe, expect, it } from 'vitest';
import { IntegerBench } from './integer-bench.suite.ts';

const COUNT = 300;
const AT = 0x2_0000;
/** again: RDTSC; the counter to [EDI]; ESI instructions of nothing; ECX times. */
const READ_OFTEN = '0f31 8907 895704 83c708 89f3 4b 75fd 49 75ee';

/** @param step what the clock advances by at each reading. @returns what the program was told, and how often the clock was read */
function readings(tscHolds: number, step: number, pause: number): { told: bigint[]; read: number } {
  let [now, read] = [0xffff_ff00, 0];
  const tsc = (): number => {
    read++;
    now += step;
    return now;
  };
  const bench = new IntegerBench({ tier: '1', tsc, tscHolds });
  bench.run(READ_OFTEN, { ecx: COUNT, edi: AT, esi: pause });
  const half = (n: number, high: number): bigint => BigInt(bench.get32(AT + n * 8 + high));
  return { told: Array.from({ length: COUNT }, (_, n) => half(n, 0) | (half(n, 4) << 32n)), read };
}

const steps = (told: readonly bigint[]): number[] => told.slice(1).map((value, n) => Number(value - told[n]));

describe('the time-stamp counter in compiled code', () => {
  it('is the clock at each reading where readings do not hold', () => {
    const { told, read } = readings(0, 1000, 1);
    expect(read).toBe(COUNT);
    expect(steps(told).every((step) => step === 1000)).toBe(true);
  });

  it('advances by the instructions between readings of the clock', () => {
    const { told, read } = readings(2000, 5000, 10);
    // 27 instructions a turn.
    expect(read).toBeGreaterThanOrEqual(4);
    expect(read).toBeLessThan(10);
    expect(steps(told).filter((step) => step === 27).length).toBeGreaterThan(COUNT - 12);
    expect(steps(told).every((step) => step >= 0)).toBe(true);
    expect(told[COUNT - 1] - told[0]).toBeGreaterThan(BigInt(3 * 5000));
  });

  it('never goes back when the clock is slower than the program', () => {
    const { told, read } = readings(500, 3, 10);
    expect(read).toBeLessThan(COUNT / 10);
    expect(steps(told).every((step) => step >= 0)).toBe(true);
    // Ahead of the clock by no more than one reading holds.
    expect(told[COUNT - 1]).toBeLessThanOrEqual(BigInt(0xffff_ff00 + read * 3 + 500));
  });

  it('is read anew after a pause that is longer than a reading holds', () => {
    const { told, read } = readings(500, 7000, 300);
    expect(read).toBe(COUNT);
    expect(steps(told).every((step) => step === 7000)).toBe(true);
  });
});
