#!/usr/bin/env node
// What a remote display costs and how fast it is: our gateway beside FreeRDP's shadow server and xrdp, through xfreerdp.
// npm run bench -- rdp [--seconds 8] [--keys 25] [--only MODE,...] [--delay MS] [--json FILE]
// --delay: milliseconds that a way takes, each way; the client then measures the network, too.
// Needs Debian's freerdp2-x11, freerdp2-shadow-x11, xrdp, xorgxrdp, xvfb, xdotool, gcc, libx11-dev, libxext-dev and
// libxtst-dev, chromium, and root for xrdp's X server.

import { execFile, fork, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { createServer as createVite } from 'vite';

const run = promisify(execFile);
const HERE = fileURLToPath(import.meta.url);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PARTS = join(import.meta.dirname, 'rdp');
const PLACES = { video: [200, 300], text: [200, 300], key: [500, 80] };
const CLIENT = ['/u:a', '/p:b', '/cert:ignore', '/size:1024x768', '/bpp:32', '/network:lan', '/t:bench'];
const MODES = {
  'ours /rfx': { server: startOurs, args: ['/sec:tls', '/rfx'] },
  'ours /gfx': { server: startOurs, args: ['/sec:tls', '/gfx'] },
  'ours h264': { server: startOurs, args: ['/sec:tls', '/gfx:AVC420'] },
  'ours evor': { server: startOurs, args: ['/sec:tls', '/rfx', '/video'] },
  'xrdp /rfx': { server: startXrdp, args: ['/sec:tls', '/rfx'] },
  'shadow /rfx': { server: startShadow, args: ['/sec:tls', '/rfx'] },
  'shadow /gfx': { server: startShadow, args: ['/sec:tls', '/gfx'] },
  'shadow h264': { server: startShadow, args: ['/sec:tls', '/gfx:AVC420'] },
};

if (process.argv[2] === '--gateway') await (await load()).play(PLACES);

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs TypeScript of the tree without a build. */
async function load() {
  const vite = await createVite({
    ...{ root: ROOT, configFile: false, logLevel: 'error', appType: 'custom' },
    server: { middlewareMode: true, ws: false, watch: null, hmr: false },
    optimizeDeps: { noDiscovery: true },
  });
  return vite.ssrLoadModule('/test/bench/rdp/gateway-part.ts');
}

export async function main(args) {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '8' },
      keys: { type: 'string', default: '25' },
      only: { type: 'string', default: Object.keys(MODES).join(',') },
      delay: { type: 'string', default: '0' },
      json: { type: 'string' },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-bench-rdp-'));
  const closers = [() => rmSync(folder, { recursive: true, force: true })];
  const results = [];
  try {
    await compile(folder);
    const display = await startDisplay(closers);
    console.log('mode          what   fps  Mbit/s  KB/picture  CPU ms/picture  age ms p50/p95');
    for (const name of values.only.split(',')) {
      const mode = MODES[name];
      if (!mode) throw new Error(`there is no mode '${name}'; there are ${Object.keys(MODES).join(', ')}`);
      const result = { name, ...(await measure(mode, { folder, display, ...values })) };
      results.push(result);
      for (const what of ['video', 'text']) {
        const { fps, mbits, pictures, cpuMs, p50, p95, bytes } = result[what];
        const each = Math.max(1, pictures);
        const columns = [
          fps.toFixed(1).padStart(5),
          mbits.toFixed(2).padStart(7),
          (bytes / 1000 / each).toFixed(1).padStart(11),
        ];
        columns.push((cpuMs / each).toFixed(1).padStart(15), `${p50}/${p95}`.padStart(15));
        console.log(`${name.padEnd(13)} ${what} ${columns.join(' ')}`);
      }
      const { p50, p95, lost } = result.key;
      console.log(`${name.padEnd(13)} key to pixel ${p50}/${p95} ms p50/p95, ${lost} lost`);
    }
  } finally {
    for (const close of closers.reverse()) close();
  }
  if (values.json) writeFileSync(values.json, JSON.stringify(results, undefined, 2));
}

