/** A machine with four monitors in a page: all of them, each, and all of them at somebody else's; and the size of one. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  LAST_POSITION,
  OPEN_POINTING,
  positionIn,
  preferredModes,
  wrongBars,
} from '../machine/support/graphics-guest.ts';
import { BOOT_MS, makeMachine, prepare, shell, until, untilSerial } from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab } from './support/page-test.ts';
import { People } from './support/people.ts';

const MONITORS = 4;
const KERNEL = join(GUESTS_DIRECTORY, 'default-kernel');
const INITRDS = ['default-initrd', 'graphics-initrd'].map((name) => join(GUESTS_DIRECTORY, name));

let lab: Lab;
let people: People;
let folder: string;
let host: Page;
let ids: number[] = [];

async function drawBars(more = ''): Promise<void> {
  const wanted = ids.map((id) => `-s ${id}:1024x768`).join(' ');
  await shell(host, `(sleep 1000 | modetest -M vboxvideo ${wanted} ${more} >/dev/null 2>&1 &)`);
}

beforeAll(async () => {
  lab = await openLab();
  people = await People.gather();
  folder = await mkdtemp(join(tmpdir(), 'tabbox-monitors-'));
  const initrd = join(folder, 'initrd');
  await writeFile(initrd, Buffer.concat(await Promise.all(INITRDS.map((path) => readFile(path)))));
  host = (await lab.visit('', 'host')).page;
  await prepare(host);
  await makeMachine(host, {
    ...{ files: [KERNEL, initrd], memoryMb: 160, monitors: MONITORS },
    commandLine: 'console=ttyS0 quiet rdinit=/sbin/graphics-init',
  });
  await untilSerial(host, /BOOT-OK[\s\S]*# /, BOOT_MS);
  const modes = preferredModes(await shell(host, 'modetest -M vboxvideo -c'));
  expect(modes.map(({ mode }) => mode)).toEqual(new Array(MONITORS).fill('1024x768'));
  ids = modes.map(({ id }) => id);
  await drawBars();
}, BOOT_MS + 300_000);

afterAll(async () => {
  await people.close();
  await lab.close();
  await rm(folder, { recursive: true, force: true });
});

/** What is wrong with a part of what a page's canvas shows. */
async function wrongAt(page: Page, monitor: number, left: number, top: number): Promise<string> {
  const row = await page.evaluate(
    ([x, y]) => {
      const canvas = document.querySelector<HTMLCanvasElement>('[data-testid=canvas]');
      const data = canvas?.getContext('2d')?.getImageData(x, y + 100, 1024, 1).data;
      return [...(data ?? [])];
    },
    [left, top],
  );
  const at = (x: number): number => (row[x * 4] << 16) | (row[x * 4 + 1] << 8) | row[x * 4 + 2];
  return wrongBars({ width: 1024, height: 768, at }, monitor, MONITORS);
}

const sizeOf = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('[data-testid=canvas]');
    return `${canvas?.width}x${canvas?.height}`;
  });

async function showsAll(page: Page): Promise<void> {
  await until(() => sizeOf(page), /^2048x1536$/, 60_000);
  const wrong = async (): Promise<string> => {
    const all = [0, 1, 2, 3].map((monitor) => wrongAt(page, monitor, (monitor % 2) * 1024, monitor < 2 ? 0 : 768));
    return `wrong: ${(await Promise.all(all)).join('')}`;
  };
  await until(wrong, /^wrong: $/, 60_000);
}

it('shows all monitors, or one', { timeout: 300_000 }, async () => {
  await showsAll(host);
  for (let monitor = 0; monitor < MONITORS; monitor++) {
    await host.getByTestId('monitor').selectOption(String(monitor));
    await until(() => sizeOf(host), /^1024x768$/, 30_000);
    await until(async () => `wrong: ${await wrongAt(host, monitor, 0, 0)}`, /^wrong: $/, 30_000);
  }
});

it('has the guest’s pointer, where the page’s is', { timeout: 300_000 }, async () => {
  await shell(host, 'killall modetest sleep');
  await shell(host, OPEN_POINTING);
  await drawBars('-C');
  const cursor = (): Promise<string> => host.getByTestId('canvas').evaluate(({ style }) => style.cursor.slice(0, 19));
  await until(cursor, /^url\("data:image\/png/, 60_000);
  await host.getByTestId('monitor').selectOption('1');
  await until(() => sizeOf(host), /^1024x768$/, 30_000);
  const box = await host.getByTestId('canvas').boundingBox();
  if (!box) throw new Error('the canvas is nowhere');
  const position = async (): Promise<string> => {
    await host.mouse.move(box.x + box.width / 2 + Math.random(), box.y + box.height / 2);
    const [x, y] = positionIn(await shell(host, LAST_POSITION));
    // The middle of the second of four monitors that stand in a row, give or take two pixels.
    const isThere = Math.abs(x - (1536 * 65_535) / 4096) < 60 && Math.abs(y - 65_535 / 2) < 200;
    return isThere ? 'there' : `${x} ${y}`;
  };
  await until(position, /^there$/, 60_000);
  // Nobody has captured anything.
  expect(await host.evaluate(() => document.pointerLockElement)).toBe(null);
  await host.getByTestId('monitor').selectOption('all');
});

it('shows all of them to somebody with a link', { timeout: 300_000 }, async () => {
  await host.getByTestId('share').click();
  await host.getByTestId('share-start').click();
  await host.getByTestId('make-link').click();
  const address = await host.getByTestId('link-address').inputValue();
  await host.getByTestId('share-close').click();
  const ann = (await people.open(address)).page;
  await ann.getByTestId('viewer-name').fill('Ann');
  await ann.getByTestId('join').click();
  await ann.locator('[data-testid=viewer][data-shown=true]').waitFor();
  await showsAll(ann);
  // One of them, by the keyboard alone.
  await ann.getByTestId('monitor').focus();
  for (let monitor = 0; monitor < MONITORS; monitor++) {
    await ann.keyboard.press('ArrowDown');
    await until(() => sizeOf(ann), /^1024x768$/, 30_000);
    await until(async () => `wrong: ${await wrongAt(ann, monitor, 0, 0)}`, /^wrong: $/, 30_000);
  }
  await ann.getByTestId('monitor').selectOption('all');
  await showsAll(ann);
});

it('asks the guest for the size there is room for', { timeout: 300_000 }, async () => {
  await shell(host, 'killall modetest sleep');
  await host.getByTestId('monitor').selectOption('1');
  await host.getByTestId('fits').click();
  const room = await host.getByTestId('screen').evaluate(({ clientWidth, clientHeight }) => {
    return `${Math.floor(clientWidth / 8) * 8}x${clientHeight}`;
  });
  const second = async (): Promise<string> =>
    preferredModes(await shell(host, 'modetest -M vboxvideo -c'))[1]?.mode ?? '';
  await until(second, new RegExp(`^${room}$`), 60_000);
});
