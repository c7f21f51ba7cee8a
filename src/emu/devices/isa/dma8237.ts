/**
 * The two cascaded 8237A DMA controllers of a PC/AT and their page registers.
 * Source: Intel 8237A data sheet (231466), "Register description", "Programming"; page register ports and the word
 * addressing of channels 5..7: IBM PC/AT Technical Reference, "System DMA".
 * Not modelled: bus timing (compressed, extended write, priorities, DREQ and DACK sense), memory-to-memory transfers,
 * which the AT cannot do, and the EISA high page registers. Devices move data when they like: demand, single and block
 * mode are the same to them.
 */
import type { IoDevice } from '../../bus/io-bus.ts';
import type { DmaChannel, DmaMemory, Saveable } from '../../bus/wires.ts';

/** Registers of one controller after the address and count registers 0..7. */
const REG = {
  statusCommand: 8,
  request: 9,
  singleMask: 10,
  mode: 11,
  clearFlipFlop: 12,
  masterClear: 13,
  clearMask: 14,
  allMask: 15,
} as const;
const COMMAND_DISABLE = 1 << 2;
const MODE = {
  transfer: 0x0c,
  write: 0x04,
  read: 0x08,
  autoInit: 0x10,
  decrement: 0x20,
  kind: 0xc0,
  cascade: 0xc0,
} as const;
const CHANNEL_SELECT = 3;
const SET_BIT = 1 << 2;

/** Port of each channel's page register, relative to 81h; channel 4 has none. */
const PAGE_OFFSET = [0x06, 0x02, 0x00, 0x01, -1, 0x0a, 0x08, 0x09] as const;
const PAGE_PORTS = 15;

/** Plain data of one channel. Addresses and counts are 16 bits wide, in words on channels 5..7. */
export interface DmaChannelState {
  baseAddress: number;
  baseCount: number;
  address: number;
  count: number;
  mode: number;
  masked: boolean;
  /** The count has run out since the channel was programmed. */
  terminalCount: boolean;
}

export interface DmaControllerState {
  command: number;
  /** Terminal counts since the status was read, bit n for channel n. */
  reached: number;
  requests: number;
  highByte: boolean;
}

export interface Dma8237State {
  controllers: DmaControllerState[];
  channels: DmaChannelState[];
  /** Page and scratch registers at ports 81h..8Fh. */
  pages: Uint8Array;
}

export interface Dma8237Parts {
  readonly memory: DmaMemory;
}

const controllerPowerOn = (): DmaControllerState => ({ command: 0, reached: 0, requests: 0, highByte: false });
const channelPowerOn = (): DmaChannelState => ({
  baseAddress: 0,
  baseCount: 0,
  address: 0,
  count: 0,
  mode: 0,
  masked: true,
  terminalCount: false,
});

/** One channel as its device sees it. The guest's registers are in the state of the controllers. */
export class Dma8237Channel implements DmaChannel {
  /** Called when the guest may have made the channel ready: unmasked it or programmed its count. Set by the device. */
  onReady: () => void = () => {};
  readonly #dma: Dma8237;
  readonly #number: number;
  readonly #single = new Uint8Array(1);

  constructor(dma: Dma8237, number: number) {
    this.#dma = dma;
    this.#number = number;
  }

  get remainingBytes(): number {
    return this.#dma.ready(this.#number) ? (this.#dma.channelState(this.#number).count + 1) * this.#unitBytes : 0;
  }

  get terminalCount(): boolean {
    return this.#dma.channelState(this.#number).terminalCount;
  }

  writeToMemory(bytes: Uint8Array): number {
    return this.#move(bytes, MODE.write);
  }

  readFromMemory(into: Uint8Array): number {
    return this.#move(into, MODE.read);
  }

