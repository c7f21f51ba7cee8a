/**
 * The standard VGA of QEMU and Bochs: an IBM VGA with the Bochs display interface and a linear framebuffer, as PCI
 * function 1234:1111.
 * Source: QEMU "Standard VGA" specification (docs/specs/standard-vga), Bochs VBE Display API, PCI Local Bus 3.0.
 *
 * BAR 0 is video memory, BAR 2 a register window: EDID at 000h, VGA ports 3C0h-3DFh at 400h, DISPI registers (two bytes
 * each) at 500h, extended registers at 600h. The ROM BAR shows the option ROM.
 * Not modelled: big-endian framebuffers, gating of the VGA ranges by the PCI command register, a hardware cursor.
 */
import type { Clock } from '#base/clock.ts';
import { PAGE_BYTES } from '#base/units.ts';
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import type { BarMoved, BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { expansionRom } from '#emu/devices/pci/expansion-rom.ts';
import { type PciBar, PciConfigSpace, type PciConfigState } from '#emu/devices/pci/pci-function.ts';
import { FRAME_WORDS, type SharedFrame } from '#emu/host/frame.ts';
import { type CrtTiming, crtTiming, inputStatus1 } from './crt-timing.ts';
import { Dispi, type DispiState } from './dispi.ts';
import { type EdidMode, edidBlock } from './edid.ts';
import { blinks, describeScreen, type ScreenSource } from './vga-frame.ts';
import { VgaMemory, type WindowMapping } from './vga-memory.ts';
import { VgaPorts, type VgaPortsState } from './vga-ports.ts';

/** Guest-visible state. */
export interface StdVgaState {
  readonly ports: VgaPortsState;
  readonly dispi: DispiState;
  /** The four latches, plane p in byte p. */
  readonly latch: number;
  readonly pci: PciConfigState;
  /** Video memory without the zero pages at its end. */
  readonly vram: Uint8Array;
}

export interface StdVgaParts {
  /** Video memory: a view of linear memory, page-aligned, power of two, 1..16 MB or more. */
  readonly vram: Uint8Array;
  /** One byte for each page of `vram`; set to 1 by CPU writes, cleared by `publish`. */
  readonly dirtyMap: Uint8Array;
  readonly clock: Clock;
  /** VGA BIOS; without one there is no ROM BAR. */
  readonly rom?: Uint8Array;
  /** Where BARs appear. */
  readonly windows: Pick<BarWindows, 'memory'>;
  /** What the machine has to put at A0000h-BFFFFh. At first it is the device. */
  readonly onWindowMapping: (mapping: WindowMapping) => void;
  /** Preferred mode in the EDID, default 1280x800. */
  readonly preferredMode?: EdidMode;
}

/** Bytes of the register window (BAR 2). */
const REGISTER_WINDOW_BYTES = 0x1000;
const REGISTERS = {
  edidEnd: 0x100,
  vga: 0x400,
  vgaEnd: 0x420,
  dispi: 0x500,
  dispiEnd: 0x516,
  extended: 0x600,
} as const;
const EXTENDED_BYTES = 8;
/** Extended register 4: byte order of the framebuffer. */
const LITTLE_ENDIAN = 0x1e1e_1e1e;
const FIRST_COLOUR_PORT = 0x10;

/** Port ranges for the machine's bus, one for each device below. */
export const VGA_PORT_RANGES = {
  monochromePorts: { base: 0x3b0, ports: 12 },
  ports: { base: 0x3c0, ports: 32 },
  /** Takes 16-bit accesses. */
  dispiPorts: { base: 0x1ce, ports: 3 },
} as const;

export class StdVga implements Saveable<StdVgaState> {
  /** The PCI function. */
  readonly config: PciConfigSpace;
  /** 3B0h-3BBh, byte-wide. */
  readonly monochromePorts: IoDevice;
  /** 3C0h-3DFh, byte-wide. */
  readonly ports: IoDevice;
  /** 1CEh-1D0h, 16 bits wide. */
  readonly dispiPorts: IoDevice;
  /** A0000h-BFFFFh. */
  readonly window: IoDevice;
  /** BAR 2. */
  readonly registerWindow: IoDevice;

  readonly #parts: StdVgaParts;
  readonly #vga: VgaPorts;
  readonly #dispi: Dispi;
  readonly #memory: VgaMemory;
  readonly #source: ScreenSource;
  #edid: Uint8Array;
  #timing: CrtTiming;

  /** What the last `publish` wrote, and where. */
  readonly #published: Uint32Array = new Uint32Array(FRAME_WORDS);
  readonly #record: Uint32Array = new Uint32Array(FRAME_WORDS);
  #frame: SharedFrame | undefined;
  #screenChanged = true;
  #timingChanged = false;
  #blinkPhase = 0;

  constructor(parts: StdVgaParts) {
    this.#parts = parts;
    const { vram, clock } = parts;
    this.#edid = edidBlock(parts.preferredMode ?? { width: 1280, height: 800 });
    this.#dispi = new Dispi({
      vramBytes: vram.length,
      onChange: () => this.#dispiChanged(),
      onClear: (byteCount) => this.#clear(byteCount),
    });
    this.#vga = new VgaPorts({
      inputStatus1: () => inputStatus1(this.#scan(), clock.now()),
      onMemoryChange: () => this.#memory.update(),
      onScreenChange: () => {
        this.#screenChanged = true;
      },
      onTimingChange: () => {
        this.#timingChanged = true;
      },
    });
    const vga = this.#vga;
    this.#timing = crtTiming(vga, this.#dispi);
    this.#memory = new VgaMemory({
      vram,
      dirtyMap: parts.dirtyMap,
      registers: vga,
      linearMode: this.#dispi,
      onWindowMapping: parts.onWindowMapping,
    });
    this.#source = { registers: vga, dac: vga.dac, dispi: this.#dispi, vramBytes: vram.length };
    this.#memory.update();
    this.window = this.#memory;
    this.dispiPorts = this.#dispi;
    this.monochromePorts = this.#bytePorts(0);
    this.ports = this.#bytePorts(FIRST_COLOUR_PORT);
    this.registerWindow = {
      read: (offset, width) => this.#readWindow(offset, width),
      write: (offset, width, value) => this.#writeWindow(offset, width, value),
    };
    this.config = this.#pciFunction();
  }

  reset(): void {
    this.#vga.reset();
    this.#dispi.reset();
    this.#memory.latch = 0;
    this.config.reset();
    this.#registersReplaced();
  }

  /** What is to be mapped at A0000h-BFFFFh now. */
  get windowMapping(): WindowMapping {
    return this.#memory.mapping;
  }

  /** Changes the mode the panel asks for; guests see it when they read the EDID again. */
  set preferredMode(mode: EdidMode) {
    this.#edid = edidBlock(mode);
  }

  /**
   * Makes what changed since the last call visible to the frame's readers. To be called about 60 times a second.
   * Returns false when nothing changed. Allocates nothing.
   */
  publish(frame: SharedFrame): boolean {
    const fresh = frame !== this.#frame;
    if (fresh) {
      this.#frame = frame;
      this.#parts.dirtyMap.fill(1);
    }
    const record = this.#changedRecord() || fresh ? this.#published : undefined;
    const pages = this.#stampPages(frame.pageGeneration, frame.generation + 1);
    if (!record && !pages) return false;
    frame.commit(record);
    return true;
  }

  save(): StdVgaState {
    return {
      ports: this.#vga.save(),
      dispi: this.#dispi.save(),
      latch: this.#memory.latch,
      pci: this.config.save(),
      vram: this.#parts.vram.slice(0, usedBytes(this.#parts.vram)),
    };
  }

  restore(state: StdVgaState): void {
    const { vram, dirtyMap } = this.#parts;
    vram.set(state.vram);
    vram.fill(0, state.vram.length);
    dirtyMap.fill(1);
    this.#vga.restore(state.ports);
    this.#dispi.restore(state.dispi);
    this.#memory.latch = state.latch;
    this.config.restore(state.pci);
    this.#registersReplaced();
  }

  #pciFunction(): PciConfigSpace {
    const { vram, rom, windows } = this.#parts;
    const memoryBar = (index: number, byteCount: number, prefetchable: boolean, onMoved: BarMoved) =>
      ({ index, space: 'memory', byteCount, prefetchable, onMoved }) as const;
    const bars: PciBar[] = [
      memoryBar(0, vram.length, true, windows.memory(vram.length, { kind: 'tracked', offset: vram.byteOffset })),
      memoryBar(
        2,
        REGISTER_WINDOW_BYTES,
        false,
        windows.memory(REGISTER_WINDOW_BYTES, { kind: 'mmio', device: this.registerWindow }),
      ),
    ];
    const identifiers = { vendorId: 0x1234, deviceId: 0x1111 };
    if (rom) bars.push(expansionRom(rom, windows, identifiers));
    return new PciConfigSpace({
      identity: {
        ...identifiers,
        classCode: 0x03_0000,
        revisionId: 2,
        subsystemVendorId: 0x1af4,
        subsystemId: 0x1100,
      },
      bars,
    });
  }

  #dispiChanged(): void {
    this.#vga.dac.eightBit = this.#dispi.enabled && this.#dispi.dac8Bit;
    this.#registersReplaced();
  }

  #registersReplaced(): void {
    this.#memory.update();
    this.#screenChanged = true;
    this.#timingChanged = true;
  }

  #clear(byteCount: number): void {
    this.#parts.vram.fill(0, 0, byteCount);
    this.#parts.dirtyMap.fill(1, 0, Math.ceil(byteCount / PAGE_BYTES));
  }

  #scan(): CrtTiming {
    if (this.#timingChanged) {
      this.#timingChanged = false;
      this.#timing = crtTiming(this.#vga, this.#dispi);
    }
    return this.#timing;
  }

  /** Brings `#published` up to date; true when it changed. */
  #changedRecord(): boolean {
    const frames = Math.floor(this.#parts.clock.now() / this.#scan().frameNs);
    // Both blink rates are multiples of eight frames.
    const phase = frames >>> 3;
    const blinked = phase !== this.#blinkPhase && blinks(this.#source);
    if (!this.#screenChanged && !blinked) return false;
    this.#screenChanged = false;
    this.#blinkPhase = phase;
    const record = this.#record;
    describeScreen(record, this.#source, frames);
    let changed = false;
    for (let i = 0; i < FRAME_WORDS && !changed; i++) changed = record[i] !== this.#published[i];
    if (changed) this.#published.set(record);
    return changed;
  }

  /** Turns dirty pages into stamps; true when there were any. */
  #stampPages(stamps: Uint32Array, generation: number): boolean {
    const { dirtyMap } = this.#parts;
    let any = false;
    for (let page = dirtyMap.indexOf(1); page >= 0; page = dirtyMap.indexOf(1, page + 1)) {
      // Cleared before readers hear of it: a write that comes later marks the page again.
      dirtyMap[page] = 0;
      stamps[page] = generation;
      any = true;
    }
    return any;
  }

  #bytePorts(first: number): IoDevice {
    const vga = this.#vga;
    return {
      read: (offset) => vga.read(first + offset),
      write: (offset, _width, value) => {
        vga.write(first + offset, value & 0xff);
      },
    };
  }

  #readWindow(offset: number, width: Width): number {
    if (REGISTERS.dispi <= offset && offset < REGISTERS.dispiEnd && width >= 2) {
      const index = (offset - REGISTERS.dispi) >> 1;
      const low = this.#dispi.readRegister(index);
      return width === 2 ? low : (low | (this.#dispi.readRegister(index + 1) << 16)) >>> 0;
    }
    let value = 0;
    for (let i = 0; i < width; i++) value |= this.#readWindowByte(offset + i) << (i * 8);
    return value >>> 0;
  }

  #readWindowByte(offset: number): number {
    if (offset < REGISTERS.edidEnd) return this.#edid[offset] ?? 0;
    if (REGISTERS.vga <= offset && offset < REGISTERS.vgaEnd) {
      return this.#vga.read(FIRST_COLOUR_PORT + offset - REGISTERS.vga);
    }
    if (REGISTERS.dispi <= offset && offset < REGISTERS.dispiEnd) {
      return (this.#dispi.readRegister((offset - REGISTERS.dispi) >> 1) >> ((offset & 1) * 8)) & 0xff;
    }
    if (offset === REGISTERS.extended) return EXTENDED_BYTES;
    if (REGISTERS.extended + 4 <= offset && offset < REGISTERS.extended + EXTENDED_BYTES) return LITTLE_ENDIAN & 0xff;
    return 0;
  }

  #writeWindow(offset: number, width: Width, value: number): void {
    if (REGISTERS.vga <= offset && offset < REGISTERS.vgaEnd) {
      for (let i = 0; i < width && offset + i < REGISTERS.vgaEnd; i++) {
        this.#vga.write(FIRST_COLOUR_PORT + offset + i - REGISTERS.vga, (value >>> (i * 8)) & 0xff);
      }
    } else if (REGISTERS.dispi <= offset && offset < REGISTERS.dispiEnd) {
      const index = (offset - REGISTERS.dispi) >> 1;
      this.#dispi.writeRegister(index, value & 0xffff);
      if (width === 4) this.#dispi.writeRegister(index + 1, value >>> 16);
    }
  }
}

/** Length up to the last page that is not all zeros. */
function usedBytes(vram: Uint8Array): number {
  const words = new Int32Array(vram.buffer, vram.byteOffset, vram.length >> 2);
  let last = words.length - 1;
  while (last >= 0 && words[last] === 0) last -= 1;
  return Math.ceil(((last + 1) * 4) / PAGE_BYTES) * PAGE_BYTES;
}
