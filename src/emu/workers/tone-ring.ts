/**
 * Tones of the PC speaker as records in a byte ring: 64-bit floats, frequency in Hz (0 is silence) and guest time in
 * nanoseconds. The last tone is never lost: while the ring is full it waits and replaces earlier waiting ones.
 */
import { type ByteRingReader, ByteRingWriter } from '#emu/host/byte-ring.ts';

const TONE_BYTES = 16;
/** Bytes of a ring for half a second of a guest that changes the tone every millisecond. */
export const TONE_RING_BYTES = 8192;

export interface Tone {
  readonly frequencyHz: number;
  readonly atGuestNs: number;
}

export class ToneWriter {
  readonly #ring: ByteRingWriter;
  readonly #record = new Float64Array(2);
  readonly #bytes = new Uint8Array(this.#record.buffer);
  #waiting = false;

  constructor(ring: SharedArrayBuffer) {
    this.#ring = new ByteRingWriter(ring);
  }

  write(frequencyHz: number, atGuestNs: number): void {
    this.#record[0] = frequencyHz;
    this.#record[1] = atGuestNs;
    this.#waiting = !this.#ring.writeWhole(this.#bytes);
  }

  /** Tries again what the full ring did not take. */
  flush(): void {
    if (this.#waiting) this.#waiting = !this.#ring.writeWhole(this.#bytes);
  }
}

/** Takes every whole record out of the ring, in order. */
export function readTones(ring: ByteRingReader): Tone[] {
  const tones: Tone[] = [];
  const record = new Float64Array(2);
  const bytes = new Uint8Array(record.buffer);
  while (ring.available >= TONE_BYTES) {
    ring.read(bytes);
    tones.push({ frequencyHz: record[0], atGuestNs: record[1] });
  }
  return tones;
}
