/** A WebSocket to the relay that comes back by itself: after a change of network, a sleep, a restart of the relay. */
import { CodedError } from '#base/errors.ts';
import { decodeMessage, type Message } from '../stream/messages.ts';
import { joinProtocols } from './early-socket.ts';

export type LinkState = 'connecting' | 'open' | 'waiting' | 'closed';

/** What makes a WebSocket where the platform has none, as Node 20, or has one that is open already. */
export type SocketMaker = (url: string, protocols: string[]) => WebSocket;

export interface RelayLinkParts {
  /** `ws:` or `wss:` address of the service. */
  readonly url: string;
  readonly newSocket?: SocketMaker | undefined;
  /** Asked for before each connection. */
  readonly token: () => Promise<string>;
  /** The connection is there: say who you are. */
  readonly onOpen: () => void;
  /** @param bytes the message as it came */
  readonly onMessage: (message: Message, bytes: Uint8Array) => void;
  /** @param why there is no connection, in words for a person */
  readonly onState: (state: LinkState, why: string) => void;
}

/** Close codes from here on say that coming back is of no use. */
const FINAL_CODES = 4400;
/** `readyState` of a WebSocket. */
const OPEN = 1;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5000;
/** The relay says something every 15 seconds. */
const SILENCE_MS = 40_000;

export class RelayLink {
  readonly #parts: RelayLinkParts;
  readonly #listening = new AbortController();
  #socket: WebSocket | undefined;
  #wait = FIRST_WAIT_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #received = 0;
  #isClosed = false;

  constructor(parts: RelayLinkParts) {
    this.#parts = parts;
    // Workers have the event, too; Node has neither.
    globalThis.addEventListener?.('online', () => this.#again(), { signal: this.#listening.signal });
    void this.#connect();
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === OPEN;
  }

  /** Bytes that have not left yet. */
  get bufferedBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Bytes of all messages received. */
  get receivedBytes(): number {
    return this.#received;
  }

  /** Sends a message; it is lost when there is no connection. */
  send(message: Uint8Array<ArrayBuffer>): void {
    if (this.isOpen) this.#socket?.send(message);
  }

  /** Ends the connection for good. */
  close(): void {
    this.#end('closed', '');
    this.#socket?.close(1000);
  }

  async #connect(): Promise<void> {
    this.#parts.onState('connecting', '');
    let token: string;
    try {
      token = await this.#parts.token();
    } catch (error) {
      if (error instanceof CodedError) this.#end('closed', error.message);
      else this.#later(error instanceof Error ? error.message : String(error));
      return;
    }
    if (this.#isClosed) return;
    const newSocket = this.#parts.newSocket ?? ((url, protocols) => new WebSocket(url, protocols));
    const socket = newSocket(this.#parts.url, joinProtocols(token));
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    if (socket.readyState === OPEN) this.#opened();
    else socket.addEventListener('open', () => this.#opened());
    socket.addEventListener('message', ({ data }) => this.#onMessage(socket, data));
    socket.addEventListener('close', ({ code, reason }) => this.#onClose(socket, code, reason));
  }

  #opened(): void {
    this.#wait = FIRST_WAIT_MS;
    this.#heard();
    this.#parts.onState('open', '');
    this.#parts.onOpen();
  }

  #onMessage(socket: WebSocket, data: unknown): void {
    if (socket !== this.#socket || !(data instanceof ArrayBuffer)) return;
    this.#heard();
    this.#received += data.byteLength;
    const bytes = new Uint8Array(data);
    let message: Message;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      // Another version of the relay or of this page: a new page may do better, this one not.
      this.#end('closed', error instanceof Error ? error.message : String(error));
      socket.close(1000);
      return;
    }
    this.#parts.onMessage(message, bytes);
  }

  #onClose(socket: WebSocket, code: number, reason: string): void {
    if (socket !== this.#socket || this.#isClosed) return;
    // The relay's reasons are `code: what happened`.
    const why = reason.replace(/^[\w-]+: /, '');
    if (code >= FINAL_CODES) this.#end('closed', why);
    else this.#later(why || 'the relay cannot be reached');
  }

  #heard(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#drop(), SILENCE_MS);
  }

  /** A connection over a network that is gone stays open for minutes; a new one tells. */
  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    if (!this.#isClosed) this.#later('the relay has gone silent');
  }

  #later(why: string): void {
    if (this.#isClosed) return;
    clearTimeout(this.#silence);
    this.#parts.onState('waiting', why);
    // Not all at the same moment when a relay comes back.
    const wait = this.#wait * (0.5 + Math.random());
    this.#wait = Math.min(LONGEST_WAIT_MS, this.#wait * 2);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#connect(), wait);
  }

  #again(): void {
    if (this.#isClosed || this.#retry === undefined || this.isOpen) return;
    clearTimeout(this.#retry);
    this.#wait = FIRST_WAIT_MS;
    void this.#connect();
  }

  #end(state: LinkState, why: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    this.#listening.abort();
    this.#parts.onState(state, why);
  }
}
