/** CredSSP with a client written here from the specification: what a real client does not do on purpose. */
import { createHash, createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { BER_TAG, ber, berInteger, concat, contextTag } from '../pdu/ber.ts';
import { PduError, PduWriter } from '../pdu/bytes.ts';
import { CredSspServer, decodeTsRequest, encodeTsRequest } from './credssp.ts';
import { NtlmSession, ntHash } from './ntlm.ts';

type Bytes = Uint8Array;
const PUBLIC_KEY: Bytes = Uint8Array.from({ length: 270 }, (_, i) => i & 255);
const NONCE: Bytes = new Uint8Array(32).fill(3);
const unicode = (text: string): Bytes => Buffer.from(text, 'utf16le');
const hmac = (key: Bytes, ...parts: Bytes[]): Bytes => createHmac('md5', key).update(Buffer.concat(parts)).digest();
const random = (count: number): Bytes => new Uint8Array(count).fill(0x5a);
const NEGOTIATE: Bytes = new PduWriter().ascii('NTLMSSP\0').u32(1).u32(0xe2088297).zeros(24).done();

const server = (): CredSspServer =>
  new CredSspServer(
    {
      serverName: 'gateway',
      nowMs: () => 1_700_000_000_000,
      hashOf: ({ userName }) => (userName.toLowerCase() === 'alice' ? ntHash('wonder') : undefined),
      publicKey: PUBLIC_KEY,
    },
    random,
  );

/** AUTHENTICATE_MESSAGE without a MIC, and the session it leads to. */
function authenticate(challenge: Bytes, user: string, password: string): { message: Bytes; session: NtlmSession } {
  const owf = hmac(ntHash(password), unicode(user.toUpperCase()));
  const blob = concat(Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0), new Uint8Array(20).fill(7), new Uint8Array(8));
  const proof = hmac(owf, challenge.subarray(24, 32), blob);
  const key = hmac(owf, proof);
  const response = concat(proof, blob);
  const name = unicode(user);
  const w = new PduWriter().ascii('NTLMSSP\0').u32(3);
  const field = (length: number, at: number): PduWriter => w.u16(length).u16(length).u32(at);
  field(0, 64);
  field(response.length, 64);
  field(0, 64);
  field(name.length, 64 + response.length);
  field(0, 64);
  field(0, 64);
  w.u32(0xa2088297 & ~0x40000000);
  return { message: w.bytes(response).bytes(name).done().slice(), session: new NtlmSession(key, 'client') };
}

const binding = (way: string): Bytes =>
  createHash('sha256').update(`CredSSP ${way} Binding Hash\0`).update(NONCE).update(PUBLIC_KEY).digest();

function credentials(user: string): Bytes {
  const text = (n: number, value: string): Bytes => ber(contextTag(n), ber(BER_TAG.octetString, unicode(value)));
  const inner = ber(BER_TAG.sequence, concat(text(0, ''), text(1, user), text(2, 'wonder')));
  const kind = ber(contextTag(0), berInteger(1));
  return ber(BER_TAG.sequence, concat(kind, ber(contextTag(1), ber(BER_TAG.octetString, inner))));
}

/** Runs the exchange up to the server's answer to the public key. */
function upToKey(version: number, shown: Bytes, password = 'wonder') {
  const one = server();
  const first = one.receive(encodeTsRequest({ version, token: NEGOTIATE }));
  const { token } = decodeTsRequest(first.send!);
  const { message, session } = authenticate(token!, 'alice', password);
  const nonce = version >= 5 ? NONCE : undefined;
  const step = one.receive(encodeTsRequest({ version, token: message, publicKeyAuth: session.seal(shown), nonce }));
  return { one, session, step, version };
}

describe('CredSSP', () => {
  it.each([2, 3, 4, 5, 6])('version %i: both sides prove that they see the same certificate', (version) => {
    const { one, session, step } = upToKey(version, version < 5 ? PUBLIC_KEY : binding('Client-To-Server'));
    const proof = session.unseal(decodeTsRequest(step.send!).publicKeyAuth!);
    if (version < 5) expect(Buffer.from(proof)).toEqual(Buffer.from([PUBLIC_KEY[0] + 1, ...PUBLIC_KEY.subarray(1)]));
    else expect(Buffer.from(proof)).toEqual(Buffer.from(binding('Server-To-Client')));
    const { done } = one.receive(encodeTsRequest({ version, authInfo: session.seal(credentials('alice')) }));
    expect(done).toEqual({ domain: '', userName: 'alice', password: 'wonder' });
  });

  it('ends when somebody in between shows another certificate', () => {
    const { step } = upToKey(6, createHash('sha256').update('another').digest());
    expect(step.failed).toContain('in between');
    expect(step.done).toBeUndefined();
  });

  it('tells versions that understand it that the password was wrong', () => {
    const { step } = upToKey(6, binding('Client-To-Server'), 'guess');
    expect(step.failed).toBe('wrong user name or password');
    expect(Buffer.from(step.send!).toString('hex')).toContain('a4060204c000006d');
    expect(upToKey(2, PUBLIC_KEY, 'guess').step.send).toBeUndefined();
  });

  it('lets nobody log on as somebody else', () => {
    const { one, session } = upToKey(6, binding('Client-To-Server'));
    const { failed, done } = one.receive(encodeTsRequest({ version: 6, authInfo: session.seal(credentials('root')) }));
    expect([failed, done]).toEqual([expect.stringContaining('somebody else'), undefined]);
  });

  it('wants a nonce, a token, and things in their order', () => {
    const early = server();
    expect(() => early.receive(encodeTsRequest({ version: 6, authInfo: new Uint8Array(40) }))).toThrow(PduError);
    const one = server();
    const first = one.receive(encodeTsRequest({ version: 6, token: NEGOTIATE }));
    const { message, session } = authenticate(decodeTsRequest(first.send!).token!, 'alice', 'wonder');
    const publicKeyAuth = session.seal(binding('Client-To-Server'));
    expect(() => one.receive(encodeTsRequest({ version: 6, token: message, publicKeyAuth }))).toThrow('nonce');
  });

  it('takes damaged and random messages for what they are', () => {
    let state = 4;
    const next = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    let accepted = 0;
    for (let round = 0; round < 1500; round++) {
      const one = server();
      try {
        const first = one.receive(encodeTsRequest({ version: 6, token: NEGOTIATE }));
        const { message, session } = authenticate(decodeTsRequest(first.send!).token!, 'alice', 'wonder');
        const publicKeyAuth = session.seal(binding('Client-To-Server'));
        const bytes = encodeTsRequest({ version: 6, token: message, publicKeyAuth, nonce: NONCE }).slice();
        for (let i = next(4); i >= 0; i--) bytes[next(bytes.length)] = next(256);
        const step = one.receive(next(4) === 0 ? bytes.subarray(0, next(bytes.length)) : bytes);
        if (step.failed === undefined) accepted++;
      } catch (cause) {
        expect(cause).toBeInstanceOf(PduError);
      }
    }
    // Damage to what nothing depends upon, such as the workstation's name, may pass.
    expect(accepted).toBeLessThan(1000);
  });
});
