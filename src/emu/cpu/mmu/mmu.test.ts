import { beforeEach, describe, expect, it } from 'vitest';
import type { IoDevice } from '../../bus/io-bus.ts';
import { ATTENTION, JUMP_CACHE, LINEAR, MODE, STATE, TLB } from '../state/layout.ts';
import { STATUS } from '../system/calls.ts';
import { CpuBench } from '../system/cpu-bench.suite.ts';

const P = 1;
const W = 2;
const U = 4;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
const G = 0x100;
const DIRECTORY = 0x10_0000;
const TABLE = 0x10_1000;
const SCRATCH = (cpu: CpuBench): number => cpu.state.at + STATE.scratch;

let cpu: CpuBench;
beforeEach(() => {
  cpu = new CpuBench();
});

const setCpl = (cpl: number): void => cpu.mmu.setPrivilege(cpl);
/** 32-bit paging: the first 4 MB by one table; `entries` maps page numbers to entries. */
function page32(entries: Record<number, number>, pde = TABLE | P | W | U, cr0 = 0x8001_0011): void {
  cpu.put32(DIRECTORY, pde);
  for (const [n, entry] of Object.entries(entries)) cpu.put32(TABLE + Number(n) * 4, entry);
  cpu.state.set(STATE.cr3, DIRECTORY);
  cpu.state.set(STATE.cr0, cr0 | 0);
  cpu.mmu.flush(false);
}
function write32(linear: number, value: number): number {
  cpu.physical.view.setUint32(SCRATCH(cpu), value, true);
  return cpu.mmu.writeSlow(linear, 4);
}
/** What generated code finds in the bank in use. */
function tlb(linear: number): { read: number; write: number; addend: number } {
  const at = cpu.state.get(STATE.tlbBase) + ((linear >>> 12) & (TLB.entries - 1)) * TLB.entryBytes;
  const word = (offset: number): number => cpu.physical.view.getInt32(at + offset, true);
  return { read: word(TLB.readTag), write: word(TLB.writeTag), addend: word(TLB.addend) };
}
const pageFault = (linear: number, code: number): void => {
  expect(cpu.takeFault()).toEqual([14, code]);
  expect(cpu.state.get(STATE.cr2) >>> 0).toBe(linear >>> 0);
};

describe('without paging', () => {
  it('reads in place and leaves a tag for generated code', () => {
    cpu.put32(0x1234, 0xcafe_f00d);
    const at = cpu.mmu.readSlow(0x1234, 4);
    expect(cpu.physical.view.getUint32(at, true)).toBe(0xcafe_f00d);
    const entry = tlb(0x1234);
    expect(entry.read).toBe(0x1000);
    expect(entry.write).toBe(0x1000);
    expect((entry.addend + 0x1234) >>> 0).toBe(LINEAR.guest + 0x1234);
  });

  it('reads ROM but has no write tag for it, and ignores writes', () => {
    cpu.physical.mapBacked(0xf_0000, 0x1000, LINEAR.guest + 0xf_0000, 'rom');
    cpu.physical.bytes[LINEAR.guest + 0xf_0000] = 0x55;
    expect(cpu.physical.bytes[cpu.mmu.readSlow(0xf_0000, 1)]).toBe(0x55);
    expect(tlb(0xf_0000)).toMatchObject({ read: 0xf_0000, write: TLB.invalidTag });
    expect(write32(0xf_0000, 0)).toBe(STATUS.next);
    expect(cpu.physical.bytes[LINEAR.guest + 0xf_0000]).toBe(0x55);
  });

  it('splits accesses to devices and never tags them', () => {
    const seen: string[] = [];
    const device: IoDevice = {
      read: (offset, width) => {
        seen.push(`r${offset}/${width}`);
        return offset + 1;
      },
      write: (offset, width, value) => {
        seen.push(`w${offset}/${width}=${value}`);
      },
    };
    cpu.physical.mapMmio(0xfee0_0000, 0x1000, device);
    const at = cpu.mmu.readSlow(0xfee0_0010 | 0, 8);
    expect(at).toBe(SCRATCH(cpu));
    expect(cpu.physical.view.getUint32(at, true)).toBe(0x11);
    expect(cpu.physical.view.getUint32(at + 4, true)).toBe(0x15);
    expect(write32(0xfee0_0020 | 0, 7)).toBe(STATUS.next);
    expect(seen).toEqual(['r16/4', 'r20/4', 'w32/4=7']);
    expect(tlb(0xfee0_0000).read).toBe(TLB.invalidTag);
    expect(cpu.mmu.modifySlow(0xfee0_0002 | 0, 2)).toBe(SCRATCH(cpu));
    cpu.physical.view.setUint16(SCRATCH(cpu), 0x1234, true);
    cpu.mmu.commitWrite();
    expect(seen.slice(3)).toEqual(['r2/2', `w2/2=${0x1234}`]);
  });

  it('gathers and scatters accesses that cross a page', () => {
    cpu.put32(0x2ffe, 0x4433_2211);
    const at = cpu.mmu.readSlow(0x2ffe, 4);
    expect(cpu.physical.view.getUint32(at, true)).toBe(0x4433_2211);
    expect(write32(0x3ffd, 0x8877_6655)).toBe(STATUS.next);
    expect(cpu.get32(0x3ffd)).toBe(0x8877_6655);
    expect(cpu.mmu.modifySlow(0x3ffd, 4)).toBe(SCRATCH(cpu));
    cpu.physical.view.setUint32(SCRATCH(cpu), 1, true);
    cpu.mmu.commitWrite();
    expect(cpu.get32(0x3ffd)).toBe(1);
  });

  it('wraps at 1 MB when the A20 gate is closed', () => {
    cpu.put32(0x500, 0xabcd);
    cpu.put32(0x10_0500, 0x1111);
    expect(cpu.mmu.readLinear(0x10_0500, 4, true)).toBe(0x1111);
    cpu.mmu.setA20(false);
    expect(cpu.mmu.readLinear(0x10_0500, 4, true)).toBe(0xabcd);
    cpu.mmu.setA20(true);
    expect(cpu.mmu.readLinear(0x10_0500, 4, true)).toBe(0x1111);
  });
});

