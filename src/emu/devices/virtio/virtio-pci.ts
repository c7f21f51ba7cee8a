/**
 * The PCI transport: a transitional device, which old drivers find behind ports and new ones behind capabilities.
 * Source: VIRTIO 1.2, sections 4.1 (PCI), 4.1.4.10 (legacy interface), 2.1 (status), 2.2 (features).
 *
 * BAR 0: legacy ports. BAR 4: common, interrupt status, device and notification structures, a page each.
 * Not modelled: MSI-X, queue reset, notification data, shared memory.
 */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory, IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { expansionRom } from '#emu/devices/pci/expansion-rom.ts';
import {
  PCI_CONFIG,
  PCI_PIN,
  PCI_STATUS,
  PciConfigSpace,
  type PciConfigState,
  type PciFunction,
} from '#emu/devices/pci/pci-function.ts';
import { FEATURE, type Features, type VirtioDevice, type VirtioTransport } from './virtio-device.ts';
import { Virtqueue, type VirtqueueState } from './virtqueue.ts';

export interface VirtioPciParts {
  readonly memory: DmaMemory;
  /** INTA#. */
  readonly interrupt: IrqLine;
  readonly windows: Pick<BarWindows, 'io' | 'memory'>;
  /** Option ROM. */
  readonly rom?: Uint8Array;
  readonly createDevice: (transport: VirtioTransport) => VirtioDevice;
}

export interface VirtioPciState {
  readonly pci: PciConfigState;
  readonly queues: readonly VirtqueueState[];
  readonly device: unknown;
  readonly status: number;
  readonly interruptStatus: number;
  readonly driverFeatures: Features;
  readonly deviceFeatureSelect: number;
  readonly driverFeatureSelect: number;
  readonly queueSelect: number;
  readonly generation: number;
}

const VENDOR = 0x1af4;
const TRANSITIONAL_BASE = 0x1000;
/** Legacy devices name their kind here. */
const LEGACY_PORTS = 64;
const LEGACY_CONFIG_AT = 20;
const PAGE = 0x1000;
const STRUCTURE = { common: 0, interruptStatus: PAGE, device: 2 * PAGE, notify: 3 * PAGE } as const;
const STRUCTURES_BYTES = 4 * PAGE;
const STRUCTURES_BAR = 4;
const NOTIFY_MULTIPLIER = 4;
const CAPABILITY = { vendor: 9, common: 1, notify: 2, interruptStatus: 3, device: 4, pciAccess: 5 } as const;
/** Where the capabilities are in configuration space. */
const AT = { common: 0x40, interruptStatus: 0x50, device: 0x60, notify: 0x70, pciAccess: 0x84 } as const;
const ACCESS_DATA = AT.pciAccess + 16;

const STATUS = { driverOk: 4, featuresOk: 8, needsReset: 64 } as const;
const INTERRUPT = { queue: 1, config: 2 } as const;
const LEGACY = {
  deviceFeatures: 0,
  driverFeatures: 4,
  queuePage: 8,
  queueSize: 12,
  queueSelect: 14,
  notify: 16,
  status: 18,
  interruptStatus: 19,
} as const;
const COMMON = {
  deviceFeatureSelect: 0,
  deviceFeature: 4,
  driverFeatureSelect: 8,
  driverFeature: 12,
  msixVector: 16,
  queueCount: 18,
  status: 20,
  generation: 21,
  queueSelect: 22,
  queueSize: 24,
  queueMsixVector: 26,
  queueEnable: 28,
  queueNotifyOffset: 30,
  queueAddresses: 32,
  end: 56,
} as const;
const NO_VECTOR = 0xffff;

const lowBytes = (value: number, width: Width): number =>
  width === 4 ? value >>> 0 : value & (width === 2 ? 0xffff : 0xff);

export class VirtioPci implements PciFunction, VirtioTransport, Saveable<VirtioPciState> {
  readonly queues: readonly Virtqueue[];
  readonly #config: PciConfigSpace;
  readonly #device: VirtioDevice;
  readonly #structures: IoDevice;
  #status = 0;
  #interruptStatus = 0;
  #driverFeatures: [number, number] = [0, 0];
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;
  #generation = 0;

