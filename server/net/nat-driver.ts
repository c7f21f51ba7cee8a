// A NAT network in Node: the engine, its sockets and its clock, at the far end of a cable.

import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import type { NatRights } from '../../src/net-relay/nat/address-policy.ts';
import type { NatConfig } from '../../src/net-relay/nat/nat-config.ts';
import { NatEngine } from '../../src/net-relay/nat/nat-engine.ts';
import { FrameQueue } from '../../src/net-relay/switch/frame-queue.ts';
import { type NatSocketOptions, NatSockets } from './nat-sockets.ts';
import { PortForwards } from './port-forwards.ts';

export interface NatOptions extends NatSocketOptions {
  readonly config: NatConfig;
  /** Where forwarded ports without an address listen. */
  readonly forwardHostIp: string;
}

/** What VirtualBox allows by default: everything but the host's loopback. */
export const NAT_RIGHTS: NatRights = { loopback: false, private: true, public: true };

const now = (): number => performance.now();

/** While the guest's card takes nothing, TCP waits; what is not TCP is kept up to this bound. */
const QUEUE_BYTES = 256 * 1024;

export class NatDriver implements PacketReceiver {
  readonly engine: NatEngine;
  readonly forwards: PortForwards;
  readonly #sockets: NatSockets;
  readonly #cable: PacketPort;
  readonly #queue: FrameQueue;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #isScheduled = false;
  /** When the batch began that is under way: asking the clock for each frame takes a twentieth of the time. */
  #batchMs = 0;
  #isClosed = false;

  /** @param cable its end on the network's side */
  constructor(cable: PacketPort, { config, forwardHostIp, ...options }: NatOptions) {
    const moved = (): void => this.#schedule();
    this.#cable = cable;
    this.#queue = new FrameQueue(cable, QUEUE_BYTES);
    this.#sockets = new NatSockets(options, {
      now,
      moved,
      send: (frame) => this.#queue.send(frame, false),
      isLinkReady: () => this.#queue.isReady,
      received: (flow, bytes, address, port) => {
        this.engine.receiveDatagram(now(), flow, bytes, address, port);
        moved();
      },
    });
    this.engine = new NatEngine(config, this.#sockets);
    this.forwards = new PortForwards({ engine: this.engine, now, defaultHostIp: forwardHostIp, moved });
    cable.connect(this);
    cable.setLink(true);
  }

  /** Streams of the host that are open. */
  get streams(): number {
    return this.#sockets.streams;
  }

  /** Every frame is taken: back-pressure is TCP's window. */
  receive(frame: Uint8Array): boolean {
    if (this.#isClosed) return true;
    this.#schedule();
    this.engine.receive(this.#batchMs, frame);
    return true;
  }

  resume(): void {
    if (this.#isClosed || !this.#queue.resume()) return;
    this.engine.linkReady(now());
    this.#schedule();
  }

  linkChanged(): void {
    // A pulled cable loses what is in it; connections outlive that, as anywhere.
    if (!this.#cable.linkUp) this.#queue.clear();
    this.resume();
  }

  close(): void {
    if (this.#isClosed) return;
    this.engine.close(now());
    this.#isClosed = true;
    this.#cable.setLink(false);
    clearTimeout(this.#timer);
    this.forwards.close().catch(() => {});
  }

  /** Ends a batch once the caller is done, and sees to the clock. */
  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    this.#batchMs = now();
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (this.#isClosed) return;
      this.engine.flush(now());
      this.#arm();
    });
  }

  #arm(): void {
    const deadlineMs = this.engine.deadlineMs ?? Number.POSITIVE_INFINITY;
    // A timer that is too early costs one call; one for every packet would cost more.
    if (this.#timerMs <= deadlineMs) return;
    clearTimeout(this.#timer);
    this.#timerMs = deadlineMs;
    this.#timer = setTimeout(() => this.#tick(), Math.max(Math.ceil(deadlineMs - now()), 1));
    this.#timer.unref();
  }

  #tick(): void {
    this.#timerMs = Number.POSITIVE_INFINITY;
    if (this.#isClosed) return;
    this.engine.tick(now());
    this.#arm();
  }
}
