/**
 * The server's side of CredSSP, versions 2 to 6, over TLS: who the client is, that it talks to this server and nobody in
 * between, and what it wants to log on with.
 * Source: [MS-CSSP] 2.2.1 (TSRequest), 3.1.5 (processing). Not modelled: Kerberos, smart cards, remote credential guard.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { BER_TAG, ber, berInteger, concat, contextTag, readBer, readBerInteger, readBerLength } from '../pdu/ber.ts';
import { PduError, PduReader, utf16Text } from '../pdu/bytes.ts';
import { NtlmServer, type NtlmSession, type NtlmSettings, type NtlmUser } from './ntlm.ts';
import { decodeSpnego, encodeSpnegoChallenge, encodeSpnegoCompleted, isSpnego } from './spnego.ts';

type Bytes = Uint8Array;
const VERSION = 6;
const FIRST_WITH_HASHES = 5;
const FIRST_WITH_ERRORS = 3;
const NONCE_BYTES = 32;
const STATUS_LOGON_FAILURE = Uint8Array.of(0xc0, 0x00, 0x00, 0x6d);
const PASSWORD_CREDENTIALS = 1;

export interface CredSspSettings extends NtlmSettings {
  /** Contents of the TLS certificate's public key BIT STRING. */
  readonly publicKey: Bytes;
}

export interface TsRequest {
  readonly version: number;
  readonly token?: Bytes | undefined;
  readonly authInfo?: Bytes | undefined;
  readonly publicKeyAuth?: Bytes | undefined;
  readonly nonce?: Bytes | undefined;
}

/** @throws PduError */
export function decodeTsRequest(bytes: Bytes): TsRequest {
  const body = readBer(new PduReader(bytes), BER_TAG.sequence);
  const version = readBerInteger(readBer(body, contextTag(0)));
  const fields: { token?: Bytes; authInfo?: Bytes; publicKeyAuth?: Bytes; nonce?: Bytes } = {};
  while (body.remaining > 0) {
    const tag = body.u8();
    const value = body.part(readBerLength(body));
    const octets = (r: PduReader): Bytes => readBer(r, BER_TAG.octetString).rest();
    if (tag === contextTag(1)) {
      const first = readBer(readBer(value, BER_TAG.sequence), BER_TAG.sequence);
      fields.token = octets(readBer(first, contextTag(0)));
    } else if (tag === contextTag(2)) fields.authInfo = octets(value);
    else if (tag === contextTag(3)) fields.publicKeyAuth = octets(value);
    else if (tag === contextTag(5)) fields.nonce = octets(value);
  }
  return { version, ...fields };
}

export function encodeTsRequest(request: TsRequest & { readonly errorCode?: Bytes }): Bytes {
  const { version, token, authInfo, publicKeyAuth, errorCode, nonce } = request;
  const octets = (n: number, bytes: Bytes | undefined): Bytes =>
    bytes ? ber(contextTag(n), ber(BER_TAG.octetString, bytes)) : new Uint8Array(0);
  const tokens = token ? ber(BER_TAG.sequence, ber(BER_TAG.sequence, octets(0, token))) : undefined;
  const body = concat(
    ber(contextTag(0), berInteger(version)),
    tokens ? ber(contextTag(1), tokens) : new Uint8Array(0),
    octets(2, authInfo),
    octets(3, publicKeyAuth),
    errorCode ? ber(contextTag(4), ber(BER_TAG.integer, errorCode)) : new Uint8Array(0),
    octets(5, nonce),
  );
  return ber(BER_TAG.sequence, body);
}

export interface CredSspStep {
  readonly send?: Bytes;
  /** What the client has proven and wants to log on with; the exchange is over. */
  readonly done?: { readonly domain: string; readonly userName: string; readonly password: string };
  /** Why it is over without success. */
  readonly failed?: string;
}

export class CredSspServer {
  readonly #settings: CredSspSettings;
  readonly #ntlm: NtlmServer;
  #version = VERSION;
  #stage: 'negotiate' | 'authenticate' | 'credentials' = 'negotiate';
  #mechanisms: Bytes | undefined;
  #user: NtlmUser | undefined;
  #session: NtlmSession | undefined;

  constructor(settings: CredSspSettings, random: (count: number) => Bytes) {
    this.#settings = settings;
    this.#ntlm = new NtlmServer(settings, random(8));
  }

