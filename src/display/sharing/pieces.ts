/** Messages over a channel that carries only short ones: pieces with a byte before each, 1 for the last, else 0. */
import { refuse } from '../stream/fields.ts';
import { MAX_MESSAGE_BYTES } from '../stream/messages.ts';

/** What every implementation of data channels takes (RFC 8831, 6.6, and browsers' practice). */
const PIECE_BYTES = 16_000;

export function* piecesOf(message: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at === 0 || at < message.length; at += PIECE_BYTES) {
    const part = message.subarray(at, at + PIECE_BYTES);
    const piece = new Uint8Array(part.length + 1);
    piece[0] = at + PIECE_BYTES >= message.length ? 1 : 0;
    piece.set(part, 1);
    yield piece;
  }
}

export class PieceCollector {
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /**
   * @returns the message that this piece completes
   * @throws CodedError<'bad-stream'> it is no piece, or the message is longer than any
   */
  take(piece: Uint8Array): Uint8Array | undefined {
    const isLast = piece[0] === 1;
    if (piece.length === 0 || piece[0] > 1)
      refuse('a piece of a message says neither that it is the last nor that it is not');
    this.#bytes += piece.length - 1;
    if (this.#bytes > MAX_MESSAGE_BYTES) refuse('the pieces of a message are longer together than any message');
    // A piece may be a view of something that is used again.
    this.#parts.push(piece.slice(1));
    if (!isLast) return undefined;
    const message = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#parts) {
      message.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#bytes = 0;
    return message;
  }
}
