/**
 * The two cascaded 8259A interrupt controllers of a PC/AT and their edge/level control registers.
 * Source: Intel 8259A data sheet (231468), "Programming the 8259A" and "Priority";
 * ELCR: 82371AB (PIIX4) data sheet, sections 4.2.5 and 8.8.
 * Not modelled: 8080/8085 mode, buffered mode, LTIM (the PIIX replaces it by the ELCR), wiring other than
 * slave INT on master IR2.
 */
import type { IoDevice } from '../../bus/io-bus.ts';
import type { InterruptSource, IrqLine, Saveable } from '../../bus/wires.ts';

const ICW1 = { icw4Needed: 1 << 0, single: 1 << 1, select: 1 << 4 } as const;
const ICW4 = { autoEoi: 1 << 1, specialFullyNested: 1 << 4 } as const;
const OCW3 = {
  readIsr: 1 << 0,
  readRegister: 1 << 1,
  poll: 1 << 2,
  select: 1 << 3,
  smm: 1 << 5,
  esmm: 1 << 6,
} as const;
/** OCW2 bits 7..5 (R, SL, EOI). */
const OCW2 = {
  rotateInAutoEoiClear: 0,
  nonSpecificEoi: 1,
  specificEoi: 3,
  rotateInAutoEoiSet: 4,
  rotateOnNonSpecificEoi: 5,
  setPriority: 6,
  rotateOnSpecificEoi: 7,
} as const;

const CASCADE_IR = 2;
const SPURIOUS_IR = 7;
const POLL_REQUEST = 0x80;
const NONE = -1;

/** The guest-visible state of one 8259A. All registers are 8 bits wide, bit n for IRn. */
export interface Pic8259State {
  /** Levels of the IR inputs. */
  lines: number;
  /** Edge-sense latches: set by a rising input, cleared by a falling one or by the acknowledge cycle. */
  edges: number;
  imr: number;
  isr: number;
  /** 1: the input is level-triggered. */
  elcr: number;
  /** ICW2: vector of IR0, a multiple of 8. */
  vectorBase: number;
  /** The initialisation command word the next data write is: 2, 3, 4, or 0 when initialised. */
  nextIcw: number;
  single: boolean;
  icw4Needed: boolean;
  autoEoi: boolean;
  rotateInAutoEoi: boolean;
  specialFullyNested: boolean;
  specialMask: boolean;
  pollNext: boolean;
  /** What a command-port read returns: the ISR instead of the IRR. */
  readIsr: boolean;
  /** The IR with the lowest priority, 0..7; the next one has the highest. */
  lowest: number;
}

const powerOn = (): Pic8259State => ({
  lines: 0,
  edges: 0,
  imr: 0,
  isr: 0,
  elcr: 0,
  vectorBase: 0,
  nextIcw: 0,
  single: false,
  icw4Needed: false,
  autoEoi: false,
  rotateInAutoEoi: false,
  specialFullyNested: false,
  specialMask: false,
  pollNext: false,
  readIsr: false,
  lowest: 7,
});

/** One 8259A. The pair owns it and learns through `onChange` that its INT pin may have moved. */
class Pic8259 implements IoDevice {
  state: Pic8259State = powerOn();
  /** Inputs that are level-sensed whatever the ELCR says: the cascade, whose INT may stay high between two requests. */
  readonly #alwaysLevel: number;
  readonly #elcrWritable: number;
  readonly #onChange: () => void;

  constructor(alwaysLevel: number, elcrWritable: number, onChange: () => void) {
    this.#alwaysLevel = alwaysLevel;
    this.#elcrWritable = elcrWritable;
    this.#onChange = onChange;
  }

  /** The RESET pin reaches the chipset's ELCR; the inputs keep their levels. */
  reset(): void {
    const { lines } = this.state;
    this.state = powerOn();
    this.state.lines = lines;
  }

  setLine(ir: number, asserted: boolean): void {
    const s = this.state;
    const bit = 1 << ir;
    if (((s.lines & bit) !== 0) === asserted) return;
    if (asserted) {
      s.lines |= bit;
      s.edges |= bit;
    } else {
      s.lines &= ~bit;
      // The request must stay high until INTA; one that falls before is withdrawn.
      s.edges &= ~bit;
    }
    this.#onChange();
  }

  get irr(): number {
    const s = this.state;
    const level = s.elcr | this.#alwaysLevel;
    return (s.lines & level) | (s.edges & ~level);
  }

