/**
 * The PC speaker: OUT 2 of the timer, let through by bit 1 of port 61h.
 * Source: IBM PC/AT Technical Reference, "Speaker".
 * Not modelled: sounds made by moving bit 1 itself or by pulse widths in mode 0 (one-bit samples).
 */
import type { Clock } from '#base/clock.ts';
import type { GuestNs } from '#base/units.ts';

export interface SpeakerParts {
  readonly clock: Clock;
  /**
   * What is heard changed.
   * @param frequencyHz of a square wave, or 0 for silence
   * @param atGuestNs when it began
   */
  readonly onTone: (frequencyHz: number, atGuestNs: GuestNs) => void;
}

/** Its inputs are saved by the timer and by port 61h, which drive it again on restore. */
export class Speaker {
  readonly #parts: SpeakerParts;
  #frequencyHz = 0;
  #enabled = false;
  #heardHz = 0;

  constructor(parts: SpeakerParts) {
    this.#parts = parts;
  }

  /** @param hz frequency of OUT 2, 0 when it is steady; for `Pit8254Parts.onTone` */
  setFrequency(hz: number): void {
    this.#frequencyHz = hz;
    this.#update();
  }

  /** Speaker data, bit 1 of port 61h. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    this.#update();
  }

  #update(): void {
    const heard = this.#enabled ? this.#frequencyHz : 0;
    if (heard === this.#heardHz) return;
    this.#heardHz = heard;
    this.#parts.onTone(heard, this.#parts.clock.now());
  }
}
