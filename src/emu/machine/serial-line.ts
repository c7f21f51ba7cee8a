/** One serial port with what is plugged into it: bytes out in batches, bytes in as fast as the guest reads them. */
import { Uart16550, type Uart16550Parts } from '#emu/devices/serial/uart16550.ts';

export interface SerialLineParts extends Pick<Uart16550Parts, 'irq' | 'timers'> {
  readonly onOutput: (bytes: Uint8Array) => void;
}

const BATCH_BYTES = 4096;

export class SerialLine {
  readonly uart: Uart16550;
  readonly #onOutput: (bytes: Uint8Array) => void;
  readonly #batch = new Uint8Array(BATCH_BYTES);
  #batched = 0;
  /** What the host sent and the guest has not read, oldest first. */
  #waiting: Uint8Array[] = [];

  constructor(parts: SerialLineParts) {
    this.#onOutput = parts.onOutput;
    this.uart = new Uart16550({
      irq: parts.irq,
      timers: parts.timers,
      onTransmit: (byte) => this.#transmit(byte),
      onReceiveRoom: () => this.#feed(),
    });
    this.uart.setConnected(true);
  }

  /** Bytes for the guest; they wait here until the port takes them. */
  send(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#waiting.push(bytes.slice());
    this.#feed();
  }

  /** Bytes of `send` that the guest has not taken. */
  get waitingBytes(): number {
    return this.#waiting.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  /** Hands over what the guest has sent since the last time. */
  flush(): void {
    if (this.#batched === 0) return;
    const bytes = this.#batch.slice(0, this.#batched);
    this.#batched = 0;
    this.#onOutput(bytes);
  }

  #transmit(byte: number): void {
    this.#batch[this.#batched++] = byte;
    if (this.#batched === BATCH_BYTES) this.flush();
  }

  #feed(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const taken = this.uart.receive(first);
      if (taken === 0) return;
      if (taken < first.length) this.#waiting[0] = first.subarray(taken);
      else this.#waiting.shift();
    }
  }
}

/** Collects single bytes of a debug console. */
export class ByteBatch {
  readonly #onBytes: (bytes: Uint8Array) => void;
  readonly #batch = new Uint8Array(BATCH_BYTES);
  #count = 0;

  constructor(onBytes: (bytes: Uint8Array) => void) {
    this.#onBytes = onBytes;
  }

  push(byte: number): void {
    this.#batch[this.#count++] = byte;
    if (this.#count === BATCH_BYTES) this.flush();
  }

  flush(): void {
    if (this.#count === 0) return;
    const bytes = this.#batch.slice(0, this.#count);
    this.#count = 0;
    this.#onBytes(bytes);
  }
}
