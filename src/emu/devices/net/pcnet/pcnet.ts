/**
 * AMD's PCnet-PCI II (Am79C970A) and PCnet-FAST III (Am79C973) Ethernet controllers as a PCI function.
 * Source: Am79C970A (19436) and Am79C973 (21510) data sheets.
 *
 * BAR 0 is 32 ports, BAR 1 the same in memory.
 * Not modelled: the size of BAR 1, which is a page here; big-endian buffers (CSR3.BSWP); look-ahead packets (LAPPEN); software
 * styles 1, 4 and 5; the EEPROM behind BCR19, external registers, wake on LAN, collisions, receive frame alignment.
 */
import type { Timer, Timers } from '#base/clock.ts';
import { guestNs } from '#base/units.ts';
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { expansionRom } from '#emu/devices/pci/expansion-rom.ts';
import {
  PCI_CONFIG,
  PCI_PIN,
  PciConfigSpace,
  type PciConfigState,
  type PciFunction,
} from '#emu/devices/pci/pci-function.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { FastPhy } from '../fast-phy.ts';
import { addressProm } from './address-prom.ts';
import { PcnetReceiver } from './receiver.ts';
import {
  BCR,
  BCR_COUNT,
  BURST_DWIO,
  CSR,
  CSR_COUNT,
  EXTENDED,
  EXTENDED_ONE_CLEARS,
  FEATURE,
  FEATURES_ONE_CLEARS,
  LED_OUT,
  MASKABLE,
  MISC_PROM_WRITE,
  MODE,
  STATUS,
  STATUS_ONE_CLEARS,
  STYLE,
} from './registers.ts';
import { PcnetRings, type RingsState } from './rings.ts';
import { PcnetTransmitter } from './transmitter.ts';

export type PcnetModelName = 'Am79C970A' | 'Am79C973';

interface PcnetModel {
  readonly revisionId: number;
  /** CSR89 and CSR88. */
  readonly chipId: number;
  readonly hasMii: boolean;
}

const MODELS: Readonly<Record<PcnetModelName, PcnetModel>> = {
  Am79C970A: { revisionId: 0x10, chipId: 0x0262_1003, hasMii: false },
  Am79C973: { revisionId: 0x40, chipId: 0x0262_5003, hasMii: true },
};

export interface PcnetParts {
  readonly model: PcnetModelName;
  /** Six bytes. */
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

export interface PcnetState {
  readonly pci: PciConfigState;
  readonly csr: Uint16Array;
  readonly bcr: Uint16Array;
  readonly prom: Uint8Array;
  readonly phy: Uint16Array;
  readonly addressPort: number;
  readonly rings: RingsState;
  /** Guest time between polls of the rings, and of the next one. */
  readonly pollNs: number;
  readonly nextPoll: number | undefined;
}

const PORTS = 32;
const MEMORY_BAR_BYTES = 4096;
/** The internal PHY's address. */
const PHY_ADDRESS = 30;
/** The data sheet's poll interval; doubles while nothing happens, so that an idle machine sleeps. */
const POLL_NS = 1_638_400;
const LONGEST_POLL_NS = 100_000_000;
const PROM_BYTES = 16;

export class Pcnet implements PciFunction, Saveable<PcnetState> {
  readonly #parts: PcnetParts;
  readonly #model: PcnetModel;
  readonly #config: PciConfigSpace;
  readonly #csr: Uint16Array = new Uint16Array(CSR_COUNT);
  readonly #bcr: Uint16Array = new Uint16Array(BCR_COUNT);
  readonly #prom: Uint8Array;
  readonly #phy: FastPhy;
  readonly #rings: PcnetRings;
  readonly #transmitter: PcnetTransmitter;
  readonly #receiver: PcnetReceiver;
  readonly #poll: Timer;
  #addressPort = 0;
  #pollNs = POLL_NS;
  #nextPoll: number | undefined;
  /** The sender was told to keep a frame. */
  #refused = false;

