import { beforeEach, describe, expect, it } from 'vitest';
import { LINEAR, STATE, TLB, TLB64 } from '../state/layout.ts';
import { STACK_ACCESS, STATUS } from '../system/calls.ts';
import { HIGH, LongBench, PD, PDPT, PML4, PT } from '../system/long-bench.suite.ts';

const P = 1;
const W = 2;
const U = 4;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
const NX = 0x8000_0000;
const FETCH = 0x10;

let cpu: LongBench;
beforeEach(() => {
  cpu = new LongBench();
});
const setCpl = (cpl: number): void => cpu.mmu.setPrivilege(cpl);
/** Sets a page table entry of the first 2 MB and forgets its translation. */
function page(n: number, low: number, high = 0): void {
  cpu.put32(PT + n * 8, low, high);
  cpu.mmu.flush(false);
}
const scratch = (): number => cpu.state.at + STATE.scratch;
function write(linear: number, byteCount = 8): unknown {
  cpu.physical.view.setUint32(scratch(), 0x1234_5678, true);
  return cpu.mmu.writeSlow64(linear, byteCount) === STATUS.fault ? cpu.takeFault() : 'ok';
}
const read = (linear: number, byteCount = 8): unknown =>
  cpu.mmu.readSlow64(linear, byteCount) === 0 ? cpu.takeFault() : 'ok';
const fetch = (linear: number): unknown => {
  const at = cpu.mmu.translateCode(linear);
  return at < 0 ? cpu.takeFault() : at;
};
/** What generated code finds in the bank in use. */
function tlb(linear: number): { read: number | null; write: number | null; host: number } {
  const at = cpu.state.get(STATE.tlbBase) + ((linear >>> 12) & (TLB64.entries - 1)) * TLB64.entryBytes;
  const { view } = cpu.physical;
  const tag = (offset: number): number | null =>
    view.getInt32(at + offset, true) === TLB.invalidTag
      ? null
      : view.getInt32(at + offset + 4, true) * 2 ** 32 + view.getUint32(at + offset, true);
  return {
    read: tag(TLB64.readTag),
    write: tag(TLB64.writeTag),
    host: ((view.getInt32(at + TLB64.addend, true) + (linear | 0)) >>> 0) - LINEAR.guest,
  };
}

