/**
 * XCR0 and CPUID leaf 0Dh: the state that XSAVE manages, which is x87, SSE and, where AVX is announced, the upper halves of
 * the YMM registers. Source: SDM Vol. 1, 13.1 to 13.4; Vol. 2, XSETBV.
 */
import { EXCEPTION } from '../isa/ops.ts';
import { GPR, STATE } from '../state/layout.ts';
import { STATUS, type Status } from './calls.ts';
import type { SystemContext } from './context.ts';
import { CR4 } from './control-bits.ts';
import type { CpuFeatures, CpuidResult } from './cpu-features.ts';

export const XCR0 = { x87: 1, sse: 2, avx: 4 } as const;

/** Where the upper halves lie in an XSAVE area of the standard form, and their bytes. */
const AVX_OFFSET = 576;
const AVX_BYTES = 256;

/** What leaf 0Dh announces and XSETBV takes; a machine's owner may hide some of it. */
function known(features: CpuFeatures): number {
  const all = XCR0.x87 | XCR0.sse | (features.has('avx') ? XCR0.avx : 0);
  const override = features.override(0xd, 0);
  return override ? all & override[0] : all;
}
const areaBytes = (xcr0: number): number => AVX_OFFSET + (xcr0 & XCR0.avx ? AVX_BYTES : 0);

/** XCR0 = EDX:EAX. #UD without CR4.OSXSAVE, #GP(0) for programs, for another ECX and for values that cannot be. */
export function setXcr0(c: SystemContext): Status {
  const { state } = c;
  const fault = (vector: number): Status => {
    if (vector === EXCEPTION.ud) c.faultPlain(vector);
    else c.fault(vector, 0);
    return STATUS.fault;
  };
  if ((state.get(STATE.cr4) & CR4.osxsave) === 0) return fault(EXCEPTION.ud);
  const value = state.gpr(GPR.eax);
  const wrong = (value & ~known(c.features)) !== 0 || state.gpr(GPR.edx) !== 0 || (value & XCR0.x87) === 0;
  const split = (value & XCR0.avx) !== 0 && (value & XCR0.sse) === 0;
  if (state.get(STATE.cpl) !== 0 || state.gpr(GPR.ecx) !== 0 || wrong || split) return fault(EXCEPTION.gp);
  state.set(STATE.xcr0, value);
  return STATUS.next;
}

/** Leaf 0Dh. @param xcr0 as it is now */
export function extendedStateLeaf(features: CpuFeatures, subleaf: number, xcr0: number): CpuidResult {
  if (!features.has('xsave')) return [0, 0, 0, 0];
  const all = known(features);
  if (subleaf === 0) return [all, areaBytes(xcr0), areaBytes(all), 0];
  if (subleaf === 1) return [features.word(0xd, 1, 'eax'), 0, 0, 0];
  if (subleaf === 2 && all & XCR0.avx) return [AVX_BYTES, AVX_OFFSET, 0, 0];
  return [0, 0, 0, 0];
}
