/** A Debian kernel in all that a machine's life has; what it costs while it idles is measured, so nothing is to run beside it. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';
import { QemuGuest } from './support/network-guest.ts';

const BOOT_SECONDS = 240;
/** Share of a core, and of the guest's speed, that an idle machine may take anywhere. */
const LEAST_LIMIT = 0.05;
/** More than that may be this much of what QEMU takes. */
const OVER_QEMU = 4;
const machines: Headless[] = [];
const start = (...args: string[]): Headless => {
  const machine = new Headless(args);
  machines.push(machine);
  return machine;
};
let peer: QemuGuest | undefined;
const kernel = (name: string): string[] => ['--kernel', guest(name), '--initrd', guest('default-initrd')];

afterEach(async () => {
  peer?.close();
  for (const machine of machines.splice(0)) await machine.kill();
});

/** Host CPU time of a process in seconds. */
const cpuSeconds = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

/** Seconds inside the machine, and instructions, since it was made. */
async function spent(machine: Headless): Promise<[number, number]> {
  const info = String(await machine.command('info'));
  return [Number(/busy: ([\d.]+)/.exec(info)?.[1]), Number(/instructions: (\d+)/.exec(info)?.[1])];
}

test('a 686 kernel boots to a shell on both consoles, idles, is saved, goes on elsewhere, and switches off', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-saved-'));
  const saved = join(folder, 'machine');
  const machine = start(...kernel('default-kernel'), '--append', 'console=ttyS0 console=tty0', '--memory', '256');
  await machine.serial('BOOT-OK', BOOT_SECONDS);
  await machine.serial('# ', 30);
  machine.type('echo serial-$((6*7))\n');
  await machine.serial('serial-42', 30);
  await machine.typesAll();

  await machine.screen(/BOOT-OK[\s\S]*# *$/m, 30);
  await machine.command('keyboardputstring echo screen-$((6*9))');
  await machine.command('keyboardputscancode 1c 9c');
  await machine.screen(/^ ?screen-54/m, 30);
  await machine.command(`screenshotpng ${join(folder, 'screen.png')}`);
  expect(statSync(join(folder, 'screen.png')).size).toBeGreaterThan(500);

  // Idle, once the drivers are loaded: the thread sleeps, and its kernel's 250 ticks a second (CONFIG_HZ_PERIODIC) come
  // several at a time. It is CPU time that counts, and a host busy with other work leaves cold caches: so several tries. Where
  // a host takes long for everything that sleeps in between, QEMU's translator beside it tells.
  peer = new QemuGuest(['-nic', 'none'], []);
  await peer.serial('BOOT-OK', BOOT_SECONDS);
  const [busySeconds, instructions] = await spent(machine);
  const speed = instructions / busySeconds;
  let executed = 1;
  let core = 1;
  let limit = LEAST_LIMIT;
  for (let window = 0; window < 12 && (executed >= LEAST_LIMIT || core >= limit); window++) {
    const [cpuBefore, peerBefore, [, before]] = [cpuSeconds(machine.pid), cpuSeconds(peer.pid), await spent(machine)];
    await new Promise((resolve) => setTimeout(resolve, 8000));
    executed = ((await spent(machine))[1] - before) / 8 / speed;
    core = (cpuSeconds(machine.pid) - cpuBefore) / 8;
    const peerCore = (cpuSeconds(peer.pid) - peerBefore) / 8;
    limit = Math.max(LEAST_LIMIT, peerCore * OVER_QEMU);
    const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
    console.log(
      `idle: ${percent(core)} of a core, QEMU ${percent(peerCore)}; ${percent(executed)} of the guest's speed`,
    );
  }
  peer.close();
  expect(executed).toBeLessThan(LEAST_LIMIT);
  expect(core).toBeLessThan(limit);

  machine.type('secret=kept-in-memory; (while :; do count=$((count+1)); echo $count > /tmp/count; done) &\n');
  await machine.serial(/# [\s\S]*&[\s\S]*# /, 10);
  await machine.command(`savestate ${saved}`).catch(() => undefined);
  await machine.ended(60);

  const again = start('--restore-state', saved);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  again.type('\necho it-is-$secret\n');
  await again.serial('it-is-kept-in-memory', 60);
  // The file is empty for a moment each time it is written.
  again.type('n() { until v=$(cat /tmp/count); [ "$v" ]; do :; done; echo $v; }\n');
  again.type('a=$(n); sleep 1; [ $(n) -gt $a ] && echo still-$((1+1))-counting\n');
  await again.serial('still-2-counting', 60);
  again.type('poweroff\n');
  expect((await again.ended(60)).status).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});
