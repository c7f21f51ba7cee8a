/**
 * Standard RDP security: session keys from two random numbers, RC4, a keyed MAC, new keys every 4096 packets.
 * Source: [MS-RDPBCGR] 5.3.5 (keys), 5.3.6 (encryption and MAC), 5.3.7 (key update).
 * Not modelled: FIPS (3DES), which no client is offered.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { PduError } from '../pdu/bytes.ts';
import { ENCRYPTION_METHOD } from '../pdu/gcc.ts';
import { MAC_BYTES } from '../pdu/security-header.ts';
import { Rc4, rc4 } from './rc4.ts';

export const RANDOM_BYTES = 32;
const PACKETS_A_KEY = 4096;
const PAD_1: Uint8Array = new Uint8Array(40).fill(0x36);
const PAD_2: Uint8Array = new Uint8Array(48).fill(0x5c);
const SALT_40 = [0xd1, 0x26, 0x9e] as const;
const SALT_56 = [0xd1] as const;

type Bytes = Uint8Array;
const hash = (kind: 'md5' | 'sha1', ...parts: readonly Bytes[]): Bytes => {
  const h = createHash(kind);
  for (const part of parts) h.update(part);
  return h.digest();
};
const ascii = (text: string): Bytes => Buffer.from(text, 'latin1');

const METHODS_BY_PREFERENCE = [ENCRYPTION_METHOD.bits128, ENCRYPTION_METHOD.bits56, ENCRYPTION_METHOD.bits40];

/** The strongest method a client has; ENCRYPTION_METHOD.none when it has none that is supported. */
export const chooseMethod = (clientMethods: number): number =>
  METHODS_BY_PREFERENCE.find((method) => clientMethods & method) ?? ENCRYPTION_METHOD.none;

/** Makes a key as weak as its method says. */
function weakened(key: Bytes, method: number): Bytes {
  if (method === ENCRYPTION_METHOD.bits128) return key.slice(0, 16);
  const short = key.slice(0, 8);
  short.set(method === ENCRYPTION_METHOD.bits56 ? SALT_56 : SALT_40);
  return short;
}

/** One direction's key, renewed as it is used up. */
class Stream {
  readonly #first: Bytes;
  readonly #method: number;
  #key: Bytes;
  #cipher: Rc4;
  #uses = 0;
  /** Packets since the start, which salted MACs count. */
  count = 0;

  constructor(key: Bytes, method: number) {
    this.#first = key;
    this.#method = method;
    this.#key = key;
    this.#cipher = new Rc4(key);
  }

  apply(bytes: Bytes): void {
    if (this.#uses === PACKETS_A_KEY) this.#renew();
    this.#cipher.apply(bytes);
    this.#uses++;
    this.count++;
  }

  #renew(): void {
    const sha = hash('sha1', this.#first, PAD_1, this.#key);
    const temporary = hash('md5', this.#first, PAD_2, sha).subarray(0, this.#first.length);
    this.#key = weakened(rc4(temporary, temporary), this.#method);
    this.#cipher = new Rc4(this.#key);
    this.#uses = 0;
  }
}

export class StandardSecurity {
  readonly #macKey: Bytes;
  readonly #out: Stream;
  readonly #in: Stream;

  /**
   * @param clientRandom, serverRandom RANDOM_BYTES each
   * @param method of ENCRYPTION_METHOD, but neither none nor fips
   * @param side whose keys; default the server's
   */
  constructor(clientRandom: Bytes, serverRandom: Bytes, method: number, side: 'server' | 'client' = 'server') {
    const salted = (secret: Bytes, text: string): Bytes =>
      hash('md5', secret, hash('sha1', ascii(text), secret, clientRandom, serverRandom));
    const preMaster = Buffer.concat([clientRandom.subarray(0, 24), serverRandom.subarray(0, 24)]);
    const master = Buffer.concat(['A', 'BB', 'CCC'].map((text) => salted(preMaster, text)));
    const [mac, second, third] = ['X', 'YY', 'ZZZ'].map((text) => salted(master, text));
    const final = (key: Bytes): Bytes => weakened(hash('md5', key, clientRandom, serverRandom), method);
    this.#macKey = weakened(mac, method);
    const [toClient, toServer] = [new Stream(final(second), method), new Stream(final(third), method)];
    this.#out = side === 'server' ? toClient : toServer;
    this.#in = side === 'server' ? toServer : toClient;
  }

  /** Encrypts in place. @param isSalted the MAC counts packets. @returns the MAC, MAC_BYTES long */
  encrypt(bytes: Bytes, isSalted = false): Bytes {
    const mac = this.#mac(bytes, isSalted ? this.#out.count : undefined);
    this.#out.apply(bytes);
    return mac;
  }

  /** Decrypts in place. @throws PduError when the MAC is wrong */
  decrypt(mac: Bytes, bytes: Bytes, isSalted: boolean): void {
    const count = isSalted ? this.#in.count : undefined;
    this.#in.apply(bytes);
    if (!timingSafeEqual(mac, this.#mac(bytes, count))) throw new PduError('a packet has a wrong MAC');
  }

  #mac(bytes: Bytes, count: number | undefined): Bytes {
    const length = littleEndian(bytes.length);
    const extra = count === undefined ? new Uint8Array(0) : littleEndian(count);
    const sha = hash('sha1', this.#macKey, PAD_1, length, bytes, extra);
    return hash('md5', this.#macKey, PAD_2, sha).subarray(0, MAC_BYTES);
  }
}

function littleEndian(value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
