/** A client session and a client that speaks to it on bytes, for tests. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { ClientSession, type ClientSessionParts } from './client-session.ts';
import { standardKey } from './security/proprietary-certificate.ts';
import type { SecurityPolicy } from './sequence/phase.ts';
import { WireClient, type WireOptions } from './wire-client.suite.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const KEY = standardKey(createPrivateKey(privateKey.export({ type: 'pkcs1', format: 'pem' })));
const POLICY: SecurityPolicy = { method: 'negotiate', credSsp: undefined, credSspOnly: false };
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A session and a client of it, on a desktop of 200 x 100. */
export function pair(options: WireOptions = {}, parts: Partial<ClientSessionParts> = {}) {
  const desktop = new PaintedDesktop(200, 100);
  const ends: string[] = [];
  let tls = 0;
  const client: WireClient = new WireClient(options, (bytes) => session.receive(bytes));
  const session: ClientSession = new ClientSession({
    desktop,
    policy: POLICY,
    videoQuality: 75,
    nowMs: () => 0,
    later: () => () => {},
    disabled: { display: false, input: false, audio: false },
    clipboard: { fromClient: true, toClient: true },
    standardKey: () => KEY,
    send: (bytes) => {
      client.take(bytes);
      return true;
    },
    startTls: () => tls++,
    random: (count) => new Uint8Array(count).fill(9),
    authenticate: async () => undefined,
    slowDown: async () => {},
    onWrongPassword: () => {},
    onActive: () => ({ logonId: 1, random: new Uint8Array(16) }),
    onEnd: (why) => ends.push(why),
    note: () => {},
    ...parts,
  });
  return { desktop, client, session, ends, tlsStarts: () => tls };
}

export async function connect(client: WireClient): Promise<void> {
  for (const step of client.steps()) {
    step();
    await turn();
  }
}
