/** The certificate TLS presents: the one that was configured, or one signed by itself, made at first use and kept. */
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { CodedError } from '#base/errors.ts';

export interface TlsIdentity {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
  /** PEM of the authority to hand out with it. */
  readonly authority: string | undefined;
  /** What CredSSP binds to: the contents of the certificate's public key BIT STRING. */
  readonly publicKey: Uint8Array;
}

const ALGORITHM = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  publicExponent: Uint8Array.of(1, 0, 1),
  modulusLength: 2048,
} as const;
const VALID_DAYS = 3650;
const DAY_MS = 86_400_000;

/** @throws CodedError<'bad-certificate'> */
export function tlsIdentity(certificate: string, privateKey: string, authority?: string): TlsIdentity {
  try {
    const x509 = new X509Certificate(certificate);
    if (!x509.checkPrivateKey(createPrivateKey(privateKey))) {
      throw new CodedError(
        'bad-certificate',
        'the private key does not belong to the certificate; give both of one pair',
      );
    }
    const publicKey = x509.publicKey.export({ type: 'pkcs1', format: 'der' });
    return { certificate, privateKey, authority, publicKey };
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CodedError(
      'bad-certificate',
      `the certificate or its key is of no use: ${why}; give PEM files with an RSA key`,
      {},
      cause,
    );
  }
}

/** Signed by itself, RSA with 2048 bits. */
export async function makeSelfSigned(name: string = hostname()): Promise<TlsIdentity> {
  // Only now: the library is large, it wants a polyfill, and most runs find their certificate made.
  await import('reflect-metadata');
  const { X509CertificateGenerator } = await import('@peculiar/x509');
  const crypto = webcrypto as unknown as Crypto;
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const now = Date.now();
  const generator = X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: [name] }],
      keys,
      signingAlgorithm: ALGORITHM,
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + VALID_DAYS * DAY_MS),
    },
    crypto,
  );
  const certificate = (await generator).toString('pem');
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return tlsIdentity(certificate, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
}

/** The one kept in a file, or a new one that is kept there, readable by its owner only. */
export async function keptSelfSigned(path: string): Promise<TlsIdentity> {
  if (existsSync(path)) {
    const pem = readFileSync(path, 'utf8');
    const end = pem.indexOf('-----BEGIN PRIVATE KEY-----');
    return tlsIdentity(pem.slice(0, Math.max(end, 0)), pem.slice(Math.max(end, 0)));
  }
  const identity = await makeSelfSigned();
  mkdirSync(dirname(path), { recursive: true });
  const unfinished = `${path}.${process.pid}.unfinished`;
  writeFileSync(unfinished, `${identity.certificate.trimEnd()}\n${identity.privateKey}`, { mode: 0o600 });
  renameSync(unfinished, path);
  return identity;
}
