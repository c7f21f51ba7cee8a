/**
 * Instruction decoder of the 16- and 32-bit modes.
 * Source: SDM Vol. 2A, chapter 2.1 (prefixes, ModRM, SIB, displacement, immediate; tables 2-1 to 2-3).
 * Not modelled: REX, VEX and EVEX prefixes (long mode, AVX).
 */
import type { Row } from '../isa/row.ts';
import { GPR, SEG } from '../state/layout.ts';
import { DECODE, type Decoded, type DecodeStatus } from './decoded.ts';
import { BY_MODRM, NO_ROW, OpcodeMap, PREFIX, parseOpcode } from './opcode-map.ts';
import { fixedOperandSize, IMMEDIATE, immediateLayout, parseOperands } from './operands.ts';

/** SDM Vol. 2A, 2.3.11. */
export const MAX_INSTRUCTION_BYTES = 15;

/** What decoding needs of a row, in one word: bits 0-3 are the layout of the immediates. */
const IMMEDIATE_MASK = 15;
const HAS = {
  modrm: 1 << 4,
  /** ModRM names registers whatever its mod field (moves to and from control and debug registers). */
  modIgnored: 1 << 5,
  moffs: 1 << 6,
  opcodeRegister: 1 << 7,
  lock: 1 << 8,
  /** F2 and F3 both repeat. */
  rep: 1 << 9,
  /** F2 and F3 have their own meaning. */
  repz: 1 << 10,
} as const;
/** Bits 16-21: the fixed operand size, 0 = by the prefix. */
const SIZE_SHIFT = 16;

const describe = (row: Row): number => {
  const operands = parseOperands(row);
  const spec = parseOpcode(row);
  return (
    immediateLayout(row) |
    (spec.modrm ? HAS.modrm : 0) |
    (operands.some((o) => o.kind === 'C' || o.kind === 'D') ? HAS.modIgnored : 0) |
    (operands.some((o) => o.kind === 'O') ? HAS.moffs : 0) |
    (spec.register ? HAS.opcodeRegister : 0) |
    (row.options.lock ? HAS.lock : 0) |
    (row.options.rep === 'rep' ? HAS.rep : 0) |
    (row.options.rep === 'repz' ? HAS.repz : 0) |
    ((fixedOperandSize(row) ?? 0) << SIZE_SHIFT)
  );
};

/** By byte: 0 = an opcode. */
const PREFIX_OF = new Uint8Array(256);
const IS = { operandSize: 1, addressSize: 2, repne: 3, rep: 4, lock: 5, segment: 6 } as const;
PREFIX_OF[0x66] = IS.operandSize;
PREFIX_OF[0x67] = IS.addressSize;
PREFIX_OF[0xf2] = IS.repne;
PREFIX_OF[0xf3] = IS.rep;
PREFIX_OF[0xf0] = IS.lock;
for (const [byte, segment] of [
  [0x26, SEG.es],
  [0x2e, SEG.cs],
  [0x36, SEG.ss],
  [0x3e, SEG.ds],
  [0x64, SEG.fs],
  [0x65, SEG.gs],
])
  PREFIX_OF[byte] = IS.segment + segment;

/** 16-bit addressing, by ModRM.rm: base and index (SDM Vol. 2A, table 2-1). */
const BASE_16 = Int8Array.of(GPR.ebx, GPR.ebx, GPR.ebp, GPR.ebp, GPR.esi, GPR.edi, GPR.ebp, GPR.ebx);
const INDEX_16 = Int8Array.of(GPR.esi, GPR.edi, GPR.esi, GPR.edi, -1, -1, -1, -1);

/** A record for `decode` to fill. */
export const newDecoded = (): Decoded => ({
  row: undefined,
  rowIndex: -1,
  length: 0,
  size: 32,
  address32: true,
  rep: 'none',
  lock: false,
  segment: SEG.ds,
  memory: false,
  base: -1,
  index: -1,
  scale: 0,
  disp: 0,
  reg: 0,
  rm: 0,
  imm: 0,
  imm2: 0,
});

