import { CodedError } from '#base/errors.ts';
import type { BlockPort, BlockStatus } from '#emu/host/block.ts';
import { encodeMode1, PREGAP_SECTORS, RAW_SECTOR_BYTES, SECTORS_PER_SECOND, USER_DATA_BYTES } from './cd-sector.ts';
import { CdTray, type CdTrayParts } from './cd-tray.ts';
import { SCSI_STATUS, type ScsiLogicalUnit, type ScsiPhase } from './logical-unit.ts';
import { IGNORES_ATTENTION, NEEDS_DISC, OP } from './mmc-commands.ts';
import { ModePages } from './mmc-mode-pages.ts';
import * as respond from './mmc-responses.ts';
import { type MmcCdromState, noRead } from './mmc-state.ts';
import { encodeFixedSense, FIXED_SENSE_BYTES, SENSE, type Sense } from './sense.ts';

/**
 * A CD/DVD reader as a logical unit: the command set of ATAPI and SCSI CD-ROM drives.
 * Source: MMC-3 (T10/1363-D), clauses 5 and 6; SPC-3 (T10/1416-D), clause 6.
 * Not modelled: audio tracks and play commands, mode 2 and multi-session discs, writing, sub-channel data of READ CD,
 * C2 pointers, asynchronous events, seek and rotation time. Their commands and fields are ILLEGAL REQUEST.
 *
 * The disc is one data track. Blocks are 2048 bytes: four sectors of the port.
 */
const PORT_SECTORS = 4;
/** One request to the medium; as raw sectors it still fits 64 KB. */
const CHUNK_BLOCKS = 27;
const BUFFER_BYTES = 65536;

export interface MmcCdromParts extends CdTrayParts {
  readonly identity: respond.MmcIdentity;
  readonly activity?: (kind: 'read') => void;
}

export type { MmcCdromState } from './mmc-state.ts';

export class MmcCdrom implements ScsiLogicalUnit {
  onPhase: () => void = () => {};
  readonly #parts: MmcCdromParts;
  readonly #tray: CdTray;
  readonly #modePages = new ModePages();
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #cdb = new Uint8Array(16);
  readonly #cdbView = new DataView(this.#cdb.buffer);
  #phase: ScsiPhase = 'idle';
  #position = 0;
  #end = 0;
  #status: number = SCSI_STATUS.good;
  #sense: Sense = SENSE.noSense;
  #pending: Sense = SENSE.noSense;
  #headLba = 0;
  readonly #read = noRead();
  #outstanding = false;
  /** The command was aborted while its request was outstanding: the answer is dropped. */
  #orphaned = false;

