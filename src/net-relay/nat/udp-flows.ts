/**
 * UDP through NAT. Source: RFC 4787: endpoint-independent mapping (one socket of the host for one address and port of a
 * guest), address-dependent filtering (who has not been written to may not answer).
 * Forwarded ports have sockets of their own; what came in through one is answered through it.
 */
import { formatIp, type IpBytes } from '../wire/address.ts';
import { hex } from '../wire/bytes.ts';
import type { HostDatagrams } from './nat-host.ts';

const IDLE_MS = 60_000;
const MOST_REMOTES = 256;

/** One address and port of a guest. */
export class UdpFlow {
  readonly guest: IpBytes;
  readonly guestPort: number;
  /** Remote addresses written to, as hexadecimal. */
  readonly #remotes = new Set<string>();
  /** By remote address and port: the forwarded port's socket it came in through. */
  readonly #via = new Map<string, HostDatagrams>();
  readonly #toGuest: (flow: UdpFlow, bytes: Uint8Array, address: IpBytes, port: number) => void;
  #own: HostDatagrams | undefined;
  lastMs: number;

  constructor(
    nowMs: number,
    guest: IpBytes,
    guestPort: number,
    toGuest: (flow: UdpFlow, bytes: Uint8Array, address: IpBytes, port: number) => void,
  ) {
    this.lastMs = nowMs;
    this.guest = guest;
    this.guestPort = guestPort;
    this.#toGuest = toGuest;
  }

  /** A datagram arrived at the flow's own socket. */
  received(nowMs: number, bytes: Uint8Array, address: IpBytes, port: number): void {
    if (!this.#remotes.has(hex(address))) return;
    this.lastMs = nowMs;
    this.#toGuest(this, bytes, address, port);
  }

  /** A datagram arrived at a forwarded port. */
  receivedForward(nowMs: number, via: HostDatagrams, bytes: Uint8Array, address: IpBytes, port: number): void {
    this.lastMs = nowMs;
    const key = `${formatIp(address)}/${port}`;
    this.#via.delete(key);
    this.#via.set(key, via);
    if (this.#via.size > MOST_REMOTES) dropOldest(this.#via);
    this.#toGuest(this, bytes, address, port);
  }

  send(nowMs: number, bytes: Uint8Array, address: IpBytes, port: number, open: () => HostDatagrams): void {
    this.lastMs = nowMs;
    const via = this.#via.size > 0 ? this.#via.get(`${formatIp(address)}/${port}`) : undefined;
    if (via) {
      via.send(bytes, address, port);
      return;
    }
    const remote = hex(address);
    if (!this.#remotes.has(remote)) {
      this.#remotes.add(remote);
      if (this.#remotes.size > MOST_REMOTES) dropOldest(this.#remotes);
    }
    this.#own ??= open();
    this.#own.send(bytes, address, port);
  }

  /** A forwarded port is gone. */
  forget(via: HostDatagrams): void {
    for (const [remote, one] of this.#via) if (one === via) this.#via.delete(remote);
  }

  close(): void {
    this.#own?.close();
    this.#own = undefined;
  }
}

export class UdpFlows {
  readonly #flows = new Map<string, UdpFlow>();
  readonly #most: number;
  readonly #toGuest: (flow: UdpFlow, bytes: Uint8Array, address: IpBytes, port: number) => void;

  constructor(most: number, toGuest: (flow: UdpFlow, bytes: Uint8Array, address: IpBytes, port: number) => void) {
    this.#most = most;
    this.#toGuest = toGuest;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** The flow of a guest's port; the longest idle one makes room for a new one. */
  of(nowMs: number, guest: IpBytes, guestPort: number): UdpFlow {
    const key = `${hex(guest)}/${guestPort}`;
    let flow = this.#flows.get(key);
    if (flow) {
      // Ascending by last use, so that the first one is the oldest.
      if (nowMs - flow.lastMs > IDLE_MS / 8) {
        this.#flows.delete(key);
        this.#flows.set(key, flow);
      }
      return flow;
    }
    flow = new UdpFlow(nowMs, guest.slice(), guestPort, this.#toGuest);
    this.#flows.set(key, flow);
    if (this.#flows.size > this.#most) this.#closeOldest();
    return flow;
  }

  get deadlineMs(): number | undefined {
    for (const flow of this.#flows.values()) return flow.lastMs + IDLE_MS;
    return undefined;
  }

  tick(nowMs: number): void {
    for (const [key, flow] of this.#flows) {
      if (nowMs - flow.lastMs < IDLE_MS) {
        // Used since it got its place.
        this.#flows.delete(key);
        this.#flows.set(key, flow);
        return;
      }
      flow.close();
      this.#flows.delete(key);
    }
  }

  forget(via: HostDatagrams): void {
    for (const flow of this.#flows.values()) flow.forget(via);
  }

  close(): void {
    for (const flow of this.#flows.values()) flow.close();
    this.#flows.clear();
  }

  #closeOldest(): void {
    for (const [key, flow] of this.#flows) {
      flow.close();
      this.#flows.delete(key);
      return;
    }
  }
}

function dropOldest(all: { keys(): IterableIterator<string>; delete(key: string): boolean }): void {
  for (const key of all.keys()) {
    all.delete(key);
    return;
  }
}