  constructor(parts: VirtioPciParts) {
    const queues: Virtqueue[] = [];
    this.queues = queues;
    this.#device = parts.createDevice(this);
    for (const size of this.#device.queueSizes) queues.push(new Virtqueue(parts.memory, size));
    this.#structures = {
      read: (offset, width) => lowBytes(this.#readStructure(offset, width), width),
      write: (offset, width, value) => this.#writeStructure(offset, width, value),
    };
    const legacy: IoDevice = {
      // Registers are read with their own width; of a narrower access only the low bytes are there.
      read: (offset, width) => lowBytes(this.#readLegacy(offset, width), width),
      write: (offset, width, value) => this.#writeLegacy(offset, width, value),
    };
    const { windows, rom } = parts;
    const identifiers = { vendorId: VENDOR, deviceId: TRANSITIONAL_BASE + this.#device.deviceId - 1 };
    this.#config = new PciConfigSpace({
      identity: {
        ...identifiers,
        classCode: this.#device.classCode,
        subsystemVendorId: VENDOR,
        subsystemId: this.#device.deviceId,
        interruptPin: PCI_PIN.inta,
      },
      bars: [
        { index: 0, space: 'io', byteCount: LEGACY_PORTS, onMoved: windows.io(LEGACY_PORTS, legacy) },
        {
          ...{ index: STRUCTURES_BAR, space: 'memory', byteCount: STRUCTURES_BYTES },
          onMoved: windows.memory(STRUCTURES_BYTES, { kind: 'mmio', device: this.#structures }),
        },
        ...(rom ? [expansionRom(rom, windows, identifiers)] : []),
      ],
      interrupt: parts.interrupt,
    });
    this.#defineCapabilities();
  }

  get running(): boolean {
    return (this.#status & (STATUS.driverOk | STATUS.needsReset)) === STATUS.driverOk && this.#config.busMaster;
  }

  raiseQueueInterrupt(): void {
    this.#raise(INTERRUPT.queue);
  }

  raiseConfigInterrupt(): void {
    this.#generation = (this.#generation + 1) & 0xff;
    if ((this.#status & STATUS.driverOk) !== 0) this.#raise(INTERRUPT.config);
  }

  needsReset(): void {
    this.#status |= STATUS.needsReset;
    if ((this.#driverFeatures[1] & FEATURE.version1) !== 0) this.#raise(INTERRUPT.config);
  }

  readConfig(offset: number, width: Width): number {
    if (ACCESS_DATA <= offset && offset < ACCESS_DATA + 4) return this.#accessThroughConfig(offset, width, undefined);
    return this.#config.readConfig(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    if (ACCESS_DATA <= offset && offset < ACCESS_DATA + 4) {
      this.#accessThroughConfig(offset, width, value);
      return;
    }
    const before = this.running;
    this.#config.writeConfig(offset, width, value);
    if (!before && this.running) this.#notifyAll();
  }

  /** RST#. */
  reset(): void {
    this.#config.reset();
    this.#resetDevice();
  }

  save(): VirtioPciState {
    return {
      pci: this.#config.save(),
      queues: this.queues.map((queue) => queue.save()),
      device: this.#device.save(),
      status: this.#status,
      interruptStatus: this.#interruptStatus,
      driverFeatures: [...this.#driverFeatures],
      deviceFeatureSelect: this.#deviceFeatureSelect,
      driverFeatureSelect: this.#driverFeatureSelect,
      queueSelect: this.#queueSelect,
      generation: this.#generation,
    };
  }

  restore(state: VirtioPciState): void {
    this.#config.restore(state.pci);
    this.#driverFeatures = [...state.driverFeatures];
    this.#status = state.status;
    this.#interruptStatus = state.interruptStatus;
    this.#deviceFeatureSelect = state.deviceFeatureSelect;
    this.#driverFeatureSelect = state.driverFeatureSelect;
    this.#queueSelect = state.queueSelect;
    this.#generation = state.generation;
    this.queues.forEach((queue, i) => {
      queue.restore(state.queues[i]);
      queue.eventIndex = this.#hasEventIndex;
    });
    this.#config.setInterrupt(this.#interruptStatus !== 0);
    this.#device.restore(state.device);
  }

  #defineCapabilities(): void {
    const config = this.#config;
    config.define(PCI_CONFIG.status, 2, PCI_STATUS.devselMedium | PCI_STATUS.capabilitiesList, 0, 0xf900);
    config.define(PCI_CONFIG.capabilitiesPointer, 1, AT.common);
    this.#capability(AT.common, AT.interruptStatus, 16, CAPABILITY.common, STRUCTURE.common);
    this.#capability(AT.interruptStatus, AT.device, 16, CAPABILITY.interruptStatus, STRUCTURE.interruptStatus);
    this.#capability(AT.device, AT.notify, 16, CAPABILITY.device, STRUCTURE.device);
    this.#capability(AT.notify, AT.pciAccess, 20, CAPABILITY.notify, STRUCTURE.notify);
    config.define(AT.notify + 16, 4, NOTIFY_MULTIPLIER);
    // Here the driver chooses bar, offset and length, and reads or writes through the last four bytes.
    this.#capability(AT.pciAccess, 0, 20, CAPABILITY.pciAccess, 0);
    config.define(AT.pciAccess + 4, 1, 0, 0xff);
    config.define(AT.pciAccess + 8, 4, 0, 0xffff_ffff);
    config.define(AT.pciAccess + 12, 4, 0, 0xffff_ffff);
  }

  #capability(at: number, next: number, length: number, type: number, offset: number): void {
    const config = this.#config;
    config.define(at, 4, (CAPABILITY.vendor | (next << 8) | (length << 16) | (type << 24)) >>> 0);
    config.define(at + 4, 4, STRUCTURES_BAR);
    config.define(at + 8, 4, offset);
    config.define(at + 12, 4, PAGE);
  }

  /** @param value undefined: read */
  #accessThroughConfig(offset: number, width: Width, value: number | undefined): number {
    const at = this.#config.readConfig(AT.pciAccess + 8, 4) + offset - ACCESS_DATA;
    const bar = this.#config.readConfig(AT.pciAccess + 4, 1);
    const length = this.#config.readConfig(AT.pciAccess + 12, 4);
    const isAllowed = bar === STRUCTURES_BAR && width <= length && at + width <= STRUCTURES_BYTES && at % width === 0;
    if (!isAllowed) return 0;
    if (value === undefined) return this.#structures.read(at, width);
    this.#structures.write(at, width, value);
    return 0;
  }

  #raise(reason: number): void {
    this.#interruptStatus |= reason;
    this.#config.setInterrupt(true);
  }

  /** Reading clears. */
  #readInterruptStatus(): number {
    const status = this.#interruptStatus;
    this.#interruptStatus = 0;
    this.#config.setInterrupt(false);
    return status;
  }

  get #offered(): Features {
    const [low, high] = this.#device.features;
    return [(low | FEATURE.anyLayout | FEATURE.indirect | FEATURE.eventIndex) >>> 0, (high | FEATURE.version1) >>> 0];
  }

  get #hasEventIndex(): boolean {
    return (this.#driverFeatures[0] & FEATURE.eventIndex) !== 0;
  }

  #resetDevice(): void {
    this.#status = 0;
    this.#interruptStatus = 0;
    this.#driverFeatures = [0, 0];
    this.#deviceFeatureSelect = 0;
    this.#driverFeatureSelect = 0;
    this.#queueSelect = 0;
    this.#config.setInterrupt(false);
    for (const queue of this.queues) queue.reset();
    this.#device.reset();
  }

  #writeStatus(value: number): void {
    if (value === 0) {
      this.#resetDevice();
      return;
    }
    let status = (this.#status & STATUS.needsReset) | value;
    // What was not offered cannot be had.
    const [low, high] = this.#offered;
    const [wantedLow, wantedHigh] = this.#driverFeatures;
    if ((wantedLow & ~low) !== 0 || (wantedHigh & ~high) !== 0) status &= ~STATUS.featuresOk;
    const starts = (status & ~this.#status & STATUS.driverOk) !== 0;
    this.#status = status;
    if (!starts) return;
    for (const queue of this.queues) queue.eventIndex = this.#hasEventIndex;
    this.#device.start(this.#driverFeatures);
    this.#notifyAll();
  }

  #notifyAll(): void {
    for (let i = 0; i < this.queues.length; i++) this.#notify(i);
  }

  #notify(queue: number): void {
    if (this.running && queue < this.queues.length) this.#device.notify(queue);
  }

