/**
 * What a person wants to know about a crash of the guest: registers, the code around, the events before, who called.
 * The layout of the registers is the one that emulators and kernels print.
 */
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import type { Decoder } from '../decoder/decoder.ts';
import { disassemble } from '../decoder/disassembler.ts';
import { CpuState } from '../state/cpu-state.ts';
import { MODE, SEG, SEGMENT, STATE } from '../state/layout.ts';
import type { EventHistory, PastEvent } from './event-history.ts';
import { toHex } from './gdb-packets.ts';
import { QuietMemory } from './quiet-memory.ts';

export interface CrashParts {
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
  readonly decoder: Decoder;
  readonly history: EventHistory;
}

const MAX_LENGTH = 15;
const LINES_AFTER = 5;
const LINES_BEFORE = 8;
const STACK_WORDS = 256;
const CALLERS = 12;

const NAMES_32 = ['EAX', 'ECX', 'EDX', 'EBX', 'ESP', 'EBP', 'ESI', 'EDI'];
const NAMES_64 = ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', ...numbered('R', 8, 16)];
const SEGMENT_NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDT', 'TR'];
/** SDM Vol. 3A, table 6-1. */
const VECTORS = [
  ...['#DE', '#DB', 'NMI', '#BP', '#OF', '#BR', '#UD', '#NM', '#DF', 'coprocessor segment overrun', '#TS', '#NP'],
  ...['#SS', '#GP', '#PF', 'vector 15', '#MF', '#AC', '#MC', '#XM'],
];

function numbered(prefix: string, from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `${prefix}${from + i}`);
}

/** @param what the first line */
export function crashReport(parts: CrashParts, what: string): string {
  const memory = new QuietMemory(parts.state, parts.physical);
  const sections = [
    what,
    stateText(parts.state),
    `Code:\n${codeText(parts, memory).join('\n')}`,
    section('Interrupts and exceptions before, the last one at the end', parts.history.events().map(eventText)),
    section('Blocks looked up before, the last one at the end', branchLines(parts.history.branches())),
    section('Return addresses on the stack, the innermost first', callers(parts, memory)),
  ];
  return sections.filter((text) => text !== '').join('\n\n');
}

/** Registers, segments, control registers and tables. */
export function stateText(state: CpuState): string {
  const wide = state.long;
  const lines: string[] = [];
  const names = wide ? NAMES_64 : NAMES_32;
  for (let i = 0; i < names.length; i += 4) {
    const row = names
      .slice(i, i + 4)
      .map((name, j) => `${name.padEnd(3)}=${fieldText(state, STATE.gpr + (i + j) * 8, wide)}`);
    lines.push(row.join(' '));
  }
  const eip = `${wide ? 'RIP' : 'EIP'}=${fieldText(state, STATE.eip, wide)}`;
  lines.push(`${eip} EFL=${word(state.eflags)} [${flagLetters(state.eflags)}] CPL=${state.get(STATE.cpl)}`);
  SEGMENT_NAMES.forEach((name, n) => {
    const at = CpuState.segment(n);
    lines.push(
      `${name.padEnd(3)}=${(state.selector(n) & 0xffff).toString(16).padStart(4, '0')} ${fieldText(state, at + SEGMENT.base, wide)} ${word(state.limit(n))} ${word(state.access(n))}`,
    );
  });
  lines.push(`GDT=     ${fieldText(state, STATE.gdtBase, wide)} ${word(state.get(STATE.gdtLimit))}`);
  lines.push(`IDT=     ${fieldText(state, STATE.idtBase, wide)} ${word(state.get(STATE.idtLimit))}`);
  const control = (['cr0', 'cr2', 'cr3', 'cr4'] as const).map(
    (n) => `${n.toUpperCase()}=${fieldText(state, STATE[n], wide)}`,
  );
  lines.push(`${control.join(' ')} EFER=${fieldText(state, STATE.efer, wide)}`);
  return lines.join('\n');
}

const word = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
const fieldText = (state: CpuState, at: number, wide: boolean): string =>
  (wide ? word(state.get(at + 4)) : '') + word(state.get(at));

function flagLetters(eflags: number): string {
  const letters: readonly (readonly [string, number])[] = [
    ['O', 11],
    ['D', 10],
    ['I', 9],
    ['T', 8],
    ['S', 7],
    ['Z', 6],
    ['A', 4],
    ['P', 2],
    ['C', 0],
  ];
  return letters.map(([letter, bit]) => (eflags & (1 << bit) ? letter : '-')).join('');
}

const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `${title}:\n${lines.map((line) => `  ${line}`).join('\n')}`;

const addressText = (linear: number): string =>
  Math.abs(linear) < 2 ** 32 ? word(linear) : BigInt.asUintN(64, BigInt(linear)).toString(16).padStart(16, '0');

function eventText({ vector, errorCode, eip, cr2 }: PastEvent): string {
  const name = vector < VECTORS.length ? VECTORS[vector] : `vector ${vector}`;
  const code = errorCode < 0 ? '' : ` error code ${errorCode.toString(16)}`;
  return `${name}${code} at ${addressText(eip)}${vector === 14 ? `, CR2 ${addressText(cr2)}` : ''}`;
}

