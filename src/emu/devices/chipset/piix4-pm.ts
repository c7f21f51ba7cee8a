/**
 * Power management function 82371AB (PIIX4), function 3: ACPI fixed hardware, SMI command port and SMBus.
 * Source: 82371AB data sheet (order 290562), chapter 7; ACPI 1.0b, section 4.7 (fixed register model).
 * The general-purpose event block sits at a fixed place of QEMU's board rather than in the PM block.
 * Not modelled: SMM (APMC is shown as already initialised by firmware), S3, clock control and throttling, device
 * monitors, bus master status.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { type GuestNs, guestNs } from '#base/units.ts';
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { BarMoved } from '../pci/bar-windows.ts';
import type { PciConfigState, PciFunction } from '../pci/pci-function.ts';
import { PCI_PIN, PCI_STATUS, PciConfigSpace } from '../pci/pci-function.ts';
import { SmbusHost, type SmbusHostState } from './smbus-host.ts';

export interface Piix4PmParts {
  readonly timers: Timers;
  /** System control interrupt: IRQ 9, level. */
  readonly sci: IrqLine;
  /** Puts the 64 registers of the PM block on the port bus. */
  readonly pmMoved: (device: IoDevice, portCount: number) => BarMoved;
  /** Puts the 16 registers of the SMBus host on the port bus. */
  readonly smbusMoved: (device: IoDevice, portCount: number) => BarMoved;
  /** The guest asked for S5: soft off. */
  readonly onPowerOff: () => void;
}

export interface Piix4PmState {
  readonly config: PciConfigState;
  /** PM1a status without the timer bit, which follows from time. */
  readonly pm1Status: number;
  readonly pm1Enable: number;
  readonly pm1Control: number;
  /** Carries of the timer's bit 23 when the guest last cleared its status bit. */
  readonly timerCarriesSeen: number;
  readonly gpeStatus: number;
  readonly gpeEnable: number;
  readonly apmControl: number;
  readonly apmStatus: number;
  /** The other bytes of the PM block, as written. */
  readonly others: Uint8Array;
  readonly smbus: SmbusHostState;
}

/** Configuration registers. */
export const PIIX4_PM = {
  pmBase: 0x40,
  deviceActivityB: 0x58,
  pmRegMisc: 0x80,
  smbusBase: 0x90,
  smbusHostConfig: 0xd2,
} as const;

/** Values for the SMI command port that firmware tables hand to the operating system (FADT). */
export const ACPI_COMMAND = { enable: 0xf1, disable: 0xf0 } as const;

/** Offsets in the PM block. */
export const PM_BLOCK = { pm1Status: 0x00, pm1Enable: 0x02, pm1Control: 0x04, timer: 0x08 } as const;
export const PM_BLOCK_PORTS = 64;
export const SMBUS_PORTS = 16;

/** PM1 status and enable bits. */
export const PM1_EVENT = {
  timer: 1 << 0,
  busMaster: 1 << 4,
  globalLock: 1 << 5,
  powerButton: 1 << 8,
  rtc: 1 << 10,
  wake: 1 << 15,
} as const;
const PM1_CONTROL = { sciEnable: 1 << 0, sleepEnable: 1 << 13 } as const;
/** SLP_TYP of soft off; the DSDT's _S5 package names the same value. */
export const SLEEP_TYPE_S5 = 0;

const ENABLEABLE = PM1_EVENT.timer | PM1_EVENT.globalLock | PM1_EVENT.powerButton | PM1_EVENT.rtc;
const CLEARABLE = ENABLEABLE | PM1_EVENT.busMaster | PM1_EVENT.wake;
/** Bit 25 of DEVACTB: writes to APMC make an SMI. */
const APMC_ENABLE_BYTE = 0x5b;
const APMC_ENABLE = 0x02;

export const PM_TIMER_HZ = 3_579_545;
/** The status bit is set when bit 23 of the counter changes. */
const CARRY_TICKS = 2 ** 23;
const NS = 1_000_000_000;

/** Ticks since power-on. Whole seconds apart, so that no product leaves the safe integers. */
export function pmTicks(now: number): number {
  const seconds = Math.floor(now / NS);
  return seconds * PM_TIMER_HZ + Math.floor(((now - seconds * NS) * PM_TIMER_HZ) / NS);
}

/** First nanosecond at which the counter has reached `ticks`. */
function timeOfTick(ticks: number): GuestNs {
  const seconds = Math.floor(ticks / PM_TIMER_HZ);
  return guestNs(seconds * NS + Math.ceil(((ticks - seconds * PM_TIMER_HZ) * NS) / PM_TIMER_HZ));
}

export class Piix4Pm implements PciFunction, Saveable<Piix4PmState> {
  readonly #parts: Piix4PmParts;
  readonly #config: PciConfigSpace;
  readonly #carryTimer: Timer;
  readonly #movePm: BarMoved;
  readonly #moveSmbus: BarMoved;
  readonly #smbus: SmbusHost = new SmbusHost();
  readonly #others: Uint8Array = new Uint8Array(PM_BLOCK_PORTS);
  #pmBase: number | undefined;
  #smbusBase: number | undefined;
  #pm1Status = 0;
  #pm1Enable = 0;
  #pm1Control = 0;
  #timerCarriesSeen = 0;
  #gpeStatus = 0;
  #gpeEnable = 0;
  #apmControl = 0;
  #apmStatus = 0;

