import { CodedError } from '#base/errors.ts';
import { SECTOR_BYTES } from '#base/units.ts';
import type { DmaChannel } from '#emu/bus/wires.ts';
import type { BlockStatus } from '#emu/host/block.ts';
import { ST1, ST2 } from './fdc-registers.ts';
import type { FloppyDrive } from './floppy-drive.ts';
import type { Rate } from './floppy-geometry.ts';

/**
 * The execution phase of the commands that move sectors.
 * Source: Intel 82077AA data sheet, 5.1 (data transfer commands) and tables 5-4 to 5-9 (result phase ids).
 * Not modelled: deleted data marks (an image has none: sectors written as deleted read as normal), sector sizes other
 * than 512 bytes and FM (no such sector is found), gaps, interleave, rotation: a sector is under the head at once.
 *
 * Sectors move in runs of one track: the medium fills or takes a run by one request, DMA or the FIFO moves it. A request
 * that fails is repeated sector by sector, so that the result names the failing sector.
 */
const TRACK_BYTES = 36 * SECTOR_BYTES;

export type TransferKind = 'read' | 'write' | 'verify' | 'format';

/** Identification of a sector, as the command has it. */
export interface SectorId {
  c: number;
  h: number;
  r: number;
  n: number;
}

export interface TransferState {
  kind: TransferKind;
  unit: number;
  head: number;
  id: SectorId;
  endOfTrack: number;
  multiTrack: boolean;
  /** Sectors to verify, or -1: to the end of the track. */
  verifyCount: number;
  /** READ DELETED met a normal mark: stop after this sector (SK=0). */
  stopAtMark: boolean;
  /** READ TRACK: ends at the end of the track as it should. */
  wholeTrack: boolean;
  filler: number;
  /** Sectors of the open run, and how many the medium served. */
  run: number;
  served: number;
  single: boolean;
  failed: boolean;
  /** FIFO transfer: next byte and end of the window. */
  position: number;
  end: number;
  /** 'fifo': bytes wait for the host. */
  waiting: 'none' | 'fifo';
}

export interface TransferParts {
  readonly dma: DmaChannel;
  /** The transfer is over; ST1 and ST2, zero when normal. */
  readonly onDone: (st1: number, st2: number) => void;
  /** FIFO mode: bytes are ready or wanted. */
  readonly onRequest: () => void;
}

export interface TransferSetup {
  readonly kind: TransferKind;
  readonly drive: FloppyDrive | undefined;
  readonly unit: number;
  readonly head: number;
  readonly id: SectorId;
  readonly endOfTrack: number;
  readonly multiTrack: boolean;
  readonly rate: Rate;
  readonly mfm: boolean;
  readonly useDma: boolean;
  readonly verifyCount?: number;
  readonly stopAtMark?: boolean;
  readonly wholeTrack?: boolean;
  readonly filler?: number;
}

const idle = (): TransferState => ({
  kind: 'read',
  unit: 0,
  head: 0,
  id: { c: 0, h: 0, r: 0, n: 0 },
  endOfTrack: 0,
  multiTrack: false,
  verifyCount: -1,
  stopAtMark: false,
  wholeTrack: false,
  filler: 0,
  run: 0,
  served: 0,
  single: false,
  failed: false,
  position: 0,
  end: 0,
  waiting: 'none',
});

export class FdcTransfer {
  readonly #parts: TransferParts;
  readonly #buffer = new Uint8Array(TRACK_BYTES);
  #t: TransferState = idle();
  #active = false;
  #drive: FloppyDrive | undefined;
  #rate: Rate = 0;
  #useDma = true;
  #mfm = true;
  #outstanding = false;
  /** A reset dropped the command while its request was outstanding. */
  #orphaned = false;

  constructor(parts: TransferParts) {
    this.#parts = parts;
  }

  get idle(): boolean {
    return !this.#outstanding;
  }

  /** Bytes wait in the FIFO for the host, or room for bytes from it. */
  get fifoRequest(): boolean {
    return this.#t.waiting === 'fifo';
  }

