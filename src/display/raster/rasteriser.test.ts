import { beforeEach, describe, expect, it } from 'vitest';
import { DISPI, DISPI_ENABLE } from '#emu/devices/video/dispi.ts';
import {
  MODE_03,
  MODE_04,
  MODE_06,
  MODE_12,
  MODE_13,
  MODE_X,
  type VgaRig,
  vgaRig,
} from '#emu/devices/video/vga-modes.suite.ts';
import { Rasteriser } from './rasteriser.ts';
import type { Rect } from './rects.ts';
import { screenText } from './screen-text.ts';

let rig: VgaRig;
let screen: Rasteriser;

beforeEach(() => {
  rig = vgaRig();
  screen = new Rasteriser(rig.vram, rig.frame);
});

function render(): readonly Rect[] {
  rig.vga.publish(rig.frame);
  return screen.render();
}

/** RRGGBB of a pixel. */
function rgb(x: number, y: number): string {
  const at = (y * screen.width + x) * 4;
  expect(screen.bytes[at + 3]).toBe(255);
  return [0, 1, 2].map((i) => screen.bytes[at + i].toString(16).padStart(2, '0')).join('');
}

function size(): readonly [number, number] {
  return [screen.width, screen.height];
}

/** Sets DAC entry i to a colour whose red byte tells it: 6-bit red i, green 0, blue 0 (and blue 3Fh above 63). */
function tellingPalette(): void {
  for (let i = 0; i < 256; i++) rig.setColours(i, i & 0x3f, 0, (i >> 6) * 0x15);
}

const six = (v: number): string => ((v << 2) | (v >> 4)).toString(16).padStart(2, '0');
const entry = (i: number): string => `${six(i & 0x3f)}00${six((i >> 6) * 0x15)}`;

function enable(width: number, height: number, bpp: number): void {
  rig.dispi(DISPI.enable, 0);
  rig.dispi(DISPI.xRes, width);
  rig.dispi(DISPI.yRes, height);
  rig.dispi(DISPI.bpp, bpp);
  rig.dispi(DISPI.enable, DISPI_ENABLE.enabled | DISPI_ENABLE.linearFramebuffer);
}

function writeText(cell: number, text: string, attribute: number): void {
  [...text].forEach((c, i) => {
    rig.vga.window.write(0x18000 + (cell + i) * 2, 2, c.charCodeAt(0) | (attribute << 8));
  });
}

/** Loads one glyph as a BIOS does: plane 2, linear addressing, then back to text mode. */
function loadGlyph(code: number, lines: readonly number[], map = 0): void {
  rig.indexed(0x3c4, 2, 4);
  rig.indexed(0x3c4, 4, 6);
  rig.indexed(0x3ce, 5, 0);
  rig.indexed(0x3ce, 6, 4);
  lines.forEach((bits, i) => {
    rig.poke(map * 0x4000 + code * 32 + i, bits);
  });
  rig.indexed(0x3c4, 2, 3);
  rig.indexed(0x3c4, 4, 2);
  rig.indexed(0x3ce, 5, 0x10);
  rig.indexed(0x3ce, 6, 0x0e);
}

/** Dots of cell (column, row) line by line: '#' where the colour is `ink`. */
function dots(column: number, row: number, line: number, ink: string, cellWidth = 9): string {
  return Array.from({ length: cellWidth }, (_, i) =>
    rgb(column * cellWidth + i, row * 16 + line) === ink ? '#' : '.',
  ).join('');
}

