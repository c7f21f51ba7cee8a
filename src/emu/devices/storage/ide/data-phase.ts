/**
 * The sector buffer of a device and the phase that moves it: by the host through the data port, or by a bus master.
 * Source: ATA/ATAPI-6, clause 9 (protocols: PIO data-in, PIO data-out, DMA).
 *
 * The device opens a window `position..end` of `bytes`; whoever moves the last byte of it calls `onEnd` once.
 */
export type Direction = 'none' | 'pio-in' | 'pio-out' | 'dma-in' | 'dma-out';

export interface DataPhaseState {
  direction: Direction;
  position: number;
  end: number;
  /** The start of `bytes`, as far as it means something. */
  bytes: Uint8Array;
}

export class DataPhase {
  readonly bytes: Uint8Array;
  direction: Direction = 'none';
  /** Next byte to move. */
  position = 0;
  /** One past the last byte of the window. */
  end = 0;
  readonly #onEnd: () => void;

  /** @param byteCount size of the buffer, even */
  constructor(byteCount: number, onEnd: () => void) {
    this.bytes = new Uint8Array(byteCount);
    this.#onEnd = onEnd;
  }

  /** Opens a window; the device raises DRQ or DMARQ itself. */
  open(direction: Direction, position: number, end: number): void {
    this.direction = direction;
    this.position = position;
    this.end = end;
  }

  close(): void {
    this.direction = 'none';
    this.position = 0;
    this.end = 0;
  }

  /** True while DMARQ is asserted. */
  get dmaRequest(): boolean {
    return this.direction === 'dma-in' || this.direction === 'dma-out';
  }

  /** One word through the data port; what the bus carries without a transfer is the device's idle buffer, zero here. */
  read16(): number {
    if (this.direction !== 'pio-in') return 0;
    const at = this.position;
    const value = this.bytes[at] | (this.bytes[at + 1] << 8);
    this.position = at + 2;
    if (at + 2 >= this.end) this.#finish();
    return value;
  }

  write16(value: number): void {
    if (this.direction !== 'pio-out') return;
    const at = this.position;
    this.bytes[at] = value;
    this.bytes[at + 1] = value >>> 8;
    this.position = at + 2;
    if (at + 2 >= this.end) this.#finish();
  }

  /** Bytes the bus master may still move in this window. */
  get remainingBytes(): number {
    return this.end - this.position;
  }

  /** The bytes the bus master moves next, a view. */
  window(byteCount: number): Uint8Array {
    return this.bytes.subarray(this.position, this.position + byteCount);
  }

  /** The bus master has moved `byteCount` bytes of the window. */
  advance(byteCount: number): void {
    this.position += byteCount;
    if (this.position >= this.end) this.#finish();
  }

  /** @param usedBytes how much of the buffer still means something; the window's end at least */
  save(usedBytes: number): DataPhaseState {
    const { direction, position, end } = this;
    return { direction, position, end, bytes: this.bytes.slice(0, Math.max(usedBytes, end)) };
  }

  restore(state: DataPhaseState): void {
    this.direction = state.direction;
    this.position = state.position;
    this.end = state.end;
    this.bytes.set(state.bytes.subarray(0, this.bytes.length));
  }

  #finish(): void {
    this.direction = 'none';
    this.#onEnd();
  }
}
