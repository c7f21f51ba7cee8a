/**
 * SMBus host controller of the 82371AB (PIIX4) with an empty bus.
 * Source: 82371AB data sheet, section 7.3 (SMBus I/O registers).
 * Not modelled: any SMBus device (every transaction ends with "no acknowledge"), the slave side, its interrupt.
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { Saveable } from '#emu/bus/wires.ts';

export interface SmbusHostState {
  readonly registers: Uint8Array;
}

const REG = { hostStatus: 0, slaveStatus: 1, hostControl: 2, blockData: 7 } as const;
const STATUS = { interrupt: 1 << 1, deviceError: 1 << 2, busError: 1 << 3, failed: 1 << 4 } as const;
const STATUS_CLEARABLE = STATUS.interrupt | STATUS.deviceError | STATUS.busError | STATUS.failed;
const CONTROL = { kill: 1 << 1, start: 1 << 6 } as const;

export class SmbusHost implements IoDevice, Saveable<SmbusHostState> {
  readonly #registers: Uint8Array = new Uint8Array(16);

  read(offset: number, width: Width): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = (value << 8) | this.#registers[(offset + i) & 15];
    return value >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.#writeByte((offset + i) & 15, (value >>> (i * 8)) & 0xff);
  }

  reset(): void {
    this.#registers.fill(0);
  }

  save(): SmbusHostState {
    return { registers: this.#registers.slice() };
  }

  restore(state: SmbusHostState): void {
    this.#registers.set(state.registers);
  }

  #writeByte(register: number, value: number): void {
    switch (register) {
      case REG.hostStatus:
        this.#registers[register] &= ~(value & STATUS_CLEARABLE);
        break;
      case REG.slaveStatus:
        this.#registers[register] &= ~value;
        break;
      case REG.hostControl:
        // START and KILL read as zero. A transaction is over before the next instruction, so never busy.
        this.#registers[register] = value & ~(CONTROL.start | CONTROL.kill);
        if (value & CONTROL.kill) this.#registers[REG.hostStatus] |= STATUS.failed;
        else if (value & CONTROL.start) this.#registers[REG.hostStatus] |= STATUS.interrupt | STATUS.deviceError;
        break;
      default:
        this.#registers[register] = value;
    }
  }
}
