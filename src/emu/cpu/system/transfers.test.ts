import { beforeEach, describe, expect, it } from 'vitest';
import { MODE, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { STATUS } from './calls.ts';
import { CpuBench, GDT, SEL, TSS_AT, TSS2_AT } from './cpu-bench.suite.ts';

let cpu: CpuBench;
beforeEach(() => {
  cpu = new CpuBench();
  cpu.enterProtectedMode();
  cpu.at(0x5000, 0x5007);
});
const GP = 13;
const NP = 11;
const TS = 10;
const SS = 12;

describe('loading segment registers', () => {
  const load = (seg: number, selector: number): number | [number, number] | string => {
    const status = cpu.call('loadSegment', seg, selector);
    return status === STATUS.fault ? cpu.takeFault() : 'ok';
  };

  it('checks type, privilege, presence and table limit', () => {
    cpu.descriptor(SEL.free, 0, 0xf_ffff, 0xc098);
    expect(load(SEG.ds, SEL.free)).toEqual([GP, SEL.free]);
    cpu.descriptor(SEL.free, 0, 0xf_ffff, 0x4012);
    expect(load(SEG.ds, SEL.free)).toEqual([NP, SEL.free]);
    expect(load(SEG.ss, SEL.free)).toEqual([SS, SEL.free]);
    expect(load(SEG.ds, 0x100)).toEqual([GP, 0x100]);
    expect(load(SEG.ds, 0x0f)).toEqual([GP, 0x0c]);
    expect(load(SEG.ss, 0)).toEqual([GP, 0]);
    expect(load(SEG.ss, SEL.code0)).toEqual([GP, SEL.code0]);
    expect(load(SEG.ss, SEL.data3)).toEqual([GP, SEL.data3 & ~3]);
    expect(load(SEG.es, SEL.tss)).toEqual([GP, SEL.tss]);
    expect(load(SEG.es, SEL.data0 | 3)).toEqual([GP, SEL.data0]);
    expect(load(SEG.es, SEL.code0)).toBe('ok');
    expect(load(SEG.fs, 3)).toBe('ok');
    expect(cpu.state.access(SEG.fs)).toBe(0);
  });

  it('sets the accessed bit, computes limits and the fast checks', () => {
    cpu.descriptor(SEL.free, 0x1234_5678, 0x4_5678, 0x8090);
    expect(load(SEG.gs, SEL.free)).toBe('ok');
    expect(cpu.get32(GDT + SEL.free + 4) & 0x100).toBe(0x100);
    expect([cpu.state.base(SEG.gs), cpu.state.limit(SEG.gs)]).toEqual([0x1234_5678, 0x4567_8fff]);
    const flags = (seg: number): number[] =>
      [SEGMENT.readable, SEGMENT.writable].map((f) => cpu.state.get(STATE.segments + seg * SEGMENT.bytes + f));
    expect(flags(SEG.gs)).toEqual([1, 0]);
    cpu.descriptor(SEL.free, 0, 0xfff, 0x4096);
    load(SEG.gs, SEL.free);
    expect(flags(SEG.gs)).toEqual([0, 0]);
    expect(cpu.call('checkSegment', SEG.gs, 0x1000, 4, 1)).toBe(STATUS.next);
    expect(cpu.call('checkSegment', SEG.gs, 0xfff, 4, 1)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, 0]);
    expect(cpu.call('checkSegment', SEG.gs, -2, 4, 0)).toBe(STATUS.fault);
    load(SEG.gs, 0);
    expect(flags(SEG.gs)).toEqual([0, 0]);
    expect(cpu.call('checkSegment', SEG.gs, 0, 1, 0)).toBe(STATUS.fault);
  });

  it('leaves the block only when the mode changed', () => {
    expect(cpu.call('loadSegment', SEG.fs, SEL.data16)).toBe(STATUS.next);
    expect(cpu.call('loadSegment', SEG.ds, SEL.data16)).toBe(STATUS.jumped);
    expect(cpu.eip).toBe(0x5007);
    expect(cpu.state.get(STATE.mode) & MODE.flat).toBe(0);
    expect(cpu.call('loadSegment', SEG.ss, SEL.data16)).toBe(STATUS.jumped);
    expect(cpu.state.get(STATE.mode) & MODE.stack32).toBe(0);
    expect(cpu.state.get(STATE.inhibitEip)).toBe(0x5007);
  });

  it('pops: the stack pointer moves only when the load succeeded', () => {
    cpu.put32(0x8000, 0xffff_0000 | SEL.data3, 0xffff_0000 | SEL.data0);
    expect(cpu.call('popSegment', SEG.es, 32)).toBe(STATUS.next);
    expect([cpu.selector(SEG.es), cpu.esp]).toEqual([SEL.data3, 0x8004]);
    expect(cpu.call('popSegment', SEG.es, 16)).toBe(STATUS.next);
    expect([cpu.selector(SEG.es), cpu.esp]).toEqual([SEL.data0, 0x8006]);
  });

  it('pops with a bad selector and changes nothing', () => {
    cpu.put32(0x8000, 0x99);
    cpu.call('loadSegment', SEG.es, SEL.data3);
    expect(cpu.call('popSegment', SEG.es, 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, 0x98]);
    expect([cpu.selector(SEG.es), cpu.esp]).toEqual([SEL.data3, 0x8000]);
  });

  it('loads far pointers: the register only with the segment', () => {
    cpu.state.setGpr(6, 0x1111_1111);
    expect(cpu.call('loadFarPointer', SEG.fs + 8, 0x99, 6, 0x2222_2222)).toBe(STATUS.fault);
    expect(cpu.state.gpr(6)).toBe(0x1111_1111);
    expect(cpu.call('loadFarPointer', SEG.fs + 8, SEL.data0, 6, 0x2222_2222)).toBe(STATUS.next);
    expect(cpu.state.gpr(6)).toBe(0x2222_2222);
    cpu.call('loadFarPointer', SEG.fs, SEL.data0, 6, 0x3333);
    expect(cpu.state.gpr(6)).toBe(0x2222_3333);
  });

  it('loads and uses an LDT', () => {
    expect(cpu.call('loadLdt', SEL.tss)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, SEL.tss]);
    expect(cpu.call('loadLdt', SEL.ldt)).toBe(STATUS.next);
    cpu.descriptor(0x0c, 0x7000, 0xff, 0x40f2, 0x4000);
    expect(load(SEG.ds, 0x0f)).toBe('ok');
    expect(cpu.state.base(SEG.ds)).toBe(0x7000);
    expect(load(SEG.ds, 0x107)).toEqual([GP, 0x104]);
    cpu.call('loadLdt', 0);
    expect(load(SEG.ds, 0x0f)).toEqual([GP, 0x0c]);
  });

  it('answers LAR, LSL, VERR and VERW in ZF', () => {
    const ask = (name: 'lar' | 'lsl' | 'verr' | 'verw', selector: number): number | undefined => {
      expect(cpu.call(name, selector)).toBe(STATUS.next);
      return cpu.state.eflags & 0x40 ? cpu.state.get(STATE.queryResult) : undefined;
    };
    expect(ask('lar', SEL.data3)).toBe(0x00c0_f200);
    expect(ask('lsl', SEL.data3)).toBe(-1);
    expect(ask('lsl', SEL.ldt)).toBe(0xff);
    expect(ask('lar', 0x100)).toBeUndefined();
    expect(ask('lar', 0)).toBeUndefined();
    cpu.gate(GDT + SEL.gate, SEL.code0, 0, 0x8e);
    expect(ask('lar', SEL.gate)).toBeUndefined();
    cpu.gate(GDT + SEL.gate, SEL.code0, 0, 0x8c);
    expect(ask('lar', SEL.gate)).toBe(0x8c00);
    expect(ask('lsl', SEL.gate)).toBeUndefined();
    expect(ask('verr', SEL.code0)).toBeDefined();
    expect(ask('verw', SEL.code0)).toBeUndefined();
    expect(ask('verw', SEL.data0)).toBeDefined();
    cpu.enterUser();
    expect(ask('verr', SEL.data0)).toBeUndefined();
    expect(ask('verr', SEL.code0Conforming)).toBeDefined();
  });
});

