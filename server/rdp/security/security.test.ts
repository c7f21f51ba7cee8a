import { createHash, createHmac, createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { keptSelfSigned, tlsIdentity } from './certificate.ts';
import { LoginThrottle } from './login-throttle.ts';
import { md4 } from './md4.ts';
import { NtlmSession, ntHash } from './ntlm.ts';
import { standardKey } from './proprietary-certificate.ts';
import { rc4 } from './rc4.ts';
import { ReconnectCookies } from './reconnect-cookies.ts';
import { checkByProgram, checkKnownUsers, usersFromExtraData } from './users.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('ciphers that OpenSSL has given up', () => {
  it('RC4: vectors of RFC 6229', () => {
    expect(hex(rc4(Buffer.from('0102030405', 'hex'), new Uint8Array(16)))).toBe('b2396305f03dc027ccc3524a0a1118a8');
    const key = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex');
    expect(hex(rc4(key, new Uint8Array(16)))).toBe('9ac7cc9a609d1ef7b2932899cde41b97');
  });

  it.each([
    ['', '31d6cfe0d16ae931b73c59d7e0c089c0'],
    ['abc', 'a448017aaf21d8525fc10ae87aa6729d'],
    ['abcdefghijklmnopqrstuvwxyz', 'd79e1c308aa5bbcdeea8ed63df412da9'],
    ['1234567890'.repeat(8), 'e33b4ddc9c38f2199c3e7b164fcc0536'],
  ])('MD4: RFC 1320, %j', (text, digest) => {
    expect(hex(md4(ascii(text)))).toBe(digest);
  });

  it('NT hash: [MS-NLMP] 4.2.2.1.2', () => {
    expect(hex(ntHash('Password'))).toBe('a4f49c406510bdcab6824ee7c30fd852');
  });
});

describe('NTLM session security', () => {
  it('seals as [MS-NLMP] 4.2.4.4 shows it', () => {
    // Random session key of 16 times 55h; the message is "Plaintext" in UTF-16.
    const session = new NtlmSession(new Uint8Array(16).fill(0x55), 'client');
    const sealed = session.seal(Buffer.from('Plaintext', 'utf16le'));
    expect(hex(sealed.subarray(16))).toBe('54e50165bf1936dc996020c1811b0f06fb5f');
    expect(hex(sealed.subarray(0, 16))).toBe('010000007fb38ec5c55d497600000000');
  });

  it('takes what the other side seals, and nothing else', () => {
    const key = new Uint8Array(16).fill(7);
    const [client, server] = [new NtlmSession(key, 'client'), new NtlmSession(key)];
    expect(Buffer.from(server.unseal(client.seal(ascii('one')))).toString()).toBe('one');
    const sealed = client.seal(ascii('two'));
    sealed[17] ^= 1;
    expect(() => server.unseal(sealed)).toThrow('wrong signature');
  });
});

describe('the proprietary certificate', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { certificate } = standardKey(createPrivateKey(privateKey.export({ type: 'pkcs1', format: 'pem' })));

  it('is signed with the Terminal Services key ([MS-RDPBCGR] 5.3.3.1)', () => {
    const keyBlobBytes = certificate[14] | (certificate[15] << 8);
    const signedBytes = 16 + keyBlobBytes;
    const little = (bytes: Uint8Array): bigint => BigInt(`0x${hex(Uint8Array.from(bytes).reverse())}`);
    const modulus = Buffer.from(
      '3d3a5ebd72433ec94dbbc11e4aba5fcb3e882087eff5c1e2d7b76b9af2524595ce63656b583afeef7ce7bffe3df65c7d6c5e06091af561bb2093095f056dea87',
      'hex',
    );
    let signature = little(certificate.subarray(signedBytes + 4, signedBytes + 4 + 64));
    let opened = 1n;
    for (let e = 0xc0887b5b; e > 0; e = Math.floor(e / 2), signature = (signature * signature) % little(modulus)) {
      if (e % 2 === 1) opened = (opened * signature) % little(modulus);
    }
    const bytes = Buffer.from(opened.toString(16).padStart(128, '0'), 'hex').reverse();
    const digest = createHash('md5').update(certificate.subarray(0, signedBytes)).digest();
    expect(hex(bytes.subarray(0, 16))).toBe(hex(digest));
    expect(hex(bytes.subarray(16))).toBe(`00${'ff'.repeat(45)}0100`);
  });
});

describe('certificates', () => {
  it('are made once, kept for their owner alone, and used again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tabbox-certificate-'));
    const path = join(folder, 'sub', 'rdp.pem');
    const made = await keptSelfSigned(path);
    expect(statSync(path).mode & 0o077).toBe(0);
    expect((await keptSelfSigned(path)).certificate.trim()).toBe(made.certificate.trim());
    const x509 = new X509Certificate(made.certificate);
    expect(x509.verify(x509.publicKey)).toBe(true);
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    expect(() => tlsIdentity(made.certificate, other.toString())).toThrow('does not belong');
    expect(() => tlsIdentity('nonsense', other.toString())).toThrow('PEM');
    rmSync(folder, { recursive: true });
  });
});

