/**
 * The board's interrupt controllers and what lies between them: the 8259 pair, behind it or beside it the APICs, and the
 * HPET, which can take the places of timer and clock.
 *
 * Wiring as on QEMU's "pc": an ISA interrupt reaches the 8259 pair and the same input of the I/O APIC, IRQ 0 input 2. The
 * 8259 pair's INTR is on LINT0 and on input 0, NMI is on LINT1 (virtual wire mode). PCI interrupts come as ISA ones.
 * Not modelled: IMCR (a board in virtual wire mode has none).
 */
import type { Timers } from '#base/clock.ts';
import { PAGE_BYTES } from '#base/units.ts';
import type { InterruptSource, IrqLine, MessageInterrupts, Saveable } from '#emu/bus/wires.ts';
import { ApicBus } from '#emu/devices/apic/apic-bus.ts';
import { Hpet } from '#emu/devices/apic/hpet.ts';
import { IO_APIC_PINS, IoApic } from '#emu/devices/apic/io-apic.ts';
import { LocalApic } from '#emu/devices/apic/local-apic.ts';
import { Pic8259Pair } from '#emu/devices/isa/pic8259.ts';
import { WiredOr } from '#emu/devices/pci/wired-or.ts';
import type { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import type { PlatformConfig } from './config.ts';

/** Where the parts answer, and the I/O APIC's ID: after the IDs of the processors. */
export const APIC_ADDRESS = { local: 0xfee0_0000, io: 0xfec0_0000, hpet: 0xfed0_0000 } as const;
export const IO_APIC_ID = 1;

const IRQS = 16;
const TIMER_IRQ = 0;
const CLOCK_IRQ = 8;
/** Input of the I/O APIC that the timer is on, since input 0 has the 8259 pair. */
const TIMER_PIN = 2;

export interface InterruptsParts {
  readonly timers: Timers;
  readonly memory: PhysicalMemory;
  readonly platform: PlatformConfig;
  /** INTR of the processor. */
  readonly onRequest: (asserted: boolean) => void;
  readonly onNmi: () => void;
  readonly onInit: () => void;
}

export class Interrupts implements MessageInterrupts {
  readonly pic: Pic8259Pair;
  readonly localApic: LocalApic | undefined;
  readonly ioApic: IoApic | undefined;
  readonly hpet: Hpet | undefined;
  readonly #memory: PhysicalMemory;
  readonly #onNmi: () => void;
  readonly #bus = new ApicBus();
  readonly #pins: readonly WiredOr[];
  readonly #irqs: readonly WiredOr[];
  /** Timer and clock are on their interrupts, rather than the HPET. */
  readonly #gates: readonly [Gate, Gate];
  #localApicAt: number | undefined;

  constructor(parts: InterruptsParts) {
    const { memory, platform, timers } = parts;
    this.#memory = memory;
    this.#onNmi = parts.onNmi;
    this.pic = new Pic8259Pair({ onOutput: (asserted) => this.#picOutput(asserted, parts.onRequest) });
    if (platform.apic) {
      this.localApic = new LocalApic({
        timers,
        bus: this.#bus,
        id: 0,
        bootstrapProcessor: true,
        offersX2: platform.x2apic,
        legacy: this.pic,
        onOutput: parts.onRequest,
        onNmi: parts.onNmi,
        onInit: parts.onInit,
        onMoved: (base) => this.#moveLocalApic(base),
      });
      this.#moveLocalApic(APIC_ADDRESS.local);
    }
    if (platform.ioApic) {
      this.ioApic = new IoApic({ bus: this.#bus, id: IO_APIC_ID });
      memory.mapMmio(APIC_ADDRESS.io, PAGE_BYTES, this.ioApic.registers);
    }
    const { ioApic } = this;
    this.#pins = ioApic ? Array.from({ length: IO_APIC_PINS }, (_, n) => new WiredOr(ioApic.pin(n))) : [];
    this.#irqs = Array.from({ length: IRQS }, (_, n) => new WiredOr(this.#fanOut(n)));
    this.#gates = [new Gate(this.#irqs[TIMER_IRQ].input()), new Gate(this.#irqs[CLOCK_IRQ].input())];
    if (platform.hpet) {
      this.hpet = new Hpet({
        timers,
        irq0: this.#irqs[TIMER_IRQ].input(),
        irq8: this.#irqs[CLOCK_IRQ].input(),
        input: (n) => this.#pins[n]?.input() ?? { set: () => {} },
        messages: this,
        onLegacyReplacement: (on) => {
          for (const gate of this.#gates) gate.setOpen(!on);
        },
        tickWaiting: () => this.isWaiting(TIMER_IRQ),
      });
      memory.mapMmio(APIC_ADDRESS.hpet, PAGE_BYTES, this.hpet);
    }
  }

  /** What the processor's INTA cycle reaches. */
  get source(): InterruptSource {
    return this.localApic ?? this.pic;
  }

  /** INTR of the processor as it is now. */
  get requested(): boolean {
    return (this.localApic ?? this.pic).output;
  }

  /** One more source on an ISA interrupt; the timer and the clock have `timerIrq` and `clockIrq`. */
  irq(n: number): IrqLine {
    return this.#irqs[n].input();
  }

  /** IRQ 0, unless the HPET has it. */
  get timerIrq(): IrqLine {
    return this.#gates[0];
  }

  /** IRQ 8, unless the HPET has it. */
  get clockIrq(): IrqLine {
    return this.#gates[1];
  }

  /** An interrupt of this line is requested and not taken: another edge would be lost. */
  isWaiting(irq: number): boolean {
    // A pair that software has cut off keeps its requests for ever.
    const heard = this.localApic?.hearsLint0 ?? true;
    return (heard && this.pic.isWaiting(irq)) || (this.ioApic?.isWaiting(irq === TIMER_IRQ ? TIMER_PIN : irq) ?? false);
  }

  /** An edge on the processor's NMI input. @returns false when the local APIC masks it */
  pulseNmi(): boolean {
    if (this.localApic) return this.localApic.pulseLint1();
    this.#onNmi();
    return true;
  }

  message(address: number, data: number): boolean {
    if (this.#bus.message(address, data)) return true;
    this.#memory.writeSized(address, 4, data);
    return false;
  }

  reset(): void {
    this.pic.reset();
    this.hpet?.reset();
    this.ioApic?.reset();
    this.localApic?.reset();
  }

  /**
   * Parts with a record, in the order in which they take it back: a part whose record holds what the others' wires brought
   * comes after them.
   */
  get saveables(): readonly (readonly [name: string, part: Saveable<unknown>])[] {
    const parts: [string, Saveable<unknown> | undefined][] = [
      ['hpet', this.hpet],
      ['pic', this.pic],
      ['ioApic', this.ioApic],
      ['localApic', this.localApic],
    ];
    return parts.filter((part): part is [string, Saveable<unknown>] => part[1] !== undefined);
  }

  #picOutput(asserted: boolean, onRequest: (asserted: boolean) => void): void {
    if (!this.localApic) {
      onRequest(asserted);
      return;
    }
    this.localApic.setLint0(asserted);
    this.ioApic?.pin(0).set(asserted);
  }

  #fanOut(irq: number): IrqLine {
    const pic = this.pic.irq(irq);
    const pin = this.#pins[irq === TIMER_IRQ ? TIMER_PIN : irq]?.input();
    // IRQ 2 is the cascade, and its input the timer's.
    if (!pin || irq === TIMER_PIN) return pic;
    return {
      set: (asserted) => {
        pic.set(asserted);
        pin.set(asserted);
      },
    };
  }

  /** A base where something else answers is left alone: the registers are then out of reach. */
  #moveLocalApic(base: number | undefined): void {
    if (this.#localApicAt !== undefined) this.#memory.unmap(this.#localApicAt, PAGE_BYTES);
    this.#localApicAt = undefined;
    const { localApic } = this;
    if (!localApic || base === undefined || this.#memory.entry(base) !== 0) return;
    this.#localApicAt = base;
    this.#memory.mapMmio(base, PAGE_BYTES, localApic.registers);
  }
}

/** A source that can be taken off its line and put back. */
class Gate implements IrqLine {
  readonly #line: IrqLine;
  #level = false;
  #open = true;

  constructor(line: IrqLine) {
    this.#line = line;
  }

  set(asserted: boolean): void {
    this.#level = asserted;
    if (this.#open) this.#line.set(asserted);
  }

  setOpen(open: boolean): void {
    this.#open = open;
    this.#line.set(open && this.#level);
  }
}
