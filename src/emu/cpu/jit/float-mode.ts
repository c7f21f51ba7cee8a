/**
 * What a region knows of the floating-point units, in locals: are their instructions available, and may arithmetic be
 * WebAssembly's? Only system calls change CR0, CR4 or XCR0: they ask again.
 *
 * A result whose exponent field is neither all zeros nor all ones was made of numbers that raise nothing but PE, if none of
 * them was denormal. `mask` cuts those fields out of an upper half to which one in the lowest place of the field was added;
 * it is 0 while MXCSR asks for more, or when a register may be denormal that is taken for a number.
 */

import { isPlainWord } from '../isa/sse-support.ts';
import { STATE } from '../state/layout.ts';
import { CR0, CR4 } from '../system/control-bits.ts';
import { type I32, i32, k32, select } from '../wasm/expr.ts';
import type { FunctionBuilder, Var } from '../wasm/function.ts';

export type FloatUnit = 'sse' | 'avx' | 'x87';

/** Bits 10 to 1 of the exponent field, in the upper half of a double. */
const EXPONENT_MASK = 0x7fe0_0000;
const XCR0_AVX = 6;
const zero = k32(0);

export class FloatMode {
  readonly #f: FunctionBuilder;
  readonly #stateAt: number;
  readonly #available: Record<FloatUnit, Var<'i32'>>;
  readonly #mask: Var<'i32'>;
  readonly #distrust: Var<'i32'>;

  constructor(f: FunctionBuilder, stateAt: number) {
    this.#f = f;
    this.#stateAt = stateAt;
    this.#available = { sse: f.local('i32'), avx: f.local('i32'), x87: f.local('i32') };
    this.#mask = f.local('i32');
    this.#distrust = f.local('i32');
  }

  /** Where the region begins, and after system calls. */
  enter(units: ReadonlySet<FloatUnit>): void {
    const f = this.#f;
    if (units.size === 0) return;
    const cr0 = f.let(this.#get(STATE.cr0));
    const cr4 = f.let(this.#get(STATE.cr4));
    const has = (word: I32, bits: number): I32 => i32.eq(i32.and(word, k32(bits)), k32(bits));
    const free = f.let(i32.eqz(i32.and(cr0, k32(CR0.em | CR0.ts))));
    f.set(this.#available.x87, free);
    f.set(this.#available.sse, i32.and(free, has(cr4, CR4.osfxsr)));
    const enabled = i32.and(has(cr4, CR4.osxsave), has(this.#get(STATE.xcr0), XCR0_AVX));
    const virtual = i32.and(this.#get(STATE.eflags), k32(VM));
    // Regions of real mode do not exist; virtual-8086 mode has none either, but asking costs nothing here.
    const there = i32.and(has(cr0, CR0.pe), i32.eqz(virtual));
    f.set(this.#available.avx, i32.and(i32.and(enabled, there), i32.eqz(i32.and(cr0, k32(CR0.ts)))));
    f.set(this.#distrust, zero);
    this.#setMask();
  }

  /** 0: the unit's instructions fault. */
  available(unit: FloatUnit): I32 {
    return this.#available[unit].get;
  }
  get mask(): I32 {
    return this.#mask.get;
  }
  /** After the long way, which may have changed MXCSR. @param ordinary 0: something taken for a number may be denormal or NaN */
  reconsider(ordinary: I32): void {
    this.#f.set(this.#distrust, i32.or(this.#distrust.get, i32.eqz(ordinary)));
    this.#setMask();
  }
  /** After MXCSR was written. */
  changed(): void {
    this.#setMask();
  }

  #setMask(): void {
    const good = i32.and(isPlainWord(this.#get(STATE.mxcsr)), i32.eqz(this.#distrust.get));
    this.#f.set(this.#mask, select(good, k32(EXPONENT_MASK), zero));
  }
  #get(field: number): I32 {
    return i32.load(zero, this.#stateAt + field);
  }
}
const VM = 1 << 17;
