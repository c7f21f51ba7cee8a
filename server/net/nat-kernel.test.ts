// The NAT engine against the Linux kernel's TCP/IP: real sockets on both sides.

import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWire } from '#emu/host/packet-port.ts';
import { natConfig } from '../../src/net-relay/nat/nat-config.ts';
import { parseForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { FaultInjector, type Faults } from '../../src/net-relay/switch/fault-injector.ts';
import { KernelGuest, noKernelGuest } from './kernel-guest.suite.ts';
import type { NameServer } from './name-resolver.ts';
import { nameServer } from './name-server.suite.ts';
import { NatDriver } from './nat-driver.ts';

const why = noKernelGuest();
const MB = 1 << 20;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Network {
  readonly guest: KernelGuest;
  readonly nat: NatDriver;
  /** The cable from the network to the guest. */
  readonly toGuest: FaultInjector;
  close(): void;
}

async function network(
  name: string,
  faults: Faults = {},
  tftpFolder?: string,
  nameServers: readonly NameServer[] = [],
  asHost = false,
): Promise<Network> {
  const [near, far] = createWire();
  const seed = 12_345;
  const guest = await KernelGuest.create(new FaultInjector(near, faults, seed), name);
  const toGuest = new FaultInjector(far, faults, seed + 1);
  const nat = new NatDriver(toGuest, {
    config: natConfig(0),
    rights: { loopback: true, private: true, public: true },
    resolver: { servers: nameServers, asHost },
    tftpFolder,
    forwardHostIp: '127.0.0.1',
  });
  const close = (): void => {
    guest.close();
    nat.close();
  };
  return { guest, nat, toGuest, close };
}

/** An HTTP server of the host that gives `file` and says what hash it was sent. */
async function fileServer(file: Uint8Array): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createHttpServer((request, response) => {
    if (request.method === 'GET') {
      response.end(file);
      return;
    }
    const hash = createHash('sha256');
    request.on('data', (bytes: Uint8Array) => hash.update(bytes));
    request.on('end', () => response.end(hash.digest('hex')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

describe.skipIf(why)(`NAT with the Linux kernel as guest${why ? `: skipped, ${why}` : ''}`, () => {
  const file = randomBytes(20 * MB);
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-tftp-'));
  let net: Network;
  let names: UdpSocket;
  let guest: KernelGuest;
  let server: Server;
  let port = 0;

  beforeAll(async () => {
    ({ server, port } = await fileServer(file));
    writeFileSync(join(folder, 'boot.pxe'), file.subarray(0, 100_000));
    names = await nameServer('files.example', [192, 0, 2, 7]);
    net = await network('nat', {}, folder, [names.address()]);
    ({ guest } = net);
    await guest.configure('10.0.2.15/24', '10.0.2.2');
  });

  afterAll(() => {
    net?.close();
    server?.close();
    names?.close();
    rmSync(folder, { recursive: true });
  });

  it('gives an address by DHCP, and names the gateway', async () => {
    expect(await guest.dhcp()).toContain('bound 10.0.2.15 10.0.2.2 10.0.2.3 255.255.255.0');
  });

  it('asks the name servers of the host, and answers what they do not know', async () => {
    expect((await guest.run('busybox nslookup files.example 10.0.2.3')).stdout).toContain('192.0.2.7');
    expect((await guest.run('busybox nslookup other.example 10.0.2.3 2>&1')).stdout).toContain('NXDOMAIN');
  });

  it('resolves names as the host does, where it is to', async () => {
    const own = await network('names', {}, undefined, [], true);
    try {
      await own.guest.configure('10.0.2.15/24', '10.0.2.2');
      const { stdout } = await own.guest.run('busybox nslookup localhost 10.0.2.3 2>&1');
      // The name is in every host's file, and in nobody's name server.
      expect(stdout).toMatch(/^Name:\s+localhost$/m);
      expect(stdout).toContain('127.0.0.1');
    } finally {
      own.close();
    }
  });

  it('answers pings of the gateway, fragmented ones as well', async () => {
    expect((await guest.run('busybox ping -c 2 10.0.2.2')).stdout).toContain('2 packets received');
    expect((await guest.run('busybox ping -c 1 -s 4000 10.0.2.2')).stdout).toContain('1 packets received');
  });

  it('downloads 20 MB', async () => {
    const { stdout, stderr } = await guest.run(`curl -s http://10.0.2.2:${port}/ | sha256sum`);
    expect(stderr).toBe('');
    expect(stdout.split(' ')[0]).toBe(sha256(file));
  });

  it('uploads 20 MB', async () => {
    const { stdout } = await guest.run(`curl -s -T - http://10.0.2.2:${port}/up`, file);
    expect(stdout).toBe(sha256(file));
  });

  it('carries IPv6: the prefix by router advertisement, and a transfer', async () => {
    const server6 = createHttpServer((_request, response) => response.end('six'));
    await new Promise<void>((resolve) => server6.listen(0, '::1', resolve));
    const port6 = (server6.address() as AddressInfo).port;
    const wait =
      'for i in $(seq 100); do ip -6 addr show dev eth0 scope global | grep -q "inet6 fd17" && break; sleep 0.1; done';
    const tentative =
      'for i in $(seq 100); do ip -6 addr show dev eth0 tentative | grep -q inet6 || break; sleep 0.1; done';
    const { stdout } = await guest.run(
      `${wait}; ${tentative}; curl -sS -m 20 -g "http://[fd17:625c:f037:2::2]:${port6}/" 2>&1`,
    );
    server6.close();
    expect(stdout).toBe('six');
    const found = await guest.run('busybox nslookup files.example fd17:625c:f037:2::3');
    expect(found.stdout).toContain('192.0.2.7');
    expect((await guest.run('busybox ping -c 2 fd17:625c:f037:2::2')).stdout).toContain('2 packets received');
    const echo: UdpSocket = createSocket('udp6');
    echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
    await new Promise<void>((resolve) => echo.bind(0, '::1', resolve));
    const program = [
      'use IO::Socket::IP; $SIG{ALRM} = sub { die "late" }; alarm 30;',
      `my $s = IO::Socket::IP->new(Type => SOCK_DGRAM, PeerHost => "fd17:625c:f037:2::2", PeerPort => ${echo.address().port}) or die $!;`,
      'for my $n (1, 1452, 4000) { my $d = "x" x $n; $s->send($d); $s->recv(my $r, 65535); $r eq $d or die $n } print "ok";',
    ].join('\n');
    const said = await guest.run('perl -', program);
    echo.close();
    expect([said.stdout, said.stderr]).toEqual(['ok', '']);
  });

  it('refuses what nobody listens to', async () => {
    const { status, stderr } = await guest.run('curl -sS -m 10 http://10.0.2.2:1/');
    expect([status, stderr]).toEqual([7, expect.stringContaining('Failed to connect')]);
  });

  it('serves a file by TFTP, and none from outside of the folder', async () => {
    const { stdout } = await guest.run('busybox tftp -g -b 1428 -r boot.pxe -l /dev/stdout 10.0.2.4 | sha256sum');
    expect(stdout.split(' ')[0]).toBe(sha256(file.subarray(0, 100_000)));
    const { stderr } = await guest.run('busybox tftp -g -r ../../../../etc/passwd -l /dev/null 10.0.2.4');
    expect(stderr).toContain('no such file');
  });

  it('opens two hundred connections at once', async () => {
    const urls = `http://10.0.2.2:${port}/up?[1-200]`;
    const command = `curl -s -Z --parallel-max 200 -d hello "${urls}" -o /dev/null -w '%{http_code}\\n' | sort | uniq -c`;
    expect((await guest.run(command)).stdout.trim()).toBe('200 200');
  });

  it('ends one direction and keeps the other', async () => {
    const echo = await half((bytes) => `got ${bytes.length}`);
    const { stdout } = await guest.run(`busybox nc 10.0.2.2 ${echo.port}`, 'hello');
    echo.server.close();
    expect(stdout).toBe('got 5');
  });

  it('forwards ports, and rules come and go while others work', async () => {
    const { forwards } = net.nat;
    const web = await forwards.add(parseForwardRule('web,tcp,,0,,8080'));
    const serve = guest.run('printf "HTTP/1.0 200 OK\r\n\r\nfrom inside" | busybox nc -l -p 8080');
    const answer = await until(
      () => fetchText(web.hostPort),
      (text) => text.includes('from inside'),
    );
    await serve;
    expect(answer).toContain('from inside');

    // A long transfer goes on while its rule and others are taken away.
    const serving = guest.run('head -c 8000000 /dev/zero | busybox nc -l -p 8080');
    const transfer = await until(
      () => opened(web.hostPort),
      (socket) => socket !== undefined,
    );
    let received = 0;
    const ended = new Promise<void>((resolve) => {
      transfer?.on('data', (bytes) => {
        received += bytes.length;
      });
      transfer?.on('close', () => resolve());
    });
    await forwards.delete('web');
    const other = await forwards.add(parseForwardRule('other,udp,127.0.0.1,0,10.0.2.15,5000'));
    await expect(forwards.add(other)).rejects.toMatchObject({ code: 'rule-exists' });
    await Promise.all([ended, serving]);
    expect(received).toBe(8_000_000);
    await expect(fetchText(web.hostPort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await forwards.delete('other');
    expect(forwards.rules).toEqual([]);
  });

  it('carries UDP both ways, large datagrams in fragments', async () => {
    const echo: UdpSocket = createSocket('udp4');
    echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
    await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve));
    const program = [
      'use IO::Socket::INET; $SIG{ALRM} = sub { die "late" }; alarm 30;',
      `my $s = IO::Socket::INET->new(Proto => "udp", PeerAddr => "10.0.2.2:${echo.address().port}") or die $!;`,
      'for my $n (1, 1472, 1473, 8000, 60000) { my $d = join "", map { chr(int rand 256) } 1 .. $n;',
      '$s->send($d); $s->recv(my $r, 65535); $r eq $d or die $n } print "ok\\n";',
    ].join('\n');
    const { stdout, stderr } = await guest.run('perl -', program);
    echo.close();
    expect([stdout.trim(), stderr]).toEqual(['ok', '']);
  });

  it('leaves nothing behind', async () => {
    await until(
      async () => net.nat.engine.tcp.size,
      (size) => size === 0,
    );
    expect([net.nat.engine.tcp.size, net.nat.streams]).toEqual([0, 0]);
  });
});

describe.skipIf(why)('NAT over a cable that loses, swaps, repeats and damages frames', () => {
  const file = randomBytes(4 * MB);

  it.each([
    ['2 % loss', { loss: 0.02 }],
    ['everything', { loss: 0.02, reordering: 0.05, duplication: 0.02, damage: 0.005 }],
  ] as const)(
    '%s: transfers arrive whole',
    async (_what, faults) => {
      const { server, port } = await fileServer(file);
      const net = await network('bad', faults);
      try {
        await net.guest.configure('10.0.2.15/24', '10.0.2.2');
        const down = await net.guest.run(`curl -sS -m 50 http://10.0.2.2:${port}/ | sha256sum`);
        expect([down.stderr, down.stdout.split(' ')[0]]).toEqual(['', sha256(file)]);
        // What went to the guest was data, but for a handful of frames, and what was lost of it must have gone again.
        const { lost } = net.toGuest.counts;
        expect(lost).toBeGreaterThan(10);
        expect(net.nat.engine.tcp.retransmissions).toBeGreaterThan(lost - 10);
        const up = await net.guest.run(`curl -sS -m 50 -T - http://10.0.2.2:${port}/up`, file);
        expect([up.stderr, up.stdout]).toEqual(['', sha256(file)]);
      } finally {
        net.close();
        server.close();
      }
    },
    120_000,
  );
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Tries until a value pleases, for half a minute at most. */
async function until<T>(get: () => Promise<T>, pleases: (value: T) => boolean): Promise<T> {
  for (let n = 0; ; n++) {
    const value = await get().catch((error: Error) => error);
    if (!(value instanceof Error) && pleases(value)) return value;
    if (n === 300) throw value instanceof Error ? value : new Error(`still ${value}`);
    await pause(100);
  }
}

function fetchText(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    socket.on('data', (bytes) => {
      text += bytes;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

/** A connection over which something comes; undefined when it was reset. */
function opened(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve(undefined));
    socket.once('readable', () => resolve(socket));
  });
}

async function half(answer: (all: Buffer) => string): Promise<{ readonly server: TcpServer; readonly port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const parts: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => parts.push(bytes));
    socket.on('end', () => socket.end(answer(Buffer.concat(parts))));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port };
}
