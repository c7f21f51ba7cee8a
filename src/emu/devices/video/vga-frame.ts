/**
 * From registers to a frame record: what the CRTC, attribute controller and DISPI put on the screen.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, "CRT Controller Registers" and "Attribute
 * Controller Registers"; Bochs VBE Display API.
 * Not modelled: a split inside a repeated line (it moves to the next), CRTC address wrap bits, the vertical counter at
 * half rate, blinking in graphics modes, interlace.
 */
import { FRAME, FRAME_KIND, type FrameKind, NO_LINE } from '#emu/host/frame.ts';
import { verticalDisplayLines } from './crt-timing.ts';
import type { Dac } from './dac.ts';
import type { Dispi } from './dispi.ts';
import {
  AR,
  ATTRIBUTE_MODE,
  CLOCKING_MODE,
  CR,
  DOUBLEWORD_MODE,
  GR,
  GRAPHICS_MISC,
  GRAPHICS_MODE,
  MODE_CONTROL,
  PALETTE_ADDRESS_SOURCE,
  SR,
  type VgaRegisterFiles,
} from './vga-registers.ts';

export interface ScreenSource {
  readonly registers: VgaRegisterFiles;
  readonly dac: Dac;
  readonly dispi: Dispi;
  readonly vramBytes: number;
}

/** Plane address space of the VGA modes, in interleaved bytes. */
const VGA_ADDRESS_MASK = 0x3_ffff;
/** Linear modes up to this height are shown on the whole tube like the VGA's own. */
const LOW_RESOLUTION_LINES = 400;
/** Bytes R, G, B, 255 in memory order. */
const BLACK = 0xff00_0000;
const CURSOR_BLINK_FRAMES = 8;
const CHARACTER_BLINK_FRAMES = 16;

/** True when the picture depends on `frameCount`. */
export function blinks(source: ScreenSource): boolean {
  return !source.dispi.enabled && (source.registers.graphics[GR.miscellaneous] & GRAPHICS_MISC.graphics) === 0;
}

/**
 * Fills a frame record.
 * @param frameCount frames scanned since power-on; drives cursor and character blink
 */
export function describeScreen(record: Uint32Array, source: ScreenSource, frameCount: number): void {
  record.fill(0);
  describePalettes(record, source);
  record[FRAME.splitLine] = NO_LINE;
  record[FRAME.linesPerRow] = 1;
  record[FRAME.attached] = 1;
  if (source.dispi.enabled) describeLinear(record, source);
  else describeVga(record, source, frameCount);
  const { attributeIndex, sequencer } = source.registers;
  const off =
    (attributeIndex & PALETTE_ADDRESS_SOURCE) === 0 || (sequencer[SR.clockingMode] & CLOCKING_MODE.screenOff) !== 0;
  if (off) record[FRAME.kind] = FRAME_KIND.blank;
}

/** A rectangle of pixels in video memory. */
export interface LinearSurface {
  /** 4 (planar), 8, 15, 16, 24 or 32. */
  readonly bpp: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Bytes of video memory from one line to the next. */
  readonly pitch: number;
  /** Byte offset of the first pixel, inside video memory. */
  readonly startAddress: number;
}

/** Fills a frame record with a surface that no VGA register describes, but for the colours of 8 bits a pixel. */
export function describeSurface(record: Uint32Array, source: ScreenSource, surface: LinearSurface): void {
  record.fill(0);
  describePalettes(record, source);
  record[FRAME.splitLine] = NO_LINE;
  record[FRAME.linesPerRow] = 1;
  fillLinear(record, surface, source.vramBytes);
}

/** Fills a frame record with a black screen. */
export function describeBlank(record: Uint32Array, width: number, height: number): void {
  record.fill(0);
  record[FRAME.kind] = FRAME_KIND.blank;
  record[FRAME.width] = width;
  record[FRAME.height] = height;
  record[FRAME.splitLine] = NO_LINE;
  record[FRAME.linesPerRow] = 1;
  record[FRAME.overscan] = BLACK;
}

