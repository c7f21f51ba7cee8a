/** One serial port between the machine's thread and the page: bytes, in order, none lost. */
import { type Bell, ByteRingReader, ByteRingWriter } from '#emu/host/byte-ring.ts';

export interface SerialRings {
  /** What the guest sends. */
  readonly fromGuest: SharedArrayBuffer;
  /** What the guest receives. */
  readonly toGuest: SharedArrayBuffer;
  /** Rung when something is sent to the guest. */
  readonly doorbell: SharedArrayBuffer;
}

/** Takes a piece; resolves when the next may come. The piece is the callee's. */
export type SerialSink = (bytes: Uint8Array) => Promise<void>;

const PIECE_BYTES = 16_384;
const LOG_CHARACTERS = 1_048_576;

export class SerialLink {
  readonly #reader: ByteRingReader;
  readonly #writer: ByteRingWriter;
  readonly #sink: SerialSink;
  readonly #decoder = new TextDecoder();
  readonly #unsent: Uint8Array[] = [];
  #log = '';
  #sending = false;
  #stopped = false;

  constructor(rings: SerialRings, sink: SerialSink) {
    this.#reader = new ByteRingReader(rings.fromGuest);
    this.#writer = new ByteRingWriter(rings.toGuest, new Int32Array(rings.doorbell));
    this.#sink = sink;
    void this.#receive();
  }

  /** The end of what the guest has sent, up to a million characters, escape sequences included. */
  get text(): string {
    return this.#log;
  }

  /** Sends bytes to the guest, when it takes them. */
  send(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#unsent.push(bytes);
    if (!this.#sending) void this.#drain();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(PIECE_BYTES);
    while (!this.#stopped) {
      const seen = this.#reader.writtenCount;
      const count = this.#reader.read(buffer);
      if (count > 0) {
        const piece = buffer.slice(0, count);
        this.#log = (this.#log + this.#decoder.decode(piece, { stream: true })).slice(-LOG_CHARACTERS);
        await this.#sink(piece);
      } else if (this.#reader.closed) return;
      else await changed(this.#reader.bell, seen);
    }
  }

  async #drain(): Promise<void> {
    this.#sending = true;
    while (this.#unsent.length > 0 && !this.#stopped) {
      const seen = this.#writer.readCount;
      const taken = this.#writer.write(this.#unsent[0]);
      if (taken === this.#unsent[0].length) this.#unsent.shift();
      else if (taken > 0) this.#unsent[0] = this.#unsent[0].subarray(taken);
      else await changed(this.#writer.bell, seen);
    }
    this.#sending = false;
  }
}

const LONGEST_WAIT_MS = 5000;
const POLL_MS = 20;

/** Resolves when the word no longer holds `seen`, or a little later. */
async function changed({ words, index }: Bell, seen: number): Promise<void> {
  if (typeof Atomics.waitAsync === 'function') await Atomics.waitAsync(words, index, seen, LONGEST_WAIT_MS).value;
  else await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
