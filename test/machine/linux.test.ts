/** Unmodified Debian kernels, started directly. */
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
