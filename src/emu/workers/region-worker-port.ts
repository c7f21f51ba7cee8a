/** The machine's end of the way to its region worker. */
import type { CompilerMessage } from '#emu/cpu/jit/region-compiler.ts';
import type { BuiltModule, CompilerSetup, RegionCompilerPort, RegionOrder } from '#emu/cpu/jit/region-order.ts';

/** What is needed of a `Worker`. */
interface MessageEnd {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

export class RegionWorkerPort implements RegionCompilerPort {
  readonly #worker: MessageEnd;
  readonly #ready: BuiltModule[] = [];

  constructor(worker: MessageEnd) {
    this.#worker = worker;
    worker.onmessage = (event) => this.#ready.push(event.data as BuiltModule);
  }

  setUp(setup: CompilerSetup): void {
    this.#post({ kind: 'set-up', setup });
  }

  send(orders: readonly RegionOrder[]): void {
    this.#post({ kind: 'orders', orders });
  }

  receive(): BuiltModule | undefined {
    return this.#ready.shift();
  }

  #post(message: CompilerMessage): void {
    this.#worker.postMessage(message);
  }
}
