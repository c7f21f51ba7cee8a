/**
 * Tier 0's implementation of `Ops`: operands are fields of the record that is being executed.
 *
 * The same code serves inlined cases (where leaving is a branch inside the main function) and functions of the table
 * (where it is a return); the difference is the `Exits` it is given.
 */
import { unreachable } from '#base/errors.ts';
import type { OperandSpec } from '../decoder/operands.ts';
import type { Ops, Width32 } from '../isa/ops.ts';
import { EFLAGS } from '../state/flags.ts';
import { RECORD, SEGMENT, STATE, TLB, XMM_BYTES } from '../state/layout.ts';
import { STATUS, SYSTEM_CALLS, type SystemCall } from '../system/calls.ts';
import { type I32, type I64, i32, i64, k32, type V128, type Val, v128 } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder } from '../wasm/function.ts';
import { type Case, FORM } from './cases.ts';

/** How code leaves the case. None returns. */
export interface Exits {
  /** A fault or restart: `status` is a STATUS. */
  fault(status: I32): void;
  /** A system call's status other than `next` ends the case with it; `next` falls through. */
  status(status: I32): void;
  /** Goes to EIP `target` (already cut). `link`: the record keeps the way for next time. */
  near(target: I32, link: boolean): void;
}

/** Host functions of the module. */
export interface HostCallees {
  readonly readSlow: Callee<'i32'>;
  readonly writeSlow: Callee<'i32'>;
  readonly modifySlow: Callee<'i32'>;
  readonly commitWrite: Callee<'void'>;
  readonly probeSlow: Callee<'i32'>;
  readonly system: Callee<'i32'>;
}

/** What a case did with guest memory, for segment checks. */
export interface MemoryUse {
  reads: boolean;
  writes: boolean;
}

const PAGE_MASK = ~0xfff;
const mask = (bits: Width32, v: I32): I32 => (bits === 32 ? v : i32.and(v, k32(bits === 16 ? 0xffff : 0xff)));
const at0 = k32(0);

export class Tier0Ops implements Ops {
  readonly f: FunctionBuilder;
  readonly size: Width32;
  readonly address32: boolean;
  readonly stack32: boolean;
  readonly rep: 'none' | 'rep' | 'repne';
  readonly use: MemoryUse = { reads: false, writes: false };
  readonly #case: Case;
  readonly #record: I32;
  readonly #state: number;
  readonly #host: HostCallees;
  readonly #exits: Exits;
  readonly #kernels: Record<string, Callee>;

