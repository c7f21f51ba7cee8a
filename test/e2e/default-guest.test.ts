import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPEN_MOUSE, PRESSES, pressesIn, TURNS, turnsIn } from '../machine/support/graphics-guest.ts';
import {
  ANSWER_MS,
  BOOT_MS,
  prepare,
  shell,
  state,
  textOf,
  type,
  untilScreen,
  untilSerial,
} from './support/machine-page.ts';
import { type Lab, openLab, type Visit } from './support/page-test.ts';

let lab: Lab;
let visit: Visit;

beforeAll(async () => {
  lab = await openLab();
  visit = await lab.visit();
  await prepare(visit.page);
});

afterAll(() => lab.close());

describe('the default guest', () => {
  it('boots to a shell with one click', async () => {
    const { page } = visit;
    const interpreters: number[] = [];
    page.on('response', (response) => {
      if (/\/interpreter-narrow-\w+\.wasm$/.test(response.url())) interpreters.push(response.status());
    });
    await page.getByTestId('run-default').click();
    await untilSerial(page, /BOOT-OK \S+ \S+/, BOOT_MS);
    expect(interpreters).toEqual([200]);
    await untilScreen(page, /BOOT-OK[\s\S]*root@/, BOOT_MS);
    expect(await state(page)).toBe('running');
  });

  it('runs what is typed on its screen', async () => {
    const { page } = visit;
    await page.getByTestId('screen').focus();
    await type(page, 'echo "Typed: $((6*7))" | tr a-z A-Z\n');
    await untilScreen(page, /^TYPED: 42$/m, ANSWER_MS);
  });

  it('runs what is typed into the serial terminal', async () => {
    const { page } = visit;
    await page.getByTestId('terminal').click();
    await type(page, 'echo serial-$((40+2)); uname -m\n');
    await untilSerial(page, /\nserial-42\r\ni686/, ANSWER_MS);
    const rows = page.locator('.xterm-rows');
    await expect.poll(() => textOf(rows), { timeout: ANSWER_MS }).toContain('serial-42');
  });

  it('feels both wheels of a mouse that it has captured', async () => {
    const { page } = visit;
    await shell(page, OPEN_MOUSE);
    await page.getByTestId('screen').click();
    await expect.poll(() => page.evaluate(() => document.pointerLockElement !== null)).toBe(true);
    for (const [right, down] of [
      [100, 0],
      [-200, 0],
      [0, 100],
      [100, -100],
      // Parts of a notch, as from a touchpad.
      [-60, 0],
      [-60, 0],
    ]) {
      await page.mouse.wheel(right, down);
    }
    await page.evaluate(() => document.exitPointerLock());
    await expect
      .poll(async () => turnsIn(await shell(page, TURNS)), { timeout: ANSWER_MS })
      .toBe('sideways 1, sideways -2, up -1, sideways 1, up 1, sideways -1');
  });

  it('feels the side buttons, which do not turn the page back', async () => {
    const { page } = visit;
    const before = page.url();
    await page.getByTestId('screen').click();
    await expect.poll(() => page.evaluate(() => document.pointerLockElement !== null)).toBe(true);
    const devtools = await page.context().newCDPSession(page);
    for (const [button, buttons] of [
      ['back', 8],
      ['forward', 16],
    ] as const) {
      for (const type of ['mousePressed', 'mouseReleased'] as const) {
        const held = type === 'mousePressed' ? buttons : 0;
        await devtools.send('Input.dispatchMouseEvent', { type, button, buttons: held, x: 200, y: 200, clickCount: 1 });
      }
    }
    await page.evaluate(() => document.exitPointerLock());
    await expect
      .poll(async () => pressesIn(await shell(page, PRESSES)), { timeout: ANSWER_MS })
      .toMatch(/275 -275 276 -276$/);
    expect(page.url()).toBe(before);
  });
});
