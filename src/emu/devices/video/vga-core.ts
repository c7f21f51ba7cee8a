/**
 * What every display adapter here has: an IBM VGA with the Bochs display interface in one video memory. The adapters add
 * their PCI function and whatever else their drivers know.
 * Source: IBM PS/2 Hardware Interface Technical Reference (Video Subsystem), Bochs VBE Display API.
 */
import type { Clock } from '#base/clock.ts';
import { PAGE_BYTES } from '#base/units.ts';
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import { type CrtTiming, crtTiming, inputStatus1 } from './crt-timing.ts';
import { Dispi, type DispiState, type VirtualBoxDispi } from './dispi.ts';
import type { MonitorSource } from './frame-publisher.ts';
import { blinks, describeScreen, type ScreenSource } from './vga-frame.ts';
import { VgaMemory, type WindowMapping } from './vga-memory.ts';
import { VgaPorts, type VgaPortsState } from './vga-ports.ts';

/** Guest-visible state. */
export interface VgaCoreState {
  readonly ports: VgaPortsState;
  readonly dispi: DispiState;
  /** The four latches, plane p in byte p. */
  readonly latch: number;
  /** Video memory without the zero pages at its end. */
  readonly vram: Uint8Array;
}

export interface VgaCoreParts {
  /** Video memory: a view of linear memory, page-aligned, power of two, 1..16 MB or more. */
  readonly vram: Uint8Array;
  /** One byte for each page of `vram`; set to 1 by CPU writes, cleared when a frame is published. */
  readonly dirtyMap: Uint8Array;
  readonly clock: Clock;
  /** What the machine has to put at A0000h-BFFFFh. At first it is the device. */
  readonly onWindowMapping: (mapping: WindowMapping) => void;
  /** VirtualBox's additions to the display interface. */
  readonly virtualBox?: VirtualBoxDispi;
}

const FIRST_COLOUR_PORT = 0x10;

export class VgaCore implements MonitorSource, Saveable<VgaCoreState> {
  readonly vga: VgaPorts;
  readonly dispi: Dispi;
  /** A0000h-BFFFFh. */
  readonly window: VgaMemory;
  readonly source: ScreenSource;
  readonly #parts: VgaCoreParts;
  #timing: CrtTiming;
  #screenChanged = true;
  #timingChanged = false;
  #blinkPhase = 0;

  constructor(parts: VgaCoreParts) {
    this.#parts = parts;
    const { vram, dirtyMap, clock } = parts;
    this.dispi = new Dispi({
      vramBytes: vram.length,
      onChange: () => this.#dispiChanged(),
      onClear: (byteCount) => this.#clear(byteCount),
      ...(parts.virtualBox && { virtualBox: parts.virtualBox }),
    });
    this.vga = new VgaPorts({
      inputStatus1: () => inputStatus1(this.#scan(), clock.now()),
      onMemoryChange: () => this.window.update(),
      onScreenChange: () => {
        this.#screenChanged = true;
      },
      onTimingChange: () => {
        this.#timingChanged = true;
      },
    });
    this.#timing = crtTiming(this.vga, this.dispi);
    const { onWindowMapping } = parts;
    this.window = new VgaMemory({ vram, dirtyMap, registers: this.vga, linearMode: this.dispi, onWindowMapping });
    this.source = { registers: this.vga, dac: this.vga.dac, dispi: this.dispi, vramBytes: vram.length };
    this.window.update();
  }

  reset(): void {
    this.vga.reset();
    this.dispi.reset();
    this.window.latch = 0;
    this.#registersReplaced();
  }

  /** Byte-wide ports from 3B0h + `first` on. */
  bytePorts(first: number): IoDevice {
    const { vga } = this;
    return {
      read: (offset) => vga.read(first + offset),
      write: (offset, _width, value) => {
        vga.write(first + offset, value & 0xff);
      },
    };
  }

  /** 3C0h-3DFh, byte-wide. */
  colourPorts(): IoDevice {
    return this.bytePorts(FIRST_COLOUR_PORT);
  }

  takeChanged(): boolean {
    const blinked = this.#frames() >>> 3 !== this.#blinkPhase && blinks(this.source);
    if (!this.#screenChanged && !blinked) return false;
    this.#screenChanged = false;
    return true;
  }

  describe(record: Uint32Array): void {
    const frames = this.#frames();
    // Both blink rates are multiples of eight frames.
    this.#blinkPhase = frames >>> 3;
    describeScreen(record, this.source, frames);
  }

  save(): VgaCoreState {
    return {
      ports: this.vga.save(),
      dispi: this.dispi.save(),
      latch: this.window.latch,
      vram: this.#parts.vram.slice(0, usedBytes(this.#parts.vram)),
    };
  }

  restore(state: VgaCoreState): void {
    const { vram, dirtyMap } = this.#parts;
    vram.set(state.vram);
    vram.fill(0, state.vram.length);
    dirtyMap.fill(1);
    this.vga.restore(state.ports);
    this.dispi.restore(state.dispi);
    this.window.latch = state.latch;
    this.#registersReplaced();
  }

  #dispiChanged(): void {
    this.vga.dac.eightBit = this.dispi.enabled && this.dispi.dac8Bit;
    this.#registersReplaced();
  }

  #registersReplaced(): void {
    this.window.update();
    this.#screenChanged = true;
    this.#timingChanged = true;
  }

  #clear(byteCount: number): void {
    this.#parts.vram.fill(0, 0, byteCount);
    this.#parts.dirtyMap.fill(1, 0, Math.ceil(byteCount / PAGE_BYTES));
  }

  /** Frames scanned since power-on. */
  #frames(): number {
    return Math.floor(this.#parts.clock.now() / this.#scan().frameNs);
  }

  #scan(): CrtTiming {
    if (this.#timingChanged) {
      this.#timingChanged = false;
      this.#timing = crtTiming(this.vga, this.dispi);
    }
    return this.#timing;
  }
}

/** Length up to the last page that is not all zeros. */
function usedBytes(vram: Uint8Array): number {
  const words = new Int32Array(vram.buffer, vram.byteOffset, vram.length >> 2);
  let last = words.length - 1;
  while (last >= 0 && words[last] === 0) last -= 1;
  return Math.ceil(((last + 1) * 4) / PAGE_BYTES) * PAGE_BYTES;
}
