/**
 * Text of an instruction, for traces: Intel syntax in lower case, numbers as `10h` (below 10 in decimal).
 * Source: SDM Vol. 2, the instructions' own notation. Not modelled: prefixes without effect are not shown.
 */
import { unreachable } from '#base/errors.ts';
import type { AddressWidth } from '../isa/ops.ts';
import type { Row } from '../isa/row.ts';
import { GPR, SEG } from '../state/layout.ts';
import { DECODE, type Decoded } from './decoded.ts';
import { type Decoder, newDecoded } from './decoder.ts';
import { type OperandSpec, parseOperands } from './operands.ts';

const BYTE_REGISTERS = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'] as const;
const WORD_REGISTERS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;

const LOW_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'] as const;
const SUFFIX: Readonly<Record<number, string>> = { 8: 'b', 16: 'w', 32: 'd', 64: '' };

/** @param rex a REX prefix makes 4..7 SPL to DIL */
const general = (bits: number, n: number, rex = false): string => {
  if (n >= 8) return `r${n}${SUFFIX[bits]}`;
  if (bits === 8) return (rex ? LOW_BYTES : BYTE_REGISTERS)[n];
  return bits === 16 ? WORD_REGISTERS[n] : `${bits === 64 ? 'r' : 'e'}${WORD_REGISTERS[n]}`;
};
const vector = (type: string, n: number): string => `${type === 'qq' ? 'y' : 'x'}mm${n}`;

const text = (digitsOf: string): string => `${digitsOf[0] > '9' ? '0' : ''}${digitsOf}h`;
/** @param value taken as unsigned 32 bits */
const hex = (value: number, digits = 0): string => {
  const unsigned = value >>> 0;
  if (unsigned < 10) return `${unsigned}`;
  return text(unsigned.toString(16).toUpperCase().padStart(digits, '0'));
};
/** @param value taken as unsigned 64 bits */
const hex64 = (value: bigint, digits = 0): string => {
  const unsigned = BigInt.asUintN(64, value);
  if (unsigned < 10n) return `${unsigned}`;
  return text(unsigned.toString(16).toUpperCase().padStart(digits, '0'));
};
const joined = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low >>> 0);
const truncate = (value: number, bits: number): number => (bits >= 32 ? value : value & (2 ** bits - 1));

/** Bits of a general register operand or immediate. */
const operandBits = (type: string, size: number): number => {
  if (type === 'b') return 8;
  if (type === 'w') return 16;
  if (type === 'd') return 32;
  if (type === 'q') return 64;
  if (type === 'y') return size === 64 ? 64 : 32;
  return size;
};

const MEMORY_NAMES: Readonly<Record<string, string>> = {
  b: 'byte',
  w: 'word',
  d: 'dword',
  q: 'qword',
  x: 'xmmword',
  dq: 'oword',
  qq: 'ymmword',
  t: 'tbyte',
  s: 'fword',
};
const memoryName = (type: string, size: number): string => {
  if (type === 'v' || type === 'z' || type === 'y') return size === 16 ? 'word' : size === 64 ? 'qword' : 'dword';
  if (type === 'yy') return size === 64 ? 'oword' : 'qword';
  if (type === 'p') return size === 16 ? 'dword' : size === 64 ? 'tbyte' : 'fword';
  if (type === 's') return size === 64 ? 'tbyte' : 'fword';
  if (type === 'a') return size === 16 ? 'dword' : 'qword';
  return MEMORY_NAMES[type] ?? '';
};

/** @param next address of the next instruction, for RIP-relative ones */
const addressText = (d: Decoded, next: number): string => {
  const bits = d.addressSize;
  const stack = d.base === GPR.esp || d.base === GPR.ebp;
  const parts: string[] = [];
  if (d.base >= 0) parts.push(general(bits, d.base));
  const vsib = d.row?.options.vsib;
  if (d.index >= 0)
    parts.push((vsib ? vector(vsib, d.index) : general(bits, d.index)) + (d.scale > 0 ? `*${1 << d.scale}` : ''));
  const absolute = parts.length === 0;
  let inside = parts.join('+');
  if (absolute) inside = absoluteText(d, next);
  else if (d.disp < 0) inside += `-${hex(-d.disp)}`;
  else if (d.disp > 0) inside += `+${hex(d.disp)}`;
  const flat = bits === 64 || d.ripRelative;
  const usual = d.segment === (stack ? SEG.ss : SEG.ds);
  return `${(!absolute || flat) && usual ? '' : `${SEGMENTS[d.segment]}:`}[${inside}]`;
};

const absoluteText = (d: Decoded, next: number): string => {
  if (d.ripRelative) {
    const target = BigInt(next) + BigInt(d.disp);
    return d.addressSize === 32 ? hex(Number(BigInt.asIntN(32, target))) : hex64(target);
  }
  if (d.addressSize === 64) return hex64(d.row?.operands.includes('O') ? joined(d.disp, d.dispHigh) : BigInt(d.disp));
  return hex(truncate(d.disp, d.addressSize));
};

