/**
 * Finds the code of a region: what can be reached from a hot block through direct transfers, as far as it has been run.
 *
 * Positions are offsets from the seed's address, so that a region serves wherever its pages are mapped.
 */
import { DECODE, type Decoded } from '../decoder/decoded.ts';
import { type Decoder, newDecoded } from '../decoder/decoder.ts';
import type { OperandSpec } from '../decoder/operands.ts';
import { parseOperands } from '../decoder/operands.ts';
import type { Row } from '../isa/row.ts';
import { SEG } from '../state/layout.ts';
import type { EffectsTable } from './effects.ts';
import { type Block, FLOW, type Flow, type Instruction, type Region, type RegionPage } from './instruction.ts';

export interface CodeSource {
  /** The page of code at a linear address: guest-physical page number, and where it is in `bytes`. Sets no fault. */
  page(linear: number): { readonly page: number; readonly host: number } | undefined;
  readonly bytes: Uint8Array;
  /** How often the block at an offset in a page has been entered, about; 0 also when nothing is known of it. */
  entered(page: number, offset: number): number;
  /** Instructions of the region that can be entered at an offset in a page; 0 = there is none. */
  compiled(page: number, offset: number): number;
  /** Where the indirect jump or call at a linear address has gone lately, most frequent first. */
  targets(linear: number): readonly number[];
  /** With fewer entries a place is not worth compiling. */
  readonly least: number;
}

export interface Limits {
  readonly instructions: number;
  readonly pages: number;
}

const PAGE_BYTES = 4096;
/** Distance of an indirect target from the region's base. */
const FARTHEST_TARGET = 2 ** 30;
/**
 * Instructions up to which a function is worth having in the regions of all its callers: of its own, whatever region it is in.
 * With 64 page faults and forks take a sixth less than with 16 once they are warm, but all threads of a boot a tenth more.
 */
const SMALL_FUNCTION = 16;

/** A page of code: its distance from the region's base, guest-physical number, and where it is in `CodeSource.bytes`. */
interface CodePage {
  readonly delta: number;
  readonly page: number;
  readonly host: number;
}

export class Discovery {
  readonly #decoder: Decoder;
  readonly #effects: EffectsTable;
  readonly #source: CodeSource;
  readonly #limits: Limits;
  readonly #scratch: Decoded = newDecoded();

  constructor(parts: { decoder: Decoder; effects: EffectsTable; source: CodeSource; limits: Limits }) {
    this.#decoder = parts.decoder;
    this.#effects = parts.effects;
    this.#source = parts.source;
    this.#limits = parts.limits;
  }

