/**
 * The bus between local APICs, I/O APICs and message-signalled interrupts: who takes a message, and who hears of an EOI.
 * Source: SDM Vol. 3A, 10.6.2 (destinations), 10.10 (interrupts from I/O APICs), 10.11 (message-signalled interrupts).
 * Not modelled: focus processor, rotating arbitration (the lowest task priority wins, then the first).
 */
import { CodedError } from '#base/errors.ts';
import type { MessageInterrupts } from '#emu/bus/wires.ts';

/** Delivery modes, as in the ICR, in redirection entries and in message data. */
export const DELIVERY = {
  fixed: 0,
  lowestPriority: 1,
  smi: 2,
  nmi: 4,
  init: 5,
  startUp: 6,
  extInt: 7,
} as const;

/** A destination that means everybody. */
export const BROADCAST = 0xffff_ffff;
/** Destinations of I/O APICs and messages have 8 bits. */
const BROADCAST8 = 0xff;

/** A local APIC as the bus sees it. */
export interface ApicTarget {
  /** @param destination 8 bits in xAPIC mode, 32 in x2APIC mode, or `BROADCAST` */
  matches(destination: number, logical: boolean): boolean;
  /** Takes fixed interrupts: enabled by hardware and software. */
  readonly accepting: boolean;
  /** PPR, for lowest-priority delivery. */
  readonly processorPriority: number;
  /** @param mode one of `DELIVERY`; @param level level-triggered: its EOI is broadcast */
  deliver(mode: number, vector: number, level: boolean): void;
  /** The vector is requested and not yet in service. */
  isRequested(vector: number): boolean;
}

/** An I/O APIC as the bus sees it. */
export interface EoiListener {
  endOfInterrupt(vector: number): void;
}

const MESSAGE = { base: 0xfee, destinationShift: 12, logical: 1 << 2 } as const;

export class ApicBus implements MessageInterrupts {
  readonly #targets: ApicTarget[] = [];
  readonly #listeners: EoiListener[] = [];

  addLocalApic(target: ApicTarget): void {
    if (this.#targets.includes(target)) throw new CodedError('twice', 'a local APIC is on the bus once');
    this.#targets.push(target);
  }

  addIoApic(listener: EoiListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Sends a message to whoever it is for.
   * @param level level-triggered
   * @param except a local APIC that does not hear it
   */
  send(mode: number, vector: number, level: boolean, destination: number, logical: boolean, except?: ApicTarget): void {
    if (mode === DELIVERY.lowestPriority) {
      this.#lowest(destination, logical, except)?.deliver(DELIVERY.fixed, vector, level);
      return;
    }
    for (const target of this.#targets) {
      if (target !== except && target.matches(destination, logical)) target.deliver(mode, vector, level);
    }
  }

  /** From an I/O APIC or a device: 8-bit destinations. */
  sendFromDevice(mode: number, vector: number, level: boolean, destination: number, logical: boolean): void {
    const wide = destination === BROADCAST8 && !logical ? BROADCAST : destination;
    this.send(mode, vector, level, wide, logical);
  }

  /** A device's memory write to FEExxxxxh. @returns false when the address is not there */
  message(address: number, data: number): boolean {
    if (address >>> 20 !== MESSAGE.base) return false;
    const destination = (address >>> MESSAGE.destinationShift) & 0xff;
    const level = (data & (1 << 15)) !== 0;
    // A level-triggered message is an assertion; de-assertions carry nothing here.
    if (level && !(data & (1 << 14))) return true;
    this.sendFromDevice((data >>> 8) & 7, data & 0xff, level, destination, (address & MESSAGE.logical) !== 0);
    return true;
  }

  /** A local APIC ended a level-triggered interrupt. */
  endOfInterrupt(vector: number): void {
    for (const listener of this.#listeners) listener.endOfInterrupt(vector);
  }

  /** Some local APIC that the destination names has the vector requested and not yet in service. */
  isRequested(vector: number, destination: number, logical: boolean): boolean {
    return this.#targets.some((target) => target.matches(destination, logical) && target.isRequested(vector));
  }

  #lowest(destination: number, logical: boolean, except: ApicTarget | undefined): ApicTarget | undefined {
    let best: ApicTarget | undefined;
    for (const target of this.#targets) {
      if (target === except || !target.accepting || !target.matches(destination, logical)) continue;
      if (!best || target.processorPriority < best.processorPriority) best = target;
    }
    return best;
  }
}
