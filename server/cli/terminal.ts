// The terminal as a serial port's other end: raw, with QEMU's escape key so that a person can leave.

import type { ReadStream } from 'node:tty';

const ESCAPE = 0x01; // Ctrl-A
const KEY = { quit: 0x78, help: 0x68 } as const;

export const TERMINAL_HELP = 'Ctrl-A x quits, Ctrl-A Ctrl-A sends Ctrl-A';

/** Finds the escape key in what is typed. */
export class EscapeFilter {
  #escaped = false;
  readonly #onKey: (key: 'quit' | 'help') => void;

  constructor(onKey: (key: 'quit' | 'help') => void) {
    this.#onKey = onKey;
  }

  /** @returns what the guest gets */
  filter(bytes: Uint8Array): Uint8Array {
    const kept: number[] = [];
    for (const byte of bytes) {
      if (this.#escaped) {
        this.#escaped = false;
        if (byte === ESCAPE) kept.push(byte);
        else if (byte === KEY.quit) this.#onKey('quit');
        else if (byte === KEY.help) this.#onKey('help');
      } else if (byte === ESCAPE) this.#escaped = true;
      else kept.push(byte);
    }
    return Uint8Array.from(kept);
  }
}

/**
 * Hands every byte of the terminal over as it is typed.
 * @returns puts the terminal back
 */
export function useTerminal(
  input: ReadStream | NodeJS.ReadStream,
  onBytes: (bytes: Uint8Array) => void,
  onKey: (key: 'quit' | 'help') => void,
): () => void {
  const isTerminal = input.isTTY === true;
  // Bytes of a file or pipe are all meant for the guest.
  const keys = isTerminal ? new EscapeFilter(onKey) : undefined;
  const take = (bytes: Buffer): void => {
    const kept = keys ? keys.filter(bytes) : new Uint8Array(bytes);
    if (kept.length > 0) onBytes(kept);
  };
  if (isTerminal) input.setRawMode(true);
  input.on('data', take);
  input.resume();
  return () => {
    input.off('data', take);
    input.pause();
    if (isTerminal) input.setRawMode(false);
  };
}
