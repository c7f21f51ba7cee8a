/**
 * A bandwidth group: a limit that several cards share for what they send (`VBoxManage bandwidthctl`). A token bucket; a
 * card that finds it empty keeps its frame and is told when to go on, so nothing is lost.
 */
import { CodedError } from '#base/errors.ts';
import { NO_RECEIVER, type PacketPort, type PacketReceiver } from '#emu/host/packet-port.ts';

/**
 * What the bucket holds: so much of a second, but always a frame of any size. A timer that is later than this costs
 * throughput, as on a busy host; ten seconds hold 2 % of it.
 */
const BURST_SECONDS = 0.2;
const LEAST_BURST_BYTES = 2048;

export class BandwidthGroup {
  readonly name: string;
  #bytesPerSecond: number;
  #tokens = 0;
  #filledMs: number;
  /** Cables whose frame was refused, in turn. */
  readonly #waiting = new Set<PacketPort>();
  /** The one whose turn it is. */
  #resuming: PacketPort | undefined;

  /** @param bytesPerSecond 0: no limit */
  constructor(name: string, bytesPerSecond: number, nowMs: number) {
    this.name = name;
    this.#bytesPerSecond = bytesPerSecond;
    this.#filledMs = nowMs;
    this.#tokens = this.#burst;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  get #burst(): number {
    return Math.max(this.#bytesPerSecond * BURST_SECONDS, LEAST_BURST_BYTES);
  }

  /** Changes the limit while it is in use; 0 removes it. */
  setLimit(nowMs: number, bytesPerSecond: number): void {
    this.#fill(nowMs);
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = Math.min(this.#tokens, this.#burst);
    this.tick(nowMs);
  }

  /** @returns false when the cable has to wait; `tick` resumes it */
  take(nowMs: number, bytes: number, cable: PacketPort): boolean {
    if (this.#bytesPerSecond === 0) return true;
    this.#fill(nowMs);
    // A debt: a frame larger than what is there may go when anything is, and is paid for afterwards.
    const isNext = this.#waiting.size === 0 || this.#resuming === cable;
    if (isNext && this.#tokens > 0) {
      this.#tokens -= bytes;
      return true;
    }
    this.#waiting.add(cable);
    return false;
  }

  forget(cable: PacketPort): void {
    this.#waiting.delete(cable);
  }

  /** When to call `tick`; undefined: nobody waits. */
  get deadlineMs(): number | undefined {
    if (this.#waiting.size === 0) return undefined;
    if (this.#bytesPerSecond === 0) return this.#filledMs;
    return this.#filledMs + (Math.max(1 - this.#tokens, 0) / this.#bytesPerSecond) * 1000;
  }

  /** Lets those go on that can, one after the other. */
  tick(nowMs: number): void {
    this.#fill(nowMs);
    for (let turns = this.#waiting.size; turns > 0; turns--) {
      const [cable] = this.#waiting;
      if (cable === undefined || (this.#bytesPerSecond > 0 && this.#tokens <= 0)) return;
      this.#waiting.delete(cable);
      this.#resuming = cable;
      cable.resume();
      this.#resuming = undefined;
    }
  }

  #fill(nowMs: number): void {
    const gained = ((nowMs - this.#filledMs) / 1000) * this.#bytesPerSecond;
    this.#filledMs = nowMs;
    this.#tokens = Math.min(this.#tokens + gained, this.#burst);
  }
}

/** The network's end of a cable whose card belongs to a group: what comes from the card waits for its share. */
export class LimitedPort implements PacketPort {
  readonly #port: PacketPort;
  readonly #nowMs: () => number;
  #group: BandwidthGroup | undefined;
  #receiver: PacketReceiver = NO_RECEIVER;

  /** @param changed to be called when a group's `deadlineMs` may have changed */
  constructor(port: PacketPort, group: BandwidthGroup | undefined, nowMs: () => number, changed: () => void) {
    this.#port = port;
    this.#group = group;
    this.#nowMs = nowMs;
    port.connect({
      receive: (frame) => {
        if (this.#group && !this.#group.take(this.#nowMs(), frame.length, port)) {
          changed();
          return false;
        }
        return this.#receiver.receive(frame);
      },
      resume: () => this.#receiver.resume(),
      linkChanged: () => this.#receiver.linkChanged(),
    });
  }

  /** Moves the card to another group, or out of all. */
  set group(group: BandwidthGroup | undefined) {
    this.#group?.forget(this.#port);
    this.#group = group;
    // What waited for the old group asks again.
    this.#port.resume();
  }

  get linkUp(): boolean {
    return this.#port.linkUp;
  }
  connect(receiver: PacketReceiver): void {
    this.#receiver = receiver;
  }
  send(frame: Uint8Array): boolean {
    return this.#port.send(frame);
  }
  resume(): void {
    this.#port.resume();
  }
  setLink(up: boolean): void {
    if (!up) this.#group?.forget(this.#port);
    this.#port.setLink(up);
  }
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ k: 1e3 / 8, m: 1e6 / 8, g: 1e9 / 8 },
  ...{ K: 1024, M: 1024 ** 2, G: 1024 ** 3 },
};

/**
 * A limit as `bandwidthctl --limit` has it: k, m, g are kilo-, mega- and gigabits a second; K, M, G are kilobytes and so
 * on; a bare number is megabytes.
 * @returns bytes a second, 0 for none
 * @throws CodedError<'bad-limit'>
 */
export function parseLimit(text: string): number {
  const [, number, unit] = /^(\d+)([kmgKMG]?)$/.exec(text) ?? [];
  if (number !== undefined) return Number(number) * UNITS[unit || 'M'];
  const why = `'${text}' is no limit; give a number with k, m, g (bits a second) or K, M, G (bytes), or 0 for none`;
  throw new CodedError('bad-limit', why);
}

/** As `bandwidthctl list` prints it. */
export function formatLimit(bytesPerSecond: number): string {
  if (bytesPerSecond === 0) return 'none';
  const bits = bytesPerSecond * 8;
  const [size, unit] = bits % 1e9 === 0 ? [1e9, 'gbits'] : bits % 1e6 === 0 ? [1e6, 'mbits'] : [1e3, 'kbits'];
  return `${bits / size} ${unit}/sec`;
}
