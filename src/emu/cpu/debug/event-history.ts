/** The last interrupts and exceptions, and the last ways between blocks of code: what a crash report tells of the past. */

/** `errorCode`: -1 where there is none. Addresses are linear. */
export interface PastEvent {
  readonly vector: number;
  readonly errorCode: number;
  /** EIP that was saved. */
  readonly eip: number;
  readonly cr2: number;
}

const EVENTS = 16;
const BRANCHES = 32;
const FIELDS = 4;

/** Rings in typed arrays: adding costs a few stores and allocates nothing. */
export class EventHistory {
  readonly #events = new Float64Array(EVENTS * FIELDS);
  readonly #branches = new Float64Array(BRANCHES);
  #eventCount = 0;
  #branchCount = 0;

  addEvent(vector: number, errorCode: number, eip: number, cr2: number): void {
    const at = (this.#eventCount++ % EVENTS) * FIELDS;
    this.#events[at] = vector;
    this.#events[at + 1] = errorCode;
    this.#events[at + 2] = eip;
    this.#events[at + 3] = cr2;
  }

  /** A block was looked up: the ways that generated code knows already are not among them. */
  addBranch(target: number): void {
    this.#branches[this.#branchCount++ % BRANCHES] = target;
  }

  /** Oldest first. */
  events(): PastEvent[] {
    const count = Math.min(this.#eventCount, EVENTS);
    return Array.from({ length: count }, (_, i) => {
      const at = ((this.#eventCount - count + i) % EVENTS) * FIELDS;
      const [vector, errorCode, eip, cr2] = this.#events.subarray(at, at + FIELDS);
      return { vector, errorCode, eip, cr2 };
    });
  }

  /** Oldest first. */
  branches(): number[] {
    const count = Math.min(this.#branchCount, BRANCHES);
    return Array.from({ length: count }, (_, i) => this.#branches[(this.#branchCount - count + i) % BRANCHES]);
  }

  clear(): void {
    this.#eventCount = 0;
    this.#branchCount = 0;
  }
}
