import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISPI } from '#emu/devices/video/dispi.ts';
import { MODE_03, MODE_12, MODE_13, vgaRig } from '#emu/devices/video/vga-modes.suite.ts';
import { FRAME, FRAME_KIND, FRAME_WORDS, NO_LINE } from '#emu/host/frame.ts';
import { BUTTON, type Desktop, type DesktopView, TILE } from './desktop.ts';
import { MachineDesktop, type MachineDesktopParts } from './machine-desktop.ts';
import { PaintedDesktop } from './painted-desktop.suite.ts';
import { TileDamage } from './tile-damage.ts';

const VRAM_BYTES = 1024 * 1024;
const turns = async (count = 5): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A consumer that keeps a copy, as a remote client does. */
class Copy {
  width = 0;
  height = 0;
  pixels = new Uint32Array(0);
  updates = 0;
  readonly #desktop: Desktop;
  readonly view: DesktopView;

  constructor(desktop: Desktop) {
    this.#desktop = desktop;
    this.view = desktop.view();
  }

  take(): void {
    this.updates++;
    const { resized, rects } = this.view.take();
    const { width, height, pixels } = this.#desktop.screen;
    if (resized) {
      this.width = width;
      this.height = height;
      this.pixels = new Uint32Array(width * height);
    }
    for (const rect of rects) {
      expect(Math.floor(rect.x / TILE)).toBe(Math.floor((rect.x + rect.width - 1) / TILE));
      expect(Math.floor(rect.y / TILE)).toBe(Math.floor((rect.y + rect.height - 1) / TILE));
      for (let y = rect.y; y < rect.y + rect.height; y++) {
        const at = y * width + rect.x;
        this.pixels.set(pixels.subarray(at, at + rect.width), at);
      }
    }
  }

  follow(): void {
    this.view.request(() => {
      this.take();
      this.follow();
    });
  }
}

function machine() {
  const rig = vgaRig(VRAM_BYTES);
  const scancodes: number[] = [];
  const watched: boolean[] = [];
  const moves: number[][] = [];
  const parts: MachineDesktopParts = {
    ...{ vram: rig.vram, frame: rig.frame },
    keyboard: { putScancodes: (codes) => scancodes.push(...codes) },
    mouse: { move: (dx, dy) => moves.push([dx, dy]) },
    typeText: () => {},
    onWatched: (on) => watched.push(on),
  };
  return { rig, parts, desktop: new MachineDesktop(parts), scancodes, watched, moves };
}

