/**
 * Tier 0's implementation of `Ops`: operands are fields of the record that is being executed.
 *
 * The same code serves inlined cases (where leaving is a branch inside the main function) and functions of the table
 * (where it is a return); the difference is the `Exits` it is given.
 */
import { unreachable } from '#base/errors.ts';
import type { OperandSpec } from '../decoder/operands.ts';
import { conditionOfWords, typeOf, wordsOf } from '../isa/flag-ops.ts';
import type { Address, AddressWidth, FlagSource, Ops, Width, Width32 } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { BRANCH_TRACE_BYTES, LINEAR, RECORD, SEGMENT, STATE, XMM_BYTES } from '../state/layout.ts';
import { STACK_ACCESS, STATUS, SYSTEM_CALLS, type SystemCall } from '../system/calls.ts';
import { type I32, type I64, i32, i64, k32, k64, type V128, type Val, v128, type Word, word } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder } from '../wasm/function.ts';
import { type Case, FORM } from './cases.ts';
import { type Exits, GuestAccess, type HostCallees } from './guest-access.ts';

/** What a case did with guest memory, for segment checks. */
export interface MemoryUse {
  reads: boolean;
  writes: boolean;
}

const mask = (bits: Width, v: I32): I32 => (bits >= 32 ? v : i32.and(v, k32(bits === 16 ? 0xffff : 0xff)));
/** Operands that are general registers when they are not in memory. */
const isGeneral = (o: OperandSpec): boolean => 'EGZRB'.includes(o.kind) || o.kind === 'fixed';
const at0 = k32(0);

export class Tier0Ops implements Ops {
  readonly f: FunctionBuilder;
  readonly long: boolean;
  readonly size: Width;
  readonly addressSize: AddressWidth;
  readonly stackSize: AddressWidth;
  readonly rep: 'none' | 'rep' | 'repne';
  readonly use: MemoryUse = { reads: false, writes: false };
  readonly #case: Case;
  readonly #record: I32;
  readonly #state: number;
  readonly #host: HostCallees;
  readonly #exits: Exits;
  readonly #kernels: Record<string, Callee>;
  readonly #memory: GuestAccess;

  constructor(parts: {
    f: FunctionBuilder;
    long: boolean;
    case: Case;
    /** A local that holds the record's address. */
    record: I32;
    stateAt: number;
    host: HostCallees;
    exits: Exits;
    kernels: Record<string, Callee>;
  }) {
    this.f = parts.f;
    this.#case = parts.case;
    this.#record = parts.record;
    this.#state = parts.stateAt;
    this.#host = parts.host;
    this.#exits = parts.exits;
    this.#kernels = parts.kernels;
    this.#memory = new GuestAccess(parts.f, parts.long, parts.stateAt, parts.host, parts.exits);
    this.long = parts.long;
    this.size = parts.case.size;
    this.addressSize = parts.case.addressSize;
    this.stackSize = parts.case.stackSize;
    this.rep = parts.case.rep;
  }

  // Operands.

  read(n: number): I32 {
    const v = this.readWord(n);
    if (v.type !== 'i32') unreachable(`${this.#case.row.mnemonic} reads 64 bits of operand ${n} as 32`);
    return v as I32;
  }