describe('text', () => {
  const WHITE = entry(0x3f);
  const BLUE = entry(1);
  beforeEach(() => {
    rig.setMode(MODE_03);
    tellingPalette();
    rig.indexed(0x3d4, 0x0a, 0x20); // Cursor off.
  });

  it('draws nine dots a cell; only line graphics reach the ninth', () => {
    loadGlyph(0x41, [0, 0x81, 0xff]);
    loadGlyph(0xc4, [0, 0x81, 0xff]);
    writeText(0, 'AÄ', 0x1f);
    render();
    expect(size()).toEqual([720, 400]);
    expect(screen.fourByThree).toBe(true);
    expect(dots(0, 0, 1, WHITE)).toBe('#......#.');
    expect(dots(0, 0, 2, WHITE)).toBe('########.');
    expect(dots(1, 0, 1, WHITE)).toBe('#......##');
    expect(rgb(0, 0)).toBe(BLUE);
    rig.attribute(0x10, 0x08);
    render();
    expect(dots(1, 0, 1, WHITE)).toBe('#......#.');
    rig.indexed(0x3c4, 1, 1);
    rig.attribute(0x13, 0);
    render();
    expect(size()).toEqual([640, 400]);
    expect(dots(1, 0, 2, WHITE, 8)).toBe('########');
  });

  it('draws again only cells that changed', () => {
    render();
    expect(render()).toEqual([]);
    writeText(80 * 3 + 5, 'xy', 0x07);
    expect(render()).toEqual([{ x: 45, y: 48, width: 18, height: 16 }]);
    writeText(80 * 3 + 5, 'xy', 0x07);
    expect(render()).toEqual([]);
    writeText(0, 'a', 0x07);
    writeText(80 * 24 + 79, 'b', 0x07);
    expect(render()).toEqual([
      { x: 0, y: 0, width: 9, height: 16 },
      { x: 711, y: 384, width: 9, height: 16 },
    ]);
  });

  it('draws cells again whose glyph changed', () => {
    writeText(81, 'Q', 0x0f);
    render();
    loadGlyph(0x51, [0xff]);
    expect(render()).toEqual([{ x: 9, y: 16, width: 9, height: 16 }]);
    expect(dots(1, 1, 0, WHITE)).toBe('########.');
  });

  it('takes the second font for cells without attribute bit 3', () => {
    loadGlyph(0x41, [0xf0], 0);
    loadGlyph(0x41, [0x0f], 1);
    rig.indexed(0x3c4, 3, 0b0000_0001); // Map A = 0, map B = 1.
    writeText(0, 'A', 0x0f);
    writeText(1, 'A', 0x07);
    render();
    expect(dots(0, 0, 0, WHITE)).toBe('####.....');
    expect(dots(1, 0, 0, entry(7))).toBe('....####.');
  });

  it('shows the cursor between its lines, blinks it and moves it by its skew', () => {
    writeText(0, '     ', 0x0f);
    rig.indexed(0x3d4, 0x0a, 13);
    rig.indexed(0x3d4, 0x0b, 14);
    rig.indexed(0x3d4, 0x0f, 2);
    render();
    expect([12, 13, 14, 15].map((line) => dots(2, 0, line, WHITE))).toEqual([
      '.........',
      '#########',
      '#########',
      '.........',
    ]);
    rig.clock.advance(8 * 14_268_000 + 1000);
    expect(render()).toEqual([{ x: 18, y: 0, width: 9, height: 16 }]);
    expect(dots(2, 0, 13, WHITE)).toBe('.........');
    rig.clock.advance(8 * 14_268_000);
    rig.indexed(0x3d4, 0x0b, 14 | (1 << 5));
    render();
    expect(dots(3, 0, 13, WHITE)).toBe('#########');
    rig.indexed(0x3d4, 0x0b, 5); // End above start: no cursor.
    render();
    expect(dots(3, 0, 13, WHITE)).toBe('.........');
  });

  it('blinks characters, or uses the bit for bright backgrounds', () => {
    loadGlyph(0x41, [0xff]);
    writeText(0, 'A', 0x9f);
    render();
    expect([rgb(0, 0), rgb(8, 0)]).toEqual([WHITE, BLUE]);
    rig.clock.advance(16 * 14_268_000 + 1000);
    expect(render()).toEqual([{ x: 0, y: 0, width: 9, height: 16 }]);
    expect([rgb(0, 0), rgb(8, 0)]).toEqual([BLUE, BLUE]);
    rig.attribute(0x10, 0x04);
    render();
    expect([rgb(0, 0), rgb(8, 0)]).toEqual([WHITE, entry(0x39)]);
  });

  it('underlines attribute 1 where the underline location points', () => {
    writeText(0, ' ', 0x01);
    rig.indexed(0x3d4, 0x14, 12);
    render();
    expect(dots(0, 0, 12, BLUE)).toBe('#########');
    expect(dots(0, 0, 13, BLUE)).toBe('.........');
  });

  it('scrolls smoothly by panning and preset row', () => {
    loadGlyph(0x41, [0, 0, 0, 0x80]);
    writeText(1, 'A', 0x0f);
    rig.attribute(0x13, 2); // Three dots.
    rig.indexed(0x3d4, 0x08, 3);
    render();
    expect(rgb(6, 0)).toBe(WHITE);
    expect(rgb(7, 0)).toBe(entry(0));
    rig.attribute(0x13, 8);
    rig.indexed(0x3d4, 0x08, 0x20); // One character.
    render();
    expect(rgb(0, 3)).toBe(WHITE);
  });

  it('scrolls by start address and splits at line compare', () => {
    loadGlyph(0x41, [0x80]);
    loadGlyph(0x42, [0x01]);
    writeText(0, 'A', 0x0f);
    writeText(80, 'B', 0x0f);
    rig.indexed(0x3d4, 0x0d, 80);
    rig.indexed(0x3d4, 0x09, 0x0f); // Line compare bit 9 off ...
    rig.indexed(0x3d4, 0x11, 0x0e); // (unprotected)
    rig.indexed(0x3d4, 0x07, 0x0f); // ... and bit 8.
    rig.indexed(0x3d4, 0x18, 199); // Line 200 is the first of the lower part, eight lines into a row.
    render();
    expect(rgb(7, 0)).toBe(WHITE);
    expect(rgb(0, 200)).toBe(WHITE);
    expect(screenText(rig.frame, rig.vram)[0]).toBe('B');
    expect(screenText(rig.frame, rig.vram)[13]).toBe('A');
  });

  it('says what is on the screen', () => {
    writeText(0, 'C:\\>dir', 0x07);
    rig.vga.window.write(0x18000 + 160 * 24 + 158, 1, 0xc4);
    rig.vga.publish(rig.frame);
    const lines = screenText(rig.frame, rig.vram);
    expect(lines.length).toBe(25);
    expect(lines[0]).toBe('C:\\>dir');
    expect(lines[24]).toBe(`${' '.repeat(79)}─`);
    rig.setMode(MODE_13);
    rig.vga.publish(rig.frame);
    expect(screenText(rig.frame, rig.vram)).toEqual([]);
  });
});

