/** Unmodified 64-bit systems: Debian's amd64 kernel, its installer and disk, memtest86+. */
import { constants, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_SECONDS = 240;
const machines: Headless[] = [];
const folders: string[] = [];
const start = (...args: string[]): Headless => {
  const machine = new Headless(args);
  machines.push(machine);
  return machine;
};
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'tabbox-amd64-'));
  folders.push(made);
  return made;
};

afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.kill();
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
});

test('an amd64 kernel runs 64-bit and 32-bit programs, is saved and goes on elsewhere', async () => {
  const saved = join(folder(), 'machine');
  const machine = start(
    ...['--kernel', guest('amd64-kernel'), '--initrd', guest('amd64-initrd')],
    ...['--append', 'console=ttyS0', '--memory', '384'],
  );
  await machine.serial(/BOOT-OK x86_64/, BOOT_SECONDS);
  await machine.serial('# ', 30);
  // The kernel's own self-tests of its ciphers and digests are part of its boot.
  machine.type('echo failed-$(dmesg | grep -c "self-tests.*failed") $(grep -o -w -m 1 lm /proc/cpuinfo)\n');
  await machine.serial(/failed-0 lm\s/, 60);
  // Both programs hash both files: what one computes the other does.
  machine.type('hash() { for b in busybox busybox32; do $b sha256sum /bin/busybox /bin/busybox32; done; }\n');
  machine.type('echo hashes-$(hash | wc -l)-$(hash | sort -u | wc -l)\n');
  await machine.serial(/hashes-4-2\s/, 120);
  await machine.typesAll();
  machine.type('secret=kept-in-registers\n');
  await machine.serial(/registers\s[\s\S]*# /, 30);
  await machine.command(`savestate ${saved}`).catch(() => undefined);
  await machine.ended(60);

  const again = start('--restore-state', saved);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  again.type('\necho it-is-$secret; /bin/busybox32 uname -m\n');
  await again.serial(/it-is-kept-in-registers\s+x86_64/, 60);
  again.type('poweroff\n');
  expect((await again.ended(60)).status).toBe(0);
});

test('a machine without 64-bit mode says so to a 64-bit kernel', async () => {
  const machine = start(
    ...['--kernel', guest('amd64-kernel'), '--initrd', guest('amd64-initrd'), '--longmode', 'off', '--memory', '256'],
  );
  const { status, errors } = await machine.ended(60);
  expect(status).not.toBe(0);
  expect(errors).toMatch(/64-bit/);
});

test("the Debian installer for amd64 shows its text mode's first dialog", async () => {
  const machine = start(
    ...['--kernel', guest('installer64-kernel'), '--initrd', guest('installer64-initrd')],
    ...['--append', 'vga=normal fb=false nomodeset', '--memory', '1280'],
  );
  // With less memory than it likes the first dialog says so; that depends on the release.
  await machine.screen(/Select a language|Choose the language|Entering low memory mode/, BOOT_SECONDS + 120);
});

test('a Debian amd64 disk boots through SeaBIOS and GRUB to a login and runs its programs', async () => {
  const disk = join(folder(), 'disk.img');
  copyFileSync(guest('debian-amd64.img'), disk, constants.COPYFILE_FICLONE);
  const machine = start('--hda', disk, '--memory', '512');
  await machine.serial(/login: |root@\w+:~# /, 500);
  if (!/root@\w+:~# /.test(machine.output)) {
    machine.type('root\n');
    await machine.serial('Password: ', 60);
    machine.type('root\n');
  }
  await machine.serial(/root@\w+:~# /, 120);
  machine.type('apt-get --version | head -1; perl -e \'print "perl-", 2**40 + 2, "\\n"\'\n');
  await machine.serial(/apt 2\.\d[\s\S]*amd64[\s\S]*perl-1099511627778/, 120);

  // Its driver takes the size that the panel asks for when it looks at it, which is when it is loaded.
  await machine.command('setvideomodehint 1152 864');
  machine.type(
    'for one in /sys/class/vtconsole/vtcon*/bind; do echo 0 >$one; done; modprobe -r bochs; modprobe bochs\n',
  );
  await machine.serial(/frame buffer device 144x54/, 120);
});

test('memtest86+ for 64-bit PCs passes at least three tests without an error', async () => {
  const machine = start('--kernel', guest('memtest-x64.bin'), '--memory', '16');
  await machine.screen(/Test #[4-9]|Pass: +[1-9]/, 300);
  expect(await machine.screenText()).toMatch(/Errors: 0\b/);
});
