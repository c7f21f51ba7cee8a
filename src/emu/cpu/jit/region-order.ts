/** A region as plain data, and what becomes of it: what crosses between the CPU's thread and the one that compiles. */
import type { Decoder } from '../decoder/decoder.ts';
import { newDecoded } from '../decoder/decoder.ts';
import type { Feature } from '../system/cpu-features.ts';
import type { Callee } from '../wasm/function.ts';
import { decodeInstruction } from './discover.ts';
import type { EffectsTable } from './effects.ts';
import type { Block, Flow, Instruction, Region } from './instruction.ts';

interface PackedBlock extends Omit<Block, 'instructions'> {
  readonly flow: Flow;
  readonly count: number;
}

/** Instructions are their bytes, block after block. */
export interface PackedRegion extends Omit<Region, 'blocks'> {
  readonly blocks: readonly PackedBlock[];
  readonly code: Uint8Array;
}

export interface RegionOrder {
  /** Tells orders apart; numbers are used again. */
  readonly ticket: number;
  /** What STATE.region is while it runs; its function's name. */
  readonly number: number;
  /** Linear-memory address of the descriptor, of a region of several pages. */
  readonly descriptor: number | undefined;
  readonly region: PackedRegion;
}

/** What the compiling thread has to know before. */
export interface CompilerSetup {
  /** Linear-memory address of the vCPU's state block. */
  readonly stateAt: number;
  /** Size of the machine's linear memory, in WebAssembly pages. */
  readonly memoryPages: number;
  /** Types of the kernels that regions may import. */
  readonly kernels: Readonly<Record<string, Callee>>;
  /** See `Decoder`. */
  readonly hidden: ReadonlySet<Feature>;
}

export interface BuiltRegion {
  readonly ticket: number;
  readonly number: number;
  /** It takes the base as i64. */
  readonly long: boolean;
  /** By entry number: offset of the block from the region's base. */
  readonly entries: readonly number[];
  /** See `ExitSites`. */
  readonly sites: Int32Array;
}

export interface BuiltModule {
  /** A `WebAssembly.Module`. Exports a region under its number, imports `kernels` besides the slow paths. */
  readonly module: unknown;
  readonly byteCount: number;
  readonly kernels: readonly string[];
  readonly regions: readonly BuiltRegion[];
  /** Why there is nothing, and of which orders. */
  readonly failure: { readonly why: string; readonly tickets: readonly number[] } | undefined;
}

/** Where orders go and modules come from: this thread or another one. */
export interface RegionCompilerPort {
  /** Before the first order. */
  setUp(setup: CompilerSetup): void;
  send(orders: readonly RegionOrder[]): void;
  /** The next module that is ready, if one is. Never waits. */
  receive(): BuiltModule | undefined;
  /** Nothing will be compiled any more. */
  readonly closed?: boolean;
}

/** @param bytes memory, in which a page of the code begins at what `hostOf` says of an offset from the region's base */
export function packRegion(region: Region, bytes: Uint8Array, hostOf: (at: number) => number): PackedRegion {
  let byteCount = 0;
  for (const b of region.blocks) byteCount += b.end - b.at;
  const code = new Uint8Array(byteCount);
  let to = 0;
  const blocks = region.blocks.map(({ instructions, ...block }): PackedBlock => {
    for (const i of instructions) {
      const host = hostOf(i.at);
      for (let n = 0; n < i.d.length; n++) code[to++] = bytes[host + n];
    }
    return { ...block, count: instructions.length };
  });
  return { ...region, blocks, code };
}

export function unpackRegion(packed: PackedRegion, decoder: Decoder, effects: EffectsTable): Region {
  const { code, ...rest } = packed;
  const scratch = newDecoded();
  let from = 0;
  const blocks = packed.blocks.map(({ count, ...block }): Block => {
    const instructions: Instruction[] = [];
    let { at } = block;
    for (let n = 0; n < count; n++) {
      const found = decodeInstruction({ decoder, effects, scratch, bytes: code, from, end: code.length, at });
      if (found === undefined) throw new RangeError(`no instruction at ${at} of a region`);
      instructions.push(found);
      from += found.d.length;
      at += found.d.length;
    }
    return { ...block, instructions };
  });
  return { ...rest, blocks };
}
