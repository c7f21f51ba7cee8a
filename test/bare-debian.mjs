// `npm start` where nothing is installed: a minimal Debian 12 with Node 20 in a chroot, a fresh clone in it, the page
// opened by a browser outside, one click, BOOT-OK. As root; takes some minutes and is not part of `npm test`.
//
//   node test/bare-debian.mjs [--keep]     --keep leaves the chroot for the next time

import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright';
import { cacheDirectory, ROOT } from '../server/bin/prepare.mjs';

const CHROOT = join(cacheDirectory(), 'bare-debian');
const CLONE = '/root/tabbox';
const READY_MS = 20 * 60_000;
const BOOT_MS = 10 * 60_000;
/** How this host reaches the network: names, certificates, apt's sources. None of it is software. */
const NETWORK_FILES = ['/etc/resolv.conf', '/etc/hosts', '/etc/ssl/certs', '/usr/local/share/ca-certificates'];
const NETWORK_SETTINGS = /^((https?|no)_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR))$/i;
const APT_FILES = ['sources.list', 'sources.list.d', 'trusted.gpg.d', 'keyrings', 'auth.conf.d', 'apt.conf.d'];

const say = (text) => process.stdout.write(`bare-debian: ${text}\n`);

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 2, 2], ...options });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `status ${status}`}`);
}

function copyIn(path) {
  if (!existsSync(path)) return;
  const to = join(CHROOT, path);
  rmSync(to, { recursive: true, force: true });
  mkdirSync(dirname(to), { recursive: true });
  cpSync(path, to, { recursive: true, dereference: true, preserveTimestamps: true });
}

/** Node as its own packages install it: one program, and npm beside it. */
function installNode() {
  copyIn(process.execPath);
  const prefix = dirname(dirname(process.execPath));
  const npm = [join(prefix, 'lib/node_modules/npm'), '/usr/share/nodejs/npm'].find((path) => existsSync(path));
  if (!npm) throw new Error('npm is not where Node is');
  copyIn(npm);
  for (const name of ['npm', 'npx']) {
    const link = join(CHROOT, prefix, 'bin', name);
    rmSync(link, { force: true });
    const script = `#!/bin/sh\nexec ${process.execPath} ${npm}/bin/${name}-cli.js "$@"\n`;
    writeFileSync(link, script, { mode: 0o755 });
  }
}

function makeChroot() {
  if (!existsSync(join(CHROOT, 'etc/debian_version'))) {
    say('debootstrap');
    run('debootstrap', ['--variant=minbase', 'bookworm', CHROOT, ...mirror()]);
  }
  for (const path of NETWORK_FILES) copyIn(path);
  for (const [name, value] of Object.entries(process.env)) {
    if (NETWORK_SETTINGS.test(name) && value?.startsWith('/')) copyIn(value);
  }
  for (const name of APT_FILES) copyIn(join('/etc/apt', name));
  copyIn('/usr/share/keyrings');
  installNode();
  rmSync(join(CHROOT, CLONE), { recursive: true, force: true });
  run('git', ['clone', '--quiet', '--no-hardlinks', ROOT, join(CHROOT, CLONE)]);
}

/** The host's own mirror of Debian, if it has one. */
function mirror() {
  const { stdout } = spawnSync('apt-cache', ['policy', 'base-files'], { encoding: 'utf8' });
  const [, address] = /\d+ (https?:\/\/\S+) bookworm\/main/.exec(stdout ?? '') ?? [];
  return address ? [address] : [];
}

/** Inside: /proc and /dev of its own, gone with the last process. Only what a login shell has is set. */
function start() {
  const npm = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim();
  const passed = Object.entries(process.env).filter(([name]) => NETWORK_SETTINGS.test(name));
  const environment = {
    ...Object.fromEntries(passed),
    ...{
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      npm_config_registry: npm,
    },
  };
  const mounts = `mount -t proc proc ${CHROOT}/proc && mount --rbind /dev ${CHROOT}/dev`;
  const inside = `cd ${CLONE} && exec npm start`;
  const script = `${mounts} && exec chroot ${CHROOT} /bin/sh -c '${inside}'`;
  return spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', '/bin/sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: environment,
  });
}

function address(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    const late = setTimeout(() => reject(new Error('no address in time')), READY_MS);
    child.stdout.on('data', (bytes) => {
      process.stdout.write(bytes);
      text += bytes;
      const [url] = /http:\/\/\S+/.exec(text) ?? [];
      if (!url) return;
      clearTimeout(late);
      resolve(url);
    });
    child.once('exit', (status) => reject(new Error(`npm start ended with status ${status}`)));
  });
}

async function clickAndBoot(url) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find((path) => existsSync(path));
  const browser = await chromium.launch({ ...(executablePath && { executablePath }), args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    await page.getByTestId('run-default').click();
    await page.waitForFunction(() => globalThis.tabbox?.serialText().includes('BOOT-OK'), undefined, {
      timeout: BOOT_MS,
      polling: 500,
    });
    await page.evaluate(() => globalThis.tabbox.sendSerial('echo typed-$((6*7))\r'));
    await page.waitForFunction(() => /\ntyped-42/.test(globalThis.tabbox.serialText()), undefined, { timeout: 60_000 });
    return await page.evaluate(() => /BOOT-OK.*/.exec(globalThis.tabbox.serialText())[0]);
  } finally {
    await browser.close();
  }
}

async function main() {
  if (process.getuid?.() !== 0) throw new Error('must run as root: it makes a chroot');
  makeChroot();
  say(`${readdirSync(join(CHROOT, 'usr/bin')).length} programs in the chroot's /usr/bin; npm start`);
  const began = performance.now();
  const child = start();
  try {
    const url = await address(child);
    say(`an address after ${((performance.now() - began) / 1000).toFixed(0)} s`);
    say(await clickAndBoot(url));
  } finally {
    child.removeAllListeners('exit');
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
  if (!process.argv.includes('--keep')) rmSync(CHROOT, { recursive: true, force: true });
}

main().catch((error) => {
  process.stderr.write(`bare-debian: ${error.message}\n`);
  process.exitCode = 1;
});
