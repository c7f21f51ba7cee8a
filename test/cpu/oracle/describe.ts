/** Words a case that differs: the instruction, what was given, what both sides made of it, how to see it again. */
import type { Decoder } from '#emu/cpu/decoder/decoder.ts';
import { disassemble } from '#emu/cpu/decoder/disassembler.ts';
import type { CampaignOptions } from './campaign.ts';
import { registerNames } from './compare.ts';
import {
  addressAt,
  COMPLETED,
  FX,
  GIVEN,
  LONG_GIVEN,
  type Outcome,
  registerAt,
  SEGMENTS,
  type Shape,
  WINDOW,
} from './layout.ts';
import type { Case } from './plan.ts';

const hex = (n: number | bigint, digits: number): string => n.toString(16).padStart(digits, '0');

export function describe(
  shape: Shape,
  options: CampaignOptions,
  decoder: Decoder,
  c: Case,
  text: string,
  host: Outcome,
  virtual: Outcome,
): string {
  const bytes = [...c.code].map((b) => hex(b, 2)).join(' ');
  const only = options.only === '' ? '' : ` TABBOX_ORACLE_ONLY=${JSON.stringify(options.only)}`;
  const input = new DataView(c.given.buffer, c.given.byteOffset, c.given.byteLength);
  const variable = shape.wide ? 'TABBOX_ORACLE_CASE64' : 'TABBOX_ORACLE_CASE';
  return [
    `${disassemble(c.code, 0, c.eip, c.codeSize, decoder).text}   [${bytes}]   ${c.block ? 'in a block' : 'single-stepped'}${segments(c, input)}`,
    `  row ${c.row.opcode} ${c.row.mnemonic} ${c.row.operands}`,
    `  ${text}`,
    `  given   ip ${hex(addressAt(shape, input, shape.given.eip), 8)} ${state(shape, input, undefined)}${patches(shape, c, input)}`,
    `  host    ${outcome(shape, host, input)}`,
    `  virtual ${outcome(shape, virtual, input)}`,
    `  again: TABBOX_ORACLE_SEED=${options.seed} ${variable}=${c.number}${only} npm run fuzz:cpu`,
  ].join('\n');
}

/** Names of the segments, unless all are flat. */
function segments(c: Case, input: DataView): string {
  if (c.codeSize === 64) return '';
  const names = Object.entries(SEGMENTS);
  const name = (at: number): string => names.find(([, s]) => s.selector === input.getUint16(at, true))?.[0] ?? '';
  const text = `cs ${name(GIVEN.cs)} ss ${name(GIVEN.ss)} ds ${name(GIVEN.ds)} es ${name(GIVEN.es)}`;
  return c.codeSize === 32 && !/[a-z](16|32)|readOnly/.test(text) ? '' : `   ${text}`;
}

function outcome(shape: Shape, { view, changes }: Outcome, input: DataView): string {
  const at = shape.result;
  const bytes: string[] = [];
  for (let i = 0; i < changes.length && i < 64; i += 2)
    bytes.push(`${hex(WINDOW.data + changes[i], 8)}=${hex(changes[i + 1], 2)}`);
  const trap = view.getInt32(at.trap, true);
  const error = hex(view.getUint32(at.error, true), 1);
  const cr2 = hex(addressAt(shape, view, at.cr2), 8);
  const how = trap === COMPLETED ? 'completed' : `vector ${trap} error ${error} cr2 ${cr2}`;
  const where = `ip ${hex(addressAt(shape, view, at.eip), 8)} steps ${view.getUint32(at.steps, true)}`;
  return `${how} ${where} ${state(shape, view, input)} memory ${bytes.join(' ')}`;
}

/** Registers by name, of a case or, with the case as `before`, of a result: then only what differs. */
function state(shape: Shape, view: DataView, before: DataView | undefined): string {
  const texts: string[] = [];
  const at = before === undefined ? shape.given : shape.result;
  const say = (name: string, read: (v: DataView, offsets: Shape['given'] | Shape['result']) => string): void => {
    const text = read(view, at);
    if (before === undefined || read(before, shape.given) !== text) texts.push(`${name} ${text}`);
  };
  registerNames(shape).forEach((name, i) => {
    say(name, (v, o) => hex(registerAt(shape, v, o.gpr, i), shape.wide ? 16 : 8));
  });
  if (shape.wide && before === undefined) {
    say('fs', (v) => hex(v.getBigUint64(LONG_GIVEN.fsBase, true), 8));
    say('gs', (v) => hex(v.getBigUint64(LONG_GIVEN.gsBase, true), 8));
  }
  say('eflags', (v, o) => hex(v.getUint32(o.eflags, true), 8));
  say('control', (v, o) => hex(v.getUint16(o.fx + FX.control, true), 4));
  say('status', (v, o) => hex(v.getUint16(o.fx + FX.status, true), 4));
  say('tags', (v, o) => hex(v.getUint8(o.fx + FX.tags), 2));
  say('mxcsr', (v, o) => hex(v.getUint32(o.fx + FX.mxcsr, true), 4));
  for (let i = 0; i < 8; i++) {
    say(`st${i}`, (v, o) => {
      const st = o.fx + FX.st + i * 16;
      return `${hex(v.getUint16(st + 8, true), 4)}:${hex(v.getBigUint64(st, true), 16)}`;
    });
  }
  const vector = (v: DataView, n: number): string =>
    `${hex(v.getBigUint64(n + 8, true), 16)}_${hex(v.getBigUint64(n, true), 16)}`;
  for (let i = 0; i < shape.xmms; i++) {
    say(`ymm${i} high`, (v, o) => vector(v, o.ymm + i * 16));
    say(`xmm${i}`, (v, o) => vector(v, o.fx + FX.xmm + i * 16));
  }
  return texts.join(' ');
}

function patches(shape: Shape, c: Case, input: DataView): string {
  const texts: string[] = [];
  let at: number = shape.given.bytes;
  for (let i = 0; i < input.getUint16(shape.given.patches, true); i++) {
    const offset = input.getUint16(at, true);
    const count = input.getUint16(at + 2, true);
    const bytes = [...c.given.subarray(at + 4, at + 4 + Math.min(count, 64))].map((b) => hex(b, 2)).join(' ');
    texts.push(`\n          memory ${hex(WINDOW.data + offset, 8)}: ${bytes}`);
    at += 4 + count;
  }
  return texts.join('');
}
