import { CodedError } from '#base/errors.ts';
import { PAGE_BYTES } from '#base/units.ts';
import type { IoDevice, Width } from '../bus/io-bus.ts';
import type { DmaMemory } from '../bus/wires.ts';

/**
 * Flags in the low bits of a page-map entry; the rest of the entry is the page's byte offset in linear memory.
 * An entry without `backed` is MMIO (`entry >>> 12` is the region number) or, when 0, a hole.
 */
export const PAGE = {
  /** Reads come straight from linear memory. */
  backed: 1 << 0,
  /** Writes go straight to linear memory. Without it a backed page is ROM: writes go to its region's device or nowhere. */
  writable: 1 << 1,
  /** The page holds decoded instructions: writes must tell `onCodeWrite`. */
  code: 1 << 2,
  /** Writes must set the page's bit in the dirty map (video memory). */
  tracked: 1 << 3,
  /** An MMIO region answers (reads unless backed; writes unless writable). */
  mmio: 1 << 4,
} as const;

const MAP_PAGES = 1 << 20; // 4 GB of guest-physical space in 4 KB pages.

export interface PhysicalMemoryParts {
  /** The one linear memory of the machine: WebAssembly memory, shared with every worker. */
  readonly buffer: SharedArrayBuffer;
  /** Byte offset of the page map, `PAGE_MAP_BYTES` long, zeroed. */
  readonly pageMapAt: number;
  /** Byte offset of the dirty map: one byte a page of linear memory (not a bit: writers need no atomic), zeroed. */
  readonly dirtyMapAt: number;
}

export const PAGE_MAP_BYTES: number = MAP_PAGES * 4;
export const DIRTY_MAP_BYTES: number = MAP_PAGES;