describe('4-level paging', () => {
  it('translates 4 KB pages, and leaves tags for generated code', () => {
    cpu.put32(0x6010, 0xcafe);
    expect(cpu.mmu.readSlow64(HIGH + 0x6010, 8)).toBe(LINEAR.guest + 0x6010);
    expect(tlb(HIGH + 0x6010)).toEqual({ read: HIGH + 0x6000, write: null, host: 0x6010 });
    expect(write(HIGH + 0x6010)).toBe('ok');
    expect(tlb(HIGH + 0x6010)).toEqual({ read: HIGH + 0x6000, write: HIGH + 0x6000, host: 0x6010 });
    expect(cpu.get32(0x6010)).toBe(0x1234_5678);
    // The same page at its other address is another entry in the same place.
    read(0x6010);
    expect(tlb(0x6010).read).toBe(0x6000);
  });

  it('takes all 48 bits of an address', () => {
    cpu.put32(0x6000, 0xfeed);
    // PML4 entry 321, directory-pointer entry 123, directory entry 45, table entry 67: sign-extended.
    const tables = 0x10_0000;
    cpu.put32(PML4 + 321 * 8, tables | 7, 0);
    cpu.put32(tables + 123 * 8, (tables + 0x1000) | 7, 0);
    cpu.put32(tables + 0x1000 + 45 * 8, (tables + 0x2000) | 7, 0);
    cpu.put32(tables + 0x2000 + 67 * 8, 0x6000 | 7, 0);
    const at = 321 * 2 ** 39 + 123 * 2 ** 30 + 45 * 2 ** 21 + 67 * 2 ** 12 - 2 ** 48;
    expect(cpu.mmu.readLinear(at, 4, true)).toBe(0xfeed);
    expect(read(at + 0x1000)).toEqual([14, 0]);
    expect(cpu.state.address(STATE.cr2)).toBe(at + 0x1000);
  });

  it('translates 2 MB and 1 GB pages', () => {
    cpu.put32(0x20_f000, 0x2468);
    expect(cpu.mmu.readLinear(HIGH + 0x20_f000, 4, true)).toBe(0x2468);
    cpu.put32(PDPT + 8, 0x0 | P | W | U | PS, 0);
    expect(cpu.mmu.readLinear(0x4020_f000, 4, true)).toBe(0x2468);
    expect(cpu.get32(PDPT + 8) & (A | D)).toBe(A);
    cpu.mmu.invalidatePage(0x7000_0000);
    cpu.put32(PDPT + 8, 0, 0);
    expect(read(0x4020_f000)).toEqual([14, 0]);
    expect(new LongBench({ cpuidSet: [{ leaf: 0x8000_0001, eax: 0, ebx: 0, ecx: 0, edx: 0x2810_0800 }] })).toSatisfy(
      (other: LongBench) => {
        other.put32(PDPT + 8, P | W | U | PS, 0);
        return other.mmu.readSlow64(0x4000_0000, 4) === 0 && String(other.takeFault()) === '14,9';
      },
    );
  });

  it('reports P, W, U, RSVD and I/D', () => {
    setCpl(3);
    page(6, 0x6000 | P | U);
    expect(write(0x6000)).toEqual([14, P | W | U]);
    page(6, 0x6000 | P | W);
    expect(read(0x6000)).toEqual([14, P | U]);
    page(6, 0);
    expect(read(0x6000)).toEqual([14, U]);
    cpu.state.set(STATE.efer, cpu.state.get(STATE.efer) & ~0x800);
    expect(fetch(0x6000)).toEqual([14, U]);
    cpu.state.set(STATE.efer, cpu.state.get(STATE.efer) | 0x800);
    expect(fetch(0x6000)).toEqual([14, U | FETCH]);
    page(6, 0x6000 | P | U, NX);
    expect(read(0x6000)).toBe('ok');
    expect(fetch(0x6000)).toEqual([14, P | U | FETCH]);
    page(6, 0x6000 | P | U, 0x100);
    expect(read(0x6000)).toEqual([14, P | U | 8]);
    // Bits 52 to 62 are the system's.
    page(6, 0x6000 | P | U, 0x7ff0_0000);
    expect(read(0x6000)).toBe('ok');
    setCpl(0);
    cpu.state.set(STATE.efer, cpu.state.get(STATE.efer) & ~0x800);
    page(6, 0x6000 | P | U, NX);
    expect(read(0x6000)).toEqual([14, P | 8]);
  });

  it('joins the rights of all levels', () => {
    setCpl(3);
    for (const [at, base] of [
      [PML4, PDPT],
      [PDPT, PD],
      [PD, PT],
    ] as const) {
      cpu.put32(at, base | P | U);
      cpu.mmu.flush(false);
      expect(write(0x6000)).toEqual([14, P | W | U]);
      expect(read(0x6000)).toBe('ok');
      cpu.put32(at, base | P | W);
      cpu.mmu.flush(false);
      expect(read(0x6000)).toEqual([14, P | U]);
      cpu.put32(at, base | P | W | U);
    }
    cpu.put32(PML4, PDPT | P | W | U | PS);
    cpu.mmu.flush(false);
    expect(read(0x6000)).toEqual([14, P | U | 8]);
  });

  it('sets accessed flags at every level, and dirty where it was written', () => {
    for (const [at, base] of [
      [PML4, PDPT],
      [PDPT, PD],
      [PD, PT],
    ] as const)
      cpu.put32(at, base | 7);
    page(6, 0x6000 | 7);
    expect(write(0x6000)).toBe('ok');
    expect([PML4, PDPT, PD, PT + 6 * 8].map((at) => cpu.get32(at) & (A | D))).toEqual([A, A, A, A | D]);
  });

  it('reads nothing beyond the physical memory there is', () => {
    page(6, 0x6000 | 7, 0xff);
    cpu.put32(0x6000, 1);
    expect(cpu.mmu.readLinear(0x6000, 4, true)).toBe(0xffff_ffff);
  });

  it('drops parts of large pages together', () => {
    read(HIGH + 0x20_0000);
    read(HIGH + 0x21_0000);
    read(HIGH + 0x6000);
    cpu.call64('invlpg', HIGH + 0x20_3000);
    expect([tlb(HIGH + 0x20_0000).read, tlb(HIGH + 0x21_0000).read]).toEqual([null, null]);
    read(HIGH + 0x7000);
    cpu.call64('invlpg', HIGH + 0x1_0000_7000);
    expect(tlb(HIGH + 0x7000).read).toBe(HIGH + 0x7000);
    cpu.call64('invlpg', HIGH + 0x7000);
    expect(tlb(HIGH + 0x7000).read).toBe(null);
  });
});

