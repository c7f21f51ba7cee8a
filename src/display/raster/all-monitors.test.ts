import { beforeEach, expect, it } from 'vitest';
import { FRAME, FRAME_KIND, FRAME_WORDS, NO_LINE, SharedFrame, sharedFrameBytes } from '#emu/host/frame.ts';
import { AllMonitors } from './all-monitors.ts';

const VRAM = 1024 * 1024;
const PAGES_APART = 64;
let vram: Uint8Array;
let frame: SharedFrame;
let all: AllMonitors;

/** Monitor n shows `n * PAGES_APART` pages into video memory. */
function show(monitor: number, width: number, height: number, attached = 1): void {
  const record = new Uint32Array(FRAME_WORDS);
  record[FRAME.kind] = FRAME_KIND.xrgb8888;
  record[FRAME.width] = width;
  record[FRAME.height] = height;
  record[FRAME.pitch] = width * 4;
  record[FRAME.startAddress] = monitor * PAGES_APART * 4096;
  record[FRAME.addressMask] = VRAM - 1;
  record[FRAME.splitLine] = NO_LINE;
  record[FRAME.linesPerRow] = 1;
  record[FRAME.attached] = attached;
  frame.writeRecord(record, monitor);
}

/** Colours a pixel of a monitor: its blue. */
function draw(monitor: number, at: number, blue: number): void {
  const byte = monitor * PAGES_APART * 4096 + at * 4;
  vram[byte] = blue;
  frame.pageGeneration[byte >> 12] = frame.generation + 1;
}

const blue = (x: number, y: number): number => (all.pixels[y * all.width + x] >> 16) & 0xff;

beforeEach(() => {
  vram = new Uint8Array(new SharedArrayBuffer(VRAM));
  frame = new SharedFrame(new SharedArrayBuffer(sharedFrameBytes(VRAM)), 0, VRAM);
  all = new AllMonitors(vram, frame);
});

it('is the first monitor’s picture while that is alone', () => {
  frame.monitorCount = 2;
  show(0, 128, 96);
  show(1, 100, 100, 0);
  draw(0, 1, 7);
  frame.commit();
  expect(all.render()).toEqual([{ x: 0, y: 0, width: 128, height: 96 }]);
  expect([all.width, all.height, blue(1, 0), all.bytes.length]).toEqual([128, 96, 7, 128 * 96 * 4]);
  expect(all.places).toEqual([{ monitor: 0, x: 0, y: 0, width: 128, height: 96 }]);
});

it('puts several two in a row, and tells what changed on each', () => {
  frame.monitorCount = 4;
  show(0, 128, 96);
  show(1, 100, 110);
  show(2, 64, 64, 0);
  show(3, 160, 80);
  for (const monitor of [0, 1, 3]) draw(monitor, 0, 10 + monitor);
  frame.commit();
  expect(all.render()).toEqual([{ x: 0, y: 0, width: 228, height: 190 }]);
  expect([all.width, all.height]).toEqual([228, 190]);
  expect(all.places.map(({ monitor, x, y }) => [monitor, x, y])).toEqual([
    [0, 0, 0],
    [1, 128, 0],
    [3, 0, 110],
  ]);
  expect([blue(0, 0), blue(128, 0), blue(0, 110), blue(227, 189)]).toEqual([10, 11, 13, 0]);
  expect(all.render()).toEqual([]);
  draw(3, 161, 99);
  frame.commit();
  const rects = all.render();
  expect(rects.length).toBeGreaterThan(0);
  expect(rects.every(({ x, y, width, height }) => x === 0 && width === 160 && y >= 110 && y + height <= 190)).toBe(
    true,
  );
  expect(blue(1, 111)).toBe(99);
});

it('becomes another picture when monitors come and go', () => {
  frame.monitorCount = 2;
  show(0, 128, 96);
  show(1, 100, 100);
  frame.commit();
  all.render();
  const two = all.pixels;
  show(1, 100, 100, 0);
  frame.commit();
  expect(all.render()).toEqual([{ x: 0, y: 0, width: 128, height: 96 }]);
  expect(all.pixels).not.toBe(two);
  show(1, 64, 200);
  frame.commit();
  expect(all.render()).toEqual([{ x: 0, y: 0, width: 192, height: 200 }]);
  all.invalidate();
  expect(all.render()).toEqual([{ x: 0, y: 0, width: 192, height: 200 }]);
});

/** Two by two pixels, blue, the last one half seen; the first one points. */
const POINTER = {
  ...{ visible: true, hotX: 1, hotY: 0, width: 2, height: 2 },
  pixels: Uint32Array.from([0xffc8_0000, 0xffc8_0000, 0, 0x80c8_0000]),
};

it('draws the pointer where it is, and what was there when it has gone', () => {
  all = new AllMonitors(vram, frame, { drawsPointer: true });
  frame.monitorCount = 2;
  show(0, 128, 96);
  show(1, 100, 100);
  frame.takesPositions = true;
  frame.movePointer(10, 20);
  frame.commit();
  all.render();
  expect(blue(10, 20)).toBe(0);
  frame.writePointer(POINTER);
  frame.commit();
  expect(all.render()).toEqual([{ x: 9, y: 20, width: 2, height: 2 }]);
  expect([blue(9, 20), blue(10, 20), blue(9, 21), blue(10, 21)]).toEqual([200, 200, 0, 100]);
  frame.movePointer(12, 20);
  frame.commit();
  expect(all.render()).toEqual([
    { x: 9, y: 20, width: 2, height: 2 },
    { x: 11, y: 20, width: 2, height: 2 },
  ]);
  expect([blue(9, 20), blue(10, 20), blue(11, 20), blue(12, 20)]).toEqual([0, 0, 200, 200]);
  // What is drawn below it stays below it.
  draw(0, 20 * 128 + 12, 77);
  frame.commit();
  all.render();
  expect(blue(12, 20)).toBe(200);
  frame.writePointer({ ...POINTER, visible: false });
  frame.commit();
  all.render();
  expect([blue(11, 20), blue(12, 20)]).toEqual([0, 77]);
  // At an edge only a part of it is there; and not at all while somebody else draws it.
  frame.writePointer(POINTER);
  frame.movePointer(0, 95);
  frame.commit();
  all.render();
  expect([blue(0, 95), blue(128, 0)]).toEqual([200, 0]);
  all.drawsPointer = false;
  all.render();
  expect(blue(0, 95)).toBe(0);
});

it('shows one monitor alone, with the pointer while it is there', () => {
  frame.monitorCount = 2;
  show(0, 128, 96);
  const record = new Uint32Array(FRAME_WORDS);
  show(1, 100, 100);
  frame.read(record, 1);
  record[FRAME.originX] = 128;
  frame.writeRecord(record, 1);
  all = new AllMonitors(vram, frame, { monitor: 1, drawsPointer: true });
  frame.takesPositions = true;
  frame.writePointer(POINTER);
  frame.movePointer(128 + 30, 40);
  frame.commit();
  all.render();
  expect([all.width, all.height, blue(30, 40)]).toEqual([100, 100, 200]);
  expect(all.places.map(({ monitor }) => monitor)).toEqual([1]);
  frame.movePointer(30, 40);
  frame.commit();
  all.render();
  expect(blue(30, 40)).toBe(0);
});
