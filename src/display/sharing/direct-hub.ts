/** The direct connections of a host, one a viewer. On the page's thread, because workers have no WebRTC. */
import { DirectPeer } from './direct-peer.ts';

export interface DirectHubParts {
  readonly onSignal: (participant: number, data: string) => void;
  readonly onOpen: (participant: number) => void;
  readonly onMessage: (participant: number, message: Uint8Array) => void;
  readonly onClose: (participant: number) => void;
}

export class DirectHub {
  readonly #parts: DirectHubParts;
  readonly #peers = new Map<number, DirectPeer>();

  constructor(parts: DirectHubParts) {
    this.#parts = parts;
  }

  /** A viewer offers a connection, or says more about it. */
  signal(participant: number, data: string): void {
    // An offer begins a connection; a former one is over, whether it knows or not.
    if (/^\{"type":"offer"/.test(data)) this.close(participant);
    let peer = this.#peers.get(participant);
    if (!peer) {
      const { onSignal, onOpen, onMessage, onClose } = this.#parts;
      const made = new DirectPeer({
        isInitiator: false,
        onSignal: (answer) => onSignal(participant, answer),
        onOpen: () => onOpen(participant),
        onMessage: (message) => onMessage(participant, message),
        onClose: () => {
          if (this.#peers.get(participant) !== made) return;
          this.#peers.delete(participant);
          onClose(participant);
        },
      });
      this.#peers.set(participant, made);
      peer = made;
    }
    peer.signal(data);
  }

  send(participant: number, message: Uint8Array): void {
    this.#peers.get(participant)?.send(message);
  }

  close(participant: number): void {
    this.#peers.get(participant)?.close();
  }

  closeAll(): void {
    for (const peer of [...this.#peers.values()]) peer.close();
  }
}
