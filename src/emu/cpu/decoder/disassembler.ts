/**
 * Text of an instruction, for traces: Intel syntax in lower case, numbers as `10h` (below 10 in decimal).
 * Source: SDM Vol. 2, the instructions' own notation. Not modelled: prefixes without effect are not shown.
 */
import { unreachable } from '#base/errors.ts';
import type { Row } from '../isa/row.ts';
import { GPR, SEG } from '../state/layout.ts';
import { DECODE, type Decoded } from './decoded.ts';
import { type Decoder, newDecoded } from './decoder.ts';
import { type OperandSpec, parseOperands } from './operands.ts';

const BYTE_REGISTERS = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'] as const;
const WORD_REGISTERS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;

const general = (bits: number, n: number): string =>
  bits === 8 ? BYTE_REGISTERS[n] : bits === 16 ? WORD_REGISTERS[n] : `e${WORD_REGISTERS[n]}`;

/** @param value taken as unsigned 32 bits */
const hex = (value: number, digits = 0): string => {
  const unsigned = value >>> 0;
  if (unsigned < 10) return `${unsigned}`;
  const text = unsigned.toString(16).toUpperCase().padStart(digits, '0');
  return `${text[0] > '9' ? '0' : ''}${text}h`;
};
const truncate = (value: number, bits: number): number => (bits === 32 ? value : value & (2 ** bits - 1));

/** Bits of a general register operand or immediate. */
const operandBits = (type: string, size: number): number => {
  if (type === 'b') return 8;
  if (type === 'w') return 16;
  if (type === 'd') return 32;
  return size;
};

const MEMORY_NAMES: Readonly<Record<string, string>> = {
  b: 'byte',
  w: 'word',
  d: 'dword',
  q: 'qword',
  x: 'xmmword',
  dq: 'xmmword',
  t: 'tbyte',
  s: 'fword',
};
const memoryName = (type: string, size: number): string => {
  if (type === 'v' || type === 'z' || type === 'y') return size === 16 ? 'word' : 'dword';
  if (type === 'p') return size === 16 ? 'dword' : 'fword';
  if (type === 'a') return size === 16 ? 'dword' : 'qword';
  return MEMORY_NAMES[type] ?? '';
};

const addressText = (d: Decoded): string => {
  const bits = d.address32 ? 32 : 16;
  const stack = d.base === GPR.esp || d.base === GPR.ebp;
  const parts: string[] = [];
  if (d.base >= 0) parts.push(general(bits, d.base));
  if (d.index >= 0) parts.push(general(bits, d.index) + (d.scale > 0 ? `*${1 << d.scale}` : ''));
  const absolute = parts.length === 0;
  let text = parts.join('+');
  if (absolute) text = hex(truncate(d.disp, bits));
  else if (d.disp < 0) text += `-${hex(-d.disp)}`;
  else if (d.disp > 0) text += `+${hex(d.disp)}`;
  const plain = !absolute && d.segment === (stack ? SEG.ss : SEG.ds);
  return `${plain ? '' : `${SEGMENTS[d.segment]}:`}[${text}]`;
};

const memoryText = (o: OperandSpec, d: Decoded): string => {
  const name = memoryName(o.type, d.size);
  return (name === '' ? '' : `${name} ptr `) + addressText(d);
};

const fixedText = (o: OperandSpec, d: Decoded): string => {
  if (o.fixed === 'eAX') return general(d.size, GPR.eax);
  if (o.fixed === 'ST0') return 'st';
  if (o.fixed === 'STi') return `st(${d.rm})`;
  return o.text.toLowerCase();
};

/** @param next address of the next instruction */
const operandText = (o: OperandSpec, d: Decoded, next: number): string => {
  switch (o.kind) {
    case 'fixed':
      return fixedText(o, d);
    case 'I':
      return hex(truncate(d.imm, operandBits(o.type, d.size)));
    case 'J':
      return hex(truncate(next + d.imm, d.size), d.size / 4);
    case 'A':
      return `${hex(d.imm2, 4)}:${hex(d.imm, d.size / 4)}`;
    case 'O':
    case 'M':
      return memoryText(o, d);
    case 'G':
    case 'Z':
      return general(operandBits(o.type, d.size), d.reg);
    case 'S':
      return SEGMENTS[d.reg];
    case 'C':
      return `cr${d.reg}`;
    case 'D':
      return `dr${d.reg}`;
    case 'V':
      return `xmm${d.reg}`;
    case 'P':
      return `mm${d.reg}`;
    case 'U':
      return `xmm${d.rm}`;
    case 'N':
      return `mm${d.rm}`;
    case 'R':
      return general(operandBits(o.type, d.size), d.rm);
    case 'E':
      return d.memory ? memoryText(o, d) : general(operandBits(o.type, d.size), d.rm);
    case 'W':
      return d.memory ? memoryText(o, d) : `xmm${d.rm}`;
    case 'Q':
      return d.memory ? memoryText(o, d) : `mm${d.rm}`;
    default:
      return unreachable(`operand ${o.text} has no text`);
  }
};

/** Of `word|dword` names: by operand size, for JCXZ by address size. */
const mnemonicText = (row: Row, d: Decoded): string => {
  const [word, dword = word] = row.mnemonic.split('|');
  const wide = row.mnemonic.startsWith('jcxz') ? d.address32 : d.size === 32;
  return wide ? dword : word;
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
  code32: boolean,
  decoder: Decoder,
): { text: string; length: number } {
  const d = newDecoded();
  const status = decoder.decode(bytes, at, bytes.length, code32, d);
  return { text: WHY.get(status) ?? decodedText(d, address), length: d.length };
}
