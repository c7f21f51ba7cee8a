// One WebSocket as a service sees it. Ends peers that do not read, do not answer, or break the rules.

import type { WebSocket } from 'ws';
import { CodedError } from '#base/errors.ts';
import { CLOSE, type ConnectionHandler, type JoinClaims, type RelayConnection, type RelayService } from './service.ts';

/** RFC 6455, 5.5: a control frame holds 125 bytes, two of them the code. */
const MOST_REASON_BYTES = 123;
/** RFC 6455, 7.4.1: there was no close frame. */
const ABNORMAL = 1006;
/** How long a peer may take to answer a close. */
const CLOSE_MS = 2000;

export interface Traffic {
  receivedBytes: number;
  sentBytes: number;
  receivedMessages: number;
  sentMessages: number;
  /** Peers that were cut off. */
  cut: number;
}

/** Cuts at a character, not inside one. */
export function closeReason(reason: string): string {
  let text = reason;
  while (Buffer.byteLength(text) > MOST_REASON_BYTES) text = text.slice(0, -1);
  return text.isWellFormed() ? text : text.slice(0, -1);
}

/** Says why, and does not wait for ever for the peer to agree. */
export function closeSocket(socket: WebSocket, code: number, reason: string): void {
  socket.close(code, closeReason(reason));
  const timer = setTimeout(() => socket.terminate(), CLOSE_MS);
  socket.once('close', () => clearTimeout(timer));
}

export class SocketConnection implements RelayConnection {
  readonly claims: JoinClaims;
  readonly remote: string;
  readonly #socket: WebSocket;
  readonly #service: RelayService;
  readonly #traffic: Traffic;
  #handler: ConnectionHandler | undefined;
  #isAlive = true;

  constructor(socket: WebSocket, service: RelayService, claims: JoinClaims, remote: string, traffic: Traffic) {
    this.#socket = socket;
    this.#service = service;
    this.claims = claims;
    this.remote = remote;
    this.#traffic = traffic;
  }

  /** Lets the service have it. */
  start(): void {
    const socket = this.#socket;
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    // What ws refuses by itself (too long, malformed) ends with a close of the fitting code.
    socket.on('error', () => {});
    try {
      this.#handler = this.#service.connect(this);
    } catch (cause) {
      this.#refuse(cause, CLOSE.rights);
      return;
    }
    socket.on('message', (data: Buffer, isBinary) => this.#message(data, isBinary));
    socket.on('close', (code) => this.#handler?.closed(code === ABNORMAL));
  }

  #message(data: Buffer, isBinary: boolean): void {
    // What comes after a close was sent is nobody's.
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#isAlive = true;
    this.#traffic.receivedBytes += data.length;
    this.#traffic.receivedMessages++;
    try {
      // Not a Buffer, whose `slice` shares memory where everybody else's copies.
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
      this.#handler?.message(isBinary ? bytes : data.toString('utf8'));
    } catch (cause) {
      this.#refuse(cause, CLOSE.protocol);
    }
  }

  #refuse(cause: unknown, code: number): void {
    this.#traffic.cut++;
    if (cause instanceof CodedError) {
      this.close(code, `${cause.code}: ${cause.message}`);
      return;
    }
    // A defect of a service ends this client, not everybody's relay.
    console.error(`relay: ${this.#service.name} failed for ${this.claims.subject}:`, cause);
    this.close(CLOSE.internal, 'internal: the relay failed; its log says more');
  }

  send(message: Uint8Array | string): void {
    const socket = this.#socket;
    if (socket.readyState !== socket.OPEN) return;
    socket.send(message);
    this.#traffic.sentBytes += message.length;
    this.#traffic.sentMessages++;
    if (socket.bufferedAmount <= this.#service.mostBufferedBytes) return;
    // A close would wait behind all the rest.
    this.#traffic.cut++;
    socket.terminate();
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  read(on: boolean): void {
    if (on) this.#socket.resume();
    else this.#socket.pause();
  }

  close(code: number, reason: string): void {
    closeSocket(this.#socket, code, reason);
  }

  /** Called every `PING_MS`: a peer that has said nothing since is gone. */
  ping(): void {
    const socket = this.#socket;
    if (socket.readyState !== socket.OPEN || socket.isPaused) return;
    if (!this.#isAlive) {
      this.#traffic.cut++;
      socket.terminate();
      return;
    }
    this.#isAlive = false;
    socket.ping();
  }

  terminate(): void {
    this.#socket.terminate();
  }
}