describe('32-bit paging', () => {
  it('reports P, W and U of the error code, and the address', () => {
    page32({ 5: 0x5000 | P | U, 6: 0x6000 | P | W });
    setCpl(3);
    expect(cpu.mmu.readSlow(0x7123, 4)).toBe(0);
    pageFault(0x7123, U);
    expect(write32(0x7123, 0)).toBe(STATUS.fault);
    pageFault(0x7123, U | W);
    expect(write32(0x5008, 0)).toBe(STATUS.fault);
    pageFault(0x5008, P | W | U);
    expect(cpu.mmu.readSlow(0x6008, 4)).toBe(0);
    pageFault(0x6008, P | U);
    setCpl(0);
    expect(cpu.mmu.readSlow(0x40_0000, 4)).toBe(0);
    pageFault(0x40_0000, 0);
    expect(cpu.mmu.readSlow(0x6008, 4)).not.toBe(0);
    expect(write32(0x5008, 0)).toBe(STATUS.fault);
    pageFault(0x5008, P | W);
    // Without NXE a fetch says nothing of itself.
    expect(cpu.mmu.translateCode(0x40_0000)).toBe(-1);
    pageFault(0x40_0000, 0);
  });

  it('lets the supervisor write read-only pages without CR0.WP', () => {
    page32({ 5: 0x5000 | P | U }, TABLE | P | W | U, 0x8000_0011);
    expect(write32(0x5008, 0x77)).toBe(STATUS.next);
    expect(cpu.get32(0x5008)).toBe(0x77);
    setCpl(3);
    expect(write32(0x5008, 1)).toBe(STATUS.fault);
    pageFault(0x5008, P | W | U);
  });

  it('sets accessed and dirty flags only for what happened', () => {
    page32({ 5: 0x5000 | P | W | U, 6: 0x6000 | P | U });
    cpu.mmu.readSlow(0x5000, 1);
    expect(cpu.get32(DIRECTORY) & (A | D)).toBe(A);
    expect(cpu.get32(TABLE + 5 * 4) & (A | D)).toBe(A);
    // Not dirty yet: generated code must come here to write.
    expect(tlb(0x5000)).toMatchObject({ read: 0x5000, write: TLB.invalidTag });
    write32(0x5000, 1);
    expect(cpu.get32(TABLE + 5 * 4) & (A | D)).toBe(A | D);
    expect(tlb(0x5000).write).toBe(0x5000);
    setCpl(3);
    expect(write32(0x6000, 1)).toBe(STATUS.fault);
    expect(cpu.get32(TABLE + 6 * 4) & (A | D)).toBe(0);
    // The user bank is another.
    expect(tlb(0x5000).read).toBe(TLB.invalidTag);
  });

  it('translates 4 MB pages, and INVLPG drops all of one', () => {
    cpu.state.set(STATE.cr4, 0x10);
    cpu.put32(0x20_0abc, 0x1357);
    cpu.put32(DIRECTORY + 4 * 0x300, 0 | P | W | PS);
    page32({});
    expect(cpu.mmu.readLinear(0xc020_0abc, 4, true)).toBe(0x1357);
    cpu.mmu.readSlow(0xc020_1000 | 0, 4);
    expect(cpu.get32(DIRECTORY + 4 * 0x300) & (A | D)).toBe(A);
    expect(tlb(0xc020_1000).read).toBe(0xc020_1000 | 0);
    cpu.mmu.invalidatePage(0xc03f_f000 | 0);
    expect(tlb(0xc020_0000).read).toBe(TLB.invalidTag);
    expect(tlb(0xc020_1000).read).toBe(TLB.invalidTag);
    cpu.put32(DIRECTORY + 4 * 0x300, 0x2000 | P | PS);
    expect(cpu.mmu.readLinear(0xc020_0abc, 4, true)).toBe(-1);
    pageFault(0xc020_0abc, 9);
  });

  it('checks both pages of a write before it changes either', () => {
    page32({ 5: 0x5000 | P | W | U, 6: 0x6000 | P | U });
    cpu.put32(0x5ffc, 0xaaaa_aaaa);
    expect(write32(0x5ffe, 0x1234_5678)).toBe(STATUS.fault);
    pageFault(0x6000, P | W);
    expect(cpu.get32(0x5ffc)).toBe(0xaaaa_aaaa);
    expect(cpu.mmu.probeSlow(0x5f00, 0x200)).toBe(STATUS.fault);
    pageFault(0x6000, P | W);
    expect(cpu.mmu.probeSlow(0x5f00, 0x100)).toBe(STATUS.next);
  });

  it('keeps global pages when told so', () => {
    cpu.state.set(STATE.cr4, 0x80);
    page32({ 5: 0x5000 | P | W | U | G, 6: 0x6000 | P | W | U });
    cpu.mmu.readSlow(0x5000, 1);
    cpu.mmu.readSlow(0x6000, 1);
    cpu.mmu.flush(true);
    expect(tlb(0x5000).read).toBe(0x5000);
    expect(tlb(0x6000).read).toBe(TLB.invalidTag);
    cpu.mmu.flush(false);
    expect(tlb(0x5000).read).toBe(TLB.invalidTag);
  });

  it('goes by what an entry is now when pages take turns at its place', () => {
    cpu.state.set(STATE.cr4, 0x80);
    const global = 0x5000 | P | W | U | G;
    const local = 0x5000 | P | W | U;
    for (const entries of [
      [global, local],
      [local, global],
      [local, global, local],
      [global, local, global],
    ]) {
      page32({});
      for (const entry of entries) {
        cpu.put32(TABLE + 5 * 4, entry);
        cpu.mmu.invalidatePage(0x5000);
        cpu.mmu.readSlow(0x5000, 1);
      }
      for (let times = 0; times < 2; times++) {
        cpu.mmu.flush(true);
        expect(tlb(0x5000).read).toBe(entries.at(-1) === global ? 0x5000 : TLB.invalidTag);
      }
      cpu.mmu.flush(false);
      expect(tlb(0x5000).read).toBe(TLB.invalidTag);
    }
  });

  it('uses rights of level 3 for system code that asks so', () => {
    page32({ 5: 0x5000 | P | W });
    expect(cpu.mmu.readLinear(0x5000, 4, true)).toBe(0);
    expect(cpu.mmu.readLinear(0x5000, 4, false)).toBe(-1);
    pageFault(0x5000, P | U);
    expect(cpu.mmu.writeLinear(0x5000, 4, 5, true)).toBe(true);
    expect(cpu.mmu.checkWrite(0x5000, 4, false)).toBe(false);
    pageFault(0x5000, P | W | U);
  });
});

