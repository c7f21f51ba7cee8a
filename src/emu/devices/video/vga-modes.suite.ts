/**
 * Standard mode tables and a rig for tests: what a VGA BIOS writes for each mode.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "Register values by mode".
 */
import { ManualClock } from '#base/clock.ts';
import { IoBus } from '#emu/bus/io-bus.ts';
import type { MemoryWindow } from '#emu/devices/pci/bar-windows.ts';
import { SharedFrame, sharedFrameBytes } from '#emu/host/frame.ts';
import type { DisplayAdapter } from './display-adapter.ts';
import { StdVga, type StdVgaParts } from './std-vga.ts';
import type { WindowMapping } from './vga-memory.ts';

export interface ModeTable {
  readonly misc: number;
  readonly sequencer: readonly number[];
  readonly crtc: readonly number[];
  readonly graphics: readonly number[];
  readonly attribute: readonly number[];
}

const hex = (text: string): number[] => text.split(' ').map((byte) => Number.parseInt(byte, 16));
const table = (misc: number, sequencer: string, crtc: string, graphics: string, attribute: string): ModeTable => ({
  misc,
  sequencer: hex(sequencer),
  crtc: hex(crtc),
  graphics: hex(graphics),
  attribute: hex(attribute),
});

const EGA_PALETTE = '00 01 02 03 04 05 14 07 38 39 3A 3B 3C 3D 3E 3F';

export const MODE_03: ModeTable = table(
  0x67,
  '03 00 03 00 02',
  '5F 4F 50 82 55 81 BF 1F 00 4F 0D 0E 00 00 00 00 9C 8E 8F 28 1F 96 B9 A3 FF',
  '00 00 00 00 00 10 0E 00 FF',
  `${EGA_PALETTE} 0C 00 0F 08 00`,
);
export const MODE_04: ModeTable = table(
  0x63,
  '03 09 03 00 02',
  '2D 27 28 90 2B 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 14 00 96 B9 A2 FF',
  '00 00 00 00 00 30 0F 00 FF',
  '00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17 01 00 03 00 00',
);
export const MODE_06: ModeTable = table(
  0x63,
  '03 01 01 00 06',
  '5F 4F 50 82 54 80 BF 1F 00 C1 00 00 00 00 00 00 9C 8E 8F 28 00 96 B9 C2 FF',
  '00 00 00 00 00 00 0D 00 FF',
  '00 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 01 00 01 00 00',
);
export const MODE_12: ModeTable = table(
  0xe3,
  '03 01 0F 00 06',
  '5F 4F 50 82 54 80 0B 3E 00 40 00 00 00 00 00 00 EA 8C DF 28 00 E7 04 E3 FF',
  '00 00 00 00 00 00 05 0F FF',
  `${EGA_PALETTE} 01 00 0F 00 00`,
);
export const MODE_13: ModeTable = table(
  0x63,
  '03 01 0F 00 0E',
  '5F 4F 50 82 54 80 BF 1F 00 41 00 00 00 00 00 00 9C 8E 8F 28 40 96 B9 A3 FF',
  '00 00 00 00 00 40 05 0F FF',
  '00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 41 00 0F 00 00',
);
/** 320x240, unchained: mode 13h with the timing of 480 lines and byte addressing. */
export const MODE_X: ModeTable = {
  ...table(
    0xe3,
    '03 01 0F 00 06',
    '5F 4F 50 82 54 80 0D 3E 00 41 00 00 00 00 00 00 EA AC DF 28 00 E7 06 E3 FF',
    '00 00 00 00 00 40 05 0F FF',
    '00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 41 00 0F 00 00',
  ),
};

export interface VgaRig {
  readonly vga: StdVga;
  readonly vram: Uint8Array;
  readonly dirtyMap: Uint8Array;
  readonly clock: ManualClock;
  readonly frame: SharedFrame;
  readonly ports: IoBus;
  readonly mappings: WindowMapping[];
  /** BARs in the order they were asked for, with the base each answers at. */
  readonly bars: { readonly byteCount: number; readonly window: MemoryWindow; base: number | undefined }[];
  /** Writes an index/data pair with one 16-bit access, as guests do. */
  indexed(port: number, index: number, value: number): void;
  attribute(index: number, value: number): void;
  setMode(mode: ModeTable): void;
  /** DAC entries `first`... from 6-bit components. */
  setColours(first: number, ...components: number[]): void;
  dispi(index: number, value: number): void;
  readDispi(index: number): number;
  /** CPU byte at A0000h + `offset`. */
  poke(offset: number, value: number): void;
  peek(offset: number): number;
  /** Bytes at BAR 0, as the CPU writes them through its tracked mapping. */
  linear(offset: number, bytes: ArrayLike<number>): void;
}

