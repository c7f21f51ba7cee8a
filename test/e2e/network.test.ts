/** Guests in tabs on real networks, through the relay of the page's own server. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
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
const file = randomBytes(6 << 20);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
let lab: Lab;
let server: Server;
let url: string;
let folder: string;
let initrd: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabbox-network-'));
  initrd = join(folder, 'initrd');
  await writeFile(initrd, Buffer.concat(await Promise.all(INITRDS.map((path) => readFile(path)))));
  server = createServer((request, response) => {
    const drip = request.url === '/slow';
    if (!drip) return response.end(file);
    // Lasts until somebody pulls the plug.
    const timer = setInterval(() => response.write(file.subarray(0, 10_000)), 100);
    response.on('close', () => clearInterval(timer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://10.0.2.2:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
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

const LEASE = `printf '%s\\n' '#!/bin/sh' '[ "$1" = bound ] || exit 0' 'ip addr flush dev eth0; ip addr add $ip/$mask dev eth0; ip route add default via $router; echo lease $ip $router $dns' > /tmp/dhcp; chmod +x /tmp/dhcp`;
const DHCP = 'ip link set eth0 up; udhcpc -i eth0 -n -q -f -s /tmp/dhcp 2>/dev/null';

describe('a guest in a tab', () => {
  it('has NAT through the relay, and outlives it', async () => {
    const { page, errors }: Visit = await lab.visit();
    await boot(page, { nic1: 'nat', nictype1: '82540EM', 'nat-localhostreachable1': true });
    await untilRelay(page, 'attached');
    expect(await page.getByTestId('network-1').getAttribute('title')).toContain('nat 10.0.2.0/24');
    await shell(page, LEASE);
    expect(await shell(page, DHCP, ANSWER_MS)).toContain('lease 10.0.2.15 10.0.2.2 10.0.2.3');
    expect(await shell(page, 'ping -c 2 10.0.2.2', ANSWER_MS)).toContain('2 packets received');
    await expect.poll(() => page.getByTestId('network-address-1').textContent()).toBe(' 10.0.2.15');
    expect(await shell(page, `wget -q -O - ${url}/ | sha256sum`, DOWNLOAD_MS)).toContain(sha256(file));
    await expect.poll(() => page.getByTestId('network-1').getAttribute('title')).toMatch(/ 6[.\d]* MB received/);
    expect(errors).toEqual([]);

    // The relay dies in the middle of a transfer, and comes back.
    await shell(page, `(wget -q -O /dev/null ${url}/slow; echo ended > /tmp/ended) & sleep 1`);
    for (let round = 0; round < 2; round++) {
      await lab.stopServer();
      await untilRelay(page, 'waiting');
      expect(await textOf(page.getByTestId('network-trouble-1'))).toMatch(/the relay cannot be reached; trying again/);
      await expect.poll(() => shell(page, 'cat /sys/class/net/eth0/carrier')).toBe('0');
      await lab.startServer();
      await untilRelay(page, 'attached');
      await expect.poll(() => shell(page, 'cat /sys/class/net/eth0/carrier')).toBe('1');
      expect(await shell(page, DHCP, ANSWER_MS)).toContain('lease 10.0.2.15 10.0.2.2 10.0.2.3');
      expect(await shell(page, 'ping -c 2 10.0.2.2', ANSWER_MS)).toContain('2 packets received');
    }
    // The transfer was reset in order: nobody waits for ever.
    await expect.poll(() => shell(page, 'cat /tmp/ended'), { timeout: ANSWER_MS }).toContain('ended');
    expect(await shell(page, `wget -q -O - ${url}/ | sha256sum`, DOWNLOAD_MS)).toContain(sha256(file));
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