/** Guest-physical address space below 4 GB: what answers at each page. */
export class PhysicalMemory implements DmaMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** One entry a page; see `PAGE`. WebAssembly code reads the same table. */
  readonly pageMap: Uint32Array;
  /** One byte a page of linear memory: 1 once a page mapped `tracked` was written; its reader clears it. */
  readonly dirtyMap: Uint8Array;
  readonly #regions: (IoDevice | undefined)[] = [undefined];
  readonly #regionBase: number[] = [0];
  readonly #regionMaxWidth: number[] = [4];
  /** Pages that refer to each region; one with none may be used again. */
  readonly #regionPages: number[] = [1];
  /** Region that takes writes to ROM pages, by page (flash, shadow control); sparse. */
  readonly #romWriters = new Map<number, number>();

  /** Called before a write to a page that holds decoded code. Set by the CPU. */
  onCodeWrite: (at: number, bytes: number) => void = () => {};
  /** Called when a mapping changed and cached translations must go. Set by the CPU. */
  onMapChanged: () => void = () => {};

  constructor(parts: PhysicalMemoryParts) {
    this.bytes = new Uint8Array(parts.buffer);
    this.view = new DataView(parts.buffer);
    this.pageMap = new Uint32Array(parts.buffer, parts.pageMapAt, MAP_PAGES);
    this.dirtyMap = new Uint8Array(parts.buffer, parts.dirtyMapAt, MAP_PAGES);
  }

  /**
   * Maps pages of linear memory.
   * @param base guest-physical, page-aligned
   * @param byteCount multiple of 4096
   * @param offset byte offset in linear memory of the first page, page-aligned
   */
  mapBacked(base: number, byteCount: number, offset: number, kind: 'ram' | 'rom' | 'tracked'): void {
    this.#checkRange(base, byteCount);
    const flags = PAGE.backed | (kind === 'rom' ? 0 : PAGE.writable) | (kind === 'tracked' ? PAGE.tracked : 0);
    for (let at = 0; at < byteCount; at += PAGE_BYTES) {
      this.#replace((base + at) / PAGE_BYTES, (offset + at) | flags);
    }
    this.onMapChanged();
  }

  /** Maps a device's registers. `base` and `byteCount` page-aligned. Accesses wider than `maxWidth` are split. */
  mapMmio(base: number, byteCount: number, device: IoDevice, maxWidth: Width = 4): void {
    this.#checkRange(base, byteCount);
    const region = this.#region(base, device, maxWidth);
    for (let at = 0; at < byteCount; at += PAGE_BYTES) {
      this.#replace((base + at) / PAGE_BYTES, ((region << 12) | PAGE.mmio) >>> 0);
      this.#regionPages[region]++;
    }
    this.onMapChanged();
  }

  /** Lets a device see the writes to ROM pages mapped before (flash programming). */
  mapRomWrites(base: number, byteCount: number, device: IoDevice): void {
    this.#checkRange(base, byteCount);
    const region = this.#region(base, device, 4);
    for (let at = 0; at < byteCount; at += PAGE_BYTES) {
      const page = (base + at) / PAGE_BYTES;
      this.#releaseRomWriter(page);
      this.#romWriters.set(page, region);
      this.#regionPages[region]++;
    }
  }

  unmap(base: number, byteCount: number): void {
    this.#checkRange(base, byteCount);
    for (let at = 0; at < byteCount; at += PAGE_BYTES) this.#replace((base + at) / PAGE_BYTES, 0);
    this.onMapChanged();
  }

  /** The raw entry of the page that holds `at`; 0 above 4 GB. */
  entry(at: number): number {
    return at < 0x1_0000_0000 ? this.pageMap[Math.floor(at / PAGE_BYTES)] : 0;
  }

  /** Marks the page as holding decoded code; returns the new entry. Only RAM and ROM pages hold code. */
  markCode(at: number): void {
    this.pageMap[Math.floor(at / PAGE_BYTES)] |= PAGE.code;
  }

  unmarkCode(at: number): void {
    this.pageMap[Math.floor(at / PAGE_BYTES)] &= ~PAGE.code;
  }

  /** A CPU-sized read that stays inside one page. Unmapped reads are all ones. Unsigned result. */
  readSized(at: number, width: Width): number {
    const e = this.entry(at);
    if (e & PAGE.backed) {
      const offset = (e & ~0xfff) >>> 0;
      const index = offset + (at % PAGE_BYTES);
      return width === 1
        ? this.bytes[index]
        : width === 2
          ? this.view.getUint16(index, true)
          : this.view.getUint32(index, true);
    }
    if (e & PAGE.mmio) return this.#mmioRead(e >>> 12, at, width);
    return width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff;
  }

  /** A CPU-sized write that stays inside one page. */
  writeSized(at: number, width: Width, value: number): void {
    const e = this.entry(at);
    if (e & PAGE.writable) {
      if (e & PAGE.code) this.onCodeWrite(at, width);
      if (e & PAGE.tracked) this.dirtyMap[e >>> 12] = 1;
      const index = ((e & ~0xfff) >>> 0) + (at % PAGE_BYTES);
      if (width === 1) this.bytes[index] = value;
      else if (width === 2) this.view.setUint16(index, value, true);
      else this.view.setUint32(index, value, true);
      return;
    }
    if (e & PAGE.mmio) this.#mmioWrite(e >>> 12, at, width, value);
    else if (e & PAGE.backed) {
      const region = this.#romWriters.get(Math.floor(at / PAGE_BYTES));
      if (region !== undefined) this.#mmioWrite(region, at, width, value);
    }
  }

  read(at: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const here = Math.min(into.length - done, PAGE_BYTES - ((at + done) % PAGE_BYTES));
      const e = this.entry(at + done);
      if (e & PAGE.backed) {
        const index = ((e & ~0xfff) >>> 0) + ((at + done) % PAGE_BYTES);
        into.set(this.bytes.subarray(index, index + here), done);
      } else {
        for (let i = 0; i < here; i++) into[done + i] = this.readSized(at + done + i, 1);
      }
      done += here;
    }
  }

  write(at: number, from: Uint8Array): void {
    for (let done = 0; done < from.length; ) {
      const here = Math.min(from.length - done, PAGE_BYTES - ((at + done) % PAGE_BYTES));
      const e = this.entry(at + done);
      if (e & PAGE.writable) {
        if (e & PAGE.code) this.onCodeWrite(at + done, here);
        if (e & PAGE.tracked) this.dirtyMap[e >>> 12] = 1;
        this.bytes.set(from.subarray(done, done + here), ((e & ~0xfff) >>> 0) + ((at + done) % PAGE_BYTES));
      } else {
        for (let i = 0; i < here; i++) this.writeSized(at + done + i, 1, from[done + i]);
      }
      done += here;
    }
  }

  readU16(at: number): number {
    if ((at & 0xfff) <= 0xffe) return this.readSized(at, 2);
    return this.readSized(at, 1) | (this.readSized(at + 1, 1) << 8);
  }

  readU32(at: number): number {
    if ((at & 0xfff) <= 0xffc) return this.readSized(at, 4);
    return (this.readU16(at) | (this.readU16(at + 2) << 16)) >>> 0;
  }

  #mmioRead(region: number, at: number, width: Width): number {
    const device = this.#regions[region];
    if (!device) return width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff;
    const offset = at - this.#regionBase[region];
    if (width <= this.#regionMaxWidth[region]) return device.read(offset, width);
    const half = (width >> 1) as Width;
    const low = this.#mmioRead(region, at, half);
    const high = this.#mmioRead(region, at + half, half);
    return half === 1 ? low | (high << 8) : (low | (high << 16)) >>> 0;
  }

  #mmioWrite(region: number, at: number, width: Width, value: number): void {
    const device = this.#regions[region];
    if (!device) return;
    if (width <= this.#regionMaxWidth[region]) {
      device.write(at - this.#regionBase[region], width, value);
      return;
    }
    const half = (width >> 1) as Width;
    const mask = half === 1 ? 0xff : 0xffff;
    this.#mmioWrite(region, at, half, value & mask);
    this.#mmioWrite(region, at + half, half, (value >>> (half * 8)) & mask);
  }

  /** Number of the region, an unused one where there is one: a guest may move a BAR for ever. */
  #region(base: number, device: IoDevice, maxWidth: Width): number {
    const same = this.#regions.findIndex((d, i) => i > 0 && d === device && this.#regionBase[i] === base);
    if (same > 0) return same;
    const unused = this.#regionPages.findIndex((pages, i) => i > 0 && pages === 0);
    const region = unused > 0 ? unused : this.#regions.length;
    this.#regions[region] = device;
    this.#regionBase[region] = base;
    this.#regionMaxWidth[region] = maxWidth;
    this.#regionPages[region] = 0;
    return region;
  }

  /** Gives a page a new entry and takes leave of what was there. */
  #replace(page: number, entry: number): void {
    this.#dropCode(page);
    this.#releaseRomWriter(page);
    const old = this.pageMap[page];
    if ((old & (PAGE.backed | PAGE.mmio)) === PAGE.mmio) this.#regionPages[old >>> 12]--;
    this.pageMap[page] = entry;
  }

  #releaseRomWriter(page: number): void {
    const region = this.#romWriters.get(page);
    if (region === undefined) return;
    this.#regionPages[region]--;
    this.#romWriters.delete(page);
  }

  #dropCode(page: number): void {
    if (this.pageMap[page] & PAGE.code) this.onCodeWrite(page * PAGE_BYTES, PAGE_BYTES);
  }

  #checkRange(base: number, byteCount: number): void {
    if (base % PAGE_BYTES !== 0 || byteCount % PAGE_BYTES !== 0 || base < 0 || base + byteCount > 0x1_0000_0000) {
      throw new CodedError('bad-range', 'physical ranges are whole pages below 4 GB', { base, byteCount });
    }
  }
}
