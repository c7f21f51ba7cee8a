import { u32 } from '../wire/bytes.ts';

/**
 * Finds what belongs to a packet by its addresses and ports, without making a key of them. Works for IPv4 and IPv6.
 *
 * A key is the bytes of source and destination address and of both ports, as the guest's packets have them.
 */
export class FlowTable<T extends { readonly key: Uint8Array }> {
  readonly #buckets = new Map<number, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param addressAt, addressBytes and portsAt: where `b` has addresses and ports */
  find(b: Uint8Array, addressAt: number, addressBytes: number, portsAt: number): T | undefined {
    const bucket = this.#buckets.get(hash(b, addressAt, addressBytes, portsAt));
    if (bucket === undefined) return undefined;
    for (const one of bucket) if (matches(one.key, b, addressAt, addressBytes, portsAt)) return one;
    return undefined;
  }

  has(key: Uint8Array): boolean {
    return this.find(key, 0, key.length - 4, key.length - 4) !== undefined;
  }

  add(one: T): void {
    const { key } = one;
    const at = hash(key, 0, key.length - 4, key.length - 4);
    const bucket = this.#buckets.get(at);
    if (bucket) bucket.push(one);
    else this.#buckets.set(at, [one]);
    this.#size++;
  }

  delete(one: T): void {
    const { key } = one;
    const at = hash(key, 0, key.length - 4, key.length - 4);
    const bucket = this.#buckets.get(at);
    const n = bucket?.indexOf(one) ?? -1;
    if (!bucket || n < 0) return;
    bucket.splice(n, 1);
    if (bucket.length === 0) this.#buckets.delete(at);
    this.#size--;
  }

  *values(): IterableIterator<T> {
    for (const bucket of this.#buckets.values()) yield* bucket;
  }
}

/** The key of a packet. */
export function flowKey(b: Uint8Array, addressAt: number, addressBytes: number, portsAt: number): Uint8Array {
  const key = new Uint8Array(addressBytes + 4);
  key.set(b.subarray(addressAt, addressAt + addressBytes));
  key.set(b.subarray(portsAt, portsAt + 4), addressBytes);
  return key;
}

function hash(b: Uint8Array, addressAt: number, addressBytes: number, portsAt: number): number {
  let h = u32(b, portsAt) | 0;
  for (let at = addressAt; at < addressAt + addressBytes; at += 4) {
    h = Math.imul(h ^ u32(b, at), 0x9e37_79b1);
    h ^= h >>> 15;
  }
  return h;
}

function matches(key: Uint8Array, b: Uint8Array, addressAt: number, addressBytes: number, portsAt: number): boolean {
  if (key.length !== addressBytes + 4) return false;
  for (let n = 0; n < addressBytes; n++) if (key[n] !== b[addressAt + n]) return false;
  for (let n = 0; n < 4; n++) if (key[addressBytes + n] !== b[portsAt + n]) return false;
  return true;
}