function describePalettes(record: Uint32Array, source: ScreenSource): void {
  const { dac } = source;
  const { attribute } = source.registers;
  for (let i = 0; i < 256; i++) record[FRAME.palette + i] = dac.colour(i);
  const planes = attribute[AR.colourPlaneEnable] & 15;
  const select = attribute[AR.colourSelect];
  const fourBit = (attribute[AR.modeControl] & ATTRIBUTE_MODE.colourSelectEnabled) !== 0;
  for (let i = 0; i < 16; i++) {
    const internal = attribute[i & planes];
    const index = fourBit ? (internal & 0x0f) | ((select & 0x0f) << 4) : (internal & 0x3f) | ((select & 0x0c) << 4);
    record[FRAME.attributePalette + i] = dac.colour(index);
  }
  record[FRAME.overscan] = dac.colour(attribute[AR.overscan]);
}

function describeLinear(record: Uint32Array, { dispi, vramBytes }: ScreenSource): void {
  fillLinear(record, dispi, vramBytes);
  record[FRAME.panning] = dispi.panning;
  record[FRAME.lowerPanning] = dispi.panning;
  record[FRAME.fourByThree] = dispi.height <= LOW_RESOLUTION_LINES ? 1 : 0;
}

function fillLinear(record: Uint32Array, surface: LinearSurface, vramBytes: number): void {
  record[FRAME.kind] = linearKind(surface.bpp);
  record[FRAME.width] = surface.width;
  record[FRAME.height] = surface.height;
  record[FRAME.pitch] = surface.pitch;
  record[FRAME.startAddress] = surface.startAddress & (vramBytes - 1);
  record[FRAME.addressMask] = vramBytes - 1;
}

function linearKind(bpp: number): FrameKind {
  switch (bpp) {
    case 4:
      return FRAME_KIND.planar;
    case 15:
      return FRAME_KIND.rgb555;
    case 16:
      return FRAME_KIND.rgb565;
    case 24:
      return FRAME_KIND.rgb888;
    case 32:
      return FRAME_KIND.xrgb8888;
    default:
      return FRAME_KIND.indexed8;
  }
}

function describeVga(record: Uint32Array, source: ScreenSource, frameCount: number): void {
  const { crtc, graphics } = source.registers;
  const startAddress = (crtc[CR.startAddressHigh] << 8) | crtc[CR.startAddressLow];
  const bytePanning = (crtc[CR.presetRowScan] >> 5) & 3;
  record[FRAME.pitch] = crtc[CR.offset] * 8;
  record[FRAME.startAddress] = ((startAddress + bytePanning) * 4) & VGA_ADDRESS_MASK;
  record[FRAME.addressMask] = VGA_ADDRESS_MASK;
  record[FRAME.fourByThree] = 1;
  const linesPerUnit =
    graphics[GR.miscellaneous] & GRAPHICS_MISC.graphics
      ? describeGraphics(record, source)
      : describeText(record, source, frameCount);
  const scanLines = verticalDisplayLines(crtc);
  record[FRAME.height] = Math.ceil(scanLines / linesPerUnit);
  if (record[FRAME.linesPerRow] > 1) {
    record[FRAME.presetRow] = Math.min(crtc[CR.presetRowScan] & 0x1f, record[FRAME.linesPerRow] - 1);
  }
  const lineCompare =
    crtc[CR.lineCompare] | ((crtc[CR.overflow] & 0x10) << 4) | ((crtc[CR.maximumScanLine] & 0x40) << 3);
  const splitLine = Math.ceil((lineCompare + 1) / linesPerUnit);
  if (splitLine < record[FRAME.height]) record[FRAME.splitLine] = splitLine;
}

