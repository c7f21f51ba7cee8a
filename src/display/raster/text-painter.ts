/**
 * Text modes: draws the cells that look different from before.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "Alphanumeric Modes" and "Attribute
 * Controller Registers".
 */
import { PAGE_BYTES } from '#base/units.ts';
import { FRAME } from '#emu/host/frame.ts';
import type { Surface } from './graphics-painter.ts';
import type { RectList } from './rects.ts';
import type { RowSource } from './row-painters.ts';
import { type TextBand, textBands } from './screen-lines.ts';

const GLYPHS = 256;
const GLYPH_LINES = 32;
const FONT_BYTES = GLYPHS * GLYPH_LINES;

/** What a cell looks like, in one integer: code, attribute, then these. */
const CELL = { attributeShift: 8, hidden: 1 << 16, cursor: 1 << 17, cursorStartShift: 18, cursorEndShift: 23 } as const;
const NEVER_DRAWN = -1;

export class TextPainter {
  readonly #vram: RowSource;
  readonly #pageGeneration: Uint32Array;
  /** Fonts A and B, 32 lines a glyph, as drawn last. */
  readonly #fonts: Uint8Array = new Uint8Array(2 * FONT_BYTES);
  readonly #fontAddresses: [number, number] = [-1, -1];
  /** 1 for each glyph of both fonts that changed since the last picture. */
  readonly #glyphChanged: Uint8Array = new Uint8Array(2 * GLYPHS);
  #cells: Int32Array = new Int32Array(0);
  readonly #palette: Int32Array = new Int32Array(16);

  constructor(vram: RowSource, pageGeneration: Uint32Array) {
    this.#vram = vram;
    this.#pageGeneration = pageGeneration;
  }

  /** @param since generation up to which the surface is current; -1 draws everything */
  paint(record: Uint32Array, surface: Surface, since: number, changed: RectList): void {
    this.#palette.set(record.subarray(FRAME.attributePalette, FRAME.attributePalette + 16));
    this.#glyphChanged.fill(0);
    const twoFonts = record[FRAME.fontA] !== record[FRAME.fontB];
    this.#refreshFont(0, record[FRAME.fontA], since);
    if (twoFonts) this.#refreshFont(1, record[FRAME.fontB], since);
    const bands = textBands(record);
    const columns = Math.ceil(surface.width / record[FRAME.cellWidth]) + 1;
    if (since < 0 || this.#cells.length !== columns * bands.length) {
      this.#cells = new Int32Array(columns * bands.length).fill(NEVER_DRAWN);
    }
    bands.forEach((band, index) => {
      this.#paintBand(record, surface, band, index * columns, twoFonts, changed);
    });
  }

