/**
 * Gigabit Ethernet controllers of Intel's 8254x family, as a PCI function: 82540EM, 82543GC, 82545EM.
 * Source: Intel "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" (317453), and models.ts.
 *
 * BAR 0 is 128 KB of registers, BAR 2 (not on the 82543) two ports that lead to them.
 * Not modelled: wake on LAN, the management controller, flash, fibre and serial interfaces, PCI-X, message signalled
 * interrupts, LED pins (registers hold what is written).
 */
import type { Timers } from '#base/clock.ts';
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { expansionRom } from '#emu/devices/pci/expansion-rom.ts';
import {
  PCI_CONFIG,
  PCI_PIN,
  PCI_STATUS,
  type PciBar,
  PciConfigSpace,
  type PciConfigState,
  type PciFunction,
} from '#emu/devices/pci/pci-function.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { MiiPins, type MiiPinsState } from '../mii-pins.ts';
import { eepromImage } from './eeprom-image.ts';
import { DelayedCause, type DelayState, E1000Interrupts, type InterruptsState } from './interrupts.ts';
import { M88Phy, type M88PhyState } from './m88-phy.ts';
import { MicrowireEeprom, type MicrowireEepromState } from './microwire-eeprom.ts';
import { E1000_MODELS, type E1000Model, type E1000ModelName } from './models.ts';
import { E1000Receiver } from './receiver.ts';
import { plainMask } from './register-masks.ts';
import { CTRL, CTRL_EXT, EECD, FLUSH_PARTIAL, ICR, RAH_VALID, RCTL, REG, REGISTER_BYTES, STATUS } from './registers.ts';
import { E1000Statistics } from './statistics.ts';
import { E1000Transmitter, type TransmitterState } from './transmitter.ts';

export interface E1000Parts {
  readonly model: E1000ModelName;
  /** Six bytes, as the EEPROM has them. */
  readonly mac: Uint8Array;
  readonly memory: DmaMemory;
  readonly timers: Timers;
  /** INTA#. */
  readonly interrupt: IrqLine;
  readonly windows: Pick<BarWindows, 'io' | 'memory'>;
  readonly port: PacketPort;
  /** Option ROM. */
  readonly rom?: Uint8Array;
}

export interface E1000State {
  readonly pci: PciConfigState;
  readonly words: Uint32Array;
  readonly eeprom: MicrowireEepromState;
  readonly phy: M88PhyState;
  readonly pins: MiiPinsState;
  readonly interrupts: InterruptsState;
  readonly transmitDelay: DelayState;
  readonly receiveDelay: DelayState;
  readonly transmitter: TransmitterState;
  readonly statistics: Uint32Array;
  /** IOADDR. */
  readonly ioAddress: number;
  readonly linkSeen: boolean;
  readonly cableUp: boolean;
}

const REGISTER_WINDOW_BYTES = 0x2_0000;
const IO_WINDOW_PORTS = 8;
const PHY_ADDRESS = 1;
const POWER_MANAGEMENT = 0xdc;
const MDIC = { write: 1, read: 2, ready: 1 << 28, interrupt: 1 << 29, error: 1 << 30 } as const;
const EERD = { start: 1 << 0, done: 1 << 4 } as const;

export class E1000 implements PciFunction, Saveable<E1000State> {
  readonly #parts: E1000Parts;
  readonly #model: E1000Model;
  readonly #config: PciConfigSpace;
  readonly #words: Uint32Array = new Uint32Array(REGISTER_BYTES / 4);
  readonly #eeprom = new MicrowireEeprom();
  readonly #phy: M88Phy;
  readonly #pins: MiiPins;
  readonly #interrupts: E1000Interrupts;
  readonly #transmitDelay: DelayedCause;
  readonly #receiveDelay: DelayedCause;
  readonly #transmitter: E1000Transmitter;
  readonly #receiver: E1000Receiver;
  readonly #statistics = new E1000Statistics();
  #ioAddress = 0;
  #linkSeen = false;
  /** The sender was told to keep a frame. */
  #refused = false;