  get toHost(): boolean {
    return this.#t.kind === 'read';
  }

  /** The head in use when the transfer ended. */
  get head(): number {
    return this.#t.head;
  }

  /** The id that the result phase shows. */
  get id(): Readonly<SectorId> {
    return this.#t.id;
  }

  start(setup: TransferSetup): void {
    const { drive, rate, mfm, useDma, id, ...rest } = setup;
    this.#t = { ...idle(), ...rest, id: { ...id } };
    this.#drive = drive;
    this.#rate = rate;
    this.#mfm = mfm;
    this.#useDma = useDma;
    this.#active = true;
    // A dropped command's request still owns the buffer: this one starts when it is back.
    if (!this.#outstanding) this.#first();
  }

  stop(): void {
    this.#active = false;
    this.#t.waiting = 'none';
    this.#orphaned = this.#outstanding;
  }

  readFifo(): number {
    const t = this.#t;
    if (t.waiting !== 'fifo' || !this.toHost) return 0xff;
    const byte = this.#buffer[t.position++];
    if (t.position === t.end) {
      t.waiting = 'none';
      this.#runMoved(t.run);
    }
    return byte;
  }

  writeFifo(byte: number): void {
    const t = this.#t;
    if (t.waiting !== 'fifo' || this.toHost) return;
    this.#buffer[t.position++] = byte;
    if (t.position < t.end) return;
    t.waiting = 'none';
    if (t.kind === 'format') this.#formatWith(t.end);
    else this.#askMedium();
  }

  /** @throws CodedError<'busy'> while a block request is outstanding. */
  save(): { transfer: TransferState; buffer: Uint8Array; active: boolean; rate: Rate; useDma: boolean; mfm: boolean } {
    if (this.#outstanding)
      throw new CodedError('busy', 'a diskette request is outstanding: save when the controller is idle');
    return {
      transfer: structuredClone(this.#t),
      buffer: this.#buffer.slice(0, this.#t.end),
      active: this.#active,
      rate: this.#rate,
      useDma: this.#useDma,
      mfm: this.#mfm,
    };
  }

  restore(state: ReturnType<FdcTransfer['save']>, drives: readonly (FloppyDrive | undefined)[]): void {
    this.#t = structuredClone(state.transfer);
    this.#buffer.set(state.buffer);
    this.#active = state.active;
    this.#rate = state.rate;
    this.#useDma = state.useDma;
    this.#mfm = state.mfm;
    this.#drive = drives[state.transfer.unit];
  }

  #first(): void {
    const t = this.#t;
    if ((t.kind === 'write' || t.kind === 'format') && this.#drive?.writeProtected) {
      this.#finish(ST1.notWritable, 0);
      return;
    }
    if (t.kind !== 'format') {
      this.#nextRun();
      return;
    }
    if (this.#cylinder() === undefined) {
      this.#finish(ST1.missingAddressMark, 0);
      return;
    }
    // Four bytes of id a sector: `endOfTrack` holds the command's sector count.
    const byteCount = t.endOfTrack * 4;
    if (!this.#useDma) {
      this.#openFifo(byteCount);
      return;
    }
    this.#formatWith(this.#parts.dma.readFromMemory(this.#buffer.subarray(0, byteCount)));
  }

  #cylinder(): number | undefined {
    return this.#mfm ? this.#drive?.cylinderUnderHead(this.#t.head, this.#rate) : undefined;
  }

  /** Finds the sector asked for and opens the longest run from it. */
  #nextRun(): void {
    const t = this.#t;
    const cylinder = this.#cylinder();
    const sectors = this.#drive?.geometry?.sectorsPerTrack ?? 0;
    if (cylinder === undefined) {
      this.#finish(ST1.missingAddressMark, 0);
      return;
    }
    if (t.id.c !== cylinder) {
      this.#finish(ST1.noData, t.id.c === 0xff ? ST2.wrongCylinder | ST2.badCylinder : ST2.wrongCylinder);
      return;
    }
    if (t.id.h !== t.head || t.id.n !== 2 || t.id.r < 1 || sectors < t.id.r) {
      this.#finish(ST1.noData, 0);
      return;
    }
    // An end of track before the first sector is never met: the transfer runs to the diskette's own end.
    const last = t.endOfTrack < t.id.r ? sectors : Math.min(t.endOfTrack, sectors);
    t.run = t.stopAtMark ? 1 : last - t.id.r + 1;
    if (t.kind === 'verify') {
      if (t.verifyCount >= 0) t.run = Math.min(t.run, t.verifyCount);
    } else if (this.#useDma) {
      t.run = Math.min(t.run, Math.ceil(this.#parts.dma.remainingBytes / SECTOR_BYTES));
      if (t.run === 0) {
        this.#finish(ST1.overrun, 0);
        return;
      }
    }
    t.served = 0;
    t.single = false;
    t.failed = false;
    if (t.kind === 'write') this.#takeFromHost();
    else this.#askMedium();
  }

  #takeFromHost(): void {
    const t = this.#t;
    const byteCount = t.run * SECTOR_BYTES;
    if (!this.#useDma) {
      this.#openFifo(byteCount);
      return;
    }
    const taken = this.#parts.dma.readFromMemory(this.#buffer.subarray(0, byteCount));
    if (taken === 0) {
      this.#finish(ST1.overrun, 0);
      return;
    }
    // Terminal count inside a sector: the rest of it is written as zeros.
    t.run = Math.ceil(taken / SECTOR_BYTES);
    this.#buffer.fill(0, taken, t.run * SECTOR_BYTES);
    this.#askMedium();
  }

  /** Asks the medium for the rest of the run, or for one sector of it after a failure. */
  #askMedium(): void {
    const t = this.#t;
    const from = t.served;
    const to = t.single ? from + 1 : t.run;
    this.#submit(t.kind === 'write' ? 'write' : 'read', t.id.r - 1 + from, from, to);
  }