describe('PAE paging', () => {
  const PDPT = 0x10_0000;
  const PD = 0x10_1000;
  const PT = 0x10_2000;
  const NX = 0x8000_0000;
  const setUp = (nxe: boolean): void => {
    cpu.put32(PDPT, PD | P, 0);
    cpu.put32(PD, PT | P | W | U, 0);
    cpu.put32(PD + 8, 0x20_0000 | P | W | U | PS, 0);
    cpu.state.set(STATE.cr4, 0x20);
    cpu.state.set(STATE.efer, nxe ? 0x800 : 0);
    cpu.state.set(STATE.cr3, PDPT);
    expect(cpu.mmu.loadPdptes(PDPT)).toBe(true);
    cpu.state.set(STATE.cr0, 0x8001_0011 | 0);
    cpu.mmu.flush(false);
  };

  it('translates 4 KB and 2 MB pages', () => {
    setUp(false);
    cpu.put32(PT + 5 * 8, 0x7000 | P | W, 0);
    cpu.put32(0x7010, 0xfeed);
    cpu.put32(0x21_2340, 0xbeef);
    expect(cpu.mmu.readLinear(0x5010, 4, true)).toBe(0xfeed);
    expect(cpu.mmu.readLinear(0x21_2340, 4, true)).toBe(0xbeef);
    expect(cpu.mmu.translateCode(0x21_2340)).toBe(0x21_2340);
    expect(cpu.mmu.readLinear(0x4000_0000, 4, true)).toBe(-1);
    pageFault(0x4000_0000, 0);
  });

  it('faults on reserved bits', () => {
    setUp(false);
    cpu.put32(PT + 5 * 8, 0x7000 | P | W, 0x100);
    expect(cpu.mmu.readLinear(0x5010, 4, true)).toBe(-1);
    pageFault(0x5010, 9);
    cpu.put32(PT + 5 * 8, 0x7000 | P | W, NX);
    expect(cpu.mmu.readLinear(0x5010, 4, true)).toBe(-1);
    pageFault(0x5010, 9);
    cpu.put32(PD + 8, 0x20_2000 | P | W | U | PS, 0);
    expect(cpu.mmu.readLinear(0x20_0000, 4, true)).toBe(-1);
    pageFault(0x20_0000, 9);
  });

  it('refuses to fetch from pages with XD once EFER.NXE is set', () => {
    setUp(true);
    cpu.put32(PT + 5 * 8, 0x7000 | P | W | U, NX);
    expect(cpu.mmu.readLinear(0x5010, 4, true)).toBe(0);
    expect(cpu.mmu.translateCode(0x5010)).toBe(-1);
    pageFault(0x5010, P | 0x10);
    setCpl(3);
    expect(cpu.mmu.translateCode(0x5010)).toBe(-1);
    pageFault(0x5010, P | U | 0x10);
    expect(cpu.mmu.translateCode(0x6010)).toBe(-1);
    pageFault(0x6010, U | 0x10);
  });

  it('reads physical addresses above 4 GB as nothing there', () => {
    setUp(false);
    cpu.put32(PT + 5 * 8, 0x7000 | P | W, 0x1);
    cpu.put32(0x7010, 0xfeed);
    expect(cpu.mmu.readLinear(0x5010, 4, true)).toBe(0xffff_ffff);
    expect(cpu.mmu.writeLinear(0x5010, 4, 1, true)).toBe(true);
    expect(cpu.get32(0x7010)).toBe(0xfeed);
  });

  it('refuses PDPTEs with reserved bits and loads none of them', () => {
    setUp(false);
    cpu.put32(PDPT + 0x20, PD | P, 0, PD | P | 2, 0);
    expect(cpu.mmu.loadPdptes(PDPT + 0x20)).toBe(false);
    expect(cpu.mmu.readLinear(0x21_2340, 4, true)).toBe(0);
  });
});

