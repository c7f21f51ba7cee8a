// npm run bench -- net: what networks cost, beside libslirp (slirp4netns) and QEMU's translator, in one run, in turns.
//
//   npm run bench -- net [--rounds N] [--seconds S] [--only engine,guests,relay] [--json FILE]
//
// engine: NAT alone. "engine" has its own TCP as the guest in the same thread; "engine, tap" and "libslirp" have Linux.
// guests: a headless Debian guest and QEMU's, each behind its NAT. relay: what connected machines cost it.
// Needs root for namespaces. CPU is of the process that is the network (libslirp: slirp4netns).

import { fork, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'vite';
import { ensureBuild, ensureGuests, guestsDirectory, ROOT } from '../../server/bin/prepare.mjs';
import { Session } from './session.mjs';

const HERE = fileURLToPath(import.meta.url);
const MTU = 1500;
const IPERF_PORT = 25201;

if (process.argv[2] === '--role') await play(process.argv[3], JSON.parse(process.argv[4]));

/** Runs a part, out of the bundle that `bundle` made: code that has not been bundled is several times slower. */
async function play(role, settings) {
  const parts = await import(pathToFileURL(join(settings.bundle, 'net-parts.js')).href);
  await parts.play(role, settings);
}

let bundle;
async function makeBundle() {
  // Inside the tree, so that packages are found.
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  bundle = mkdtempSync(join(ROOT, '.cache', 'bench-net-'));
  await build({
    ...{ root: ROOT, configFile: false, logLevel: 'error' },
    build: { ssr: 'test/bench/net-parts.ts', outDir: bundle, emptyOutDir: false, target: 'node20', minify: false },
  });
  copyFileSync(join(ROOT, 'server', 'net', 'tap-helper.pl'), join(bundle, 'tap-helper.pl'));
}

/** A part in a process of its own. */
function start(role, settings = {}) {
  const child = fork(HERE, ['--role', role, JSON.stringify({ ...settings, bundle })], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const waiting = [];
  const got = [];
  child.on('message', (message) => (waiting.length > 0 ? waiting.shift()(message) : got.push(message)));
  const next = () => (got.length > 0 ? Promise.resolve(got.shift()) : new Promise((resolve) => waiting.push(resolve)));
  return {
    ...{ next, pid: child.pid, end: () => child.kill() },
    ask(message) {
      child.send(message);
      return next();
    },
  };
}

const cpuSeconds = (pid) => {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).map(Number);
  return (user + system) / 100;
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const at = (values, share) =>
  values.toSorted((a, b) => a - b)[Math.min(Math.floor(values.length * share), values.length - 1)];
const median = (values) => at(values, 0.5);

/** The client in a namespace: Node's sockets on Linux's TCP. Prints what it measured. */
const CLIENT = `
const [what, port, seconds] = process.argv.slice(1);
const socket = require('node:net').connect({ host: '10.0.2.2', port: Number(port), noDelay: true });
const began = performance.now(); const end = began + seconds * 1000; const block = Buffer.alloc(65536); let bytes = 0; const ms = [];
const over = () => { ms.sort((a, b) => a - b); const q = (share) => ms[Math.floor(ms.length * share)] ?? 0;
  require('node:fs').writeSync(1, JSON.stringify({ mbits: bytes * 8 / (performance.now() - began) / 1000, p50: q(0.5), p99: q(0.99) })); process.exit(); };
socket.write(what[0]);
if (what !== 'echo') setTimeout(over, seconds * 1000);
if (what === 'down') socket.on('data', (data) => { bytes += data.length; });
if (what === 'up') { const push = () => { while (socket.write(block)) bytes += block.length; bytes += block.length; }; socket.on('drain', push); socket.on('connect', push); }
if (what === 'echo') { let sent; const ask = () => { sent = performance.now(); socket.write('x'); }; socket.on('data', () => { ms.push(performance.now() - sent); if (performance.now() < end) setImmediate(ask); else over(); }); setTimeout(ask, 100); }
`;

function output(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
    });
    child.on('error', reject);
    child.on('exit', () => resolve(text));
  });
}

