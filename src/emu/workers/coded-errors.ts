import * as Comlink from 'comlink';
import { CodedError } from '#base/errors.ts';

/** What Comlink's own handler for exceptions is given and gives back. */
interface Thrown {
  readonly value: unknown;
}

interface CodedWire {
  readonly codedError: {
    readonly code: string;
    readonly message: string;
    readonly details: Readonly<Record<string, string | number>>;
  };
}

let carried = false;

/**
 * Comlink passes on the name, message and stack of an exception and drops everything else. With this, `code` and
 * `details` of a `CodedError` arrive too. Every thread calls it once before its first `expose` or `wrap`; calling it
 * again does nothing.
 */
export function carryCodedErrors(): void {
  if (carried) return;
  carried = true;
  const plain = Comlink.transferHandlers.get('throw');
  if (!plain) return;
  Comlink.transferHandlers.set('throw', {
    canHandle: (value: unknown): value is unknown => plain.canHandle(value),
    serialize(thrown: unknown): [unknown, Transferable[]] {
      const { value } = thrown as Thrown;
      if (!(value instanceof CodedError)) return plain.serialize(thrown);
      const wire: CodedWire = { codedError: { code: value.code, message: value.message, details: value.details } };
      return [wire, []];
    },
    deserialize(wire: unknown): unknown {
      if (!isCodedWire(wire)) return plain.deserialize(wire);
      const { code, message, details } = wire.codedError;
      throw new CodedError(code, message, details);
    },
  });
}

function isCodedWire(wire: unknown): wire is CodedWire {
  return typeof wire === 'object' && wire !== null && 'codedError' in wire;
}
