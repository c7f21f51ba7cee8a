/**
 * Every CPUID bit that announces instructions has one here that runs, and none that is announced is missing here.
 * What the instructions compute is compared with the host's processor in test/cpu.
 */
import { describe, expect, it } from 'vitest';
import { CpuFeatures, DEFAULT_CPU, REGISTER } from '../system/cpu-features.ts';
import { cpuid } from '../system/cpuid.ts';
import { IntegerBench } from './integer-bench.suite.ts';

/** CR4.OSFXSR and OSXMMEXCPT. */
const SSE_ON = '0F20E0 0D00060000 0F22E0';

/** CR4.OSXSAVE too, and XCR0 = 7. */
const AVX_ON = '0F20E0 0D00060400 0F22E0 31C9 31D2 B807000000 0F01D1';

/** By word of CPUID and bit: code with a result in EAX, or what tests the bit instead. */
type Sample = readonly [code: string, eax: number] | string;
const SAMPLES: Readonly<Record<string, Readonly<Record<number, Sample>>>> = {
  '1.ecx': {
    0: [`${SSE_ON} 0F57C0 F20F7CC0 660F7EC0`, 0],
    1: [`${SSE_ON} B803000000 660F6EC0 660F3A44C000 660F7EC0`, 5],
    9: [`${SSE_ON} B8FFFFFFFF 660F6EC0 660F381EC0 660F7EC0`, 1],
    12: [`${AVX_ON} B800004040 C5F96EC0 C4E279A9C0 C5F97EC0`, 0x4140_0000],
    13: 'cpu/long-mode.test.ts: CMPXCHG16B',
    17: 'system/long-mode.test.ts: process-context identifiers',
    19: [`${SSE_ON} B880000000 660F6EC0 660F3821C0 660F7EC0`, 0xffff_ff80],
    20: ['B800000000 B901000000 F20F38F1C1', 0xdd45_aab8],
    22: ['BB00800000 C70344332211 0F38F003', 0x4433_2211],
    23: ['B9F0F00000 F30FB8C1', 8],
    25: [`${SSE_ON} 0F57C0 660F38DDC0 660F7EC0`, 0x6363_6363],
    26: [`${AVX_ON} 31C9 0F01D0`, 7],
    28: [`${AVX_ON} B800004040 C5F96EC0 C5FC58C0 C5F97EC0`, 0x40c0_0000],
    29: [`${AVX_ON} B8003C0000 C5F96EC0 C4E27913C0 C5F97EC0`, 0x3f80_0000],
    30: ['0FC7F0 0F92C0 25FF000000', 1],
  },
  '1.edx': {
    0: ['D9E8 83EC04 DB1C24 58', 1],
    2: 'system/control.test.ts: debug extensions',
    3: 'mmu/mmu.test.ts: large pages',
    4: ['0F31 B807000000', 7],
    5: 'system/control.test.ts: model-specific registers',
    6: 'mmu/mmu.test.ts: PAE',
    7: 'system/control.test.ts: memory type ranges and machine checks',
    8: ['31C0 31D2 BF00800000 C70700000000 C7470400000000 BB09000000 31C9 0FC70F 8B07', 9],
    11: 'system/control.test.ts: SYSENTER',
    12: 'system/control.test.ts: memory type ranges and machine checks',
    13: 'mmu/mmu.test.ts: global pages',
    14: 'system/control.test.ts: memory type ranges and machine checks',
    15: ['31C0 B905000000 0F44C1', 5],
    16: 'system/control.test.ts: PAT',
    19: ['BB00800000 C70301000000 0FAE3B 8B03', 1],
    23: ['B806000000 0F6EC0 0FFEC0 0F7EC0', 12],
    24: [`${SSE_ON} BB00900000 0FAE03 0FAE0B 8B4318`, 0x1f80],
    25: [`${SSE_ON} B806000000 F30F2AC0 F30F2DC0`, 6],
    26: [`${SSE_ON} B806000000 F20F2AC0 F20F2DC0`, 6],
  },
  '7.ebx': {
    0: 'cpu/long-mode.test.ts: WRGSBASE',
    1: 'system/control.test.ts: IA32_TSC_ADJUST',
    3: ['B90F000000 BAFF000000 C4E270F2C2', 0xf0],
    5: [`${AVX_ON} B807000000 C5F96EC0 C4E27D58C0 C4E37D39C001 C5F97EC0`, 7],
    7: 'mmu/long-paging.test.ts: SMEP',
    8: ['B912000000 C4E37BF0C104', 0x2000_0001],
    10: ['BB00800000 31C0 8903 894304 894308 89430C B802000000 660F388203', 2],
    18: ['0FC7F8 0F92C0 25FF000000', 1],
    19: ['F9 B801000000 660F38F6C0', 3],
    20: ['0F01CB 9C 58 0F01CA 2500000400', 0x4_0000],
    23: ['BB00800000 C70301000000 660FAE3B 8B03', 1],
    24: ['BB00800000 C70301000000 660FAE33 8B03', 1],
    29: [`${SSE_ON} B801000000 660F6EC0 0F57C9 0F38CAC1 660F7EC0`, 2],
  },
  '7.ecx': { 2: 'cpu/long-mode.test.ts: UMIP' },
  'd/1.eax': { 0: [`${AVX_ON} BB00900000 B807000000 31D2 0FAE33 8B8300020000`, 7] },
  '80000001.ecx': { 0: 'cpu/long-mode.test.ts: LAHF', 5: ['B801000000 F30FBDC0', 31] },
  '80000001.edx': {
    11: 'cpu/long-mode.test.ts: SYSCALL',
    20: 'mmu/mmu.test.ts: no-execute',
    26: 'mmu/long-paging.test.ts: 1 GB pages',
    27: ['B9FFFFFFFF 0F01F9 89C8', 0],
    29: 'cpu/long-mode.test.ts',
  },
};

const REGISTERS = ['eax', 'ebx', 'ecx', 'edx'] as const;
const announced = (place: string): number[] => {
  const [where, register] = place.split('.');
  const [leaf, subleaf = '0'] = where.split('/');
  const word = cpuid(new CpuFeatures(), Number.parseInt(leaf, 16), Number(subleaf), false)[
    REGISTERS.indexOf(register as 'eax')
  ];
  return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (word >>> bit) & 1);
};

describe('CPUID', () => {
  const bench = new IntegerBench({ random: (into) => into.fill(0x5a) });
  for (const [place, samples] of Object.entries(SAMPLES)) {
    it(`${place}: every bit has its sample`, () => {
      expect(Object.keys(samples).map(Number)).toEqual(announced(place));
    });
    for (const [bit, sample] of Object.entries(samples)) {
      if (typeof sample === 'string') continue;
      it(`${place} bit ${bit} works`, () => {
        const { eax, fault } = bench.run(sample[0]);
        expect({ eax, fault }).toEqual({ eax: sample[1], fault: undefined });
      });
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