describe('stores that somebody watches', () => {
  it('asks the code cache, and restarts without storing', () => {
    const asked: string[] = [];
    let answer: 'go' | 'restart' = 'go';
    cpu.mmu.codeWatch = {
      beforeStore: (physical, byteCount) => {
        asked.push(`${physical}+${byteCount}`);
        return answer;
      },
    };
    write32(0x5000, 1);
    expect(tlb(0x5000).write).toBe(0x5000);
    cpu.physical.markCode(0x5000);
    cpu.mmu.protectCode(0x5123);
    expect(tlb(0x5000)).toMatchObject({ read: 0x5000, write: TLB.invalidTag });
    expect(write32(0x5010, 2)).toBe(STATUS.next);
    expect(tlb(0x5000).write).toBe(TLB.invalidTag);
    answer = 'restart';
    expect(write32(0x5010, 3)).toBe(STATUS.restart);
    expect(cpu.get32(0x5010)).toBe(2);
    cpu.state.set(STATE.faultVector, 5);
    expect(cpu.mmu.modifySlow(0x4ffe, 4)).toBe(0);
    expect(cpu.state.get(STATE.faultVector)).toBe(-1);
    expect(asked).toEqual([`${0x5010}+4`, `${0x5010}+4`, `${0x5000}+2`]);
    // System code cannot restart: it stores, and the System leaves the block.
    expect(cpu.mmu.writeLinear(0x5010, 4, 9, true)).toBe(true);
    expect(cpu.get32(0x5010)).toBe(9);
    expect(cpu.mmu.codeTouched).toBe(true);
  });

  it('marks tracked pages dirty again after each round', () => {
    cpu.physical.mapBacked(0xa_0000, 0x2000, LINEAR.guest + 0xa_0000, 'tracked');
    const mapAt = (LINEAR.guest + 0xa_0000) >>> 12;
    cpu.mmu.readSlow(0xa_0000, 4);
    expect(tlb(0xa_0000).write).toBe(TLB.invalidTag);
    expect(cpu.physical.dirtyMap[mapAt]).toBe(0);
    write32(0xa_0000, 1);
    expect(cpu.physical.dirtyMap[mapAt]).toBe(1);
    expect(tlb(0xa_0000).write).toBe(0xa_0000);
    cpu.physical.dirtyMap[mapAt] = 0;
    cpu.mmu.flushTracked();
    expect(tlb(0xa_0000)).toMatchObject({ read: 0xa_0000, write: TLB.invalidTag });
    write32(0xa_0004, 1);
    expect(cpu.physical.dirtyMap[mapAt]).toBe(1);
    expect(cpu.physical.dirtyMap[mapAt + 1]).toBe(0);
  });

  it('finds data breakpoints and keeps their pages out of the TLB', () => {
    cpu.state.set(STATE.dr, 0x5004);
    cpu.state.set(STATE.dr + 8, 0x5010);
    // 0: write, 4 bytes, local. 1: read or write, 2 bytes, global.
    cpu.state.set(STATE.dr7, 0x1 | 0x8 | (0xd << 16) | (0x7 << 20));
    cpu.mmu.breakpointsChanged();
    cpu.mmu.readSlow(0x5004, 4);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(0);
    expect(tlb(0x5000).read).toBe(TLB.invalidTag);
    // The instruction is to run alone: nothing is written, nothing remembered.
    expect(write32(0x5001, 1)).toBe(STATUS.restart);
    expect([cpu.get32(0x5000), cpu.state.get(STATE.pendingDebug)]).toEqual([0, 0]);
    expect(cpu.mmu.readSlow(0x5011, 1)).toBe(0);
    expect(cpu.state.get(STATE.faultVector)).toBe(-1);
    cpu.state.set(STATE.attention, ATTENTION.alone);
    expect(write32(0x5001, 1)).toBe(STATUS.next);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(1);
    expect(cpu.state.get(STATE.mode) & MODE.step).toBe(MODE.step);
    cpu.mmu.readSlow(0x5011, 1);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(3);
    cpu.state.set(STATE.pendingDebug, 0);
    write32(0x5008, 1);
    expect(cpu.state.get(STATE.pendingDebug)).toBe(0);
  });
});

