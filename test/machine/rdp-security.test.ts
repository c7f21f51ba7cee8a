/** Who gets in with clients that people have: security methods, passwords, certificates, a second client. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GatewaySettings } from '../../server/rdp/gateway.ts';
import { type TlsIdentity, tlsIdentity } from '../../server/rdp/security/certificate.ts';
import { ntHash } from '../../server/rdp/security/ntlm.ts';
import { checkKnownUsers, ntHashOf, usersFromExtraData } from '../../server/rdp/security/users.ts';
import { Display, RdpClient, type Shot } from './support/rdp-clients.ts';
import { identity, openGateway, type TestGateway } from './support/rdp-gateways.ts';

let display: Display;
const closers: (() => void | Promise<void>)[] = [];

beforeAll(async () => {
  display = await Display.open();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  await display.close();
});

async function gatewayWith(settings: Partial<GatewaySettings> = {}): Promise<TestGateway> {
  const made = await openGateway(settings);
  closers.push(() => made.gateway.close());
  made.desktop.paint(0, 0, 640, 480, 0x2040c0);
  return made;
}

interface Login {
  readonly user?: string;
  readonly password?: string;
  readonly host?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

function client(kind: 'freerdp' | 'rdesktop', port: number, login: Login, ...args: string[]): RdpClient {
  const made = RdpClient[kind](display, { port, args, ...login });
  closers.push(() => made.close());
  return made;
}

const isBlue = (shot: Shot): boolean => shot.width >= 640 && shot.at(300, 200) === 0x2040c0;
const HEX = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const USERS = usersFromExtraData(
  new Map([
    ['VBoxAuthSimple/users/alice', createHash('sha256').update('wonder').digest('hex')],
    ['TabBox/nt-hashes/alice', HEX(ntHash('wonder'))],
  ]),
);
const credSsp = async () => ({
  ...{ serverName: 'gateway', nowMs: () => Date.now(), hashOf: ntHashOf(USERS) },
  publicKey: (await identity()).publicKey,
});

describe('Security/Method', () => {
  it.each([
    ['rdp', '/sec:rdp', true],
    ['rdp', '/sec:tls', false],
    ['tls', '/sec:rdp', false],
    ['tls', '/sec:tls', true],
    ['negotiate', '/sec:rdp', true],
    ['negotiate', '/sec:tls', true],
  ] as const)('%s and a client with %s: %s', async (method, security, getsIn) => {
    const { gateway } = await gatewayWith({ policy: { method, credSsp: undefined, credSspOnly: false } });
    const one = client('freerdp', gateway.port, {}, security, '/bpp:24');
    if (getsIn) await one.shows('screen', isBlue);
    else expect(await one.exit()).not.toBe(0);
    expect(gateway.activeCount).toBe(getsIn ? 1 : 0);
  });

  it('rdp and rdesktop, which tries TLS first', async () => {
    const { gateway } = await gatewayWith({ policy: { method: 'rdp', credSsp: undefined, credSspOnly: false } });
    await client('rdesktop', gateway.port, {}, '-g', '640x480').shows('screen', isBlue);
  });
});

describe('network level authentication', () => {
  it('lets the right password in', async () => {
    const policy = { method: 'tls', credSsp: await credSsp(), credSspOnly: true } as const;
    const { gateway, log } = await gatewayWith({ policy, check: checkKnownUsers(USERS) });
    const one = client('freerdp', gateway.port, { user: 'alice', password: 'wonder' }, '/sec:nla', '/bpp:24');
    await one.shows('screen', isBlue).catch((cause: Error) => {
      throw new Error(`${cause.message}\n${log.join('\n')}\n${one.log.slice(-3000)}`);
    });
  });

  it.each([
    ['alice', 'wrong'],
    ['nobody', 'wonder'],
  ])('keeps %s with %s out', async (user, password) => {
    const policy = { method: 'tls', credSsp: await credSsp(), credSspOnly: true } as const;
    const { gateway, log } = await gatewayWith({ policy, check: checkKnownUsers(USERS) });
    const one = client('freerdp', gateway.port, { user, password }, '/sec:nla', '+auth-only');
    // What xfreerdp says of a wrong password.
    expect([await one.exit(), log.join('\n')]).toEqual([134, expect.stringContaining('wrong user name or password')]);
    expect(gateway.activeCount).toBe(0);
  });

  it('is not to be gone around', async () => {
    const policy = { method: 'negotiate', credSsp: await credSsp(), credSspOnly: true } as const;
    const { gateway } = await gatewayWith({ policy });
    expect(await client('freerdp', gateway.port, { user: 'alice' }, '/sec:tls', '+auth-only').exit()).not.toBe(0);
    expect(await client('freerdp', gateway.port, { user: 'alice' }, '/sec:rdp', '+auth-only').exit()).not.toBe(0);
    expect(gateway.activeCount).toBe(0);
  });
});

describe('external authentication', () => {
  it.each([
    ['freerdp', '/sec:tls'],
    ['freerdp', '/sec:rdp'],
    ['rdesktop', '-g'],
  ] as const)('of %s %s: the right password', async (kind, arg) => {
    const { gateway } = await gatewayWith({ check: checkKnownUsers(USERS) });
    const more = arg === '-g' ? ['640x480'] : ['/bpp:24'];
    await client(kind, gateway.port, { user: 'alice', password: 'wonder' }, arg, ...more).shows('screen', isBlue);
  });

  it('of a wrong password ends the connection, and nothing is shown', async () => {
    const { gateway, log } = await gatewayWith({ check: checkKnownUsers(USERS) });
    const one = client('freerdp', gateway.port, { user: 'alice', password: 'guess' }, '/sec:tls');
    expect(await one.exit()).not.toBe(0);
    expect(log.join('\n')).toContain('wrong name or password');
    expect(log.join('\n')).not.toContain('guess');
    expect(log.join('\n')).not.toContain('is connected');
  });
});

describe('a second client', () => {
  it('is refused when there may be one', async () => {
    const { gateway } = await gatewayWith({ multiple: false });
    const first = client('freerdp', gateway.port, {}, '/sec:tls', '/bpp:24');
    await first.shows('screen', isBlue);
    expect(await client('freerdp', gateway.port, {}, '/sec:tls').exit()).not.toBe(0);
    expect(first.exited).toBe(false);
    await first.shows('screen', isBlue);
  });

  it('takes over when connections are used again', async () => {
    const { gateway } = await gatewayWith({ multiple: false, reuse: true });
    const first = client('freerdp', gateway.port, {}, '/sec:tls', '/bpp:24');
    await first.shows('screen', isBlue);
    const second = client('rdesktop', gateway.port, {}, '-g', '640x480');
    await second.shows('screen', isBlue);
    expect(await first.exit()).not.toBe(0);
    expect(gateway.activeCount).toBe(1);
  });

  it('sees the same when there may be several, and each one types', async () => {
    const { gateway, desktop } = await gatewayWith({ multiple: true });
    const all = [
      client('freerdp', gateway.port, {}, '/sec:tls', '/bpp:24'),
      client('freerdp', gateway.port, {}, '/sec:rdp', '/bpp:32', '/window-position:660x0'),
      client('rdesktop', gateway.port, {}, '-g', '640x480+1320+0', '-a', '24'),
    ];
    for (const one of all) await one.shows('screen', isBlue);
    desktop.paint(100, 100, 300, 200, 0x13579b);
    for (const one of all) await one.shows('change', (shot) => shot.at(200, 200) === 0x13579b && isBlue2(shot));
    for (const [i, name] of ['a', 'b', 'c'].entries()) await all[i].key(name);
    expect(desktop.scancodes.filter((code) => code < 0x80)).toEqual([0x1e, 0x30, 0x2e]);
    await all[0].keyDown('Shift_L');
    desktop.scancodes.length = 0;
    await all[0].close();
    // The rude one's key comes up, and the others stay.
    await expect.poll(() => desktop.scancodes, { timeout: 10_000 }).toContain(0xaa);
    await all[0].keyUp('Shift_L');
    expect(gateway.activeCount).toBe(2);
  });
});

const isBlue2 = (shot: Shot): boolean => shot.at(50, 50) === 0x2040c0;

describe('a screen asked for by its number', () => {
  it.each([
    ['freerdp', '/d:DOMAIN@1', true],
    ['freerdp', '/d:DOMAIN@0', true],
    ['freerdp', '/d:DOMAIN@9', false],
  ] as const)('%s %s: %s', async (kind, domain, isThere) => {
    const seen: string[] = [];
    const { gateway } = await gatewayWith({ check: async (who) => seen.push(who.domain) > 0 });
    const one = client(kind, gateway.port, {}, '/sec:tls', '/bpp:24', domain);
    if (isThere) await one.shows('screen', isBlue);
    else expect(await one.exit()).not.toBe(0);
    expect(seen).toEqual(['DOMAIN']);
  });

  it('is no part of the user name under network level authentication', async () => {
    const policy = { method: 'tls', credSsp: await credSsp(), credSspOnly: true } as const;
    const { gateway } = await gatewayWith({ policy, check: checkKnownUsers(USERS) });
    const login = { user: 'alice@1', password: 'wonder' };
    await client('freerdp', gateway.port, login, '/sec:nla', '/bpp:24').shows('screen', isBlue);
  });
});

describe('what is switched off for clients', () => {
  it('input: they see, and nothing they do counts', async () => {
    const { gateway, desktop } = await gatewayWith({ disabled: { display: false, input: true, audio: false } });
    const one = client('freerdp', gateway.port, {}, '/sec:tls', '/bpp:24');
    await one.shows('screen', isBlue);
    await one.key('a');
    await one.point(20, 20);
    await one.click(1);
    desktop.paint(0, 0, 640, 480, 0x00ff00);
    await one.shows('change', (shot) => shot.at(300, 200) === 0x00ff00);
    expect([desktop.scancodes, desktop.mouse]).toEqual([[], []]);
  });

  it('the display: they type, and see nothing', async () => {
    const { gateway, desktop } = await gatewayWith({ disabled: { display: true, input: false, audio: false } });
    const one = client('freerdp', gateway.port, {}, '/sec:tls', '/bpp:24');
    await one.window();
    await one.key('a');
    await expect.poll(() => desktop.scancodes, { timeout: 10_000 }).toEqual(expect.arrayContaining([0x1e, 0x9e]));
    expect(isBlue(await one.shot())).toBe(false);
    expect(desktop.viewCount).toBe(0);
  });
});

describe('certificates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-rdp-ca-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A server's certificate signed by an authority of its own. */
  function signed(name: string): TlsIdentity & { readonly ca: string } {
    const path = (end: string): string => join(folder, `${name}.${end}`);
    const openssl = (...args: string[]): void => {
      execFileSync('openssl', args, { stdio: 'pipe' });
    };
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name} authority`,
      '-keyout',
      path('cakey'),
      '-out',
      path('ca'),
    );
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=localhost',
      '-keyout',
      path('key'),
      '-out',
      path('csr'),
    );
    writeFileSync(path('ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    openssl(
      'x509',
      '-req',
      '-in',
      path('csr'),
      '-CA',
      path('ca'),
      '-CAkey',
      path('cakey'),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      path('ext'),
      '-out',
      path('crt'),
    );
    const read = (end: string): string => readFileSync(path(end), 'utf8');
    return { ...tlsIdentity(read('crt'), read('key'), read('ca')), ca: path('ca') };
  }

  it('of an authority the client trusts are accepted, others are not', async () => {
    const [good, other] = [signed('good'), signed('other')];
    const { gateway } = await gatewayWith({ identity: good });
    const args = ['/sec:tls', '/bpp:24', '/cert:deny'];
    const trusting = client(
      'freerdp',
      gateway.port,
      { host: 'localhost', environment: { SSL_CERT_FILE: good.ca } },
      ...args,
    );
    await trusting.shows('screen', isBlue);
    const distrusting = client(
      'freerdp',
      gateway.port,
      { host: 'localhost', environment: { SSL_CERT_FILE: other.ca } },
      ...args,
    );
    expect(await distrusting.exit()).not.toBe(0);
  });
});
