/**
 * Generic conference control: settings of client and server in the MCS connect PDUs.
 * Source: [T.124] 8.7; [MS-RDPBCGR] 2.2.1.3.1 to 2.2.1.3.9 (client data blocks), 2.2.1.4.1 to 2.2.1.4.5 (server).
 * Not modelled: monitor attributes and multitransport blocks, which nothing here uses.
 */
import { readPerLength, writePerLength } from './ber.ts';
import { asciiText, PduError, type PduReader, PduWriter, utf16Text } from './bytes.ts';

const CLIENT_BLOCK = {
  core: 0xc001,
  security: 0xc002,
  network: 0xc003,
  cluster: 0xc004,
  monitor: 0xc005,
  messageChannel: 0xc006,
} as const;
const SERVER_BLOCK = { core: 0x0c01, security: 0x0c02, network: 0x0c03, messageChannel: 0x0c04 } as const;
/** T.124's object identifier { itu-t recommendation t 124 version(0) 1 }. */
const T124_KEY = [0x00, 0x05, 0x00, 0x14, 0x7c, 0x00, 0x01] as const;
const RDP_10_11 = 0x0008_0010;
const MAX_CHANNELS = 31;
const MAX_MONITORS = 16;

/** CS_CORE earlyCapabilityFlags. */
export const EARLY_CAPABILITY = {
  errorInfo: 1,
  want32Bpp: 2,
  monitorLayout: 0x40,
  networkAutoDetect: 0x80,
  graphicsPipeline: 0x100,
  dynamicTimeZone: 0x200,
} as const;

export interface ClientCore {
  /** 0x00080001: RDP 4; 0x00080004 and above: RDP 5 and later. */
  readonly version: number;
  readonly width: number;
  readonly height: number;
  /** Bits a pixel the client would like: 4, 8, 15, 16, 24 or 32. */
  readonly colorDepth: number;
  readonly keyboardLayout: number;
  readonly clientName: string;
  /** Bits of EARLY_CAPABILITY. */
  readonly earlyCapabilities: number;
  /** What the client believes was negotiated; undefined: it is too old to say. */
  readonly selectedProtocol: number | undefined;
}

export interface ClientChannel {
  readonly name: string;
  readonly options: number;
}

export interface ClientMonitor {
  /** Inclusive corners. */
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly isPrimary: boolean;
}

export interface ClientData {
  readonly core: ClientCore;
  /** Bits of ENCRYPTION_METHOD. */
  readonly encryptionMethods: number;
  readonly channels: readonly ClientChannel[];
  readonly monitors: readonly ClientMonitor[];
  /** It can have a channel for what belongs to no session: auto-detection. */
  readonly hasMessageChannel: boolean;
}

/** @param r at a conference create request. @throws PduError */
export function decodeConferenceCreateRequest(r: PduReader): ClientData {
  for (const byte of T124_KEY) if (r.u8() !== byte) throw new PduError('GCC data has an unknown key');
  const body = r.part(readPerLength(r));
  // ConferenceCreateRequest with user data; name "1"; one set; h221NonStandard with a key of 4 octets.
  body.skip(8);
  if (asciiText(body.take(4)) !== 'Duca') throw new PduError('GCC data is for another service');
  return decodeBlocks(body.part(readPerLength(body)));
}

function decodeBlocks(r: PduReader): ClientData {
  let core: ClientCore | undefined;
  let encryptionMethods = 0;
  let channels: readonly ClientChannel[] = [];
  let monitors: readonly ClientMonitor[] = [];
  let hasMessageChannel = false;
  while (r.remaining >= 4) {
    const type = r.u16();
    const length = r.u16();
    if (length < 4) throw new PduError('a GCC data block is too short', { type, length });
    const block = r.part(length - 4);
    if (type === CLIENT_BLOCK.core) core = decodeCore(block);
    else if (type === CLIENT_BLOCK.security) encryptionMethods = block.u32() || block.u32();
    else if (type === CLIENT_BLOCK.network) channels = decodeChannels(block);
    else if (type === CLIENT_BLOCK.monitor) monitors = decodeMonitors(block);
    else if (type === CLIENT_BLOCK.messageChannel) hasMessageChannel = true;
  }
  if (!core) throw new PduError('a client sent no core data');
  return { core, encryptionMethods, channels, monitors, hasMessageChannel };
}

const DEPTHS: Readonly<Record<number, number>> = { 51712: 4, 51713: 8, 51714: 15, 51715: 16, 51716: 24 };

