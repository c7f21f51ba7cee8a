/** A CPUID bit that a machine's owner hides takes its instructions along. test/cpu/announced-features.test.ts has the rest. */
import { describe, expect, it } from 'vitest';
import { CpuFeatures, DEFAULT_CPU, REGISTER } from '../system/cpu-features.ts';
import { cpuid } from '../system/cpuid.ts';
import { SAMPLES } from './feature-samples.suite.ts';
import { IntegerBench } from './integer-bench.suite.ts';

describe('CPUID', () => {
  const bench = new IntegerBench({ random: (into) => into.fill(0x5a) });
  for (const [place, samples] of Object.entries(SAMPLES)) {
    for (const [bit, sample] of Object.entries(samples)) {
      if (typeof sample === 'string') continue;
      it(`${place} bit ${bit} hidden takes its instructions along`, () => {
        const [where, register] = place.split('.');
        const [leaf, subleaf = 0] = where.split('/').map((text) => Number.parseInt(text, 16));
        const words = cpuid(new CpuFeatures(), leaf, subleaf, false);
        words[REGISTER[register as 'eax']] &= ~(1 << Number(bit));
        const [eax, ebx, ecx, edx] = words;
        const features = new CpuFeatures({ ...DEFAULT_CPU, cpuidSet: [{ leaf, subleaf, eax, ebx, ecx, edx }] });
        const without = new IntegerBench({ features, random: (into) => into.fill(0x5a) });
        const outcome = without.run(sample[0]);
        // Where an operating system has to switch it on, that is what faults.
        const expected = /0F22E0/.test(sample[0]) ? [6, 13] : [6];
        if (sample[0].startsWith('B801000000 F30FBD')) expect(outcome.eax, 'LZCNT is BSR').toBe(0);
        else expect(expected).toContain(outcome.fault);
      });
    }
  }

  it('announces random numbers only with a source of them', () => {
    const deaf = new IntegerBench();
    const asks = 'B801000000 0FA2 89C8 25000000C0';
    expect(deaf.run(asks).eax).toBe(0);
    expect(deaf.run('0FC7F0').fault).toBe(6);
    expect(bench.run(asks).eax).toBe(0x4000_0000);
    expect(bench.run('0FC7F0')).toMatchObject({ eax: 0x5a5a_5a5a, flags: 1 });
    expect(bench.run('B8FFFFFFFF 660FC7F8').eax).toBe(0xffff_5a5a);
  });
});
