/** What an operand of a decoded instruction is. */
import type { Decoded } from '../decoder/decoded.ts';
import type { OperandSpec } from '../decoder/operands.ts';
import type { Width } from '../isa/ops.ts';
import { GPR } from '../state/layout.ts';

/** Number of the general register an operand names, or -1. */
export function generalOperand(d: Decoded, o: OperandSpec): number {
  switch (o.kind) {
    case 'G':
    case 'Z':
    case 'C':
    case 'D':
      return d.reg;
    case 'B':
      return d.vvvv;
    case 'E':
    case 'R':
      return d.rm;
    case 'fixed':
      if (o.fixed === 'AL' || o.fixed === 'AX' || o.fixed === 'eAX') return GPR.eax;
      return o.fixed === 'CL' ? GPR.ecx : o.fixed === 'DX' ? GPR.edx : -1;
    default:
      return -1;
  }
}

/** Bits of an operand; of vectors what `Ops.read` gives. @param size the operand size */
export function operandWidth(o: OperandSpec, size: Width): Width {
  if (o.kind === 'fixed') {
    if (o.fixed === 'AL' || o.fixed === 'CL') return 8;
    return o.fixed === 'AX' || o.fixed === 'DX' ? 16 : size;
  }
  switch (o.type) {
    case 'b':
      return 8;
    case 'w':
      return 16;
    case 'bs':
    case 'v':
    case 'z':
    case 'p':
      return size;
    case 'y':
      return size === 64 ? 64 : 32;
    case 'q':
      return 'EGZRB'.includes(o.kind) ? 64 : 32;
    default:
      return 32;
  }
}

/** What comes from memory to be part of an XMM register is loaded as a float. */
export function isFloat({ operands }: { operands: readonly OperandSpec[] }, n: number, bits: Width): boolean {
  const { kind, type } = operands[n];
  return (kind === 'W' && bits >= 32) || (kind === 'M' && type === 'q' && operands[0].kind === 'V');
}
