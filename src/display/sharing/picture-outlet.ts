/** Where a host's updates go: the relay, or the fan of direct connections. */
import { type BodyOf, encodeMessage } from '../stream/messages.ts';
import type { ScreenEncoder } from '../stream/screen-encoder.ts';

export interface PictureOutletParts {
  /** Somebody there needs pictures, and there is room. */
  readonly isReady: () => boolean;
  readonly send: (message: Uint8Array<ArrayBuffer>, update: BodyOf<'update'>) => void;
}

/** Messages made for one moment of the screen, by what they build upon: made once for all outlets. */
export type MadeMessages = Map<
  number,
  { readonly message: Uint8Array<ArrayBuffer>; readonly update: BodyOf<'update'> }
>;

export class PictureOutlet {
  readonly #parts: PictureOutletParts;
  #wanted: number | undefined;
  #sent = 0;

  constructor(parts: PictureOutletParts) {
    this.#parts = parts;
  }

  /** Asks for an update that builds upon `since`. */
  want(since: number): void {
    this.#wanted = Math.min(this.#wanted ?? since, since);
  }

  /** @param hasNews the screen has changed since `newest` */
  isDue(newest: number, hasNews: boolean): boolean {
    return (hasNews || this.#wanted !== undefined || this.#sent < newest) && this.#parts.isReady();
  }

  /** Sends what is missing there. */
  flush(encoder: ScreenEncoder, made: MadeMessages): void {
    const since = Math.min(this.#wanted ?? this.#sent, this.#sent);
    this.#wanted = undefined;
    if (encoder.sequence <= since) return;
    let one = made.get(since);
    if (!one) {
      const update = encoder.updateSince(since);
      one = { update, message: encodeMessage('update', update) };
      made.set(since, one);
    }
    this.#sent = encoder.sequence;
    this.#parts.send(one.message, one.update);
  }
}
