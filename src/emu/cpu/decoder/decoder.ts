/**
 * Instruction decoder.
 * Source: SDM Vol. 2A, chapter 2.1 (prefixes, ModRM, SIB, displacement, immediate; tables 2-1 to 2-3), 2.2.1 (REX), 2.3 (VEX).
 * Not modelled: EVEX prefixes (AVX-512).
 */
import type { AddressWidth, Width } from '../isa/ops.ts';
import type { Row } from '../isa/row.ts';
import { featuresOf, formFeaturesOf } from '../isa/row-features.ts';
import { GPR, SEG } from '../state/layout.ts';
import type { Feature } from '../system/cpu-features.ts';
import { DECODE, type Decoded, type DecodeStatus } from './decoded.ts';
import { BY_MODRM, MAP, NO_ROW, OpcodeMap, PREFIX, parseOpcode, vexMap } from './opcode-map.ts';
import { IMMEDIATE, immediateLayout, operandSizes, parseOperands } from './operands.ts';

const VEX3 = 0xc4;
const VEX2 = 0xc5;

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
  /** 66h does not make it 16. */
  no16: 1 << 11,
  /** 64-bit code: 64 without REX.W. */
  default64: 1 << 12,
  /** REX.W does not widen it. */
  no64: 1 << 13,
  /** VEX.vvvv names a register; else it must be 1111b. */
  vvvv: 1 << 14,
  /** The index of the memory operand is a vector. */
  vsib: 1 << 15,
  /** The form with 64-bit operands is not announced. */
  notWide: 1 << 24,
  /** The form whose ModRM names a register is not announced. */
  notRegister: 1 << 25,
} as const;
/** Bits 16-22: the only operand size, 0 = by the prefixes. */
const SIZE_SHIFT = 16;
const SIZE_MASK = 127;

type Announced = (feature: Feature) => boolean;

const describe = (row: Row, long: boolean, announced: Announced): number => {
  const sizes = operandSizes(row, long);
  const operands = parseOperands(row);
  const spec = parseOpcode(row);
  const forms = formFeaturesOf(row);
  return (
    immediateLayout(row) |
    (spec.modrm ? HAS.modrm : 0) |
    (operands.some((o) => o.kind === 'C' || o.kind === 'D') ? HAS.modIgnored : 0) |
    (operands.some((o) => o.kind === 'O') ? HAS.moffs : 0) |
    (spec.register ? HAS.opcodeRegister : 0) |
    (row.options.lock ? HAS.lock : 0) |
    (row.options.rep === 'rep' ? HAS.rep : 0) |
    (row.options.rep === 'repz' ? HAS.repz : 0) |
    (sizes.includes(16) ? 0 : HAS.no16) |
    (sizes.includes(32) ? 0 : HAS.default64) |
    (sizes.includes(64) ? 0 : HAS.no64) |
    (operands.some((o) => o.kind === 'H' || o.kind === 'B') ? HAS.vvvv : 0) |
    (row.options.vsib ? HAS.vsib : 0) |
    (forms.wide.every(announced) ? 0 : HAS.notWide) |
    (forms.register.every(announced) ? 0 : HAS.notRegister) |
    (sizes.length === 1 ? sizes[0] << SIZE_SHIFT : 0)
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
  addressSize: 32,
  rex: false,
  rep: 'none',
  lock: false,
  segment: SEG.ds,
  memory: false,
  base: -1,
  index: -1,
  scale: 0,
  disp: 0,
  dispHigh: 0,
  ripRelative: false,
  reg: 0,
  rm: 0,
  vvvv: 0,
  imm: 0,
  immHigh: 0,
  imm2: 0,
});

/** Lookup tables of one kind of code. */
interface Tables {
  readonly opcodes: Int32Array;
  readonly byModrm: Int16Array;
  readonly row: Int32Array;
}

const tablesOf = (rows: readonly Row[], long: boolean, announced: Announced): Tables => ({
  ...new OpcodeMap(rows, long, (row) => featuresOf(row, long).every(announced)),
  row: Int32Array.from(rows, (row) => describe(row, long, announced)),
});

export class Decoder {
  readonly rows: readonly Row[];
  /** What of the rows' features is not announced. */
  readonly hidden: ReadonlySet<Feature>;
  readonly #legacy: Tables;
  readonly #long: Tables;
  /** By one-byte opcode: the row that is meant with REX.B, or NO_ROW. */
  readonly #withRexB = new Int16Array(256).fill(NO_ROW);

