import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ANSWER_MS, BOOT_MS, prepare, textOf, untilSerial } from './support/machine-page.ts';
import { type Lab, openLab, type Visit } from './support/page-test.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await openLab();
});

afterAll(() => lab.close());

const LOGIN_MS = 1.5 * BOOT_MS;

async function send({ page }: Visit, text: string): Promise<void> {
  await page.evaluate((line) => window.tabbox?.sendSerial(line), text);
}

async function logIn(visit: Visit): Promise<void> {
  const { page } = visit;
  await prepare(page);
  await untilSerial(page, /login: /, LOGIN_MS);
  await send(visit, 'root\r');
  await untilSerial(page, /Password: /, ANSWER_MS);
  await send(visit, 'root\r');
  await untilSerial(page, /root@debian:[^\n]*# /, ANSWER_MS * 4);
}

describe('a disk from the web with changes kept in the browser', () => {
  it(
    'keeps what the guest has synced when the tab is killed',
    async () => {
      const first = await lab.visit('?vm=debian-disk&autostart=1');
      await logIn(first);
      await send(first, 'echo kept-$((6*7)) > /root/kept && sync && echo synced-$((1+1))\r');
      await untilSerial(first.page, /synced-2\r?\n/, ANSWER_MS * 4);
      // The page's process dies at once: no handler of the page runs, no worker finishes anything.
      const gone = first.page.waitForEvent('crash');
      const devtools = await first.context.newCDPSession(first.page);
      void devtools.send('Page.crash').catch(() => {});
      await gone;
      await first.context.close();

      const second = await lab.visit('?vm=debian-disk&autostart=1');
      await logIn(second);
      await send(second, 'cat /root/kept\r');
      await untilSerial(second.page, /kept-42\r?\n/, ANSWER_MS * 4);
      await expect.poll(() => textOf(second.page.getByTestId('saved')), { timeout: ANSWER_MS }).toMatch(/saved/);
      await second.context.close();
    },
    3 * LOGIN_MS,
  );
});
