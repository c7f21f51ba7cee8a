import { beforeEach, describe, expect, it } from 'vitest';
import type { IoBus } from '#emu/bus/io-bus.ts';
import { FRAME, FRAME_KIND, FRAME_WORDS, type SharedFrame } from '#emu/host/frame.ts';
import { DISPI, DISPI_ENABLE } from './dispi.ts';
import { VboxVga, type VboxVgaState } from './vbox-vga.ts';
import { frameFor, portsOf, type VideoParts, videoParts } from './vga-modes.suite.ts';

const MIB = 1024 * 1024;
const VRAM = 16 * MIB;
/** As Linux's driver lays its memory out: the heap for buffers at the end, the host's flags at the heap's end. */
const HEAP = VRAM - 0x1_0000;
const FLAGS = VRAM - 16;
const GUEST_PORT = 0x3d0;
const HOST_PORT = 0x3b0;
const VBVA = 2;

/** A driver, as VirtualBox's headers describe one. */
class Driver {
  readonly #ports: IoBus;
  readonly #view: DataView;

  constructor(ports: IoBus, vram: Uint8Array) {
    this.#ports = ports;
    this.#view = new DataView(vram.buffer);
  }

  /** Sends 32-bit words. @returns them with the answer */
  call(channel: number, command: number, words: readonly number[], spoil = 0): Int32Array {
    const view = this.#view;
    const bytes = words.length * 4;
    view.setUint32(HEAP, bytes, true);
    view.setUint8(HEAP + 4, 0);
    view.setUint8(HEAP + 5, channel);
    view.setUint16(HEAP + 6, command, true);
    view.setUint32(HEAP + 8, 0, true);
    view.setUint32(HEAP + 12, 0, true);
    for (const [i, word] of words.entries()) view.setUint32(HEAP + 16 + i * 4, word >>> 0, true);
    view.setUint32(HEAP + 16 + bytes, 0, true);
    view.setUint32(HEAP + 20 + bytes, this.#sum(bytes) ^ spoil, true);
    this.#ports.write(GUEST_PORT, 4, HEAP);
    return Int32Array.from(words, (_, i) => view.getInt32(HEAP + 16 + i * 4, true));
  }

  query(index: number): number {
    return this.call(VBVA, 1, [index, -1])[1];
  }

  enable(monitor: number): number {
    return this.call(VBVA, 7, [1 | 4 | 8, 0x10_0000, -37, monitor])[2];
  }

  show(monitor: number, surface: Surface): void {
    const { view = 0, x = 0, y = 0, start = 0, pitch, width, height, bpp = 32, flags = 1 } = surface;
    this.call(VBVA, 3, [monitor, view, VRAM - view, VRAM - view]);
    this.call(VBVA, 6, [monitor, x, y, start, pitch ?? width * 4, width, height, bpp | (flags << 16)]);
  }

  /** Where the flags are, and that it takes interrupts and hints. */
  listen(): void {
    this.call(1, 0, [FLAGS, 16]);
    this.call(VBVA, 12, [-12, 2 | 4 | 8 | 16]);
  }

  get flags(): number {
    return this.#view.getUint32(FLAGS, true);
  }

  /** One-at-a-time hash with unsigned arithmetic, over offset, header and the tail's first word. */
  #sum(bytes: number): number {
    const part = (at: number, count: number): number[] =>
      Array.from({ length: count }, (_, i) => this.#view.getUint8(at + i));
    const offset = [HEAP & 0xff, (HEAP >> 8) & 0xff, (HEAP >> 16) & 0xff, HEAP >>> 24];
    let hash = 0n;
    const u32 = (value: bigint): bigint => BigInt.asUintN(32, value);
    for (const byte of [...offset, ...part(HEAP, 16), ...part(HEAP + 16 + bytes, 4)]) {
      hash = u32(hash + BigInt(byte));
      hash = u32(hash + (hash << 10n));
      hash ^= hash >> 6n;
    }
    hash = u32(hash + (hash << 3n));
    hash ^= hash >> 11n;
    return Number(u32(hash + (hash << 15n)));
  }
}

interface Surface {
  readonly view?: number;
  readonly x?: number;
  readonly y?: number;
  readonly start?: number;
  readonly pitch?: number;
  readonly width: number;
  readonly height: number;
  readonly bpp?: number;
  /** 1 active, 2 disabled, 4 blank, 8 blank at the size before. */
  readonly flags?: number;
}

let parts: VideoParts;
let vga: VboxVga;
let ports: IoBus;
let frame: SharedFrame;
let driver: Driver;
let wire: boolean;

function start(monitorCount: number): void {
  parts = videoParts(VRAM);
  wire = false;
  const interrupt = { set: (asserted: boolean): void => void (wire = asserted) };
  vga = new VboxVga({ ...parts, monitorCount, interrupt });
  ports = portsOf(vga);
  frame = frameFor(parts);
  driver = new Driver(ports, parts.vram);
}

function shown(monitor: number): Uint32Array {
  vga.publish(frame);
  const record = new Uint32Array(FRAME_WORDS);
  frame.read(record, monitor);
  return record;
}

const dispi = (index: number, value: number): void => {
  ports.write(0x1ce, 2, index);
  ports.write(0x1cf, 2, value);
};
const readDispi = (index: number): number => {
  ports.write(0x1ce, 2, index);
  return ports.read(0x1cf, 2);
};

beforeEach(() => start(4));

describe('what a driver finds', () => {
  it('is VirtualBox’s adapter, by PCI and by its identifiers', () => {
    expect([vga.config.readConfig(0, 4), vga.config.readConfig(8, 4) >>> 8]).toEqual([0xbeef_80ee, 0x03_0000]);
    expect(parts.bars).toEqual([expect.objectContaining({ byteCount: VRAM })]);
    for (const id of [0xbe00, 0xbe01, 0xbe02]) {
      dispi(DISPI.id, id);
      expect(readDispi(DISPI.id)).toBe(id);
    }
    dispi(DISPI.id, 0xbe03);
    expect(readDispi(DISPI.id)).toBe(0xbe02);
    expect(ports.read(0x1cf, 4)).toBe(VRAM);
  });

  it('has the number of monitors where a video BIOS finds the size of memory', () => {
    expect(readDispi(10)).toBe(VRAM / 65_536);
    dispi(DISPI.id, 0xbe00);
    expect(readDispi(10)).toBe(4);
    vga.config.writeConfig(0x10, 4, 0xe000_0000);
    vga.config.writeConfig(4, 2, 3);
    expect(readDispi(11)).toBe(0xe000);
  });

  it('answers in its buffers', () => {
    expect([0, 1, 2, 3, 5].map((index) => driver.query(index))).toEqual([4, 65_536, 0, 0, 15]);
    // Unknown ones stay as the guest left them.
    expect(driver.query(-1)).toBe(-1);
    expect([0, 3, 4].map((monitor) => driver.enable(monitor))).toEqual([0, 0, -2]);
    // Drivers may leave drawing the pointer to the host.
    expect(driver.query(4)).toBe(2);
  });

  it('takes nothing whose checksum is wrong, nor what lies outside of memory', () => {
    expect(driver.call(VBVA, 1, [0, -1], 1)[1]).toBe(-1);
    const before = parts.vram.slice();
    for (const at of [VRAM, VRAM - 8, VRAM - 23, 0xffff_fff0]) ports.write(GUEST_PORT, 4, at);
    new DataView(parts.vram.buffer).setUint32(VRAM - 64, 0xffff_fff0, true);
    ports.write(GUEST_PORT, 4, VRAM - 64);
    before.set(parts.vram.subarray(VRAM - 64, VRAM - 60), VRAM - 64);
    expect(Buffer.compare(parts.vram, before)).toBe(0);
  });

  it('keeps the ports of the VGA beside those of HGSMI', () => {
    ports.write(0x3c2, 1, 0x67);
    ports.write(0x3d4, 2, 0x120c);
    ports.write(0x3d4, 1, 0x0c);
    expect([ports.read(0x3d5, 1), ports.read(0x3cc, 1), ports.read(0x3ba, 1)]).toEqual([0x12, 0x67, 0xff]);
    expect(ports.read(HOST_PORT, 4)).toBe(0xffff_ffff);
  });
});

describe('monitors', () => {
  it('shows the VGA until a driver takes the first one over, and again when it lets go', () => {
    // As a video BIOS leaves it: the screen is on.
    ports.read(0x3da, 1);
    ports.write(0x3c0, 1, 0x20);
    dispi(DISPI.xRes, 800);
    dispi(DISPI.yRes, 600);
    dispi(DISPI.bpp, 32);
    dispi(DISPI.enable, DISPI_ENABLE.enabled);
    expect([...shown(0).subarray(0, 3)]).toEqual([FRAME_KIND.xrgb8888, 800, 600]);
    driver.enable(0);
    expect(shown(0)[FRAME.width]).toBe(800);
    driver.show(0, { view: 2 * MIB, width: 1024, height: 768, start: 4096 * 3 + 16, pitch: 4096 });
    const record = shown(0);
    expect([...record.subarray(0, 5)]).toEqual([FRAME_KIND.xrgb8888, 1024, 768, 4096, 2 * MIB + 4096 * 3 + 16]);
    // The registers are the driver's business no more.
    dispi(DISPI.xRes, 640);
    expect(shown(0)[FRAME.width]).toBe(1024);
    driver.call(VBVA, 7, [2 | 4 | 8, 0, 0, 0]);
    expect(shown(0)[FRAME.width]).toBe(640);
  });

  it('shows something else on each, and where each stands', () => {
    expect(frame.monitorCount).toBe(1);
    for (let monitor = 0; monitor < 4; monitor++) {
      driver.enable(monitor);
      driver.show(monitor, { view: monitor * 3 * MIB, width: 640 + monitor, height: 480, x: -640 * monitor, y: 7 });
    }
    const records = [0, 1, 2, 3].map(shown);
    expect(frame.monitorCount).toBe(4);
    expect(records.map((record) => record[FRAME.startAddress] / MIB)).toEqual([0, 3, 6, 9]);
    expect(records.map((record) => record[FRAME.width])).toEqual([640, 641, 642, 643]);
    expect(records.map((record) => record[FRAME.originX] | 0)).toEqual([0, -640, -1280, -1920]);
    expect(records.map((record) => record[FRAME.attached])).toEqual([1, 1, 1, 1]);
    // Only what changed is told, and once.
    const { generation } = frame;
    expect(vga.publish(frame)).toBe(false);
    driver.show(2, { width: 320, height: 200, bpp: 16, pitch: 640 });
    expect(shown(2)[FRAME.kind]).toBe(FRAME_KIND.rgb565);
    expect(frame.generation).toBe(generation + 1);
  });

  it('are dark while the guest says so, and then not there', () => {
    driver.enable(1);
    expect([shown(1)[FRAME.kind], shown(1)[FRAME.attached]]).toEqual([FRAME_KIND.blank, 0]);
    driver.show(1, { width: 800, height: 600 });
    driver.show(1, { width: 1, height: 1, flags: 1 | 8 });
    expect([...shown(1).subarray(0, 3), shown(1)[FRAME.attached]]).toEqual([FRAME_KIND.blank, 800, 600, 1]);
    driver.show(1, { width: 1280, height: 1024, bpp: 0, flags: 1 | 4 });
    expect([...shown(1).subarray(0, 3), shown(1)[FRAME.overscan]]).toEqual([FRAME_KIND.blank, 1280, 1024, 0xff00_0000]);
    driver.show(1, { width: 0, height: 0, flags: 1 | 2 });
    expect(shown(1)[FRAME.attached]).toBe(0);
  });

  it('never show what is not in video memory', () => {
    driver.enable(0);
    driver.show(0, { width: 1024, height: 768 });
    const before = shown(0);
    const wrong: Surface[] = [
      { width: 1024, height: 768, view: VRAM - 4096 },
      { width: 1024, height: 768, start: VRAM - 4096 },
      { width: 1024, height: 768, pitch: 0xffff_ffff },
      { width: 1024, height: 768, pitch: 1024 },
      { width: 0, height: 768 },
      { width: 8193, height: 1, flags: 5 },
      { width: 8192, height: 8192, flags: 5 },
    ];
    for (const surface of wrong) {
      driver.show(0, { ...surface, view: surface.view ?? 0 });
      expect(shown(0)).toEqual(before);
      driver.show(0, { width: 1024, height: 768 });
    }
    driver.show(7, { width: 640, height: 480 });
    expect(shown(0)).toEqual(before);
  });
});

describe('hints', () => {
  const hints = (count: number, words = 8): number[][] => {
    const answer = driver.call(VBVA, 19, [
      count | ((words * 4) << 16),
      -37,
      ...new Array<number>(count * words).fill(5),
    ]);
    expect(answer[1]).toBe(0);
    return Array.from({ length: count }, (_, i) => [...answer.subarray(2 + i * words, 2 + (i + 1) * words)]);
  };
  const NOTHING = new Array<number>(8).fill(-1);

  it('interrupt a driver that listens, until it acknowledges', () => {
    const hint = { monitor: 1, enabled: true, width: 1440, height: 900 };
    expect(vga.suggestMode(hint)).toBe(false);
    expect(wire).toBe(false);
    driver.listen();
    expect(vga.suggestMode(hint)).toBe(true);
    expect([wire, driver.flags]).toEqual([true, 0x22]);
    // Said again in between, the flags are where they were.
    driver.listen();
    expect(driver.flags).toBe(0x22);
    ports.write(HOST_PORT, 4, 0xffff_ffff);
    expect([wire, driver.flags]).toEqual([false, 0]);
    expect(vga.suggestMode({ ...hint, monitor: 4 })).toBe(false);
  });

  it('come as the guest asks for them', () => {
    expect(hints(4)).toEqual([NOTHING, NOTHING, NOTHING, NOTHING]);
    vga.suggestMode({ monitor: 1, enabled: true, width: 1440, height: 900 });
    vga.suggestMode({ monitor: 3, enabled: false, width: 640, height: 480, origin: { x: 1440, y: 10 } });
    const magic = 0x0801_add9;
    expect(hints(5)).toEqual([
      NOTHING,
      [magic, 1440, 900, 32, 1, -1, -1, 1],
      NOTHING,
      [magic, 640, 480, 32, 3, 1440, 10, 0],
      NOTHING,
    ]);
    // A guest of another age knows other lengths.
    expect(hints(2, 3)[1]).toEqual([magic, 1440, 900]);
    expect(hints(2, 10)[1]).toEqual([magic, 1440, 900, 32, 1, -1, -1, 1, -1, -1]);
    // More than there is room for.
    expect(driver.call(VBVA, 19, [100 | (32 << 16), -37, 0, 0])[1]).toBe(-2);
  });

  it('outlive a reset, which the driver does not', () => {
    driver.listen();
    driver.enable(1);
    driver.show(1, { width: 800, height: 600 });
    vga.suggestMode({ monitor: 1, enabled: true, width: 1440, height: 900 });
    expect(wire).toBe(true);
    vga.reset();
    expect([wire, shown(1)[FRAME.attached]]).toEqual([false, 0]);
    expect(hints(2)[1][1]).toBe(1440);
    expect(vga.suggestMode({ monitor: 0, enabled: true, width: 800, height: 600 })).toBe(false);
  });
});

describe('the pointer', () => {
  /** 3 x 2 pixels: an AND mask of a byte a row, padded to 4 bytes, then colours. */
  const shape = (flags: number, mask: number, colours: readonly number[]): number[] => [
    ...[-1, flags, 1, 9, 3, 2],
    ...[mask, ...colours],
  ];
  const now = () => {
    vga.publish(frame);
    return frame.readPointer();
  };

  it('has the shape that a driver sets, with alpha or with masks', () => {
    expect([frame.pointerSerial, vga.publish(frame), frame.pointerSerial]).toEqual([0, true, 0]);
    const colours = [0xff11_2233, 0x8044_5566, 0, 0x0100_0000, 0xffff_ffff, 0xff00_00ff];
    expect(driver.call(VBVA, 8, shape(7, -1, colours))[0]).toBe(0);
    const pixels = [0xff33_2211, 0x8066_5544, 0, 0x0100_0000, 0xffff_ffff, 0xffff_0000];
    // A hot spot outside is on the edge.
    expect(now()).toEqual({ visible: true, hotX: 1, hotY: 1, width: 3, height: 2, pixels: Uint32Array.from(pixels) });
    expect(vga.publish(frame)).toBe(false);
    // Without alpha: rows 100 and 011; the last pixel inverts.
    driver.call(VBVA, 8, shape(5, 0x6080, [0, 0x11_2233, 0x44_5566, 0x77_8899, 0, 0xff_ffff]));
    const opaque = [0, 0xff33_2211, 0xff66_5544, 0xff99_8877, 0, 0xff00_0000];
    expect(now().pixels).toEqual(Uint32Array.from(opaque));
  });

  it('is hidden and shown again', () => {
    driver.call(VBVA, 8, shape(7, 0, [1, 2, 3, 4, 5, 6]));
    expect(now().visible).toBe(true);
    driver.call(VBVA, 8, [0, 0, 0, 0, 0, 0]);
    expect(now()).toMatchObject({ visible: false, width: 3 });
    driver.call(VBVA, 8, [0, 1, 0, 0, 0, 0]);
    expect(now()).toMatchObject({ visible: true, width: 3 });
    const state = structuredClone(vga.save()) as VboxVgaState;
    start(4);
    vga.restore(state);
    expect(now()).toMatchObject({ visible: true, width: 3 });
    vga.reset();
    driver.call(VBVA, 8, [0, 1, 0, 0, 0, 0]);
    expect(now()).toMatchObject({ visible: true, width: 0 });
  });

  it('is not larger than there is room for', () => {
    expect(driver.call(VBVA, 8, [-1, 7, 0, 0, 97, 2, 0])[0]).toBe(-37);
    expect(driver.call(VBVA, 8, [-1, 7, 0, 0, 0, 2, 0])[0]).toBe(-37);
    expect(driver.call(VBVA, 8, [-1, 7, 0, 0, 3, 2, 0, 1, 2, 3, 4, 5])[0]).toBe(-2);
    expect(frame.pointerSerial).toBe(0);
  });
});

it('has a desktop around all monitors that are used', () => {
  expect(vga.desktop).toEqual({ x: 0, y: 0, width: 640, height: 480 });
  driver.enable(0);
  driver.show(0, { width: 800, height: 600 });
  driver.enable(2);
  driver.show(2, { width: 1024, height: 768, x: -1024, y: 10 });
  expect(vga.desktop).toEqual({ x: -1024, y: 0, width: 1824, height: 778 });
  driver.show(2, { width: 0, height: 0, flags: 3 });
  expect(vga.desktop).toEqual({ x: 0, y: 0, width: 800, height: 600 });
});

it('goes on from its saved state', () => {
  driver.listen();
  driver.enable(2);
  driver.show(2, { view: MIB, width: 800, height: 600, x: 5 });
  vga.suggestMode({ monitor: 2, enabled: true, width: 1440, height: 900 });
  const state = structuredClone(vga.save()) as VboxVgaState;
  const before = [0, 1, 2, 3].map(shown);
  start(4);
  expect(wire).toBe(false);
  vga.restore(state);
  expect([0, 1, 2, 3].map(shown)).toEqual(before);
  expect([wire, driver.flags]).toEqual([true, 0x22]);
  ports.write(HOST_PORT, 4, 0xffff_ffff);
  expect(vga.suggestMode({ monitor: 0, enabled: true, width: 640, height: 480 })).toBe(true);
});
