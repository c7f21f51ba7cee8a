/**
 * Tier 1's implementation of `Ops`: operands are constants and locals of the region's function.
 *
 * The same class serves the runs that only record what semantics do (`Frame.recorder`).
 * Not modelled: segments that are not flat, gathers.
 */
import { unreachable } from '#base/errors.ts';
import type { OperandSpec } from '../decoder/operands.ts';
import { operandBytes } from '../interpreter/record-writer.ts';
import { registerSlots } from '../interpreter/tier0-ops.ts';
import { conditionOfWords, signExtend, typeOf, wordsOf, zeroExtend } from '../isa/flag-ops.ts';
import type { AddressWidth, FlagSource, FloatUnit, Ops, ShortFloats, ShortX87, Width, Width32 } from '../isa/ops.ts';
import { GPR, SEG, SEGMENT, STATE, XMM_BYTES } from '../state/layout.ts';
import type { SystemCall } from '../system/calls.ts';
import {
  type F32,
  type F64,
  f32,
  f64,
  type I32,
  type I64,
  i32,
  i64,
  k32,
  k64,
  type V128,
  type Val,
  v128,
  type Word,
  withOrigin,
  word,
} from '../wasm/expr.ts';
import type { Callee, FunctionBuilder } from '../wasm/function.ts';
import { fusedCondition } from './conditions.ts';
import { SITE } from './exit-sites.ts';
import type { Frame } from './frame.ts';
import type { Instruction } from './instruction.ts';
import { loadHost, MemoryAccess, storeHost } from './memory-access.ts';
import { generalOperand, isFloat, operandWidth } from './operand-shape.ts';
import { callSystem, LEFT_TO_TIER0 } from './system-call.ts';
import { VectorOperands } from './vector-operands.ts';
import { X87Short } from './x87-short.ts';

/** Where control transfers of the semantics go. */
export interface Transfers {
  /** To the direct target when `taken`, else to the next instruction. */
  branch(taken: I32): void;
  jumpDirect(): void;
  jump(target: Word): void;
}

const at0 = k32(0);
const UNLIMITED_REPEATS = 4096;

export class Tier1Ops implements Ops {
  readonly f: FunctionBuilder;
  readonly long: boolean;
  readonly size: Width;
  readonly addressSize: AddressWidth;
  readonly stackSize: AddressWidth;
  readonly rep: 'none' | 'rep' | 'repne';
  readonly x87: ShortX87 | undefined;
  readonly systemUnless: Ops['systemUnless'] = (done, name, ...args) => this.#callSystem(name, args, done);
  readonly kernel32: boolean;
  readonly #frame: Frame;
  readonly #i: Instruction;
  readonly #transfers: Transfers;
  readonly #memory: MemoryAccess;
  readonly #vectors: VectorOperands;
  readonly #depth: number;
  /** What becomes of the flags after this instruction matters. */
  readonly #flagsLive: boolean;
  readonly #writes: boolean;

  constructor(parts: {
    frame: Frame;
    instruction: Instruction;
    /** Number of the block, for groups. */
    block: number;
    transfers: Transfers;
    flagsLive: boolean;
    /** The memory operand is written: what a segment check asks. */
    writes: boolean;
    /** It works on x87 registers in locals. */
    shortX87: boolean;
  }) {
    const { frame, instruction } = parts;
    this.#frame = frame;
    this.#i = instruction;
    this.#transfers = parts.transfers;
    this.#flagsLive = parts.flagsLive;
    this.#writes = parts.writes;
    this.f = frame.f;
    this.#depth = frame.f.depth;
    this.size = instruction.d.size;
    this.long = frame.long;
    this.kernel32 = frame.kernel32;
    this.addressSize = instruction.d.addressSize;
    this.stackSize = frame.long ? 64 : 32;
    this.rep = instruction.d.rep;
    this.#vectors = new VectorOperands(frame, instruction);
    const available = (): void => this.#vectors.available('x87');
    this.x87 = parts.shortX87 ? new X87Short(frame, instruction, available, () => this.offsetOf(0)) : undefined;
    const stack = instruction.d.memory && instruction.d.segment === SEG.ss;
    this.#memory = new MemoryAccess(frame, { block: parts.block, depth: this.#depth, at: instruction.at, stack });
  }

