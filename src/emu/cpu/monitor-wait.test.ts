/** MONITOR and MWAIT: SDM Vol. 2, their pages; Vol. 3A, 9.10; Vol. 4, IA32_MISC_ENABLE. */
import { describe, expect, it } from 'vitest';
import { IntegerBench } from './isa/integer-bench.suite.ts';
import { CpuFeatures, DEFAULT_CPU } from './system/cpu-features.ts';

const [UD, GP] = [6, 13] as const;
/** IA32_MISC_ENABLE bit 18. */
const ENABLE = 'B9A0010000 0F32 0D00000400 0F30';
const ARM = '31C9 31D2 B800800000 0F01C8';
/** MWAIT with ECX, then INC EBX. */
const wait = (ecx: number): string => `31C0 B90${ecx}000000 0F01C9 43`;
const CPUID1 = 'B801000000 0FA2 89C8 2508000000';

describe('MONITOR and MWAIT', () => {
  // Each run begins with a reset.
  const bench = new IntegerBench();

  it('are there once IA32_MISC_ENABLE says so', () => {
    expect(bench.run(ARM).fault).toBe(UD);
    expect(bench.run(wait(0)).fault).toBe(UD);
    expect(bench.run(CPUID1).eax).toBe(0);
    expect(bench.run('B805000000 0FA2')).toMatchObject({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
    expect(bench.run(`${ENABLE} ${CPUID1}`).eax).toBe(8);
    expect(bench.run(`${ENABLE} B805000000 0FA2`)).toMatchObject({ eax: 64, ebx: 64, ecx: 3, edx: 0x10 });
    expect(bench.run(`${ENABLE} ${ARM}`).fault).toBeUndefined();
  });

  it('do not exist for a processor without them, whatever the register is told', () => {
    const profile = 'Intel Pentium M processor 2.00GHz';
    const old = new IntegerBench({ features: new CpuFeatures({ ...DEFAULT_CPU, profile }) });
    expect(old.run(`${ENABLE} ${CPUID1}`)).toMatchObject({ eax: 0, fault: undefined });
    expect(old.run(ARM).fault).toBe(UD);
  });

  it('take no extension but the one that leaf 5 lists', () => {
    expect(bench.run(`${ENABLE} B901000000 0F01C8`).fault).toBe(GP);
    expect(bench.run(`${ENABLE} ${wait(2)}`).fault).toBe(GP);
  });

  it('sleep until something happens', () => {
    const { cpu } = bench;
    bench.run(`${ENABLE} ${ARM} ${wait(0)}`);
    expect([cpu.halted, cpu.state.gpr(3)]).toEqual([true, 0]);
    expect(cpu.run(1000)).toBe('halt');
    expect(cpu.state.gpr(3)).toBe(1);
    // That was HLT: it sleeps on.
    expect(cpu.run(1000)).toBe('halt');
    expect(cpu.state.gpr(3)).toBe(1);
  });

  it('do not sleep while an interrupt waits that may break it, masked as it is', () => {
    const { cpu } = bench;
    cpu.setInterruptRequest(true);
    bench.run(`${ENABLE} ${ARM} ${wait(1)}`);
    expect(cpu.state.gpr(3)).toBe(1);
    bench.run(`${ENABLE} ${ARM} ${wait(0)}`);
    expect(cpu.state.gpr(3)).toBe(0);
  });
});