describe('users', () => {
  const users = usersFromExtraData(
    new Map([
      ['VBoxAuthSimple/users/alice', createHash('sha256').update('wonder').digest('hex')],
      ['VBoxAuthSimple/users/anyone', '[NULL]'],
      ['TabBox/nt-hashes/bob', hex(ntHash('build'))],
    ]),
  );
  const check = checkKnownUsers(users);

  it.each([
    ['alice', 'wonder', false, true],
    ['ALICE', 'wonder', false, true],
    ['alice', 'wrong', false, false],
    ['alice', '', false, false],
    ['anyone', 'whatever', false, true],
    ['nobody', 'wonder', false, false],
    ['bob', 'build', false, false],
    ['bob', '', true, true],
    ['alice', '', true, false],
  ])('%s with %j, proven: %s -> %s', async (userName, password, isProven, answer) => {
    expect(await check({ domain: '', userName, password, isProven, reconnect: undefined })).toBe(answer);
  });

  it('have hashes, or a message says what is wrong', () => {
    expect(() => usersFromExtraData(new Map([['VBoxAuthSimple/users/x', 'abc']]))).toThrow('no hash');
  });
});

describe('a program that is asked', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-auth-'));
  const path = join(folder, 'check');
  writeFileSync(
    path,
    '#!/bin/sh\nread user; read domain; read password\n' +
      'if [ "$user" = slow ]; then exec sleep 60; fi\n' +
      '[ "$user/$domain/$password" = "eve/HOME/pass word" ]\n',
    { mode: 0o755 },
  );
  afterAll(() => rmSync(folder, { recursive: true }));
  const who = (userName: string, password: string) => ({
    userName,
    domain: 'HOME',
    password,
    isProven: false,
    reconnect: undefined,
  });

  it.each([
    ['eve', 'pass word', true],
    ['eve', 'password', false],
    ['eve', 'pass word\n', false],
    ['', '', false],
  ])('says of %j with %j: %s', async (user, password, answer) => {
    expect(await checkByProgram(path, 20_000)(who(user, password))).toBe(answer);
  });

  it('says no when it is not there, or takes too long', async () => {
    expect(await checkByProgram(join(folder, 'nothing'), 20_000)(who('eve', 'pass word'))).toBe(false);
    expect(await checkByProgram(path, 300)(who('slow', ''))).toBe(false);
  });
});

describe('wrong passwords', () => {
  it('cost more and more time, until they are forgotten', () => {
    let now = 0;
    const throttle = new LoginThrottle(() => now);
    const waits = Array.from({ length: 9 }, () => {
      throttle.failed('a');
      return throttle.waitMs('a');
    });
    expect(waits.slice(0, 4)).toEqual([500, 1000, 2000, 4000]);
    expect(waits.at(-1)).toBe(30_000);
    expect(throttle.waitMs('b')).toBe(0);
    now += 11 * 60_000;
    throttle.failed('a');
    expect(throttle.waitMs('a')).toBe(500);
    throttle.succeeded('a');
    expect(throttle.waitMs('a')).toBe(0);
  });

  it('are remembered of so many, and the last ones', () => {
    const throttle = new LoginThrottle(() => 0);
    for (let i = 0; i <= 20_000; i++) throttle.failed(`user ${i}`);
    const known = Array.from({ length: 20_001 }, (_, i) => throttle.waitMs(`user ${i}`) > 0);
    expect(known.filter(Boolean)).toHaveLength(10_000);
    expect(known.lastIndexOf(false)).toBe(10_000);
  });
});

describe('reconnect cookies', () => {
  const under = (random: Uint8Array, clientRandom: Uint8Array): Uint8Array =>
    createHmac('md5', random).update(clientRandom).digest();
  const rig = () => {
    let now = 0;
    let next = 0;
    const cookies = new ReconnectCookies<string>(
      (count) => new Uint8Array(count).fill(++next),
      () => now,
    );
    return { cookies, pass: (ms: number) => (now += ms) };
  };
  const RANDOM = new Uint8Array(32).fill(3);

  it('are good once, for their user, on the connection they are shown on', () => {
    const { cookies } = rig();
    const proofOf = (clientRandom = RANDOM) => {
      const { logonId, random } = cookies.issue('Alice', 'session');
      return { logonId, verifier: under(random, clientRandom) };
    };
    const good = proofOf();
    expect(cookies.redeem(good, RANDOM, 'alice')).toBe('session');
    expect(cookies.redeem(good, RANDOM, 'alice')).toBeUndefined();
    expect(cookies.redeem(proofOf(), RANDOM, 'bob')).toBeUndefined();
    expect(cookies.redeem(proofOf(new Uint8Array(32)), RANDOM, 'alice')).toBeUndefined();
    expect(cookies.redeem({ logonId: 999, verifier: new Uint8Array(16) }, RANDOM, 'alice')).toBeUndefined();
  });

  it('are made for so many, the last ones', () => {
    const { cookies } = rig();
    const proofs = Array.from({ length: 2500 }, (_, i) => {
      const { logonId, random } = cookies.issue('alice', `${i}`);
      return { logonId, verifier: under(random, RANDOM) };
    });
    const good = proofs.map((proof) => cookies.redeem(proof, RANDOM, 'alice')).filter(Boolean);
    expect(good).toHaveLength(1000);
    expect(good[0]).toBe('1500');
  });

  it('end with their session, and with time', () => {
    const { cookies, pass } = rig();
    const one = cookies.issue('alice', 'one');
    const other = cookies.issue('alice', 'other');
    cookies.revoke('one');
    expect(
      cookies.redeem({ logonId: one.logonId, verifier: under(one.random, RANDOM) }, RANDOM, 'alice'),
    ).toBeUndefined();
    pass(3 * 3_600_000);
    const late = { logonId: other.logonId, verifier: under(other.random, RANDOM) };
    expect(cookies.redeem(late, RANDOM, 'alice')).toBeUndefined();
  });
});
