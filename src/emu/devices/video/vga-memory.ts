/**
 * The VGA's view of video memory through the legacy window A0000h-BFFFFh: planes, latches, write and read modes.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "Graphics Controller" and "Video Memory
 * Organization"; Bochs VBE Display API for the banked window.
 *
 * Planes are interleaved: plane p of planar address a is byte a * 4 + p. Chain-4 addresses are therefore byte offsets,
 * and an odd/even pair shares one dword, so that every mode scans out one dword for each step of the CRTC.
 *
 * Not modelled: the page-select bits of odd/even addressing (miscellaneous output bit 5 and address bit 16), the
 * 64 KB memory mode, latches loaded by reads while the window is mapped directly.
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import { GR, GRAPHICS_MISC, GRAPHICS_MODE, MEMORY_MODE, MISC, SR, type VgaRegisterFiles } from './vga-registers.ts';

/** Bytes of the legacy window. */
export const WINDOW_BYTES = 0x2_0000;

/**
 * What answers in the legacy window: the device everywhere, or video memory itself for `bytes` bytes from
 * `windowOffset` (0 is A0000h) on, which show `vramOffset` on; around them the device.
 */
export type WindowMapping =
  | { readonly kind: 'device' }
  | {
      readonly kind: 'direct';
      readonly windowOffset: number;
      readonly vramOffset: number;
      readonly bytes: number;
    };

/** The linear mode set through DISPI; while one is enabled it takes the window over from the VGA registers. */
export interface BankedMode {
  readonly enabled: boolean;
  /** Byte offset in CPU addresses. */
  readonly bankOffset: number;
  readonly planar: boolean;
}

export interface VgaMemoryParts {
  /** Power of two, 256 KB or more, 4-byte aligned in its buffer. */
  readonly vram: Uint8Array;
  /** One byte for each 4 KB of `vram`, set to 1 by writers. */
  readonly dirtyMap: Uint8Array;
  readonly registers: VgaRegisterFiles;
  readonly linearMode: BankedMode;
  /** Called from `update` when the mapping is another than before. */
  readonly onWindowMapping: (mapping: WindowMapping) => void;
}

const VGA_PLANE_BYTES = 0x1_0000;
const EVEN_PLANES = 0x00ff_00ff;
const ODD_PLANES = ~EVEN_PLANES;
/** Bit p of the index spread over byte p. */
const PLANES: Int32Array = new Int32Array(16);
for (let i = 0; i < 16; i++) {
  for (let plane = 0; plane < 4; plane++) if (i & (1 << plane)) PLANES[i] |= 0xff << (plane * 8);
}
/** Start and length of the window by memory map select. */
const WINDOWS = [
  [0x00000, 0x20000],
  [0x00000, 0x10000],
  [0x10000, 0x08000],
  [0x18000, 0x08000],
] as const;
const FUNCTION = { replace: 0, and: 1, or: 2, xor: 3 } as const;
const DEVICE_MAPPING: WindowMapping = { kind: 'device' };

/** How an address inside the window selects a dword. */
const ADDRESSING = { linear: 0, oddEven: 1, chain4: 2 } as const;

export class VgaMemory implements IoDevice {
  readonly #vram: Int32Array;
  readonly #vramBytes: Uint8Array;
  readonly #dirty: Uint8Array;
  readonly #registers: VgaRegisterFiles;
  readonly #linearMode: BankedMode;
  readonly #onWindowMapping: (mapping: WindowMapping) => void;

  /** The four latches, plane p in byte p. */
  latch = 0;
  #mapping: WindowMapping = DEVICE_MAPPING;

  // Derived from the registers by `update`.
  #base = 0;
  #bytes = 0;
  #direct = false;
  #bankOffset = 0;
  #dwordMask = VGA_PLANE_BYTES - 1;
  #readAddressing: number = ADDRESSING.linear;
  #writeAddressing: number = ADDRESSING.linear;
  #readPlane = 0;
  #compareMode = false;
  #compare = 0;
  #care = 0;
  #writeMode = 0;
  #rotate = 0;
  #function = 0;
  #setReset = 0;
  #enableSetReset = 0;
  #bitMask = 0;
  #bitMask8 = 0;
  #mapMask = 0;
  #plain = false;

  constructor(parts: VgaMemoryParts) {
    const { vram } = parts;
    this.#vramBytes = vram;
    this.#vram = new Int32Array(vram.buffer, vram.byteOffset, vram.length >> 2);
    this.#dirty = parts.dirtyMap;
    this.#registers = parts.registers;
    this.#linearMode = parts.linearMode;
    this.#onWindowMapping = parts.onWindowMapping;
  }

  get mapping(): WindowMapping {
    return this.#mapping;
  }

