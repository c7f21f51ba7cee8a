// Addresses as numbers, bytes and text. Source: RFC 791, RFC 4291 2.2, RFC 5952 (text of IPv6), IEEE 802 (EUI-48).

import { hex, put16, put32, u16, u32 } from './bytes.ts';

/** An EUI-48 as a number below 2^48, so that it can be a map's key. */
export type Mac = number;
/** An IPv4 address as an unsigned 32-bit number. */
export type Ipv4 = number;
/** 4 bytes (IPv4) or 16 (IPv6). */
export type IpBytes = Uint8Array;

export const BROADCAST_MAC: Mac = 0xffff_ffff_ffff;

export const readMac = (b: Uint8Array, at: number): Mac => u16(b, at) * 0x1_0000_0000 + u32(b, at + 2);

export function writeMac(b: Uint8Array, at: number, mac: Mac): void {
  put16(b, at, Math.floor(mac / 0x1_0000_0000));
  put32(b, at + 2, mac % 0x1_0000_0000);
}

/** Broadcast or multicast: the first bit on the wire. */
export const isGroupMac = (mac: Mac): boolean => (Math.floor(mac / 0x100_0000_0000) & 1) === 1;

export function macBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6);
  writeMac(bytes, 0, mac);
  return bytes;
}

export const formatMac = (mac: Mac): string => hex(macBytes(mac), ':');

/** @returns undefined unless the text is six bytes with `:` or `-` between them, or twelve digits */
export function parseMac(text: string): Mac | undefined {
  const digits = /^([0-9a-f]{2}([:-]?)(?:[0-9a-f]{2}\2){4}[0-9a-f]{2})$/i.test(text) ? text.replace(/[:-]/g, '') : '';
  return digits.length === 12 ? Number.parseInt(digits, 16) : undefined;
}

export const formatIpv4 = (ip: Ipv4): string => `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;

/** @returns undefined unless the text is four decimal numbers without leading zeros */
export function parseIpv4(text: string): Ipv4 | undefined {
  const parts = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text);
  if (!parts) return undefined;
  const bytes = parts.slice(1).map(Number);
  return bytes.every((byte) => byte < 256) ? u32(Uint8Array.from(bytes), 0) : undefined;
}

export function ipv4Bytes(ip: Ipv4): IpBytes {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, ip);
  return bytes;
}

/** Text of 4 or 16 bytes. */
export const formatIp = (ip: IpBytes): string => (ip.length === 4 ? formatIpv4(u32(ip, 0)) : formatIpv6(ip));

/** Bytes of either kind of address. A zone (`%eth0`) is not part of an address. */
export function parseIp(text: string): IpBytes | undefined {
  const v4 = parseIpv4(text);
  return v4 === undefined ? parseIpv6(text) : ipv4Bytes(v4);
}

/** Source: RFC 5952, section 4: the first longest run of at least two zero groups is shortened. */
export function formatIpv6(ip: IpBytes): string {
  const groups = Array.from({ length: 8 }, (_, n) => u16(ip, n * 2));
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best.at < 0) return text(groups);
  return `${text(groups.slice(0, best.at))}::${text(groups.slice(best.at + best.length))}`;
}

export function parseIpv6(text: string): IpBytes | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const lists = halves.map((half, n) => (half === '' ? [] : groupsOf(half, n === halves.length - 1)));
  const [head, tail] = lists;
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const bytes = new Uint8Array(16);
  [...head, ...new Array<number>(Math.max(missing, 0)).fill(0), ...(tail ?? [])].forEach((group, n) => {
    put16(bytes, n * 2, group);
  });
  return bytes;
}

function groupsOf(text: string, mayEndInIpv4: boolean): number[] | undefined {
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [n, part] of parts.entries()) {
    const v4 = mayEndInIpv4 && n === parts.length - 1 ? parseIpv4(part) : undefined;
    if (v4 !== undefined) groups.push(v4 >>> 16, v4 & 0xffff);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** An IPv4 network: its address and prefix length. */
export interface Ipv4Network {
  readonly address: Ipv4;
  /** 0 to 32. */
  readonly prefix: number;
}

export const netmask = (prefix: number): Ipv4 => (prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0);
export const inNetwork = (ip: Ipv4, { address, prefix }: Ipv4Network): boolean =>
  ((ip ^ address) & netmask(prefix)) === 0;

/** `10.0.2.0/24`; host bits are cleared. */
export function parseIpv4Network(text: string): Ipv4Network | undefined {
  const [ip, length] = text.split('/');
  const address = parseIpv4(ip ?? '');
  const prefix = /^\d{1,2}$/.test(length ?? '') ? Number(length) : Number.NaN;
  if (address === undefined || !(prefix <= 32)) return undefined;
  return { address: (address & netmask(prefix)) >>> 0, prefix };
}
