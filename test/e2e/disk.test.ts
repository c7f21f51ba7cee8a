import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ANSWER_MS, BOOT_MS, makeMachine, prepare, textOf, untilSerial } from './support/machine-page.ts';
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
      await prepare(first.page);
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
      await prepare(second.page);
      await logIn(second);
      await send(second, 'cat /root/kept\r');
      await untilSerial(second.page, /kept-42\r?\n/, ANSWER_MS * 4);
      await expect.poll(() => textOf(second.page.getByTestId('saved')), { timeout: ANSWER_MS }).toMatch(/saved/);
      await second.context.close();
    },
    3 * LOGIN_MS,
  );
});

describe('a disk with a 64-bit system', () => {
  it.each(['BIOS', 'EFI64'] as const)(
    'boots by %s to a login and runs its programs',
    async (firmware) => {
      const visit = await lab.visit('', `amd64-disk-${firmware}`);
      const { page, context, errors } = visit;
      await prepare(page);
      const url = new URL('/guests/debian-amd64.img', lab.server.url).href;
      await makeMachine(page, { files: [], memoryMb: 512, url, firmware });
      await logIn(visit);
      await send(visit, 'apt-get --version | head -1; perl -e \'print "perl-", 2**40 + 2, "\\n"\'\r');
      await untilSerial(page, /apt 2\.\d[\s\S]*amd64[\s\S]*perl-1099511627778/, ANSWER_MS * 4);
      await send(visit, 'echo from-$([ -d /sys/firmware/efi ] && echo EFI64 || echo BIOS)\r');
      await untilSerial(page, new RegExp(`from-${firmware}\\r?\\n`), ANSWER_MS * 4);
      // systemd shortens its lines in the middle of escape sequences, which the terminal tells.
      expect(errors.filter((text) => !text.startsWith('xterm.js: Parsing error'))).toEqual([]);
      await context.close();
    },
    2 * LOGIN_MS,
  );
});
