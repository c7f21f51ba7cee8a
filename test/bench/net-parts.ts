/** The parts of the network benchmark that are ours, each in a process of its own. */

import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { startServer } from '../../server/http/serve.ts';
import { KernelGuest } from '../../server/net/kernel-guest.suite.ts';
import { NatDriver } from '../../server/net/nat-driver.ts';
import { JoinTokens } from '../../server/relay/join-tokens.ts';
import { NetService } from '../../server/relay/net-service.ts';
import { Relay } from '../../server/relay/relay.ts';
import { natConfig } from '../../src/net-relay/nat/nat-config.ts';
import type { HostStream, TcpConnection } from '../../src/net-relay/nat/tcp/tcp-connection.ts';
import { forwardKey, TcpFlows } from '../../src/net-relay/nat/tcp-flows.ts';
import { ipv4Bytes, writeMac } from '../../src/net-relay/wire/address.ts';
import { put16 } from '../../src/net-relay/wire/bytes.ts';
import { decodeEthernet, ETHERTYPE, ethernetHeader } from '../../src/net-relay/wire/ethernet.ts';
import { decodeIpv4, ipHeader } from '../../src/net-relay/wire/ip.ts';
import { decodeRelay, encodeAttach, encodeCredit, encodeFrames } from '../../src/net-relay/wire/relay.ts';
import { decodeTcp, tcpSegment } from '../../src/net-relay/wire/tcp.ts';

export interface Settings {
  readonly folder: string;
  readonly url: string;
  readonly tokens: readonly string[];
  readonly seconds: number;
  readonly bitsPerSecond: number;
}

type Answer = (message: { readonly what: string; readonly port: number; readonly seconds: number }) => Promise<unknown>;

const now = (): number => performance.now();
const tell = (message: unknown): void => void process.send?.(message);
const answers = (answer: Answer): void =>
  void process.on('message', (message) => {
    const began = process.cpuUsage();
    answer(message as Parameters<Answer>[0]).then((figures) => {
      const { user, system } = process.cpuUsage(began);
      tell({ ...(figures as object), cpuMs: (user + system) / 1000 });
    });
  });

export async function play(role: string, settings: Settings): Promise<void> {
  if (role === 'host') await host();
  else if (role === 'engine') engine();
  else if (role === 'tap') await tap();
  else if (role === 'relay') await relay(settings);
  else machines(settings);
}

const BLOCK = new Uint8Array(256 * 1024);

/** A server of the host. The first byte says what it does: takes, gives, or gives back. */
async function host(): Promise<void> {
  const taken = { bytes: 0 };
  const give = (socket: Socket): void => {
    while (!socket.destroyed && socket.write(BLOCK));
  };
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', (first) => {
      if (first[0] === 0x64) {
        socket.on('drain', () => give(socket));
        give(socket);
      } else if (first[0] === 0x65) socket.on('data', (bytes) => socket.write(bytes));
      else
        socket.on('data', (bytes) => {
          taken.bytes += bytes.length;
        });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.on('message', () => tell({ bytes: taken.bytes }));
  tell({ port: (server.address() as AddressInfo).port });
}

const GUEST = 0x0a00_020f;
const GUEST_MAC = 0x0800_2700_0001;

function openNat(cable: PacketPort): NatDriver {
  return new NatDriver(cable, {
    ...{ config: natConfig(0), rights: { loopback: true, private: false, public: false } },
    ...{ resolver: { servers: [] }, tftpFolder: undefined, forwardHostIp: '127.0.0.1' },
  });
}

/** A guest's TCP made of the engine itself, so that nothing but the engine lies between it and the host's sockets. */
class EngineGuest {
  readonly #flows: TcpFlows;
  readonly #header = ipHeader();
  readonly #segment = tcpSegment();
  readonly #ethernet = ethernetHeader();
  #isScheduled = false;
  #batchMs = 0;
  /** What the guest's programs have read in this batch. */
  readonly #taken = new Map<TcpConnection, number>();
  #port = 1024;

