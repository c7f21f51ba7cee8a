/**
 * Sound as it leaves a machine: signed 16-bit samples, left and right alternating, SAMPLE_RATE pairs (frames) a second.
 * Sound cards that play in another form convert; a machine that plays nothing says nothing.
 */

/** Frames a second. */
export const SAMPLE_RATE = 48_000;

/**
 * Hears a machine.
 * @param samples left and right alternating; valid during the call only
 * @param firstFrame number of the first of them since the machine began to sound, modulo 2^32. Numbers go on without a
 *   gap over silences; where they jump, sound was lost.
 */
export type SoundListener = (samples: Int16Array, firstFrame: number) => void;

/** Where sound comes from: a machine here, or one at the other end of a link. */
export interface SoundSource {
  /** @returns ends it */
  listen(listener: SoundListener): () => void;
}

/** What never plays. */
export const SILENCE: SoundSource = { listen: () => () => {} };

/** Where a sound card gets what it records; on the machine's thread. */
export interface SoundInput {
  /** The guest begins or ends recording. */
  record(on: boolean): void;
  /** Fills whole frames with what came in since the last call; with silence where nothing did. */
  read(into: Int16Array): void;
}

/** Hears nothing. */
export const DEAF: SoundInput = { record: () => {}, read: (into) => void into.fill(0) };
