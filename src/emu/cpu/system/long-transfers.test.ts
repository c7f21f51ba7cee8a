import { beforeEach, describe, expect, it } from 'vitest';
import { GPR, MODE, SEG, STATE } from '../state/layout.ts';
import { STATUS } from './calls.ts';
import { GDT, SEL, TSS_AT } from './cpu-bench.suite.ts';
import { HIGH, LongBench, RSP0, SEL64 } from './long-bench.suite.ts';

let cpu: LongBench;
beforeEach(() => {
  cpu = new LongBench();
});
const outcome = (status: number): unknown => (status === STATUS.fault ? cpu.takeFault() : 'ok');
const farCall = (selector: number, offset: number, bits: number): unknown =>
  outcome(bits === 64 ? cpu.call64('farCall', selector, offset, 64) : cpu.call('farCall', selector, offset, bits));
const farJump = (selector: number, offset: number, bits: number): unknown =>
  outcome(bits === 64 ? cpu.call64('farJump', selector, offset, 64) : cpu.call('farJump', selector, offset, bits));
const isLong = (): boolean => (cpu.state.get(STATE.mode) & MODE.long) !== 0;

describe('far calls and returns', () => {
  it('push items of the operand size', () => {
    expect(farCall(SEL64.code0, HIGH + 0x6000, 64)).toBe('ok');
    expect([cpu.rip, cpu.rsp]).toEqual([HIGH + 0x6000, HIGH + 0x7ff0]);
    expect(cpu.stack(2)).toEqual([HIGH + 0x5002, SEL64.code0]);
    expect(outcome(cpu.call('farReturn', 64, 0x10))).toBe('ok');
    expect([cpu.rip, cpu.rsp]).toEqual([HIGH + 0x5002, HIGH + 0x8010]);
    cpu.rip = 0x5000;
    farCall(SEL64.code0, 0x6000, 32);
    expect([cpu.rsp, cpu.get32(0x8008), cpu.get32(0x800c)]).toEqual([HIGH + 0x8008, 0x5002, SEL64.code0]);
    expect(outcome(cpu.call('farReturn', 32, 0))).toBe('ok');
    farCall(SEL64.code0, 0xf_6000, 16);
    expect([cpu.rip, cpu.rsp]).toEqual([0x6000, HIGH + 0x800c]);
  });

  it('go to compatibility mode and back', () => {
    cpu.rip = 0x5000;
    expect(farCall(SEL.code0, 0x6000, 64)).toBe('ok');
    expect([cpu.eip, isLong()]).toEqual([0x6000, false]);
    // The stack is the low half of RSP from now on.
    cpu.state.setGpr(GPR.esp, 0x7ff0);
    cpu.at(0x6000, 0x6005);
    expect(farCall(SEL64.code0, 0x6100, 32)).toBe('ok');
    expect([cpu.rip, cpu.rsp, isLong()]).toEqual([0x6100, 0x7fe8, true]);
    expect([cpu.get32(0x7fe8), cpu.get32(0x7fec)]).toEqual([0x6005, SEL.code0]);
    expect(outcome(cpu.call('farReturn', 32, 0))).toBe('ok');
    expect([cpu.eip, cpu.esp, isLong()]).toEqual([0x6005, 0x7ff0, false]);
  });

  it('refuse what is not canonical, beyond the limit, or reserved', () => {
    expect(farJump(SEL64.code0, 2 ** 47, 64)).toEqual([13, 0]);
    expect(farJump(SEL.code0, 2 ** 32, 64)).toEqual([13, 0]);
    expect(farJump(SEL64.both, 0x6000, 64)).toEqual([13, SEL64.both]);
    expect(farJump(SEL64.tss, 0x6000, 64)).toEqual([13, SEL64.tss]);
    expect(farJump(SEL.tss, 0x6000, 64)).toEqual([13, SEL.tss]);
    expect(farJump(0, 0x6000, 64)).toEqual([13, 0]);
    cpu.putQuad(0x8000, 2 ** 47, SEL64.code0);
    expect(outcome(cpu.call('farReturn', 64, 0))).toEqual([13, 0]);
    cpu.rsp = 2 ** 47 - 4;
    expect(outcome(cpu.call('farReturn', 64, 0))).toEqual([12, 0]);
  });

  it('return to outer levels, where data segments are taken away', () => {
    cpu.call('loadSegment', SEG.ds, SEL.data0);
    cpu.wrmsr(0xc000_0101, HIGH + 0x99);
    cpu.call('loadSegment', SEG.gs, 3);
    cpu.wrmsr(0xc000_0101, HIGH + 0x99);
    expect(cpu.selector(SEG.gs)).toBe(3);
    cpu.putQuad(0x8000, 0x6000, SEL64.code3, 0, 0xb000, SEL.data3);
    expect(outcome(cpu.call('farReturn', 64, 8))).toBe('ok');
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.selector(SEG.ss), cpu.selector(SEG.ds)]).toEqual([
      ...[0x6000, 0xb008, 3, SEL.data3, 0],
    ]);
    // A null selector loses its RPL, but its base is nobody's to take.
    expect(cpu.selector(SEG.gs)).toBe(0);
    expect(cpu.state.address(STATE.segments + SEG.gs * 32)).toBe(HIGH + 0x99);
  });
});

