// Tunnels to other people's programs: a real QEMU and a real vde_switch, with Linux as the guest at our end.

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { NetworkCardConfig, NicAttachment } from '#emu/host/network-card.ts';
import { createWire } from '#emu/host/packet-port.ts';
import { parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { parseIpv4, parseIpv4Network } from '../../src/net-relay/wire/address.ts';
import { KernelGuest, noKernelGuest } from './kernel-guest.suite.ts';
import { Networks } from './networks.ts';

const has = (command: string, ...args: string[]): boolean => spawnSync(command, args).error === undefined;
const why =
  noKernelGuest() ??
  (has('qemu-system-i386', '--version')
    ? undefined
    : "there is no 'qemu-system-i386' (Debian package qemu-system-x86)") ??
  (has('vde_switch', '--version') ? undefined : "there is no 'vde_switch' (Debian package vde2)");

const undo: (() => void)[] = [];
afterEach(() => {
  for (const one of undo.splice(0).reverse()) one();
});

function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ['pipe', 'ignore', 'pipe'] });
  child.on('error', () => {});
  undo.push(() => child.kill('SIGKILL'));
  return child;
}

/** QEMU without a machine: its user network behind whatever leads to it. */
function qemuUserNetwork(netdev: string): void {
  const hub = ['-netdev', 'hubport,hubid=0,id=a,netdev=n', '-netdev', 'hubport,hubid=0,id=b,netdev=u'];
  start('qemu-system-i386', [
    '-machine',
    'none',
    '-display',
    'none',
    '-netdev',
    netdev,
    '-netdev',
    'user,id=u',
    ...hub,
  ]);
}

const attached = async (networks: Networks, name: string, attachment: NicAttachment): Promise<KernelGuest> =>
  (await joined(networks, name, attachment)).guest;

/** A guest at a network, until the test ends. */
async function joined(networks: Networks, name: string, attachment: NicAttachment) {
  const [near, far] = createWire();
  const guest = await KernelGuest.create(near, name);
  undo.push(() => guest.close());
  const card: NetworkCardConfig = { slot: 1, type: '82540EM', mac: '080027000001', cableConnected: true, attachment };
  const place = await networks.attach(card, far);
  let isOpen = true;
  const close = (): void => {
    if (isOpen) place.close();
    isOpen = false;
  };
  undo.push(close);
  return { guest, nat: place.nat, close };
}

/** What a command of the host's shell prints. */
const hostSays = (command: string): Promise<string> =>
  new Promise((resolve) => {
    execFile('bash', ['-c', command], { encoding: 'utf8' }, (_error, stdout) => resolve(stdout));
  });

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

