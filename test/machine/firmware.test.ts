/** What starts through stock SeaBIOS, and memtest86+. */
import { constants, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const machines: Headless[] = [];
const folders: string[] = [];
const start = (...args: string[]): Headless => {
  const machine = new Headless(args);
  machines.push(machine);
  return machine;
};

afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.kill();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

test('a Debian disk boots through SeaBIOS and GRUB to a login; what was synced survives a kill', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-disk-'));
  folders.push(folder);
  const disk = join(folder, 'disk.img');
  copyFileSync(guest('debian-i386.img'), disk, constants.COPYFILE_FICLONE);
  const logIn = async (machine: Headless): Promise<void> => {
    await machine.serial(/login: |root@\w+:~# /, 400);
    if (!/root@\w+:~# /.test(machine.output)) {
      machine.type('root\n');
      await machine.serial('Password: ', 60);
      machine.type('root\n');
    }
    await machine.serial(/root@\w+:~# /, 90);
  };

  const first = start('--hda', disk, '--memory', '256');
  await logIn(first);
  first.type('echo written-$((40+2)) > /root/kept && sync && echo synced-$((1+1))\n');
  await first.serial('synced-2', 60);
  await first.kill();

  const second = start('--hda', disk, '--memory', '256');
  await logIn(second);
  second.type('cat /root/kept\n');
  await second.serial('written-42', 60);
});

for (const [name, drive, file] of [
  ['floppy', '--floppy', 'grub-rescue-floppy.img'],
  ['CD', '--cdrom', 'grub-rescue-cdrom.iso'],
] as const) {
  test(`GRUB's rescue ${name} shows its menu, and its shell sees the drives`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tabbox-grub-'));
    folders.push(folder);
    const machine = start(drive, guest(file));
    await machine.screen(/GNU GRUB[\s\S]*GNU\/Linux/, 120);
    await machine.command('keyboardputscancode 2e ae');
    await machine.screen(/grub>/, 60);
    await machine.command('keyboardputstring ls');
    await machine.command('keyboardputscancode 1c 9c');
    await machine.screen(name === 'CD' ? /\(cd\d?\)/ : /\(fd0\)/, 60);
  });
}

test('memtest86+ passes at least three tests without an error', async () => {
  const machine = start('--kernel', guest('memtest-ia32.bin'), '--memory', '16');
  await machine.screen(/Test #[4-9]|Pass: +[1-9]/, 240);
  expect(await machine.screenText()).toMatch(/Errors: 0\b/);
});
