/** Guests in tabs on real networks, through the relay of the page's own server. */
import { createHash, randomBytes } from 'node:crypto';
import type { Socket as UdpSocket } from 'node:dgram';
import { getServers, setServers } from 'node:dns';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nameServer } from '../../server/net/name-server.suite.ts';
import { countersOf, parseCounters, troublesIn } from '../machine/support/network-guest.ts';
import {
  ANSWER_MS,
  BOOT_MS,
  makeMachine,
  prepare,
  setField,
  shell,
  textOf,
  untilSerial,
} from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab, type Visit } from './support/page-test.ts';

const KERNEL = join(GUESTS_DIRECTORY, 'default-kernel');
/** Together they boot quicker than the first alone: only network cards get drivers. */
const INITRDS = ['default-initrd', 'net-initrd'].map((name) => join(GUESTS_DIRECTORY, name));
const DOWNLOAD_MS = 120_000;
const PINGS_MS = 60_000;
const MB = 1 << 20;
const file = randomBytes(20 * MB);
const small = file.subarray(0, 6 * MB);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
let lab: Lab;
let server: Server;
/** Says what it was sent. */
let taker: TcpServer;
let names: UdpSocket;
let ownNames: string[];
let url: string;
let folder: string;
let initrd: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabbox-network-'));
  initrd = join(folder, 'initrd');
  await writeFile(initrd, Buffer.concat(await Promise.all(INITRDS.map((path) => readFile(path)))));
  server = createServer((request, response) => {
    if (request.url !== '/slow') return response.end(request.url === '/small' ? small : file);
    // Lasts until somebody pulls the plug.
    const timer = setInterval(() => response.write(file.subarray(0, 10_000)), 100);
    response.on('close', () => clearInterval(timer));
  });
  taker = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    socket.on('data', (bytes) => hash.update(bytes));
    socket.on('end', () => socket.end(`sent ${socket.bytesRead} ${hash.digest('hex')}\n`));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await new Promise<void>((resolve) => taker.listen(0, '127.0.0.1', resolve));
  // The relay is in this process.
  names = await nameServer('files.example', [192, 0, 2, 7]);
  ownNames = getServers();
  setServers([`127.0.0.1:${names.address().port}`]);
  syncBuiltinESMExports();
  url = `http://10.0.2.2:${portOf(server)}`;
});
afterAll(async () => {
  server.closeAllConnections();
  for (const one of [server, taker, names]) one.close();
  setServers(ownNames);
  syncBuiltinESMExports();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  lab = await openLab();
});
afterEach(() => lab.close());

type Network = Readonly<Record<string, string | boolean>>;

