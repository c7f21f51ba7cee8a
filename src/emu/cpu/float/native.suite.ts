/**
 * The host CPU as the reference: runs single instructions natively (test/cpu/native/execute.c) and through their rows.
 *
 * Rows run over a small Ops of their own: flat memory that never faults, one function for each row and form.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unreachable } from '#base/errors.ts';
import { conditionOfWords, wordsOf } from '../isa/flag-ops.ts';
import { EXCEPTION, type FlagSource, type Ops, type Width, type Width32 } from '../isa/ops.ts';
import type { Row } from '../isa/row.ts';
import { CpuState } from '../state/cpu-state.ts';
import { LINEAR, STATE, XMM_BYTES } from '../state/layout.ts';
import type { SystemCall } from '../system/calls.ts';
import { type I32, type I64, i32, i64, k32, type V128, v128, type Word } from '../wasm/expr.ts';
import type { Callee, FunctionBuilder } from '../wasm/function.ts';
import { createLinearMemory, instantiate } from '../wasm/host.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { defineFloatKernels } from './kernels.ts';
import { x87Transcendental } from './transcendental.ts';

export const MEMORY_BYTES = 640;
const RECORD_BYTES = 16 + 4 + 32 + 4 + 4 + 4 + 512 + MEMORY_BYTES;
const AT = { codeBytes: 16, gpr: 20, eflags: 52, trap: 56, fx: 64, memory: 576 } as const;
/** Where the guest memory of the tests lies in linear memory; 16-byte aligned. */
const GUEST = 0x20000;
const ESI = 6;
const EDI = 7;

/** Which registers, immediate and form an encoding uses. */
export interface Form {
  readonly memory: boolean;
  readonly reg: number;
  readonly rm: number;
  readonly immediate: number;
  /** Operand-size prefix: 16 bits. */
  readonly size16?: boolean;
}

/** One instruction's machine state; `fx` is an FXSAVE image. */
export class Case {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  constructor(bytes?: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes ?? new Uint8Array(RECORD_BYTES);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, RECORD_BYTES);
    if (!bytes) {
      this.control = 0x37f;
      this.mxcsr = 0x1f80;
    }
  }
  set code(code: readonly number[]) {
    this.bytes.set(code, 0);
    this.view.setUint32(AT.codeBytes, code.length, true);
  }
  get control(): number {
    return this.view.getUint16(AT.fx, true);
  }
  set control(v: number) {
    this.view.setUint16(AT.fx, v, true);
  }
  /** With TOP. */
  get status(): number {
    return this.view.getUint16(AT.fx + 2, true);
  }
  set status(v: number) {
    this.view.setUint16(AT.fx + 2, v, true);
  }
  get tags(): number {
    return this.bytes[AT.fx + 4];
  }
  set tags(v: number) {
    this.bytes[AT.fx + 4] = v;
  }
  get mxcsr(): number {
    return this.view.getUint32(AT.fx + 24, true);
  }
  set mxcsr(v: number) {
    this.view.setUint32(AT.fx + 24, v, true);
  }
  setSt(i: number, significand: bigint, signExponent: number): void {
    this.view.setBigUint64(AT.fx + 32 + i * 16, significand, true);
    this.view.setUint16(AT.fx + 40 + i * 16, signExponent, true);
  }
  st(i: number): { significand: bigint; signExponent: number } {
    return {
      significand: this.view.getBigUint64(AT.fx + 32 + i * 16, true),
      signExponent: this.view.getUint16(AT.fx + 40 + i * 16, true),
    };
  }
  xmm(i: number): { low: bigint; high: bigint } {
    return {
      low: this.view.getBigUint64(AT.fx + 160 + i * 16, true),
      high: this.view.getBigUint64(AT.fx + 168 + i * 16, true),
    };
  }
  setXmm(i: number, low: bigint, high: bigint): void {
    this.view.setBigUint64(AT.fx + 160 + i * 16, low, true);
    this.view.setBigUint64(AT.fx + 168 + i * 16, high, true);
  }
  gpr(i: number): number {
    return this.view.getInt32(AT.gpr + i * 4, true);
  }
  setGpr(i: number, v: number): void {
    this.view.setInt32(AT.gpr + i * 4, v, true);
  }
  get eflags(): number {
    return this.view.getUint32(AT.eflags, true);
  }
  set eflags(v: number) {
    this.view.setUint32(AT.eflags, v, true);
  }
  get trap(): number {
    return this.view.getInt32(AT.trap, true);
  }
  get memory(): Uint8Array {
    return this.bytes.subarray(AT.memory, AT.memory + MEMORY_BYTES);
  }
  copy(): Case {
    return new Case(this.bytes.slice());
  }
}

