import type { ScsiLogicalUnit } from '#emu/devices/scsi/logical-unit.ts';
import { type DriveIdentity, encodeIdentifyPacketDevice } from './ata-identify.ts';
import { COMMAND, DEVICE, ERROR, POWER_COMMANDS, REASON, REG, STATUS, selectTransferMode } from './ata-registers.ts';
import { DataPhase, type DataPhaseState } from './data-phase.ts';
import type { DriveSignals, IdeDrive } from './ide-drive.ts';
import { TaskFile, type TaskFileState } from './task-file.ts';

/**
 * A packet device: carries command packets between the task file and a logical unit.
 * Source: ATA/ATAPI-6 (T13/1410D), 6.7 (PACKET feature set), 8.26 (PACKET), 9.8 to 9.10 (protocols).
 * Not modelled: overlap, queueing, the interrupt at the packet (IDENTIFY says that DRQ comes without one).
 *
 *   none -> (PACKET) packet -> the unit's phases: data-in or data-out by DRQ blocks or DMA -> status, INTRQ -> none
 */
const PACKET_BYTES = 12;
const IDENTIFY_BYTES = 512;
const BUFFER_BYTES = 65536;
const SIGNATURE_LBA_MID = 0x14;
const SIGNATURE_LBA_HIGH = 0xeb;
const SET_TRANSFER_MODE = 0x03;

export interface AtapiDriveParts {
  readonly unit: ScsiLogicalUnit;
  readonly identity: DriveIdentity;
}

type Step = 'none' | 'identify' | 'packet' | 'data';

export interface AtapiDriveState {
  taskFile: TaskFileState;
  data: DataPhaseState;
  step: Step;
  dma: boolean;
  byteCountLimit: number;
  /** Bytes of the unit's window in the buffer. */
  windowBytes: number;
  modes: { multiword: number; ultra: number };
  asleep: boolean;
  standby: boolean;
  held: boolean;
  unit: unknown;
}