describe('canonical addresses', () => {
  it('are the only ones', () => {
    for (const at of [2 ** 47, -(2 ** 47) - 1, 2 ** 62, -(2 ** 63)]) {
      expect(read(at)).toEqual([13, 0]);
      expect(write(at)).toEqual([13, 0]);
      expect(read(at, 8 | STACK_ACCESS)).toEqual([12, 0]);
      expect(write(at, 4 | STACK_ACCESS)).toEqual([12, 0]);
      expect(cpu.mmu.modifySlow64(at, 8 | STACK_ACCESS)).toBe(0);
      expect(cpu.takeFault()).toEqual([12, 0]);
      expect(cpu.mmu.probeSlow64(at, 8)).toBe(STATUS.fault);
      expect(cpu.takeFault()).toEqual([13, 0]);
      expect(fetch(at)).toEqual([13, 0]);
    }
  });

  it('end in the middle of an access', () => {
    cpu.put32(PML4 + 255 * 8, PDPT | 7, 0);
    cpu.put32(PDPT + 511 * 8, PD | 7, 0);
    cpu.put32(PD + 511 * 8, PT | 7, 0);
    expect(read(2 ** 47 - 8)).toBe('ok');
    expect(read(2 ** 47 - 4)).toEqual([13, 0]);
    expect(write(2 ** 47 - 1, 2)).toEqual([13, 0]);
  });

  it('go round from the top to 0', () => {
    cpu.put32(PDPT + 511 * 8, PD | 7, 0);
    cpu.put32(PD + 511 * 8, PT | 7, 0);
    cpu.put32(0x1f_fffc, 0x1111_1111);
    cpu.put32(0, 0x2222_2222);
    const at = cpu.mmu.readSlow64(-4, 8);
    expect([cpu.physical.view.getUint32(at, true), cpu.physical.view.getUint32(at + 4, true)]).toEqual([
      ...[0x1111_1111, 0x2222_2222],
    ]);
  });
});

describe('compatibility mode', () => {
  it('uses the same tables with 32-bit addresses', () => {
    cpu.put32(PDPT + 3 * 8, PD | 7, 0);
    cpu.put32(0x6000, 0xabcd);
    cpu.enterCompatibility();
    expect(cpu.mmu.readSlow(0xc000_6000 | 0, 4)).toBe(LINEAR.guest + 0x6000);
    const narrow = cpu.state.get(STATE.tlbBase) + 6 * TLB.entryBytes;
    expect(cpu.physical.view.getInt32(narrow, true)).toBe(0xc000_6000 | 0);
    expect(cpu.mmu.readSlow(0x8000_6000 | 0, 4)).toBe(0);
    expect(cpu.takeFault()).toEqual([14, U]);
    expect(cpu.state.address(STATE.cr2)).toBe(0x8000_6000);
    cpu.mmu.invalidatePage(0xc000_6000);
    expect(cpu.physical.view.getInt32(narrow, true)).toBe(TLB.invalidTag);
  });
});

