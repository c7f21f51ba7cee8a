// The NAT engine against the Linux kernel's TCP/IP: real sockets on both sides.

import { createHash, randomBytes } from 'node:crypto';
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { natConfig } from '../../src/net-relay/nat/nat-config.ts';
import { KernelGuest, noKernelGuest } from './kernel-guest.suite.ts';
import { NatDriver } from './nat-driver.ts';

const why = noKernelGuest();
const MB = 1 << 20;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(why)(`NAT with the Linux kernel as guest${why ? `: skipped, ${why}` : ''}`, () => {
  const file = randomBytes(20 * MB);
  let guest: KernelGuest;
  let nat: NatDriver;
  let server: Server;
  let uploaded = '';
  let port = 0;

  beforeAll(async () => {
    server = createHttpServer((request, response) => {
      if (request.method === 'GET') {
        response.end(file);
        return;
      }
      const hash = createHash('sha256');
      request.on('data', (bytes: Uint8Array) => hash.update(bytes));
      request.on('end', () => {
        uploaded = hash.digest('hex');
        response.end('ok');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
    guest = await KernelGuest.create('nat');
    nat = new NatDriver({
      config: natConfig(0),
      rights: { loopback: true, private: true, public: true },
      resolver: { servers: [] },
      tftpFolder: undefined,
      forwardHostIp: '127.0.0.1',
    });
    nat.connect(guest.link);
    guest.link.connect(nat);
    guest.link.onReady = () => nat.peerReady();
  });

  afterAll(() => {
    guest?.close();
    nat?.close();
    server?.close();
  });

  it('gives an address by DHCP, and names the gateway', async () => {
    const stdout = await guest.dhcp();
    expect(stdout).toContain('bound 10.0.2.15 10.0.2.2 10.0.2.3 255.255.255.0');
  });

  it('answers pings of the gateway', async () => {
    const { stdout } = await guest.run('busybox ping -c 3 10.0.2.2');
    expect(stdout).toContain('3 packets received');
  });

  it('downloads 20 MB', async () => {
    const { stdout, stderr } = await guest.run(`curl -s http://10.0.2.2:${port}/ | sha256sum`);
    expect(stderr).toBe('');
    expect(stdout.split(' ')[0]).toBe(sha256(file));
  });

  it('uploads 20 MB', async () => {
    const { stdout } = await guest.run(`curl -s -T - http://10.0.2.2:${port}/up`, file);
    expect(stdout).toBe('ok');
    expect(uploaded).toBe(sha256(file));
  });

  it('refuses what nobody listens to', async () => {
    const { status, stderr } = await guest.run('curl -sS -m 10 http://10.0.2.2:1/');
    expect([status, stderr]).toEqual([7, expect.stringContaining('Failed to connect')]);
  });
});
