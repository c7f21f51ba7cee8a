import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { problemOf, textOf, until } from './support/machine-page.ts';
import { type Lab, openLab, PAGE_DIRECTORY } from './support/page-test.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await openLab();
});

afterAll(() => lab.close());

const ANSWER_MS = 20_000;
const noise = (bytes: number): Buffer => {
  let seed = 12_345;
  return Buffer.from(Array.from({ length: bytes }, () => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff) >> 16));
};

/** As a person drops them from another window. */
async function drop(page: Page, files: readonly { name: string; bytes: Buffer }[]): Promise<void> {
  await page.evaluate(
    (list) => {
      const data = new DataTransfer();
      for (const { name, base64 } of list) {
        data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
      }
      for (const type of ['dragover', 'drop']) {
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
      }
    },
    files.map(({ name, bytes }) => ({ name, base64: bytes.toString('base64') })),
  );
}

describe('the page', () => {
  it('loads isolated, without errors, and is usable by keyboard', async () => {
    const { page, context, errors } = await lab.visit('', 'plain');
    await page.getByTestId('home').waitFor();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await page.keyboard.press('Tab');
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('Run Debian');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByTestId('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByTestId('dialog').waitFor({ state: 'detached' });
    await page.getByTestId('quota').waitFor();
    expect(errors).toEqual([]);
    await context.close();
  });

  it('explains what is missing when its server sends no isolation headers', async () => {
    const files = sirv(PAGE_DIRECTORY);
    const plain: Server = createServer((request, response) => files(request, response));
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const { page, context } = await lab.visit(`http://127.0.0.1:${(plain.address() as AddressInfo).port}/`, 'plain');
    const problem = page.getByTestId('problem');
    await problem.waitFor();
    const text = await textOf(problem);
    for (const part of ['Cross-Origin-Opener-Policy', 'Cross-Origin-Embedder-Policy', 'SharedArrayBuffer', 'Firefox']) {
      expect(text).toContain(part);
    }
    expect(await textOf(page.getByTestId('problem-action'))).toBe('Reload the page');
    await context.close();
    plain.closeAllConnections();
    await new Promise((resolve) => plain.close(resolve));
  });

  it('says that a machine is slow when its fast code cannot be made, and runs it all the same', async () => {
    const without = mkdtempSync(join(tmpdir(), 'tabbox-page-'));
    cpSync(PAGE_DIRECTORY, without, { recursive: true, filter: (path) => !/region-worker-.*\.js$/.test(path) });
    const poor = await openLab(undefined, without);
    const { page } = await poor.visit('?vm=debian&autostart=1');
    expect(await until(problemOf(page), /slow/, ANSWER_MS)).toContain('It goes on');
    const executed = () => page.evaluate(() => window.tabbox?.stats()?.instructions ?? 0);
    await expect.poll(executed, { timeout: ANSWER_MS }).toBeGreaterThan(1e6);
    await poor.close();
    rmSync(without, { recursive: true });
  });

  it('says so when an address names no machine', async () => {
    const { page, context } = await lab.visit('?vm=nothing-like-this&autostart=1', 'plain');
    expect(await until(problemOf(page), /nothing-like-this/, ANSWER_MS)).toContain('no machine');
    await page.getByTestId('problem-action').click();
    await page.getByTestId('problem').waitFor({ state: 'detached' });
    expect(await page.getByTestId('home').isVisible()).toBe(true);
    await context.close();
  });
});

describe('a new machine', () => {
  it('keeps its settings over a restart of the browser', async () => {
    const first = await lab.visit('', 'settings');
    const { page } = first;
    await page.getByTestId('new-machine').click();
    await page.getByTestId('empty-disk').fill('64');
    await page.getByTestId('name').fill('Kept one');
    await page.getByTestId('memory').fill('48');
    await page.getByTestId('dialog-ok').click();
    await page.getByTestId('run-view').waitFor();
    await until(() => textOf(page.getByTestId('state')), /running/, ANSWER_MS, problemOf(page));
    await page.getByTestId('back').click();
    const card = page.getByTestId('machine-card');
    await card.getByTestId('thumbnail').waitFor();
    expect(await card.getAttribute('data-state')).toBe('running');
    await first.context.close();

    const second = await lab.visit('', 'settings');
    const again = second.page.getByTestId('machine-card');
    await again.waitFor();
    expect(await textOf(again)).toMatch(/Kept one[\s\S]*off, 48 MB[\s\S]*Disk 1: kept in this browser/);
    await again.getByTestId('card-settings').click();
    await second.page.getByTestId('memory').fill('96');
    await second.page.getByTestId('boot-order').selectOption({ index: 1 });
    await second.page.getByTestId('dialog-ok').click();
    await expect.poll(() => textOf(again)).toContain('96 MB');
    await second.page.reload();
    await again.waitFor();
    expect(await textOf(again)).toContain('96 MB');
    await again.getByTestId('card-delete').click();
    await again.waitFor({ state: 'detached' });
    expect(second.errors).toEqual([]);
    await second.context.close();
  });

  it('refuses dropped files it cannot use, and says why', async () => {
    const { page, context, errors } = await lab.visit('', 'drop');
    await page.getByTestId('home').waitFor();
    const qcow2 = Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), Buffer.alloc(4088)]);
    await drop(page, [
      { name: 'disk.qcow2', bytes: qcow2 },
      { name: 'empty.iso', bytes: Buffer.alloc(0) },
    ]);
    const refusals = page.getByTestId('file-refusal');
    await expect.poll(() => refusals.count(), { timeout: ANSWER_MS }).toBe(2);
    expect(await textOf(refusals.nth(0))).toMatch(/qcow2/i);
    expect(await textOf(refusals.nth(1))).toContain('0 bytes');
    expect(await page.getByTestId('dialog-ok').isDisabled()).toBe(true);
    expect(errors).toEqual([]);
    await context.close();
  });

  it('says why a truncated kernel does not start, and the page goes on', async () => {
    const { page, context } = await lab.visit('', 'drop');
    await page.getByTestId('home').waitFor();
    const kernel = noise(40_000);
    kernel.writeUInt8(4, 0x1f1);
    kernel.writeUInt16LE(0xaa55, 0x1fe);
    kernel.write('HdrS', 0x202, 'latin1');
    kernel.writeUInt16LE(0x020f, 0x206);
    kernel.writeUInt8(1, 0x211);
    kernel.writeUInt32LE(0x10_0000, 0x1f4);
    await drop(page, [{ name: 'vmlinuz', bytes: kernel }]);
    await page.getByTestId('file').waitFor();
    expect(await page.getByTestId('file').getAttribute('data-role')).toBe('kernel');
    await page.getByTestId('dialog-ok').click();
    const said = await until(problemOf(page), /./, ANSWER_MS);
    expect(said).toMatch(/kernel/i);
    expect(said).toMatch(/truncated|shorter|incomplete|end/i);
    await page.getByTestId('back').click();
    await page.getByTestId('machine-card').waitFor();
    await context.close();
  });

  it('starts a disk of noise, which boots nothing and harms nothing', async () => {
    const { page, context, errors } = await lab.visit('', 'noise');
    await page.getByTestId('home').waitFor();
    const disk = noise(1_048_576);
    disk.fill(0, 0, 512);
    await drop(page, [{ name: 'noise.img', bytes: disk }]);
    await page.getByTestId('file').waitFor();
    await page.getByTestId('dialog-ok').click();
    await page.getByTestId('run-view').waitFor();
    const text = () => page.evaluate(() => window.tabbox?.screenText().join('\n') ?? '');
    await until(text, /Boot failed|No bootable device/, 60_000, problemOf(page));
    expect(errors).toEqual([]);
    await context.close();
  });
});

describe('memory', () => {
  it('more than the browser gives is refused with a way on', async () => {
    const { page, context } = await lab.visit('', 'memory');
    // The refusal cannot be had on demand, so the machine's worker meets a browser that gives nothing.
    await context.route(/machine-worker/, async (route) => {
      const response = await route.fetch();
      const refuse = "WebAssembly.Memory = class { constructor() { throw new RangeError('could not allocate'); } };";
      await route.fulfill({ response, body: `${refuse}\n${await response.text()}` });
    });
    await page.getByTestId('run-default').click();
    expect(await until(problemOf(page), /memory/i, ANSWER_MS)).toMatch(/refused/);
    await page.getByTestId('problem-action').click();
    await page.getByTestId('memory').waitFor();
    await context.close();
  });
});
