import { beforeEach, describe, expect, it } from 'vitest';
import { GPR, LINEAR, MODE, SEG, STATE } from '../state/layout.ts';
import { STATUS } from './calls.ts';
import { CpuBench, SEL, TSS_AT } from './cpu-bench.suite.ts';
import { HIGH, LongBench, PML4, PT, SEL64 } from './long-bench.suite.ts';

const GP0 = [13, 0];
const EFER = 0xc000_0080;
const LONG = MODE.long | MODE.code32 | MODE.stack32 | MODE.flat;
const FLAT32 = MODE.code32 | MODE.stack32 | MODE.flat;

let cpu: LongBench;
beforeEach(() => {
  cpu = new LongBench();
});
/** 'ok' or the fault of a MOV to a control register. */
const write = (number: number, value: number, target: LongBench = cpu): unknown =>
  target.call64('movToCr', number, value) === STATUS.fault ? target.takeFault() : 'ok';

describe('entering IA-32e mode', () => {
  it('sets EFER.LMA with CR0.PG, and 64-bit mode with a far jump', () => {
    expect(cpu.rdmsr(EFER)).toBe(0xd01);
    expect(cpu.state.get(STATE.mode)).toBe(LONG);
    expect(cpu.state.get(STATE.tlbBase)).toBe(LINEAR.tlb64);
    expect(cpu.state.get(STATE.jumpCacheBase)).toBe(LINEAR.jumpCache64);
  });

  it('needs CR4.PAE, and a TSS of 32 bits', () => {
    const bench = new CpuBench();
    bench.enterProtectedMode();
    const enable = (): unknown =>
      bench.call('movToCr', 0, 0x8001_0031 | 0) === STATUS.fault ? bench.takeFault() : 'ok';
    bench.state.setGpr(GPR.ecx, EFER | 0);
    bench.state.setGpr(GPR.eax, 0x100);
    bench.state.setGpr(GPR.edx, 0);
    bench.call('wrmsr');
    bench.call('movToCr', 3, PML4);
    expect(enable()).toEqual(GP0);
    bench.call('movToCr', 4, 0x20);
    bench.descriptor(SEL.tss2, TSS_AT, 0x2b, 0x81);
    bench.call('loadTr', SEL.tss2);
    expect(enable()).toEqual(GP0);
    expect(bench.state.get(STATE.cr0)).toBe(0x11);
    bench.descriptor(SEL.tss, TSS_AT, 0x67, 0x89);
    bench.call('loadTr', SEL.tss);
    expect(enable()).toBe('ok');
    expect(bench.state.get(STATE.efer)).toBe(0x500);
  });

  it('is refused while CS.L is set', () => {
    const bench = new CpuBench();
    bench.enterProtectedMode();
    bench.descriptor(SEL64.code0, 0, 0xf_ffff, 0xa09a);
    bench.call('farJump', SEL64.code0, 0x5000, 32);
    // Outside IA-32e mode L means nothing.
    expect(bench.state.get(STATE.mode) & MODE.long).toBe(0);
    bench.call('movToCr', 4, 0x20);
    bench.state.setGpr(GPR.ecx, EFER | 0);
    bench.state.setGpr(GPR.eax, 0x100);
    bench.state.setGpr(GPR.edx, 0);
    expect(bench.call('wrmsr')).toBe(STATUS.next);
    expect(bench.call('movToCr', 0, 0x8001_0031 | 0)).toBe(STATUS.fault);
    expect(bench.takeFault()).toEqual(GP0);
  });

  it('does not exist without --longmode', () => {
    const bench = new CpuBench({ longMode: false });
    bench.state.setGpr(GPR.ecx, EFER | 0);
    bench.state.setGpr(GPR.edx, 0);
    for (const bit of [0x100, 1]) {
      bench.state.setGpr(GPR.eax, bit);
      expect(bench.call('wrmsr')).toBe(STATUS.fault);
      expect(bench.takeFault()).toEqual(GP0);
    }
    bench.state.setGpr(GPR.ecx, 0xc000_0102 | 0);
    expect(bench.call('rdmsr')).toBe(STATUS.fault);
    bench.state.setGpr(GPR.eax, 0x8000_0001 | 0);
    bench.call('cpuid');
    expect(bench.state.gpr(GPR.edx) & (1 << 29)).toBe(0);
  });

  it('keeps rules while it lasts', () => {
    expect(write(0, 0x1_0031)).toEqual(GP0);
    expect(write(4, 0)).toEqual(GP0);
    expect(cpu.wrmsr(EFER, 0x801)).toEqual(GP0);
    expect(cpu.wrmsr(EFER, 0x900)).toBe('ok');
    expect(cpu.rdmsr(EFER)).toBe(0xd00);
    expect(cpu.wrmsr(EFER, 0x1000_0000_0000)).toEqual(GP0);
    expect(cpu.wrmsr(EFER, 0x902)).toEqual(GP0);
  });

  it('is left by way of compatibility mode', () => {
    cpu.putQuad(0x7000, 0x5010, SEL.code0);
    cpu.rsp = HIGH + 0x7000;
    expect(cpu.call('farReturn', 64, 0)).toBe(STATUS.jumped);
    expect([cpu.state.get(STATE.mode), cpu.eip]).toEqual([FLAT32, 0x5010]);
    expect(cpu.state.get(STATE.tlbBase)).toBe(LINEAR.tlb);
    cpu.at(0x5010);
    expect(cpu.call('movToCr', 0, 0x1_0031)).toBe(STATUS.jumped);
    expect(cpu.state.get(STATE.efer)).toBe(0x901);
    expect(cpu.mmu.readLinear(0x7000, 4, true)).toBe(0x5010);
  });
});

