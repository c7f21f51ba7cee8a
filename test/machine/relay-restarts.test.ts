/**
 * A relay that is killed and comes back, and one whose connections are cut, while a guest transfers: the guest's TCP is
 * the Linux kernel's. TABBOX_RELAY_KILLS sets how often.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createWire } from '#emu/host/packet-port.ts';
import { KernelGuest, noKernelGuest } from '../../server/net/kernel-guest.suite.ts';
import { JoinTokens, loadTokenKey } from '../../server/relay/join-tokens.ts';
import { OrphanedConnections } from '../../src/net-relay/transports/orphaned-connections.ts';
import { RelayClient, type RelayState } from '../../src/net-relay/transports/relay-client.ts';
import { RelayProcess } from './support/relay-process.ts';

const why = noKernelGuest();
const ROUNDS = Number(process.env['TABBOX_RELAY_KILLS'] ?? 10);
const CARD = {
  ...{ slot: 1, type: 'virtio', mac: '080027000001', cableConnected: true },
  attachment: { kind: 'nat', network: '', forwards: [], localhostReachable: true },
};
// Linux chooses the address of its tap interface itself.
const RIGHTS = { nat: { loopback: true, private: true }, otherMacs: true };
const file = randomBytes(1 << 20);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Sockets, pipes and processes of this process. */
const openHandles = (): number => process.getActiveResourcesInfo().filter((kind) => kind !== 'Timeout').length;

describe.skipIf(why)(`a guest's transfers${why ? `: skipped, ${why}` : ''}`, () => {
  const state = mkdtempSync(join(tmpdir(), 'tabbox-restarts-'));
  const states: RelayState[] = [];
  let web: Server;
  let webPort = 0;
  let relay: RelayProcess;
  let port = 0;
  let guest: KernelGuest;
  let client: RelayClient;
  let cut = (): void => {};

  beforeAll(async () => {
    web = createServer((request, response) => {
      if (request.url === '/file') response.end(file);
      // A few bytes, and then the guest waits.
      else if (request.url === '/wait') response.write('begun\n');
      else request.resume();
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    webPort = (web.address() as AddressInfo).port;
  });
  afterAll(() => {
    web.closeAllConnections();
    web.close();
    rmSync(state, { recursive: true, force: true });
  });

  beforeEach(async () => {
    relay = new RelayProcess(state, 0);
    port = await relay.ready;
    const token = await new JoinTokens(loadTokenKey(state)).issue({
      ...{ subject: 'pc', rights: { net: RIGHTS }, lifeSeconds: 3600 },
    });
    const [near, far] = createWire();
    guest = await KernelGuest.create(near, 'restarts');
    const after = (ms: number, call: () => void): (() => void) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    };
    client = new RelayClient(new OrphanedConnections(far, after), {
      request: Buffer.from(JSON.stringify({ card: CARD })),
      open: (events) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/relay/net`, ['tabbox', `token.${token}`]);
        cut = () => socket.terminate();
        socket.on('error', () => {});
        socket.on('open', () => events.opened());
        socket.on('message', (data: Buffer) => events.message(data));
        socket.on('close', () => events.closed());
        return { send: (message) => socket.send(message), close: () => socket.terminate() };
      },
      ...{ after, soon: (flush) => setImmediate(flush), readText: (bytes) => Buffer.from(bytes).toString() },
      ...{ random: () => 0, onState: (now) => states.push(now) },
    });
    client.start();
    await attached();
  });
  afterEach(async () => {
    client?.close();
    guest?.close();
    await relay?.kill();
  });

  const attached = () => expect.poll(() => states.at(-1)?.kind, { timeout: 30_000 }).toBe('attached');
  const lease = async (): Promise<string> =>
    (await guest.dhcp()).split('\n').find((one) => one.startsWith('bound')) ?? '';

  const requested = (path: string): Promise<void> =>
    new Promise((resolve) => {
      const look = ({ url }: IncomingMessage): void => {
        if (url !== path) return;
        web.off('request', look);
        resolve();
      };
      web.on('request', look);
    });

  /** A guest that sends and one that waits, both under way. @returns what each says when it is over */
  async function transfers(): Promise<Promise<string>[]> {
    const begun = Promise.all([requested('/up'), requested('/wait')]);
    const url = `http://10.0.2.2:${webPort}`;
    const runs = [
      guest.run(`head -c 1G /dev/zero | curl -sS -m 100 --limit-rate 4M -T - ${url}/up`),
      guest.run(`curl -sS -m 100 ${url}/wait`),
    ];
    await begun;
    return runs.map(async (one) => (await one).stderr);
  }

  it(`end by a reset when the relay is killed, ${ROUNDS} times, and the lease is the same`, {
    timeout: 60_000 + ROUNDS * 60_000,
  }, async () => {
    const first = await lease();
    expect(first).toContain('bound 10.0.2.15');
    let [handles, residentBytes] = [0, 0];
    for (let round = 0; round < ROUNDS; round++) {
      const running = await transfers();
      await relay.kill();
      await expect.poll(() => states.at(-1)?.kind).not.toBe('attached');
      relay = new RelayProcess(state, port);
      await relay.ready;
      await attached();
      for (const said of await Promise.all(running)) expect(said).toMatch(/reset by peer|Broken pipe/);
      expect(await lease()).toBe(first);
      const { stdout } = await guest.run(`curl -sS -m 60 http://10.0.2.2:${webPort}/file | sha256sum`);
      expect(stdout.split(' ')[0]).toBe(sha256(file));
      if (round === 0) [handles, residentBytes] = [openHandles(), process.memoryUsage().rss];
    }
    // Sockets of the last round may take a moment to close.
    await expect.poll(openHandles, { timeout: 30_000 }).toBeLessThanOrEqual(handles);
    expect(process.memoryUsage().rss - residentBytes).toBeLessThan(50 * 1024 * 1024);
  });

  it(`go on when only the connection to the relay is cut, ${ROUNDS} times`, {
    timeout: 60_000 + ROUNDS * 60_000,
  }, async () => {
    const first = await lease();
    let [handles, residentMb] = [0, 0];
    for (let round = 0; round < ROUNDS; round++) {
      const asked = requested('/file');
      const url = `http://10.0.2.2:${webPort}`;
      const download = guest.run(`curl -sS -m 60 --limit-rate 1M ${url}/file | sha256sum`);
      await asked;
      cut();
      await expect.poll(() => states.at(-1)?.kind).not.toBe('attached');
      await attached();
      const { stdout, stderr } = await download;
      expect([stderr, stdout.split(' ')[0]]).toEqual(['', sha256(file)]);
      expect(await lease()).toBe(first);
      if (round === 0) [handles, residentMb] = [relay.handles, relay.residentMb];
    }
    await expect.poll(() => relay.handles).toBeLessThanOrEqual(handles);
    expect(relay.residentMb).toBeLessThan(residentMb + 50);
  });
});
