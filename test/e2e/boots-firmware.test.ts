/** Media that start through the firmware, brought to the page as files. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ANSWER_MS,
  BOOT_MS,
  makeMachine,
  prepare,
  screen,
  state,
  type,
  until,
  untilScreen,
  untilSerial,
} from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab } from './support/page-test.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await openLab();
});

afterAll(() => lab.close());

const guest = (name: string): string => join(GUESTS_DIRECTORY, name);

describe("GRUB's rescue media", () => {
  for (const [medium, file, drive] of [
    ['floppy', 'grub-rescue-floppy.img', /\(fd0\)/],
    ['CD', 'grub-rescue-cdrom.iso', /\(cd\d?\)/],
  ] as const) {
    it(`on a ${medium} show a menu and a shell that sees the drive`, async () => {
      const { page, context, errors } = await lab.visit('', `grub-${medium}`);
      await prepare(page);
      expect(await makeMachine(page, { files: [guest(file)], memoryMb: 64 })).toEqual(['drive']);
      await untilScreen(page, /GNU GRUB[\s\S]*GNU\/Linux/, BOOT_MS);
      await page.getByTestId('screen').focus();
      await type(page, 'c');
      await untilScreen(page, /grub> *$/m, ANSWER_MS);
      await type(page, 'ls\n');
      await untilScreen(page, drive, ANSWER_MS);
      expect(errors).toEqual([]);
      await context.close();
    });
  }
});

describe('UEFI', () => {
  it('keeps variables in the browser while the machine is off', async () => {
    const { page, context, errors } = await lab.visit('', 'uefi');
    await prepare(page);
    const send = (text: string): Promise<void> =>
      page.evaluate((line) => {
        window.tabbox?.sendSerial(line);
      }, text);
    const shell = async (): Promise<void> => {
      await untilSerial(page, /Press[\s\S]*ESC/, BOOT_MS);
      await send('\x1b');
      await untilSerial(page, /Shell>/, ANSWER_MS);
    };
    await makeMachine(page, { files: [], memoryMb: 128, emptyDiskMb: 1, firmware: 'EFI64' });
    await shell();
    await send('set kept "until 42"\r');
    await send('set -v lost "when off"\r');
    await send('set\r');
    await untilSerial(page, /kept .*until 42[\s\S]*lost .*when off/, ANSWER_MS);
    await send('reset -s\r');
    await until(() => state(page), /off/, ANSWER_MS);

    await page.getByTestId('start').click();
    await shell();
    await send('set\r');
    const listed = await untilSerial(page, /kept .*until 42[\s\S]*Shell>/, ANSWER_MS);
    expect(listed).not.toContain('when off');
    expect(errors).toEqual([]);
    await context.close();
  });
});

describe('memtest86+', () => {
  for (const kind of ['ia32', 'x64']) {
    it(`${kind} from its CD finds no error in the first tests`, async () => {
      const { page, context, errors } = await lab.visit('', `memtest-${kind}`);
      await prepare(page);
      expect(await makeMachine(page, { files: [guest(`memtest-${kind}.iso`)], memoryMb: 32 })).toEqual(['drive']);
      await untilScreen(page, /Test #[4-9]|Pass: +[1-9]/, BOOT_MS);
      expect(await screen(page)).toMatch(/Errors: +0\b/);
      expect(errors).toEqual([]);
      await context.close();
    });
  }
});