const memoryText = (o: OperandSpec, d: Decoded, next: number): string => {
  const name = memoryName(o.type, d.size);
  return (name === '' ? '' : `${name} ptr `) + addressText(d, next);
};

const fixedText = (o: OperandSpec, d: Decoded): string => {
  if (o.fixed === 'eAX') return general(d.size, GPR.eax);
  if (o.fixed === 'ST0') return 'st';
  if (o.fixed === 'STi') return `st(${d.rm & 7})`;
  return o.text.toLowerCase();
};

const immediateText = (o: OperandSpec, d: Decoded): string => {
  const bits = operandBits(o.type, d.size);
  return bits === 64 ? hex64(joined(d.imm, d.immHigh)) : hex(truncate(d.imm, bits));
};

/** @param next address of the next instruction */
const operandText = (o: OperandSpec, d: Decoded, next: number): string => {
  switch (o.kind) {
    case 'fixed':
      return fixedText(o, d);
    case 'I':
      return immediateText(o, d);
    case 'J':
      if (d.size === 64) return hex64(BigInt(next) + BigInt(d.imm), 16);
      return hex(truncate(next + d.imm, d.size), d.size / 4);
    case 'A':
      return `${hex(d.imm2, 4)}:${hex(d.imm, d.size / 4)}`;
    case 'O':
    case 'M':
      return memoryText(o, d, next);
    case 'G':
    case 'Z':
      return general(operandBits(o.type, d.size), d.reg, d.rex);
    case 'S':
      return SEGMENTS[d.reg & 7];
    case 'C':
      return `cr${d.reg}`;
    case 'D':
      return `dr${d.reg}`;
    case 'V':
      return vector(o.type, d.reg);
    case 'H':
      return vector(o.type, d.vvvv);
    case 'L':
      return vector(o.type, d.imm2);
    case 'B':
      return general(operandBits(o.type, d.size), d.vvvv);
    case 'P':
      return `mm${d.reg & 7}`;
    case 'U':
      return vector(o.type, d.rm);
    case 'N':
      return `mm${d.rm & 7}`;
    case 'R':
      return general(operandBits(o.type, d.size), d.rm, d.rex);
    case 'E':
      return d.memory ? memoryText(o, d, next) : general(operandBits(o.type, d.size), d.rm, d.rex);
    case 'W':
      return d.memory ? memoryText(o, d, next) : vector(o.type, d.rm);
    case 'Q':
      return d.memory ? memoryText(o, d, next) : `mm${d.rm & 7}`;
    default:
      return unreachable(`operand ${o.text} has no text`);
  }
};

/** Of `word|dword|qword` names: by operand size, for JCXZ by address size. */
const mnemonicText = (row: Row, d: Decoded): string => {
  const [word, dword = word, qword = dword] = row.mnemonic.split('|');
  const bits = row.mnemonic.startsWith('jcxz') ? d.addressSize : d.size;
  return bits === 64 ? qword : bits === 32 ? dword : word;
};

/** Rows that repeat are string instructions: a segment prefix shows only here. */
const prefixText = (row: Row, d: Decoded): string => {
  const segment = row.options.rep && d.segment !== SEG.ds ? `${SEGMENTS[d.segment]} ` : '';
  const repeat = d.rep === 'rep' && row.options.rep === 'repz' ? 'repe' : d.rep;
  return segment + (d.lock ? 'lock ' : '') + (repeat === 'none' ? '' : `${repeat} `);
};

/**
 * Text of what `decode` found. String instructions are shown without operands.
 * @param address EIP of the instruction, for branch targets
 */
export function decodedText(d: Decoded, address: number): string {
  const row = d.row ?? unreachable('an undefined instruction has no text');
  const operands = operandsText(d, address);
  const name = prefixText(row, d) + mnemonicText(row, d);
  return operands === '' ? name : `${name} ${operands}`;
}

/** The operands alone; empty for string instructions. */
export function operandsText(d: Decoded, address: number): string {
  const row = d.row ?? unreachable('an undefined instruction has no text');
  const specs = parseOperands(row);
  if (specs.some((o) => o.kind === 'X' || o.kind === 'Y')) return '';
  // The second immediate of ENTER is not the first.
  if (row.operands === 'Iw,Ib') return `${hex(d.imm)}, ${hex(d.imm2)}`;
  return specs.map((o) => operandText(o, d, address + d.length)).join(', ');
}

const WHY = new Map<number, string>([
  [DECODE.needMore, '(cut off)'],
  [DECODE.tooLong, '(longer than 15 bytes)'],
  [DECODE.undefined, '(undefined)'],
]);

/**
 * Text and length in bytes of the instruction at `bytes[at]`; a text in parentheses where there is none.
 * @param address EIP of the instruction, for branch targets
 */
export function disassemble(
  bytes: Uint8Array,
  at: number,
  address: number,
  codeSize: AddressWidth,
  decoder: Decoder,
): { text: string; length: number } {
  const d = newDecoded();
  const status = decoder.decode(bytes, at, bytes.length, codeSize, d);
  return { text: WHY.get(status) ?? decodedText(d, address), length: d.length };
}
