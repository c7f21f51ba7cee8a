import { beforeEach, describe, expect, it } from 'vitest';
import type { IoDevice } from '../../bus/io-bus.ts';
import { LINEAR, MODE, RECORD, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { STATUS, STRING_IO } from './calls.ts';
import { CpuBench, SEL, TSS_AT } from './cpu-bench.suite.ts';

let cpu: CpuBench;
beforeEach(() => {
  cpu = new CpuBench();
  cpu.at(0x5000, 0x5003);
});
const GP0 = [13, 0];

describe('control registers', () => {
  it('refuse what the manual refuses', () => {
    const write = (n: number, value: number): unknown =>
      cpu.call('movToCr', n, value | 0) === STATUS.fault ? cpu.takeFault() : 'ok';
    expect(write(0, 0x8000_0010)).toEqual(GP0);
    expect(write(0, 0x2000_0010)).toEqual(GP0);
    expect(write(4, 0x1)).toEqual(GP0);
    expect(write(4, 0x2000)).toEqual(GP0);
    expect(write(4, 0x7fc)).toBe('ok');
    expect(write(1, 0)).toBe(6);
    expect(write(0, 0xffff_ffff)).toBe('ok');
    expect(cpu.state.get(STATE.cr0) >>> 0).toBe(0xe005_003f);
  });

  it('load PDPTEs when PAE paging begins, and refuse bad ones', () => {
    cpu.call('movToCr', 4, 0x20);
    cpu.put32(0x10_0000, 0x10_1003, 0);
    cpu.call('movToCr', 3, 0x10_0000);
    expect(cpu.call('movToCr', 0, 0x8000_0011 | 0)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
    expect(cpu.state.get(STATE.cr0) & 1).toBe(0);
    cpu.put32(0x10_0000, 0x10_1001);
    cpu.put32(0x10_1000, 0x83);
    expect(cpu.call('movToCr', 0, 0x8000_0011 | 0)).toBe(STATUS.jumped);
    expect(cpu.mmu.readLinear(0x1234, 4, true)).toBe(0);
    expect(cpu.mmu.readLinear(0x20_0000, 4, true)).toBe(-1);
    expect(cpu.call('movToCr', 3, 0x10_0000)).toBe(STATUS.jumped);
  });

  it('drop translations on CR3, CR0.WP and INVLPG', () => {
    cpu.put32(0x10_0000, 0x10_1007);
    for (let i = 0; i < 16; i++) cpu.put32(0x10_1000 + i * 4, (i << 12) | 7);
    cpu.call('movToCr', 3, 0x10_0000);
    cpu.call('movToCr', 0, 0x8000_0011 | 0);
    cpu.put32(0x5000, 5);
    cpu.put32(0x6000, 6);
    expect(cpu.mmu.readLinear(0x5000, 4, true)).toBe(5);
    cpu.put32(0x10_1000 + 5 * 4, 0x6007);
    expect(cpu.mmu.readLinear(0x5000, 4, true)).toBe(5);
    expect(cpu.call('invlpg', 0x5000)).toBe(STATUS.jumped);
    expect(cpu.mmu.readLinear(0x5000, 4, true)).toBe(6);
    cpu.put32(0x10_1000 + 5 * 4, 0x5005);
    cpu.call('movToCr', 3, 0x10_0000);
    expect(cpu.mmu.writeLinear(0x5000, 4, 7, true)).toBe(true);
    cpu.call('movToCr', 0, 0x8001_0011 | 0);
    expect(cpu.mmu.writeLinear(0x5000, 4, 8, true)).toBe(false);
    expect(cpu.takeFault()).toEqual([14, 3]);
  });

  it('let LMSW set PE but not clear it', () => {
    cpu.call('lmsw', 0xf);
    expect(cpu.state.get(STATE.cr0) & 0xf).toBe(0xf);
    cpu.call('lmsw', 0);
    expect(cpu.state.get(STATE.cr0) & 0xf).toBe(1);
    cpu.call('lmsw', 8);
    cpu.call('clts');
    expect(cpu.state.get(STATE.cr0) & 0xf).toBe(1);
  });

  it('belong to level 0, like everything privileged', () => {
    cpu.enterProtectedMode();
    cpu.enterUser();
    for (const name of [
      'movToCr',
      'movToDr',
      'movFromDr',
      'clts',
      'lmsw',
      'loadGdt',
      'loadIdt',
      'loadLdt',
      'loadTr',
      'invlpg',
      'invd',
      'wbinvd',
      'rdmsr',
      'wrmsr',
      'rdpmc',
      'halt',
      'sysexit',
    ] as const) {
      expect(cpu.call(name)).toBe(STATUS.fault);
      expect([name, cpu.takeFault()]).toEqual([name, GP0]);
    }
  });
});

describe('debug registers', () => {
  it('have fixed bits, and aliases unless CR4.DE', () => {
    cpu.call('movToDr', 6, 0);
    cpu.call('movFromDr', 4);
    expect(cpu.state.get(STATE.queryResult) >>> 0).toBe(0xffff_0ff0);
    cpu.call('movToDr', 7, 0);
    cpu.call('movFromDr', 5);
    expect(cpu.state.get(STATE.queryResult)).toBe(0x400);
    cpu.call('movToDr', 3, -5);
    cpu.call('movFromDr', 3);
    expect(cpu.state.get(STATE.queryResult)).toBe(-5);
    cpu.call('movToCr', 4, 8);
    expect(cpu.call('movFromDr', 4)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toBe(6);
  });

  it('are guarded by GD until the handler runs', () => {
    cpu.enterProtectedMode();
    cpu.gate(0x2000 + 8, SEL.code0, 0x7010, 0x8e);
    cpu.call('movToDr', 7, 0x2000);
    expect(cpu.call('movFromDr', 0)).toBe(STATUS.fault);
    cpu.system.deliverFault();
    expect(cpu.eip).toBe(0x7010);
    expect(cpu.state.get(STATE.dr6) & 0x2000).toBe(0x2000);
    expect(cpu.call('movFromDr', 7)).toBe(STATUS.next);
    expect(cpu.state.get(STATE.queryResult)).toBe(0x400);
  });
});

describe('SYSENTER and SYSEXIT', () => {
  it('go to flat level 0 and back', () => {
    cpu.enterProtectedMode();
    const msr = (n: number, value: number): void => {
      cpu.state.setGpr(1, n);
      cpu.state.setGpr(0, value);
      cpu.state.setGpr(2, 0);
      expect(cpu.call('wrmsr')).toBe(STATUS.next);
    };
    cpu.enterProtectedMode();
    expect(cpu.call('sysenter')).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
    msr(0x174, SEL.code0);
    msr(0x175, 0x8800);
    msr(0x176, 0x7700);
    cpu.state.setGpr(4, 0x8000);
    cpu.enterUser();
    expect(cpu.call('sysenter')).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.eip, cpu.esp, cpu.selector(SEG.cs), cpu.selector(SEG.ss)]).toEqual([0, 0x7700, 0x8800, 8, 16]);
    expect(cpu.state.eflags & 0x200).toBe(0);
    cpu.state.setGpr(2, 0x6006);
    cpu.state.setGpr(1, 0xa000);
    expect(cpu.call('sysexit')).toBe(STATUS.jumped);
    expect([cpu.cpl, cpu.eip, cpu.esp, cpu.selector(SEG.cs), cpu.selector(SEG.ss)]).toEqual([
      3, 0x6006, 0xa000, 0x1b, 0x23,
    ]);
    expect(cpu.state.get(STATE.mode)).toBe(MODE.code32 | MODE.stack32 | MODE.flat);
  });
});

describe('model-specific registers, TSC and CPUID', () => {
  const rdmsr = (n: number): unknown => {
    cpu.state.setGpr(1, n);
    return cpu.call('rdmsr') === STATUS.fault
      ? cpu.takeFault()
      : (BigInt(cpu.state.gpr(2) >>> 0) << 32n) | BigInt(cpu.state.gpr(0) >>> 0);
  };
  const wrmsr = (n: number, value: bigint): unknown => {
    cpu.state.setGpr(1, n);
    cpu.state.setGpr(0, Number(BigInt.asIntN(32, value)));
    cpu.state.setGpr(2, Number(BigInt.asIntN(32, value >> 32n)));
    return cpu.call('wrmsr') === STATUS.fault ? cpu.takeFault() : 'ok';
  };

  it('count from any value, modulo 2^64', () => {
    cpu.ticks = 0x1_2345_6789_a;
    expect(rdmsr(0x10)).toBe(0x1_2345_6789_an);
    for (const value of [0n, 0xffff_ffffn, 0xffff_ffff_ffff_fff0n, 0x1234_0000_0000n]) {
      wrmsr(0x10, value);
      expect(rdmsr(0x10)).toBe(value);
      cpu.ticks += 0x1_0000_0020;
      expect(rdmsr(0x10)).toBe(BigInt.asUintN(64, value + 0x1_0000_0020n));
    }
  });

  it('count along with IA32_TSC_ADJUST', () => {
    const modulo = (value: bigint): bigint => BigInt.asUintN(64, value);
    cpu.ticks = 0x1_0000_0000;
    expect(rdmsr(0x3b)).toBe(0n);
    for (const value of [0x1_0000_0500n, 5n, 0xffff_ffff_ffff_fff0n, 0x77_0000_0000n]) {
      wrmsr(0x10, value);
      expect(rdmsr(0x3b)).toBe(modulo(value - 0x1_0000_0000n));
    }
    for (const value of [0n, 0x1234_5678_9abcn, 0xffff_ffff_ffff_ff00n, 1n]) {
      wrmsr(0x3b, value);
      expect([rdmsr(0x3b), rdmsr(0x10)]).toEqual([value, modulo(0x1_0000_0000n + value)]);
    }
    cpu.system.reset();
    expect(rdmsr(0x3b)).toBe(0n);
  });

  it('check values, and know no others', () => {
    expect(rdmsr(0x277)).toBe(0x0007_0406_0007_0406n);
    expect(wrmsr(0x277, 0x0007_0406_0207_0406n)).toEqual(GP0);
    expect(wrmsr(0x277, 0x0001_0406_0007_0406n)).toBe('ok');
    expect(rdmsr(0x277)).toBe(0x0001_0406_0007_0406n);
    expect(wrmsr(0xc000_0080 | 0, 0x1000n)).toEqual(GP0);
    expect(wrmsr(0xc000_0080 | 0, 0x800n)).toBe('ok');
    expect(rdmsr(0xc000_0080 | 0)).toBe(0x800n);
    for (const n of [0x1b, 0x6e0, 0x800, 0x210, 0x1234]) expect(rdmsr(n)).toEqual(GP0);
  });

  it('count no performance: leaf 0Ah says so, counters and RDPMC are not there', () => {
    cpu.state.setGpr(0, 0xa);
    cpu.state.setGpr(1, 0);
    cpu.call('cpuid');
    expect([0, 3, 1, 2].map((register) => cpu.state.gpr(register))).toEqual([0, 0, 0, 0]);
    for (const n of [0xc1, 0x186, 0x309, 0x345, 0x38d, 0x38f, 0x390]) {
      expect([n, rdmsr(n)]).toEqual([n, GP0]);
      expect([n, wrmsr(n, 0n)]).toEqual([n, GP0]);
    }
    cpu.state.setGpr(1, 0);
    expect(cpu.call('rdpmc')).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
  });

  it('keep memory type ranges, checked as hardware does', () => {
    expect(rdmsr(0xfe)).toBe(0x508n);
    expect(wrmsr(0xfe, 0n)).toEqual(GP0);
    const good: [number, bigint][] = [
      [0x200, 0xf_8000_0006n],
      [0x20f, 0xf_ff00_0800n],
      [0x250, 0x0605_0401_0006_0606n],
      [0x26f, 0x0606_0606_0606_0606n],
      [0x2ff, 0xc06n],
      [0x17a, 7n],
      [0x40c, 0xffff_ffff_ffff_ffffn],
      [0x401, 0n],
    ];
    for (const [n, value] of good) {
      expect([n, wrmsr(n, value)]).toEqual([n, 'ok']);
      expect([n, rdmsr(n)]).toEqual([n, value]);
    }
    const bad: [number, bigint][] = [
      [0x200, 0x100_0000_0000n], // beyond the physical address
      [0x200, 2n], // no such type
      [0x200, 0x100n],
      [0x201, 1n],
      [0x250, 0x0700_0000_0000_0000n],
      [0x2ff, 3n],
      [0x2ff, 0x1006n],
      [0x179, 0n],
      [0x17a, 8n],
      [0x401, 1n],
    ];
    for (const [n, value] of bad) expect([n, wrmsr(n, value)]).toEqual([n, GP0]);
    for (const [n, value] of good) expect(rdmsr(n)).toBe(value);
    expect(rdmsr(0x179)).toBe(4n);
    expect(rdmsr(0x410)).toEqual(GP0);
    cpu.system.reset();
    for (const n of [0x200, 0x250, 0x2ff]) expect(rdmsr(n)).toBe(0n);
    cpu.system.setMemoryTypes(0x8000_0000);
    expect([0x258, 0x259, 0x26f, 0x200, 0x201, 0x2ff].map(rdmsr)).toEqual([
      0x0606_0606_0606_0606n,
      0n,
      0x0505_0505_0505_0505n,
      0x8000_0000n,
      0xff_8000_0800n,
      0xc06n,
    ]);
  });

  it('are announced', () => {
    const cpuid = (leaf: number, sub = 0): number[] => {
      cpu.state.setGpr(0, leaf | 0);
      cpu.state.setGpr(1, sub);
      cpu.call('cpuid');
      return [0, 3, 1, 2].map((r) => cpu.state.gpr(r) >>> 0);
    };
    const text = (words: number[]): string =>
      words.map((w) => String.fromCharCode(w & 255, (w >> 8) & 255, (w >> 16) & 255, w >>> 24)).join('');
    const [max, b, c, d] = cpuid(0);
    expect([max, text([b, d, c])]).toEqual([0x15, 'GenuineIntel']);
    const [signature, , ecx, edx] = cpuid(1);
    expect((signature >> 8) & 15).toBe(6);
    expect(edx).toBe(0x0789_f9fd);
    expect(ecx).toBe(0x36da_3203);
    expect(cpuid(7)).toEqual([0, 0x2198_05ab, 4, 0]);
    // LAHF in 64-bit mode, LZCNT; SYSCALL, NX, 1 GB pages, RDTSCP, 64-bit mode; widths of 48 and 40 bits.
    expect(cpuid(0x8000_0001).slice(2)).toEqual([0x21, 0x2c10_0800]);
    expect(cpuid(0x8000_0008)[0]).toBe(0x3028);
    const brand = [2, 3, 4].flatMap((n) => cpuid(0x8000_0000 + n));
    expect(text(brand).replace(/\0+$/, '')).toBe('TabBox virtual CPU');
    // Leaf 4: 2 MB of L2.
    const [, ebx, sets] = cpuid(4, 2);
    expect(((ebx >>> 22) + 1) * ((ebx & 0xfff) + 1) * (sets + 1)).toBe(2 * 1024 * 1024);
    expect(cpuid(4, 3)).toEqual([0, 0, 0, 0]);
    wrmsr(0x1a0, 1n << 22n);
    expect(cpuid(0)[0]).toBe(3);
  });

  it('keep RDTSC from programs with CR4.TSD', () => {
    cpu.enterProtectedMode();
    cpu.call('movToCr', 4, 4);
    expect(cpu.call('rdtsc')).toBe(STATUS.next);
    cpu.enterUser();
    expect(cpu.call('rdtsc')).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
  });
});

describe('POPF', () => {
  it('sets everything at level 0 but VM, VIF and VIP, and clears RF', () => {
    cpu.enterProtectedMode();
    cpu.put32(0x8000, 0xffff_ffff);
    cpu.state.set(STATE.eflags, 0x1_0002);
    expect(cpu.call('popFlags', 32)).toBe(STATUS.jumped);
    expect(cpu.state.eflags).toBe(0x24_7fd7);
    expect(cpu.state.get(STATE.mode) & MODE.step).toBe(MODE.step);
    cpu.put16(0x8004, 2);
    cpu.call('popFlags', 16);
    expect([cpu.state.eflags, cpu.esp]).toEqual([0x24_0002, 0x8006]);
  });
});

describe('HLT and FERR#', () => {
  it('waits at the next instruction', () => {
    expect(cpu.call('halt')).toBe(STATUS.jumped);
    expect([cpu.state.get(STATE.halted), cpu.eip]).toEqual([1, 0x5003]);
  });

  it('is #MF with CR0.NE, else a wait for IRQ 13 unless IGNNE#', () => {
    expect(cpu.call('floatError')).toBe(STATUS.jumped);
    expect(cpu.eip).toBe(0x5000);
    cpu.ignoreFloatError = true;
    expect(cpu.call('floatError')).toBe(STATUS.next);
    cpu.call('movToCr', 0, 0x30);
    expect(cpu.call('floatError')).toBe(STATUS.fault);
    expect(cpu.takeFault()).toBe(16);
  });
});

describe('ports', () => {
  let log: string[];
  beforeEach(() => {
    log = [];
    let next = 0x1000;
    const device: IoDevice = {
      read: (offset, width) => {
        log.push(`r${offset}/${width}`);
        return next++ & (width === 1 ? 0xff : 0xffff);
      },
      write: (offset, width, value) => {
        log.push(`w${offset}/${width}=${value}`);
      },
    };
    cpu.ports.map(0x1f0, 8, device, { maxWidth: 4 });
  });

  it('are open at IOPL, else by the permission map', () => {
    cpu.enterProtectedMode();
    cpu.enterUser();
    // 1F1h is allowed, everything else is not.
    for (let i = 0; i < 0x42; i++) cpu.physical.writeSized(TSS_AT + 0x68 + i, 1, i === 0x3e ? 0xfd : 0xff);
    expect(cpu.call('in', 0x1f1, 8)).toBe(STATUS.next);
    expect(cpu.call('in', 0x1f1, 16)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
    expect(cpu.call('out', 0x1f0, 8, 1)).toBe(STATUS.fault);
    expect(log).toEqual(['r1/1']);
    // Beyond the TSS limit nothing is allowed.
    cpu.put16(TSS_AT + 0x66, 0x2ff8);
    expect(cpu.call('in', 0x40, 8)).toBe(STATUS.fault);
    cpu.state.eflags |= 0x3000;
    expect(cpu.call('out', 0x1f2, 16, -1)).toBe(STATUS.next);
    expect(log.at(-1)).toBe('w2/2=65535');
  });

  it('always ask the map in virtual-8086 mode', () => {
    cpu.enterProtectedMode();
    cpu.enterVirtual(0x100, 0x800, 3);
    expect(cpu.call('in', 0x1f0, 8)).toBe(STATUS.next);
    cpu.physical.writeSized(TSS_AT + 0x68 + 0x3e, 1, 1);
    expect(cpu.call('in', 0x1f0, 8)).toBe(STATUS.fault);
  });

  it('move strings, and stop where a page is missing', () => {
    cpu.enterProtectedMode();
    cpu.put32(0x10_0000, 0x10_1003);
    for (let i = 0; i < 16; i++) cpu.put32(0x10_1000 + i * 4, (i << 12) | 3);
    cpu.put32(0x10_1000 + 12 * 4, 0);
    cpu.call('movToCr', 3, 0x10_0000);
    cpu.call('movToCr', 0, 0x8000_0011 | 0);
    cpu.state.setGpr(1, 8);
    cpu.state.setGpr(2, 0x1f0);
    cpu.state.setGpr(7, 0xbffa);
    expect(cpu.call('inString', 16, STRING_IO.address32 | STRING_IO.repeat)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual([14, 2]);
    expect([cpu.state.gpr(1), cpu.state.gpr(7), log.length]).toEqual([5, 0xc000, 3]);
    expect([cpu.get16(0xbffa), cpu.get16(0xbffe)]).toEqual([0x1000, 0x1002]);
  });

  it('let long repeats be interrupted', () => {
    cpu.state.setGpr(1, 300);
    cpu.state.setGpr(2, 0x1f0);
    cpu.state.setGpr(7, 0x100);
    cpu.state.set(STATE.budget, 10_000);
    expect(cpu.call('inString', 16, STRING_IO.repeat)).toBe(STATUS.jumped);
    expect([cpu.eip, cpu.state.gpr(1), cpu.state.gpr(7)]).toEqual([0x5000, 44, 0x300]);
    expect(cpu.state.get(STATE.budget)).toBe(10_000 - 256);
    expect(cpu.call('inString', 16, STRING_IO.repeat)).toBe(STATUS.next);
    expect(cpu.state.gpr(1)).toBe(0);
  });

  it('write strings downwards, checking the segment that the record names', () => {
    cpu.enterProtectedMode();
    cpu.descriptor(SEL.free, 0x7000, 0x10, 0x4090);
    cpu.call('loadSegment', SEG.gs, SEL.free);
    const record = LINEAR.records;
    cpu.state.set(STATE.record, record);
    const slot = cpu.state.at + STATE.segments + SEG.gs * SEGMENT.bytes;
    cpu.physical.view.setUint16(record + RECORD.segment, slot, true);
    cpu.put32(0x700c, 0xaabb_ccdd);
    cpu.state.setGpr(2, 0x1f0);
    cpu.state.setGpr(6, 0xd);
    cpu.state.eflags = 0x402;
    expect(cpu.call('outString', 8, STRING_IO.address32, 0x7000)).toBe(STATUS.next);
    expect([log, cpu.state.gpr(6)]).toEqual([['w0/1=204'], 0xc]);
    cpu.state.setGpr(6, 0x11);
    expect(cpu.call('outString', 8, STRING_IO.address32, 0x7000)).toBe(STATUS.fault);
    expect(cpu.takeFault()).toEqual(GP0);
  });

  it('hit I/O breakpoints with CR4.DE', () => {
    cpu.call('movToDr', 0, 0x1f0);
    cpu.call('movToDr', 7, 1 | (2 << 16) | (1 << 18));
    cpu.call('in', 0x1f1, 8);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(0);
    cpu.call('movToCr', 4, 8);
    cpu.call('in', 0x1f1, 8);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(1);
  });
});

describe('stores of system code', () => {
  it('leave a block that they hit', () => {
    cpu.enterProtectedMode();
    cpu.physical.markCode(0x1000);
    cpu.mmu.protectCode(0x1000);
    cpu.mmu.codeWatch = { beforeStore: () => 'restart' };
    cpu.descriptor(SEL.free, 0, 0xf_ffff, 0xc0f2);
    cpu.at(0x5000, 0x5002);
    // Setting the accessed bit is the store.
    expect(cpu.call('loadSegment', SEG.es, SEL.free)).toBe(STATUS.jumped);
    expect(cpu.eip).toBe(0x5002);
    expect(cpu.call('loadSegment', SEG.es, SEL.free)).toBe(STATUS.next);
  });
});
