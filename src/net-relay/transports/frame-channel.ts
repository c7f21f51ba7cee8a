/**
 * A cable through messages: frames of one end in batches, with credit for flow control. Both the page and the relay have
 * one. Whatever carries the messages keeps their order and loses none, as a WebSocket does.
 *
 * Theory of operation. `receive` (from the cable) puts a frame into the batch as long as the other side has granted
 * credit; without credit the card keeps its frame and is resumed when credit comes. Frames that arrive go into the cable
 * through a bounded queue; their credit is granted anew once they have left it, so that a card that takes nothing stops
 * the other side after `FIRST_CREDIT` bytes. A side that sends without credit breaks the protocol: `onBroken`.
 */
import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import { FrameQueue } from '../switch/frame-queue.ts';
import {
  decodeRelay,
  encodeCredit,
  encodeFrames,
  FIRST_CREDIT,
  frameCost,
  MOST_MESSAGE_BYTES,
  MOST_RELAY_FRAME_BYTES,
  type PeerMessage,
  type RelayStatus,
} from '../wire/relay.ts';

export interface ChannelParts {
  /** Sends one message; it is the carrier's from now on. */
  send(message: Uint8Array): void;
  /** Calls back once the caller is done: frames until then go in one message. */
  soon(flush: () => void): void;
  readText(bytes: Uint8Array): string;
  onStatus(status: RelayStatus): void;
  /** Left out: peers are not talked about here. */
  onPeer?(message: PeerMessage): void;
  /** Left out: nothing can be changed here. */
  onChange?(request: unknown): void;
  /** The other side sent what it must not; the carrier is to be closed. */
  onBroken(why: string): void;
}

/** Credit is granted in pieces of this size, not frame by frame. */
const GRANT_BYTES = FIRST_CREDIT / 8;

export class FrameChannel implements PacketReceiver {
  readonly #parts: ChannelParts;
  readonly #cable: PacketPort;
  readonly #queue: FrameQueue;
  /** What the other side can still take, and what it may still send. */
  #credit = FIRST_CREDIT;
  #granted = FIRST_CREDIT;
  /** Cost of frames that are in the queue or went through it, and are not granted anew yet. */
  #owed = 0;
  #batch: Uint8Array[] = [];
  #batchBytes = 1;
  #isScheduled = false;
  #hasRefused = false;
  #isClosed = false;

  /** @param cable its end here */
  constructor(cable: PacketPort, parts: ChannelParts) {
    this.#parts = parts;
    this.#cable = cable;
    // More than the other side may send, so that nothing is dropped here.
    this.#queue = new FrameQueue(cable, FIRST_CREDIT * 2);
    cable.connect(this);
  }

  receive(frame: Uint8Array): boolean {
    if (this.#isClosed || frame.length > MOST_RELAY_FRAME_BYTES) return true;
    const cost = frameCost(frame);
    if (cost > this.#credit) {
      this.#hasRefused = true;
      return false;
    }
    if (this.#batchBytes + cost > MOST_MESSAGE_BYTES) this.#flush();
    this.#credit -= cost;
    this.#batch.push(frame.slice());
    this.#batchBytes += cost;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#parts.soon(() => {
        this.#isScheduled = false;
        this.#flush();
      });
    }
    return true;
  }

  #flush(): void {
    if (this.#isClosed || this.#batch.length === 0) return;
    this.#parts.send(encodeFrames(this.#batch));
    this.#batch = [];
    this.#batchBytes = 1;
  }

  /** One message from the other side. */
  take(message: Uint8Array): void {
    if (this.#isClosed) return;
    const decoded = decodeRelay(message, this.#parts.readText);
    if (decoded === undefined) {
      this.#break('a message that is none');
      return;
    }
    if (decoded.kind === 'credit') this.#takeCredit(decoded.bytes);
    else if (decoded.kind === 'status') this.#parts.onStatus(decoded.status);
    else if (decoded.kind === 'peer' && this.#parts.onPeer) this.#parts.onPeer(decoded.message);
    else if (decoded.kind === 'peer') this.#break('a word about peers');
    else if (decoded.kind === 'change' && this.#parts.onChange) this.#parts.onChange(decoded.request);
    else if (decoded.kind === 'change') this.#break('a change of what cannot be changed');
    else if (decoded.kind === 'attach') this.#break('a second request to attach');
    else this.#takeFrames(decoded.frames, decoded.cost);
  }

  #takeCredit(bytes: number): void {
    if (this.#credit + bytes > FIRST_CREDIT) {
      this.#break('more credit than there is');
      return;
    }
    this.#credit += bytes;
    if (!this.#hasRefused) return;
    this.#hasRefused = false;
    this.#cable.resume();
  }

  #takeFrames(frames: readonly Uint8Array[], cost: number): void {
    if (cost > this.#granted) {
      this.#break('frames without credit');
      return;
    }
    this.#granted -= cost;
    this.#owed += cost;
    for (const frame of frames) this.#queue.send(frame, false);
    this.#grant();
  }

  /** Gives back the credit of what has left the queue. */
  #grant(): void {
    if (this.#isClosed || !this.#queue.isReady || this.#owed < GRANT_BYTES) return;
    this.#parts.send(encodeCredit(this.#owed));
    this.#granted += this.#owed;
    this.#owed = 0;
  }

  resume(): void {
    this.#queue.resume();
    this.#grant();
  }

  linkChanged(): void {
    if (!this.#cable.linkUp) this.#queue.clear();
    this.#grant();
  }

  #break(why: string): void {
    this.close();
    this.#parts.onBroken(why);
  }

  /** The carrier is gone: so is the link. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#batch = [];
    this.#queue.clear();
    this.#cable.setLink(false);
    // A card that waits for credit may lose its frame now.
    if (this.#hasRefused) this.#cable.resume();
  }
}
