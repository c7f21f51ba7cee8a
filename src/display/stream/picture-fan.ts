// From one stream of updates to any number of viewers, each at the pace of its own connection.
//
// What a viewer can take is known from its acknowledgements. Whoever lags gets nothing until there is room again, and
// then one update, made by the host, for all that it missed; so nobody waits for anybody. A newcomer is served at once
// from the last complete picture and what came after it, as long as that is kept.

import type { VideoForm } from './messages.ts';

export interface FanParts {
  /** Asks the host for an update that builds upon `since`; 0: upon nothing. */
  readonly refresh: (since: number) => void;
  /** Asks the host for a picture of the video that builds upon no other. */
  readonly wantKey?: () => void;
}

export interface VideoHead {
  readonly form: VideoForm;
  readonly number: number;
  readonly isKey: boolean;
  /** 0: others build upon it. */
  readonly layer: number;
}

export interface UpdateHead {
  readonly sequence: number;
  readonly base: number;
}

/** Updates that a viewer may have on their way to it. */
const MOST_IN_FLIGHT = 4;
/** Bytes that a viewer may have on their way, unless a single update is larger. */
const MOST_BYTES_IN_FLIGHT = 512 << 10;
/** Pictures of a video that a viewer may have on their way: those that others need not, and those that they do. */
const MOST_VIDEO_IN_FLIGHT = [6, 3];
/** What is kept for newcomers. */
const MOST_KEPT_BYTES = 4 << 20;
const MOST_KEPT = 200;

interface Kept extends UpdateHead {
  readonly message: Uint8Array;
}

export class PictureFan {
  readonly #parts: FanParts;
  readonly #feeds = new Set<PictureFeed>();
  /** A complete picture and every update after it; empty when too much came after it. */
  #kept: Kept[] = [];
  #keptBytes = 0;
  #latest = 0;
  /** What the host was asked for and has not sent yet. */
  #asked: number | undefined;
  #sentUpdates = 0;
  #skippedUpdates = 0;

  constructor(parts: FanParts) {
    this.#parts = parts;
  }

