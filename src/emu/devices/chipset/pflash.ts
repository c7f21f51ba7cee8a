/**
 * Parallel NOR flash with the Intel command set, 8 bits wide, as firmware keeps its variables in.
 * Source: Intel 28F640J3A StrataFlash data sheet (290667), table 4 (commands) and section 4.2 (status register); JEDEC
 * JESD68.01 (CFI query); behaviour of QEMU's pflash_cfi01, which OVMF's driver is written for.
 * Not modelled: times (an operation is done at once), protection registers, suspend, lock bits (accepted, no effect).
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { Saveable } from '#emu/bus/wires.ts';

export interface PflashParts {
  /** What the chip holds at first; whole blocks. Copied. */
  readonly contents: Uint8Array;
  /** Bytes of an erase block, a power of two. */
  readonly blockBytes: number;
}

export interface PflashState {
  readonly contents: Uint8Array;
  readonly mode: number;
  readonly status: number;
  /** A buffered write in progress: bytes still to come, their addresses and values. */
  readonly bufferLeft: number;
  readonly buffer: readonly (readonly [at: number, value: number])[];
}

const COMMAND = {
  readArray: 0xff,
  readArrayAmd: 0xf0,
  program: 0x10,
  programAlternative: 0x40,
  erase: 0x20,
  confirm: 0xd0,
  clearStatus: 0x50,
  lock: 0x60,
  readStatus: 0x70,
  readId: 0x90,
  query: 0x98,
  bufferedWrite: 0xe8,
} as const;
/** What the next access means, beside the commands that name a way to read. */
const MODE = {
  array: COMMAND.readArray,
  status: COMMAND.readStatus,
  id: COMMAND.readId,
  query: COMMAND.query,
  program: COMMAND.program,
  erase: COMMAND.erase,
  lock: COMMAND.lock,
  bufferCount: COMMAND.bufferedWrite,
  buffer: 0x1e8,
  bufferConfirm: 0x2e8,
} as const;
const STATUS = { ready: 1 << 7, eraseFailed: 1 << 5, programFailed: 1 << 4 } as const;
/** Manufacturer Intel, device 28F640J3A. */
const ID = [0x89, 0x18] as const;
const BUFFER_BYTES_LOG2 = 5;

export class Pflash implements IoDevice, Saveable<PflashState> {
  readonly #contents: Uint8Array;
  readonly #blockBytes: number;
  #mode: number = MODE.array;
  #status: number = STATUS.ready;
  #bufferLeft = 0;
  #buffer: [at: number, value: number][] = [];
  #changed = false;

  constructor(parts: PflashParts) {
    this.#contents = parts.contents.slice();
    this.#blockBytes = parts.blockBytes;
  }

  get byteCount(): number {
    return this.#contents.length;
  }

  /** What the chip holds, copied. */
  get contents(): Uint8Array {
    return this.#contents.slice();
  }

  /**
   * Whether the contents changed since the last call, and no operation is under way: time to store them.
   * A driver writes byte by byte, each time through the array mode, so wait a moment after it says yes.
   */
  takeChanged(): boolean {
    if (!this.#changed || this.#mode === MODE.program || this.#mode === MODE.buffer) return false;
    this.#changed = false;
    return true;
  }

  read(offset: number, width: Width): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = (value << 8) | this.#readByte(offset + i);
    return value >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    // The chip is 8 bits wide: a wider access is several, but a command counts once.
    if (this.#mode === MODE.program || this.#mode === MODE.buffer) {
      for (let i = 0; i < width; i++) this.#data(offset + i, (value >>> (i * 8)) & 0xff, i === width - 1);
    } else this.#command(offset, value & 0xff);
  }

  /** RST#: the array is read; what is stored stays. */
  reset(): void {
    this.#mode = MODE.array;
    this.#status = STATUS.ready;
    this.#bufferLeft = 0;
    this.#buffer = [];
  }

  save(): PflashState {
    return {
      contents: this.contents,
      mode: this.#mode,
      status: this.#status,
      bufferLeft: this.#bufferLeft,
      buffer: this.#buffer.map(([at, value]) => [at, value]),
    };
  }

  restore(state: PflashState): void {
    this.#contents.set(state.contents);
    this.#mode = state.mode;
    this.#status = state.status;
    this.#bufferLeft = state.bufferLeft;
    this.#buffer = state.buffer.map(([at, value]) => [at, value]);
    this.#changed = true;
  }

