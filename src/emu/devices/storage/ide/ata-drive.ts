import { CodedError } from '#base/errors.ts';
import { SECTOR_BYTES } from '#base/units.ts';
import type { BlockPort, BlockStatus } from '#emu/host/block.ts';
import { type AtaGeometry, chsToLba, defaultGeometry } from './ata-geometry.ts';
import { type DriveIdentity, encodeIdentifyDevice } from './ata-identify.ts';
import {
  COMMAND,
  DEVICE,
  ERROR,
  FEATURE,
  POWER_COMMANDS,
  type PowerCommand,
  STATUS,
  selectTransferMode,
} from './ata-registers.ts';
import { SECTOR_COMMANDS, type SectorCommand } from './ata-sector-commands.ts';
import { type AtaDriveState, type AtaTransfer, noTransfer } from './ata-state.ts';
import { DataPhase } from './data-phase.ts';
import type { Activity, DriveSignals, IdeDrive } from './ide-drive.ts';
import { TaskFile } from './task-file.ts';

/**
 * A parallel ATA hard disk.
 * Source: ATA/ATAPI-6 (T13/1410D), clauses 8 and 9; WRITE ... FUA EXT from ATA/ATAPI-7 (T13/1532D).
 * Not modelled: SMART, security, host protected area changes (SET MAX), device configuration overlay, CFA, TCQ,
 * READ/WRITE BUFFER, the standby timer, seek and rotation time. Their commands abort and IDENTIFY does not name them.
 *
 * A command moves through chunks of at most `CHUNK_SECTORS`: the medium fills or takes a chunk by one request, the host
 * moves it by DRQ blocks or DMA. A request that fails is repeated sector by sector, so that the address reported is
 * the failing sector's. The host sees BSY while a request is outstanding.
 */
const CHUNK_SECTORS = 256;
const MAX_MULTIPLE = 16;
const READY = STATUS.drdy | STATUS.dsc;

export interface AtaDriveParts {
  readonly medium: BlockPort;
  readonly identity: DriveIdentity;
  /** Default translation reported by IDENTIFY; computed from the size when missing. */
  readonly geometry?: AtaGeometry;
  /** Default true; false reports a solid-state disk. */
  readonly rotational?: boolean;
  readonly activity?: Activity;
}

export type { AtaDriveState } from './ata-state.ts';

