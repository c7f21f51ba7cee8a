/** Turns decoded instructions into the records that tier 0 executes. */
import { unreachable } from '#base/errors.ts';
import type { Decoded } from '../decoder/decoded.ts';
import { type OperandSpec, parseOperands } from '../decoder/operands.ts';
import type { Row } from '../isa/row.ts';
import { GPR, MODE, RECORD, SEG, STATE } from '../state/layout.ts';
import { type CaseTable, CHECK, FORM, MICRO } from './cases.ts';
import type { MemoryUse } from './tier0-ops.ts';
import { ADDRESS_CUT, ADDRESS_STACK, registerSlots } from './tier0-ops.ts';

/** What is needed to fill records of a row, worked out once. */
interface Shape {
  readonly operands: readonly OperandSpec[];
  /** Slot kind of ModRM.reg / opcode register, and of ModRM.rm. */
  readonly reg: 'general' | 'byte' | 'word' | 'xmm' | 'mmx' | 'none';
  readonly rm: 'general' | 'byte' | 'word' | 'xmm' | 'mmx' | 'none';
  /** A 64-bit immediate is possible. */
  readonly full: boolean;
  readonly vvvv: Shape['reg'];
  readonly memory: OperandSpec | undefined;
  readonly relative: boolean;
  readonly source: OperandSpec | undefined;
  readonly destination: OperandSpec | undefined;
}

const slotKind = (o: OperandSpec | undefined): Shape['reg'] => {
  if (!o) return 'none';
  if ('VWUHL'.includes(o.kind)) return 'xmm';
  if (o.kind === 'P' || o.kind === 'Q' || o.kind === 'N') return 'mmx';
  return o.type === 'b' ? 'byte' : 'general';
};

const shapeOf = (row: Row): Shape => {
  const operands = parseOperands(row);
  const find = (...kinds: string[]): OperandSpec | undefined => operands.find((o) => kinds.includes(o.kind));
  return {
    operands,
    reg: slotKind(find('G', 'Z', 'V', 'P', 'C', 'D')),
    rm: slotKind(find('E', 'R', 'W', 'U', 'Q', 'N')),
    full: operands.some((o) => o.kind === 'I' && o.type === 'v'),
    vvvv: slotKind(find('H', 'B')),
    memory: find('E', 'M', 'W', 'Q', 'O'),
    relative: find('J') !== undefined,
    source: find('X'),
    destination: find('Y'),
  };
};

const UNLIMITED_REPEATS = 4096;
/** RIP-relative displacements above this may overflow a record's when the way from the block's start is added. */
const FARTHEST = 0x7fff_0000;

export class RecordWriter {
  readonly #words: Int32Array;
  readonly #halves: Uint16Array;
  readonly #bytes: Uint8Array;
  readonly #stateAt: number;
  readonly #cases: CaseTable;
  readonly #use: readonly (MemoryUse | undefined)[];
  readonly #shapes: readonly Shape[];
  readonly #zero: number;
  readonly #data: number;
  /** Where the next record goes. */
  at = 0;

  constructor(parts: {
    buffer: SharedArrayBuffer;
    stateAt: number;
    rows: readonly Row[];
    cases: CaseTable;
    use: readonly (MemoryUse | undefined)[];
  }) {
    this.#words = new Int32Array(parts.buffer);
    this.#halves = new Uint16Array(parts.buffer);
    this.#bytes = new Uint8Array(parts.buffer);
    this.#stateAt = parts.stateAt;
    this.#cases = parts.cases;
    this.#use = parts.use;
    this.#shapes = parts.rows.map(shapeOf);
    this.#zero = parts.stateAt + STATE.zero;
    this.#data = registerSlots.segment(parts.stateAt, SEG.ds);
  }

  /** The header of a block: how many instructions it has is known when it ends. */
  header(): number {
    const at = this.at;
    this.#clear(0, 0, 0);
    this.at += RECORD.bytes;
    return at;
  }

  setCount(header: number, instructions: number): void {
    this.#words[(header + RECORD.imm) >> 2] = instructions;
  }

  micro(op: number, offset: number, length: number, imm: number, imm2 = 0, mask = -1): void {
    this.#clear(op, offset, length);
    this.#words[(this.at + RECORD.imm) >> 2] = imm;
    this.#words[(this.at + RECORD.imm2) >> 2] = imm2;
    this.#words[(this.at + RECORD.mask) >> 2] = mask;
    this.at += RECORD.bytes;
  }

