/**
 * The server's side of NTLM, version 2 only.
 * Source: [MS-NLMP] 2.2 (messages), 3.3.2 (NTLM v2), 3.4 (session security); [MS-SPNG] for what wraps it elsewhere.
 * Not modelled: NTLMv1 and LM responses (refused), channel bindings, datagram mode.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { PduError, PduReader, PduWriter, utf16Text } from '../pdu/bytes.ts';
import { md4 } from './md4.ts';
import { Rc4, rc4 } from './rc4.ts';

type Bytes = Uint8Array;
const SIGNATURE = 'NTLMSSP\0';
const MESSAGE = { negotiate: 1, challenge: 2, authenticate: 3 } as const;
const FLAG = {
  unicode: 0x1,
  requestTarget: 0x4,
  sign: 0x10,
  seal: 0x20,
  ntlm: 0x200,
  alwaysSign: 0x8000,
  targetServer: 0x2_0000,
  extendedSecurity: 0x8_0000,
  targetInfo: 0x80_0000,
  version: 0x200_0000,
  bits128: 0x2000_0000,
  keyExchange: 0x4000_0000,
  bits56: 0x8000_0000,
} as const;
/** AV_PAIR ids, 2.2.2.1. */
const AV = { end: 0, computerName: 1, domainName: 2, dnsComputerName: 3, flags: 6, timestamp: 7 } as const;
const AV_HAS_MIC = 2;
const MIC_AT = 72;
const PROOF_BYTES = 16;
const FILETIME_1970_MS = 11_644_473_600_000;

const hmac = (key: Bytes, ...parts: readonly Bytes[]): Bytes => {
  const h = createHmac('md5', key);
  for (const part of parts) h.update(part);
  return h.digest();
};
const unicode = (text: string): Bytes => Buffer.from(text, 'utf16le');

/** How NT keeps a password: MD4 of its UTF-16. 16 bytes. */
export const ntHash = (password: string): Bytes => md4(unicode(password));

export interface NtlmUser {
  readonly domain: string;
  readonly userName: string;
}

export interface NtlmSettings {
  /** The server's name, as clients show it. */
  readonly serverName: string;
  readonly nowMs: () => number;
  /** @returns the NT hash of a user's password; undefined: no such user */
  readonly hashOf: (user: NtlmUser) => Bytes | undefined;
}

export class NtlmServer {
  readonly #settings: NtlmSettings;
  readonly #challenge: Bytes;
  #negotiateMessage: Bytes = new Uint8Array(0);
  #challengeMessage: Bytes = new Uint8Array(0);

  /** @param challenge 8 random bytes */
  constructor(settings: NtlmSettings, challenge: Bytes) {
    this.#settings = settings;
    this.#challenge = challenge;
  }