/** Kinds of NAT to be measured: each runs one measurement. */
async function openNats(port) {
  const engine = start('engine');
  const tap = start('tap');
  await engine.next();
  const { namespace } = await tap.next();
  const inNamespace = (prefix, pid) => async (what, seconds) => {
    const before = cpuSeconds(pid);
    const figures = JSON.parse(
      await output(prefix[0], [...prefix.slice(1), process.execPath, '-e', CLIENT, what, port, seconds]),
    );
    return { ...figures, cpuMs: (cpuSeconds(pid) - before) * 1000 };
  };
  const holder = spawn('unshare', ['-n', 'sleep', '3600'], { stdio: 'ignore' });
  await pause(500);
  const slirp = spawn('slirp4netns', [`--mtu=${MTU}`, '--configure', String(holder.pid), 'tap0'], { stdio: 'ignore' });
  let isThere = true;
  slirp.once('error', () => {
    isThere = false;
  });
  for (let n = 0; isThere && n < 100; n++) {
    if ((await output('nsenter', ['-t', String(holder.pid), '-n', 'ip', 'route'])).includes('default')) break;
    await pause(100);
  }
  if (!isThere) process.stderr.write('slirp4netns is not installed (package slirp4netns); going on without it\n');
  return {
    nats: {
      engine: (what, seconds) => engine.ask({ what, port, seconds }),
      'engine, tap': inNamespace(['ip', 'netns', 'exec', namespace], tap.pid),
      ...(isThere ? { libslirp: inNamespace(['nsenter', '-t', String(holder.pid), '-n'], slirp.pid) } : {}),
    },
    close: async () => {
      await tap.ask({ what: 'close' });
      for (const one of [engine, tap]) one.end();
      slirp.kill();
      holder.kill();
    },
  };
}

async function benchEngine({ rounds, seconds }) {
  const host = start('host');
  const { port } = await host.next();
  const { nats, close } = await openNats(port);
  const samples = Object.keys(nats).map((name) => ({
    name,
    up: [],
    down: [],
    p50: [],
    p99: [],
    upCpu: [],
    downCpu: [],
  }));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const sample of samples) {
        const measure = nats[sample.name];
        const up = await measure('up', seconds);
        const down = await measure('down', seconds);
        const { p50, p99 } = await measure('echo', seconds);
        sample.up.push(up.mbits);
        sample.down.push(down.mbits);
        // Milliseconds of CPU for a megabyte.
        sample.upCpu.push(up.cpuMs / ((up.mbits * seconds) / 8));
        sample.downCpu.push(down.cpuMs / ((down.mbits * seconds) / 8));
        sample.p50.push(p50);
        sample.p99.push(p99);
      }
    }
  } finally {
    await close();
    host.end();
  }
  console.log(`\nNAT, MTU ${MTU}: TCP in Mbit/s, CPU in ms a megabyte, request and response in ms (medians)`);
  console.table(
    Object.fromEntries(
      samples.map(({ name, ...all }) => [
        name,
        Object.fromEntries(Object.entries(all).map(([key, values]) => [key, Number(median(values).toPrecision(3))])),
      ]),
    ),
  );
  return samples;
}

/** A guest's iperf3 to and from the host's. */
async function benchGuests({ rounds, seconds }) {
  const samples = { ours: { up: [], down: [] }, qemu: { up: [], down: [] } };
  const server = spawn('iperf3', ['-s', '-B', '127.0.0.1', '-p', String(IPERF_PORT)], { stdio: 'ignore' });
  const started = await new Promise((resolve) =>
    server.once('spawn', () => resolve(true)).once('error', () => resolve(false)),
  );
  if (!started) {
    console.log('iperf3 is not installed (package iperf3); going on without guests');
    return samples;
  }
  const guest = (name) => join(guestsDirectory(), name);
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-bench-'));
  const initrd = join(folder, 'initrd');
  // Initramfs images add up: drivers and a quick init, then iperf3.
  const parts = ['default-initrd', 'net-initrd', 'iperf-initrd'];
  writeFileSync(initrd, Buffer.concat(parts.map((name) => readFileSync(guest(name)))));
  const append = 'console=ttyS0 quiet rdinit=/sbin/net-init';
  const image = ['--kernel', guest('default-kernel'), '--initrd', initrd, '--append', append];
  const commands = {
    ours: [
      ...[process.execPath, join(ROOT, 'dist', 'node', 'main.js'), 'run', ...image],
      ...['--memory', '256', '--serial', 'stdio'],
      ...['--nic1', 'nat', '--nictype1', 'virtio', '--nat-localhostreachable1', 'on'],
    ],
    qemu: [
      ...['qemu-system-i386', '-accel', 'tcg,thread=single', '-smp', '1', '-m', '256', '-no-reboot'],
      ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', ...image.map((one) => one.replace(/^--/, '-'))],
      ...['-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n'],
    ],
  };
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [name, command] of Object.entries(commands)) await measureGuest(name, command, seconds, samples[name]);
    }
  } finally {
    server.kill();
    rmSync(folder, { recursive: true });
  }
  console.log('\nA Debian guest (i386) behind its NAT, virtio: iperf3, TCP in Mbit/s (medians)');
  console.table(
    Object.fromEntries(
      Object.entries(samples).map(([name, { up, down }]) => [
        name,
        { up: Math.round(median(up)), down: Math.round(median(down)) },
      ]),
    ),
  );
  return samples;
}

