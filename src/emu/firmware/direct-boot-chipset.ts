/**
 * What a BIOS does to the board before a kernel runs, for machines that boot without one.
 * Source: PCI Local Bus Specification 3.0, section 6.2.5.1 (sizing BARs); 82371SB and 82371AB data sheets (PIRQ route,
 * IDE timing, PM base); 82441FX data sheet (PAM); 8237A, 8254 and 8042 data sheets.
 */
import { CodedError } from '#base/errors.ts';
import type { IoBus } from '#emu/bus/io-bus.ts';
import { classCodeOf, type PciBus, type PciSlot, pirqOf } from '#emu/devices/pci/pci-bus.ts';
import { PCI_COMMAND, PCI_CONFIG, type PciFunction, type PciPin } from '#emu/devices/pci/pci-function.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';

/** Memory as a processor writes it: whole registers. */
export type RegisterMemory = Pick<PhysicalMemory, 'writeSized'>;

export interface DirectBootParts {
  readonly bus: PciBus;
  readonly ports: IoBus;
  readonly memory: RegisterMemory;
}

export interface DirectBootBoard {
  /** Memory that BARs may use, first and last byte. */
  readonly pciHole: { readonly first: number; readonly last: number };
  readonly pmBase: number;
  readonly smbusBase: number;
  readonly sciIrq: number;
  /** IRQ of PIRQA to PIRQD. */
  readonly pirqIrqs: readonly [number, number, number, number];
  /** Registers of the boot processor's local APIC; undefined: it has none. */
  readonly localApicBase: number | undefined;
}

/** The usual interrupts of PIRQA to PIRQD. */
export const PIRQ_IRQS: readonly [number, number, number, number] = [10, 10, 11, 11];

/** One BAR after assignment. */
export interface AssignedBar {
  readonly device: number;
  readonly fn: number;
  readonly index: number;
  readonly space: 'io' | 'memory';
  readonly base: number;
  readonly byteCount: number;
}

const IO_WINDOW = { first: 0xc000, end: 0x1_0000 } as const;
const BAR_COUNT = 6;
const ELCR_PORT = 0x4d0;

/**
 * Programs chipset, interrupts and BARs through the registers a BIOS would use.
 * @returns every BAR with its address
 * @throws CodedError<'no-room'> when the BARs do not fit into their windows
 */
export function initialiseChipsetForDirectBoot(parts: DirectBootParts, board: DirectBootBoard): AssignedBar[] {
  const slots = parts.bus.slots();
  for (const slot of slots) initialiseKnown(slot.pciFunction, board);
  const assigned = assignBars(slots, board);
  for (const slot of slots) {
    assignInterrupt(slot, board);
    enableDecoding(slot);
  }
  initialiseIsa(parts.ports, board);
  if (board.localApicBase !== undefined) enterVirtualWireMode(parts.memory, board.localApicBase);
  return assigned;
}

/** Functions with registers that a BIOS must set, by vendor and device. */
function initialiseKnown(target: PciFunction, board: DirectBootBoard): void {
  switch (target.readConfig(PCI_CONFIG.vendorId, 4)) {
    case 0x1237_8086: // 82441FX: RAM in C0000h-FFFFFh.
      target.writeConfig(0x59, 1, 0x30);
      for (let register = 0x5a; register <= 0x5f; register++) target.writeConfig(register, 1, 0x33);
      break;
    case 0x7000_8086: // 82371SB function 0: PIRQ routes.
      board.pirqIrqs.forEach((irq, pirq) => {
        target.writeConfig(0x60 + pirq, 1, irq);
      });
      break;
    case 0x7010_8086: // 82371SB and 82371AB function 1: decode both IDE channels.
    case 0x7111_8086:
      target.writeConfig(0x40, 2, 0x8000);
      target.writeConfig(0x42, 2, 0x8000);
      break;
    case 0x7113_8086: // 82371AB function 3: PM and SMBus blocks.
      target.writeConfig(0x40, 4, board.pmBase | 1);
      target.writeConfig(0x80, 1, 1);
      target.writeConfig(0x90, 4, board.smbusBase | 1);
      target.writeConfig(0xd2, 1, 9);
      break;
  }
}

interface SizedBar {
  readonly slot: PciSlot;
  readonly index: number;
  readonly space: 'io' | 'memory';
  readonly byteCount: number;
  /** The upper half follows in the next register. */
  readonly is64Bit: boolean;
}

