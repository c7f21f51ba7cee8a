// A NAT network in Node: the engine, its sockets and its clock, as something a cable can be plugged into.

import type { NatRights } from '../../src/net-relay/nat/address-policy.ts';
import type { NatConfig } from '../../src/net-relay/nat/nat-config.ts';
import { NatEngine } from '../../src/net-relay/nat/nat-engine.ts';
import { type FrameLink, type FrameSink, NOWHERE } from '../../src/net-relay/switch/link.ts';
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

export class NatDriver implements FrameLink {
  readonly engine: NatEngine;
  readonly forwards: PortForwards;
  /** Never called: the engine takes every frame, and its back-pressure is TCP's window. */
  onReady: (() => void) | undefined;
  readonly isReady = true;
  readonly #sockets: NatSockets;
  #peer: FrameSink = NOWHERE;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #isScheduled = false;
  #isClosed = false;

  constructor({ config, forwardHostIp, ...options }: NatOptions) {
    const moved = (): void => this.#schedule();
    this.#sockets = new NatSockets(options, {
      now,
      moved,
      send: (frame) => this.#peer.send(frame),
      isLinkReady: () => this.#peer.isReady,
      received: (flow, bytes, address, port) => {
        this.engine.receiveDatagram(now(), flow, bytes, address, port);
        moved();
      },
    });
    this.engine = new NatEngine(config, this.#sockets);
    this.forwards = new PortForwards({ engine: this.engine, now, defaultHostIp: forwardHostIp, moved });
  }

  /** Streams of the host that are open. */
  get streams(): number {
    return this.#sockets.streams;
  }

  /** A frame from a guest. */
  send(frame: Uint8Array): void {
    if (this.#isClosed) return;
    this.engine.receive(now(), frame);
    this.#schedule();
  }

  connect(peer: FrameSink | undefined): void {
    this.#peer = peer ?? NOWHERE;
    this.peerReady();
  }

  /** The guests' side takes frames again. */
  peerReady(): void {
    if (this.#isClosed) return;
    this.engine.linkReady(now());
    this.#schedule();
  }

  close(): void {
    if (this.#isClosed) return;
    this.engine.close(now());
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.forwards.close().catch(() => {});
  }

  /** Ends a batch once the caller is done, and sees to the clock. */
  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
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
