// Which guest has which address on the link: what ARP (RFC 826) and Neighbor Discovery (RFC 4861 7.3) find out.
//
// An address that is not known yet is believed to be where its first packet came from. After that only ARP and Neighbor
// Discovery move it: a packet alone may be damaged or forged, and an answer sent astray is not asked for again.

import type { Mac } from '../wire/address.ts';
import { hex } from '../wire/bytes.ts';

const MOST = 1024;
const MOST_WAITING = 8;
const ASK_INTERVAL_MS = 500;

interface Neighbor {
  mac: Mac | undefined;
  /** Frames without destination that wait for `mac`. */
  waiting: Uint8Array[];
  askedMs: number;
}

export class Neighbors {
  readonly #known = new Map<string, Neighbor>();
  /** What `macOf` was asked last, since packets come in trains. */
  readonly #lastAddress = new Uint8Array(16);
  #lastBytes = 0;
  #lastMac: Mac | undefined;

  /** @param ip 4 or 16 bytes at `at` */
  macOf(b: Uint8Array, at: number, bytes: number): Mac | undefined {
    if (this.#isLast(b, at, bytes)) return this.#lastMac;
    this.#lastBytes = bytes;
    for (let n = 0; n < bytes; n++) this.#lastAddress[n] = b[at + n];
    this.#lastMac = this.#known.get(hex(b.subarray(at, at + bytes)))?.mac;
    return this.#lastMac;
  }

  #isLast(b: Uint8Array, at: number, bytes: number): boolean {
    if (bytes !== this.#lastBytes) return false;
    for (let n = 0; n < bytes; n++) if (this.#lastAddress[n] !== b[at + n]) return false;
    return true;
  }

  /** An address was seen on the link. @returns frames that waited for it */
  learn(b: Uint8Array, at: number, bytes: number, mac: Mac): readonly Uint8Array[] {
    const key = hex(b.subarray(at, at + bytes));
    const known = this.#known.get(key);
    if (known?.mac === mac) return NONE;
    const waiting: readonly Uint8Array[] = known?.waiting ?? NONE;
    this.#remember(key, { mac, waiting: [], askedMs: Number.NEGATIVE_INFINITY });
    this.#lastBytes = 0;
    return waiting;
  }

  /** Keeps a copy of a frame until the address is known. @returns whether the link should be asked now */
  wait(nowMs: number, b: Uint8Array, at: number, bytes: number, frame: Uint8Array): boolean {
    const key = hex(b.subarray(at, at + bytes));
    const one = this.#known.get(key) ?? { mac: undefined, waiting: [], askedMs: Number.NEGATIVE_INFINITY };
    if (!this.#known.has(key)) this.#remember(key, one);
    if (one.waiting.length === MOST_WAITING) one.waiting.shift();
    one.waiting.push(frame.slice());
    return mayAsk(one, nowMs);
  }

  /** A packet came from elsewhere than a known address is. @returns whether the link should be asked now */
  doubt(nowMs: number, b: Uint8Array, at: number, bytes: number): boolean {
    const one = this.#known.get(hex(b.subarray(at, at + bytes)));
    return one !== undefined && mayAsk(one, nowMs);
  }

  #remember(key: string, one: Neighbor): void {
    this.#known.delete(key);
    this.#known.set(key, one);
    if (this.#known.size <= MOST) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}

function mayAsk(one: Neighbor, nowMs: number): boolean {
  if (nowMs - one.askedMs < ASK_INTERVAL_MS) return false;
  one.askedMs = nowMs;
  return true;
}

const NONE: readonly Uint8Array[] = [];
