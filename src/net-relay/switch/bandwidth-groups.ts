// The bandwidth groups of a machine or a relay, by name, and the clock that they wait for.

import { CodedError } from '#base/errors.ts';
import { BandwidthGroup } from './bandwidth-group.ts';

export interface GroupClock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls back after a time. @returns stops that */
  after(ms: number, call: () => void): () => void;
}

export class BandwidthGroups {
  readonly #clock: GroupClock;
  readonly #groups = new Map<string, BandwidthGroup>();
  #isArmed = false;

  constructor(clock: GroupClock) {
    this.#clock = clock;
  }

  get all(): readonly BandwidthGroup[] {
    return [...this.#groups.values()];
  }

  /** Makes a group or changes its limit. @param bytesPerSecond 0: none */
  set(name: string, bytesPerSecond: number): void {
    const nowMs = this.#clock.now();
    const group = this.#groups.get(name);
    if (group) group.setLimit(nowMs, bytesPerSecond);
    else this.#groups.set(name, new BandwidthGroup(name, bytesPerSecond, nowMs));
    this.arm();
  }

  /** Its cards have no limit any more. @throws CodedError<'no-group'> */
  remove(name: string): void {
    this.get(name).setLimit(this.#clock.now(), 0);
    this.#groups.delete(name);
  }

  has(name: string): boolean {
    return this.#groups.has(name);
  }

  /** @throws CodedError<'no-group'> */
  get(name: string): BandwidthGroup {
    const group = this.#groups.get(name);
    if (group) return group;
    throw new CodedError('no-group', `there is no bandwidth group '${name}'; make it first`);
  }

  /** To be called when somebody has begun to wait. */
  arm(): void {
    if (this.#isArmed) return;
    const deadlines = this.all.flatMap((group) => group.deadlineMs ?? []);
    if (deadlines.length === 0) return;
    this.#isArmed = true;
    this.#clock.after(Math.max(Math.ceil(Math.min(...deadlines) - this.#clock.now()), 1), () => {
      this.#isArmed = false;
      for (const group of this.all) group.tick(this.#clock.now());
      this.arm();
    });
  }
}
