/** A Debian guest of `tabbox run` on a real network: NAT to servers of this host. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_SECONDS = 240;
const MB = 1 << 20;
const file = randomBytes(20 * MB);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const machines: Headless[] = [];
let server: Server;
let port = 0;

beforeAll(async () => {
  server = createServer((_request, response) => response.end(file));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => server.close());
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.kill();
});

/** A guest that has booted to a shell with drivers for its cards. */
async function boot(...args: string[]): Promise<Headless> {
  const initrds = ['--initrd', guest('default-initrd'), '--initrd', guest('net-initrd')];
  const append = ['--append', 'console=ttyS0 quiet rdinit=/sbin/net-init'];
  const machine = new Headless([
    '--kernel',
    guest('default-kernel'),
    ...initrds,
    ...append,
    '--memory',
    '256',
    ...args,
  ]);
  machines.push(machine);
  await machine.serial('BOOT-OK', BOOT_SECONDS);
  await machine.serial('# ', 30);
  return machine;
}

let marks = 0;
/** Runs a command in the guest. @returns what it printed */
async function run(machine: Headless, command: string, seconds: number): Promise<string> {
  const mark = `done-${++marks}`;
  const from = machine.output.length;
  machine.type(`${command}; echo; echo ${mark.replace('-', "-''")}\n`);
  return (await machine.serial(new RegExp(`^${mark}`, 'm'), seconds, from)).split('\n').slice(1, -1).join('\n');
}

const DHCP = 'ip link set eth0 up; udhcpc -i eth0 -n -q -f -s /tmp/dhcp';
const SCRIPT = `printf '%s\\n' '#!/bin/sh' '[ "$1" = bound ] || exit 0' 'ip addr add $ip/$mask dev eth0; ip route add default via $router; echo lease $ip $router $dns' > /tmp/dhcp; chmod +x /tmp/dhcp`;

test('NAT: an address, pings, and 20 MB from a server of this host', { timeout: 600_000 }, async () => {
  const machine = await boot('--nic1', 'nat', '--nictype1', 'virtio', '--nat-localhostreachable1', 'on');
  await run(machine, SCRIPT, 30);
  expect(await run(machine, DHCP, 60)).toContain('lease 10.0.2.15 10.0.2.2 10.0.2.3');
  expect(await run(machine, 'ping -c 2 10.0.2.2', 60)).toContain('2 packets received');

  const url = `http://10.0.2.2:${port}/`;
  expect(await run(machine, `wget -q -O - ${url} | sha256sum`, 240)).toContain(sha256(file));
});