  /** Updates given to viewers, and those that viewers were too slow for. */
  get counts(): { readonly sent: number; readonly skipped: number } {
    return { sent: this.#sentUpdates, skipped: this.#skippedUpdates };
  }

  /**
   * @param since the number of the last update the viewer has; 0 when it has nothing
   * @param shows whether it can show videos of a form now; others are not sent to it
   */
  open(send: (message: Uint8Array) => void, since = 0, shows: (form: VideoForm) => boolean = () => true): PictureFeed {
    const feed = new PictureFeed({
      ...{ send, shows },
      onRoom: () => this.#catchUp(),
      wantKey: () => this.#parts.wantKey?.(),
      got: since,
    });
    this.#feeds.add(feed);
    for (const { message, sequence } of since === 0 ? this.#kept : []) {
      this.#sentUpdates++;
      feed.send(message, sequence);
    }
    // Even with a picture the host may have news: it does not draw while nobody watches.
    this.#ask(feed.got);
    return feed;
  }

  get isEmpty(): boolean {
    return this.#feeds.size === 0;
  }

  close(feed: PictureFeed): void {
    this.#feeds.delete(feed);
  }

  /** A viewer could not draw what it got and needs a whole picture. */
  restart(feed: PictureFeed): void {
    feed.forget();
    this.#catchUp();
  }

  /** The host came back, or another page of it: what was asked for may be lost. */
  hostIsNew(): void {
    this.#asked = undefined;
    if (this.#feeds.size > 0) this.#ask(this.#neediest() ?? this.#latest);
  }

  /** The host sent an update. @param message it, to be passed on as it is */
  update(message: Uint8Array, { sequence, base }: UpdateHead): void {
    if (this.#asked !== undefined && base <= this.#asked) this.#asked = undefined;
    this.#keep({ message, sequence, base });
    this.#latest = Math.max(this.#latest, sequence);
    for (const feed of this.#feeds) {
      if (feed.got < base || sequence <= feed.got) continue;
      if (feed.hasRoom) {
        this.#sentUpdates++;
        feed.send(message, sequence);
      } else this.#skippedUpdates++;
    }
    this.#catchUp();
  }

  /** The host sent a picture of a video. @param message it, to be passed on as it is */
  video(message: Uint8Array, head: VideoHead): void {
    for (const feed of this.#feeds) {
      if (feed.video(message, head)) this.#sentUpdates++;
      else this.#skippedUpdates++;
    }
  }

  /** The host's video is over. @param message that says so */
  videoEnd(message: Uint8Array): void {
    for (const feed of this.#feeds) feed.videoEnd(message);
  }

  #keep(one: Kept): void {
    if (one.base === 0) {
      this.#kept = [one];
      this.#keptBytes = one.message.length;
      return;
    }
    const last = this.#kept.at(-1);
    if (!last || one.sequence <= last.sequence) return;
    this.#kept.push(one);
    this.#keptBytes += one.message.length;
    const hasGap = last.sequence < one.base;
    if (hasGap || this.#kept.length > MOST_KEPT || this.#keptBytes > MOST_KEPT_BYTES) this.#kept = [];
  }

  #neediest(): number | undefined {
    let least: number | undefined;
    for (const { got, hasRoom } of this.#feeds) {
      if (hasRoom && got < this.#latest && got < (least ?? Number.POSITIVE_INFINITY)) least = got;
    }
    return least;
  }

  /** Asks for what those have missed who have room again: once for all of them. */
  #catchUp(): void {
    const since = this.#neediest();
    if (since !== undefined) this.#ask(since);
  }

  #ask(since: number): void {
    if (this.#asked !== undefined && this.#asked <= since) return;
    this.#asked = since;
    this.#parts.refresh(since);
  }
}

interface FeedParts {
  readonly send: (message: Uint8Array) => void;
  readonly shows: (form: VideoForm) => boolean;
  readonly onRoom: () => void;
  readonly wantKey: () => void;
  readonly got: number;
}

/** The pictures of one viewer. */
export class PictureFeed {
  readonly #parts: FeedParts;
  #inFlight: { readonly sequence: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #got: number;
  /** Numbers of a video's pictures that are on their way. */
  #videoInFlight: number[] = [];
  /** No picture of the video can be shown before one that builds upon no other. */
  #needsKey = true;

  constructor(parts: FeedParts) {
    this.#parts = parts;
    this.#got = parts.got;
  }

  /** Number of the last update sent. */
  get got(): number {
    return this.#got;
  }

  get hasRoom(): boolean {
    return this.#inFlight.length < MOST_IN_FLIGHT && this.#bytes < MOST_BYTES_IN_FLIGHT;
  }

  send(message: Uint8Array, sequence: number): void {
    this.#got = sequence;
    this.#bytes += message.length;
    this.#inFlight.push({ sequence, bytes: message.length });
    this.#parts.send(message);
  }

  /** Updates up to `sequence` have been drawn. */
  ack(sequence: number): void {
    const had = this.hasRoom;
    while (this.#inFlight.length > 0 && this.#inFlight[0].sequence <= sequence) {
      this.#bytes -= this.#inFlight.shift()?.bytes ?? 0;
    }
    if (!had && this.hasRoom) this.#parts.onRoom();
  }

  /** @returns false: it was left out, since the viewer is slow, or cannot show it or lacks what it builds upon */
  video(message: Uint8Array, { number, form, isKey, layer }: VideoHead): boolean {
    if (!this.#parts.shows(form)) {
      // Whoever learns to show it in the middle needs a key picture.
      this.#needsKey = true;
      return false;
    }
    if (this.#needsKey && !isKey) {
      this.#askForKey();
      return false;
    }
    if (this.#videoInFlight.length >= MOST_VIDEO_IN_FLIGHT[Math.min(layer, MOST_VIDEO_IN_FLIGHT.length - 1)]) {
      if (layer === 0) this.#needsKey = true;
      return false;
    }
    this.#needsKey = false;
    this.#videoInFlight.push(number);
    this.#parts.send(message);
    return true;
  }

  videoEnd(message: Uint8Array): void {
    this.#needsKey = true;
    this.#videoInFlight = [];
    this.#parts.send(message);
  }

  /** Pictures of the video up to `number` have been shown. */
  videoAck(number: number): void {
    this.#videoInFlight = this.#videoInFlight.filter((one) => one > number);
    if (this.#needsKey) this.#askForKey();
  }

  #askForKey(): void {
    if (this.#videoInFlight.length === 0) this.#parts.wantKey();
  }

  /** The viewer could not draw what came. */
  forget(): void {
    this.#got = 0;
    this.#inFlight = [];
    this.#bytes = 0;
  }
}
