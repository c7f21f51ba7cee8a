/**
 * Debug console port: firmware prints its log here.
 * Source: SeaBIOS documentation, "Debugging" (port 402h; reading E9h tells firmware that the port exists).
 */
import type { IoDevice } from '#emu/bus/io-bus.ts';

export interface DebugConsoleParts {
  /** One byte of text. */
  readonly onByte: (byte: number) => void;
}

const PRESENT = 0xe9;

/** One port, at 402h. It has no state. */
export class DebugConsole implements IoDevice {
  readonly #onByte: (byte: number) => void;

  constructor(parts: DebugConsoleParts) {
    this.#onByte = parts.onByte;
  }

  read(): number {
    return PRESENT;
  }

  write(_offset: number, _width: number, value: number): void {
    this.#onByte(value & 0xff);
  }
}
