/**
 * Direct boot of a Multiboot 1 kernel.
 * Source: Multiboot Specification 0.6.96, chapter 3.
 * Not modelled: linear graphics modes, symbol tables, drive and APM information, VBE information.
 */
import { CodedError } from '#base/errors.ts';
import { KIB, MIB, PAGE_BYTES } from '#base/units.ts';
import type { DmaMemory } from '#emu/bus/wires.ts';
import { BOOT_GDT_BYTES, type BootEntry, flatEntry, writeFlatGdt } from './boot-entry.ts';
import { CONVENTIONAL_KB, E820, extendedMemoryEnd, type MemoryMapEntry, writeBiosDataArea } from './memory-map.ts';
import { type LoadPlan, type MultibootErrorCode, planMultiboot } from './multiboot-image.ts';

export interface MultibootModule {
  readonly bytes: Uint8Array;
  /** ASCII. */
  readonly commandLine: string;
}

export interface MultibootBoot {
  readonly kernel: Uint8Array;
  readonly modules: readonly MultibootModule[];
  /** ASCII; by convention its first word is the kernel's name. */
  readonly commandLine: string;
  readonly memoryMap: readonly MemoryMapEntry[];
}

/** What a loader leaves in EAX. */
const LOADER_MAGIC = 0x2bad_b002;
const LOADER_NAME = 'TabBox';
const INFO_BYTES = 116;
const INFO = {
  flags: 0,
  memoryLowerKb: 4,
  memoryUpperKb: 8,
  commandLine: 16,
  moduleCount: 20,
  modules: 24,
  mapBytes: 44,
  map: 48,
  loaderName: 64,
} as const;
const INFO_FLAG = { memory: 1 << 0, commandLine: 1 << 2, modules: 1 << 3, map: 1 << 6, loaderName: 1 << 9 } as const;
const MODULE_ENTRY_BYTES = 16;
const MAP_ENTRY_BYTES = 24;

/** Builds a block of memory whose parts know their guest-physical address. */
class Block {
  readonly #base: number;
  readonly #bytes: number[] = [];

  constructor(base: number) {
    this.#base = base;
  }

  /** Room of zeros, aligned on four bytes; returns its address. */
  reserve(byteCount: number): number {
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
    const at = this.#base + this.#bytes.length;
    for (let i = 0; i < byteCount; i++) this.#bytes.push(0);
    return at;
  }

  /** A string with its terminating zero; returns its address. Characters outside Latin-1 become question marks. */
  text(value: string): number {
    const at = this.reserve(value.length + 1);
    for (let i = 0; i < value.length; i++) {
      const c = value.charCodeAt(i);
      this.#bytes[at - this.#base + i] = c > 0xff || c === 0 ? 0x3f : c;
    }
    return at;
  }