/** Fields from `postBeta2ColorDepth` on may be missing, but not in the middle. */
function decodeCore(r: PduReader): ClientCore {
  const version = r.u32();
  const width = r.u16();
  const height = r.u16();
  const oldDepth = r.u16();
  r.skip(2);
  const keyboardLayout = r.u32();
  r.skip(4);
  const clientName = utf16Text(r.take(32));
  r.skip(12 + 64);
  const optional = (bytes: number, read: () => number): number => (r.remaining >= bytes ? read() : 0);
  const betaDepth = optional(2, () => r.u16());
  if (r.remaining >= 6) r.skip(6);
  const highDepth = optional(2, () => r.u16());
  optional(2, () => r.u16());
  const earlyCapabilities = optional(2, () => r.u16());
  if (r.remaining >= 66) r.skip(66);
  const selectedProtocol = r.remaining >= 4 ? r.u32() : undefined;
  const wants32 = (earlyCapabilities & EARLY_CAPABILITY.want32Bpp) !== 0;
  const colorDepth = wants32 ? 32 : highDepth || DEPTHS[betaDepth] || DEPTHS[oldDepth] || 8;
  return { version, width, height, colorDepth, keyboardLayout, clientName, earlyCapabilities, selectedProtocol };
}

function decodeChannels(r: PduReader): ClientChannel[] {
  const count = r.u32();
  if (count > MAX_CHANNELS) throw new PduError('a client asks for too many channels', { count });
  return Array.from({ length: count }, () => ({ name: asciiText(r.take(8)), options: r.u32() }));
}

function decodeMonitors(r: PduReader): ClientMonitor[] {
  r.skip(4);
  const count = r.u32();
  if (count > MAX_MONITORS) throw new PduError('a client has too many monitors', { count });
  return Array.from({ length: count }, () => ({
    left: r.u32() | 0,
    top: r.u32() | 0,
    right: r.u32() | 0,
    bottom: r.u32() | 0,
    isPrimary: (r.u32() & 1) !== 0,
  }));
}

/** [MS-RDPBCGR] 2.2.1.4.3: encryptionMethod and encryptionLevel. */
export const ENCRYPTION_METHOD = { none: 0, bits40: 1, bits128: 2, bits56: 8, fips: 0x10 } as const;
export const ENCRYPTION_LEVEL = { none: 0, low: 1, clientCompatible: 2, high: 3 } as const;

export interface ServerData {
  /** As the client asked in its connection request. */
  readonly requestedProtocols: number;
  readonly encryptionMethod: number;
  readonly encryptionLevel: number;
  /** 32 bytes; left out without encryption. */
  readonly random?: Uint8Array;
  readonly certificate?: Uint8Array;
  readonly ioChannelId: number;
  readonly channelIds: readonly number[];
  /** Undefined: there is none. */
  readonly messageChannelId?: number | undefined;
}

/** A conference create response. */
export function encodeConferenceCreateResponse(data: ServerData): Uint8Array {
  const blocks = encodeBlocks(data);
  const w = new PduWriter(blocks.length + 32).bytes(T124_KEY);
  // The length counts what [T.124] has behind it; clients expect this one byte whatever the blocks need.
  w.u8(0x2a);
  // ConferenceCreateResponse; node 31219; tag 1; success; one set; h221NonStandard "McDn".
  w.bytes([0x14, 0x76, 0x0a, 0x01, 0x01, 0x00, 0x01, 0xc0, 0x00]).ascii('McDn');
  return writePerLength(w, blocks.length).bytes(blocks).done();
}

function encodeBlocks(data: ServerData): Uint8Array {
  const { random, certificate, channelIds, messageChannelId } = data;
  const w = new PduWriter(512);
  w.u16(SERVER_BLOCK.core).u16(16).u32(RDP_10_11).u32(data.requestedProtocols).u32(0);
  const padding = channelIds.length & 1;
  w.u16(SERVER_BLOCK.network).u16(8 + (channelIds.length + padding) * 2);
  w.u16(data.ioChannelId).u16(channelIds.length);
  for (const id of channelIds) w.u16(id);
  w.zeros(padding * 2);
  if (messageChannelId !== undefined) w.u16(SERVER_BLOCK.messageChannel).u16(6).u16(messageChannelId);
  // Last, for rdesktop reads certificates to the end of all blocks.
  const isEncrypted = random !== undefined && certificate !== undefined;
  w.u16(SERVER_BLOCK.security).u16(12 + (isEncrypted ? 8 + random.length + certificate.length : 0));
  w.u32(data.encryptionMethod).u32(data.encryptionLevel);
  if (isEncrypted) w.u32(random.length).u32(certificate.length).bytes(random).bytes(certificate);
  return w.done();
}