describe('VGA graphics', () => {
  beforeEach(tellingPalette);

  it('mode 12h: four planes, leftmost pixel in bit 7, palette through the attribute controller', () => {
    rig.setMode(MODE_12);
    for (let plane = 0; plane < 4; plane++) {
      rig.indexed(0x3c4, 2, 1 << plane);
      rig.poke(80 * 2 + 1, [0b1000_0001, 0b0100_0001, 0b0010_0001, 0b0001_0001][plane]);
    }
    render();
    expect(size()).toEqual([640, 480]);
    expect(Array.from({ length: 8 }, (_, i) => rgb(8 + i, 2))).toEqual(
      [1, 2, 4, 0x38, 0, 0, 0, 0x3f].map((dac) => entry(dac)),
    );
    // Color 6 (brown) goes to DAC entry 14h.
    rig.indexed(0x3c4, 2, 0b0110);
    rig.poke(0, 0x80);
    rig.indexed(0x3c4, 2, 0b1001);
    rig.poke(0, 0);
    expect(render()).toEqual([{ x: 0, y: 0, width: 640, height: 13 }]); // The lines that touch page 0.
    expect(rgb(0, 0)).toBe(entry(0x14));
    rig.attribute(0x12, 0b0010); // Only plane 1 is enabled.
    render();
    expect(rgb(0, 0)).toBe(entry(2));
  });

  it('mode 12h: pans by pixels, and not below the split when told so', () => {
    rig.setMode(MODE_12);
    rig.indexed(0x3c4, 2, 1);
    rig.poke(0, 0b0001_0000);
    rig.poke(80, 0b0001_0000);
    rig.indexed(0x3d4, 0x0d, 80);
    rig.attribute(0x13, 3);
    rig.attribute(0x10, 0x21);
    rig.indexed(0x3d4, 0x09, 0x00);
    rig.indexed(0x3d4, 0x11, 0x0c);
    rig.indexed(0x3d4, 0x07, 0x2e);
    rig.indexed(0x3d4, 0x18, 99);
    render();
    expect(rgb(0, 0)).toBe(entry(1));
    expect(rgb(3, 100)).toBe(entry(1));
    expect(rgb(0, 100)).toBe(entry(0));
    expect(rgb(3, 101)).toBe(entry(1));
  });

  it('mode 13h: a byte a pixel, and only dirty pages are drawn again', () => {
    rig.setMode(MODE_13);
    rig.poke(320 * 100 + 7, 200);
    rig.poke(320 * 199 + 319, 255);
    render();
    expect(size()).toEqual([320, 200]);
    expect([rgb(7, 100), rgb(319, 199), rgb(0, 0)]).toEqual([entry(200), entry(255), entry(0)]);
    rig.poke(4096 * 3, 5);
    // Page 3 runs from pixel 128 of line 38 to pixel 63 of line 51.
    expect(render()).toEqual([{ x: 0, y: 38, width: 320, height: 14 }]);
    rig.setColours(5, 0x3f, 0x3f, 0x3f);
    expect(render()).toEqual([{ x: 0, y: 0, width: 320, height: 200 }]);
    expect(rgb(128, 38)).toBe('ffffff');
    rig.ports.write(0x3c6, 1, 0x0f);
    render();
    expect(rgb(7, 100)).toBe(entry(200 & 15));
  });

  it('mode X: pages flip, pixels pan, planes hold every fourth pixel', () => {
    rig.setMode(MODE_X);
    const plot = (page: number, x: number, y: number, colour: number): void => {
      rig.indexed(0x3c4, 2, 1 << (x & 3));
      rig.poke(page * 0x4b00 + y * 80 + (x >> 2), colour);
    };
    plot(0, 5, 3, 11);
    plot(1, 6, 239, 22);
    render();
    expect(size()).toEqual([320, 240]);
    expect(rgb(5, 3)).toBe(entry(11));
    rig.indexed(0x3d4, 0x0c, 0x4b);
    render();
    expect([rgb(5, 3), rgb(6, 239)]).toEqual([entry(0), entry(22)]);
    rig.attribute(0x13, 4);
    render();
    expect(rgb(4, 239)).toBe(entry(22));
  });

  it('mode X: wraps at the end of the planes', () => {
    rig.setMode(MODE_X);
    rig.indexed(0x3c4, 2, 0x0f);
    rig.poke(0, 9);
    rig.indexed(0x3d4, 0x0c, 0xff);
    rig.indexed(0x3d4, 0x0d, 0xff);
    render();
    expect([rgb(3, 0), rgb(4, 0), rgb(7, 0), rgb(8, 0)]).toEqual([entry(0), entry(9), entry(9), entry(0)]);
  });

  it('mode 04h: two bits a pixel, odd lines 8 KB behind', () => {
    rig.setMode(MODE_04);
    rig.poke(0x18000 + 1, 0b00_01_10_11);
    rig.poke(0x18000 + 0x2000, 0b11_00_00_00);
    rig.poke(0x18000 + 80, 0b10_00_00_00);
    render();
    expect(size()).toEqual([320, 200]);
    expect([4, 5, 6, 7].map((x) => rgb(x, 0))).toEqual([0, 0x13, 0x15, 0x17].map(entry));
    expect(rgb(0, 1)).toBe(entry(0x17));
    expect(rgb(0, 2)).toBe(entry(0x15));
  });

  it('mode 06h: a bit a pixel, odd lines 8 KB behind', () => {
    rig.setMode(MODE_06);
    rig.poke(0x18000 + 1, 0b0100_0001);
    rig.poke(0x18000 + 0x2000 + 80, 0x80);
    render();
    expect(size()).toEqual([640, 200]);
    expect([8, 9, 15].map((x) => rgb(x, 0))).toEqual([0, 0x17, 0x17].map(entry));
    expect(rgb(0, 3)).toBe(entry(0x17));
  });

  it('is one colour while blanked, and as large as before', () => {
    rig.setMode(MODE_13);
    rig.attribute(0x11, 9);
    rig.poke(0, 5);
    render();
    rig.indexed(0x3c4, 1, 0x21);
    expect(render()).toEqual([{ x: 0, y: 0, width: 320, height: 200 }]);
    expect(new Set(screen.pixels).size).toBe(1);
    expect(rgb(0, 0)).toBe(entry(9));
    rig.indexed(0x3c4, 1, 0x01);
    render();
    expect(rgb(0, 0)).toBe(entry(5));
  });
});

