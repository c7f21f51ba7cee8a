/**
 * Firmware configuration device: named and numbered items that firmware reads from the machine.
 * Source: QEMU documentation, docs/specs/fw_cfg ("QEMU Firmware Configuration Device").
 * Not modelled: direct-boot kernel items; DMA beyond an item's end stores at most 16 MB of zeros in one command.
 */
import { CodedError } from '#base/errors.ts';
import type { IoDevice } from '#emu/bus/io-bus.ts';
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';

/** Numbered items. Values of more than one byte are little-endian unless said otherwise. */
export const FW_CFG_KEY = {
  signature: 0x00,
  id: 0x01,
  uuid: 0x02,
  ramBytes: 0x03,
  noGraphic: 0x04,
  cpuCount: 0x05,
  machineId: 0x06,
  bootDevice: 0x0c,
  numa: 0x0d,
  bootMenu: 0x0e,
  maxCpus: 0x0f,
  fileDirectory: 0x19,
  firstFile: 0x20,
  acpiTables: 0x8000,
  smbiosEntries: 0x8001,
  irq0Override: 0x8002,
  e820: 0x8003,
} as const;

export interface FwCfgParts {
  readonly memory: DmaMemory;
}

export interface FwCfgFileOptions {
  /** The guest may write the file by DMA. */
  readonly writable?: boolean;
}

