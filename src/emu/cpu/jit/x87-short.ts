/** x87 instructions of a region on its locals: `Ops.x87`. What is not the usual case tier 0 does, or a kernel. */
import { FLAG, SCRATCH } from '../float/kernel-set.ts';
import { F32, F64 } from '../float/round.ts';
import { widen64 } from '../float/sse-arith.ts';
import { emitWiden } from '../float/x87-fast.ts';
import {
  absolute,
  addInline,
  compareInline,
  type Inline,
  type Keyed,
  keyOf,
  multiplyInline,
  narrowInline,
  negated,
  signExpOf,
  UNUSUAL,
  widenInline,
} from '../float/x87-inline.ts';
import { COMPARE_HOW, HOW } from '../float/x87-stack.ts';
import type { ShortX87, X87Operation } from '../isa/ops.ts';
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, recipe, select, type Val, type Word } from '../wasm/expr.ts';
import { type Callee, call, type Var } from '../wasm/function.ts';
import { SITE } from './exit-sites.ts';
import type { Frame } from './frame.ts';
import type { Instruction } from './instruction.ts';
import { FLAGS_SHIFT, KEYED } from './x87-helpers.ts';

const zero = k32(0);
const C1_AT = Math.log2(FLAG.c1);
/** Of the control word: no exception is reported. */
const ALL_MASKS = 0x3f;

