import { IoBus, type Width } from '#emu/bus/io-bus.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';
import { type BlockPort, type BlockRequest, type BlockStatus, MemoryBlockPort } from '#emu/host/block.ts';
import { AtaDrive, type AtaDriveParts } from './ata-drive.ts';
import { IdeChannel } from './ide-channel.ts';
import type { IdeDrive } from './ide-drive.ts';
import { PiixIde } from './piix-ide.ts';

/** A PCI IDE function on a port bus, and what a driver does with it: for tests. */

export class RecordingIrq {
  level = false;
  edges = 0;
  set(asserted: boolean): void {
    if (asserted && !this.level) this.edges++;
    this.level = asserted;
  }
}

export class TestMemory implements DmaMemory {
  readonly bytes = new Uint8Array(1 << 20);
  readonly #view = new DataView(this.bytes.buffer);
  read(at: number, into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.bytes[at + i] ?? 0xff;
  }
  write(at: number, from: Uint8Array): void {
    for (let i = 0; i < from.length; i++) if (at + i < this.bytes.length) this.bytes[at + i] = from[i];
  }
  readU16(at: number): number {
    return at + 2 <= this.bytes.length ? this.#view.getUint16(at, true) : 0xffff;
  }
  readU32(at: number): number {
    return at + 4 <= this.bytes.length ? this.#view.getUint32(at, true) : 0xffff_ffff;
  }
  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }
}

/** A medium whose requests wait until the test completes them, or fail at chosen sectors. */
export class SlowPort implements BlockPort {
  readonly waiting: BlockRequest[] = [];
  readonly log: string[] = [];
  readonly badSectors = new Map<number, BlockStatus>();
  flushStatus: BlockStatus = 'ok';
  immediate: boolean;
  readonly memory: MemoryBlockPort;
  readonly writable: boolean;
  readonly sectorCount: number;

  constructor(sectors: number, options: { immediate?: boolean; writable?: boolean; reportedSectors?: number } = {}) {
    const image = new Uint8Array(sectors * 512);
    for (let i = 0; i < image.length; i++) image[i] = (i >> 9) * 7 + i;
    this.memory = new MemoryBlockPort(image);
    this.immediate = options.immediate ?? false;
    this.writable = options.writable ?? true;
    this.sectorCount = options.reportedSectors ?? sectors;
  }

  submit(request: BlockRequest): void {
    this.log.push(`${request.kind} ${request.sector}+${request.bytes.length / 512}`);
    if (this.immediate) this.#serve(request);
    else this.waiting.push(request);
  }

  /** Completes the oldest request. */
  complete(): void {
    const request = this.waiting.shift();
    if (request) this.#serve(request);
  }

  #serve(request: BlockRequest): void {
    if (request.kind === 'flush') {
      request.done(this.flushStatus);
      return;
    }
    for (let s = request.sector; s < request.sector + request.bytes.length / 512; s++) {
      const status = this.badSectors.get(s);
      if (status) {
        request.done(status);
        return;
      }
    }
    if ((request.sector + request.bytes.length / 512) * 512 > this.memory.image.length) {
      // Beyond the stored part of a large medium: zeros.
      if (request.kind === 'read') request.bytes.fill(request.sector & 0xff);
      request.done('ok');
      return;
    }
    this.memory.submit(request);
  }
}

export const BUS_MASTER = 0xc000;

export class IdeTestMachine {
  readonly bus = new IoBus();
  readonly memory = new TestMemory();
  readonly irqs = [new RecordingIrq(), new RecordingIrq()] as const;
  readonly channels: readonly [IdeChannel, IdeChannel];
  readonly piix: PiixIde;
  base = 0x1f0;
  control = 0x3f6;

  constructor(drives: readonly (IdeDrive | undefined)[]) {
    this.channels = [
      new IdeChannel({ irq: this.irqs[0], drives: [drives[0], drives[1]] }),
      new IdeChannel({ irq: this.irqs[1], drives: [drives[2], drives[3]] }),
    ];
    let moved: number | undefined;
    this.piix = new PiixIde({
      memory: this.memory,
      channels: this.channels,
      onBusMasterMoved: (base) => {
        if (moved !== undefined) this.bus.unmap(moved, 16);
        if (base !== undefined) this.bus.map(base, 16, this.piix.busMasterBlock, { maxWidth: 4 });
        moved = base;
      },
    });
    this.bus.map(0x1f0, 8, this.piix.commandBlocks[0], { maxWidth: 4 });
    this.bus.map(0x3f6, 1, this.piix.controlBlocks[0]);
    this.bus.map(0x170, 8, this.piix.commandBlocks[1], { maxWidth: 4 });
    this.bus.map(0x376, 1, this.piix.controlBlocks[1]);
    this.setUp();
  }