/** Runs cases on the host CPU. */
export class Native {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tabbox-native-'));
  readonly #program = join(this.#folder, 'execute');

  constructor() {
    const source = fileURLToPath(new URL('../../../../test/cpu/native/execute.c', import.meta.url));
    execFileSync('gcc', ['-O1', '-static', '-no-pie', '-fno-pic', source, '-o', this.#program]);
  }

  run(cases: readonly Case[]): Case[] {
    const input = Buffer.alloc(cases.length * RECORD_BYTES);
    cases.forEach((c, i) => {
      input.set(c.bytes, i * RECORD_BYTES);
    });
    const { stdout, status } = spawnSync(this.#program, { input, maxBuffer: 1 << 30 });
    if (status !== 0 || stdout.length !== input.length) throw new Error(`native execution failed: ${status}`);
    return cases.map((_, i) => {
      const one = new Uint8Array(RECORD_BYTES);
      one.set(stdout.subarray(i * RECORD_BYTES, (i + 1) * RECORD_BYTES));
      return new Case(one);
    });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** The machine code of a row in a form: memory operands are [esi]. */
export function encode(row: Row, form: Form): number[] {
  const out: number[] = form.size16 ? [0x66] : [];
  const first = out.length;
  let extension: number | undefined;
  let hasModrm = /[EGMRVWUPQN][a-z\d]/.test(row.operands) || /(^|,)(M)(,|$)/.test(row.operands);
  for (const token of row.opcode.split(' ')) {
    if (token === 'NP' || token === 'm' || token === 'r') continue;
    if (token.startsWith('/')) {
      extension = Number(token.slice(1));
      hasModrm = true;
    } else out.push(Number.parseInt(token, 16));
  }
  // D8-DF with a second byte: that byte is ModRM.
  if (out.length === first + 2 && out[first] >= 0xd8 && out[first] <= 0xdf) hasModrm = false;
  if (hasModrm) {
    const reg = extension ?? form.reg;
    out.push(form.memory ? (reg << 3) | ESI : 0xc0 | (reg << 3) | form.rm);
  }
  if (row.operands.includes('Ib')) out.push(form.immediate & 0xff);
  return out;
}

class TestOps implements Ops {
  readonly f: FunctionBuilder;
  readonly long = false;
  readonly size: Width;
  readonly addressSize = 32;
  readonly stackSize = 32;
  readonly rep = 'none';
  readonly #operands: string[];
  readonly #form: Form;
  readonly #kernels: Record<string, Callee>;
  readonly #system: Callee<'void'>;

  constructor(f: FunctionBuilder, row: Row, form: Form, kernels: Record<string, Callee>, system: Callee<'void'>) {
    this.f = f;
    this.size = row.options.size ?? (form.size16 ? 16 : 32);
    this.#operands = row.operands === '' ? [] : row.operands.split(',');
    this.#form = form;
    this.#kernels = kernels;
    this.#system = system;
  }

  #bits(n: number): number {
    const type = this.#operands[n].slice(1);
    return type === 'b' ? 8 : type === 'w' || this.#operands[n] === 'AX' ? 16 : 32;
  }
  isMemory(n: number): boolean {
    const method = this.#operands[n][0];
    return method === 'M' || (this.#form.memory && ['E', 'W', 'Q'].includes(method));
  }
  offsetOf(): I32 {
    return this.f.let(this.get(STATE.gpr + ESI * 8));
  }
  linear(): I32 {
    return this.offsetOf();
  }
  upper(n: number): I32 {
    return i32.add(this.slot(n), k32(16));
  }
  slot(n: number): I32 {
    const operand = this.#operands[n];
    const number = operand === 'AX' ? 0 : 'VGP'.includes(operand[0]) ? this.#form.reg : this.#form.rm;
    if ('VWU'.includes(operand[0])) return this.addressOf(STATE.xmm + number * XMM_BYTES);
    if ('PQN'.includes(operand[0])) return this.addressOf(STATE.fpr + number * 16);
    return this.addressOf(STATE.gpr + number * 8);
  }
  #place(n: number): I32 {
    return this.isMemory(n) ? this.linear() : this.slot(n);
  }
  read(n: number): I32 {
    if (this.#operands[n] === 'Ib') return k32(this.#form.immediate & 0xff);
    return this.load(this.#bits(n) as Width32, this.#place(n));
  }
  readWord(n: number): I32 {
    return this.read(n);
  }
  widthOf(n: number): Width {
    return this.#bits(n) as Width;
  }
  registerNumber(): I32 {
    return unreachable('not in these rows');
  }
  register(bits: Width, n: number): I32 {
    return this.load(bits as Width32, this.addressOf(STATE.gpr + n * 8));
  }
  setRegister(bits: Width, n: number, value: Word): void {
    this.store(bits, this.addressOf(STATE.gpr + n * 8), value);
  }
  setFlags(source: FlagSource): void {
    const { result, aux } = wordsOf(this, source);
    if (result) this.set(STATE.flagResult, result as I32);
    if (aux) this.set(STATE.flagAux, aux);
  }
  flagResult(): I32 {
    return this.get(STATE.flagResult);
  }
  flagAux(): I32 {
    return this.get(STATE.flagAux);
  }
  condition(code: number): I32 {
    return conditionOfWords(this, code);
  }
  readSigned(n: number): I32 {
    const v = this.read(n);
    const bits = this.#bits(n);
    return this.f.let(bits === 16 ? i32.extend16S(v) : bits === 8 ? i32.extend8S(v) : v);
  }
  read64(n: number): I64 {
    return this.load64(this.#place(n));
  }
  read128(n: number): V128 {
    return this.load128(this.#place(n));
  }
  write(n: number, value: Word): void {
    this.store(this.#bits(n) as Width32, this.#place(n), value);
  }
  write64(n: number, value: I64): void {
    const at = this.f.let(this.#place(n));
    this.store64(at, value);
    if (!this.isMemory(n) && 'PQN'.includes(this.#operands[n][0])) this.f.store16(at, k32(0xffff), 8);
  }
  write128(n: number, value: V128): void {
    this.store128(this.#place(n), value);
  }
  modify(n: number, change: (old: Word) => Word): void {
    this.write(n, change(this.read(n)));
  }
  loadWord(bits: Width, at: Word): I32 {
    return this.load(bits as Width32, at);
  }
  load(bits: Width32, address: Word): I32 {
    const at = address as I32;
    return this.f.let(bits === 32 ? i32.load(at) : bits === 16 ? i32.load16U(at) : i32.load8U(at));
  }
  load64(at: Word): I64 {
    return this.f.let(i64.load(at as I32));
  }
  load128(at: Word): V128 {
    return this.f.let(v128.load(at as I32));
  }
  store(bits: Width, address: Word, v: Word): void {
    const at = address as I32;
    const value = v as I32;
    if (bits === 32) this.f.store32(at, value);
    else if (bits === 16) this.f.store16(at, value);
    else this.f.store8(at, value);
  }
  store64(at: Word, value: I64): void {
    this.f.store64(at as I32, value);
  }
  store128(at: Word, value: V128): void {
    this.f.store128(at as I32, value);
  }
  probe(): void {}
  checkSegment(): void {}
  vectorIndex(): never {
    throw new Error('not in these rows');
  }
  get(field: number): I32 {
    return this.f.let(i32.load(k32(LINEAR.states), field));
  }
  get64(field: number): I64 {
    return this.f.let(i64.load(k32(LINEAR.states), field));
  }
  getAddress(field: number): I32 {
    return this.get(field);
  }
  set(field: number, value: I32): void {
    this.f.store32(k32(LINEAR.states), value, field);
  }
  set64(field: number, value: I64): void {
    this.f.store64(k32(LINEAR.states), value, field);
  }
  addressOf(field: number): I32 {
    return k32(LINEAR.states + field);
  }
  raise(vector: number): void {
    this.set(STATE.faultVector, k32(vector));
    this.f.return();
  }
  raiseIf(condition: I32, vector: number): void {
    this.f.if(condition, () => this.raise(vector));
  }
  eip(): I32 {
    return k32(0x1000);
  }
  nextEip(): I32 {
    return k32(0x1010);
  }
  jumpRelative(): void {}
  jump(): void {}
  branch(): void {}
  readable(at: I32): I32 {
    return at;
  }
  writable(at: I32): I32 {
    return at;
  }
  again(): void {}
  query64(): I64 {
    return unreachable('not in these rows');
  }
  system(_name: SystemCall, ...given: Word[]): void {
    const args = given as I32[];
    this.f.call(this.#system, args[0]);
    this.f.return();
  }
  query(_name: SystemCall): I32 {
    this.raise(EXCEPTION.mf);
    return k32(0);
  }
  kernel(name: string): Callee<never> {
    const callee = this.#kernels[name];
    if (!callee) throw new Error(`no kernel ${name}`);
    return callee as Callee<never>;
  }
  segmentBase(): I32 {
    return k32(0);
  }
  segmentSelector(): I32 {
    return k32(0);
  }
  repeatLimit(): I32 {
    return k32(1);
  }
  spend(): void {}
  left(): I32 {
    return k32(0);
  }
}

/** Runs cases through the semantics of rows. */
export class Emulated {
  readonly state: CpuState;
  readonly #memory: Uint8Array;
  readonly #exports: Record<string, (...args: (number | bigint)[]) => unknown>;
  readonly #forms: { row: Row; form: Form }[];

  constructor(forms: { row: Row; form: Form }[]) {
    this.#forms = forms;
    const linear = createLinearMemory(4 * 65536);
    this.state = new CpuState(linear.buffer);
    this.#memory = new Uint8Array(linear.buffer, GUEST, MEMORY_BYTES);
    const module = new ModuleBuilder({ initial: linear.pages, maximum: linear.pages });
    const system = module.import('system', ['i32'], 'void');
    const kernels = defineFloatKernels(module);
    forms.forEach(({ row, form }, i) => {
      module.define(
        [],
        'void',
        (f) => {
          row.semantics(new TestOps(f, row, form, kernels, system));
        },
        `i${i}`,
      );
    });
    const bytes = module.bytes();
    this.#exports = instantiate(bytes, linear, {
      system: (which) => {
        x87Transcendental(this.state, which);
        return undefined;
      },
    });
  }

  code(form: number): number[] {
    const { row, form: f } = this.#forms[form];
    return encode(row, f);
  }

  /** Runs form number `form`; `cr0` and `cr4` default to a 32-bit system that uses SSE. */
  run(form: number, input: Case, cr0 = 1, cr4 = 0x600): Case {
    const s = this.state;
    const out = input.copy();
    const top = (input.status >> 11) & 7;
    s.set(STATE.fpuControl, input.control);
    s.set(STATE.fpuStatus, input.status & ~0x3800);
    s.set(STATE.fpuTop, top);
    s.set(STATE.fpuTags, input.tags);
    s.set(STATE.mxcsr, input.mxcsr);
    s.set(STATE.cr0, cr0);
    s.set(STATE.cr4, cr4);
    s.set(STATE.faultVector, -1);
    s.eflags = input.eflags;
    for (let i = 0; i < 8; i++) {
      const v = input.st(i);
      const at = STATE.fpr + ((i + top) & 7) * 16;
      s.view.setBigUint64(at, v.significand, true);
      s.view.setUint16(at + 8, v.signExponent, true);
      const x = input.xmm(i);
      s.view.setBigUint64(STATE.xmm + i * XMM_BYTES, x.low, true);
      s.view.setBigUint64(STATE.xmm + i * XMM_BYTES + 8, x.high, true);
      s.setGpr(i, input.gpr(i) + (i === ESI || i === EDI ? GUEST : 0));
    }
    this.#memory.set(input.memory);
    this.#exports[`i${form}`]();
    const outTop = s.get(STATE.fpuTop);
    out.control = s.get(STATE.fpuControl);
    out.status = s.get(STATE.fpuStatus) | (outTop << 11);
    out.tags = s.get(STATE.fpuTags);
    out.mxcsr = s.get(STATE.mxcsr);
    out.view.setInt32(AT.trap, s.get(STATE.faultVector), true);
    for (let i = 0; i < 8; i++) {
      const at = STATE.fpr + ((i + outTop) & 7) * 16;
      out.setSt(i, s.view.getBigUint64(at, true), s.view.getUint16(at + 8, true));
      const x = STATE.xmm + i * XMM_BYTES;
      out.setXmm(i, s.view.getBigUint64(x, true), s.view.getBigUint64(x + 8, true));
      out.setGpr(i, s.gpr(i) - (i === ESI || i === EDI ? GUEST : 0));
    }
    out.eflags = s.eflags;
    out.memory.set(this.#memory);
    return out;
  }
}

export interface Compared {
  /** Status-word bits that are compared. */
  readonly status?: number;
  readonly emptyRegisters?: boolean;
  readonly memory?: (byte: number) => boolean;
}

const EFLAGS_MASK = 0x8d5;

/** What differs, in words; undefined when nothing does. */
export function difference(native: Case, emulated: Case, what: Compared = {}): string | undefined {
  if (native.trap !== emulated.trap) return `trap ${native.trap}, not ${emulated.trap}`;
  const hex = (n: number | bigint): string => n.toString(16);
  const mask = what.status ?? 0xffff;
  if ((native.status ^ emulated.status) & mask) return `status ${hex(native.status)}, not ${hex(emulated.status)}`;
  if (native.control !== emulated.control) return `control ${hex(native.control)}, not ${hex(emulated.control)}`;
  if (native.tags !== emulated.tags) return `tags ${hex(native.tags)}, not ${hex(emulated.tags)}`;
  if (native.mxcsr !== emulated.mxcsr) return `mxcsr ${hex(native.mxcsr)}, not ${hex(emulated.mxcsr)}`;
  const top = (native.status >> 11) & 7;
  for (let i = 0; i < 8; i++) {
    const a = native.st(i);
    const b = emulated.st(i);
    const used = what.emptyRegisters || (native.tags >> ((i + top) & 7)) & 1;
    if (used && (a.significand !== b.significand || a.signExponent !== b.signExponent)) {
      return `st${i} ${hex(a.signExponent)}:${hex(a.significand)}, not ${hex(b.signExponent)}:${hex(b.significand)}`;
    }
    const x = native.xmm(i);
    const y = emulated.xmm(i);
    if (x.low !== y.low || x.high !== y.high) {
      return `xmm${i} ${hex(x.high)}:${hex(x.low)}, not ${hex(y.high)}:${hex(y.low)}`;
    }
    if (i !== 4 && native.gpr(i) !== emulated.gpr(i))
      return `gpr${i} ${hex(native.gpr(i))}, not ${hex(emulated.gpr(i))}`;
  }
  if ((native.eflags ^ emulated.eflags) & EFLAGS_MASK) {
    return `eflags ${hex(native.eflags & EFLAGS_MASK)}, not ${hex(emulated.eflags & EFLAGS_MASK)}`;
  }
  for (let i = 0; i < MEMORY_BYTES; i++) {
    if (native.memory[i] !== emulated.memory[i] && (what.memory?.(i) ?? true)) {
      return `memory ${i}: ${hex(native.memory[i])}, not ${hex(emulated.memory[i])}`;
    }
  }
  return undefined;
}