  /** @param firstSector on the track, from 0; `from` and `to` are sectors of the buffer */
  #submit(kind: 'read' | 'write', firstSector: number, from: number, to: number): void {
    const drive = this.#drive;
    const g = drive?.geometry;
    const cylinder = this.#cylinder();
    if (!drive?.medium || !g || cylinder === undefined) {
      this.#finish(ST1.missingAddressMark, 0);
      return;
    }
    drive.activity(kind);
    this.#outstanding = true;
    drive.medium.submit({
      kind,
      sector: (cylinder * g.heads + this.#t.head) * g.sectorsPerTrack + firstSector,
      bytes: this.#buffer.subarray(from * SECTOR_BYTES, to * SECTOR_BYTES),
      done: (status) => this.#mediumDone(status, to - from),
    });
  }

  #mediumDone(status: BlockStatus, sectors: number): void {
    if (!this.#outstanding) return;
    this.#outstanding = false;
    if (this.#orphaned) {
      this.#orphaned = false;
      if (this.#active) this.#first();
      return;
    }
    const t = this.#t;
    if (t.kind === 'format') {
      if (status === 'ok') this.#finish(0, 0);
      else this.#failed(status);
      return;
    }
    if (status === 'ok') {
      t.served += sectors;
      if (t.served < t.run) this.#askMedium();
      else this.#runServed();
    } else if (sectors > 1) {
      t.single = true;
      this.#askMedium();
    } else {
      t.run = t.served;
      t.failed = true;
      if (t.kind === 'read' && t.served > 0) {
        this.#runServed();
        return;
      }
      t.id.r += t.served;
      this.#failed(status);
    }
  }

  #runServed(): void {
    const t = this.#t;
    if (t.kind !== 'read') {
      this.#runMoved(t.run);
      return;
    }
    const byteCount = t.run * SECTOR_BYTES;
    if (!this.#useDma) {
      this.#openFifo(byteCount);
      return;
    }
    const taken = this.#parts.dma.writeToMemory(this.#buffer.subarray(0, byteCount));
    if (taken < byteCount && (taken === 0 || !this.#parts.dma.terminalCount)) {
      t.id.r += Math.floor(taken / SECTOR_BYTES);
      this.#finish(ST1.overrun, 0);
      return;
    }
    this.#runMoved(Math.ceil(taken / SECTOR_BYTES));
  }

  /** Host and medium have both seen `sectors` of the run. */
  #runMoved(sectors: number): void {
    const t = this.#t;
    const atEnd = t.id.r + sectors - 1 === t.endOfTrack;
    const sideLeft = t.multiTrack && t.head === 0 && this.#drive?.geometry?.heads === 2;
    this.#advance(sectors, atEnd);
    const terminal = this.#useDma && t.kind !== 'verify' && this.#parts.dma.terminalCount;
    if (t.verifyCount >= 0) {
      t.verifyCount -= sectors;
      if (t.verifyCount === 0) {
        this.#finish(0, 0);
        return;
      }
    }
    if (terminal) {
      this.#finish(0, t.stopAtMark ? ST2.controlMark : 0);
      return;
    }
    if (t.failed) {
      this.#failed('io');
      return;
    }
    if (t.stopAtMark) {
      this.#finish(0, ST2.controlMark);
      return;
    }
    if (!atEnd) {
      this.#nextRun();
      return;
    }
    if (sideLeft) {
      t.head = 1;
      this.#nextRun();
      return;
    }
    // The track ended and nobody said enough: only commands that count for themselves end well.
    this.#finish(t.wholeTrack || t.kind === 'verify' ? 0 : ST1.endOfCylinder, 0);
  }

