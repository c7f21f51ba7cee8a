import type { Timer, Timers } from '#base/clock.ts';
import { CodedError } from '#base/errors.ts';
import { guestNs } from '#base/units.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import type { BlockPort } from '#emu/host/block.ts';
import { SENSE, type Sense } from './sense.ts';

/**
 * The tray of a CD drive: its door, its lock and the disc in it.
 * Source: MMC-3 (T10/1363-D), 4.1.6 (media status) and 6.7.2.5 (media events).
 *
 * A disc goes through
 *
 *   absent -> (insert, load) spinning-up -> ready            reports "becoming ready", then one unit attention
 *   ready -> (insert another) changing -> spinning-up -> ready      guests must see the old disc gone first
 */
const CHANGE_NS = 500_000_000;
const SPIN_UP_NS = 500_000_000;
/** Events a host that never asks may leave behind. */
const MAX_EVENTS = 8;

export type DiscPresence = 'absent' | 'changing' | 'spinning-up' | 'ready';

/** Media event codes (MMC-3, table 113). */
export const MEDIA_EVENT = { none: 0, ejectRequest: 1, newMedia: 2, mediaRemoval: 3 } as const;

export interface CdTrayParts {
  readonly timers: Timers;
  /** In the closed tray at power-on. */
  readonly medium?: BlockPort;
  /** The guest opened the tray. The disc lies in it until the host takes it out with `insert(undefined)`. */
  readonly onEjected?: () => void;
}

export interface CdTrayState {
  presence: DiscPresence;
  /** Guest time of the next presence, in ns; meaningless when `absent` or `ready`. */
  deadline: number;
  open: boolean;
  locked: boolean;
  events: number[];
  attention: Sense | null;
}

export class CdTray implements Saveable<CdTrayState> {
  readonly #timers: Timers;
  readonly #timer: Timer;
  readonly #onEjected: () => void;
  #disc: BlockPort | undefined;
  #presence: DiscPresence;
  #deadline = 0;
  #open = false;
  #locked = false;
  #events: number[] = [];
  #attention: Sense | undefined;

  /** @throws CodedError<'bad-medium'> for a disc smaller than one 2048-byte block. */
  constructor(parts: CdTrayParts) {
    if (parts.medium) checkDisc(parts.medium);
    this.#timers = parts.timers;
    this.#onEjected = parts.onEjected ?? (() => {});
    this.#disc = parts.medium;
    this.#presence = parts.medium ? 'ready' : 'absent';
    this.#timer = parts.timers.create(() => this.#expired());
  }

  /** The disc, once it can be read. */
  get readable(): BlockPort | undefined {
    return this.#presence === 'ready' ? this.#disc : undefined;
  }

  get open(): boolean {
    return this.#open;
  }

  get locked(): boolean {
    return this.#locked;
  }

  /** PREVENT/ALLOW MEDIUM REMOVAL. */
  lock(locked: boolean): void {
    this.#locked = locked;
  }

  /** Why a command that needs the disc cannot run, or undefined. */
  get notReady(): Sense | undefined {
    if (this.#presence === 'ready') return undefined;
    if (this.#presence === 'spinning-up') return SENSE.becomingReady;
    return this.#open ? SENSE.mediumNotPresentTrayOpen : SENSE.mediumNotPresentTrayClosed;
  }

  /** The unit attention condition, if one is pending. */
  get attention(): Sense | undefined {
    return this.#attention;
  }

  clearAttention(): void {
    this.#attention = undefined;
  }

  /** Takes the oldest media event. */
  nextEvent(): number {
    return this.#events.shift() ?? MEDIA_EVENT.none;
  }

  /**
   * The host puts a disc in and closes the tray; undefined takes the disc out.
   * @param force also when the guest locked the door over a disc
   * @returns false when the lock forbids it; the guest is then told that somebody asked
   * @throws CodedError<'bad-medium'> for a disc smaller than one 2048-byte block
   */
  insert(disc: BlockPort | undefined, force = false): boolean {
    if (disc) checkDisc(disc);
    if (!this.#mayRemove(force)) return false;
    const hadDisc = this.#presence === 'ready' || this.#presence === 'spinning-up';
    this.#removeDisc();
    this.#disc = disc;
    if (!disc) return true;
    this.#open = false;
    if (hadDisc) this.#enter('changing', CHANGE_NS);
    else this.#enter('spinning-up', SPIN_UP_NS);
    return true;
  }

  /** The host opens the tray and takes the disc out. Parameters and result as `insert`. */
  eject(force: boolean): boolean {
    if (!this.#mayRemove(force)) return false;
    this.#removeDisc();
    this.#disc = undefined;
    this.#open = true;
    return true;
  }

  /** The host closes the tray over the disc that lies in it (a guest's eject undone at a machine's reset). */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#disc) this.#enter('spinning-up', SPIN_UP_NS);
  }

  /** START STOP UNIT with LoEj: the guest opens the tray. @returns the reason why not */
  guestEject(): Sense | undefined {
    if (this.#locked) return SENSE.mediumRemovalPrevented;
    if (this.#open) return undefined;
    this.#removeDisc();
    this.#open = true;
    this.#onEjected();
    return undefined;
  }

  /** Hard reset: the door unlocks, the reset is reported. A power cycle also closes the door. */
  reset(): void {
    this.#locked = false;
    this.#events = [];
    this.#attention = SENSE.powerOnOrReset;
  }

  save(): CdTrayState {
    return {
      presence: this.#presence,
      deadline: this.#deadline,
      open: this.#open,
      locked: this.#locked,
      events: [...this.#events],
      attention: this.#attention ? { ...this.#attention } : null,
    };
  }

  /** The host has given the disc of the saved machine to the constructor. */
  restore(state: CdTrayState): void {
    this.#presence = state.presence;
    this.#deadline = state.deadline;
    this.#open = state.open;
    this.#locked = state.locked;
    this.#events = [...state.events];
    this.#attention = state.attention ?? undefined;
    if (this.#waiting) this.#timer.arm(guestNs(state.deadline));
    else this.#timer.disarm();
  }

  get #waiting(): boolean {
    return this.#presence === 'changing' || this.#presence === 'spinning-up';
  }

  #mayRemove(force: boolean): boolean {
    if (!this.#locked || this.#open || !this.#disc) return true;
    if (force) {
      this.#locked = false;
      return true;
    }
    this.#event(MEDIA_EVENT.ejectRequest);
    return false;
  }

  #removeDisc(): void {
    if (this.#presence === 'ready') this.#event(MEDIA_EVENT.mediaRemoval);
    this.#presence = 'absent';
    this.#timer.disarm();
  }

  #enter(presence: DiscPresence, ns: number): void {
    this.#presence = presence;
    this.#deadline = this.#timers.now() + ns;
    this.#timer.arm(guestNs(this.#deadline));
  }

  #expired(): void {
    if (this.#presence === 'changing') {
      this.#enter('spinning-up', SPIN_UP_NS);
      return;
    }
    this.#presence = 'ready';
    this.#attention = SENSE.mediumMayHaveChanged;
    this.#event(MEDIA_EVENT.newMedia);
  }

  #event(code: number): void {
    if (this.#events.length < MAX_EVENTS) this.#events.push(code);
  }
}

function checkDisc(disc: BlockPort): void {
  if (disc.sectorCount >= 4) return;
  throw new CodedError('bad-medium', 'a disc image needs at least one block of 2048 bytes: choose another image', {
    sectorCount: disc.sectorCount,
  });
}