  /** The IR that drives INT, or -1. */
  pending(): number {
    const s = this.state;
    const requests = this.irr & ~s.imr;
    if (requests === 0) return NONE;
    const request = this.#rank(requests);
    const inService = this.#rank(s.specialMask ? s.isr & ~s.imr : s.isr);
    const nests = s.specialFullyNested && (this.#alwaysLevel & (1 << this.#irOf(request))) !== 0;
    return request < inService || (nests && request === inService) ? this.#irOf(request) : NONE;
  }

  /** First half of INTA: puts `ir` in service. */
  takeInService(ir: number): void {
    const s = this.state;
    const bit = 1 << ir;
    s.edges &= ~bit;
    if (!s.autoEoi) s.isr |= bit;
    else if (s.rotateInAutoEoi) s.lowest = ir;
  }

  read(offset: number): number {
    const s = this.state;
    if (s.pollNext) {
      s.pollNext = false;
      const ir = this.pending();
      if (ir === NONE) return 0;
      this.takeInService(ir);
      this.#onChange();
      return POLL_REQUEST | ir;
    }
    if (offset === 1) return s.imr;
    return s.readIsr ? s.isr : this.irr;
  }

  write(offset: number, _width: number, value: number): void {
    if (offset === 1) this.#writeData(value);
    else if (value & ICW1.select) this.#initialise(value);
    else if (value & OCW3.select) this.#writeOcw3(value);
    else this.#writeOcw2(value);
    this.#onChange();
  }

  writeElcr(value: number): void {
    const s = this.state;
    s.elcr = value & this.#elcrWritable;
    this.#onChange();
  }

  #initialise(icw1: number): void {
    const { lines, elcr } = this.state;
    this.state = powerOn();
    const s = this.state;
    // INVARIANT: edge latches are clear, so an input that is high must fall and rise again to request.
    s.lines = lines;
    s.elcr = elcr;
    s.single = (icw1 & ICW1.single) !== 0;
    s.icw4Needed = (icw1 & ICW1.icw4Needed) !== 0;
    s.nextIcw = 2;
  }

  #writeData(value: number): void {
    const s = this.state;
    switch (s.nextIcw) {
      case 2:
        s.vectorBase = value & 0xf8;
        s.nextIcw = s.single ? (s.icw4Needed ? 4 : 0) : 3;
        break;
      case 3:
        // The board's wiring is fixed; the word is taken and has no other effect.
        s.nextIcw = s.icw4Needed ? 4 : 0;
        break;
      case 4:
        s.autoEoi = (value & ICW4.autoEoi) !== 0;
        s.specialFullyNested = (value & ICW4.specialFullyNested) !== 0;
        s.nextIcw = 0;
        break;
      default:
        s.imr = value & 0xff;
    }
  }

  #writeOcw3(value: number): void {
    const s = this.state;
    if (value & OCW3.esmm) s.specialMask = (value & OCW3.smm) !== 0;
    if (value & OCW3.poll) s.pollNext = true;
    else if (value & OCW3.readRegister) s.readIsr = (value & OCW3.readIsr) !== 0;
  }

  #writeOcw2(value: number): void {
    const s = this.state;
    const ir = value & 7;
    switch (value >> 5) {
      case OCW2.nonSpecificEoi:
        this.#endOfInterrupt(this.#highestInService(), false);
        break;
      case OCW2.rotateOnNonSpecificEoi:
        this.#endOfInterrupt(this.#highestInService(), true);
        break;
      case OCW2.specificEoi:
        this.#endOfInterrupt(ir, false);
        break;
      case OCW2.rotateOnSpecificEoi:
        this.#endOfInterrupt(ir, true);
        break;
      case OCW2.setPriority:
        s.lowest = ir;
        break;
      case OCW2.rotateInAutoEoiSet:
        s.rotateInAutoEoi = true;
        break;
      case OCW2.rotateInAutoEoiClear:
        s.rotateInAutoEoi = false;
        break;
    }
  }

  #endOfInterrupt(ir: number, rotate: boolean): void {
    if (ir === NONE) return;
    this.state.isr &= ~(1 << ir);
    if (rotate) this.state.lowest = ir;
  }

  /** What a non-specific EOI ends: in special mask mode, not the levels that are masked. */
  #highestInService(): number {
    const s = this.state;
    const rank = this.#rank(s.specialMask ? s.isr & ~s.imr : s.isr);
    return rank === 8 ? NONE : this.#irOf(rank);
  }

  /** Priority of the best bit in `bits`: 0 highest .. 7, or 8 when there is none. */
  #rank(bits: number): number {
    for (let rank = 0; rank < 8; rank++) if (bits & (1 << this.#irOf(rank))) return rank;
    return 8;
  }

  #irOf(rank: number): number {
    return (this.state.lowest + 1 + rank) & 7;
  }
}

