import { describe, expect, it } from 'vitest';
import { STATUS } from './calls.ts';
import { CpuBench } from './cpu-bench.suite.ts';
import { CpuFeatures, DEFAULT_CPU } from './cpu-features.ts';

const cpuid = (cpu: CpuBench, leaf: number, subleaf = 0): number[] => {
  cpu.state.setGpr(0, leaf | 0);
  cpu.state.setGpr(1, subleaf);
  cpu.call('cpuid');
  return [0, 3, 1, 2].map((register) => cpu.state.gpr(register) >>> 0);
};

describe('the features of a machine', () => {
  it('lose PAE and execute-disable without --pae', () => {
    const cpu = new CpuBench({ pae: false });
    expect(cpuid(cpu, 1)[3] & 0x40).toBe(0);
    // RDTSCP is all that is left.
    expect(cpuid(cpu, 0x8000_0001)[3]).toBe(0x800_0000);
    expect(cpuid(cpu, 0x8000_0008)[0]).toBe(0x2028);
    expect(cpu.call('movToCr', 4, 0x20)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([13, 0]);
    cpu.state.setGpr(1, 0xc000_0080);
    cpu.state.setGpr(0, 0x800);
    cpu.state.setGpr(2, 0);
    expect(cpu.call('wrmsr')).toBe(STATUS.fault);
    expect(new CpuBench().call('movToCr', 4, 0x20)).toBe(STATUS.jumped);
  });

  it('are what --cpuid-set says, and hidden ones do not work', () => {
    const cpu = new CpuBench({
      cpuidSet: [
        { leaf: 1, eax: 0x123, ebx: 4, ecx: -1, edx: 0xff },
        { leaf: 4, subleaf: 2, eax: 9, ebx: 8, ecx: 7, edx: 6 },
        { leaf: 0x4000_0000, eax: 1, ebx: 2, ecx: 3, edx: 4 },
      ],
    });
    expect(cpuid(cpu, 1)).toEqual([0x123, 4, 0xffff_ffff, 0xff]);
    expect(cpuid(cpu, 4, 2)).toEqual([9, 8, 7, 6]);
    expect(cpuid(cpu, 4, 1)[0]).toBe(0x122);
    expect(cpuid(cpu, 0x4000_0000)).toEqual([1, 2, 3, 4]);
    // PGE, CPUID bit 13, was cleared.
    expect(cpu.call('movToCr', 4, 0x80)).toBe(STATUS.fault);
    expect(cpu.call('movToCr', 4, 0x30)).toBe(STATUS.jumped);
  });

  it('follow a profile', () => {
    const features = new CpuFeatures({ ...DEFAULT_CPU, profile: 'Intel Pentium M processor 2.00GHz' });
    expect([features.has('sse2'), features.has('sse3'), features.has('nx'), features.has('pae')]).toEqual([
      ...[true, false, false, false],
    ]);
    // Intel Pentium M, 90 nm: family 6, model Dh.
    expect(features.signature).toBe(0x6d6);
  });
});
