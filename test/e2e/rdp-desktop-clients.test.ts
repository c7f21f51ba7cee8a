/** The default guest in a tab, seen and used with Remmina and KRDC by a link. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, it } from 'vitest';
import { type ConsoleMachine, isUsedWith } from '../machine/support/console-machine.ts';
import { SET_UPS } from '../machine/support/desktop-clients.ts';
import { LinkGateway } from '../machine/support/link-gateways.ts';
import { Display } from '../machine/support/rdp-clients.ts';
import { BOOT_MS, picture, prepare, screen, shell, untilScreen } from './support/machine-page.ts';
import { type Lab, openLab } from './support/page-test.ts';

const TEST_TIMEOUT_MS = 300_000;
let folder: string;
let lab: Lab;
let display: Display;
let gateway: LinkGateway;
let port: number;
let guestConsole: ConsoleMachine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabbox-rdp-tab-'));
  display = await Display.open(1200, 900);
  lab = await openLab();
  const { page } = await lab.visit();
  await prepare(page);
  await page.getByTestId('run-default').click();
  await untilScreen(page, /BOOT-OK[\s\S]*root@/, BOOT_MS);
  await page.getByTestId('share').click();
  await page.getByTestId('share-start').click();
  await page.getByTestId('role-control').check();
  await page.getByTestId('make-link').click();
  const link = await page.getByTestId('link-address').inputValue();
  await page.getByTestId('share-close').click();
  gateway = new LinkGateway(link, folder);
  port = await gateway.port();
  guestConsole = {
    run: (line) => shell(page, line),
    screenText: () => screen(page),
    picture: () => picture(page),
  };
}, 2 * BOOT_MS);

afterAll(async () => {
  await gateway?.close();
  await lab?.close();
  await display?.close();
  await rm(folder, { recursive: true, force: true });
});

it.each(SET_UPS)('$name shows it and types', { timeout: TEST_TIMEOUT_MS }, async (setUp) => {
  await isUsedWith(setUp, display, { port, log: () => gateway.said }, guestConsole);
});
