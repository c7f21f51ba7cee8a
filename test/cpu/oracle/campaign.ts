/** A run of many cases: makes them, lets both sides execute them in batches, and words what differs. */
import type { Decoder } from '#emu/cpu/decoder/decoder.ts';
import { disassemble } from '#emu/cpu/decoder/disassembler.ts';
import type { Row } from '#emu/cpu/isa/row.ts';
import { difference, REGISTERS } from './compare.ts';
import { EmulatedOracle } from './emulated.ts';
import { type Case, Generator } from './generator.ts';
import { COMPLETED, FX, GIVEN, type Outcome, RESULT, SEGMENTS, WINDOW } from './layout.ts';
import { NativeOracle } from './native.ts';

const BATCH = 20_000;

export interface CampaignOptions {
  readonly rows: readonly Row[];
  readonly seed: number;
  readonly from: number;
  readonly cases: number;
  /** Only rows of this mnemonic or opcode; all when empty. */
  readonly only: string;
  /** Stop after so many differing rows. */
  readonly most: number;
}

export interface Campaign {
  readonly cases: number;
  /** Rows that had cases. */
  readonly rows: number;
  /** The host ran them in 64-bit mode. */
  readonly long: boolean;
  readonly completed: number;
  readonly faulted: number;
  /** One description for each row that differs. */
  readonly differences: readonly string[];
  /** Cases that differ, by row. */
  readonly counts: ReadonlyMap<string, number>;
}

export function runCampaign(options: CampaignOptions): Campaign {
  const native = new NativeOracle();
  const generator = new Generator(options.rows, options.seed, native.long, options.only);
  const window = generator.window();
  const emulated = new EmulatedOracle(window);
  const counts = new Map<string, number>();
  const differences: string[] = [];
  let completed = 0;
  let faulted = 0;
  try {
    const end = options.from + options.cases;
    for (let from = options.from; from < end && counts.size < options.most; from += BATCH) {
      const batch: Case[] = [];
      for (let n = from; n < Math.min(from + BATCH, end); n++) batch.push(generator.make(n));
      const answers = native.run(
        window,
        batch.map((c) => c.given),
      );
      batch.forEach((c, i) => {
        const virtual = emulated.run(c.given, c.block);
        if (answers[i].view.getInt32(RESULT.trap, true) === COMPLETED) completed++;
        else faulted++;
        const text = difference(c, answers[i], virtual);
        if (text === undefined) return;
        const name = `${c.row.opcode} ${c.row.mnemonic} ${c.row.operands}`;
        const count = counts.get(name) ?? 0;
        counts.set(name, count + 1);
        if (count === 0) differences.push(describe(options, emulated.cpu.decoder, c, text, answers[i], virtual));
      });
    }
  } finally {
    native.close();
  }
  return {
    cases: completed + faulted,
    rows: generator.rowCount,
    long: native.long,
    completed,
    faulted,
    differences,
    counts,
  };
}

const hex = (n: number | bigint, digits: number): string => n.toString(16).padStart(digits, '0');

function describe(
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
  return [
    `${disassemble(c.code, 0, c.eip, c.code32 ? 32 : 16, decoder).text}   [${bytes}]   ${c.block ? 'in a block' : 'single-stepped'}${segments(c, input)}`,
    `  row ${c.row.opcode} ${c.row.mnemonic} ${c.row.operands}`,
    `  ${text}`,
    `  given   ${state(input, undefined)}${patches(c, input)}`,
    `  host    ${outcome(host, input)}`,
    `  virtual ${outcome(virtual, input)}`,
    `  again: TABBOX_ORACLE_SEED=${options.seed} TABBOX_ORACLE_CASE=${c.number}${only} npm run fuzz:cpu`,
  ].join('\n');
}

/** Names of the segments, unless all are flat. */
function segments(c: Case, input: DataView): string {
  const names = Object.entries(SEGMENTS);
  const name = (at: number): string => names.find(([, s]) => s.selector === input.getUint16(at, true))?.[0] ?? '';
  const text = `cs ${name(GIVEN.cs)} ss ${name(GIVEN.ss)} ds ${name(GIVEN.ds)} es ${name(GIVEN.es)}`;
  return c.code32 && !/[a-z](16|32)|readOnly/.test(text) ? '' : `   ${text}`;
}

function outcome({ view, changes }: Outcome, input: DataView): string {
  const bytes: string[] = [];
  for (let i = 0; i < changes.length && i < 64; i += 2)
    bytes.push(`${hex(WINDOW.data + changes[i], 8)}=${hex(changes[i + 1], 2)}`);
  const trap = view.getInt32(RESULT.trap, true);
  const error = hex(view.getUint32(RESULT.error, true), 1);
  const cr2 = hex(view.getUint32(RESULT.cr2, true), 8);
  const how = trap === COMPLETED ? 'completed' : `vector ${trap} error ${error} cr2 ${cr2}`;
  const where = `eip ${hex(view.getUint32(RESULT.eip, true), 8)} steps ${view.getUint32(RESULT.steps, true)}`;
  return `${how} ${where} ${state(view, input)} memory ${bytes.join(' ')}`;
}

/** Registers by name, of a case or a result: only what differs from `before`, where that is given. */
function state(view: DataView, before: DataView | undefined): string {
  const texts: string[] = [];
  const say = (name: string, read: (v: DataView) => string): void => {
    const text = read(view);
    if (before === undefined || read(before) !== text) texts.push(`${name} ${text}`);
  };
  const { fx } = RESULT;
  REGISTERS.forEach((name, i) => {
    say(name, (v) => hex(v.getUint32(RESULT.gpr + i * 4, true), 8));
  });
  say('eflags', (v) => hex(v.getUint32(RESULT.eflags, true), 8));
  say('control', (v) => hex(v.getUint16(fx + FX.control, true), 4));
  say('status', (v) => hex(v.getUint16(fx + FX.status, true), 4));
  say('tags', (v) => hex(v.getUint8(fx + FX.tags), 2));
  say('mxcsr', (v) => hex(v.getUint32(fx + FX.mxcsr, true), 4));
  for (let i = 0; i < 8; i++) {
    const at = fx + FX.st + i * 16;
    say(`st${i}`, (v) => `${hex(v.getUint16(at + 8, true), 4)}:${hex(v.getBigUint64(at, true), 16)}`);
  }
  for (let i = 0; i < 8; i++) {
    const at = fx + FX.xmm + i * 16;
    say(`ymm${i} high`, (v) => {
      const high = (before === undefined ? GIVEN.ymm : RESULT.ymm) + i * 16;
      return `${hex(v.getBigUint64(high + 8, true), 16)}_${hex(v.getBigUint64(high, true), 16)}`;
    });
    say(`xmm${i}`, (v) => `${hex(v.getBigUint64(at + 8, true), 16)}_${hex(v.getBigUint64(at, true), 16)}`);
  }
  return texts.join(' ');
}

function patches(c: Case, input: DataView): string {
  const texts: string[] = [];
  let at: number = GIVEN.bytes;
  for (let i = 0; i < input.getUint16(GIVEN.patches, true); i++) {
    const offset = input.getUint16(at, true);
    const count = input.getUint16(at + 2, true);
    const bytes = [...c.given.subarray(at + 4, at + 4 + Math.min(count, 64))].map((b) => hex(b, 2)).join(' ');
    texts.push(`\n          memory ${hex(WINDOW.data + offset, 8)}: ${bytes}`);
    at += 4 + count;
  }
  return texts.join('');
}
