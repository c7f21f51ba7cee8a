/** Eight network cards of mixed types in one Debian guest, each on its own NAT, and what a guest sends. */
import { createHash } from 'node:crypto';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_SECONDS = 240;
const TYPES = ['Am79C970A', 'Am79C973', '82540EM', '82543GC', '82545EM', 'virtio', '82540EM', 'virtio'] as const;
const DRIVERS = { Am79C970A: 'pcnet32', Am79C973: 'pcnet32', virtio: 'virtio_net' } as const;
const driverOf = (type: (typeof TYPES)[number]): string => (DRIVERS as Record<string, string>)[type] ?? 'e1000';
const mac = (slot: number): string => `08002700AB0${slot}`;
const MB = 1 << 20;
const machines: Headless[] = [];
const uploads: string[] = [];
/** Of the last connection: bytes so far. */
let arrived = 0;
let server: Server;
let port = 0;

beforeAll(async () => {
  // Says what it was sent, once the sender has nothing more to say.
  server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    arrived = 0;
    socket.on('data', (data) => {
      hash.update(data);
      bytes += data.length;
      arrived = bytes;
    });
    socket.on('end', () => {
      uploads.push(hash.digest('hex'));
      socket.end(`${bytes} bytes ${uploads.at(-1)}\n`);
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => server.close());
afterEach(async () => {
  for (const machine of machines.splice(0)) await machine.kill();
});

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
async function run(machine: Headless, command: string, seconds: number): Promise<string> {
  const mark = `done-${++marks}`;
  const from = machine.output.length;
  machine.type(`${command}; echo; echo ${mark.replace('-', "-''")}\n`);
  return (await machine.serial(new RegExp(`^${mark}`, 'm'), seconds, from)).split('\n').slice(1, -1).join('\n');
}

const SCRIPT = `printf '%s\\n' '#!/bin/sh' '[ "$1" = bound ] || exit 0' 'ip addr add $ip/$mask dev $interface; echo lease $ip $router' > /tmp/dhcp; chmod +x /tmp/dhcp`;

test('eight cards of mixed types, each with its driver, address and network', { timeout: 600_000 }, async () => {
  const options = TYPES.flatMap((type, i) => [
    ...[`--nic${i + 1}`, 'nat', `--nictype${i + 1}`, type, `--macaddress${i + 1}`, mac(i + 1)],
  ]);
  const machine = await boot(...options);
  await run(machine, SCRIPT, 30);
  // The kernel numbers them as it likes; the address says which is which.
  const list = await run(
    machine,
    'for d in /sys/class/net/eth*; do echo $(basename $d) $(cat $d/address) $(basename $(readlink $d/device/driver)); done',
    60,
  );
  const found = [...list.matchAll(/^(eth\d) (\S+) (\S+?)\r?$/gm)].map(([, name, address, driver]) => ({
    ...{ name, driver },
    slot: Number(address.at(-1)),
  }));
  expect(found.map(({ slot }) => slot).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  for (const { name, driver, slot } of found) {
    expect(`${slot} ${driver}`).toBe(`${slot} ${driverOf(TYPES[slot - 1])}`);
    const network = `10.0.${slot + 1}`;
    const dhcp = await run(machine, `ip link set ${name} up; udhcpc -i ${name} -n -q -f -s /tmp/dhcp`, 60);
    expect(dhcp).toContain(`lease ${network}.15 ${network}.2`);
    expect(await run(machine, `ping -c 2 -I ${name} ${network}.2`, 60)).toContain('2 packets received');
  }
});

test('NAT takes 20 MB from a guest, and its half-closed connection', { timeout: 900_000 }, async () => {
  const machine = await boot('--nic1', 'nat', '--nictype1', 'virtio', '--nat-localhostreachable1', 'on');
  await run(machine, SCRIPT, 30);
  await run(machine, 'ip link set eth0 up; udhcpc -i eth0 -n -q -f -s /tmp/dhcp', 60);
  const made = await run(machine, `head -c ${20 * MB} /dev/urandom > /tmp/f; sha256sum /tmp/f`, 120);
  const [hash] = /[0-9a-f]{64}/.exec(made) ?? [];
  const said = await run(machine, `nc 10.0.2.2 ${port} < /tmp/f`, 600);
  expect(said).toContain(`${20 * MB} bytes ${hash}`);
  expect(uploads).toEqual([hash]);
});

test('a bandwidth group holds its limit, and follows its changes', { timeout: 600_000 }, async () => {
  const network = ['--nic1', 'nat', '--nictype1', 'virtio', '--nat-localhostreachable1', 'on'];
  const machine = await boot(...network, '--bandwidthgroup', 'slow=1m', '--nicbandwidthgroup1', 'slow');
  await run(machine, SCRIPT, 30);
  await run(machine, 'ip link set eth0 up; udhcpc -i eth0 -n -q -f -s /tmp/dhcp', 60);
  machine.type(`nc 10.0.2.2 ${port} < /dev/zero & \n`);
  await expect.poll(() => arrived, { timeout: 60_000 }).toBeGreaterThan(0);
  /** Bytes a second, over some seconds. */
  const rate = async (seconds: number): Promise<number> => {
    const [bytes, began] = [arrived, performance.now()];
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return (arrived - bytes) / ((performance.now() - began) / 1000);
  };
  // The burst that a group may begin with passes first.
  await rate(2);
  const limited = await rate(10);
  // Payload is 1448 of a frame's 1514 bytes.
  expect(limited).toBeLessThan(125_000 * 1.05);
  expect(limited).toBeGreaterThan(60_000);
  expect(await machine.command('bandwidthctl list')).toContain("Name: 'slow', Type: Network, Limit: 1");
  await machine.command('bandwidthctl set slow --limit 3m');
  await rate(2);
  expect(await rate(5)).toBeGreaterThan(limited * 1.5);
  await machine.command('bandwidthctl set slow --limit 100k');
  await rate(2);
  expect(await rate(10)).toBeLessThan(12_500 * 1.3);
});
