import { msfOf, PREGAP_SECTORS } from './cd-sector.ts';

/**
 * Parameter data of the commands that describe drive and disc.
 * Source: MMC-3 (T10/1363-D), clauses 5.3 and 6; SPC-3, 6.4 (INQUIRY); MMC-3, 6.24 (READ DVD STRUCTURE).
 *
 * Each encoder fills `into` from byte 0 (the caller has zeroed it) and returns how many bytes it made, before the
 * allocation length cuts them.
 */
export interface MmcIdentity {
  /** At most 8 ASCII characters. */
  readonly vendor: string;
  /** At most 16 ASCII characters. */
  readonly product: string;
  /** At most 4 ASCII characters. */
  readonly revision: string;
  /** At most 20 ASCII characters. */
  readonly serial: string;
}

/** Blocks an 80-minute-and-more disc can number in minutes: what is longer is a DVD. */
export const MAX_CD_BLOCKS: number = 99 * 60 * 75 + 59 * 75 + 74 - PREGAP_SECTORS;

export const PROFILE = { none: 0x0000, cdRom: 0x0008, dvdRom: 0x0010 } as const;

const LEAD_OUT = 0xaa;
/** ADR 1 (position), CONTROL 4 (data track). */
const DATA_TRACK = 0x14;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function ascii(into: Uint8Array, at: number, byteCount: number, text: string): void {
  for (let i = 0; i < byteCount; i++) {
    const code = i < text.length ? text.charCodeAt(i) : 0x20;
    into[at + i] = code < 0x20 || code > 0x7e ? 0x3f : code;
  }
}

export function profileOf(blockCount: number): number {
  if (blockCount === 0) return PROFILE.none;
  return blockCount > MAX_CD_BLOCKS ? PROFILE.dvdRom : PROFILE.cdRom;
}

export function encodeInquiry(into: Uint8Array, id: MmcIdentity): number {
  into[0] = 0x05; // CD/DVD device
  into[1] = 0x80; // removable
  into[3] = 0x21; // ATAPI version 2, response format 1
  into[4] = 36 - 5;
  ascii(into, 8, 8, id.vendor);
  ascii(into, 16, 16, id.product);
  ascii(into, 32, 4, id.revision);
  return 36;
}

/** Vital product data pages 00h, 80h and 83h; undefined for others. */
export function encodeVitalProductData(into: Uint8Array, page: number, id: MmcIdentity): number | undefined {
  into[0] = 0x05;
  into[1] = page;
  if (page === 0x00) {
    into.set([3, 0x00, 0x80, 0x83], 3);
    return 7;
  }
  if (page === 0x80) {
    into[3] = 20;
    ascii(into, 4, 20, id.serial);
    return 24;
  }
  if (page !== 0x83) return undefined;
  // One designator: T10 vendor identification, ASCII, for the logical unit.
  into[3] = 4 + 8 + 16 + 20;
  into[4] = 0x02;
  into[5] = 0x01;
  into[7] = 8 + 16 + 20;
  ascii(into, 8, 8, id.vendor);
  ascii(into, 16, 16, id.product);
  ascii(into, 32, 20, id.serial);
  return 52;
}

/** An address of READ TOC: absolute time, or a logical block. */
function address(into: DataView, at: number, lba: number, time: boolean): void {
  into.setUint32(at, time ? msfOf(Math.min(lba, MAX_CD_BLOCKS) + PREGAP_SECTORS) : lba, false);
}

/** Formats 0 (tracks) and 1 (sessions); undefined for a track that the disc has not. */
export function encodeToc(
  into: Uint8Array,
  format: 0 | 1,
  startTrack: number,
  time: boolean,
  blockCount: number,
): number | undefined {
  const v = view(into);
  if (format === 0 && startTrack > 1 && startTrack !== LEAD_OUT) return undefined;
  into[2] = 1;
  into[3] = 1;
  let at = 4;
  const entry = (track: number, lba: number): void => {
    into[at + 1] = DATA_TRACK;
    into[at + 2] = track;
    address(v, at + 4, lba, time);
    at += 8;
  };
  if (format === 1 || startTrack !== LEAD_OUT) entry(1, 0);
  if (format === 0) entry(LEAD_OUT, blockCount);
  v.setUint16(0, at - 2, false);
  return at;
}

/** Format 2: the Q sub-channel entries of the lead-in, always in absolute time. */
export function encodeRawToc(into: Uint8Array, blockCount: number): number {
  const v = view(into);
  into[2] = 1;
  into[3] = 1;
  let at = 4;
  const entry = (point: number, packed: number): void => {
    into[at] = 1;
    into[at + 1] = DATA_TRACK;
    into[at + 3] = point;
    v.setUint32(at + 7, packed, false);
    at += 11;
  };
  entry(0xa0, 0x010000); // first track, disc type 00 (CD-ROM)
  entry(0xa1, 0x010000); // last track
  entry(0xa2, msfOf(Math.min(blockCount, MAX_CD_BLOCKS) + PREGAP_SECTORS));
  entry(0x01, msfOf(PREGAP_SECTORS));
  v.setUint16(0, at - 2, false);
  return at;
}

