/**
 * Whatever CPUID announces, in any profile, something exercises; and what it does not announce does not execute. The
 * enumeration asks the CPUID instruction itself, leaf by leaf, so that a bit set anywhere needs its sample.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import { APIC_SAMPLES, SAMPLES, type Sample } from '#emu/cpu/isa/feature-samples.suite.ts';
import { IntegerBench } from '#emu/cpu/isa/integer-bench.suite.ts';
import { CPU_PROFILES, CpuFeatures, type CpuProfile, DEFAULT_CPU } from '#emu/cpu/system/cpu-features.ts';

const REGISTERS = ['eax', 'ebx', 'ecx', 'edx'] as const;
const SUBLEAVES = [0, 1, 2];
/** Words that announce features, by leaf/subleaf.register (SDM Vol. 2A, CPUID; APM Vol. 3, appendix E). */
const FEATURE_WORDS = [
  ...[
    '1.ecx',
    '1.edx',
    '5.ecx',
    '6.eax',
    '6.ecx',
    '7.ebx',
    '7.ecx',
    '7.edx',
    '7/1.eax',
    '7/1.ebx',
    '7/1.ecx',
    '7/1.edx',
  ],
  ...['7/2.edx', 'd.eax', 'd/1.eax', '80000001.ecx', '80000001.edx', '80000007.edx', '80000008.ebx'],
];
/** Leaves that describe: vendor and name, caches, MONITOR's lines, extended state, frequencies, address widths. */
const DESCRIBING = [0, 2, 4, 5, 0xd, 0x15, 0x8000_0000, 0x8000_0002, 0x8000_0003, 0x8000_0004, 0x8000_0006];
/** Leaf 1, ECX: set by software, not announced. */
const OSXSAVE = 27;

/** A local APIC, as CPUID sees one. */
const localApic: LocalApicPort = {
  initialId: 0,
  enabled: true,
  offersX2: true,
  taskPriorityClass: 0,
  ownsMsr: () => false,
  readMsr: () => false,
  writeMsr: () => false,
  setTscOffset: () => {},
};

const random = (into: Uint8Array): Uint8Array => into.fill(0x5a);
const hex = (n: number): string =>
  [0, 8, 16, 24].map((shift) => ((n >>> shift) & 255).toString(16).padStart(2, '0')).join('');

function benchOf(profile: CpuProfile, apic: boolean): IntegerBench {
  const features = new CpuFeatures({ ...DEFAULT_CPU, profile });
  return new IntegerBench({ features, random, ...(apic ? { localApic } : {}) });
}
/** Sets IA32_MISC_ENABLE.MONITOR, which is software's to do; MOV EAX; MOV ECX; CPUID. */
function cpuid(bench: IntegerBench, leaf: number, subleaf: number): readonly number[] {
  const out = bench.run(`B9A0010000 0F32 0D00000400 0F30 B8${hex(leaf)} B9${hex(subleaf)} 0FA2`);
  return REGISTERS.map((register) => out[register]);
}

/** Announced bits as leaf/subleaf.register:bit; and leaves that nobody has accounted for. */
function announced(bench: IntegerBench): { readonly bits: readonly string[]; readonly unknown: readonly string[] } {
  const bits: string[] = [];
  const unknown: string[] = [];
  const highest = [cpuid(bench, 0, 0)[0], cpuid(bench, 0x8000_0000, 0)[0]];
  const leaves = [0, 0x8000_0000].flatMap((first, n) =>
    Array.from({ length: highest[n] - first + 1 }, (_, i) => first + i),
  );
  for (const leaf of leaves) {
    for (const subleaf of SUBLEAVES) {
      // Other leaves have no subleaves: the same answer again.
      if (subleaf > 0 && ![4, 7, 0xd].includes(leaf)) continue;
      cpuid(bench, leaf, subleaf).forEach((word, n) => {
        const place = `${leaf.toString(16)}${subleaf > 0 ? `/${subleaf}` : ''}.${REGISTERS[n]}`;
        if (FEATURE_WORDS.includes(place)) {
          for (let bit = 0; bit < 32; bit++) if ((word >>> bit) & 1) bits.push(`${place}:${bit}`);
          return;
        }
        const describes = DESCRIBING.includes(leaf) || /^(1\.e[ab]x|80000008\.eax)$/.test(place);
        if (word !== 0 && !describes) unknown.push(`${place} = ${word.toString(16)}`);
      });
    }
  }
  return { bits, unknown };
}

