/** What the settings of a machine say of its networks: DHCP servers, bandwidth groups, capture files; and whose relay it is. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Download, Page } from 'playwright';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { startServer } from '../../server/http/serve.ts';
import { JoinTokens } from '../../server/relay/join-tokens.ts';
import { NetService } from '../../server/relay/net-service.ts';
import { Relay } from '../../server/relay/relay.ts';
import { ANSWER_MS, BOOT_MS, makeMachine, prepare, setField, shell, untilSerial } from './support/machine-page.ts';
import { GUESTS_DIRECTORY, type Lab, openLab } from './support/page-test.ts';

const KERNEL = join(GUESTS_DIRECTORY, 'default-kernel');
const INITRDS = ['default-initrd', 'net-initrd'].map((name) => join(GUESTS_DIRECTORY, name));
/** Of a frame of 1514 bytes, 1448 are the connection's. */
const FRAME_SHARE = 1514 / 1448;
let folder: string;
let lab: Lab;
let taker: Server;
let arrived = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabbox-settings-'));
  await writeFile(join(folder, 'initrd'), Buffer.concat(await Promise.all(INITRDS.map((path) => readFile(path)))));
  taker = createServer((socket) => {
    socket.on('data', (bytes) => {
      arrived += bytes.length;
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => taker.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  taker.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  lab = await openLab();
});
afterEach(() => lab.close());

/** Lines that tshark prints of a capture file. */
async function packets(download: Download, filter: string): Promise<string[]> {
  const path = join(folder, 'trace.pcap');
  await download.saveAs(path);
  const sums = ['ip', 'tcp', 'udp'].flatMap((layer) => ['-o', `${layer}.check_checksum:TRUE`]);
  const said = spawnSync('tshark', ['-n', '-r', path, ...sums, '-Y', filter], { encoding: 'utf8', timeout: 60_000 });
  if (said.status !== 0) throw new Error(`tshark: ${said.error?.message ?? said.stderr}`);
  return said.stdout.split('\n').filter((line) => line !== '');
}
const BAD = '_ws.malformed || _ws.short || ip.checksum.status == "Bad" || udp.checksum.status == "Bad"';

async function choose(page: Page, item: string): Promise<void> {
  await page.getByTestId('network').click();
  await page.getByTestId(item).click();
}

async function change(page: Page, fields: Readonly<Record<string, string | boolean>>): Promise<void> {
  await choose(page, 'network-settings');
  for (const [option, value] of Object.entries(fields)) await setField(page.getByTestId(option), value);
  await page.getByTestId('dialog-ok').click();
  await page.getByTestId('dialog-ok').waitFor({ state: 'detached' });
}

/** Bytes a second that arrive, frames' headers among them, over ten seconds. */
async function rate(): Promise<number> {
  const [bytes, began] = [arrived, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  return ((arrived - bytes) * FRAME_SHARE) / ((performance.now() - began) / 1000);
}

/** What a busy host keeps the guest from is not the limit's fault, so there are more goes. */
async function holds(bytesPerSecond: number): Promise<void> {
  let best = 0;
  for (let goes = 0; goes < 4 && best < 0.95; goes++) {
    best = (await rate()) / bytesPerSecond;
    expect(best).toBeLessThan(1.05);
  }
  expect(best).toBeGreaterThan(0.95);
}

it('a DHCP server, bandwidth groups and capture files are as the settings say, and follow them', {
  timeout: BOOT_MS + 400_000,
}, async () => {
  const { page, errors } = await lab.visit();
  await prepare(page);
  await makeMachine(page, {
    ...{ files: [KERNEL, join(folder, 'initrd')], memoryMb: 96 },
    commandLine: 'console=ttyS0 quiet rdinit=/sbin/net-init',
    network: {
      ...{ nic1: 'intnet', intnet1: 'lab', nictype1: 'virtio', macaddress1: '080027000001', nictrace1: true },
      ...{ dhcpserver1: true, 'dhcpserver-server-ip1': '192.168.77.1', 'dhcpserver-lower-ip1': '192.168.77.20' },
      ...{ 'dhcpserver-upper-ip1': '192.168.77.30', 'add-card': true },
      ...{ nic2: 'nat', nictype2: 'virtio', macaddress2: '080027000002', 'nat-localhostreachable2': true },
      ...{ bandwidthgroups: 'up=2m', nicbandwidthgroup2: 'up' },
    },
  });
  await untilSerial(page, /BOOT-OK[\s\S]*# /, BOOT_MS);
  const lines = ['#!/bin/sh', '[ "$1" = bound ] || exit 0', 'ip addr add $ip/$mask dev $interface; echo lease $ip'];
  await shell(page, `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} > /tmp/dhcp; chmod +x /tmp/dhcp`);
  const name = (slot: number) => shell(page, `basename $(dirname $(grep -l 0${slot}$ /sys/class/net/eth*/address))`);
  const dhcp = async (slot: number): Promise<string> => {
    const card = await name(slot);
    return shell(page, `ip link set ${card} up; udhcpc -i ${card} -n -q -f -s /tmp/dhcp 2>/dev/null`, ANSWER_MS);
  };
  expect(await dhcp(1)).toContain('lease 192.168.77.20');
  expect(await shell(page, `arping -c 1 -w 5 -I ${await name(1)} 192.168.77.1`, ANSWER_MS)).toContain('1 response');
  expect(await dhcp(2)).toContain('lease 10.0.3.15');

  // From power-on: the whole exchange is there.
  const saved = page.waitForEvent('download');
  await choose(page, 'save-trace-1');
  const trace = await saved;
  expect(trace.suggestedFilename()).toMatch(/-card1\.pcap$/);
  expect(await packets(trace, BAD)).toEqual([]);
  const exchange = (await packets(trace, 'dhcp')).map((line) => /DHCP ([A-Z]\w+)/.exec(line)?.[1]);
  expect(exchange).toEqual(['Discover', 'Offer', 'Request', 'ACK']);

  // One transfer, under limits that change.
  const { port } = taker.address() as AddressInfo;
  await shell(page, `(nc 10.0.3.2 ${port} < /dev/zero > /dev/null; echo over > /tmp/over) & sleep 1`);
  await expect.poll(() => arrived, { timeout: ANSWER_MS }).toBeGreaterThan(0);
  await holds(2e6 / 8);
  await change(page, { bandwidthgroups: 'up=500k' });
  await rate();
  await holds(500e3 / 8);
  await change(page, { nicbandwidthgroup2: '' });
  await expect.poll(rate, { timeout: 60_000 }).toBeGreaterThan(2 * (2e6 / 8));
  expect(await shell(page, 'cat /tmp/over 2>/dev/null')).toBe('');

  // Recorded by hand, and given to the person when the machine goes off.
  await choose(page, 'trace-1');
  await shell(page, `arping -c 2 -w 5 -I ${await name(1)} 192.168.77.1`, ANSWER_MS);
  const last = page.waitForEvent('download');
  await page.getByTestId('power').click();
  await page.getByTestId('power-off').click();
  const rest = await last;
  expect(await packets(rest, BAD)).toEqual([]);
  expect((await packets(rest, 'arp')).length).toBeGreaterThanOrEqual(4);
  expect(errors).toEqual([]);

  // A group that is not there is refused where it is asked for.
  await page.getByTestId('back').click();
  await page.getByTestId('card-settings').first().click();
  await setField(page.getByTestId('nicbandwidthgroup2'), 'up');
  await setField(page.getByTestId('bandwidthgroups'), 'other=5');
  await page.getByTestId('dialog-ok').click();
  await expect
    .poll(() => page.getByTestId('dialog-error').textContent())
    .toMatch(/bandwidth group up, which there is not/);
});

it('a relay elsewhere is joined by a link with a token, and what is wrong with it is said', async () => {
  const tokens = new JoinTokens(new Uint8Array(32).fill(3));
  const strangers = new JoinTokens(new Uint8Array(32).fill(4));
  const wanted = { subject: 'somebody', rights: { net: { nat: {} } }, lifeSeconds: 600 };
  const directories = { pageDirectory: folder, guestsDirectory: folder };
  const extension = new Relay({ tokens, services: [new NetService()], ownPageTokens: false });
  const elsewhere = await startServer({ ...directories, host: '127.0.0.1', ports: [0], extension });
  try {
    const [good, forged] = [await tokens.issue(wanted), await strangers.issue(wanted)];
    for (const [n, [server, token, state, said]] of [
      [elsewhere.url, good, 'attached', /^$/],
      [elsewhere.url, forged, 'refused', /no network: .*token/],
      // Nobody listens there.
      ['http://127.0.0.1:9/', good, 'waiting', /the relay cannot be reached; trying again within \d+ s/],
    ].entries() as IterableIterator<[number, [string, string, string, RegExp]]>) {
      const { page, context } = await lab.visit(`#relay=${encodeURIComponent(server)}&token=${token}`, `person-${n}`);
      await prepare(page);
      await makeMachine(page, { files: [KERNEL], memoryMb: 64, commandLine: 'quiet', network: { nic1: 'nat' } });
      const lamp = page.getByTestId('network-1');
      await expect.poll(() => lamp.getAttribute('data-relay')).toBe(state);
      const trouble = page.getByTestId('network-trouble-1');
      await expect.poll(async () => ((await trouble.count()) === 0 ? '' : trouble.textContent())).toMatch(said);
      await context.close();
    }
  } finally {
    await elsewhere.close();
  }
});
