/**
 * Ports with which firmware and test programs talk to whoever runs the machine.
 * Source: Bochs "port E9 hack" (user manual, `port_e9_hack`); QEMU `isa-debug-exit` and `isa-debugcon` device
 * documentation; POST code latch: IBM PC/AT Technical Reference, manufacturing test port.
 * Not modelled: nothing.
 */
import type { IoDevice, Width } from '../../bus/io-bus.ts';
import type { Saveable } from '../../bus/wires.ts';

const E9_PRESENT = 0xe9;

export interface DebugConsoleParts {
  readonly onByte: (byte: number) => void;
}

/** Port E9h: a write is a byte of output, a read returns E9h so that a guest can tell it is there. */
export class DebugConsole implements IoDevice {
  readonly #onByte: (byte: number) => void;

  constructor(parts: DebugConsoleParts) {
    this.#onByte = parts.onByte;
  }

  read(): number {
    return E9_PRESENT;
  }

  write(_offset: number, _width: Width, value: number): void {
    this.#onByte(value);
  }
}

export interface DebugExitParts {
  /** @param value what the guest wrote, 8, 16 or 32 bits; a process exits with `(value << 1) | 1` by convention */
  readonly onExit: (value: number) => void;
}

/** Four ports (F4h by convention), mapped with `maxWidth` 4: a write ends the run. */
export class DebugExit implements IoDevice {
  readonly #onExit: (value: number) => void;

  constructor(parts: DebugExitParts) {
    this.#onExit = parts.onExit;
  }

  read(): number {
    return 0;
  }

  write(_offset: number, _width: Width, value: number): void {
    this.#onExit(value);
  }
}

export interface PostCodeParts {
  /** Called when the code changes. */
  readonly onCode?: (code: number) => void;
}

export interface PostCodeState {
  code: number;
}

/** Port 80h: the last POST code, which reads back; guests also write it as a delay. */
export class PostCode implements IoDevice, Saveable<PostCodeState> {
  readonly #onCode: (code: number) => void;
  #code = 0;

  constructor(parts: PostCodeParts = {}) {
    this.#onCode = parts.onCode ?? ((): void => {});
  }

  get code(): number {
    return this.#code;
  }

  read(): number {
    return this.#code;
  }

  write(_offset: number, _width: Width, value: number): void {
    if (value === this.#code) return;
    this.#code = value;
    this.#onCode(value);
  }

  reset(): void {
    this.#code = 0;
  }

  save(): PostCodeState {
    return { code: this.#code };
  }

  restore(state: PostCodeState): void {
    this.#code = state.code;
  }
}
