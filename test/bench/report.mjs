// Samples to tables.

import { INT_INSTRUCTIONS, NOT_IN_MEAN } from './programs.mjs';

const sorted = (values) => [...values].sort((a, b) => a - b);
export function median(values) {
  const list = sorted(values);
  const half = list.length >> 1;
  return list.length % 2 === 1 ? list[half] : (list[half - 1] + list[half]) / 2;
}

const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(3));
function spread(values) {
  if (values.length === 0) return '-';
  const list = sorted(values);
  const middle = digits(median(list));
  return list.length === 1 ? middle : `${middle} (${digits(list[0])}-${digits(list.at(-1))})`;
}

function table(head, rows) {
  const lines = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...lines.map((row) => row[column].length)));
  const print = (row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  return [
    print(lines[0]),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...lines.slice(1).map(print),
  ].join('\n');
}

const runsOf = (samples, emulator) => samples.filter((sample) => sample.emulator === emulator);
const rowsOf = (samples, emulator, row) =>
  runsOf(samples, emulator).flatMap((sample) => sample.rows.filter((one) => one.row === row));
const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Rows whose check values are not all the same, as messages. 64-bit programs are not the same programs. */
export function checkMismatches(samples) {
  const seen = new Map();
  for (const { emulator, rows } of samples) {
    for (const { row, check } of rows) {
      const program = emulator.endsWith('64') ? `${row} (64-bit)` : row;
      const values = seen.get(program) ?? new Map();
      values.set(check, [...new Set([...(values.get(check) ?? []), emulator])]);
      seen.set(program, values);
    }
  }
  return [...seen]
    .filter(([, values]) => values.size > 1)
    .map(
      ([row, values]) => `${row}: ${[...values].map(([check, who]) => `${who.join(', ')} say ${check}`).join('; ')}`,
    );
}

/** Each of ours with each other emulator of the same width. */
function pairsOf(emulators) {
  const is64 = (name) => name.endsWith('64');
  return emulators
    .filter((name) => name === 'ours' || name === 'ours64')
    .flatMap((mine) =>
      emulators.filter((other) => other !== mine && is64(other) === is64(mine)).map((other) => ({ mine, other })),
    );
}

/** Seconds of every row, and ours as a multiple of each other's. */
function speedTable(samples, emulators) {
  const pairs = pairsOf(emulators).map((pair) => ({ ...pair, ratios: [] }));
  const names = [...new Set(samples.flatMap(({ rows }) => rows.map(({ row }) => row)))];
  const lines = names.map((name) => {
    const times = new Map(
      emulators.map((emulator) => [emulator, rowsOf(samples, emulator, name).map(({ corrected }) => corrected)]),
    );
    const against = pairs.map(({ mine, other, ratios }) => {
      const [a, b] = [times.get(mine), times.get(other)];
      if (a.length === 0 || b.length === 0) return '-';
      const ratio = median(a) / median(b);
      if (!NOT_IN_MEAN.includes(name)) ratios.push(ratio);
      return ratio.toFixed(2);
    });
    return [name, ...emulators.map((emulator) => spread(times.get(emulator))), ...against];
  });
  const means = pairs.map(({ ratios }) => (ratios.length > 0 ? geometricMean(ratios).toFixed(2) : '-'));
  if (pairs.length > 0) lines.push(['geometric mean', ...emulators.map(() => ''), ...means]);
  return table(['seconds', ...emulators, ...pairs.map(({ mine, other }) => `${mine}/${other}`)], lines);
}

function machineTable(samples, emulators) {
  const line = (title, pick) => [
    title,
    ...emulators.map((emulator) => spread(runsOf(samples, emulator).flatMap(pick))),
  ];
  const counts = samples.flatMap(({ intInstructions }) => intInstructions ?? []);
  const count = counts.length > 0 ? median(counts) : INT_INSTRUCTIONS;
  const rate = ({ rows }) => rows.filter(({ row }) => row === 'int').map(({ corrected }) => count / corrected / 1e6);
  return table(
    ['boot and memory', ...emulators],
    [
      line('s to BOOT-OK', ({ boot }) => (boot ? [boot.wall] : [])),
      line('s of the busiest thread', ({ boot }) => (boot ? [boot.main] : [])),
      line('s of all threads', ({ boot }) => (boot ? [boot.cpu] : [])),
      line('MB resident at BOOT-OK', ({ boot }) => (boot ? [boot.memory.now] : [])),
      line('MB resident at the end', ({ memory }) => (memory ? [memory.now] : [])),
      line('million instructions/s on int (1)', rate),
    ],
  );
}

export function report(samples, emulators) {
  const loads = samples.map(({ load }) => load);
  return [
    machineTable(samples, emulators),
    '',
    speedTable(samples, emulators),
    '',
    `Medians (lowest-highest); seconds are the guest's, less what other load took from the busiest thread.`,
    `Load average of the host before each run: ${loads.join(' ')}.`,
    `(1) instructions as v86 counts them while int runs, or as counted once when v86 does not run.`,
  ].join('\n');
}