export interface Pic8259PairParts {
  /** INTR to the CPU or to LINT0/ExtINT of the local APIC; called only on change. */
  readonly onOutput: (asserted: boolean) => void;
}

export interface Pic8259PairState {
  master: Pic8259State;
  slave: Pic8259State;
}

/** The interrupt controllers of a PC: IRQ 0..7 on the master, 8..15 on the slave. */
export class Pic8259Pair implements InterruptSource, Saveable<Pic8259PairState> {
  /** Ports 20h and 21h. */
  readonly master: IoDevice;
  /** Ports A0h and A1h. */
  readonly slave: IoDevice;
  /** Ports 4D0h (IRQ 0..7) and 4D1h (IRQ 8..15). */
  readonly elcr: IoDevice;
  readonly #onOutput: (asserted: boolean) => void;
  readonly #master: Pic8259;
  readonly #slave: Pic8259;
  readonly #lines: readonly IrqLine[];
  #output = false;

  constructor(parts: Pic8259PairParts) {
    this.#onOutput = parts.onOutput;
    // IRQ 0, 1, 2, 8 and 13 are always edge-triggered (PIIX4, 8.8).
    this.#master = new Pic8259(1 << CASCADE_IR, 0xf8, () => this.#driveOutput());
    this.#slave = new Pic8259(0, 0xde, () => this.#driveCascade());
    this.master = this.#master;
    this.slave = this.#slave;
    this.elcr = {
      read: (offset: number): number => (offset === 0 ? this.#master : this.#slave).state.elcr,
      write: (offset: number, _width: number, value: number): void =>
        (offset === 0 ? this.#master : this.#slave).writeElcr(value),
    };
    this.#lines = Array.from({ length: 16 }, (_, n) => {
      const chip = n < 8 ? this.#master : this.#slave;
      const ir = n & 7;
      // IRQ 2 of the bus is the cascade; nothing else can drive it.
      if (n === CASCADE_IR) return { set: (): void => {} };
      return { set: (asserted: boolean): void => chip.setLine(ir, asserted) };
    });
  }

  /** @param n ISA interrupt number, 0..15; 2 is the cascade and its line does nothing */
  irq(n: number): IrqLine {
    return this.#lines[n & 15];
  }

  /** True while INTR is asserted. */
  get output(): boolean {
    return this.#output;
  }

  /** True while interrupt `n` is requested, not masked and not yet acknowledged. */
  isWaiting(n: number): boolean {
    const chip = n < 8 ? this.#master : this.#slave;
    return (chip.irr & ~chip.state.imr & (1 << (n & 7))) !== 0;
  }

  /** The INTA cycles. Without a request the vector is that of IR7 (spurious) and nothing is in service. */
  acknowledge(): number {
    const master = this.#master;
    const slave = this.#slave;
    const ir = master.pending();
    if (ir === NONE) return master.state.vectorBase | SPURIOUS_IR;
    master.takeInService(ir);
    let vector = master.state.vectorBase | ir;
    if (ir === CASCADE_IR) {
      const slaveIr = slave.pending();
      vector = slave.state.vectorBase | (slaveIr === NONE ? SPURIOUS_IR : slaveIr);
      if (slaveIr !== NONE) slave.takeInService(slaveIr);
    }
    this.#driveCascade();
    this.#driveOutput();
    return vector;
  }

  reset(): void {
    this.#master.reset();
    this.#slave.reset();
    this.#driveCascade();
    this.#driveOutput();
  }

  save(): Pic8259PairState {
    return { master: { ...this.#master.state }, slave: { ...this.#slave.state } };
  }

  restore(state: Pic8259PairState): void {
    this.#master.state = { ...state.master };
    this.#slave.state = { ...state.slave };
    this.#output = this.#master.pending() !== NONE;
    this.#onOutput(this.#output);
  }

  #driveCascade(): void {
    this.#master.setLine(CASCADE_IR, this.#slave.pending() !== NONE);
  }

  #driveOutput(): void {
    const output = this.#master.pending() !== NONE;
    if (output === this.#output) return;
    this.#output = output;
    this.#onOutput(output);
  }
}
