/**
 * Where the lines of a screen lie in video memory.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "CRT Controller Registers" (start address,
 * line compare, preset row scan, mode control).
 */
import { FRAME } from '#emu/host/frame.ts';

/** Byte offset in video memory at which screen line `y` starts, panning left aside. */
export function lineAddress(record: Uint32Array, y: number): number {
  const lower = y >= record[FRAME.splitLine];
  const line = lower ? y - record[FRAME.splitLine] : y + record[FRAME.presetRow];
  const linesPerRow = record[FRAME.linesPerRow];
  const row = linesPerRow === 1 ? line : Math.floor(line / linesPerRow);
  const inner = line - row * linesPerRow;
  let at = (lower ? 0 : record[FRAME.startAddress]) + row * record[FRAME.pitch];
  const bit0 = record[FRAME.rowBit0];
  const bit1 = record[FRAME.rowBit1];
  if (bit0) at = inner & 1 ? at | bit0 : at & ~bit0;
  if (bit1) at = inner & 2 ? at | bit1 : at & ~bit1;
  return at & record[FRAME.addressMask];
}

/** The part of one row of text cells that is on the screen. */
export interface TextBand {
  /** Screen line of `firstLine`. */
  readonly top: number;
  /** Lines of the cells that show: from `firstLine`, `lines` of them. */
  readonly firstLine: number;
  readonly lines: number;
  /** Byte offset of the leftmost cell. */
  readonly address: number;
  /** Pixels of the leftmost cell that are off the screen. */
  readonly panning: number;
}

/** The rows of a text screen from top to bottom. */
export function textBands(record: Uint32Array): TextBand[] {
  const bands: TextBand[] = [];
  const cellHeight = record[FRAME.linesPerRow];
  const height = record[FRAME.height];
  const split = Math.min(record[FRAME.splitLine], height);
  for (let top = 0; top < height; ) {
    const firstLine = top < split ? (top + record[FRAME.presetRow]) % cellHeight : (top - split) % cellHeight;
    const end = top < split ? split : height;
    const lines = Math.min(cellHeight - firstLine, end - top);
    const panning = top < split ? record[FRAME.panning] : record[FRAME.lowerPanning];
    bands.push({ top, firstLine, lines, address: lineAddress(record, top), panning });
    top += lines;
  }
  return bands;
}
