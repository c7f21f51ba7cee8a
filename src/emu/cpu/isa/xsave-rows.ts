/**
 * XSAVE, XSAVEOPT, XRSTOR, XGETBV, XSETBV. Source: SDM Vol. 1, chapter 13; Vol. 2.
 * The area has the standard form; every component counts as in use.
 */
import { GPR, STATE, XMM_BYTES } from '../state/layout.ts';
import { type I32, i32, i64, k32, k64, v128, word } from '../wasm/expr.ts';
import { type Address, EXCEPTION, type Ops } from './ops.ts';
import { getReg } from './register-ops.ts';
import { type Row, type RowOptions, row } from './row.ts';
import {
  elementAt,
  FX,
  loadX87Image,
  loadXmmImage,
  MXCSR_MASK,
  resetX87,
  storeX87Image,
  storeXmmImage,
  times,
  xmmCount,
} from './x87-control-rows.ts';
import { CR0 } from './x87-support.ts';

const OSXSAVE = 1 << 18;
const COMPONENT = { x87: 1, sse: 2, avx: 4 } as const;
/** Offsets in an XSAVE area; the header has XSTATE_BV, XCOMP_BV, and zeros. */
const AREA = { states: 512, form: 520, reserved: 528, avx: 576, bytes: 832 } as const;
const ALIGNMENT = 63;

const enabled = (e: Ops): void => e.raiseIf(i32.eqz(i32.and(e.get(STATE.cr4), k32(OSXSAVE))), EXCEPTION.ud);

/** The area's address, after what may be wrong with it; the AVX component is not looked at. */
function areaOf(e: Ops, access: 'read' | 'write'): Address {
  enabled(e);
  e.raiseIf(i32.and(e.get(STATE.cr0), k32(CR0.ts)), EXCEPTION.nm);
  const at = e.f.let(e.linear(0));
  e.raiseIf(i32.and(word.low(at), k32(ALIGNMENT)), EXCEPTION.gp, k32(0));
  e.checkSegment(e.offsetOf(0), AREA.avx, access);
  return at;
}
const checkAvx = (e: Ops, access: 'read' | 'write'): void =>
  e.checkSegment(e.f.let(word.add(e.offsetOf(0), AREA.avx)), AREA.bytes - AREA.avx, access);
/** What is asked for and enabled. */
const requested = (e: Ops): I32 => e.f.let(i32.and(e.get(STATE.xcr0), getReg(e, 32, GPR.eax)));
const has = (components: I32, mask: number): I32 => i32.and(components, k32(mask));

const upperHalf = (e: Ops, n: I32): I32 => i32.add(e.addressOf(STATE.xmm), i32.mul(n, k32(XMM_BYTES)));

const save = (e: Ops): void => {
  const { f } = e;
  const at = areaOf(e, 'write');
  const components = requested(e);
  const states = f.let(word.add(at, AREA.states));
  const before = f.let(e.load64(states));
  e.probe(at, k32(AREA.avx));
  f.if(has(components, COMPONENT.avx), () => {
    checkAvx(e, 'write');
    e.probe(f.let(word.add(at, AREA.avx)), k32(AREA.bytes - AREA.avx));
  });
  f.if(has(components, COMPONENT.x87), () => storeX87Image(e, at));
  f.if(has(components, COMPONENT.sse | COMPONENT.avx), () => {
    e.store(32, word.add(at, FX.mxcsr), e.get(STATE.mxcsr));
    e.store(32, word.add(at, FX.mxcsrMask), k32(MXCSR_MASK));
  });
  f.if(has(components, COMPONENT.sse), () => storeXmmImage(e, at));
  f.if(has(components, COMPONENT.avx), () =>
    times(e, xmmCount(e), (n) => {
      const to = f.let(elementAt(at, AREA.avx, n.get, 16));
      e.store128(to, f.let(v128.load(f.let(upperHalf(e, n.get)), 16)));
    }),
  );
  const asked = f.let(i64.extendU(components));
  e.store64(states, i64.or(i64.and(before, i64.xor(asked, k64(-1n))), asked));
};

const restore = (e: Ops): void => {
  const { f } = e;
  const at = areaOf(e, 'read');
  const components = requested(e);
  // Every page is read before anything changes.
  f.drop(e.load(8, at));
  const present = f.let(e.load64(f.let(word.add(at, AREA.states))));
  const form = f.let(e.load64(f.let(word.add(at, AREA.form))));
  const reserved = f.let(e.load64(f.let(word.add(at, AREA.reserved))));
  const disabled = f.let(i64.and(present, i64.xor(i64.extendU(e.get(STATE.xcr0)), k64(-1n))));
  e.raiseIf(i64.ne(i64.or(disabled, i64.or(form, reserved)), k64(0)), EXCEPTION.gp, k32(0));
  const mxcsr = f.let(e.load(32, f.let(word.add(at, FX.mxcsr))));
  f.if(has(components, COMPONENT.avx), () => {
    checkAvx(e, 'read');
    f.drop(e.load(8, f.let(word.add(at, AREA.bytes - 1))));
  });
  const controls = has(components, COMPONENT.sse | COMPONENT.avx);
  f.if(controls, () => e.raiseIf(i32.and(mxcsr, k32(~MXCSR_MASK)), EXCEPTION.gp, k32(0)));
  f.if(controls, () => e.set(STATE.mxcsr, mxcsr));
  const given = f.let(i32.wrap(present));
  const each = (component: number, load: () => void, initialize: () => void): void =>
    f.if(has(components, component), () => f.if(has(given, component), load, initialize));
  each(
    COMPONENT.x87,
    () => loadX87Image(e, at),
    () => resetX87(e),
  );
  const zero = v128.splatI64(k64(0));
  each(
    COMPONENT.sse,
    () => loadXmmImage(e, at),
    () => times(e, xmmCount(e), (n) => f.store128(f.let(upperHalf(e, n.get)), zero)),
  );
  each(
    COMPONENT.avx,
    () =>
      times(e, xmmCount(e), (n) => {
        const value = e.load128(f.let(elementAt(at, AREA.avx, n.get, 16)));
        f.store128(f.let(upperHalf(e, n.get)), value, 16);
      }),
    () => times(e, xmmCount(e), (n) => f.store128(f.let(upperHalf(e, n.get)), zero, 16)),
  );
};

/** ECX = 0 is XCR0; there is no other. */
const getBits = (e: Ops): void => {
  enabled(e);
  e.raiseIf(getReg(e, 32, GPR.ecx), EXCEPTION.gp, k32(0));
  e.setRegister(32, GPR.eax, e.get(STATE.xcr0));
  e.setRegister(32, GPR.edx, k32(0));
};

const named = (name: string): string => `${name}|${name}|${name}64`;
const MASKED: RowOptions = { access: 'masked', rexW: true };
export const xsaveRows: readonly Row[] = [
  row('NP 0F AE /4 m', named('xsave'), 'Mn832', save, MASKED),
  row('NP 0F AE /6 m', named('xsaveopt'), 'Mn832', save, MASKED),
  row('NP 0F AE /5 m', named('xrstor'), 'Mn832', restore, MASKED),
  row('NP 0F 01 D0', 'xgetbv', '', getBits),
  row('NP 0F 01 D1', 'xsetbv', '', (e) => e.system('xsetbv'), { ends: true }),
];
