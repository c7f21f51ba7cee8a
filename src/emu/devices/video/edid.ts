/**
 * The EDID block of a flat panel with one preferred mode.
 * Source: VESA Enhanced EDID Standard release A, revision 2 (EDID 1.4), section 3; VESA CVT 1.2, reduced blanking.
 * Not modelled: extension blocks, audio.
 */
export const EDID_BYTES = 128;

export interface EdidMode {
  /** Pixels, 8..4095. */
  readonly width: number;
  readonly height: number;
}

const HEADER = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00] as const;
const REFRESH_HZ = 60;
/** CVT reduced blanking: 160 pixels across, at least 460 us down. */
const HORIZONTAL_BLANK = 160;
const VERTICAL_BLANK_SHARE = 0.000_46 * REFRESH_HZ;
const DOTS_PER_MILLIMETRE = 96 / 25.4;

/** Builds the 128 bytes for a panel that prefers `mode` at 60 Hz. */
export function edidBlock(mode: EdidMode): Uint8Array {
  const edid = new Uint8Array(EDID_BYTES);
  edid.set(HEADER);
  edid.set([0x50, 0x58], 0x08); // Manufacturer 'TBX', five bits a letter.
  edid.set([1, 0], 0x0a); // Product code.
  edid.set([1, 36], 0x10); // Week and year (1990 + 36) of manufacture.
  edid.set([1, 4], 0x12); // Version 1.4.
  const widthMm = Math.round(mode.width / DOTS_PER_MILLIMETRE);
  const heightMm = Math.round(mode.height / DOTS_PER_MILLIMETRE);
  edid[0x14] = 0xa5; // Digital, 8 bits a colour, DisplayPort.
  edid[0x15] = Math.round(widthMm / 10);
  edid[0x16] = Math.round(heightMm / 10);
  edid[0x17] = 120; // Gamma 2.20.
  edid[0x18] = 0x06; // sRGB; the first detailed timing is the preferred mode.
  // sRGB primaries and white point.
  edid.set([0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54], 0x19);
  // Established timings: 640x480, 800x600, 1024x768, all at 60 Hz.
  edid.set([0x21, 0x08, 0x00], 0x23);
  for (let at = 0x26; at < 0x36; at++) edid[at] = 0x01; // No standard timings.
  edid.set(detailedTiming(mode, widthMm, heightMm), 0x36);
  // Range limits without a secondary formula: 50-125 Hz, 30-160 kHz, up to 300 MHz.
  edid.set([0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 30, 1, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20], 0x48);
  edid.set(textDescriptor(0xfc, 'TabBox'), 0x5a);
  edid.set(textDescriptor(0xff, '1'), 0x6c);
  edid[0x7f] = -edid.reduce((sum, byte) => sum + byte, 0);
  return edid;
}

function detailedTiming({ width, height }: EdidMode, widthMm: number, heightMm: number): number[] {
  const verticalBlank = Math.ceil((height * VERTICAL_BLANK_SHARE) / (1 - VERTICAL_BLANK_SHARE));
  const clock = Math.round(((width + HORIZONTAL_BLANK) * (height + verticalBlank) * REFRESH_HZ) / 10_000);
  const hFront = 48;
  const hSync = 32;
  const vFront = 3;
  const vSync = 6;
  return [
    clock & 0xff,
    clock >> 8,
    width & 0xff,
    HORIZONTAL_BLANK,
    (width >> 8) << 4,
    height & 0xff,
    verticalBlank & 0xff,
    ((height >> 8) << 4) | (verticalBlank >> 8),
    hFront,
    hSync,
    (vFront << 4) | vSync,
    0,
    widthMm & 0xff,
    heightMm & 0xff,
    ((widthMm >> 8) << 4) | (heightMm >> 8),
    0,
    0,
    0x1a, // Digital separate sync, horizontal positive.
  ];
}

/** A display descriptor: up to 13 characters, ended by a line feed and padded with spaces. */
function textDescriptor(tag: number, text: string): number[] {
  const padded = `${text}\n`.padEnd(13);
  return [0, 0, 0, tag, 0, ...Array.from(padded, (c) => c.charCodeAt(0))];
}
