// npm test: everything, from nothing, in order. The last line counts; the exit status is 0 only when nothing failed.
//
//   npm test                      every step
//   npm test -- --only unit,e2e   some of them; `--list` names them

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
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

/** @type {{name: string, minutes: number, fatal?: boolean, run: () => Promise<Count>}[]} */
const STEPS = [
  { name: 'packages', minutes: 15, fatal: true, run: installPackages },
  { name: 'tools', minutes: 20, run: installTools },
  { name: 'guests', minutes: 45, run: () => command('bash', ['server/guests/make.sh', 'all']) },
  { name: 'check', minutes: 10, run: () => command('npm', ['run', '--silent', 'check']) },
  { name: 'build', minutes: 10, run: () => command('npm', ['run', '--silent', 'build']) },
  { name: 'unit', minutes: 40, run: () => vitest('unit', 'test/vitest.config.ts') },
  { name: 'machine', minutes: 90, run: () => vitest('machine', 'test/vitest.machine.config.ts') },
  { name: 'e2e', minutes: 90, run: () => vitest('e2e', 'test/vitest.e2e.config.ts') },
];

/** @typedef {{passed: number, failed: number, skipped?: number, note?: string, names?: string[]}} Count */
const PASSED = { passed: 1, failed: 0 };
const failed = (note) => ({ passed: 0, failed: 1, note });

/** Set by the step's clock; tells the running child from one that ended by itself. */
let expired = false;
let child;

/** Ends the running child and what it started, and nothing else. */
function endChild() {
  if (!child?.pid) return;
  const mine = [child.pid, ...descendants(child.pid)];
  signalAll(mine, 'SIGTERM');
  setTimeout(() => signalAll(mine, 'SIGKILL'), GRACE_MS).unref();
}

/** @returns {Promise<Count>} */
function command(name, args, environment = {}) {
  return new Promise((resolve) => {
    child = spawn(name, args, {
      cwd: ROOT,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...environment },
    });
    child.once('error', (error) => resolve(failed(`cannot run ${name}: ${error.message}`)));
    child.once('exit', (status, signal) => {
      if (expired) resolve(failed('took too long'));
      else resolve(status === 0 ? PASSED : failed(`${name} ended with ${signal ?? `status ${status}`}`));
    });
  });
}

async function installPackages() {
  return dependenciesAreCurrent() ? PASSED : command('npm', ['ci', '--include=dev', '--no-audit', '--no-fund']);
}

function canCompile32Bit() {
  const versions = '/usr/lib/gcc/x86_64-linux-gnu';
  const hasRuntime = existsSync(versions) && readdirSync(versions).some((one) => existsSync(join(versions, one, '32')));
  return hasRuntime && existsSync('/usr/lib32/libc.a');
}

/** @returns {Promise<Count>} */
async function installTools() {
  const missing = Object.entries(HOST_TOOLS)
    .filter(([tool]) => !FOLDERS.some((folder) => existsSync(join(folder, tool))))
    .map(([, name]) => name);
  if (!canCompile32Bit()) missing.push('gcc-multilib');
  if (missing.length === 0) return PASSED;
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  if (!isRoot) return failed(`missing on this host; run: sudo apt-get ${install.join(' ')}`);
  const environment = { DEBIAN_FRONTEND: 'noninteractive' };
  // Package lists may be old or absent; an unreachable source that is not needed does not matter.
  await command('apt-get', ['update', '-qq'], environment);
  return command('apt-get', ['-qq', ...install], environment);
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
async function vitest(name, config) {
  const report = join(REPORTS, `${name}.json`);
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const ended = await command(node, [module('vitest', 'vitest.mjs'), 'run', '--config', config, ...reporters]);
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

async function runStep({ name, minutes, run }) {
  process.stdout.write(`\n=== ${name} ===\n`);
  const began = performance.now();
  expired = false;
  const clock = setTimeout(() => {
    expired = true;
    process.stdout.write(`=== ${name}: no end after ${minutes} minutes, stopping it ===\n`);
    endChild();
  }, minutes * 60_000);
  const count = await run().catch((error) => failed(String(error)));
  clearTimeout(clock);
  return { name, seconds: (performance.now() - began) / 1000, ...count };
}

function describe({ name, seconds, passed, failed: bad, skipped = 0, note }) {
  const parts = [`${passed} passed`, `${bad} failed`, ...(skipped ? [`${skipped} skipped`] : [])];
  return `${name.padEnd(10)}${seconds.toFixed(1).padStart(9)} s   ${parts.join(', ')}${note ? `  (${note})` : ''}`;
}

async function main() {
  const { values } = parseArgs({ options: { only: { type: 'string' }, list: { type: 'boolean' } } });
  if (values.list) return process.stdout.write(`${STEPS.map(({ name }) => name).join('\n')}\n`);
  const wanted = values.only?.split(',') ?? STEPS.map(({ name }) => name);
  const unknown = wanted.filter((name) => !STEPS.some((step) => step.name === name));
  if (unknown.length > 0) throw new Error(`no step ${unknown.join(', ')}; --list names them`);
  ensureNode();
  mkdirSync(REPORTS, { recursive: true });
  const results = [];
  for (const step of STEPS.filter(({ name }) => wanted.includes(name))) {
    const result = await runStep(step);
    results.push(result);
    if (step.fatal && result.failed > 0) break;
  }
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  // Last, because a log is often cut at its front.
  for (const name of results.flatMap(({ names = [] }) => names)) process.stdout.write(`failed: ${name}\n`);
  process.stdout.write(`\n${results.map(describe).join('\n')}\n`);
  process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`);
  process.exitCode = sum('failed') === 0 && sum('passed') > 0 ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    endChild();
    setTimeout(() => process.exit(1), GRACE_MS + 500).unref();
    child?.once('exit', () => process.exit(1));
  });
}
main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
