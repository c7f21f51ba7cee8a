/** What a person does with a machine, and what they see. */
import type { Locator, Page } from 'playwright';
import { US_LAYOUT } from '#emu/devices/input/key-codes.ts';
import type { DebugHandle } from '../../../src/display/ui/debug-handle.ts';

/** A boot may take this long where two cores are shared with a browser. */
export const BOOT_MS = 240_000;
export const ANSWER_MS = 30_000;

export const state = (page: Page): Promise<string> => page.evaluate(() => handle().state());
export const serialText = (page: Page): Promise<string> => page.evaluate(() => handle().serialText());
export const screen = async (page: Page): Promise<string> =>
  (await page.evaluate(() => handle().screenText())).join('\n');

/** What a page shows of a machine's screen, pixel by pixel. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** 0xrrggbb */
  at(x: number, y: number): number;
}

/** The canvas; nothing by nothing when there is none. */
export async function picture(page: Page): Promise<Picture> {
  // As text: numbers would be sent one by one.
  const { width, height, text } = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('[data-testid=canvas]');
    const image = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height);
    const { width = 0, height = 0, data = [] } = image ?? {};
    let text = '';
    for (let at = 0; at < data.length; at += 0x8000) text += String.fromCharCode(...data.slice(at, at + 0x8000));
    return { width, height, text };
  });
  return {
    ...{ width, height },
    at: (x, y) => {
      const at = (y * width + x) * 4;
      return (text.charCodeAt(at) << 16) | (text.charCodeAt(at + 1) << 8) | text.charCodeAt(at + 2);
    },
  };
}

export const textOf = async (locator: Locator): Promise<string> => (await locator.textContent()) ?? '';

/** Inside the page: the function body is sent there. */
declare function handle(): DebugHandle;

/** Makes `handle` known to the page, once what shows machines has been loaded; once after every navigation. */
export async function prepare(page: Page): Promise<void> {
  await page.waitForFunction(() => 'tabbox' in globalThis, undefined, { polling: 100 });
  await page.addScriptTag({ content: 'globalThis.handle = () => globalThis.tabbox' });
}

