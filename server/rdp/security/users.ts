/**
 * Who may come in: VirtualBox's authentication types.
 * Source: VirtualBox User Manual, "RDP Authentication" (null, external, guest; VBoxAuthSimple's hashes in extradata).
 */
import { spawn } from 'node:child_process';
import { createHash, timingSafeEqual } from 'node:crypto';
import { CodedError } from '#base/errors.ts';
import type { Credentials } from '../sequence/phase.ts';
import { takeScreen } from './monitor-suffix.ts';
import type { NtlmUser } from './ntlm.ts';

export type AuthType = 'null' | 'external' | 'guest';

/** Hashes of users, by name in lower case. */
export interface KnownUsers {
  /** SHA-256 of the password in UTF-8; undefined for [NULL]: any password will do. */
  readonly simple: ReadonlyMap<string, Uint8Array | undefined>;
  /** NT hashes, for network level authentication. */
  readonly nt: ReadonlyMap<string, Uint8Array>;
}

const SIMPLE_PREFIX = 'VBoxAuthSimple/users/';
const NT_PREFIX = 'TabBox/nt-hashes/';
const ANY_PASSWORD = '[NULL]';

/**
 * Reads users from extradata.
 * @throws CodedError<'bad-hash'>
 */
export function usersFromExtraData(extraData: ReadonlyMap<string, string>): KnownUsers {
  const simple = new Map<string, Uint8Array | undefined>();
  const nt = new Map<string, Uint8Array>();
  for (const [key, value] of extraData) {
    if (key.startsWith(SIMPLE_PREFIX)) {
      const hash = value === ANY_PASSWORD ? undefined : hexHash(key, value, 32);
      simple.set(key.slice(SIMPLE_PREFIX.length).toLowerCase(), hash);
    } else if (key.startsWith(NT_PREFIX)) nt.set(key.slice(NT_PREFIX.length).toLowerCase(), hexHash(key, value, 16));
  }
  return { simple, nt };
}

function hexHash(key: string, value: string, bytes: number): Uint8Array {
  if (!new RegExp(`^[0-9a-f]{${bytes * 2}}$`, 'i').test(value)) {
    throw new CodedError(
      'bad-hash',
      `${key} is no hash of ${bytes * 2} hexadecimal digits; tabbox passwordhash makes one`,
    );
  }
  return Buffer.from(value, 'hex');
}

export const simpleHash = (password: string): Uint8Array => createHash('sha256').update(password, 'utf8').digest();

export const ntHashOf =
  (users: KnownUsers) =>
  ({ userName }: NtlmUser): Uint8Array | undefined =>
    users.nt.get(takeScreen(userName).name.toLowerCase());

/** Says yes or no to a name and a password, in time. */
export type PasswordCheck = (who: Credentials) => Promise<boolean>;

/** VBoxAuthSimple, and users whose NT hash is known. */
export const checkKnownUsers =
  (users: KnownUsers): PasswordCheck =>
  async ({ userName, password, isProven }) => {
    const name = userName.toLowerCase();
    if (isProven) return users.nt.has(name);
    const expected = users.simple.get(name);
    if (expected === undefined) return users.simple.has(name);
    return timingSafeEqual(expected, simpleHash(password));
  };

/**
 * A program of the host's: it reads three lines, user, domain and password, from its standard input and says yes with
 * exit status 0. It runs for each attempt and is ended, with all that it has started, when it takes longer than `timeoutMs`.
 */
export const checkByProgram =
  (path: string, timeoutMs: number, args: readonly string[] = []): PasswordCheck =>
  async ({ userName, domain, password }) => {
    const hasLines = /[\r\n\0]/.test(userName + domain + password);
    return !hasLines && (await askProgram(path, args, `${userName}\n${domain}\n${password}\n`, timeoutMs)) === 0;
  };

/** Runs a program in a group of its own. @returns its exit status; undefined: there is none, or it took too long */
export const askProgram = (
  path: string,
  args: readonly string[],
  input: string,
  timeoutMs: number,
): Promise<number | undefined> =>
  new Promise((resolve) => {
    const child = spawn(path, args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    const late = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    const done = (status?: number): void => {
      clearTimeout(late);
      resolve(status);
    };
    child.stdin.on('error', () => {});
    child.once('error', () => done());
    child.once('exit', (status) => done(status ?? undefined));
    child.stdin.end(input);
  });
