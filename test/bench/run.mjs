// npm run bench: ours beside v86 and QEMU's translator, in one run, on the same kernel and programs, taking turns.
//
//   npm run bench -- [--rounds N] [--only ours,v86,qemu] [--programs int,mem,...] [--memory MB] [--limit S] [--json FILE]
//
// Prints tables; --json keeps every sample. Ends with status 1 when an emulator failed or computed something else.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  ensureBuild,
  ensureDependencies,
  ensureGuests,
  ensureNode,
  guestsDirectory,
  ROOT,
} from '../../server/bin/prepare.mjs';
import { PROGRAMS, runProgram } from './programs.mjs';
import { checkMismatches, report } from './report.mjs';
import { Session } from './session.mjs';

const CMDLINE = 'console=ttyS0';
const guest = (name) => join(guestsDirectory(), name);
const kernel = guest('default-kernel');
const initrd = guest('bench-initrd');

const EMULATORS = {
  ours: (memory) => [
    ...[process.execPath, join(ROOT, 'dist', 'node', 'main.js'), 'run', '--kernel', kernel, '--initrd', initrd],
    ...['--append', CMDLINE, '--memory', String(memory), '--serial', 'stdio'],
  ],
  v86: (memory) => [
    ...[process.execPath, join(import.meta.dirname, 'v86-run.mjs'), kernel, initrd, CMDLINE, String(memory)],
    ...[guest('bios-256k.bin'), guest('vgabios-stdvga.bin')],
  ],
  qemu: (memory) => [
    ...[
      'qemu-system-i386',
      '-accel',
      'tcg,thread=single',
      '-smp',
      '1',
      '-m',
      String(memory),
      '-nic',
      'none',
      '-no-reboot',
    ],
    ...[
      '-display',
      'none',
      '-monitor',
      'none',
      '-serial',
      'stdio',
      '-kernel',
      kernel,
      '-initrd',
      initrd,
      '-append',
      CMDLINE,
    ],
  ],
};

const onPath = (name) => (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, name)));

function list(text, known, what) {
  const names = text.split(',').filter(Boolean);
  const unknown = names.filter((name) => !(name in known));
  if (unknown.length > 0)
    throw new Error(`no ${what} ${unknown.join(', ')}; there are ${Object.keys(known).join(', ')}`);
  return names;
}

function positive(text, name) {
  const value = Number(text);
  if (!(Number.isInteger(value) && value > 0)) throw new Error(`--${name} takes a whole number above 0, not '${text}'`);
  return value;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: Object.keys(EMULATORS).join() },
      programs: { type: 'string', default: Object.keys(PROGRAMS).join() },
      memory: { type: 'string', default: '256' },
      limit: { type: 'string', default: '600' },
      json: { type: 'string' },
    },
  });
  return {
    rounds: positive(values.rounds, 'rounds'),
    emulators: list(values.only, EMULATORS, 'emulator'),
    programs: list(values.programs, PROGRAMS, 'program'),
    memory: positive(values.memory, 'memory'),
    limit: positive(values.limit, 'limit'),
    json: values.json,
  };
}

/** Boots one emulator and runs the programs. @returns a sample; `error` says why it is incomplete */
async function measure(emulator, round, { memory, programs, limit }) {
  const load = readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
  const sample = { emulator, round, load, command: EMULATORS[emulator](memory), rows: [] };
  const session = new Session(sample.command);
  try {
    await session.expect(/BOOT-OK [^\n]*\n/, 'BOOT-OK', limit);
    sample.boot = { ...session.lap(), memory: session.memory() };
    await session.prompt(60);
    for (const program of programs) {
      const counted = emulator === 'v86' && program === 'int';
      const before = counted ? await session.instructions() : 0;
      const rows = await runProgram(session, program, limit);
      if (counted) sample.intInstructions = ((await session.instructions()) - before) >>> 0;
      sample.rows.push(...rows);
      for (const { row, seconds } of rows) process.stderr.write(`${round} ${emulator} ${row} ${seconds}\n`);
    }
    sample.memory = session.memory();
  } catch (error) {
    sample.error = error.message;
    process.stderr.write(`${round} ${emulator}: ${error.message}\n`);
  } finally {
    await session.close();
  }
  return sample;
}

async function main() {
  ensureNode();
  const options = readOptions();
  ensureDependencies();
  ensureGuests(['firmware', 'default', 'bench']);
  if (options.emulators.includes('ours')) ensureBuild(['node']);
  if (options.emulators.includes('qemu') && !onPath('qemu-system-i386')) {
    process.stderr.write('qemu-system-i386 is not installed (package qemu-system-x86); going on without it\n');
    options.emulators = options.emulators.filter((name) => name !== 'qemu');
  }
  const samples = [];
  for (let round = 1; round <= options.rounds; round++) {
    for (const emulator of options.emulators) samples.push(await measure(emulator, round, options));
  }
  process.stdout.write(`${report(samples, options.emulators)}\n`);
  const problems = [
    ...samples
      .filter(({ error }) => error)
      .map(({ emulator, round, error }) => `${emulator}, round ${round}: ${error}`),
    ...checkMismatches(samples).map((text) => `different results, ${text}`),
  ];
  for (const problem of problems) process.stdout.write(`PROBLEM ${problem}\n`);
  if (options.json) {
    const host = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, date: new Date().toISOString() };
    writeFileSync(options.json, `${JSON.stringify({ host, options, samples, problems }, null, 1)}\n`);
  }
  process.exitCode = problems.length > 0 ? 1 : 0;
}

main().catch((error) => {
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 1;
});
