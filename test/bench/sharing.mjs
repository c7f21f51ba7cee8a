#!/usr/bin/env node
// What a shared screen costs: one host, one relay and N viewers in processes of their own, scrolling text of 1024x768; then
// keys that one of them presses while the screen is still.
// npm run bench -- sharing [--viewers 1,30] [--seconds 10] [--fps 30]

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createServer } from 'vite';

const HERE = fileURLToPath(import.meta.url);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs TypeScript of the tree without a build. */
async function load() {
  const vite = await createServer({
    ...{ root: ROOT, configFile: false, logLevel: 'error', appType: 'custom' },
    server: { middlewareMode: true, ws: false, watch: null, hmr: false },
    optimizeDeps: { noDiscovery: true },
  });
  return vite.ssrLoadModule('/test/bench/sharing-parts.ts');
}

/** A part, in a process of its own. */
const role = process.argv[1] === HERE && process.argv[2] === '--role' ? process.argv[3] : undefined;
if (role) {
  const parts = await load();
  await parts.play(role, JSON.parse(process.argv[4] ?? '{}'));
}

/** A part in a process of its own. */
function start(name, settings) {
  const child = fork(HERE, ['--role', name, JSON.stringify(settings)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const waiting = [];
  const got = [];
  child.on('message', (message) => (waiting.length > 0 ? waiting.shift()(message) : got.push(message)));
  return {
    next: () => (got.length > 0 ? Promise.resolve(got.shift()) : new Promise((resolve) => waiting.push(resolve))),
    ask(message) {
      child.send(message);
      return this.next();
    },
    end: () => child.kill(),
  };
}

/** @param {string[]} args */
export async function main(args) {
  const { values } = parseArgs({
    args,
    options: {
      viewers: { type: 'string', default: '1,30' },
      seconds: { type: 'string', default: '10' },
      fps: { type: 'string', default: '30' },
    },
  });
  const seconds = Number(values.seconds);
  console.log(
    'viewers  relay %core  host %core  relay CPU ms/update  host CPU ms/update  updates/s  at the slowest  Mbit/s a viewer  age ms p50/p95  key ms p50/p95',
  );
  for (const count of values.viewers.split(',').map(Number)) {
    const relay = start('relay', {});
    const { url } = await relay.next();
    const host = start('host', { url, fps: Number(values.fps) });
    const { link } = await host.next();
    const viewers = start('viewers', { url, link, count });
    await viewers.next();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const before = await Promise.all([relay, host, viewers].map((one) => one.ask('figures')));
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const after = await Promise.all([relay, host, viewers].map((one) => one.ask('figures')));
    const rate = (which, name) => (after[which][name] - before[which][name]) / seconds;
    const slowest = Math.min(...after[2].updates.map((one, i) => one - before[2].updates[i])) / seconds;
    const { p50, p95 } = after[2];
    await host.ask('still');
    await new Promise((resolve) => setTimeout(resolve, 500));
    const keys = await viewers.ask('keys');
    console.log(
      [
        String(count).padStart(7),
        (rate(0, 'cpuMs') / 10).toFixed(0).padStart(11),
        (rate(1, 'cpuMs') / 10).toFixed(0).padStart(11),
        (rate(0, 'cpuMs') / rate(1, 'updates')).toFixed(2).padStart(19),
        (rate(1, 'cpuMs') / rate(1, 'updates')).toFixed(2).padStart(18),
        rate(1, 'updates').toFixed(1).padStart(9),
        slowest.toFixed(1).padStart(14),
        ((rate(2, 'bytes') * 8) / 1e6 / count).toFixed(2).padStart(16),
        `${p50.toFixed(0)}/${p95.toFixed(0)}`.padStart(15),
        `${keys.p50.toFixed(1)}/${keys.p95.toFixed(1)}`.padStart(14),
      ].join('  '),
    );
    for (const one of [viewers, host, relay]) one.end();
  }
}
