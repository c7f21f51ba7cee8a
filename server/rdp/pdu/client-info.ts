/**
 * Who logs on, and with what.
 * Source: [MS-RDPBCGR] 2.2.1.11.1.1 (Info Packet), 2.2.1.11.1.1.1 (extended), 2.2.4.3 (auto-reconnect cookie).
 */
import { asciiText, PduError, type PduReader, utf16Text } from './bytes.ts';

/** flags */
export const INFO = { mouse: 1, autoLogon: 8, unicode: 0x10, compression: 0x80, noAudioPlayback: 0x8_0000 } as const;

export interface ClientInfo {
  readonly domain: string;
  readonly userName: string;
  readonly password: string;
  /** Bits of INFO. */
  readonly flags: number;
  /** Of a session that the client had before: which one, and 16 bytes that show it. */
  readonly reconnect: { readonly logonId: number; readonly verifier: Uint8Array } | undefined;
}

/** What a domain or a user's name has at most; names are kept for longer than their connection. */
const MAX_NAME_BYTES = 512;
const TIME_ZONE_BYTES = 172;
const COOKIE_BYTES = 28;

/** @param r behind the security header. @throws PduError */
export function decodeClientInfo(r: PduReader): ClientInfo {
  r.skip(4);
  const flags = r.u32();
  const isUnicode = (flags & INFO.unicode) !== 0;
  const lengths = Array.from({ length: 5 }, () => r.u16());
  // Lengths do not count the end marks; the limit does.
  const longest = Math.max(lengths[0], lengths[1]) + (isUnicode ? 2 : 1);
  if (longest > MAX_NAME_BYTES) throw new PduError('a client has too long a name', { length: longest });
  const [domain, userName, password] = lengths.map((length) => {
    const bytes = r.take(length + (isUnicode ? 2 : 1));
    return isUnicode ? utf16Text(bytes) : asciiText(bytes);
  });
  return { domain, userName, password, flags, reconnect: decodeReconnect(r) };
}

/** The last of the fields that clients from RDP 5 on may have. */
function decodeReconnect(r: PduReader): ClientInfo['reconnect'] {
  const skipText = (): void => r.skip(r.u16());
  if (r.remaining < 2 + 2) return undefined;
  r.skip(2);
  skipText();
  if (r.remaining < 2) return undefined;
  skipText();
  if (r.remaining < TIME_ZONE_BYTES + 8 + 2) return undefined;
  r.skip(TIME_ZONE_BYTES + 8);
  const length = r.u16();
  if (length === 0) return undefined;
  if (length !== COOKIE_BYTES) throw new PduError('a reconnect cookie has another length', { length });
  r.skip(8);
  return { logonId: r.u32(), verifier: r.take(16) };
}