  get #queue(): Virtqueue | undefined {
    return this.queues[this.#queueSelect];
  }

  #readLegacy(offset: number, width: Width): number {
    switch (offset) {
      case LEGACY.deviceFeatures:
        return this.#offered[0];
      case LEGACY.driverFeatures:
        return this.#driverFeatures[0];
      case LEGACY.queuePage:
        return this.#queue ? this.#queue.descriptors / PAGE : 0;
      case LEGACY.queueSize:
        return this.#queue?.maxSize ?? 0;
      case LEGACY.queueSelect:
        return this.#queueSelect;
      case LEGACY.status:
        return this.#status;
      case LEGACY.interruptStatus:
        return this.#readInterruptStatus();
      default:
        return offset >= LEGACY_CONFIG_AT ? this.#readDeviceConfig(offset - LEGACY_CONFIG_AT, width) : 0;
    }
  }

  #writeLegacy(offset: number, width: Width, value: number): void {
    switch (offset) {
      case LEGACY.driverFeatures:
        // An old driver has no word for version 1.
        this.#driverFeatures = [(value & this.#offered[0]) >>> 0, 0];
        break;
      case LEGACY.queuePage:
        this.#placeLegacyQueue(value);
        break;
      case LEGACY.queueSelect:
        this.#queueSelect = value & 0xffff;
        break;
      case LEGACY.notify:
        this.#notify(value & 0xffff);
        break;
      case LEGACY.status:
        this.#writeStatus(value & 0xff);
        break;
      default:
        if (offset >= LEGACY_CONFIG_AT) this.#writeDeviceConfig(offset - LEGACY_CONFIG_AT, width, value);
    }
  }

  /** Descriptors, available ring, and on the next page boundary the used ring. */
  #placeLegacyQueue(page: number): void {
    const queue = this.#queue;
    if (!queue) return;
    queue.size = queue.maxSize;
    queue.descriptors = page * PAGE;
    queue.driver = queue.descriptors + queue.size * 16;
    queue.device = Math.ceil((queue.driver + 6 + queue.size * 2) / PAGE) * PAGE;
    queue.enabled = page !== 0;
  }

  #readStructure(offset: number, width: Width): number {
    if (offset < STRUCTURE.interruptStatus) return this.#readCommon(offset, width);
    if (offset < STRUCTURE.device) return offset === STRUCTURE.interruptStatus ? this.#readInterruptStatus() : 0;
    if (offset < STRUCTURE.notify) return this.#readDeviceConfig(offset - STRUCTURE.device, width);
    return 0;
  }

  #writeStructure(offset: number, width: Width, value: number): void {
    if (offset < STRUCTURE.interruptStatus) this.#writeCommon(offset, width, value);
    else if (offset >= STRUCTURE.notify) this.#notify(Math.floor((offset - STRUCTURE.notify) / NOTIFY_MULTIPLIER));
    else if (offset >= STRUCTURE.device) this.#writeDeviceConfig(offset - STRUCTURE.device, width, value);
  }

  #readDeviceConfig(offset: number, width: Width): number {
    let value = 0;
    for (let i = 0; i < width; i++) {
      if (offset + i < this.#device.configBytes) value |= this.#device.readConfig(offset + i) << (i * 8);
    }
    return value >>> 0;
  }

  #writeDeviceConfig(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) {
      if (offset + i < this.#device.configBytes) this.#device.writeConfig(offset + i, (value >>> (i * 8)) & 0xff);
    }
  }

  /** Fields are read whole, or a part from the field's start. */
  #readCommon(offset: number, width: Width): number {
    const value = this.#commonField(offset);
    return width === 4 ? value : value & (width === 2 ? 0xffff : 0xff);
  }

  #commonField(offset: number): number {
    switch (offset) {
      case COMMON.deviceFeatureSelect:
        return this.#deviceFeatureSelect;
      case COMMON.deviceFeature:
        return this.#deviceFeatureSelect < 2 ? this.#offered[this.#deviceFeatureSelect] : 0;
      case COMMON.driverFeatureSelect:
        return this.#driverFeatureSelect;
      case COMMON.driverFeature:
        return this.#driverFeatureSelect < 2 ? this.#driverFeatures[this.#driverFeatureSelect] : 0;
      case COMMON.msixVector:
      case COMMON.queueMsixVector:
        return NO_VECTOR;
      case COMMON.queueCount:
        return this.queues.length;
      case COMMON.status:
        return this.#status;
      case COMMON.generation:
        return this.#generation;
      case COMMON.queueSelect:
        return this.#queueSelect;
      case COMMON.queueSize:
        return this.#queue?.size ?? 0;
      case COMMON.queueEnable:
        return this.#queue?.enabled ? 1 : 0;
      case COMMON.queueNotifyOffset:
        return this.#queue ? this.#queueSelect : 0;
      default:
        return this.#readQueueAddress(offset - COMMON.queueAddresses);
    }
  }

  #writeCommon(offset: number, width: Width, value: number): void {
    const queue = this.#queue;
    switch (offset) {
      case COMMON.deviceFeatureSelect:
        this.#deviceFeatureSelect = value;
        break;
      case COMMON.driverFeatureSelect:
        this.#driverFeatureSelect = value;
        break;
      case COMMON.driverFeature:
        // Features are settled once FEATURES_OK was said.
        if (this.#driverFeatureSelect < 2 && (this.#status & STATUS.featuresOk) === 0) {
          this.#driverFeatures[this.#driverFeatureSelect] = value;
        }
        break;
      case COMMON.status:
        this.#writeStatus(value & 0xff);
        break;
      case COMMON.queueSelect:
        this.#queueSelect = value & 0xffff;
        break;
      case COMMON.queueSize:
        if (queue && isQueueSize(value, queue.maxSize)) queue.size = value;
        break;
      case COMMON.queueEnable:
        if (queue && value === 1) queue.enabled = true;
        break;
      default:
        if (queue && width === 4) this.#writeQueueAddress(queue, offset - COMMON.queueAddresses, value);
    }
  }

  #readQueueAddress(offset: number): number {
    const queue = this.#queue;
    if (!queue || offset < 0 || offset >= COMMON.end - COMMON.queueAddresses) return 0;
    const address = [queue.descriptors, queue.driver, queue.device][offset >> 3];
    return (offset & 4) === 0 ? address % 0x1_0000_0000 : Math.floor(address / 0x1_0000_0000);
  }

  #writeQueueAddress(queue: Virtqueue, offset: number, value: number): void {
    if (queue.enabled) return;
    const join = (old: number): number =>
      (offset & 4) === 0
        ? Math.floor(old / 0x1_0000_0000) * 0x1_0000_0000 + value
        : (value & 0xf_ffff) * 0x1_0000_0000 + (old % 0x1_0000_0000);
    if (offset >> 3 === 0) queue.descriptors = join(queue.descriptors);
    else if (offset >> 3 === 1) queue.driver = join(queue.driver);
    else if (offset >> 3 === 2) queue.device = join(queue.device);
  }
}

const isQueueSize = (size: number, most: number): boolean => size > 0 && size <= most && (size & (size - 1)) === 0;