  /** @param bytes one TSRequest. @throws PduError */
  receive(bytes: Bytes): CredSspStep {
    const request = decodeTsRequest(bytes);
    this.#version = Math.min(VERSION, request.version);
    if (this.#stage === 'negotiate') return this.#negotiate(request);
    if (this.#stage === 'authenticate') return this.#authenticate(request);
    return this.#credentials(request);
  }

  #negotiate({ token }: TsRequest): CredSspStep {
    if (!token) throw new PduError('CredSSP begins without a token');
    if (!isSpnego(token)) {
      this.#stage = 'authenticate';
      return this.#reply({ token: this.#ntlm.challenge(token) });
    }
    const wrapped = decodeSpnego(token);
    this.#mechanisms ??= wrapped.mechanisms;
    // The first token may be for a mechanism that is not here; NTLM's follows when it was said.
    if (!wrapped.isForNtlm || !wrapped.token) return this.#reply({ token: encodeSpnegoChallenge(undefined, true) });
    this.#stage = 'authenticate';
    return this.#reply({ token: encodeSpnegoChallenge(this.#ntlm.challenge(wrapped.token), false) });
  }

  #authenticate({ token, publicKeyAuth, nonce }: TsRequest): CredSspStep {
    if (!token || !publicKeyAuth) throw new PduError('CredSSP goes on without a token or a public key');
    const wrapped = isSpnego(token) ? decodeSpnego(token) : undefined;
    const message = wrapped ? wrapped.token : token;
    if (!message) throw new PduError('CredSSP goes on without an NTLM token');
    const proven = this.#ntlm.authenticate(message);
    if (!proven) return this.#refuse('wrong user name or password');
    const { session, user } = proven;
    let mic: Bytes | undefined;
    if (wrapped?.mic && this.#mechanisms) {
      session.verify(this.#mechanisms, wrapped.mic);
      mic = session.sign(this.#mechanisms);
      session.resetCiphers();
    }
    if (!this.#isKeyRight(session.unseal(publicKeyAuth), nonce)) {
      return this.#refuse('the client sees another certificate: somebody is in between');
    }
    this.#user = user;
    this.#session = session;
    this.#stage = 'credentials';
    return this.#reply({
      token: wrapped ? encodeSpnegoCompleted(mic) : undefined,
      publicKeyAuth: session.seal(this.#keyProof(nonce)),
    });
  }

  #credentials({ authInfo }: TsRequest): CredSspStep {
    if (!authInfo || !this.#session || !this.#user) throw new PduError('CredSSP ends without credentials');
    const { domain, userName, password } = decodeCredentials(this.#session.unseal(authInfo));
    const { userName: provenName, domain: provenDomain } = this.#user;
    if (userName.toLowerCase() !== provenName.toLowerCase()) {
      return this.#refuse('the client logs on as somebody else than it has proven to be');
    }
    return { done: { domain: domain || provenDomain, userName: provenName, password } };
  }

  #reply(fields: Omit<TsRequest, 'version'>): CredSspStep {
    return { send: encodeTsRequest({ version: VERSION, ...fields }) };
  }

  #refuse(failed: string): CredSspStep {
    if (this.#version < FIRST_WITH_ERRORS) return { failed };
    return { send: encodeTsRequest({ version: VERSION, errorCode: STATUS_LOGON_FAILURE }), failed };
  }

  #isKeyRight(shown: Bytes, nonce: Bytes | undefined): boolean {
    const { publicKey } = this.#settings;
    const expected = this.#version < FIRST_WITH_HASHES ? publicKey : this.#bindingHash('Client-To-Server', nonce);
    return shown.length === expected.length && timingSafeEqual(shown, expected);
  }

  #keyProof(nonce: Bytes | undefined): Bytes {
    if (this.#version >= FIRST_WITH_HASHES) return this.#bindingHash('Server-To-Client', nonce);
    const next = Uint8Array.from(this.#settings.publicKey);
    next[0]++;
    return next;
  }

  #bindingHash(way: string, nonce: Bytes | undefined): Bytes {
    if (nonce?.length !== NONCE_BYTES) throw new PduError('CredSSP 5 and later need a nonce');
    const h = createHash('sha256').update(`CredSSP ${way} Binding Hash\0`, 'latin1').update(nonce);
    return h.update(this.#settings.publicKey).digest();
  }
}

/** TSCredentials with TSPasswordCreds, 2.2.1.2. */
function decodeCredentials(bytes: Bytes): { domain: string; userName: string; password: string } {
  const body = readBer(new PduReader(bytes), BER_TAG.sequence);
  const type = readBerInteger(readBer(body, contextTag(0)));
  if (type !== PASSWORD_CREDENTIALS) throw new PduError('only passwords are accepted as credentials', { type });
  const inner = readBer(readBer(body, contextTag(1)), BER_TAG.octetString);
  const fields = readBer(inner, BER_TAG.sequence);
  const text = (n: number): string => utf16Text(readBer(readBer(fields, contextTag(n)), BER_TAG.octetString).rest());
  return { domain: text(0), userName: text(1), password: text(2) };
}
