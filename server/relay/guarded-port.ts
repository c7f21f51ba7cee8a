// The end of a cable by which a page's frames enter a network: counts them, and keeps a card to its own address.

import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';

export interface FrameFigures {
  framesFromCards: number;
  framesToCards: number;
  /** Dropped for their source address. */
  spoofed: number;
}

/** Source address of an Ethernet frame (IEEE 802.3, 3.2.5). */
const SOURCE = 6;

export class GuardedPort implements PacketPort {
  readonly #port: PacketPort;
  readonly #mac: Uint8Array | undefined;
  readonly #figures: FrameFigures;

  /** @param mac the only source that frames may have; undefined: any */
  constructor(port: PacketPort, mac: Uint8Array | undefined, figures: FrameFigures) {
    this.#port = port;
    this.#mac = mac;
    this.#figures = figures;
  }

  get linkUp(): boolean {
    return this.#port.linkUp;
  }

  connect(receiver: PacketReceiver): void {
    this.#port.connect({
      receive: (frame) => {
        if (!receiver.receive(frame)) return false;
        this.#figures.framesToCards++;
        return true;
      },
      resume: () => receiver.resume(),
      linkChanged: () => receiver.linkChanged(),
    });
  }

  /** @returns true also for what is dropped: it counts as sent */
  send(frame: Uint8Array): boolean {
    const mac = this.#mac;
    for (let i = 0; mac && i < mac.length; i++) {
      if (frame[SOURCE + i] === mac[i]) continue;
      this.#figures.spoofed++;
      return true;
    }
    if (!this.#port.send(frame)) return false;
    this.#figures.framesFromCards++;
    return true;
  }

  resume(): void {
    this.#port.resume();
  }

  setLink(up: boolean): void {
    this.#port.setLink(up);
  }
}
