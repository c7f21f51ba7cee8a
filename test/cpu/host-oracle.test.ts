/**
 * The virtual CPU against the processor that runs the tests: random instructions with random states, every row of the
 * instruction table that can run in user mode. 64-bit code, and 16- and 32-bit code as far as the host runs it.
 *
 * Environment: TABBOX_ORACLE_CASES and TABBOX_ORACLE_CASES64 (how many), TABBOX_ORACLE_SEED, TABBOX_ORACLE_CASE and
 * TABBOX_ORACLE_CASE64 (just this one), TABBOX_ORACLE_ONLY (a mnemonic, or a row's opcode).
 */
import { describe, expect, it } from 'vitest';
import { instructionTable } from '#emu/cpu/isa/table.ts';
import { runCampaign } from './oracle/campaign.ts';

/** About ten seconds each. */
const DEFAULT_CASES = 60_000;
/** A run of all tests is the same every time; `npm run fuzz:cpu` takes another seed each time. */
const DEFAULT_SEED = 1;
const MOST_DIFFERENT_ROWS = 40;

const { env } = process;
const seed = Number(env['TABBOX_ORACLE_SEED'] ?? DEFAULT_SEED);
const only = env['TABBOX_ORACLE_ONLY'] ?? '';
const single = { legacy: env['TABBOX_ORACLE_CASE'], long: env['TABBOX_ORACLE_CASE64'] };

describe.each([
  { name: '16- and 32-bit code', long: false, one: single.legacy, count: env['TABBOX_ORACLE_CASES'] },
  { name: '64-bit code', long: true, one: single.long, count: env['TABBOX_ORACLE_CASES64'] },
])('$name', ({ name, long, one, count }) => {
  const cases = one === undefined ? Number(count ?? DEFAULT_CASES) : 1;
  const wanted = one !== undefined || (single.legacy ?? single.long) === undefined;

  it.runIf(wanted && cases > 0)(`does what the host does, seed ${seed}`, { timeout: 86_400_000 }, () => {
    const started = process.cpuUsage().user;
    const from = Number(one ?? 0);
    const campaign = runCampaign({ rows: instructionTable, long, seed, from, cases, only, most: MOST_DIFFERENT_ROWS });
    const { rows, completed, faulted, differences, counts, absent } = campaign;
    const seconds = Math.round((process.cpuUsage().user - started) / 1e6);
    console.info(
      `host oracle, ${name}: seed ${seed}, ${campaign.cases} cases of ${rows} rows, host in ${campaign.how}, ` +
        `${seconds} s of CPU time: ${completed} completed, ${faulted} faulted` +
        (absent.length > 0 ? `; not compared, because the host lacks them: ${absent.join(', ')}` : ''),
    );
    const summary = [...counts].map(([row, n]) => `${n} x ${row}`).join('\n');
    expect(differences.length, `${summary}\n\n${differences.join('\n\n')}`).toBe(0);
    expect(campaign.cases).toBe(cases);
    if (one === undefined) expect(completed).toBeGreaterThan(cases / 2);
  });
});
