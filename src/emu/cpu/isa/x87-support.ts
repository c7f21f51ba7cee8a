/**
 * What all x87 instructions share: availability, pending exceptions, instruction and data pointers, kernel calls.
 * Source: SDM Vol. 1, 8.1.8, 8.6, 8.7; Vol. 3A, 2.5 (CR0.EM, MP, TS).
 * Not modelled: the ModRM bits that form an address, in the opcode register (they read as mod 0, rm 5).
 */
import { SEG, SEGMENT, STATE } from '../state/layout.ts';
import { type I32, type I64, i32, k32, recipe, type Val, type ValType, word } from '../wasm/expr.ts';
import { type Callee, call } from '../wasm/function.ts';
import { EXCEPTION, type Ops } from './ops.ts';

export const CR0 = { pe: 1, mp: 2, em: 4, ts: 8 } as const;
const ERROR_SUMMARY = 0x80;

/** Address of the state block: the first argument of kernels. */
export const stateAt = (e: Ops): I32 => e.addressOf(0);

/** Calls a kernel for its value. */
export const kernelValue = <R extends ValType>(e: Ops, result: R, name: string, ...args: Val[]): Val<R> => {
  const value = call<R>(e.kernel(name), stateAt(e), ...args);
  return e.f.let(recipe(result, value.code));
};
/** Calls a kernel without a result. */
export const kernelRun = (e: Ops, name: string, ...args: Val[]): void =>
  e.f.call(e.kernel(name) as Callee<'void'>, stateAt(e), ...args);

/** #NM when the unit is emulated or belongs to another task. */
export const checkAvailable = (e: Ops): void =>
  e.raiseIf(i32.and(e.get(STATE.cr0), k32(CR0.em | CR0.ts)), EXCEPTION.nm);

/** A pending unmasked exception is reported now: #MF, or FERR# and the wait for its interrupt. */
export const checkPending = (e: Ops): void =>
  e.f.if(i32.and(e.get(STATE.fpuStatus), k32(ERROR_SUMMARY)), () => e.f.drop(e.query('floatError')));

/** The start of every waiting instruction. */
export function begin(e: Ops): void {
  if (e.x87) {
    e.x87.begin();
    return;
  }
  checkAvailable(e);
  checkPending(e);
}

/** Records this instruction (11 bits: first byte's low three, then ModRM) and its memory operand, after the last fault. */
export function recordPointers(e: Ops, opcode: number, memory?: number): void {
  if (e.x87) {
    e.x87.record(opcode & 0x7ff, memory !== undefined);
    return;
  }
  e.set(STATE.fpuOpcode, k32(opcode & 0x7ff));
  if (e.long) {
    // Pointers of 64 bits and no selectors (SDM Vol. 1, 8.1.8); they lie where the image of FXSAVE64 has them.
    e.set64(STATE.fpuIp, e.eip() as I64);
    if (memory !== undefined) e.set64(STATE.fpuDp, e.offsetOf(memory) as I64);
    return;
  }
  e.set(STATE.fpuIp, word.low(e.eip()));
  e.set(STATE.fpuCs, e.get(STATE.segments + SEG.cs * SEGMENT.bytes + SEGMENT.selector));
  if (memory === undefined) return;
  e.set(STATE.fpuDp, word.low(e.offsetOf(memory)));
  e.set(STATE.fpuDs, e.segmentSelector());
}

/** The opcode register of a memory form. */
export const memoryOpcode = (first: number, extension: number): number => ((first & 7) << 8) | (extension << 3) | 5;
/** The opcode register of a register form, from both bytes. */
export const registerOpcode = (first: number, second: number): number => ((first & 7) << 8) | second;
export const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
