/** A virtual CPU's state block as TypeScript sees it: typed access by the offsets of layout.ts. */
import { ARITHMETIC_FLAGS, arithmeticFlags, lazyFlags } from './flags.ts';
import { LINEAR, SEGMENT, STATE, STATE_BLOCK_BYTES } from './layout.ts';

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

  /** 0 <= number < 8; signed 32-bit value. */
  gpr(number: number): number {
    return this.i32[(STATE.gpr >> 2) + number * 2];
  }
  setGpr(number: number, value: number): void {
    this.i32[(STATE.gpr >> 2) + number * 2] = value;
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
    return this.get(STATE.eflags) | arithmeticFlags(this.get(STATE.flagResult), this.get(STATE.flagAux));
  }
  set eflags(value: number) {
    const lazy = lazyFlags(value);
    this.set(STATE.flagResult, lazy.result);
    this.set(STATE.flagAux, lazy.aux);
    this.set(STATE.eflags, (value & ~ARITHMETIC_FLAGS) | 2);
  }
}
