/**
 * VirtualBox's VMM device: requests of its Guest Additions, and positions of the pointer for them.
 * Source: VirtualBox's public guest headers VMMDev.h and VMMDevCoreTypes.h.
 * Not modelled: see README.md.
 */
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { DmaMemory, IrqLine, Saveable } from '#emu/bus/wires.ts';
import type { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { PCI_PIN, PciConfigSpace, type PciConfigState } from '#emu/devices/pci/pci-function.ts';

/** Guest-visible state. */
export interface VmmDevState {
  readonly pci: PciConfigState;
  /** Bits of EVENT that wait, and that the guest wants to hear of. */
  readonly events: number;
  readonly wanted: number;
  /** MOUSE_FEATURE bits of the guest's. */
  readonly mouse: number;
  /** 0 to 65535. */
  readonly x: number;
  readonly y: number;
}

export interface VmmDevParts {
  readonly memory: DmaMemory;
  readonly windows: Pick<BarWindows, 'io' | 'memory'>;
  readonly interrupt: IrqLine;
}

const IO_BYTES = 32;
const MEMORY_BYTES = 0x1000;
/** In memory: size and version of what is there, then whether events wait. */
const MEMORY = { byteCount: 32, version: 1 } as const;

/** Request: a header, then what belongs to its type. */
const HEADER = { size: 0, version: 4, type: 8, status: 12, bytes: 24 } as const;
const HEADER_VERSION = 0x1_0001;
const MAX_REQUEST_BYTES = 0x1000;
const REQUEST = {
  getMouseStatus: 1,
  setMouseStatus: 2,
  getHostVersion: 4,
  getHypervisorInfo: 20,
  acknowledgeEvents: 41,
  controlFilter: 42,
  reportGuestInfo: 50,
  reportGuestCapabilities: 55,
  setGuestCapabilities: 56,
  reportGuestInfo2: 58,
  reportGuestStatus: 59,
} as const;
const STATUS = { success: 0, invalidParameter: -2, notImplemented: -12, versionMismatch: -11 } as const;

export const EVENT = { mousePositionChanged: 1 << 9 } as const;
export const MOUSE_FEATURE = { guestCanAbsolute: 1, hostWantsAbsolute: 2, newProtocol: 0x10 } as const;
const GUEST_FEATURES = 0x15;

/** The version whose interface this is; drivers ask for page lists even if they connect to no service. */
const HOST_VERSION = { major: 7, minor: 0, build: 0, revision: 0, features: 1 } as const;
const FULL_SCALE = 0xffff;

export class VmmDev implements Saveable<VmmDevState> {
  /** The PCI function. */
  readonly config: PciConfigSpace;
  readonly #parts: VmmDevParts;
  readonly #buffer: Uint8Array = new Uint8Array(MAX_REQUEST_BYTES);
  readonly #view: DataView = new DataView(this.#buffer.buffer);
  #events = 0;
  #wanted = 0;
  #mouse = 0;
  #x = 0;
  #y = 0;

  constructor(parts: VmmDevParts) {
    this.#parts = parts;
    const ports: IoDevice = {
      read: () => 0xffff_ffff,
      write: (offset, width, value) => {
        if (offset === 0 && width === 4) this.#request(value);
      },
    };
    const memory: IoDevice = {
      read: (offset, width) => {
        const word = [MEMORY.byteCount, MEMORY.version, this.#waiting === 0 ? 0 : 1][offset >> 2] ?? 0;
        return (word >>> ((offset & 3) * 8)) & (width === 4 ? -1 : (1 << (width * 8)) - 1);
      },
      write: () => {},
    };
    const { windows, interrupt } = parts;
    this.config = new PciConfigSpace({
      identity: { vendorId: 0x80ee, deviceId: 0xcafe, classCode: 0x08_8000, interruptPin: PCI_PIN.inta },
      bars: [
        { index: 0, space: 'io', byteCount: IO_BYTES, onMoved: windows.io(IO_BYTES, ports) },
        {
          ...{ index: 1, space: 'memory', byteCount: MEMORY_BYTES },
          onMoved: windows.memory(MEMORY_BYTES, { kind: 'mmio', device: memory }),
        },
      ],
      interrupt,
    });
  }

  /** The guest takes positions of the pointer; its buttons and wheel stay the mouse's. */
  get takesPositions(): boolean {
    return (this.#mouse & MOUSE_FEATURE.guestCanAbsolute) !== 0;
  }

  /** Puts the pointer somewhere on the desktop. @param x, y 0 to 65535 */
  point(x: number, y: number): void {
    this.#x = Math.max(0, Math.min(FULL_SCALE, Math.round(x)));
    this.#y = Math.max(0, Math.min(FULL_SCALE, Math.round(y)));
    if (!this.takesPositions) return;
    this.#events |= EVENT.mousePositionChanged;
    this.#drive();
  }

  /** Where the pointer is: 0 to 65535. */
  get position(): { readonly x: number; readonly y: number } {
    return { x: this.#x, y: this.#y };
  }

  reset(): void {
    this.#events = 0;
    this.#wanted = 0;
    this.#mouse = 0;
    this.config.reset();
    this.#drive();
  }

  save(): VmmDevState {
    const pci = this.config.save();
    return { pci, events: this.#events, wanted: this.#wanted, mouse: this.#mouse, x: this.#x, y: this.#y };
  }

  restore(state: VmmDevState): void {
    this.#events = state.events;
    this.#wanted = state.wanted;
    this.#mouse = state.mouse;
    this.#x = state.x;
    this.#y = state.y;
    this.config.restore(state.pci);
    this.#drive();
  }

  /** Events that the guest wants to hear of. */
  get #waiting(): number {
    return this.#events & this.#wanted;
  }

  #drive(): void {
    this.config.setInterrupt(this.#waiting !== 0);
  }

  /** @param at guest-physical */
  #request(at: number): void {
    const { memory } = this.#parts;
    const header = this.#buffer.subarray(0, HEADER.bytes);
    memory.read(at, header);
    const view = this.#view;
    const size = view.getUint32(HEADER.size, true);
    if (size < HEADER.bytes || size > MAX_REQUEST_BYTES) {
      this.#answer(at, HEADER.bytes, STATUS.invalidParameter);
      return;
    }
    if (view.getUint32(HEADER.version, true) !== HEADER_VERSION) {
      this.#answer(at, HEADER.bytes, STATUS.versionMismatch);
      return;
    }
    memory.read(at, this.#buffer.subarray(0, size));
    this.#answer(at, size, this.#carryOut(view.getUint32(HEADER.type, true), size - HEADER.bytes));
  }

  #answer(at: number, size: number, status: number): void {
    this.#view.setInt32(HEADER.status, status, true);
    this.#parts.memory.write(at, this.#buffer.subarray(0, size));
  }

  /** @param bytes behind the header. @returns STATUS */
  #carryOut(type: number, bytes: number): number {
    const view = this.#view;
    const body = HEADER.bytes;
    if (bytes < (LEAST_BYTES[type] ?? 0)) return STATUS.invalidParameter;
    switch (type) {
      case REQUEST.getMouseStatus:
        view.setUint32(body, this.#mouse | MOUSE_FEATURE.hostWantsAbsolute, true);
        view.setInt32(body + 4, this.#x, true);
        view.setInt32(body + 8, this.#y, true);
        return STATUS.success;
      case REQUEST.setMouseStatus:
        this.#mouse = view.getUint32(body, true) & GUEST_FEATURES;
        return STATUS.success;
      case REQUEST.getHostVersion:
        view.setUint16(body, HOST_VERSION.major, true);
        view.setUint16(body + 2, HOST_VERSION.minor, true);
        view.setUint32(body + 4, HOST_VERSION.build, true);
        view.setUint32(body + 8, HOST_VERSION.revision, true);
        view.setUint32(body + 12, HOST_VERSION.features, true);
        return STATUS.success;
      case REQUEST.getHypervisorInfo:
        // Nothing is to be mapped into the guest.
        view.setUint32(body, 0, true);
        view.setUint32(body + 4, 0, true);
        return STATUS.success;
      case REQUEST.acknowledgeEvents:
        view.setUint32(body, this.#waiting, true);
        this.#events &= ~this.#wanted;
        this.#drive();
        return STATUS.success;
      case REQUEST.controlFilter:
        this.#wanted = (this.#wanted | view.getUint32(body, true)) & ~view.getUint32(body + 4, true);
        this.#drive();
        return STATUS.success;
      case REQUEST.reportGuestInfo:
      case REQUEST.reportGuestInfo2:
      case REQUEST.reportGuestStatus:
      case REQUEST.reportGuestCapabilities:
      case REQUEST.setGuestCapabilities:
        return STATUS.success;
      default:
        return STATUS.notImplemented;
    }
  }
}

/** What requests have behind their header, at least. */
const LEAST_BYTES: Readonly<Record<number, number>> = {
  [REQUEST.getMouseStatus]: 12,
  [REQUEST.setMouseStatus]: 12,
  [REQUEST.getHostVersion]: 16,
  [REQUEST.getHypervisorInfo]: 8,
  [REQUEST.acknowledgeEvents]: 4,
  [REQUEST.controlFilter]: 8,
};