  #paintBand(
    record: Uint32Array,
    surface: Surface,
    band: TextBand,
    firstCell: number,
    twoFonts: boolean,
    changed: RectList,
  ): void {
    const cellWidth = record[FRAME.cellWidth];
    const mask = record[FRAME.addressMask];
    const columns = Math.ceil((surface.width + band.panning) / cellWidth);
    const hidden = record[FRAME.blinkHidden] ? CELL.hidden : 0;
    const cursorAddress = record[FRAME.cursorShown] ? record[FRAME.cursorAddress] : -1;
    const cursor =
      CELL.cursor |
      (record[FRAME.cursorStart] << CELL.cursorStartShift) |
      (record[FRAME.cursorEnd] << CELL.cursorEndShift);
    let left = -1;
    let right = 0;
    for (let column = 0; column < columns; column++) {
      const at = (band.address + column * 4) & mask;
      let cell = this.#vram.words[at >> 2] & 0xffff;
      if (cell & 0x8000) cell |= hidden;
      if (at === cursorAddress) cell |= cursor;
      const font = twoFonts && (cell & (8 << CELL.attributeShift)) === 0 ? 1 : 0;
      const glyph = font * GLYPHS + (cell & 0xff);
      if (this.#cells[firstCell + column] === cell && !this.#glyphChanged[glyph]) continue;
      this.#cells[firstCell + column] = cell;
      this.#paintCell(record, surface, band, column * cellWidth - band.panning, cell, glyph);
      if (left < 0) left = column;
      right = column + 1;
    }
    if (left < 0) return;
    changed.add(
      Math.max(0, left * cellWidth - band.panning),
      Math.min(surface.width, right * cellWidth - band.panning),
      band.top,
      band.top + band.lines,
    );
  }

  #paintCell(record: Uint32Array, surface: Surface, band: TextBand, x: number, cell: number, glyph: number): void {
    const attribute = (cell >> CELL.attributeShift) & 0xff;
    const ink = this.#palette[attribute & 15];
    const paper = this.#palette[record[FRAME.blinkEnabled] ? (attribute >> 4) & 7 : attribute >> 4];
    const written = cell & CELL.hidden ? paper : ink;
    const cellWidth = record[FRAME.cellWidth];
    const repeatsEighth = record[FRAME.lineGraphics] !== 0 && (cell & 0xe0) === 0xc0;
    const underlineLine = (attribute & 0x77) === 0x01 ? record[FRAME.underlineLine] : -1;
    const cursorStart = cell & CELL.cursor ? (cell >> CELL.cursorStartShift) & 31 : GLYPH_LINES;
    const cursorEnd = (cell >> CELL.cursorEndShift) & 31;
    const { pixels, width } = surface;
    for (let i = 0; i < band.lines; i++) {
      const line = band.firstLine + i;
      const bits = this.#fonts[glyph * GLYPH_LINES + line];
      // Nine dots, leftmost in bit 8.
      let dots = (bits << 1) | (repeatsEighth ? bits & 1 : 0);
      if (line === underlineLine) dots = 0x1ff;
      let colour = written;
      if (cursorStart <= line && line <= cursorEnd) {
        dots = 0x1ff;
        colour = ink;
      }
      const row = (band.top + i) * width;
      if (x >= 0 && x + cellWidth <= width) {
        const to = row + x;
        pixels[to] = dots & 0x100 ? colour : paper;
        pixels[to + 1] = dots & 0x80 ? colour : paper;
        pixels[to + 2] = dots & 0x40 ? colour : paper;
        pixels[to + 3] = dots & 0x20 ? colour : paper;
        pixels[to + 4] = dots & 0x10 ? colour : paper;
        pixels[to + 5] = dots & 0x08 ? colour : paper;
        pixels[to + 6] = dots & 0x04 ? colour : paper;
        pixels[to + 7] = dots & 0x02 ? colour : paper;
        if (cellWidth === 9) pixels[to + 8] = dots & 0x01 ? colour : paper;
      } else {
        for (let k = Math.max(0, -x); k < cellWidth && x + k < width; k++) {
          pixels[row + x + k] = dots & (0x100 >> k) ? colour : paper;
        }
      }
    }
  }

  /** Takes over what the guest changed in a font, if any of its pages was written. */
  #refreshFont(font: 0 | 1, address: number, since: number): void {
    const moved = this.#fontAddresses[font] !== address;
    if (!moved && since >= 0 && !this.#anyDirty(address, since)) return;
    this.#fontAddresses[font] = address;
    const { bytes } = this.#vram;
    const fonts = this.#fonts;
    const base = font * FONT_BYTES;
    for (let i = 0; i < FONT_BYTES; i++) {
      const line = bytes[address + i * 4];
      if (fonts[base + i] !== line) {
        fonts[base + i] = line;
        this.#glyphChanged[font * GLYPHS + (i >> 5)] = 1;
      }
    }
  }

  #anyDirty(address: number, since: number): boolean {
    const first = Math.floor(address / PAGE_BYTES);
    for (let page = first; page < first + (FONT_BYTES * 4) / PAGE_BYTES; page++) {
      if (this.#pageGeneration[page] > since) return true;
    }
    return false;
  }
}