/** Waits until `look` gives a text that matches. @throws with the last text */
export async function until(
  look: () => Promise<string>,
  pattern: RegExp,
  timeoutMs: number,
  stop: () => Promise<string> = async () => '',
): Promise<string> {
  const end = Date.now() + timeoutMs;
  let text = '';
  while (Date.now() < end) {
    text = await look();
    if (pattern.test(text)) return text;
    const why = await stop();
    if (why) throw new Error(`${why} while waiting for ${pattern}; last seen:\n${text.slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  throw new Error(`no ${pattern} within ${timeoutMs / 1000} s; last seen:\n${text.slice(-2000)}`);
}

/** Why there is no sense in waiting: the page says that something went wrong. */
export const problemOf = (page: Page) => async (): Promise<string> => {
  const problem = page.getByTestId('problem').first();
  return (await problem.isVisible()) ? textOf(problem) : '';
};

export const untilScreen = (page: Page, pattern: RegExp, timeoutMs: number): Promise<string> =>
  until(() => screen(page), pattern, timeoutMs, problemOf(page));
export const untilSerial = (page: Page, pattern: RegExp, timeoutMs: number): Promise<string> =>
  until(() => serialText(page), pattern, timeoutMs, problemOf(page));

/** What a person fills in for a new machine; left out: what the dialog proposes. */
export interface Wishes {
  /** Paths of the files to choose. */
  readonly files: readonly string[];
  readonly memoryMb: number;
  readonly commandLine?: string;
  /** Image on a web server: the first disk. */
  readonly url?: string;
  readonly emptyDiskMb?: number;
  readonly firmware?: 'BIOS' | 'EFI64';
  /** VBoxVGA with so many monitors. */
  readonly monitors?: number;
  /** Fields of network cards, by VBoxManage's option: `{ nic1: 'intnet', intnet1: 'lab' }`; `add-card` adds one. */
  readonly network?: Readonly<Record<string, string | boolean>>;
}

/** Makes a machine in the New-machine dialog of the front page and runs it. @returns the role the page gave each file */
export async function makeMachine(page: Page, wishes: Wishes): Promise<(string | null)[]> {
  const { files, memoryMb, commandLine, url, emptyDiskMb, firmware, monitors, network = {} } = wishes;
  await page.getByTestId('new-machine').click();
  await page.getByTestId('choose-files').setInputFiles([...files]);
  const listed = page.getByTestId('file');
  if (files.length > 0) await listed.nth(files.length - 1).waitFor();
  const roles = await Promise.all((await listed.all()).map((one) => one.getAttribute('data-role')));
  await page.getByTestId('memory').fill(String(memoryMb));
  if (url !== undefined) await page.getByTestId('url').fill(url);
  if (emptyDiskMb !== undefined) await page.getByTestId('empty-disk').fill(String(emptyDiskMb));
  if (firmware !== undefined) await page.getByTestId('firmware').selectOption(firmware);
  if (monitors !== undefined) await page.getByTestId('display').selectOption(String(monitors));
  if (commandLine !== undefined) await page.getByTestId('command-line').fill(commandLine);
  for (const [option, value] of Object.entries(network)) await setField(page.getByTestId(option), value);
  await page.getByTestId('dialog-ok').click();
  // At once: the dialog may go while somebody waits for its text.
  const refused = (): Promise<string> =>
    page.evaluate(() => document.querySelector('[data-testid=dialog-error]')?.textContent ?? '');
  await until(
    () => state(page),
    /running/,
    BOOT_MS,
    async () => (await refused()) || problemOf(page)(),
  );
  return roles;
}

/** Fills in a field of whatever kind. */
export async function setField(field: Locator, value: string | boolean): Promise<void> {
  const tag = await field.evaluate((element) => element.tagName);
  if (tag === 'BUTTON') await field.click();
  else if (typeof value === 'boolean') await field.setChecked(value);
  else if (tag === 'SELECT') await field.selectOption(value);
  else {
    await field.fill(value);
    // A field of lines is read when it is left.
    if (tag === 'TEXTAREA') await field.blur();
  }
}

/**
 * Types a line into the shell on the serial console and waits for what it prints.
 * @returns what was printed, without the echo of the line and the space at its ends
 */
export async function shell(page: Page, line: string, timeoutMs = ANSWER_MS): Promise<string> {
  const number = ++commands;
  // The shell does the sums, so that the echo of the line is not taken for the marks.
  const marked = `echo from-$((${number}+0))-; ${line}; echo; echo to-$((${number}+0))-`;
  await page.evaluate((text) => window.tabbox?.sendSerial(text), `${marked}\r`);
  const printed = new RegExp(`\\nfrom-${number}-\\r?\\n([^]*?)\\r?\\nto-${number}-\\r?\\n`);
  const all = await until(() => serialText(page), printed, timeoutMs);
  return (printed.exec(all)?.[1] ?? '').replaceAll('\r', '').trim();
}
let commands = 0;

/** Presses and lets go of the keys of a US keyboard that a person would for `text`, Shift included. */
export async function type(page: Page, text: string): Promise<void> {
  for (const character of text) {
    const { code, shift } = keyOf(character);
    if (shift) await page.keyboard.down('ShiftLeft');
    await page.keyboard.press(code, { delay: 5 });
    if (shift) await page.keyboard.up('ShiftLeft');
  }
}

function keyOf(character: string): { code: string; shift: boolean } {
  if (/[a-z]/i.test(character)) return { code: `Key${character.toUpperCase()}`, shift: /[A-Z]/.test(character) };
  const key = US_LAYOUT.find(([, plain, shifted]) => plain === character || shifted === character);
  if (!key) throw new Error(`no key for ${character}`);
  return { code: key[0], shift: key[1] !== character };
}