/** READ SUB-CHANNEL format 1: where the head is. */
export function encodePosition(into: Uint8Array, lba: number, time: boolean): number {
  const v = view(into);
  v.setUint16(2, 12, false);
  into[4] = 0x01;
  into[5] = DATA_TRACK;
  into[6] = 1;
  into[7] = 1;
  address(v, 8, lba, time);
  v.setUint32(12, time ? msfOf(lba) : lba, false);
  return 16;
}

/** READ SUB-CHANNEL formats 2 (catalogue number) and 3 (ISRC): the disc carries neither. */
export function encodeNoCatalogue(into: Uint8Array, format: 2 | 3): number {
  into[3] = 20;
  into[4] = format;
  if (format === 3) into.set([DATA_TRACK, 1], 5);
  return 24;
}

/** READ DISC INFORMATION: one finished session with one track. */
export function encodeDiscInformation(into: Uint8Array): number {
  into[1] = 32;
  into[2] = 0x0e;
  into.fill(1, 3, 7);
  into[7] = 0x20; // unrestricted use
  into.fill(0xff, 16, 24);
  return 34;
}

export function encodeTrackInformation(into: Uint8Array, blockCount: number): number {
  const v = view(into);
  into[1] = 34;
  into[2] = 1;
  into[3] = 1;
  into[5] = 0x04; // data track, recorded uninterrupted
  into[6] = 0x01; // data mode 1
  v.setUint32(24, blockCount, false);
  return 36;
}

export function encodeMechanismStatus(into: Uint8Array, open: boolean, lba: number): number {
  if (open) into[1] = 0x10;
  into[2] = (lba >> 16) & 0xff;
  into[3] = (lba >> 8) & 0xff;
  into[4] = lba & 0xff;
  into[5] = 1;
  return 8;
}

/** Feature descriptors of GET CONFIGURATION: code, version byte's bits, which profiles make it current, data. */
interface Feature {
  readonly code: number;
  readonly version: number;
  readonly persistent: boolean;
  readonly current: (profile: number) => boolean;
  readonly data: (profile: number) => readonly number[];
}

const always = (): boolean => true;
const withDisc = (profile: number): boolean => profile !== PROFILE.none;

const FEATURES: readonly Feature[] = [
  {
    code: 0x0000, // profile list
    version: 0,
    persistent: true,
    current: always,
    data: (p) => [0, 0x10, p === PROFILE.dvdRom ? 1 : 0, 0, 0, 0x08, p === PROFILE.cdRom ? 1 : 0, 0],
  },
  // Core: ATAPI interface.
  { code: 0x0001, version: 0, persistent: true, current: always, data: () => [0, 0, 0, 2] },
  // Morphing: polled event notification only.
  { code: 0x0002, version: 0, persistent: true, current: always, data: () => [0, 0, 0, 0] },
  // Removable medium: tray, eject, lock.
  { code: 0x0003, version: 0, persistent: true, current: always, data: () => [0x29, 0, 0, 0] },
  // Random readable: 2048-byte blocks, one at a time, with the error recovery page.
  { code: 0x0010, version: 0, persistent: false, current: withDisc, data: () => [0, 0, 8, 0, 0, 1, 1, 0] },
  // Multi-read.
  { code: 0x001d, version: 0, persistent: false, current: (p) => p === PROFILE.cdRom, data: () => [] },
  // CD read.
  { code: 0x001e, version: 0, persistent: false, current: (p) => p === PROFILE.cdRom, data: () => [0, 0, 0, 0] },
  // DVD read.
  { code: 0x001f, version: 0, persistent: false, current: (p) => p === PROFILE.dvdRom, data: () => [] },
  // Power management.
  { code: 0x0100, version: 0, persistent: true, current: always, data: () => [] },
];

/** @param requested 0 all, 1 the current ones, 2 the one numbered `first` */
export function encodeConfiguration(into: Uint8Array, requested: number, first: number, profile: number): number {
  const v = view(into);
  v.setUint16(6, profile, false);
  let at = 8;
  for (const f of FEATURES) {
    const current = f.current(profile);
    if (f.code < first || (requested === 2 && f.code !== first) || (requested === 1 && !current)) continue;
    const data = f.data(profile);
    v.setUint16(at, f.code, false);
    into[at + 2] = (f.version << 2) | (f.persistent ? 2 : 0) | (current ? 1 : 0);
    into[at + 3] = data.length;
    into.set(data, at + 4);
    at += 4 + data.length;
  }
  v.setUint32(0, at - 4, false);
  return at;
}

/** READ DVD STRUCTURE formats 00h (physical), 01h (copyright), 04h (manufacturer); undefined for others. */
export function encodeDvdStructure(into: Uint8Array, format: number, blockCount: number): number | undefined {
  const v = view(into);
  let byteCount: number;
  if (format === 0x00) {
    byteCount = 4 + 2048;
    into[4] = 0x01; // DVD-ROM, version 1
    into[5] = 0x0f; // 120 mm, no maximum rate
    into[6] = 0x01; // one layer, embossed
    v.setUint32(8, 0x03_0000, false); // the data area starts at this physical sector
    v.setUint32(12, 0x03_0000 + blockCount - 1, false);
  } else if (format === 0x01) byteCount = 4 + 4;
  else if (format === 0x04) byteCount = 4 + 2048;
  else return undefined;
  v.setUint16(0, byteCount - 2, false);
  return byteCount;
}
