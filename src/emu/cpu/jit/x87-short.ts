/** x87 instructions of a region on its locals: `Ops.x87`. What is not the usual case tier 0 does, or a kernel. */
import { FLAG, SCRATCH } from '../float/kernel-set.ts';
import { F32, F64 } from '../float/round.ts';
import { widen64 } from '../float/sse-arith.ts';
import { emitWiden } from '../float/x87-fast.ts';
import { COMPARE_HOW, HOW } from '../float/x87-stack.ts';
import type { ShortX87, X87Operation } from '../isa/ops.ts';
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, select, type Val, type Word } from '../wasm/expr.ts';
import { type Callee, call, type Var } from '../wasm/function.ts';
import { SITE } from './exit-sites.ts';
import type { Frame } from './frame.ts';
import type { Instruction } from './instruction.ts';
import { FLAGS_SHIFT } from './x87-helpers.ts';

const zero = k32(0);
const ROUNDING_FLAGS = FLAG.pe | FLAG.c1;

interface Value {
  readonly sig: I64;
  readonly signExp: I32;
}

export class X87Short implements ShortX87 {
  readonly #frame: Frame;
  readonly #i: Instruction;
  readonly #available: () => void;
  readonly #offset: () => Word;

  /** @param available asks for the unit */
  constructor(frame: Frame, instruction: Instruction, available: () => void, offset: () => Word) {
    this.#frame = frame;
    this.#i = instruction;
    this.#available = available;
    this.#offset = offset;
  }

