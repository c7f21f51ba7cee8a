import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ANSWER_MS,
  BOOT_MS,
  prepare,
  problemOf,
  state,
  textOf,
  type,
  until,
  untilScreen,
} from './support/machine-page.ts';
import { type Lab, openLab, type Visit } from './support/page-test.ts';

let lab: Lab;
let visit: Visit;

beforeAll(async () => {
  lab = await openLab();
  visit = await lab.visit('?vm=debian&autostart=1');
  await prepare(visit.page);
});

afterAll(() => lab.close());

const isState = (wanted: RegExp): Promise<string> =>
  until(() => state(visit.page), wanted, ANSWER_MS, problemOf(visit.page));

async function choose(menu: string, item: string): Promise<void> {
  await visit.page.getByTestId(menu).click();
  await visit.page.getByTestId(item).click();
}

describe('a machine from its address', () => {
  it('starts by itself', async () => {
    await untilScreen(visit.page, /BOOT-OK[\s\S]*root@/, BOOT_MS);
  });

  it('lets go of keys when the screen loses the focus', async () => {
    const { page } = visit;
    await page.getByTestId('screen').focus();
    await page.keyboard.down('ShiftLeft');
    await page.getByTestId('crisp').focus();
    await page.keyboard.up('ShiftLeft');
    await page.getByTestId('screen').focus();
    await type(page, 'echo "not stuck"\n');
    await untilScreen(page, /^not stuck$/m, ANSWER_MS);
  });

  it('gives the keyboard back at the host key', async () => {
    const { page } = visit;
    await page.getByTestId('screen').focus();
    await page.keyboard.press('ControlRight');
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('Pause');
    expect(await textOf(page.getByTestId('screen-hint'))).toContain('Click the screen');
  });

  it('takes pasted text as keystrokes', async () => {
    const { page } = visit;
    await page.evaluate(() => navigator.clipboard.writeText('printf "%s\\n" Pasted-{1,2} | tail -n 1\n'));
    await page.getByTestId('paste').click();
    await untilScreen(page, /^Pasted-\{1,2\}$/m, ANSWER_MS);
  });

  it('gives the text of its screen to be pasted elsewhere', async () => {
    const { page } = visit;
    await page.getByTestId('copy-text').click();
    await until(() => page.evaluate(() => navigator.clipboard.readText()), /^Pasted-\{1,2\}$/m, ANSWER_MS);
  });

  it('sounds the speaker', async () => {
    const { page } = visit;
    await page.getByTestId('screen').focus();
    // The driver loads after the shell has started; only then does a bell ring.
    await type(page, "until grep -q pcspkr /proc/modules; do sleep 1; done; sleep 1; printf '\\a'; echo rang\n");
    await untilScreen(page, /^rang$/m, ANSWER_MS);
    await expect.poll(() => page.evaluate(() => window.tabbox?.tonesPlayed())).toBeGreaterThan(0);
  });

  it('costs next to nothing while the guest waits for a key', async () => {
    const { page } = visit;
    const shares: number[] = [];
    // Once the drivers are loaded; and a host busy with other work makes a wake take longer.
    for (let i = 0; i < 40 && !shares.some((share) => share > 0.95); i++) {
      await new Promise((resolve) => setTimeout(resolve, 1100));
      shares.push((await page.evaluate(() => window.tabbox?.stats()?.haltedShare)) ?? 0);
    }
    console.log('halted:', shares);
    expect(Math.max(...shares)).toBeGreaterThan(0.95);
  });

  it('stands still while it is paused', async () => {
    const { page } = visit;
    await page.getByTestId('pause').click();
    await isState(/paused/);
    const executed = () => page.evaluate(() => window.tabbox?.stats()?.instructions ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = await executed();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await executed()).toBe(before);
    await page.getByTestId('resume').click();
    await isState(/running/);
  });

  it('goes on from a saved state in another browser session', async () => {
    await type(visit.page, 'remembered=yes-it-is; sleep 1\n');
    await choose('power', 'save-state');
    await isState(/off/);
    await visit.page.getByTestId('off').waitFor();
    await visit.context.close();

    visit = await lab.visit();
    await prepare(visit.page);
    const card = visit.page.getByTestId('machine-card');
    await expect.poll(() => card.getAttribute('data-state'), { timeout: ANSWER_MS }).toBe('saved');
    await card.getByTestId('card-run').click();
    await isState(/running/);
    await visit.page.getByTestId('screen').focus();
    await type(visit.page, 'echo $remembered\n');
    await untilScreen(visit.page, /^yes-it-is$/m, ANSWER_MS);
  });

  it('shuts down at its power button', async () => {
    await choose('power', 'acpi');
    await until(() => state(visit.page), /off/, BOOT_MS, problemOf(visit.page));
    await visit.page.getByTestId('start').waitFor();
    expect(visit.errors).toEqual([]);
  });
});
