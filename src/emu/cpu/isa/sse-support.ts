/**
 * What all SSE instructions share: availability, alignment, the way a numeric exception is reported.
 * Semantics may run for a VEX-encoded instruction (`Ops.vex`), where other rules hold.
 * Source: SDM Vol. 3A, 13.1 (CR0.EM, CR0.TS, CR4.OSFXSR, CR4.OSXMMEXCPT); Vol. 1, 11.5; Vol. 2, 2.4 (exception types).
 */
import { SCRATCH } from '../float/kernel-set.ts';
import { EFLAGS } from '../state/flags.ts';
import { STATE } from '../state/layout.ts';
import { type I32, i32, k32, type V128, word } from '../wasm/expr.ts';
import { type Address, EXCEPTION, type Ops } from './ops.ts';
import { CR0, kernelValue } from './x87-support.ts';

const CR4 = { osfxsr: 1 << 9, osxmmexcpt: 1 << 10, osxsave: 1 << 18 } as const;
/** XCR0 bits of SSE and AVX state. */
const XCR0_AVX = 6;

/** MXCSR bits 5-15: PE is set, everything is masked, rounding is to nearest, denormals are kept. */
const PLAIN_MASK = 0xffe0;
const PLAIN_VALUE = 0x1fa0;

/** #UD without OS support or when emulated, #NM when the registers belong to another task. */
export function begin(e: Ops): void {
  if (e.vex) {
    if (e.vex.half === 0) beginVex(e);
    return;
  }
  if (e.available) {
    e.available('sse');
    return;
  }
  const cr0 = e.f.let(e.get(STATE.cr0));
  const supported = e.f.let(i32.and(e.get(STATE.cr4), k32(CR4.osfxsr)));
  const fine = i32.and(i32.eqz(i32.and(cr0, k32(CR0.em | CR0.ts))), i32.ne(supported, k32(0)));
  e.f.if(i32.eqz(fine), () => {
    e.raiseIf(i32.or(i32.and(cr0, k32(CR0.em)), i32.eqz(supported)), EXCEPTION.ud);
    e.raise(EXCEPTION.nm);
  });
}

/** #UD in real and virtual-8086 mode, and unless the OS has enabled AVX state; #NM as for SSE. */
export function beginVex(e: Ops): void {
  if (e.available) {
    e.available('avx');
    return;
  }
  const cr0 = e.f.let(e.get(STATE.cr0));
  protectedMode(e, cr0);
  const enabled = i32.eq(i32.and(e.get(STATE.xcr0), k32(XCR0_AVX)), k32(XCR0_AVX));
  const allowed = i32.and(i32.ne(i32.and(e.get(STATE.cr4), k32(CR4.osxsave)), k32(0)), enabled);
  e.raiseIf(i32.eqz(allowed), EXCEPTION.ud);
  e.raiseIf(i32.and(cr0, k32(CR0.ts)), EXCEPTION.nm);
}
/** The start of VEX-encoded instructions on general registers. */
export function protectedMode(e: Ops, cr0: I32 = e.get(STATE.cr0)): void {
  const virtual = i32.and(e.get(STATE.eflags), k32(EFLAGS.vm));
  e.raiseIf(i32.or(i32.eqz(i32.and(cr0, k32(CR0.pe))), virtual), EXCEPTION.ud);
}

/** Address of 16-byte memory operand `n`, which must be aligned. */
export function alignedAddress(e: Ops, n: number): Address {
  const at = e.f.let(e.linear(n));
  if (e.vex && (!e.vex.aligned || e.vex.half === 1)) return at;
  e.raiseIf(i32.and(word.low(at), k32(e.vex?.wide ? 31 : 15)), EXCEPTION.gp, k32(0));
  return at;
}

/** All 16 bytes of a source operand, aligned when it is memory. */
export const source = (e: Ops, n: number): V128 =>
  e.isMemory(n) ? e.f.let(e.load128(alignedAddress(e, n))) : e.f.let(e.read128(n));

/** 0 or 1: WebAssembly's arithmetic on ordinary numbers changes nothing in MXCSR and rounds the same. */
export const isPlain = (e: Ops): I32 => isPlainWord(e.get(STATE.mxcsr));
/** The same of an MXCSR. */
export const isPlainWord = (mxcsr: I32): I32 => i32.eq(i32.and(mxcsr, k32(PLAIN_MASK)), k32(PLAIN_VALUE));

/** The control word for element kernels; clears the gathered flags. */
export const softBegin = (e: Ops): I32 => kernelValue(e, 'i32', e.vex?.wide ? 'sseControl' : 'sseBegin');

/** Commits the gathered flags; an unmasked one is #XM, or #UD when the OS does not expect that. */
export function softFinish(e: Ops): void {
  if (!e.vex?.wide) commitFlags(e);
}
/** Runs element kernels of several lanes as of one instruction: their flags are reported together. */
export function together(e: Ops, body: () => void): void {
  e.set(SCRATCH.flags, k32(0));
  body();
  e.f.if(e.get(SCRATCH.flags), () => commitFlags(e));
}
function commitFlags(e: Ops): void {
  e.f.if(kernelValue(e, 'i32', 'sseFinish'), () => {
    e.raiseIf(i32.and(e.get(STATE.cr4), k32(CR4.osxmmexcpt)), EXCEPTION.xm);
    e.raise(EXCEPTION.ud);
  });
}
