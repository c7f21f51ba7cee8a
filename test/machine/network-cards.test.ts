/**
 * Eight network cards of mixed types in one Debian guest, each behind a NAT of its own: what a guest does on a network with
 * each of the six types, ports that lead to it, and limits.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import type { Socket as UdpSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NicType } from '#emu/host/network-card.ts';
import { nameServer } from '../../server/net/name-server.suite.ts';
import type { Headless } from './support/headless.ts';
import {
  bootNetworkGuest,
  cardsOf,
  countersOf,
  dhcp,
  type FoundCard,
  parseCounters,
  run,
  troublesIn,
} from './support/network-guest.ts';

const TYPES: readonly NicType[] = [
  'Am79C970A',
  'Am79C973',
  '82540EM',
  '82543GC',
  '82545EM',
  'virtio',
  '82540EM',
  'virtio',
];
const DRIVERS: Readonly<Partial<Record<NicType, string>>> = {
  ...{ Am79C970A: 'pcnet32', Am79C973: 'pcnet32', virtio: 'virtio_net' },
};
const mac = (slot: number): string => `08002700AB0${slot}`;
const gateway = (slot: number): string => `10.0.${slot + 1}.2`;
/** Of the two cards that share a bandwidth group. */
const VIRTIO = 6;
const OTHER_VIRTIO = 8;
const MB = 1 << 20;
const FILE_BYTES = 20 * MB;
const file = randomBytes(FILE_BYTES);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const folder = mkdtempSync(join(tmpdir(), 'tabbox-cards-'));
/** All that was ever sent to `taker`. */
let arrived = 0;
let machine: Headless;
let cards: ReadonlyMap<number, FoundCard>;
let giver: HttpServer;
let taker: Server;
let names: UdpSocket;
let started: Headless | undefined;

const portOf = (server: Server | HttpServer): number => (server.address() as AddressInfo).port;
const nameOf = (slot: number): string => cards.get(slot)?.name ?? 'none';

