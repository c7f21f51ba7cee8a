/** Static virtual channels: messages in chunks. Source: [MS-RDPBCGR] 2.2.6.1. */
import { PduError, type PduReader, PduWriter } from './bytes.ts';

const FLAG = { first: 1, last: 2, showProtocol: 0x10 } as const;
export const CHUNK_BYTES = 1600;

/** The chunks that carry a message. */
export function encodeChannelChunks(message: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < message.length; at += CHUNK_BYTES) {
    const part = message.subarray(at, at + CHUNK_BYTES);
    const flags =
      (at === 0 ? FLAG.first : 0) | (at + part.length >= message.length ? FLAG.last : 0) | FLAG.showProtocol;
    chunks.push(new PduWriter(8 + part.length).u32(message.length).u32(flags).bytes(part).done());
  }
  return chunks;
}

/** Puts the chunks of one channel together. */
export class ChannelAssembler {
  readonly #most: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  /** @param most bytes of the longest message that is accepted */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns the message when this chunk completes it. @throws PduError */
  take(r: PduReader): Uint8Array | undefined {
    r.skip(4);
    const flags = r.u32();
    if (flags & FLAG.first) {
      this.#parts = [];
      this.#length = 0;
    }
    const part = r.rest();
    this.#length += part.length;
    if (this.#length > this.#most) throw new PduError('a channel message is too long', { length: this.#length });
    this.#parts.push(part.slice());
    if (!(flags & FLAG.last)) return undefined;
    const message = new Uint8Array(this.#length);
    let at = 0;
    for (const one of this.#parts) {
      message.set(one, at);
      at += one.length;
    }
    this.#parts = [];
    this.#length = 0;
    return message;
  }
}
