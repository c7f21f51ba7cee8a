/** Why the interpreter's main function returned, and what its table functions return. */
export const EXIT = {
  /** Table functions only: go on with the next record. */
  next: 0,
  /** STATE.eip was set by a system call: look the next block up (numbers as STATUS in system/calls.ts). */
  jumped: 1,
  /** A fault of the instruction at STATE.record was set; with STATE.faultVector < 0 it is a restart. */
  fault: 2,
  /** Run the instruction at STATE.record again, alone. */
  restart: 3,
  /** A near jump to STATE.eip. From the main function: no block is known for it; STATE.linkFrom may want to know it. */
  near: 4,
  /** STATE.attention or the budget, before the block at STATE.blockEip. */
  poll: 5,
  /** A STOP record: STATE.eip was set. */
  stop: 6,
  /** From a region, by a rare way: STATE.exitSite tells what is still to be done (jit/exit-sites.ts). */
  site: 7,
  /** The block at STATE.eip, whose header is STATE.block, has become hot; it has not been entered. */
  hot: 8,
  /** Region STATE.region, to be entered at STATE.eip, cannot tell whether its pages are mapped as they were. */
  validate: 9,
  /** From a region, after a system call in it: STATE.eip was set, and the mode may be another. */
  transferred: 12,
} as const;
