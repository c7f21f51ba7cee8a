/**
 * PCI-to-ISA bridge 82371SB (PIIX3), function 0: PIRQ routing and the reset control register.
 * Source: 82371FB/82371SB data sheet (order 290550), sections 2.2.10 (PIRQRCA-D) and 2.5.5.1 (RC register, CF9h).
 * Not modelled: ISA clock and recovery timing, DMA type F, distributed DMA, SMI sources (registers keep what is written).
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { PciConfigState, PciFunction } from '../pci/pci-function.ts';
import { PCI_COMMAND, PCI_STATUS, PciConfigSpace } from '../pci/pci-function.ts';

export interface Piix3Parts {
  /**
   * Sixteen inputs of the interrupt controllers, which this bridge drives for the PIRQs routed there.
   * An input that ISA devices drive too must be an OR of both.
   */
  readonly irqs: readonly IrqLine[];
  /** The reset control register asks for a reset: `hard` resets everything, `soft` is INIT to the CPU. */
  readonly onReset: (kind: 'hard' | 'soft') => void;
}

export interface Piix3State {
  readonly config: PciConfigState;
  readonly resetControl: number;
  /** Levels of PIRQA# to PIRQD#. */
  readonly pirqs: readonly boolean[];
}

/** PIRQRCA; B, C and D follow. */
export const PIRQ_ROUTE = 0x60;
const ROUTE = { disabled: 0x80, irqMask: 0x0f } as const;
/** IRQs the routing register accepts: 0, 1, 2, 8 and 13 are reserved. */
const ROUTABLE = 0b1101_1110_1111_1000;
const RESET_CONTROL = { systemReset: 1 << 1, resetCpu: 1 << 2 } as const;

/** Register, width, reset value, writable bits: the rest of the bridge's own registers. */
const REGISTERS: readonly (readonly [number, Width, number, number])[] = [
  [0x4c, 1, 0x4d, 0x7f], // IORT
  [0x4e, 2, 0x0003, 0x01ff], // XBCS
  [PIRQ_ROUTE, 4, 0x8080_8080, 0x8f8f_8f8f],
  [0x69, 1, 0x02, 0xfe], // TOM
  [0x6a, 2, 0x0000, 0x8011], // MSTAT
  [0x70, 1, 0x80, 0xef], // MBIRQ0
  [0x76, 2, 0x0c0c, 0x8f8f], // MBDMA
  [0x78, 2, 0x0002, 0xffff], // PCSC
  [0x80, 1, 0x00, 0x7f], // APICBASE
  [0x82, 1, 0x00, 0x0f], // DLC
  [0xa0, 1, 0x08, 0x1f], // SMICNTL
  [0xa2, 2, 0x0000, 0xffff], // SMIEN
  [0xa4, 4, 0x0000_0000, 0xffff_ffff], // SEE
  [0xa8, 1, 0x0f, 0xff], // FTMR
  [0xaa, 2, 0x0000, 0x00ff], // SMIREQ
  [0xac, 1, 0x00, 0xff], // CTLTMR
  [0xae, 1, 0x00, 0xff], // CTHTMR
];

export class Piix3 implements PciFunction, Saveable<Piix3State> {
  readonly #parts: Piix3Parts;
  readonly #config: PciConfigSpace;
  /** Levels of PIRQA# to PIRQD#. */
  readonly #levels: boolean[] = [false, false, false, false];
  /** What each interrupt controller input is driven to. */
  readonly #driven: boolean[] = new Array<boolean>(16).fill(false);
  #resetControl = 0;

  /** Wires for the PCI bus: PIRQA# to PIRQD#. */
  readonly pirqs: readonly [IrqLine, IrqLine, IrqLine, IrqLine];
  /** What answers byte accesses at CF8h-CFBh; CF9h is the reset control register. */
  readonly resetControl: IoDevice;

  constructor(parts: Piix3Parts) {
    this.#parts = parts;
    const config = new PciConfigSpace({
      identity: {
        vendorId: 0x8086,
        deviceId: 0x7000,
        classCode: 0x060100,
        subsystemVendorId: 0x1af4,
        subsystemId: 0x1100,
        multiFunction: true,
      },
    });
    const command = PCI_COMMAND.ioSpace | PCI_COMMAND.memorySpace | PCI_COMMAND.busMaster;
    config.define(4, 2, command, 0x0008);
    config.define(6, 2, PCI_STATUS.devselMedium, 0, 0xf800);
    for (const [register, width, initial, writable] of REGISTERS) config.define(register, width, initial, writable);
    this.#config = config;
    this.pirqs = [this.#pirq(0), this.#pirq(1), this.#pirq(2), this.#pirq(3)];
    this.resetControl = {
      read: (offset) => (offset === 1 ? this.#resetControl : 0xff),
      write: (offset, _width, value) => {
        if (offset === 1) this.#writeResetControl(value);
      },
    };
  }

  readConfig(offset: number, width: Width): number {
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    this.#config.writeConfig(offset, width, value);
    if (offset < PIRQ_ROUTE + 4 && offset + width > PIRQ_ROUTE) this.#route();
  }

  reset(): void {
    this.#config.reset();
    this.#resetControl = 0;
    this.#route();
  }

  save(): Piix3State {
    return { config: this.#config.save(), resetControl: this.#resetControl, pirqs: [...this.#levels] };
  }

  restore(state: Piix3State): void {
    this.#config.restore(state.config);
    this.#resetControl = state.resetControl;
    for (let pirq = 0; pirq < 4; pirq++) this.#levels[pirq] = state.pirqs[pirq] ?? false;
    this.#route();
    for (let irq = 0; irq < 16; irq++) this.#parts.irqs[irq]?.set(this.#driven[irq]);
  }

  #pirq(pirq: number): IrqLine {
    return {
      set: (asserted) => {
        if (this.#levels[pirq] === asserted) return;
        this.#levels[pirq] = asserted;
        this.#route();
      },
    };
  }

  /** IRQ that a PIRQ is routed to, or -1. */
  #irqOf(pirq: number): number {
    const route = this.#config.readConfig(PIRQ_ROUTE + pirq, 1);
    const irq = route & ROUTE.irqMask;
    return route & ROUTE.disabled || !(ROUTABLE & (1 << irq)) ? -1 : irq;
  }

  /** Drives every interrupt controller input to the OR of the PIRQs routed there. */
  #route(): void {
    let asserted = 0;
    for (let pirq = 0; pirq < 4; pirq++) {
      const irq = this.#levels[pirq] ? this.#irqOf(pirq) : -1;
      if (irq >= 0) asserted |= 1 << irq;
    }
    for (let irq = 0; irq < 16; irq++) {
      const level = (asserted & (1 << irq)) !== 0;
      if (this.#driven[irq] === level) continue;
      this.#driven[irq] = level;
      this.#parts.irqs[irq]?.set(level);
    }
  }

  /** A rising edge of the reset CPU bit resets; the system reset bit says how much. */
  #writeResetControl(value: number): void {
    const rising = (value & RESET_CONTROL.resetCpu) !== 0 && (this.#resetControl & RESET_CONTROL.resetCpu) === 0;
    this.#resetControl = value & (RESET_CONTROL.systemReset | RESET_CONTROL.resetCpu);
    if (rising) this.#parts.onReset(value & RESET_CONTROL.systemReset ? 'hard' : 'soft');
  }
}
