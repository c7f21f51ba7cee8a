/**
 * Host bridge 82441FX (PMC): PCI identity and the shadow control of C0000h-FFFFFh.
 * Source: Intel 440FX PCIset data sheet (order 290549), sections 3.2.17 (PAM) and 3.2.22 (SMRAM); the subsystem
 * identity 1af4:1100 is how QEMU-aware firmware recognises its board.
 * Not modelled: DRAM timing and row boundaries (registers keep what is written), SMM (SMRAM is seen only while it is
 * open), ECC, write caching of PCI.
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import type { PciConfigState, PciFunction } from '../pci/pci-function.ts';
import { PCI_COMMAND, PCI_STATUS, PciConfigSpace } from '../pci/pci-function.ts';

/** ROM that the PCI side answers with at a legacy address while a segment's reads are not taken from RAM. */
export interface LegacyRom {
  /** Guest-physical, C0000h..FFFFFh, a multiple of 16 KB. */
  readonly base: number;
  /** Multiple of 16 KB. */
  readonly byteCount: number;
  /** Byte offset in linear memory, page-aligned. */
  readonly offset: number;
}

export interface I440fxParts {
  readonly memory: PhysicalMemory;
  /** Byte offset in linear memory of guest-physical 0: RAM under the shadow and SMRAM ranges. */
  readonly ramAt: number;
  readonly roms: readonly LegacyRom[];
  /** Maps what the graphics card shows at A0000h-BFFFFh; called when SMRAM closes. */
  readonly mapVideo: () => void;
}

/** Registers of the PMC beyond the type 0 header. */
export const PMC = {
  configuration: 0x50,
  dramTiming: 0x58,
  /** PAM0, 59h..5Fh. */
  pam: 0x59,
  dramRowBoundary: 0x60,
  smram: 0x72,
} as const;

/** A segment's two PAM bits. */
const PAM = { readRam: 1, writeRam: 2 } as const;
const SMRAM = { open: 1 << 6, closed: 1 << 5, locked: 1 << 4, enable: 1 << 3, baseSegment: 0b010 } as const;
const VIDEO_BASE = 0xa_0000;
const VIDEO_BYTES = 0x2_0000;

interface Segment {
  readonly base: number;
  readonly byteCount: number;
  readonly register: number;
  readonly shift: 0 | 4;
  /** PAM bits in effect, or -1 before the first. */
  attributes: number;
}

/** F0000h belongs to the high half of PAM0; twelve 16 KB segments from C0000h follow, two a register. */
function segments(): Segment[] {
  const list: Segment[] = [{ base: 0xf_0000, byteCount: 0x1_0000, register: PMC.pam, shift: 4, attributes: -1 }];
  for (let i = 0; i < 12; i++) {
    list.push({
      base: 0xc_0000 + i * 0x4000,
      byteCount: 0x4000,
      register: PMC.pam + 1 + (i >> 1),
      shift: i & 1 ? 4 : 0,
      attributes: -1,
    });
  }
  return list;
}

export class I440fx implements PciFunction, Saveable<PciConfigState> {
  readonly #parts: I440fxParts;
  readonly #config: PciConfigSpace;
  readonly #segments: readonly Segment[] = segments();
  /** Write-only views of RAM, by segment base; made once, for the memory map remembers every device it saw. */
  readonly #shadows = new Map<number, IoDevice>();
  #smramShown = false;

