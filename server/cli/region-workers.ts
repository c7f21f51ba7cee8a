// Threads that compile hot code for a machine, one at a time: the main thread starts them, because the machine's thread
// blocks and would not hear of their end.

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { CompilerWatch } from '#emu/cpu/jit/compiler-watch.ts';
import { WORKER_LIMITS } from './engine-options.ts';

export interface RegionWorkersParts {
  /** The built worker. */
  readonly url: URL;
  /** The machine's end of the port to a new thread; the one before has died of `why`. */
  readonly onStarted: (port: MessagePort, why: string) => void;
  /** There will be none any more. @param message for a person */
  readonly onGivenUp: (message: string) => void;
}

export class RegionWorkers {
  readonly #parts: RegionWorkersParts;
  #worker: Worker | undefined;
  /** Why the one before died, and why this one is ending. */
  #why = '';
  #ending = '';
  #closed = false;

  constructor(parts: RegionWorkersParts) {
    this.#parts = parts;
    new CompilerWatch({
      nowMs: () => performance.now(),
      start: (died) => this.#start(died),
      onDied: (why) => {
        this.#why = why;
      },
      onGivenUp: (message) => parts.onGivenUp(message),
    });
  }

  /** The thread owes an answer: another one takes its place. */
  restart(): void {
    this.#ending = 'it gave no answer for a minute';
    void this.#worker?.terminate();
  }

  close(): void {
    this.#closed = true;
    void this.#worker?.terminate();
  }

  #start(died: (why: string) => void): void {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(this.#parts.url, {
      ...{ workerData: port1, transferList: [port1], name: 'regions' },
      resourceLimits: WORKER_LIMITS,
    });
    this.#worker = worker;
    this.#ending = 'it ended without a word';
    worker.on('error', (error) => {
      this.#ending = error.message;
    });
    // Comes after an error as well.
    worker.on('exit', () => {
      if (!this.#closed) died(this.#ending);
    });
    // It does not keep the process alive.
    worker.unref();
    this.#parts.onStarted(port2, this.#why);
  }
}