  constructor(parts: PcnetParts) {
    const { memory, timers, port } = parts;
    const [csr, bcr] = [this.#csr, this.#bcr];
    this.#parts = parts;
    this.#model = MODELS[parts.model];
    this.#config = this.#pciFunction();
    this.#prom = addressProm(parts.mac);
    this.#phy = new FastPhy({ id1: 0x0000, id2: 0x6b60, cableUp: () => port.linkUp });
    this.#rings = new PcnetRings({ memory, csr, bcr });
    const raise = (causes: number): void => this.#raise(causes);
    this.#receiver = new PcnetReceiver({ memory, csr, bcr, rings: this.#rings, raise });
    this.#transmitter = new PcnetTransmitter({
      memory,
      csr,
      bcr,
      rings: this.#rings,
      linkUp: () => this.#linkUp,
      send: (frame) => port.send(frame),
      loop: (frame) => this.#receiver.receive(frame),
      raise,
    });
    this.#poll = timers.create(() => this.#pollRings());
    port.connect({
      receive: (frame) => this.#receive(frame),
      resume: () => this.#pump(),
      linkChanged: () => {},
    });
    this.#hardReset();
  }

  readConfig(offset: number, width: Width): number {
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    this.#config.writeConfig(offset, width, value);
    if (offset <= PCI_CONFIG.command) this.#work();
  }

  /** RST#. */
  reset(): void {
    this.#config.reset();
    this.#hardReset();
  }

  save(): PcnetState {
    return {
      pci: this.#config.save(),
      csr: this.#csr.slice(),
      bcr: this.#bcr.slice(),
      prom: this.#prom.slice(),
      phy: this.#phy.save(),
      addressPort: this.#addressPort,
      rings: this.#rings.save(),
      pollNs: this.#pollNs,
      nextPoll: this.#nextPoll,
    };
  }

  restore(state: PcnetState): void {
    this.#config.restore(state.pci);
    this.#csr.set(state.csr);
    this.#bcr.set(state.bcr);
    this.#prom.set(state.prom);
    this.#phy.restore(state.phy);
    this.#addressPort = state.addressPort;
    this.#rings.restore(state.rings);
    this.#pollNs = state.pollNs;
    this.#poll.disarm();
    this.#nextPoll = state.nextPoll;
    if (this.#nextPoll !== undefined) this.#poll.arm(guestNs(this.#nextPoll));
    this.#driveInterrupt();
    this.#room();
  }

  #pciFunction(): PciConfigSpace {
    const { windows, interrupt, rom } = this.#parts;
    const registers: IoDevice = {
      read: (offset, width) => this.#read(offset & (PORTS - 1), width),
      write: (offset, width, value) => this.#write(offset & (PORTS - 1), width, value),
    };
    const identifiers = { vendorId: 0x1022, deviceId: 0x2000 };
    return new PciConfigSpace({
      identity: {
        ...identifiers,
        classCode: 0x02_0000,
        revisionId: this.#model.revisionId,
        subsystemVendorId: 0x1022,
        subsystemId: 0x2000,
        interruptPin: PCI_PIN.inta,
      },
      bars: [
        { index: 0, space: 'io', byteCount: PORTS, onMoved: windows.io(PORTS, registers) },
        {
          ...{ index: 1, space: 'memory', byteCount: MEMORY_BAR_BYTES },
          onMoved: windows.memory(MEMORY_BAR_BYTES, { kind: 'mmio', device: registers }),
        },
        ...(rom ? [expansionRom(rom, windows, identifiers)] : []),
      ],
      interrupt,
    });
  }

