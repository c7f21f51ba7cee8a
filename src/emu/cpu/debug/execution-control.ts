/**
 * Stops the CPU where a debugger wants it: at breakpoints, after single steps, when a person says so.
 *
 * Breakpoints cost nothing elsewhere: blocks end where the low 12 bits of an address are those of a breakpoint, so that
 * the CPU asks here before it goes on, in every mode and wherever a page is mapped. The guest's own debug registers, TF
 * and its code bytes are never touched.
 */
import type { DataWatch } from '../mmu/data-breakpoints.ts';
import type { ExecutionObserver, Look } from './execution-observer.ts';
import { type WatchKind, WatchList } from './watch-list.ts';

export type StopReason =
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'breakpoint' }
  | { readonly kind: 'step' }
  | { readonly kind: 'shutdown' }
  | { readonly kind: 'watch'; readonly access: WatchKind; readonly address: number };

/** Sees the instruction that is about to be executed. @returns false: it wants to see no more */
export type InstructionSink = () => boolean;

export class ExecutionControl implements ExecutionObserver {
  readonly stops: Uint8Array = new Uint8Array(4096);
  readonly watches = new WatchList();
  /** How often each address was set. */
  readonly #breakpoints = new Map<number, number>();
  #reason: StopReason | undefined;
  #stepping = false;
  /** A step's instruction is being executed. */
  #stepped = false;
  /** Execution goes on from here, perhaps from a breakpoint: it is not to stop there at once again. */
  #leaving: number | undefined;
  #sink: InstructionSink | undefined;
  /** The sink's turn comes at this address; undefined: it has come. */
  #showFrom: number | undefined;

  get dataWatch(): DataWatch | undefined {
    return this.watches.pages.length > 0 ? this.watches : undefined;
  }

  get due(): boolean {
    const hit = this.watches.takeHit();
    if (hit) this.#reason ??= { kind: 'watch', ...hit };
    if (this.#stepped) {
      this.#stepped = false;
      this.#stepping = false;
      this.#reason ??= { kind: 'step' };
    }
    return this.#reason !== undefined;
  }

  get holdsInterrupts(): boolean {
    return this.#stepping;
  }

  /** There is something to ask for. */
  get isNeeded(): boolean {
    if (this.watches.pages.length > 0) return true;
    return this.#breakpoints.size > 0 || this.#stepping || this.#reason !== undefined || this.#sink !== undefined;
  }

  before(linear: number): Look {
    const leaves = this.#leaving === linear;
    this.#leaving = undefined;
    if (!leaves && this.#breakpoints.has(linear)) {
      this.#stepping = false;
      this.#reason = { kind: 'breakpoint' };
      return 'stop';
    }
    if (this.#sink) this.#show(linear);
    if (this.#stepping) this.#stepped = true;
    const shows = this.#sink !== undefined && this.#showFrom === undefined;
    return this.#stepping || shows ? 'alone' : 'go';
  }

  /** The address the guest executes at; both readings of a 32-bit address mean the same. */
  addBreakpoint(linear: number): void {
    for (const one of readings(linear)) this.#breakpoints.set(one, (this.#breakpoints.get(one) ?? 0) + 1);
    this.#markStops();
  }

  removeBreakpoint(linear: number): void {
    for (const one of readings(linear)) {
      const count = this.#breakpoints.get(one) ?? 0;
      if (count > 1) this.#breakpoints.set(one, count - 1);
      else this.#breakpoints.delete(one);
    }
    this.#markStops();
  }

  removeAll(): void {
    this.#breakpoints.clear();
    this.watches.clear();
    this.#markStops();
  }

  /** Execution goes on. @param step only one instruction; `linear`: where */
  prepare(step: boolean, linear: number): void {
    this.#reason = undefined;
    this.watches.takeHit();
    this.#stepping = step;
    this.#stepped = false;
    this.#leaving = linear;
  }

  /** Something else than an instruction wants the machine to stop. */
  stop(reason: StopReason): void {
    this.#reason ??= reason;
  }

  /** Why it stopped; asked once. */
  takeReason(): StopReason | undefined {
    const reason = this.#reason;
    this.#reason = undefined;
    this.#stepping = false;
    this.#stepped = false;
    return reason;
  }

  /** Shows every instruction, which makes the machine slow, from `linear` on, or at once. */
  showFrom(linear: number | undefined, sink: InstructionSink): void {
    this.#sink = sink;
    this.#showFrom = linear;
    this.#markStops();
  }

  #show(linear: number): void {
    if (this.#showFrom !== undefined) {
      if (!readings(this.#showFrom).includes(linear)) return;
      this.#showFrom = undefined;
    }
    if (this.#sink?.() === false) this.#sink = undefined;
  }

  #markStops(): void {
    this.stops.fill(0);
    for (const linear of this.#breakpoints.keys()) this.stops[linear & 0xfff] = 1;
    if (this.#showFrom !== undefined) this.stops[this.#showFrom & 0xfff] = 1;
  }
}

/** A debugger's unsigned 32-bit address is a signed one to the CPU; above 4 GB there is only one reading. */
function readings(linear: number): readonly number[] {
  return 0x8000_0000 <= linear && linear <= 0xffff_ffff ? [linear, linear | 0] : [linear];
}
