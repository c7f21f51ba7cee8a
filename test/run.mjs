// npm test: everything, from nothing, in order. The last line counts; the exit status is 0 only when nothing failed.
//
//   npm test                      every step
//   npm test -- --only unit,e2e   some of them; `--list` names them

import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { dependenciesAreCurrent, ensureNode, ROOT } from '../server/bin/prepare.mjs';
import { descendants, signalAll } from './processes.mjs';

const REPORTS = join(ROOT, '.cache', 'test-reports');
const GRACE_MS = 10_000;
const node = process.execPath;
const module = (...path) => join(ROOT, 'node_modules', ...path);
const isRoot = process.getuid?.() === 0;

/** Commands the tests need on the host, with the Debian packages that hold them. */
const HOST_TOOLS = {
  ...{
    chromium: 'chromium',
    debootstrap: 'debootstrap',
    mke2fs: 'e2fsprogs',
    gcc: 'gcc',
    make: 'make',
    openssl: 'openssl',
  },
  gdb: 'gdb',
  // Networks: namespaces with Linux as the guest, and what runs in them.
  ...{ ip: 'iproute2', curl: 'curl', busybox: 'busybox', tshark: 'tshark', ssh: 'openssh-client' },
  ...{ 'qemu-system-i386': 'qemu-system-x86', vde_switch: 'vde2' },
  // Remote display: clients people have, an X server for them to show their windows on, and hands and eyes.
  ...{ xfreerdp: 'freerdp2-x11', rdesktop: 'rdesktop', Xvfb: 'xvfb', xdotool: 'xdotool', import: 'imagemagick' },
  ...{ xclip: 'xclip', python3: 'python3', unshare: 'util-linux' },
  ...{ pulseaudio: 'pulseaudio', parec: 'pulseaudio-utils' },
  ...{ remmina: 'remmina-plugin-rdp', krdc: 'krdc', 'dbus-run-session': 'dbus-daemon' },
};
const FOLDERS = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'];

/**
 * One after the other, but for what is done `aside`: steps go on beside it until one `needs` it.
 * @typedef {{name: string, minutes: number, fatal?: boolean, aside?: boolean, needs?: string[],
 *   run: (at: Running) => Promise<Count>}} Step
 * @type {Step[]}
 */
const STEPS = [
  { name: 'tools', minutes: 20, aside: true, run: installTools },
  { name: 'packages', minutes: 15, fatal: true, run: installPackages },
  { name: 'guests', minutes: 45, aside: true, needs: ['tools'], run: buildGuests },
  { name: 'check', minutes: 10, run: (at) => command(at, 'npm', ['run', '--silent', 'check']) },
  { name: 'build', minutes: 10, run: (at) => command(at, 'npm', ['run', '--silent', 'build']) },
  { name: 'unit', minutes: 40, needs: ['tools'], run: (at) => vitest(at, 'test/vitest.config.ts') },
  { name: 'machine', minutes: 90, needs: ['guests'], run: (at) => vitest(at, 'test/vitest.machine.config.ts') },
  { name: 'e2e', minutes: 90, needs: ['guests'], run: (at) => vitest(at, 'test/vitest.e2e.config.ts') },
];

/**
 * A step that is under way. `expired`, set by its clock, tells its child from one that ended by itself. `log`: two that speak
 * at once would not be understood, so what is done aside writes to a file, which is shown when it has ended.
 * @typedef {Step & {expired: boolean, child?: import('node:child_process').ChildProcess, log?: number}} Running
 */
/** @type {Set<Running>} */
const running = new Set();

/** @typedef {{passed: number, failed: number, skipped?: number, note?: string, names?: string[]}} Count */
const PASSED = { passed: 1, failed: 0 };
const failed = (note) => ({ passed: 0, failed: 1, note });

/** Ends a step's child and what it started, and nothing else. */
function endChild({ child }) {
  if (!child?.pid) return;
  const mine = [child.pid, ...descendants(child.pid)];
  signalAll(mine, 'SIGTERM');
  setTimeout(() => signalAll(mine, 'SIGKILL'), GRACE_MS).unref();
}

/** @returns {Promise<Count>} */
function command(at, name, args, environment = {}) {
  return new Promise((resolve) => {
    const output = at.log ?? 'inherit';
    const child = spawn(name, args, {
      cwd: ROOT,
      stdio: ['ignore', output, output],
      env: { ...process.env, ...environment },
    });
    at.child = child;
    child.once('error', (error) => resolve(failed(`cannot run ${name}: ${error.message}`)));
    child.once('exit', (status, signal) => {
      if (at.expired) resolve(failed('took too long'));
      else resolve(status === 0 ? PASSED : failed(`${name} ended with ${signal ?? `status ${status}`}`));
    });
  });
}

async function installPackages(at) {
  return dependenciesAreCurrent() ? PASSED : command(at, 'npm', ['ci', '--include=dev', '--no-audit', '--no-fund']);
}

function canCompile32Bit() {
  const versions = '/usr/lib/gcc/x86_64-linux-gnu';
  const hasRuntime = existsSync(versions) && readdirSync(versions).some((one) => existsSync(join(versions, one, '32')));
  return hasRuntime && existsSync('/usr/lib32/libc.a');
}