  /** What firmware does. */
  setUp(): void {
    this.piix.writeConfig(0x20, 4, BUS_MASTER);
    this.piix.writeConfig(0x40, 4, 0x8000_8000);
    this.piix.writeConfig(0x04, 2, 0x0005);
  }

  in(offset: number, width: Width = 1): number {
    return this.bus.read(this.base + offset, width);
  }

  out(offset: number, value: number, width: Width = 1): void {
    this.bus.write(this.base + offset, width, value);
  }

  get altStatus(): number {
    return this.bus.read(this.control, 1);
  }

  /** Task file as written by a 28-bit driver. */
  command28(opcode: number, lba: number, count: number, device = 0xe0): void {
    this.out(6, device | ((lba >>> 24) & 0x0f));
    this.out(2, count & 0xff);
    this.out(3, lba & 0xff);
    this.out(4, (lba >>> 8) & 0xff);
    this.out(5, (lba >>> 16) & 0xff);
    this.out(7, opcode);
  }

  command48(opcode: number, lba: number, count: number, device = 0xe0): void {
    const high = Math.floor(lba / 0x100_0000);
    this.out(6, device);
    this.out(2, (count >> 8) & 0xff);
    this.out(3, high & 0xff);
    this.out(4, (high >> 8) & 0xff);
    this.out(5, (high >> 16) & 0xff);
    this.out(2, count & 0xff);
    this.out(3, lba & 0xff);
    this.out(4, (lba >>> 8) & 0xff);
    this.out(5, (lba >>> 16) & 0xff);
    this.out(7, opcode);
  }

  readWords(byteCount: number, width: 2 | 4 = 2): Uint8Array {
    const bytes = new Uint8Array(byteCount);
    for (let i = 0; i < byteCount; i += width) {
      const value = this.in(0, width);
      for (let j = 0; j < width; j++) bytes[i + j] = value >>> (j * 8);
    }
    return bytes;
  }

  writeWords(bytes: Uint8Array, width: 2 | 4 = 2): void {
    for (let i = 0; i < bytes.length; i += width) {
      let value = 0;
      for (let j = 0; j < width; j++) value |= bytes[i + j] << (j * 8);
      this.out(0, value >>> 0, width);
    }
  }

  /** Descriptor table at `at` of [address, bytes] regions, the last one marked; loads it. */
  prepareDma(toMemory: boolean, regions: readonly (readonly [number, number])[], at = 0x1000, bm = BUS_MASTER): void {
    regions.forEach(([address, byteCount], i) => {
      this.memory.setU32(at + i * 8, address);
      this.memory.setU32(at + i * 8 + 4, ((byteCount & 0xffff) | (i === regions.length - 1 ? 0x8000_0000 : 0)) >>> 0);
    });
    this.bus.write(bm, 1, 0);
    this.bus.write(bm + 2, 1, 0x06);
    this.bus.write(bm + 4, 4, at);
    this.bus.write(bm, 1, toMemory ? 0x08 : 0);
  }

  startDma(bm = BUS_MASTER): void {
    this.bus.write(bm, 1, this.bus.read(bm, 1) | 1);
  }

  /** Error, Interrupt, Active as a number 0..7. */
  dmaStatus(bm = BUS_MASTER): number {
    return this.bus.read(bm + 2, 1) & 7;
  }

  save(): unknown {
    return structuredClone(this.piix.save());
  }
}

export const IDENTITY = { model: 'TABBOX HARDDISK', serial: 'TB-0001', firmware: '1.0' };

export function ataDrive(medium: BlockPort, more: Partial<AtaDriveParts> = {}): AtaDrive {
  return new AtaDrive({ medium, identity: IDENTITY, ...more });
}

/** Characters of an ATA string. */
export function ataString(words: Uint8Array, at: number, byteCount: number): string {
  let text = '';
  for (let i = 0; i < byteCount; i++) text += String.fromCharCode(words[at + (i ^ 1)]);
  return text.trimEnd();
}
