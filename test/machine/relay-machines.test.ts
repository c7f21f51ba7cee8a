/** Two headless guests in processes of their own, on an internal network and behind one NAT of the same relay. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Headless } from './support/headless.ts';
import { bootNetworkGuest, cardsOf, dhcp, type FoundCard, run } from './support/network-guest.ts';
import { RelayProcess } from './support/relay-process.ts';

const LAN = 1;
const NAT = 2;
const BYTES = 700_000;
const state = mkdtempSync(join(tmpdir(), 'tabbox-relay-machines-'));
const started: Headless[] = [];
let relay: RelayProcess;
let port = 0;
let forwarded = 0;
let networks: string[];
let machines: { readonly machine: Headless; readonly cards: ReadonlyMap<number, FoundCard> }[] = [];

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const found = (probe.address() as AddressInfo).port;
      probe.close(() => resolve(found));
    });
  });
const fromHost = (url: string): Promise<string> =>
  new Promise((resolve) => {
    execFile('curl', ['-sS', '-m', '20', url], { encoding: 'utf8' }, (_error, out, errors) => resolve(out || errors));
  });
const nameOf = (n: number, card: number): string => machines[n].cards.get(card)?.name ?? 'none';
const address = (n: number): string => `192.168.60.${n + 1}`;

beforeAll(async () => {
  forwarded = await freePort();
  const rule = `web:tcp:[127.0.0.1]:${forwarded}:[10.9.0.4]:80`;
  networks = ['--natnetwork', `shared,network=10.9.0.0/24,port-forward-4=${rule}`];
  relay = new RelayProcess(state, 0, networks);
  port = await relay.ready;
  machines = await Promise.all(
    [0, 1].map(async (n) => {
      const mac = (card: number): string => `0800270001${n}${card}`;
      const lan = ['--nic1', 'intnet', '--intnet1', 'lab', '--nictype1', 'virtio', '--macaddress1', mac(LAN)];
      const nat = [
        '--nic2',
        'natnetwork',
        '--nat-network2',
        'shared',
        '--nictype2',
        'virtio',
        '--macaddress2',
        mac(NAT),
      ];
      // The same state directory has the key that tokens are signed with.
      const prefix = ['env', `TABBOX_STATE=${state}`];
      const machine = await bootNetworkGuest(
        [...lan, ...nat, '--relay', `http://127.0.0.1:${port}/`],
        (one) => started.push(one),
        { prefix },
      );
      return { machine, cards: await cardsOf(machine) };
    }),
  );
  for (const [n, { machine }] of machines.entries()) {
    await run(machine, `ip addr add ${address(n)}/24 dev ${nameOf(n, LAN)}; ip link set ${nameOf(n, LAN)} up`, 30);
  }
}, 600_000);
afterAll(async () => {
  for (const one of started) await one.kill();
  await relay?.kill();
  rmSync(state, { recursive: true, force: true });
});

test('they meet on an internal network: pings, and a file', { timeout: 200_000 }, async () => {
  const [a, b] = machines.map(({ machine }) => machine);
  expect(a.errors).toContain(`network card 1: intnet lab, through the relay at http://127.0.0.1:${port}/`);
  expect(await run(a, `ping -c 3 -s 1400 ${address(1)}`, 60)).toContain('3 packets received');
  expect(await run(b, `ping -c 3 -s 1400 ${address(0)}`, 60)).toContain('3 packets received');
  const serve = `mkdir -p /tmp/www; head -c ${BYTES} /dev/urandom > /tmp/www/f; httpd -h /tmp/www; sha256sum < /tmp/www/f`;
  const hash = /^[0-9a-f]{64}/m.exec(await run(a, serve, 60))?.[0];
  expect(await run(b, `wget -q -O - http://${address(0)}/f | sha256sum`, 120)).toContain(hash);
});

test('they share a NAT network that the relay was started with', { timeout: 200_000 }, async () => {
  const [a, b] = machines.map(({ machine }) => machine);
  expect(await dhcp(a, nameOf(0, NAT))).toContain('lease 10.9.0.4 10.9.0.1 10.9.0.1');
  expect(await dhcp(b, nameOf(1, NAT))).toContain('lease 10.9.0.5 10.9.0.1 10.9.0.1');
  expect(await run(a, 'ping -c 2 10.9.0.5', 60)).toContain('2 packets received');
  expect(await run(b, 'ping -c 2 10.9.0.1', 60)).toContain('2 packets received');
  await run(a, 'echo inside > /tmp/www/index.html', 30);
  expect(await fromHost(`http://127.0.0.1:${forwarded}/`)).toBe('inside\n');
});

test('they lose their links with the relay, and get them back', { timeout: 200_000 }, async () => {
  const [a, b] = machines.map(({ machine }) => machine);
  const carriers = async (): Promise<string> => {
    const look = (n: number) => run(machines[n].machine, `cat /sys/class/net/${nameOf(n, LAN)}/carrier`, 30);
    return (await Promise.all([look(0), look(1)])).map((said) => /^[01]/m.exec(said)?.[0]).join();
  };
  await relay.kill();
  await expect.poll(carriers, { timeout: 60_000 }).toBe('0,0');
  expect(a.errors).toContain('cannot be reached; trying again');
  relay = new RelayProcess(state, port, networks);
  await relay.ready;
  await expect.poll(carriers, { timeout: 60_000 }).toBe('1,1');
  expect(await run(b, `ping -c 3 ${address(0)}`, 60)).toMatch(/[23] packets received/);
  expect(await dhcp(a, nameOf(0, NAT))).toContain('lease 10.9.0.4');
});
