import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { DmaChannel, IrqLine, Saveable } from '#emu/bus/wires.ts';
import { DIR_CHANGED, DOR, DSR, decodeCommand, FDC_REG, type FdcCommand, MSR, ST0, ST2, ST3 } from './fdc-registers.ts';
import { CONFIG, type Fdc82077State, noSeek, powerOn } from './fdc-state.ts';
import { FdcTransfer, type TransferKind } from './fdc-transfer.ts';
import type { FloppyDrive, FloppyDriveState } from './floppy-drive.ts';
import { RATE, type Rate } from './floppy-geometry.ts';

/**
 * The diskette controller of a PC/AT.
 * Source: Intel 82077AA CHMOS Single-Chip Floppy Disk Controller data sheet (290166), sections 2 to 6.
 * Not modelled: PS/2 and Model 30 modes (SRA and SRB float), SCAN, FIFO thresholds, power down, precompensation, head
 * load and unload times, rotation. A drive without a diskette ends as "no address mark" instead of never.
 *
 *   command (bytes in) -> execution (DMA or FIFO; seeks run beside it) -> result (bytes out) -> command
 */
export interface Fdc82077Parts {
  readonly irq: IrqLine;
  readonly dma: DmaChannel;
  readonly timers: Timers;
  /** Drives 0 to 3. */
  readonly drives: readonly (FloppyDrive | undefined)[];
}

/** From release of reset to the interrupt that polling raises. */
const POLL_NS = 50_000;
const MS = 1_000_000;
/** Step pulses RECALIBRATE gives before it reports that track 0 was not found. */
const RECALIBRATE_PULSES = 79;

/** Step rate unit by data rate: SRT counts half milliseconds at 1 Mb/s. */
const STEP_UNIT_MS: Readonly<Record<Rate, number>> = {
  [RATE.kbps500]: 1,
  [RATE.kbps300]: 500 / 300,
  [RATE.kbps250]: 2,
  [RATE.kbps1000]: 0.5,
};

export interface Fdc82077Saved {
  controller: Fdc82077State;
  transfer: ReturnType<FdcTransfer['save']>;
  drives: (FloppyDriveState | null)[];
}

export class Fdc82077 implements Saveable<Fdc82077Saved> {
  /** Six ports: 3F0h to 3F5h. */
  readonly registers: IoDevice;
  /** One port, 3F7h: DIR and CCR. 3F6h between them belongs to the disk controller. */
  readonly inputBlock: IoDevice;
  readonly #parts: Fdc82077Parts;
  readonly #transfer: FdcTransfer;
  readonly #pollTimer: Timer;
  readonly #seekTimers: readonly Timer[];
  #s: Fdc82077State = powerOn();

