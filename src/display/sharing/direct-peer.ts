/**
 * A connection from browser to browser, without the relay in between once it is there.
 * Source: W3C WebRTC 1.0 and RFC 8831 (data channels) through simple-peer. No STUN or TURN server is asked, so it works
 * inside one network; elsewhere the relay carries everything.
 */
import { PieceCollector, piecesOf } from './pieces.ts';

export interface DirectPeerParts {
  /** Makes the offer. */
  readonly isInitiator: boolean;
  /** Gives up after so long; there may be no way from one to the other. */
  readonly patienceMs?: number;
  /** To be taken to the other end's `signal`. */
  readonly onSignal: (data: string) => void;
  readonly onOpen: () => void;
  readonly onMessage: (message: Uint8Array) => void;
  /** Once, also when it never opened. */
  readonly onClose: () => void;
}

interface Peer {
  signal(data: unknown): void;
  send(data: Uint8Array): void;
  destroy(): void;
}

const PATIENCE_MS = 15_000;
/**
 * An open channel may stop carrying anything without being closed. So both ends say that they are there, and one that has
 * not heard anything for several beats of its own, in which its page was alive, gives up.
 */
const HEARTBEAT_MS = 1000;
const MOST_SILENT_BEATS = 4;
/** No piece of a message begins so. */
const HEARTBEAT = 0xff;

export const canBeDirect = (): boolean => typeof RTCPeerConnection === 'function';

export class DirectPeer {
  readonly #parts: DirectPeerParts;
  readonly #collector = new PieceCollector();
  readonly #patience: ReturnType<typeof setTimeout>;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #silentBeats = 0;
  #peer: Peer | undefined;
  /** Came before the library was there. */
  #early: string[] = [];
  #isOpen = false;
  #isClosed = false;

  constructor(parts: DirectPeerParts) {
    this.#parts = parts;
    this.#patience = setTimeout(() => this.close(), parts.patienceMs ?? PATIENCE_MS);
    this.#start().catch(() => this.close());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  signal(data: string): void {
    if (this.#isClosed) return;
    if (!this.#peer) this.#early.push(data);
    else {
      try {
        this.#peer.signal(JSON.parse(data));
      } catch {
        // Not of our kind: the connection will not come about.
        this.close();
      }
    }
  }

  send(message: Uint8Array): void {
    if (!this.#isOpen) return;
    try {
      for (const piece of piecesOf(message)) this.#peer?.send(piece);
    } catch {
      this.close();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isOpen = false;
    clearTimeout(this.#patience);
    clearInterval(this.#heartbeat);
    this.#peer?.destroy();
    this.#parts.onClose();
  }

  async #start(): Promise<void> {
    const { default: SimplePeer } = await import('simple-peer/simplepeer.min.js');
    if (this.#isClosed) return;
    const peer = new SimplePeer({ initiator: this.#parts.isInitiator, trickle: true, config: { iceServers: [] } });
    peer.on('signal', (data) => {
      if (!this.#isClosed) this.#parts.onSignal(JSON.stringify(data));
    });
    peer.on('connect', () => this.#opened());
    peer.on('data', (piece) => this.#take(piece));
    peer.on('close', () => this.close());
    peer.on('error', () => this.close());
    this.#peer = peer;
    for (const data of this.#early.splice(0)) this.signal(data);
  }

  #opened(): void {
    if (this.#isClosed || this.#isOpen) return;
    clearTimeout(this.#patience);
    this.#isOpen = true;
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#parts.onOpen();
  }

  #beat(): void {
    this.#silentBeats++;
    if (this.#silentBeats > MOST_SILENT_BEATS) {
      this.close();
      return;
    }
    try {
      this.#peer?.send(Uint8Array.of(HEARTBEAT));
    } catch {
      this.close();
    }
  }

  #take(piece: Uint8Array): void {
    if (this.#isClosed) return;
    // The library says that it is connected only after it has gathered statistics; the other end may be quicker.
    this.#opened();
    this.#silentBeats = 0;
    if (piece.length === 1 && piece[0] === HEARTBEAT) return;
    try {
      const message = this.#collector.take(piece);
      if (message) this.#parts.onMessage(message);
    } catch {
      this.close();
    }
  }
}
