/**
 * Local APIC of one processor: xAPIC registers in memory, x2APIC registers as MSRs.
 * Source: SDM Vol. 3A, chapter 10 (10.4 registers, 10.5 LVT, 10.6 ICR, 10.8 priorities, 10.9 spurious, 10.12 x2APIC).
 * Not modelled: the thermal and performance counter sources of their LVT entries, CMCI, suppression of EOI broadcasts,
 * the arbitration priority register's rotation, remote reads, lowest-priority IPIs' focus check, SMI.
 *
 * The 8259 pair is on LINT0 and NMI on LINT1. While the APIC is disabled by IA32_APIC_BASE the pins are INTR and NMI.
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { LocalApicPort } from '#emu/bus/local-apic-port.ts';
import type { InterruptSource, Saveable } from '#emu/bus/wires.ts';
import { type ApicTarget, BROADCAST, DELIVERY } from './apic-bus.ts';
import {
  APIC_BASE,
  ESR,
  ICR,
  isReadableInX2,
  isReadOnly,
  LVT,
  mayChangeBase,
  REG,
  SVR,
  VERSION,
  X2_RESERVED,
} from './apic-registers.ts';
import { ApicTimer, TIMER_MODE } from './apic-timer.ts';
import { InterruptQueue } from './interrupt-queue.ts';
import type { LocalApicParts, LocalApicState } from './local-apic-parts.ts';
import { matchesLogical, matchesLogicalX2, x2LogicalId } from './logical-destination.ts';

/** Index in the local vector table, in register order. */
const ENTRY = { timer: 0, thermal: 1, performance: 2, lint0: 3, lint1: 4, error: 5 } as const;
const ENTRIES = 6;
const MSR = { base: 0x1b, tscDeadline: 0x6e0, x2First: 0x800, x2Last: 0x8ff } as const;
/** x2APIC register numbers, as MSR minus 800h, that xAPIC mode lacks. */
const X2_SELF_IPI = 0x3f;
const FIRST_VECTOR = 16;

export class LocalApic implements ApicTarget, InterruptSource, LocalApicPort, Saveable<LocalApicState> {
  /** The register page, for `mapMmio` with `maxWidth` 4. */
  readonly registers: IoDevice;
  readonly #parts: LocalApicParts;
  readonly #timer: ApicTimer;
  readonly #queue = new InterruptQueue();
  readonly #lvt = new Uint32Array(ENTRIES);
  /** Levels of LINT0 and LINT1. */
  readonly #pins = [false, false];
  #base = 0;
  #baseHigh = 0;
  #id = 0;
  #ldr = 0;
  #dfr = BROADCAST;
  #svr = 0;
  #errors = 0;
  #errorsLatched = 0;
  #icrLow = 0;
  #icrHigh = 0;
  /** A message said that the 8259 pair has an interrupt. */
  #extIntMessage = false;
  #output = false;
  #mappedAt: number | undefined;