function branchLines(branches: readonly number[]): string[] {
  const lines: string[] = [];
  for (let i = 0; i < branches.length; i += 8)
    lines.push(
      branches
        .slice(i, i + 8)
        .map(addressText)
        .join(' '),
    );
  return lines;
}

interface Line {
  readonly eip: number;
  readonly text: string;
}

/** From the start of the block that ran, which is known to be a boundary, to a few instructions behind EIP. */
function codeText(parts: CrashParts, memory: QuietMemory): string[] {
  const { state } = parts;
  const eip = state.long ? state.address(STATE.eip) : state.get(STATE.eip) >>> 0;
  const start = state.long ? state.address(STATE.blockEip) : state.get(STATE.blockEip) >>> 0;
  const before = start < eip && eip - start < 512 ? disassembled(parts, memory, start, (at) => at < eip, 200) : [];
  // Only if the instructions lead to EIP they are the ones that ran.
  const leads = before.length > 0 && before.at(-1)?.eip !== eip;
  const shown = leads ? before.slice(-LINES_BEFORE) : [];
  const after = disassembled(parts, memory, eip, () => true, LINES_AFTER);
  return [...shown, ...after].map((line) => `${line.eip === eip ? '=>' : '  '} ${line.text}`);
}

function disassembled(
  parts: CrashParts,
  memory: QuietMemory,
  from: number,
  goOn: (at: number) => boolean,
  most: number,
): Line[] {
  const lines: Line[] = [];
  for (let at = from; goOn(at) && lines.length < most; ) {
    const line = instructionLine(parts.state, parts.decoder, memory, at);
    lines.push({ eip: at, text: line.text });
    if (line.length === 0) break;
    at += line.length;
  }
  return lines;
}

/**
 * One instruction as a line of a listing: address, bytes, text.
 * @param eip offset in the code segment
 * @returns length 0 where there is no memory
 */
export function instructionLine(
  state: CpuState,
  decoder: Decoder,
  memory: QuietMemory,
  eip: number,
): { readonly text: string; readonly length: number } {
  const linear = state.long ? eip : (state.base(SEG.cs) + eip) | 0;
  const bytes = memory.read(linear, MAX_LENGTH);
  if (bytes.length === 0) return { text: `${addressText(linear)}  (no memory)`, length: 0 };
  const codeSize = state.long ? 64 : state.get(STATE.mode) & MODE.code32 ? 32 : 16;
  const { text, length } = disassemble(bytes, 0, eip, codeSize, decoder);
  const used = toHex(bytes.subarray(0, Math.max(1, length)));
  return { text: `${addressText(linear)}  ${used.padEnd(22)} ${text}`, length };
}

/** Words on the stack that point behind a CALL: old ones are among them, but so are the true ones. */
function callers(parts: CrashParts, memory: QuietMemory): string[] {
  const { state } = parts;
  const wordBytes = state.long ? 8 : state.get(STATE.mode) & MODE.code32 ? 4 : 2;
  if (wordBytes === 2) return [];
  const base = state.long ? 0 : state.base(SEG.ss);
  const esp = state.long ? state.address(STATE.gpr + 4 * 8) : state.gpr(4);
  const bytes = memory.read(state.long ? esp : (base + esp) | 0, STACK_WORDS * wordBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: string[] = [];
  for (let at = 0; at + wordBytes <= bytes.length && found.length < CALLERS; at += wordBytes) {
    const value = wordBytes === 8 ? Number(view.getBigInt64(at, true)) : view.getUint32(at, true);
    if (isBehindCall(memory, state, value)) found.push(`${addressText(value)}  (ESP+${at.toString(16)}h)`);
  }
  return found;
}

/** CALL rel32 is E8; CALL r/m32 is FF /2 with 2 to 7 bytes (SDM Vol. 2A, CALL). */
function isBehindCall(memory: QuietMemory, state: CpuState, value: number): boolean {
  if (Math.abs(value) < 4096) return false;
  const linear = state.long ? value : (state.base(SEG.cs) + value) | 0;
  const bytes = memory.read(linear - 7, 7);
  if (bytes.length < 7) return false;
  if (bytes[2] === 0xe8) return true;
  return [2, 3, 4, 6, 7].some((length) => bytes[7 - length] === 0xff && ((bytes[8 - length] >> 3) & 7) === 2);
}

/** Instructions that a kernel means to be undefined: UD0, UD1, UD2. */
export function isMeantUndefined(parts: Pick<CrashParts, 'state' | 'physical'>): boolean {
  const { state, physical } = parts;
  const linear = state.long ? state.address(STATE.eip) : (state.base(SEG.cs) + state.get(STATE.eip)) | 0;
  const [first, second] = new QuietMemory(state, physical).read(linear, 2);
  return first === 0x0f && (second === 0x0b || second === 0xb9 || second === 0xff);
}