  constructor(parts: {
    f: FunctionBuilder;
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
    this.size = parts.case.size;
    this.address32 = parts.case.address32;
    this.stack32 = parts.case.stack32;
    this.rep = parts.case.rep;
  }

  // Operands.

  read(n: number): I32 {
    const { operands } = this.#case;
    // A far pointer is two operands: offset and selector.
    if (operands[0]?.kind === 'A') return this.f.let(i32.load(this.#record, n === 0 ? RECORD.imm : RECORD.imm2));
    const o = this.#operand(n);
    const bits = this.#bits(o);
    if (o.kind === 'I') {
      const second = operands.slice(0, n).some((other) => other.kind === 'I');
      return this.f.let(mask(bits, i32.load(this.#record, second ? RECORD.imm2 : RECORD.imm)));
    }
    if (o.kind === 'J') return this.f.let(this.#target());
    if (o.kind === 'fixed' && o.fixed === '1') return k32(1);
    if (this.isMemory(n)) return this.load(bits, this.linear(n));
    if (o.kind === 'S') return this.f.let(i32.load16U(this.slot(n), SEGMENT.selector));
    return this.f.let(this.#loadHost(bits, this.slot(n)));
  }

  readSigned(n: number): I32 {
    const bits = this.#bits(this.#operand(n));
    const v = this.read(n);
    return bits === 32 ? v : this.f.let(bits === 16 ? i32.extend16S(v) : i32.extend8S(v));
  }

  read64(n: number): I64 {
    return this.isMemory(n) ? this.load64(this.linear(n)) : this.f.let(i64.load(this.slot(n)));
  }

  read128(n: number): V128 {
    return this.isMemory(n) ? this.load128(this.linear(n)) : this.f.let(v128.load(this.slot(n)));
  }

  write(n: number, value: I32): void {
    const bits = this.#bits(this.#operand(n));
    if (this.isMemory(n)) this.store(bits, this.linear(n), value);
    else this.#storeHost(bits, this.slot(n), value);
    this.#markMmx(n);
  }

  write64(n: number, value: I64): void {
    if (this.isMemory(n)) this.store64(this.linear(n), value);
    else this.f.store64(this.slot(n), value);
    this.#markMmx(n);
  }

  write128(n: number, value: V128): void {
    if (this.isMemory(n)) this.store128(this.linear(n), value);
    else this.f.store128(this.slot(n), value);
  }

  modify(n: number, change: (old: I32) => I32): void {
    const { f } = this;
    const bits = this.#bits(this.#operand(n));
    if (!this.isMemory(n)) {
      const slot = f.let(this.slot(n));
      const old = f.let(this.#loadHost(bits, slot));
      this.#storeHost(bits, slot, change(old));
      return;
    }
    this.use.reads = true;
    this.use.writes = true;
    const at = this.linear(n);
    const host = f.local('i32');
    const { hit, entry } = this.#lookUp(at, bits / 8, TLB.writeTag);
    f.if(
      hit,
      () => f.set(host, i32.add(at, i32.load(entry, TLB.addend))),
      () => {
        f.set(host, call(this.#host.modifySlow, at, k32(bits / 8)));
        f.if(i32.eqz(host.get), () => this.#exits.fault(k32(STATUS.fault)));
      },
    );
    const old = f.let(this.#loadHost(bits, host.get));
    this.#storeHost(bits, host.get, change(old));
    f.if(i32.eq(host.get, k32(this.#state + STATE.scratch)), () => f.call(this.#host.commitWrite));
  }

  isMemory(n: number): boolean {
    const o = this.#operand(n);
    if (o.kind === 'M' || o.kind === 'O') return true;
    return (o.kind === 'E' || o.kind === 'W' || o.kind === 'Q') && this.#case.form !== FORM.register;
  }

  offsetOf(_n: number): I32 {
    return this.f.let(this.#offset());
  }

  linear(_n: number): I32 {
    if (this.#case.form === FORM.base) return this.f.let(this.#offset());
    return this.f.let(i32.add(this.#offset(), i32.load(i32.load16U(this.#record, RECORD.segment), SEGMENT.base)));
  }

  slot(n: number): I32 {
    const o = this.#operand(n);
    switch (o.kind) {
      case 'G':
      case 'Z':
      case 'V':
      case 'P':
      case 'S':
      case 'C':
      case 'D':
        return i32.load16U(this.#record, RECORD.reg);
      case 'E':
      case 'R':
      case 'W':
      case 'U':
      case 'Q':
      case 'N':
        return i32.load16U(this.#record, RECORD.rm);
      case 'fixed': {
        const register = ['AL', 'AX', 'eAX'].includes(o.fixed ?? '')
          ? 0
          : o.fixed === 'CL'
            ? 1
            : o.fixed === 'DX'
              ? 2
              : -1;
        if (register >= 0) return k32(this.#state + STATE.gpr + register * 8);
        return unreachable(`operand ${o.fixed} of ${this.#case.row.mnemonic} has no slot`);
      }
      default:
        return unreachable(`operand ${n} of ${this.#case.row.opcode} ${this.#case.row.mnemonic} is no register`);
    }
  }

  // Guest memory.

  load(bits: Width32, at: I32): I32 {
    return this.f.let(this.#loadHost(bits, this.#readable(at, bits / 8)));
  }
  load64(at: I32): I64 {
    return this.f.let(i64.load(this.#readable(at, 8)));
  }
  load128(at: I32): V128 {
    return this.f.let(v128.load(this.#readable(at, 16)));
  }
  store(bits: Width32, at: I32, value: I32): void {
    this.#store(at, bits / 8, value, (host, v) => this.#storeHost(bits, host, v));
  }
  store64(at: I32, value: I64): void {
    this.#store(at, 8, value, (host, v) => this.f.store64(host, v));
  }
  store128(at: I32, value: V128): void {
    this.#store(at, 16, value, (host, v) => this.f.store128(host, v));
  }

  probe(at: I32, bytes: I32): void {
    this.use.writes = true;
    const status = this.f.let(call(this.#host.probeSlow, at, bytes));
    this.f.if(status, () => this.#exits.fault(status));
  }

  /** Linear-memory address of the byte at `at` when its page may be read without help, else 0. */
  readable(at: I32): I32 {
    this.use.reads = true;
    return this.#peek(at, TLB.readTag);
  }
  writable(at: I32): I32 {
    this.use.writes = true;
    return this.#peek(at, TLB.writeTag);
  }

  // State.

  get(field: number): I32 {
    return this.f.let(i32.load(at0, this.#state + field));
  }
  get64(field: number): I64 {
    return this.f.let(i64.load(at0, this.#state + field));
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

  eip(): I32 {
    return this.f.let(i32.add(this.get(STATE.blockEip), i32.load16U(this.#record, RECORD.offset)));
  }

  nextEip(): I32 {
    return this.f.let(i32.add(this.eip(), i32.load8U(this.#record, RECORD.length)));
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

  jump(target: I32): void {
    this.#exits.near(this.f.let(target), false);
  }

  again(): void {
    this.#exits.near(this.eip(), false);
  }

  system(name: SystemCall, ...args: I32[]): void {
    this.#exits.status(this.#callSystem(name, args));
  }

  query(name: SystemCall, ...args: I32[]): I32 {
    this.#exits.status(this.#callSystem(name, args));
    return this.get(STATE.queryResult);
  }

  kernel(name: string): Callee<never> {
    const kernel = this.#kernels[name] ?? unreachable(`no kernel ${name}`);
    return kernel as Callee<never>;
  }

  segmentBase(): I32 {
    return this.f.let(i32.load(i32.load16U(this.#record, RECORD.segment), SEGMENT.base));
  }
  segmentSelector(): I32 {
    return this.f.let(i32.load(i32.load16U(this.#record, RECORD.segment), SEGMENT.selector));
  }

  repeatLimit(): I32 {
    return this.f.let(i32.load(this.#record, RECORD.imm2));
  }

  spend(count: I32): void {
    this.set(STATE.budget, i32.sub(this.get(STATE.budget), count));
  }

  // Inside.

  #operand(n: number): OperandSpec {
    return this.#case.operands[n] ?? unreachable(`${this.#case.row.opcode} has no operand ${n}`);
  }

  /** Bits of an operand of up to 32. */
  #bits(o: OperandSpec): Width32 {
    if (o.kind === 'fixed') {
      if (o.fixed === 'AL' || o.fixed === 'CL') return 8;
      if (o.fixed === 'AX' || o.fixed === 'DX') return 16;
      return this.size;
    }
    // An immediate byte that is sign-extended has the operand size.
    if (o.type === 'bs') return this.size;
    if (o.type === 'b') return 8;
    if (o.type === 'w') return 16;
    if (o.type === 'v' || o.type === 'z' || o.type === 'y' || o.type === 'p') return this.size;
    return 32;
  }

  #target(): I32 {
    const target = i32.add(this.get(STATE.blockEip), i32.load(this.#record, RECORD.imm));
    return this.size === 16 ? i32.and(target, k32(0xffff)) : target;
  }

  #offset(): I32 {
    const disp = i32.load(this.#record, RECORD.disp);
    const base = i32.load(i32.load16U(this.#record, RECORD.base));
    if (this.#case.form === FORM.base) return i32.add(base, disp);
    const index = i32.shl(i32.load(i32.load16U(this.#record, RECORD.index)), i32.load8U(this.#record, RECORD.shift));
    return i32.and(i32.add(i32.add(base, index), disp), i32.load(this.#record, RECORD.mask));
  }

  #loadHost(bits: Width32, host: I32): I32 {
    return bits === 32 ? i32.load(host) : bits === 16 ? i32.load16U(host) : i32.load8U(host);
  }
  #storeHost(bits: Width32, host: I32, value: I32): void {
    if (bits === 32) this.f.store32(host, value);
    else if (bits === 16) this.f.store16(host, value);
    else this.f.store8(host, value);
  }

  #lookUp(at: I32, bytes: number, tag: number): { hit: I32; entry: I32 } {
    const { f } = this;
    const offset = i32.and(i32.shrU(at, k32(8)), k32((TLB.entries - 1) * TLB.entryBytes));
    const entry = f.let(i32.add(offset, i32.load(at0, this.#state + STATE.tlbBase)));
    const last = bytes === 1 ? at : i32.add(at, k32(bytes - 1));
    return { hit: i32.eq(i32.load(entry, tag), i32.and(last, k32(PAGE_MASK))), entry };
  }

  #peek(at: I32, tag: number): I32 {
    const { hit, entry } = this.#lookUp(at, 1, tag);
    const host = this.f.local('i32');
    this.f.set(host, k32(0));
    this.f.if(hit, () => this.f.set(host, i32.add(at, i32.load(entry, TLB.addend))));
    return host.get;
  }

  #readable(address: I32, bytes: number): I32 {
    const { f } = this;
    this.use.reads = true;
    const at = f.let(address);
    const host = f.local('i32');
    const { hit, entry } = this.#lookUp(at, bytes, TLB.readTag);
    f.if(
      hit,
      () => f.set(host, i32.add(at, i32.load(entry, TLB.addend))),
      () => {
        f.set(host, call(this.#host.readSlow, at, k32(bytes)));
        f.if(i32.eqz(host.get), () => this.#exits.fault(k32(STATUS.fault)));
      },
    );
    return host.get;
  }

  #store<V extends Val>(address: I32, bytes: number, value: V, put: (host: I32, v: V) => void): void {
    const { f } = this;
    this.use.writes = true;
    const at = f.let(address);
    const v = f.let(value) as V;
    const { hit, entry } = this.#lookUp(at, bytes, TLB.writeTag);
    f.if(
      hit,
      () => put(f.let(i32.add(at, i32.load(entry, TLB.addend))), v),
      () => {
        put(k32(this.#state + STATE.scratch), v);
        const status = f.let(call(this.#host.writeSlow, at, k32(bytes)));
        f.if(status, () => this.#exits.fault(status));
      },
    );
  }

  #callSystem(name: SystemCall, args: readonly I32[]): I32 {
    const number = SYSTEM_CALLS.indexOf(name);
    if (number < 0) unreachable(`no system call ${name}`);
    const four = [...args.map((a) => this.f.let(a)), at0, at0, at0, at0].slice(0, 4);
    const eip = this.eip();
    this.set(STATE.eip, eip);
    this.set(STATE.nextEip, i32.add(eip, i32.load8U(this.#record, RECORD.length)));
    this.set(STATE.record, this.#record);
    return this.f.let(call(this.#host.system, k32(number), ...four));
  }

  /** A write to an MMX register sets its exponent field to all ones (SDM Vol. 1, 9.2.1). */
  #markMmx(n: number): void {
    const { kind } = this.#operand(n);
    if (this.isMemory(n)) return;
    if (kind === 'P' || kind === 'Q' || kind === 'N') this.f.store16(this.slot(n), k32(0xffff), 8);
  }
}

/** Slots of registers, by number, as records hold them. */
export const registerSlots = {
  general: (stateAt: number, n: number): number => stateAt + STATE.gpr + n * 8,
  /** AL CL DL BL AH CH DH BH. */
  byte: (stateAt: number, n: number): number => stateAt + STATE.gpr + (n & 3) * 8 + (n >> 2),
  xmm: (stateAt: number, n: number): number => stateAt + STATE.xmm + n * XMM_BYTES,
  mmx: (stateAt: number, n: number): number => stateAt + STATE.fpr + n * 16,
  segment: (stateAt: number, n: number): number => stateAt + STATE.segments + n * SEGMENT.bytes,
} as const;

/** Interrupts count only while EFLAGS.IF is set: see ATTENTION.interrupt. */
export const attentionMask = (eflags: I32): I32 => i32.or(eflags, k32(~EFLAGS.if));
