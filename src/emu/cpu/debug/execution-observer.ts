/** What the CPU asks of somebody outside the guest who looks at what it executes: a debugger, a tracer. */

import type { DataWatch } from '../mmu/data-breakpoints.ts';

/** `go`: run on; `alone`: come back after this one instruction; `stop`: do not execute it, `run` returns 'debug'. */
export type Look = 'go' | 'alone' | 'stop';

/** Addresses are linear: signed 32-bit numbers, in 64-bit mode canonical ones. */
export interface ExecutionObserver {
  /**
   * By the low 12 bits of an address: 1 where `before` must be asked however fast the code runs. Blocks end there,
   * wherever the page is mapped; what is not a breakpoint but shares the bits is only slower.
   */
  readonly stops: Uint8Array;
  /** Data whose accesses it wants to see. */
  readonly dataWatch: DataWatch | undefined;
  /** A stop is wanted before whatever comes next, a sleeping CPU's interrupt included. */
  readonly due: boolean;
  /** Interrupts wait: a person who steps does not want to land in a handler. */
  readonly holdsInterrupts: boolean;
  /** Asked at every entry to a block, and before each instruction after the answer `alone`. */
  before(linear: number): Look;
  /** An interrupt or exception has been delivered; EIP is its handler's. */
  onEvent?(): void;
}