/** Returns the scan lines that make one line of the picture. */
function describeText(record: Uint32Array, { registers }: ScreenSource, frameCount: number): number {
  const { crtc, sequencer, attribute } = registers;
  const cellWidth = sequencer[SR.clockingMode] & CLOCKING_MODE.eightDots ? 8 : 9;
  const mode = attribute[AR.modeControl];
  record[FRAME.kind] = FRAME_KIND.text;
  record[FRAME.cellWidth] = cellWidth;
  record[FRAME.width] = (crtc[CR.horizontalDisplayEnd] + 1) * cellWidth;
  record[FRAME.linesPerRow] = (crtc[CR.maximumScanLine] & 0x1f) + 1;
  const pan = attribute[AR.pixelPanning] & 15;
  // With nine dots 8 means none and 0 to 7 mean one more; with eight dots the value is the shift.
  setPanning(record, registers, cellWidth === 9 ? (pan >= 8 ? 0 : pan + 1) : pan & 7);
  const select = sequencer[SR.characterMapSelect];
  record[FRAME.fontA] = fontAddress(((select >> 2) & 3) | ((select >> 3) & 4));
  record[FRAME.fontB] = fontAddress((select & 3) | ((select >> 2) & 4));
  record[FRAME.lineGraphics] = mode & ATTRIBUTE_MODE.lineGraphics ? 1 : 0;
  record[FRAME.underlineLine] = crtc[CR.underlineLocation] & 0x1f;
  if (mode & ATTRIBUTE_MODE.blink) {
    record[FRAME.blinkEnabled] = 1;
    record[FRAME.blinkHidden] = Math.floor(frameCount / CHARACTER_BLINK_FRAMES) & 1;
  }
  const cursorOff = (crtc[CR.cursorStart] & 0x20) !== 0;
  if (!cursorOff && (Math.floor(frameCount / CURSOR_BLINK_FRAMES) & 1) === 0) record[FRAME.cursorShown] = 1;
  const skew = (crtc[CR.cursorEnd] >> 5) & 3;
  const location = ((crtc[CR.cursorLocationHigh] << 8) | crtc[CR.cursorLocationLow]) + skew;
  record[FRAME.cursorAddress] = (location * 4) & VGA_ADDRESS_MASK;
  record[FRAME.cursorStart] = crtc[CR.cursorStart] & 0x1f;
  record[FRAME.cursorEnd] = crtc[CR.cursorEnd] & 0x1f;
  return crtc[CR.maximumScanLine] & 0x80 ? 2 : 1;
}

/** Returns the scan lines that make one line of the picture. */
function describeGraphics(record: Uint32Array, { registers }: ScreenSource): number {
  const { crtc, graphics, attribute } = registers;
  const characters = crtc[CR.horizontalDisplayEnd] + 1;
  const shift = graphics[GR.mode];
  const pan = attribute[AR.pixelPanning] & 7;
  if (shift & GRAPHICS_MODE.shift256) {
    record[FRAME.kind] = FRAME_KIND.indexed8;
    // A pixel takes two dots, so a character clock is one dword.
    record[FRAME.width] = characters * 4;
    setPanning(record, registers, pan >> 1);
  } else {
    record[FRAME.kind] = shift & GRAPHICS_MODE.shiftInterleave ? FRAME_KIND.interleaved : FRAME_KIND.planar;
    record[FRAME.width] = characters * 8;
    setPanning(record, registers, pan);
  }
  const control = crtc[CR.modeControl];
  const doubled = crtc[CR.maximumScanLine] & 0x80 ? 2 : 1;
  const rowLines = (crtc[CR.maximumScanLine] & 0x1f) + 1;
  const both = MODE_CONTROL.mapRow0Off | MODE_CONTROL.mapRow1Off;
  if ((control & both) === both) return doubled * rowLines;
  // Row-scan bits stand in for address bits 13 and 14, so the lines of a row differ. In an interleaved dword those
  // bits lie one lower for each step that the CRTC shifts its count by.
  const bit13 = control & MODE_CONTROL.byteMode ? 15 : crtc[CR.underlineLocation] & DOUBLEWORD_MODE ? 13 : 14;
  record[FRAME.linesPerRow] = rowLines;
  if ((control & MODE_CONTROL.mapRow0Off) === 0) record[FRAME.rowBit0] = 1 << bit13;
  if ((control & MODE_CONTROL.mapRow1Off) === 0) record[FRAME.rowBit1] = 2 << bit13;
  return doubled;
}

function setPanning(record: Uint32Array, { attribute }: VgaRegisterFiles, pixels: number): void {
  record[FRAME.panning] = pixels;
  const stops = attribute[AR.modeControl] & ATTRIBUTE_MODE.panningCompatibility;
  record[FRAME.lowerPanning] = stops ? 0 : pixels;
}

/** Character maps 0 to 3 are 16 KB apart, 4 to 7 lie 8 KB behind them; plane 2 holds them. */
function fontAddress(map: number): number {
  return ((map & 3) * 0x4000 + (map >> 2) * 0x2000) * 4 + 2;
}