  /**
   * Writes the records of one instruction: checks where the mode asks for them, then the instruction.
   * @param offset of the instruction in its block
   * @param single repeated string instructions do one iteration at a time
   */
  instruction(d: Decoded, offset: number, mode: number, single: boolean): void {
    const row = d.row ?? unreachable('an undefined instruction has no record');
    const shape = this.#shapes[d.rowIndex];
    const long = (mode & MODE.long) !== 0;
    const flat = long || (mode & MODE.flat) !== 0;
    const widest = long ? 64 : 32;
    const stackSize = long ? 64 : mode & MODE.stack32 ? 32 : 16;
    const plainSegment = flat && d.segment < SEG.fs;
    const far = d.ripRelative && d.disp > FARTHEST;
    const base = d.memory && plainSegment && d.index < 0 && d.addressSize === widest && !far;
    const target = offset + d.length + d.imm;
    // A record's field has 32 bits.
    const farBranch = long && shape.relative && target > 0x7fff_ffff;
    const form = shape.memory && d.memory ? (base ? FORM.base : FORM.full) : farBranch ? FORM.full : FORM.register;
    const op = this.#cases.find(d.rowIndex, row, d.size, form, stackSize, d.addressSize, d.rep);
    if (op === 0) unreachable(`no case for ${row.opcode} ${row.mnemonic} ${d.size} form ${form}`);
    const checked = !long && this.#checks(d, row, shape, op, offset, mode);

    this.#clear(op, offset, d.length);
    const at = this.at;
    this.#halves[(at + RECORD.reg) >> 1] = this.#slot(shape.reg, d.reg, d.rex);
    this.#halves[(at + RECORD.rm) >> 1] = this.#slot(shape.rm, d.rm, d.rex);
    // In 64-bit code only FS and GS have a base.
    const segment = long && d.segment < SEG.fs ? this.#zero : registerSlots.segment(this.#stateAt, d.segment);
    this.#halves[(at + RECORD.segment) >> 1] = segment;
    if (d.memory && long) this.#longAddress(at, d, offset, this.#popBias(row, d), form === FORM.full);
    else if (d.memory) this.#address(at, d, d.disp + this.#popBias(row, d));
    if (d.memory && shape.memory?.kind === 'O' && long) {
      this.#words[(at + RECORD.imm) >> 2] = d.addressSize === 64 ? d.dispHigh : 0;
      this.at += RECORD.bytes;
      return;
    }
    this.#words[(at + RECORD.imm) >> 2] = shape.relative ? target : d.imm;
    if (row.options.rep) this.#words[(at + RECORD.imm2) >> 2] = single || checked ? 1 : UNLIMITED_REPEATS;
    else if (shape.vvvv !== 'none') this.#vex(at, shape, d);
    else if (!shape.relative) this.#words[(at + RECORD.imm2) >> 2] = shape.full ? d.immHigh : d.imm2;
    this.at += RECORD.bytes;
  }

