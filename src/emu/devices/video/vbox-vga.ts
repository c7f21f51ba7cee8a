/**
 * VBoxVGA, VirtualBox's display adapter: a VGA with the Bochs display interface and up to four monitors, which a driver
 * of the guest's describes through HGSMI. PCI function 80EE:BEEF; Linux's `vboxvideo` and the drivers of VirtualBox's
 * Guest Additions know it.
 * Source: VirtualBox's public guest headers (VBoxVideo.h, VBoxVideoVBE.h, HGSMI*.h), PCI Local Bus 3.0.
 *
 * BAR 0 is video memory. The ROM BAR shows the option ROM. 32-bit accesses to 3B0h and 3D0h are HGSMI's.
 * Not modelled: 2D and 3D acceleration, gating of the VGA ranges by the PCI command register.
 */
import type { IrqLine } from '#emu/bus/wires.ts';
import { expansionRom } from '#emu/devices/pci/expansion-rom.ts';
import { PCI_PIN, type PciBar, PciConfigSpace, type PciConfigState } from '#emu/devices/pci/pci-function.ts';
import type { PointerShape, SharedFrame } from '#emu/host/frame.ts';
import type { DisplayAdapter, ModeHint, PortRange } from './display-adapter.ts';
import { FramePublisher, type MonitorSource } from './frame-publisher.ts';
import { HGSMI_CHANNEL, Hgsmi, type HgsmiState, HOST_FLAG } from './hgsmi.ts';
import type { StdVgaParts } from './std-vga.ts';
import { Vbva, type VbvaState } from './vbva.ts';
import { VgaCore, type VgaCoreState } from './vga-core.ts';
import type { VgaMemory, WindowMapping } from './vga-memory.ts';

/** Guest-visible state. */
export interface VboxVgaState extends VgaCoreState {
  readonly pci: PciConfigState;
  readonly hgsmi: HgsmiState;
  readonly vbva: VbvaState;
}

export interface VboxVgaParts extends Omit<StdVgaParts, 'preferredMode'> {
  /** 1 to MAX_MONITORS. */
  readonly monitorCount: number;
  readonly interrupt: IrqLine;
}

export class VboxVga implements DisplayAdapter<VboxVgaState> {
  readonly config: PciConfigSpace;
  readonly portRanges: readonly PortRange[];
  readonly monitorCount: number;
  readonly #core: VgaCore;
  readonly #hgsmi: Hgsmi;
  readonly #vbva: Vbva;
  readonly #publisher: FramePublisher;
  /** What of the pointer was published, and where. */
  #shown: PointerShape | undefined;
  #frame: SharedFrame | undefined;

  constructor(parts: VboxVgaParts) {
    const { vram, dirtyMap, monitorCount } = parts;
    this.monitorCount = monitorCount;
    const framebufferBase = (): number => this.config.barBase(0) ?? 0;
    const core = new VgaCore({ ...parts, virtualBox: { monitorCount, framebufferBase } });
    this.#core = core;
    this.#vbva = new Vbva({ monitorCount, vramBytes: vram.length, source: core.source });
    this.config = pciFunction(parts);
    this.#hgsmi = new Hgsmi({
      vram,
      dirtyMap,
      interrupt: { set: (asserted) => this.config.setInterrupt(asserted) },
      onCommand: (channel, command, buffer) => {
        if (channel === HGSMI_CHANNEL.vbva) this.#vbva.carryOut(command, buffer);
      },
    });
    const monitors = Array.from({ length: monitorCount }, (_, monitor) => this.#source(monitor));
    this.#publisher = new FramePublisher(dirtyMap, monitors);
    this.portRanges = [
      { base: 0x3b0, ports: 4, device: this.#hgsmi.hostPort, maxWidth: 4 },
      { base: 0x3b4, ports: 8, device: core.bytePorts(0x04) },
      { base: 0x3c0, ports: 16, device: core.bytePorts(0x10) },
      { base: 0x3d0, ports: 4, device: this.#hgsmi.guestPort, maxWidth: 4 },
      { base: 0x3d4, ports: 12, device: core.bytePorts(0x24) },
      // Two ports more than there are registers: the data register takes 32-bit reads.
      { base: 0x1ce, ports: 5, device: core.dispi, maxWidth: 4 },
    ];
  }

  get window(): VgaMemory {
    return this.#core.window;
  }

  get windowMapping(): WindowMapping {
    return this.#core.window.mapping;
  }

  reset(): void {
    this.#core.reset();
    this.#vbva.reset();
    this.#hgsmi.reset();
    this.config.reset();
  }

  suggestMode(hint: ModeHint): boolean {
    if (hint.monitor >= this.monitorCount) return false;
    this.#vbva.setHint(hint);
    if (!this.#vbva.listens) return false;
    this.#hgsmi.notify(HOST_FLAG.hotplug);
    return true;
  }

  /** The box around all monitors, in pixels from the first one's corner. */
  get desktop(): { readonly x: number; readonly y: number; readonly width: number; readonly height: number } {
    return this.#vbva.desktop;
  }

  publish(frame: SharedFrame, others = false): boolean {
    const { pointer } = this.#vbva;
    const hasPointer = pointer !== undefined && (pointer !== this.#shown || frame !== this.#frame);
    if (hasPointer) frame.writePointer(pointer);
    this.#shown = pointer;
    this.#frame = frame;
    return this.#publisher.publish(frame, others || hasPointer);
  }

  save(): VboxVgaState {
    return {
      ...this.#core.save(),
      pci: this.config.save(),
      hgsmi: this.#hgsmi.save(),
      vbva: this.#vbva.save(),
    };
  }

  restore(state: VboxVgaState): void {
    this.#core.restore(state);
    this.#vbva.restore(state.vbva);
    this.config.restore(state.pci);
    this.#hgsmi.restore(state.hgsmi);
  }

  /** The first monitor is the VGA's until a driver takes it. */
  #source(monitor: number): MonitorSource {
    const vbva = this.#vbva;
    if (monitor > 0) {
      return {
        takeChanged: () => vbva.takeChanged(monitor),
        describe: (record) => vbva.describe(record, monitor),
      };
    }
    const core = this.#core;
    return {
      takeChanged: () => {
        // Both are asked: neither may be late with what it has.
        const ofDriver = vbva.takeChanged(0);
        const ofVga = core.takeChanged();
        return ofDriver || (ofVga && !vbva.isDriven(0));
      },
      describe: (record) => {
        if (vbva.isDriven(0)) vbva.describe(record, 0);
        else core.describe(record);
      },
    };
  }
}

function pciFunction({ vram, rom, windows, interrupt }: VboxVgaParts): PciConfigSpace {
  const identifiers = { vendorId: 0x80ee, deviceId: 0xbeef };
  const bars: PciBar[] = [
    {
      ...{ index: 0, space: 'memory', byteCount: vram.length, prefetchable: true },
      onMoved: windows.memory(vram.length, { kind: 'tracked', offset: vram.byteOffset }),
    },
  ];
  if (rom) bars.push(expansionRom(rom, windows, identifiers));
  return new PciConfigSpace({
    identity: { ...identifiers, classCode: 0x03_0000, interruptPin: PCI_PIN.inta },
    bars,
    interrupt,
  });
}