  constructor(parts: LocalApicParts) {
    this.#parts = parts;
    this.#timer = new ApicTimer({
      timers: parts.timers,
      onExpired: () => this.#local(ENTRY.timer),
      isWaiting: () => this.#queue.requested.has(this.#lvt[ENTRY.timer] & 0xff),
    });
    this.registers = {
      read: (offset, width) => this.#readMemory(offset, width),
      write: (offset, width, value) => {
        if (width === 4 && (offset & 0xf) === 0) this.#writeRegister((offset & 0xff0) >> 4, value);
      },
    };
    parts.bus.addLocalApic(this);
    this.#initialise();
    this.#setBase(APIC_BASE.default | (parts.bootstrapProcessor ? APIC_BASE.bootstrap : 0));
  }

  // Pins.

  /** LINT0: INTR of the 8259 pair. */
  setLint0(asserted: boolean): void {
    this.#setPin(0, ENTRY.lint0, asserted);
  }

  /** LINT0 leads to the processor as INTR: an ExtINT, or the APIC is disabled. */
  get hearsLint0(): boolean {
    const lint0 = this.#lvt[ENTRY.lint0];
    return !this.enabled || (!(lint0 & LVT.masked) && ((lint0 >> LVT.modeShift) & 7) === DELIVERY.extInt);
  }

  /** LINT1: a rising edge is an NMI unless the LVT says otherwise. @returns whether it reached the processor */
  pulseLint1(): boolean {
    if (!this.enabled) {
      this.#parts.onNmi();
      return true;
    }
    const open = (this.#lvt[ENTRY.lint1] & LVT.masked) === 0;
    this.#setPin(1, ENTRY.lint1, true);
    this.#setPin(1, ENTRY.lint1, false);
    return open;
  }

  // Towards the processor.

  /** INTR of the processor. */
  get output(): boolean {
    return this.#output;
  }

  acknowledge(): number {
    const vector = this.#deliverable();
    if (vector >= 0) {
      this.#queue.takeInService(vector);
      this.#update();
      return vector;
    }
    if (this.#extIntPending()) {
      this.#extIntMessage = false;
      const legacy = this.#parts.legacy.acknowledge();
      this.#update();
      return legacy;
    }
    return this.#svr & SVR.vector;
  }

  get initialId(): number {
    return this.#parts.id & 0xff;
  }

  get enabled(): boolean {
    return (this.#base & APIC_BASE.enable) !== 0;
  }

  get offersX2(): boolean {
    return this.#parts.offersX2;
  }

  get taskPriorityClass(): number {
    return this.#queue.taskPriority >> 4;
  }

  set taskPriorityClass(value: number) {
    this.#queue.taskPriority = (value & 0xf) << 4;
    this.#update();
  }

  ownsMsr(number: number): boolean {
    return number === MSR.base || number === MSR.tscDeadline || (number >= MSR.x2First && number <= MSR.x2Last);
  }

  readMsr(number: number, answer: Int32Array): boolean {
    answer[1] = 0;
    if (number === MSR.base) {
      answer[0] = this.#base;
      answer[1] = this.#baseHigh;
      return true;
    }
    if (number === MSR.tscDeadline) {
      answer[0] = this.#timer.deadlineLow;
      answer[1] = this.#timer.deadlineHigh;
      return true;
    }
    const register = number - MSR.x2First;
    if (!this.#x2 || !isReadableInX2(register)) return false;
    answer[0] = this.#readRegister(register);
    if (register === REG.icrLow) answer[1] = this.#icrHigh;
    return true;
  }

  writeMsr(number: number, low: number, high: number): boolean {
    if (number === MSR.base) return this.#writeBase(low, high);
    if (number === MSR.tscDeadline) {
      this.#timer.setDeadline(low, high);
      return true;
    }
    return this.#x2 && this.#writeX2(number - MSR.x2First, low, high);
  }

  setTscOffset(low: number, high: number): void {
    this.#timer.setTscOffset(low, high);
  }

  // On the bus.

  get accepting(): boolean {
    return this.enabled && this.#softwareEnabled;
  }

  get processorPriority(): number {
    return this.#queue.processorPriority;
  }

  matches(destination: number, logical: boolean): boolean {
    if (!this.enabled) return false;
    if (destination === BROADCAST) return true;
    if (!logical) return destination === (this.#x2 ? this.#parts.id : this.#id);
    if (this.#x2) return matchesLogicalX2(destination, this.#parts.id);
    return matchesLogical(destination, this.#ldr, this.#dfr);
  }

  isRequested(vector: number): boolean {
    return this.#queue.requested.has(vector);
  }

  deliver(mode: number, vector: number, level: boolean): void {
    switch (mode) {
      case DELIVERY.fixed:
      case DELIVERY.lowestPriority:
        if (this.accepting) this.#request(vector, level);
        break;
      case DELIVERY.nmi:
        this.#parts.onNmi();
        break;
      case DELIVERY.init:
        this.#parts.onInit?.();
        break;
      case DELIVERY.startUp:
        this.#parts.onStartUp?.(vector);
        break;
      case DELIVERY.extInt:
        this.#extIntMessage = true;
        this.#update();
        break;
    }
  }

  // Life.

  /** RESET#. Pins keep their levels. */
  reset(): void {
    this.#initialise();
    this.#setBase(APIC_BASE.default | (this.#parts.bootstrapProcessor ? APIC_BASE.bootstrap : 0));
    this.#update();
  }

  save(): LocalApicState {
    return {
      base: [this.#base, this.#baseHigh],
      id: this.#id,
      taskPriority: this.#queue.taskPriority,
      logicalDestination: this.#ldr,
      destinationFormat: this.#dfr,
      spurious: this.#svr,
      errors: this.#errors,
      errorsLatched: this.#errorsLatched,
      commandLow: this.#icrLow,
      commandHigh: this.#icrHigh,
      lvt: [...this.#lvt],
      inService: this.#queue.inService.words.slice(),
      requested: this.#queue.requested.words.slice(),
      triggerMode: this.#queue.levelTriggered.words.slice(),
      pins: [...this.#pins],
      extIntMessage: this.#extIntMessage,
      timer: this.#timer.save(),
    };
  }

  restore(state: LocalApicState): void {
    this.#id = state.id;
    this.#queue.taskPriority = state.taskPriority;
    this.#ldr = state.logicalDestination;
    this.#dfr = state.destinationFormat;
    this.#svr = state.spurious;
    this.#errors = state.errors;
    this.#errorsLatched = state.errorsLatched;
    this.#icrLow = state.commandLow;
    this.#icrHigh = state.commandHigh;
    this.#lvt.set(state.lvt);
    this.#queue.inService.words.set(state.inService);
    this.#queue.requested.words.set(state.requested);
    this.#queue.levelTriggered.words.set(state.triggerMode);
    this.#pins[0] = state.pins[0] ?? false;
    this.#pins[1] = state.pins[1] ?? false;
    this.#extIntMessage = state.extIntMessage;
    this.#timer.restore(state.timer);
    this.#setBase(...state.base);
    this.#output = this.#wanted();
    this.#parts.onOutput(this.#output);
  }

  // Registers.

  get #x2(): boolean {
    return (this.#base & APIC_BASE.x2) !== 0;
  }

  get #softwareEnabled(): boolean {
    return (this.#svr & SVR.enable) !== 0;
  }

  #readMemory(offset: number, width: Width): number {
    const dword = this.#readRegister((offset & 0xff0) >> 4);
    // The other three dwords of a register's 16 bytes read as zero.
    const shifted = offset & 0xc ? 0 : dword >>> ((offset & 3) * 8);
    return width === 4 ? shifted : width === 2 ? shifted & 0xffff : shifted & 0xff;
  }

  /** @param register offset in the page divided by 16 */
  #readRegister(register: number): number {
    if (register >= REG.isr && register < REG.isr + 8) return this.#queue.inService.words[register - REG.isr];
    if (register >= REG.tmr && register < REG.tmr + 8) return this.#queue.levelTriggered.words[register - REG.tmr];
    if (register >= REG.irr && register < REG.irr + 8) return this.#queue.requested.words[register - REG.irr];
    if (register >= REG.lvtTimer && register < REG.lvtTimer + ENTRIES) return this.#lvtAsRead(register - REG.lvtTimer);
    switch (register) {
      case REG.id:
        return this.#x2 ? this.#parts.id : (this.#id << 24) >>> 0;
      case REG.version:
        return VERSION;
      case REG.tpr:
        return this.#queue.taskPriority;
      case REG.apr:
      case REG.ppr:
        return this.processorPriority;
      case REG.ldr:
        return this.#x2 ? x2LogicalId(this.#parts.id) : this.#ldr;
      case REG.dfr:
        return this.#dfr;
      case REG.svr:
        return this.#svr;
      case REG.esr:
        return this.#errorsLatched;
      case REG.icrLow:
        return this.#icrLow;
      case REG.icrHigh:
        return this.#icrHigh;
      case REG.initialCount:
        return this.#timer.initialCount;
      case REG.currentCount:
        return this.#timer.currentCount;
      case REG.divide:
        return this.#timer.divideConfiguration;
      case REG.eoi:
      case REG.remoteRead:
        return 0;
      default:
        this.#fail(ESR.illegalRegister);
        return 0;
    }
  }

  #writeRegister(register: number, value: number): void {
    if (register >= REG.lvtTimer && register < REG.lvtTimer + ENTRIES) {
      this.#writeLvt(register - REG.lvtTimer, value);
      return;
    }
    switch (register) {
      case REG.id:
        this.#id = value >>> 24;
        break;
      case REG.tpr:
        this.#queue.taskPriority = value & 0xff;
        this.#update();
        break;
      case REG.eoi:
        this.#endOfInterrupt();
        break;
      case REG.ldr:
        this.#ldr = (value & 0xff00_0000) >>> 0;
        break;
      case REG.dfr:
        this.#dfr = (value | 0x0fff_ffff) >>> 0;
        break;
      case REG.svr:
        this.#writeSvr(value);
        break;
      case REG.esr:
        this.#errorsLatched = this.#errors;
        this.#errors = 0;
        break;
      case REG.icrLow:
        this.#icrLow = value & ICR.writable;
        this.#sendCommand();
        break;
      case REG.icrHigh:
        this.#icrHigh = (value & 0xff00_0000) >>> 0;
        break;
      case REG.initialCount:
        this.#timer.initialCount = value >>> 0;
        break;
      case REG.divide:
        this.#timer.divideConfiguration = value;
        break;
      default:
        if (!isReadOnly(register)) this.#fail(ESR.illegalRegister);
    }
  }

  #writeX2(register: number, low: number, high: number): boolean {
    if (register === REG.icrLow) {
      if (low & ~ICR.writable) return false;
      this.#icrLow = low;
      this.#icrHigh = high >>> 0;
      this.#sendCommand();
      return true;
    }
    if (high !== 0) return false;
    if (register === X2_SELF_IPI) {
      if (low & ~0xff) return false;
      this.#icrLow = low;
      this.#requestFromSoftware(low);
      return true;
    }
    const reserved = X2_RESERVED[register];
    if (reserved === undefined || low & reserved) return false;
    this.#writeRegister(register, low >>> 0);
    return true;
  }

  #lvtAsRead(entry: number): number {
    const value = this.#lvt[entry];
    return this.#levelWaits(entry) ? value | LVT.remoteIrr : value;
  }

  #writeLvt(entry: number, value: number): void {
    const masked = this.#softwareEnabled ? 0 : LVT.masked;
    this.#lvt[entry] = (value & LVT.writable[entry]) | masked;
    if (entry === ENTRY.timer) this.#configureTimer();
    else if (entry === ENTRY.lint0) {
      // A level that stands when the entry is opened requests; an edge has passed.
      if (this.#pins[0] && value & LVT.level) this.#local(ENTRY.lint0, true);
      this.#update();
    }
  }

  #configureTimer(): void {
    const value = this.#lvt[ENTRY.timer];
    const mode = (value >> LVT.timerModeShift) & 3;
    this.#timer.configure(mode > TIMER_MODE.tscDeadline ? TIMER_MODE.oneShot : mode, (value & LVT.masked) !== 0);
  }

  #writeSvr(value: number): void {
    this.#svr = value & SVR.writable;
    if (!this.#softwareEnabled) {
      // Source: 10.4.7.2: every entry is masked, and stays so when the APIC is enabled again.
      for (let entry = 0; entry < ENTRIES; entry++) this.#lvt[entry] |= LVT.masked;
      this.#configureTimer();
    }
    this.#update();
  }

  #writeBase(low: number, high: number): boolean {
    const { enable, bootstrap } = APIC_BASE;
    if (!mayChangeBase(this.#base, low, high, this.#parts.offersX2)) return false;
    const wasEnabled = this.enabled;
    if (wasEnabled && !(low & enable)) this.#initialise();
    this.#setBase((low & ~bootstrap) | (this.#base & bootstrap), high & ~APIC_BASE.highReserved);
    this.#update();
    return true;
  }

  #setBase(low: number, high = 0): void {
    this.#base = low;
    this.#baseHigh = high;
    const visible = this.enabled && !this.#x2 && high === 0;
    const at = visible ? (low & APIC_BASE.address) >>> 0 : undefined;
    if (at === this.#mappedAt) return;
    this.#mappedAt = at;
    this.#parts.onMoved?.(at);
  }

  /** Every register but IA32_APIC_BASE as after power-on. Source: 10.4.7.1. */
  #initialise(): void {
    this.#id = this.#parts.id & 0xff;
    this.#ldr = 0;
    this.#dfr = BROADCAST;
    this.#svr = SVR.vector;
    this.#errors = 0;
    this.#errorsLatched = 0;
    this.#icrLow = 0;
    this.#icrHigh = 0;
    this.#lvt.fill(LVT.masked);
    this.#queue.clear();
    this.#extIntMessage = false;
    this.#timer.reset();
  }

  // Interrupts.

  #request(vector: number, level: boolean): void {
    if (vector < FIRST_VECTOR) {
      this.#fail(ESR.receiveIllegalVector);
      return;
    }
    this.#queue.request(vector, level);
    this.#update();
  }

  #requestFromSoftware(vector: number): void {
    if ((vector & 0xff) < FIRST_VECTOR) this.#fail(ESR.sendIllegalVector);
    else if (this.accepting) this.#request(vector & 0xff, false);
  }

  #endOfInterrupt(): void {
    const vector = this.#queue.end();
    if (vector < 0) return;
    if (this.#queue.levelTriggered.has(vector)) {
      this.#parts.bus.endOfInterrupt(vector);
      // A pin that is still asserted asks again.
      if (this.#pins[0] && (this.#lvt[ENTRY.lint0] & 0xff) === vector) this.#local(ENTRY.lint0, true);
    }
    this.#update();
  }

  #sendCommand(): void {
    const low = this.#icrLow;
    const vector = low & 0xff;
    const mode = (low >> ICR.modeShift) & 7;
    const level = (low & ICR.level) !== 0;
    // INIT level de-assert only synchronises arbitration IDs (10.6.1).
    if (mode === DELIVERY.init && !(low & ICR.assert) && level) return;
    if (mode <= DELIVERY.lowestPriority && vector < FIRST_VECTOR) {
      this.#fail(ESR.sendIllegalVector);
      return;
    }
    const { bus } = this.#parts;
    const logical = (low & ICR.logical) !== 0;
    // IPIs are edge-triggered whatever the bit says.
    switch ((low >> ICR.shorthandShift) & 3) {
      case 0:
        bus.send(mode, vector, false, this.#commandDestination(logical), logical);
        break;
      case 1:
        this.deliver(mode, vector, false);
        break;
      case 2:
        bus.send(mode, vector, false, BROADCAST, false);
        break;
      default:
        bus.send(mode, vector, false, BROADCAST, false, this);
    }
  }

  #commandDestination(logical: boolean): number {
    if (this.#x2) return this.#icrHigh;
    const destination = this.#icrHigh >>> 24;
    return destination === 0xff && !logical ? BROADCAST : destination;
  }

  #setPin(pin: 0 | 1, entry: number, asserted: boolean): void {
    if (this.#pins[pin] === asserted) return;
    this.#pins[pin] = asserted;
    if (asserted) this.#local(entry, true);
    this.#update();
  }

  /** A source of the local vector table fires. @param pin its trigger mode counts */
  #local(entry: number, pin = false): void {
    const value = this.#lvt[entry];
    if (value & LVT.masked || !this.enabled) return;
    switch ((value >> LVT.modeShift) & 7) {
      case DELIVERY.fixed:
        if (pin && this.#levelWaits(entry)) break;
        this.#request(value & 0xff, pin && (value & LVT.level) !== 0);
        break;
      case DELIVERY.nmi:
        this.#parts.onNmi();
        break;
      case DELIVERY.init:
        this.#parts.onInit?.();
        break;
      // ExtINT on LINT0 is the level of the pin: see `extIntPending`.
    }
  }

  /** A level-triggered fixed interrupt of this pin was accepted and not ended. */
  #levelWaits(entry: number): boolean {
    const value = this.#lvt[entry];
    if (entry !== ENTRY.lint0 || !(value & LVT.level) || (value >> LVT.modeShift) & 7) return false;
    return this.#queue.requested.has(value & 0xff) || this.#queue.inService.has(value & 0xff);
  }

  #extIntPending(): boolean {
    return (this.#pins[0] && this.hearsLint0) || (this.enabled && this.#extIntMessage);
  }

  /** The vector that the processor would take now, or -1. */
  #deliverable(): number {
    return this.enabled ? this.#queue.deliverable : -1;
  }

  #wanted(): boolean {
    return this.#deliverable() >= 0 || this.#extIntPending();
  }

  #update(): void {
    const output = this.#wanted();
    if (output === this.#output) return;
    this.#output = output;
    this.#parts.onOutput(output);
  }

  #fail(error: number): void {
    this.#errors |= error;
    const value = this.#lvt[ENTRY.error];
    if (!(value & LVT.masked) && (value & 0xff) >= FIRST_VECTOR) this.#request(value & 0xff, false);
  }
}