  constructor(parts: I440fxParts) {
    this.#parts = parts;
    const config = new PciConfigSpace({
      identity: {
        vendorId: 0x8086,
        deviceId: 0x1237,
        classCode: 0x060000,
        revisionId: 0x02,
        subsystemVendorId: 0x1af4,
        subsystemId: 0x1100,
      },
    });
    // Memory space and bus master are wired to one.
    config.define(4, 2, PCI_COMMAND.memorySpace | PCI_COMMAND.busMaster, PCI_COMMAND.serrEnable);
    config.define(6, 2, PCI_STATUS.fastBackToBack | PCI_STATUS.devselMedium, 0, 0xf900);
    config.define(PMC.configuration, 2, 0, 0x4c77);
    config.define(0x52, 4, 0, 0xffff_ffff);
    config.define(0x57, 1, 0x01, 0xc7);
    config.define(PMC.dramTiming, 1, 0, 0x7f);
    config.define(PMC.pam, 1, 0, 0x30);
    for (let register: number = PMC.pam + 1; register <= 0x5f; register++) config.define(register, 1, 0, 0x33);
    for (let register: number = PMC.dramRowBoundary; register < 0x68; register++) config.define(register, 1, 1, 0xff);
    config.define(0x68, 1, 0, 0xff);
    config.define(0x70, 2, 0, 0xffff);
    config.define(PMC.smram, 1, SMRAM.baseSegment, SMRAM.open | SMRAM.closed | SMRAM.locked | SMRAM.enable);
    config.define(0x90, 4, 0, 0xffff_ffff);
    this.#config = config;
    this.#apply();
  }

  readConfig(offset: number, width: Width): number {
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.#writeByte(offset + i, (value >>> (i * 8)) & 0xff);
    this.#apply();
  }

  reset(): void {
    this.#config.reset();
    this.#apply();
  }

  save(): PciConfigState {
    return this.#config.save();
  }

  restore(state: PciConfigState): void {
    this.#config.restore(state);
    this.#apply();
  }

  #writeByte(register: number, value: number): void {
    if (register !== PMC.smram) {
      this.#config.writeConfig(register, 1, value);
      return;
    }
    if (this.#config.readConfig(PMC.smram, 1) & SMRAM.locked) return;
    this.#config.writeConfig(PMC.smram, 1, value & SMRAM.locked ? value & ~SMRAM.open : value);
  }

  #apply(): void {
    for (const segment of this.#segments) {
      const attributes = (this.#config.readConfig(segment.register, 1) >> segment.shift) & 3;
      if (attributes === segment.attributes) continue;
      segment.attributes = attributes;
      for (let at = segment.base; at < segment.base + segment.byteCount; at += 0x4000) this.#map(at, attributes);
    }
    const smram = this.#config.readConfig(PMC.smram, 1);
    const show = (smram & SMRAM.enable) !== 0 && (smram & SMRAM.open) !== 0;
    if (show === this.#smramShown) return;
    this.#smramShown = show;
    if (show) this.#parts.memory.mapBacked(VIDEO_BASE, VIDEO_BYTES, this.#parts.ramAt + VIDEO_BASE, 'ram');
    else this.#parts.mapVideo();
  }

  /** Maps 16 KB at `base` as the two bits say. */
  #map(base: number, attributes: number): void {
    const { memory, ramAt } = this.#parts;
    const bytes = 0x4000;
    const ram = ramAt + base;
    if (attributes & PAM.readRam) {
      memory.mapBacked(base, bytes, ram, attributes & PAM.writeRam ? 'ram' : 'rom');
      return;
    }
    const rom = this.#parts.roms.find((r) => r.base <= base && base < r.base + r.byteCount);
    if (rom) memory.mapBacked(base, bytes, rom.offset + (base - rom.base), 'rom');
    if (!(attributes & PAM.writeRam)) {
      if (!rom) memory.unmap(base, bytes);
      return;
    }
    const shadow = this.#shadows.get(base) ?? this.#writesToRam(ram);
    this.#shadows.set(base, shadow);
    if (rom) memory.mapRomWrites(base, bytes, shadow);
    else memory.mapMmio(base, bytes, shadow);
  }

  /** Write-only RAM: firmware copies a ROM onto itself in this state. Reads float, as PCI does with no ROM there. */
  #writesToRam(ram: number): IoDevice {
    const { view } = this.#parts.memory;
    return {
      read: (_offset, width) => (width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff),
      write: (offset, width, value) => {
        if (width === 1) view.setUint8(ram + offset, value);
        else if (width === 2) view.setUint16(ram + offset, value, true);
        else view.setUint32(ram + offset, value, true);
      },
    };
  }
}
