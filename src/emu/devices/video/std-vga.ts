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
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { BarMoved, BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { expansionRom } from '#emu/devices/pci/expansion-rom.ts';
import { type PciBar, PciConfigSpace, type PciConfigState } from '#emu/devices/pci/pci-function.ts';
import type { SharedFrame } from '#emu/host/frame.ts';
import type { DisplayAdapter, ModeHint, PortRange } from './display-adapter.ts';
import { type EdidMode, edidBlock } from './edid.ts';
import { FramePublisher } from './frame-publisher.ts';
import { VgaCore, type VgaCoreState } from './vga-core.ts';
import type { WindowMapping } from './vga-memory.ts';

/** Guest-visible state. */
export interface StdVgaState extends VgaCoreState {
  readonly pci: PciConfigState;
}

export interface StdVgaParts {
  /** See `VgaCoreParts`. */
  readonly vram: Uint8Array;
  readonly dirtyMap: Uint8Array;
  readonly clock: Clock;
  readonly onWindowMapping: (mapping: WindowMapping) => void;
  /** VGA BIOS; without one there is no ROM BAR. */
  readonly rom?: Uint8Array;
  /** Where BARs appear. */
  readonly windows: Pick<BarWindows, 'memory'>;
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

export class StdVga implements DisplayAdapter<StdVgaState> {
  readonly config: PciConfigSpace;
  readonly portRanges: readonly PortRange[];
  readonly monitorCount = 1;
  /** BAR 2. */
  readonly registerWindow: IoDevice;

  readonly #parts: StdVgaParts;
  readonly #core: VgaCore;
  readonly #publisher: FramePublisher;
  #edid: Uint8Array;

  constructor(parts: StdVgaParts) {
    this.#parts = parts;
    this.#edid = edidBlock(parts.preferredMode ?? { width: 1280, height: 800 });
    const core = new VgaCore(parts);
    this.#core = core;
    this.#publisher = new FramePublisher(parts.dirtyMap, [core]);
    this.portRanges = [
      { base: 0x3b0, ports: 12, device: core.bytePorts(0) },
      { base: 0x3c0, ports: 32, device: core.bytePorts(FIRST_COLOUR_PORT) },
      { base: 0x1ce, ports: 3, device: core.dispi, maxWidth: 2 },
    ];
    this.registerWindow = {
      read: (offset, width) => this.#readWindow(offset, width),
      write: (offset, width, value) => this.#writeWindow(offset, width, value),
    };
    this.config = this.#pciFunction();
  }

  get window(): IoDevice {
    return this.#core.window;
  }

  get windowMapping(): WindowMapping {
    return this.#core.window.mapping;
  }

  reset(): void {
    this.#core.reset();
    this.config.reset();
  }

  /** Changes the mode that the EDID asks for; guests see it when they read it again. */
  suggestMode(hint: ModeHint): boolean {
    if (hint.monitor === 0 && hint.enabled) this.#edid = edidBlock(hint);
    return false;
  }

  publish(frame: SharedFrame, others = false): boolean {
    return this.#publisher.publish(frame, others);
  }

  save(): StdVgaState {
    return { ...this.#core.save(), pci: this.config.save() };
  }

  restore(state: StdVgaState): void {
    this.#core.restore(state);
    this.config.restore(state.pci);
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

  #readWindow(offset: number, width: Width): number {
    if (REGISTERS.dispi <= offset && offset < REGISTERS.dispiEnd && width >= 2) {
      const index = (offset - REGISTERS.dispi) >> 1;
      const low = this.#core.dispi.readRegister(index);
      return width === 2 ? low : (low | (this.#core.dispi.readRegister(index + 1) << 16)) >>> 0;
    }
    let value = 0;
    for (let i = 0; i < width; i++) value |= this.#readWindowByte(offset + i) << (i * 8);
    return value >>> 0;
  }

  #readWindowByte(offset: number): number {
    if (offset < REGISTERS.edidEnd) return this.#edid[offset] ?? 0;
    if (REGISTERS.vga <= offset && offset < REGISTERS.vgaEnd) {
      return this.#core.vga.read(FIRST_COLOUR_PORT + offset - REGISTERS.vga);
    }
    if (REGISTERS.dispi <= offset && offset < REGISTERS.dispiEnd) {
      return (this.#core.dispi.readRegister((offset - REGISTERS.dispi) >> 1) >> ((offset & 1) * 8)) & 0xff;
    }
    if (offset === REGISTERS.extended) return EXTENDED_BYTES;
    if (REGISTERS.extended + 4 <= offset && offset < REGISTERS.extended + EXTENDED_BYTES) return LITTLE_ENDIAN & 0xff;
    return 0;
  }

  #writeWindow(offset: number, width: Width, value: number): void {
    if (REGISTERS.vga <= offset && offset < REGISTERS.vgaEnd) {
      for (let i = 0; i < width && offset + i < REGISTERS.vgaEnd; i++) {
        this.#core.vga.write(FIRST_COLOUR_PORT + offset + i - REGISTERS.vga, (value >>> (i * 8)) & 0xff);
      }
    } else if (REGISTERS.dispi <= offset && offset < REGISTERS.dispiEnd) {
      const index = (offset - REGISTERS.dispi) >> 1;
      this.#core.dispi.writeRegister(index, value & 0xffff);
      if (width === 4) this.#core.dispi.writeRegister(index + 1, value >>> 16);
    }
  }
}
