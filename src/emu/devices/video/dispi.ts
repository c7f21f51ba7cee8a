/**
 * The Bochs display interface (DISPI): an index and a 16-bit data register that set linear graphics modes.
 * Source: Bochs VBE Display API (VBE_DISPI_*), versions B0C0h to B0C5h; VirtualBox's VBoxVideoVBE.h for identifiers BE00h
 * to BE02h and what a driver that wrote one of them finds behind the registers.
 * Not modelled: the DDC register (index 0Bh; EDID is in the PCI register window), bank sizes other than 64 KB.
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { Saveable } from '#emu/bus/wires.ts';

export const DISPI = {
  id: 0,
  xRes: 1,
  yRes: 2,
  bpp: 3,
  enable: 4,
  bank: 5,
  virtWidth: 6,
  virtHeight: 7,
  xOffset: 8,
  yOffset: 9,
  videoMemory64K: 10,
} as const;
const REGISTERS = 11;

export const DISPI_ENABLE = {
  enabled: 1 << 0,
  getCaps: 1 << 1,
  dac8Bit: 1 << 5,
  linearFramebuffer: 1 << 6,
  noClear: 1 << 7,
} as const;
const ENABLE_STORED = 0xe3;

const NEWEST_ID = 0xb0c5;
const OLDEST_ID = 0xb0c0;
/** VirtualBox's: video acceleration, HGSMI, lines of any length. */
const VBOX_IDS = { oldest: 0xbe00, newest: 0xbe02 } as const;
/** Registers of drivers that wrote one of VirtualBox's identifiers. */
const VBOX_REGISTERS = { monitorCount: 10, framebufferHigh: 11 } as const;
const VBOX_MAX_RES = 8192;
const BANK_BYTES = 0x1_0000;
/** What getcaps answers: the largest mode that fits 16 MB at 32 bits a pixel. */
const MAX_X_RES = 2560;
const MAX_Y_RES = 1600;
const MAX_BPP = 32;
const DEPTHS: readonly number[] = [4, 8, 15, 16, 24, 32];

export interface DispiState {
  index: number;
  /** The registers by index. */
  registers: Uint16Array;
}

/** What VirtualBox's adapter adds. */
export interface VirtualBoxDispi {
  readonly monitorCount: number;
  /** Where BAR 0 is, 0 while it is nowhere. */
  readonly framebufferBase: () => number;
}

export interface DispiParts {
  readonly vramBytes: number;
  /** A mode, offset, bank or DAC width changed. */
  readonly onChange: () => void;
  /** A mode was enabled that wants its picture cleared: the first `byteCount` bytes of video memory. */
  readonly onClear: (byteCount: number) => void;
  readonly virtualBox?: VirtualBoxDispi;
}

/** The register pair as ports: offset 0 is the index, 1 and 2 are the data register (x86 and aligned positions). */
export class Dispi implements IoDevice, Saveable<DispiState> {
  readonly #parts: DispiParts;
  #index = 0;
  readonly #registers: Uint16Array = new Uint16Array(REGISTERS);

  constructor(parts: DispiParts) {
    this.#parts = parts;
    this.reset();
  }

  reset(): void {
    this.#index = 0;
    this.#registers.fill(0);
    this.#registers[DISPI.id] = NEWEST_ID;
    this.#registers[DISPI.videoMemory64K] = this.#parts.vramBytes / BANK_BYTES;
  }