const sampleOf = (place: string, bit: number): Sample | undefined =>
  SAMPLES[place]?.[bit] ?? APIC_SAMPLES[place]?.[bit];
const ALL = [SAMPLES, APIC_SAMPLES].flatMap((table) =>
  Object.entries(table).flatMap(([place, samples]) =>
    Object.entries(samples).map(([bit, sample]) => ({ at: `${place}:${bit}`, sample })),
  ),
);

describe.each(CPU_PROFILES)('%s', (profile) => {
  it.each([false, true])('announces what is exercised, and nothing else, local APIC: %s', (apic) => {
    const { bits, unknown } = announced(benchOf(profile, apic));
    expect(unknown).toEqual([]);
    const missing = bits.filter((at) => {
      const [place, bit] = at.split(':');
      return sampleOf(place, Number(bit)) === undefined;
    });
    expect(missing).toEqual([]);
    expect(bits).not.toContain(`1.ecx:${OSXSAVE}`);
    expect(bits.length).toBeGreaterThan(15);
  });

  it('executes what it announces, and #UDs the rest', () => {
    const bench = benchOf(profile, false);
    const { bits } = announced(bench);
    for (const { at, sample } of ALL) {
      if (typeof sample === 'string') continue;
      const [code, eax] = sample;
      const outcome = bench.run(code);
      if (bits.includes(at))
        expect({ at, eax: outcome.eax, fault: outcome.fault }).toEqual({ at, eax, fault: undefined });
      // Where an operating system has to switch it on, that is what faults; LZCNT is BSR.
      else if (at === '80000001.ecx:5') expect({ at, eax: outcome.eax }).toEqual({ at, eax: 0 });
      else
        expect({ at, fault: outcome.fault === 6 || (/0F22E0/.test(code) && outcome.fault === 13) }).toEqual({
          at,
          fault: true,
        });
    }
  });
});

it('XCR0 takes what leaf 0Dh lists, and nothing else', () => {
  const bench = benchOf('host', false);
  const [listed] = cpuid(bench, 0xd, 0);
  const others = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => bit > 31 || !((listed >>> bit) & 1));
  expect(others.length).toBe(61);
  for (const bit of others) {
    const [eax, edx] = bit > 31 ? [1, 1 << (bit - 32)] : [1 | (1 << bit), 0];
    const { fault } = bench.run(`0F20E0 0D00000400 0F22E0 31C9 BA${hex(edx)} B8${hex(eax)} 0F01D1`);
    expect({ bit, fault }).toEqual({ bit, fault: 13 });
  }
});

it('a profile announces all that the newest does, or less', () => {
  const newest = announced(benchOf('host', true)).bits;
  const old = announced(benchOf('Intel Pentium M processor 2.00GHz', true)).bits;
  expect(old.filter((at) => !newest.includes(at))).toEqual([]);
  // Of leaf 1, EDX, and nothing else: SSE2 is its newest, and there are no leaves 3 and up.
  expect(old.filter((at) => !at.startsWith('1.edx:'))).toEqual([]);
});

it('tests that samples name are there', () => {
  for (const { at, sample } of ALL) {
    if (typeof sample !== 'string') continue;
    const [file, ...rest] = sample.split(': ');
    const text = readFileSync(fileURLToPath(new URL(`../../src/emu/${file}`, import.meta.url)), 'utf8');
    const titles = Array.from(
      text.matchAll(/^\s*(?:it|describe)(?:\.\w+(?:\([^)]*\))?)?\(\s*'([^']+)'/gm),
      ([, title]) => title,
    );
    expect({ at, file, titles }).toMatchObject({ titles: expect.arrayContaining([rest.join(': ')]) as string[] });
  }
});
