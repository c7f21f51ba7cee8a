/**
 * The clipboard of one client and the one that the people at the machine share.
 * Source: [MS-RDPECLIP] 1.3.2 (sequences), 3.2 (server).
 *
 * What a client copies is fetched soon, so that others can paste it when the client has gone. xfreerdp looks at its
 * clipboard itself when that changes, loses answers while it does and says that there is nothing; so it is left a moment, and
 * asked again. Several copies in a row become one, and there is one question at a time.
 * Not modelled: formats other than text, files, locks.
 */
import type { ClipboardPlace, SharedClipboard } from '#display/desktop/shared-clipboard.ts';
import {
  CF_UNICODETEXT,
  decodeClipboardMessage,
  encodeClipboardCapabilities,
  encodeClipboardData,
  encodeFormatsTaken,
  encodeMonitorReady,
  encodeTextFormat,
  encodeTextRequest,
} from '../pdu/clipboard.ts';

/** Which ways text may go. */
export interface ClipboardWays {
  /** What a client copies. */
  readonly fromClient: boolean;
  /** What others copy. */
  readonly toClient: boolean;
}

/** @returns a function that calls it off */
export type Later = (ms: number, what: () => void) => () => void;

/** How long a client's clipboard has to have been the same. */
const SETTLE_MS = 100;
/** A question that has had no answer for so long gets none. */
const ANSWER_MS = 3000;
/**
 * How often in a row the client may answer that there is nothing, or not at all, before it is believed. Each wait is twice the
 * one before: a client on a busy computer takes seconds to see what it has.
 */
const MOST_ATTEMPTS = 7;

export class ClipboardChannel {
  readonly #send: (message: Uint8Array) => void;
  readonly #ways: ClipboardWays;
  readonly #later: Later;
  readonly #place: ClipboardPlace;
  /** What the client may paste; undefined: its own clipboard is newer. */
  #offered: string | undefined;
  /** The client has told its formats: from then on it may be told ours. */
  #isReady = false;
  /** The client has been told our formats and has not said that it has them. */
  #isTold = false;
  #isToTell = false;
  #callOffTelling = (): void => {};
  /** The client has been asked for its text. */
  #isAsked = false;
  /** The client has copied something since. */
  #isStale = false;
  #attempts = 0;
  #callOffAsking = (): void => {};

  /** @param send takes messages of the channel */
  constructor(clipboard: SharedClipboard, ways: ClipboardWays, later: Later, send: (message: Uint8Array) => void) {
    this.#ways = ways;
    this.#later = later;
    this.#send = send;
    this.#place = clipboard.open((text) => this.offer(text));
    this.offer(clipboard.text);
  }

  begin(): void {
    this.#send(encodeClipboardCapabilities());
    this.#send(encodeMonitorReady());
  }

  /** A message of the channel. @throws PduError */
  receive(message: Uint8Array): void {
    const said = decodeClipboardMessage(message);
    switch (said?.kind) {
      case 'formats':
        this.#copied(said.formats.includes(CF_UNICODETEXT), said.formats.length === 0);
        return;
      case 'formatsTaken':
        this.#isTaken();
        return;
      case 'dataRequest':
        this.#send(encodeClipboardData(said.format === CF_UNICODETEXT ? this.#offered : undefined));
        return;
      case 'data':
        this.#answered(said.text);
    }
  }

  close(): void {
    this.#place.close();
    this.#callOffAsking();
    this.#callOffTelling();
  }

  /** The client has copied something. @param isNothing its clipboard is empty, or it has lost sight of it */
  #copied(isText: boolean, isNothing: boolean): void {
    this.#send(encodeFormatsTaken());
    const isFirst = !this.#isReady;
    this.#isReady = true;
    // The first list says what the client's clipboard has had all along; what was copied here may be newer.
    if (isFirst && this.#offered !== undefined) this.#tell();
    else {
      this.#offered = undefined;
      if (!this.#ways.fromClient) return;
      this.#attempts = 0;
      this.#isStale = this.#isAsked;
      // xfreerdp tells so as well when it was too slow to see what there is: it may know when it is asked.
      if (this.#isAsked || isNothing) return;
      this.#callOffAsking();
      if (isText) this.#askIn(SETTLE_MS);
    }
  }

  #askIn(ms: number): void {
    this.#callOffAsking = this.#later(ms, () => {
      this.#isAsked = true;
      this.#isStale = false;
      this.#attempts++;
      this.#send(encodeTextRequest());
      this.#callOffAsking = this.#later(ANSWER_MS, () => this.#answered(undefined));
    });
  }

  /** @param text undefined: there is none, or no answer */
  #answered(text: string | undefined): void {
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.#callOffAsking();
    if (text !== undefined && !this.#isStale) this.#place.put(text);
    else if (this.#isStale || this.#attempts < MOST_ATTEMPTS) this.#askIn(SETTLE_MS << this.#attempts);
  }

  /** Gives the client a text to paste. @returns false: there is none, or none may go to clients */
  offer(text: string): boolean {
    if (!this.#ways.toClient || text === '') return false;
    this.#offered = text;
    if (this.#isReady) this.#tell();
    return true;
  }

  #tell(): void {
    this.#isToTell = this.#isTold;
    if (this.#isTold) return;
    this.#isTold = true;
    this.#send(encodeTextFormat());
    this.#callOffTelling = this.#later(ANSWER_MS, () => this.#isTaken());
  }

  /** Our formats have arrived, or never will. */
  #isTaken(): void {
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#callOffTelling();
    if (this.#isToTell) this.#tell();
  }
}