describe('jump caches', () => {
  const find = (eip: number): number => cpu.mmu.jumps.find(eip, 0);
  const put = (...pairs: [eip: number, header: number][]): void => {
    for (const [eip, header] of pairs) cpu.mmu.jumps.put(eip, 0, header);
  };
  /** An entry by its number: tag, record, region and its offset. */
  const entry = (number: number): Int32Array => {
    const at = cpu.state.get(STATE.jumpCacheBase) + (number % JUMP_CACHE.entries) * JUMP_CACHE.entryBytes;
    return new Int32Array(cpu.physical.bytes.buffer, at, JUMP_CACHE.entryBytes / 4);
  };

  it('are emptied by flushes and by a change of mode, one bank at a time', () => {
    put([0x5000, 77]);
    cpu.mmu.modeChanged(MODE.code32, 0);
    expect(find(0x5000)).toBe(0);
    put([0x5000, 77]);
    setCpl(3);
    cpu.mmu.modeChanged(MODE.stack32, 0);
    expect(find(0x5000)).toBe(0);
    setCpl(0);
    cpu.mmu.modeChanged(MODE.code32, 0);
    expect(find(0x5000)).toBe(77);
    cpu.mmu.invalidatePage(0x1234_5000);
    expect(find(0x5000)).toBe(77);
    cpu.mmu.translateCode(0x5000);
    cpu.mmu.flush(true);
    expect(find(0x5000)).toBe(0);
  });

  it('keep two places that share an entry, where generated code looks', () => {
    const same = 0x5000 | (1 << 26);
    put([0x5000, 77], [same, 78], [0x5000, 77]);
    expect([find(0x5000), find(same)]).toEqual([77, 78]);
    expect([...entry(0x5005)].slice(0, 2)).toEqual([0x5000, 77]);
    expect([...entry(0x5004)].slice(0, 2)).toEqual([same, 78]);
    put([0x5000 | (1 << 27), 79]);
    expect([find(0x5000), find(same), find(0x5000 | (1 << 27))]).toEqual([77, 0, 79]);
    cpu.mmu.translateCode(0x5000);
    cpu.mmu.flush(false);
    expect([find(0x5000), find(same), find(0x5000 | (1 << 27))]).toEqual([0, 0, 0]);
  });

  it('forget a region, and know none of a block that is new to them', () => {
    const number = 0x5005;
    const region = JUMP_CACHE.region / 4;
    const slot = (n: number): number => (n << 16) | 1;
    put([0x5000, 77], [0x5100, 78]);
    entry(number)[region] = slot(9);
    entry(number + 0x100)[region] = slot(10);
    cpu.mmu.jumps.forgetRegion(9);
    expect([entry(number)[region], entry(number + 0x100)[region]]).toEqual([0, slot(10)]);
    expect([find(0x5000), find(0x5100)]).toEqual([77, 78]);
    put([0x5100, 79]);
    expect([find(0x5100), entry(number + 0x100)[region]]).toEqual([79, 0]);
    // A block that makes room for another takes what is known of it along.
    entry(number)[region] = slot(9);
    put([0x5000 | (1 << 26), 80]);
    expect([...entry(number ^ 1)].slice(0, 3)).toEqual([0x5000, 77, slot(9)]);
    cpu.mmu.jumps.forgetRegion(9);
    expect(entry(number ^ 1)[region]).toBe(0);
  });

  it('lose what begins on an invalidated page, or may reach into it, and nothing else', () => {
    const epoch = new Int32Array(cpu.physical.bytes.buffer, cpu.state.at + STATE.codeEpoch, 1);
    cpu.mmu.modeChanged(MODE.code32, 0);
    put([0x5123, 77], [0x4ffe, 78], [0x6000, 79]);
    cpu.mmu.translateCode(0x5000);
    const before = epoch[0];
    cpu.mmu.invalidatePage(0x7000);
    expect([find(0x5123), find(0x4ffe), find(0x6000), epoch[0]]).toEqual([77, 78, 79, before]);
    cpu.mmu.invalidatePage(0x5000);
    expect([find(0x5123), find(0x4ffe), find(0x6000)]).toEqual([0, 0, 79]);
    // Regions ask again where their pages are.
    expect(epoch[0]).not.toBe(before);
  });

  it('lose everything when a large page that code was fetched from is invalidated anywhere, and nothing for data beside it', () => {
    cpu.state.set(STATE.cr4, 0x10);
    cpu.put32(DIRECTORY + 4 * 0x300, 0 | P | W | PS);
    cpu.put32(DIRECTORY + 4 * 0x301, 0 | P | W | PS);
    page32({});
    cpu.mmu.modeChanged(MODE.code32, 0);
    cpu.mmu.readSlow(0xc040_1000 | 0, 4);
    cpu.mmu.translateCode(0xc020_1000 | 0);
    put([0xc020_1000 | 0, 77]);
    cpu.mmu.invalidatePage(0xc040_1000 | 0);
    expect(find(0xc020_1000 | 0)).toBe(77);
    cpu.mmu.invalidatePage(0xc03f_f000 | 0);
    expect(find(0xc020_1000 | 0)).toBe(0);
  });

  it('outlast a flush that keeps global pages when they hold code of no others', () => {
    cpu.state.set(STATE.cr4, 0x80);
    page32({ 5: 0x5000 | P | W | G, 6: 0x6000 | P | W });
    cpu.mmu.modeChanged(MODE.code32, 0);
    cpu.mmu.translateCode(0x5000);
    put([0x5000, 77]);
    cpu.mmu.flush(true);
    expect(find(0x5000)).toBe(77);
    // INVLPG drops global translations too.
    cpu.mmu.invalidatePage(0x5000);
    expect(find(0x5000)).toBe(0);
    cpu.mmu.translateCode(0x5000);
    cpu.mmu.translateCode(0x6000);
    put([0x5000, 77]);
    cpu.mmu.flush(true);
    expect(find(0x5000)).toBe(0);
  });
});