export class AtaDrive implements IdeDrive {
  readonly taskFile = new TaskFile();
  readonly data: DataPhase = new DataPhase(CHUNK_SECTORS * SECTOR_BYTES, () => this.#windowMoved());
  readonly #parts: AtaDriveParts;
  readonly #geometry: AtaGeometry;
  #signals: DriveSignals | undefined;
  #position: 0 | 1 = 0;
  #outstanding = false;
  readonly #t: AtaTransfer = noTransfer();
  #heads = 0;
  #sectorsPerTrack = 0;
  #multipleSectors = 0;
  #writeCache = true;
  #lookAhead = true;
  #revertOnReset = true;
  readonly #modes = { multiword: -1, ultra: -1 };
  #asleep = false;
  #standby = false;
  #resetting: AtaDriveState['resetting'] = 'no';

  /** @throws CodedError<'bad-medium'> for a medium without a sector or too large for 48-bit addresses. */
  constructor(parts: AtaDriveParts) {
    const { sectorCount } = parts.medium;
    if (sectorCount < 1 || sectorCount > 2 ** 48) {
      throw new CodedError('bad-medium', 'a hard disk needs 1 to 2^48 sectors of 512 bytes: choose another image', {
        sectorCount,
      });
    }
    this.#parts = parts;
    this.#geometry = parts.geometry ?? defaultGeometry(sectorCount);
    this.reset();
  }

  connect(position: 0 | 1, signals: DriveSignals): void {
    this.#position = position;
    this.#signals = signals;
  }

  get idle(): boolean {
    return !this.#outstanding;
  }

  command(opcode: number): void {
    const { r } = this.taskFile;
    if (r.status & (STATUS.bsy | STATUS.drq) || this.#asleep) return;
    r.interrupt = false;
    r.error = 0;
    r.status = READY;
    this.#execute(opcode);
    this.#signals?.interruptChanged();
  }

  diagnose(): void {
    if (this.#asleep) return;
    this.#stop();
    this.taskFile.sign(0, 0);
    this.taskFile.r.error = 1;
    this.taskFile.r.status = READY;
    this.#raise();
  }

  softReset(asserted: boolean): void {
    if (asserted) {
      this.#stop();
      this.#resetting = 'held';
      this.taskFile.r.status = STATUS.bsy;
      if (this.#revertOnReset) this.#revertFeatures();
      this.#signals?.interruptChanged();
    } else if (this.#resetting === 'held') {
      this.#resetting = 'finishing';
      if (!this.#outstanding) this.#finishReset();
    }
  }

  reset(): void {
    this.#stop();
    this.#heads = this.#geometry.heads;
    this.#sectorsPerTrack = this.#geometry.sectorsPerTrack;
    this.#modes.multiword = -1;
    this.#modes.ultra = -1;
    this.#revertOnReset = true;
    this.#revertFeatures();
    this.taskFile.r.status = STATUS.bsy;
    this.#resetting = 'finishing';
    if (!this.#outstanding) this.#finishReset();
    this.#signals?.interruptChanged();
  }

  /** @throws CodedError<'busy'> while a block request is outstanding: wait for `idle`. */
  save(): AtaDriveState {
    if (this.#outstanding) throw new CodedError('busy', 'a disk request is outstanding: save when the drive is idle');
    return {
      taskFile: this.taskFile.save(),
      data: this.data.save(this.#t.kind === 'none' ? 0 : this.#t.chunkSectors * SECTOR_BYTES),
      transfer: { ...this.#t },
      heads: this.#heads,
      sectorsPerTrack: this.#sectorsPerTrack,
      multipleSectors: this.#multipleSectors,
      writeCache: this.#writeCache,
      lookAhead: this.#lookAhead,
      revertOnReset: this.#revertOnReset,
      modes: { ...this.#modes },
      asleep: this.#asleep,
      standby: this.#standby,
      resetting: this.#resetting,
    };
  }

  restore(state: AtaDriveState): void {
    this.taskFile.restore(state.taskFile);
    this.data.restore(state.data);
    Object.assign(this.#t, state.transfer);
    this.#heads = state.heads;
    this.#sectorsPerTrack = state.sectorsPerTrack;
    this.#multipleSectors = state.multipleSectors;
    this.#writeCache = state.writeCache;
    this.#lookAhead = state.lookAhead;
    this.#revertOnReset = state.revertOnReset;
    Object.assign(this.#modes, state.modes);
    this.#asleep = state.asleep;
    this.#standby = state.standby;
    this.#resetting = state.resetting;
    this.#signals?.interruptChanged();
  }

  #stop(): void {
    Object.assign(this.#t, noTransfer());
    this.data.close();
    this.taskFile.r.interrupt = false;
    this.#asleep = false;
    this.#standby = false;
  }

  #revertFeatures(): void {
    this.#multipleSectors = 0;
    this.#writeCache = true;
    this.#lookAhead = true;
  }

  #finishReset(): void {
    this.#resetting = 'no';
    this.taskFile.sign(0, 0);
    this.taskFile.r.error = 1;
    this.taskFile.r.status = READY;
  }

  #execute(opcode: number): void {
    const sectors = SECTOR_COMMANDS.get(opcode);
    const power = POWER_COMMANDS.get(opcode);
    if (sectors) this.#begin(sectors);
    else if (power) this.#power(power);
    else if (opcode >> 4 === COMMAND.recalibrate >> 4) this.#complete();
    else if (opcode >> 4 === COMMAND.seek >> 4) this.#seek();
    else this.#executeNonData(opcode);
  }

  #power(power: PowerCommand): void {
    if (power === 'check') this.taskFile.r.sectorCount = this.#standby ? 0x00 : 0xff;
    else this.#standby = power === 'standby';
    this.#asleep = power === 'sleep';
    this.#complete();
  }

  #seek(): void {
    if (this.#address(false) === undefined) this.#fail(ERROR.idnf);
    else this.#complete();
  }

  #executeNonData(opcode: number): void {
    switch (opcode) {
      case COMMAND.identifyDevice:
        this.#identify();
        break;
      case COMMAND.setFeatures:
        if (this.#setFeatures()) this.#complete();
        else this.#fail(ERROR.abrt);
        break;
      case COMMAND.setMultipleMode:
        this.#setMultipleMode();
        break;
      case COMMAND.initializeDeviceParameters:
        this.#initializeDeviceParameters();
        break;
      case COMMAND.readNativeMax:
      case COMMAND.readNativeMaxExt:
        this.#readNativeMax(opcode === COMMAND.readNativeMaxExt);
        break;
      case COMMAND.flushCache:
      case COMMAND.flushCacheExt:
        this.#t.ext = opcode === COMMAND.flushCacheExt;
        this.#flush();
        break;
      default:
        // NOP ends here too: 8.23 has it abort.
        this.#fail(ERROR.abrt);
    }
  }

  #identify(): void {
    encodeIdentifyDevice(this.data.bytes, {
      identity: this.#parts.identity,
      sectorCount: this.#parts.medium.sectorCount,
      geometry: this.#geometry,
      heads: this.#heads,
      sectorsPerTrack: this.#sectorsPerTrack,
      maxMultiple: MAX_MULTIPLE,
      multipleSectors: this.#multipleSectors,
      modes: this.#modes,
      writeCache: this.#writeCache,
      lookAhead: this.#lookAhead,
      rotational: this.#parts.rotational ?? true,
      position: this.#position,
    });
    this.#t.kind = 'buffer';
    this.#t.chunkSectors = 1;
    this.#requestData('pio-in', 0, SECTOR_BYTES);
    this.#raise();
  }

  #setFeatures(): boolean {
    const { r } = this.taskFile;
    switch (r.features) {
      case FEATURE.enableWriteCache:
        this.#writeCache = true;
        return true;
      case FEATURE.disableWriteCache:
        this.#writeCache = false;
        return true;
      case FEATURE.enableLookAhead:
        this.#lookAhead = true;
        return true;
      case FEATURE.disableLookAhead:
        this.#lookAhead = false;
        return true;
      case FEATURE.keepSettingsOnReset:
        this.#revertOnReset = false;
        return true;
      case FEATURE.revertOnReset:
        this.#revertOnReset = true;
        return true;
      case FEATURE.setTransferMode:
        return selectTransferMode(this.#modes, r.sectorCount);
      default:
        return false;
    }
  }

  #setMultipleMode(): void {
    const count = this.taskFile.r.sectorCount;
    // A count the device has not aborts and switches the mode off (8.45.4); zero only switches it off.
    const good = count <= MAX_MULTIPLE && (count & (count - 1)) === 0;
    this.#multipleSectors = good ? count : 0;
    if (good) this.#complete();
    else this.#fail(ERROR.abrt);
  }

  #initializeDeviceParameters(): void {
    const { r } = this.taskFile;
    if (r.sectorCount === 0) {
      this.#fail(ERROR.abrt);
      return;
    }
    this.#heads = (r.device & DEVICE.head) + 1;
    this.#sectorsPerTrack = r.sectorCount;
    this.#complete();
  }

  #readNativeMax(ext: boolean): void {
    if (!(this.taskFile.r.device & DEVICE.lba)) {
      this.#fail(ERROR.abrt);
      return;
    }
    const last = this.#parts.medium.sectorCount - 1;
    this.taskFile.setLba(ext ? last : Math.min(last, 0x0fff_fffe), ext);
    this.#complete();
  }

  /** The first sector of a command, or undefined for a CHS address the translation has not. */
  #address(ext: boolean): number | undefined {
    const { r } = this.taskFile;
    const { sectorCount } = this.#parts.medium;
    const lba =
      ext || r.device & DEVICE.lba
        ? this.taskFile.lba(ext)
        : chsToLba(r.lbaMid | (r.lbaHigh << 8), r.device & DEVICE.head, r.lbaLow, this.#heads, this.#sectorsPerTrack);
    return lba !== undefined && lba < sectorCount ? lba : undefined;
  }

  #begin({ kind, ext, by, fua }: SectorCommand): void {
    // Multiple commands abort while the mode is off, 48-bit ones without an LBA address.
    const blockSectors = by === 'multiple' ? this.#multipleSectors : 1;
    if (blockSectors === 0 || (ext && !(this.taskFile.r.device & DEVICE.lba))) {
      this.#fail(ERROR.abrt);
      return;
    }
    const { medium } = this.#parts;
    if (kind === 'write' && !medium.writable) {
      this.#fail(ERROR.wp | ERROR.abrt);
      return;
    }
    const lba = this.#address(ext);
    if (lba === undefined) {
      this.#fail(ERROR.idnf);
      return;
    }
    const t = this.#t;
    t.kind = kind;
    t.dma = by === 'dma';
    t.ext = ext;
    t.chs = !ext && !(this.taskFile.r.device & DEVICE.lba);
    t.durable = fua || !this.#writeCache;
    t.lba = lba;
    t.remainingSectors = this.taskFile.count(ext);
    t.blockSectors = blockSectors;
    if (lba + t.remainingSectors > medium.sectorCount) {
      t.failedLba = medium.sectorCount;
      this.#failAt(ERROR.idnf, 0);
      return;
    }
    this.#nextChunk(true);
  }

  #nextChunk(first: boolean): void {
    const t = this.#t;
    t.chunkSectors = Math.min(t.remainingSectors, CHUNK_SECTORS);
    t.servedSectors = 0;
    t.single = false;
    t.failedLba = -1;
    if (t.kind === 'write') this.#requestBlock(0, !first);
    else this.#askMedium();
  }

  /** Asks the medium for the rest of the chunk, or for one sector of it after a failure. */
  #askMedium(): void {
    const t = this.#t;
    const from = t.servedSectors * SECTOR_BYTES;
    const to = (t.single ? t.servedSectors + 1 : t.chunkSectors) * SECTOR_BYTES;
    const kind = t.kind === 'write' ? 'write' : 'read';
    this.#parts.activity?.(kind);
    this.#submit(kind, t.lba + t.servedSectors, this.data.bytes.subarray(from, to));
  }

  #flush(): void {
    this.#t.kind = 'flush';
    this.#submit('flush', 0, this.data.bytes.subarray(0, 0));
  }

