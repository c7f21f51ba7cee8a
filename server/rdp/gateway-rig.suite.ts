/** A gateway on a socket for tests, and clients on the way into it. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { type GatewaySettings, RdpGateway } from './gateway.ts';
import { PROTOCOL } from './pdu/x224.ts';
import { makeSelfSigned, type TlsIdentity } from './security/certificate.ts';
import { WireClient } from './wire-client.suite.ts';

let identity: Promise<TlsIdentity> | undefined;
/** Called after the test, the last one first. */
export const closers = new Set<() => void>();
afterEach(() => {
  for (const close of [...closers].reverse()) close();
  closers.clear();
});

export async function openGateway(settings: Partial<GatewaySettings> = {}) {
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
  closers.add(() => gateway.close());
  return { desktop, gateway, log };
}

export const dial = (port: number, allowHalfOpen = false): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen }, () => resolve(socket));
    socket.on('error', () => {});
    const close = (): void => void socket.destroy();
    closers.add(close);
    socket.once('close', () => closers.delete(close));
  });
export const gone = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed || socket.readableEnded) resolve();
    socket.resume();
    socket.once('end', resolve);
    socket.once('close', () => resolve());
  });

/** Connects by TLS and goes through the whole sequence. @returns the client and its socket */
export async function logOn(port: number, user = 'wire', password = 'secret') {
  const made = await approach(port, user, password);
  await made.ask();
  return made;
}

/** As `logOn`, until the screen is shown. */
export async function enter(port: number, user?: string, password?: string) {
  const made = await logOn(port, user, password);
  const { client, steps, enough } = made;
  steps[7]();
  client.sendShareData(0x1f, Uint8Array.of(1, 0, 0xea, 3));
  client.sendShareData(0x27, Uint8Array.of(0, 0, 0, 0, 3, 0, 50, 0));
  await enough(3);
  return made;
}

/** As `logOn`, but says who it is only when it is told to `ask`, which ends with the answer. */
export async function approach(port: number, user = 'wire', password = 'secret') {
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
  /** Waits for an answer of so many packets, five seconds at most. */
  const enough = async (count: number): Promise<void> => {
    for (let i = 0; i < 2500 && client.received.length < count && !secure.destroyed; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
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
