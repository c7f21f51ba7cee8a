/** XMM operands of one instruction in a region, and what is known of the numbers in them. */
import type { FloatUnit, ShortFloats, Width } from '../isa/ops.ts';
import { type I32, type I64, i32, type Ordinary, type V128, type Word } from '../wasm/expr.ts';
import { SITE } from './exit-sites.ts';
import type { Frame } from './frame.ts';
import type { Instruction } from './instruction.ts';
import { vectorOperand } from './vector-registers.ts';

export class VectorOperands {
  readonly floats: ShortFloats;
  readonly #frame: Frame;
  readonly #i: Instruction;
  readonly #depth: number;

  constructor(frame: Frame, instruction: Instruction) {
    this.#frame = frame;
    this.#i = instruction;
    this.#depth = frame.f.depth;
    this.floats = {
      mask: frame.floats.mask,
      found: (n, ordinary) => {
        const register = this.of(n);
        if (register >= 0) this.#know(register, ordinary);
      },
      reconsider: (ordinary) => frame.floats.reconsider(ordinary),
    };
  }

  /** Number of the XMM register that operand `n` names, or -1. */
  of(n: number): number {
    return vectorOperand(this.#i, n);
  }

  /** The low 32 or 64 bits of a register. */
  read(bits: Width, register: number): Word {
    const { vectors, now } = this.#frame;
    const ordinary = now.ordinary[register];
    const scalar: Ordinary | undefined = ordinary?.bits === bits ? { bits, lanes: 'low' } : undefined;
    return bits === 64 ? vectors.read64(register, scalar) : vectors.read32(register, scalar);
  }
  read128(register: number): V128 {
    return this.#frame.vectors.read(register, this.#frame.now.ordinary[register]);
  }

  write(bits: Width, register: number, value: Word): void {
    const { vectors, now } = this.#frame;
    if (bits === 64) vectors.write64(register, value as I64);
    else vectors.write32(register, value as I32);
    // The lanes above stay as ordinary as they were.
    const ordinary = value.known?.float?.known?.ordinary;
    const before = now.ordinary[register];
    this.#know(register, ordinary && before?.lanes === 'all' && before.bits === ordinary.bits ? before : ordinary);
  }
  write128(register: number, value: V128): void {
    this.#frame.vectors.write(register, value);
    const { known } = value;
    this.#know(register, known?.ordinary ?? known?.parts?.low.known?.ordinary);
  }
  #know(register: number, ordinary: Ordinary | undefined): void {
    this.#frame.now.ordinary[register] = this.#frame.f.depth === this.#depth ? ordinary : undefined;
  }

  available(unit: FloatUnit): void {
    const frame = this.#frame;
    const { recorder, now, f } = frame;
    if (recorder) {
      recorder.units.add(unit);
      recorder.mayLeave = true;
      return;
    }
    if (now.available.has(unit)) return;
    f.ifUnlikely(i32.eqz(frame.floats.available(unit)), () => frame.leaveRarely(SITE.alone, this.#i.at));
    if (f.depth === this.#depth) now.available = new Set([...now.available, unit]);
  }
}
