/** Capture files of what passes a machine's network cards: VBoxManage's --nictraceN, for a person to keep. */
import { type Signal, signal } from '@preact/signals';
import type { NetworkCardConfig } from '#emu/host/network-card.ts';

/** The machine's worker, as far as this goes. */
export interface TracingMachine {
  startTrace(slot: number): Promise<void>;
  takeTrace(slot: number): Promise<Blob | undefined>;
}

/** A worker that hangs keeps its capture files. */
const PATIENCE_MS = 2000;

export class PacketTraces {
  /** Files that are whole and that nobody has saved yet, by slot. */
  readonly whole: Signal<ReadonlyMap<number, Blob>> = signal(new Map());
  /** Slots of cards that are being recorded. */
  readonly #running: Set<number>;
  readonly #machine: () => TracingMachine | undefined;

  /** @param cards those with `trace` are recorded from power-on */
  constructor(cards: readonly NetworkCardConfig[], machine: () => TracingMachine | undefined) {
    this.#running = new Set(cards.filter(({ trace }) => trace).map(({ slot }) => slot));
    this.#machine = machine;
  }

  /** Records what passes a card from now on. */
  async start(slot: number): Promise<void> {
    await this.#machine()?.startTrace(slot);
    this.#running.add(slot);
  }

  /** Ends the recording of a card, whose file is then in `whole`. */
  async end(slot: number): Promise<void> {
    if (!this.#running.delete(slot)) return;
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE_MS));
    const blob = await Promise.race([
      this.#machine()
        ?.takeTrace(slot)
        .catch(() => undefined),
      late,
    ]);
    if (blob) this.whole.value = new Map(this.whole.value).set(slot, blob);
  }

  /** To be called before the machine's worker goes. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#running].map((slot) => this.end(slot)));
  }

  /** @returns the files, which are the caller's from now on */
  take(): ReadonlyMap<number, Blob> {
    const { value } = this.whole;
    if (value.size > 0) this.whole.value = new Map();
    return value;
  }
}
