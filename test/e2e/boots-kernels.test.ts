/** Unmodified Debian kernels, brought to the page as files. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ANSWER_MS,
  BOOT_MS,
  makeMachine,
  prepare,
  serialText,
  textOf,
  type,
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

describe('a kernel with its RAM disk', () => {
  it('of the 686-pae kind boots with 1024 MB to a shell that answers on both consoles', async () => {
    const { page, context, errors } = await lab.visit('', 'pae');
    await prepare(page);
    const roles = await makeMachine(page, {
      files: [guest('pae-kernel'), guest('default-initrd')],
      memoryMb: 1024,
    });
    expect(roles).toEqual(['kernel', 'initrd']);
    await untilSerial(page, /BOOT-OK i686 \S+-686-pae[\s\S]*# /, BOOT_MS);

    await page.getByTestId('terminal').click();
    await type(page, 'grep -o " pae " /proc/cpuinfo | head -1; grep MemTotal /proc/meminfo; echo asked-$((6*7))\n');
    const text = await untilSerial(page, /\nasked-42\r?\n/, ANSWER_MS);
    expect(text).toMatch(/\n pae \r?\n/);
    const [, total] = /\nMemTotal: +(\d+) kB/.exec(text) ?? [];
    expect(Number(total)).toBeGreaterThan(900_000);
    expect(Number(total)).toBeLessThanOrEqual(1_048_576);

    await page.getByTestId('screen').focus();
    await type(page, 'echo screen-$((6*9))\n');
    await untilScreen(page, /^ ?screen-54/m, ANSWER_MS);
    expect(await serialText(page)).not.toContain('screen-54');
    expect(errors).toEqual([]);
    await context.close();
  });

  it('of the amd64 kind runs 64-bit and 32-bit programs', async () => {
    const { page, context, errors } = await lab.visit('', 'amd64');
    await prepare(page);
    const roles = await makeMachine(page, { files: [guest('amd64-kernel'), guest('amd64-initrd')], memoryMb: 512 });
    expect(roles).toEqual(['kernel', 'initrd']);
    await untilSerial(page, /BOOT-OK x86_64 \S+-amd64[\s\S]*# /, BOOT_MS);
    await page.getByTestId('terminal').click();
    await type(page, 'hash() { for b in busybox busybox32; do $b sha256sum /bin/busybox32; done; }\n');
    await type(page, 'echo hashes-$(hash | wc -l)-$(hash | sort -u | wc -l)\n');
    await untilSerial(page, /\nhashes-2-1\r?\n/, 2 * ANSWER_MS);
    expect(errors).toEqual([]);
    await context.close();
  });

  it("of the Debian installer for amd64 shows its text mode's first dialog", async () => {
    const { page, context, errors } = await lab.visit('', 'installer64');
    await prepare(page);
    const roles = await makeMachine(page, {
      files: [guest('installer64-kernel'), guest('installer64-initrd')],
      memoryMb: 1280,
      commandLine: 'vga=normal fb=false nomodeset',
    });
    expect(roles).toEqual(['kernel', 'initrd']);
    await untilScreen(page, /Select a language|Choose the language|Entering low memory mode/, 1.5 * BOOT_MS);
    expect(errors).toEqual([]);
    await context.close();
  }, 600_000);

  it("of the Debian installer shows its text mode's first dialog, which takes keys", async () => {
    const { page, context, errors } = await lab.visit('', 'installer');
    await prepare(page);
    const roles = await makeMachine(page, {
      files: [guest('installer-kernel'), guest('installer-initrd')],
      memoryMb: 640,
      commandLine: 'vga=normal fb=false nomodeset',
    });
    expect(roles).toEqual(['kernel', 'initrd']);
    await untilScreen(page, /Select a language/, 1.5 * BOOT_MS);
    await page.getByTestId('screen').focus();
    await untilScreen(page, /^.*English\b.*$/m, ANSWER_MS);
    await type(page, '\n');
    await untilScreen(page, /Select your location/, 2 * ANSWER_MS);
    expect(errors).toEqual([]);

    await page.getByTestId('back').click();
    const card = page.getByTestId('machine-card');
    await card.waitFor();
    expect(await card.getAttribute('data-state')).toBe('running');
    expect(await textOf(card)).toContain('640 MB');
    await context.close();
  }, 600_000);
});