describe('the desktop of a machine', () => {
  it('gives every view the same picture, whatever the guest draws and however slow the view is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(0x1ffff), fc.integer({ min: 1, max: 3000 }), fc.nat(255), fc.nat(5)), {
          minLength: 1,
          maxLength: 12,
        }),
        async (steps) => {
          const { rig, desktop } = machine();
          const eager = new Copy(desktop);
          const lazy = new Copy(desktop);
          eager.follow();
          rig.setMode(MODE_12);
          for (let i = 0; i < 256; i++) rig.setColours(i, i & 63, (i * 7) & 63, i >> 2);
          for (const [at, count, value, what] of steps) {
            if (what === 0) rig.setMode(value < 128 ? MODE_03 : MODE_13);
            else rig.linear(at, new Uint8Array(count).fill(value));
            rig.vga.publish(rig.frame);
            await turns(2);
            if (what === 1) lazy.take();
          }
          await turns();
          lazy.take();
          eager.take();
          const { width, height, pixels } = desktop.screen;
          expect([eager.width, eager.height, lazy.width, lazy.height]).toEqual([width, height, width, height]);
          expect(Buffer.compare(Buffer.from(eager.pixels.buffer), Buffer.from(pixels.buffer))).toBe(0);
          expect(Buffer.compare(Buffer.from(lazy.pixels.buffer), Buffer.from(pixels.buffer))).toBe(0);
          eager.view.close();
          desktop.close();
        },
      ),
      { numRuns: 30 },
    );
  });

  it('has a desktop for each monitor, and one pointer on all of them', async () => {
    const { rig, parts, desktop, moves, watched } = machine();
    const place = (monitor: number, x: number, width: number): void => {
      const record = new Uint32Array(FRAME_WORDS);
      record.set([FRAME_KIND.xrgb8888, width, 80, width * 4, monitor * 65_536, VRAM_BYTES - 1, NO_LINE]);
      record[FRAME.linesPerRow] = 1;
      record[FRAME.originX] = x;
      record[FRAME.attached] = 1;
      rig.frame.writeRecord(record, monitor);
    };
    rig.frame.monitorCount = 2;
    // The second one stands to the left.
    place(0, 0, 100);
    place(1, -120, 120);
    rig.vram.fill(0x55, 65_536, 65_536 + 4);
    rig.frame.commit();
    const [first, second] = desktop.monitors;
    expect([desktop.monitors.length, first]).toEqual([2, desktop]);
    expect(second.monitors).toEqual([second]);
    const copies = [first, second].map((one) => new Copy(one));
    for (const copy of copies) copy.take();
    expect(copies.map(({ width }) => width)).toEqual([100, 120]);
    expect(copies.map(({ pixels }) => pixels[0])).toEqual([0xff00_0000, 0xff55_5555]);
    expect(second.clipboard).toBe(first.clipboard);
    first.seat().moveTo(10, 20);
    second.seat().moveTo(50, 20);
    expect(moves).toEqual([[50 - 130, 0]]);
    // In one picture the first is on the left.
    const all = new MachineDesktop(parts, 'all');
    new Copy(all).take();
    expect([all.screen.width, all.screen.pixels[100], all.requestSize]).toEqual([220, 0xff55_5555, undefined]);
    copies[0].view.close();
    expect(watched).toEqual([true, true]);
    copies[1].view.close();
    expect(watched).toEqual([true, true, false]);
  });

  it('gives positions to a guest that takes them, of whatever monitor', async () => {
    const { rig, parts } = machine();
    const points: number[][] = [];
    const mouse = { move: () => {}, point: (x: number, y: number) => points.push([Math.round(x), Math.round(y)]) };
    const desktop = new MachineDesktop({ ...parts, mouse });
    const record = new Uint32Array(FRAME_WORDS);
    record.set([FRAME_KIND.blank, 100, 50]);
    record[FRAME.attached] = 1;
    rig.frame.monitorCount = 2;
    rig.frame.writeRecord(record, 0);
    record[FRAME.originX] = 100;
    rig.frame.writeRecord(record, 1);
    rig.frame.takesPositions = true;
    rig.frame.commit();
    const [, second] = desktop.monitors;
    new Copy(second).take();
    second.seat().moveTo(50, 25);
    expect(points).toEqual([[Math.round((150.5 * 65_535) / 200), Math.round((25.5 * 65_535) / 50)]]);
    // Who shows the screen draws the pointer, and hears of each.
    expect(desktop.pointer).toBeUndefined();
    let heard = 0;
    const stop = second.onPointer(() => heard++);
    const view = new Copy(second);
    view.follow();
    rig.frame.writePointer({ visible: true, hotX: 0, hotY: 0, width: 1, height: 1, pixels: Uint32Array.of(5) });
    rig.frame.commit();
    await turns();
    expect([heard, second.pointer?.pixels[0], new MachineDesktop(parts, 'all').pointer]).toEqual([1, 5, undefined]);
    stop();
    view.view.close();
  });

  it('reports the pixels that differ, not the lines that were drawn', async () => {
    const { rig, desktop } = machine();
    rig.setMode(MODE_12);
    rig.dispi(DISPI.xRes, 256);
    rig.dispi(DISPI.yRes, 128);
    rig.dispi(DISPI.bpp, 32);
    rig.dispi(DISPI.enable, 0xc1);
    rig.vga.publish(rig.frame);
    const view = desktop.view();
    expect(view.take().rects).toHaveLength(8);
    rig.linear((70 * 256 + 100) * 4, [1, 2, 3, 0]);
    rig.vga.publish(rig.frame);
    expect(view.take()).toEqual({ resized: false, rects: [{ x: 100, y: 70, width: 1, height: 1 }] });
    rig.linear((70 * 256 + 100) * 4, [1, 2, 3, 0]);
    rig.vga.publish(rig.frame);
    expect(view.take().rects).toEqual([]);
  });

  it('is still while the screen is, and machines publish only while somebody looks', async () => {
    const { rig, desktop, watched } = machine();
    rig.setMode(MODE_13);
    rig.setColours(255, 63, 0, 0);
    rig.vga.publish(rig.frame);
    const copy = new Copy(desktop);
    copy.follow();
    await turns();
    const { updates } = copy;
    for (let i = 0; i < 20; i++) {
      rig.vga.publish(rig.frame);
      await turns(1);
    }
    expect(copy.updates).toBe(updates);
    rig.linear(40, [255]);
    rig.vga.publish(rig.frame);
    await turns();
    expect(copy.updates).toBe(updates + 1);
    copy.view.close();
    expect(watched).toEqual([true, false]);
  });

  it('tells a view again what of the screen it has lost', async () => {
    const desktop = new PaintedDesktop(200, 100);
    const view = desktop.view();
    view.take();
    let rects: unknown;
    view.request(() => {
      rects = view.take().rects;
    });
    await turns();
    expect(rects).toBe(undefined);
    view.invalidate({ x: 60, y: 90, width: 10, height: 50 });
    await turns();
    expect(rects).toEqual([
      { x: 60, y: 90, width: 4, height: 10 },
      { x: 64, y: 90, width: 6, height: 10 },
    ]);
    view.invalidate();
    expect(view.take().rects).toHaveLength(8);
  });

  it('calls a view that waits though another one has looked before it, and is gone then', async () => {
    const { rig, desktop } = machine();
    rig.setMode(MODE_13);
    rig.setColours(255, 63, 0, 0);
    const draw = (at: number): void => {
      rig.linear(at, [255]);
      rig.vga.publish(rig.frame);
    };
    draw(0);
    const copy = new Copy(desktop);
    const passing = desktop.view();
    passing.take();
    copy.follow();
    await turns();
    const { updates } = copy;
    // The one that passes by is the first to see the next change, on a call of its own.
    draw(40);
    passing.take();
    passing.close();
    await turns();
    expect(copy.updates).toBe(updates + 1);
    draw(80);
    await turns();
    expect(copy.updates).toBe(updates + 2);
    copy.view.close();
  });
});