  /** What each operation code does; those missing are invalid. */
  readonly #commands: Readonly<Record<number, (cdb: Uint8Array, view: DataView) => void>> = {
    [OP.testUnitReady]: () => this.#good(),
    [OP.setCdSpeed]: () => this.#good(),
    [OP.requestSense]: () => this.#requestSense(),
    [OP.inquiry]: () => this.#inquiry(),
    [OP.modeSense6]: (c) => this.#modeSense(4, c[4]),
    [OP.modeSense10]: (_, v) => this.#modeSense(8, v.getUint16(7)),
    [OP.modeSelect6]: (c) => this.#modeSelect(c[4]),
    [OP.modeSelect10]: (_, v) => this.#modeSelect(v.getUint16(7)),
    [OP.startStopUnit]: () => this.#startStopUnit(),
    [OP.preventAllow]: (c) => {
      this.#tray.lock((c[4] & 1) !== 0);
      this.#good();
    },
    [OP.getConfiguration]: (c, v) => {
      const profile = respond.profileOf(this.#blockCount);
      this.#data(respond.encodeConfiguration(this.#buffer, c[1] & 3, v.getUint16(2), profile), v.getUint16(7));
    },
    [OP.getEventStatusNotification]: () => this.#getEventStatus(),
    [OP.mechanismStatus]: (_, v) =>
      this.#data(respond.encodeMechanismStatus(this.#buffer, this.#tray.open, this.#headLba), v.getUint16(8)),
    [OP.readCd]: (c, v) => this.#readCd(v.getUint32(2), (c[6] << 16) | (c[7] << 8) | c[8]),
    [OP.readCdMsf]: () => this.#readCdMsf(),
    [OP.read10]: (_, v) => this.#readBlocks(v.getUint32(2), v.getUint16(7)),
    [OP.read12]: (_, v) => this.#readBlocks(v.getUint32(2), v.getUint32(6)),
    [OP.readCapacity]: () => this.#readCapacity(),
    [OP.seek10]: (_, v) => this.#seek(v.getUint32(2)),
    [OP.readToc]: () => this.#readToc(),
    [OP.readSubChannel]: () => this.#readSubChannel(),
    [OP.readDiscInformation]: (_, v) => this.#data(respond.encodeDiscInformation(this.#buffer), v.getUint16(7)),
    [OP.readTrackInformation]: () => this.#readTrackInformation(),
    [OP.readDvdStructure]: (c, v) => {
      const isDvd = respond.profileOf(this.#blockCount) === respond.PROFILE.dvdRom;
      const made = isDvd ? respond.encodeDvdStructure(this.#buffer, c[7], this.#blockCount) : undefined;
      this.#dataOrInvalid(made, v.getUint16(8));
    },
  };

  /** @throws CodedError<'bad-medium'> for a disc smaller than one block. */
  constructor(parts: MmcCdromParts) {
    this.#parts = parts;
    this.#tray = new CdTray(parts);
    this.#tray.reset();
  }

  get phase(): ScsiPhase {
    return this.#phase;
  }

  get window(): Uint8Array {
    return this.#buffer.subarray(this.#position, this.#end);
  }

  get remainingBytes(): number {
    const { remainingBlocks, chunkBlocks, from, to } = this.#read;
    return this.#end - this.#position + Math.max(0, remainingBlocks - chunkBlocks) * (to - from);
  }

  get status(): number {
    return this.#status;
  }

  get sense(): Sense {
    return this.#sense;
  }

  get idle(): boolean {
    return !this.#outstanding;
  }

  /** The tray is open. */
  get trayOpen(): boolean {
    return this.#tray.open;
  }

  /** The guest has locked the door. */
  get locked(): boolean {
    return this.#tray.locked;
  }

  /** See `CdTray.insert`. */
  insert(disc: BlockPort | undefined, force = false): boolean {
    return this.#tray.insert(disc, force);
  }

  /** See `CdTray.eject`. */
  eject(force: boolean): boolean {
    return this.#tray.eject(force);
  }

  /** See `CdTray.close`. */
  closeTray(): void {
    this.#tray.close();
  }

  start(cdb: Uint8Array): void {
    if (this.#phase !== 'idle') return;
    this.#cdb.fill(0);
    this.#cdb.set(cdb.subarray(0, 16));
    this.#phase = 'busy';
    this.#position = 0;
    this.#end = 0;
    Object.assign(this.#read, noRead());
    // An aborted command's request still writes to the buffer: this one starts when it is back.
    if (!this.#outstanding) this.#execute();
  }

  moved(byteCount: number): void {
    if (this.#phase !== 'data-in' && this.#phase !== 'data-out') return;
    this.#position = Math.min(this.#position + byteCount, this.#end);
    if (this.#position < this.#end) return;
    if (this.#phase === 'data-out') {
      this.#phase = 'busy';
      this.#modeSelected();
      return;
    }
    this.#phase = 'busy';
    const r = this.#read;
    r.lba += r.chunkBlocks;
    r.remainingBlocks -= r.chunkBlocks;
    if (r.failed) this.#fail({ ...SENSE.unrecoveredReadError, information: r.lba });
    else if (r.remainingBlocks > 0) this.#readChunk();
    else this.#good();
  }

  statusTaken(): void {
    if (this.#phase === 'status') this.#phase = 'idle';
  }

  abort(): void {
    this.#phase = 'idle';
    this.#position = 0;
    this.#end = 0;
    this.#orphaned = this.#outstanding;
  }

  reset(): void {
    this.abort();
    this.#pending = SENSE.noSense;
    this.#sense = SENSE.noSense;
    this.#status = SCSI_STATUS.good;
    this.#headLba = 0;
    this.#modePages.reset();
    this.#tray.reset();
  }

  /** @throws CodedError<'busy'> while a block request is outstanding: wait for `idle`. */
  save(): MmcCdromState {
    if (this.#outstanding) throw new CodedError('busy', 'a disc request is outstanding: save when the drive is idle');
    return {
      tray: this.#tray.save(),
      modePages: this.#modePages.save(),
      phase: this.#phase,
      cdb: this.#cdb.slice(),
      buffer: this.#buffer.slice(0, this.#end),
      position: this.#position,
      end: this.#end,
      status: this.#status,
      sense: { ...this.#sense },
      pending: { ...this.#pending },
      headLba: this.#headLba,
      read: { ...this.#read },
    };
  }

  restore(state: MmcCdromState): void {
    this.#tray.restore(state.tray);
    this.#modePages.restore(state.modePages);
    this.#phase = state.phase;
    this.#cdb.set(state.cdb);
    this.#buffer.set(state.buffer);
    this.#position = state.position;
    this.#end = state.end;
    this.#status = state.status;
    this.#sense = state.sense;
    this.#pending = state.pending;
    this.#headLba = state.headLba;
    Object.assign(this.#read, state.read);
  }

  get #blockCount(): number {
    const disc = this.#tray.readable;
    return disc ? Math.floor(disc.sectorCount / PORT_SECTORS) : 0;
  }

  #execute(): void {
    const opcode = this.#cdb[0];
    if (opcode !== OP.requestSense) this.#pending = SENSE.noSense;
    const attention = this.#tray.attention;
    if (attention && !IGNORES_ATTENTION.has(opcode)) {
      this.#tray.clearAttention();
      this.#fail(attention);
      return;
    }
    const notReady = NEEDS_DISC.has(opcode) ? this.#tray.notReady : undefined;
    if (notReady) {
      this.#fail(notReady);
      return;
    }
    this.#buffer.fill(0, 0, 4096);
    const command = this.#commands[opcode];
    if (command) command(this.#cdb, this.#cdbView);
    else this.#fail(SENSE.invalidOpcode);
  }

  #readCapacity(): void {
    new DataView(this.#buffer.buffer).setUint32(0, this.#blockCount - 1);
    this.#buffer[6] = USER_DATA_BYTES >> 8;
    this.#data(8, 8);
  }

  #seek(lba: number): void {
    if (lba >= this.#blockCount) {
      this.#fail(SENSE.lbaOutOfRange);
      return;
    }
    this.#headLba = lba;
    this.#good();
  }

  #requestSense(): void {
    let sense = this.#pending;
    this.#pending = SENSE.noSense;
    const attention = this.#tray.attention;
    if (sense.key === 0 && attention) {
      sense = attention;
      this.#tray.clearAttention();
    }
    encodeFixedSense(this.#buffer, sense);
    this.#data(FIXED_SENSE_BYTES, this.#cdb[4]);
  }

  #inquiry(): void {
    const [, flags, page, , allocation] = this.#cdb;
    const { identity } = this.#parts;
    if (flags & 1) {
      this.#dataOrInvalid(respond.encodeVitalProductData(this.#buffer, page, identity), allocation);
      return;
    }
    if (page !== 0) {
      this.#fail(SENSE.invalidFieldInCdb);
      return;
    }
    this.#data(respond.encodeInquiry(this.#buffer, identity), allocation);
  }

  #modeSense(headerBytes: 4 | 8, allocation: number): void {
    const page = this.#cdb[2];
    const encoded = this.#modePages.encode(this.#buffer, headerBytes, page & 0x3f, page >> 6, this.#tray.locked);
    if (typeof encoded !== 'number') {
      this.#fail(encoded);
      return;
    }
    const byteCount = headerBytes + encoded;
    // Medium type: door open, no disc, or a 120 mm data disc.
    const medium = this.#tray.open ? 0x71 : this.#tray.readable ? 0x01 : 0x70;
    if (headerBytes === 4) this.#buffer.set([byteCount - 1, medium], 0);
    else this.#buffer.set([(byteCount - 2) >> 8, (byteCount - 2) & 0xff, medium], 0);
    this.#data(byteCount, allocation);
  }

  #modeSelect(listBytes: number): void {
    if (!(this.#cdb[1] & 0x10) || this.#cdb[1] & 1) {
      this.#fail(SENSE.invalidFieldInCdb);
      return;
    }
    if (listBytes === 0) {
      this.#good();
      return;
    }
    this.#position = 0;
    this.#end = listBytes;
    // The list is bounded by its 16-bit length, so it fits the buffer.
    this.#enter('data-out');
  }

  #modeSelected(): void {
    const list = this.#buffer.subarray(0, this.#end);
    const refused = this.#modePages.select(list, this.#cdb[0] === OP.modeSelect6 ? 4 : 8);
    if (refused) this.#fail(refused);
    else this.#good();
  }

  #startStopUnit(): void {
    const control = this.#cdb[4];
    // A power condition, when given, takes the place of Start and LoEj.
    if (control >> 4 || !(control & 2)) {
      this.#good();
      return;
    }
    if (control & 1) {
      this.#tray.close();
      this.#good();
      return;
    }
    const refused = this.#tray.guestEject();
    if (refused) this.#fail(refused);
    else this.#good();
  }

  #getEventStatus(): void {
    const c = this.#cdb;
    if (!(c[1] & 1)) {
      this.#fail(SENSE.invalidFieldInCdb);
      return;
    }
    const b = this.#buffer;
    const MEDIA_CLASS = 4;
    b[3] = 1 << MEDIA_CLASS;
    const wanted = (c[4] & (1 << MEDIA_CLASS)) !== 0;
    b[1] = wanted ? 6 : 2;
    b[2] = wanted ? MEDIA_CLASS : 0x80;
    const allocation = this.#cdbView.getUint16(7);
    if (wanted) {
      // An event that the allocation length cuts off is not consumed.
      if (allocation > 4) b[4] = this.#tray.nextEvent();
      b[5] = (this.#tray.open ? 1 : 0) | (this.#tray.readable ? 2 : 0);
    }
    this.#data(wanted ? 8 : 4, allocation);
  }

  #readToc(): void {
    const c = this.#cdb;
    const b = this.#buffer;
    // ATAPI drives before MMC had the format in the two top bits of the control byte.
    const format = c[2] & 0x0f || c[9] >> 6;
    const allocation = this.#cdbView.getUint16(7);
    const time = (c[1] & 2) !== 0;
    if (format === 0 || format === 1) {
      this.#dataOrInvalid(respond.encodeToc(b, format, c[6], time, this.#blockCount), allocation);
      return;
    }
    if (format === 2) {
      this.#data(respond.encodeRawToc(b, this.#blockCount), allocation);
      return;
    }
    this.#fail(SENSE.invalidFieldInCdb);
  }

  #readSubChannel(): void {
    const c = this.#cdb;
    const b = this.#buffer;
    const allocation = this.#cdbView.getUint16(7);
    if (!(c[2] & 0x40)) {
      this.#data(4, allocation);
      return;
    }
    if (c[3] === 1) {
      this.#data(respond.encodePosition(b, this.#headLba, (c[1] & 2) !== 0), allocation);
      return;
    }
    if (c[3] === 2 || c[3] === 3) {
      this.#data(respond.encodeNoCatalogue(b, c[3]), allocation);
      return;
    }
    this.#fail(SENSE.invalidFieldInCdb);
  }

  #readTrackInformation(): void {
    const kind = this.#cdb[1] & 3;
    const number = this.#cdbView.getUint32(2);
    const known = kind === 0 ? number < this.#blockCount : kind < 3 && number === 1;
    if (!known) {
      this.#fail(SENSE.invalidFieldInCdb);
      return;
    }
    this.#data(respond.encodeTrackInformation(this.#buffer, this.#blockCount), this.#cdbView.getUint16(7));
  }

  #readCdMsf(): void {
    const c = this.#cdb;
    const sector = (at: number): number => (c[at] * 60 + c[at + 1]) * SECTORS_PER_SECOND + c[at + 2] - PREGAP_SECTORS;
    const first = sector(3);
    const end = sector(6);
    if (first < 0) {
      this.#fail(SENSE.lbaOutOfRange);
      return;
    }
    if (end < first) {
      this.#fail(SENSE.invalidFieldInCdb);
      return;
    }
    this.#readCd(first, end - first);
  }

  /** READ CD: which parts of the raw sector, which must be neighbours, leave the drive. */
  #readCd(lba: number, blockCount: number): void {
    const c = this.#cdb;
    const expectedType = (c[1] >> 2) & 7;
    if (expectedType !== 0 && expectedType !== 2) {
      this.#fail(SENSE.illegalModeForThisTrack);
      return;
    }
    // C2 pointers and sub-channels.
    if (c[9] & 0x06 || c[10] & 7) {
      this.#fail(SENSE.invalidFieldInCdb);
      return;
    }
    // Sync, header, user data, EDC and ECC; mode 1 has no sub-header.
    const ends = [0, 12, 16, 2064, RAW_SECTOR_BYTES];
    const asked = [c[9] & 0x80, c[9] & 0x20, c[9] & 0x10, c[9] & 0x08].map(Boolean);
    const first = asked.indexOf(true);
    const last = asked.lastIndexOf(true);
    if (first < 0) {
      this.#good();
      return;
    }
    if (asked.slice(first, last + 1).includes(false)) {
      this.#fail(SENSE.invalidFieldInCdb);
      return;
    }
    this.#readBlocks(lba, blockCount, ends[first], ends[last + 1]);
  }

  #readBlocks(lba: number, blockCount: number, from = 16, to = 16 + USER_DATA_BYTES): void {
    if (lba + blockCount > this.#blockCount || lba >= this.#blockCount) {
      this.#fail(SENSE.lbaOutOfRange);
      return;
    }
    const r = this.#read;
    r.lba = lba;
    r.remainingBlocks = blockCount;
    r.from = from;
    r.to = to;
    if (blockCount === 0) this.#good();
    else this.#readChunk();
  }

  #readChunk(): void {
    const r = this.#read;
    const notReady = this.#tray.notReady;
    if (notReady) {
      this.#fail(notReady);
      return;
    }
    r.chunkBlocks = Math.min(r.remainingBlocks, CHUNK_BLOCKS);
    r.servedBlocks = 0;
    r.single = false;
    r.failed = false;
    this.#askMedium();
  }