  get #unitBytes(): 1 | 2 {
    return this.#number < 4 ? 1 : 2;
  }

  /** Moves whole units up to the terminal count. A transfer programmed the other way, or verify, only counts. */
  #move(bytes: Uint8Array, direction: number): number {
    const s = this.#dma.channelState(this.#number);
    const unit = this.#unitBytes;
    const units = Math.floor(Math.min(bytes.length, this.remainingBytes) / unit);
    if (units === 0) return 0;
    // Only an auto-initialising channel can still show it: a new transfer has begun.
    s.terminalCount = false;
    const moves = (s.mode & MODE.transfer) === direction;
    if (s.mode & MODE.decrement) {
      for (let i = 0; i < units; i++) {
        if (moves) this.#copy(bytes, i * unit, unit, s.address);
        s.address = (s.address - 1) & 0xffff;
      }
    } else {
      for (let done = 0; done < units; ) {
        // The address counter has 16 bits: it wraps inside the page.
        const here = Math.min(units - done, 0x1_0000 - s.address);
        if (moves) this.#copy(bytes, done * unit, here * unit, s.address);
        s.address = (s.address + here) & 0xffff;
        done += here;
      }
    }
    s.count -= units;
    if (s.count < 0) this.#dma.reachTerminalCount(this.#number);
    return units * unit;
  }

  #copy(bytes: Uint8Array, from: number, byteCount: number, address: number): void {
    const { memory } = this.#dma;
    const at = this.#dma.physical(this.#number, address);
    const part = byteCount === 1 ? this.#single : bytes.subarray(from, from + byteCount);
    if ((this.#dma.channelState(this.#number).mode & MODE.transfer) === MODE.write) {
      if (byteCount === 1) part[0] = bytes[from];
      memory.write(at, part);
    } else {
      memory.read(at, part);
      if (byteCount === 1) bytes[from] = part[0];
    }
  }
}

/** Both controllers. Channels 0..3 move bytes, 5..7 words; channel 4 cascades the first controller. */
export class Dma8237 implements Saveable<Dma8237State> {
  /** Ports 00h..0Fh: channels 0..3. */
  readonly first: IoDevice;
  /** Ports C0h..DFh: channels 4..7, registers two ports apart. */
  readonly second: IoDevice;
  /** Ports 81h..8Fh. Port 80h is the POST code latch. */
  readonly pages: IoDevice;
  readonly memory: DmaMemory;
  readonly #channels: readonly Dma8237Channel[] = Array.from({ length: 8 }, (_, n) => new Dma8237Channel(this, n));
  #controllers: DmaControllerState[] = [controllerPowerOn(), controllerPowerOn()];
  #states: DmaChannelState[] = Array.from({ length: 8 }, channelPowerOn);
  readonly #pages = new Uint8Array(PAGE_PORTS);

  constructor(parts: Dma8237Parts) {
    this.memory = parts.memory;
    this.first = {
      read: (offset: number): number => this.#read(0, offset),
      write: (offset: number, _width: number, value: number): void => this.#write(0, offset, value),
    };
    this.second = {
      read: (offset: number): number => this.#read(1, offset >> 1),
      write: (offset: number, _width: number, value: number): void => this.#write(1, offset >> 1, value),
    };
    this.pages = {
      read: (offset: number): number => this.#pages[offset],
      write: (offset: number, _width: number, value: number): void => {
        this.#pages[offset] = value;
      },
    };
  }

  /** @param number 0..7; channel 4 never has data to move */
  channel(number: number): Dma8237Channel {
    return this.#channels[number & 7];
  }

