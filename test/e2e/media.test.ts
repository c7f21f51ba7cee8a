/** Discs and diskettes that come and go while the machine runs. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ANSWER_MS, BOOT_MS, prepare, shell, state, textOf, until, untilSerial } from './support/machine-page.ts';
import { type Lab, openLab, type Visit } from './support/page-test.ts';

const SLOW_MS = 4 * ANSWER_MS;

let lab: Lab;
let visit: Visit;
let page: Page;
let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-media-'));
  lab = await openLab();
  visit = await lab.visit('?vm=debian&autostart=1');
  page = visit.page;
  await prepare(page);
  await untilSerial(page, /BOOT-OK[\s\S]*# /, BOOT_MS);
  await shell(page, 'dmesg -n 1; until [ -b /dev/sr0 -a -b /dev/fd0 ]; do sleep 1; done', SLOW_MS);
}, 2 * BOOT_MS);

afterAll(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Medium {
  readonly path: string;
  readonly md5: string;
}

function medium(name: string, bytes: Buffer): Medium {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return { path, md5: createHash('md5').update(bytes).digest('hex') };
}

async function insert(slot: string, { path }: Medium): Promise<void> {
  const chooser = page.waitForEvent('filechooser');
  await page.getByTestId('media').click();
  await page.getByTestId(`insert-${slot}`).click();
  await (await chooser).setFiles(path);
}

async function eject(slot: string): Promise<void> {
  await page.getByTestId('media').click();
  await page.getByTestId(`eject-${slot}`).click();
}

const sumOf = (device: string): Promise<string> => shell(page, `md5sum /dev/${device}`, SLOW_MS);
const untilSum = (device: string, md5: string): Promise<string> => until(() => sumOf(device), new RegExp(md5), SLOW_MS);
const problem = async (): Promise<string> => {
  const panel = page.getByTestId('problem').first();
  return (await panel.isVisible()) ? textOf(panel) : '';
};

describe('the CD drive', () => {
  const first = () => medium('first.iso', randomBytes(2048 * 300));
  const second = () => medium('second.iso', randomBytes(2048 * 700));

  it('is read, changed under an open file, and emptied', async () => {
    expect(await sumOf('sr0')).toMatch(/no medium/i);
    const [a, b] = [first(), second()];
    await insert('hdc', a);
    await untilSum('sr0', a.md5);
    expect(await shell(page, 'cat /sys/block/sr0/size')).toBe(String((2048 * 300) / 512));

    // The guest has the disc open, which locks the door; the person's hand is stronger.
    await shell(page, 'exec 7</dev/sr0; head -c 2048 <&7 >/dev/null');
    await insert('hdc', b);
    await shell(page, 'exec 7<&-');
    await untilSum('sr0', b.md5);
    expect(await shell(page, 'cat /sys/block/sr0/size')).toBe(String((2048 * 700) / 512));

    await eject('hdc');
    expect(await until(() => sumOf('sr0'), /no medium/i, SLOW_MS)).toBeTruthy();
    expect(await problem()).toBe('');
  }, 600_000);
});

describe('a file that is no medium', () => {
  it('is refused with a reason, and what is in the drive stays', async () => {
    const disc = medium('good.iso', randomBytes(2048 * 50));
    await insert('hdc', disc);
    await untilSum('sr0', disc.md5);
    await insert('hdc', medium('empty.iso', Buffer.alloc(0)));
    expect(await until(problem, /empty\.iso/, ANSWER_MS)).toMatch(/0 bytes|empty/i);
    await page.getByTestId('problem-dismiss').click();
    await insert('fda', medium('huge.img', randomBytes(5_000_000)));
    expect(await until(problem, /./, ANSWER_MS)).toMatch(/floppy|diskette/i);
    await page.getByTestId('problem-dismiss').click();
    await untilSum('sr0', disc.md5);
    expect(await state(page)).toBe('running');
    expect(visit.errors).toEqual([]);
  }, 600_000);
});
