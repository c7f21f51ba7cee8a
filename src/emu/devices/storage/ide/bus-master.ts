import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';
import type { IdeChannel } from './ide-channel.ts';

/**
 * The bus master of one IDE channel.
 * Source: Programming Interface for Bus Master IDE Controller, revision 1.0 (1994), sections 1 to 3;
 * Intel 82371FB/82371SB (PIIX/PIIX3) data sheet, 2.6 (bus master IDE registers).
 * Not modelled: time on the bus, wrapping of a table or region at 64 KB (both are simply continued).
 *
 * Interrupt and Active say how a transfer ended: 1/0 sizes were equal, 1/1 the table had room left,
 * 0/0 without Error: the table was too short and the drive still waits.
 */
const COMMAND_BIT = {
  start: 1 << 0,
  /** Set: from the drive to memory. */
  toMemory: 1 << 3,
} as const;
const STATUS_BIT = { active: 1 << 0, error: 1 << 1, interrupt: 1 << 2, driveCapable: 3 << 5 } as const;
const PRD_END_OF_TABLE = 0x8000_0000;

export interface BusMasterState {
  command: number;
  status: number;
  table: number;
  /** Address of the next physical region descriptor. */
  descriptor: number;
  regionAddress: number;
  regionBytes: number;
  lastRegion: boolean;
}

export interface BusMasterParts {
  readonly memory: DmaMemory;
  readonly channel: IdeChannel;
  /** True while the PCI command register lets the function master the bus. */
  readonly enabled: () => boolean;
}

/** Eight ports: command, status, descriptor table pointer. */
export class BusMaster implements IoDevice, Saveable<BusMasterState> {
  readonly #parts: BusMasterParts;
  #command = 0;
  #status = 0;
  #table = 0;
  #descriptor = 0;
  #regionAddress = 0;
  #regionBytes = 0;
  #lastRegion = false;
  #moving = false;

  constructor(parts: BusMasterParts) {
    this.#parts = parts;
    parts.channel.listen({
      interrupt: (asserted) => {
        if (asserted) this.#status |= STATUS_BIT.interrupt;
      },
      dmaRequested: () => this.pump(),
    });
  }

  reset(): void {
    this.#command = 0;
    this.#status = 0;
    this.#table = 0;
    this.#regionBytes = 0;
    this.#lastRegion = false;
  }

  read(offset: number, width: Width): number {
    let value = 0;
    for (let i = 0; i < width; i++) value |= this.#readByte(offset + i) << (i * 8);
    return value >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.#writeByte(offset + i, (value >>> (i * 8)) & 0xff);
  }

  /** Moves what drive and table allow now. Called again whenever one of them changes. */
  pump(): void {
    // A drive whose medium answers at once asks again from inside `advance`.
    if (this.#moving || !this.#parts.enabled()) return;
    this.#moving = true;
    while (this.#status & STATUS_BIT.active && this.#moveSome());
    this.#moving = false;
  }

  save(): BusMasterState {
    return {
      command: this.#command,
      status: this.#status,
      table: this.#table,
      descriptor: this.#descriptor,
      regionAddress: this.#regionAddress,
      regionBytes: this.#regionBytes,
      lastRegion: this.#lastRegion,
    };
  }

  restore(state: BusMasterState): void {
    this.#command = state.command;
    this.#status = state.status;
    this.#table = state.table;
    this.#descriptor = state.descriptor;
    this.#regionAddress = state.regionAddress;
    this.#regionBytes = state.regionBytes;
    this.#lastRegion = state.lastRegion;
  }

  #readByte(offset: number): number {
    if (offset === 0) return this.#command;
    if (offset === 2) return this.#status;
    if (4 <= offset && offset <= 7) return (this.#table >>> ((offset - 4) * 8)) & 0xff;
    return 0;
  }

  #writeByte(offset: number, value: number): void {
    if (offset === 0) {
      this.#writeCommand(value);
      return;
    }
    if (offset === 2) {
      const cleared = value & (STATUS_BIT.error | STATUS_BIT.interrupt);
      const kept = this.#status & ~STATUS_BIT.driveCapable & ~cleared;
      this.#status = kept | (value & STATUS_BIT.driveCapable);
    } else if (4 <= offset && offset <= 7) {
      const shift = (offset - 4) * 8;
      const byte = offset === 4 ? value & 0xfc : value;
      this.#table = ((this.#table & ~(0xff << shift)) | (byte << shift)) >>> 0;
    }
  }

  #writeCommand(value: number): void {
    const started = value & COMMAND_BIT.start & ~this.#command;
    this.#command = value & (COMMAND_BIT.start | COMMAND_BIT.toMemory);
    if (!(value & COMMAND_BIT.start)) {
      this.#status &= ~STATUS_BIT.active;
    } else if (started) {
      this.#status |= STATUS_BIT.active;
      this.#descriptor = this.#table;
      this.#regionBytes = 0;
      this.#lastRegion = false;
      this.pump();
    }
  }

  /** @returns false when nothing can move now */
  #moveSome(): boolean {
    const data = this.#parts.channel.selectedDrive?.data;
    if (!data?.dmaRequest) return false;
    const toMemory = (this.#command & COMMAND_BIT.toMemory) !== 0;
    if (toMemory !== (data.direction === 'dma-in')) return false;
    if (this.#regionBytes === 0 && !this.#loadRegion()) return false;
    const byteCount = Math.min(this.#regionBytes, data.remainingBytes);
    const window = data.window(byteCount);
    if (toMemory) this.#parts.memory.write(this.#regionAddress, window);
    else this.#parts.memory.read(this.#regionAddress, window);
    this.#regionAddress += byteCount;
    this.#regionBytes -= byteCount;
    // Active falls before the drive raises its interrupt: that pair tells the driver the sizes were equal.
    if (this.#regionBytes === 0 && this.#lastRegion) this.#status &= ~STATUS_BIT.active;
    data.advance(byteCount);
    return true;
  }

  #loadRegion(): boolean {
    const { memory } = this.#parts;
    const at = this.#descriptor;
    const base = at <= 0xffff_fff8 ? (memory.readU32(at) & ~1) >>> 0 : 0;
    const word = at <= 0xffff_fff8 ? memory.readU32(at + 4) : 0;
    const byteCount = word & 0xfffe || 0x1_0000;
    if (at > 0xffff_fff8 || base + byteCount > 0x1_0000_0000) {
      // No 32-bit cycle reaches past 4 GB: the transfer ends with a master abort.
      this.#status = (this.#status & ~STATUS_BIT.active) | STATUS_BIT.error;
      return false;
    }
    this.#regionAddress = base;
    this.#regionBytes = byteCount;
    this.#lastRegion = (word & PRD_END_OF_TABLE) !== 0;
    this.#descriptor = at + 8;
    return true;
  }
}