  #submit(kind: 'read' | 'write' | 'flush', sector: number, bytes: Uint8Array): void {
    this.taskFile.r.status = STATUS.bsy;
    this.#outstanding = true;
    // What needs the medium leaves standby.
    this.#standby = false;
    this.#parts.medium.submit({ kind, sector, bytes, done: (status) => this.#mediumDone(status, bytes.length) });
  }

  #mediumDone(status: BlockStatus, byteCount: number): void {
    if (!this.#outstanding) return;
    this.#outstanding = false;
    if (this.#resetting !== 'no') {
      if (this.#resetting === 'finishing') this.#finishReset();
      return;
    }
    const t = this.#t;
    if (t.kind === 'flush') {
      if (status === 'ok') this.#complete();
      else this.#failMedium(status, 'write');
      return;
    }
    if (status === 'ok') {
      t.servedSectors += byteCount / SECTOR_BYTES;
      if (t.servedSectors < t.chunkSectors) this.#askMedium();
      else this.#chunkServed();
    } else if (byteCount > SECTOR_BYTES) {
      t.single = true;
      this.#askMedium();
    } else {
      t.failedLba = t.lba + t.servedSectors;
      t.failure = status;
      this.#chunkCutShort();
    }
  }

  /** The medium has filled (read) or taken (write) the whole chunk. */
  #chunkServed(): void {
    const t = this.#t;
    if (t.kind === 'read') {
      if (t.dma) this.#requestDma('dma-in');
      else this.#requestBlock(0, true);
      return;
    }
    this.#chunkMoved();
  }

  /** A sector failed: whole blocks before it still reach the host, then the error does. */
  #chunkCutShort(): void {
    const t = this.#t;
    const unit = t.dma ? 1 : t.blockSectors;
    t.chunkSectors = t.kind === 'read' ? Math.floor(t.servedSectors / unit) * unit : 0;
    if (t.chunkSectors > 0) this.#chunkServed();
    else this.#failMedium(t.failure, t.kind === 'write' ? 'write' : 'read');
  }

  /** Opens the DRQ block that starts `from` bytes into the chunk. */
  #requestBlock(from: number, interrupt: boolean): void {
    const t = this.#t;
    if (t.dma) {
      this.#requestDma('dma-out');
      return;
    }
    const to = Math.min(from + t.blockSectors * SECTOR_BYTES, t.chunkSectors * SECTOR_BYTES);
    this.#requestData(t.kind === 'write' ? 'pio-out' : 'pio-in', from, to);
    if (interrupt) this.#raise();
  }

  #requestData(direction: 'pio-in' | 'pio-out', from: number, to: number): void {
    this.data.open(direction, from, to);
    this.taskFile.r.status = READY | STATUS.drq;
  }

  #requestDma(direction: 'dma-in' | 'dma-out'): void {
    this.data.open(direction, 0, this.#t.chunkSectors * SECTOR_BYTES);
    this.taskFile.r.status = READY | STATUS.drq;
    this.#signals?.dmaRequested();
  }

  /** The host or the bus master has moved the open window. */
  #windowMoved(): void {
    const t = this.#t;
    this.taskFile.r.status = READY;
    if (t.kind === 'buffer') {
      this.#finish(false);
      return;
    }
    if (this.data.end < t.chunkSectors * SECTOR_BYTES) {
      this.#requestBlock(this.data.end, true);
      return;
    }
    if (t.kind === 'write') this.#askMedium();
    else this.#chunkMoved();
  }

  #chunkMoved(): void {
    const t = this.#t;
    t.lba += t.chunkSectors;
    t.remainingSectors -= t.chunkSectors;
    if (t.failedLba >= 0) {
      this.#failMedium(t.failure, 'read');
      return;
    }
    if (t.remainingSectors > 0) {
      this.#nextChunk(false);
      return;
    }
    // ATA-1 to ATA-3 leave the last sector's address and a count of zero in the registers.
    this.#showAddress(t.lba - 1);
    this.taskFile.r.sectorCount = 0;
    if (t.kind === 'write' && t.durable) {
      this.#flush();
      return;
    }
    // The last DRQ block of a PIO read was announced already.
    this.#finish(t.kind !== 'read' || t.dma);
  }

  #complete(): void {
    this.taskFile.r.status = READY;
    this.#finish(true);
  }

  #finish(interrupt: boolean): void {
    this.taskFile.r.status = READY;
    Object.assign(this.#t, noTransfer());
    this.data.close();
    if (interrupt) this.#raise();
  }

  #failMedium(status: BlockStatus, kind: 'read' | 'write'): void {
    if (kind === 'read') {
      this.#failAt(ERROR.unc, 0);
      return;
    }
    // A write has no "uncorrectable": a fault of the host is a device fault, a full host an aborted command.
    if (status === 'read-only') {
      this.#failAt(ERROR.wp | ERROR.abrt, 0);
      return;
    }
    this.#failAt(ERROR.abrt, status === 'io' ? STATUS.df : 0);
  }

  #failAt(error: number, extraStatus: number): void {
    if (this.#t.failedLba >= 0) this.#showAddress(this.#t.failedLba);
    this.#fail(error, extraStatus);
  }

  #fail(error: number, extraStatus = 0): void {
    this.#finish(false);
    this.taskFile.fail(error, extraStatus);
    this.#raise();
  }

  /** Puts a sector's address into the registers, in the form the command used. */
  #showAddress(lba: number): void {
    const t = this.#t;
    if (!t.chs) {
      this.taskFile.setLba(lba, t.ext);
      return;
    }
    const { r } = this.taskFile;
    const track = Math.floor(lba / this.#sectorsPerTrack);
    const cylinder = Math.floor(track / this.#heads);
    r.lbaLow = (lba % this.#sectorsPerTrack) + 1;
    r.lbaMid = cylinder & 0xff;
    r.lbaHigh = (cylinder >> 8) & 0xff;
    r.device = (r.device & ~DEVICE.head) | (track % this.#heads);
  }

  #raise(): void {
    this.taskFile.r.interrupt = true;
    this.#signals?.interruptChanged();
  }
}
