/** A Debian guest of `tabbox run` on real networks: NAT to servers of this host, and two machines on one cable. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
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
  server = createServer((request, response) => {
    if (request.method === 'GET') {
      response.end(file);
      return;
    }
    const hash = createHash('sha256');
    request.on('data', (bytes: Uint8Array) => hash.update(bytes));
    request.on('end', () => response.end(hash.digest('hex')));
  });
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

function fetchText(at: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(at, '127.0.0.1');
    socket.on('data', (bytes) => {
      text += bytes;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

const DHCP = 'ip link set eth0 up; udhcpc -i eth0 -n -q -f -s /tmp/dhcp';
const SCRIPT = `printf '%s\\n' '#!/bin/sh' '[ "$1" = bound ] || exit 0' 'ip addr add $ip/$mask dev eth0; ip route add default via $router; echo lease $ip $router $dns' > /tmp/dhcp; chmod +x /tmp/dhcp`;

test('NAT: an address, pings, 20 MB down and up, ports forwarded while it runs', { timeout: 600_000 }, async () => {
  const machine = await boot('--nic1', 'nat', '--nictype1', 'virtio', '--nat-localhostreachable1', 'on');
  await run(machine, SCRIPT, 30);
  expect(await run(machine, DHCP, 60)).toContain('lease 10.0.2.15 10.0.2.2 10.0.2.3');
  expect(await run(machine, 'ping -c 2 10.0.2.2', 60)).toContain('2 packets received');

  const url = `http://10.0.2.2:${port}/`;
  expect(await run(machine, `wget -q -O - ${url} | sha256sum`, 240)).toContain(sha256(file));
  const upload = `yes | head -c 20000000 > /tmp/yes; wget -q -O - --post-file /tmp/yes ${url}`;
  expect(await run(machine, upload, 240)).toContain(sha256(Buffer.from('y\n'.repeat(10_000_000))));

  const rule = await machine.command('natpf1 web,tcp,,0,,80');
  const hostPort = Number(rule.split(',')[3]);
  machine.type(`echo from-inside | nc -l -p 80\n`);
  let answer = '';
  for (let n = 0; n < 60 && !answer.includes('from-inside'); n++) {
    answer = await fetchText(hostPort).catch(() => '');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  expect(answer).toContain('from-inside');
  await machine.command('natpf1 delete web');
  await expect(fetchText(hostPort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(await machine.command('natpf1')).toBe('ok');
});

test('UDPTunnel: two machines on one cable, through datagrams', { timeout: 600_000 }, async () => {
  const [a, b] = [20_000 + (process.pid % 20_000), 40_000 + (process.pid % 20_000)];
  const tunnel = (sport: number, dport: number): string[] => [
    ...[
      '--nic1',
      'generic',
      '--nictype1',
      '82540EM',
      '--nicgenericdrv1',
      'UDPTunnel',
      '--nicproperty1',
      'dest=127.0.0.1',
    ],
    ...['--nicproperty1', `sport=${sport}`, '--nicproperty1', `dport=${dport}`],
  ];
  const [first, second] = await Promise.all([boot(...tunnel(a, b)), boot(...tunnel(b, a))]);
  await run(first, 'ip addr add 192.168.7.1/24 dev eth0; ip link set eth0 up', 30);
  await run(second, 'ip addr add 192.168.7.2/24 dev eth0; ip link set eth0 up', 30);
  expect(await run(first, 'ping -c 3 192.168.7.2', 60)).toMatch(/[23] packets received/);
  second.type('head -c 1000000 /dev/zero | nc -l -p 9\n');
  const got = 'for i in 1 2 3 4 5; do nc 192.168.7.2 9 > /tmp/got && break; sleep 1; done; sha256sum < /tmp/got';
  expect(await run(first, got, 120)).toContain(sha256(new Uint8Array(1_000_000)));
});
