/** External authentication by the host's PAM: real services and users, in a mount namespace that is the helper's alone. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { checkByPam } from '../../server/rdp/security/pam.ts';
import { Display, RdpClient } from './support/rdp-clients.ts';
import { openGateway, paintTestCard } from './support/rdp-gateways.ts';

const TIMEOUT_MS = 30_000;
/** Of an attempt that takes minutes: long enough to be looked at. */
const HASTY_MS = 6000;
const PASSWORD = 'wörd with spaces';
let folder: string;
/** Runs Python where the users and services of this test are the host's. */
let python: string;
let display: Display;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-pam-'));
  mkdirSync(join(folder, 'pam.d'));
  const service = (name: string, auth: string): void =>
    writeFileSync(join(folder, 'pam.d', name), `auth ${auth}\naccount required pam_unix.so\n`);
  service('tabbox', 'required pam_unix.so');
  service('slow', 'optional pam_faildelay.so delay=300000000\nauth required pam_deny.so');
  service('other', 'required pam_deny.so');
  const hash = execFileSync('openssl', ['passwd', '-6', '-stdin'], { input: PASSWORD }).toString().trim();
  const users = {
    paula: `${hash}:19000:0:99999:7:::`,
    gone: `${hash}:19000:0:99999:7::19001:`,
    open: ':19000:0:99999:7:::',
  };
  const passwd = ['root', ...Object.keys(users)].map((name, i) => `${name}:x:${i * 1000}:${i * 1000}::/:/bin/sh\n`);
  writeFileSync(join(folder, 'passwd'), passwd.join(''));
  writeFileSync(
    join(folder, 'shadow'),
    Object.entries(users)
      .map(([name, rest]) => `${name}:${rest}\n`)
      .join(''),
    { mode: 0o600 },
  );
  python = join(folder, 'python');
  const own = process.getuid?.() === 0 ? '' : '--user --map-root-user';
  const mounts = ['passwd', 'shadow', 'pam.d']
    .map((name) => `mount --bind '${folder}/${name}' /etc/${name}`)
    .join(' && ');
  const script = `#!/bin/sh\nexec unshare ${own} --mount sh -c "${mounts} && exec python3 \\"\\$@\\"" sh "$@"\n`;
  writeFileSync(python, script, { mode: 0o755 });
  display = await Display.open(800, 600);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  await display.close();
  rmSync(folder, { recursive: true, force: true });
});

const who = (userName: string, password: string) => ({
  ...{ userName, password, domain: '', isProven: false, reconnect: undefined },
});

describe('PAM', () => {
  it.each([
    ['tabbox', 'paula', PASSWORD, true],
    ['tabbox', 'paula', 'word', false],
    ['tabbox', 'paula', '', false],
    ['tabbox', 'nobody-there', PASSWORD, false],
    ['tabbox', '', PASSWORD, false],
    // An account that has expired, and one that has no password.
    ['tabbox', 'gone', PASSWORD, false],
    ['tabbox', 'open', '', false],
    // A service that is not there is what `other` says.
    ['nowhere', 'paula', PASSWORD, false],
  ])('as %s says of %j with %j: %s', async (service, user, password, answer) => {
    const check = await checkByPam({ service, python, timeoutMs: TIMEOUT_MS });
    expect(await check(who(user, password))).toBe(answer);
  });

  it('has a time limit, and meanwhile nobody reads the password in a list of processes', async () => {
    const hasty = (await checkByPam({ service: 'slow', python, timeoutMs: HASTY_MS }))(who('paula', PASSWORD));
    const asking = (): string[] => commands().filter((command) => command.endsWith('\0slow\0'));
    for (let i = 0; i < 200 && asking().length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(asking().length).toBeGreaterThan(0);
    expect(commands().filter((command) => command.includes(PASSWORD))).toEqual([]);
    expect(await hasty).toBe(false);
    expect(asking()).toEqual([]);
  }, 120_000);

  it('is missed where it is not', async () => {
    const nothing = checkByPam({ service: 'tabbox', python: join(folder, 'nothing'), timeoutMs: TIMEOUT_MS });
    await expect(nothing).rejects.toThrow(/install it/);
    await expect(checkByPam({ service: '../shadow', timeoutMs: TIMEOUT_MS })).rejects.toThrow(/no name/);
  });

  it('lets xfreerdp in with the right password, and not with another', async () => {
    const check = await checkByPam({ service: 'tabbox', python, timeoutMs: TIMEOUT_MS });
    const { gateway, desktop, log } = await openGateway({ check });
    closers.push(() => gateway.close());
    paintTestCard(desktop);
    const join = (password: string): RdpClient => {
      const args = ['/sec:tls', '/bpp:24'];
      const client = RdpClient.freerdp(display, { port: gateway.port, user: 'paula', password, args });
      closers.push(() => client.close());
      return client;
    };
    expect(await join('guess').exit()).not.toBe(0);
    expect(log.join('\n')).toContain('wrong name or password');
    await join(PASSWORD).shows('picture', (shot) => shot.at(50, 250) === 0x00c040);
    expect(log.join('\n')).not.toMatch(/guess|spaces/);
  }, 120_000);
});

/** Of all processes, arguments separated by NUL. */
function commands(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(join('/proc', pid, 'cmdline'), 'utf8');
      } catch {
        return '';
      }
    });
}
