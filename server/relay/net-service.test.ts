import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { NetworkCardConfig, NicAttachment } from '#emu/host/network-card.ts';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { RelayClient, type RelayState } from '../../src/net-relay/transports/relay-client.ts';
import { encodeAttach, encodeChange, encodeFrames, encodePeer, FIRST_CREDIT } from '../../src/net-relay/wire/relay.ts';
import { type RunningServer, startServer } from '../http/serve.ts';
import { JoinTokens, loadTokenKey } from './join-tokens.ts';
import { NetService } from './net-service.ts';
import { Relay } from './relay.ts';
import { CLOSE } from './service.ts';

const ALL = { nat: { private: true }, intnet: '*', cards: 8 };
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const readText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const closers: (() => unknown)[] = [];
let server: RunningServer;
let tokens: JoinTokens;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-net-'));
  tokens = new JoinTokens(loadTokenKey(folder));
  await startRelay(0);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function startRelay(port: number): Promise<void> {
  const relay = new Relay({ tokens, services: [new NetService()], ownPageTokens: false });
  const directories = { pageDirectory: folder, guestsDirectory: folder };
  server = await startServer({ ...directories, host: '127.0.0.1', ports: [port], extension: relay });
}

const card = (slot: number, attachment: NicAttachment, more: Partial<NetworkCardConfig> = {}): NetworkCardConfig => ({
  ...{ slot, type: 'virtio', mac: `08002700000${slot}`, cableConnected: true, attachment },
  ...more,
});
const INTNET: NicAttachment = { kind: 'intnet', network: 'lab' };
const NAT: NicAttachment = { kind: 'nat', network: '', forwards: [] };