describe.skipIf(why)(`tunnels${why ? `: skipped, ${why}` : ''}`, () => {
  it('UDPTunnel leads to QEMU: its DHCP server gives an address, its gateway answers', async () => {
    const [ours, theirs] = [await freePort(), await freePort()];
    const end = (kind: string, port: number): string => `${kind}.type=inet,${kind}.host=127.0.0.1,${kind}.port=${port}`;
    qemuUserNetwork(`dgram,id=n,${end('local', theirs)},${end('remote', ours)}`);
    const properties = { dest: '127.0.0.1', sport: String(ours), dport: String(theirs) };
    const guest = await attached(new Networks(), 'udp', { kind: 'generic', driver: 'UDPTunnel', properties });
    expect(await guest.dhcp()).toContain('bound 10.0.2.15 10.0.2.2 10.0.2.3');
    expect((await guest.run('busybox ping -c 2 -s 1400 10.0.2.2')).stdout).toContain('2 packets received');
  });

  it('VDE joins a vde_switch: two of ours and QEMU meet there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tabbox-vde-'));
    undo.push(() => rmSync(folder, { recursive: true, force: true }));
    const socket = join(folder, 'switch');
    start('vde_switch', ['-s', socket, '-x']);
    qemuUserNetwork(`vde,id=n,sock=${socket}`);
    const networks = new Networks();
    const vde: NicAttachment = { kind: 'generic', driver: 'VDE', properties: { network: socket } };
    const first = await attached(networks, 'vde1', vde);
    const second = await attached(networks, 'vde2', vde);
    await first.configure('192.168.9.1/24', '192.168.9.2');
    await second.configure('192.168.9.2/24', '192.168.9.1');
    expect((await first.run('busybox ping -c 3 -s 1400 192.168.9.2')).stdout).toMatch(/[23] packets received/);
  });

  it('an internal network carries a transfer, and its policies hold on the wire', async () => {
    const networks = new Networks();
    const lan: NicAttachment = { kind: 'intnet', network: 'lan' };
    const first = await attached(networks, 'lan1', lan);
    const second = await attached(networks, 'lan2', lan);
    const other = await attached(networks, 'lan3', { kind: 'intnet', network: 'another' });
    await first.configure('192.168.8.1/24', '192.168.8.2');
    await second.configure('192.168.8.2/24', '192.168.8.1');
    await other.configure('192.168.8.3/24', '192.168.8.1');
    const served = second.run('head -c 5000000 /dev/zero | timeout 60 busybox nc -l -p 9');
    const { stdout } = await first.run(
      'for i in $(seq 40); do (exec 3</dev/tcp/192.168.8.2/9 && cat <&3 | wc -c) 2>/dev/null && break; sleep 0.25; done',
    );
    await served;
    expect(stdout.trim()).toBe('5000000');
    expect((await other.run('busybox ping -c 1 -W 2 192.168.8.1')).stdout).toContain(' 0 packets received');
  });

  it('a NAT network has several guests behind one NAT, and ports of the host lead to each', async () => {
    const networks = new Networks();
    const shared: NicAttachment = { kind: 'natnetwork', network: 'n' };
    const [first, second] = [await joined(networks, 'nn1', shared), await joined(networks, 'nn2', shared)];
    const leases = [await first.guest.dhcp(), await second.guest.dhcp()].map((said) => said.split('\n'));
    const [one, other] = leases.map((lines) => lines.find((line) => line.startsWith('bound'))?.split(' ')[1] ?? '');
    expect(new Set([one, other]).size).toBe(2);
    for (const address of [one, other]) expect(address).toMatch(/^10\.0\.2\.\d+$/);
    expect((await first.guest.run(`busybox ping -c 2 ${other}`)).stdout).toContain('2 packets received');
    expect((await second.guest.run('busybox ping -c 2 10.0.2.1')).stdout).toContain('2 packets received');
    expect(first.nat).toBe(second.nat);

    for (const [{ guest, nat }, address] of [
      [first, one],
      [second, other],
    ] as const) {
      const { hostPort } = (await nat?.forwards.add(parseForwardRule(`web,tcp,127.0.0.1,0,${address},80`))) ?? {};
      const serve = `printf 'HTTP/1.0 200 OK\\r\\n\\r\\nthis is ${address}' | timeout 60 busybox nc -l -p 80`;
      const served = guest.run(serve);
      const get = `for i in $(seq 100); do curl -sS -m 20 http://127.0.0.1:${hostPort}/ && break; sleep 0.2; done`;
      expect(await hostSays(get)).toContain(`this is ${address}`);
      await served;
      await nat?.forwards.delete('web');
    }
    // The NAT lives as long as one of them.
    first.close();
    expect((await second.guest.run('busybox ping -c 1 10.0.2.1')).stdout).toContain('1 packets received');
  });

  it('bridged goes onto an interface of the host: what is behind its wire meets the guest, whatever cards are left to do', async () => {
    const [leg, far] = [`tb${process.pid}`.slice(0, 15), `tb-${process.pid}-wire`];
    const ip = (line: string): void => {
      const { status, stderr } = spawnSync('ip', line.split(' '), { encoding: 'utf8' });
      if (status !== 0) throw new Error(`ip ${line}: ${stderr}`);
    };
    ip(`netns add ${far}`);
    undo.push(() => ip(`netns del ${far}`));
    ip(`link add ${leg} type veth peer name eth0 netns ${far}`);
    ip(`link set ${leg} up`);
    ip(`-n ${far} addr add 192.168.10.2/24 dev eth0`);
    ip(`-n ${far} link set eth0 up`);
    const { guest } = await joined(new Networks(), 'bridged', { kind: 'bridged', adapter: leg });
    await guest.configure('192.168.10.1/24', '192.168.10.2');
    const inFar = (command: string): Promise<string> => hostSays(`ip netns exec ${far} bash -c '${command}'`);
    expect((await guest.run('busybox ping -c 2 -s 4000 192.168.10.2')).stdout).toContain('2 packets received');
    const take = (from: string): string =>
      `for i in $(seq 40); do (exec 3<>/dev/tcp/${from}/9 && sha256sum <&3) 2>/dev/null && break; sleep 0.25; done`;
    const give = 'head -c 5000000 /dev/zero | tr "\\0" x | timeout 60 busybox nc -l -p 9';
    const expected = createHash('sha256').update(Buffer.alloc(5_000_000, 'x')).digest('hex');
    ip(`-n ${far} addr add fd10::2/64 dev eth0 nodad`);
    await guest.run('ip addr add fd10::1/64 dev eth0 nodad');
    for (const address of ['192.168.10.2', 'fd10::2']) {
      const toGuest = inFar(give);
      expect((await guest.run(take(address))).stdout, address).toContain(expected);
      await toGuest;
    }
    const fromGuest = guest.run(give);
    expect(await inFar(take('192.168.10.1'))).toContain(expected);
    await fromGuest;
  });

  it('a host-only interface has a DHCP server, and guests meet there', async () => {
    const networks = new Networks();
    const adapter = `th${process.pid}`.slice(0, 15);
    const [serverIp, lower, upper] = ['192.168.11.100', '192.168.11.101', '192.168.11.102'].map(
      (ip) => parseIpv4(ip) ?? 0,
    );
    const network = parseIpv4Network('192.168.11.0/24');
    if (!network) throw new Error('no network');
    networks.setDhcpServer(`hostonly ${adapter}`, { serverIp, network, pool: [lower, upper] });
    const attachment: NicAttachment = { kind: 'hostonly', adapter };
    // Both at once.
    const guests = await Promise.all([attached(networks, 'ho1', attachment), attached(networks, 'ho2', attachment)]);
    const addresses: string[] = [];
    for (const guest of guests) {
      const said = await guest.run(
        'busybox udhcpc -i eth0 -n -q -f -s /bin/true -O router 2>&1; busybox arping -c 1 -I eth0 192.168.11.100',
      );
      expect(said.stdout).toMatch(/lease of 192\.168\.11\.10[12] obtained from 192\.168\.11\.100/);
      expect(said.stdout).toContain('Received 1 response');
      addresses.push(/lease of (\S+)/.exec(said.stdout)?.[1] ?? '');
    }
    expect(new Set(addresses).size).toBe(2);
    for (const [n, guest] of guests.entries()) await guest.run(`ip addr add ${addresses[n]}/24 dev eth0`);
    expect((await guests[0].run(`busybox ping -c 2 ${addresses[1]}`)).stdout).toContain('2 packets received');
  });
});