const INLINE = { Add: addInline, Multiply: multiplyInline } as const;

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
    const { now, x87 } = this.#frame;
    if (now.x87.quiet) return;
    this.#alone(i32.and(x87.status.get, k32(0x80)));
    // What would set it tier 0 does.
    now.x87 = { ...now.x87, quiet: true };
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
  #value(n: number): Keyed {
    const { x87 } = this.#frame;
    return { sig: x87.sig[n].get, key: x87.key[n].get };
  }
  #put(n: number, { sig, key }: Keyed): void {
    const { f, x87 } = this.#frame;
    f.set(x87.sig[n], sig);
    f.set(x87.key[n], key);
  }
  #setC1(c1: I32): void {
    this.#frame.f.set(this.#frame.x87.c1, c1);
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
      now.x87 = { ...now.x87, depth: (depth + 1) & 7, valid: valid & ~bit, empty: empty | bit };
    }
  }
  #fill(n: number): void {
    const { f, now, x87 } = this.#frame;
    const bit = 1 << n;
    f.set(x87.tags, i32.or(x87.tags.get, k32(bit)));
    now.x87 = { ...now.x87, valid: now.x87.valid | bit, empty: now.x87.empty & ~bit };
  }
  /** After `#needEmpty` of what becomes ST0. */
  #push(value: Keyed): void {
    const { now } = this.#frame;
    const top = this.#st(7);
    this.#put(top, value);
    this.#fill(top);
    now.x87 = { ...now.x87, depth: top };
    this.#setC1(zero);
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
    return this.#frame.f.let(recipe(result, value.code));
  }

  /** A number from memory as helpers want it; with other than zero and normal numbers they do nothing. */
  #widen(value: Val): { sig: I64; signExp: I32 } {
    const { f } = this.#frame;
    const format = value.type === 'i64' ? F64 : F32;
    const bits = f.let(widen64(value));
    const v = emitWiden(f, format, bits);
    const nothing = f.let(i64.eqz(i64.shl(bits, k64(65 - format.bits))));
    return { sig: f.let(select(nothing, k64(0), v.sig)), signExp: v.signExp };
  }

  arithmetic(operation: X87Operation, how: number, memory?: Val): void {
    const { f, x87, callees } = this.#frame;
    const st0 = this.#st(0);
    const sti = memory ? st0 : this.#st(how & HOW.register);
    this.#needValid(st0, sti);
    const into = memory === undefined && (how & HOW.toRegister) !== 0;
    const swap = into !== ((how & HOW.reverse) !== 0);
    const top = this.#value(st0);
    const subtract = (how & HOW.subtract) !== 0;
    const widened = memory && widenInline(f, memory as I32 | I64);
    const other = widened ?? this.#value(sti);
    const [a, b] = swap ? [other, top] : [top, other];
    const second = subtract ? { sig: b.sig, key: f.let(negated(b.key)) } : b;
    this.#result(
      into ? sti : st0,
      () => {
        const r =
          operation === 'Divide'
            ? this.#called(callees.x87.divide, a.sig, a.key, b.sig, b.key, x87.limit.get)
            : INLINE[operation](f, a, second, x87.limit.get);
        return widened ? { ...r, bad: [widened.bad, ...r.bad] } : r;
      },
      (sig, key) => this.#arithmeticSlowly({ operation, subtract, swap, top, other, memory, sig, key }),
    );
    if (how & HOW.pop) this.#pop();
  }
  #called(callee: Callee<'pair'>, ...args: Val[]): Inline {
    const { f } = this.#frame;
    const sig = f.local('i64');
    const rest = f.local('i32');
    f.setPair(sig, rest, callee, ...args);
    return {
      sig: sig.get,
      key: i32.and(rest.get, k32(KEYED.key)),
      up: i32.and(i32.shrU(rest.get, k32(KEYED.upAt)), k32(1)),
      bad: [i32.and(rest.get, k32(KEYED.bad))],
    };
  }
  /** Into register n the result, or what `slowly` sets, which also sets C1. */
  #result(n: number, inline: () => Inline, slowly: (sig: Var<'i64'>, key: Var<'i32'>) => void): void {
    const { f } = this.#frame;
    const sig = f.local('i64');
    const key = f.local('i32');
    f.block((done) => {
      f.block((otherwise) => {
        const r = inline();
        for (const condition of r.bad) f.brIfUnlikely(otherwise, condition);
        f.set(sig, r.sig);
        f.set(key, r.key);
        this.#setC1(r.up);
        f.br(done);
      });
      slowly(sig, key);
    });
    this.#put(n, { sig: sig.get, key: key.get });
  }

  #arithmeticSlowly(p: {
    operation: X87Operation;
    subtract: boolean;
    swap: boolean;
    top: Keyed;
    other: Keyed;
    memory: Val | undefined;
    sig: Var<'i64'>;
    key: Var<'i32'>;
  }): void {
    const frame = this.#frame;
    const { f, callees } = frame;
    const plain = (v: Keyed): { sig: I64; signExp: I32 } => ({ sig: v.sig, signExp: f.let(signExpOf(v.key)) });
    const top = plain(p.top);
    const other = p.memory === undefined ? plain(p.other) : this.#widen(p.memory);
    const [a, b] = p.swap ? [other, top] : [top, other];
    const rest = f.local('i32');
    const second = p.subtract ? i32.xor(b.signExp, k32(0x8000)) : b.signExp;
    const helper = callees.x87.arithmetic[p.operation];
    f.setPair(p.sig, rest, helper, a.sig, a.signExp, b.sig, second, this.#control());
    f.ifUnlikely(i32.ltS(rest.get, zero), () => {
      const mode = f.local('i32');
      f.set(mode, k32(p.subtract ? 1 : 0));
      const [atA, atB] = [SCRATCH.operand, SCRATCH.other].map((field) => k32(frame.stateAt + field));
      const keep = (at: I32, v: { sig: I64; signExp: I32 }): void => {
        if (p.memory !== undefined && v === other) {
          const widened = this.#run('i32', `x87FromF${p.memory.type === 'i64' ? 64 : 32}`, p.memory, at);
          f.set(mode, i32.or(mode.get, widened));
        } else {
          f.store64(at, v.sig);
          f.store16(at, v.signExp, 8);
        }
      };
      keep(atA, a);
      keep(atB, b);
      this.#byKernel(`x87${p.operation}`, [atA, atB, atA, mode.get], atA, p.sig, rest);
    });
    this.#finish(p.sig, rest, p.key);
  }

  /** Runs a kernel on the status word, too; with unmasked exceptions tier 0 does it. */
  #byKernel(name: string, args: readonly Val[], at: I32, sig: Var<'i64'>, rest: Var<'i32'>): void {
    const { f, x87, stateAt } = this.#frame;
    // Exceptions that are reported when the result is there would have to be looked for by every instruction that follows.
    this.#alone(i32.xor(i32.and(this.#control(), k32(ALL_MASKS)), k32(ALL_MASKS)));
    x87.storeStatus();
    this.#alone(this.#run('i32', name, k32(stateAt), ...args));
    x87.loadStatus();
    f.set(sig, i64.load(at));
    // C1 has been set or cleared.
    f.set(rest, i32.or(i32.load16U(at, 8), i32.shl(x87.c1.get, k32(FLAGS_SHIFT + C1_AT))));
  }
  /** The key and the flags of what a helper answered. */
  #finish(sig: Var<'i64'>, rest: Var<'i32'>, key: Var<'i32'>): void {
    const { f, x87 } = this.#frame;
    f.set(key, keyOf(f, sig.get, rest.get));
    this.#setC1(i32.and(i32.shrU(rest.get, k32(FLAGS_SHIFT + C1_AT)), k32(1)));
    f.set(x87.status, i32.or(x87.status.get, i32.and(i32.shrU(rest.get, k32(FLAGS_SHIFT)), k32(FLAG.pe))));
    x87.setLimit();
  }

  squareRoot(): void {
    const frame = this.#frame;
    const { f, x87, callees } = frame;
    const st0 = this.#st(0);
    this.#needValid(st0);
    const v = this.#value(st0);
    const inline = (): Inline => this.#called(callees.x87.keyedRoot, v.sig, v.key, x87.limit.get);
    this.#result(st0, inline, (sig, key) => {
      const rest = f.local('i32');
      const signExp = f.let(signExpOf(v.key));
      f.setPair(sig, rest, callees.x87.squareRoot, v.sig, signExp, this.#control());
      f.ifUnlikely(i32.ltS(rest.get, zero), () => {
        const at = k32(frame.stateAt + SCRATCH.operand);
        f.store64(at, v.sig);
        f.store16(at, signExp, 8);
        this.#byKernel('x87SquareRoot', [at, at], at, sig, rest);
      });
      this.#finish(sig, rest, key);
    });
  }

  load(sig: I64, signExp: I32): void {
    const { f } = this.#frame;
    this.#needEmpty(this.#st(7));
    const { constant } = signExp;
    this.#push({ sig, key: constant === undefined ? f.let(keyOf(f, sig, signExp)) : k32(constant || UNUSUAL) });
  }
  loadNarrow(value: Val): void {
    const { f } = this.#frame;
    this.#needEmpty(this.#st(7));
    const v = widenInline(f, value as I32 | I64);
    const sig = f.local('i64');
    const key = f.local('i32');
    f.set(sig, v.sig);
    f.set(key, v.key);
    f.ifUnlikely(v.bad, () => {
      const bits = value.type === 'i64' ? (value as I64) : i64.shl(i64.extendU(value as I32), k64(32));
      this.#alone(i64.ne(i64.shl(bits, k64(1)), k64(0)));
      f.set(sig, k64(0));
      f.set(key, i32.or(i32.wrap(i64.shrU(bits, k64(32))), k32(UNUSUAL)));
    });
    this.#push({ sig: sig.get, key: key.get });
  }
  loadInteger(value: I64): void {
    const { f } = this.#frame;
    this.#needEmpty(this.#st(7));
    const v = f.let(value);
    const sign = f.let(i64.shrS(v, k64(63)));
    const magnitude = f.let(i64.sub(i64.xor(v, sign), sign));
    const shift = f.let(i64.clz(magnitude));
    const exponent = i32.sub(k32(16383 + 63), i32.wrap(shift));
    const key = i32.or(exponent, i32.shl(i32.wrap(sign), k32(31)));
    this.#push({
      sig: f.let(i64.shl(magnitude, shift)),
      key: f.let(select(i64.eqz(magnitude), k32(UNUSUAL), key)),
    });
  }
  loadRegister(i: number): void {
    const from = this.#st(i);
    this.#needValid(from);
    this.#needEmpty(this.#st(7));
    this.#push(this.#value(from));
  }

  store(bits: 32 | 64): { value: Word; flags: I32 } {
    const { f, x87, callees } = this.#frame;
    const st0 = this.#st(0);
    this.#needValid(st0);
    const v = this.#value(st0);
    const value = f.local('i64');
    const flags = f.local('i32');
    const short = narrowInline(f, v, bits === 64 ? F64 : F32, x87.limit.get);
    f.ifUnlikely(
      short.bad,
      () => {
        f.setPair(value, flags, callees.x87.store[bits], v.sig, f.let(signExpOf(v.key)), this.#control());
        this.#alone(i32.ltS(flags.get, zero));
        // An unmasked precision exception is reported after the store: tier 0 does it.
        this.#alone(i32.and(i32.and(flags.get, k32(FLAG.pe)), i32.xor(this.#control(), k32(-1))));
      },
      () => {
        f.set(value, short.bits);
        // PE is set already.
        f.set(flags, i32.shl(short.up, k32(C1_AT)));
      },
    );
    return { value: bits === 64 ? value.get : f.let(i32.wrap(value.get)), flags: flags.get };
  }
  stored(flags: I32, pops: number): void {
    const { f, x87 } = this.#frame;
    this.#setC1(i32.shrU(flags, k32(C1_AT)));
    f.set(x87.status, i32.or(x87.status.get, i32.and(flags, k32(FLAG.pe))));
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
    this.#setC1(zero);
    this.#pop(pops);
  }

  exchange(i: number): void {
    const { f } = this.#frame;
    const [a, b] = [this.#st(0), this.#st(i)];
    this.#needValid(a, b);
    this.#setC1(zero);
    const v = this.#value(a);
    const old = { sig: f.let(v.sig), key: f.let(v.key) };
    this.#put(a, this.#value(b));
    this.#put(b, old);
  }
  changeSign(negate: boolean): void {
    const { f, x87 } = this.#frame;
    const n = this.#st(0);
    this.#needValid(n);
    const old = x87.key[n].get;
    f.set(x87.key[n], negate ? negated(old) : absolute(old));
    this.#setC1(zero);
  }

  compare(how: number, memory?: Val): I32 {
    const { f, callees } = this.#frame;
    const st0 = this.#st(0);
    const sti = memory ? st0 : this.#st((how >> COMPARE_HOW.registerShift) & 7);
    this.#needValid(st0, sti);
    const a = this.#value(st0);
    const widened = memory && widenInline(f, memory as I32 | I64);
    const b = widened ?? this.#value(sti);
    const short = compareInline(f, a, b);
    const code = f.local('i32');
    f.ifUnlikely(
      widened ? i32.or(short.bad, widened.bad) : short.bad,
      () => {
        const other = memory ? this.#widen(memory) : { sig: b.sig, signExp: signExpOf(b.key) };
        f.set(code, call(callees.x87.compare, a.sig, signExpOf(a.key), other.sig, other.signExp));
        this.#alone(i32.ltS(code.get, zero));
      },
      () => f.set(code, short.code),
    );
    this.#setC1(zero);
    this.#pop((how >> COMPARE_HOW.popShift) & 3);
    return code.get;
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
