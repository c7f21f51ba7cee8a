/**
 * Where execution goes on: the block at EIP, by the jump cache or by translation, chained to the branch that led there.
 */
import type { EventHistory } from '../debug/event-history.ts';
import { EXCEPTION } from '../isa/ops.ts';
import type { JumpCaches } from '../mmu/jump-caches.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { MODE, SEG, STATE } from '../state/layout.ts';
import type { CodeCache } from './code-cache.ts';

export class BlockFinder {
  readonly #state: CpuState;
  readonly #code: CodeCache;
  readonly #history: EventHistory;
  readonly #jumps: JumpCaches;

  constructor(parts: { state: CpuState; code: CodeCache; history: EventHistory; jumps: JumpCaches }) {
    this.#state = parts.state;
    this.#code = parts.code;
    this.#history = parts.history;
    this.#jumps = parts.jumps;
  }

  /** CS base + EIP. */
  linearEip(): number {
    if (this.#state.long) return this.#state.address(STATE.eip);
    return (this.#state.base(SEG.cs) + this.#state.get(STATE.eip)) | 0;
  }

  /** Execution goes on elsewhere than where the branch led that wanted to be chained to its target. */
  leaveBranch(): void {
    this.#state.set(STATE.linkFrom, 0);
  }

  /** Is EIP inside the code segment? If not, #GP(0) is set. */
  withinLimit(): boolean {
    const state = this.#state;
    if (state.get(STATE.mode) & (MODE.flat | MODE.long)) return true;
    if (state.get(STATE.eip) >>> 0 <= state.limit(SEG.cs)) return true;
    state.set(STATE.faultVector, EXCEPTION.gp);
    state.set(STATE.faultErrorCode, 0);
    state.set(STATE.faultHasErrorCode, 1);
    state.set(STATE.faultIsSoftware, 0);
    return false;
  }

  /** The block at EIP if the jump cache has it, and nobody wants to be linked to it; else 0. */
  known(): number {
    const state = this.#state;
    if (state.get(STATE.linkFrom) !== 0) return 0;
    const header = this.#jumps.find(state.get(STATE.eip), state.get(STATE.eip + 4));
    return header === 0 || this.#code.isStale(header) ? 0 : header;
  }

  /** The block at EIP; remembers it for the next time. 0: a fault was set; -1: only alone. */
  find(): number {
    const state = this.#state;
    const eip = state.get(STATE.eip);
    if (!this.withinLimit()) {
      this.leaveBranch();
      return 0;
    }
    const from = state.get(STATE.block);
    const linear = this.linearEip();
    this.#history.addBranch(linear);
    const header = this.#code.find(linear);
    // Asked for afterwards: with all the blocks the branch may just have been forgotten.
    const linkFrom = state.get(STATE.linkFrom);
    this.leaveBranch();
    if (header <= 0) return header;
    this.#jumps.put(eip, state.get(STATE.eip + 4), header);
    if (linkFrom !== 0) this.#code.link(linkFrom, from, header, eip);
    return header;
  }
}
