/**
 * One end of an Ethernet cable. A network card holds one end; whatever carries its frames on holds the other.
 *
 * A frame is what IEEE 802.3 calls destination address to pad, without preamble and FCS. Its bytes belong to the caller
 * again once the call returns: whoever wants to keep them copies them.
 *
 * Neither end ever waits. An end that has no room refuses a frame and calls `resume` once it has room again; the frame
 * stays with the sender, who may drop it, as a real network would, or offer it again.
 */
import { unreachable } from '#base/errors.ts';

/** Shortest frame that a cable carries: 64 bytes with the FCS. Senders that are emulated need not pad. */
export const MIN_FRAME_BYTES = 60;
/** Longest frame that anything here has to take: a jumbo frame of the largest kind, rounded up. */
export const MAX_FRAME_BYTES = 16_384;
/** Destination, source, type. */
export const ETHERNET_HEADER_BYTES = 14;

/** The calls that come to the holder of an end, on its own thread; they may come inside a `send` of its own. */
export interface PacketReceiver {
  /**
   * A frame from the other end, 14 to `MAX_FRAME_BYTES` bytes.
   * @param more another frame follows within the same call of `poll` or `resume`, unless this one is refused
   * @returns false: no room, nothing was taken; the holder calls `PacketPort.resume` when there is
   */
  receive(frame: Uint8Array, more?: boolean): boolean;
  /** The other end refused a frame and has room again. */
  resume(): void;
  /** `PacketPort.linkUp` changed. */
  linkChanged(): void;
}

export interface PacketPort {
  /** The other end is there and its side of the cable is plugged in. */
  readonly linkUp: boolean;
  /** Names the holder of this end, before anything is sent. A second call hands the end over. */
  connect(receiver: PacketReceiver): void;
  /**
   * Sends a frame of 14 to `MAX_FRAME_BYTES` bytes. Without a link it is lost, which counts as sent.
   * @returns false: no room, nothing was taken; `PacketReceiver.resume` follows once there is
   */
  send(frame: Uint8Array): boolean;
  /** This end refused a frame and has room again. May lead to calls of `receive` before it returns. */
  resume(): void;
  /** Plugs this end in or out: `linkUp` of the other end. Out at first. */
  setLink(up: boolean): void;
}

/** An end with nothing at the other: a card that is not attached. */
export class UnpluggedPort implements PacketPort {
  readonly linkUp = false;
  connect(_receiver: PacketReceiver): void {}
  send(_frame: Uint8Array): boolean {
    return true;
  }
  resume(): void {}
  setLink(_up: boolean): void {}
}

/** A receiver for ends that nobody holds yet. */
export const NO_RECEIVER: PacketReceiver = { receive: () => true, resume: () => {}, linkChanged: () => {} };

class WireEnd implements PacketPort {
  receiver: PacketReceiver = NO_RECEIVER;
  up = false;
  #other: WireEnd | undefined;

  join(other: WireEnd): void {
    this.#other = other;
  }

  get linkUp(): boolean {
    return this.#far.up;
  }

  connect(receiver: PacketReceiver): void {
    this.receiver = receiver;
  }

  send(frame: Uint8Array): boolean {
    return !(this.up && this.#far.up) || this.#far.receiver.receive(frame);
  }

  resume(): void {
    this.#far.receiver.resume();
  }

  setLink(up: boolean): void {
    if (up === this.up) return;
    this.up = up;
    this.#far.receiver.linkChanged();
  }

  get #far(): WireEnd {
    return this.#other ?? unreachable('a wire has two ends');
  }
}

/** A cable inside one thread. It holds no frames: a `send` is a call of the other end's `receive`. */
export function createWire(): readonly [PacketPort, PacketPort] {
  const a = new WireEnd();
  const b = new WireEnd();
  a.join(b);
  b.join(a);
  return [a, b];
}
