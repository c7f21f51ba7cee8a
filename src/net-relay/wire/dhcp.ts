// DHCP and BOOTP messages. Source: RFC 2131 2 (message), RFC 2132 (options), RFC 3396 (long options).

import { type Ipv4, ipv4Bytes, type Mac, readMac, writeMac } from './address.ts';
import { put16, put32, u16, u32 } from './bytes.ts';

export const DHCP_PORT = { server: 67, client: 68 } as const;
export const DHCP_TYPE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;
export const DHCP_OPTION = {
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostName: 12,
  domainName: 15,
  mtu: 26,
  broadcast: 28,
  requestedAddress: 50,
  leaseTime: 51,
  overload: 52,
  messageType: 53,
  serverIdentifier: 54,
  parameterList: 55,
  message: 56,
  renewalTime: 58,
  rebindingTime: 59,
  vendorClass: 60,
  clientIdentifier: 61,
  tftpServer: 66,
  bootFile: 67,
} as const;

const MAGIC = 0x6382_5363;
const HEADER_BYTES = 240; // 236 /* BOOTP */ + 4 /* magic */
const MIN_BYTES = 300; // RFC 1542 2.1: some clients drop less.

export interface DhcpMessage {
  /** 1 request, 2 reply. */
  readonly operation: number;
  readonly transactionId: number;
  readonly seconds: number;
  readonly wantsBroadcast: boolean;
  readonly clientIp: Ipv4;
  readonly yourIp: Ipv4;
  readonly serverIp: Ipv4;
  readonly relayIp: Ipv4;
  readonly clientMac: Mac;
  /** At most 63 characters of Latin-1. */
  readonly serverName: string;
  /** At most 127 characters of Latin-1. */
  readonly bootFile: string;
  /** By code. */
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** @returns undefined unless it is a complete message for Ethernet */
export function decodeDhcp(b: Uint8Array): DhcpMessage | undefined {
  if (b.length < HEADER_BYTES || u32(b, 236) !== MAGIC || b[1] !== 1 || b[2] !== 6) return undefined;
  const options = new Map<number, Uint8Array>();
  if (!readOptions(b, HEADER_BYTES, b.length, options)) return undefined;
  const overload = options.get(DHCP_OPTION.overload)?.[0] ?? 0;
  if (overload & 1 && !readOptions(b, 108, 236, options)) return undefined;
  if (overload & 2 && !readOptions(b, 44, 108, options)) return undefined;
  options.delete(DHCP_OPTION.overload);
  return {
    operation: b[0],
    transactionId: u32(b, 4),
    seconds: u16(b, 8),
    wantsBroadcast: (b[10] & 0x80) !== 0,
    clientIp: u32(b, 12),
    yourIp: u32(b, 16),
    serverIp: u32(b, 20),
    relayIp: u32(b, 24),
    clientMac: readMac(b, 28),
    serverName: overload & 2 ? '' : text(b, 44, 64),
    bootFile: overload & 1 ? '' : text(b, 108, 128),
    options,
  };
}

function readOptions(b: Uint8Array, from: number, to: number, into: Map<number, Uint8Array>): boolean {
  for (let at = from; at < to; ) {
    const code = b[at++];
    if (code === 0) continue;
    if (code === 255) return true;
    const bytes = at < to ? b[at++] : 256;
    if (to < at + bytes) return false;
    const before = into.get(code);
    const value = b.slice(at, at + bytes);
    into.set(code, before ? Uint8Array.from([...before, ...value]) : value);
    at += bytes;
  }
  return true;
}

export function encodeDhcp(message: DhcpMessage): Uint8Array {
  const entries = [...message.options].flatMap(([code, value]) => splitOption(code, value));
  const optionBytes = entries.reduce((sum, value) => sum + value.length, 1);
  const b = new Uint8Array(Math.max(HEADER_BYTES + optionBytes, MIN_BYTES));
  b[0] = message.operation;
  b[1] = 1; // Ethernet.
  b[2] = 6;
  put32(b, 4, message.transactionId);
  put16(b, 8, message.seconds);
  b[10] = message.wantsBroadcast ? 0x80 : 0;
  put32(b, 12, message.clientIp);
  put32(b, 16, message.yourIp);
  put32(b, 20, message.serverIp);
  put32(b, 24, message.relayIp);
  writeMac(b, 28, message.clientMac);
  writeText(b, 44, 63, message.serverName);
  writeText(b, 108, 127, message.bootFile);
  put32(b, 236, MAGIC);
  let at = HEADER_BYTES;
  for (const entry of entries) {
    b.set(entry, at);
    at += entry.length;
  }
  b[at] = 255;
  return b;
}

function splitOption(code: number, value: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < value.length; at += 255) {
    const part = value.subarray(at, at + 255);
    parts.push(Uint8Array.from([code, part.length, ...part]));
  }
  return parts;
}

function text(b: Uint8Array, at: number, bytes: number): string {
  const end = b.indexOf(0, at);
  const to = end < 0 || at + bytes < end ? at + bytes : end;
  return String.fromCharCode(...b.subarray(at, to));
}

function writeText(b: Uint8Array, at: number, most: number, value: string): void {
  for (let n = 0; n < Math.min(value.length, most); n++) b[at + n] = value.charCodeAt(n);
}

/** Values of options. */
export const addressOption = (...ips: readonly Ipv4[]): Uint8Array =>
  Uint8Array.from(ips.flatMap((ip) => [...ipv4Bytes(ip)]));
export const textOption = (value: string): Uint8Array => Uint8Array.from(value, (c) => c.charCodeAt(0));
export function secondsOption(seconds: number): Uint8Array {
  return ipv4Bytes(seconds);
}
