/**
 * The board: every device of an i440FX PC, and the wires between them.
 * Source: 82441FX and 82371SB data sheets (address and interrupt assignments), IBM PC/AT Technical Reference (I/O map),
 * QEMU's "pc" machine for what stock SeaBIOS expects where.
 */
import type { Timers } from '#base/clock.ts';
import type { GuestNs } from '#base/units.ts';
import { PAGE_BYTES } from '#base/units.ts';
import type { IoBus } from '#emu/bus/io-bus.ts';
import { CpuFeatures } from '#emu/cpu/system/cpu-features.ts';
import { ACPI_BOARD, COM_PORTS } from '#emu/devices/acpi/acpi-config.ts';
import { Ac97 } from '#emu/devices/audio/ac97.ts';
import { FwCfg } from '#emu/devices/chipset/fw-cfg.ts';
import { I440fx, type LegacyRom } from '#emu/devices/chipset/i440fx.ts';
import { Pflash } from '#emu/devices/chipset/pflash.ts';
import { Piix3 } from '#emu/devices/chipset/piix3.ts';
import { Piix4Pm } from '#emu/devices/chipset/piix4-pm.ts';
import { I8042 } from '#emu/devices/input/i8042.ts';
import { Ps2Keyboard } from '#emu/devices/input/ps2-keyboard.ts';
import { Ps2Mouse } from '#emu/devices/input/ps2-mouse.ts';
import { cmosForPc } from '#emu/devices/isa/cmos-for-pc.ts';
import { DebugConsole, DebugExit, PostCode } from '#emu/devices/isa/debug-ports.ts';
import { Dma8237 } from '#emu/devices/isa/dma8237.ts';
import { Pit8254 } from '#emu/devices/isa/pit8254.ts';
import { RtcCmos } from '#emu/devices/isa/rtc-cmos.ts';
import { Speaker } from '#emu/devices/isa/speaker.ts';
import { SystemControl } from '#emu/devices/isa/system-control.ts';
import { type BarMoved, BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { PciBus } from '#emu/devices/pci/pci-bus.ts';
import { PCI_PIN } from '#emu/devices/pci/pci-function.ts';
import { Fdc82077 } from '#emu/devices/storage/floppy/fdc82077.ts';
import { PiixIde } from '#emu/devices/storage/ide/piix-ide.ts';
import type { DisplayAdapter } from '#emu/devices/video/display-adapter.ts';
import { StdVga } from '#emu/devices/video/std-vga.ts';
import { VboxVga } from '#emu/devices/video/vbox-vga.ts';
import { WINDOW_BYTES, type WindowMapping } from '#emu/devices/video/vga-memory.ts';
import { VmmDev } from '#emu/devices/vmmdev/vmmdev.ts';
import type { SoundInput } from '#emu/host/sound.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { AbsolutePointing } from './absolute-pointing.ts';
import { graphicsOf, type MachineConfig, type MachineMedia } from './config.ts';
import { type DriveName, Drives } from './drives.ts';
import { FloatError } from './float-error.ts';
import { Interrupts } from './interrupts.ts';
import type { LinearLayout } from './linear-layout.ts';
import { NetworkCards } from './network-cards.ts';
import { ByteBatch, SerialLine } from './serial-line.ts';
import { WatchedIoBus } from './slice-watch.ts';

/** Device and function numbers on PCI bus 0. */
export const PCI_SLOT = {
  hostBridge: { device: 0, fn: 0 },
  isaBridge: { device: 1, fn: 0 },
  ide: { device: 1, fn: 1 },
  powerManagement: { device: 1, fn: 3 },
  video: { device: 2, fn: 0 },
  vmmDev: { device: 4, fn: 0 },
  sound: { device: 5, fn: 0 },
} as const;

const VGA_WINDOW = 0xa_0000;
/** SeaBIOS writes its log here. */
const FIRMWARE_LOG_PORT = 0x402;
const DEBUG_CONSOLE_PORT = 0xe9;
/** What OVMF's driver erases at a time. */
export const FLASH_BLOCK_BYTES = 4096;

/** What the host hears of the board; every one is called on the machine's thread. */
export interface BoardEvents {
  readonly onSerialOutput: (port: number, bytes: Uint8Array) => void;
  /** Port E9h. */
  readonly onDebugOutput: (bytes: Uint8Array) => void;
  /** Port 402h. */
  readonly onFirmwareLog: (bytes: Uint8Array) => void;
  readonly onPostCode: (code: number) => void;
  readonly onTone: (frequencyHz: number, at: GuestNs) => void;
  /** The sound card plays: see emu/host/sound.ts. Valid during the call. */
  readonly onSound: (samples: Int16Array) => void;
  /** What the sound card records. */
  readonly soundInput: SoundInput;
  /** Bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock. */
  readonly onLeds: (leds: number) => void;
  readonly onDriveActivity: (drive: DriveName, kind: 'read' | 'write') => void;
  readonly onEjected: (drive: DriveName) => void;
  readonly onDebugExit: (value: number) => void;
  /** Soft off. */
  readonly onPowerOff: () => void;
  /** Somebody pulled a reset line; acted upon once the CPU has left its instruction. */
  readonly onReset: (source: ResetSource) => void;
  readonly onA20: (open: boolean) => void;
  /** INTR of the CPU. */
  readonly onInterruptRequest: (asserted: boolean) => void;
  readonly onNmi: () => void;
}

export type ResetSource = 'keyboard-controller' | 'port-92' | 'port-cf9' | 'init' | 'triple-fault' | 'host';

export interface BoardParts {
  readonly config: MachineConfig;
  readonly media: MachineMedia;
  readonly memory: PhysicalMemory;
  readonly layout: LinearLayout;
  readonly timers: Timers;
  /** The BIOS as the first megabyte shows it. */
  readonly legacyRom: LegacyRom | undefined;
  /** Flash with firmware's variables ends here, guest-physical; undefined: there is none. */
  readonly flashEnd: number | undefined;
  readonly events: BoardEvents;
}

export class Board {
  readonly ports: IoBus;
  readonly memory: PhysicalMemory;
  readonly interrupts: Interrupts;
  readonly pit: Pit8254;
  readonly rtc: RtcCmos;
  readonly dma: Dma8237;
  readonly systemControl: SystemControl;
  readonly floatError: FloatError;
  readonly keyboard: Ps2Keyboard;
  readonly mouse: Ps2Mouse;
  readonly i8042: I8042;
  readonly serial: readonly SerialLine[];
  readonly debugConsole: ByteBatch;
  readonly firmwareLog: ByteBatch;
  readonly postCode: PostCode;
  readonly drives: Drives;
  readonly fdc: Fdc82077;
  readonly pci: PciBus;
  readonly hostBridge: I440fx;
  readonly isaBridge: Piix3;
  readonly ide: PiixIde;
  readonly powerManagement: Piix4Pm;
  readonly vga: DisplayAdapter;
  /** Beside VBoxVGA. */
  readonly vmmDev: VmmDev | undefined;
  readonly pointing: AbsolutePointing | undefined;
  readonly fwCfg: FwCfg;
  /** Firmware's variables. */
  readonly flash: Pflash | undefined;
  readonly network: NetworkCards;
  readonly sound: Ac97 | undefined;
  #nmiMasked = false;

  /** @throws CodedError when a medium does not fit its drive or an option ROM its BAR */
  constructor(parts: BoardParts) {
    const { config, events, layout, memory, timers } = parts;
    this.memory = memory;
    this.ports = new WatchedIoBus(timers);
    this.interrupts = new Interrupts({
      timers,
      memory,
      platform: { ...config.platform, x2apic: config.platform.x2apic && new CpuFeatures(config.cpu).has('x2apic') },
      onRequest: events.onInterruptRequest,
      onNmi: events.onNmi,
      onInit: () => events.onReset('init'),
    });
    const { interrupts } = this;
    const speaker = new Speaker({ clock: timers, onTone: events.onTone });
    this.pit = new Pit8254({
      timers,
      irq0: interrupts.timerIrq,
      tickWaiting: () => interrupts.isWaiting(0),
      onTone: (hz) => speaker.setFrequency(hz),
    });
    this.rtc = new RtcCmos({
      timers,
      irq8: interrupts.clockIrq,
      startUnixMs: config.rtcStartUnixMs,
      cmos: cmosOf(config, layout.ramBytes),
      onNmiMask: (masked) => {
        this.#nmiMasked = masked;
      },
    });
    this.dma = new Dma8237({ memory });
    this.systemControl = new SystemControl({
      clock: timers,
      pit: this.pit,
      speaker,
      onA20: events.onA20,
      onReset: () => events.onReset('port-92'),
    });
    this.floatError = new FloatError({ irq13: interrupts.irq(13) });
    this.keyboard = new Ps2Keyboard({ onLeds: events.onLeds });
    this.mouse = new Ps2Mouse({ timers });
    this.i8042 = new I8042({
      timers,
      irq1: interrupts.irq(1),
      irq12: interrupts.irq(12),
      keyboard: this.keyboard,
      mouse: this.mouse,
      onReset: () => events.onReset('keyboard-controller'),
      onA20: (open) => this.systemControl.setKeyboardA20(open),
    });
    this.serial = COM_PORTS.map(
      ({ irq }, n) =>
        new SerialLine({ irq: interrupts.irq(irq), timers, onOutput: (bytes) => events.onSerialOutput(n, bytes) }),
    );
    this.debugConsole = new ByteBatch(events.onDebugOutput);
    this.firmwareLog = new ByteBatch(events.onFirmwareLog);
    this.postCode = new PostCode({ onCode: events.onPostCode });
    this.drives = new Drives({
      config,
      media: parts.media,
      timers,
      ideIrqs: [interrupts.irq(14), interrupts.irq(15)],
      onActivity: events.onDriveActivity,
      onEjected: events.onEjected,
    });
    this.fdc = new Fdc82077({
      irq: interrupts.irq(6),
      dma: this.dma.channel(2),
      timers,
      drives: this.drives.floppies,
    });
    this.fwCfg = new FwCfg({ memory });
    const { variables } = config.firmware;
    if (variables && parts.flashEnd !== undefined) {
      this.flash = new Pflash({ contents: variables, blockBytes: FLASH_BLOCK_BYTES });
      memory.mapMmio(parts.flashEnd - variables.length, variables.length, this.flash);
    }

    const windows = new BarWindows({ ports: this.ports, memory });
    this.isaBridge = new Piix3({
      irqs: Array.from({ length: 16 }, (_, n) => interrupts.irq(n)),
      onReset: () => events.onReset('port-cf9'),
    });
    this.pci = new PciBus({ pirqs: this.isaBridge.pirqs, registersBesideAddress: this.isaBridge.resetControl });
    let busMasterMoved: BarMoved = () => {};
    this.ide = new PiixIde({
      memory,
      channels: this.drives.channels,
      decodesAtReset: variables !== undefined,
      onBusMasterMoved: (base) => busMasterMoved(base),
    });
    busMasterMoved = windows.io(16, this.ide.busMasterBlock);
    this.powerManagement = new Piix4Pm({
      timers,
      sci: interrupts.irq(ACPI_BOARD.sciIrq),
      pmMoved: (device, count) => windows.io(count, device),
      smbusMoved: (device, count) => windows.io(count, device, 1),
      onPowerOff: events.onPowerOff,
    });
    let mapWindow: (mapping: WindowMapping) => void = () => {};
    const video = {
      vram: memory.bytes.subarray(layout.vramAt, layout.vramAt + layout.vramBytes),
      dirtyMap: memory.dirtyMap.subarray(layout.vramAt / PAGE_BYTES, (layout.vramAt + layout.vramBytes) / PAGE_BYTES),
      clock: timers,
      windows,
      onWindowMapping: (mapping: WindowMapping) => mapWindow(mapping),
      ...(config.firmware.video ? { rom: config.firmware.video } : {}),
    };
    if (graphicsOf(config) === 'vboxvga') {
      const interruptOf = ({ device }: { readonly device: number }) => this.pci.interruptLine(device, PCI_PIN.inta);
      const adapter = new VboxVga({
        ...video,
        monitorCount: config.monitorCount ?? 1,
        interrupt: interruptOf(PCI_SLOT.video),
      });
      this.vga = adapter;
      this.vmmDev = new VmmDev({ memory, windows, interrupt: interruptOf(PCI_SLOT.vmmDev) });
      this.pointing = new AbsolutePointing(this.vmmDev, adapter);
    } else this.vga = new StdVga(video);
    mapWindow = (mapping) => this.#mapVgaWindow(mapping, layout.vramAt);
    mapWindow(this.vga.windowMapping);
    this.hostBridge = new I440fx({
      memory,
      ramAt: layout.ramAt,
      roms: parts.legacyRom ? [parts.legacyRom] : [],
      mapVideo: () => mapWindow(this.vga.windowMapping),
    });
    this.#attachPci(config);
    this.network = new NetworkCards({
      cards: config.networkCards,
      roms: config.firmware.network,
      ports: parts.media.network ?? {},
      memory,
      timers,
      windows,
      pci: this.pci,
    });
    if (config.soundCard) {
      const { device, fn } = PCI_SLOT.sound;
      const interrupt = this.pci.interruptLine(device, PCI_PIN.inta);
      this.sound = new Ac97({ memory, timers, windows, interrupt, onSound: events.onSound, input: events.soundInput });
      this.pci.attach(device, fn, this.sound);
    }
    this.#mapPorts(config, events);
  }

  /** An NMI may reach the CPU: bit 7 of port 70h does not mask it. */
  get nmiOpen(): boolean {
    return !this.#nmiMasked;
  }

  /** No device waits for a medium: `saveDevices` may be called. */
  get idle(): boolean {
    return this.ide.idle && this.fdc.idle;
  }

  /** RESET to every device. The CPU is not on the board. */
  reset(): void {
    // A drive that the guest left open cannot be booted from.
    for (const cdrom of this.drives.cdroms.values()) cdrom.closeTray();
    this.pci.reset();
    this.vga.reset();
    this.vmmDev?.reset();
    this.interrupts.reset();
    this.pit.reset();
    this.rtc.reset();
    this.dma.reset();
    this.i8042.reset();
    this.keyboard.reset();
    this.mouse.reset();
    this.systemControl.reset();
    this.floatError.reset();
    for (const line of this.serial) line.uart.reset();
    this.fdc.reset();
    this.fwCfg.reset();
    this.flash?.reset();
    this.postCode.reset();
  }

  /** Hands collected bytes of serial ports and debug consoles to the host. */
  flushOutput(): void {
    for (const line of this.serial) line.flush();
    this.debugConsole.flush();
    this.firmwareLog.flush();
  }

  #attachPci(config: MachineConfig): void {
    const { hostBridge, isaBridge, ide, powerManagement, video, vmmDev } = PCI_SLOT;
    this.pci.attach(hostBridge.device, hostBridge.fn, this.hostBridge);
    this.pci.attach(isaBridge.device, isaBridge.fn, this.isaBridge);
    this.pci.attach(ide.device, ide.fn, this.ide);
    if (config.platform.acpi) {
      this.pci.attach(powerManagement.device, powerManagement.fn, this.powerManagement);
    }
    this.pci.attach(video.device, video.fn, this.vga.config);
    if (this.vmmDev) this.pci.attach(vmmDev.device, vmmDev.fn, this.vmmDev.config);
  }

  #mapPorts(config: MachineConfig, events: BoardEvents): void {
    const { ports } = this;
    const { pic } = this.interrupts;
    ports.map(0x00, 16, this.dma.first);
    ports.map(0x20, 2, pic.master);
    ports.map(0x40, 4, this.pit);
    ports.map(0x60, 1, this.i8042.data);
    ports.map(0x61, 1, this.systemControl.portB);
    ports.map(0x64, 1, this.i8042.command);
    ports.map(0x70, 2, this.rtc);
    ports.map(0x80, 1, this.postCode);
    ports.map(0x81, 15, this.dma.pages);
    ports.map(0x92, 1, this.systemControl.portA);
    ports.map(0xa0, 2, pic.slave);
    ports.map(0xb2, 2, this.powerManagement.apm);
    ports.map(0xc0, 32, this.dma.second);
    ports.map(DEBUG_CONSOLE_PORT, 1, new DebugConsole({ onByte: (byte) => this.debugConsole.push(byte) }));
    ports.map(0xf0, 1, this.floatError.port);
    ports.map(0x170, 8, this.ide.commandBlocks[1], { maxWidth: 4 });
    ports.map(0x1f0, 8, this.ide.commandBlocks[0], { maxWidth: 4 });
    ports.map(0x376, 1, this.ide.controlBlocks[1]);
    COM_PORTS.forEach(({ base }, n) => {
      ports.map(base, 8, this.serial[n].uart);
    });
    ports.map(0x3f0, 6, this.fdc.registers);
    ports.map(0x3f6, 1, this.ide.controlBlocks[0]);
    ports.map(0x3f7, 1, this.fdc.inputBlock);
    ports.map(FIRMWARE_LOG_PORT, 1, new DebugConsole({ onByte: (byte) => this.firmwareLog.push(byte) }));
    ports.map(0x4d0, 2, pic.elcr);
    ports.map(0x510, 2, this.fwCfg.registers, { maxWidth: 2 });
    ports.map(0x514, 8, this.fwCfg.dma, { maxWidth: 4 });
    ports.map(0xcf8, 4, this.pci.configAddress, { maxWidth: 4 });
    ports.map(0xcfc, 4, this.pci.configData, { maxWidth: 4 });
    if (config.platform.acpi) ports.map(ACPI_BOARD.gpe0Base, 4, this.powerManagement.gpe0);
    for (const { base, ports: count, device, maxWidth = 1 } of this.vga.portRanges) {
      ports.map(base, count, device, { maxWidth });
    }
    if (config.debugExitPort === null) return;
    ports.map(config.debugExitPort, 4, new DebugExit({ onExit: events.onDebugExit }), { maxWidth: 4 });
  }

  #mapVgaWindow(mapping: WindowMapping, vramAt: number): void {
    this.memory.mapMmio(VGA_WINDOW, WINDOW_BYTES, this.vga.window);
    if (mapping.kind === 'device') return;
    const { windowOffset, vramOffset, bytes } = mapping;
    this.memory.mapBacked(VGA_WINDOW + windowOffset, bytes, vramAt + vramOffset, 'tracked');
  }
}

/** The drive types setup would have stored, and the boot order for a BIOS that reads it there. */
function cmosOf(config: MachineConfig, lowRamBytes: number): Uint8Array {
  const [a, b] = config.floppies;
  return cmosForPc({
    lowRamBytes,
    highRamBytes: 0,
    floppies: [a?.type ?? 'none', b?.type ?? 'none'],
    bootOrder: config.bootOrder,
    cpuCount: 1,
  });
}