  /** GPE0 status (word) and enable (word): 4 ports at AFE0h of this board; `maxWidth` 1. */
  readonly gpe0: IoDevice;
  /** APM control (SMI command) and status: 2 ports at B2h; `maxWidth` 1. */
  readonly apm: IoDevice;

  constructor(parts: Piix4PmParts) {
    this.#parts = parts;
    const config = new PciConfigSpace({
      identity: {
        vendorId: 0x8086,
        deviceId: 0x7113,
        classCode: 0x068000,
        revisionId: 0x03,
        subsystemVendorId: 0x1af4,
        subsystemId: 0x1100,
        interruptPin: PCI_PIN.inta,
      },
    });
    config.define(4, 2, 0, 0x0001);
    config.define(6, 2, PCI_STATUS.fastBackToBack | PCI_STATUS.devselMedium, 0, 0xf900);
    config.define(PIIX4_PM.pmBase, 4, 1, 0xffc0);
    config.define(0x44, 4, 0, 0x00ff_ffff);
    for (let register = 0x48; register < 0x80; register += 4) config.define(register, 4, 0, 0xffff_ffff);
    // Firmware that finds this bit set leaves SMM alone; waiting for an SMI that never comes would hang it.
    config.define(APMC_ENABLE_BYTE, 1, APMC_ENABLE, 0xff);
    config.define(PIIX4_PM.pmRegMisc, 1, 0, 0x01);
    config.define(PIIX4_PM.smbusBase, 4, 1, 0xfff0);
    config.define(PIIX4_PM.smbusHostConfig, 4, 0, 0x00ff_ff0f);
    this.#config = config;
    this.#carryTimer = parts.timers.create(() => this.#updateSci());
    this.#movePm = parts.pmMoved({ read: (o, w) => this.#read(o, w), write: (o, w, v) => this.#write(o, w, v) }, 64);
    this.#moveSmbus = parts.smbusMoved(this.#smbus, SMBUS_PORTS);
    this.gpe0 = {
      read: (offset) => this.#readGpe(offset),
      write: (offset, _w, value) => this.#writeGpe(offset, value),
    };
    this.apm = {
      read: (offset) => (offset === 0 ? this.#apmControl : this.#apmStatus),
      write: (offset, _w, value) => this.#writeApm(offset, value),
    };
  }

  readConfig(offset: number, width: Width): number {
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    this.#config.writeConfig(offset, width, value);
    this.#decode();
  }

  reset(): void {
    this.#config.reset();
    this.#smbus.reset();
    this.#others.fill(0);
    this.#pm1Status = 0;
    this.#pm1Enable = 0;
    this.#pm1Control = 0;
    this.#timerCarriesSeen = this.#carries();
    this.#gpeStatus = 0;
    this.#gpeEnable = 0;
    this.#apmControl = 0;
    this.#apmStatus = 0;
    this.#decode();
    this.#updateSci();
  }

  /** A person pressed the power button: the operating system sees the event if it enabled it. */
  pressPowerButton(): void {
    this.#pm1Status |= PM1_EVENT.powerButton;
    this.#updateSci();
  }

  /** True while an operating system listens to the power button, so that pressing it can have an effect. */
  get powerButtonHeard(): boolean {
    return (this.#pm1Control & PM1_CONTROL.sciEnable) !== 0 && (this.#pm1Enable & PM1_EVENT.powerButton) !== 0;
  }

  /** Raises general-purpose events, a bit for each of 16. */
  raiseGpe(bits: number): void {
    this.#gpeStatus |= bits & 0xffff;
    this.#updateSci();
  }

  save(): Piix4PmState {
    return {
      config: this.#config.save(),
      pm1Status: this.#pm1Status,
      pm1Enable: this.#pm1Enable,
      pm1Control: this.#pm1Control,
      timerCarriesSeen: this.#timerCarriesSeen,
      gpeStatus: this.#gpeStatus,
      gpeEnable: this.#gpeEnable,
      apmControl: this.#apmControl,
      apmStatus: this.#apmStatus,
      others: this.#others.slice(),
      smbus: this.#smbus.save(),
    };
  }

  restore(state: Piix4PmState): void {
    this.#config.restore(state.config);
    this.#pm1Status = state.pm1Status;
    this.#pm1Enable = state.pm1Enable;
    this.#pm1Control = state.pm1Control;
    this.#timerCarriesSeen = state.timerCarriesSeen;
    this.#gpeStatus = state.gpeStatus;
    this.#gpeEnable = state.gpeEnable;
    this.#apmControl = state.apmControl;
    this.#apmStatus = state.apmStatus;
    this.#others.set(state.others);
    this.#smbus.restore(state.smbus);
    this.#decode();
    this.#updateSci();
  }

  #decode(): void {
    const pmOn = this.#config.readConfig(PIIX4_PM.pmRegMisc, 1) & 1;
    const pmBase = this.#config.readConfig(PIIX4_PM.pmBase, 4) & 0xffc0;
    const pm = pmOn && pmBase ? pmBase : undefined;
    if (pm !== this.#pmBase) {
      this.#pmBase = pm;
      this.#movePm(pm);
    }
    const smbusOn = this.#config.readConfig(PIIX4_PM.smbusHostConfig, 1) & 1;
    const smbusBase = this.#config.readConfig(PIIX4_PM.smbusBase, 4) & 0xfff0;
    const smbus = smbusOn && smbusBase ? smbusBase : undefined;
    if (smbus !== this.#smbusBase) {
      this.#smbusBase = smbus;
      this.#moveSmbus(smbus);
    }
  }

  #carries(): number {
    return Math.floor(pmTicks(this.#parts.timers.now()) / CARRY_TICKS);
  }

  #status(): number {
    return this.#pm1Status | (this.#carries() !== this.#timerCarriesSeen ? PM1_EVENT.timer : 0);
  }

  /** All bytes of an access are of one moment: a torn timer would run backwards. */
  #read(offset: number, width: Width): number {
    const ticks = pmTicks(this.#parts.timers.now());
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = (value << 8) | this.#readByte(offset + i, ticks);
    return value >>> 0;
  }

  #readByte(offset: number, ticks: number): number {
    const high = (offset & 1) * 8;
    if (offset < PM_BLOCK.pm1Enable) return (this.#status() >> high) & 0xff;
    if (offset < PM_BLOCK.pm1Control) return (this.#pm1Enable >> high) & 0xff;
    if (offset < PM_BLOCK.pm1Control + 2) return (this.#pm1Control >> high) & 0xff;
    if (offset >= PM_BLOCK.timer && offset < PM_BLOCK.timer + 4) {
      return ((ticks % 2 ** 24) >>> ((offset - PM_BLOCK.timer) * 8)) & 0xff;
    }
    return this.#others[offset];
  }

  #write(offset: number, width: Width, value: number): void {
    // Word registers take effect once for both bytes: SLP_EN arrives together with SLP_TYP.
    let control = this.#pm1Control;
    let enable = this.#pm1Enable;
    let clear = 0;
    for (let i = 0; i < width; i++) {
      const at = offset + i;
      const byte = (value >>> (i * 8)) & 0xff;
      const high = (at & 1) * 8;
      const keep = 0xff00 >> high;
      if (at < PM_BLOCK.pm1Enable) clear |= byte << high;
      else if (at < PM_BLOCK.pm1Control) enable = (enable & keep) | (byte << high);
      else if (at < PM_BLOCK.pm1Control + 2) control = (control & keep) | (byte << high);
      else if (at < PM_BLOCK.timer || at >= PM_BLOCK.timer + 4) this.#others[at] = byte;
    }
    this.#pm1Status &= ~(clear & CLEARABLE);
    if (clear & PM1_EVENT.timer) this.#timerCarriesSeen = this.#carries();
    this.#pm1Enable = enable & ENABLEABLE;
    this.#pm1Control = control & 0x1c03;
    this.#updateSci();
    if (control & PM1_CONTROL.sleepEnable && ((control >> 10) & 7) === SLEEP_TYPE_S5) this.#parts.onPowerOff();
  }

  #readGpe(offset: number): number {
    const word = offset < 2 ? this.#gpeStatus : this.#gpeEnable;
    return (word >> ((offset & 1) * 8)) & 0xff;
  }

  #writeGpe(offset: number, value: number): void {
    const high = (offset & 1) * 8;
    if (offset < 2) this.#gpeStatus &= ~(value << high);
    else this.#gpeEnable = (this.#gpeEnable & (0xff00 >> high)) | (value << high);
    this.#updateSci();
  }

  /** Firmware's SMI handler would act on these commands; with no SMM the port does it. */
  #writeApm(offset: number, value: number): void {
    if (offset === 1) {
      this.#apmStatus = value;
      return;
    }
    this.#apmControl = value;
    if (value === ACPI_COMMAND.enable) this.#pm1Control |= PM1_CONTROL.sciEnable;
    if (value === ACPI_COMMAND.disable) this.#pm1Control &= ~PM1_CONTROL.sciEnable;
    this.#updateSci();
  }

  #updateSci(): void {
    const status = this.#status();
    const events = (status & this.#pm1Enable) !== 0 || (this.#gpeStatus & this.#gpeEnable) !== 0;
    this.#parts.sci.set(events && (this.#pm1Control & PM1_CONTROL.sciEnable) !== 0);
    if (this.#pm1Enable & PM1_EVENT.timer && !(status & PM1_EVENT.timer)) {
      this.#carryTimer.arm(timeOfTick((this.#timerCarriesSeen + 1) * CARRY_TICKS));
    } else this.#carryTimer.disarm();
  }
}
