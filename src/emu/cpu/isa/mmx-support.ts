/** Entering MMX state. Source: SDM Vol. 1, 9.5.1, 9.6; Vol. 3A, 12.1-12.3. */
import { STATE } from '../state/layout.ts';
import { i32, k32 } from '../wasm/expr.ts';
import { EXCEPTION, type Ops } from './ops.ts';
import { CR0, checkPending } from './x87-support.ts';

/** #UD when emulated, #NM when the registers belong to another task, then a pending x87 exception. */
export function checkMmx(e: Ops): void {
  const cr0 = e.f.let(e.get(STATE.cr0));
  e.f.if(i32.and(cr0, k32(CR0.em | CR0.ts)), () => {
    e.raiseIf(i32.and(cr0, k32(CR0.em)), EXCEPTION.ud);
    e.raise(EXCEPTION.nm);
  });
  checkPending(e);
}

/** TOP = 0 and every tag valid; after the last access that may fault. */
export function enterMmx(e: Ops): void {
  e.set(STATE.fpuTop, k32(0));
  e.set(STATE.fpuTags, k32(0xff));
}