export class Decoder {
  readonly rows: readonly Row[];
  readonly #opcodes: Int32Array;
  readonly #byModrm: Int16Array;
  readonly #row: Int32Array;

  /** @throws Error when a row is written wrongly, or when two rows claim one encoding */
  constructor(rows: readonly Row[]) {
    const map = new OpcodeMap(rows);
    this.rows = rows;
    this.#opcodes = map.opcodes;
    this.#byModrm = map.byModrm;
    this.#row = Int32Array.from(rows, describe);
  }

  /**
   * Decodes the instruction at `bytes[at]`, looking no further than `bytes[end - 1]`.
   * @param code32 the code segment's D flag
   * @param out filled in; with a status other than `ok` only `length` (bytes looked at) and `row` (undefined) count
   */
  decode(bytes: Uint8Array, at: number, end: number, code32: boolean, out: Decoded): DecodeStatus {
    const limit = Math.min(end, at + MAX_INSTRUCTION_BYTES);
    out.row = undefined;
    out.rowIndex = -1;
    out.memory = false;
    out.base = -1;
    out.index = -1;
    out.scale = 0;
    out.disp = 0;
    out.reg = 0;
    out.rm = 0;
    out.imm = 0;
    out.imm2 = 0;

    let p = at;
    let operand32 = code32;
    let address32 = code32;
    let operandPrefix = false;
    let repeat = 0;
    let lock = false;
    let segment = -1;
    let opcode = 0;
    for (;;) {
      if (p >= limit) return this.#short(at, p, end, out);
      opcode = bytes[p++];
      const prefix = PREFIX_OF[opcode];
      if (prefix === 0) break;
      if (prefix >= IS.segment) segment = prefix - IS.segment;
      else if (prefix === IS.operandSize) {
        operandPrefix = true;
        operand32 = !code32;
      } else if (prefix === IS.addressSize) address32 = !code32;
      else if (prefix === IS.lock) lock = true;
      else repeat = prefix;
    }
    let map = 0;
    if (opcode === 0x0f) {
      if (p >= limit) return this.#short(at, p, end, out);
      opcode = bytes[p++];
      map = 1;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 2 : 3;
        if (p >= limit) return this.#short(at, p, end, out);
        opcode = bytes[p++];
      }
    }
    const mandatory =
      repeat === IS.rep
        ? PREFIX.repe
        : repeat === IS.repne
          ? PREFIX.repne
          : operandPrefix
            ? PREFIX.operandSize
            : PREFIX.none;
    let found = this.#opcodes[(((map << 2) | mandatory) << 8) | opcode];
    let modrm = 0;
    if (found >= BY_MODRM) {
      if (p >= limit) return this.#short(at, p, end, out);
      modrm = bytes[p++];
      found = this.#byModrm[found - BY_MODRM + modrm];
    }
    if (found === NO_ROW) {
      out.length = p - at;
      return DECODE.undefined;
    }
    const row = this.#row[found];
    const fixedSize = row >>> SIZE_SHIFT;
    const size = fixedSize === 8 ? 8 : fixedSize === 16 ? 16 : fixedSize === 32 || operand32 ? 32 : 16;
    let defaultSegment: number = SEG.ds;