describe('linear modes', () => {
  beforeEach(() => {
    rig.setMode(MODE_03);
    tellingPalette();
  });

  it.each([
    [8, 1, [200], entry(200)],
    [15, 2, [0x1f, 0x7c], 'ff00ff'],
    [15, 2, [0xe0, 0x03], '00ff00'],
    [16, 2, [0xe0, 0x07], '00ff00'],
    [16, 2, [0x10, 0x84], '848284'],
    [24, 3, [0x33, 0x22, 0x11], '112233'],
    [32, 4, [0x33, 0x22, 0x91, 0xaa], '912233'],
  ])('%i bits a pixel', (bpp, pixelBytes, bytes, expected) => {
    enable(800, 600, bpp);
    rig.linear((800 * 599 + 799) * pixelBytes, bytes);
    rig.linear(0, bytes);
    render();
    expect(size()).toEqual([800, 600]);
    expect([rgb(0, 0), rgb(799, 599)]).toEqual([expected, expected]);
    expect(rgb(1, 0)).not.toBe(expected);
    expect(screen.fourByThree).toBe(false);
  });

  it('4 bits a pixel, at an odd offset', () => {
    enable(800, 600, 4);
    rig.linear(4 * 2, [0x40, 0, 0, 0x40]);
    rig.dispi(DISPI.xOffset, 11);
    render();
    expect(rgb(6, 0)).toBe(entry(0x39));
    expect(rgb(5, 0)).toBe(entry(0));
  });

  it('draws again only the part of a line on dirty pages', () => {
    enable(1920, 1200, 32);
    render();
    rig.linear(7680 * 500 + 4 * 1000, [1, 2, 3, 0]);
    const rects = render();
    // The page holds bytes 3842048..3846143: line 500, pixels 512 to 1535.
    expect(rects).toEqual([{ x: 512, y: 500, width: 1024, height: 1 }]);
    expect(rgb(1000, 500)).toBe('030201');
  });

  it('draws a pixel that straddles pages when either changes', () => {
    enable(1920, 1200, 24);
    render();
    rig.linear(4095, [0x77]); // Blue of pixel 1365; its green and red are on the next page.
    expect(render()).toEqual([{ x: 0, y: 0, width: 1366, height: 1 }]);
    expect(rgb(1365, 0)).toBe('000077');
    rig.linear(4096, [0x66]);
    expect(render()).toEqual([{ x: 0, y: 0, width: 1920, height: 2 }]);
    expect(rgb(1365, 0)).toBe('006677');
  });

  it('follows panning in a virtual screen, over the end of memory', () => {
    enable(640, 480, 32);
    rig.dispi(DISPI.virtWidth, 1024);
    rig.linear((1024 * 700 + 100) * 4, [0, 0, 0xff, 0]);
    rig.dispi(DISPI.yOffset, 690);
    rig.dispi(DISPI.xOffset, 90);
    render();
    expect(rgb(10, 10)).toBe('ff0000');
    rig.dispi(DISPI.yOffset, 4095);
    rig.dispi(DISPI.xOffset, 1000);
    rig.linear(4 * 5, [0xff, 0, 0, 0]);
    render();
    expect(rgb(24 + 5, 0)).toBe('0000ff');
  });

  it('lets readers go at their own pace', () => {
    enable(640, 480, 32);
    render();
    const late = new Rasteriser(rig.vram, rig.frame);
    late.render();
    for (const line of [10, 20, 30]) {
      rig.linear(line * 2560, [1, 1, 1, 1]);
      render();
    }
    const rects = late.render();
    // Pages 6, 12 and 18 begin inside lines 9, 19 and 28.
    expect(rects.map((rect) => rect.y)).toEqual([9, 19, 28]);
    expect(late.pixels).toEqual(screen.pixels);
    late.invalidate();
    expect(late.render()).toEqual([{ x: 0, y: 0, width: 640, height: 480 }]);
  });
});

describe('before the guest set a mode', () => {
  it('shows a black text-sized screen', () => {
    expect(screen.render()).toEqual([{ x: 0, y: 0, width: 720, height: 400 }]);
    render();
    expect(size()).toEqual([720, 400]);
    expect(rgb(0, 0)).toBe('000000');
  });
});
