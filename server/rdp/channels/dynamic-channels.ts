/**
 * Dynamic virtual channels: many of them inside the static channel `drdynvc`.
 * Source: [MS-RDPEDYC] 2.2.1 (versions), 2.2.2 (creating), 2.2.3 (data), 2.2.4 (closing).
 * Not modelled: priorities, compressed data and other transports, which version 1 does not have.
 */
import { PduError, PduReader, PduWriter } from '../pdu/bytes.ts';

const COMMAND = { create: 1, dataFirst: 2, data: 3, close: 4, capabilities: 5 } as const;
const VERSION_1 = 1;
/** What an id of 8 bits can tell apart. */
const MOST_CHANNELS = 255;
/** Bytes of a PDU: one chunk of the static channel. */
const MAX_PDU = 1600;
/** Bytes of the longest message that a client may send. */
const MAX_MESSAGE = 4 * 1024 * 1024;

/** The server's end of one dynamic channel. */
export interface DynamicChannel {
  readonly name: string;
  /** The client has it. */
  opened(send: (message: Uint8Array) => void): void;
  /** The client does not have it, or has it no longer. */
  closed(): void;
  /** @throws PduError */
  received(message: Uint8Array): void;
}

interface Open {
  readonly channel: DynamicChannel;
  isOpen: boolean;
  /** Nobody here wants it any more; the client has not answered yet. */
  isLeft: boolean;
  /** A message under way. */
  parts: { readonly bytes: Uint8Array; at: number } | undefined;
}

export class DynamicChannels {
  readonly #send: (pdu: Uint8Array) => void;
  readonly #open = new Map<number, Open>();
  #isReady = false;

  /** @param send takes messages of the static channel */
  constructor(send: (pdu: Uint8Array) => void, channels: readonly DynamicChannel[]) {
    this.#send = send;
    for (const channel of channels) this.add(channel);
  }

  /** Opens one more, now or when the client is ready. @returns a function that closes it, after which it hears no more */
  add(channel: DynamicChannel): () => void {
    let id = 1;
    while (this.#open.has(id)) id++;
    // A client that answers nothing gets no more.
    if (id > MOST_CHANNELS) return () => {};
    const open: Open = { channel, isOpen: false, isLeft: false, parts: undefined };
    this.#open.set(id, open);
    if (this.#isReady) this.#askFor(id, channel);
    return () => this.#leave(id, open);
  }

  begin(): void {
    this.#send(Uint8Array.of(COMMAND.capabilities << 4, 0, VERSION_1, 0));
  }

  /** A message of the static channel. @throws PduError */
  receive(message: Uint8Array): void {
    const r = new PduReader(message);
    const header = r.u8();
    const command = header >>> 4;
    if (command === COMMAND.capabilities) {
      this.#create();
      return;
    }
    const id = readSized(r, header & 3);
    const open = this.#open.get(id);
    // What was under way when the channel closed.
    if (!open) return;
    if (command === COMMAND.create) this.#created(id, open, r.u32());
    else if (command === COMMAND.dataFirst) this.#first(open, readSized(r, (header >>> 2) & 3), r);
    else if (command === COMMAND.data) this.#more(open, r);
    else if (command === COMMAND.close) this.#closed(id, open);
    else throw new PduError('an unknown command of dynamic channels', { command });
  }

  #create(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    for (const [id, { channel }] of this.#open) this.#askFor(id, channel);
  }

  #askFor(id: number, { name }: DynamicChannel): void {
    const w = new PduWriter().u8(COMMAND.create << 4).u8(id);
    this.#send(w.ascii(name, name.length + 1).done());
  }

  #leave(id: number, open: Open): void {
    if (this.#open.get(id) !== open || open.isLeft) return;
    open.isLeft = true;
    open.parts = undefined;
    if (open.isOpen) this.#send(Uint8Array.of(COMMAND.close << 4, id));
    // Its number is free again once the client has said what became of it.
    else if (!this.#isReady) this.#open.delete(id);
  }

  /** @param status negative as a signed number: the client has no such channel */
  #created(id: number, open: Open, status: number): void {
    if (open.isOpen) return;
    if ((status | 0) < 0) {
      this.#closed(id, open);
      return;
    }
    open.isOpen = true;
    if (open.isLeft) {
      this.#send(Uint8Array.of(COMMAND.close << 4, id));
      return;
    }
    open.channel.opened((message) => {
      if (this.#open.get(id) === open && !open.isLeft) this.#sendData(id, message);
    });
  }

  #closed(id: number, open: Open): void {
    this.#open.delete(id);
    if (!open.isLeft) open.channel.closed();
  }

  #first(open: Open, length: number, r: PduReader): void {
    if (open.isLeft) return;
    if (length > MAX_MESSAGE) throw new PduError('a message of a dynamic channel is too long', { length });
    open.parts = { bytes: new Uint8Array(length), at: 0 };
    this.#more(open, r);
  }

  #more(open: Open, r: PduReader): void {
    if (!open.isOpen || open.isLeft) return;
    const { parts } = open;
    if (!parts) {
      open.channel.received(r.rest());
      return;
    }
    const part = r.rest();
    if (part.length > parts.bytes.length - parts.at) {
      throw new PduError('a message of a dynamic channel is longer than it said', { length: parts.bytes.length });
    }
    parts.bytes.set(part, parts.at);
    parts.at += part.length;
    if (parts.at < parts.bytes.length) return;
    open.parts = undefined;
    open.channel.received(parts.bytes);
  }

  #sendData(id: number, message: Uint8Array): void {
    let at = 0;
    if (message.length > MAX_PDU - 2) {
      const w = new PduWriter(MAX_PDU).u8((COMMAND.dataFirst << 4) | (SIZE_32 << 2)).u8(id);
      at = MAX_PDU - 6;
      this.#send(w.u32(message.length).bytes(message.subarray(0, at)).done());
    }
    while (at < message.length) {
      const part = message.subarray(at, at + MAX_PDU - 2);
      const w = new PduWriter(MAX_PDU).u8(COMMAND.data << 4).u8(id);
      this.#send(w.bytes(part).done());
      at += part.length;
    }
  }
}

const SIZE_32 = 2;

/** @param size 0, 1, 2: 8, 16, 32 bits */
function readSized(r: PduReader, size: number): number {
  if (size === 0) return r.u8();
  return size === 1 ? r.u16() : r.u32();
}
