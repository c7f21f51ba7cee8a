/**
 * Rare ways out of a region: faults, polls, instructions that tier 0 must run. The code only says which way it was; EIP,
 * budget and flags are worked out here from what was known when it was generated.
 */
import type { FlagSource, Width } from '../isa/ops.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { AUX, lazyFlags } from '../state/flags.ts';
import { STATE } from '../state/layout.ts';

export const SITE = {
  /** STATE.faultVector was set; below 0 the instruction is run again, alone. */
  fault: 0,
  /** The instruction has done nothing: tier 0 runs it. */
  alone: 1,
  /** Somebody wants the thread, or the budget is used. */
  poll: 2,
} as const;
export type SiteKind = (typeof SITE)[keyof typeof SITE];

export interface Site {
  readonly why: SiteKind;
  /** Offset of the instruction that is next, from the region's base. */
  readonly at: number;
  /** Instructions executed that have not been taken from the budget. */
  readonly pending: number;
  /** What the flags in `flagX`, `flagY`, `flagR` are; those that a kind does not use are 0. */
  readonly kind: FlagSource['kind'] | 'dead';
  readonly bits: Width;
}

const KINDS = ['dead', 'words', 'logic', 'add', 'sub', 'inc', 'dec', 'bits'] as const;
const WORDS = 2;

/** Two words a site, as long as they are collected. */
export class ExitSites {
  readonly #words: number[] = [];

  get words(): Int32Array {
    return Int32Array.from(this.#words);
  }

  /** @returns its number */
  add(site: Site): number {
    const packed = site.why | (KINDS.indexOf(site.kind) << 2) | (site.bits << 5) | (site.pending << 12);
    const count = this.#words.length;
    if (count >= WORDS && this.#words[count - 2] === site.at && this.#words[count - 1] === (packed | 0))
      return count / WORDS - 1;
    this.#words.push(site.at, packed | 0);
    return count / WORDS;
  }
}

/** Brings STATE.eip, the budget and the lazy flags in order after EXIT.site. @param words of the region's `ExitSites` */
export function finishSite(words: Int32Array, state: CpuState): SiteKind {
  const n = state.get(STATE.exitSite) * WORDS;
  const packed = words[n + 1];
  if (state.long) state.setAddress(STATE.eip, state.address(STATE.exitBase) + words[n]);
  else state.set(STATE.eip, state.get(STATE.exitBase) + words[n]);
  state.set(STATE.budget, state.get(STATE.budget) - (packed >>> 12));
  finishFlags(state, KINDS[(packed >>> 2) & 7], (packed >>> 5) & 127);
  return (packed & 3) as SiteKind;
}

/**
 * STATE.exitFlagX and exitFlagY hold the operands of `add` and `sub`, whose result is not there yet; of other kinds
 * STATE.flagResult holds the result, and of `words` exitFlagY the carries.
 */
function finishFlags(state: CpuState, kind: (typeof KINDS)[number], bits: number): void {
  if (kind === 'bits') {
    const { result, aux } = lazyFlags(state.get(STATE.flagResult));
    state.set(STATE.flagResult, result);
    if (state.long) state.set(STATE.flagResult + 4, 0);
    state.set(STATE.flagAux, aux);
    return;
  }
  if (kind !== 'logic' && kind !== 'add' && kind !== 'sub') {
    state.set(STATE.flagAux, state.get(STATE.exitFlagY));
    return;
  }
  if (kind !== 'logic') setResult(state, kind, bits === 64);
  const low = carries(state, kind, 0);
  if (bits === 64) {
    const high = carries(state, kind, 4);
    state.set(STATE.flagAux, (high & (AUX.cf | AUX.partialOverflow)) | (low & AUX.af));
    return;
  }
  const shift = 32 - bits;
  const result = (state.get(STATE.flagResult) << shift) >> shift;
  state.set(STATE.flagResult, result);
  if (state.long) state.set(STATE.flagResult + 4, result >> 31);
  state.set(STATE.flagAux, ((low << shift) & (AUX.cf | AUX.partialOverflow)) | (low & AUX.af));
}

/** STATE.flagResult from the operands; without `wide` the low half alone. */
function setResult(state: CpuState, kind: 'add' | 'sub', wide: boolean): void {
  const x = state.get(STATE.exitFlagX);
  const y = state.get(STATE.exitFlagY);
  const result = (kind === 'add' ? x + y : x - y) | 0;
  state.set(STATE.flagResult, result);
  if (!wide) return;
  const high = state.get(STATE.exitFlagX + 4);
  const other = state.get(STATE.exitFlagY + 4);
  if (kind === 'add') state.set(STATE.flagResult + 4, (high + other + (result >>> 0 < x >>> 0 ? 1 : 0)) | 0);
  else state.set(STATE.flagResult + 4, (high - other - (x >>> 0 < y >>> 0 ? 1 : 0)) | 0);
}

/** Carries of the low or, at 4, the high half. */
function carries(state: CpuState, kind: 'logic' | 'add' | 'sub', at: 0 | 4): number {
  if (kind === 'logic') return 0;
  const result = state.get(STATE.flagResult + at);
  const a = state.get(STATE.exitFlagX + at);
  const b = state.get(STATE.exitFlagY + at);
  return kind === 'add' ? (a & b) | ((a | b) & ~result) : (~a & b) | (~(a ^ b) & result);
}
