/** One machine with two disks, and everything that can happen to where they are kept. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ANSWER_MS,
  BOOT_MS,
  makeMachine,
  prepare,
  shell,
  state,
  textOf,
  until,
  untilSerial,
} from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab, type Visit } from './support/page-test.ts';
import { RangeServer } from './support/range-server.ts';

const MB = 1024 * 1024;
const DISK_MB = 24;
const EMPTY_DISK_MB = 16;
const image = randomBytes(DISK_MB * MB);
const imageSum = createHash('md5').update(image).digest('hex');
/** A guest that waits for its disk needs its time, and the browser its own. */
const SLOW_MS = 4 * ANSWER_MS;

let lab: Lab;
let web: RangeServer;
let visit: Visit;
let page: Page;

beforeAll(async () => {
  web = await RangeServer.start(image);
  lab = await openLab();
  visit = await lab.visit();
  page = visit.page;
  await prepare(page);
});

afterAll(async () => {
  await lab.close();
  await web.close();
});

/** Asked in one go, for the panel may leave between two questions. */
const problemCode = (): Promise<string> =>
  page.evaluate(() => document.querySelector('[data-testid=problem]')?.getAttribute('data-code') ?? 'none');
const untilProblem = (code: string): Promise<string> => until(problemCode, new RegExp(`^${code}$`), SLOW_MS);
const untilBooted = async (): Promise<void> => {
  await untilSerial(page, /BOOT-OK[\s\S]*# /, BOOT_MS);
  await shell(page, 'dmesg -n 1; until [ -b /dev/sda -a -b /dev/sdb ]; do sleep 1; done', SLOW_MS);
  // Linux probes disks side by side, and which of them is sda differs from boot to boot: sizes in KiB tell.
  const links = `case $k in ${DISK_MB * 1024}) ln -s $n /dev/image;; ${EMPTY_DISK_MB * 1024}) ln -s $n /dev/empty;; esac`;
  await shell(page, `while read _ _ k n; do ${links}; done </proc/partitions`);
};
const sumOf = (disk: 'image' | 'empty'): Promise<string> =>
  shell(page, `echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/${disk}`, 2 * SLOW_MS);
const storeMark = (text: string): Promise<string> =>
  shell(page, `echo ${text} | dd of=/dev/empty bs=512 conv=sync,fsync 2>/dev/null`);
const mark = async (): Promise<string> =>
  (await shell(page, 'echo 3 >/proc/sys/vm/drop_caches; head -c 8 /dev/empty')).trim();

const fillDisk = (): Promise<string> =>
  shell(page, 'dd if=/dev/urandom of=/dev/image bs=1M count=22 conv=fsync', 2 * SLOW_MS);

/** Limits what the browser gives this site; undefined: as much as before. */
async function setRoom(bytes: number | undefined): Promise<void> {
  const devtools = await visit.context.newCDPSession(page);
  const origin = new URL(lab.server.url).origin;
  const { usage } = await devtools.send('Storage.getUsageAndQuota', { origin });
  await devtools.send('Storage.overrideQuotaForOrigin', {
    origin,
    ...(bytes === undefined ? {} : { quotaSize: Math.round(usage + bytes) }),
  });
}

describe('a disk from somebody else’s web server', () => {
  it('is whole although its server died halfway and came back', async () => {
    await makeMachine(page, {
      files: ['default-kernel', 'default-initrd'].map((name) => join(GUESTS_DIRECTORY, name)),
      memoryMb: 128,
      url: web.url,
      emptyDiskMb: EMPTY_DISK_MB,
    });
    await untilBooted();
    await storeMark('marked-1');
    const dead = web.dieAfter((DISK_MB / 2) * MB);
    const sum = sumOf('image');
    await dead;
    await untilProblem('trouble');
    expect(await textOf(page.getByTestId('problem').first())).toContain(new URL(web.url).host);
    await web.comeBack();
    expect(await sum).toContain(imageSum);
    await untilProblem('none');
    expect(await mark()).toBe('marked-1');
  }, 900_000);
});

describe('a browser without room', () => {
  it('is a write error to the guest and a message to the person, and nothing is lost', async () => {
    await setRoom(MB);
    // The browser looks at the room only now and then, so what is written at once may still be taken.
    await until(() => fillDisk(), /dd: .*error/i, 4 * SLOW_MS);
    await untilProblem('full');
    await expect.poll(() => textOf(page.getByTestId('saved')), { timeout: ANSWER_MS }).toBe('no room to save');
    // The other disk is not touched by this one's trouble.
    expect(await mark()).toBe('marked-1');

    await setRoom(undefined);
    await page.getByTestId('problem-action').click();
    await untilProblem('none');
    await expect.poll(() => textOf(page.getByTestId('saved')), { timeout: ANSWER_MS }).toBe('everything saved');
    expect(await fillDisk()).not.toMatch(/error/i);
    await storeMark('marked-2');
    expect(await mark()).toBe('marked-2');
  }, 900_000);
});

describe('a disk whose changes the browser threw away', () => {
  it('is said to be lost, starts again from its image, and the other disk keeps what it has', async () => {
    const changed = await sumOf('image');
    expect(changed).not.toContain(imageSum);
    await page.getByTestId('power').click();
    await page.getByTestId('power-off').click();
    await until(() => state(page), /off/, ANSWER_MS);
    await page.evaluate(async () => {
      const mine = (await indexedDB.databases()).find(
        ({ name }) => name?.startsWith('tabbox-disk-') && name.endsWith('hda'),
      );
      await new Promise<void>((resolve, reject) => {
        const request = indexedDB.deleteDatabase(mine?.name ?? '');
        request.onsuccess = () => resolve();
        request.onerror = () => reject(request.error);
        request.onblocked = () => reject(new Error('the disk is still open'));
      });
    });
    await page.getByTestId('start').click();
    await untilProblem('evicted');
    expect(await textOf(page.getByTestId('problem').first())).toMatch(/threw .* away[\s\S]*original image/);
    await page.getByTestId('problem-action').click();
    await untilProblem('none');
    await untilBooted();
    expect(await sumOf('image')).toContain(imageSum);
    expect(await mark()).toBe('marked-2');
  }, 900_000);

  it('under the running machine is a write error to the guest and a message to the person', async () => {
    const devtools = await visit.context.newCDPSession(page);
    const origin = new URL(lab.server.url).origin;
    await devtools.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' });
    await untilProblem('lost');
    const written = await shell(page, 'dd if=/dev/urandom of=/dev/empty bs=1M count=1 conv=fsync', 2 * SLOW_MS);
    expect(written).toMatch(/dd: .*error/i);
    expect(await shell(page, 'echo alive')).toContain('alive');
    expect(await state(page)).toBe('running');
  }, 900_000);
});