beforeAll(async () => {
  giver = createHttpServer((_request, response) => response.end(file));
  // Says what it was sent, once the sender has nothing more to say.
  taker = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (data) => {
      hash.update(data);
      bytes += data.length;
      arrived += data.length;
    });
    socket.on('end', () => socket.end(`${bytes} bytes ${hash.digest('hex')}\n`));
    socket.on('error', () => {});
  });
  for (const server of [giver, taker]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  }
  names = await nameServer('files.example', [192, 0, 2, 7]);
  const options = TYPES.flatMap((type, i) => [
    ...[`--nic${i + 1}`, 'nat', `--nictype${i + 1}`, type, `--macaddress${i + 1}`, mac(i + 1)],
    ...[`--nat-localhostreachable${i + 1}`, 'on'],
  ]);
  const group = [VIRTIO, OTHER_VIRTIO].flatMap((slot) => [`--nicbandwidthgroup${slot}`, 'shared']);
  machine = await bootNetworkGuest(
    [...options, '--bandwidthgroup', 'shared=0', ...group],
    (one) => {
      started = one;
    },
    { nameServers: [`127.0.0.1:${names.address().port}`] },
  );
  cards = await cardsOf(machine);
}, 400_000);
afterAll(async () => {
  await started?.kill();
  giver?.closeAllConnections();
  for (const server of [giver, taker, names]) server?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('every card has its driver, its address and its network', { timeout: 200_000 }, async () => {
  expect([...cards.keys()].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  // VIRTIO_F_VERSION_1 is bit 32; the legacy form is in host-networks.
  expect(await run(machine, 'cut -c 33 /sys/bus/virtio/devices/virtio0/features', 30)).toContain('1');
  for (const [slot, { name, driver }] of cards) {
    expect(`${slot} ${driver}`).toBe(`${slot} ${DRIVERS[TYPES[slot - 1]] ?? 'e1000'}`);
    const network = `10.0.${slot + 1}`;
    expect(await dhcp(machine, name)).toContain(`lease ${network}.15 ${network}.2 ${network}.3`);
    expect(await run(machine, `ping -c 2 -I ${name} ${gateway(slot)}`, 60)).toContain('2 packets received');
  }
});

test.each(TYPES.slice(0, 6).map((type, i) => [type, i + 1] as const))(
  '%s: names, 20 MB from a server of the host and back to it, no errors',
  { timeout: 300_000 },
  async (_type, slot) => {
    const found = await run(machine, `nslookup files.example 10.0.${slot + 1}.3`, 60);
    expect(found).toContain('192.0.2.7');
    const got = await run(
      machine,
      `wget -q -O /tmp/f http://${gateway(slot)}:${portOf(giver)}/ && sha256sum < /tmp/f`,
      240,
    );
    expect(got).toContain(sha256(file));
    const said = await run(machine, `nc ${gateway(slot)} ${portOf(taker)} < /tmp/f`, 240);
    expect(said).toContain(`${FILE_BYTES} bytes ${sha256(file)}`);

    const counters = parseCounters(await run(machine, countersOf(nameOf(slot)), 60));
    for (const key of ['rx_bytes', 'tx_bytes']) expect(counters.get(key), key).toBeGreaterThan(FILE_BYTES);
    expect(troublesIn(counters)).toEqual([]);
  },
);

/** Makes a rule. @returns the host's port that it has */
async function forward(rule: string): Promise<number> {
  const reply = await machine.command(`natpf${VIRTIO} ${rule}`);
  return Number(reply.split(',')[3]);
}

test('curl and ssh come in through forwarded ports, whose rules change while a transfer runs', {
  timeout: 300_000,
}, async () => {
  const key = join(folder, 'key');
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const settle = [
    'mkdir -p /root/.ssh /tmp/www; chmod 700 /root /root/.ssh; ln -f /tmp/f /tmp/www/f; httpd -p 80 -h /tmp/www',
    `echo '${readFileSync(`${key}.pub`, 'utf8').trim()}' > /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys`,
    'dropbearkey -t ed25519 -f /tmp/hostkey > /dev/null 2>&1; dropbear -r /tmp/hostkey -E 2>/dev/null; echo ready',
  ];
  expect(await run(machine, settle.join('; '), 60)).toContain('ready');
  const web = await forward('web,tcp,127.0.0.1,0,,80');
  const url = `http://127.0.0.1:${web}/f`;
  const copy = join(folder, 'copy');
  const curl = spawn('curl', ['-sS', '-m', '200', '--limit-rate', '4M', '-o', copy, url], { stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve) => curl.once('exit', resolve));
  const copied = (): number => statSync(copy, { throwIfNoEntry: false })?.size ?? 0;
  await expect.poll(copied, { timeout: 60_000 }).toBeGreaterThan(0);

  const ssh = await forward('ssh,tcp,127.0.0.1,0,10.0.7.15,22');
  await machine.command(`natpf${VIRTIO} delete web`);
  expect(copied()).toBeLessThan(FILE_BYTES);
  expect(spawnSync('curl', ['-sS', '-m', '20', url], { encoding: 'utf8' }).stderr).toMatch(/refused|connect/);
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'BatchMode=yes', 'LogLevel=ERROR'];
  const login = [
    ...options.flatMap((one) => ['-o', one]),
    '-F',
    'none',
    '-i',
    key,
    '-p',
    String(ssh),
    'root@127.0.0.1',
  ];
  const told = await new Promise<string>((resolve) => {
    const child = spawn('ssh', [...login, 'uname -s; head -c 1000000 /tmp/f | sha256sum'], { timeout: 120_000 });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (text += bytes));
    child.once('close', () => resolve(text));
  });
  expect(told).toContain(`Linux\n${sha256(file.subarray(0, 1_000_000))}`);
  expect(await ended).toBe(0);
  expect(sha256(readFileSync(copy))).toBe(sha256(file));

  const again = await forward('web,tcp,127.0.0.1,0,,80');
  await machine.command(`natpf${VIRTIO} delete ssh`);
  expect(await machine.command(`natpf${VIRTIO}`)).toContain(`web,tcp,127.0.0.1,${again},,80`);
  const head = spawnSync('curl', ['-sS', '-m', '60', '-r', '0-99', `http://127.0.0.1:${again}/f`], { timeout: 90_000 });
  expect(sha256(head.stdout)).toBe(sha256(file.subarray(0, 100)));
});

test('two cards of a bandwidth group share its limit, and follow its changes', { timeout: 600_000 }, async () => {
  /** Bytes a second that arrive, over some seconds. */
  const rate = async (seconds: number): Promise<number> => {
    const [bytes, began] = [arrived, performance.now()];
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return (arrived - bytes) / ((performance.now() - began) / 1000);
  };
  /** Both cards send what they can. */
  const send = async (): Promise<void> => {
    const before = arrived;
    for (const slot of [VIRTIO, OTHER_VIRTIO]) {
      await run(machine, `(nc ${gateway(slot)} ${portOf(taker)} < /dev/zero > /dev/null &)`, 30);
    }
    await expect.poll(() => arrived, { timeout: 60_000 }).toBeGreaterThan(before);
  };
  const sent = async (slot: number): Promise<number> =>
    Number(/\d+/.exec(await run(machine, `cat /sys/class/net/${nameOf(slot)}/statistics/tx_bytes`, 30))?.[0]);
  /** Both send at a limit for ten seconds; what a busy host keeps them from is not the limit's fault, so there are more goes. */
  const holds = async (bytesPerSecond: number): Promise<void> => {
    let best = 0;
    for (let goes = 0; goes < 4 && best < 0.95; goes++) {
      // Of a frame of 1514 bytes, 1448 are the connection's.
      best = ((await rate(10)) * 1514) / 1448 / bytesPerSecond;
      expect(best).toBeLessThan(1.05);
    }
    expect(best).toBeGreaterThan(0.95);
  };
  await machine.command('bandwidthctl set shared --limit 20m');
  expect(await machine.command('bandwidthctl list')).toContain("Name: 'shared', Type: Network, Limit: 20 mbits/sec");
  await send();
  // What was under way, and the burst that a group may begin with, pass first.
  await rate(2);
  const before = [await sent(VIRTIO), await sent(OTHER_VIRTIO)];
  await holds(20e6 / 8);
  const [one, other] = [(await sent(VIRTIO)) - before[0], (await sent(OTHER_VIRTIO)) - before[1]];
  expect(Math.min(one, other) / (one + other)).toBeGreaterThan(0.4);
  await machine.command('bandwidthctl set shared --limit 100k');
  await rate(2);
  await holds(100e3 / 8);
  await machine.command('bandwidthctl set shared --limit 0');
  // How fast it is then is the host's affair.
  await expect.poll(() => rate(2), { timeout: 60_000 }).toBeGreaterThan(10 * (100e3 / 8));
});

test('a card is attached to something else while its guest runs', { timeout: 200_000 }, async () => {
  const [nat, lan] = [3, 7];
  const file = (slot: number, path: string): string => `/sys/class/net/${nameOf(slot)}/${path}`;
  const carrier = (slot: number): Promise<string> => run(machine, `cat ${file(slot, 'carrier')}`, 30);
  const received = async (slot: number): Promise<number> =>
    Number(/\d+/.exec(await run(machine, `cat ${file(slot, 'statistics/rx_packets')}`, 30))?.[0]);
  // The driver looks every two seconds.
  const untilCarrier = (slot: number, up: string) =>
    expect.poll(() => carrier(slot), { timeout: 30_000 }).toContain(up);
  await machine.command(`nic${nat} null`);
  await untilCarrier(nat, '0');
  // Two cards of this guest meet on an internal network: what one sends to all, the other gets.
  for (const slot of [nat, lan]) await machine.command(`nic${slot} intnet lab`);
  for (const slot of [nat, lan]) await untilCarrier(slot, '1');
  const before = await received(lan);
  // A driver may hear of the short time without a link only now, and lose the first ones.
  await run(machine, `arping -c 8 -w 9 -I ${nameOf(nat)} 192.168.77.9`, 60);
  expect(await received(lan)).toBeGreaterThanOrEqual(before + 3);
  // A network that machines are on can be given a DHCP server, and another one.
  const server = '--network lab --server-ip 192.168.77.1 --lower-ip 192.168.77.50 --upper-ip 192.168.77.60';
  await machine.command(`dhcpserver add ${server}`);
  expect(await dhcp(machine, nameOf(lan))).toContain('lease 192.168.77.50');
  await machine.command('dhcpserver modify --network lab --lower-ip 192.168.77.55');
  expect(await dhcp(machine, nameOf(lan))).toContain('lease 192.168.77.55');
  expect(await machine.command('dhcpserver list')).toMatch(
    /NetworkName: {4}lab\n[\s\S]*LowerIPAddress: 192\.168\.77\.55/,
  );
  await machine.command('dhcpserver remove --network lab');
  await expect(machine.command(`nic${nat} generic UDPTunnel`)).rejects.toThrow(/dest/);
  await untilCarrier(nat, '0');
  await machine.command(`nic${nat} nat`);
  await untilCarrier(nat, '1');
  expect(await dhcp(machine, nameOf(nat))).toContain(`lease 10.0.${nat + 1}.15`);
  expect(await run(machine, `ping -c 2 -I ${nameOf(nat)} ${gateway(nat)}`, 60)).toContain('2 packets received');
});