describe('SMEP and SMAP', () => {
  it('keep the supervisor from user pages', () => {
    cpu.put32(PT + 6 * 8, 0x6000 | P | W);
    expect(cpu.call64('movToCr', 4, 0x30_0020)).toBe(STATUS.jumped);
    expect(fetch(0x7000)).toEqual([14, P | FETCH]);
    expect(fetch(0x6000)).toBe(0x6000);
    expect(read(0x7000)).toEqual([14, P]);
    expect(write(0x7000)).toEqual([14, P | W]);
    expect(read(0x6000)).toBe('ok');
  });

  it('let AC switch SMAP off, one bank for each', () => {
    cpu.call64('movToCr', 4, 0x20_0020);
    expect(cpu.call('stac')).toBe(STATUS.next);
    expect(cpu.state.eflags & 0x4_0000).toBe(0x4_0000);
    expect(read(0x7000)).toBe('ok');
    expect(tlb(0x7000).read).toBe(0x7000);
    cpu.call('clac');
    expect(tlb(0x7000).read).toBe(null);
    expect(read(0x7000)).toEqual([14, P]);
    cpu.call('stac');
    expect(tlb(0x7000).read).toBe(0x7000);
    // INVLPG reaches every bank.
    cpu.call64('invlpg', 0x7000);
    expect(tlb(0x7000).read).toBe(null);
    setCpl(3);
    cpu.state.eflags |= 0x4_0000;
    cpu.system.updateMode();
    // Implicit accesses of the supervisor do not heed AC of level 3.
    expect(cpu.mmu.readLinear(0x7000, 4, true)).toBe(-1);
    expect(cpu.takeFault()).toEqual([14, P]);
    expect(read(0x7000)).toBe('ok');
    expect(cpu.call('clac')).toBe(STATUS.fault);
    expect(cpu.takeFault()).toBe(6);
  });

  it('follow POPF', () => {
    page(8, 0x8000 | P | W);
    cpu.call64('movToCr', 4, 0x20_0020);
    cpu.putQuad(0x8000, 0x4_0002, 2);
    cpu.call('popFlags', 64);
    expect(read(0x7000)).toBe('ok');
    cpu.call('popFlags', 64);
    expect(read(0x7000)).toEqual([14, P]);
  });
});

describe('stores that somebody watches', () => {
  it('lose their tags in every bank', () => {
    write(0x6000);
    write(HIGH + 0x6000);
    cpu.physical.markCode(0x6000);
    cpu.mmu.protectCode(0x6000);
    expect(tlb(HIGH + 0x6000).write).toBe(null);
    const asked: number[] = [];
    cpu.mmu.codeWatch = {
      beforeStore: (at) => {
        asked.push(at);
        return 'restart';
      },
    };
    expect(cpu.mmu.writeSlow64(HIGH + 0x6008, 8)).toBe(STATUS.restart);
    expect(cpu.mmu.modifySlow64(HIGH + 0x5ffe, 8)).toBe(0);
    expect(asked).toEqual([0x6008, 0x6000]);
  });

  it('are gathered and scattered across pages', () => {
    cpu.put32(0x5ffc, 0x1111_1111, 0x2222_2222);
    const at = cpu.mmu.modifySlow64(HIGH + 0x5ffc, 8);
    expect(at).toBe(scratch());
    expect(cpu.physical.view.getUint32(at + 4, true)).toBe(0x2222_2222);
    cpu.physical.view.setUint32(at, 3, true);
    cpu.mmu.commitWrite();
    expect([cpu.get32(0x5ffc), cpu.get32(0x6000)]).toEqual([3, 0x2222_2222]);
  });
});
