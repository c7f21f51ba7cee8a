/** A bad cable for tests: loses, repeats, swaps and damages frames, the same ones for the same seed. */
import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import { NO_RECEIVER } from '#emu/host/packet-port.ts';

/** Chances from 0 to 1, for each frame. */
export interface Faults {
  readonly loss?: number;
  readonly duplication?: number;
  /** The frame comes behind the next one. */
  readonly reordering?: number;
  /** One bit is wrong. */
  readonly damage?: number;
}

export interface FaultCounts {
  passed: number;
  lost: number;
  duplicated: number;
  reordered: number;
  damaged: number;
}

/** One way into a cable: a port in front of another one. What comes out of it is not touched. */
export class FaultInjector implements PacketPort {
  readonly counts: FaultCounts = { passed: 0, lost: 0, duplicated: 0, reordered: 0, damaged: 0 };
  readonly #port: PacketPort;
  readonly #faults: Faults;
  #random: number;
  #held: Uint8Array | undefined;
  #receiver: PacketReceiver = NO_RECEIVER;

  constructor(port: PacketPort, faults: Faults, seed: number) {
    this.#port = port;
    this.#faults = faults;
    this.#random = seed | 1;
  }

  get linkUp(): boolean {
    return this.#port.linkUp;
  }

  connect(receiver: PacketReceiver): void {
    this.#receiver = receiver;
    this.#port.connect({
      receive: (frame) => this.#receiver.receive(frame),
      resume: () => this.#receiver.resume(),
      linkChanged: () => this.#receiver.linkChanged(),
    });
  }

  setLink(up: boolean): void {
    this.#port.setLink(up);
  }

  resume(): void {
    this.#port.resume();
  }

  send(frame: Uint8Array): boolean {
    const { loss = 0, duplication = 0, reordering = 0, damage = 0 } = this.#faults;
    if (this.#chance(loss)) {
      this.counts.lost++;
      return true;
    }
    if (this.#held === undefined && this.#chance(reordering)) {
      this.counts.reordered++;
      this.#held = frame.slice();
      return true;
    }
    if (this.#chance(damage)) {
      this.counts.damaged++;
      return this.#port.send(this.#damaged(frame));
    }
    if (!this.#port.send(frame)) return false;
    this.counts.passed++;
    if (this.#chance(duplication)) {
      this.counts.duplicated++;
      this.#port.send(frame);
    }
    if (this.#held) {
      this.#port.send(this.#held);
      this.#held = undefined;
    }
    return true;
  }

  #damaged(frame: Uint8Array): Uint8Array {
    const bad = frame.slice();
    bad[this.#next() % bad.length] ^= 1 << (this.#next() & 7);
    return bad;
  }

  #chance(of: number): boolean {
    return of > 0 && this.#next() / 0x1_0000_0000 < of;
  }

  /** xorshift32. Source: Marsaglia, "Xorshift RNGs", 2003. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 0;
  }
}
