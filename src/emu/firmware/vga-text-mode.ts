/**
 * Sets colour text mode 3 (80 by 25, 9 by 16 cells) on a VGA, for machines that boot without a video BIOS.
 * Source: IBM PS/2 Video Subsystem Technical Reference, "Register values for BIOS modes" (mode 3+, 400 lines).
 */
import type { IoBus } from '#emu/bus/io-bus.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';

export interface VgaTextModeParts {
  readonly ports: IoBus;
  readonly memory: DmaMemory;
}

const PORT = {
  attribute: 0x3c0,
  miscellaneous: 0x3c2,
  sequencer: 0x3c4,
  dacMask: 0x3c6,
  dacIndex: 0x3c8,
  dacData: 0x3c9,
  graphics: 0x3ce,
  crtc: 0x3d4,
  inputStatus: 0x3da,
} as const;

const MISCELLANEOUS = 0x67;
const SEQUENCER = [0x03, 0x00, 0x03, 0x00, 0x02] as const;
// biome-ignore format: one row a group of eight registers, as in the manual
const CRTC = [
  0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f,
  0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00,
  0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3,
  0xff,
] as const;
const GRAPHICS = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff] as const;
// biome-ignore format: palette first, then the mode registers
const ATTRIBUTE = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07,
  0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
  0x0c, 0x00, 0x0f, 0x08, 0x00,
] as const;

export const FONT_GLYPHS = 256;
export const FONT_LINES = 16;
/** A font takes 32 bytes a glyph in plane 2, whatever its height. */
const GLYPH_STRIDE = 32;
const TEXT_AT = 0xb_8000;
const PLANES_AT = 0xa_0000;
/** A blank in grey on black. */
const BLANK = 0x0720;

/** @param font 256 glyphs of 16 lines, a byte a line */
export function setVgaTextMode(parts: VgaTextModeParts, font: Uint8Array): void {
  const { ports, memory } = parts;
  programRegisters(ports);
  loadFont(parts, font);
  const text = new Uint8Array(80 * 25 * 2);
  for (let i = 0; i < text.length; i += 2) {
    text[i] = BLANK & 0xff;
    text[i + 1] = BLANK >> 8;
  }
  memory.write(TEXT_AT, text);
}

function programRegisters(ports: IoBus): void {
  const indexed = (port: number, index: number, value: number): void => {
    ports.write(port, 1, index);
    ports.write(port + 1, 1, value);
  };
  ports.write(PORT.miscellaneous, 1, MISCELLANEOUS);
  indexed(PORT.sequencer, 0, 0x01); // Synchronous reset while the clock changes.
  for (let i = 1; i < SEQUENCER.length; i++) indexed(PORT.sequencer, i, SEQUENCER[i]);
  indexed(PORT.sequencer, 0, SEQUENCER[0]);
  indexed(PORT.crtc, 0x11, CRTC[0x11] & 0x7f); // Unprotect registers 0 to 7.
  CRTC.forEach((value, i) => {
    indexed(PORT.crtc, i, value);
  });
  GRAPHICS.forEach((value, i) => {
    indexed(PORT.graphics, i, value);
  });
  ports.read(PORT.inputStatus, 1); // The attribute port takes an index next.
  ATTRIBUTE.forEach((value, i) => {
    ports.write(PORT.attribute, 1, i);
    ports.write(PORT.attribute, 1, value);
  });
  ports.write(PORT.attribute, 1, 0x20); // Screen on.
  programDac(ports);
}

/** The 64 EGA colours: two bits a component, the upper two thirds and the lower one third of full. */
function programDac(ports: IoBus): void {
  ports.write(PORT.dacMask, 1, 0xff);
  ports.write(PORT.dacIndex, 1, 0);
  const level = (colour: number, high: number, low: number): number =>
    ((colour >> high) & 1) * 0x2a + ((colour >> low) & 1) * 0x15;
  for (let colour = 0; colour < 64; colour++) {
    ports.write(PORT.dacData, 1, level(colour, 2, 5));
    ports.write(PORT.dacData, 1, level(colour, 1, 4));
    ports.write(PORT.dacData, 1, level(colour, 0, 3));
  }
}

/** Plane 2 alone, addressed linearly at A0000h, then back to text addressing. */
function loadFont({ ports, memory }: VgaTextModeParts, font: Uint8Array): void {
  const set = (port: number, values: readonly (readonly [number, number])[]): void => {
    for (const [index, value] of values) {
      ports.write(port, 1, index);
      ports.write(port + 1, 1, value);
    }
  };
  set(PORT.sequencer, [
    [2, 0x04],
    [4, 0x06],
  ]);
  set(PORT.graphics, [
    [5, 0x00],
    [6, 0x04],
  ]);
  for (let glyph = 0; glyph < FONT_GLYPHS; glyph++) {
    memory.write(PLANES_AT + glyph * GLYPH_STRIDE, font.subarray(glyph * FONT_LINES, (glyph + 1) * FONT_LINES));
  }
  set(PORT.sequencer, [
    [2, SEQUENCER[2]],
    [4, SEQUENCER[4]],
  ]);
  set(PORT.graphics, [
    [5, GRAPHICS[5]],
    [6, GRAPHICS[6]],
  ]);
}

/** First lines of the glyph for code 1 in every IBM-compatible 8 by 16 font: a face. */
const FACE = [0x00, 0x00, 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e, 0x00, 0x00, 0x00, 0x00] as const;

/** The 8 by 16 font inside a video BIOS image, or undefined. */
export function fontInVideoBios(image: Uint8Array): Uint8Array | undefined {
  const bytes = FONT_GLYPHS * FONT_LINES;
  for (let at = 0; at + bytes <= image.length; at++) {
    const isBlankThenFace =
      FACE.every((line, i) => image[at + FONT_LINES + i] === line) &&
      image.subarray(at, at + FONT_LINES).every((line) => line === 0);
    if (isBlankThenFace) return image.slice(at, at + bytes);
  }
  return undefined;
}