/** @returns {Promise<Count>} */
async function installTools(at) {
  const missing = Object.entries(HOST_TOOLS)
    .filter(([tool]) => !FOLDERS.some((folder) => existsSync(join(folder, tool))))
    .map(([, name]) => name);
  if (!canCompile32Bit()) missing.push('gcc-multilib');
  if (missing.length === 0) return PASSED;
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  if (!isRoot) return failed(`missing on this host; run: sudo apt-get ${install.join(' ')}`);
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  // Package lists may be old or absent; an unreachable source that is not needed does not matter.
  await command(at, 'apt-get', ['update', '-qq'], environment);
  return command(at, 'apt-get', ['-qq', ...install], environment);
}

/** @returns {Promise<Count>} */
function buildGuests(at) {
  return command(at, 'bash', ['server/guests/make.sh', 'all']);
}

/** What failed in one file of a report, a line each: `file > test: message`. */
function failuresOf({ name, status, message, assertionResults }) {
  const file = relative(ROOT, name);
  const tests = assertionResults.filter((one) => one.status === 'failed');
  // A file that does not load has no tests, only a message.
  if (tests.length === 0) return status === 'failed' ? [`${file}: ${firstLine(message)}`] : [];
  return tests.map((one) => `${file} > ${one.fullName}: ${firstLine(one.failureMessages[0])}`);
}

function firstLine(text = '') {
  return text.split('\n', 1)[0].slice(0, 300);
}

/** @returns {Promise<Count>} */
async function vitest(at, config) {
  const report = join(REPORTS, `${at.name}.json`);
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const ended = await command(at, node, [module('vitest', 'vitest.mjs'), 'run', '--config', config, ...reporters]);
  if (!existsSync(report)) return failed(ended.note ?? 'vitest left no report');
  const result = JSON.parse(readFileSync(report, 'utf8'));
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numTotalTests } = result;
  const count = { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests };
  if (numTotalTests === 0) return failed('no tests found');
  const names = result.testResults.flatMap(failuresOf);
  // A file that does not load, or an error outside any test, fails the run without failing a test.
  if (ended.failed > 0 && count.failed === 0) return { ...count, failed: 1, note: ended.note, names };
  return { ...count, names };
}

async function runStep(step) {
  const { name, minutes, aside, run } = step;
  const log = join(REPORTS, `${name}.log`);
  /** @type {Running} */
  const at = { ...step, expired: false, ...(aside && { log: openSync(log, 'w') }) };
  const say = (text) => process.stdout.write(text);
  say(aside ? `\n=== ${name}: begun, beside the following ===\n` : `\n=== ${name} ===\n`);
  const began = performance.now();
  running.add(at);
  const clock = setTimeout(() => {
    at.expired = true;
    say(`=== ${name}: no end after ${minutes} minutes, stopping it ===\n`);
    endChild(at);
  }, minutes * 60_000);
  const count = await run(at).catch((error) => failed(String(error)));
  clearTimeout(clock);
  running.delete(at);
  if (at.log !== undefined) {
    closeSync(at.log);
    say(`\n=== ${name}: ended; it said: ===\n${readFileSync(log)}=== end of ${name} ===\n`);
  }
  return { name, seconds: (performance.now() - began) / 1000, ...count };
}

function describe({ name, seconds, passed, failed: bad, skipped = 0, note }) {
  const parts = [`${passed} passed`, `${bad} failed`, ...(skipped ? [`${skipped} skipped`] : [])];
  return `${name.padEnd(10)}${seconds.toFixed(1).padStart(9)} s   ${parts.join(', ')}${note ? `  (${note})` : ''}`;
}

/** @param {Step[]} steps */
async function runSteps(steps) {
  /** @type {Map<string, Promise<object | undefined>>} */
  const ends = new Map();
  let isOver = false;
  for (const step of steps) {
    const needed = Promise.all((step.needs ?? []).map((name) => ends.get(name)));
    const end = needed.then(() => (isOver ? undefined : runStep(step)));
    ends.set(step.name, end);
    if (!step.aside) isOver = (await end).failed > 0 && step.fatal === true;
    if (isOver) break;
  }
  return (await Promise.all(ends.values())).filter((result) => result !== undefined);
}

async function main() {
  const { values } = parseArgs({ options: { only: { type: 'string' }, list: { type: 'boolean' } } });
  if (values.list) return process.stdout.write(`${STEPS.map(({ name }) => name).join('\n')}\n`);
  const wanted = values.only?.split(',') ?? STEPS.map(({ name }) => name);
  const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));
  if (unknown.length > 0) throw new Error(`no step ${unknown.join(', ')}; --list names them`);
  ensureNode();
  mkdirSync(REPORTS, { recursive: true });
  const results = await runSteps(STEPS.filter(({ name }) => wanted.includes(name)));
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  // Last, because a log is often cut at its front.
  for (const name of results.flatMap(({ names = [] }) => names)) process.stdout.write(`failed: ${name}\n`);
  process.stdout.write(`\n${results.map(describe).join('\n')}\n`);
  process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`);
  process.exitCode = sum('failed') === 0 && sum('passed') > 0 ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    const children = [...running].flatMap(({ child }) => child ?? []);
    for (const at of running) endChild(at);
    setTimeout(() => process.exit(1), GRACE_MS + 500).unref();
    let left = children.length;
    for (const child of children) child.once('exit', () => --left === 0 && process.exit(1));
  });
}
main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
