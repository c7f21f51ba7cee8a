/**
 * Opcode maps made from the instruction table: which row is meant by a map, a mandatory prefix, an opcode and a ModRM byte.
 * Source: SDM Vol. 2A, 2.1 (instruction format); Vol. 2D, appendix A (opcode maps, mandatory prefixes, extensions).
 */
import type { Row } from '../isa/row.ts';
import { parseOperands } from './operands.ts';

/** By escape: one-byte opcodes, 0F, 0F 38, 0F 3A. */
export const MAP = { one: 0, two: 1, three38: 2, three3A: 3 } as const;
/** VEX opcodes have maps of their own, by map (0F, 0F 38, 0F 3A), VEX.L and VEX.W. */
export const vexMap = (map: number, l: number, w: number): number => 4 * map + 2 * l + w;
/** Mandatory prefix, as far as rows tell: F3 and F2 win over 66. */
export const PREFIX = { none: 0, operandSize: 1, repe: 2, repne: 3 } as const;

const PREFIX_NAMES = ['NP', '66', 'F3', 'F2'];
const MAPS = 16;
const OPCODES = 256;

/** A row's `opcode` taken apart. */
export interface OpcodeSpec {
  readonly map: number;
  /** VEX prefix: the values of VEX.L and VEX.W that mean this row. */
  readonly vex: { readonly l: readonly number[]; readonly w: readonly number[] } | undefined;
  /** Value of PREFIX, or undefined: matches with every prefix. */
  readonly prefix: number | undefined;
  readonly opcode: number;
  /** `+r`: eight opcodes from `opcode` on. */
  readonly register: boolean;
  readonly extension: number | undefined;
  readonly mod: 'register' | 'memory' | undefined;
  /** The whole ModRM byte. */
  readonly exact: number | undefined;
  /** A ModRM byte follows the opcode. */
  readonly modrm: boolean;
}

const fail = (row: Row, what: string): never => {
  throw new Error(`row ${row.opcode} ${row.mnemonic}: ${what}`);
};

const VEX = /^VEX\.(128|256|L0|L1|LIG)(?:\.(66|F3|F2))?\.(0F|0F38|0F3A)\.(WIG|W0|W1)$/;
const VEX_L: Readonly<Record<string, readonly number[]>> = { '128': [0], L0: [0], '256': [1], L1: [1], LIG: [0, 1] };
const VEX_W: Readonly<Record<string, readonly number[]>> = { WIG: [0, 1], W0: [0], W1: [1] };
const VEX_MAPS = ['', '0F', '0F38', '0F3A'];

/** Rows are asked about many times while tables are made. */
const parsed = new WeakMap<Row, OpcodeSpec>();

/** @throws Error when the row is written wrongly */
export function parseOpcode(row: Row): OpcodeSpec {
  let found = parsed.get(row);
  if (found === undefined) {
    found = parse(row);
    parsed.set(row, found);
  }
  return found;
}

function parse(row: Row): OpcodeSpec {
  const tokens = row.opcode.split(' ');
  const isByte = (token: string | undefined): boolean => token !== undefined && /^[0-9A-F]{2}$/.test(token);
  let at = 0;
  let prefix: number | undefined;
  if (PREFIX_NAMES.includes(tokens[0]) && isByte(tokens[1])) prefix = PREFIX_NAMES.indexOf(tokens[at++]);
  let map: number = MAP.one;
  let vex: OpcodeSpec['vex'];
  if (tokens[0].startsWith('VEX')) {
    const [, l, mandatory = 'NP', opcodes, w] = VEX.exec(tokens[at++]) ?? fail(row, 'no VEX prefix is written so');
    prefix = PREFIX_NAMES.indexOf(mandatory);
    map = VEX_MAPS.indexOf(opcodes);
    vex = { l: VEX_L[l] ?? [], w: VEX_W[w] ?? [] };
  }
  if (vex === undefined && tokens[at] === '0F') {
    at++;
    map = MAP.two;
    if ((tokens[at] === '38' || tokens[at] === '3A') && isByte(tokens[at + 1]))
      map = tokens[at++] === '38' ? MAP.three38 : MAP.three3A;
  }
  if (!isByte(tokens[at])) fail(row, 'no opcode');
  const opcode = Number.parseInt(tokens[at++], 16);
  let register = false;
  let extension: number | undefined;
  let mod: OpcodeSpec['mod'];
  let exact: number | undefined;
  for (const token of tokens.slice(at)) {
    if (token === '+r') register = true;
    else if (/^\/[0-7]$/.test(token)) extension = Number(token[1]);
    else if (token === 'r') mod = 'register';
    else if (token === 'm') mod = 'memory';
    else if (isByte(token)) exact = Number.parseInt(token, 16);
    else fail(row, `cannot read ${JSON.stringify(token)}`);
  }
  const operands = parseOperands(row);
  const control = operands.some((o) => o.kind === 'C' || o.kind === 'D');
  const memoryOnly = operands.some((o) => o.kind === 'M');
  const registerOnly = !control && operands.some((o) => 'RUN'.includes(o.kind));
  if ((memoryOnly && mod === 'register') || (registerOnly && mod === 'memory')) fail(row, 'operands contradict r or m');
  if (memoryOnly) mod = 'memory';
  if (registerOnly) mod = 'register';
  const named = operands.some((o) => 'EGMRSCDVWUPQNHB'.includes(o.kind));
  const modrm = named || extension !== undefined || mod !== undefined || exact !== undefined;
  if (register && (modrm || (opcode & 7) !== 0))
    fail(row, '+r with a ModRM byte, or an opcode that is no multiple of 8');
  return { map, vex, prefix, opcode, register, extension, mod, exact, modrm };
}