  readWord(n: number): Word {
    const { operands } = this.#case;
    // A far pointer is two operands: offset and selector.
    if (operands[0]?.kind === 'A') return this.f.let(i32.load(this.#record, n === 0 ? RECORD.imm : RECORD.imm2));
    const o = this.#operand(n);
    const bits = this.#bits(o);
    if (o.kind === 'I') return this.#immediate(n, o, bits);
    if (o.kind === 'J') return this.f.let(this.#target());
    if (o.kind === 'fixed' && o.fixed === '1') return k32(1);
    if (this.isMemory(n)) return this.loadWord(bits, this.linear(n));
    if (o.kind === 'S') return this.f.let(i32.load16U(this.slot(n), SEGMENT.selector));
    return this.f.let(this.#loadHost(bits, this.#slotOf(n)));
  }

  #immediate(n: number, o: OperandSpec, bits: Width): Word {
    if (bits === 64) {
      return this.f.let((o.type === 'v' ? i64.load : i64.load32S)(this.#record, RECORD.imm));
    }
    const second = this.#case.operands.slice(0, n).some((other) => other.kind === 'I');
    return this.f.let(mask(bits, i32.load(this.#record, second ? RECORD.imm2 : RECORD.imm)));
  }

  readSigned(n: number): Word {
    const bits = this.#bits(this.#operand(n));
    const v = this.readWord(n);
    if (v.type === 'i64') return v;
    const narrow = v as I32;
    const signed = bits === 32 ? narrow : bits === 16 ? i32.extend16S(narrow) : i32.extend8S(narrow);
    return this.f.let(word.toS(typeOf(this.size), signed));
  }

  read64(n: number): I64 {
    return this.isMemory(n) ? this.load64(this.linear(n)) : this.f.let(i64.load(this.slot(n)));
  }

  read128(n: number): V128 {
    return this.isMemory(n) ? this.load128(this.linear(n)) : this.f.let(v128.load(this.slot(n)));
  }

  write(n: number, value: Word): void {
    const o = this.#operand(n);
    const bits = this.#bits(o);
    if (this.isMemory(n)) this.store(bits, this.linear(n), value);
    else if (isGeneral(o)) this.#storeRegister(bits, this.#slotOf(n), value);
    else this.#storeHost(bits, this.slot(n), value);
    this.#markMmx(n);
  }

  write64(n: number, value: I64): void {
    if (this.isMemory(n)) this.store64(this.linear(n), value);
    else this.f.store64(isGeneral(this.#operand(n)) ? this.#slotOf(n) : this.slot(n), value);
    this.#markMmx(n);
  }

  write128(n: number, value: V128): void {
    if (this.isMemory(n)) this.store128(this.linear(n), value);
    else this.f.store128(this.slot(n), value);
  }

  modify(n: number, change: (old: Word) => Word): void {
    const { f } = this;
    const bits = this.#bits(this.#operand(n));
    if (!this.isMemory(n)) {
      const slot = f.let(this.#slotOf(n));
      const old = f.let(this.#loadHost(bits, slot));
      this.#storeRegister(bits, slot, change(old));
      return;
    }
    this.use.reads = true;
    this.use.writes = true;
    const at = this.linear(n);
    const host = f.local('i32');
    this.#memory.place(host, at, bits / 8, 'write', this.#host.modifySlow, this.#byteCount(bits / 8, false));
    const old = f.let(this.#loadHost(bits, host.get));
    this.#storeHost(bits, host.get, change(old));
    f.if(i32.eq(host.get, k32(this.#state + STATE.scratch)), () => f.call(this.#host.commitWrite));
  }

  isMemory(n: number): boolean {
    const o = this.#operand(n);
    if (o.kind === 'M' || o.kind === 'O') return true;
    return (o.kind === 'E' || o.kind === 'W' || o.kind === 'Q') && this.#case.form !== FORM.register;
  }

  widthOf(n: number): Width {
    return this.#bits(this.#operand(n));
  }

  offsetOf(_n: number): Address {
    return this.f.let(this.#offset());
  }

  linear(_n: number): Address {
    const offset = this.#offset();
    if (this.#case.form === FORM.base) return this.f.let(offset);
    return this.f.let(word.add(offset, this.#segmentBase()));
  }

  slot(n: number): I32 {
    const o = this.#operand(n);
    if (isGeneral(o)) unreachable(`${this.#case.row.mnemonic}: operand ${n} is a general register`);
    return this.#slotOf(n);
  }

  upper(n: number): I32 {
    return i32.add(this.slot(n), k32(16));
  }

  registerNumber(n: number): I32 {
    return this.f.let(i32.shrU(i32.sub(this.#slotOf(n), k32(this.#state + STATE.gpr)), k32(3)));
  }

  #slotOf(n: number): I32 {
    const o = this.#operand(n);
    if ('GZVPSCD'.includes(o.kind)) return i32.load16U(this.#record, RECORD.reg);
    if ('ERWUQN'.includes(o.kind)) return i32.load16U(this.#record, RECORD.rm);
    if (o.kind === 'H' || o.kind === 'B') return i32.load16U(this.#record, RECORD.imm2);
    if (o.kind === 'L') {
      const byte = i32.shrU(i32.load(this.#record, RECORD.imm), k32(4));
      const number = i32.and(byte, k32(this.long ? 15 : 7));
      return i32.add(k32(this.#state + STATE.xmm), i32.mul(number, k32(XMM_BYTES)));
    }
    const register = o.fixed === undefined ? undefined : FIXED_REGISTERS[o.fixed];
    if (register !== undefined) return k32(this.#state + STATE.gpr + register * 8);
    return unreachable(`operand ${n} of ${this.#case.row.opcode} ${this.#case.row.mnemonic} is no register`);
  }

  register(bits: Width, n: number): Word {
    return this.f.let(this.#loadHost(bits, this.#registerAt(bits, n)));
  }

  setRegister(bits: Width, n: number, value: Word): void {
    this.#storeRegister(bits, this.#registerAt(bits, n), value);
  }

  #registerAt(bits: Width, n: number): I32 {
    return k32(bits === 8 ? registerSlots.byte(this.#state, n, false) : registerSlots.general(this.#state, n));
  }

  // Flags.

  setFlags(source: FlagSource): void {
    const { result, aux } = wordsOf(this, source);
    if (result) {
      if (this.long) this.f.store64(at0, word.toS('i64', result) as I64, this.#state + STATE.flagResult);
      else this.f.store32(at0, result as I32, this.#state + STATE.flagResult);
    }
    if (aux) this.f.store32(at0, aux, this.#state + STATE.flagAux);
  }

  flagResult(): Word {
    const at = this.#state + STATE.flagResult;
    return this.f.let(this.long ? i64.load(at0, at) : i32.load(at0, at));
  }

  flagAux(): I32 {
    return this.f.let(i32.load(at0, this.#state + STATE.flagAux));
  }

  condition(code: number): I32 {
    return conditionOfWords(this, code);
  }

  vectorIndex(): { slot: I32; shift: I32 } {
    const slot = i32.load16U(this.#record, RECORD.imm2 + 2);
    return { slot: this.f.let(slot), shift: this.f.let(i32.load8U(this.#record, RECORD.shift)) };
  }

  // Guest memory.

  load(bits: Width32, at: Address): I32 {
    return this.loadWord(bits, at) as I32;
  }
  loadWord(bits: Width, at: Address, stack = false): Word {
    return this.f.let(this.#loadHost(bits, this.#readable(at, bits / 8, stack)));
  }
  load64(at: Address): I64 {
    return this.f.let(i64.load(this.#readable(at, 8)));
  }
  load128(at: Address): V128 {
    return this.f.let(v128.load(this.#readable(at, 16)));
  }
  store(bits: Width, at: Address, value: Word, stack = false): void {
    this.#store(at, bits / 8, value, (host, v) => this.#storeHost(bits, host, v), stack);
  }
  store64(at: Address, value: I64): void {
    this.#store(at, 8, value, (host, v) => this.f.store64(host, v));
  }
  store128(at: Address, value: V128): void {
    this.#store(at, 16, value, (host, v) => this.f.store128(host, v));
  }

  probe(at: Address, bytes: I32): void {
    this.use.writes = true;
    const count = i32.or(bytes, this.#byteCount(0, false));
    const status = this.f.let(call(this.#host.probeSlow, this.#memory.outside(this.f.let(at)), count));
    this.f.if(status, () => this.#exits.fault(status));
  }

  checkSegment(offset: Address, bytes: number, access: 'read' | 'write'): void {
    if (this.long) return;
    const { f } = this;
    const at = f.let(offset as I32);
    const segment = f.let(i32.load16U(this.#record, RECORD.segment));
    const limit = f.let(i32.load(segment, SEGMENT.limit));
    const allowed = i32.load(segment, access === 'write' ? SEGMENT.writable : SEGMENT.readable);
    const inside = i32.and(i32.leU(at, limit), i32.geU(i32.sub(limit, at), k32(bytes - 1)));
    f.if(i32.eqz(i32.and(allowed, inside)), () => {
      const number = i32.divU(i32.sub(segment, k32(this.#state + STATE.segments)), k32(SEGMENT.bytes));
      this.query('checkSegment', number, at, k32(bytes), k32(access === 'write' ? 1 : 0));
    });
  }

  /** Linear-memory address of the byte at `at` when its page may be read without help, else 0. */
  readable(at: Address, bank?: I32): I32 {
    this.use.reads = true;
    return this.#memory.peek(at, 'read', bank);
  }
  writable(at: Address, bank?: I32): I32 {
    this.use.writes = true;
    return this.#memory.peek(at, 'write', bank);
  }

  // State.

  get(field: number): I32 {
    return this.f.let(i32.load(at0, this.#state + field));
  }
  get64(field: number): I64 {
    return this.f.let(i64.load(at0, this.#state + field));
  }
  getAddress(field: number): Address {
    return this.long ? this.get64(field) : this.get(field);
  }
  set(field: number, value: I32): void {
    this.f.store32(at0, value, this.#state + field);
  }
  set64(field: number, value: I64): void {
    this.f.store64(at0, value, this.#state + field);
  }
  addressOf(field: number): I32 {
    return k32(this.#state + field);
  }

  // Control.

  raise(vector: number, errorCode?: I32): void {
    this.set(STATE.faultErrorCode, errorCode ?? k32(0));
    this.set(STATE.faultHasErrorCode, k32(errorCode ? 1 : 0));
    this.set(STATE.faultIsSoftware, k32(0));
    this.set(STATE.faultVector, k32(vector));
    this.#exits.fault(k32(STATUS.fault));
  }

  raiseIf(condition: I32, vector: number, errorCode?: I32): void {
    this.f.if(condition, () => this.raise(vector, errorCode));
  }

  eip(): Address {
    const block = this.getAddress(STATE.blockEip);
    return this.f.let(word.add(block, word.toU(block.type, i32.load16U(this.#record, RECORD.offset))));
  }

  nextEip(): Address {
    const eip = this.eip();
    return this.f.let(word.add(eip, word.toU(eip.type, i32.load8U(this.#record, RECORD.length))));
  }

  jumpRelative(_n: number): void {
    this.#exits.near(this.f.let(this.#target()), true);
  }

  branch(_n: number, taken: I32): void {
    this.f.if(taken, () => {
      // The block was counted as if it ran to its end: give back what is jumped over.
      this.set(STATE.budget, i32.add(this.get(STATE.budget), i32.load(this.#record, RECORD.disp)));
      this.#exits.near(this.f.let(this.#target()), true);
    });
  }

  jump(target: Address): void {
    const to = this.f.let(target);
    if (this.#case.row.opcode.startsWith('FF /')) this.#trace(to);
    this.#exits.near(to, false);
  }

  /** Leaves a trace of where an indirect jump or call goes, for tier 1. */
  #trace(to: Address): void {
    const at = this.get(STATE.branchTraceNext);
    this.f.store64(at, word.toU('i64', this.eip()) as I64, LINEAR.branchTrace);
    this.f.store64(at, word.toU('i64', to) as I64, LINEAR.branchTrace + 8);
    this.set(STATE.branchTraceNext, i32.and(i32.add(at, k32(16)), k32(BRANCH_TRACE_BYTES - 1)));
  }

  again(): void {
    this.#exits.near(this.eip(), false);
  }

  transfer(target: Address): void {
    this.#exits.near(target, false);
  }

  system(name: SystemCall, ...args: Word[]): void {
    this.#exits.status(this.#callSystem(name, args));
  }

  query(name: SystemCall, ...args: Word[]): I32 {
    this.#exits.status(this.#callSystem(name, args));
    return this.get(STATE.queryResult);
  }
  query64(name: SystemCall, ...args: Word[]): I64 {
    this.#exits.status(this.#callSystem(name, args));
    return this.get64(STATE.queryResult);
  }

  kernel(name: string): Callee<never> {
    const kernel = this.#kernels[name] ?? unreachable(`no kernel ${name}`);
    return kernel as Callee<never>;
  }

  segmentBase(): Address {
    return this.f.let(this.#segmentBase());
  }
  #segmentBase(): Address {
    const segment = i32.load16U(this.#record, RECORD.segment);
    return this.long ? i64.load(segment, SEGMENT.base) : i32.load(segment, SEGMENT.base);
  }
  segmentSelector(): I32 {
    return this.f.let(i32.load(i32.load16U(this.#record, RECORD.segment), SEGMENT.selector));
  }

  repeatLimit(): I32 {
    return this.f.let(i32.load(this.#record, RECORD.imm2));
  }

  spend(count: I32): void {
    this.set(STATE.budget, i32.sub(this.left(), count));
  }
  left(): I32 {
    return this.get(STATE.budget);
  }

  // Inside.

  #operand(n: number): OperandSpec {
    return this.#case.operands[n] ?? unreachable(`${this.#case.row.opcode} has no operand ${n}`);
  }

  /** Bits of an operand of up to 64. */
  #bits(o: OperandSpec): Width {
    const { size } = this;
    if (o.kind === 'fixed') {
      if (o.fixed === 'AL' || o.fixed === 'CL') return 8;
      return o.fixed === 'AX' || o.fixed === 'DX' ? 16 : size;
    }
    switch (o.type) {
      case 'b':
        return 8;
      case 'w':
        return 16;
      // An immediate byte that is sign-extended has the operand size.
      case 'bs':
      case 'v':
      case 'z':
      case 'p':
        return size;
      case 'y':
        return size === 64 ? 64 : 32;
      case 'q':
        return isGeneral(o) ? 64 : 32;
      default:
        return 32;
    }
  }

  #target(): Address {
    if (this.long) {
      const low = i64.load32S(this.#record, RECORD.imm);
      const far = this.#case.form === FORM.full;
      return i64.add(this.get64(STATE.blockEip), far ? i64.add(low, k64(2 ** 32)) : low);
    }
    const target = i32.add(this.get(STATE.blockEip), i32.load(this.#record, RECORD.imm));
    return this.size === 16 ? i32.and(target, k32(0xffff)) : target;
  }

  #offset(): Address {
    return this.long ? this.#offset64() : this.#offset32();
  }

  #offset32(): I32 {
    const disp = i32.load(this.#record, RECORD.disp);
    const base = i32.load(i32.load16U(this.#record, RECORD.base));
    if (this.#case.form === FORM.base) return i32.add(base, disp);
    const index = i32.shl(i32.load(i32.load16U(this.#record, RECORD.index)), i32.load8U(this.#record, RECORD.shift));
    return i32.and(i32.add(i32.add(base, index), disp), i32.load(this.#record, RECORD.mask));
  }

  #offset64(): I64 {
    // A moffs is all there is of its address.
    if (this.#case.operands.some((o) => o.kind === 'O')) return i64.load(this.#record, RECORD.disp);
    const disp = i64.load32S(this.#record, RECORD.disp);
    const base = i64.load(i32.load16U(this.#record, RECORD.base));
    if (this.#case.form === FORM.base) return i64.add(base, disp);
    const shift = this.f.let(i64.load8U(this.#record, RECORD.shift));
    const index = i64.shl(i64.load(i32.load16U(this.#record, RECORD.index)), i64.and(shift, k64(3)));
    const cut = i64.and(shift, k64(ADDRESS_CUT));
    return i64.shrU(i64.shl(i64.add(i64.add(base, index), disp), cut), cut);
  }

  #loadHost(bits: Width, host: I32): Word {
    if (bits === 64) return i64.load(host);
    return bits === 32 ? i32.load(host) : bits === 16 ? i32.load16U(host) : i32.load8U(host);
  }
  #storeHost(bits: Width, host: I32, value: Word): void {
    if (value.type !== typeOf(bits)) unreachable(`${this.#case.row.mnemonic} stores ${value.type} as ${bits} bits`);
    if (bits === 64) this.f.store64(host, value as I64);
    else if (bits === 32) this.f.store32(host, value as I32);
    else if (bits === 16) this.f.store16(host, value as I32);
    else this.f.store8(host, value as I32);
  }
  /** In 64-bit code a 32-bit result clears the upper half (SDM Vol. 1, 3.4.1.1). */
  #storeRegister(bits: Width, slot: I32, value: Word): void {
    if (this.long && bits === 32) this.f.store64(slot, i64.extendU(value as I32));
    else this.#storeHost(bits, slot, value);
  }

  #readable(address: Address, bytes: number, stack = false): I32 {
    this.use.reads = true;
    const at = this.f.let(address);
    const host = this.f.local('i32');
    this.#memory.place(host, at, bytes, 'read', this.#host.readSlow, this.#byteCount(bytes, stack));
    return host.get;
  }

  #store<V extends Val>(
    address: Address,
    bytes: number,
    value: V,
    put: (host: I32, v: V) => void,
    stack = false,
  ): void {
    this.use.writes = true;
    this.#memory.store(address, bytes, value, put, this.#byteCount(bytes, stack));
  }

  /** The byte count that goes to `mmu`, with what it must know of the segment: see STACK_ACCESS. */
  #byteCount(bytes: number, stack: boolean): I32 {
    if (!this.long) return k32(bytes);
    if (stack) return k32(bytes | STACK_ACCESS);
    if (this.#case.form === FORM.register) return k32(bytes);
    const mark = i32.and(i32.load8U(this.#record, RECORD.shift), k32(ADDRESS_STACK));
    return i32.or(k32(bytes), i32.shl(mark, k32(Math.log2(STACK_ACCESS / ADDRESS_STACK))));
  }

  #callSystem(name: SystemCall, args: readonly Word[]): I32 {
    const number = SYSTEM_CALLS.indexOf(name);
    if (number < 0) unreachable(`no system call ${name}`);
    const four = [...args.map((a, n) => this.#argument(n, a)), at0, at0, at0, at0].slice(0, 4);
    this.#setAddress(STATE.eip, this.eip());
    this.#setAddress(STATE.nextEip, this.nextEip());
    this.set(STATE.record, this.#record);
    return this.f.let(call(this.#host.system, k32(number), ...four));
  }

  /** See system/calls.ts. */
  #argument(n: number, value: Word): I32 {
    const v = this.f.let(value);
    if (v.type === 'i64') this.set64(STATE.wideArgument + n * 8, v as I64);
    return word.low(v);
  }

  #setAddress(field: number, value: Address): void {
    if (value.type === 'i64') this.set64(field, value as I64);
    else this.set(field, value as I32);
  }

  /** A write to an MMX register sets its exponent field to all ones (SDM Vol. 1, 9.2.1). */
  #markMmx(n: number): void {
    const { kind } = this.#operand(n);
    if (this.isMemory(n)) return;
    if (kind === 'P' || kind === 'Q' || kind === 'N') this.f.store16(this.slot(n), k32(0xffff), 8);
  }
}

/** Bits of a record's `shift`: the address is cut to 32 bits; it goes through SS. */
export const ADDRESS_CUT = 32;
export const ADDRESS_STACK = 64;

const FIXED_REGISTERS: Readonly<Record<string, number>> = { AL: 0, AX: 0, eAX: 0, CL: 1, DX: 2 };

/** Slots of registers, by number, as records hold them. */
export const registerSlots = {
  general: (stateAt: number, n: number): number => stateAt + STATE.gpr + n * 8,
  /** AL CL DL BL, then AH CH DH BH, or with a REX prefix the low bytes of all sixteen. */
  byte: (stateAt: number, n: number, rex: boolean): number =>
    rex ? stateAt + STATE.gpr + n * 8 : stateAt + STATE.gpr + (n & 3) * 8 + (n >> 2),
  xmm: (stateAt: number, n: number): number => stateAt + STATE.xmm + n * XMM_BYTES,
  mmx: (stateAt: number, n: number): number => stateAt + STATE.fpr + n * 16,
  segment: (stateAt: number, n: number): number => stateAt + STATE.segments + n * SEGMENT.bytes,
} as const;

/** Interrupts count only while EFLAGS.IF is set: see ATTENTION.interrupt. */
export const attentionMask = (eflags: I32): I32 => i32.or(eflags, k32(~EFLAGS.if));
