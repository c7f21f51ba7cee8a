import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
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

const dial = (port: number, allowHalfOpen = false): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen }, () => resolve(socket));
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
  const made = await approach(port, user, password);
  await made.ask();
  return made;
}

/** As `logOn`, but says who it is only when it is told to `ask`, which ends with the answer. */
async function approach(port: number, user = 'wire', password = 'secret') {
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
  // Connect initial, erect domain, attach, joins: a packet each but for the second.
  for (const step of steps.slice(0, 5)) {
    step();
    await enough(1);
  }
  // Licence and demand.
  const ask = (): Promise<void> => {
    steps[6]();
    return enough(2);
  };
  return { client, secure, steps, enough, ask };
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

  it('asks for nobody who has left before it was their turn', async () => {
    const asked: string[] = [];
    const { gateway } = await open({
      check: async ({ password }) => {
        asked.push(password);
        return password === 'right';
      },
    });
    const all = ['hasty0', 'hasty1', 'hasty2', 'right'].map((password) => approach(gateway.port, 'wire', password));
    const clients = await Promise.all(all);
    for (let i = 0; i < 3; i++) await gone((await logOn(gateway.port, 'wire', `wrong${i}`)).secure);
    // Each has two seconds to wait.
    const answers = clients.map(({ ask }) => ask());
    for (const { secure } of clients.slice(0, 3)) secure.end();
    await Promise.all(answers);
    expect(clients[3].client.received).toHaveLength(2);
    expect(asked).toEqual(['wrong0', 'wrong1', 'wrong2', 'right']);
  });

  it('asks for so many at a time, however fast they come and go', async () => {
    let asked = 0;
    let answer = (_yes: boolean): void => {};
    const answered = new Promise<boolean>((resolve) => (answer = resolve));
    const check = (): Promise<boolean> => {
      asked++;
      return answered;
    };
    const { gateway, log } = await open({ check });
    for (let i = 0; i < 34; i++) {
      const { secure, ask } = await approach(gateway.port);
      void ask();
      secure.end();
      await gone(secure);
    }
    await expect.poll(() => log.filter((line) => line.includes('too many'))).toHaveLength(2);
    expect(asked).toBe(32);
    answer(true);
    expect((await logOn(gateway.port)).client.received).toHaveLength(2);
  });

  it('counts strangers until their socket is closed', async () => {
    // Nobody is cut off for lingering.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    closers.push(() => vi.useRealTimers());
    const { gateway } = await open();
    for (let i = 0; i < 32; i++) {
      const socket = await dial(gateway.port, true);
      socket.resume().write('GET / HTTP/1.1');
      await new Promise((resolve) => socket.once('end', resolve));
    }
    expect(gateway.clientCount).toBe(0);
    const isAnswered = async (): Promise<boolean> => {
      const socket = await dial(gateway.port);
      new WireClient({ protocols: PROTOCOL.ssl }, (bytes) => socket.write(bytes)).sendConnectionRequest();
      return new Promise((resolve) => {
        socket.once('data', () => resolve(true));
        socket.once('close', () => resolve(false));
      });
    };
    expect(await isAnswered()).toBe(false);
    vi.advanceTimersByTime(2000);
    await expect.poll(isAnswered).toBe(true);
  });
});
