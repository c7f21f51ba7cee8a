/** What starts through OVMF, UEFI firmware that keeps its variables in flash. */
import { constants, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const machines: Headless[] = [];
const folders: string[] = [];
const start = (...args: string[]): Headless => {
  const machine = new Headless(['--firmware', 'EFI64', ...args]);
  machines.push(machine);
  return machine;
};
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'tabbox-uefi-'));
  folders.push(made);
  return made;
};

afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.kill();
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
});

test("UEFI's shell keeps variables over a restart of the machine, and forgets those it is told to", async () => {
  const nvram = join(folder(), 'nvram');
  const shell = async (): Promise<Headless> => {
    const machine = start('--nvram', nvram, '--memory', '128');
    await machine.serial(/Press[\s\S]*ESC/, 120);
    machine.type('\x1b');
    await machine.serial(/Shell>/, 30);
    return machine;
  };
  const first = await shell();
  first.type('set kept "until 42"\r');
  first.type('set -v lost "when off"\r');
  first.type('set\r');
  await first.serial(/kept .*until 42/, 30);
  await first.serial(/lost .*when off/, 30);
  first.type('reset -s\r');
  expect((await first.ended(60)).status).toBe(0);
  expect(existsSync(nvram)).toBe(true);

  const second = await shell();
  second.type('set\r');
  const listed = await second.serial(/kept .*until 42[\s\S]*Shell>/, 30);
  expect(listed).not.toContain('when off');
});

test('a Debian amd64 disk boots through OVMF and GRUB to a login, and Linux sets variables of the firmware', async () => {
  const made = folder();
  const disk = join(made, 'disk.img');
  copyFileSync(guest('debian-amd64.img'), disk, constants.COPYFILE_FICLONE);
  const machine = start('--hda', disk, '--nvram', join(made, 'nvram'), '--memory', '512');
  await machine.serial('login: ', 400);
  machine.type('root\n');
  await machine.serial('Password: ', 60);
  machine.type('root\n');
  await machine.serial(/root@\w+:~# /, 120);
  machine.type('apt-get --version | head -1; perl -e \'print "perl-", 2**40 + 2, "\\n"\'\n');
  await machine.serial(/apt 2\.\d[\s\S]*amd64[\s\S]*perl-1099511627778/, 120);
  machine.type('cd /sys/firmware/efi/efivars && stty -echo\n');
  // Attributes: kept, and accessible before and after the boot.
  const name = 'TabBox-12345678-1234-1234-1234-123456789abc';
  machine.type(`printf '\\7\\0\\0\\0value' > ${name}; echo "it is $(tail -c 5 ${name})"\n`);
  await machine.serial('it is value', 60);
  machine.type('ls Boot0*; poweroff\n');
  await machine.serial(/Boot0000-8be4df61/, 60);
  expect((await machine.ended(120)).status).toBe(0);
});