  /** True when the channel would answer a DREQ. */
  ready(number: number): boolean {
    const first = number < 4;
    if (this.#states[number].masked || this.#controllers[first ? 0 : 1].command & COMMAND_DISABLE) return false;
    const kind = this.#states[number].mode & MODE.kind;
    if (kind === MODE.cascade) return false;
    // The first controller reaches the bus through channel 4.
    return !first || !(this.#states[4].masked || this.#controllers[1].command & COMMAND_DISABLE);
  }

  /** The registers of a channel, for its `Dma8237Channel`. */
  channelState(number: number): DmaChannelState {
    return this.#states[number];
  }

  /** Guest-physical address of a channel's 16-bit address. */
  physical(number: number, address: number): number {
    const pageAt = PAGE_OFFSET[number];
    const page = pageAt < 0 ? 0 : this.#pages[pageAt];
    return number < 4 ? (page << 16) | address : ((page & 0xfe) << 16) | (address << 1);
  }

  /** The count of a channel has passed zero. */
  reachTerminalCount(number: number): void {
    const s = this.#states[number];
    const controller = this.#controllers[number >> 2];
    const bit = 1 << (number & 3);
    s.terminalCount = true;
    controller.reached |= bit;
    controller.requests &= ~bit;
    if (s.mode & MODE.autoInit) {
      s.address = s.baseAddress;
      s.count = s.baseCount;
    } else {
      s.count = 0xffff;
      s.masked = true;
    }
  }

  reset(): void {
    this.#controllers = [controllerPowerOn(), controllerPowerOn()];
    this.#states = Array.from({ length: 8 }, channelPowerOn);
    this.#pages.fill(0);
  }

  save(): Dma8237State {
    return {
      controllers: this.#controllers.map((c) => ({ ...c })),
      channels: this.#states.map((c) => ({ ...c })),
      pages: this.#pages.slice(),
    };
  }

  restore(state: Dma8237State): void {
    this.#controllers = state.controllers.map((c) => ({ ...c }));
    this.#states = state.channels.map((c) => ({ ...c }));
    this.#pages.set(state.pages);
  }

  #read(controller: number, register: number): number {
    const c = this.#controllers[controller];
    if (register < 8) {
      const s = this.#states[controller * 4 + (register >> 1)];
      const value = register & 1 ? s.count : s.address;
      return this.#takeHighByte(c) ? value >> 8 : value & 0xff;
    }
    switch (register) {
      case REG.statusCommand: {
        const status = c.reached | (c.requests << 4);
        c.reached = 0;
        return status;
      }
      case REG.allMask:
        return 0xf0 | this.#masks(controller);
      case REG.masterClear:
        return 0; // Temporary register: only memory-to-memory transfers load it.
      default:
        return 0xff;
    }
  }

  #write(controller: number, register: number, value: number): void {
    const c = this.#controllers[controller];
    const selected = controller * 4 + (value & CHANNEL_SELECT);
    switch (register) {
      case REG.statusCommand:
        c.command = value;
        this.#announceAll();
        break;
      case REG.request:
        if (value & SET_BIT) c.requests |= 1 << (value & CHANNEL_SELECT);
        else c.requests &= ~(1 << (value & CHANNEL_SELECT));
        break;
      case REG.singleMask:
        this.#setMask(selected, (value & SET_BIT) !== 0);
        break;
      case REG.mode:
        this.#states[selected].mode = value & 0xfc;
        this.#states[selected].terminalCount = false;
        break;
      case REG.clearFlipFlop:
        c.highByte = false;
        break;
      case REG.masterClear:
        this.#masterClear(controller);
        break;
      case REG.clearMask:
        for (let i = 0; i < 4; i++) this.#setMask(controller * 4 + i, false);
        break;
      case REG.allMask:
        for (let i = 0; i < 4; i++) this.#setMask(controller * 4 + i, (value & (1 << i)) !== 0);
        break;
      default:
        this.#writeAddressOrCount(controller, register, value);
    }
  }

  /** Base and current registers are written together, low byte first by the flip-flop. */
  #writeAddressOrCount(controller: number, register: number, value: number): void {
    const number = controller * 4 + (register >> 1);
    const s = this.#states[number];
    const high = this.#takeHighByte(this.#controllers[controller]);
    const merge = (old: number): number => (high ? (old & 0x00ff) | (value << 8) : (old & 0xff00) | value);
    if (register & 1) {
      s.baseCount = merge(s.baseCount);
      s.count = s.baseCount;
      s.terminalCount = false;
      if (high) this.#announce(number);
    } else {
      s.baseAddress = merge(s.baseAddress);
      s.address = s.baseAddress;
    }
  }

  #takeHighByte(c: DmaControllerState): boolean {
    const high = c.highByte;
    c.highByte = !high;
    return high;
  }

  #masks(controller: number): number {
    let masks = 0;
    for (let i = 0; i < 4; i++) if (this.#states[controller * 4 + i].masked) masks |= 1 << i;
    return masks;
  }

  #setMask(number: number, masked: boolean): void {
    const s = this.#states[number];
    s.masked = masked;
    if (masked) return;
    s.terminalCount = false;
    if (number === 4) this.#announceAll();
    else this.#announce(number);
  }

  #masterClear(controller: number): void {
    const c = this.#controllers[controller];
    c.command = 0;
    c.reached = 0;
    c.requests = 0;
    c.highByte = false;
    for (let i = 0; i < 4; i++) {
      this.#states[controller * 4 + i].masked = true;
      this.#states[controller * 4 + i].terminalCount = false;
    }
  }

  #announce(number: number): void {
    if (this.ready(number)) this.#channels[number].onReady();
  }

  #announceAll(): void {
    for (let number = 0; number < 8; number++) this.#announce(number);
  }
}
