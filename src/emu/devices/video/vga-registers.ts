/**
 * Names of the VGA registers and their bits.
 * Source: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem (VGA function).
 */

/** Sequencer registers, index in 3C4h. */
export const SR = { reset: 0, clockingMode: 1, mapMask: 2, characterMapSelect: 3, memoryMode: 4 } as const;
/** Bits a write stores. */
export const SR_WRITABLE = [0x03, 0x3d, 0x0f, 0x3f, 0x0e] as const;
export const CLOCKING_MODE = { eightDots: 1 << 0, halfDotClock: 1 << 3, screenOff: 1 << 5 } as const;
export const MEMORY_MODE = { oddEvenOff: 1 << 2, chain4: 1 << 3 } as const;

/** Graphics controller registers, index in 3CEh. */
export const GR = {
  setReset: 0,
  enableSetReset: 1,
  colourCompare: 2,
  dataRotate: 3,
  readMapSelect: 4,
  mode: 5,
  miscellaneous: 6,
  colourDontCare: 7,
  bitMask: 8,
} as const;
export const GR_WRITABLE = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff] as const;
export const GRAPHICS_MODE = {
  writeMode: 3,
  readCompare: 1 << 3,
  oddEven: 1 << 4,
  shiftInterleave: 1 << 5,
  shift256: 1 << 6,
} as const;
export const GRAPHICS_MISC = { graphics: 1 << 0, memoryMapShift: 2 } as const;

/** CRT controller registers, index in 3D4h (or 3B4h). */
export const CR = {
  horizontalTotal: 0x00,
  horizontalDisplayEnd: 0x01,
  verticalTotal: 0x06,
  overflow: 0x07,
  presetRowScan: 0x08,
  maximumScanLine: 0x09,
  cursorStart: 0x0a,
  cursorEnd: 0x0b,
  startAddressHigh: 0x0c,
  startAddressLow: 0x0d,
  cursorLocationHigh: 0x0e,
  cursorLocationLow: 0x0f,
  verticalRetraceStart: 0x10,
  verticalRetraceEnd: 0x11,
  verticalDisplayEnd: 0x12,
  offset: 0x13,
  underlineLocation: 0x14,
  modeControl: 0x17,
  lineCompare: 0x18,
} as const;
export const CRTC_REGISTERS = 0x19;
/** Vertical retrace end, bit 7: registers 0 to 7 take no writes, save the line-compare bit of the overflow register. */
export const CRTC_PROTECT = 0x80;
export const OVERFLOW_LINE_COMPARE = 1 << 4;
export const MODE_CONTROL = { mapRow0Off: 1 << 0, mapRow1Off: 1 << 1, byteMode: 1 << 6, retraceOn: 1 << 7 } as const;
/** Underline location, bit 6: the CRTC counts doublewords. */
export const DOUBLEWORD_MODE = 1 << 6;

/** Attribute controller registers, index in 3C0h; 0 to 0Fh are the internal palette. */
export const AR = {
  modeControl: 0x10,
  overscan: 0x11,
  colourPlaneEnable: 0x12,
  pixelPanning: 0x13,
  colourSelect: 0x14,
} as const;
export const ATTRIBUTE_REGISTERS = 0x15;
/** Bit 5 of the index: the palette drives the screen rather than the processor. */
export const PALETTE_ADDRESS_SOURCE = 1 << 5;
export const ATTRIBUTE_MODE = {
  lineGraphics: 1 << 2,
  blink: 1 << 3,
  panningCompatibility: 1 << 5,
  colourSelectEnabled: 1 << 7,
} as const;

/** Miscellaneous output register (write 3C2h, read 3CCh). */
export const MISC = { colourAddresses: 1 << 0, ramEnabled: 1 << 1, clockShift: 2 } as const;

/** The register files of the four index/data pairs and the miscellaneous output register. */
export interface VgaRegisterFiles {
  readonly sequencer: Uint8Array;
  readonly graphics: Uint8Array;
  readonly crtc: Uint8Array;
  readonly attribute: Uint8Array;
  readonly miscOutput: number;
  readonly attributeIndex: number;
}