function socketTo(token: string): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/relay/net`, ['tabbox', `token.${token}`]);
  socket.on('error', () => {});
  closers.push(() => socket.terminate());
  return socket;
}

const issue = (rights: unknown, subject = 'm'): Promise<string> =>
  tokens.issue({ subject, rights: { net: rights }, lifeSeconds: 60 });

interface Guest {
  readonly client: RelayClient;
  readonly port: PacketPort;
  readonly got: Buffer[];
  readonly states: RelayState[];
}

/** A card at the end of a cable that leads to the relay. */
async function guest(config: NetworkCardConfig, rights: unknown = ALL, subject = `m${config.slot}`): Promise<Guest> {
  const [port, far] = createWire();
  const token = await issue(rights, subject);
  const got: Buffer[] = [];
  const states: RelayState[] = [];
  port.connect({
    receive: (frame) => {
      got.push(Buffer.from(frame));
      return true;
    },
    resume: () => {},
    linkChanged: () => {},
  });
  port.setLink(true);
  const client = new RelayClient(far, {
    request: json({ card: config }),
    open: (events) => {
      const socket = socketTo(token);
      socket.on('open', () => events.opened());
      socket.on('message', (data: Buffer) => events.message(data));
      socket.on('close', (code, reason) => {
        const [name, ...rest] = reason.toString().split(': ');
        events.closed(code >= 4400 ? { code: name, message: rest.join(': ') } : undefined);
      });
      return { send: (message) => socket.send(message), close: () => socket.close() };
    },
    after: (ms, call) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
    soon: (flush) => setImmediate(flush),
    readText,
    random: () => 0,
    onState: (state) => states.push(state),
  });
  client.start();
  closers.push(() => client.close());
  return { client, port, got, states };
}

const attached = ({ states }: Guest) => expect.poll(() => states.at(-1)?.kind, { timeout: 5000 }).toBe('attached');

/** Headers of a DHCP client's broadcast of 244 bytes; UDP without a checksum. */
const IP_UDP_DHCP = '4500011000000000401179de00000000ffffffff0044004300fc0000';

/** @param to last byte of a VirtualBox address; 255: everybody */
function frame(to: number, from: number, text: string): Uint8Array {
  const b = Buffer.alloc(60);
  b.set(to === 255 ? [255, 255, 255, 255, 255, 255] : [8, 0, 0x27, 0, 0, to]);
  b.set([8, 0, 0x27, 0, 0, from], 6);
  b.set([0x88, 0xb5], 12);
  b.write(text, 14);
  return b;
}
const texts = ({ got }: Guest): string[] =>
  got.filter((one) => one.readUInt16BE(12) === 0x88b5).map((one) => one.toString('utf8', 14).replace(/\0.*$/, ''));

describe('cards of pages', () => {
  it('meet on an internal network, and nobody else does', async () => {
    const [a, b] = [await guest(card(1, INTNET)), await guest(card(2, INTNET))];
    const other = await guest(card(3, { kind: 'intnet', network: 'elsewhere' }));
    for (const one of [a, b, other]) await attached(one);
    expect(a.states.at(-1)).toEqual({ kind: 'attached', network: 'intnet lab' });
    a.port.send(frame(255, 1, 'hello all'));
    await expect.poll(() => texts(b)).toEqual(['hello all']);
    b.port.send(frame(1, 2, 'hello one'));
    await expect.poll(() => texts(a)).toEqual(['hello one']);
    expect(texts(other)).toEqual([]);
  });

  it('get an answer of NAT, and metrics show them', async () => {
    const one = await guest(card(1, NAT));
    await attached(one);
    expect(one.states.at(-1)).toEqual({ kind: 'attached', network: 'nat 10.0.2.0/24' });
    // ARP: who has 10.0.2.2?
    const arp = Buffer.from(
      'ffffffffffff080027000001080600010800060400010800270000010a00020f0000000000000a000202',
      'hex',
    );
    one.port.send(arp);
    await expect.poll(() => one.got.some((b) => b.readUInt16BE(12) === 0x806 && b[21] === 2)).toBe(true);
    const text = await (await fetch(`${server.url}metrics`)).text();
    expect(text).toContain('tabbox_net_cards{attachment="nat"} 1\n');
    expect(text).toContain('tabbox_net_frames_total{direction="from"} 1\n');
  });

  it('hear what a host-only network is here', async () => {
    // No interface can have such a name.
    const adapter = 'an-interface-of-nobody';
    const one = await guest(card(1, { kind: 'hostonly', adapter }), { hostonly: '*' });
    await attached(one);
    const state = one.states.at(-1);
    const inside = `hostonly ${adapter}: no interface, but a network inside this process: this computer is at 192.168.56.1`;
    expect(state?.kind === 'attached' ? state.network : '').toContain(inside);
  });

  it('have the DHCP server that one of them asks for', async () => {
    const dhcpServer = {
      ...{ serverIp: '10.7.0.1', netmask: '255.255.255.0', lowerIp: '10.7.0.50', upperIp: '10.7.0.60' },
    };
    const asks = await guest(card(1, { ...INTNET, dhcpServer }));
    const other = await guest(card(2, INTNET));
    for (const one of [asks, other]) await attached(one);
    const discover = Buffer.from(
      `ffffffffffff0800270000020800${IP_UDP_DHCP}0101060012345678${'00'.repeat(20)}080027000002${'00'.repeat(202)}63825363350101ff`,
      'hex',
    );
    const offers = (): string[] =>
      other.got
        .filter((b) => b.readUInt16BE(12) === 0x800 && b.readUInt16BE(34) === 67)
        .map((b) => b.toString('hex', 58, 62));
    other.port.send(discover);
    await expect.poll(offers).toEqual(['0a070032']);
    // It goes with the last one who wants it.
    asks.client.close();
    await expect
      .poll(async () => {
        other.got.length = 0;
        other.port.send(discover);
        await new Promise((resolve) => setTimeout(resolve, 100));
        return offers();
      })
      .toEqual([]);
    const wrong = await guest(card(3, { ...INTNET, dhcpServer: { ...dhcpServer, lowerIp: 'x' } }));
    await expect
      .poll(() => wrong.states.at(-1))
      .toMatchObject({
        ...{ kind: 'refused', message: expect.stringContaining('lower-ip takes an address') },
      });
  });

  it('lose their link with the relay, and get it back', async () => {
    const [a, b] = [await guest(card(1, INTNET)), await guest(card(2, INTNET))];
    for (const one of [a, b]) await attached(one);
    const { port } = server;
    for (let round = 0; round < 2; round++) {
      await server.close();
      await expect.poll(() => a.port.linkUp || b.port.linkUp).toBe(false);
      await startRelay(port);
      for (const one of [a, b]) await attached(one);
      expect(a.port.linkUp).toBe(true);
      a.port.send(frame(255, 1, `round ${round}`));
      await expect.poll(() => texts(b).at(-1)).toBe(`round ${round}`);
    }
  });

  it('share the limit of their token', async () => {
    const [a, b] = [
      await guest(card(1, INTNET), { intnet: '*', bitsPerSecond: 800_000 }),
      await guest(card(2, INTNET)),
    ];
    for (const one of [a, b]) await attached(one);
    const began = performance.now();
    let sent = 0;
    // 100 kB/s: a second's worth passes at once at most, and what is over waits.
    while (performance.now() - began < 1500 || sent < 101) {
      if (a.port.send(Buffer.concat([frame(2, 1, 'x'), Buffer.alloc(1400)]))) sent++;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const seconds = (performance.now() - began) / 1000;
    const bytes = b.got.length * 1460;
    expect(sent).toBeGreaterThan(100);
    expect(bytes).toBeLessThan(100_000 * (seconds + 1.2));
    await expect.poll(() => b.got.length * 1460).toBeGreaterThan(50_000);
  });
});

describe('forwarded ports', () => {
  const connected = (port: number): Promise<Socket | undefined> =>
    new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      closers.push(() => socket.destroy());
      socket.on('error', () => resolve(undefined));
      socket.on('connect', () => resolve(socket));
    });
  const noteOf = ({ states }: Guest): string | undefined => {
    const state = states.at(-1);
    return state?.kind === 'attached' ? state.note : undefined;
  };
  const freePort = async (): Promise<number> => {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  };

  it('change while connections go on', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const rule = (name: string, port: number): string => `${name},tcp,,${port},,80`;
    const config = card(1, { ...NAT, forwards: [rule('a', first)] });
    const one = await guest(config, { nat: { forwards: true } });
    await attached(one);
    const before = await connected(first);
    expect(before).toBeDefined();
    const change = (forwards: unknown): void => one.client.change(json({ forwards }), json({ card: config }));
    change([rule('b', second)]);
    await expect.poll(() => noteOf(one)).toBe('');
    expect(await connected(second)).toBeDefined();
    expect(await connected(first)).toBeUndefined();
    expect([before?.destroyed, before?.readyState]).toEqual([false, 'open']);
    change([rule('b', second), 'nonsense']);
    await expect.poll(() => noteOf(one)).toContain("port forwarding rule 'nonsense'");
    expect(one.port.linkUp).toBe(true);
    change([]);
    await expect.poll(() => noteOf(one)).toBe('');
    expect(await connected(second)).toBeUndefined();
  });

  it('are nobody’s without the right', async () => {
    const one = await guest(card(1, NAT), ALL);
    await attached(one);
    one.client.change(json({ forwards: ['a,tcp,,0,,80'] }), json({}));
    await expect.poll(() => one.states.at(-1)).toMatchObject({ kind: 'refused', code: 'not-allowed' });
  });
});

describe('rights', () => {
  it.each([
    ['NAT', NAT, { intnet: '*' }],
    ["the internal network 'lab'", INTNET, { intnet: ['other'] }],
    ["bridged networking on 'eth0'", { kind: 'bridged', adapter: 'eth0' }, ALL],
    ["hostonly networking on 'vboxnet0'", { kind: 'hostonly', adapter: 'vboxnet0' }, ALL],
    ["the generic driver 'UDPTunnel'", { kind: 'generic', driver: 'UDPTunnel', properties: {} }, ALL],
    ["the NAT network 'n'", { kind: 'natnetwork', network: 'n' }, { natnetwork: '*' }],
    ['port forwarding', { ...NAT, forwards: ['a,tcp,,1,,1'] }, ALL],
    ["the relay's loopback", { ...NAT, localhostReachable: true }, ALL],
    ["names of the relay's own network", { ...NAT, hostResolver: true }, { nat: {} }],
    ["an address of the relay's", { ...NAT, bindIp: '127.0.0.1' }, { nat: {} }],
    ['TFTP folders', { ...NAT, tftpFolder: '/etc' }, ALL],
  ] as const)('do not include %s', async (what, attachment, rights) => {
    const one = await guest(card(1, attachment), rights);
    await expect.poll(() => one.states.at(-1)?.kind).toBe('refused');
    expect(one.states.at(-1)).toMatchObject({ code: 'not-allowed', message: expect.stringContaining(what) });
    expect(one.port.linkUp).toBe(false);
  });

  it('keep a card to its address, and to its policy', async () => {
    const [a, b] = [await guest(card(1, INTNET)), await guest(card(2, INTNET), { intnet: '*', otherMacs: true })];
    for (const one of [a, b]) await attached(one);
    a.port.send(frame(2, 7, 'forged'));
    a.port.send(frame(2, 1, 'honest'));
    await expect.poll(() => texts(b)).toEqual(['honest']);
    b.port.send(frame(1, 7, 'allowed'));
    await expect.poll(() => texts(a)).toEqual(['allowed']);
    expect(await (await fetch(`${server.url}metrics`)).text()).toContain('tabbox_net_spoofed_frames_total 1\n');

    const nosy = await guest(card(3, INTNET, { promiscuous: 'allow-all' }));
    await expect.poll(() => nosy.states.at(-1)).toMatchObject({ kind: 'refused', code: 'not-allowed' });
    const thief = await guest(card(4, INTNET), { intnet: '*', macs: ['080027000001'] });
    await expect.poll(() => thief.states.at(-1)).toMatchObject({ kind: 'refused', code: 'not-allowed' });
  });

  it('bound the cards of a machine', async () => {
    const rights = { intnet: '*', cards: 1 };
    await attached(await guest(card(1, INTNET), rights, 'm'));
    const second = await guest(card(2, INTNET), rights, 'm');
    await expect.poll(() => second.states.at(-1)).toMatchObject({ kind: 'refused', code: 'too-many-cards' });
  });

  it('that make no sense are told', async () => {
    const one = await guest(card(1, INTNET), { intnet: 5 });
    await expect.poll(() => one.states.at(-1)).toMatchObject({ kind: 'refused', code: 'bad-rights' });
  });
});

describe('hostile peers', () => {
  const ended = (socket: WebSocket): Promise<number> =>
    new Promise((resolve) => socket.once('close', (code) => resolve(code)));
  const open = (socket: WebSocket): Promise<void> => new Promise((resolve) => socket.once('open', () => resolve()));

  it('are cut off for anything but the protocol, whatever they send', { timeout: 30_000 }, async () => {
    const token = await issue(ALL);
    const attach = encodeAttach(json({ card: card(1, INTNET) }));
    const witness = await guest(card(2, INTNET));
    await attached(witness);
    const noise = fc.oneof(
      fc.uint8Array({ minLength: 0, maxLength: 3000 }),
      fc.uint8Array({ minLength: 1, maxLength: 40 }).map((tail) => Uint8Array.of(1, ...tail)),
      ...[encodeAttach, encodePeer, encodeChange].map((encode) =>
        fc.oneof(fc.json(), fc.constant('null')).map((text) => encode(new TextEncoder().encode(text))),
      ),
      fc.constant(encodeFrames([new Uint8Array(16_384)])),
    );
    const session = async (first: boolean, messages: readonly Uint8Array[]): Promise<void> => {
      const socket = socketTo(token);
      await open(socket);
      const closed = ended(socket);
      if (first) {
        socket.send(attach);
        await new Promise((resolve) => socket.once('message', resolve));
      }
      for (const message of messages) if (socket.readyState === socket.OPEN) socket.send(message);
      socket.send(Uint8Array.of(99));
      expect([CLOSE.protocol, CLOSE.rights]).toContain(await closed);
    };
    await fc.assert(fc.asyncProperty(fc.boolean(), fc.array(noise, { maxLength: 8 }), session), {
      seed: 20_261_128,
      numRuns: 60,
    });
    // Of well-formed frames those with a foreign source are dropped; nothing else could have come through.
    expect(texts(witness)).toEqual([]);
    expect(witness.port.linkUp).toBe(true);
  });

  it('that send too long a frame or message, or text, are cut off', async () => {
    const token = await issue(ALL);
    const long = new Uint8Array(2 + 1 + 20_000);
    long.set([1, 20_000 >> 8, 20_000 & 255]);
    const codes: number[] = [];
    for (const message of [long, new Uint8Array(100_000), 'text', encodeFrames([frame(255, 1, 'too early')])]) {
      const socket = socketTo(token);
      await open(socket);
      socket.send(message);
      codes.push(await ended(socket));
    }
    expect(codes).toEqual([CLOSE.protocol, 1009, CLOSE.protocol, CLOSE.protocol]);
  });

  it('that never read hold no more than their credit', async () => {
    const a = await guest(card(1, INTNET));
    await attached(a);
    const socket = socketTo(await issue(ALL, 'silent'));
    await open(socket);
    socket.send(encodeAttach(json({ card: card(2, INTNET) })));
    await new Promise((resolve) => socket.once('message', resolve));
    socket.pause();
    // A switch drops for a full port, so the sender goes on for ever; the relay's memory does not.
    const before = process.memoryUsage().rss;
    const big = Buffer.concat([frame(255, 1, 'x'), Buffer.alloc(1400)]);
    let sent = 0;
    for (let n = 0; n < 20_000; n++) {
      if (a.port.send(big)) sent++;
      else await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent * big.length).toBeGreaterThan(8 * FIRST_CREDIT);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
    expect(a.port.linkUp).toBe(true);
  });
});
