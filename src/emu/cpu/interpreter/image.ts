/**
 * The interpreter of one kind of code as a WebAssembly module that says of itself what else is to be known of it, so that
 * it can be made when the program is built: making it takes as long as a tenth of a boot.
 *
 * The description is a custom section (WebAssembly core specification, 5.5.3).
 */
import type { Row } from '../isa/row.ts';
import { instructionTable } from '../isa/table.ts';
import { LINEAR, STATE_LAYOUT } from '../state/layout.ts';
import type { Callee } from '../wasm/function.ts';
import { compileModule, customSection } from '../wasm/host.ts';
import { buildInterpreter } from './build.ts';
import { CaseTable } from './cases.ts';
import type { MemoryUse } from './tier0-ops.ts';

export interface InterpreterImage {
  /** Compiled, for `instantiateModule`. */
  readonly module: unknown;
  readonly cases: CaseTable;
  readonly tableSize: number;
  /** How each case uses guest memory, by case number. */
  readonly use: readonly (MemoryUse | undefined)[];
  /** The kernels of float/ and simd/, which the module exports under their names. */
  readonly kernels: Readonly<Record<string, Callee>>;
}

const SECTION = 'tabbox.interpreter';

/** What the section holds, as JSON. */
interface Description {
  /** Of the program that made it: another one's is no use. */
  readonly layout: number;
  readonly stateAt: number;
  readonly caseCount: number;
  readonly tableSize: number;
  /** A digit a case: 1 it reads, 2 it writes guest memory. */
  readonly use: string;
  readonly kernels: InterpreterImage['kernels'];
}

const READS = 1;
const WRITES = 2;

const digitOf = (use: MemoryUse | undefined): number => (use?.reads ? READS : 0) | (use?.writes ? WRITES : 0);
const useOf = (digit: string): MemoryUse => ({
  reads: (Number(digit) & READS) !== 0,
  writes: (Number(digit) & WRITES) !== 0,
});

/**
 * A module for the first virtual CPU, whatever the size of its memory.
 * @param long for 64-bit code, else for all other modes
 */
export function interpreterBytes(long: boolean): Uint8Array<ArrayBuffer> {
  return bytesOf(new CaseTable(instructionTable, long), LINEAR.states);
}

function bytesOf(cases: CaseTable, stateAt: number): Uint8Array<ArrayBuffer> {
  return buildInterpreter(cases, stateAt, SECTION, ({ tableSize, use, kernels }) => {
    const digits = Array.from(use, digitOf).join('');
    const description = {
      layout: STATE_LAYOUT,
      stateAt,
      caseCount: cases.cases.length,
      tableSize,
      use: digits,
      kernels,
    };
    return JSON.stringify(description satisfies Description);
  });
}

/** @returns undefined when the module is of another version of this program, or for another virtual CPU */
function read(module: unknown, cases: CaseTable, stateAt: number): InterpreterImage | undefined {
  const section = customSection(module, SECTION);
  if (section === undefined) return undefined;
  const description = JSON.parse(section) as Description;
  const { layout, caseCount, tableSize, kernels } = description;
  if (layout !== STATE_LAYOUT || description.stateAt !== stateAt || caseCount !== cases.cases.length) return undefined;
  return { module, cases, tableSize, use: Array.from(description.use, useOf), kernels };
}

/** The last one of each kind that was made here: a machine that is made again takes it. */
const made = new Map<boolean, { rows: readonly Row[]; stateAt: number; image: InterpreterImage }>();

/** @param prepared a compiled module of `interpreterBytes`; without one, or when it does not fit, it is made now */
export function interpreterImage(
  rows: readonly Row[],
  long: boolean,
  stateAt: number,
  prepared: unknown,
): InterpreterImage {
  const last = made.get(long);
  if (last && last.rows === rows && last.stateAt === stateAt) return last.image;
  const cases = new CaseTable(rows, long);
  const ready = prepared === undefined ? undefined : read(prepared, cases, stateAt);
  const image = ready ?? (read(compileModule(bytesOf(cases, stateAt)), cases, stateAt) as InterpreterImage);
  made.set(long, { rows, stateAt, image });
  return image;
}
