// npm run bench: ours beside v86 and QEMU's translator, in one run, on the same kernel and programs, taking turns.
//
//   npm run bench -- [--rounds N] [--only ours,ours0,v86,qemu,native,ours64,qemu64,native64] [--programs int,mem,...] [--memory MB] [--limit S] [--json FILE]
//                      [--in node|chromium]   where ours and v86 run
//
//   npm run bench -- cpu ...      the same
//   npm run bench -- net          networks (net.mjs)
//   npm run bench -- rdp          the remote display (rdp.mjs)
//   npm run bench -- sharing      session links (sharing.mjs)
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
const I386 = { kernel: 'default-kernel', initrd: 'bench-initrd', programs: 'bench-programs.tgz', bits: 32 };
const AMD64 = { kernel: 'amd64-kernel', initrd: 'bench64-initrd', programs: 'bench64-programs.tgz', bits: 64 };

const ours = (system) => (memory) => [
  ...[process.execPath, join(ROOT, 'dist', 'node', 'main.js'), 'run'],
  ...['--kernel', guest(system.kernel), '--initrd', guest(system.initrd), '--append', CMDLINE],
  ...['--memory', String(memory), '--serial', 'stdio'],
];
const qemu = (program, system) => (memory) => [
  ...[program, '-accel', 'tcg,thread=single', '-smp', '1', '-m', String(memory), '-nic', 'none', '-no-reboot'],
  ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
  ...['-kernel', guest(system.kernel), '-initrd', guest(system.initrd), '-append', CMDLINE],
];
const inChromium = (kind, system) => (memory) => [
  ...[process.execPath, join(import.meta.dirname, 'chromium-run.mjs'), kind],
  ...[guest(system.kernel), guest(system.initrd), CMDLINE, String(memory)],
  ...[guest('bios-256k.bin'), guest('vgabios-stdvga.bin')],
];
const native = (system) => () => ['/bin/sh', join(import.meta.dirname, 'native.sh'), guest(system.programs)];

/** Names ending in 64 run amd64 guests; `ours0` interprets everything. */
const EMULATORS = {
  ours: ours(I386),
  ours0: (memory) => [...ours(I386)(memory), '--tier', '0'],
  v86: (memory) => [
    ...[process.execPath, join(import.meta.dirname, 'v86-run.mjs')],
    ...[guest(I386.kernel), guest(I386.initrd), CMDLINE, String(memory)],
    ...[guest('bios-256k.bin'), guest('vgabios-stdvga.bin')],
  ],
  qemu: qemu('qemu-system-i386', I386),
  native: native(I386),
  ours64: ours(AMD64),
  qemu64: qemu('qemu-system-x86_64', AMD64),
  native64: native(AMD64),
};
/** Those that run in a tab too. */
const IN_CHROMIUM = {
  ours: inChromium('ours', I386),
  v86: inChromium('v86', I386),
  ours64: inChromium('ours', AMD64),
};
const DEFAULT = ['ours', 'v86', 'qemu', 'native', 'ours64', 'qemu64', 'native64'];

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

function readOptions(args) {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: DEFAULT.join() },
      programs: { type: 'string', default: Object.keys(PROGRAMS).join() },
      memory: { type: 'string', default: '256' },
      limit: { type: 'string', default: '600' },
      json: { type: 'string' },
      in: { type: 'string', default: 'node' },
    },
    args,
  });
  if (values.in !== 'node' && values.in !== 'chromium')
    throw new Error(`--in takes node or chromium, not '${values.in}'`);
  return {
    commands: values.in === 'chromium' ? { ...EMULATORS, ...IN_CHROMIUM, ours0: undefined } : EMULATORS,
    in: values.in,
    rounds: positive(values.rounds, 'rounds'),
    emulators: list(values.only, EMULATORS, 'emulator'),
    programs: list(values.programs, PROGRAMS, 'program'),
    memory: positive(values.memory, 'memory'),
    limit: positive(values.limit, 'limit'),
    json: values.json,
  };
}

/** Boots one emulator and runs the programs. @returns a sample; `error` says why it is incomplete */
async function measure(emulator, round, { commands, in: place, memory, programs, limit }) {
  const load = readFileSync('/proc/loadavg', 'utf8').split(' ')[0];
  const sample = { emulator, round, load, command: commands[emulator](memory), rows: [] };
  const session = new Session(sample.command);
  try {
    if (place === 'chromium' && emulator in IN_CHROMIUM) await session.starting(limit);
    await session.expect(/BOOT-OK [^\n]*\n/, 'BOOT-OK', limit);
    sample.boot = { ...session.lap(), memory: session.memory() };
    await session.prompt(60);
    for (const program of programs) {
      const counted = place === 'node' && emulator === 'v86' && program === 'int';
      const before = counted ? await session.instructions() : 0;
      const rows = await runProgram(session, program, limit, emulator.startsWith('native'));
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

async function main(args) {
  ensureNode();
  const options = readOptions(args);
  const missing = options.emulators.filter((name) => !options.commands[name]);
  if (missing.length > 0) throw new Error(`${missing.join(', ')} is not measured in ${options.in}`);
  ensureDependencies();
  const runs64 = options.emulators.some((name) => name.endsWith('64'));
  ensureGuests(['firmware', 'default', 'bench', ...(runs64 ? ['amd64', 'bench64'] : [])]);
  if (options.emulators.some((name) => name.startsWith('ours')))
    ensureBuild(options.in === 'chromium' ? ['node', 'page'] : ['node']);
  for (const [name, program] of [
    ['qemu', 'qemu-system-i386'],
    ['qemu64', 'qemu-system-x86_64'],
  ]) {
    if (!options.emulators.includes(name) || onPath(program)) continue;
    process.stderr.write(`${program} is not installed (package qemu-system-x86); going on without it\n`);
    options.emulators = options.emulators.filter((one) => one !== name);
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
    const { commands: _, ...asked } = options;
    writeFileSync(options.json, `${JSON.stringify({ host, options: asked, samples, problems }, null, 1)}\n`);
  }
  process.exitCode = problems.length > 0 ? 1 : 0;
}

/** Benchmarks of their own. */
const OTHERS = { net: './net.mjs', rdp: './rdp.mjs', sharing: './sharing.mjs' };
const other = OTHERS[process.argv[2]];
const rest = process.argv.slice(other || process.argv[2] === 'cpu' ? 3 : 2);
const run = other ? async () => (await import(other)).main(rest) : () => main(rest);
run().catch((error) => {
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 1;
});
