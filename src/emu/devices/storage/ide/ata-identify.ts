import { type AtaGeometry, cylindersOf } from './ata-geometry.ts';
import type { TransferModes } from './ata-registers.ts';

/**
 * The 512 bytes of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE.
 * Source: ATA/ATAPI-6, 8.15 and 8.16. Word numbers below are the tables' own.
 */
export interface DriveIdentity {
  /** At most 40 ASCII characters. */
  readonly model: string;
  /** At most 20 ASCII characters. */
  readonly serial: string;
  /** At most 8 ASCII characters. */
  readonly firmware: string;
}

export interface AtaIdentifyFacts {
  readonly identity: DriveIdentity;
  readonly sectorCount: number;
  readonly geometry: AtaGeometry;
  /** The translation in use; 0 sectors when none. */
  readonly heads: number;
  readonly sectorsPerTrack: number;
  readonly maxMultiple: number;
  /** 0 when READ/WRITE MULTIPLE are off. */
  readonly multipleSectors: number;
  readonly modes: TransferModes;
  readonly writeCache: boolean;
  readonly lookAhead: boolean;
  readonly rotational: boolean;
  readonly position: 0 | 1;
}

export function encodeIdentifyDevice(into: Uint8Array, facts: AtaIdentifyFacts): void {
  const words = new DataView(into.buffer, into.byteOffset, 512);
  const set = (word: number, value: number): void => words.setUint16(word * 2, value, true);
  into.fill(0, 0, 512);
  const { geometry, heads, sectorsPerTrack, sectorCount } = facts;
  set(0, 0x0040);
  set(1, geometry.cylinders);
  set(3, geometry.heads);
  set(6, geometry.sectorsPerTrack);
  encodeIdentity(into, facts.identity);
  set(47, 0x8000 | facts.maxMultiple);
  set(49, 0x0f00); // DMA, LBA, IORDY supported and may be disabled
  set(50, 0x4000);
  set(51, 0x0200);
  set(53, 0x0007);
  const cylinders = cylindersOf(sectorCount, heads, sectorsPerTrack);
  const reach = cylinders * heads * sectorsPerTrack;
  set(54, cylinders);
  set(55, heads);
  set(56, sectorsPerTrack);
  set(57, reach & 0xffff);
  set(58, reach >>> 16);
  if (facts.multipleSectors > 0) set(59, 0x0100 | facts.multipleSectors);
  const lba28 = Math.min(sectorCount, 0x0fff_ffff);
  set(60, lba28 & 0xffff);
  set(61, lba28 >>> 16);
  encodeModes(words, facts.modes);
  set(80, 0x007e); // ATA-1 to ATA/ATAPI-6
  const switched = (facts.writeCache ? 1 << 5 : 0) | (facts.lookAhead ? 1 << 6 : 0);
  set(82, 0x4068); // NOP, look-ahead, write cache, power management
  set(83, 0x7400); // FLUSH CACHE (EXT), 48-bit addresses
  set(84, 0x4040); // WRITE ... FUA EXT
  set(85, 0x4008 | switched);
  set(86, 0x3400);
  set(87, 0x4040);
  // An 80-conductor cable; device number by jumper; diagnostics passed.
  set(93, facts.position === 0 ? 0x600b : 0x6b00);
  words.setUint32(200, sectorCount % 0x1_0000_0000, true);
  words.setUint32(204, Math.floor(sectorCount / 0x1_0000_0000), true);
  if (!facts.rotational) set(217, 1);
  encodeIntegrity(into);
}

export function encodeIdentifyPacketDevice(into: Uint8Array, identity: DriveIdentity, modes: TransferModes): void {
  const words = new DataView(into.buffer, into.byteOffset, 512);
  const set = (word: number, value: number): void => words.setUint16(word * 2, value, true);
  into.fill(0, 0, 512);
  // ATAPI, CD-ROM command set, removable, DRQ within 50 us of PACKET without an interrupt, 12-byte packets.
  set(0, 0x85c0);
  encodeIdentity(into, identity);
  set(49, 0x0f00);
  set(50, 0x4000);
  set(51, 0x0200);
  set(53, 0x0006);
  encodeModes(words, modes);
  set(80, 0x0070); // ATA/ATAPI-4 to 6
  set(82, 0x4218); // NOP, DEVICE RESET, PACKET, power management
  set(83, 0x4000);
  set(84, 0x4000);
  set(85, 0x4218);
  set(87, 0x4000);
  set(93, 0x6000);
  encodeIntegrity(into);
}

/** Words 10-19, 23-26 and 27-46. */
function encodeIdentity(into: Uint8Array, identity: DriveIdentity): void {
  encodeAscii(into, 20, 20, identity.serial);
  encodeAscii(into, 46, 8, identity.firmware);
  encodeAscii(into, 54, 40, identity.model);
}

/** Words 63-68 and 88: PIO 3-4, multiword DMA 0-2, Ultra DMA 0-5 and which one is selected. */
function encodeModes(words: DataView, modes: TransferModes): void {
  words.setUint16(63 * 2, 0x0007 | (modes.multiword >= 0 ? 0x100 << modes.multiword : 0), true);
  words.setUint16(64 * 2, 0x0003, true);
  for (let word = 65; word <= 68; word++) words.setUint16(word * 2, 120, true);
  words.setUint16(88 * 2, 0x003f | (modes.ultra >= 0 ? 0x100 << modes.ultra : 0), true);
}

/** ATA strings hold the first character of each pair in the high byte, and are padded with spaces. */
function encodeAscii(into: Uint8Array, at: number, byteCount: number, text: string): void {
  for (let i = 0; i < byteCount; i++) {
    const code = i < text.length ? text.charCodeAt(i) : 0x20;
    into[at + (i ^ 1)] = code < 0x20 || code > 0x7e ? 0x3f : code;
  }
}

/** Word 255: the sum of all bytes is zero. */
function encodeIntegrity(into: Uint8Array): void {
  into[510] = 0xa5;
  let sum = 0;
  for (let i = 0; i < 511; i++) sum += into[i];
  into[511] = -sum & 0xff;
}
