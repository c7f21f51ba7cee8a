/**
 * RDTSC and RDTSCP: the clock is read once in some thousand instructions, which kernels do several times a system call; in
 * between the counter advances by one an instruction. Reading the clock of the host costs as much as 100 instructions.
 *
 * Source: SDM Vol. 2, RDTSC, RDTSCP; Vol. 3A, 17.17. What is not usual is left to system/msr.ts.
 */
import { GPR, STATE } from '../state/layout.ts';
import { CR4 } from '../system/control-bits.ts';
import { i32, i64, k32, k64, select } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';

export const readTimeStamp =
  (name: 'rdtsc' | 'rdtscp') =>
  (e: Ops): void => {
    const { f } = e;
    const left = f.let(e.left());
    if (e.systemUnless === undefined) {
      e.set(STATE.tscBudget, left);
      e.system(name);
      return;
    }
    const passed = f.let(i32.sub(e.get(STATE.tscBudget), left));
    const allowed = i32.or(i32.eqz(e.get(STATE.cpl)), i32.eqz(i32.and(e.get(STATE.cr4), k32(CR4.tsd))));
    const done = f.let(i32.and(i32.ltU(passed, e.get(STATE.tscHolds)), allowed));
    f.if(
      done,
      () => {
        const told = f.let(e.get64(STATE.tscTold));
        const now = f.let(i64.add(e.get64(STATE.tscRead), i64.extendU(passed)));
        const answer = f.let(select(i64.gtS(i64.sub(now, told), k64(0)), now, told));
        e.set64(STATE.tscTold, answer);
        e.setRegister(32, GPR.eax, i32.wrap(answer));
        e.setRegister(32, GPR.edx, i32.wrap(i64.shrU(answer, k64(32))));
        if (name === 'rdtscp') e.setRegister(32, GPR.ecx, e.get(STATE.tscAux));
      },
      () => e.set(STATE.tscBudget, left),
    );
    e.systemUnless(done, name);
  };