/** Writes ones and reads back, with decoding off. */
function sizeBars(slot: PciSlot): SizedBar[] {
  const target = slot.pciFunction;
  if (target.readConfig(PCI_CONFIG.headerType, 1) & 0x7f) return [];
  const command = target.readConfig(PCI_CONFIG.command, 2);
  target.writeConfig(PCI_CONFIG.command, 2, command & ~(PCI_COMMAND.ioSpace | PCI_COMMAND.memorySpace));
  const found: SizedBar[] = [];
  for (let index = 0; index < BAR_COUNT; index++) {
    const at = PCI_CONFIG.bar0 + index * 4;
    const before = target.readConfig(at, 4);
    target.writeConfig(at, 4, 0xffff_ffff);
    const mask = target.readConfig(at, 4);
    target.writeConfig(at, 4, before);
    const isIo = (mask & 1) !== 0;
    const address = isIo ? mask & 0xffff_fffc : mask & 0xffff_fff0;
    if (address === 0) continue;
    const is64Bit = !isIo && (mask & 6) === 4;
    // I/O BARs may leave the upper 16 bits unimplemented.
    const byteCount = isIo ? (-address & 0xffff) >>> 0 || 0x1_0000 : -address >>> 0;
    found.push({ slot, index, space: isIo ? 'io' : 'memory', byteCount, is64Bit });
    if (is64Bit) index++;
  }
  target.writeConfig(PCI_CONFIG.command, 2, command);
  return found;
}

/** Largest first, so that natural alignment wastes nothing: ports upwards, memory down from the end of the hole. */
function assignBars(slots: readonly PciSlot[], board: DirectBootBoard): AssignedBar[] {
  const bars = slots.flatMap(sizeBars).sort((a, b) => b.byteCount - a.byteCount);
  let nextPort: number = IO_WINDOW.first;
  let memoryEnd = board.pciHole.last + 1;
  return bars.map((bar) => {
    let base: number;
    if (bar.space === 'io') {
      base = Math.ceil(nextPort / bar.byteCount) * bar.byteCount;
      nextPort = base + bar.byteCount;
      if (nextPort > IO_WINDOW.end) noRoom(bar);
    } else {
      base = Math.floor((memoryEnd - bar.byteCount) / bar.byteCount) * bar.byteCount;
      memoryEnd = base;
      if (base < board.pciHole.first) noRoom(bar);
    }
    const at = PCI_CONFIG.bar0 + bar.index * 4;
    bar.slot.pciFunction.writeConfig(at, 4, base);
    if (bar.is64Bit) bar.slot.pciFunction.writeConfig(at + 4, 4, 0);
    const { device, fn } = bar.slot;
    return { device, fn, index: bar.index, space: bar.space, base, byteCount: bar.byteCount };
  });
}

function noRoom(bar: SizedBar): never {
  throw new CodedError(
    'no-room',
    'the PCI devices need more address space than the machine has; remove a device or give it less video memory',
    { device: bar.slot.device, fn: bar.slot.fn, index: bar.index, byteCount: bar.byteCount },
  );
}

function assignInterrupt({ device, pciFunction }: PciSlot, board: DirectBootBoard): void {
  const pin = pciFunction.readConfig(PCI_CONFIG.interruptPin, 1);
  if (pin < 1 || pin > 4) return;
  const isPowerManagement = pciFunction.readConfig(PCI_CONFIG.vendorId, 4) === 0x7113_8086;
  const irq = isPowerManagement ? board.sciIrq : board.pirqIrqs[pirqOf(device, pin as PciPin)];
  pciFunction.writeConfig(PCI_CONFIG.interruptLine, 1, irq);
}

/** A BIOS lets the operating system's driver turn on bus mastering, except where legacy drivers expect it. */
function enableDecoding({ pciFunction }: PciSlot): void {
  const MASS_STORAGE_IDE = 0x0101;
  const isIde = classCodeOf(pciFunction) >>> 8 === MASS_STORAGE_IDE;
  const command = pciFunction.readConfig(PCI_CONFIG.command, 2);
  const wanted = PCI_COMMAND.ioSpace | PCI_COMMAND.memorySpace | (isIde ? PCI_COMMAND.busMaster : 0);
  pciFunction.writeConfig(PCI_CONFIG.command, 2, command | wanted);
}

/** The 8259 pair and NMI through the local APIC. Source: MultiProcessor Specification 1.4, section 3.6.2.2. */
function enterVirtualWireMode(memory: RegisterMemory, base: number): void {
  const write = (register: number, value: number): void => memory.writeSized(base + register, 4, value);
  const SPURIOUS = 0xf0;
  const LINT0 = 0x350;
  const LINT1 = 0x360;
  write(SPURIOUS, 0x1ff);
  write(LINT0, 0x700);
  write(LINT1, 0x400);
}

/** Level triggers, the first timer channel, DMA cascading and the keyboard controller. */
function initialiseIsa(ports: IoBus, board: DirectBootBoard): void {
  const level = [...board.pirqIrqs, board.sciIrq].reduce((bits, irq) => bits | (1 << irq), 0);
  ports.write(ELCR_PORT, 1, level & 0xff);
  ports.write(ELCR_PORT + 1, 1, level >>> 8);
  // Channel 0: mode 2, 65536 counts, 18.2 Hz.
  ports.write(0x43, 1, 0x34);
  ports.write(0x40, 1, 0);
  ports.write(0x40, 1, 0);
  // DMA channel 4 cascades the first controller.
  ports.write(0xd6, 1, 0xc0);
  ports.write(0xd4, 1, 0);
  // Keyboard on with its interrupt and translation; the auxiliary port stays off until a driver wants it.
  ports.write(0x64, 1, 0x60);
  ports.write(0x60, 1, 0x65);
}
