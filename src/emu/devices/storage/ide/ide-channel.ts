import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';
import { COMMAND, CONTROL, DEVICE, REG, STATUS } from './ata-registers.ts';
import type { IdeDrive } from './ide-drive.ts';

/**
 * One IDE channel: the cable with its two positions, the command block and the control block.
 * Source: ATA/ATAPI-6, 6.1 (INTRQ), 7.1 (device addressing), 9.16 (single-device configurations), annex D.2 (pull-downs).
 * Not modelled: 8-bit data transfers (a byte access to the data port moves a whole word and keeps its low half),
 * the obsolete Drive Address register.
 */
export interface IdeChannelParts {
  /** INTRQ as the interrupt controller sees it. */
  readonly irq: IrqLine;
  /** Device 0 and device 1. */
  readonly drives: readonly [IdeDrive | undefined, IdeDrive | undefined];
}

/** What a bus master hears from its channel. */
export interface ChannelListener {
  /** INTRQ at the host went up or down. */
  interrupt(asserted: boolean): void;
  /** The selected drive asserts DMARQ. */
  dmaRequested(): void;
}

export interface IdeChannelState {
  selected: 0 | 1;
  control: number;
  drives: unknown[];
}

/** A cable without a device: DD7 is pulled down so that BSY reads as zero, the other lines up. */
const FLOATING_BYTE = 0x7f;
const FLOATING_WORD = 0xff7f;
const FLOATING_DWORD = 0xff7f_ff7f;

export class IdeChannel implements Saveable<IdeChannelState> {
  /** Eight ports, 1F0h or 170h. Takes widths up to 4. */
  readonly commandBlock: IoDevice;
  /** One port, 3F6h or 376h. */
  readonly controlBlock: IoDevice;
  readonly drives: readonly [IdeDrive | undefined, IdeDrive | undefined];
  readonly #irq: IrqLine;
  #listener: ChannelListener | undefined;
  #selected: 0 | 1 = 0;
  #control = 0;
  #asserted = false;

  constructor(parts: IdeChannelParts) {
    this.#irq = parts.irq;
    this.drives = parts.drives;
    this.commandBlock = {
      read: (offset, width) => this.#readCommandBlock(offset, width),
      write: (offset, width, value) => this.#writeCommandBlock(offset, width, value),
    };
    this.controlBlock = {
      read: () => this.#statusByte(),
      write: (_offset, _width, value) => this.#writeControl(value & 0xff),
    };
    parts.drives.forEach((drive, i) => {
      drive?.connect(i === 0 ? 0 : 1, {
        interruptChanged: () => this.#updateInterrupt(),
        dmaRequested: () => this.#listener?.dmaRequested(),
      });
    });
  }

  /** Connects the channel's bus master. */
  listen(listener: ChannelListener): void {
    this.#listener = listener;
  }

  /** The drive that DEV selects, if there is one. */
  get selectedDrive(): IdeDrive | undefined {
    return this.drives[this.#selected];
  }

  /** No drive waits for its medium: `save` may be called. */
  get idle(): boolean {
    return this.drives.every((d) => d === undefined || d.idle);
  }

  /** RESET-. */
  reset(): void {
    this.#selected = 0;
    this.#control = 0;
    for (const drive of this.drives) drive?.reset();
    this.#updateInterrupt();
  }

  /** @throws CodedError<'busy'> unless `idle`. */
  save(): IdeChannelState {
    return {
      selected: this.#selected,
      control: this.#control,
      drives: this.drives.map((d) => (d ? d.save() : null)),
    };
  }

  restore(state: IdeChannelState): void {
    this.#selected = state.selected;
    this.#control = state.control;
    this.drives.forEach((drive, i) => {
      drive?.restore(state.drives[i]);
    });
    this.#updateInterrupt();
    this.#irq.set(this.#asserted);
  }

  #readCommandBlock(offset: number, width: Width): number {
    if (offset === REG.data) {
      const drive = this.drives[this.#selected];
      if (!drive) return width === 4 ? FLOATING_DWORD : width === 2 ? FLOATING_WORD : FLOATING_BYTE;
      const low = drive.data.read16();
      if (width === 2) return low;
      if (width === 1) return low & 0xff;
      return (low | (drive.data.read16() << 16)) >>> 0;
    }
    let value = 0;
    for (let i = 0; i < width; i++) value |= this.#readRegister(offset + i) << (i * 8);
    return value >>> 0;
  }

  #writeCommandBlock(offset: number, width: Width, value: number): void {
    if (offset === REG.data) {
      const drive = this.drives[this.#selected];
      drive?.data.write16(value & 0xffff);
      if (width === 4) drive?.data.write16(value >>> 16);
      return;
    }
    for (let i = 0; i < width; i++) this.#writeRegister(offset + i, (value >>> (i * 8)) & 0xff);
  }

  #readRegister(register: number): number {
    if (register > REG.status) return 0xff;
    const drive = this.drives[this.#selected];
    if (register === REG.status) {
      const status = this.#statusByte();
      if (drive?.taskFile.r.interrupt) {
        drive.taskFile.r.interrupt = false;
        this.#updateInterrupt();
      }
      return status;
    }
    // Device 0 answers for an absent device 1; nobody answers for an absent device 0.
    const answering = drive ?? (this.#selected === 1 ? this.drives[0] : undefined);
    return answering ? answering.taskFile.read(register, (this.#control & CONTROL.hob) !== 0) : FLOATING_BYTE;
  }

  #statusByte(): number {
    const drive = this.drives[this.#selected];
    if (drive) return drive.taskFile.r.status;
    return this.#selected === 1 && this.drives[0] ? 0 : FLOATING_BYTE;
  }

  #writeRegister(register: number, value: number): void {
    if (register > REG.status) return;
    this.#control &= ~CONTROL.hob;
    if (register === REG.status) {
      this.#command(value);
      return;
    }
    const drive = this.drives[this.#selected];
    // Writes while a device is at work are indeterminate (7.1); this one keeps its registers.
    if (drive && drive.taskFile.r.status & (STATUS.bsy | STATUS.drq)) return;
    for (const each of this.drives) each?.taskFile.write(register, value);
    if (register === REG.device) {
      this.#selected = value & DEVICE.dev ? 1 : 0;
      this.#updateInterrupt();
    }
  }

  #command(opcode: number): void {
    if (opcode === COMMAND.executeDeviceDiagnostic) {
      this.#diagnose();
      return;
    }
    this.drives[this.#selected]?.command(opcode);
  }

  /** Both devices run it, device 0 reports for both and is selected afterwards. */
  #diagnose(): void {
    if (this.drives.some((d) => d && d.taskFile.r.status & (STATUS.bsy | STATUS.drq))) return;
    this.#selected = 0;
    for (const drive of this.drives) drive?.diagnose();
    const second = this.drives[1];
    if (second) second.taskFile.r.interrupt = false;
    this.#updateInterrupt();
  }

  #writeControl(value: number): void {
    const changed = this.#control ^ value;
    this.#control = value;
    if (changed & CONTROL.srst) {
      const asserted = (value & CONTROL.srst) !== 0;
      this.#selected = 0;
      for (const drive of this.drives) drive?.softReset(asserted);
    }
    this.#updateInterrupt();
  }

  #updateInterrupt(): void {
    const pending = this.drives[this.#selected]?.taskFile.r.interrupt ?? false;
    const asserted = pending && !(this.#control & CONTROL.nien);
    if (asserted === this.#asserted) return;
    this.#asserted = asserted;
    // The bus master first: a driver woken by the line reads its status.
    this.#listener?.interrupt(asserted);
    this.#irq.set(asserted);
  }
}
