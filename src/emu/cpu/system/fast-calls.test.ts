import { beforeEach, describe, expect, it } from 'vitest';
import { GPR, MODE, SEG, STATE } from '../state/layout.ts';
import { STATUS } from './calls.ts';
import { HIGH, LongBench } from './long-bench.suite.ts';

const R11 = 11;
const LSTAR = HIGH + 0x7300;

let cpu: LongBench;
beforeEach(() => {
  cpu = new LongBench();
  // As Linux has it: kernel 10h and 18h, user 23h (32-bit), 2Bh, 33h.
  cpu.wrmsr(0xc000_0081, 0x0023_0010 * 2 ** 32);
  cpu.wrmsr(0xc000_0082, LSTAR);
  cpu.wrmsr(0xc000_0084, 0x4_7700);
});
const outcome = (status: number): unknown => (status === STATUS.fault ? cpu.takeFault() : 'ok');
const where = (): number[] => [
  cpu.cpl,
  cpu.selector(SEG.cs),
  cpu.selector(SEG.ss),
  cpu.state.get(STATE.mode) & MODE.long,
];

describe('SYSCALL and SYSRET', () => {
  it('go in and out of 64-bit code', () => {
    cpu.enterUser64(0x7fff_1234_5678, 0xb000, 0x4_0ad7);
    expect(outcome(cpu.call('syscall'))).toBe('ok');
    expect(where()).toEqual([0, 0x10, 0x18, MODE.long]);
    expect([cpu.rip, cpu.rsp]).toEqual([LSTAR, 0xb000]);
    expect([cpu.register(GPR.ecx), cpu.register(R11)]).toEqual([0x7fff_1234_567a, 0x4_0ad7]);
    expect(cpu.state.eflags).toBe(0x8d7);
    // SYSRET restores all flags but RF and VM.
    cpu.setRegister(R11, 0x3_0ad7);
    expect(outcome(cpu.call('sysret', 64))).toBe('ok');
    expect(where()).toEqual([3, 0x33, 0x2b, MODE.long]);
    expect([cpu.rip, cpu.state.eflags]).toEqual([0x7fff_1234_567a, 0xad7]);
  });

  it('return to compatibility mode with 32 bits', () => {
    cpu.setRegister(GPR.ecx, 0x5_1234_5678);
    cpu.setRegister(R11, 0x202);
    expect(outcome(cpu.call('sysret', 32))).toBe('ok');
    expect(where()).toEqual([3, 0x23, 0x2b, 0]);
    expect([cpu.eip, cpu.state.get(STATE.mode) & MODE.code32]).toEqual([0x1234_5678, MODE.code32]);
  });

  it('are refused where they do not exist', () => {
    cpu.setRegister(GPR.ecx, 2 ** 47);
    expect(outcome(cpu.call('sysret', 64))).toEqual([13, 0]);
    expect(cpu.cpl).toBe(0);
    cpu.enterUser64();
    expect(outcome(cpu.call('sysret', 64))).toEqual([13, 0]);
    cpu.state.set(STATE.efer, cpu.state.get(STATE.efer) & ~1);
    expect(outcome(cpu.call('syscall'))).toBe(6);
    expect(outcome(cpu.call('sysret', 64))).toBe(6);
    cpu = new LongBench();
    cpu.enterCompatibility();
    expect(outcome(cpu.call('syscall'))).toBe(6);
  });
});

describe('SYSENTER and SYSEXIT', () => {
  beforeEach(() => {
    cpu.wrmsr(0x174, 0x10);
    cpu.wrmsr(0x175, HIGH + 0x9000);
    cpu.wrmsr(0x176, HIGH + 0x7400);
  });

  it('enter 64-bit code from compatibility mode', () => {
    cpu.enterCompatibility();
    expect(outcome(cpu.call('sysenter'))).toBe('ok');
    expect(where()).toEqual([0, 0x10, 0x18, MODE.long]);
    expect([cpu.rip, cpu.rsp, cpu.state.eflags & 0x200]).toEqual([HIGH + 0x7400, HIGH + 0x9000, 0]);
  });

  it('leave to either', () => {
    cpu.setRegister(GPR.ecx, 0x7fff_0000_b000);
    cpu.setRegister(GPR.edx, 0x7fff_0000_6000);
    expect(outcome(cpu.call('sysexit', 64))).toBe('ok');
    expect(where()).toEqual([3, 0x33, 0x3b, MODE.long]);
    expect([cpu.rip, cpu.rsp]).toEqual([0x7fff_0000_6000, 0x7fff_0000_b000]);
    cpu.call('sysenter');
    expect(outcome(cpu.call('sysexit', 32))).toBe('ok');
    expect(where()).toEqual([3, 0x23, 0x2b, 0]);
    expect([cpu.eip, cpu.esp]).toEqual([0x6000, 0xb000]);
  });

  it('check addresses', () => {
    cpu.setRegister(GPR.ecx, 0xb000);
    cpu.setRegister(GPR.edx, 2 ** 47);
    expect(outcome(cpu.call('sysexit', 64))).toEqual([13, 0]);
  });
});
