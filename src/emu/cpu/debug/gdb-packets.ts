/**
 * Packets of GDB's remote serial protocol: `$data#checksum`, acknowledged by `+` or `-`; a bare 03h is Ctrl-C.
 * Source: GDB manual, appendix E "GDB Remote Serial Protocol", E.1 (overview), E.11 (interrupts).
 * Not modelled: run-length encoding in what we send; notifications.
 */

export type FromDebugger =
  | { readonly kind: 'packet'; readonly data: Uint8Array }
  /** The checksum did not fit. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'ack' }
  | { readonly kind: 'nack' }
  | { readonly kind: 'interrupt' };

const CHAR = { dollar: 0x24, hash: 0x23, plus: 0x2b, minus: 0x2d, escape: 0x7d, star: 0x2a, interrupt: 3 } as const;
/** Longer packets than we announced are cut off here: their checksum cannot fit then. */
const MAX_BYTES = 1 << 20;
const ESCAPED: ReadonlySet<number> = new Set([CHAR.dollar, CHAR.hash, CHAR.escape, CHAR.star]);

/** Takes bytes as they come and gives whole packets. */
export class PacketReader {
  readonly #data: number[] = [];
  #state: 'between' | 'data' | 'sum' = 'between';
  #sum = '';

  push(bytes: Uint8Array): FromDebugger[] {
    const found: FromDebugger[] = [];
    for (const byte of bytes) {
      const one = this.#take(byte);
      if (one) found.push(one);
    }
    return found;
  }

  #take(byte: number): FromDebugger | undefined {
    if (this.#state === 'between') return this.#begin(byte);
    if (this.#state === 'data') {
      if (byte === CHAR.dollar) this.#data.length = 0;
      else if (byte === CHAR.hash) {
        this.#state = 'sum';
        this.#sum = '';
      } else if (this.#data.length < MAX_BYTES) this.#data.push(byte);
      return undefined;
    }
    this.#sum += String.fromCharCode(byte);
    if (this.#sum.length < 2) return undefined;
    this.#state = 'between';
    const sum = this.#data.reduce((total, one) => (total + one) & 0xff, 0);
    if (Number.parseInt(this.#sum, 16) !== sum) return { kind: 'damaged' };
    return { kind: 'packet', data: unescaped(this.#data) };
  }

  #begin(byte: number): FromDebugger | undefined {
    switch (byte) {
      case CHAR.dollar:
        this.#state = 'data';
        this.#data.length = 0;
        return undefined;
      case CHAR.plus:
        return { kind: 'ack' };
      case CHAR.minus:
        return { kind: 'nack' };
      case CHAR.interrupt:
        return { kind: 'interrupt' };
      default:
        return undefined;
    }
  }
}

function unescaped(data: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (let i = 0; i < data.length; i++) bytes.push(data[i] === CHAR.escape ? data[++i] ^ 0x20 : data[i]);
  return Uint8Array.from(bytes);
}

/** @param data text in Latin-1, or bytes; what has a meaning of its own is escaped */
export function encodePacket(data: string | Uint8Array): Uint8Array {
  const raw = typeof data === 'string' ? Uint8Array.from(data, (c) => c.charCodeAt(0)) : data;
  const body: number[] = [];
  for (const byte of raw) {
    if (ESCAPED.has(byte)) body.push(CHAR.escape, byte ^ 0x20);
    else body.push(byte);
  }
  const sum = body.reduce((total, one) => (total + one) & 0xff, 0);
  const tail = `#${sum.toString(16).padStart(2, '0')}`;
  return Uint8Array.from([CHAR.dollar, ...body, ...[...tail].map((c) => c.charCodeAt(0))]);
}

export const toHex = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
};

/** @returns undefined when it is not pairs of hexadecimal digits */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