  #readByte(offset: number): number {
    switch (this.#mode) {
      case MODE.array:
        return this.#contents[offset] ?? 0xff;
      case MODE.id:
        // Bits 1..0 of the address in a block: manufacturer, device, lock status.
        return ID[offset & 0xff] ?? 0;
      case MODE.query:
        return this.#queryByte(offset & 0xff);
      default:
        return this.#status;
    }
  }

  #command(offset: number, value: number): void {
    switch (this.#mode) {
      case MODE.erase:
        this.#confirmErase(offset, value);
        return;
      case MODE.lock:
        // Lock, unlock: no block is ever locked.
        this.#mode = MODE.status;
        return;
      case MODE.bufferCount:
        this.#bufferLeft = value + 1;
        this.#buffer = [];
        this.#mode = MODE.buffer;
        return;
      case MODE.bufferConfirm:
        this.#confirmBuffer(value);
        return;
    }
    switch (value) {
      case COMMAND.programAlternative:
      case COMMAND.program:
        this.#mode = MODE.program;
        break;
      case COMMAND.clearStatus:
        // All of it, ready included: by this OVMF tells flash from RAM and ROM.
        this.#status = 0;
        this.#mode = MODE.array;
        break;
      case COMMAND.erase:
      case COMMAND.lock:
      case COMMAND.readStatus:
      case COMMAND.readId:
      case COMMAND.query:
        this.#mode = value;
        break;
      case COMMAND.bufferedWrite:
        // The buffer is free.
        this.#status |= STATUS.ready;
        this.#mode = value;
        break;
      default:
        this.#mode = MODE.array;
    }
  }

  /** Data of a program operation. @param last of the bytes of one access */
  #data(offset: number, value: number, last: boolean): void {
    if (this.#mode === MODE.program) {
      this.#store(offset, value);
      this.#status |= STATUS.ready;
      if (last) this.#mode = MODE.status;
      return;
    }
    if (this.#mode !== MODE.buffer) return;
    this.#buffer.push([offset, value]);
    this.#bufferLeft--;
    if (this.#bufferLeft === 0) this.#mode = MODE.bufferConfirm;
  }

  #confirmErase(offset: number, value: number): void {
    this.#mode = MODE.status;
    this.#status |= STATUS.ready;
    if (value !== COMMAND.confirm) {
      this.#status |= STATUS.eraseFailed | STATUS.programFailed;
      return;
    }
    const block = Math.floor(offset / this.#blockBytes) * this.#blockBytes;
    this.#contents.fill(0xff, block, block + this.#blockBytes);
    this.#changed = true;
  }

  #confirmBuffer(value: number): void {
    this.#mode = MODE.status;
    this.#status |= STATUS.ready;
    if (value === COMMAND.confirm) for (const [at, byte] of this.#buffer) this.#store(at, byte);
    else this.#status |= STATUS.programFailed;
    this.#buffer = [];
  }

  /** A cell can be programmed from 1 to 0 only; QEMU and OVMF's driver store the value as it is. */
  #store(offset: number, value: number): void {
    if (offset >= this.#contents.length) return;
    this.#contents[offset] = value;
    this.#changed = true;
  }

  /** CFI table: 8-bit device, Intel extended command set, one erase region. */
  #queryByte(at: number): number {
    const blocks = this.#contents.length / this.#blockBytes - 1;
    const unit = this.#blockBytes >> 8;
    const table: Readonly<Record<number, number>> = {
      16: 0x51, // "QRY"
      17: 0x52,
      18: 0x59,
      19: 0x01,
      21: 0x31,
      27: 0x45, // 4.5 to 5.5 V
      28: 0x55,
      31: 0x07, // Times, as powers of two.
      32: 0x07,
      33: 0x0a,
      35: 0x04,
      36: 0x04,
      37: 0x04,
      39: Math.ceil(Math.log2(this.#contents.length)),
      42: BUFFER_BYTES_LOG2,
      44: 0x01,
      45: blocks & 0xff,
      46: blocks >> 8,
      47: unit & 0xff,
      48: unit >> 8,
      49: 0x50, // "PRI", version 1.0
      50: 0x52,
      51: 0x49,
      52: 0x31,
      53: 0x30,
    };
    return table[at] ?? 0;
  }
}