  constructor(cable: PacketPort) {
    const config = natConfig(0);
    this.#flows = new TcpFlows({
      ...{ config, isLinkReady: () => true, random32: () => 1, connect: () => undefined },
      send: (_nowMs, frame) => {
        writeMac(frame, 0, config.mac);
        writeMac(frame, 6, GUEST_MAC);
        put16(frame, 12, ETHERTYPE.ipv4);
        cable.send(frame);
      },
    });
    const receive = (frame: Uint8Array): boolean => {
      const [header, segment] = [this.#header, this.#segment];
      if (!decodeEthernet(frame, this.#ethernet) || this.#ethernet.etherType !== ETHERTYPE.ipv4) return true;
      if (!decodeIpv4(frame, 14, header)) return true;
      if (!decodeTcp(frame, header.payloadAt, header.end, header.addressAt, 8, segment)) return true;
      this.#schedule();
      this.#flows.receive(this.#batchMs, frame, header, segment);
      return true;
    };
    cable.connect({ receive, resume: () => {}, linkChanged: () => {} });
    cable.setLink(true);
    setInterval(() => this.#flows.tick(now()), 5).unref();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#batchMs = now();
    queueMicrotask(() => {
      this.#isScheduled = false;
      const nowMs = now();
      for (const [connection, bytes] of this.#taken) connection.hostDrained(nowMs, bytes);
      this.#taken.clear();
      this.#flows.flush(nowMs);
    });
  }

  /** @param received gets what comes @param ready has room for more */
  open(port: number, received: (bytes: Uint8Array) => void, ready: () => void): TcpConnection {
    const stream: HostStream = {
      write: (bytes) => {
        received(bytes);
        this.#taken.set(connection, (this.#taken.get(connection) ?? 0) + bytes.length);
      },
      ...{ end: () => {}, destroy: () => {}, pause: () => {}, resume: () => setImmediate(ready) },
    };
    const gateway = ipv4Bytes(natConfig(0).gateway);
    const key = forwardKey(gateway, port, ipv4Bytes(GUEST), this.#port++);
    const opened = this.#flows.open(now(), key, stream);
    if (!opened) throw new Error('no connection');
    const connection: TcpConnection = opened;
    return connection;
  }
}

function engine(): void {
  const [near, far] = createWire();
  openNat(far);
  const guest = new EngineGuest(near);
  const begin = (text: string): Uint8Array => Buffer.from(text);
  answers(async ({ what, port, seconds }) => {
    if (what === 'echo') {
      const ms = (await echo(guest, port, seconds)).sort((a, b) => a - b);
      return { p50: ms[ms.length >> 1], p99: ms[Math.floor(ms.length * 0.99)] };
    }
    let bytes = 0;
    const isDown = what === 'down';
    const count = (data: Uint8Array): void => {
      bytes += data.length;
    };
    let isOver = false;
    let hasBegun = false;
    const connection: TcpConnection = guest.open(port, count, () => {
      if (!hasBegun) connection.hostReceived(now(), begin(isDown ? 'd' : 'u'));
      hasBegun = true;
      while (!isDown && !isOver && connection.sender.queue.room > 0) {
        connection.hostReceived(now(), BLOCK.subarray(0, 65_536));
        bytes += 65_536;
      }
    });
    const began = now();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    isOver = true;
    const took = (now() - began) / 1000;
    connection.abort(now());
    return { mbits: (bytes * 8) / took / 1e6 };
  });
  tell({ ready: true });
}

async function echo(guest: EngineGuest, port: number, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const end = now() + seconds * 1000;
  await new Promise<void>((resolve) => {
    let sent = 0;
    const ask = (): void => {
      sent = now();
      connection.hostReceived(sent, Buffer.from('x'));
    };
    let hasBegun = false;
    const connection: TcpConnection = guest.open(
      port,
      () => {
        times.push(now() - sent);
        if (now() < end) setImmediate(ask);
        else resolve();
      },
      () => {
        if (hasBegun) return;
        hasBegun = true;
        connection.hostReceived(now(), Buffer.from('e'));
        setTimeout(ask, 100);
      },
    );
  });
  return times;
}

/** The engine with Linux as the guest, behind a tap interface. */
async function tap(): Promise<void> {
  const [near, far] = createWire();
  openNat(far);
  const guest = await KernelGuest.create(near, 'bench');
  await guest.configure('10.0.2.15/24', '10.0.2.2');
  answers(async ({ what }) => {
    if (what === 'close') guest.close();
    return {};
  });
  tell({ namespace: guest.name });
}

// The relay and machines at it.

async function relay({ folder }: Settings): Promise<void> {
  const tokens = new JoinTokens(new Uint8Array(32).fill(1));
  const extension = new Relay({ tokens, services: [new NetService()], ownPageTokens: false });
  const directories = { pageDirectory: folder, guestsDirectory: folder };
  const server = await startServer({ ...directories, host: '127.0.0.1', ports: [0], extension });
  const issue = (n: number): Promise<string> =>
    tokens.issue({ subject: `m${n}`, rights: { net: { nat: {}, intnet: '*' } }, lifeSeconds: 3600 });
  answers(async ({ seconds }) => {
    const began = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const { user, system } = process.cpuUsage(began);
    return { share: (user + system) / 1e6 / seconds };
  });
  tell({ url: server.url, tokens: await Promise.all(Array.from({ length: 100 }, (_, n) => issue(n))) });
}

const STAMP = 42;

/** Cards without machines: idle ones behind NAT, or pairs on internal networks that send to each other. */
function machines({ url, tokens, bitsPerSecond, seconds }: Settings): void {
  const delays: number[] = [];
  let [sent, attached] = [0, 0];
  const frameBytes = 1514;
  const pairs = bitsPerSecond > 0;
  const sockets = tokens.map((token, n) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}relay/net`, ['tabbox', `token.${token}`]);
    const attachment = pairs ? { kind: 'intnet', network: `n${n >> 1}` } : { kind: 'nat', network: '', forwards: [] };
    const mac = `0800270000${(n + 16).toString(16).toUpperCase()}`;
    const card = { slot: 1, type: 'virtio', mac, cableConnected: true, attachment };
    socket.on('open', () => socket.send(encodeAttach(Buffer.from(JSON.stringify({ card })))));
    let owed = 0;
    socket.on('message', (data: Buffer) => {
      const message = decodeRelay(data, (bytes) => Buffer.from(bytes).toString());
      if (message?.kind === 'status' && ++attached === tokens.length) begin();
      if (message?.kind !== 'frames') return;
      for (const frame of message.frames) {
        if (frame[12] === 0x88) delays.push(now() - Buffer.from(frame).readDoubleLE(STAMP));
      }
      owed += message.cost;
      if (owed < 32_768) return;
      socket.send(encodeCredit(owed));
      owed = 0;
    });
    return { socket, mac: Buffer.from(mac, 'hex') };
  });
  const begin = (): void => {
    tell({ attached });
    if (!pairs) return;
    const everyMs = (frameBytes * 8 * 1000) / bitsPerSecond;
    const began = now();
    const due = sockets.map((_, n) => began + (everyMs * n) / sockets.length);
    const timer = setInterval(() => {
      const nowMs = now();
      if (nowMs - began > seconds * 1000) {
        clearInterval(timer);
        setTimeout(() => tell({ sent, received: delays.length, delays }), 500);
        return;
      }
      sockets.forEach(({ socket, mac }, n) => {
        for (; due[n] <= nowMs; due[n] += everyMs) {
          const frame = Buffer.alloc(frameBytes);
          frame.set(sockets[n ^ 1].mac);
          frame.set(mac, 6);
          frame.set([0x88, 0xb5], 12);
          frame.writeDoubleLE(now(), STAMP);
          socket.send(encodeFrames([frame]));
          sent++;
        }
      });
    }, 1);
  };
}