describe('a seat', () => {
  it('lets go of what it holds, and of nothing else', () => {
    const desktop = new PaintedDesktop(100, 100);
    const [one, other] = [desktop.seat(), desktop.seat()];
    one.putScancodes([0x1d, 0xe0, 0x38, 0x1e, 0x9e]);
    one.putScancodes([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    other.putScancodes([0x2a]);
    one.setButtons(BUTTON.left);
    other.setButtons(BUTTON.right);
    desktop.scancodes.length = 0;
    one.close();
    expect(desktop.scancodes).toEqual([0x9d, 0xe0, 0xb8]);
    expect(desktop.mouse.at(-1)).toEqual({ dx: 0, dy: 0, dz: 0, buttons: BUTTON.right, dw: 0 });
    one.putScancodes([0x1e]);
    one.moveTo(5, 5);
    expect(desktop.scancodes).toHaveLength(3);
  });

  it('moves by the way to a place, and against the edge to bring a strayed pointer back', () => {
    const desktop = new PaintedDesktop(100, 80);
    const seat = desktop.seat();
    seat.moveTo(10, 10);
    seat.moveTo(15, 8);
    seat.moveTo(15, 8);
    seat.moveTo(15, 400);
    expect(desktop.mouse).toEqual([
      { dx: 5, dy: -2, dz: 0, buttons: 0, dw: 0 },
      { dx: 0, dy: 71 + 64, dz: 0, buttons: 0, dw: 0 },
    ]);
  });

  it('turns both wheels with what everybody holds', () => {
    const desktop = new PaintedDesktop(100, 80);
    const [one, other] = [desktop.seat(), desktop.seat()];
    one.setButtons(BUTTON.left);
    other.wheel(2);
    other.wheel(-1, 3);
    other.close();
    other.wheel(1, 1);
    expect(desktop.mouse.map(({ dz, dw, buttons }) => [dz, dw, buttons])).toEqual([
      [0, 0, BUTTON.left],
      [2, 0, BUTTON.left],
      [-1, 3, BUTTON.left],
    ]);
  });
});

describe('tile damage', () => {
  it('covers what was added, within the screen, with one box a square', () => {
    const side = fc.integer({ min: 1, max: 300 });
    const rect = fc.record({ x: fc.nat(320), y: fc.nat(320), width: side, height: side });
    fc.assert(
      fc.property(side, side, fc.array(rect, { maxLength: 6 }), (width, height, rects) => {
        const damage = new TileDamage(width, height);
        for (const one of rects) damage.add(one);
        const boxes = damage.take();
        expect(damage.isEmpty).toBe(true);
        expect(damage.take()).toEqual([]);
        const squares = boxes.map(({ x, y }) => `${Math.floor(x / TILE)} ${Math.floor(y / TILE)}`);
        expect(new Set(squares).size).toBe(boxes.length);
        for (const box of boxes) expect(box.x + box.width <= width && box.y + box.height <= height).toBe(true);
        for (const { x, y, width: w, height: h } of rects) {
          const corners = [
            [x, y],
            [Math.min(x + w, width) - 1, Math.min(y + h, height) - 1],
          ];
          if (x >= width || y >= height) continue;
          for (const [px, py] of corners) {
            const hit = boxes.some((b) => b.x <= px && px < b.x + b.width && b.y <= py && py < b.y + b.height);
            expect(hit).toBe(true);
          }
        }
      }),
    );
  });
});