describe('far jumps and calls', () => {
  it('check code descriptors', () => {
    const jump = (selector: number, eip = 0): unknown =>
      cpu.call('farJump', selector, eip, 32) === STATUS.fault ? cpu.takeFault() : 'ok';
    expect(jump(0)).toEqual([GP, 0]);
    expect(jump(SEL.data0)).toEqual([GP, SEL.data0]);
    expect(jump(SEL.code3)).toEqual([GP, SEL.code3 & ~3]);
    expect(jump(SEL.code0 | 1)).toEqual([GP, SEL.code0]);
    expect(jump(SEL.code16, 0x1_0000)).toEqual([GP, 0]);
    cpu.descriptor(SEL.free, 0, 0xf_ffff, 0x401a);
    expect(jump(SEL.free)).toEqual([NP, SEL.free]);
    expect(cpu.eip).toBe(0x5000);
    expect(jump(SEL.code16, 0x10)).toBe('ok');
    expect([cpu.eip, cpu.state.base(SEG.cs)]).toEqual([0x10, 0x1_0000]);
    expect(cpu.state.get(STATE.mode)).toBe(MODE.stack32);
  });

  it('let conforming code run at the level of its caller', () => {
    cpu.enterUser();
    expect(cpu.call('farJump', SEL.code0Conforming, 0x100, 32)).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.selector(SEG.cs)]).toEqual([3, SEL.code0Conforming | 3]);
  });

  it('call and return at the same level, 32 and 16 bits', () => {
    cpu.call('farCall', SEL.code0, 0x7000, 32);
    expect(cpu.stack32(2)).toEqual([0x5007, SEL.code0]);
    expect(cpu.call('farReturn', 32, 8)).toBe(STATUS.jumped);
    expect([cpu.eip, cpu.esp]).toEqual([0x5007, 0x8008]);
    cpu.at(0x5007, 0x500c);
    cpu.call('farCall', SEL.code0, 0xabcd_7000, 16);
    expect([cpu.eip, cpu.esp, cpu.get32(0x8004)]).toEqual([0x7000, 0x8004, (SEL.code0 << 16) | 0x500c]);
    cpu.call('farReturn', 16, 0);
    expect([cpu.eip, cpu.esp]).toEqual([0x500c, 0x8008]);
  });

  it('raise the privilege level through a call gate, with parameters, and return', () => {
    cpu.gate(GDT + SEL.gate, SEL.code0, 0x7000, 0xec, 2);
    cpu.enterUser();
    cpu.put32(0xa000, 0x11, 0x22);
    cpu.at(0x6000, 0x6007);
    expect(cpu.call('farCall', SEL.gate | 3, 0xdead, 32)).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.selector(SEG.cs), cpu.selector(SEG.ss), cpu.eip]).toEqual([0, SEL.code0, SEL.data0, 0x7000]);
    expect(cpu.stack32(6)).toEqual([0x6007, SEL.code3, 0x11, 0x22, 0xa000, SEL.data3]);
    cpu.call('loadSegment', SEG.es, SEL.data0);
    cpu.at(0x7000, 0x7003);
    expect(cpu.call('farReturn', 32, 8)).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.eip, cpu.esp, cpu.selector(SEG.ss)]).toEqual([3, 0x6007, 0xa008, SEL.data3]);
    expect([cpu.selector(SEG.es), cpu.selector(SEG.ds)]).toEqual([0, SEL.data3]);
  });

  it('push 16 bits through a 16-bit gate', () => {
    cpu.gate(GDT + SEL.gate, SEL.code0, 0xffff_7000, 0xe4, 1);
    cpu.enterUser();
    cpu.put16(0xa000, 0x1234);
    cpu.at(0x6000, 0x6007);
    cpu.call('farCall', SEL.gate | 3, 0, 32);
    expect(cpu.eip).toBe(0x7000);
    expect(cpu.esp).toBe(0x9000 - 10);
    expect([0, 2, 4, 6, 8].map((i) => cpu.get16(cpu.esp + i))).toEqual([0x6007, SEL.code3, 0x1234, 0xa000, SEL.data3]);
  });

  it('check gates, and their targets', () => {
    const call = (): unknown => (cpu.call('farCall', SEL.gate | 3, 0, 32) === STATUS.fault ? cpu.takeFault() : 'ok');
    cpu.enterUser();
    cpu.gate(GDT + SEL.gate, SEL.code0, 0x7000, 0x8c);
    expect(call()).toEqual([GP, SEL.gate]);
    cpu.gate(GDT + SEL.gate, SEL.code0, 0x7000, 0x6c);
    expect(call()).toEqual([NP, SEL.gate]);
    cpu.gate(GDT + SEL.gate, 0, 0x7000, 0xec);
    expect(call()).toEqual([GP, 0]);
    cpu.gate(GDT + SEL.gate, SEL.data0, 0x7000, 0xec);
    expect(call()).toEqual([GP, SEL.data0]);
    cpu.gate(GDT + SEL.gate, SEL.code16, 0x1_0000, 0xec);
    expect(call()).toEqual([GP, 0]);
    cpu.gate(GDT + SEL.gate, SEL.code0, 0x7000, 0xec);
    // A jump must not raise the level.
    expect(cpu.call('farJump', SEL.gate | 3, 0, 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, SEL.code0]);
    cpu.descriptor(SEL.data16, 0, 0xf, 0x4092);
    cpu.put32(TSS_AT + 4, 0xf, SEL.data16);
    expect(call()).toEqual([SS, SEL.data16]);
    expect([cpu.cpl, cpu.eip, cpu.esp]).toEqual([3, 0x6000, 0xa000]);
  });

  it('refuse returns inward, and bad outer stacks', () => {
    cpu.put32(0x8000, 0x6000, SEL.code3, 0xa000, SEL.data0);
    expect(cpu.call('farReturn', 32, 0)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, SEL.data0]);
    cpu.put32(0x8000, 0x6000, SEL.code3, 0xa000, 0);
    expect(cpu.call('farReturn', 32, 0)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, 0]);
    cpu.enterUser();
    cpu.put32(0xa000, 0x6000, SEL.code0);
    expect(cpu.call('farReturn', 32, 0)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, SEL.code0]);
  });
});