  begin(): void {
    const { recorder } = this.#frame;
    if (recorder) recorder.x87Waits = true;
    this.#available();
    this.#alone(i32.and(this.#frame.x87.status.get, k32(0x80)));
  }
  /** Leaves the instruction to tier 0 when a condition holds; nothing has been changed. */
  #alone(condition: I32): void {
    this.#frame.f.ifUnlikely(condition, () => this.#frame.leaveRarely(SITE.alone, this.#i.at));
  }

  record(opcode: number, memory: boolean): void {
    const { d } = this.#i;
    const operand = memory ? { offset: this.#offset(), segment: d.segment } : undefined;
    this.#frame.x87.record(opcode, this.#frame.eip(this.#i.at), operand);
  }

  /** Number of the local of ST(i). */
  #st(i: number): number {
    return (this.#frame.now.x87.depth + i) & 7;
  }
  #value(n: number): Value {
    const { x87 } = this.#frame;
    return { sig: x87.sig[n].get, signExp: x87.signExp[n].get };
  }
  #put(n: number, { sig, signExp }: Value): void {
    const { f, x87 } = this.#frame;
    f.set(x87.sig[n], sig);
    f.set(x87.signExp[n], signExp);
  }

  #isShort(): void {
    const { recorder } = this.#frame;
    if (!recorder) return;
    recorder.x87Short = true;
    recorder.mayLeave = true;
  }
  #needValid(...registers: number[]): void {
    this.#isShort();
    const { now, x87 } = this.#frame;
    const bits = registers.reduce((all, n) => all | (1 << n), 0) & ~now.x87.valid;
    if (bits === 0) return;
    this.#alone(i32.ne(i32.and(x87.tags.get, k32(bits)), k32(bits)));
    now.x87 = { ...now.x87, valid: now.x87.valid | bits };
  }
  #needEmpty(n: number): void {
    this.#isShort();
    const { now, x87 } = this.#frame;
    if (now.x87.empty & (1 << n)) return;
    this.#alone(i32.and(x87.tags.get, k32(1 << n)));
  }
  #pop(count = 1): void {
    const { f, now, x87 } = this.#frame;
    for (let i = 0; i < count; i++) {
      const bit = 1 << this.#st(0);
      f.set(x87.tags, i32.and(x87.tags.get, k32(~bit)));
      const { depth, valid, empty } = now.x87;
      now.x87 = { depth: (depth + 1) & 7, valid: valid & ~bit, empty: empty | bit };
    }
  }
  #fill(n: number): void {
    const { f, now, x87 } = this.#frame;
    const bit = 1 << n;
    f.set(x87.tags, i32.or(x87.tags.get, k32(bit)));
    now.x87 = { ...now.x87, valid: now.x87.valid | bit, empty: now.x87.empty & ~bit };
  }
  /** After `#needEmpty` of what becomes ST0. */
  #push(value: Value): void {
    const { now, x87 } = this.#frame;
    const top = this.#st(7);
    this.#put(top, value);
    this.#fill(top);
    now.x87 = { ...now.x87, depth: top };
    x87.raise(zero);
  }

  #control(): I32 {
    return i32.load(zero, this.#frame.stateAt + STATE.fpuControl);
  }
  #kernel(name: string): Callee {
    const { recorder, callees } = this.#frame;
    recorder?.kernels.add(name);
    return callees.kernels[name];
  }
  #run<R extends 'i32'>(result: R, name: string, ...args: Val[]): Val<R> {
    const value = call(this.#kernel(name) as Callee<R>, ...args);
    return this.#frame.f.let({ type: result, code: value.code });
  }

  /** A number from memory; with other than zero and normal numbers helpers do nothing. */
  #widen(value: Val): Value {
    const { f } = this.#frame;
    const format = value.type === 'i64' ? F64 : F32;
    const bits = f.let(widen64(value));
    const v = emitWiden(f, format, bits);
    const nothing = f.let(i64.eqz(i64.shl(bits, k64(65 - format.bits))));
    return { sig: f.let(select(nothing, k64(0), v.sig)), signExp: v.signExp };
  }

  arithmetic(operation: X87Operation, how: number, memory?: Val): void {
    const frame = this.#frame;
    const { f, callees } = frame;
    const st0 = this.#st(0);
    const sti = memory ? st0 : this.#st(how & HOW.register);
    this.#needValid(st0, sti);
    const other = memory ? this.#widen(memory) : this.#value(sti);
    const into = memory === undefined && (how & HOW.toRegister) !== 0;
    const swap = into !== ((how & HOW.reverse) !== 0);
    const top = this.#value(st0);
    const [a, b] = swap ? [other, top] : [top, other];
    const subtract = (how & HOW.subtract) !== 0;
    const sig = f.local('i64');
    const rest = f.local('i32');
    const second = subtract ? i32.xor(b.signExp, k32(0x8000)) : b.signExp;
    f.setPair(sig, rest, callees.x87.arithmetic[operation], a.sig, a.signExp, b.sig, second, this.#control());
    f.ifUnlikely(i32.ltS(rest.get, zero), () => {
      const mode = f.local('i32');
      f.set(mode, k32(subtract ? 1 : 0));
      const [atA, atB] = [SCRATCH.operand, SCRATCH.other].map((field) => k32(frame.stateAt + field));
      const keep = (at: I32, v: Value): void => {
        if (memory !== undefined && v === other) {
          const widened = this.#run('i32', `x87FromF${memory.type === 'i64' ? 64 : 32}`, memory, at);
          f.set(mode, i32.or(mode.get, widened));
        } else {
          f.store64(at, v.sig);
          f.store16(at, v.signExp, 8);
        }
      };
      keep(atA, a);
      keep(atB, b);
      this.#byKernel(`x87${operation}`, [atA, atB, atA, mode.get], atA, sig, rest);
    });
    this.#finish(into ? sti : st0, sig, rest);
    if (how & HOW.pop) this.#pop();
  }

  /** Runs a kernel on the status word, too; what an unmasked exception keeps back tier 0 does. */
  #byKernel(name: string, args: readonly Val[], at: I32, sig: Var<'i64'>, rest: Var<'i32'>): void {
    const { f, x87, stateAt } = this.#frame;
    f.store32(zero, x87.status.get, stateAt + STATE.fpuStatus);
    this.#alone(this.#run('i32', name, k32(stateAt), ...args));
    f.set(x87.status, i32.load(zero, stateAt + STATE.fpuStatus));
    f.set(sig, i64.load(at));
    // C1 has been set or cleared.
    const c1 = i32.shl(i32.and(x87.status.get, k32(FLAG.c1)), k32(FLAGS_SHIFT));
    f.set(rest, i32.or(i32.load16U(at, 8), c1));
  }
  #finish(n: number, sig: Var<'i64'>, rest: Var<'i32'>): void {
    const { f, x87 } = this.#frame;
    this.#put(n, { sig: sig.get, signExp: i32.and(rest.get, k32(0xffff)) });
    f.set(rest, i32.and(i32.shrU(rest.get, k32(FLAGS_SHIFT)), k32(ROUNDING_FLAGS)));
    x87.raise(rest.get);
  }

  squareRoot(): void {
    const frame = this.#frame;
    const { f, callees } = frame;
    const st0 = this.#st(0);
    this.#needValid(st0);
    const v = this.#value(st0);
    const sig = f.local('i64');
    const rest = f.local('i32');
    f.setPair(sig, rest, callees.x87.squareRoot, v.sig, v.signExp, this.#control());
    f.ifUnlikely(i32.ltS(rest.get, zero), () => {
      const at = k32(frame.stateAt + SCRATCH.operand);
      f.store64(at, v.sig);
      f.store16(at, v.signExp, 8);
      this.#byKernel('x87SquareRoot', [at, at], at, sig, rest);
    });
    this.#finish(st0, sig, rest);
  }

  load(sig: I64, signExp: I32): void {
    this.#needEmpty(this.#st(7));
    this.#push({ sig, signExp });
  }
  loadNarrow(value: Val): void {
    const { f } = this.#frame;
    this.#needEmpty(this.#st(7));
    const v = this.#widen(value);
    // Infinities, NaNs and denormals have an exponent of zero here.
    this.#alone(i32.and(i32.eqz(i32.and(v.signExp, k32(0x7fff))), i64.ne(v.sig, k64(0))));
    this.#push({ sig: v.sig, signExp: f.let(v.signExp) });
  }
  loadInteger(value: I64): void {
    const { f } = this.#frame;
    this.#needEmpty(this.#st(7));
    const v = f.let(value);
    const sign = f.let(i64.shrS(v, k64(63)));
    const magnitude = f.let(i64.sub(i64.xor(v, sign), sign));
    const shift = f.let(i64.clz(magnitude));
    const exponent = i32.sub(k32(16383 + 63), i32.wrap(shift));
    const signExp = i32.or(exponent, i32.and(i32.wrap(sign), k32(0x8000)));
    this.#push({
      sig: f.let(i64.shl(magnitude, shift)),
      signExp: f.let(select(i64.eqz(magnitude), zero, signExp)),
    });
  }
  loadRegister(i: number): void {
    const from = this.#st(i);
    this.#needValid(from);
    this.#needEmpty(this.#st(7));
    this.#push(this.#value(from));
  }

  store(bits: 32 | 64): { value: Word; flags: I32 } {
    const { f, callees } = this.#frame;
    const st0 = this.#st(0);
    this.#needValid(st0);
    const v = this.#value(st0);
    const value = f.local('i64');
    const flags = f.local('i32');
    f.setPair(value, flags, callees.x87.store[bits], v.sig, v.signExp, this.#control());
    this.#alone(i32.ltS(flags.get, zero));
    // An unmasked precision exception is reported after the store: tier 0 does it.
    this.#alone(i32.and(i32.and(flags.get, k32(FLAG.pe)), i32.xor(this.#control(), k32(-1))));
    return { value: bits === 64 ? value.get : f.let(i32.wrap(value.get)), flags: flags.get };
  }
  stored(flags: I32, pops: number): void {
    this.#frame.x87.raise(flags);
    this.#pop(pops);
  }
  storeRegister(i: number, pops: number): void {
    const st0 = this.#st(0);
    const to = this.#st(i);
    this.#needValid(st0);
    if (to !== st0) {
      this.#put(to, this.#value(st0));
      this.#fill(to);
    }
    this.#frame.x87.raise(zero);
    this.#pop(pops);
  }

  exchange(i: number): void {
    const { f, x87 } = this.#frame;
    const [a, b] = [this.#st(0), this.#st(i)];
    this.#needValid(a, b);
    x87.raise(zero);
    const v = this.#value(a);
    const old = { sig: f.let(v.sig), signExp: f.let(v.signExp) };
    this.#put(a, this.#value(b));
    this.#put(b, old);
  }
  changeSign(negate: boolean): void {
    const { f, x87 } = this.#frame;
    const n = this.#st(0);
    this.#needValid(n);
    const old = x87.signExp[n].get;
    f.set(x87.signExp[n], negate ? i32.xor(old, k32(0x8000)) : i32.and(old, k32(0x7fff)));
    x87.raise(zero);
  }

  compare(how: number, memory?: Val): I32 {
    const { f, x87, callees } = this.#frame;
    const st0 = this.#st(0);
    const sti = memory ? st0 : this.#st((how >> COMPARE_HOW.registerShift) & 7);
    this.#needValid(st0, sti);
    const a = this.#value(st0);
    const b = memory ? this.#widen(memory) : this.#value(sti);
    const code = f.let(call(callees.x87.compare, a.sig, a.signExp, b.sig, b.signExp));
    this.#alone(i32.ltS(code, zero));
    x87.raise(zero);
    this.#pop((how >> COMPARE_HOW.popShift) & 3);
    return code;
  }
  conditions(code: I32): void {
    const { f, x87 } = this.#frame;
    f.set(x87.status, i32.or(i32.and(x87.status.get, k32(~0x4500)), code));
  }

  statusWord(): I32 {
    this.#isShort();
    return this.#frame.f.let(this.#frame.x87.statusWord(this.#frame.now.x87.depth));
  }
}