describe('call gates', () => {
  const gate = (selector: number, offset: number, access = 0xec): void =>
    cpu.gate64(GDT + SEL64.gate, selector, offset, access);

  it('lead to inner levels with a null stack segment', () => {
    gate(SEL64.code0, HIGH + 0x7100);
    cpu.enterUser64();
    expect(farCall(SEL64.gate | 3, 0, 32)).toBe('ok');
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.selector(SEG.ss)]).toEqual([HIGH + 0x7100, RSP0 - 32, 0, 0]);
    expect(cpu.stack(4)).toEqual([0x6002, SEL64.code3, 0xb000, SEL.data3]);
    expect(outcome(cpu.call('farReturn', 64, 0))).toBe('ok');
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.selector(SEG.ss)]).toEqual([0x6002, 0xb000, 3, SEL.data3]);
  });

  it('lead from compatibility mode to 64-bit code', () => {
    gate(SEL64.code0, HIGH + 0x7100);
    cpu.enterCompatibility();
    expect(farCall(SEL64.gate | 3, 0, 32)).toBe('ok');
    expect(cpu.stack(4)).toEqual([0x6002, SEL.code3, 0xb000, SEL.data3]);
    expect([cpu.rip, isLong()]).toEqual([HIGH + 0x7100, true]);
  });

  it('stay at the level for conforming code and jumps', () => {
    gate(SEL64.conforming, HIGH + 0x7100);
    cpu.enterUser64();
    expect(farCall(SEL64.gate | 3, 0, 32)).toBe('ok');
    expect([cpu.rip, cpu.rsp, cpu.cpl]).toEqual([HIGH + 0x7100, 0xaff0, 3]);
    expect(cpu.stack(2)).toEqual([0x6002, SEL64.code3]);
    gate(SEL64.code0, HIGH + 0x7100);
    expect(farJump(SEL64.gate | 3, 0, 32)).toEqual([13, SEL64.code0]);
    gate(SEL64.code3 & ~3, 0x7200);
    expect(farJump(SEL64.gate | 3, 0, 32)).toBe('ok');
    expect([cpu.rip, cpu.rsp]).toEqual([0x7200, 0xaff0]);
  });

  it('must be whole, of 64 bits, and lead to 64-bit code', () => {
    const call = (): unknown => farCall(SEL64.gate, 0, 32);
    gate(SEL64.code0, 0x7100, 0xe4);
    expect(call()).toEqual([13, SEL64.gate]);
    gate(SEL64.code0, 0x7100, 0x6c);
    expect(call()).toEqual([11, SEL64.gate]);
    gate(SEL.code0, 0x7100);
    expect(call()).toEqual([13, SEL.code0]);
    gate(SEL64.code0, 2 ** 47);
    expect(call()).toEqual([13, 0]);
    gate(SEL64.code0, 0x7100);
    cpu.put32(GDT + SEL64.gate + 12, 0x0900);
    expect(call()).toEqual([13, SEL64.gate]);
  });
});

describe('IRET', () => {
  const frame = (...items: number[]): void => {
    cpu.rsp = HIGH + 0x7f00;
    cpu.putQuad(0x7f00, ...items);
  };
  const iret = (): unknown => outcome(cpu.call('interruptReturn', 64));

  it('always takes RSP and SS in 64-bit mode', () => {
    frame(HIGH + 0x6000, SEL64.code0, 0x4_7fd7, HIGH + 0x7123, SEL.data0);
    cpu.state.eflags = 2;
    expect(iret()).toBe('ok');
    expect([cpu.rip, cpu.rsp, cpu.state.eflags]).toEqual([HIGH + 0x6000, HIGH + 0x7123, 0x4_7fd7]);
  });

  it('has no tasks to return to', () => {
    frame(HIGH + 0x6000, SEL64.code0, 2, HIGH + 0x7123, SEL.data0);
    cpu.state.eflags = 0x4002;
    expect(iret()).toEqual([13, 0]);
  });

  it('refuses bad frames', () => {
    frame(2 ** 47, SEL64.code0, 2, 0, SEL.data0);
    expect(iret()).toEqual([13, 0]);
    frame(0x6000, SEL64.code3, 2, 0xb000, 3);
    expect(iret()).toEqual([13, 0]);
    frame(0x6000, SEL.code3, 2, 0xb000, 0);
    expect(iret()).toEqual([13, 0]);
    frame(0x6000, SEL64.code3, 2, 0xb000, SEL.data0);
    expect(iret()).toEqual([13, SEL.data0]);
    frame(0x6000, SEL64.both, 2, 0xb000, SEL.data0);
    expect(iret()).toEqual([13, SEL64.both]);
  });

  it('keeps IOPL and IF from level 3', () => {
    cpu.enterUser64();
    cpu.rsp = 0x7f00;
    cpu.putQuad(0x7f00, 0x6100, SEL64.code3, 0x3002, 0xb000, SEL.data3);
    expect(iret()).toBe('ok');
    expect(cpu.state.eflags).toBe(0x202);
  });

  it('returns to 16-bit stacks with SP only', () => {
    cpu.descriptor(SEL.data16, 0, 0xffff, 0xf2);
    cpu.descriptor(SEL.code16, 0, 0xffff, 0xfa);
    frame(0x6000, SEL.code16 | 3, 2, 0x1_b000, SEL.data16 | 3);
    expect(iret()).toBe('ok');
    expect([cpu.eip, cpu.esp & 0xffff, cpu.state.get(STATE.mode)]).toEqual([0x6000, 0xb000, 0]);
  });
});

