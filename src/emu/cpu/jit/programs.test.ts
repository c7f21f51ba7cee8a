/**
 * Random programs in tier 0, in tier 1 from the first execution and after a few: the whole machine must end the same.
 * Environment: TABBOX_PROGRAMS (how many), TABBOX_PROGRAM_SEED.
 */
import { describe, expect, it } from 'vitest';
import { environment } from '../tier.suite.ts';
import { differences, ProgramRunner } from './program-runner.suite.ts';

const count = Number(environment['TABBOX_PROGRAMS'] ?? 20);
const first = Number(environment['TABBOX_PROGRAM_SEED'] ?? Math.floor(Math.random() * 2 ** 24));

describe('random programs', () => {
  const kinds = [false, true].flatMap((long) => [false, true].map((interrupts) => ({ long, interrupts })));
  for (const { long, interrupts } of kinds) {
    const name = `of ${long ? 64 : 32} bits, ${interrupts ? 'with interrupts and short slices' : 'undisturbed'}`;
    it(`end the same in both tiers, ${name}: ${count} from seed ${first}`, { timeout: 3_600_000 }, () => {
      const [tier0, tier1, eager] = (['0', '1', 'eager'] as const).map((t) => new ProgramRunner(t, undefined, long));
      let halted = 0;
      for (let seed = first; seed < first + count; seed++) {
        const expected = tier0.run(seed, interrupts);
        const got = tier1.run(seed, interrupts);
        const later = eager.run(seed, interrupts);
        if (expected.exit === 'halt') halted++;
        for (const [tier, end] of Object.entries({ tier1: got, eager: later })) {
          // A program that has written over its tables goes by where the interrupt came: between other instructions.
          if (interrupts && !(expected.tablesIntact && end.tablesIntact)) continue;
          expect(differences(expected, end), `seed ${seed}, ${tier}`).toBe('');
        }
      }
      expect(halted).toBeGreaterThan(count * 0.8);
      expect(tier1.cpu.tier1.counts.regions).toBeGreaterThanOrEqual(count);
      expect(eager.cpu.tier1.counts.regions).toBeGreaterThan(count / 2);
    });
  }

  it('end the same where an unmasked precision exception waits for the next x87 instruction', {
    timeout: 120_000,
  }, () => {
    // FADD and FSTP in one block after FLDCW of 35Fh, in a program that was found by chance.
    const seed = 5572542;
    const [tier0, tier1] = (['0', '1'] as const).map((t) => new ProgramRunner(t, undefined, true));
    expect(differences(tier0.run(seed, false), tier1.run(seed, false))).toBe('');
    expect(tier1.cpu.tier1.counts.regions).toBeGreaterThan(0);
  });

  it(`end the same while regions are evicted a hundred times, from seed ${first}`, { timeout: 600_000 }, () => {
    const tier0 = new ProgramRunner('0');
    const small = new ProgramRunner('1');
    const { tier1 } = small.cpu;
    tier1.mostInstructions = 40;
    for (let seed = first; tier1.counts.evicted < 100; seed++) {
      expect(seed - first, 'programs until a hundred evictions').toBeLessThan(200);
      expect(differences(tier0.run(seed, false), small.run(seed, false)), `seed ${seed}`).toBe('');
      expect(tier1.instructionsKept).toBeLessThan(1000);
    }
  });
});