export interface VideoParts {
  readonly vram: Uint8Array;
  readonly dirtyMap: Uint8Array;
  readonly clock: ManualClock;
  readonly bars: VgaRig['bars'];
  readonly mappings: WindowMapping[];
  readonly onWindowMapping: (mapping: WindowMapping) => void;
  readonly windows: StdVgaParts['windows'];
}

/** What an adapter stands on, all of its own. */
export function videoParts(vramBytes: number): VideoParts {
  const bars: VgaRig['bars'] = [];
  const mappings: WindowMapping[] = [];
  return {
    vram: new Uint8Array(new SharedArrayBuffer(vramBytes)),
    dirtyMap: new Uint8Array(vramBytes / 4096),
    clock: new ManualClock(),
    ...{ bars, mappings, onWindowMapping: (mapping) => mappings.push(mapping) },
    windows: {
      memory: (byteCount, window) => {
        const bar: VgaRig['bars'][number] = { byteCount, window, base: undefined };
        bars.push(bar);
        return (base) => {
          bar.base = base;
        };
      },
    },
  };
}

/** A bus with an adapter's ports. */
export function portsOf({ portRanges }: DisplayAdapter): IoBus {
  const bus = new IoBus();
  for (const { base, ports, device, maxWidth = 1 } of portRanges) bus.map(base, ports, device, { maxWidth });
  return bus;
}

export const frameFor = ({ vram }: VideoParts): SharedFrame =>
  new SharedFrame(new SharedArrayBuffer(sharedFrameBytes(vram.length)), 0, vram.length);

/** A StdVga with memory and frame of its own, reached through a port bus. */
export function vgaRig(vramBytes: number = 16 * 1024 * 1024, rom?: Uint8Array): VgaRig {
  const parts = videoParts(vramBytes);
  const { vram, dirtyMap, clock, mappings, bars } = parts;
  const frame = frameFor(parts);
  const vga = new StdVga({ ...parts, ...(rom && { rom }) });
  const ports = portsOf(vga);
  const rig: VgaRig = {
    vga,
    vram,
    dirtyMap,
    clock,
    frame,
    ports,
    mappings,
    bars,
    indexed: (port, index, value) => ports.write(port, 2, index | (value << 8)),
    attribute: (index, value) => {
      ports.read(0x3da, 1);
      ports.write(0x3c0, 1, index);
      ports.write(0x3c0, 1, value);
      ports.write(0x3c0, 1, 0x20);
    },
    setMode: (mode) => {
      ports.write(0x3c2, 1, mode.misc);
      mode.sequencer.forEach((value, index) => {
        rig.indexed(0x3c4, index, value);
      });
      rig.indexed(0x3d4, 0x11, mode.crtc[0x11] & 0x7f);
      mode.crtc.forEach((value, index) => {
        rig.indexed(0x3d4, index, value);
      });
      mode.graphics.forEach((value, index) => {
        rig.indexed(0x3ce, index, value);
      });
      mode.attribute.forEach((value, index) => {
        rig.attribute(index, value);
      });
    },
    setColours: (first, ...components) => {
      ports.write(0x3c8, 1, first);
      for (const component of components) ports.write(0x3c9, 1, component);
    },
    dispi: (index, value) => {
      ports.write(0x1ce, 2, index);
      ports.write(0x1cf, 2, value);
    },
    readDispi: (index) => {
      ports.write(0x1ce, 2, index);
      return ports.read(0x1cf, 2);
    },
    poke: (offset, value) => vga.window.write(offset, 1, value),
    peek: (offset) => vga.window.read(offset, 1),
    linear: (offset, bytes) => {
      vram.set(bytes, offset);
      dirtyMap.fill(1, offset >> 12, ((offset + bytes.length - 1) >> 12) + 1);
    },
  };
  return rig;
}