  /** H_RESET. */
  #hardReset(): void {
    const bcr = this.#bcr;
    bcr.fill(0);
    bcr[0] = 5;
    bcr[1] = 5;
    bcr[BCR.misc] = 2;
    bcr[BCR.linkStatus] = 0xc0;
    bcr[BCR.led1] = 0x84;
    bcr[BCR.led2] = 0x88;
    bcr[BCR.led3] = 0x90;
    bcr[BCR.burst] = 0x9001;
    bcr[BCR.eeprom] = 2;
    bcr[BCR.softwareStyle] = STYLE.csrPcnet;
    bcr[BCR.latency] = 0xff06;
    bcr[BCR.miiControl] = this.#model.hasMii ? 0x4400 : 0;
    this.#addressPort = 0;
    this.#phy.reset();
    this.#softReset();
  }

  /** S_RESET: what reading the reset register does. */
  #softReset(): void {
    const csr = this.#csr;
    csr.fill(0);
    csr[CSR.status] = STATUS.stop;
    csr[CSR.features] = 0x0115;
    csr[80] = 0x1410;
    csr[CSR.receiveLength] = 0xffff;
    csr[CSR.transmitLength] = 0xffff;
    for (let i = 0; i < 3; i++) {
      csr[CSR.physicalAddress + i] = this.#prom[i * 2] | (this.#prom[i * 2 + 1] << 8);
    }
    this.#rings.reset();
    this.#stopPolling();
    this.#driveInterrupt();
    this.#room();
  }

  get #isDwio(): boolean {
    return (this.#bcr[BCR.burst] & BURST_DWIO) !== 0;
  }

  #read(offset: number, width: Width): number {
    if (offset < PROM_BYTES) return this.#readProm(offset, width);
    if (this.#isDwio) return width === 4 && (offset & 3) === 0 ? this.#readPort((offset - PROM_BYTES) >> 2) : 0;
    if (width === 2 && (offset & 1) === 0 && offset < 0x18) return this.#readPort((offset - PROM_BYTES) >> 1);
    return width === 1 ? 0xff : width === 2 ? 0xffff : 0xffff_ffff;
  }

  #write(offset: number, width: Width, value: number): void {
    if (offset < PROM_BYTES) {
      this.#writeProm(offset, width, value);
    } else if (this.#isDwio) {
      if (width === 4 && (offset & 3) === 0) this.#writePort((offset - PROM_BYTES) >> 2, value & 0xffff);
    } else if (width === 4) {
      // The first double word written to RDP says how all accesses will be; RAP is 0 then, and CSR0 takes it.
      if (offset !== PROM_BYTES) return;
      this.#bcr[BCR.burst] |= BURST_DWIO;
      this.#writePort(0, value & 0xffff);
    } else if (width === 2 && (offset & 1) === 0 && offset < 0x18) {
      this.#writePort((offset - PROM_BYTES) >> 1, value);
    }
  }

  #readProm(offset: number, width: Width): number {
    let value = 0;
    for (let i = 0; i < width; i++) value |= this.#prom[(offset + i) & (PROM_BYTES - 1)] << (i * 8);
    return value >>> 0;
  }

  #writeProm(offset: number, width: Width, value: number): void {
    if ((this.#bcr[BCR.misc] & MISC_PROM_WRITE) === 0) return;
    for (let i = 0; i < width; i++) this.#prom[(offset + i) & (PROM_BYTES - 1)] = value >>> (i * 8);
  }

  /** @param which 0: RDP, 1: RAP, 2: reset, 3: BDP */
  #readPort(which: number): number {
    switch (which) {
      case 0:
        return this.#readCsr(this.#addressPort & (CSR_COUNT - 1));
      case 1:
        return this.#addressPort;
      case 2:
        this.#softReset();
        return 0;
      default:
        return this.#readBcr(this.#addressPort & (BCR_COUNT - 1));
    }
  }

  #writePort(which: number, value: number): void {
    if (which === 0) this.#writeCsr(this.#addressPort & (CSR_COUNT - 1), value);
    else if (which === 1) this.#addressPort = value & (CSR_COUNT - 1);
    else if (which === 3) this.#writeBcr(this.#addressPort & (BCR_COUNT - 1), value);
  }

  #readCsr(number: number): number {
    switch (number) {
      case CSR.status:
        return this.#status();
      case CSR.initLowAlias:
        return this.#csr[CSR.initLow];
      case CSR.initHighAlias:
        return this.#csr[CSR.initHigh];
      case CSR.softwareStyle:
        return this.#bcr[BCR.softwareStyle];
      case CSR.receiveCounter:
        return this.#rings.receiveCounter;
      case CSR.transmitCounter:
        return this.#rings.transmitCounter;
      case CSR.chipIdLow:
        return this.#model.chipId & 0xffff;
      case CSR.chipIdHigh:
        return this.#model.chipId >>> 16;
      default:
        return this.#csr[number];
    }
  }

  #writeCsr(number: number, value: number): void {
    switch (number) {
      case CSR.status:
        this.#writeStatus(value);
        break;
      case CSR.features:
        this.#writeFeatures(value);
        break;
      case CSR.extended: {
        const old = this.#csr[number];
        this.#csr[number] = (value & ~EXTENDED_ONE_CLEARS) | (old & EXTENDED_ONE_CLEARS & ~value);
        this.#driveInterrupt();
        this.#work();
        break;
      }
      case CSR.initLowAlias:
        this.#csr[CSR.initLow] = value;
        break;
      case CSR.initHighAlias:
        this.#csr[CSR.initHigh] = value;
        break;
      case CSR.softwareStyle:
        this.#writeStyle(value);
        break;
      case CSR.receiveCounter:
      case CSR.transmitCounter:
        this.#rings.setCounter(number, value);
        break;
      case CSR.chipIdLow:
      case CSR.chipIdHigh:
        break;
      default:
        this.#csr[number] = value;
        if (number === CSR.masks) this.#driveInterrupt();
    }
  }

  #writeStatus(value: number): void {
    const csr = this.#csr;
    if ((value & STATUS.stop) !== 0) {
      csr[CSR.status] = STATUS.stop;
      // A transfer that was suspended is not suspended any more.
      csr[CSR.extended] &= ~EXTENDED.suspend;
      this.#stopPolling();
      this.#driveInterrupt();
      this.#room();
      return;
    }
    let status = csr[CSR.status] & ~(value & STATUS_ONE_CLEARS);
    status = (status & ~STATUS.interruptEnable) | (value & STATUS.interruptEnable);
    csr[CSR.status] = status;
    if ((value & STATUS.init) !== 0 && (status & STATUS.init) === 0) this.#initialise();
    if ((value & STATUS.start) !== 0 && (status & STATUS.start) === 0) this.#start();
    this.#driveInterrupt();
    this.#pollSoon();
    this.#work();
  }

  #initialise(): void {
    if (!this.#config.busMaster) return;
    this.#rings.readInitBlock();
    this.#csr[CSR.status] = (this.#csr[CSR.status] & ~STATUS.stop) | STATUS.init | STATUS.initDone;
  }

  #start(): void {
    const mode = this.#csr[CSR.mode];
    this.#csr[CSR.status] =
      (this.#csr[CSR.status] & ~(STATUS.stop | STATUS.transmitterOn | STATUS.receiverOn)) |
      STATUS.start |
      ((mode & MODE.transmitterOff) === 0 ? STATUS.transmitterOn : 0) |
      ((mode & MODE.receiverOff) === 0 ? STATUS.receiverOn : 0);
  }

  #writeFeatures(value: number): void {
    const old = this.#csr[CSR.features];
    const kept = old & FEATURES_ONE_CLEARS & ~value;
    this.#csr[CSR.features] = (value & ~(FEATURES_ONE_CLEARS | FEATURE.userInterruptCommand)) | kept;
    if ((value & FEATURE.userInterruptCommand) !== 0) this.#csr[CSR.features] |= FEATURE.userInterrupt;
    this.#driveInterrupt();
    this.#work();
  }

  #writeStyle(value: number): void {
    const style = value & STYLE.mask;
    // Styles 0 and above 1 have PCnet's registers, all but 0 have 32-bit structures.
    const wide = style === 0 ? 0 : STYLE.wide;
    const pcnet = style === 1 ? 0 : STYLE.csrPcnet;
    this.#bcr[BCR.softwareStyle] = (value & 0xfc00) | wide | pcnet | style;
  }

  #readBcr(number: number): number {
    switch (number) {
      case BCR.linkStatus:
        return (this.#bcr[number] & ~LED_OUT) | (this.#linkUp ? LED_OUT : 0);
      case BCR.miiData:
        return this.#model.hasMii ? this.#readMii() : 0;
      default:
        return this.#bcr[number];
    }
  }

  #writeBcr(number: number, value: number): void {
    switch (number) {
      case BCR.softwareStyle:
        this.#writeStyle(value);
        break;
      case BCR.burst:
        this.#bcr[number] = (value & ~BURST_DWIO) | (this.#bcr[number] & BURST_DWIO);
        break;
      case BCR.miiControl:
        if (this.#model.hasMii) this.#bcr[number] = (value & 0x3fff) | 0x4000;
        break;
      case BCR.miiData:
        if (this.#model.hasMii) this.#writeMii(value);
        break;
      default:
        this.#bcr[number] = value;
    }
  }

  #readMii(): number {
    const address = this.#bcr[BCR.miiAddress];
    return ((address >> 5) & 31) === PHY_ADDRESS ? this.#phy.read(address & 31) : 0xffff;
  }

  #writeMii(value: number): void {
    const address = this.#bcr[BCR.miiAddress];
    if (((address >> 5) & 31) === PHY_ADDRESS) this.#phy.write(address & 31, value);
  }

  get #linkUp(): boolean {
    return this.#model.hasMii ? this.#phy.linkUp : this.#parts.port.linkUp;
  }

  #raise(causes: number): void {
    this.#csr[CSR.status] |= causes;
    this.#driveInterrupt();
  }

  get #interruptWanted(): boolean {
    const csr = this.#csr;
    const features = csr[CSR.features];
    const extended = csr[CSR.extended];
    // In CSR4 each reason stands beside its mask, the user interrupt excepted, which has none.
    const masked = features & ~((features & 0x115) << 1) & (FEATURES_ONE_CLEARS & ~FEATURE.userInterrupt);
    return (
      (csr[CSR.status] & MASKABLE & ~csr[CSR.masks]) !== 0 ||
      masked !== 0 ||
      (features & FEATURE.userInterrupt) !== 0 ||
      ((extended & EXTENDED.systemInterrupt) !== 0 && (extended & EXTENDED.systemInterruptEnable) !== 0)
    );
  }

  #status(): number {
    const status = this.#csr[CSR.status] & ~(STATUS.interrupt | STATUS.error | STATUS.transmitDemand);
    const errors = STATUS.memoryError | STATUS.missed | STATUS.collisionError | STATUS.babble;
    return status | (this.#interruptWanted ? STATUS.interrupt : 0) | ((status & errors) !== 0 ? STATUS.error : 0);
  }

  #driveInterrupt(): void {
    this.#config.setInterrupt((this.#csr[CSR.status] & STATUS.interruptEnable) !== 0 && this.#interruptWanted);
  }

  get #suspended(): boolean {
    return (this.#csr[CSR.extended] & EXTENDED.suspend) !== 0 || !this.#config.busMaster;
  }

  #work(): void {
    this.#pump();
    this.#room();
  }

  #pump(): void {
    if ((this.#csr[CSR.status] & STATUS.transmitterOn) !== 0 && !this.#suspended) this.#transmitter.pump();
  }

  #receive(frame: Uint8Array): boolean {
    const isLoop = (this.#csr[CSR.mode] & MODE.loopback) !== 0;
    if ((this.#csr[CSR.status] & STATUS.receiverOn) === 0 || isLoop || !this.#linkUp) return true;
    if (!this.#suspended && this.#receiver.receive(frame)) return true;
    // A sender that tries again and again does not put the next look off.
    const isFirst = !this.#refused;
    this.#refused = true;
    if (isFirst) this.#pollSoon();
    return false;
  }

  #room(): void {
    if (!this.#refused || (this.#suspended && (this.#csr[CSR.status] & STATUS.receiverOn) !== 0)) return;
    this.#refused = false;
    this.#parts.port.resume();
  }

  /** Drivers give descriptors to the card by a bit in memory, which only a look at it finds. */
  #pollRings(): void {
    this.#nextPoll = undefined;
    const found = this.#transmitter.found;
    this.#work();
    this.#pollNs = found === this.#transmitter.found ? Math.min(this.#pollNs * 2, LONGEST_POLL_NS) : POLL_NS;
    this.#armPoll();
  }

  #pollSoon(): void {
    this.#pollNs = POLL_NS;
    this.#armPoll();
  }

  #armPoll(): void {
    const status = this.#csr[CSR.status];
    const wantsTransmit =
      (status & STATUS.transmitterOn) !== 0 && (this.#csr[CSR.features] & FEATURE.disablePolling) === 0;
    if (!wantsTransmit && !this.#refused) {
      this.#stopPolling();
      return;
    }
    this.#nextPoll = this.#parts.timers.now() + this.#pollNs;
    this.#poll.arm(guestNs(this.#nextPoll));
  }

  #stopPolling(): void {
    this.#nextPoll = undefined;
    this.#poll.disarm();
  }
}
