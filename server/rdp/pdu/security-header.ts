/** The header in front of PDUs that are, or may be, encrypted. Source: [MS-RDPBCGR] 2.2.8.1.1.2. */
import type { PduReader } from './bytes.ts';

/** 2.2.8.1.1.2.1, flags. */
export const SEC = {
  exchange: 0x0001,
  encrypt: 0x0008,
  info: 0x0040,
  license: 0x0080,
  licenseEncryptCs: 0x0200,
  secureChecksum: 0x0800,
  autoDetectRequest: 0x1000,
  autoDetectResponse: 0x2000,
} as const;
export const BASIC_HEADER_BYTES = 4;
export const MAC_BYTES = 8;

/** Takes the basic header. @returns bits of SEC */
export function readSecurityFlags(r: PduReader): number {
  const flags = r.u16();
  r.skip(2);
  return flags;
}
