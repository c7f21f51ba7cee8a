/** A virtual CPU's state block as TypeScript sees it: typed access by the offsets of layout.ts. */
import { ARITHMETIC_FLAGS, arithmeticFlags, lazyFlags } from './flags.ts';
import { LINEAR, MODE, SEGMENT, STATE, STATE_BLOCK_BYTES } from './layout.ts';

const TWO_32 = 0x1_0000_0000;

/** `get`/`set` of the 4-byte field at `offset` are signed; use `>>> 0` for addresses. */
export class CpuState {
  /** Address of the block in linear memory. */
  readonly at: number;
  readonly view: DataView;
  readonly i32: Int32Array;

  constructor(buffer: SharedArrayBuffer, vcpu = 0) {
    this.at = LINEAR.states + vcpu * STATE_BLOCK_BYTES;
    this.view = new DataView(buffer, this.at, STATE_BLOCK_BYTES);
    this.i32 = new Int32Array(buffer, this.at, STATE_BLOCK_BYTES / 4);
  }

  get(field: number): number {
    return this.i32[field >> 2];
  }
  set(field: number, value: number): void {
    this.i32[field >> 2] = value;
  }

  /**
   * An 8-byte field as a signed number: exact for canonical addresses (-2^47 <= n < 2^47) and whatever else is below 2^53.
   * What is farther out comes rounded, which still tells that it is not canonical.
   */
  address(field: number): number {
    const i = field >> 2;
    return this.i32[i + 1] * TWO_32 + (this.i32[i] >>> 0);
  }
  /** Writes all 8 bytes. |value| < 2^53. */
  setAddress(field: number, value: number): void {
    const i = field >> 2;
    this.i32[i] = value | 0;
    this.i32[i + 1] = Math.floor(value / TWO_32);
  }
  /** The CPU is in 64-bit mode. */
  get long(): boolean {
    return (this.i32[STATE.mode >> 2] & MODE.long) !== 0;
  }

  /** 0 <= number < 16; signed 32-bit value, the low half in 64-bit code. */
  gpr(number: number): number {
    return this.i32[(STATE.gpr >> 2) + number * 2];
  }
  /** Writes 32 bits; the upper half becomes 0, as in 64-bit mode. */
  setGpr(number: number, value: number): void {
    const i = (STATE.gpr >> 2) + number * 2;
    this.i32[i] = value;
    this.i32[i + 1] = 0;
  }
  /** Writes the low 16 bits of a register. */
  setGpr16(number: number, value: number): void {
    const i = (STATE.gpr >> 2) + number * 2;
    this.i32[i] = (this.i32[i] & ~0xffff) | (value & 0xffff);
  }

  /** Offset of a segment register's slot in the block. */
  static segment(number: number): number {
    return STATE.segments + number * SEGMENT.bytes;
  }
  selector(seg: number): number {
    return this.i32[(CpuState.segment(seg) + SEGMENT.selector) >> 2];
  }
  /** Unsigned linear base. */
  base(seg: number): number {
    return this.i32[CpuState.segment(seg) >> 2] >>> 0;
  }
  /** Unsigned limit in bytes. */
  limit(seg: number): number {
    return this.i32[(CpuState.segment(seg) + SEGMENT.limit) >> 2] >>> 0;
  }
  access(seg: number): number {
    return this.i32[(CpuState.segment(seg) + SEGMENT.access) >> 2];
  }

  /** EFLAGS with every bit in place. */
  get eflags(): number {
    return this.get(STATE.eflags) | arithmeticFlags(this.#foldedResult(), this.get(STATE.flagAux));
  }
  set eflags(value: number) {
    const lazy = lazyFlags(value);
    this.set(STATE.flagResult, lazy.result);
    this.set(STATE.flagResult + 4, 0);
    this.set(STATE.flagAux, lazy.aux);
    this.set(STATE.eflags, (value & ~ARITHMETIC_FLAGS) | 2);
  }

  /**
   * Makes the lazy flags and the registers fit the other kind of code, before MODE.long changes.
   * The upper halves of the eight registers that compatibility mode knows are undefined when it is left (SDM Vol. 1, 3.4.1.1).
   */
  switchLong(long: boolean): void {
    if (long) {
      this.set(STATE.flagResult + 4, this.get(STATE.flagResult) >> 31);
      for (let n = 0; n < 8; n++) this.set(STATE.gpr + n * 8 + 4, 0);
    } else {
      this.set(STATE.flagResult, this.#foldedResult());
    }
  }

  /** The flags' result as 32 bits with the same zero, sign and low byte. */
  #foldedResult(): number {
    const low = this.get(STATE.flagResult);
    if (!this.long) return low;
    const high = this.get(STATE.flagResult + 4);
    const rest = (low & ~0xff) !== 0 || high !== 0 ? 0x100 : 0;
    return (high & (1 << 31)) | rest | (low & 0xff);
  }
}