  #askMedium(): void {
    const r = this.#read;
    const disc = this.#tray.readable;
    if (!disc || (r.lba + r.chunkBlocks) * PORT_SECTORS > disc.sectorCount) {
      this.#fail(this.#tray.notReady ?? SENSE.lbaOutOfRange);
      return;
    }
    const from = r.servedBlocks * USER_DATA_BYTES;
    const to = (r.single ? r.servedBlocks + 1 : r.chunkBlocks) * USER_DATA_BYTES;
    this.#outstanding = true;
    this.#parts.activity?.('read');
    disc.submit({
      kind: 'read',
      sector: (r.lba + r.servedBlocks) * PORT_SECTORS,
      bytes: this.#buffer.subarray(from, to),
      done: (status) => this.#mediumDone(status, (to - from) / USER_DATA_BYTES),
    });
  }

  #mediumDone(status: BlockStatus, blocks: number): void {
    if (!this.#outstanding) return;
    this.#outstanding = false;
    if (this.#orphaned) {
      this.#orphaned = false;
      if (this.#phase === 'busy') this.#execute();
      return;
    }
    const r = this.#read;
    if (status === 'ok') {
      r.servedBlocks += blocks;
      if (r.servedBlocks < r.chunkBlocks) this.#askMedium();
      else this.#chunkServed();
    } else if (blocks > 1) {
      r.single = true;
      this.#askMedium();
    } else {
      // The blocks before the bad one still go to the host.
      r.failed = true;
      r.chunkBlocks = r.servedBlocks;
      if (r.servedBlocks > 0) this.#chunkServed();
      else this.#fail({ ...SENSE.unrecoveredReadError, information: r.lba });
    }
  }

  #chunkServed(): void {
    const r = this.#read;
    const blockBytes = r.to - r.from;
    if (r.from !== 16 || blockBytes !== USER_DATA_BYTES) this.#cutRawSectors();
    this.#headLba = r.lba + r.chunkBlocks - 1;
    this.#position = 0;
    this.#end = r.chunkBlocks * blockBytes;
    this.#enter('data-in');
  }

  /** Turns the chunk's user data into the parts of raw sectors asked for. */
  #cutRawSectors(): void {
    const r = this.#read;
    const b = this.#buffer;
    const sector = new Uint8Array(RAW_SECTOR_BYTES);
    const userData = b.slice(0, r.chunkBlocks * USER_DATA_BYTES);
    for (let i = 0; i < r.chunkBlocks; i++) {
      sector.set(userData.subarray(i * USER_DATA_BYTES, (i + 1) * USER_DATA_BYTES), 16);
      encodeMode1(sector, 0, r.lba + i);
      b.set(sector.subarray(r.from, r.to), i * (r.to - r.from));
    }
  }

  #dataOrInvalid(byteCount: number | undefined, allocation: number): void {
    if (byteCount === undefined) this.#fail(SENSE.invalidFieldInCdb);
    else this.#data(byteCount, allocation);
  }

  /** Sends the start of the buffer, cut to the allocation length. */
  #data(byteCount: number, allocation: number): void {
    this.#position = 0;
    this.#end = Math.min(byteCount, allocation);
    if (this.#end === 0) this.#good();
    else this.#enter('data-in');
  }

  #good(): void {
    this.#status = SCSI_STATUS.good;
    this.#sense = SENSE.noSense;
    this.#enter('status');
  }

  #fail(sense: Sense): void {
    this.#status = SCSI_STATUS.checkCondition;
    this.#sense = sense;
    this.#pending = sense;
    this.#end = this.#position;
    this.#enter('status');
  }

  #enter(phase: ScsiPhase): void {
    this.#phase = phase;
    this.onPhase();
  }
}
