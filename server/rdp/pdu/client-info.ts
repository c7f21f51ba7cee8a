/** Who logs on, and with what. Source: [MS-RDPBCGR] 2.2.1.11.1.1 (Info Packet), 2.2.1.11.1.1.1 (extended). */
import { asciiText, type PduReader, utf16Text } from './bytes.ts';

/** flags */
export const INFO = { mouse: 1, autoLogon: 8, unicode: 0x10, compression: 0x80, noAudioPlayback: 0x8_0000 } as const;

export interface ClientInfo {
  readonly domain: string;
  readonly userName: string;
  readonly password: string;
  /** Bits of INFO. */
  readonly flags: number;
}

/** @param r behind the security header. @throws PduError */
export function decodeClientInfo(r: PduReader): ClientInfo {
  r.skip(4);
  const flags = r.u32();
  const isUnicode = (flags & INFO.unicode) !== 0;
  const lengths = Array.from({ length: 5 }, () => r.u16());
  // Lengths do not count the end marks.
  const [domain, userName, password] = lengths.map((length) => {
    const bytes = r.take(length + (isUnicode ? 2 : 1));
    return isUnicode ? utf16Text(bytes) : asciiText(bytes);
  });
  return { domain, userName, password, flags };
}