  /**
   * @param linear address of the hot block (code segment base 0), as `Mmu` takes it
   * @returns undefined when its first instruction is not for tier 1
   */
  find(linear: number, tlbAt: number, user: boolean): Region | undefined {
    const { long } = this.#effects;
    const pages = new Map<number, CodePage>();
    const pageOf = (at: number): CodePage | undefined => {
      const address = long ? linear + at : (linear + at) >>> 0;
      const key = address - (address & 0xfff);
      const known = pages.get(key);
      if (known) return known;
      const found = this.#source.page(key);
      if (!found) return undefined;
      const page = { ...found, delta: (key - linear) | 0 };
      pages.set(key, page);
      return page;
    };
    const code = new Map<number, Instruction>();
    /** Those that have code of the region. Others are only looked at, and cost nothing. */
    const used = new Set<CodePage>();
    const leaders = new Set<number>([0]);
    const entries = new Set<number>([0]);
    const work: number[] = [0];
    /** By offset of an indirect jump or call: where it goes. */
    const indirect = new Map<number, readonly number[]>();
    const enteredAt = (at: number): number => {
      const page = pageOf(at);
      return page ? this.#source.entered(page.page, (linear + at) & 0xfff) : -1;
    };
    const decodeAt = (at: number): Instruction | undefined => {
      const page = pageOf(at);
      return (
        page &&
        decodeInstruction({
          ...{ decoder: this.#decoder, effects: this.#effects, scratch: this.#scratch, at },
          bytes: this.#source.bytes,
          from: page.host + ((linear + at) & 0xfff),
          end: page.host + PAGE_BYTES,
        })
      );
    };
    /** The page of code at an offset, unless it is one too many. */
    const roomAt = (at: number): CodePage | undefined => {
      const page = pageOf(at);
      return page && (used.has(page) || used.size < this.#limits.pages) ? page : undefined;
    };
    const small = new Map<number, boolean>();
    /** A function that has a region is called there, unless it is small. */
    const isWorthCopying = (at: number): boolean => {
      const page = leaders.has(at) ? undefined : pageOf(at);
      if (!page || this.#source.compiled(page.page, (linear + at) & 0xfff) <= SMALL_FUNCTION) return true;
      let known = small.get(at);
      if (known === undefined) {
        known = isSmall(at, decodeAt, (to) => enteredAt(to) >= this.#source.least);
        small.set(at, known);
      }
      return known;
    };
    const follow = (at: number): boolean => {
      if (leaders.has(at) || code.has(at)) {
        leaders.add(at);
        return true;
      }
      if (enteredAt(at) < this.#source.least || !roomAt(at)) return false;
      leaders.add(at);
      work.push(at);
      return true;
    };
    for (let first = work.shift(); first !== undefined; first = work.shift()) {
      // How often control comes here: what branches take away is missing behind them.
      let flow = enteredAt(first);
      for (let at: number = first; ; ) {
        if (code.has(at)) {
          leaders.add(at);
          break;
        }
        if (code.size >= this.#limits.instructions) break;
        const page = roomAt(at);
        const instruction = page && decodeAt(at);
        if (!page || !instruction || instruction.flow === FLOW.leave) break;
        code.set(at, instruction);
        used.add(page);
        const next: number = at + instruction.d.length;
        const { flow: kind, target } = instruction;
        if (kind === FLOW.jump || kind === FLOW.branch) follow(target);
        else if (kind === FLOW.call) {
          if (isWorthCopying(target) && follow(target)) entries.add(target);
        }
        if (kind === FLOW.jumpIndirect || kind === FLOW.callIndirect) {
          const known = this.#source
            .targets(linear + at)
            .map((to) => (long ? to - linear : (to - linear) | 0))
            .filter((to) => Math.abs(to) < FARTHEST_TARGET && isWorthCopying(to) && follow(to));
          for (const to of known) entries.add(to);
          indirect.set(at, known);
        }
        if (kind === FLOW.call || kind === FLOW.callIndirect) {
          if (follow(next)) entries.add(next);
        }
        if (kind !== FLOW.next && kind !== FLOW.branch) break;
        if (kind === FLOW.branch) {
          leaders.add(next);
          flow = Math.max(flow - Math.max(enteredAt(target), 0), enteredAt(next));
          if (flow < this.#source.least) break;
        }
        at = next;
      }
    }
    if (!code.has(0)) return undefined;
    return this.#assemble({ tlbAt, user, code, leaders, entryOffsets: entries, pages: [...used], indirect });
  }

  #assemble(parts: {
    tlbAt: number;
    user: boolean;
    code: ReadonlyMap<number, Instruction>;
    leaders: ReadonlySet<number>;
    entryOffsets: ReadonlySet<number>;
    pages: readonly { delta: number; page: number }[];
    indirect: ReadonlyMap<number, readonly number[]>;
  }): Region {
    const { tlbAt, user, code, leaders, entryOffsets, pages } = parts;
    const starts = [...leaders].filter((at) => code.has(at)).sort((a, b) => a - b);
    const numbers = new Map(starts.map((at, i) => [at, i]));
    const blocks: Block[] = starts.map((start) => {
      const instructions: Instruction[] = [];
      let at = start;
      let flow: Flow = FLOW.next;
      for (;;) {
        const i = code.get(at);
        if (i === undefined || (at !== start && leaders.has(at))) break;
        instructions.push(i);
        at += i.d.length;
        flow = i.flow;
        if (flow !== FLOW.next) break;
      }
      const { target } = instructions.at(-1) as Instruction;
      const direct = flow === FLOW.jump || flow === FLOW.branch || flow === FLOW.call;
      const goesOn = !ENDS.has(flow);
      return {
        at: start,
        instructions,
        flow,
        taken: direct ? (numbers.get(target) ?? -1) : -1,
        next: goesOn ? (numbers.get(at) ?? -1) : -1,
        end: at,
      };
    });
    const goesTo = blocks.map(({ instructions }) => {
      const known = parts.indirect.get((instructions.at(-1) as Instruction).at) ?? [];
      return known.flatMap((at) => numbers.get(at) ?? []);
    });
    const seed = numbers.get(0) as number;
    const entries = [seed];
    for (const at of entryOffsets) {
      const block = numbers.get(at);
      if (block !== undefined && block !== seed) entries.push(block);
    }
    const used = pages
      .map(({ delta, page }) => ({ delta, page, ranges: rangesOf(blocks, delta) }))
      .filter((p: RegionPage) => p.ranges.length > 0);
    return {
      blocks,
      entries,
      dynamicTargets: dynamicTargetsOf(blocks, goesTo),
      ...{ tlbAt, user, long: this.#effects.long },
      pages: used,
      instructionCount: blocks.reduce((n, b) => n + b.instructions.length, 0),
    };
  }
}

/** Has the function at an offset few instructions, without those of what it calls, and as far as it has been run? */
function isSmall(
  at: number,
  decodeAt: (at: number) => Instruction | undefined,
  hasRun: (at: number) => boolean,
): boolean {
  const seen = new Set<number>();
  const work = [at];
  for (let from = work.pop(); from !== undefined; from = work.pop()) {
    for (let next: number = from; !seen.has(next); ) {
      const instruction = decodeAt(next);
      if (!instruction) break;
      seen.add(next);
      if (seen.size > SMALL_FUNCTION) return false;
      next += instruction.d.length;
      const { flow, target } = instruction;
      if ((flow === FLOW.jump || flow === FLOW.branch) && hasRun(target)) work.push(target);
      if (flow === FLOW.leave || ENDS.has(flow)) break;
      if (flow !== FLOW.next && !hasRun(next)) break;
    }
  }
  return true;
}

/**
 * The instruction at `from` of `bytes`, which are good up to `end`; `at` is its offset from the region's base.
 * @returns undefined when there is none, or not all of it
 */
export function decodeInstruction(parts: {
  decoder: Decoder;
  effects: EffectsTable;
  /** Overwritten. */
  scratch: Decoded;
  bytes: Uint8Array;
  from: number;
  end: number;
  at: number;
}): Instruction | undefined {
  const { scratch: d, at } = parts;
  if (parts.decoder.decode(parts.bytes, parts.from, parts.end, parts.effects.long ? 64 : 32, d) !== DECODE.ok)
    return undefined;
  const row = d.row as Row;
  const specs = parseOperands(row);
  const target = (at + d.length + d.imm) | 0;
  const instruction = { at, d: { ...d }, row, operands: specs, flow: flowOf(row, d, specs), target };
  if (instruction.flow === FLOW.leave) return instruction;
  return parts.effects.of(instruction).unsupported ? { ...instruction, flow: FLOW.leave } : instruction;
}

/** Nothing follows. */
const ENDS: ReadonlySet<Flow> = new Set([FLOW.jump, FLOW.jumpIndirect, FLOW.return, FLOW.transfer]);
/** CLAC and STAC change what memory may be looked at, which is compiled in. */
const TRANSFERS: ReadonlySet<string> = new Set([
  ...['sysenter', 'sysexit', 'syscall', 'sysret', 'iret|iretd|iretq', 'int', 'clac', 'stac'],
]);
/** MOV to control and debug registers among them. */
const CHANGES: ReadonlySet<string> = new Set(['popf|popfd|popfq', 'mov', 'invlpg', 'invpcid', 'wrmsr']);

function flowOf(row: Row, d: Decoded, specs: readonly OperandSpec[]): Flow {
  const { ends } = row.options;
  // A segment other than the flat ones, where no ModRM operand tells where the check belongs.
  if (d.segment >= SEG.fs && !d.memory) return FLOW.leave;
  if (!ends) return FLOW.next;
  if (d.size === 16) return FLOW.leave;
  if (specs[0]?.kind === 'J') {
    if (row.mnemonic === 'jmp') return FLOW.jump;
    return row.mnemonic === 'call' ? FLOW.call : FLOW.branch;
  }
  if (row.mnemonic === 'ret') return FLOW.return;
  if (row.opcode === 'FF /2') return FLOW.callIndirect;
  if (row.opcode === 'FF /4') return FLOW.jumpIndirect;
  if (TRANSFERS.has(row.mnemonic)) return FLOW.transfer;
  // Whether what it changed matters to the region is looked at when it has run.
  if (CHANGES.has(row.mnemonic)) return FLOW.next;
  return FLOW.leave;
}

/** The bytes of blocks that lie on the page at `delta`, joined. */
function rangesOf(blocks: readonly Block[], delta: number): { from: number; to: number }[] {
  const ranges = blocks
    .map((b) => ({ from: Math.max(b.at - delta, 0), to: Math.min(b.end - delta, PAGE_BYTES) }))
    .filter((r) => r.from < r.to)
    .sort((a, b) => a.from - b.from);
  const joined: { from: number; to: number }[] = [];
  for (const r of ranges) {
    const last = joined.at(-1);
    if (last && r.from <= last.to) last.to = Math.max(last.to, r.to);
    else joined.push({ ...r });
  }
  return joined;
}

/**
 * Where indirect jumps and calls go, and returns: to the sites of the calls of the functions they belong to, which is what
 * can be reached without a call.
 * @param goesTo by block, known targets of an indirect jump or call at its end
 */
function dynamicTargetsOf(blocks: readonly Block[], goesTo: readonly (readonly number[])[]): number[][] {
  const targets: Set<number>[] = blocks.map((_, n) => new Set(goesTo[n]));
  const callers = new Map<number, number[]>();
  blocks.forEach((b, n) => {
    if (b.next < 0) return;
    const heads = b.flow === FLOW.call && b.taken >= 0 ? [b.taken] : b.flow === FLOW.callIndirect ? goesTo[n] : [];
    for (const head of heads) {
      const list = callers.get(head);
      if (list) list.push(b.next);
      else callers.set(head, [b.next]);
    }
  });
  for (const [head, sites] of callers) {
    const seen = new Set<number>([head]);
    const work = [head];
    for (let n = work.pop(); n !== undefined; n = work.pop()) {
      const b = blocks[n];
      if (b.flow === FLOW.return) for (const t of sites) targets[n].add(t);
      const jumps = b.flow === FLOW.jumpIndirect ? goesTo[n] : [];
      for (const to of [b.flow === FLOW.call ? -1 : b.taken, b.next, ...jumps]) {
        if (to < 0 || seen.has(to)) continue;
        seen.add(to);
        work.push(to);
      }
    }
  }
  return targets.map((s) => [...s]);
}