/** What the guest can change: the selector, the DMA address and the writable files. */
export interface FwCfgState {
  readonly selector: number;
  readonly offset: number;
  readonly dmaAddressHigh: number;
  readonly written: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

interface Item {
  bytes: Uint8Array;
  readonly writable: boolean;
}

const ID = { traditional: 1, dma: 2 } as const;
const DMA = { error: 1, read: 2, skip: 4, select: 8, write: 16 } as const;
/** "QEMU CFG". */
const DMA_SIGNATURE = [0x51, 0x45, 0x4d, 0x55, 0x20, 0x43, 0x46, 0x47] as const;
const FILE_NAME_BYTES = 56;
const DIRECTORY_ENTRY_BYTES = 64; // 4 size + 2 select + 2 reserved + 56 name
const MAX_ZERO_FILL = 16 * 1024 * 1024;

/** Little-endian bytes of a number, 1 to 8 bytes. */
export function littleEndian(value: number, byteCount: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  for (let i = 0, rest = value; i < byteCount; i++, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return bytes;
}

/** ASCII with a terminating zero, as string items have it. */
export function asciiZ(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length + 1);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const swap32 = (v: number): number =>
  ((v >>> 24) | ((v >>> 8) & 0xff00) | ((v & 0xff00) << 8) | ((v & 0xff) << 24)) >>> 0;

export class FwCfg implements Saveable<FwCfgState> {
  readonly #memory: DmaMemory;
  readonly #items = new Map<number, Item>();
  /** Files by name; the directory and its keys are made from it in name order. */
  readonly #files = new Map<string, Item>();
  #selector = 0;
  #offset = 0;
  #dmaAddressHigh = 0;

  /** Selector (word at 0) and data (byte at 1): 2 ports at 510h, map with `maxWidth` 2. */
  readonly registers: IoDevice;
  /** DMA address, big-endian, high half first: 8 ports at 514h, map with `maxWidth` 4. */
  readonly dma: IoDevice;

  constructor(parts: FwCfgParts) {
    this.#memory = parts.memory;
    this.#items.set(FW_CFG_KEY.signature, { bytes: asciiZ('QEMU').subarray(0, 4), writable: false });
    this.#items.set(FW_CFG_KEY.id, { bytes: littleEndian(ID.traditional | ID.dma, 4), writable: false });
    this.#publishFiles();
    this.registers = {
      read: (offset, width) => (offset === 1 && width === 1 ? this.#readByte() : 0),
      write: (offset, width, value) => {
        if (offset === 0 && width === 2) this.#select(value);
      },
    };
    this.dma = {
      read: (offset, width) => {
        let value = 0;
        for (let i = width - 1; i >= 0; i--) value = (value << 8) | DMA_SIGNATURE[(offset + i) & 7];
        return value >>> 0;
      },
      write: (offset, width, value) => {
        if (width !== 4) return;
        if (offset === 0) this.#dmaAddressHigh = swap32(value);
        else if (offset === 4) this.#startDma(swap32(value));
      },
    };
  }

  /** Adds or replaces a numbered item. */
  setItem(key: number, bytes: Uint8Array): void {
    this.#items.set(key, { bytes: bytes.slice(), writable: false });
  }

  /**
   * Adds or replaces a file. Its key is its place in the name order, so all files are added before the guest runs.
   * @param name ASCII, at most 55 characters
   * @throws CodedError<'bad-name'>
   */
  setFile(name: string, bytes: Uint8Array, options: FwCfgFileOptions = {}): void {
    if (!/^[\x21-\x7e]{1,55}$/.test(name)) {
      throw new CodedError('bad-name', 'a firmware file name is 1 to 55 printable characters', { name });
    }
    this.#files.set(name, { bytes: bytes.slice(), writable: options.writable ?? false });
    this.#publishFiles();
  }

  /** Current content of a file (the guest may have written it), or undefined. */
  file(name: string): Uint8Array | undefined {
    return this.#files.get(name)?.bytes.slice();
  }

  reset(): void {
    this.#select(0);
    this.#dmaAddressHigh = 0;
  }

  save(): FwCfgState {
    const written = [...this.#files]
      .filter(([, item]) => item.writable)
      .map(([name, item]) => ({ name, bytes: item.bytes.slice() }));
    return { selector: this.#selector, offset: this.#offset, dmaAddressHigh: this.#dmaAddressHigh, written };
  }

  restore(state: FwCfgState): void {
    this.#selector = state.selector;
    this.#offset = state.offset;
    this.#dmaAddressHigh = state.dmaAddressHigh;
    for (const { name, bytes } of state.written) {
      const item = this.#files.get(name);
      if (item?.writable && item.bytes.length === bytes.length) item.bytes.set(bytes);
    }
  }

  #publishFiles(): void {
    const names = [...this.#files.keys()].sort();
    const directory = new Uint8Array(4 + names.length * DIRECTORY_ENTRY_BYTES);
    const view = new DataView(directory.buffer);
    view.setUint32(0, names.length);
    names.forEach((name, i) => {
      const item = this.#files.get(name);
      if (!item) return;
      const at = 4 + i * DIRECTORY_ENTRY_BYTES;
      view.setUint32(at, item.bytes.length);
      view.setUint16(at + 4, FW_CFG_KEY.firstFile + i);
      directory.set(asciiZ(name).subarray(0, FILE_NAME_BYTES), at + 8);
      this.#items.set(FW_CFG_KEY.firstFile + i, item);
    });
    this.#items.set(FW_CFG_KEY.fileDirectory, { bytes: directory, writable: false });
  }

  #select(key: number): void {
    this.#selector = key & 0xffff;
    this.#offset = 0;
  }

  #readByte(): number {
    const item = this.#items.get(this.#selector);
    if (!item || this.#offset >= item.bytes.length) return 0;
    return item.bytes[this.#offset++];
  }

  /** Runs the command whose big-endian descriptor (control, length, address) is at the address just written. */
  #startDma(addressLow: number): void {
    const at = this.#dmaAddressHigh * 2 ** 32 + addressLow;
    this.#dmaAddressHigh = 0;
    const descriptor = new Uint8Array(16);
    this.#memory.read(at, descriptor);
    const view = new DataView(descriptor.buffer);
    const control = view.getUint32(0);
    const length = view.getUint32(4);
    const address = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
    if (control & DMA.select) this.#select(control >>> 16);
    const done = this.#transfer(control, length, address);
    view.setUint32(0, done ? 0 : DMA.error);
    this.#memory.write(at, descriptor.subarray(0, 4));
  }

  /** @returns false when the item does not allow what was asked */
  #transfer(control: number, length: number, address: number): boolean {
    const item = this.#items.get(this.#selector);
    const left = item ? Math.max(0, item.bytes.length - this.#offset) : 0;
    const inside = Math.min(left, length);
    if (control & DMA.read) {
      if (item && inside > 0) this.#memory.write(address, item.bytes.subarray(this.#offset, this.#offset + inside));
      const zeros = Math.min(length - inside, MAX_ZERO_FILL);
      if (zeros > 0) this.#memory.write(address + inside, new Uint8Array(zeros));
    } else if (control & DMA.write) {
      if (!item?.writable || inside !== length) return false;
      this.#memory.read(address, item.bytes.subarray(this.#offset, this.#offset + length));
    } else if (!(control & DMA.skip)) return true;
    this.#offset += inside;
    return true;
  }
}