  /** Moves the id past `sectors` sectors as table 5-5 has it. */
  #advance(sectors: number, atEnd: boolean): void {
    const { id, multiTrack } = this.#t;
    if (!atEnd) {
      id.r += sectors;
      return;
    }
    id.r = 1;
    if (!multiTrack) id.c = (id.c + 1) & 0xff;
    else {
      if (id.h & 1) id.c = (id.c + 1) & 0xff;
      id.h ^= 1;
    }
  }

  /** FORMAT TRACK with the ids in the buffer: an image holds its own sectors only, each once. */
  #formatWith(byteCount: number): void {
    const t = this.#t;
    const cylinder = this.#cylinder();
    const sectors = this.#drive?.geometry?.sectorsPerTrack ?? 0;
    const seen = new Set<number>();
    for (let at = 0; at + 4 <= byteCount; at += 4) {
      const [c, h, r, n] = this.#buffer.subarray(at, at + 4);
      t.id = { c, h, r, n };
      if (c === cylinder && h === t.head && n === 2 && 1 <= r && r <= sectors) seen.add(r);
    }
    if (byteCount < t.endOfTrack * 4) {
      this.#finish(ST1.overrun, 0);
      return;
    }
    if (seen.size !== sectors || t.endOfTrack !== sectors) {
      this.#finish(ST1.missingAddressMark, 0);
      return;
    }
    this.#buffer.fill(t.filler, 0, sectors * SECTOR_BYTES);
    this.#submit('write', 0, 0, sectors);
  }

  #openFifo(byteCount: number): void {
    const t = this.#t;
    if (byteCount === 0) {
      this.#finish(ST1.missingAddressMark, 0);
      return;
    }
    t.position = 0;
    t.end = byteCount;
    t.waiting = 'fifo';
    this.#parts.onRequest();
  }

  #failed(status: BlockStatus): void {
    if (status === 'read-only') {
      this.#finish(ST1.notWritable, 0);
      return;
    }
    this.#finish(ST1.dataError, ST2.dataErrorInData);
  }

  #finish(st1: number, st2: number): void {
    this.#active = false;
    this.#t.waiting = 'none';
    this.#t.end = 0;
    this.#parts.onDone(st1, st2);
  }
}