  /** VEX instructions have no second immediate: its place holds the slot of VEX.vvvv, and above that of a vector index. */
  #vex(at: number, shape: Shape, d: Decoded): void {
    this.#halves[(at + RECORD.imm2) >> 1] = this.#slot(shape.vvvv, d.vvvv, false);
    if (!d.row?.options.vsib) return;
    this.#halves[(at + RECORD.imm2 + 2) >> 1] = registerSlots.xmm(this.#stateAt, d.index);
    this.#halves[(at + RECORD.index) >> 1] = this.#zero;
  }

  /** Base, index and displacement in 64-bit code. RIP-relative ones count from the block's first byte. */
  #longAddress(at: number, d: Decoded, offset: number, bias: number, full: boolean): void {
    let disp = d.disp + bias;
    if (d.ripRelative) {
      disp += offset + d.length;
      this.#halves[(at + RECORD.base) >> 1] = this.#stateAt + STATE.blockEip;
      if (full && d.disp > FARTHEST) {
        this.#halves[(at + RECORD.index) >> 1] = this.#stateAt + STATE.two31;
        disp -= 0x8000_0000;
      }
    } else if (d.base >= 0) this.#halves[(at + RECORD.base) >> 1] = registerSlots.general(this.#stateAt, d.base);
    if (d.index >= 0) this.#halves[(at + RECORD.index) >> 1] = registerSlots.general(this.#stateAt, d.index);
    const cut = d.addressSize === 32 ? ADDRESS_CUT : 0;
    this.#bytes[at + RECORD.shift] = d.scale | cut | (d.segment === SEG.ss ? ADDRESS_STACK : 0);
    this.#words[(at + RECORD.disp) >> 2] = disp;
  }

  /** Instructions left after a conditional branch, which it gives back when taken. */
  setRemaining(record: number, instructions: number): void {
    this.#words[(record + RECORD.disp) >> 2] = instructions;
  }

  /** POP to memory computes an ESP-based address after the increment (SDM Vol. 2B, POP). */
  #popBias(row: Row, d: Decoded): number {
    return row.options.popAddress && d.base === GPR.esp ? d.size / 8 : 0;
  }

  /** @returns true when something was checked */
  #checks(d: Decoded, row: Row, shape: Shape, op: number, offset: number, mode: number): boolean {
    const flat = (mode & MODE.flat) !== 0;
    let checked = false;
    const { stack, access } = row.options;
    if (!flat && stack !== undefined) {
      const [units, register] = stack === 'frame' ? [1, GPR.ebp] : [stack, GPR.esp];
      const bytes = (Math.abs(units) * d.size) / 8;
      this.#clear(MICRO.check, offset, d.length);
      const at = this.at;
      this.#halves[(at + RECORD.base) >> 1] = registerSlots.general(this.#stateAt, register);
      this.#halves[(at + RECORD.segment) >> 1] = registerSlots.segment(this.#stateAt, SEG.ss);
      this.#words[(at + RECORD.disp) >> 2] = units < 0 ? -bytes : 0;
      this.#words[(at + RECORD.imm) >> 2] = bytes | (units < 0 ? CHECK.write : 0);
      this.#words[(at + RECORD.mask) >> 2] = mode & MODE.stack32 ? -1 : 0xffff;
      this.at += RECORD.bytes;
      checked = true;
    }
    if (flat && d.segment < SEG.fs) return checked;
    const use = this.#use[op];
    const here = access !== 'none' && access !== 'masked';
    if (shape.memory && d.memory && here && (access || use?.reads || use?.writes)) {
      const write = access === 'write' || (access === undefined && use?.writes === true);
      this.#clear(MICRO.check, offset, d.length);
      const at = this.at;
      this.#halves[(at + RECORD.segment) >> 1] = registerSlots.segment(this.#stateAt, d.segment);
      this.#address(at, d, d.disp + this.#popBias(row, d));
      this.#words[(at + RECORD.imm) >> 2] = operandBytes(shape.memory, d.size) | (write ? CHECK.write : 0);
      this.at += RECORD.bytes;
      checked = true;
    }
    if (shape.source) checked = this.#stringCheck(d, shape.source, GPR.esi, d.segment, false, offset) || checked;
    if (shape.destination && !flat) {
      const writes = this.#use[op]?.writes === true;
      checked = this.#stringCheck(d, shape.destination, GPR.edi, SEG.es, writes, offset) || checked;
    }
    return checked;
  }

  #stringCheck(d: Decoded, o: OperandSpec, register: number, segment: number, write: boolean, offset: number): boolean {
    this.#clear(MICRO.check, offset, d.length);
    const at = this.at;
    this.#halves[(at + RECORD.base) >> 1] = registerSlots.general(this.#stateAt, register);
    this.#halves[(at + RECORD.segment) >> 1] = registerSlots.segment(this.#stateAt, segment);
    const repeated = d.rep === 'none' ? 0 : CHECK.ifCount;
    this.#words[(at + RECORD.imm) >> 2] = operandBytes(o, d.size) | (write ? CHECK.write : 0) | repeated;
    this.#words[(at + RECORD.mask) >> 2] = d.addressSize === 16 ? 0xffff : -1;
    this.at += RECORD.bytes;
    return true;
  }

  #address(at: number, d: Decoded, disp: number): void {
    if (d.base >= 0) this.#halves[(at + RECORD.base) >> 1] = registerSlots.general(this.#stateAt, d.base);
    if (d.index >= 0) this.#halves[(at + RECORD.index) >> 1] = registerSlots.general(this.#stateAt, d.index);
    this.#bytes[at + RECORD.shift] = d.scale;
    this.#words[(at + RECORD.disp) >> 2] = disp;
    this.#words[(at + RECORD.mask) >> 2] = d.addressSize === 16 ? 0xffff : -1;
  }

  #slot(kind: Shape['reg'], n: number, rex: boolean): number {
    switch (kind) {
      case 'byte':
        return registerSlots.byte(this.#stateAt, n, rex);
      case 'xmm':
        return registerSlots.xmm(this.#stateAt, n);
      case 'mmx':
        return registerSlots.mmx(this.#stateAt, n & 7);
      default:
        return registerSlots.general(this.#stateAt, n);
    }
  }

  /** Everything but the two registers of ModRM. Two or three of a record's fields at once: see RECORD. */
  #clear(op: number, offset: number, length: number): void {
    const words = this.#words;
    const first = this.at >> 2;
    words[first + (RECORD.op >> 2)] = op | (length << 16);
    words[first + (RECORD.base >> 2)] = this.#zero | (this.#zero << 16);
    words[first + (RECORD.segment >> 2)] = this.#data | (offset << 16);
    words[first + (RECORD.disp >> 2)] = 0;
    words[first + (RECORD.imm >> 2)] = 0;
    words[first + (RECORD.imm2 >> 2)] = 0;
    words[first + (RECORD.mask >> 2)] = -1;
  }
}

/** By the bytes of an x87 environment with and without registers: what the 16-bit image lacks (SDM Vol. 1, 8.1.10). */
const SHORTER_IN_16_BITS: Readonly<Record<string, number>> = { 28: 14, 108: 14 };

/** Bytes of a memory operand (row.ts, types). */
export function operandBytes(o: OperandSpec, size: number): number {
  const counted = /^n(\d+)$/.exec(o.type);
  if (counted) return Number(counted[1]) - (size === 16 ? (SHORTER_IN_16_BITS[counted[1]] ?? 0) : 0);
  switch (o.type) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'q':
      return 8;
    case 'x':
    case 'dq':
      return 16;
    case 'qq':
      return 32;
    case 't':
      return 10;
    case 'p':
      return size / 8 + 2;
    case 'yy':
      return size === 64 ? 16 : 8;
    case 's':
      return size === 64 ? 10 : 6;
    case 'a':
      return size / 4;
    case 'v':
    case 'z':
    case 'y':
      return size / 8;
    default:
      return 1;
  }
}