  /**
   * @param announced the features that CPUID announces: the rows of others do not exist; without it all do
   * @throws Error when a row is written wrongly, or when two rows claim one encoding
   */
  constructor(rows: readonly Row[], announced: (feature: Feature) => boolean = () => true) {
    this.rows = rows;
    const hidden = new Set<Feature>();
    const asked = (feature: Feature): boolean => {
      const has = announced(feature);
      if (!has) hidden.add(feature);
      return has;
    };
    this.#legacy = tablesOf(rows, false, asked);
    this.#long = tablesOf(rows, true, asked);
    this.hidden = hidden;
    rows.forEach((row, index) => {
      if (row.options.rexB) this.#withRexB[parseOpcode(row).opcode] = index;
    });
  }

  /**
   * Decodes the instruction at `bytes[at]`, looking no further than `bytes[end - 1]`.
   * @param codeSize 64 in 64-bit mode, else 32 or 16 by the code segment's D flag
   * @param out filled in; with a status other than `ok` only `length` (bytes looked at) and `row` (undefined) count
   */
  decode(bytes: Uint8Array, at: number, end: number, codeSize: AddressWidth, out: Decoded): DecodeStatus {
    const limit = Math.min(end, at + MAX_INSTRUCTION_BYTES);
    const long = codeSize === 64;
    const tables = long ? this.#long : this.#legacy;
    out.row = undefined;
    out.rowIndex = -1;
    out.memory = false;
    out.base = -1;
    out.index = -1;
    out.scale = 0;
    out.disp = 0;
    out.dispHigh = 0;
    out.ripRelative = false;
    out.reg = 0;
    out.rm = 0;
    out.vvvv = 0;
    out.imm = 0;
    out.immHigh = 0;
    out.imm2 = 0;

    let p = at;
    let operandPrefix = false;
    let addressPrefix = false;
    let rex = 0;
    let repeat = 0;
    let lock = false;
    let segment = -1;
    let opcode = 0;
    for (;;) {
      if (p >= limit) return this.#short(at, p, end, out);
      opcode = bytes[p++];
      const prefix = PREFIX_OF[opcode];
      if (prefix === 0) {
        if (!long || (opcode & 0xf0) !== 0x40) break;
        rex = opcode;
        continue;
      }
      // A REX prefix counts only right before the opcode.
      rex = 0;
      if (prefix >= IS.segment) {
        if (!long || prefix - IS.segment >= SEG.fs) segment = prefix - IS.segment;
      } else if (prefix === IS.operandSize) operandPrefix = true;
      else if (prefix === IS.addressSize) addressPrefix = true;
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
    let mandatory: number =
      repeat === IS.rep
        ? PREFIX.repe
        : repeat === IS.repne
          ? PREFIX.repne
          : operandPrefix
            ? PREFIX.operandSize
            : PREFIX.none;
    let vvvv = 0;
    if (map === 0 && (opcode === VEX3 || opcode === VEX2)) {
      if (p >= limit) return this.#short(at, p, end, out);
      // Outside 64-bit mode LES and LDS with a memory operand.
      if (long || bytes[p] >= 0xc0) {
        const wrong = repeat !== 0 || operandPrefix || lock || rex !== 0;
        let payload = bytes[p++];
        map = MAP.two;
        rex = long ? (~payload >> 5) & 4 : 0;
        if (opcode === VEX3) {
          map = payload & 31;
          if (long) rex = (~payload >> 5) & 7;
          if (p >= limit) return this.#short(at, p, end, out);
          payload = bytes[p++];
          rex |= (payload >> 4) & 8;
        }
        if (p >= limit) return this.#short(at, p, end, out);
        opcode = bytes[p++];
        if (wrong || map < MAP.two || map > MAP.three3A) {
          out.length = p - at;
          return DECODE.undefined;
        }
        mandatory = payload & 3;
        vvvv = (~payload >> 3) & 15;
        map = vexMap(map, (payload >> 2) & 1, rex >> 3);
      }
    }
    let found = tables.opcodes[(((map << 2) | mandatory) << 8) | opcode];
    let modrm = 0;
    if (found >= BY_MODRM) {
      if (p >= limit) return this.#short(at, p, end, out);
      modrm = bytes[p++];
      found = tables.byModrm[found - BY_MODRM + modrm];
    }
    if ((rex & 1) !== 0 && map === 0 && this.#withRexB[opcode] !== NO_ROW) found = this.#withRexB[opcode];
    if (found === NO_ROW) {
      out.length = p - at;
      return DECODE.undefined;
    }
    const row = tables.row[found];
    if ((row & HAS.vvvv) !== 0) out.vvvv = long ? vvvv : vvvv & 7;
    else if (vvvv !== 0) {
      out.length = p - at;
      return DECODE.undefined;
    }
    const size = ((row >>> SIZE_SHIFT) & SIZE_MASK || sizeBy(row, codeSize, operandPrefix, (rex & 8) !== 0)) as Width;
    const addressSize = !addressPrefix ? codeSize : codeSize === 32 ? 16 : 32;
    const rexB = (rex & 1) << 3;
    let defaultSegment: number = SEG.ds;

    if ((row & HAS.modrm) !== 0) {
      out.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      const rm = modrm & 7;
      const mod = (row & HAS.modIgnored) !== 0 ? 3 : modrm >> 6;
      if (mod === 3) out.rm = rm | rexB;
      else {
        out.memory = true;
        let dispBytes = mod === 2 ? 2 : mod;
        let base = rm;
        if (addressSize !== 16) {
          if (mod === 2) dispBytes = 4;
          if (rm === 4) {
            if (p >= limit) return this.#short(at, p, end, out);
            const sib = bytes[p++];
            base = sib & 7;
            const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
            if (index !== GPR.esp || (row & HAS.vsib) !== 0) {
              out.index = index;
              out.scale = sib >> 6;
            }
          }
          if (base === GPR.ebp && mod === 0) {
            out.ripRelative = long && rm !== 4;
            base = -1;
            dispBytes = 4;
          } else base |= rexB;
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
          else out.disp = dword(bytes, p);
          p += dispBytes;
        }
      }
    } else if ((row & HAS.opcodeRegister) !== 0) out.reg = (opcode & 7) | rexB;
    else if ((row & HAS.moffs) !== 0) {
      const addressBytes = addressSize / 8;
      if (p + addressBytes > limit) return this.#short(at, p, end, out);
      out.memory = true;
      out.disp = addressSize === 16 ? bytes[p] | (bytes[p + 1] << 8) : dword(bytes, p);
      if (addressSize === 64) out.dispHigh = dword(bytes, p + 4);
      p += addressBytes;
    }

    const layout = row & IMMEDIATE_MASK;
    if (layout !== IMMEDIATE.none) {
      const after = p + immediateBytes(layout, size);
      if (after > limit) return this.#short(at, p, end, out);
      const low = bytes[p];
      if (layout === IMMEDIATE.byte) {
        out.imm = low;
        // Bits 7 to 4 may be a register (operand L).
        if ((row & HAS.vvvv) !== 0) out.imm2 = long ? low >> 4 : (low >> 4) & 7;
      } else if (layout === IMMEDIATE.signedByte) out.imm = (low << 24) >> 24;
      else {
        const word = low | (bytes[p + 1] << 8);
        if (layout === IMMEDIATE.word) out.imm = word;
        else if (layout === IMMEDIATE.wordAndByte) {
          out.imm = word;
          out.imm2 = bytes[p + 2];
        } else {
          const wide = size !== 16 || layout === IMMEDIATE.dword;
          if (wide) out.imm = dword(bytes, p);
          else out.imm = layout === IMMEDIATE.relative ? (word << 16) >> 16 : word;
          if (layout === IMMEDIATE.far) out.imm2 = bytes[after - 2] | (bytes[after - 1] << 8);
        }
      }
      out.immHigh = layout === IMMEDIATE.full && size === 64 ? dword(bytes, p + 4) : out.imm >> 31;
      p = after;
    }

    out.length = p - at;
    if ((row & HAS.vsib) !== 0) {
      // There must be an index, and the three vectors must differ.
      const { index, reg } = out;
      if (index < 0 || addressSize === 16 || index === reg || index === out.vvvv || reg === out.vvvv)
        return DECODE.undefined;
    }
    if ((row & (HAS.notWide | HAS.notRegister)) !== 0) {
      if ((row & HAS.notWide) !== 0 && size === 64) return DECODE.undefined;
      if ((row & HAS.notRegister) !== 0 && !out.memory) return DECODE.undefined;
    }
    if (lock && !((row & HAS.lock) !== 0 && out.memory)) return DECODE.undefined;
    out.lock = lock;
    out.row = this.rows[found];
    out.rowIndex = found;
    out.size = size;
    out.addressSize = addressSize;
    out.rex = rex !== 0;
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

/** The operand size of a row that has several, by the prefixes. */
function sizeBy(row: number, codeSize: AddressWidth, prefix: boolean, wide: boolean): Width {
  if (wide) return (row & HAS.no64) === 0 ? 64 : 32;
  if ((row & HAS.no16) === 0 && prefix !== (codeSize === 16)) return 16;
  return codeSize === 64 && (row & HAS.default64) !== 0 ? 64 : 32;
}

const dword = (bytes: Uint8Array, at: number): number =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);

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
    case IMMEDIATE.full:
      return size / 8;
    default:
      return size === 16 ? 2 : 4;
  }
}
