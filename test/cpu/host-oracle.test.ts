/**
 * The virtual CPU against the processor that runs the tests: random instructions with random states, every row of the
 * instruction table that can run in user mode.
 *
 * Environment: TABBOX_ORACLE_CASES (how many), TABBOX_ORACLE_SEED, TABBOX_ORACLE_CASE (just this one),
 * TABBOX_ORACLE_ONLY (a mnemonic, or a row's opcode).
 */
import { expect, it } from 'vitest';
import { instructionTable } from '#emu/cpu/isa/table.ts';
import { runCampaign } from './oracle/campaign.ts';

const DEFAULT_CASES = 300_000;
const MOST_DIFFERENT_ROWS = 40;

const { env } = process;
const seed = Number(env['TABBOX_ORACLE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const single = env['TABBOX_ORACLE_CASE'];
const cases = single === undefined ? Number(env['TABBOX_ORACLE_CASES'] ?? DEFAULT_CASES) : 1;

it(`does what the host does in ${cases} cases, seed ${seed}`, { timeout: 86_400_000 }, () => {
  const started = performance.now();
  const campaign = runCampaign({
    rows: instructionTable,
    seed,
    from: Number(single ?? 0),
    cases,
    only: env['TABBOX_ORACLE_ONLY'] ?? '',
    most: MOST_DIFFERENT_ROWS,
  });
  const { rows, completed, faulted, differences, counts } = campaign;
  const seconds = Math.round((performance.now() - started) / 1000);
  console.info(
    `host oracle: seed ${seed}, ${campaign.cases} cases of ${rows} rows, host in ${campaign.long ? 64 : 32}-bit mode, in ${seconds} s: ${completed} completed, ${faulted} faulted`,
  );
  const summary = [...counts].map(([row, count]) => `${count} x ${row}`).join('\n');
  expect(differences.length, `${summary}\n\n${differences.join('\n\n')}`).toBe(0);
  expect(campaign.cases).toBe(cases);
  if (single === undefined) expect(completed).toBeGreaterThan(cases / 2);
});
