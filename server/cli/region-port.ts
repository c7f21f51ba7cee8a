// The machine's end of the port to the thread that compiles hot code.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { CompilerMessage } from '#emu/cpu/jit/region-compiler.ts';
import type { BuiltModule, CompilerSetup, RegionCompilerPort, RegionOrder } from '#emu/cpu/jit/region-order.ts';

export class RegionPort implements RegionCompilerPort {
  readonly #port: MessagePort;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  setUp(setup: CompilerSetup): void {
    this.#post({ kind: 'set-up', setup });
  }

  send(orders: readonly RegionOrder[]): void {
    this.#post({ kind: 'orders', orders });
  }

  receive(): BuiltModule | undefined {
    return receiveMessageOnPort(this.#port)?.message as BuiltModule | undefined;
  }

  #post(message: CompilerMessage): void {
    this.#port.postMessage(message);
  }
}