/** One boot, both ways. */
async function measureGuest(name, command, seconds, samples) {
  const session = new Session(command);
  try {
    await session.expect(/BOOT-OK [^\n]*\n/, 'BOOT-OK', 300);
    await session.prompt(60);
    session.send('ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; sleep 3');
    await session.prompt(60);
    for (const [what, option] of [
      ['up', ''],
      ['down', '-R'],
    ]) {
      // The first seconds do not count: caches fill, code gets hot.
      session.send(`iperf3 -c 10.0.2.2 -p ${IPERF_PORT} -f m -O 4 -t ${seconds} ${option}; echo over-$((1+1))`);
      const { text } = await session.expect(/over-2/, `end of iperf3 in ${name}'s guest (${what})`, 120);
      const rate = /([\d.]+) Mbits\/sec\s+receiver/.exec(text);
      if (!rate) throw new Error(`iperf3 in the guest said: ${text}`);
      samples[what].push(Number(rate[1]));
      await session.prompt(60);
    }
  } finally {
    await session.close();
  }
}

async function benchRelay({ seconds }) {
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-bench-'));
  const relay = start('relay', { folder });
  const { url, tokens } = await relay.next();
  const nobody = await relay.ask({ seconds });
  const idle = start('machines', { url, tokens, bitsPerSecond: 0 });
  await idle.next();
  const idleCost = await relay.ask({ seconds });
  idle.end();
  await pause(500);
  const busy = start('machines', { url, tokens: tokens.slice(0, 50), bitsPerSecond: 1e6, seconds });
  await busy.next();
  const busyCost = await relay.ask({ seconds });
  const { sent, received, delays } = await busy.next();
  for (const one of [busy, relay]) one.end();
  rmSync(folder, { recursive: true });
  const figures = {
    ...{ nobody: nobody.share, idle100: idleCost.share, busy50: busyCost.share, sent, lost: sent - received },
    ...{ p50: median(delays), p99: at(delays, 0.99), most: Math.max(...delays.slice(0, 100_000)) },
  };
  console.log('\nThe relay: share of a core with nobody, 100 idle machines and 50 at 1 Mbit/s; frames; delay in ms');
  console.table(Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, Number(value.toPrecision(3))])));
  return figures;
}

export async function main(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      only: { type: 'string', default: 'engine,guests,relay' },
      json: { type: 'string' },
    },
  });
  const options = { rounds: Number(values.rounds), seconds: Number(values.seconds) };
  const kinds = { engine: benchEngine, guests: benchGuests, relay: benchRelay };
  const results = { date: new Date().toISOString(), options };
  if (values.only.includes('guests')) {
    ensureGuests(['firmware', 'default', 'net', 'iperf']);
    ensureBuild(['node']);
  }
  await makeBundle();
  try {
    for (const kind of values.only.split(',')) {
      if (!(kind in kinds)) throw new Error(`no ${kind}; there are ${Object.keys(kinds).join(', ')}`);
      console.log(`load ${readFileSync('/proc/loadavg', 'utf8').split(' ')[0]}`);
      results[kind] = await kinds[kind](options);
    }
  } finally {
    rmSync(bundle, { recursive: true });
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 1)}\n`);
}
