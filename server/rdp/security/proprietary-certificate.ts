/**
 * The server's key pair under standard RDP security and the certificate it is presented in.
 * Source: [MS-RDPBCGR] 2.2.1.4.3.1.1 (certificate), 5.3.3.1 (signing key and signature), 5.3.4 (client random).
 */
import { constants, createHash, createPrivateKey, generateKeyPair, type KeyObject, privateDecrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { PduError, PduWriter } from '../pdu/bytes.ts';

const KEY_BITS = 2048;
const VERSION_1 = 1;
const ALGORITHM_RSA = 1;
const BLOB = { rsaKey: 6, rsaSignature: 8 } as const;
const PADDING_BYTES = 8;
/** The Terminal Services signing key, which the specification publishes: it proves nothing, but clients may look. */
const SIGNING = {
  modulus:
    '3d3a5ebd72433ec94dbbc11e4aba5fcb3e882087eff5c1e2d7b76b9af2524595' +
    'ce63656b583afeef7ce7bffe3df65c7d6c5e06091af561bb2093095f056dea87',
  privateExponent:
    '87a71932da11875558001616256568f8243ee6fae9674994cf92cc3399e80860' +
    '179a129f24ddb12499c73ab80a7b0ddd350779170b519bb3c7100113e73ff35f',
} as const;

export interface StandardKey {
  readonly certificate: Uint8Array;
  /** @returns 32 bytes. @throws PduError */
  readonly decryptRandom: (encrypted: Uint8Array) => Uint8Array;
}

/** Makes a key pair; takes some hundred milliseconds of another thread. */
export async function generateStandardKey(): Promise<StandardKey> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: KEY_BITS, publicExponent: 65537 });
  return standardKey(createPrivateKey(privateKey.export({ type: 'pkcs1', format: 'pem' })));
}

export function standardKey(privateKey: KeyObject): StandardKey {
  const { n } = privateKey.export({ format: 'jwk' });
  const modulus = Buffer.from(n ?? '', 'base64url');
  return {
    certificate: encodeCertificate(modulus),
    decryptRandom: (encrypted) => {
      if (encrypted.length < modulus.length) throw new PduError('a client random is too short');
      const bigEndian = Uint8Array.from(encrypted.subarray(0, modulus.length)).reverse();
      let plain: Buffer;
      try {
        plain = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, bigEndian);
      } catch {
        throw new PduError('a client random cannot be decrypted');
      }
      return Uint8Array.from(plain).reverse().subarray(0, 32);
    },
  };
}

/** @param modulus big-endian */
function encodeCertificate(modulus: Uint8Array): Uint8Array {
  const bits = modulus.length * 8;
  const key = new PduWriter(512)
    .ascii('RSA1')
    .u32(modulus.length + PADDING_BYTES)
    .u32(bits);
  key.u32(bits / 8 - 1).u32(65537);
  key.bytes(Uint8Array.from(modulus).reverse()).zeros(PADDING_BYTES);
  const blob = key.done();
  const w = new PduWriter(1024).u32(VERSION_1).u32(ALGORITHM_RSA).u32(ALGORITHM_RSA);
  w.u16(BLOB.rsaKey).u16(blob.length).bytes(blob);
  const signed = w.done().slice();
  const signature = sign(signed);
  return new PduWriter(1024)
    .bytes(signed)
    .u16(BLOB.rsaSignature)
    .u16(signature.length + PADDING_BYTES)
    .bytes(signature)
    .zeros(PADDING_BYTES)
    .done();
}

/** 5.3.3.1.2: MD5, padded as the specification says, through the private exponent. */
function sign(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(64).fill(0xff);
  padded.set(createHash('md5').update(bytes).digest());
  padded[16] = 0;
  padded[62] = 1;
  padded[63] = 0;
  const value = power(fromLittle(padded), fromLittle(hex(SIGNING.privateExponent)), fromLittle(hex(SIGNING.modulus)));
  const out = new Uint8Array(64);
  for (let i = 0, left = value; i < out.length; i++, left >>= 8n) out[i] = Number(left & 0xffn);
  return out;
}

const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');
const fromLittle = (bytes: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(Uint8Array.from(bytes).reverse()).toString('hex')}`);

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let square = base % modulus, left = exponent; left > 0n; left >>= 1n, square = (square * square) % modulus) {
    if (left & 1n) result = (result * square) % modulus;
  }
  return result;
}
