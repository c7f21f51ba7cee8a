#!/usr/bin/env node
// What a shared screen costs, and how quick it is.
//
// `tab`: the built page in Chromium as host, the built server as relay, another Chromium that watches, and then many viewers.
// `parts`: one host, one relay and N viewers in processes of their own, without browsers, scrolling text of 1024x768; then
// keys that one of them presses while the screen is still.
//
// npm run bench -- sharing [--only tab,parts] [--seconds 10] [--json FILE]
//                  [--rounds 3] [--many 30] [--keys 60] [--visits 5]   of `tab`
//                  [--viewers 1,30] [--fps 30]                         of `parts`

import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createServer } from 'vite';
import { ensureBuild, ensureGuests } from '../../server/bin/prepare.mjs';

const HERE = fileURLToPath(import.meta.url);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs TypeScript of the tree without a build. */
async function load(file) {
  const vite = await createServer({
    ...{ root: ROOT, configFile: false, logLevel: 'error', appType: 'custom' },
    server: { middlewareMode: true, ws: false, watch: null, hmr: false },
    optimizeDeps: { noDiscovery: true },
  });
  return [await vite.ssrLoadModule(`/test/bench/${file}`), () => vite.close()];
}

/** A part, in a process of its own. */
const role = process.argv[1] === HERE && process.argv[2] === '--role' ? process.argv[3] : undefined;
if (role) {
  const [parts] = await load('sharing-parts.ts');
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
      only: { type: 'string', default: 'tab,parts' },
      seconds: { type: 'string', default: '10' },
      json: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      many: { type: 'string', default: '30' },
      keys: { type: 'string', default: '60' },
      visits: { type: 'string', default: '5' },
      viewers: { type: 'string', default: '1,30' },
      fps: { type: 'string', default: '30' },
    },
  });
  const unknown = values.only.split(',').filter((name) => !(name in MEASURED));
  if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}; there are ${Object.keys(MEASURED)}`);
  const results = {};
  for (const name of values.only.split(',')) results[name] = await MEASURED[name](values);
  if (!values.json) return;
  const host = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, date: new Date().toISOString() };
  writeFileSync(values.json, `${JSON.stringify({ host, options: values, ...results }, null, 1)}\n`);
}

const MEASURED = { tab: measureTab, parts: measureParts };

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function measureTab({ seconds, rounds, many, keys, visits }) {
  ensureGuests(['firmware']);
  ensureBuild(['node', 'page']);
  const [tab, close] = await load('sharing-tab.ts');
  const counts = { seconds, rounds, many, keys, visits };
  const order = Object.fromEntries(Object.entries(counts).map(([name, text]) => [name, Number(text)]));
  const figures = await tab.measureTab({ ...order, startViewers: (settings) => start('viewers', settings) });
  await close();
  const { firstPictures, afterJoin, keys: took, stillBytes, crowds } = figures;
  const sorted = [...took].sort((a, b) => a - b);
  console.log(
    `first picture after opening the link: p50 ${median(firstPictures).toFixed(0)} ms; after Join alone: ${median(afterJoin).toFixed(0)} ms`,
  );
  console.log(
    `key to a viewer's pixel over WebSocket: p50 ${median(took).toFixed(1)} ms, p95 ${sorted[Math.floor(took.length * 0.95)].toFixed(1)} ms`,
  );
  console.log(`a still screen: ${stillBytes.toFixed(1)} bytes/s; a keep-alive of a byte comes every 15 s`);
  console.log('viewers  relay %core  tab %core  updates/s  at the slowest');
  for (const { viewers, relay, tab: host, updates, slowest } of crowds.flat()) {
    const columns = [relay.toFixed(0).padStart(11), host.toFixed(0).padStart(9), updates.toFixed(1).padStart(9)];
    console.log([String(viewers).padStart(7), ...columns, slowest.toFixed(1).padStart(14)].join('  '));
  }
  const ratio = median(crowds.map(([, one, all]) => all.tab / one.tab));
  const sharing = median(crowds.map(([none, one, all]) => (all.tab - none.tab) / (one.tab - none.tab)));
  console.log(
    `the tab with all of them over the tab with one: ${ratio.toFixed(2)}; of what sharing adds: ${sharing.toFixed(2)}`,
  );
  return { ...figures, ratio, sharing };
}

async function measureParts({ viewers: viewerCounts, seconds: secondsText, fps }) {
  const seconds = Number(secondsText);
  const results = [];
  console.log(
    'viewers  relay %core  host %core  relay CPU ms/update  host CPU ms/update  updates/s  at the slowest  Mbit/s a viewer  age ms p50/p95  key ms p50/p95',
  );
  for (const count of viewerCounts.split(',').map(Number)) {
    const relay = start('relay', {});
    const { url } = await relay.next();
    const host = start('host', { url, fps: Number(fps) });
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
    results.push({
      ...{ viewers: count, relay: rate(0, 'cpuMs') / 10, host: rate(1, 'cpuMs') / 10, updates: rate(1, 'updates') },
      ...{ slowest, bytes: rate(2, 'bytes') / count, age: { p50, p95 }, key: { p50: keys.p50, p95: keys.p95 } },
    });
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
  return results;
}
