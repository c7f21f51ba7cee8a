import { beforeEach, describe, expect, it } from 'vitest';
import { MODE, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { STATUS } from './calls.ts';
import { CpuBench, GDT, IDT, SEL, TSS_AT, TSS2_AT } from './cpu-bench.suite.ts';

let cpu: CpuBench;
beforeEach(() => {
  cpu = new CpuBench();
});
const GATE_INT32 = 0x8e;
const GATE_TRAP32 = 0x8f;
const gate = (vector: number, selector: number, offset: number, access: number): void =>
  cpu.gate(IDT + vector * 8, selector, offset, access);
/** As an instruction that raised an exception leaves things. */
function raise(vector: number, code?: number): void {
  cpu.state.set(STATE.faultVector, vector);
  cpu.state.set(STATE.faultHasErrorCode, code === undefined ? 0 : 1);
  cpu.state.set(STATE.faultErrorCode, code ?? 0);
  cpu.state.set(STATE.faultIsSoftware, 0);
  cpu.system.deliverFault();
}

describe('real mode', () => {
  beforeEach(() => {
    cpu.call('farJump', 0x1000, 0x100, 16);
    cpu.call('loadSegment', SEG.ss, 0x2000);
    cpu.state.setGpr(4, 0x100);
    cpu.put16(0x21 * 4, 0x4321, 0x3000);
  });

  it('starts at the reset vector', () => {
    cpu.system.reset();
    expect(cpu.state.base(SEG.cs)).toBe(0xffff_0000);
    expect(cpu.eip).toBe(0xfff0);
    expect(cpu.state.eflags).toBe(2);
    expect(cpu.state.get(STATE.cr0) >>> 0).toBe(0x6000_0010);
    expect(cpu.state.get(STATE.mode)).toBe(0);
  });

  it('enters through the vector table and comes back', () => {
    cpu.state.eflags = 0x302 | 0x41;
    cpu.at(0x110, 0x112);
    expect(cpu.call('softwareInterrupt', 0x21)).toBe(STATUS.jumped);
    expect([cpu.selector(SEG.cs), cpu.eip, cpu.esp]).toEqual([0x3000, 0x4321, 0xfa]);
    expect([cpu.get16(0x200fa), cpu.get16(0x200fc), cpu.get16(0x200fe)]).toEqual([0x112, 0x1000, 0x343]);
    expect(cpu.state.eflags & 0x300).toBe(0);
    expect(cpu.call('interruptReturn', 16)).toBe(STATUS.jumped);
    expect([cpu.selector(SEG.cs), cpu.eip, cpu.esp]).toEqual([0x1000, 0x112, 0x100]);
    expect(cpu.state.eflags).toBe(0x343);
    expect(cpu.state.get(STATE.mode) & MODE.step).toBe(MODE.step);
  });

  it('pushes no error code, and the address of what faulted', () => {
    cpu.put16(13 * 4, 0x55, 0x4000);
    cpu.at(0x110, 0x114);
    raise(13, 0);
    expect([cpu.selector(SEG.cs), cpu.eip]).toEqual([0x4000, 0x55]);
    expect(cpu.get16(0x200fa)).toBe(0x110);
    expect(cpu.esp).toBe(0xfa);
  });

  it('wraps the stack at 64 KB', () => {
    cpu.state.setGpr(4, 0xabcd_0002);
    cpu.at(0x110, 0x112);
    cpu.call('softwareInterrupt', 0x21);
    expect(cpu.esp).toBe(0xabcd_fffc);
    expect(cpu.get16(0x20000)).toBe(2);
    expect(cpu.get16(0x2fffc)).toBe(0x112);
  });

  it('shuts down when even the double fault has no vector', () => {
    cpu.call('loadIdt', 0, 0);
    raise(6);
    expect(cpu.shutdowns).toBe(1);
    expect(cpu.state.get(STATE.shutdown)).toBe(1);
  });

  it('keeps the limits that protected mode left', () => {
    cpu.descriptor(SEL.data0, 0, 0xf_ffff, 0xc092);
    cpu.descriptor(SEL.code0, 0, 0xf_ffff, 0xc09a);
    cpu.call('loadGdt', 0xff, GDT);
    cpu.call('movToCr', 0, 0x11);
    cpu.call('loadSegment', SEG.fs, SEL.data0);
    cpu.call('loadSegment', SEG.gs, 0);
    cpu.call('movToCr', 0, 0x10);
    cpu.call('loadSegment', SEG.fs, 0x10);
    cpu.call('loadSegment', SEG.gs, 0x20);
    expect([cpu.state.base(SEG.fs), cpu.state.limit(SEG.fs)]).toEqual([0x100, 0xffff_ffff]);
    expect([cpu.state.base(SEG.gs), cpu.state.limit(SEG.gs)]).toEqual([0x200, 0xffff]);
    expect(cpu.state.get(CpuBenchSegment(SEG.gs) + SEGMENT.writable)).toBe(1);
  });
});
const CpuBenchSegment = (seg: number): number => STATE.segments + seg * SEGMENT.bytes;

describe('protected mode, level 0', () => {
  beforeEach(() => {
    cpu.enterProtectedMode();
    gate(0x21, SEL.code0, 0x7000, GATE_INT32);
    gate(13, SEL.code0, 0x7100, GATE_TRAP32);
    cpu.state.eflags = 0x202;
  });

  it('is flat', () => {
    expect(cpu.state.get(STATE.mode)).toBe(MODE.code32 | MODE.stack32 | MODE.flat);
  });

  it('enters interrupt gates with IF cleared, trap gates without', () => {
    cpu.at(0x5000, 0x5002);
    expect(cpu.call('softwareInterrupt', 0x21)).toBe(STATUS.jumped);
    expect(cpu.eip).toBe(0x7000);
    expect(cpu.stack32(3)).toEqual([0x5002, SEL.code0, 0x202]);
    expect(cpu.state.eflags & 0x200).toBe(0);
    cpu.call('interruptReturn', 32);
    expect([cpu.eip, cpu.esp, cpu.state.eflags]).toEqual([0x5002, 0x8000, 0x202]);
    cpu.at(0x5000, 0x5002);
    raise(13, 0x18);
    // A fault: its own address, RF in the image, the error code.
    expect(cpu.stack32(4)).toEqual([0x18, 0x5000, SEL.code0, 0x1_0202]);
    expect(cpu.state.eflags).toBe(0x202);
  });

  it('takes external interrupts unless IF or a shadow forbids', () => {
    cpu.at(0x5000, 0x5001);
    cpu.nextVector = 0x21;
    cpu.state.set(STATE.inhibitEip, 0x5000);
    expect(cpu.system.mayInterrupt()).toBe(false);
    expect(cpu.system.mayInterrupt()).toBe(true);
    cpu.state.set(STATE.halted, 1);
    cpu.system.acceptInterrupt();
    expect(cpu.stack32(3)).toEqual([0x5000, SEL.code0, 0x202]);
    expect(cpu.state.get(STATE.halted)).toBe(0);
    expect(cpu.system.mayInterrupt()).toBe(false);
  });

  it('blocks NMI until IRET', () => {
    gate(2, SEL.code0, 0x7200, GATE_INT32);
    expect(cpu.system.deliverNmi()).toBe(true);
    expect(cpu.system.deliverNmi()).toBe(false);
    cpu.call('interruptReturn', 32);
    expect(cpu.system.deliverNmi()).toBe(true);
  });

  it('names the IDT entry in error codes, with EXT for what the program did not ask for', () => {
    cpu.at(0x5000, 0x5002);
    expect(cpu.call('softwareInterrupt', 0x30)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([13, 0x30 * 8 + 2]);
    gate(0x30, SEL.code0, 0, 0x0e);
    expect(cpu.call('softwareInterrupt', 0x30)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([11, 0x30 * 8 + 2]);
    expect(cpu.call('softwareInterrupt', 0x80)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([13, 0x80 * 8 + 2]);
    expect([cpu.eip, cpu.esp]).toEqual([0x5000, 0x8000]);
    gate(11, SEL.code0, 0x7900, GATE_INT32);
    cpu.system.deliverInterrupt(0x30);
    expect(cpu.eip).toBe(0x7900);
    expect(cpu.stack32(2)).toEqual([0x30 * 8 + 3, 0x5000]);
  });

  it('makes double faults of contributory pairs only, and shuts down after', () => {
    gate(8, SEL.code0, 0x7800, GATE_INT32);
    gate(13, 0, 0, 0);
    cpu.at(0x5000);
    // #GP whose delivery is #GP: #DF with error code 0.
    raise(13, 0x18);
    expect(cpu.eip).toBe(0x7800);
    expect(cpu.stack32(3)).toEqual([0, 0x5000, SEL.code0]);
    // #UD is benign: its delivery's #NP is handled as such.
    gate(6, SEL.code0, 0, 0x0e);
    gate(11, SEL.code0, 0x7900, GATE_INT32);
    raise(6);
    expect(cpu.eip).toBe(0x7900);
    expect(cpu.stack32(1)).toEqual([6 * 8 + 3]);
    // #PF, then #GP (vector 14 has no gate).
    cpu.at(0x5000);
    raise(14, 2);
    expect(cpu.eip).toBe(0x7800);
    // A double fault whose own gate is bad.
    gate(8, 0, 0, 0);
    cpu.at(0x5000);
    raise(13, 0);
    expect(cpu.shutdowns).toBe(1);
    expect(cpu.eip).toBe(0x5000);
  });

  it('serves a page fault during #GP as such, and one during that as a double fault', () => {
    gate(8, SEL.code0, 0x7800, GATE_INT32);
    gate(14, SEL.code0, 0x7e00, GATE_INT32);
    cpu.put32(0x10_0000, 0x10_1000 | 7);
    for (let i = 0; i < 0x100; i++) cpu.put32(0x10_1000 + i * 4, (i << 12) | 7);
    cpu.put32(0x10_1000 + 0x40 * 4, 0);
    cpu.call('movToCr', 3, 0x10_0000);
    cpu.call('movToCr', 0, 0x8000_0011 | 0);
    cpu.put32(IDT + 13 * 8, 0, 0);
    // The IDT entry of #GP now lies on a page that is not there.
    const farIdt = 0x4_0000 - 13 * 8;
    cpu.call('loadIdt', 0xff, farIdt);
    for (let v = 0; v < 13; v++) cpu.gate(farIdt + v * 8, SEL.code0, 0x7800, GATE_INT32);
    cpu.at(0x5000);
    raise(13, 0);
    // #PF's own entry is on the absent page too: page fault in page fault is a double fault.
    expect(cpu.eip).toBe(0x7800);
    expect(cpu.stack32(2)).toEqual([0, 0x5000]);
    expect(cpu.state.get(STATE.cr2)).toBe(farIdt + 14 * 8);
  });

  it('checks the stack before it pushes', () => {
    gate(12, SEL.code0, 0x7c00, GATE_INT32);
    cpu.descriptor(SEL.free, 0, 0x7ff3, 0x4092);
    cpu.call('loadSegment', SEG.ss, SEL.free);
    cpu.state.setGpr(4, 0x7fff);
    cpu.at(0x5000, 0x5002);
    expect(cpu.call('softwareInterrupt', 0x21)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([12, 0]);
    expect(cpu.esp).toBe(0x7fff);
  });

  it('traps single steps after the instruction, but not after INT', () => {
    gate(1, SEL.code0, 0x7010, GATE_INT32);
    cpu.state.eflags = 0x302;
    cpu.system.updateMode();
    cpu.at(0x5000, 0x5001);
    expect(cpu.system.beginStep()).toBe(false);
    cpu.at(0x5001);
    expect(cpu.system.endStep()).toBe(true);
    expect(cpu.eip).toBe(0x7010);
    expect(cpu.stack32(3)).toEqual([0x5001, SEL.code0, 0x302]);
    expect(cpu.state.get(STATE.dr6) & 0x4000).toBe(0x4000);
    expect(cpu.state.get(STATE.mode) & MODE.step).toBe(0);

    cpu.state.eflags = 0x302;
    cpu.at(0x5000, 0x5002);
    expect(cpu.system.beginStep()).toBe(false);
    expect(cpu.call('softwareInterrupt', 0x21)).toBe(STATUS.jumped);
    expect(cpu.system.endStep()).toBe(false);
  });

  it('holds the single-step trap over MOV SS', () => {
    gate(1, SEL.code0, 0x7010, GATE_INT32);
    cpu.state.eflags = 0x302;
    cpu.at(0x5000, 0x5002);
    cpu.system.beginStep();
    cpu.call('loadSegment', SEG.ss, SEL.data0);
    cpu.at(0x5002, 0x5003);
    expect(cpu.system.endStep()).toBe(false);
    cpu.state.set(STATE.pendingDebug, 0);
    expect(cpu.system.beginStep()).toBe(false);
    cpu.at(0x5003);
    expect(cpu.system.endStep()).toBe(true);
  });

  it('faults before an instruction with a breakpoint, once', () => {
    gate(1, SEL.code0, 0x7010, GATE_INT32);
    expect(cpu.call('movToDr', 2, 0x5000)).toBe(STATUS.jumped);
    expect(cpu.call('movToDr', 7, 0x10)).toBe(STATUS.jumped);
    // Only code of that page goes step by step.
    expect(cpu.state.get(STATE.mode) & MODE.step).toBe(0);
    expect([cpu.mmu.breaksIn(0x5ffc), cpu.mmu.breaksIn(0x6000)]).toEqual([true, false]);
    cpu.at(0x5000);
    expect(cpu.system.beginStep()).toBe(true);
    expect(cpu.eip).toBe(0x7010);
    expect(cpu.stack32(1)).toEqual([0x5000]);
    expect(cpu.state.get(STATE.dr6) & 0xf).toBe(4);
    // The handler sets RF in the image to get past.
    cpu.put32(cpu.esp + 8, 0x1_0202);
    cpu.call('interruptReturn', 32);
    expect(cpu.system.beginStep()).toBe(false);
    expect(cpu.state.eflags & 0x1_0000).toBe(0);
    // Elsewhere nobody would clear it.
    cpu.put32(cpu.esp - 12, 0x6000, SEL.code0, 0x1_0202);
    cpu.state.setGpr(4, cpu.esp - 12);
    cpu.call('interruptReturn', 32);
    expect([cpu.eip, cpu.state.eflags]).toEqual([0x6000, 0x202]);
  });

  it('delivers a trap that waits together with INT1', () => {
    gate(1, SEL.code0, 0x7010, GATE_INT32);
    cpu.at(0x5000, 0x5001);
    cpu.state.set(STATE.pendingDebug, 1);
    expect(cpu.call('int1')).toBe(STATUS.jumped);
    expect([cpu.state.get(STATE.pendingDebug), cpu.state.get(STATE.dr6) & 0xf]).toEqual([0, 1]);
  });
});

describe('privilege levels', () => {
  beforeEach(() => {
    cpu.enterProtectedMode();
    gate(0x80, SEL.code0, 0x7000, 0xee);
    cpu.call('loadIdt', 0x81 * 8 - 1, IDT);
    gate(13, SEL.code0, 0x7100, GATE_INT32);
    cpu.enterUser();
  });

  it('went out by IRET, dropping inner data segments', () => {
    expect([cpu.cpl, cpu.selector(SEG.cs), cpu.selector(SEG.ss), cpu.esp]).toEqual([3, SEL.code3, SEL.data3, 0xa000]);
    expect(cpu.selector(SEG.fs)).toBe(0);
    expect(cpu.state.access(SEG.fs)).toBe(0);
  });

  it('come in on the stack of the TSS and go back', () => {
    cpu.at(0x6000, 0x6002);
    expect(cpu.call('softwareInterrupt', 0x80)).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.selector(SEG.cs), cpu.selector(SEG.ss), cpu.eip]).toEqual([0, SEL.code0, SEL.data0, 0x7000]);
    expect(cpu.esp).toBe(0x9000 - 20);
    expect(cpu.stack32(5)).toEqual([0x6002, SEL.code3, 0x202, 0xa000, SEL.data3]);
    expect(cpu.call('interruptReturn', 32)).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.eip, cpu.esp, cpu.state.eflags]).toEqual([3, 0x6002, 0xa000, 0x202]);
  });

  it('protect gates from INT but not from the processor', () => {
    cpu.at(0x6000, 0x6002);
    expect(cpu.call('softwareInterrupt', 13)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([13, 13 * 8 + 2]);
    raise(13, 0);
    expect(cpu.cpl).toBe(0);
    expect(cpu.stack32(2)).toEqual([0, 0x6000]);
  });

  it('fault with #TS for a bad inner stack', () => {
    cpu.at(0x6000, 0x6002);
    cpu.put32(TSS_AT + 8, SEL.data3);
    expect(cpu.call('softwareInterrupt', 0x80)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([10, SEL.data3 & ~3]);
    expect([cpu.cpl, cpu.esp, cpu.eip]).toEqual([3, 0xa000, 0x6000]);
    cpu.put32(TSS_AT + 8, 0);
    cpu.call('softwareInterrupt', 0x80);
    expect(cpu.takeFault()).toEqual([10, 0]);
  });

  it('decide what IRET and POPF may change', () => {
    cpu.put32(0x9f00, 0x6000, SEL.code3, 0x27_7ed7);
    cpu.state.setGpr(4, 0x9f00);
    expect(cpu.call('interruptReturn', 32)).toBe(STATUS.jumped);
    // NT, AC, ID and the arithmetic flags; not IOPL, not VM; IF stays.
    expect(cpu.state.eflags).toBe(0x24_4ed7);
    cpu.put32(0x9f00, 0x3002);
    cpu.state.setGpr(4, 0x9f00);
    cpu.call('popFlags', 32);
    expect(cpu.state.eflags).toBe(0x202);
    expect(cpu.esp).toBe(0x9f04);
  });

  it('refuse IRET to an inner level', () => {
    cpu.put32(0x9f00, 0x6000, SEL.code0, 0x202);
    cpu.state.setGpr(4, 0x9f00);
    expect(cpu.call('interruptReturn', 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([13, SEL.code0]);
    expect(cpu.esp).toBe(0x9f00);
  });
});

describe('virtual-8086 mode', () => {
  beforeEach(() => {
    cpu.enterProtectedMode();
    gate(13, SEL.code0, 0x7100, GATE_INT32);
    gate(0x21, SEL.code0, 0x7000, 0xee);
    cpu.enterVirtual();
  });

  it('is entered by IRET with VM set', () => {
    expect([cpu.cpl, cpu.eip, cpu.esp]).toEqual([3, 0x100, 0x800]);
    expect([0, 1, 2, 3, 4, 5].map((s) => cpu.state.base(s))).toEqual([
      0x30000, 0x10000, 0x20000, 0x31000, 0x32000, 0x33000,
    ]);
    expect(cpu.state.get(STATE.mode)).toBe(0);
    expect(cpu.state.get(CpuBenchSegment(SEG.cs) + SEGMENT.writable)).toBe(1);
  });

  it('is left through a gate with all segments on the stack, and entered again', () => {
    cpu.at(0x100, 0x102);
    raise(13, 0);
    expect([cpu.cpl, cpu.eip, cpu.selector(SEG.ds), cpu.selector(SEG.ss)]).toEqual([0, 0x7100, 0, SEL.data0]);
    expect(cpu.stack32(10)).toEqual([0, 0x100, 0x1000, 0x3_0202, 0x800, 0x2000, 0x3000, 0x3100, 0x3200, 0x3300]);
    expect(cpu.esp).toBe(0x9000 - 40);
    expect(cpu.state.eflags & 0x2_0000).toBe(0);
    cpu.state.setGpr(4, cpu.esp + 4);
    cpu.call('interruptReturn', 32);
    expect([cpu.cpl, cpu.eip, cpu.selector(SEG.gs), cpu.state.eflags & 0x2_0000]).toEqual([3, 0x100, 0x3300, 0x2_0000]);
  });

  it('faults on INT n, IRET and POPF below IOPL 3', () => {
    for (const call of ['softwareInterrupt', 'interruptReturn', 'popFlags'] as const) {
      expect(cpu.call(call, call === 'softwareInterrupt' ? 0x21 : 16)).toBe(STATUS.fault);
      expect(cpu.takeFault()).toEqual([13, 0]);
    }
    // INT3 is not sensitive.
    gate(3, SEL.code0, 0x7300, 0xee);
    expect(cpu.call('int3')).toBe(STATUS.jumped);
    expect(cpu.eip).toBe(0x7300);
  });

  it('runs INT n through the IDT with IOPL 3', () => {
    cpu.at(0x100, 0x102);
    raise(13, 0);
    cpu.state.setGpr(4, 0x8f00);
    cpu.enterVirtual(0x100, 0x800, 3);
    cpu.at(0x100, 0x102);
    expect(cpu.call('softwareInterrupt', 0x21)).toBe(STATUS.jumped);
    expect(cpu.stack32(3)).toEqual([0x102, 0x1000, 0x2_3202]);
  });

  it('refuses gates to anything but level 0', () => {
    gate(6, SEL.code3, 0x100, GATE_INT32);
    cpu.at(0x100);
    raise(6);
    expect(cpu.eip).toBe(0x7100);
    expect(cpu.stack32(1)).toEqual([(SEL.code3 & ~3) | 1]);
  });
});

describe('task gates', () => {
  it('serve an exception in another task, with its error code, and return', () => {
    cpu.enterProtectedMode();
    cpu.put32(TSS2_AT + 0x1c, 0, 0xb000, 0x2);
    cpu.put32(TSS2_AT + 0x38, 0xc000);
    cpu.put32(TSS2_AT + 0x48, SEL.data0, SEL.code0, SEL.data0, SEL.data0, 0, 0, 0);
    gate(13, SEL.tss2, 0, 0x85);
    cpu.at(0x5000, 0x5002);
    raise(13, 0x44);
    expect([cpu.eip, cpu.selector(SEG.tr), cpu.esp]).toEqual([0xb000, SEL.tss2, 0xbffc]);
    expect(cpu.get32(0xbffc)).toBe(0x44);
    expect(cpu.get16(TSS2_AT)).toBe(SEL.tss);
    expect(cpu.get32(TSS_AT + 0x20)).toBe(0x5000);
    expect(cpu.get32(TSS_AT + 0x24) & 0x1_0000).toBe(0x1_0000);
    expect(cpu.state.eflags & 0x4000).toBe(0x4000);
    cpu.state.setGpr(4, 0xc000);
    cpu.at(0xb000, 0xb001);
    expect(cpu.call('interruptReturn', 32)).toBe(STATUS.jumped);
    expect([cpu.eip, cpu.selector(SEG.tr), cpu.esp, cpu.state.eflags & 0x4000]).toEqual([0x5000, SEL.tss, 0x8000, 0]);
    expect(cpu.get32(GDT + SEL.tss2 + 4) & 0x200).toBe(0);
  });
});