async function compile(folder) {
  const libraries = ['-lX11', '-lXext', '-lXtst', '-lm'];
  for (const name of ['eye', 'source']) {
    await run('gcc', ['-O2', '-o', join(folder, name), join(PARTS, `${name}.c`), ...libraries]);
  }
}

async function measure(mode, { folder, display, seconds, keys, delay }) {
  const closers = [];
  try {
    const server = await mode.server(folder, closers);
    const wire = await countingWire(server.port, closers, Number(delay));
    const client = start(
      'xfreerdp',
      [`/v:127.0.0.1:${wire.port}`, ...CLIENT, ...(delay === '0' ? [] : ['/network:auto']), ...mode.args],
      display,
      closers,
    );
    await windowOf(client, display);
    const result = {};
    for (const what of ['video', 'text']) {
      await server.show(what);
      await pause(5000);
      const before = { bytes: wire.bytes(), cpuMs: await server.cpuMs() };
      const seen = await look(folder, display, what, seconds);
      const [bytes, cpuMs] = [wire.bytes() - before.bytes, (await server.cpuMs()) - before.cpuMs];
      result[what] = { ...seen, bytes, cpuMs, mbits: (bytes * 8) / 1e6 / Number(seconds) };
    }
    await server.show('key');
    await pause(1500);
    const key = await look(folder, display, 'key', keys);
    return { ...result, key };
  } finally {
    for (const close of closers.reverse()) close();
    await pause(500);
  }
}

/** @param count seconds, or presses */
async function look(folder, display, what, count) {
  const [x, y] = PLACES[what];
  const place = what === 'key' ? [x + 20, y + 20] : [x, y];
  const env = { ...process.env, DISPLAY: display };
  const { stdout } = await run(
    join(folder, 'eye'),
    [what === 'key' ? 'key' : 'video', ...place.map(String), String(count)],
    { env },
  );
  return JSON.parse(stdout);
}

/** The window of a client lies at the corner of its display, which has no window manager, and has the keyboard. */
async function windowOf(client, display) {
  const env = { ...process.env, DISPLAY: display };
  for (let left = 100; left > 0; left--) {
    const { stdout } = await run('xdotool', ['search', '--onlyvisible', '--name', 'bench'], { env }).catch(() => ({}));
    const id = stdout?.split('\n')[0];
    if (id) {
      await run('xdotool', ['windowmove', '--sync', id, '0', '0'], { env }).catch(() => {});
      await run('xdotool', ['windowfocus', '--sync', id, 'mousemove', '1000', '700'], { env });
      return;
    }
    if (client.exitCode !== null) throw new Error(`xfreerdp ended with ${client.exitCode}`);
    await pause(200);
  }
  throw new Error('xfreerdp shows no window');
}

async function startOurs(_folder, closers) {
  const child = fork(HERE, ['--gateway']);
  closers.push(() => child.kill());
  const { port } = await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', () => reject(new Error('our gateway has ended')));
  });
  const figures = () =>
    new Promise((resolve) => {
      child.once('message', ({ cpuMs }) => resolve(cpuMs));
      child.send('figures');
    });
  return { port, cpuMs: figures, show: async (what) => void child.send(what) };
}

async function startShadow(folder, closers) {
  const display = await startDisplay(closers, '1024x768x24');
  const port = await freePort();
  const { pid } = start('freerdp-shadow-cli', [`/port:${port}`, '/bind-address:127.0.0.1', '-auth'], display, closers);
  await listening(port);
  return peer(port, async () => cpuMsOf([pid]), folder, display, closers);
}