describe('control registers in 64-bit mode', () => {
  it('refuse what is reserved in 64 bits', () => {
    expect(write(0, 0x1_8001_0031)).toEqual(GP0);
    expect(write(4, 0x1_0000_0020)).toEqual(GP0);
    expect(write(4, 0x1020)).toEqual(GP0);
    // Beyond the 40 bits of a physical address.
    expect(write(3, 2 ** 40 + PML4)).toEqual(GP0);
    expect(write(3, 2 ** 39 + PML4)).toBe('ok');
    expect(write(8, 16)).toEqual(GP0);
    expect(write(5, 0)).toBe(6);
  });

  it('are read whole', () => {
    const read = (number: number): number => {
      expect(cpu.call('movFromCr', number)).toBe(STATUS.next);
      return cpu.state.address(STATE.queryResult);
    };
    write(2, HIGH + 0x123);
    expect(write(8, 9)).toBe('ok');
    expect([read(0), read(2), read(3), read(4), read(8)]).toEqual(
      [0x8001_0031 | 0, HIGH + 0x123, PML4, 0x20, 9].map((v, n) => (n === 0 ? v >>> 0 : v)),
    );
    expect(cpu.call('movFromCr', 1)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toBe(6);
    cpu.enterUser64();
    expect(cpu.call('movFromCr', 8)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
  });

  it('have debug registers of 64 bits', () => {
    expect(cpu.call64('movToDr', 1, HIGH + 0x1234)).toBe(STATUS.jumped);
    cpu.call('movFromDr', 1);
    expect(cpu.state.address(STATE.queryResult)).toBe(HIGH + 0x1234);
    expect(cpu.call64('movToDr', 7, 2 ** 32)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
    cpu.call('movFromDr', 7);
    expect(cpu.state.address(STATE.queryResult)).toBe(0x400);
  });
});

describe('process-context identifiers', () => {
  const PCIDE = 0x2_0020;
  const invpcid = (type: number, pcid: number, linear: number): unknown =>
    cpu.call64('invpcid', type, pcid, linear) === STATUS.fault ? cpu.takeFault() : 'ok';

  it('are enabled with PCID 0 in IA-32e mode only', () => {
    expect(write(3, 2 ** 63)).toEqual(GP0);
    expect(write(3, PML4 + 1)).toBe('ok');
    expect(write(4, PCIDE)).toEqual(GP0);
    expect(write(3, PML4)).toBe('ok');
    expect(write(4, PCIDE)).toBe('ok');
    expect(cpu.call64('movToCr', 0, 0x1_0031)).toBe(STATUS.fault);
    cpu.takeFault();
    // Bit 63 asks for no flush and is not kept.
    cpu.state.set(STATE.wideArgument + 8, PML4 + 5);
    cpu.state.set(STATE.wideArgument + 12, 0x8000_0000 | 0);
    expect(cpu.call('movToCr', 3, PML4 + 5)).toBe(STATUS.jumped);
    expect(cpu.state.address(STATE.cr3)).toBe(PML4 + 5);
    const bench = new CpuBench();
    expect(bench.call('movToCr', 4, PCIDE)).toBe(STATUS.fault);
  });

  it('are what INVPCID drops translations by', () => {
    write(4, PCIDE | 0x80);
    write(3, PML4 + 5);
    const read = (): number => cpu.mmu.readLinear(HIGH + 0x6000, 4, true);
    const remap = (frame: number): void => cpu.put32(PT + 6 * 8, (frame << 12) | 7);
    cpu.put32(0x6000, 6);
    cpu.put32(0x7000, 7);
    expect(read()).toBe(6);
    remap(7);
    expect(read()).toBe(6);
    expect(invpcid(0, 5, HIGH + 0x6000)).toBe('ok');
    expect(read()).toBe(7);
    remap(6);
    expect(invpcid(1, 5, 0)).toBe('ok');
    expect(read()).toBe(6);
    // Global ones stay but for type 2.
    cpu.put32(PT + 6 * 8, 0x6107);
    invpcid(2, 0, 0);
    expect(read()).toBe(6);
    remap(7);
    expect(invpcid(3, 0, 0)).toBe('ok');
    expect(read()).toBe(6);
    expect(invpcid(2, 0, 0)).toBe('ok');
    expect(read()).toBe(7);
  });

  it('and INVPCID refuses', () => {
    expect(invpcid(4, 0, 0)).toEqual(GP0);
    expect(invpcid(0, 5, 0)).toEqual(GP0);
    expect(invpcid(0, 0x1000, 0)).toEqual(GP0);
    expect(invpcid(0, 0, 2 ** 47)).toEqual(GP0);
    cpu.enterUser64();
    expect(invpcid(2, 0, 0)).toEqual(GP0);
  });
});

describe('model-specific registers of 64-bit mode', () => {
  it('hold canonical addresses', () => {
    for (const number of [0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102, 0x175, 0x176]) {
      expect(cpu.wrmsr(number, HIGH + 0x1234_5678)).toBe('ok');
      expect(cpu.rdmsr(number)).toBe(HIGH + 0x1234_5678);
      expect(cpu.wrmsr(number, 2 ** 47)).toEqual(GP0);
      expect(cpu.wrmsr(number, -(2 ** 47) - 1)).toEqual(GP0);
      expect(cpu.wrmsr(number, 2 ** 47 - 1)).toBe('ok');
    }
    expect(cpu.wrmsr(0xc000_0084, 2 ** 32)).toEqual(GP0);
    expect(cpu.wrmsr(0xc000_0103, 2 ** 32)).toEqual(GP0);
    expect(cpu.wrmsr(0xc000_0081, 0x0063_0008 * 2 ** 32)).toBe('ok');
  });

  it('are where FS and GS have their bases', () => {
    cpu.wrmsr(0xc000_0101, HIGH + 0x77);
    expect(cpu.state.address(STATE.segments + SEG.gs * 32)).toBe(HIGH + 0x77);
    // Loading a selector takes 32 bits of base from the descriptor.
    cpu.descriptor(SEL.free, 0x8765_4321, 0xf_ffff, 0xc0f2);
    cpu.call('loadSegment', SEG.gs, SEL.free);
    expect(cpu.rdmsr(0xc000_0101)).toBe(0x8765_4321);
  });

  it('give RDTSCP its auxiliary value', () => {
    cpu.ticks = 0x12_3456_789a;
    cpu.wrmsr(0xc000_0103, 0x42);
    cpu.setRegister(GPR.ecx, -1);
    expect(cpu.call('rdtscp')).toBe(STATUS.next);
    expect([cpu.register(GPR.eax), cpu.register(GPR.edx), cpu.register(GPR.ecx)]).toEqual([0x3456_789a, 0x12, 0x42]);
  });
});

describe('changing between compatibility and 64-bit mode', () => {
  it('keeps flags and the low halves of registers', () => {
    cpu.setRegister(GPR.ebx, HIGH + 0x1234_5678);
    cpu.state.set(STATE.flagAux, 0);
    // A 64-bit result whose low half is 0: not zero, negative, parity even.
    cpu.state.set(STATE.flagResult, 0);
    cpu.state.set(STATE.flagResult + 4, 0x8000_0000 | 0);
    expect(cpu.state.eflags & 0xc4).toBe(0x84);
    cpu.putQuad(0x7000, 0x5010, SEL.code0);
    cpu.rsp = HIGH + 0x7000;
    cpu.call('farReturn', 64, 0);
    expect(cpu.state.eflags & 0xc4).toBe(0x84);
    expect(cpu.state.gpr(GPR.ebx)).toBe(0x1234_5678);
    cpu.at(0x5010);
    cpu.call('farJump', SEL64.code0, 0x5020, 32);
    expect(cpu.state.eflags & 0xc4).toBe(0x84);
    expect([cpu.rip, cpu.register(GPR.ebx)]).toEqual([0x5020, 0x1234_5678]);
  });

  it('survives saving and restoring', () => {
    cpu.enterUser64();
    const saved = new Uint8Array(cpu.physical.bytes.buffer.slice(cpu.state.at, cpu.state.at + STATE.end));
    const other = new LongBench();
    new Uint8Array(other.physical.bytes.buffer, other.state.at).set(saved);
    other.system.reload();
    expect([other.state.get(STATE.mode), other.cpl, other.rip]).toEqual([LONG, 3, 0x6000]);
    expect(other.state.get(STATE.tlbBase)).toBe(LINEAR.tlb64 + LINEAR.tlb64BankBytes);
    expect(other.mmu.readSlow64(HIGH + 0x1000, 8)).not.toBe(0);
  });
});