  /** Takes the registers over after a write to any of them that bears on memory. */
  update(): void {
    const { sequencer, graphics, miscOutput } = this.#registers;
    const banked = this.#linearMode.enabled;
    const mode = graphics[GR.mode];
    const chain4 = (sequencer[SR.memoryMode] & MEMORY_MODE.chain4) !== 0;
    const map = banked ? 1 : (graphics[GR.miscellaneous] >> GRAPHICS_MISC.memoryMapShift) & 3;
    this.#base = WINDOWS[map][0];
    this.#bytes = miscOutput & MISC.ramEnabled || banked ? WINDOWS[map][1] : 0;
    this.#bankOffset = this.#linearMode.bankOffset;
    this.#dwordMask = (banked ? this.#vram.length : VGA_PLANE_BYTES) - 1;

    const oddEvenWrite = (sequencer[SR.memoryMode] & MEMORY_MODE.oddEvenOff) === 0 && !banked;
    const oddEvenRead = (mode & GRAPHICS_MODE.oddEven) !== 0 && !banked;
    this.#writeAddressing = chain4 ? ADDRESSING.chain4 : oddEvenWrite ? ADDRESSING.oddEven : ADDRESSING.linear;
    this.#readAddressing = chain4 ? ADDRESSING.chain4 : oddEvenRead ? ADDRESSING.oddEven : ADDRESSING.linear;

    this.#readPlane = graphics[GR.readMapSelect];
    this.#compareMode = (mode & GRAPHICS_MODE.readCompare) !== 0;
    this.#compare = PLANES[graphics[GR.colourCompare]];
    this.#care = PLANES[graphics[GR.colourDontCare]];
    this.#writeMode = mode & GRAPHICS_MODE.writeMode;
    this.#rotate = graphics[GR.dataRotate] & 7;
    this.#function = (graphics[GR.dataRotate] >> 3) & 3;
    this.#setReset = PLANES[graphics[GR.setReset]];
    this.#enableSetReset = PLANES[graphics[GR.enableSetReset]];
    this.#bitMask8 = graphics[GR.bitMask];
    this.#bitMask = Math.imul(this.#bitMask8, 0x0101_0101);
    this.#mapMask = PLANES[sequencer[SR.mapMask]];
    this.#plain =
      this.#writeMode === 0 &&
      this.#rotate === 0 &&
      this.#function === FUNCTION.replace &&
      this.#enableSetReset === 0 &&
      this.#bitMask8 === 0xff;
    // Packed DISPI modes have no use for planes: the window is memory whatever the graphics controller holds.
    this.#direct = banked
      ? !this.#linearMode.planar
      : chain4 && this.#plain && this.#mapMask === -1 && !this.#compareMode && this.#bytes !== 0;
    this.#remap();
  }

  /** `offset` is relative to A0000h. */
  read(offset: number, width: Width): number {
    if (width === 1) return this.#readByte(offset);
    let value = 0;
    for (let i = 0; i < width; i++) value |= this.#readByte(offset + i) << (i * 8);
    return value >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.#writeByte(offset + i, (value >>> (i * 8)) & 0xff);
  }

  #readByte(offset: number): number {
    const at = offset - this.#base;
    if (at < 0 || at >= this.#bytes) return 0xff;
    if (this.#direct) return this.#vramBytes[(at + this.#bankOffset) & (this.#dwordMask * 4 + 3)];
    const cpu = at + this.#bankOffset;
    const addressing = this.#readAddressing;
    const dword = (cpu >>> addressing) & this.#dwordMask;
    this.latch = this.#vram[dword];
    if (this.#compareMode) {
      let differs = (this.latch ^ this.#compare) & this.#care;
      differs |= differs >>> 16;
      differs |= differs >>> 8;
      return ~differs & 0xff;
    }
    const plane =
      addressing === ADDRESSING.linear
        ? this.#readPlane
        : addressing === ADDRESSING.chain4
          ? cpu & 3
          : (this.#readPlane & 2) | (cpu & 1);
    return (this.latch >>> (plane * 8)) & 0xff;
  }

  #writeByte(offset: number, value: number): void {
    const at = offset - this.#base;
    if (at < 0 || at >= this.#bytes) return;
    const cpu = at + this.#bankOffset;
    if (this.#direct) {
      const byte = cpu & (this.#dwordMask * 4 + 3);
      this.#vramBytes[byte] = value;
      this.#dirty[byte >>> 12] = 1;
      return;
    }
    const addressing = this.#writeAddressing;
    const dword = (cpu >>> addressing) & this.#dwordMask;
    let planes = this.#mapMask;
    if (addressing === ADDRESSING.oddEven) planes &= cpu & 1 ? ODD_PLANES : EVEN_PLANES;
    else if (addressing === ADDRESSING.chain4) planes &= 0xff << ((cpu & 3) * 8);
    const data = this.#plain ? Math.imul(value, 0x0101_0101) : this.#pipeline(value);
    this.#vram[dword] = (this.#vram[dword] & ~planes) | (data & planes);
    this.#dirty[dword >>> 10] = 1;
  }

  /** The four bytes that a CPU byte becomes on its way through rotator, set/reset, function unit and bit mask. */
  #pipeline(value: number): number {
    const mode = this.#writeMode;
    if (mode === 1) return this.latch;
    if (mode === 2) return this.#merge(PLANES[value & 15], this.#bitMask);
    const rotated = ((value >>> this.#rotate) | (value << (8 - this.#rotate))) & 0xff;
    if (mode === 3) return this.#merge(this.#setReset, Math.imul(rotated & this.#bitMask8, 0x0101_0101));
    const enable = this.#enableSetReset;
    const data = (Math.imul(rotated, 0x0101_0101) & ~enable) | (this.#setReset & enable);
    return this.#merge(data, this.#bitMask);
  }

  #merge(data: number, bitMask: number): number {
    const latch = this.latch;
    let result = data;
    if (this.#function === FUNCTION.and) result &= latch;
    else if (this.#function === FUNCTION.or) result |= latch;
    else if (this.#function === FUNCTION.xor) result ^= latch;
    return (result & bitMask) | (latch & ~bitMask);
  }

  #remap(): void {
    const old = this.#mapping;
    if (!this.#direct) {
      if (old.kind === 'device') return;
      this.#mapping = DEVICE_MAPPING;
    } else {
      const vramOffset = this.#bankOffset & (this.#vramBytes.length - 1);
      if (
        old.kind === 'direct' &&
        old.windowOffset === this.#base &&
        old.vramOffset === vramOffset &&
        old.bytes === this.#bytes
      ) {
        return;
      }
      this.#mapping = { kind: 'direct', windowOffset: this.#base, vramOffset, bytes: this.#bytes };
    }
    this.#onWindowMapping(this.#mapping);
  }
}