export class AtapiDrive implements IdeDrive {
  readonly taskFile = new TaskFile();
  readonly data: DataPhase = new DataPhase(BUFFER_BYTES, () => this.#windowMoved());
  readonly #unit: ScsiLogicalUnit;
  readonly #identity: DriveIdentity;
  #signals: DriveSignals | undefined;
  #step: Step = 'none';
  #dma = false;
  #byteCountLimit = 0;
  #windowBytes = 0;
  readonly #modes = { multiword: -1, ultra: -1 };
  #asleep = false;
  #standby = false;
  /** SRST is set. */
  #held = false;

  constructor(parts: AtapiDriveParts) {
    this.#unit = parts.unit;
    this.#identity = parts.identity;
    parts.unit.onPhase = () => this.#unitPhase();
    this.#signature();
  }

  connect(_position: 0 | 1, signals: DriveSignals): void {
    this.#signals = signals;
  }

  get idle(): boolean {
    return this.#unit.idle;
  }

  command(opcode: number): void {
    const { r } = this.taskFile;
    if (opcode === COMMAND.deviceReset && !this.#held) {
      this.#deviceReset();
      return;
    }
    if (r.status & (STATUS.bsy | STATUS.drq) || this.#asleep) return;
    r.interrupt = false;
    r.error = 0;
    this.#execute(opcode);
    this.#signals?.interruptChanged();
  }

  diagnose(): void {
    this.#stop();
    this.#signature();
    this.#raise();
  }

  softReset(asserted: boolean): void {
    if (asserted) {
      this.#stop();
      this.#held = true;
      this.taskFile.r.status = STATUS.bsy;
      this.#signals?.interruptChanged();
    } else if (this.#held) {
      this.#held = false;
      this.#signature();
    }
  }

  reset(): void {
    this.#stop();
    this.#held = false;
    this.#modes.multiword = -1;
    this.#modes.ultra = -1;
    this.#unit.reset();
    this.#signature();
    this.#signals?.interruptChanged();
  }

  /** @throws CodedError<'busy'> while a block request is outstanding: wait for `idle`. */
  save(): AtapiDriveState {
    return {
      unit: this.#unit.save(),
      taskFile: this.taskFile.save(),
      data: this.data.save(this.#step === 'data' ? this.#windowBytes : 0),
      step: this.#step,
      dma: this.#dma,
      byteCountLimit: this.#byteCountLimit,
      windowBytes: this.#windowBytes,
      modes: { ...this.#modes },
      asleep: this.#asleep,
      standby: this.#standby,
      held: this.#held,
    };
  }

  restore(state: AtapiDriveState): void {
    this.#unit.restore(state.unit);
    this.taskFile.restore(state.taskFile);
    this.data.restore(state.data);
    this.#step = state.step;
    this.#dma = state.dma;
    this.#byteCountLimit = state.byteCountLimit;
    this.#windowBytes = state.windowBytes;
    Object.assign(this.#modes, state.modes);
    this.#asleep = state.asleep;
    this.#standby = state.standby;
    this.#held = state.held;
    this.#signals?.interruptChanged();
  }

  #stop(): void {
    this.#unit.abort();
    this.data.close();
    this.#step = 'none';
    this.#asleep = false;
    this.#standby = false;
    this.taskFile.r.interrupt = false;
  }

  /** What a packet device shows after a reset: not even DRDY, until a command. */
  #signature(): void {
    this.taskFile.sign(SIGNATURE_LBA_MID, SIGNATURE_LBA_HIGH);
    this.taskFile.r.error = 1;
    this.taskFile.r.status = 0;
  }

  #deviceReset(): void {
    const selected = this.taskFile.r.device & DEVICE.dev;
    this.#stop();
    this.#signature();
    this.taskFile.r.device = selected;
    this.#signals?.interruptChanged();
  }

  #execute(opcode: number): void {
    const { r } = this.taskFile;
    const power = POWER_COMMANDS.get(opcode);
    if (power) {
      if (power === 'check') r.sectorCount = this.#standby ? 0x00 : 0xff;
      else this.#standby = power === 'standby';
      this.#asleep = power === 'sleep';
      this.#complete();
      return;
    }
    switch (opcode) {
      case COMMAND.packet:
        this.#packet();
        return;
      case COMMAND.identifyPacketDevice:
        this.#identify();
        return;
      case COMMAND.identifyDevice:
      case COMMAND.readSectors:
        // The way a host that asks for a disk learns that this is none (8.15, 8.34).
        this.taskFile.write(REG.lbaMid, SIGNATURE_LBA_MID);
        this.taskFile.write(REG.lbaHigh, SIGNATURE_LBA_HIGH);
        r.sectorCount = 1;
        r.lbaLow = 1;
        this.#abort();
        return;
      case COMMAND.setFeatures: {
        const done = r.features === SET_TRANSFER_MODE && selectTransferMode(this.#modes, r.sectorCount);
        if (done) this.#complete();
        else this.#abort();
        return;
      }
      default:
        this.#abort();
        return;
    }
  }

  #identify(): void {
    encodeIdentifyPacketDevice(this.data.bytes, this.#identity, this.#modes);
    this.#step = 'identify';
    this.data.open('pio-in', 0, IDENTIFY_BYTES);
    this.taskFile.r.status = STATUS.drdy | STATUS.drq;
    this.#raise();
  }

  #packet(): void {
    const { r } = this.taskFile;
    // Overlapped commands.
    if (r.features & 2) {
      this.#abort();
      return;
    }
    this.#dma = (r.features & 1) !== 0;
    this.#byteCountLimit = r.lbaMid | (r.lbaHigh << 8);
    this.#step = 'packet';
    this.#standby = false;
    this.data.open('pio-out', 0, PACKET_BYTES);
    r.sectorCount = REASON.cd;
    r.status = STATUS.drdy | STATUS.drq;
  }

  /** The host or the bus master has moved the open window. */
  #windowMoved(): void {
    const { r } = this.taskFile;
    if (this.#step === 'packet') {
      this.#step = 'data';
      r.status = STATUS.bsy;
      this.#unit.start(this.data.bytes.subarray(0, PACKET_BYTES));
      return;
    }
    if (this.#step === 'identify') {
      this.#step = 'none';
      r.status = STATUS.drdy;
      return;
    }
    if (this.data.end < this.#windowBytes) {
      this.#nextBlock(this.data.end);
      return;
    }
    r.status = STATUS.bsy;
    if (this.#unit.phase === 'data-out') this.#unit.window.set(this.data.bytes.subarray(0, this.#windowBytes));
    this.#unit.moved(this.#windowBytes);
  }

  #unitPhase(): void {
    // A reset of the unit by another way than this drive.
    if (this.#step !== 'data') return;
    if (this.#unit.phase === 'status') {
      this.#unitStatus();
      return;
    }
    const { window } = this.#unit;
    this.#windowBytes = window.length;
    if (this.#unit.phase === 'data-in') {
      this.data.bytes.set(window);
      if (window.length & 1) this.data.bytes[window.length] = 0;
    }
    this.#nextBlock(0);
  }

  /** Opens the next DRQ block, `from` bytes into the unit's window; by DMA the whole window. */
  #nextBlock(from: number): void {
    const { r } = this.taskFile;
    const toHost = this.#unit.phase === 'data-in';
    const leftBytes = this.#windowBytes - from;
    r.sectorCount = toHost ? REASON.io : 0;
    if (this.#dma) {
      this.data.open(toHost ? 'dma-in' : 'dma-out', from, from + leftBytes + (leftBytes & 1));
      r.status = STATUS.drdy | STATUS.drq;
      this.#signals?.dmaRequested();
      return;
    }
    // Only the last block may be odd; a limit that allows no progress is the host's mistake (8.26.6.2).
    const blockBytes = leftBytes <= this.#byteCountLimit ? leftBytes : this.#byteCountLimit & ~1;
    if (blockBytes === 0) {
      this.#unit.abort();
      this.#abort();
      return;
    }
    r.lbaMid = blockBytes & 0xff;
    r.lbaHigh = blockBytes >> 8;
    this.data.open(toHost ? 'pio-in' : 'pio-out', from, from + blockBytes + (blockBytes & 1));
    r.status = STATUS.drdy | STATUS.drq;
    this.#raise();
  }

  #unitStatus(): void {
    const { r } = this.taskFile;
    const { key } = this.#unit.sense;
    const failed = this.#unit.status !== 0;
    this.#unit.statusTaken();
    this.data.close();
    this.#step = 'none';
    r.sectorCount = REASON.io | REASON.cd;
    r.status = STATUS.drdy;
    // An illegal request also counts as an aborted command.
    if (failed) this.taskFile.fail((key << 4) | (key === 5 || key === 11 ? ERROR.abrt : 0));
    this.#raise();
  }

  #complete(): void {
    this.taskFile.r.status = STATUS.drdy;
    this.#raise();
  }

  #abort(): void {
    this.data.close();
    this.#step = 'none';
    this.taskFile.abort();
    this.#raise();
  }

  #raise(): void {
    this.taskFile.r.interrupt = true;
    this.#signals?.interruptChanged();
  }
}
