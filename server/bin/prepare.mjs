// What must be there before anything of this tree can run: Node, packages, guests, the build. Plain JavaScript without
// dependencies, because it runs before `npm ci` has. Every step looks first and costs nothing when all is in place.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODE_NEEDED = [20, 19];

/** Where guests and other files live that can be made again. */
export function cacheDirectory() {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return process.env.TABBOX_CACHE || join(base, 'tabbox');
}

export function guestsDirectory() {
  return join(cacheDirectory(), 'guests');
}

/** Ends the process with a message a person can act on. */
export function fail(message) {
  process.stderr.write(`tabbox: ${message}\n`);
  process.exit(1);
}

export function ensureNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1])) return;
  fail(
    `needs Node ${NODE_NEEDED.join('.')} or newer, this is ${process.versions.node}; https://nodejs.org has newer ones`,
  );
}

/** Runs a command to its end; its output goes to stderr, so that a program's own stdout stays clean. */
function run(command, args, environment = {}) {
  const { status, error, signal } = spawnSync(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  const line = [command, ...args].join(' ');
  fail(error ? `cannot run ${line}: ${error.message}` : `${line} failed (${signal ?? `exit status ${status}`})`);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whether node_modules holds the versions that package-lock.json names; packages for other systems may be absent. */
export function dependenciesAreCurrent(root = ROOT) {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages ?? {};
  const present = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (!present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link) return true;
    if (!present[path]) return entry.optional === true || entry.peer === true;
    return present[path].version === entry.version && existsSync(join(root, path, 'package.json'));
  });
}

export function ensureDependencies() {
  if (dependenciesAreCurrent()) return;
  process.stderr.write('tabbox: installing packages (npm ci)\n');
  // Packages for development build the page, so they are needed also where NODE_ENV says production.
  run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund']);
}

/** @param {string[]} targets of server/guests/make.sh, which looks itself at what is up to date */
export function ensureGuests(targets) {
  run('bash', [join('server', 'guests', 'make.sh'), ...targets]);
}

/** Every file that decides what the build gives, in a fixed order. */
function sourceFiles() {
  const files = ['index.html', 'package.json', 'package-lock.json', 'tsconfig.json'];
  const visit = (directory) => {
    for (const entry of readdirSync(join(ROOT, directory), { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (!/\.(test|suite)\.tsx?$|\.md$|\.mjs$|\.sh$/.test(entry.name)) files.push(path);
    }
  };
  for (const directory of ['src', 'server', 'public']) if (existsSync(join(ROOT, directory))) visit(directory);
  return files.filter((path) => existsSync(join(ROOT, path))).sort();
}

export function sourceHash() {
  const hash = createHash('sha256');
  for (const path of sourceFiles()) {
    hash.update(`${path}\0`);
    hash.update(readFileSync(join(ROOT, path)));
    hash.update('\0');
  }
  return hash.digest('hex');
}

const BUILDS = { page: 'server/vite.page.config.ts', node: 'server/vite.node.config.ts' };

function processExists(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Runs `work` while no other process of this tree builds: commands may be started side by side. */
function withBuildLock(work) {
  const lock = join(ROOT, 'dist', '.lock');
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
      if (holder > 0 && !processExists(holder)) rmSync(lock, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
  const release = () => rmSync(lock, { force: true });
  process.once('exit', release);
  work();
  process.off('exit', release);
  release();
}

function isBuilt(kind, hash) {
  const stamp = join(ROOT, 'dist', `.${kind}-sources`);
  return existsSync(join(ROOT, 'dist', kind)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
}

function build(kind, hash) {
  const stamp = join(ROOT, 'dist', `.${kind}-sources`);
  process.stderr.write(`tabbox: building dist/${kind}\n`);
  rmSync(stamp, { force: true });
  const vite = join('node_modules', 'vite', 'bin', 'vite.js');
  run(process.execPath, [vite, 'build', '--logLevel', 'warn', '--config', BUILDS[kind]]);
  writeFileSync(stamp, hash);
}

/**
 * @param {('page' | 'node')[]} kinds which of dist/page and dist/node must match the sources
 * @param {boolean} always build also what matches them
 */
export function ensureBuild(kinds, always = false) {
  const hash = sourceHash();
  const stale = (kind) => always || !isBuilt(kind, hash);
  if (!kinds.some(stale)) return;
  withBuildLock(() => {
    for (const kind of kinds) if (stale(kind)) build(kind, hash);
  });
}
