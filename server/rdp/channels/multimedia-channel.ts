/** One of the channels of a presentation: it is opened, told whose it is, and asks, one thing after the other. */

import type { PduReader } from '../pdu/bytes.ts';
import {
  acceptsCapabilities,
  acceptsInterface,
  decodeMultimedia,
  encodeChannelParameters,
  encodeInterfaceCapabilities,
  encodeMultimediaCapabilities,
  type PresentationId,
} from '../pdu/multimedia.ts';
import type { DynamicChannel } from './dynamic-channels.ts';

export interface MultimediaChannelParts {
  readonly id: PresentationId;
  /** 0: it speaks of the presentation itself. */
  readonly stream: number;
  readonly onReady: () => void;
  /** The client does not have it, has it no longer, or does not want what it was asked for. */
  readonly onRefused: () => void;
  /** A sample was shown. */
  readonly onPlayed?: () => void;
}

export class MultimediaChannel implements DynamicChannel {
  readonly name = 'TSMF';
  readonly #parts: MultimediaChannelParts;
  readonly #asked = new Map<number, (body: PduReader) => void>();
  #send: ((message: Uint8Array) => void) | undefined;
  #lastMessage = 0;

  constructor(parts: MultimediaChannelParts) {
    this.#parts = parts;
  }

  opened(send: (message: Uint8Array) => void): void {
    this.#send = send;
    const { id, stream, onReady } = this.#parts;
    this.ask(encodeInterfaceCapabilities, acceptsInterface, () => {
      this.say((message) => encodeChannelParameters(message, id, stream));
      this.ask(encodeMultimediaCapabilities, acceptsCapabilities, onReady);
    });
  }

  closed(): void {
    this.#send = undefined;
    this.#parts.onRefused();
  }

  received(bytes: Uint8Array): void {
    const heard = decodeMultimedia(bytes);
    if (!heard) return;
    if (heard.kind === 'played') {
      this.#parts.onPlayed?.();
      return;
    }
    const answered = this.#asked.get(heard.message);
    this.#asked.delete(heard.message);
    answered?.(heard.body);
  }

  /** Something that has no answer. @param encode gets the number of the message */
  say(encode: (message: number) => Uint8Array): void {
    this.#send?.(encode(++this.#lastMessage));
  }

  /** @param accepts reads the answer. @param next what comes when it is yes */
  ask(encode: (message: number) => Uint8Array, accepts: (body: PduReader) => boolean, next: () => void): void {
    const message = this.#lastMessage + 1;
    this.#asked.set(message, (body) => {
      if (accepts(body)) next();
      else this.#parts.onRefused();
    });
    this.say(encode);
  }
}
