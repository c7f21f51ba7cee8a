import { beforeEach, describe, expect, it } from 'vitest';
import { ATTENTION, GPR, MODE, SEG, STATE } from '../state/layout.ts';
import { STATUS } from './calls.ts';
import { IDT, SEL, TSS_AT } from './cpu-bench.suite.ts';
import { HIGH, IST1, LongBench, PT, RSP0, SEL64 } from './long-bench.suite.ts';

const INTERRUPT = 0x8e;
const TRAP = 0x8f;
const USER_TRAP = 0xef;
const HANDLER = HIGH + 0x7000;

let cpu: LongBench;
beforeEach(() => {
  cpu = new LongBench();
  gate(0x21, SEL64.code0, HANDLER, INTERRUPT);
  gate(13, SEL64.code0, HANDLER + 0x100, TRAP);
  cpu.state.eflags = 0x202;
});
const gate = (vector: number, selector: number, offset: number, access: number, ist = 0): void =>
  cpu.gate64(IDT + vector * 16, selector, offset, access, ist);
/** As an instruction that raised an exception leaves things. */
function raise(vector: number, code?: number): void {
  cpu.state.set(STATE.faultVector, vector);
  cpu.state.set(STATE.faultHasErrorCode, code === undefined ? 0 : 1);
  cpu.state.set(STATE.faultErrorCode, code ?? 0);
  cpu.state.set(STATE.faultIsSoftware, 0);
  cpu.system.deliverFault();
}
const int = (vector: number): unknown =>
  cpu.call('softwareInterrupt', vector) === STATUS.fault ? cpu.takeFault() : 'ok';

describe('at level 0', () => {
  it('pushes five items on an aligned stack, and comes back', () => {
    cpu.rsp = HIGH + 0x8005;
    expect(int(0x21)).toBe('ok');
    expect([cpu.rip, cpu.rsp]).toEqual([HANDLER, HIGH + 0x8000 - 40]);
    expect(cpu.stack(5)).toEqual([HIGH + 0x5002, SEL64.code0, 0x202, HIGH + 0x8005, SEL.data0]);
    // The stack segment stays where the level does.
    expect([cpu.state.eflags, cpu.selector(SEG.ss)]).toEqual([2, SEL.data0]);
    expect(cpu.call('interruptReturn', 64)).toBe(STATUS.jumped);
    expect([cpu.rip, cpu.rsp, cpu.state.eflags]).toEqual([HIGH + 0x5002, HIGH + 0x8005, 0x202]);
  });

  it('pushes error codes as 8 bytes, the faulting address and RF', () => {
    raise(13, 0x18);
    expect(cpu.rip).toBe(HANDLER + 0x100);
    expect(cpu.stack(6)).toEqual([0x18, HIGH + 0x5000, SEL64.code0, 0x1_0202, HIGH + 0x8000, SEL.data0]);
    expect(cpu.state.eflags).toBe(0x202);
  });

  it('changes to a stack of the interrupt stack table', () => {
    gate(8, SEL64.code0, HANDLER, INTERRUPT, 1);
    raise(8, 0);
    expect(cpu.rsp).toBe(IST1 - 8 - 48);
    expect(cpu.stack(6)).toEqual([0, HIGH + 0x5000, SEL64.code0, 0x202, HIGH + 0x8000, SEL.data0]);
    cpu.rsp += 8;
    cpu.call('interruptReturn', 64);
    expect(cpu.rsp).toBe(HIGH + 0x8000);
  });

  it('needs gates of 64 bits to 64-bit code', () => {
    const refused = (): unknown => int(0x30);
    gate(0x30, SEL64.code0, HANDLER, 0x86);
    expect(refused()).toEqual([13, 0x182]);
    gate(0x30, SEL64.code0, HANDLER, 0x85);
    expect(refused()).toEqual([13, 0x182]);
    gate(0x30, SEL64.code0, HANDLER, 0x0e);
    expect(refused()).toEqual([11, 0x182]);
    gate(0x30, 0, HANDLER, INTERRUPT);
    expect(refused()).toEqual([13, 0]);
    gate(0x30, SEL.code0, HANDLER, INTERRUPT);
    expect(refused()).toEqual([13, SEL.code0]);
    gate(0x30, SEL64.both, HANDLER, INTERRUPT);
    expect(refused()).toEqual([13, SEL64.both]);
    gate(0x30, SEL64.code0, 2 ** 47, INTERRUPT);
    expect(refused()).toEqual([13, 0]);
    // Beyond the IDT limit of 64 gates.
    expect(int(64)).toEqual([13, 0x202]);
    expect([cpu.rip, cpu.rsp]).toEqual([HIGH + 0x5000, HIGH + 0x8000]);
  });

  it('is #SS where the stack pointer is not canonical, and a double fault after that', () => {
    cpu.rsp = 2 ** 47 + 0x100;
    expect(int(0x21)).toEqual([12, 0]);
    gate(8, SEL64.code0, HANDLER, INTERRUPT, 1);
    raise(13, 0);
    expect(cpu.stack(1)).toEqual([0]);
    expect(cpu.rsp).toBe(IST1 - 8 - 48);
  });

  it('is a page fault where the stack is missing, with the address that misses', () => {
    cpu.put32(PT + 7 * 8, 0, 0);
    cpu.mmu.flush(false);
    cpu.rsp = HIGH + 0x8010;
    expect(int(0x21)).toEqual([14, 2]);
    expect(cpu.state.address(STATE.cr2)).toBe(HIGH + 0x7fe8);
    expect(cpu.rsp).toBe(HIGH + 0x8010);
  });

  it('saves a stack pointer of any 64 bits', () => {
    gate(2, SEL64.code0, HANDLER, INTERRUPT, 1);
    cpu.state.set(STATE.gpr + GPR.esp * 8, 0x89ab_cdef | 0);
    cpu.state.set(STATE.gpr + GPR.esp * 8 + 4, 0x0123_4567);
    expect(cpu.system.deliverNmi()).toBe(true);
    expect([cpu.get32(0xa008 - 8 - 40 + 24), cpu.get32(0xa008 - 8 - 40 + 28)]).toEqual([0x89ab_cdef, 0x0123_4567]);
    expect(cpu.system.deliverNmi()).toBe(false);
    cpu.call('interruptReturn', 64);
    expect(cpu.state.get(STATE.gpr + GPR.esp * 8 + 4)).toBe(0x0123_4567);
    expect(cpu.state.get(STATE.nmiBlocked)).toBe(0);
  });
});