    if ((row & HAS.modrm) !== 0) {
      out.reg = (modrm >> 3) & 7;
      const rm = modrm & 7;
      const mod = (row & HAS.modIgnored) !== 0 ? 3 : modrm >> 6;
      if (mod === 3) out.rm = rm;
      else {
        out.memory = true;
        let dispBytes = mod === 2 ? 2 : mod;
        let base = rm;
        if (address32) {
          if (mod === 2) dispBytes = 4;
          if (rm === 4) {
            if (p >= limit) return this.#short(at, p, end, out);
            const sib = bytes[p++];
            base = sib & 7;
            const index = (sib >> 3) & 7;
            if (index !== GPR.esp) {
              out.index = index;
              out.scale = sib >> 6;
            }
          }
          if (base === GPR.ebp && mod === 0) {
            base = -1;
            dispBytes = 4;
          }
        } else if (mod === 0 && rm === 6) {
          base = -1;
          dispBytes = 2;
        } else {
          base = BASE_16[rm];
          out.index = INDEX_16[rm];
        }
        out.base = base;
        if (base === GPR.esp || base === GPR.ebp) defaultSegment = SEG.ss;
        if (dispBytes !== 0) {
          if (p + dispBytes > limit) return this.#short(at, p, end, out);
          if (dispBytes === 1) out.disp = (bytes[p] << 24) >> 24;
          else if (dispBytes === 2) out.disp = ((bytes[p] | (bytes[p + 1] << 8)) << 16) >> 16;
          else out.disp = bytes[p] | (bytes[p + 1] << 8) | (bytes[p + 2] << 16) | (bytes[p + 3] << 24);
          p += dispBytes;
        }
      }
    } else if ((row & HAS.opcodeRegister) !== 0) out.reg = opcode & 7;
    else if ((row & HAS.moffs) !== 0) {
      const addressBytes = address32 ? 4 : 2;
      if (p + addressBytes > limit) return this.#short(at, p, end, out);
      out.memory = true;
      out.disp = bytes[p] | (bytes[p + 1] << 8);
      if (address32) out.disp |= (bytes[p + 2] << 16) | (bytes[p + 3] << 24);
      p += addressBytes;
    }

    const layout = row & IMMEDIATE_MASK;
    if (layout !== IMMEDIATE.none) {
      const after = p + immediateBytes(layout, size);
      if (after > limit) return this.#short(at, p, end, out);
      const low = bytes[p];
      if (layout === IMMEDIATE.byte) out.imm = low;
      else if (layout === IMMEDIATE.signedByte) out.imm = (low << 24) >> 24;
      else {
        const word = low | (bytes[p + 1] << 8);
        if (layout === IMMEDIATE.word) out.imm = word;
        else if (layout === IMMEDIATE.wordAndByte) {
          out.imm = word;
          out.imm2 = bytes[p + 2];
        } else {
          const wide = size === 32 || layout === IMMEDIATE.dword;
          if (wide) out.imm = word | (bytes[p + 2] << 16) | (bytes[p + 3] << 24);
          else out.imm = layout === IMMEDIATE.relative ? (word << 16) >> 16 : word;
          if (layout === IMMEDIATE.far) out.imm2 = bytes[after - 2] | (bytes[after - 1] << 8);
        }
      }
      p = after;
    }

    out.length = p - at;
    if (lock && !((row & HAS.lock) !== 0 && out.memory)) return DECODE.undefined;
    out.lock = lock;
    out.row = this.rows[found];
    out.rowIndex = found;
    out.size = size;
    out.address32 = address32;
    out.segment = segment >= 0 ? segment : defaultSegment;
    if (repeat === 0 || (row & (HAS.rep | HAS.repz)) === 0) out.rep = 'none';
    else out.rep = (row & HAS.rep) !== 0 || repeat === IS.rep ? 'rep' : 'repne';
    return DECODE.ok;
  }

  /** The bytes given, or the 15 allowed, ended inside the instruction. */
  #short(at: number, p: number, end: number, out: Decoded): DecodeStatus {
    out.length = p - at;
    return end - at < MAX_INSTRUCTION_BYTES ? DECODE.needMore : DECODE.tooLong;
  }
}

function immediateBytes(layout: number, size: number): number {
  switch (layout) {
    case IMMEDIATE.byte:
    case IMMEDIATE.signedByte:
      return 1;
    case IMMEDIATE.word:
      return 2;
    case IMMEDIATE.wordAndByte:
      return 3;
    case IMMEDIATE.dword:
      return 4;
    case IMMEDIATE.far:
      return size === 32 ? 6 : 4;
    default:
      return size === 32 ? 4 : 2;
  }
}