/** xrdp on an X server of its own, without its session manager: xrdp's screen module connects to that server's socket. */
async function startXrdp(folder, closers) {
  const sockets = '/run/xrdp/sockdir';
  mkdirSync(sockets, { recursive: true });
  const env = { ...process.env, XRDP_SOCKET_PATH: sockets, XRDP_START_WIDTH: '1024', XRDP_START_HEIGHT: '768' };
  const log = join(folder, 'xorg.log');
  const args = [
    '-displayfd',
    '3',
    '-config',
    '/etc/X11/xrdp/xorg.conf',
    '-noreset',
    '-nolisten',
    'tcp',
    '-logfile',
    log,
  ];
  const server = spawn('Xorg', args, { env, stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  closers.push(() => server.kill());
  const display = await displayName(server);
  const port = await freePort();
  const settings = `[Globals]
ini_version=1
port=${port}
security_layer=tls
crypt_level=high
certificate=
key_file=
bitmap_compression=true
max_bpp=32
new_cursors=true
use_fastpath=both
allow_channels=true
autorun=bench
[Logging]
LogFile=${join(folder, 'xrdp.log')}
LogLevel=INFO
[Channels]
cliprdr=true
drdynvc=true
rdpdr=true
rdpsnd=true
[bench]
name=bench
lib=libxup.so
username=na
password=na
ip=127.0.0.1
port=${sockets}/xrdp_display_${display.slice(1)}
code=20
`;
  const file = join(folder, 'xrdp.ini');
  writeFileSync(file, settings);
  const { pid } = start('xrdp', ['--nodaemon', '--config', file], display, closers);
  await listening(port);
  return peer(port, async () => cpuMsOf([pid, server.pid]), folder, display, closers);
}

/** A server that shows an X display. */
function peer(port, cpuMs, folder, display, closers) {
  let source;
  return {
    port,
    cpuMs,
    show: async (what) => {
      source?.kill();
      source = start(join(folder, 'source'), [what, ...PLACES[what].map(String)], display, closers);
    },
  };
}

function start(command, args, display, closers) {
  const child = spawn(command, args, { env: { ...process.env, DISPLAY: display }, stdio: 'ignore' });
  child.on('error', (cause) => console.error(`${command}: ${cause.message}`));
  closers.push(() => child.kill('SIGKILL'));
  return child;
}

/** @returns its name */
async function startDisplay(closers, size = '1200x900x24') {
  const args = ['-displayfd', '3', '-screen', '0', size, '-nolisten', 'tcp', '-noreset'];
  const server = spawn('Xvfb', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  closers.push(() => server.kill());
  return displayName(server);
}

/** @param server an X server that tells its number. @returns `:` and the number */
async function displayName(server) {
  const number = await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (status) => reject(new Error(`${server.spawnfile} ended with ${status}`)));
    server.stdio[3].once('data', (bytes) => resolve(bytes.toString().trim()));
  });
  return `:${number}`;
}

/** @returns the port it listens at */
function listen(server) {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
}

async function freePort() {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(port) {
  for (let left = 100; left > 0; left--) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      setTimeout(() => socket.destroy(), 300);
    });
    if (isOpen) return;
    await pause(100);
  }
  throw new Error(`nobody listens at port ${port}`);
}

/** A relay that counts what servers send; the same for all of them. @param delay of each way, milliseconds */
async function countingWire(to, closers, delay) {
  let bytes = 0;
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: to, host: '127.0.0.1', noDelay: true });
    far.on('data', (part) => {
      bytes += part.length;
    });
    if (delay === 0) near.pipe(far).pipe(near);
    else {
      for (const [from, into] of [
        [near, far],
        [far, near],
      ]) {
        from.on('data', (part) => setTimeout(() => into.write(part), delay));
        from.on('end', () => setTimeout(() => into.end(), delay));
      }
    }
    for (const end of [near, far]) end.on('error', () => {});
  });
  closers.push(() => server.close());
  return { port: await listen(server), bytes: () => bytes };
}

/** Milliseconds of CPU that processes and their living children have had, all their threads. */
function cpuMsOf(pids) {
  let ticks = 0;
  for (const pid of pids.flatMap((one) => [one, ...childrenOf(one)])) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 10;
}

function childrenOf(pid) {
  const direct = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return direct.flatMap((one) => [Number(one), ...childrenOf(one)]);
}