const matchesModrm = (spec: OpcodeSpec, modrm: number): boolean => {
  if (spec.exact !== undefined) return spec.exact === modrm;
  if (spec.extension !== undefined && spec.extension !== ((modrm >> 3) & 7)) return false;
  return spec.mod === undefined || (spec.mod === 'register') === modrm >= 0xc0;
};

const mapsOf = ({ map, vex }: OpcodeSpec): readonly number[] =>
  vex === undefined ? [map] : vex.l.flatMap((l) => vex.w.map((w) => vexMap(map, l, w)));

/** Of two rows that match, the one with more conditions is meant. */
const specificity = (spec: OpcodeSpec): number =>
  (spec.prefix === undefined ? 0 : 16) +
  (spec.exact === undefined ? 0 : 8) +
  (spec.extension === undefined ? 0 : 4) +
  (spec.mod === undefined ? 0 : 2) +
  (spec.register ? 0 : 1);

/** An opcode without rows; a row number is below BY_MODRM, a table of 256 row numbers is BY_MODRM + its offset. */
export const NO_ROW = -1;
export const BY_MODRM = 1 << 16;

interface Entry {
  readonly spec: OpcodeSpec;
  readonly index: number;
}

/** Finds rows by two array reads. */
export class OpcodeMap {
  /** By `(map * 4 + prefix) * 256 + opcode`: NO_ROW, a row number, or BY_MODRM + an offset into `byModrm`. */
  readonly opcodes: Int32Array<ArrayBuffer>;
  /** Row number or NO_ROW by offset + ModRM byte. */
  readonly byModrm: Int16Array<ArrayBuffer>;

  /**
   * @param long of 64-bit code, else of the other modes
   * @param known rows that this processor knows; the others mean what the rest says of their encoding
   * @throws Error when rows are written wrongly, or when two claim the same encoding
   */
  constructor(rows: readonly Row[], long: boolean, known: (row: Row) => boolean) {
    const buckets = new Map<number, Entry[]>();
    rows.forEach((row, index) => {
      if ((long ? row.options.not64 : row.options.only64) || !known(row)) return;
      const spec = parseOpcode(row);
      for (let i = 0; i < (spec.register ? 8 : 1); i++) {
        for (const map of mapsOf(spec)) {
          const key = map * OPCODES + spec.opcode + i;
          const bucket = buckets.get(key);
          if (bucket) bucket.push({ spec, index });
          else buckets.set(key, [{ spec, index }]);
        }
      }
    });
    this.opcodes = new Int32Array(MAPS * PREFIX_NAMES.length * OPCODES).fill(NO_ROW);
    const tables: Int16Array[] = [];
    /** Most opcodes have the same rows with every prefix. */
    const made = new Map<string, number>();
    for (const [key, bucket] of buckets) {
      for (let prefix = 0; prefix < PREFIX_NAMES.length; prefix++) {
        const fitting = bucket.filter(({ spec }) => spec.prefix === undefined || spec.prefix === prefix);
        if (fitting.length === 0) continue;
        const at = (Math.trunc(key / OPCODES) * PREFIX_NAMES.length + prefix) * OPCODES + (key % OPCODES);
        if (!bucket.some(({ spec }) => spec.modrm)) {
          this.opcodes[at] = choose(rows, fitting);
          continue;
        }
        const odd = bucket.find(({ spec }) => !spec.modrm);
        if (odd) fail(rows[odd.index], 'has no ModRM byte, other rows of its opcode do');
        const same = fitting.map(({ index }) => index).join();
        let offset = made.get(same);
        if (offset === undefined) {
          offset = tables.push(tableOf(rows, fitting)) * 256 - 256;
          made.set(same, offset);
        }
        this.opcodes[at] = BY_MODRM + offset;
      }
    }
    this.byModrm = new Int16Array(tables.length * 256);
    tables.forEach((table, i) => {
      this.byModrm.set(table, i * 256);
    });
  }
}

/** Row by ModRM byte. */
function tableOf(rows: readonly Row[], entries: readonly Entry[]): Int16Array {
  const of = (modrm: number): number =>
    choose(
      rows,
      entries.filter(({ spec }) => matchesModrm(spec, modrm)),
    );
  if (entries.some(({ spec }) => spec.exact !== undefined))
    return Int16Array.from({ length: 256 }, (_, modrm) => of(modrm));
  // Otherwise only the extension counts, and whether a register is named.
  const memory = Array.from({ length: 8 }, (_, extension) => of(extension << 3));
  const register = Array.from({ length: 8 }, (_, extension) => of(0xc0 | (extension << 3)));
  return Int16Array.from({ length: 256 }, (_, modrm) => (modrm < 0xc0 ? memory : register)[(modrm >> 3) & 7]);
}

function choose(rows: readonly Row[], entries: readonly Entry[]): number {
  let best: Entry | undefined;
  let rival: Entry | undefined;
  for (const entry of entries) {
    const more = best ? specificity(entry.spec) - specificity(best.spec) : 1;
    if (more > 0) {
      best = entry;
      rival = undefined;
    } else if (more === 0) rival = entry;
  }
  if (best && rival) {
    const name = ({ index }: Entry): string => `${rows[index].opcode} ${rows[index].mnemonic} ${rows[index].operands}`;
    throw new Error(`two rows claim one encoding: ${name(best)} and ${name(rival)}`);
  }
  return best?.index ?? NO_ROW;
}
