/**
 * The sharing benchmark with what people have: the built page in a Chromium as host, the built server as relay, and another
 * Chromium that watches, over WebSocket. The guest is `sharing-guest.ts`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContext, Page } from 'playwright';
import { makeMachine, prepare, until } from '../e2e/support/machine-page.ts';
import { openProfile } from '../e2e/support/page-test.ts';
import { People } from '../e2e/support/people.ts';
import { descendants } from '../processes.mjs';
import { HEIGHT, SQUARE, sharingGuest, WIDTH } from './sharing-guest.ts';

const SERVER = join(fileURLToPath(new URL('../..', import.meta.url)), 'dist', 'node', 'main.js');
const READY_MS = 120_000;
const TICK_MS = 10;

export interface TabOrder {
  readonly seconds: number;
  readonly rounds: number;
  readonly many: number;
  readonly keys: number;
  readonly visits: number;
  /** More people, who draw nothing but the first one's pictures. */
  readonly startViewers: (settings: { url: string; link: string; count: number }) => ViewersPart;
}

/** See `sharing-parts.ts`. */
export interface ViewersPart {
  next(): Promise<unknown>;
  ask(what: 'figures'): Promise<{ readonly updates: readonly number[]; readonly bytes: number }>;
  end(): void;
}

export interface Crowd {
  readonly viewers: number;
  /** Percent of a core: the relay's process, and the browser whose tab runs the machine, all of it. */
  readonly relay: number;
  readonly tab: number;
  /** A second, at the quickest and the slowest. */
  readonly updates: number;
  readonly slowest: number;
}

export interface TabFigures {
  /** Milliseconds from the start of the navigation to the first picture on the canvas; one number a visit. */
  readonly firstPictures: readonly number[];
  /** Of that, what passed after the click on Join. */
  readonly afterJoin: readonly number[];
  /** Milliseconds from the key's event to the canvas with what it changed. */
  readonly keys: readonly number[];
  /** Bytes a second of messages that a viewer gets while nothing changes. */
  readonly stillBytes: number;
  readonly crowds: readonly (readonly Crowd[])[];
}

export async function measureTab(order: TabOrder): Promise<TabFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-bench-sharing-'));
  const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })];
  try {
    const server = await startServer(join(folder, 'state'), closers);
    const floppy = join(folder, 'text.img');
    writeFileSync(floppy, sharingGuest());
    const profile = join(folder, 'host');
    const context: BrowserContext = await openProfile(profile);
    closers.push(() => context.close());
    const host = context.pages()[0] ?? (await context.newPage());
    const address = await share(host, server.url, floppy);
    const people = await People.gather();
    closers.push(() => people.close());
    const firstPictures: number[] = [];
    const afterJoin: number[] = [];
    for (let visit = 0; visit < order.visits; visit++) {
      const page = await look(people, address);
      const { firstPicture, asked } = await page.evaluate(() => ({ ...document.body.dataset }));
      firstPictures.push(Number(firstPicture));
      afterJoin.push(Number(firstPicture) - Number(asked));
      await page.context().close();
    }
    const viewer = await look(people, address);
    const keys = await pressed(viewer, order.keys);
    const stillBytes = await bytesOfStill(viewer, order.seconds);
    await viewer.context().close();
    await people.close();
    const crowds = await measureCrowds(order, { address, server, profile, host });
    return { firstPictures, afterJoin, keys, stillBytes, crowds };
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

interface RunningRelay {
  readonly url: string;
  readonly pid: number;
}

function startServer(state: string, closers: (() => unknown)[]): Promise<RunningRelay> {
  const child = spawn(process.execPath, [SERVER, 'serve', '--port', '0', '--state', state], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(() => child.kill());
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      const url = /http:\S+/.exec(text)?.[0];
      if (url) resolve({ url, pid: child.pid ?? 0 });
    });
    child.once('exit', (status) => reject(new Error(`the server ended with status ${status}`)));
  });
}

/** Starts the machine and shares it. @returns a link that lets its people type */
async function share(host: Page, url: string, floppy: string): Promise<string> {
  await host.goto(url);
  await prepare(host);
  await makeMachine(host, { files: [floppy], memoryMb: 32 });
  const size = (): Promise<string> =>
    host.evaluate(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('[data-testid=canvas]');
      return `${canvas?.width}x${canvas?.height}`;
    });
  await until(size, new RegExp(`^${WIDTH}x${HEIGHT}$`), READY_MS);
  await host.getByTestId('share').click();
  await host.getByTestId('share-start').click();
  await host.getByTestId('role-control').check();
  await host.getByTestId('uses').selectOption('any number of people');
  await host.getByTestId('make-link').click();
  const address = await host.getByTestId('link-address').first().inputValue();
  await host.getByTestId('share-close').click();
  return address;
}

/** Opens the link as somebody does who has been there before; the click on Join takes them no time. */
async function look(people: People, address: string): Promise<Page> {
  const { page } = await people.open(address, async (one) => {
    await one.addInitScript(watchCanvas, SQUARE);
  });
  await page.locator('body[data-first-picture]').waitFor({ timeout: READY_MS });
  return page;
}

