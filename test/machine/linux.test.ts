/** Unmodified Debian kernels, started directly. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_SECONDS = 240;
const machines: Headless[] = [];
const start = (...args: string[]): Headless => {
  const machine = new Headless(args);
  machines.push(machine);
  return machine;
};
const kernel = (name: string): string[] => ['--kernel', guest(name), '--initrd', guest('default-initrd')];

afterEach(async () => {
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
  // several at a time. It is CPU time that counts, and a host busy with other work leaves cold caches: so several tries.
  const [busySeconds, instructions] = await spent(machine);
  const speed = instructions / busySeconds;
  let executed = 1;
  let core = 1;
  for (let window = 0; window < 12 && (executed >= 0.05 || core >= 0.05); window++) {
    const [cpuBefore, [, before]] = [cpuSeconds(machine.pid), await spent(machine)];
    await new Promise((resolve) => setTimeout(resolve, 8000));
    executed = ((await spent(machine))[1] - before) / 8 / speed;
    core = (cpuSeconds(machine.pid) - cpuBefore) / 8;
  }
  console.log(`idle: ${(core * 100).toFixed(1)} % of a core, ${(executed * 100).toFixed(2)} % of the guest's speed`);
  expect(executed).toBeLessThan(0.05);
  expect(core).toBeLessThan(0.05);

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

test('a 686-pae kernel boots with 1024 MB to a shell', async () => {
  const machine = start(...kernel('pae-kernel'), '--append', 'console=ttyS0', '--memory', '1024');
  await machine.serial('BOOT-OK', BOOT_SECONDS);
  const from = machine.output.length;
  machine.type('grep -o " pae " /proc/cpuinfo | head -1; grep MemTotal /proc/meminfo\n');
  const text = await machine.serial(/MemTotal: +\d+/, 30, from);
  expect(text).toContain(' pae ');
  expect(Number(/MemTotal: +(\d+)/.exec(text)?.[1])).toBeGreaterThan(900_000);
});

test('a 686 kernel boots on a Pentium M, where what CPUID does not announce is undefined', async () => {
  const machine = start(
    ...[...kernel('default-kernel'), '--append', 'console=ttyS0', '--memory', '128'],
    ...['--cpu-profile', 'Intel Pentium M processor 2.00GHz'],
  );
  await machine.serial(/BOOT-OK i686/, BOOT_SECONDS);
  await machine.serial('# ', 30);
  machine.type(
    'grep -c -w -e pni -e pae -e nx -e avx /proc/cpuinfo; grep "model name" /proc/cpuinfo; echo end-$((1+1))\n',
  );
  await machine.serial(/\n0\r?\n.*Pentium\(R\) M processor[\s\S]*end-2/, 60);
});

test('the ACPI power button switches a guest off', async () => {
  const machine = start(...kernel('default-kernel'), '--append', 'console=ttyS0', '--memory', '128');
  await machine.serial('BOOT-OK', BOOT_SECONDS);
  await machine.serial('# ', 30);
  // As a person does: pressed again while the guest's drivers are still loading.
  let status: number | undefined;
  for (let press = 0; press < 12 && status === undefined; press++) {
    await machine.command('acpipowerbutton');
    status = (await machine.ended(5).catch(() => undefined))?.status;
  }
  expect(status).toBe(0);
});

test("the Debian installer's text mode shows its first dialog", async () => {
  const machine = start(
    ...['--kernel', guest('installer-kernel'), '--initrd', guest('installer-initrd')],
    ...['--append', 'vga=normal fb=false nomodeset', '--memory', '640'],
  );
  await machine.screen(/Select a language|Choose the language/, BOOT_SECONDS + 120);
});
