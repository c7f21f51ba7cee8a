/** A connection's layers below the sequences: security headers, MCS channels, X.224, fast path. */
import { PduError, type PduReader } from '../pdu/bytes.ts';
import { decodeFastPathInputHeader, encodeFastPathPacket, encodeFastPathUpdates } from '../pdu/fast-path.ts';
import { decodeFastPathInput, type InputEvent } from '../pdu/input.ts';
import { decodeDomainPdu, encodeSendDataIndication } from '../pdu/mcs.ts';
import { MAC_BYTES, readSecurityFlags, SEC } from '../pdu/security-header.ts';
import { encodeShareControl, encodeShareData } from '../pdu/share.ts';
import { decodeData, encodeData } from '../pdu/x224.ts';
import type { StandardSecurity } from '../security/standard-security.ts';

export const IO_CHANNEL_ID = 1003;
export const FIRST_CHANNEL_ID = 1004;
/** Who the server is in MCS and share PDUs. */
export const SERVER_CHANNEL_ID = 1002;
/** The one share there is. */
export const SHARE_ID = 0x0001_03ea;

/** Data of one MCS channel. */
export interface ChannelData {
  readonly channelId: number;
  /** Bits of SEC; 0 where there is no security header. */
  readonly flags: number;
  readonly payload: PduReader;
}

export class Link {
  /** With standard security, from the key exchange on. */
  security: StandardSecurity | undefined;
  userId = 0;
  readonly #send: (packet: Uint8Array) => void;

  /** @param send takes whole packets */
  constructor(send: (packet: Uint8Array) => void) {
    this.#send = send;
  }

  sendRaw(packet: Uint8Array): void {
    this.#send(packet);
  }

  /** An MCS PDU. */
  sendMcs(pdu: Uint8Array): void {
    this.#send(encodeData(pdu));
  }

  /**
   * To an MCS channel, encrypted where there are keys.
   * @param flags bits of SEC that ask for a security header even without encryption
   */
  sendToChannel(channelId: number, payload: Uint8Array, flags = 0): void {
    this.sendMcs(encodeSendDataIndication(SERVER_CHANNEL_ID, channelId, this.#secured(payload, flags)));
  }

  /** A share control PDU with another body than share data. */
  sendShareControl(type: number, body: Uint8Array): void {
    this.sendToChannel(IO_CHANNEL_ID, encodeShareControl(type, SERVER_CHANNEL_ID, body));
  }

  sendShareData(type: number, body: Uint8Array): void {
    this.sendToChannel(IO_CHANNEL_ID, encodeShareData(type, SHARE_ID, SERVER_CHANNEL_ID, body));
  }

  /** @param code of FAST_UPDATE */
  sendFastPath(code: number, body: Uint8Array): void {
    for (const part of encodeFastPathUpdates(code, body)) {
      const mac = this.security?.encrypt(part);
      this.#send(encodeFastPathPacket(part, mac));
    }
  }

  /** @param packet a whole fast-path packet. @throws PduError */
  receiveFastPath(packet: Uint8Array): InputEvent[] {
    const { eventCount, mac, isSalted, body } = decodeFastPathInputHeader(packet);
    if (this.security) {
      if (!mac) throw new PduError('a client that has keys sends plain input');
      this.security.decrypt(mac, body.bytes.subarray(body.at, body.end), isSalted);
    } else if (mac) throw new PduError('a client without keys encrypts');
    return decodeFastPathInput(body, eventCount);
  }

  /**
   * @param packet a whole TPKT packet
   * @param hasHeader a security header is there even without encryption
   * @returns undefined when the client says goodbye
   * @throws PduError
   */
  receiveData(packet: Uint8Array, hasHeader = false): ChannelData | undefined {
    const pdu = decodeDomainPdu(decodeData(packet));
    if (pdu.kind === 'disconnect') return undefined;
    if (pdu.kind !== 'data') throw new PduError('a client sends an MCS PDU at the wrong time', { pdu: pdu.kind });
    const { channelId, payload } = pdu;
    if (!this.security && !hasHeader) return { channelId, flags: 0, payload };
    const flags = readSecurityFlags(payload);
    if (this.security) this.#decrypt(flags, payload);
    return { channelId, flags, payload };
  }

  #decrypt(flags: number, payload: PduReader): void {
    if ((flags & SEC.encrypt) === 0) throw new PduError('a client that has keys does not encrypt');
    const mac = payload.take(MAC_BYTES);
    const body = payload.bytes.subarray(payload.at, payload.end);
    this.security?.decrypt(mac, body, (flags & SEC.secureChecksum) !== 0);
  }

  #secured(payload: Uint8Array, flags: number): Uint8Array {
    if (!this.security && flags === 0) return payload;
    const body = Uint8Array.from(payload);
    const mac = this.security?.encrypt(body) ?? new Uint8Array(0);
    const bytes = new Uint8Array(4 + mac.length + body.length);
    const all = flags | (this.security ? SEC.encrypt : 0);
    bytes[0] = all;
    bytes[1] = all >>> 8;
    bytes.set(mac, 4);
    bytes.set(body, 4 + mac.length);
    return bytes;
  }
}