describe('segment and system registers', () => {
  it('take a null stack segment above level 3', () => {
    const load = (selector: number): unknown => outcome(cpu.call('loadSegment', SEG.ss, selector));
    expect(load(0)).toBe('ok');
    expect(load(3)).toEqual([13, 0]);
    cpu.enterUser64();
    expect(load(0)).toEqual([13, 0]);
    expect(load(3)).toEqual([13, 0]);
    expect(load(SEL.data3)).toBe('ok');
  });

  it('take 16-byte descriptors', () => {
    const ltr = (): unknown => outcome(cpu.call('loadTr', SEL64.tss));
    expect(ltr()).toEqual([13, SEL64.tss]);
    cpu.wideDescriptor(SEL64.tss, HIGH + TSS_AT, 0x67, 0x89);
    expect(ltr()).toBe('ok');
    expect(cpu.state.address(STATE.segments + SEG.tr * 32)).toBe(HIGH + TSS_AT);
    expect(cpu.get32(GDT + SEL64.tss + 4) & 0x200).toBe(0x200);
    cpu.wideDescriptor(SEL64.tss, 2 ** 47, 0x67, 0x89);
    expect(ltr()).toEqual([13, SEL64.tss]);
    cpu.wideDescriptor(SEL64.tss, HIGH, 0x67, 0x81);
    expect(ltr()).toEqual([13, SEL64.tss]);
    expect(outcome(cpu.call('loadLdt', SEL64.ldt))).toBe('ok');
    expect(cpu.state.address(STATE.segments + SEG.ldtr * 32)).toBe(HIGH + 0x4000);
    cpu.descriptor(0xc, 0x1_0000, 0xffff, 0x92, 0x4000);
    expect(outcome(cpu.call('loadSegment', SEG.ds, 0xc))).toBe('ok');
    expect(cpu.state.base(SEG.ds)).toBe(0x1_0000);
  });

  it('are looked at with the types of IA-32e mode', () => {
    const visible = (name: 'lar' | 'lsl', selector: number): boolean => {
      cpu.call(name, selector);
      return (cpu.state.eflags & 0x40) !== 0;
    };
    expect(visible('lar', SEL64.tss)).toBe(true);
    expect(cpu.state.get(STATE.queryResult)).toBe(0x8b00);
    expect(visible('lsl', SEL64.tss)).toBe(true);
    expect(cpu.state.get(STATE.queryResult)).toBe(0x2fff);
    cpu.gate64(GDT + SEL64.gate, SEL64.code0, 0, 0x8c);
    expect([visible('lar', SEL64.gate), visible('lsl', SEL64.gate)]).toEqual([true, false]);
    cpu.descriptor(SEL.free, 0, 0x67, 0x81);
    expect(visible('lar', SEL.free)).toBe(false);
  });

  it('come from the stack by 8 bytes', () => {
    cpu.putQuad(0x8000, SEL.data0);
    expect(outcome(cpu.call('popSegment', SEG.fs, 64))).toBe('ok');
    expect([cpu.selector(SEG.fs), cpu.rsp]).toEqual([SEL.data0, HIGH + 0x8008]);
    cpu.putQuad(0x8008, 0x25_4ad7);
    cpu.state.eflags = 2;
    cpu.call('popFlags', 64);
    expect([cpu.state.eflags, cpu.rsp]).toEqual([0x24_4ad7, HIGH + 0x8010]);
    expect(outcome(cpu.call64('loadFarPointer', SEG.fs + 16, SEL.data0, 11, HIGH + 5))).toBe('ok');
    expect(cpu.register(11)).toBe(HIGH + 5);
  });

  it('take table addresses of 64 bits', () => {
    expect(outcome(cpu.call64('loadGdt', 0xff, 2 ** 47))).toEqual([13, 0]);
    expect(outcome(cpu.call64('loadIdt', 0xff, HIGH + 7))).toBe('ok');
    expect(cpu.state.address(STATE.idtBase)).toBe(HIGH + 7);
  });
});
