// Join tokens: JSON Web Tokens, signed with a key that never leaves this computer. Source: RFC 7519; RFC 7518, 3.2 (HS256).

import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { errors, jwtVerify, SignJWT } from 'jose';
import * as v from 'valibot';
import { CodedError } from '#base/errors.ts';
import type { JoinClaims } from './service.ts';

export type TokenError = 'token-missing' | 'token-invalid' | 'token-expired';

export interface TokenRequest {
  readonly subject: string;
  readonly rights: Readonly<Record<string, unknown>>;
  readonly lifeSeconds: number;
}

const ISSUER = 'tabbox';
const AUDIENCE = 'tabbox-relay';
const ALGORITHM = 'HS256';
const KEY_BYTES = 32;
const KEY_FILE = 'relay-key';
/** Longer than any token of ours; what is longer is not even looked at. */
const MOST_TOKEN_CHARACTERS = 4096;
export const MOST_LIFE_SECONDS: number = 366 * 24 * 3600;

const claimsSchema = v.object({
  sub: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  jti: v.pipe(v.string(), v.minLength(1), v.maxLength(100)),
  exp: v.number(),
  rights: v.record(v.string(), v.unknown()),
});

/** Where servers of this person keep what must outlive them. */
export function stateDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
  return environment['TABBOX_STATE'] || join(base, 'tabbox');
}

/**
 * Reads the key of a state directory, and makes it if there is none; two servers that start at once get the same.
 * @throws CodedError<'bad-state'>
 */
export function loadTokenKey(directory: string): Uint8Array {
  const path = join(directory, KEY_FILE);
  try {
    const found = readKey(path);
    if (found) return checkedKey(found, path);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Written elsewhere first, so that nobody reads half a key; the link fails when another was first.
    const part = `${path}.${randomUUID()}`;
    writeFileSync(part, `${randomBytes(KEY_BYTES).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
    try {
      linkSync(part, path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    } finally {
      rmSync(part, { force: true });
    }
    return checkedKey(readFileSync(path, 'utf8'), path);
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    const why = (cause as Error).message;
    throw new CodedError('bad-state', `the relay's key cannot be kept in ${directory}: ${why}`, { directory }, cause);
  }
}

function readKey(path: string): string | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    // Whoever can read it can sign.
    chmodSync(path, 0o600);
    return text;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

function checkedKey(text: string, path: string): Uint8Array {
  const key = Buffer.from(text.trim(), 'base64url');
  if (key.length === KEY_BYTES) return key;
  throw new CodedError('bad-state', `${path} holds no key of the relay; delete it, and a new one is made`, { path });
}

export class JoinTokens {
  readonly #key: Uint8Array;

  /** @param key 32 bytes, as of `loadTokenKey` */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** @throws CodedError<'bad-token-request'> */
  async issue({ subject, rights, lifeSeconds }: TokenRequest): Promise<string> {
    if (subject.length < 1 || 200 < subject.length)
      throw new CodedError('bad-token-request', 'a token names a machine or session in 1 to 200 characters');
    if (!(0 < lifeSeconds && lifeSeconds <= MOST_LIFE_SECONDS))
      throw new CodedError('bad-token-request', `a token lives from 1 to ${MOST_LIFE_SECONDS} seconds`);
    const nowMs = Date.now();
    const token = await new SignJWT({ rights })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(subject)
      .setJti(randomUUID())
      .setIssuedAt(Math.floor(nowMs / 1000))
      .setExpirationTime(Math.ceil(nowMs / 1000 + lifeSeconds)) // whole seconds, and none of its life is lost
      .sign(this.#key);
    if (token.length <= MOST_TOKEN_CHARACTERS) return token;
    throw new CodedError('bad-token-request', 'a token with so many rights is too long; name fewer networks');
  }

  /** @throws CodedError<TokenError> */
  async verify(token: string | undefined): Promise<JoinClaims> {
    if (!token) throw new CodedError<TokenError>('token-missing', 'a join token is needed; ask who runs this relay');
    try {
      if (MOST_TOKEN_CHARACTERS < token.length) throw new Error('too long');
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['exp', 'sub', 'jti'],
      });
      const { sub, jti, exp, rights } = v.parse(claimsSchema, payload);
      return { subject: sub, id: jti, expiresAtMs: exp * 1000, rights };
    } catch (cause) {
      if (cause instanceof errors.JWTExpired) {
        const at = new Date(Number(cause.payload.exp) * 1000).toISOString();
        throw new CodedError<TokenError>('token-expired', `the join token expired at ${at}; get a new one`, {}, cause);
      }
      throw new CodedError<TokenError>(
        'token-invalid',
        'the join token is not of this relay; get a new one',
        {},
        cause,
      );
    }
  }
}
