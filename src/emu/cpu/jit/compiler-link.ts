/**
 * The CPU's end of a compiling thread that may die. What the thread was compiling is then answered as failed, which leaves
 * that code to tier 0, and another thread may take its place.
 */
import type { CompilerMessage } from './region-compiler.ts';
import type { BuiltModule, CompilerSetup, RegionCompilerPort, RegionOrder } from './region-order.ts';

/** A thread of `serveOrders`. */
export interface CompilerThread {
  post(message: CompilerMessage): void;
  /** The next answer, for threads that are asked; others call `CompilerLink.take`. Never waits. */
  receive?(): BuiltModule | undefined;
}

export interface CompilerLinkParts {
  /** Monotonic, in milliseconds. */
  readonly nowMs: () => number;
  /** The thread owes an answer since `SILENT_MS`: it may have died without a word. Once a thread. */
  readonly onSilent: () => void;
}

/** A batch takes a fraction of a second. */
export const SILENT_MS = 60_000;

export class CompilerLink implements RegionCompilerPort {
  readonly #parts: CompilerLinkParts;
  #setup: CompilerSetup | undefined;
  #thread: CompilerThread | undefined;
  /** Batches that the thread has, in the order in which it answers them. */
  readonly #waiting: (readonly RegionOrder[])[] = [];
  readonly #ready: BuiltModule[] = [];
  #closed = false;
  /** When the thread was last given something, or heard of. */
  #heardMs = 0;

  constructor(parts: CompilerLinkParts) {
    this.#parts = parts;
  }

  /** A thread to send orders to from now on; the one before is `lost`. */
  connect(thread: CompilerThread): void {
    this.#thread = thread;
    this.#heardMs = this.#parts.nowMs();
    if (this.#setup) thread.post({ kind: 'set-up', setup: this.#setup });
  }

  /** The thread is no more. */
  lost(why: string): void {
    this.#thread = undefined;
    for (const orders of this.#waiting.splice(0)) this.#ready.push(failed(orders, why));
  }

  /** There will be no thread any more. */
  close(why: string): void {
    this.lost(why);
    this.#closed = true;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** An answer of the connected thread. */
  take(built: BuiltModule): void {
    this.#waiting.shift();
    this.#heardMs = this.#parts.nowMs();
    this.#ready.push(built);
  }

  setUp(setup: CompilerSetup): void {
    this.#setup = setup;
    this.#thread?.post({ kind: 'set-up', setup });
  }

  send(orders: readonly RegionOrder[]): void {
    if (!this.#thread) {
      this.#ready.push(failed(orders, 'there is no thread to compile it'));
      return;
    }
    if (this.#waiting.length === 0) this.#heardMs = this.#parts.nowMs();
    this.#waiting.push(orders);
    this.#thread.post({ kind: 'orders', orders });
  }

  receive(): BuiltModule | undefined {
    for (let built = this.#thread?.receive?.(); built; built = this.#thread?.receive?.()) this.take(built);
    const next = this.#ready.shift();
    if (next === undefined) this.#listen();
    return next;
  }

  #listen(): void {
    if (this.#waiting.length === 0 || this.#parts.nowMs() - this.#heardMs < SILENT_MS) return;
    this.#heardMs = Number.POSITIVE_INFINITY;
    this.#parts.onSilent();
  }
}

const failed = (orders: readonly RegionOrder[], why: string): BuiltModule => ({
  ...{ module: undefined, byteCount: 0, kernels: [], regions: [] },
  failure: { why, tickets: orders.map(({ ticket }) => ticket) },
});
