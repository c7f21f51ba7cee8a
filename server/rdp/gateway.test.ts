import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { type GatewaySettings, RdpGateway } from './gateway.ts';
import { PROTOCOL } from './pdu/x224.ts';
import { makeSelfSigned, type TlsIdentity } from './security/certificate.ts';
import { WireClient } from './wire-client.suite.ts';

let identity: Promise<TlsIdentity> | undefined;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function open(settings: Partial<GatewaySettings> = {}) {
  identity ??= makeSelfSigned('gateway.test');
  const desktop = new PaintedDesktop(200, 100);
  const log: string[] = [];
  const gateway = await RdpGateway.open(desktop, {
    ...{ address: '127.0.0.1', ports: [0], check: async () => true, multiple: true, reuse: false },
    policy: { method: 'tls', credSsp: undefined, credSspOnly: false },
    videoQuality: 75,
    disabled: { display: false, input: false, audio: false },
    clipboard: { fromClient: true, toClient: true },
    identity: await identity,
    log: (text) => log.push(text),
    ...settings,
  });
  closers.push(() => gateway.close());
  return { desktop, gateway, log };
}

const dial = (port: number): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => {});
    closers.push(() => socket.destroy());
  });
const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed || socket.readableEnded) resolve();
    socket.resume();
    socket.once('end', resolve);
    socket.once('close', () => resolve());
  });

/** Connects by TLS and goes through the whole sequence. @returns the client and its socket */
async function logOn(port: number, user = 'wire', password = 'secret') {
  const raw = await dial(port);
  let socket: Socket | TLSSocket = raw;
  const client = new WireClient({ protocols: PROTOCOL.ssl, user, password }, (bytes) => socket.write(bytes));
  client.selectedProtocol = PROTOCOL.ssl;
  const [request, ...steps] = client.steps();
  const answered = new Promise((resolve) => raw.once('data', resolve));
  request();
  await answered;
  const secure = connectTls({ socket: raw, rejectUnauthorized: false });
  secure.on('error', () => {});
  await new Promise((resolve) => secure.once('secureConnect', resolve));
  socket = secure;
  secure.on('data', (bytes) => client.take(bytes));
  /** What each step's answer is waited for. */
  const enough = async (count: number): Promise<void> => {
    for (let i = 0; i < 500 && client.received.length < count && !secure.destroyed; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  // Connect initial, erect domain, attach, joins: a packet each but for the second; logon: licence and demand.
  const answers = [1, 1, 1, 1, 1, 0, 2];
  for (const [i, step] of steps.slice(0, 7).entries()) {
    if (i !== 5) step();
    await enough(answers[i]);
  }
  return { client, secure, steps, enough };
}

describe('a gateway', () => {
  it('lets a client in by TLS', async () => {
    const { gateway, desktop } = await open();
    const { client, steps, enough } = await logOn(gateway.port);
    steps[7]();
    client.sendShareData(0x1f, Uint8Array.of(1, 0, 0xea, 3));
    client.sendShareData(0x27, Uint8Array.of(0, 0, 0, 0, 3, 0, 50, 0));
    await enough(3);
    await expect.poll(() => gateway.activeCount).toBe(1);
    client.sendFastKey(0x1e, true);
    await expect.poll(() => desktop.scancodes).toEqual([0x1e]);
  });

  it('tells no stranger anything, and slows down who guesses', async () => {
    const { gateway, log } = await open({ check: async ({ password }) => password === 'right' });
    const began = performance.now();
    for (let i = 0; i < 3; i++) {
      const { secure } = await logOn(gateway.port, 'wire', `wrong${i}`);
      await gone(secure);
    }
    // Half a second before the second look, a whole one before the third.
    expect(performance.now() - began).toBeGreaterThan(1400);
    expect(gateway.activeCount).toBe(0);
    expect(log.filter((line) => line.includes('wrong name or password'))).toHaveLength(3);
    expect(log.join('\n')).not.toMatch(/wrong\d/);
  });

  it('outlives everything that strangers send, and forgets them', async () => {
    const { gateway, desktop } = await open();
    let state = 11;
    const random = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    const junk = (length: number): Uint8Array => Uint8Array.from({ length }, () => random(256));
    for (let round = 0; round < 120; round++) {
      const socket = await dial(gateway.port);
      const client = new WireClient({ protocols: PROTOCOL.ssl }, (bytes) => socket.write(bytes));
      const kind = random(5);
      if (kind === 0) socket.write(junk(random(3000) + 1));
      else if (kind === 1) socket.write(Uint8Array.of(3, 0, 0xff, 0xff, ...junk(200)));
      else if (kind === 2) client.sendConnectionRequest();
      else if (kind === 3) {
        client.sendConnectionRequest();
        await new Promise((resolve) => socket.once('data', resolve));
        // Where TLS should begin.
        socket.write(junk(random(500) + 1));
      }
      if (random(2) === 0) socket.destroy();
      else socket.end();
      await gone(socket);
    }
    await expect.poll(() => gateway.clientCount, { timeout: 10_000 }).toBe(0);
    expect(desktop.viewCount).toBe(0);
    const { client } = await logOn(gateway.port);
    expect(client.received).toHaveLength(2);
  });
});
