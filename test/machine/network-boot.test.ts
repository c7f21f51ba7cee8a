/** iPXE, as Debian ships it for QEMU's cards, boots a machine from its NAT: DHCP, TFTP, a script, a kernel. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { NIC_TYPES } from '#emu/host/network-card.ts';
import { guest, Headless } from './support/headless.ts';
import { COMMAND_LINE, INITRDS, run, untilShell } from './support/network-guest.ts';

/** The kernel and its initial RAM disks come in some seven thousand blocks, each asked for when the last is there. */
const BOOT_SECONDS = 600;
const machines: Headless[] = [];
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-tftp-'));
  for (const path of [guest('default-kernel'), ...INITRDS]) copyFileSync(path, join(folder, basename(path)));
  const initrds = INITRDS.map((path) => `initrd ${basename(path)}`);
  const arguments_ = `${COMMAND_LINE} from=\${next-server} card=\${net0/chip}`;
  writeFileSync(
    join(folder, 'debian.pxe'),
    ['#!ipxe', `kernel default-kernel ${arguments_}`, ...initrds, 'boot', ''].join('\n'),
  );
  // Nothing but what the script was told, for cards that need not show a whole boot.
  const told = 'booted \x24{net0/mac} as \x24{net0/ip} from \x24{next-server} by \x24{filename}';
  writeFileSync(join(folder, 'hello.pxe'), ['#!ipxe', `echo ${told}`, 'shell', ''].join('\n'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.kill();
});

function start(type: string, bootFile: string): Headless {
  const nat = ['--nic1', 'nat', '--nictype1', type, '--macaddress1', '08002700B007'];
  const tftp = ['--nattftpprefix1', folder, '--nattftpfile1', bootFile];
  const machine = new Headless([...nat, ...tftp, '--boot1', 'net', '--memory', '256']);
  machines.push(machine);
  return machine;
}

test.each(NIC_TYPES)('%s: its ROM runs a script from TFTP', { timeout: 200_000 }, async (type) => {
  const machine = start(type, 'hello.pxe');
  // All of the line: it is read while it is written.
  expect(await machine.screen(/booted .* by \S+\.pxe/, 180)).toContain(
    'booted 08:00:27:00:b0:07 as 10.0.2.15 from 10.0.2.4 by hello.pxe',
  );
});

test('82540EM: its ROM boots Debian', { timeout: BOOT_SECONDS * 1000 + 100_000 }, async () => {
  const machine = start('82540EM', 'debian.pxe');
  await machine.serial('BOOT-OK', BOOT_SECONDS);
  await untilShell(machine);
  expect(await run(machine, 'cat /proc/cmdline', 30)).toContain('from=10.0.2.4 card=82540em');
});