  get enabled(): boolean {
    return (this.#registers[DISPI.enable] & DISPI_ENABLE.enabled) !== 0;
  }

  get dac8Bit(): boolean {
    return (this.#registers[DISPI.enable] & DISPI_ENABLE.dac8Bit) !== 0;
  }

  /** Bits a pixel: 4 (planar), 8, 15, 16, 24 or 32. */
  get bpp(): number {
    return this.#registers[DISPI.bpp];
  }

  get planar(): boolean {
    return this.bpp === 4;
  }

  /** Screen size in pixels. */
  get width(): number {
    return this.#registers[DISPI.xRes];
  }

  get height(): number {
    return this.#registers[DISPI.yRes];
  }

  /** Bytes of video memory from one line to the next. */
  get pitch(): number {
    return lineBytes(this.#registers[DISPI.virtWidth], this.bpp);
  }

  /** Byte offset of the first pixel shown; in planar modes of the dword that holds it. */
  get startAddress(): number {
    const x = this.#registers[DISPI.xOffset];
    const across = this.bpp === 4 ? (x >> 3) * 4 : x * bytesPerPixel(this.bpp);
    return this.#registers[DISPI.yOffset] * this.pitch + across;
  }

  /** Pixels by which a planar picture starts inside its first dword, 0..7. */
  get panning(): number {
    return this.bpp === 4 ? this.#registers[DISPI.xOffset] & 7 : 0;
  }

  /** Where the legacy window starts, in CPU bytes; 0 while no mode is enabled. */
  get bankOffset(): number {
    return this.enabled ? this.#registers[DISPI.bank] * BANK_BYTES : 0;
  }

  read(offset: number, width: Width): number {
    // VirtualBox's drivers learn the size of video memory from a wide read of the data register.
    if (width === 4) return this.#parts.vramBytes;
    const value = offset === 0 ? this.#index : this.readRegister(this.#index);
    return width === 1 ? value & 0xff : value;
  }

  write(offset: number, _width: Width, value: number): void {
    if (offset === 0) this.#index = value & 0xffff;
    else this.writeRegister(this.#index, value & 0xffff);
  }

  readRegister(index: number): number {
    const { virtualBox } = this.#parts;
    if (virtualBox && this.#registers[DISPI.id] >= VBOX_IDS.oldest) {
      if (index === VBOX_REGISTERS.monitorCount) return virtualBox.monitorCount;
      if (index === VBOX_REGISTERS.framebufferHigh) return virtualBox.framebufferBase() >>> 16;
    }
    if (index >= REGISTERS) return 0;
    if (this.#registers[DISPI.enable] & DISPI_ENABLE.getCaps) {
      if (index === DISPI.xRes) return this.#maxXRes;
      if (index === DISPI.yRes) return this.#maxYRes;
      if (index === DISPI.bpp) return MAX_BPP;
    }
    return this.#registers[index];
  }

  writeRegister(index: number, value: number): void {
    const r = this.#registers;
    switch (index) {
      case DISPI.id:
        if (this.#knows(value)) r[DISPI.id] = value;
        return;
      case DISPI.xRes:
        if (value <= this.#maxXRes) r[DISPI.xRes] = value;
        break;
      case DISPI.yRes:
        if (value <= this.#maxYRes) r[DISPI.yRes] = value;
        break;
      case DISPI.bpp:
        // Drivers of the first interface version write 0 for 8.
        if (value === 0 || DEPTHS.includes(value)) r[DISPI.bpp] = value === 0 ? 8 : value;
        break;
      case DISPI.enable:
        this.#writeEnable(value);
        return;
      case DISPI.bank:
        r[DISPI.bank] = value % (this.#parts.vramBytes / BANK_BYTES);
        break;
      case DISPI.virtWidth:
      case DISPI.xOffset:
      case DISPI.yOffset:
        r[index] = value;
        break;
      default:
        return; // Virtual height and memory size are read-only.
    }
    if (this.enabled) this.#fit();
    this.#parts.onChange();
  }

  save(): DispiState {
    return { index: this.#index, registers: this.#registers.slice() };
  }

  restore(state: DispiState): void {
    this.#index = state.index;
    this.#registers.set(state.registers);
  }

  get #maxXRes(): number {
    return this.#parts.virtualBox ? VBOX_MAX_RES : MAX_X_RES;
  }

  get #maxYRes(): number {
    return this.#parts.virtualBox ? VBOX_MAX_RES : MAX_Y_RES;
  }

  #knows(id: number): boolean {
    if (OLDEST_ID <= id && id <= NEWEST_ID) return true;
    return this.#parts.virtualBox !== undefined && VBOX_IDS.oldest <= id && id <= VBOX_IDS.newest;
  }

  #writeEnable(value: number): void {
    const r = this.#registers;
    const rising = (value & DISPI_ENABLE.enabled) !== 0 && !this.enabled;
    r[DISPI.enable] = value & ENABLE_STORED;
    if (rising) {
      r[DISPI.virtWidth] = r[DISPI.xRes];
      r[DISPI.xOffset] = 0;
      r[DISPI.yOffset] = 0;
      r[DISPI.bank] = 0;
      this.#fit();
      if (!(value & DISPI_ENABLE.noClear)) this.#parts.onClear(this.pitch * this.height);
    }
    this.#parts.onChange();
  }

  /** Makes the mode one that video memory can hold, so that what is shown always exists. */
  #fit(): void {
    const r = this.#registers;
    if (r[DISPI.bpp] === 0) r[DISPI.bpp] = 8;
    r[DISPI.xRes] = Math.max(8, r[DISPI.xRes]);
    const fewest = lineBytes(r[DISPI.xRes], this.bpp);
    r[DISPI.yRes] = Math.min(Math.max(1, r[DISPI.yRes]), Math.floor(this.#parts.vramBytes / fewest));
    const widest = Math.floor((this.#parts.vramBytes / r[DISPI.yRes] / fewest) * r[DISPI.xRes]);
    r[DISPI.virtWidth] = Math.min(Math.max(r[DISPI.virtWidth], r[DISPI.xRes]), widest & ~7 || r[DISPI.xRes]);
    r[DISPI.virtWidth] = Math.max(r[DISPI.virtWidth], r[DISPI.xRes]);
    const lines = Math.floor(this.#parts.vramBytes / this.pitch);
    r[DISPI.virtHeight] = Math.min(lines, 0xffff);
  }
}

function bytesPerPixel(bpp: number): number {
  return (bpp + 7) >> 3;
}

function lineBytes(pixels: number, bpp: number): number {
  return bpp === 4 ? Math.ceil(pixels / 8) * 4 : pixels * bytesPerPixel(bpp);
}