  u32(at: number, value: number): void {
    for (let i = 0; i < 4; i++) this.#bytes[at - this.#base + i] = (value >>> (i * 8)) & 0xff;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/**
 * Puts a Multiboot kernel, its modules and its information structure into guest memory.
 * @returns the state in which CPU 0 starts
 * @throws CodedError<MultibootErrorCode>; guest memory is untouched then
 */
export function prepareMultiboot(memory: DmaMemory, boot: MultibootBoot): BootEntry {
  const plan = planMultiboot(boot.kernel);
  const ramEnd = extendedMemoryEnd(boot.memoryMap);
  checkFits(plan, ramEnd);

  const pageUp = (at: number): number => Math.ceil(at / PAGE_BYTES) * PAGE_BYTES;
  let next = pageUp(Math.max(MIB, ...plan.segments.map((s) => s.at + s.memoryBytes)));
  const modules = boot.modules.map((module) => {
    const at = next;
    next = pageUp(at + module.bytes.length);
    return { ...module, at };
  });
  const gdtAt = next;
  const block = new Block(gdtAt);
  block.reserve(BOOT_GDT_BYTES);
  const infoAt = writeInfo(block, boot, modules, ramEnd);
  const blockBytes = block.bytes();
  if (gdtAt + blockBytes.length > ramEnd) {
    throw new CodedError<MultibootErrorCode>(
      'modules-too-big',
      'the modules do not fit behind the kernel; give the machine more memory',
      { neededBytes: gdtAt + blockBytes.length, usableBytes: ramEnd },
    );
  }

  writeBiosDataArea(memory);
  for (const segment of plan.segments) {
    memory.write(segment.at, segment.bytes);
    writeZeros(memory, segment.at + segment.bytes.length, segment.memoryBytes - segment.bytes.length);
  }
  for (const module of modules) memory.write(module.at, module.bytes);
  memory.write(gdtAt, blockBytes);
  writeFlatGdt(memory, gdtAt);
  return flatEntry(plan.entry, gdtAt, { eax: LOADER_MAGIC, ebx: infoAt });
}

function writeZeros(memory: DmaMemory, at: number, byteCount: number): void {
  const zeros = new Uint8Array(Math.min(byteCount, MIB));
  for (let done = 0; done < byteCount; done += MIB) {
    memory.write(at + done, zeros.subarray(0, Math.min(MIB, byteCount - done)));
  }
}

/** A segment lies in conventional memory or in the RAM that starts at 1 MB. */
function checkFits(plan: LoadPlan, ramEnd: number): void {
  for (const { at, memoryBytes } of plan.segments) {
    const end = at + memoryBytes;
    const low = at >= PAGE_BYTES && end <= CONVENTIONAL_KB * KIB;
    const high = at >= MIB && end <= ramEnd;
    if (low || high) continue;
    throw new CodedError<MultibootErrorCode>(
      'kernel-outside-ram',
      'the kernel asks for an address where the machine has no free memory; give the machine more memory',
      { at, byteCount: memoryBytes, usableBytes: ramEnd },
    );
  }
}

type PlacedModule = MultibootModule & { readonly at: number };

function writeInfo(block: Block, boot: MultibootBoot, modules: readonly PlacedModule[], ramEnd: number): number {
  const info = block.reserve(INFO_BYTES);
  block.u32(info + INFO.memoryLowerKb, CONVENTIONAL_KB);
  block.u32(info + INFO.memoryUpperKb, Math.floor((ramEnd - MIB) / KIB));
  block.u32(info + INFO.commandLine, block.text(boot.commandLine));
  block.u32(info + INFO.loaderName, block.text(LOADER_NAME));

  const list = block.reserve(modules.length * MODULE_ENTRY_BYTES);
  modules.forEach((module, i) => {
    const at = list + i * MODULE_ENTRY_BYTES;
    block.u32(at, module.at);
    block.u32(at + 4, module.at + module.bytes.length);
    block.u32(at + 8, block.text(module.commandLine));
  });
  block.u32(info + INFO.moduleCount, modules.length);
  block.u32(info + INFO.modules, list);

  const map = block.reserve(boot.memoryMap.length * MAP_ENTRY_BYTES);
  boot.memoryMap.forEach((entry, i) => {
    const at = map + i * MAP_ENTRY_BYTES;
    block.u32(at, MAP_ENTRY_BYTES - 4); // The size does not count itself.
    block.u32(at + 4, entry.base);
    block.u32(at + 12, entry.byteCount);
    block.u32(at + 20, entry.type === E820.ram ? 1 : entry.type);
  });
  block.u32(info + INFO.mapBytes, boot.memoryMap.length * MAP_ENTRY_BYTES);
  block.u32(info + INFO.map, map);

  const moduleFlag = modules.length > 0 ? INFO_FLAG.modules : 0;
  block.u32(info, INFO_FLAG.memory | INFO_FLAG.commandLine | INFO_FLAG.map | INFO_FLAG.loaderName | moduleFlag);
  return info;
}
