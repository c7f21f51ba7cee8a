/** How large a JPEG picture is, before anything decodes it. Source: ITU-T T.81, B.1.1 (markers) and B.2.2 (frame header). */
import { CodedError } from '#base/errors.ts';

const [SOI, SOS, EOI, TEM] = [0xd8, 0xda, 0xd9, 0x01];
/** What browsers decode: baseline, extended sequential and progressive, Huffman coded. */
const [FIRST_FRAME, LAST_FRAME] = [0xc0, 0xc2];
/** Other processes and what shares their numbers: DHT, JPG and DAC are no frames. */
const [DHT, JPG, DAC, LAST_SOF] = [0xc4, 0xc8, 0xcc, 0xcf];

/**
 * @returns pixels
 * @throws CodedError<'bad-stream'> it is no JPEG picture, or of a kind that browsers do not decode
 */
export function jpegSize(bytes: Uint8Array): { readonly width: number; readonly height: number } {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) refuse('it does not begin as a JPEG picture');
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) refuse(`there is no marker at ${at}`);
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      // Any number of fill bytes may precede a marker.
      at++;
      continue;
    }
    if (marker === SOS || marker === EOI) refuse('its pixels come before its size');
    if (marker === 0 || marker === TEM || (0xd0 <= marker && marker <= SOI)) refuse(`marker ${marker} is out of place`);
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    if (length < 2) refuse(`the segment at ${at} is ${length} bytes long`);
    if (FIRST_FRAME <= marker && marker <= LAST_SOF && marker !== DHT && marker !== JPG && marker !== DAC) {
      if (marker > LAST_FRAME) refuse(`it is coded by process ${marker - FIRST_FRAME}`);
      if (length < 8 || at + 9 > bytes.length) refuse('its size is cut off');
      const [height, width] = [(bytes[at + 5] << 8) | bytes[at + 6], (bytes[at + 7] << 8) | bytes[at + 8]];
      if (width === 0 || height === 0) refuse(`it is ${width} x ${height} pixels large`);
      return { width, height };
    }
    at += 2 + length;
  }
  return refuse('it ends before its size');
}

function refuse(why: string): never {
  throw new CodedError('bad-stream', `this is no picture of a video: ${why}`);
}