  constructor(parts: Fdc82077Parts) {
    this.#parts = parts;
    this.#transfer = new FdcTransfer({
      dma: this.#gatedDma(parts.dma),
      onDone: (st1, st2) => this.#transferDone(st1, st2),
      onRequest: () => this.#setInterrupt(true),
    });
    this.#pollTimer = parts.timers.create(() => this.#polled());
    this.#seekTimers = [0, 1, 2, 3].map((unit) => parts.timers.create(() => this.#seekDone(unit)));
    this.registers = {
      read: (offset) => this.#read(offset),
      write: (offset, _width, value) => this.#write(offset, value & 0xff),
    };
    this.inputBlock = {
      read: () => this.#directInput(),
      write: (_offset, _width, value) => {
        this.#s.rate = rateOf(value);
      },
    };
  }

  /** No drive waits for its medium: `save` may be called. */
  get idle(): boolean {
    return this.#transfer.idle;
  }

  /** RESET pin: the digital output register holds the controller in reset afterwards. */
  reset(): void {
    this.#quiet();
    this.#s = powerOn();
    this.#drive();
  }

  /** @throws CodedError<'busy'> unless `idle`. */
  save(): Fdc82077Saved {
    return {
      controller: structuredClone(this.#s),
      transfer: this.#transfer.save(),
      drives: this.#parts.drives.map((d) => d?.save() ?? null),
    };
  }

  restore(state: Fdc82077Saved): void {
    this.#quiet();
    this.#s = structuredClone(state.controller);
    state.drives.forEach((saved, i) => {
      if (saved) this.#parts.drives[i]?.restore(saved);
    });
    this.#transfer.restore(state.transfer, this.#parts.drives);
    if (this.#s.pollDeadline >= 0) this.#pollTimer.arm(guestNs(this.#s.pollDeadline));
    this.#s.seeks.forEach((seek, unit) => {
      if (seek.busy) this.#seekTimers[unit].arm(guestNs(seek.deadline));
    });
    this.#drive();
  }

  /** The gate of DOR holds DREQ back: the channel then looks as if nobody had programmed it. */
  #gatedDma(dma: DmaChannel): DmaChannel {
    const open = (): boolean => (this.#s.dor & DOR.dmaGate) !== 0;
    return {
      get remainingBytes() {
        return open() ? dma.remainingBytes : 0;
      },
      get terminalCount() {
        return open() && dma.terminalCount;
      },
      writeToMemory: (bytes) => (open() ? dma.writeToMemory(bytes) : 0),
      readFromMemory: (into) => (open() ? dma.readFromMemory(into) : 0),
    };
  }

  #quiet(): void {
    this.#transfer.stop();
    this.#pollTimer.disarm();
    for (const timer of this.#seekTimers) timer.disarm();
  }

  #read(offset: number): number {
    switch (offset) {
      case FDC_REG.dor:
        return this.#s.dor;
      case FDC_REG.tdr:
        return this.#s.tdr | 0xfc;
      case FDC_REG.msr:
        return this.#mainStatus();
      case FDC_REG.fifo:
        return this.#readFifo();
      default:
        return 0xff;
    }
  }

  #write(offset: number, value: number): void {
    const s = this.#s;
    switch (offset) {
      case FDC_REG.dor:
        this.#writeDor(value);
        return;
      case FDC_REG.tdr:
        s.tdr = value & 3;
        break;
      case FDC_REG.msr:
        s.rate = rateOf(value & DSR.rate);
        // The reset of DSR ends by itself.
        if (value & DSR.softwareReset && s.dor & DOR.notReset) this.#softwareReset();
        break;
      case FDC_REG.fifo:
        this.#writeFifo(value);
        return;
    }
  }

  #directInput(): number {
    // Bits 6 to 0 are not driven in AT mode.
    return this.#parts.drives[this.#s.dor & DOR.drive]?.changed ? DIR_CHANGED | 0x7f : 0x7f;
  }

  #mainStatus(): number {
    const s = this.#s;
    if (!(s.dor & DOR.notReset)) return 0;
    let value = 0;
    for (let unit = 0; unit < 4; unit++) if (s.seeks[unit].busy) value |= 1 << unit;
    if (s.phase === 'result') return value | MSR.request | MSR.toHost | MSR.commandBusy;
    if (s.phase === 'command') return value | MSR.request | (s.command.length > 0 ? MSR.commandBusy : 0);
    value |= MSR.commandBusy;
    if (!s.nonDma) return value;
    value |= MSR.nonDma;
    if (this.#transfer.fifoRequest) value |= MSR.request | (this.#transfer.toHost ? MSR.toHost : 0);
    return value;
  }

  #writeDor(value: number): void {
    const s = this.#s;
    const released = value & DOR.notReset & ~s.dor;
    const held = s.dor & DOR.notReset & ~value;
    s.dor = value;
    if (held) {
      this.#quiet();
      this.#clearCommand();
      s.seeks = [noSeek(), noSeek(), noSeek(), noSeek()];
      s.interrupt = false;
    }
    if (released) this.#softwareReset();
    this.#drive();
  }

  #softwareReset(): void {
    const s = this.#s;
    this.#quiet();
    this.#clearCommand();
    s.seeks = [noSeek(), noSeek(), noSeek(), noSeek()];
    s.interrupt = false;
    s.resetSense = 4;
    s.presentCylinder = [0, 0, 0, 0];
    s.perpendicular &= ~3;
    if (!s.locked) {
      s.config = (s.config & ~(CONFIG.threshold | CONFIG.fifoOff)) | CONFIG.fifoOff;
      s.precompTrack = 0;
    }
    // Polling compares the ready lines and finds all four changed.
    if (!(s.config & CONFIG.pollOff)) {
      s.pollDeadline = this.#parts.timers.now() + POLL_NS;
      this.#pollTimer.arm(guestNs(s.pollDeadline));
    }
    this.#drive();
  }

  #clearCommand(): void {
    const s = this.#s;
    s.phase = 'command';
    s.command = [];
    s.result = [];
    s.pollDeadline = -1;
  }

  #polled(): void {
    this.#s.pollDeadline = -1;
    this.#setInterrupt(true);
    this.#s.resetSense = 0;
  }

  #setInterrupt(asserted: boolean): void {
    this.#s.interrupt = asserted;
    // A new cause takes the place of ready changes that the driver has not fetched.
    if (asserted) this.#s.resetSense = 4;
    this.#drive();
  }

  #drive(): void {
    this.#parts.irq.set(this.#s.interrupt && (this.#s.dor & DOR.dmaGate) !== 0);
  }

  #readFifo(): number {
    const s = this.#s;
    if (s.phase === 'execution') {
      const byte = this.#transfer.readFifo();
      this.#fifoMoved();
      return byte;
    }
    if (s.phase !== 'result') return 0xff;
    const byte = s.result.shift() ?? 0xff;
    this.#setInterrupt(false);
    if (s.result.length === 0) this.#clearCommandOnly();
    return byte;
  }

  /** The interrupt of a FIFO transfer stands while bytes wait. */
  #fifoMoved(): void {
    if (this.#s.phase === 'execution' && !this.#transfer.fifoRequest) this.#setInterrupt(false);
  }

  #clearCommandOnly(): void {
    this.#s.phase = 'command';
    this.#s.command = [];
  }

  #writeFifo(value: number): void {
    const s = this.#s;
    if (!(s.dor & DOR.notReset)) return;
    if (s.phase === 'execution') {
      this.#transfer.writeFifo(value);
      this.#fifoMoved();
      return;
    }
    if (s.phase === 'result') return;
    s.command.push(value);
    const row = decodeCommand(s.command[0]);
    if (!row) {
      this.#answer([ST0.invalid]);
      return;
    }
    if (s.command.length <= row.parameters) return;
    this.#execute(row.command);
  }

  /** Enters the result phase without an interrupt; no bytes end the command. */
  #answer(result: number[]): void {
    this.#s.result = result;
    if (result.length === 0) this.#clearCommandOnly();
    else this.#s.phase = 'result';
  }

  #execute(command: FdcCommand): void {
    const s = this.#s;
    const [first, second, third] = s.command;
    switch (command) {
      case 'readData':
        this.#move('read');
        return;
      case 'readDeleted':
        this.#move('read', { deleted: true });
        return;
      case 'readTrack':
        this.#move('read', { wholeTrack: true });
        return;
      case 'writeData':
      case 'writeDeleted':
        this.#move('write');
        return;
      case 'verify':
        this.#move('verify');
        return;
      case 'formatTrack':
        this.#format();
        return;
      case 'readId':
        this.#readId();
        return;
      case 'recalibrate':
        this.#recalibrate(second & 3);
        return;
      case 'seek':
        this.#seek(second, third);
        return;
      case 'relativeSeek':
        this.#relativeSeek((first & 0x40) !== 0, second, third);
        return;
      case 'senseInterrupt':
        this.#senseInterrupt();
        return;
      case 'senseDrive':
        this.#answer([this.#driveStatus(second)]);
        return;
      default:
        this.#executeControl(command);
        return;
    }
  }

  #executeControl(command: FdcCommand): void {
    const s = this.#s;
    const [first, second, third, fourth] = s.command;
    switch (command) {
      case 'specify':
        s.stepRate = second >> 4;
        s.headUnload = second & 0x0f;
        s.headLoad = third >> 1;
        s.nonDma = (third & 1) !== 0;
        this.#answer([]);
        return;
      case 'configure':
        s.config = third & 0x7f;
        s.precompTrack = fourth;
        this.#answer([]);
        return;
      case 'perpendicular':
        // OW lets the four drive bits change.
        s.perpendicular = second & 0x80 ? second & 0x3f : (s.perpendicular & 0x3c) | (second & 3);
        this.#answer([]);
        return;
      case 'lock':
        s.locked = (first & 0x80) !== 0;
        this.#answer([s.locked ? 0x10 : 0]);
        return;
      case 'version':
        this.#answer([0x90]);
        return;
      case 'dumpReg':
        this.#answer([
          ...s.presentCylinder,
          (s.stepRate << 4) | s.headUnload,
          (s.headLoad << 1) | (s.nonDma ? 1 : 0),
          s.lastEot,
          (s.locked ? 0x80 : 0) | s.perpendicular,
          s.config,
          s.precompTrack,
        ]);
        return;
      default:
        this.#answer([ST0.invalid]);
        return;
    }
  }

  #driveStatus(select: number): number {
    const drive = this.#parts.drives[select & 3];
    return (
      ST3.always | (select & 7) | (drive?.atTrack0 ? ST3.track0 : 0) | (drive?.writeProtected ? ST3.writeProtected : 0)
    );
  }

  #senseInterrupt(): void {
    const s = this.#s;
    const unit = s.seeks.findIndex((seek) => seek.st0 >= 0);
    if (s.resetSense < 4) {
      const drive = s.resetSense++;
      this.#setInterrupt(false);
      this.#answer([ST0.readyChanged | drive, s.presentCylinder[drive]]);
      return;
    }
    if (unit < 0) {
      this.#answer([ST0.invalid]);
      return;
    }
    const st0 = s.seeks[unit].st0;
    s.seeks[unit].st0 = -1;
    // Another drive's seek that has ended keeps the line up.
    this.#setInterrupt(s.seeks.some((seek) => seek.st0 >= 0));
    this.#answer([st0, s.presentCylinder[unit]]);
  }

  #recalibrate(unit: number): void {
    const drive = this.#parts.drives[unit];
    const needed = drive?.pulsesToTrack0 ?? Number.POSITIVE_INFINITY;
    const found = needed <= RECALIBRATE_PULSES;
    const pulses = Math.min(needed, RECALIBRATE_PULSES);
    const st0 = ST0.seekEnd | unit | (found ? 0 : ST0.abnormal | ST0.equipmentCheck);
    this.#startSeek(unit, -pulses, 0, st0);
  }

  #seek(select: number, target: number): void {
    const unit = select & 3;
    this.#startSeek(unit, target - this.#s.presentCylinder[unit], target, ST0.seekEnd | (select & 7));
  }

  #relativeSeek(inwards: boolean, select: number, pulses: number): void {
    const unit = select & 3;
    const present = this.#s.presentCylinder[unit];
    const toTrack0 = this.#parts.drives[unit]?.pulsesToTrack0 ?? 0;
    if (inwards) {
      this.#startSeek(unit, pulses, (present + pulses) & 0xff, ST0.seekEnd | (select & 7));
      return;
    }
    // Stopping at track 0 with pulses left is an equipment check.
    const failed = toTrack0 < pulses ? ST0.abnormal | ST0.equipmentCheck : 0;
    const given = Math.min(toTrack0, pulses);
    this.#startSeek(unit, -given, (present - given) & 0xff, ST0.seekEnd | (select & 7) | failed);
  }

  #startSeek(unit: number, pulses: number, target: number, endSt0: number): void {
    const s = this.#s;
    const stepMs = (16 - s.stepRate) * STEP_UNIT_MS[s.rate];
    const deadline = this.#parts.timers.now() + Math.round(Math.max(1, Math.abs(pulses)) * stepMs * MS);
    s.seeks[unit] = { busy: true, deadline, pulses, target, st0: -1, endSt0 };
    this.#answer([]);
    this.#seekTimers[unit].arm(guestNs(deadline));
  }

  #seekDone(unit: number): void {
    const s = this.#s;
    const seek = s.seeks[unit];
    if (!seek.busy) return;
    this.#seekTimers[unit].disarm();
    this.#parts.drives[unit]?.step(seek.pulses);
    s.presentCylinder[unit] = seek.target;
    s.seeks[unit] = { ...noSeek(), st0: seek.endSt0 };
    this.#setInterrupt(true);
  }

  /** A command that needs the head where it goes: a seek still under way ends first. */
  #select(select: number): FloppyDrive | undefined {
    const unit = select & 3;
    const seek = this.#s.seeks[unit];
    if (seek.busy) {
      this.#seekTimers[unit].disarm();
      this.#parts.drives[unit]?.step(seek.pulses);
      this.#s.presentCylinder[unit] = seek.target;
      this.#s.seeks[unit] = noSeek();
    }
    return this.#parts.drives[unit];
  }

  #move(kind: TransferKind, { deleted = false, wholeTrack = false } = {}): void {
    const s = this.#s;
    const [first, select, c, h, r, n, eot, , dtl] = s.command;
    const unit = select & 3;
    const drive = this.#select(select);
    s.phase = 'execution';
    s.lastEot = eot;
    if (s.config & CONFIG.impliedSeek) {
      drive?.step(c - s.presentCylinder[unit]);
      s.presentCylinder[unit] = c;
    }
    const skip = (first & 0x20) !== 0;
    this.#transfer.start({
      kind: deleted && skip ? 'verify' : kind,
      drive,
      unit,
      head: (select >> 2) & 1,
      id: { c, h, r: wholeTrack ? 1 : r, n },
      endOfTrack: eot,
      multiTrack: (first & 0x80) !== 0,
      rate: s.rate,
      mfm: (first & 0x40) !== 0,
      useDma: !s.nonDma,
      // EC in VERIFY: DTL is a count of sectors.
      verifyCount: kind === 'verify' && select & 0x80 ? dtl : -1,
      stopAtMark: deleted && !skip,
      wholeTrack,
    });
  }

  #format(): void {
    const s = this.#s;
    const [first, select, n, sectors, , filler] = s.command;
    const drive = this.#select(select);
    s.phase = 'execution';
    this.#transfer.start({
      kind: 'format',
      drive,
      unit: select & 3,
      head: (select >> 2) & 1,
      id: { c: s.presentCylinder[select & 3], h: (select >> 2) & 1, r: 1, n },
      endOfTrack: sectors,
      multiTrack: false,
      rate: s.rate,
      mfm: (first & 0x40) !== 0,
      useDma: !s.nonDma,
      filler,
    });
  }

  #readId(): void {
    const s = this.#s;
    const [first, select] = s.command;
    const head = (select >> 2) & 1;
    const drive = this.#select(select);
    const cylinder = first & 0x40 ? drive?.cylinderUnderHead(head, s.rate) : undefined;
    const st0 = select & 7;
    if (cylinder === undefined) {
      this.#result([st0 | ST0.abnormal, 1, 0, s.presentCylinder[select & 3], head, 1, 2]);
      return;
    }
    // The diskette turns: each READ ID meets the next sector.
    const r = s.nextId > (drive?.geometry?.sectorsPerTrack ?? 0) ? 1 : s.nextId;
    s.nextId = r + 1;
    this.#result([st0, 0, 0, cylinder, head, r, 2]);
  }

  #transferDone(st1: number, st2: number): void {
    const s = this.#s;
    if (s.phase !== 'execution') return;
    const [first, select] = s.command;
    const { c, h, r, n } = this.#transfer.id;
    const st0 = (select & 3) | (this.#transfer.head ? ST0.head : 0);
    // READ DELETED with SK: every sector was skipped, so the end of the track came first.
    const skipped = (first & 0x1f) === 0x0c && (first & 0x20) !== 0 && (st1 | st2) === 0;
    const ended = skipped ? 0x80 : st1;
    const mark = skipped ? ST2.controlMark : st2;
    // A control mark alone is a normal end.
    const abnormal = ended !== 0 || (mark & ~ST2.controlMark) !== 0;
    this.#result([st0 | (abnormal ? ST0.abnormal : 0), ended, mark, c, h, r, n]);
  }

  /** Enters the result phase of a command that interrupts. */
  #result(bytes: number[]): void {
    this.#answer(bytes);
    this.#setInterrupt(true);
  }
}

function rateOf(bits: number): Rate {
  const two = bits & 3;
  return two === 0 ? RATE.kbps500 : two === 1 ? RATE.kbps300 : two === 2 ? RATE.kbps250 : RATE.kbps1000;
}