  // Operands.

  read(n: number): I32 {
    return this.readWord(n) as I32;
  }

  readWord(n: number): Word {
    const o = this.#operand(n);
    const { d } = this.#i;
    const bits = this.widthOf(n);
    if (o.kind === 'I') {
      if (bits === 64) return o.type === 'v' ? k64((BigInt(d.immHigh) << 32n) | BigInt(d.imm >>> 0)) : k64(d.imm);
      const second = this.#i.operands.slice(0, n).some((other) => other.kind === 'I');
      return zeroExtend(bits, k32(second ? d.imm2 : d.imm));
    }
    if (o.kind === 'J') return this.f.let(this.#frame.eip(this.#i.target));
    if (o.kind === 'fixed' && o.fixed === '1') return k32(1);
    if (this.isMemory(n))
      return isFloat(this.#i, n, bits) ? this.#loadFloat(bits, n) : this.loadWord(bits, this.linear(n));
    const vector = this.#vectors.of(n);
    if (vector >= 0) return zeroExtend(bits, this.#vectors.read(bits === 64 ? 64 : 32, vector));
    if (o.kind === 'S') return this.f.let(i32.load16U(this.slot(n), SEGMENT.selector));
    const register = generalOperand(this.#i.d, o);
    if (register >= 0) return this.#register(bits, register, d.rex);
    return this.f.let(loadHost(bits, this.slot(n), 0));
  }

  readSigned(n: number): Word {
    const v = this.readWord(n);
    return v.type === 'i64' ? v : this.f.let(word.toS(typeOf(this.size), signExtend(this.widthOf(n), v)));
  }
  read64(n: number): I64 {
    if (this.isMemory(n))
      return isFloat(this.#i, n, 64) ? (this.#loadFloat(64, n) as I64) : this.load64(this.linear(n));
    const vector = this.#vectors.of(n);
    return vector >= 0 ? (this.#vectors.read(64, vector) as I64) : this.f.let(i64.load(this.slot(n)));
  }
  read128(n: number): V128 {
    if (this.isMemory(n)) return this.load128(this.linear(n));
    return this.#vectors.read128(this.#vectors.of(n));
  }
  #loadFloat(bits: Width, n: number): Word {
    const v: { readonly index: number; readonly type: 'f32' | 'f64'; readonly get: Val<'f32' | 'f64'> } =
      bits === 64 ? this.f.local('f64') : this.f.local('f32');
    const load = bits === 64 ? f64.load : f32.load;
    this.#memory.read(this.f.let(this.linear(n)), bits / 8, (host, offset) => this.f.set(v, load(host, offset)));
    return bits === 64 ? i64.reinterpretF64(v.get as F64) : i32.reinterpretF32(v.get as F32);
  }

  write(n: number, value: Word): void {
    const bits = this.widthOf(n);
    if (this.isMemory(n)) {
      this.store(bits, this.linear(n), value);
      return;
    }
    const register = generalOperand(this.#i.d, this.#operand(n));
    if (register >= 0) {
      this.#setRegister(bits, register, this.#i.d.rex, value);
      return;
    }
    const vector = this.#vectors.of(n);
    if (vector >= 0) this.#vectors.write(bits === 64 ? 64 : 32, vector, value);
    else storeHost(this.f, bits, this.slot(n), 0, value);
    this.#markMmx(n);
  }
  write64(n: number, value: I64): void {
    const register = generalOperand(this.#i.d, this.#operand(n));
    const vector = this.#vectors.of(n);
    if (this.isMemory(n)) this.store64(this.linear(n), value);
    else if (register >= 0) this.#setRegister(64, register, false, value);
    else if (vector >= 0) this.#vectors.write(64, vector, value);
    else this.f.store64(this.slot(n), value);
    this.#markMmx(n);
  }
  write128(n: number, value: V128): void {
    if (this.isMemory(n)) this.store128(this.linear(n), value);
    else this.#vectors.write128(this.#vectors.of(n), value);
  }
  available(unit: FloatUnit): void {
    this.#vectors.available(unit);
  }
  unless(condition: I32): void {
    this.f.ifUnlikely(condition, () => this.#frame.leaveRarely(SITE.alone, this.#i.at));
  }
  get floats(): ShortFloats {
    return this.#vectors.floats;
  }

  modify(n: number, change: (old: Word) => Word): void {
    const bits = this.widthOf(n);
    if (!this.isMemory(n)) {
      this.write(n, change(this.readWord(n)));
      return;
    }
    this.#memory.modify(this.linear(n), bits / 8, (host) => {
      const old = this.f.let(loadHost(bits, host, 0));
      storeHost(this.f, bits, host, 0, change(old));
    });
  }

  isMemory(n: number): boolean {
    const { kind } = this.#operand(n);
    if (kind === 'M' || kind === 'O') return true;
    return (kind === 'E' || kind === 'W' || kind === 'Q') && this.#i.d.memory;
  }

  widthOf(n: number): Width {
    return operandWidth(this.#operand(n), this.size);
  }

  offsetOf(_n: number): Word {
    return this.f.let(this.#offset());
  }

  linear(_n: number): Word {
    const { segment } = this.#i.d;
    const offset = this.f.let(this.#offset());
    if (segment < SEG.fs) return offset;
    this.#checkOperand(offset as I32);
    return this.f.let(word.add(offset, this.segmentBase()));
  }

  slot(n: number): I32 {
    const o = this.#operand(n);
    const { stateAt } = this.#frame;
    const { d } = this.#i;
    switch (o.kind) {
      case 'V':
      case 'W':
      case 'U':
      case 'H':
      case 'L':
        this.#finds('vectorsInMemory');
        return k32(registerSlots.xmm(stateAt, this.#vectors.of(n)));
      case 'P':
        this.#finds('x87InMemory');
        return k32(registerSlots.mmx(stateAt, d.reg));
      case 'Q':
      case 'N':
        this.#finds('x87InMemory');
        return k32(registerSlots.mmx(stateAt, d.rm));
      case 'S':
        return k32(registerSlots.segment(stateAt, d.reg));
      default:
        this.#unsupported();
        return k32(stateAt + STATE.kernelScratch);
    }
  }

  upper(n: number): I32 {
    return k32(registerSlots.xmm(this.#frame.stateAt, this.#vectors.of(n)) + 16);
  }

  registerNumber(n: number): I32 {
    return k32(generalOperand(this.#i.d, this.#operand(n)));
  }

  register(bits: Width, n: number): Word {
    return this.#register(bits, n, false);
  }
  setRegister(bits: Width, n: number, value: Word): void {
    this.#setRegister(bits, n, false, value);
  }

  /** @param rex byte registers 4 to 7 are SPL to DIL, not AH to BH */
  #register(bits: Width, n: number, rex: boolean): Word {
    const { gpr, now, wide } = this.#frame;
    if (typeOf(bits) === wide && bits >= 32) return withOrigin(this.f.let(gpr[n].get), now.origins[n]);
    const high = bits === 8 && !rex && n >= 4 && n < 8;
    const low = word.low(gpr[high ? n - 4 : n].get);
    return this.f.let(zeroExtend(bits, high ? i32.shrU(low, k32(8)) : low));
  }

  #setRegister(bits: Width, n: number, rex: boolean, value: Word): void {
    const frame = this.#frame;
    const { wide } = frame;
    const high = bits === 8 && !rex && n >= 4 && n < 8;
    const register = high ? n - 4 : n;
    const target = frame.gpr[register];
    frame.written |= 1 << register;
    if (bits >= 32) {
      // In 64-bit code a 32-bit result clears the upper half (SDM Vol. 1, 3.4.1.1).
      this.f.set(target, word.toU(wide, value));
      if (value.type === wide && value.origin && this.f.depth === this.#depth) {
        frame.now.origins[register] = value.origin;
      } else this.#forget(register);
      return;
    }
    this.#forget(register);
    const field = bits === 16 ? 0xffff : high ? 0xff00 : 0xff;
    const placed = high ? i32.shl(value as I32, k32(8)) : (value as I32);
    const bitsOfField = word.toU(wide, i32.and(placed, k32(field)));
    this.f.set(target, word.or(word.and(target.get, ~field), bitsOfField));
  }

  // Flags.

  setFlags(source: FlagSource): void {
    const { recorder, now, flagX, flagY, flagR } = this.#frame;
    const { f } = this;
    const conditional = f.depth !== this.#depth;
    const partial =
      source.kind === 'inc' ||
      source.kind === 'dec' ||
      (source.kind === 'words' && (source.result === undefined || source.aux === undefined));
    if (recorder) {
      recorder.flagsWritten = conditional || partial ? (Math.max(recorder.flagsWritten, 1) as 1 | 2) : 2;
      return;
    }
    if (!this.#flagsLive) {
      if (!conditional && !partial) now.flagKind = 'dead';
      return;
    }
    // ADC and SBB have a carry in, which the conditions that compare operands do not see.
    const carried = this.#i.row.mnemonic === 'adc' || this.#i.row.mnemonic === 'sbb';
    if (conditional || partial || carried || source.kind === 'words') {
      const { result, aux } = wordsOf(this, source);
      const r = result === undefined ? undefined : f.let(result);
      const y = aux === undefined ? undefined : f.let(aux);
      if (!conditional && !(r && y)) this.#frame.makeFlagWords(this);
      if (r) this.#frame.setFlag(flagR, r);
      if (y) this.#frame.setFlag(flagY, y);
      if (!conditional) now.flagKind = 'words';
      return;
    }
    if (source.kind === 'add' || source.kind === 'sub') {
      this.#frame.setFlag(flagX, source.a);
      this.#frame.setFlag(flagY, source.b);
    } else this.#frame.setFlag(flagR, source.result);
    now.flagKind = source.kind;
    now.flagBits = source.bits;
  }

  flagResult(): Word {
    if (this.#readsFlags()) return this.f.local(this.#frame.wide).get;
    const { result } = wordsOf(this, this.#frame.flagSource());
    return this.f.let(word.toS(this.#frame.wide, result as Word));
  }
  flagAux(): I32 {
    if (this.#readsFlags()) return this.f.local('i32').get;
    const { aux } = wordsOf(this, this.#frame.flagSource());
    return this.f.let(aux as I32);
  }
  condition(code: number): I32 {
    if (this.#readsFlags()) return this.f.local('i32').get;
    const fused = fusedCondition(this.#frame.flagSource(), code);
    return this.f.let(fused ?? conditionOfWords(this, code));
  }

  /** Gathers are left to tier 0. */
  vectorIndex(): { slot: I32; shift: I32 } {
    this.#unsupported();
    return { slot: at0, shift: at0 };
  }

  // Guest memory.

  load(bits: Width32, at: Word): I32 {
    return this.loadWord(bits, at) as I32;
  }
  loadWord(bits: Width, at: Word, stack = false): Word {
    const v = this.f.local(typeOf(bits));
    const use = (host: I32, offset: number): void => this.f.set(v, loadHost(bits, host, offset));
    this.#memory.read(this.f.let(at), bits / 8, use, stack);
    return v.get;
  }
  load64(at: Word): I64 {
    return this.loadWord(64, at) as I64;
  }
  load128(at: Word): V128 {
    const v = this.f.local('v128');
    this.#memory.read(this.f.let(at), 16, (host, offset) => this.f.set(v, v128.load(host, offset)));
    return v.get;
  }
  store(bits: Width, at: Word, value: Word, stack = false): void {
    const v = this.f.let(value);
    const put = (host: I32, offset: number): void => storeHost(this.f, bits, host, offset, v);
    this.#memory.write(this.f.let(at), bits / 8, put, v, stack);
  }
  store64(at: Word, value: I64): void {
    this.store(64, at, value);
  }
  store128(at: Word, value: V128): void {
    const v = this.f.let(value);
    this.#memory.write(this.f.let(at), 16, (host, offset) => this.f.store128(host, v, offset), undefined);
  }
  probe(at: Word, bytes: I32): void {
    this.#memory.probe(at, bytes);
  }
  /** FS and GS may have limits: what the quick test cannot decide, tier 0 does. */
  checkSegment(offset: Word, bytes: number, access: 'read' | 'write'): void {
    const { segment } = this.#i.d;
    if (this.long || segment < SEG.fs) return;
    const frame = this.#frame;
    const field = STATE.segments + segment * SEGMENT.bytes;
    const at = this.f.let(offset as I32);
    const limit = this.f.let(frame.get(field + SEGMENT.limit));
    const allowed = frame.get(field + (access === 'write' ? SEGMENT.writable : SEGMENT.readable));
    const inside = i32.and(i32.leU(at, limit), i32.geU(i32.sub(limit, at), k32(bytes - 1)));
    this.unless(i32.eqz(i32.and(allowed, inside)));
  }
  readable(at: Word, bank?: I32): I32 {
    return this.#memory.peek(this.f.let(at), false, bank);
  }
  writable(at: Word, bank?: I32): I32 {
    return this.#memory.peek(this.f.let(at), true, bank);
  }

  // State.

  get(field: number): I32 {
    // Regions run with flat segments only: FS and GS have bases of their own.
    const segment = (field - STATE.segments) / SEGMENT.bytes;
    if (Number.isInteger(segment) && segment >= 0 && segment < SEG.fs) return k32(0);
    if (isX87(field) && field !== STATE.fpuControl) this.#finds('x87InMemory');
    return this.f.let(this.#frame.get(field));
  }
  get64(field: number): I64 {
    if (isX87(field)) this.#finds('x87InMemory');
    return this.f.let(i64.load(at0, this.#frame.stateAt + field));
  }
  getAddress(field: number): Word {
    return this.long ? this.get64(field) : this.get(field);
  }
  set(field: number, value: I32): void {
    if (isX87(field)) this.#finds('x87InMemory');
    this.#frame.set(field, value);
    if (field === STATE.mxcsr) this.#frame.floats.changed();
  }
  set64(field: number, value: I64): void {
    if (isX87(field)) this.#finds('x87InMemory');
    this.f.store64(at0, value, this.#frame.stateAt + field);
  }
  addressOf(field: number): I32 {
    if (isX87(field)) this.#finds('x87InMemory');
    const inVectors = field - STATE.xmm;
    if (inVectors >= 0 && field < STATE.spare && inVectors % XMM_BYTES < 16) this.#finds('vectorsInMemory');
    return k32(this.#frame.stateAt + field);
  }

  // Control.

  raise(vector: number, errorCode?: I32): void {
    const frame = this.#frame;
    frame.set(STATE.faultErrorCode, errorCode ?? at0);
    frame.set(STATE.faultHasErrorCode, k32(errorCode ? 1 : 0));
    frame.set(STATE.faultIsSoftware, at0);
    frame.set(STATE.faultVector, k32(vector));
    frame.leaveRarely(SITE.fault, this.#i.at);
  }
  raiseIf(condition: I32, vector: number, errorCode?: I32): void {
    this.f.ifUnlikely(condition, () => this.raise(vector, errorCode));
  }

  eip(): Word {
    return this.#frame.eip(this.#i.at);
  }
  nextEip(): Word {
    return this.#frame.eip(this.#i.at + this.#i.d.length);
  }
  jumpRelative(_n: number): void {
    this.#transfers.jumpDirect();
  }
  branch(_n: number, taken: I32): void {
    this.#transfers.branch(this.f.let(taken));
  }
  jump(target: Word): void {
    this.#transfers.jump(this.f.let(target));
  }
  again(): void {
    this.#frame.leave(this, this.eip(), 1);
  }
  transfer(target: Word): void {
    this.#frame.leave(this, target, 1);
  }

  system(name: SystemCall, ...args: Word[]): void {
    this.#callSystem(name, args);
  }
  query(name: SystemCall, ...args: Word[]): I32 {
    this.#callSystem(name, args);
    return this.get(STATE.queryResult);
  }
  query64(name: SystemCall, ...args: Word[]): I64 {
    this.#callSystem(name, args);
    return this.get64(STATE.queryResult);
  }

  kernel(name: string): Callee<never> {
    const { recorder, callees } = this.#frame;
    recorder?.kernels.add(name);
    if (name.startsWith('x87')) this.#finds('x87InMemory');
    return (callees.kernels[name] ?? unreachable(`no kernel ${name}`)) as Callee<never>;
  }

  segmentBase(): Word {
    const { segment } = this.#i.d;
    if (segment < SEG.fs) return word.constant(this.#frame.wide, 0);
    return this.getAddress(STATE.segments + segment * SEGMENT.bytes + SEGMENT.base);
  }
  segmentSelector(): I32 {
    return this.f.let(this.#frame.get(STATE.segments + this.#i.d.segment * SEGMENT.bytes + SEGMENT.selector));
  }
  repeatLimit(): I32 {
    return k32(UNLIMITED_REPEATS);
  }
  spend(count: I32): void {
    this.f.set(this.#frame.budget, i32.sub(this.left(), count));
  }
  readonly left = (): I32 => this.#frame.budget.get;

  // Inside.

  #operand(n: number): OperandSpec {
    return this.#i.operands[n] ?? unreachable(`${this.#i.row.opcode} has no operand ${n}`);
  }

  #offset(): Word {
    const { d, row } = this.#i;
    const { wide, gpr, now } = this.#frame;
    // A moffs is all there is of its address.
    if (this.long && this.#i.operands.some((o) => o.kind === 'O'))
      return k64((BigInt(d.dispHigh) << 32n) | BigInt(d.disp >>> 0));
    if (d.ripRelative) return this.#cut(word.add(this.nextEip(), d.disp));
    const bias = row.options.popAddress && d.base === GPR.esp ? d.size / 8 : 0;
    let at: Word = word.constant(wide, d.disp + bias);
    const register = (n: number): Word => withOrigin(gpr[n].get, now.origins[n]);
    if (d.index >= 0) {
      const index = word.shl(gpr[d.index].get, d.scale);
      const sum = d.base >= 0 ? word.add(gpr[d.base].get, index) : index;
      const origin = this.#frame.memory.sum(wide, now.origins[d.base], now.origins[d.index], d.scale);
      at = word.add(origin ? withOrigin(sum, origin) : sum, at);
    } else if (d.base >= 0) at = word.add(register(d.base), at);
    return this.#cut(at);
  }

  /** Cuts an offset to the size of addresses. */
  #cut(at: Word): Word {
    if (this.addressSize === 16) return i32.and(at as I32, k32(0xffff));
    return this.long && this.addressSize === 32 ? i64.extendU(i32.wrap(at as I64)) : at;
  }

  #forget(register: number): void {
    const { now } = this.#frame;
    now.origins[register] = { symbol: this.#frame.nextSymbol(), offset: 0 };
  }

  /** All of the memory operand, where the semantics do not check what they use of it. */
  #checkOperand(offset: I32): void {
    const memory = this.#i.operands.find((o) => 'EMWQO'.includes(o.kind));
    const { access } = this.#i.row.options;
    if (memory === undefined || access === 'none' || access === 'masked') return;
    this.checkSegment(offset, operandBytes(memory, this.size), this.#writes ? 'write' : 'read');
  }

  #readsFlags(): boolean {
    const { recorder } = this.#frame;
    if (!recorder) return false;
    if (recorder.flagsWritten !== 2) recorder.flagsRead = true;
    return true;
  }

  /** A pending x87 exception is rare and asked for before anything has changed: tier 0 runs that instruction. */
  #callSystem(name: SystemCall, args: readonly Word[], done?: I32): void {
    const frame = this.#frame;
    if (frame.recorder) frame.recorder.mayLeave = true;
    if (name === 'floatError' && this.f.depth !== this.#depth) {
      if (!frame.recorder) frame.leaveRarely(SITE.alone, this.#i.at);
      return;
    }
    if (frame.recorder && (LEFT_TO_TIER0.has(name) || this.f.depth !== this.#depth)) this.#unsupported();
    else callSystem({ frame, e: this, name, args, instruction: this.#i, done });
  }

  /** Notes that registers have to be in the state block. */
  #finds(what: 'x87InMemory' | 'vectorsInMemory'): void {
    const { recorder } = this.#frame;
    if (recorder) recorder[what] = true;
  }

  #unsupported(): void {
    const { recorder } = this.#frame;
    if (!recorder) unreachable(`tier 1 has no slot for an operand of ${this.#i.row.opcode}`);
    recorder.unsupported = true;
  }

  /** A write to an MMX register sets its exponent field to all ones (SDM Vol. 1, 9.2.1). */
  #markMmx(n: number): void {
    if (!this.isMemory(n) && 'PQN'.includes(this.#operand(n).kind)) this.f.store16(this.slot(n), k32(0xffff), 8);
  }
}

const isX87 = (field: number): boolean => field >= STATE.fpr && field <= STATE.fpuDs;