interface Watched {
  /** Of the pixel that keys change, when it was last drawn. */
  square: number;
  onSquare: (() => void) | undefined;
}

/** Runs in the page before all of it. */
function watchCanvas({ x, y }: { x: number; y: number }): void {
  Reflect.deleteProperty(window, 'RTCPeerConnection');
  localStorage.setItem('tabbox.name', 'Bench');
  const watched: Watched = { square: 0, onSquare: undefined };
  Object.assign(window, { watched });
  const put = CanvasRenderingContext2D.prototype.putImageData;
  const putAndTell = function (this: CanvasRenderingContext2D, ...parameters: unknown[]): void {
    (put as (...all: unknown[]) => void).apply(this, parameters);
    const [image] = parameters as [ImageData];
    document.body.dataset['firstPicture'] ??= String(performance.now());
    const red = image.data[(y * image.width + x) * 4];
    if (red === undefined || red === watched.square) return;
    watched.square = red;
    watched.onSquare?.();
  };
  CanvasRenderingContext2D.prototype.putImageData = putAndTell as typeof put;
  const join = (): void => {
    const button = document.querySelector<HTMLElement>('[data-testid=join]');
    if (button) {
      document.body.dataset['asked'] = String(performance.now());
      button.click();
    } else setTimeout(join, 1);
  };
  join();
}

/** Presses keys, each at another moment of an animation frame. */
async function pressed(page: Page, count: number): Promise<number[]> {
  await page.getByTestId('screen').focus();
  return page.evaluate(async (presses) => {
    const { watched } = window as unknown as { watched: Watched };
    const screen = document.querySelector('[data-testid=screen]');
    const took: number[] = [];
    // The first ones compile what the others use.
    for (let i = -5; i < presses; i++) {
      await new Promise((resolve) => setTimeout(resolve, 90 + (i % 7) * 7));
      const before = performance.now();
      const seen = new Promise<number>((resolve, reject) => {
        watched.onSquare = () => resolve(performance.now() - before);
        setTimeout(() => reject(new Error('a key changed nothing in 5 s')), 5000);
      });
      for (const kind of ['keydown', 'keyup'])
        screen?.dispatchEvent(new KeyboardEvent(kind, { code: 'KeyQ', key: 'q' }));
      const ms = await seen;
      if (i >= 0) took.push(ms);
    }
    return took;
  }, count);
}

async function bytesOfStill(page: Page, seconds: number): Promise<number> {
  const bytes = (): Promise<number> => page.evaluate(() => window.tabboxViewer?.receivedBytes ?? 0);
  await pause(1000);
  const before = await bytes();
  await pause(seconds * 1000);
  return ((await bytes()) - before) / seconds;
}

interface Place {
  readonly address: string;
  readonly server: RunningRelay;
  readonly profile: string;
  readonly host: Page;
}

/** Rounds of nobody, one viewer and many, in turns, while text scrolls. */
async function measureCrowds(order: TabOrder, { address, server, profile, host }: Place): Promise<Crowd[][]> {
  await host.getByTestId('screen').focus();
  await host.keyboard.press('KeyS', { delay: 20 });
  const browser = browserOf(profile);
  const url = server.url.replace(/^http/, 'ws').replace(/\/?$/, '/relay/session');
  const link = address.split('#join=')[1];
  const rounds: Crowd[][] = [];
  for (let round = 0; round < order.rounds; round++) {
    const crowds: Crowd[] = [];
    for (const count of [0, 1, order.many]) {
      const viewers = count > 0 ? order.startViewers({ url, link, count }) : undefined;
      await viewers?.next();
      await pause(2000);
      const before = [cpuMsOf([server.pid]), cpuMsOf(browser()), await viewers?.ask('figures')] as const;
      const from = performance.now();
      await pause(order.seconds * 1000);
      const took = performance.now() - from;
      const after = [cpuMsOf([server.pid]), cpuMsOf(browser()), await viewers?.ask('figures')] as const;
      const rates = (after[2]?.updates ?? [0]).map((all, i) => ((all - (before[2]?.updates[i] ?? 0)) * 1000) / took);
      crowds.push({
        viewers: count,
        relay: ((after[0] - before[0]) * 100) / took,
        tab: ((after[1] - before[1]) * 100) / took,
        updates: Math.max(...rates),
        slowest: Math.min(...rates),
      });
      viewers?.end();
      await pause(1000);
    }
    rounds.push(crowds);
  }
  return rounds;
}

/** @returns what gives the processes of the browser with this profile */
function browserOf(profile: string): () => readonly number[] {
  const isIts = (pid: number): boolean => readFile(`/proc/${pid}/cmdline`).includes(`--user-data-dir=${profile}\0`);
  const [first] = descendants(process.pid).filter(isIts);
  if (first === undefined) throw new Error('the browser of the host is not among the processes');
  return () => [first, ...descendants(first)];
}

/** Of processes that live now, all their threads. */
function cpuMsOf(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFile(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += (Number(fields[11]) || 0) + (Number(fields[12]) || 0);
  }
  return ticks * TICK_MS;
}

/** @returns empty when it has gone */
function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