describe('from level 3', () => {
  it('takes RSP0 and a null stack segment', () => {
    cpu.enterUser64();
    cpu.nextVector = 0x21;
    cpu.system.acceptInterrupt();
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.selector(SEG.ss)]).toEqual([HANDLER, RSP0 - 40, 0, 0]);
    expect(cpu.stack(5)).toEqual([0x6000, SEL64.code3, 0x202, 0xb000, SEL.data3]);
    // A nested interrupt returns to the null stack segment.
    cpu.rip = HANDLER;
    int(0x21);
    expect(cpu.stack(5)[4]).toBe(0);
    cpu.call('interruptReturn', 64);
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.selector(SEG.ss)]).toEqual([HANDLER + 2, RSP0 - 40, 0, 0]);
    cpu.call('interruptReturn', 64);
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.selector(SEG.ss)]).toEqual([0x6000, 0xb000, 3, SEL.data3]);
  });

  it('asks the gate whether INT n is allowed', () => {
    cpu.enterUser64();
    expect(int(0x21)).toEqual([13, 0x10a]);
    gate(0x21, SEL64.code0, HANDLER, USER_TRAP);
    expect(int(0x21)).toBe('ok');
    expect(cpu.state.eflags & 0x200).toBe(0x200);
  });

  it('is #TS where the TSS ends before the stack pointer', () => {
    cpu.wideDescriptor(SEL64.tss, TSS_AT, 0xa, 0x89);
    cpu.call('loadTr', SEL64.tss);
    cpu.enterUser64();
    gate(0x21, SEL64.code0, HANDLER, USER_TRAP);
    expect(int(0x21)).toEqual([10, SEL64.tss]);
  });

  it('comes from compatibility mode with the same frame', () => {
    cpu.enterCompatibility(0x6000, 0xb000);
    expect(cpu.state.get(STATE.mode)).toBe(MODE.code32 | MODE.stack32 | MODE.flat);
    gate(0x21, SEL64.code0, HANDLER, USER_TRAP);
    cpu.state.setGpr(GPR.esp, 0xfffe_0004 | 0);
    expect(int(0x21)).toBe('ok');
    expect(cpu.state.get(STATE.mode) & MODE.long).toBe(MODE.long);
    expect(cpu.stack(5)).toEqual([0x6002, SEL.code3, 0x202, 0xfffe_0004, SEL.data3]);
    cpu.call('interruptReturn', 64);
    expect([cpu.eip, cpu.esp, cpu.cpl, cpu.state.get(STATE.mode) & MODE.long]).toEqual([0x6002, 0xfffe_0004, 3, 0]);
  });

  it('knows which page faults with 64-bit addresses', () => {
    cpu.enterUser64();
    gate(14, SEL64.code0, HANDLER, INTERRUPT);
    expect(cpu.mmu.readSlow64(-4096, 8)).toBe(0);
    cpu.system.deliverFault();
    expect(cpu.stack(2)).toEqual([4, 0x6000]);
    expect(cpu.state.address(STATE.cr2)).toBe(-4096);
  });
});

describe('single steps and breakpoints', () => {
  it('stop at 64-bit addresses', () => {
    gate(1, SEL64.code0, HANDLER, INTERRUPT);
    cpu.call64('movToDr', 0, HIGH + 0x5000);
    cpu.call64('movToDr', 7, 1);
    cpu.rip = 0x5000;
    expect(cpu.system.beginStep()).toBe(false);
    cpu.rip = HIGH + 0x5000;
    expect(cpu.system.beginStep()).toBe(true);
    expect([cpu.rip, cpu.state.get(STATE.dr6) & 0xf]).toEqual([HANDLER, 1]);
    expect(cpu.stack(1)).toEqual([HIGH + 0x5000]);
  });

  it('watch data at 64-bit addresses', () => {
    cpu.call64('movToDr', 0, HIGH + 0x6008);
    cpu.call64('movToDr', 7, 1 | (3 << 16) | (2 << 18));
    cpu.mmu.readSlow64(0x6008, 8);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(0);
    cpu.state.set(STATE.attention, ATTENTION.alone);
    cpu.mmu.readSlow64(HIGH + 0x600c, 8);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(1);
  });

  it('wait for the instruction after MOV SS', () => {
    cpu.rip = HIGH + 0x5000;
    cpu.state.eflags |= 0x200;
    expect(cpu.call('loadSegment', SEG.ss, 0)).toBe(STATUS.next);
    cpu.rip = 0x5002;
    expect(cpu.system.mayInterrupt()).toBe(true);
    cpu.rip = HIGH + 0x5000;
    cpu.call('loadSegment', SEG.ss, 0);
    cpu.rip = HIGH + 0x5002;
    expect(cpu.system.mayInterrupt()).toBe(false);
    expect(cpu.system.mayInterrupt()).toBe(true);
  });
});
