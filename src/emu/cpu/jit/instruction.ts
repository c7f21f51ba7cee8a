/** Instructions and blocks of a region, as discovery hands them to the generator. */
import type { Decoded } from '../decoder/decoded.ts';
import type { OperandSpec } from '../decoder/operands.ts';
import type { Row } from '../isa/row.ts';

/** What an instruction does to the flow of control. */
export const FLOW = {
  next: 0,
  /** Direct jump. */
  jump: 1,
  /** Conditional, or the next instruction. */
  branch: 2,
  /** Direct near call. */
  call: 3,
  /** Near jump or call to what an operand says. */
  jumpIndirect: 4,
  callIndirect: 5,
  return: 6,
  /** Tier 0 runs it. */
  leave: 7,
  /** A system call that goes elsewhere, and out of the region. */
  transfer: 8,
} as const;
export type Flow = (typeof FLOW)[keyof typeof FLOW];

export interface Instruction {
  /** Bytes from the region's base: the first byte of its seed is 0. */
  readonly at: number;
  readonly d: Decoded;
  readonly row: Row;
  readonly operands: readonly OperandSpec[];
  readonly flow: Flow;
  /** Where a direct transfer goes, as `at`. */
  readonly target: number;
}

export interface Block {
  /** Offset of the first instruction. */
  readonly at: number;
  readonly instructions: readonly Instruction[];
  /** Of the last instruction; `next` also when the block ends because another begins. */
  readonly flow: Flow;
  /** Block of the direct target, or -1: it is not in the region. */
  readonly taken: number;
  /** Block that follows in memory (for calls: the return site), or -1. */
  readonly next: number;
  /** Offset after the last instruction. */
  readonly end: number;
}

/** Offsets are from the address of the seed's first byte. */
export interface Region {
  readonly blocks: readonly Block[];
  /** Blocks that are reached from outside, the seed first. */
  readonly entries: readonly number[];
  /** By block: blocks that an indirect jump, an indirect call or a return at its end may go to, likely ones first. */
  readonly dynamicTargets: readonly (readonly number[])[];
  /** Linear-memory address of the TLB bank it uses: what privilege it runs with. */
  readonly tlbAt: number;
  readonly user: boolean;
  /** 64-bit code. */
  readonly long: boolean;
  /** Pages the code is on: offset of the page's first byte from the base, and guest-physical page number. */
  readonly pages: readonly RegionPage[];
  readonly instructionCount: number;
}

export interface RegionPage {
  readonly delta: number;
  readonly page: number;
  /** Byte ranges in the page that were decoded; `to` is exclusive. */
  readonly ranges: readonly { readonly from: number; readonly to: number }[];
}
