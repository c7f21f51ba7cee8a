/**
 * The PC speaker, heard.
 * Source: W3C Web Audio API 1.1, 1.26 (OscillatorNode) and 1.6.1 (AudioParam automation).
 * Not modelled: the cone's own sound.
 */
import type { ByteRingReader } from '#emu/host/byte-ring.ts';
import { readTones, type Tone } from '#emu/workers/tone-ring.ts';

/** A square wave is loud: an eighth of full scale. */
const VOLUME = 0.125;
/** Tones sound this much after the guest made them, so that the next ones arrive in time. */
const DELAY_SECONDS = 0.04;
/** Guest and audio clock are matched anew when they differ by more. */
const DRIFT_SECONDS = 0.25;

export class SpeakerPlayer {
  readonly #ring: ByteRingReader;
  #context: AudioContext | undefined;
  #oscillator: OscillatorNode | undefined;
  #gain: GainNode | undefined;
  /** Audio time of guest time 0, in seconds. */
  #origin = 0;
  #stopped = false;
  /** How many tones other than silence were played. */
  tonesPlayed = 0;

  constructor(ring: ByteRingReader) {
    this.#ring = ring;
    void this.#follow();
  }

  /** Call from a click or a key press: before one, browsers keep a page silent. */
  unlock(): void {
    if (this.#stopped) return;
    this.#context ??= new AudioContext({ latencyHint: 'interactive' });
    if (this.#context.state === 'suspended') void this.#context.resume().catch(() => {});
  }

  /** Silence now, as when the machine pauses. */
  mute(): void {
    this.#gain?.gain.cancelScheduledValues(0);
    this.#gain?.gain.setValueAtTime(0, this.#context?.currentTime ?? 0);
  }

  stop(): void {
    this.#stopped = true;
    this.#oscillator?.stop();
    void this.#context?.close();
  }

  async #follow(): Promise<void> {
    const { bell } = this.#ring;
    while (!this.#stopped && !this.#ring.closed) {
      const seen = this.#ring.writtenCount;
      for (const tone of readTones(this.#ring)) this.#play(tone);
      if (typeof Atomics.waitAsync === 'function') await Atomics.waitAsync(bell.words, bell.index, seen, 5000).value;
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #play({ frequencyHz, atGuestNs }: Tone): void {
    const context = this.#context;
    if (context?.state !== 'running') return;
    if (frequencyHz > 0) this.tonesPlayed++;
    const gain = this.#gain ?? this.#build(context);
    const guestSeconds = atGuestNs / 1e9;
    const wanted = context.currentTime + DELAY_SECONDS;
    if (Math.abs(this.#origin + guestSeconds - wanted) > DRIFT_SECONDS) this.#origin = wanted - guestSeconds;
    const at = Math.max(context.currentTime, this.#origin + guestSeconds);
    // Beyond half the sample rate there is nothing to hear, as with a real cone.
    const audible = frequencyHz > 0 && frequencyHz < context.sampleRate / 2;
    if (audible) this.#oscillator?.frequency.setValueAtTime(frequencyHz, at);
    gain.gain.setValueAtTime(audible ? VOLUME : 0, at);
  }

  #build(context: AudioContext): GainNode {
    const gain = context.createGain();
    gain.gain.value = 0;
    gain.connect(context.destination);
    const oscillator = context.createOscillator();
    oscillator.type = 'square';
    oscillator.connect(gain);
    oscillator.start();
    this.#oscillator = oscillator;
    this.#gain = gain;
    return gain;
  }
}
