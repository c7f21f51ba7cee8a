/**
 * An error with a stable `code` and plain-data `details`.
 *
 * Only for what comes from outside: images, packets, configuration, host I/O.
 * A guest fault is a value, and a broken invariant is `unreachable()`.
 * Messages start lower-case without a full stop, so that causes chain into one sentence:
 * what happened, why, and what to do.
 */
export class CodedError<Code extends string = string> extends Error {
  override readonly name: string = 'CodedError';
  readonly code: Code;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(code: Code, message: string, details: Readonly<Record<string, string | number>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }
}

/** Mark a state our own invariants exclude; reaching it is a bug in this program. */
export function unreachable(why: string): never {
  throw new Error(`bug: ${why}`);
}
