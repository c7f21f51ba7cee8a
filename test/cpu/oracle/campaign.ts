/** A run of many cases: makes them, lets both sides execute them in batches, and words what differs. */
import { EXCEPTION } from '#emu/cpu/isa/ops.ts';
import type { Row } from '#emu/cpu/isa/row.ts';
import { difference } from './compare.ts';
import { describe } from './describe.ts';
import { EmulatedOracle } from './emulated.ts';
import { LongEmulatedOracle } from './emulated-long.ts';
import { Generator } from './generator.ts';
import { LongGenerator } from './generator-long.ts';
import { COMPLETED, LEGACY_SHAPE, LONG_SHAPE } from './layout.ts';
import { NativeOracle } from './native.ts';
import type { Case } from './plan.ts';

const BATCH = 20_000;

export interface CampaignOptions {
  readonly rows: readonly Row[];
  /** 64-bit code; else 16- and 32-bit code. */
  readonly long: boolean;
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
  /** How the host ran them. */
  readonly how: string;
  readonly completed: number;
  readonly faulted: number;
  /** Rows that are undefined to the host whatever the case: it lacks the feature, and they are not compared. */
  readonly absent: readonly string[];
  /** One description for each row that differs. */
  readonly differences: readonly string[];
  /** Cases that differ, by row. */
  readonly counts: ReadonlyMap<string, number>;
}

interface Tally {
  cases: number;
  undefined: number;
  different: number;
  description: string;
}

export function runCampaign(options: CampaignOptions): Campaign {
  const { rows, seed, only, long } = options;
  const native = new NativeOracle(long);
  const shape = long ? LONG_SHAPE : LEGACY_SHAPE;
  const generator = long ? new LongGenerator(rows, seed, only) : new Generator(rows, seed, native.subset, only);
  const window = generator.window();
  const emulated = long ? new LongEmulatedOracle(window) : new EmulatedOracle(window);
  const tallies = new Map<Row, Tally>();
  let completed = 0;
  let faulted = 0;
  let different = 0;
  try {
    const end = options.from + options.cases;
    for (let from = options.from; from < end && different < options.most; from += BATCH) {
      const batch: Case[] = [];
      for (let n = from; n < Math.min(from + BATCH, end); n++) batch.push(generator.make(n));
      const answers = native.run(
        window,
        batch.map((c) => c.given),
      );
      batch.forEach((c, i) => {
        let tally = tallies.get(c.row);
        if (tally === undefined)
          tallies.set(c.row, (tally = { cases: 0, undefined: 0, different: 0, description: '' }));
        const virtual = emulated.run(c.given, c.block);
        const trap = answers[i].view.getInt32(shape.result.trap, true);
        if (trap === COMPLETED) completed++;
        else faulted++;
        tally.cases++;
        if (trap === EXCEPTION.ud) tally.undefined++;
        const text = difference(shape, c, answers[i], virtual);
        if (text === undefined) return;
        if (tally.different++ > 0) return;
        if (trap !== EXCEPTION.ud) different++;
        tally.description = describe(shape, options, emulated.cpu.decoder, c, text, answers[i], virtual);
      });
    }
  } finally {
    native.close();
  }
  const differing = [...tallies].filter(([, tally]) => tally.different > 0);
  const isAbsent = ([, tally]: [Row, Tally]): boolean => tally.undefined === tally.cases;
  const found = differing.filter((entry) => !isAbsent(entry));
  return {
    cases: completed + faulted,
    rows: generator.rowCount,
    how: native.how,
    completed,
    faulted,
    absent: differing.filter(isAbsent).map(([row]) => nameOf(row)),
    differences: found.map(([, tally]) => tally.description),
    counts: new Map(found.map(([row, tally]) => [nameOf(row), tally.different])),
  };
}

const nameOf = (row: Row): string => `${row.opcode} ${row.mnemonic} ${row.operands}`;
