// The machine's side of debugging: the GDB stub at its socket's other end, and the trace of instructions.

import { closeSync, openSync, writeSync } from 'node:fs';
import { CodedError } from '#base/errors.ts';
import { GdbServer } from '#emu/cpu/debug/gdb-server.ts';
import { createDebugger, type MachineDebugger } from '#emu/machine/create-debugger.ts';
import type { Pc } from '#emu/machine/pc.ts';
import type { DebugOptions, TraceOptions } from './debug-options.ts';
import type { GdbEvent } from './gdb-socket.ts';

export interface DebuggingParts {
  readonly pc: Pc;
  readonly options: DebugOptions;
  /** Bytes for the debugger. */
  readonly send: (bytes: Uint8Array) => void;
  /** The debugger wants the run to end. */
  readonly onKill: () => void;
}

export class MachineDebugging {
  readonly #debugger: MachineDebugger;
  readonly #server: GdbServer;
  #trace: TraceFile | undefined;

  /** @throws CodedError<'unwritable'> */
  constructor({ pc, options, send, onKill }: DebuggingParts) {
    this.#debugger = createDebugger(pc, onKill, options.gdbArchitecture);
    this.#server = new GdbServer(this.#debugger, send);
    if (options.trace) {
      this.#trace = new TraceFile(options.trace, this.#debugger);
    }
  }

  onGdb(event: GdbEvent): void {
    if (event.kind === 'attached') this.#server.attach();
    else if (event.kind === 'detached') this.#server.disconnect();
    else this.#server.receive(event.bytes);
  }

  /** The machine paused for the debugger. */
  onStop(): void {
    this.#server.stopped(this.#debugger.takeReason());
  }

  /** The machine was switched off. */
  close(): void {
    this.#server.exited();
    this.#trace?.close();
  }
}

const BUFFER_CHARACTERS = 1 << 16;

/** Lines of executed instructions, written in large pieces. */
class TraceFile {
  readonly #descriptor: number;
  #text = '';
  #left: number;
  #isOpen = true;

  constructor({ path, from, count }: TraceOptions, target: MachineDebugger) {
    try {
      this.#descriptor = openSync(path, 'w');
    } catch (cause) {
      throw new CodedError('unwritable', `${path} cannot be written; check its folder`, { path }, cause);
    }
    this.#left = count;
    target.traceFrom(from, (line) => this.#add(line));
  }

  /** @returns false when there is enough */
  #add(line: string): boolean {
    this.#text += `${line}\n`;
    this.#left--;
    if (this.#text.length >= BUFFER_CHARACTERS || this.#left <= 0) this.#flush();
    if (this.#left <= 0) this.close();
    return this.#left > 0;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#flush();
    this.#isOpen = false;
    closeSync(this.#descriptor);
  }

  #flush(): void {
    if (this.#text !== '') writeSync(this.#descriptor, this.#text);
    this.#text = '';
  }
}