  /** @returns the challenge message. @throws PduError */
  challenge(negotiate: Bytes): Bytes {
    const flags = readHeader(negotiate, MESSAGE.negotiate).u32();
    if (!(flags & FLAG.extendedSecurity) || !(flags & FLAG.unicode)) {
      throw new PduError('a client offers only old kinds of NTLM', { flags });
    }
    const name = unicode(this.#settings.serverName.toUpperCase());
    const info = this.#targetInfo(name);
    const wanted =
      FLAG.unicode | FLAG.sign | FLAG.seal | FLAG.ntlm | FLAG.alwaysSign | FLAG.extendedSecurity | FLAG.version;
    const kept = flags & (wanted | FLAG.bits128 | FLAG.keyExchange | FLAG.bits56);
    const w = new PduWriter(256).ascii(SIGNATURE).u32(MESSAGE.challenge);
    w.u16(name.length).u16(name.length).u32(56);
    w.u32((kept | FLAG.requestTarget | FLAG.targetServer | FLAG.targetInfo) >>> 0);
    w.bytes(this.#challenge).zeros(8);
    w.u16(info.length)
      .u16(info.length)
      .u32(56 + name.length);
    // Version 10.0, NTLM revision 15.
    w.bytes([10, 0, 0, 0, 0, 0, 0, 15]).bytes(name).bytes(info);
    this.#negotiateMessage = Uint8Array.from(negotiate);
    this.#challengeMessage = w.done().slice();
    return this.#challengeMessage;
  }

  /**
   * @returns who it is and the keys of the session; undefined: wrong name or password
   * @throws PduError
   */
  authenticate(message: Bytes): { readonly user: NtlmUser; readonly session: NtlmSession } | undefined {
    const r = readHeader(message, MESSAGE.authenticate);
    const fields = Array.from({ length: 6 }, () => takeField(r, message));
    const [, response, domainBytes, userBytes, , encryptedKey] = fields;
    const flags = r.u32();
    const user = { domain: utf16Text(domainBytes), userName: utf16Text(userBytes) };
    if (response.length < PROOF_BYTES + 28) throw new PduError('a client answers with an old kind of NTLM');
    const proof = response.subarray(0, PROOF_BYTES);
    const blob = response.subarray(PROOF_BYTES);
    const hash = this.#settings.hashOf(user);
    // A user who does not exist costs the same time.
    const owf = hmac(hash ?? this.#challenge, unicode(user.userName.toUpperCase() + user.domain));
    const isRight = timingSafeEqual(proof, hmac(owf, this.#challenge, blob));
    if (!hash || !isRight) return undefined;
    const base = hmac(owf, proof);
    const hasOwnKey = (flags & FLAG.keyExchange) !== 0 && encryptedKey.length === 16;
    const key = hasOwnKey ? rc4(base, encryptedKey) : base;
    if (hasMic(blob) && !this.#isMicRight(key, message)) return undefined;
    return { user, session: new NtlmSession(key) };
  }

  #isMicRight(key: Bytes, message: Bytes): boolean {
    if (message.length < MIC_AT + 16) return false;
    const without = Uint8Array.from(message);
    without.fill(0, MIC_AT, MIC_AT + 16);
    const mic = hmac(key, this.#negotiateMessage, this.#challengeMessage, without);
    return timingSafeEqual(mic, message.subarray(MIC_AT, MIC_AT + 16));
  }

  #targetInfo(name: Bytes): Bytes {
    const w = new PduWriter(128);
    const dnsName = unicode(this.#settings.serverName.toLowerCase());
    w.u16(AV.domainName).u16(name.length).bytes(name);
    w.u16(AV.computerName).u16(name.length).bytes(name);
    w.u16(AV.dnsComputerName).u16(dnsName.length).bytes(dnsName);
    const time = BigInt(Math.round(this.#settings.nowMs() + FILETIME_1970_MS)) * 10_000n;
    w.u16(AV.timestamp)
      .u16(8)
      .u32(Number(time & 0xffff_ffffn))
      .u32(Number(time >> 32n));
    return w.u16(AV.end).u16(0).done();
  }
}

function readHeader(message: Bytes, type: number): PduReader {
  const r = new PduReader(message);
  const signature = r.take(8);
  if (Buffer.from(signature).toString('latin1') !== SIGNATURE) throw new PduError('this is no NTLM message');
  const found = r.u32();
  if (found !== type) throw new PduError('an NTLM message comes out of turn', { expected: type, found });
  return r;
}

function takeField(r: PduReader, message: Bytes): Bytes {
  const length = r.u16();
  r.skip(2);
  const at = r.u32();
  if (at + length > message.length) throw new PduError('an NTLM field lies outside its message', { at, length });
  return message.subarray(at, at + length);
}

/** @param blob NTLMv2_CLIENT_CHALLENGE, 2.2.2.7 */
function hasMic(blob: Bytes): boolean {
  const r = new PduReader(blob, 28);
  while (r.remaining >= 4) {
    const id = r.u16();
    const value = r.part(r.u16());
    if (id === AV.end) return false;
    if (id === AV.flags) return (value.u32() & AV_HAS_MIC) !== 0;
  }
  return false;
}

/** Session security with sealing and extended session security, 3.4. */
export class NtlmSession {
  readonly #out: Direction;
  readonly #in: Direction;

  /** @param side whose; default the server's */
  constructor(key: Bytes, side: 'server' | 'client' = 'server') {
    const toServer = new Direction(key, 'client-to-server');
    const toClient = new Direction(key, 'server-to-client');
    this.#out = side === 'server' ? toClient : toServer;
    this.#in = side === 'server' ? toServer : toClient;
  }

  /** @returns signature and encrypted message */
  seal(message: Bytes): Bytes {
    // Not slice: that of a Buffer is no copy.
    const sealed = Uint8Array.from(message);
    const signature = this.#out.sign(message, () => this.#out.cipher.apply(sealed));
    return Buffer.concat([signature, sealed]);
  }

  /** @throws PduError when the signature is wrong */
  unseal(bytes: Bytes): Bytes {
    if (bytes.length < 16) throw new PduError('a sealed message is too short');
    const message = Uint8Array.from(bytes.subarray(16));
    this.#in.cipher.apply(message);
    this.#check(message, bytes.subarray(0, 16));
    return message;
  }

  /** Signature of a message that is sent as it is. */
  sign(message: Bytes): Bytes {
    return this.#out.sign(message, () => {});
  }

  /** @throws PduError when it is wrong */
  verify(message: Bytes, signature: Bytes): void {
    this.#check(message, signature);
  }

  /** What SPNEGO does once its own signatures are exchanged; numbers go on. [MS-SPNG] 3.2.5.1. */
  resetCiphers(): void {
    this.#out.reset();
    this.#in.reset();
  }

  #check(message: Bytes, signature: Bytes): void {
    const expected = this.#in.sign(message, () => {});
    if (signature.length !== 16 || !timingSafeEqual(expected, signature)) {
      throw new PduError('a sealed message has a wrong signature');
    }
  }
}

class Direction {
  cipher: Rc4;
  readonly #signKey: Bytes;
  readonly #sealKey: Bytes;
  #sequence = 0;

  constructor(key: Bytes, way: 'client-to-server' | 'server-to-client') {
    const derived = (use: string): Bytes => {
      const h = createHash('md5').update(key);
      return h.update(`session key to ${way} ${use} key magic constant\0`, 'latin1').digest();
    };
    this.#signKey = derived('signing');
    this.#sealKey = derived('sealing');
    this.cipher = new Rc4(this.#sealKey);
  }

  reset(): void {
    this.cipher = new Rc4(this.#sealKey);
  }

  /** @param encrypt applies the cipher to the message, which comes before the signature */
  sign(message: Bytes, encrypt: () => void): Bytes {
    const number = new Uint8Array(4);
    new DataView(number.buffer).setUint32(0, this.#sequence++, true);
    encrypt();
    const checksum = Uint8Array.from(hmac(this.#signKey, number, message).subarray(0, 8));
    this.cipher.apply(checksum);
    return Buffer.concat([Uint8Array.of(1, 0, 0, 0), checksum, number]);
  }
}