  constructor(parts: E1000Parts) {
    const { memory, timers, port } = parts;
    const words = this.#words;
    this.#parts = parts;
    this.#model = E1000_MODELS[parts.model];
    this.#config = this.#pciFunction();
    this.#eeprom.words.set(eepromImage(this.#model, parts.mac));
    this.#phy = new M88Phy({
      timers,
      id2: this.#model.phyId,
      cableUp: () => port.linkUp,
      onChange: () => this.#checkLink(),
    });
    this.#pins = new MiiPins(PHY_ADDRESS, this.#phy);
    this.#interrupts = new E1000Interrupts({ timers, words, setPin: (on) => this.#config.setInterrupt(on) });
    const raise = (causes: number): void => this.#interrupts.raise(causes);
    this.#transmitDelay = new DelayedCause(timers, () => raise(ICR.transmitWrittenBack));
    this.#receiveDelay = new DelayedCause(timers, () => raise(ICR.receiveTimer));
    this.#transmitter = new E1000Transmitter({
      memory,
      words,
      send: (frame) => this.#send(frame),
      raise,
      writtenBack: (delayed) =>
        this.#transmitDelay.happen(delayed ? words[REG.tidv >> 2] & 0xffff : 0, words[REG.tadv >> 2] & 0xffff),
      onSegmented: () => this.#statistics.segmented(),
    });
    this.#receiver = new E1000Receiver({
      memory,
      words,
      statistics: this.#statistics,
      raise,
      received: () => this.#receiveDelay.happen(words[REG.rdtr >> 2] & 0xffff, words[REG.radv >> 2] & 0xffff),
    });
    port.connect({
      receive: (frame) => this.#receive(frame),
      resume: () => this.#transmitter.pump(),
      linkChanged: () => this.#phy.cableChanged(),
    });
    this.#resetMac();
    this.#phy.reset();
  }

  readConfig(offset: number, width: Width): number {
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    this.#config.writeConfig(offset, width, value);
    if (offset > PCI_CONFIG.command || !this.#config.busMaster) return;
    this.#transmitter.pump();
    this.#room();
  }

  /** RST#. */
  reset(): void {
    this.#config.reset();
    this.#ioAddress = 0;
    this.#resetMac();
    this.#phy.reset();
  }

  save(): E1000State {
    return {
      pci: this.#config.save(),
      words: this.#words.slice(),
      eeprom: this.#eeprom.save(),
      phy: this.#phy.save(),
      pins: this.#pins.save(),
      interrupts: this.#interrupts.save(),
      transmitDelay: this.#transmitDelay.save(),
      receiveDelay: this.#receiveDelay.save(),
      transmitter: this.#transmitter.save(),
      statistics: this.#statistics.save(),
      ioAddress: this.#ioAddress,
      linkSeen: this.#linkSeen,
      cableUp: this.#parts.port.linkUp,
    };
  }

  restore(state: E1000State): void {
    this.#config.restore(state.pci);
    this.#words.set(state.words);
    this.#eeprom.restore(state.eeprom);
    this.#phy.restore(state.phy);
    this.#pins.restore(state.pins);
    this.#transmitDelay.restore(state.transmitDelay);
    this.#receiveDelay.restore(state.receiveDelay);
    this.#transmitter.restore(state.transmitter);
    this.#statistics.restore(state.statistics);
    this.#ioAddress = state.ioAddress;
    this.#linkSeen = state.linkSeen;
    this.#interrupts.restore(state.interrupts);
    // The cable may lead elsewhere now.
    if (this.#parts.port.linkUp !== state.cableUp) this.#phy.cableChanged();
    this.#room();
  }

  #pciFunction(): PciConfigSpace {
    const { windows, interrupt, rom } = this.#parts;
    const model = this.#model;
    const registers: IoDevice = {
      read: (offset, width) => this.#read(offset, width),
      write: (offset, width, value) => this.#write(offset, width, value),
    };
    const bars: PciBar[] = [
      {
        ...{ index: 0, space: 'memory', byteCount: REGISTER_WINDOW_BYTES },
        onMoved: windows.memory(REGISTER_WINDOW_BYTES, { kind: 'mmio', device: registers }),
      },
    ];
    if (model.hasIoBar) {
      const ports: IoDevice = {
        read: (offset, width) => this.#readPort(offset, width),
        write: (offset, _width, value) => this.#writePort(offset, value),
      };
      bars.push({
        ...{ index: 2, space: 'io', byteCount: IO_WINDOW_PORTS },
        onMoved: windows.io(IO_WINDOW_PORTS, ports),
      });
    }
    const identifiers = { vendorId: 0x8086, deviceId: model.deviceId };
    if (rom) bars.push(expansionRom(rom, windows, identifiers));
    const config = new PciConfigSpace({
      identity: {
        ...identifiers,
        classCode: 0x02_0000,
        revisionId: model.revisionId,
        subsystemVendorId: model.subsystemVendorId,
        subsystemId: model.subsystemId,
        interruptPin: PCI_PIN.inta,
      },
      bars,
      interrupt,
    });
    // Power management, version 2, without PME; the state bits hold what is written.
    config.define(PCI_CONFIG.status, 2, PCI_STATUS.devselMedium | PCI_STATUS.capabilitiesList, 0, 0xf900);
    config.define(PCI_CONFIG.capabilitiesPointer, 1, POWER_MANAGEMENT);
    config.define(POWER_MANAGEMENT, 4, 0x0002_0001);
    config.define(POWER_MANAGEMENT + 4, 2, 0, 0x0003);
    return config;
  }

  #resetMac(): void {
    const words = this.#words;
    const eeprom = this.#eeprom.words;
    words.fill(0);
    words[REG.ctrl >> 2] = CTRL.fullDuplex | (this.#model.mdio === 'pins' ? 0 : CTRL.setLinkUp);
    words[REG.eecd >> 2] = EECD.present;
    words[REG.vet >> 2] = 0x8100;
    words[REG.fcal >> 2] = 0x00c2_8001;
    words[REG.fcah >> 2] = 0x0000_0100;
    words[REG.fct >> 2] = 0x8808;
    words[REG.pba >> 2] = 0x0010_0030;
    words[REG.ledctl >> 2] = 0x0706_8302;
    words[REG.ral0 >> 2] = (eeprom[0] | (eeprom[1] << 16)) >>> 0;
    words[(REG.ral0 >> 2) + 1] = (eeprom[2] | RAH_VALID) >>> 0;
    this.#transmitDelay.cancel();
    this.#receiveDelay.cancel();
    this.#transmitter.reset();
    this.#statistics.reset();
    this.#interrupts.reset();
    this.#linkSeen = this.#linkUp;
    this.#room();
  }

  #read(offset: number, width: Width): number {
    const value = this.#readRegister(offset & ~3);
    if (width === 4) return value;
    return (value >>> ((offset & 3) * 8)) & (width === 1 ? 0xff : 0xffff);
  }

  /** Registers take whole words only. */
  #write(offset: number, width: Width, value: number): void {
    if (width === 4 && (offset & 3) === 0) this.#writeRegister(offset, value);
  }

  #readPort(offset: number, width: Width): number {
    if (offset === 4 && width === 4) return this.#readRegister(this.#ioAddress & ~3);
    return (this.#ioAddress >>> ((offset & 3) * 8)) >>> 0;
  }

  #writePort(offset: number, value: number): void {
    if (offset === 0) this.#ioAddress = value & (REGISTER_WINDOW_BYTES - 1);
    else if (offset === 4) this.#writeRegister(this.#ioAddress & ~3, value);
  }

  #readRegister(offset: number): number {
    if (offset >= REGISTER_BYTES) return 0;
    if (REG.statistics <= offset && offset < REG.statisticsEnd) {
      return this.#statistics.read(offset - REG.statistics);
    }
    switch (offset) {
      case REG.ctrl:
        return this.#control();
      case REG.status:
        return this.#status();
      case REG.eecd:
        return (this.#words[offset >> 2] | (this.#eeprom.output ? EECD.dataOut : 0)) >>> 0;
      case REG.icr:
        return this.#interrupts.readCauses();
      case REG.ics:
      case REG.imc:
        return 0;
      default:
        return this.#words[offset >> 2];
    }
  }

  #writeRegister(offset: number, value: number): void {
    if (offset >= REGISTER_BYTES) return;
    switch (offset) {
      case REG.ctrl:
        this.#writeControl(value);
        break;
      case REG.eecd:
        this.#writeEecd(value);
        break;
      case REG.eerd:
        this.#readEeprom(value);
        break;
      case REG.ctrlExt:
        this.#writeExtendedControl(value);
        break;
      case REG.mdic:
        this.#writeMdic(value);
        break;
      case REG.icr:
        this.#interrupts.clear(value);
        break;
      case REG.ics:
        this.#interrupts.raise(value);
        break;
      case REG.ims:
        this.#interrupts.enable(value);
        break;
      case REG.imc:
        this.#interrupts.disable(value);
        break;
      default:
        this.#writePlain(offset, value);
    }
  }

  #writePlain(offset: number, value: number): void {
    const mask = plainMask(offset, this.#model);
    this.#words[offset >> 2] = value & mask;
    switch (offset) {
      case REG.tdt:
      case REG.tctl:
        if (this.#config.busMaster) this.#transmitter.pump();
        break;
      case REG.rdt:
      case REG.rctl:
      case REG.rdlen:
        this.#room();
        break;
      case REG.tidv:
        if ((value & FLUSH_PARTIAL) !== 0) this.#transmitDelay.flush();
        break;
      case REG.rdtr:
        if ((value & FLUSH_PARTIAL) !== 0) this.#receiveDelay.flush();
        break;
    }
  }

  #control(): number {
    const value = this.#words[REG.ctrl >> 2];
    if (this.#model.mdio !== 'pins' || (value & CTRL.mdioOutput) !== 0) return value;
    return ((value & ~CTRL.mdio) | (this.#pins.output ? CTRL.mdio : 0)) >>> 0;
  }

  #writeControl(value: number): void {
    if ((value & CTRL.reset) !== 0) {
      this.#resetMac();
      return;
    }
    this.#words[REG.ctrl >> 2] = value & ~CTRL.phyReset;
    if (this.#model.mdio === 'pins') {
      const data = (value & CTRL.mdioOutput) === 0 || (value & CTRL.mdio) !== 0;
      this.#pins.drive((value & CTRL.mdcOutput) !== 0 && (value & CTRL.mdc) !== 0, data);
    }
    if ((value & CTRL.phyReset) !== 0) this.#phy.reset();
    this.#checkLink();
  }

  #status(): number {
    const control = this.#words[REG.ctrl >> 2];
    const { speed } = this.#phy;
    const duplex = (control & CTRL.forceDuplex) !== 0 ? (control & CTRL.fullDuplex) !== 0 : this.#phy.fullDuplex;
    const macSpeed = (control & CTRL.forceSpeed) !== 0 ? (control >>> CTRL.speedShift) & 3 : speed;
    return (
      (duplex ? STATUS.fullDuplex : 0) |
      (this.#linkUp ? STATUS.linkUp : 0) |
      (macSpeed << STATUS.speedShift) |
      (speed << STATUS.autoSpeedShift)
    );
  }

  #writeEecd(value: number): void {
    const pins = value & (EECD.clock | EECD.select | EECD.dataIn);
    // The 82543 has no arbiter, and answers as one that grants at once.
    const granted = (value & EECD.request) !== 0;
    this.#words[REG.eecd >> 2] = EECD.present | pins | (granted ? EECD.request | EECD.grant : 0);
    if (!granted && this.#model.hasIoBar) return;
    this.#eeprom.drive((value & EECD.select) !== 0, (value & EECD.clock) !== 0, (value & EECD.dataIn) !== 0);
  }

  #readEeprom(value: number): void {
    if ((value & EERD.start) === 0 || !this.#model.hasIoBar) return;
    const address = (value >>> 8) & 0xff;
    const word = this.#eeprom.words[address & 63];
    this.#words[REG.eerd >> 2] = ((word << 16) | (address << 8) | EERD.done) >>> 0;
  }

  #writeExtendedControl(value: number): void {
    const before = this.#words[REG.ctrlExt >> 2];
    this.#words[REG.ctrlExt >> 2] = value & ~CTRL_EXT.eepromReset;
    const drivesLow = (word: number): boolean => (word & CTRL_EXT.pin4Output) !== 0 && (word & CTRL_EXT.pin4) === 0;
    if (this.#model.mdio === 'pins' && drivesLow(value) && !drivesLow(before)) this.#phy.reset();
  }

  #writeMdic(value: number): void {
    if (this.#model.mdio !== 'register') return;
    const operation = (value >>> 26) & 3;
    const register = (value >>> 16) & 31;
    let result = (value & 0x0fff_ffff) | MDIC.ready;
    if (((value >>> 21) & 31) !== PHY_ADDRESS) result |= MDIC.error;
    else if (operation === MDIC.write) this.#phy.write(register, value & 0xffff);
    else if (operation === MDIC.read) result = (result & ~0xffff) | this.#phy.read(register);
    this.#words[REG.mdic >> 2] = result | (value & MDIC.interrupt);
    if ((value & MDIC.interrupt) !== 0) this.#interrupts.raise(ICR.mdioComplete);
  }

  get #linkUp(): boolean {
    return (this.#words[REG.ctrl >> 2] & CTRL.setLinkUp) !== 0 && this.#phy.linkUp;
  }

  #checkLink(): void {
    if (this.#linkUp === this.#linkSeen) return;
    this.#linkSeen = this.#linkUp;
    this.#interrupts.raise(ICR.linkChange);
  }

  #send(frame: Uint8Array): boolean {
    const isLoop = this.#phy.loopback || (this.#words[REG.rctl >> 2] & RCTL.loopbackMask) !== 0;
    if (isLoop) this.#receiver.receive(frame);
    else if (this.#linkUp && !this.#parts.port.send(frame)) return false;
    this.#statistics.transmitted(frame, frame.length);
    return true;
  }

  #receive(frame: Uint8Array): boolean {
    if (!this.#linkUp || this.#phy.loopback || !this.#config.busMaster) return true;
    if (this.#receiver.receive(frame)) return true;
    this.#refused = true;
    return false;
  }

  /** There may be room for a frame that was refused, or nothing that it waits for. */
  #room(): void {
    if (!this.#refused) return;
    this.#refused = false;
    this.#parts.port.resume();
  }
}