async function boot(page: Page, network: Network): Promise<void> {
  await prepare(page);
  await makeMachine(page, {
    ...{ files: [KERNEL, initrd], memoryMb: 96, network },
    commandLine: 'console=ttyS0 quiet rdinit=/sbin/net-init',
  });
  await untilSerial(page, /BOOT-OK[\s\S]*# /, BOOT_MS);
}

const relayState = (page: Page) => page.getByTestId('network-1').getAttribute('data-relay');
const untilRelay = (page: Page, state: string) =>
  expect.poll(() => relayState(page), { timeout: 60_000, message: `relay ${state}` }).toBe(state);

const LEASE = `printf '%s\\n' '#!/bin/sh' '[ "$1" = bound ] || exit 0' 'ip addr flush dev $interface; ip addr add $ip/$mask dev $interface; echo lease $ip $router $dns' > /tmp/dhcp; chmod +x /tmp/dhcp`;
const dhcp = (name: string): string => `ip link set ${name} up; udhcpc -i ${name} -n -q -f -s /tmp/dhcp 2>/dev/null`;
const portOf = (one: Server | TcpServer): number => (one.address() as AddressInfo).port;

describe('a guest in a tab', () => {
  it('has NAT through the relay, and outlives it', async () => {
    const { page, errors }: Visit = await lab.visit();
    await boot(page, {
      ...{ nic1: 'nat', nictype1: '82540EM', macaddress1: '080027000001', 'nat-localhostreachable1': true },
      'add-card': true,
      ...{ nic2: 'nat', nictype2: 'virtio', macaddress2: '080027000002', 'nat-localhostreachable2': true },
      natdnshostresolver2: true,
    });
    await untilRelay(page, 'attached');
    expect(await page.getByTestId('network-1').getAttribute('title')).toContain('nat 10.0.2.0/24');
    await shell(page, LEASE);
    let name = '';
    for (const slot of [2, 1]) {
      const network = `10.0.${slot + 1}`;
      // The kernel numbers them as it likes.
      name = await shell(page, `basename $(dirname $(grep -l 0${slot}$ /sys/class/net/eth*/address))`);
      expect(await shell(page, dhcp(name), ANSWER_MS)).toContain(`lease ${network}.15 ${network}.2 ${network}.3`);
      expect(await shell(page, `ping -c 2 ${network}.2`, ANSWER_MS)).toContain('2 packets received');
      await expect.poll(() => page.getByTestId(`network-address-${slot}`).textContent()).toBe(` ${network}.15`);
      // The second asks as the host does, and its file of hosts has this one.
      const [known, address] = slot === 2 ? ['localhost', '127.0.0.1'] : ['files.example', '192.0.2.7'];
      expect(await shell(page, `nslookup ${known} ${network}.3`, ANSWER_MS)).toContain(address);
      const [from, to] = [`http://${network}.2:${portOf(server)}/`, `${network}.2 ${portOf(taker)}`];
      expect(await shell(page, `wget -q -O /tmp/f ${from}; sha256sum < /tmp/f`, DOWNLOAD_MS)).toContain(sha256(file));
      const said = await shell(page, `nc ${to} < /tmp/f; rm /tmp/f`, DOWNLOAD_MS);
      expect(said).toContain(`sent ${file.length} ${sha256(file)}`);
      const counters = parseCounters(await shell(page, countersOf(name)));
      for (const key of ['rx_bytes', 'tx_bytes']) expect(counters.get(key), key).toBeGreaterThan(file.length);
      expect(troublesIn(counters)).toEqual([]);
    }
    await expect.poll(() => page.getByTestId('network-1').getAttribute('title')).toMatch(/ 2[01][.\d]* MB received/);
    expect(errors).toEqual([]);

    // The relay dies in the middle of a transfer, and comes back.
    await shell(page, `(wget -q -O /dev/null ${url}/slow; echo ended > /tmp/ended) & sleep 1`);
    for (let round = 0; round < 2; round++) {
      await lab.stopServer();
      await untilRelay(page, 'waiting');
      expect(await textOf(page.getByTestId('network-trouble-1'))).toMatch(/the relay cannot be reached; trying again/);
      await expect.poll(() => shell(page, `cat /sys/class/net/${name}/carrier`)).toBe('0');
      await lab.startServer();
      await untilRelay(page, 'attached');
      await expect.poll(() => shell(page, `cat /sys/class/net/${name}/carrier`)).toBe('1');
      expect(await shell(page, dhcp(name), ANSWER_MS)).toContain('lease 10.0.2.15 10.0.2.2 10.0.2.3');
      expect(await shell(page, 'ping -c 2 10.0.2.2', ANSWER_MS)).toContain('2 packets received');
    }
    // The transfer was reset in order: nobody waits for ever.
    await expect.poll(() => shell(page, 'cat /tmp/ended'), { timeout: ANSWER_MS }).toContain('ended');
    expect(await shell(page, `wget -q -O - ${url}/small | sha256sum`, DOWNLOAD_MS)).toContain(sha256(small));
  });

  it.each(['by WebRTC', 'through the relay'])('meets one in another tab on an internal network, %s', async (way) => {
    const first = await lab.visit();
    const second = { page: await first.context.newPage() };
    if (way === 'through the relay') {
      // As in a browser whose owner forbids WebRTC.
      await first.context.addInitScript(() => Reflect.deleteProperty(globalThis, 'RTCPeerConnection'));
      await first.page.reload();
    }
    await second.page.goto(lab.server.url);
    const network = { nic1: 'intnet', intnet1: 'lab', nictype1: 'virtio' };
    await Promise.all([boot(first.page, network), boot(second.page, network)]);
    const address = (n: number): string => `ip addr add 192.168.7.${n}/24 dev eth0; ip link set eth0 up`;
    for (const [n, { page }] of [first, second].entries()) {
      await untilRelay(page, 'attached');
      await shell(page, address(n + 1));
    }
    const direct = () => first.page.getByTestId('network-1').getAttribute('data-direct');
    const framesByRelay = async (): Promise<number> => {
      const text = await (await fetch(`${lab.server.url}metrics`)).text();
      return Number(/tabbox_net_frames_total\{direction="from"\} (\d+)/.exec(text)?.[1]);
    };
    if (way === 'by WebRTC') await expect.poll(direct, { timeout: 60_000 }).toBe('1');
    else expect(await direct()).toBe('0');
    // The first finds its way to everybody; the others know theirs.
    await shell(first.page, 'ping -c 1 192.168.7.2', ANSWER_MS);
    const before = await framesByRelay();
    expect(await shell(first.page, 'ping -c 12 192.168.7.2', PINGS_MS)).toContain('12 packets received');
    expect(await shell(second.page, 'ping -c 12 192.168.7.1', PINGS_MS)).toContain('12 packets received');
    const carried = (await framesByRelay()) - before;
    // What is for everybody also goes to the relay, because others may be there.
    if (way === 'by WebRTC') expect(carried).toBeLessThan(24);
    else expect(carried).toBeGreaterThanOrEqual(48);

    // One pulls its cable, and then moves to another network.
    await second.page.getByTestId('network').click();
    await second.page.getByTestId('cable-1').click();
    await expect.poll(() => textOf(second.page.getByTestId('network-trouble-1'))).toBe('cable not connected');
    expect(await shell(first.page, 'ping -c 1 -W 2 192.168.7.2', ANSWER_MS)).toContain('0 packets received');
    await second.page.getByTestId('network').click();
    await second.page.getByTestId('cable-1').click();
    await expect.poll(() => shell(second.page, 'cat /sys/class/net/eth0/carrier')).toBe('1');
    expect(await shell(first.page, 'ping -c 2 192.168.7.2', ANSWER_MS)).toContain('2 packets received');
    await second.page.getByTestId('network').click();
    await second.page.getByTestId('network-settings').click();
    await setField(second.page.getByTestId('intnet1'), 'elsewhere');
    await second.page.getByTestId('dialog-ok').click();
    await expect.poll(() => second.page.getByTestId('network-1').getAttribute('title')).toContain('intnet elsewhere');
    expect(await shell(first.page, 'ping -c 1 -W 2 192.168.7.2', ANSWER_MS)).toContain('0 packets received');
  });
});
