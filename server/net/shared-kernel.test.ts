// Networks that machines share, and cards' NAT settings, with Linux as the guest at each end.

import { execFile, spawnSync } from 'node:child_process';
import { getServers, setServers } from 'node:dns';
import { createServer, type Server } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { NetworkCardConfig, NicAttachment } from '#emu/host/network-card.ts';
import { createWire } from '#emu/host/packet-port.ts';
import { parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { formatIp } from '../../src/net-relay/wire/address.ts';
import { KernelGuest, noKernelGuest } from './kernel-guest.suite.ts';
import { Networks } from './networks.ts';
import { outerAddress } from './own-addresses.ts';

const outer = outerAddress();
const why = noKernelGuest() ?? (outer ? undefined : 'this host has no address but loopback');
const undo: (() => void)[] = [];
afterEach(() => {
  for (const one of undo.splice(0).reverse()) one();
});

async function joined(networks: Networks, name: string, attachment: NicAttachment, slot = 1) {
  const [near, far] = createWire();
  const guest = await KernelGuest.create(near, name);
  undo.push(() => guest.close());
  const mac = `08002700000${slot}`;
  const card: NetworkCardConfig = { slot, type: '82540EM', mac, cableConnected: true, attachment };
  const place = await networks.attach(card, far);
  undo.push(() => place.close());
  return { guest, place };
}

/** A server of the host that says who asked. */
async function web(host: string): Promise<number> {
  const server: Server = createServer(({ socket }, response) => response.end(`you are ${socket.remoteAddress}`));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  undo.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const get = async (guest: KernelGuest, url: string): Promise<string> => {
  const { stdout, stderr } = await guest.run(`curl -sS -m 10 ${url}`);
  return stdout || stderr;
};
const fromHost = (url: string): Promise<string> =>
  new Promise((resolve) => {
    execFile('curl', ['-sS', '-m', '10', url], { encoding: 'utf8' }, (_error, out, errors) => resolve(out || errors));
  });
const serve = (guest: KernelGuest, text: string): Promise<unknown> =>
  guest.run(`printf 'HTTP/1.0 200 OK\\r\\n\\r\\n${text}' | timeout 60 busybox nc -l -p 80`);
/** A guest's server takes a moment to listen. */
async function untilSays(port: number, text: string): Promise<void> {
  await expect.poll(() => fromHost(`http://127.0.0.1:${port}/`), { timeout: 30_000 }).toContain(text);
}

/** What udhcpc is told, by name. */
async function lease(guest: KernelGuest): Promise<Record<string, string>> {
  const script = `printf '#!/bin/sh\\nenv\\n' > /tmp/net-$$; chmod +x /tmp/net-$$`;
  const ask = 'busybox udhcpc -i eth0 -n -q -f -t 5 -O mtu -O domain -s /tmp/net-$$';
  const { stdout } = await guest.run(`${script}; ${ask}; rm /tmp/net-$$`);
  return Object.fromEntries(stdout.split('\n').map((line) => line.split(/=(.*)/s, 2)));
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });

describe.skipIf(why)(`NAT networks${why ? `: skipped, ${why}` : ''}`, { timeout: 60_000 }, () => {
  const SHARED: NicAttachment = { kind: 'natnetwork', network: 'lab' };

  it('have the network, the rules and the loopback that they were given', async () => {
    const networks = new Networks();
    const port = await freePort();
    networks.natNetworks.add('lab', [
      { option: 'network', value: '192.168.15.0/24' },
      { option: 'port-forward-4', value: `web:tcp:[127.0.0.1]:${port}:[192.168.15.4]:80` },
      { option: 'loopback-4', value: '127.0.0.1=2' },
    ]);
    const { guest } = await joined(networks, 'sn1', SHARED);
    expect(await guest.dhcp()).toContain('bound 192.168.15.4 192.168.15.1 192.168.15.1 255.255.255.0');
    const own = await web('127.0.0.1');
    expect(await get(guest, `http://192.168.15.2:${own}/`)).toContain('you are 127.0.0.1');
    // The gateway is not the host's loopback here, and the pool is the guests'.
    expect(await get(guest, `http://192.168.15.1:${own}/`)).toMatch(/Failed to connect|refused/);
    expect((await guest.run('busybox ping -c 1 192.168.15.2')).stdout).toContain('1 packets received');
    const served = serve(guest, 'from the lab');
    await untilSays(port, 'from the lab');
    await served;
  });

  it('change their rules while connections go on, and stop and start', async () => {
    const networks = new Networks();
    const { natNetworks } = networks;
    const [one, other] = [await freePort(), await freePort()];
    const rule = (name: string, port: number): string => `${name}:tcp:[]:${port}:[]:80`;
    natNetworks.add('lab', [{ option: 'port-forward-4', value: rule('one', one) }]);
    const { guest, place } = await joined(networks, 'sn2', SHARED);
    expect(await guest.dhcp()).toContain('bound 10.0.2.4 10.0.2.1');
    const nat = place.nat;
    const serving = guest.run('head -c 3000000 /dev/zero | timeout 60 busybox nc -l -p 80');
    // The host's end takes connections at once, and one that nobody listens to in the guest would end at once.
    await guest.run('for i in $(seq 100); do busybox netstat -ltn | grep -q ":80 " && break; sleep 0.1; done');
    const slow =
      'for i in $(seq 40); do exec 3<>/dev/tcp/127.0.0.1/$0 && break; sleep 0.2; done; head -c 9 <&3; sleep 3; cat <&3';
    const taken = new Promise<string>((resolve) => {
      execFile('bash', ['-c', `(${slow}) 2>/dev/null | wc -c`, String(one)], (_error, stdout) =>
        resolve(stdout.trim()),
      );
    });
    await expect.poll(() => nat?.engine.tcp.size, { timeout: 20_000 }).toBeGreaterThan(0);
    await natNetworks.modify('lab', [
      { option: 'port-forward-4', value: 'one', isDelete: true },
      { option: 'port-forward-4', value: rule('other', other) },
    ]);
    expect(place.nat).toBe(nat);
    expect(await fromHost(`http://127.0.0.1:${one}/`)).toMatch(/Failed to connect|refused/);
    await serving;
    expect(await taken).toBe('3000000');
    const served = serve(guest, 'again');
    await untilSays(other, 'again');
    await served;
    // A rule that cannot be leaves all as it was.
    const busy = { option: 'port-forward-4', value: `busy:tcp:[127.0.0.1]:${await web('127.0.0.1')}:[]:80` };
    await expect(natNetworks.modify('lab', [busy])).rejects.toMatchObject({ code: 'port-in-use' });
    expect(natNetworks.all[0].forwards4).toEqual([rule('other', other)]);

    natNetworks.stop('lab');
    expect(place.nat).toBeUndefined();
    expect((await guest.run('busybox ping -c 1 -W 2 10.0.2.1')).stdout).toContain(' 0 packets received');
    await natNetworks.start('lab');
    expect((await guest.run('busybox ping -c 2 10.0.2.1')).stdout).toMatch(/[12] packets received/);
    await natNetworks.modify('lab', [{ option: 'network', value: '10.9.0.0/24' }]);
    expect(await guest.dhcp()).toContain('bound 10.9.0.4 10.9.0.1');
    await natNetworks.modify('lab', [{ option: 'dhcp', value: 'off' }]);
    expect(await guest.dhcp()).not.toContain('bound');
    natNetworks.remove('lab');
    await expect(natNetworks.start('lab')).rejects.toMatchObject({ code: 'no-such-network' });
  });

  it('have IPv6 where it is switched on, with their prefix and the default route if wanted', async () => {
    for (const [isDefault, routes] of [
      ['off', 0],
      ['on', 1],
    ] as const) {
      const networks = new Networks();
      networks.natNetworks.add('lab', [
        { option: 'ipv6', value: 'on' },
        { option: 'ipv6-prefix', value: 'fd17:625c:f037:77::/64' },
        { option: 'ipv6-default', value: isDefault },
      ]);
      const { guest } = await joined(networks, `sn6${isDefault}`, SHARED);
      const wait =
        'for i in $(seq 100); do ip -6 addr show dev eth0 scope global | grep -q fd17 && break; sleep 0.1; done';
      const { stdout } = await guest.run(`${wait}; ip -6 addr show dev eth0; ip -6 route show default`);
      expect(stdout).toContain('inet6 fd17:625c:f037:77:');
      expect(stdout.match(/^default via fe80/gm)?.length ?? 0, isDefault).toBe(routes);
    }
  });
});

describe.skipIf(why)(`host-only without privileges${why ? `: skipped, ${why}` : ''}`, { timeout: 60_000 }, () => {
  it('is a network inside, where the host answers at its address', async () => {
    const adapter = `tb${process.pid}h`.slice(0, 15);
    const attachment: NicAttachment = { kind: 'hostonly', adapter };
    const first = new Networks();
    const dhcp = { serverIp: 0xc0a8_4d64, network: { address: 0xc0a8_4d00, prefix: 24 } };
    // One has the interface, which is made with the host's address; nobody else can.
    first.setHostOnlyInterface(adapter, { ip: 0xc0a8_4c01, prefix: 24 });
    const real = await joined(first, 'ho-real', attachment);
    expect(real.place.about).toBe(`the interface ${adapter} of this computer`);
    expect(spawnSync('ip', ['-4', '-br', 'addr', 'show', adapter], { encoding: 'utf8' }).stdout).toContain(
      '192.168.76.1/24',
    );
    await real.guest.configure('192.168.76.5/24', '192.168.76.1');
    const everywhere = await web('0.0.0.0');
    expect(await get(real.guest, `http://192.168.76.1:${everywhere}/`)).toContain('you are 192.168.76.5');

    const networks = new Networks();
    const pool = [0xc0a8_4d65, 0xc0a8_4d66] as const;
    networks.setDhcpServer(`hostonly ${adapter}`, { ...dhcp, pool });
    const { guest, place } = await joined(networks, 'ho-inside', attachment);
    expect(place.about).toMatch(/^no interface, but a network inside.* 192\.168\.77\.1.*cannot be used: .*busy/);
    const { guest: neighbor } = await joined(networks, 'ho-other', attachment, 2);
    const given = [await lease(guest), await lease(neighbor)];
    expect(given.map(({ ip }) => ip).sort()).toEqual(['192.168.77.101', '192.168.77.102']);
    for (const [n, one] of [guest, neighbor].entries()) await one.run(`ip addr add ${given[n]['ip']}/24 dev eth0`);
    expect((await guest.run(`busybox ping -c 2 ${given[1]['ip']}`)).stdout).toContain('2 packets received');
    expect((await guest.run('busybox ping -c 2 192.168.77.1')).stdout).toContain('2 packets received');
    // What listens everywhere is there, as through an interface; what is for the host alone is not.
    expect(await get(guest, `http://192.168.77.1:${everywhere}/`)).toContain(
      `you are ${formatIp(outer ?? new Uint8Array(4))}`,
    );
    expect(await get(guest, `http://192.168.77.1:${await web('127.0.0.1')}/`)).toMatch(/Failed to connect|refused/);
    // And nothing beyond the host.
    await guest.run('ip route add default via 192.168.77.1');
    expect(await get(guest, 'http://192.0.2.77/')).toMatch(/Failed to connect|refused|timed out/);
    const rule = await place.nat?.forwards.add(parseForwardRule(`web,tcp,,0,${given[0]['ip']},80`));
    const served = serve(guest, 'inside');
    await untilSays(rule?.hostPort ?? 0, 'inside');
    await served;
  });
});

describe.skipIf(why)(`settings of a card's NAT${why ? `: skipped, ${why}` : ''}`, { timeout: 60_000 }, () => {
  const nat = (more: object): NicAttachment => ({ kind: 'nat', network: '', forwards: [], ...more });

  it('--natsettings, --nattftpserver and --nattftpfile are what DHCP says', async () => {
    const more = { mtu: 4000, tftpServer: '192.0.2.9', bootFile: 'x.pxe', tcpSendKb: 8, tcpReceiveKb: 8 };
    const { guest } = await joined(new Networks(), 'ns1', nat(more));
    expect(await lease(guest)).toMatchObject({ mtu: '4000', siaddr: '192.0.2.9', boot_file: 'x.pxe', dns: '10.0.2.3' });
  });

  it('--natdnsproxy off has DHCP name those servers of the host that a guest can ask', async () => {
    const before = getServers();
    const use = (servers: readonly string[]): void => {
      setServers(servers);
      syncBuiltinESMExports();
    };
    undo.push(() => use(before));
    for (const [n, [servers, proxy, dns]] of [
      [['192.0.2.53', '127.0.0.53', '192.168.1.1'], false, '192.0.2.53 192.168.1.1'],
      [['127.0.0.53'], false, '10.0.2.3'],
      [['192.0.2.53'], true, '10.0.2.3'],
    ].entries() as IterableIterator<[number, [string[], boolean, string]]>) {
      use(servers);
      const { guest } = await joined(new Networks(), `nd${n}`, nat({ dnsProxy: proxy }));
      expect(await lease(guest), servers.join()).toMatchObject({ dns });
    }
  });

  it('an echo to an address of the host’s world is its answer', async () => {
    const { guest } = await joined(new Networks(), 'nsp', nat({}));
    await guest.dhcp();
    const address = formatIp(outer ?? new Uint8Array(4));
    expect((await guest.run(`busybox ping -c 2 ${address}`)).stdout).toContain('2 packets received');
    // Nobody has an address of TEST-NET-3.
    expect((await guest.run('busybox ping -c 1 -W 6 203.0.113.9')).stdout).toContain(' 0 packets received');
  });

  it('--natbindip is where connections of the guest come from', async () => {
    const address = formatIp(outer ?? new Uint8Array(4));
    const port = await web(address);
    for (const [more, expected] of [
      [{}, `you are ${address}`],
      [{ bindIp: '127.0.0.1' }, 'you are 127.0.0.1'],
    ] as const) {
      const { guest } = await joined(new Networks(), `nb${Object.keys(more).length}`, nat(more));
      await guest.dhcp();
      expect(await get(guest, `http://${address}:${port}/`)).toBe(expected);
    }
    const stranger = joined(new Networks(), 'nb9', nat({ bindIp: '203.0.113.9' }));
    await expect(stranger).rejects.toMatchObject({
      code: 'bad-address',
      message: expect.stringContaining('127.0.0.1'),
    });
  });
});