describe('task switches', () => {
  const setUp = (segments: Partial<Record<'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldt', number>> = {}): void => {
    const s = { es: SEL.data0, cs: SEL.code0, ss: SEL.data0, ds: SEL.data3, fs: 0, gs: 0, ldt: 0, ...segments };
    cpu.put32(TSS2_AT + 0x20, 0xb000, 0x246);
    for (let i = 0; i < 8; i++) cpu.put32(TSS2_AT + 0x28 + i * 4, 0x1000 * (i + 1));
    cpu.put32(TSS2_AT + 0x48, s.es, s.cs, s.ss, s.ds, s.fs, s.gs, s.ldt, 0);
  };
  const busy = (selector: number): boolean => (cpu.get32(GDT + selector + 4) & 0x200) !== 0;

  it('by JMP save and load everything and move the busy bit', () => {
    setUp({ ldt: SEL.ldt });
    cpu.state.setGpr(3, 0x3333_3333);
    expect(cpu.call('farJump', SEL.tss2, 0, 32)).toBe(STATUS.jumped);
    expect([cpu.eip, cpu.state.eflags, cpu.selector(SEG.tr)]).toEqual([0xb000, 0x246, SEL.tss2]);
    expect(Array.from({ length: 8 }, (_, i) => cpu.state.gpr(i))).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => n * 0x1000),
    );
    expect([0, 1, 2, 3].map((s) => cpu.selector(s))).toEqual([SEL.data0, SEL.code0, SEL.data0, SEL.data3]);
    expect([cpu.selector(SEG.ldtr), cpu.state.base(SEG.ldtr)]).toEqual([SEL.ldt, 0x4000]);
    expect([busy(SEL.tss), busy(SEL.tss2)]).toEqual([false, true]);
    expect(cpu.state.get(STATE.cr0) & 8).toBe(8);
    expect([cpu.get32(TSS_AT + 0x20), cpu.get32(TSS_AT + 0x34), cpu.get16(TSS_AT + 0x4c)]).toEqual([
      0x5007,
      0x3333_3333,
      SEL.code0,
    ]);
    // A busy task cannot be entered again.
    expect(cpu.call('farJump', SEL.tss2, 0, 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([GP, SEL.tss2]);
  });

  it('by CALL through a task gate nest, and IRET comes back', () => {
    setUp();
    cpu.gate(GDT + SEL.gate, SEL.tss2, 0, 0x85);
    expect(cpu.call('farCall', SEL.gate, 0, 32)).toBe(STATUS.jumped);
    expect([cpu.state.eflags & 0x4000, cpu.get16(TSS2_AT)]).toEqual([0x4000, SEL.tss]);
    expect([busy(SEL.tss), busy(SEL.tss2)]).toEqual([true, true]);
    cpu.at(0xb000, 0xb001);
    expect(cpu.call('interruptReturn', 32)).toBe(STATUS.jumped);
    expect([cpu.eip, cpu.selector(SEG.tr), cpu.state.eflags & 0x4000]).toEqual([0x5007, SEL.tss, 0]);
    expect([busy(SEL.tss), busy(SEL.tss2)]).toEqual([true, false]);
    expect([cpu.get32(TSS2_AT + 0x20), cpu.get32(TSS2_AT + 0x24) & 0x4000]).toEqual([0xb001, 0]);
  });

  it('fault in the old task before the commit', () => {
    setUp();
    cpu.descriptor(SEL.tss2, TSS2_AT, 0x66, 0x89);
    expect(cpu.call('farJump', SEL.tss2, 0, 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([TS, SEL.tss2]);
    expect([cpu.eip, cpu.selector(SEG.tr), busy(SEL.tss)]).toEqual([0x5000, SEL.tss, true]);
    cpu.descriptor(SEL.tss2, TSS2_AT, 0x67, 0x09);
    expect(cpu.call('farJump', SEL.tss2, 0, 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([NP, SEL.tss2]);
  });

  it('fault in the new task after it', () => {
    setUp({ ss: SEL.code0 });
    expect(cpu.call('farJump', SEL.tss2, 0, 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([TS, SEL.code0]);
    expect([cpu.eip, cpu.selector(SEG.tr), cpu.selector(SEG.ss), cpu.state.access(SEG.ss)]).toEqual([
      0xb000,
      SEL.tss2,
      SEL.code0,
      0,
    ]);
  });

  it('check LDT, CS and data segments of the new task', () => {
    const fault = (segments: Parameters<typeof setUp>[0]): unknown => {
      cpu = new CpuBench();
      cpu.enterProtectedMode();
      setUp(segments);
      return cpu.call('farJump', SEL.tss2, 0, 32) === STATUS.fault ? cpu.takeFault() : 'ok';
    };
    expect(fault({ ldt: SEL.tss })).toEqual([TS, SEL.tss]);
    expect(fault({ cs: 0 })).toEqual([TS, 0]);
    expect(fault({ cs: SEL.data0 })).toEqual([TS, SEL.data0]);
    expect(fault({ cs: SEL.code0 | 3 })).toEqual([TS, SEL.code0]);
    expect(fault({ ss: 0 })).toEqual([TS, 0]);
    expect(fault({ gs: 0x100 })).toEqual([TS, 0x100]);
    expect(fault({ cs: SEL.code3, ss: SEL.data3, es: SEL.data0 })).toEqual([TS, SEL.data0]);
    expect(fault({ cs: SEL.code16 })).toBe('ok');
  });

  it('trap with the T bit', () => {
    setUp();
    cpu.put16(TSS2_AT + 0x64, 1);
    cpu.gate(0x2000 + 8, SEL.code0, 0x7010, 0x8e);
    cpu.call('farJump', SEL.tss2, 0, 32);
    expect(cpu.state.get(STATE.mode) & MODE.step).toBe(MODE.step);
    expect(cpu.system.beginStep()).toBe(true);
    expect(cpu.eip).toBe(0x7010);
    expect(cpu.state.get(STATE.dr6) & 0x8000).toBe(0x8000);
  });

  it('to a 286 TSS save and load 16 bits', () => {
    cpu.descriptor(SEL.tss2, TSS2_AT, 0x2b, 0x81);
    cpu.put16(
      TSS2_AT + 0x0e,
      0xb000,
      0x2,
      1,
      2,
      3,
      4,
      0x700,
      6,
      7,
      8,
      SEL.data16,
      SEL.code16,
      SEL.data16,
      SEL.data16,
      0,
    );
    expect(cpu.call('farJump', SEL.tss2, 0, 32)).toBe(STATUS.jumped);
    expect([cpu.eip, cpu.esp & 0xffff, cpu.state.gpr(7) & 0xffff]).toEqual([0xb000, 0x700, 8]);
    expect([cpu.selector(SEG.cs), cpu.selector(SEG.fs)]).toEqual([SEL.code16, 0]);
    cpu.at(0xb000, 0xb005);
    expect(cpu.call('farJump', SEL.tss, 0, 16)).toBe(STATUS.jumped);
    expect(cpu.get16(TSS2_AT + 0x0e)).toBe(0xb005);
    expect([cpu.eip, cpu.esp]).toEqual([0x5007, 0x8000]);
  });

  it('to virtual-8086 mode', () => {
    setUp({ cs: 0x1000, ss: 0x2000, ds: 0x3000, es: 0x3100 });
    cpu.put32(TSS2_AT + 0x24, 0x2_0202);
    expect(cpu.call('farJump', SEL.tss2, 0, 32)).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.state.base(SEG.cs), cpu.state.base(SEG.ds)]).toEqual([3, 0x1_0000, 0x3_0000]);
  });
});
