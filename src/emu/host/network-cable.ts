/**
 * The cable in a card's socket: can be pulled and put back while the machine runs, counts what passes, and shows it to a
 * trace. The card sees it as its port.
 */
import { NO_RECEIVER, type PacketPort, type PacketReceiver, UnpluggedPort } from './packet-port.ts';

/** Since power-on. */
export interface CableCounts {
  readonly framesSent: number;
  readonly bytesSent: number;
  readonly framesReceived: number;
  readonly bytesReceived: number;
}

/** @param frame belongs to the caller again after the call */
export type PacketTrace = (frame: Uint8Array, direction: 'sent' | 'received') => void;

export class NetworkCable implements PacketPort {
  #port: PacketPort = new UnpluggedPort();
  #receiver: PacketReceiver = NO_RECEIVER;
  #connected: boolean;
  #linkSeen = false;
  #framesSent = 0;
  #bytesSent = 0;
  #framesReceived = 0;
  #bytesReceived = 0;
  /** Sees every frame that passes. */
  trace: PacketTrace | undefined;

  constructor(port: PacketPort, connected: boolean) {
    this.#connected = connected;
    this.attach(port);
  }

  /** Leads the cable elsewhere. */
  attach(port: PacketPort): void {
    this.#port.setLink(false);
    this.#port.connect(NO_RECEIVER);
    this.#port = port;
    port.connect({
      receive: (frame, more) => this.#receive(port, frame, more),
      resume: () => {
        if (port === this.#port) this.#receiver.resume();
      },
      linkChanged: () => this.#checkLink(),
    });
    port.setLink(this.#connected);
    this.#checkLink();
    // What the other one refused does not wait for it any more.
    this.#receiver.resume();
  }

  get connected(): boolean {
    return this.#connected;
  }

  set connected(connected: boolean) {
    if (connected === this.#connected) return;
    this.#connected = connected;
    this.#port.setLink(connected);
    this.#checkLink();
    this.#receiver.resume();
  }

  get counts(): CableCounts {
    return {
      framesSent: this.#framesSent,
      bytesSent: this.#bytesSent,
      framesReceived: this.#framesReceived,
      bytesReceived: this.#bytesReceived,
    };
  }

  get linkUp(): boolean {
    return this.#connected && this.#port.linkUp;
  }

  connect(receiver: PacketReceiver): void {
    this.#receiver = receiver;
    this.#linkSeen = this.linkUp;
  }

  send(frame: Uint8Array): boolean {
    if (!this.linkUp) return true;
    if (!this.#port.send(frame)) return false;
    this.#framesSent++;
    this.#bytesSent += frame.length;
    this.trace?.(frame, 'sent');
    return true;
  }

  resume(): void {
    this.#port.resume();
  }

  /** The cable's plug is `connected`; the card has no say in it. */
  setLink(_up: boolean): void {}

  #receive(port: PacketPort, frame: Uint8Array, more?: boolean): boolean {
    if (!this.#connected || port !== this.#port) return true;
    if (!this.#receiver.receive(frame, more)) return false;
    this.#framesReceived++;
    this.#bytesReceived += frame.length;
    this.trace?.(frame, 'received');
    return true;
  }

  #checkLink(): void {
    if (this.linkUp === this.#linkSeen) return;
    this.#linkSeen = this.linkUp;
    this.#receiver.linkChanged();
  }
}
