/**
 * System calls in region code: registers and flags are in the state block meanwhile, and nothing that was known of memory
 * holds afterwards. When the call went elsewhere the region is left at once;
 * when it changed what the region was made for, or somebody waits, after the instruction.
 */
import { EXIT } from '../interpreter/exits.ts';
import { attentionMask } from '../interpreter/tier0-ops.ts';
import type { Ops } from '../isa/ops.ts';
import { STATE } from '../state/layout.ts';
import { STATUS, SYSTEM_CALLS, type SystemCall } from '../system/calls.ts';
import { type I32, type I64, i32, k32, type Word, word } from '../wasm/expr.ts';
import { call } from '../wasm/function.ts';
import { SITE } from './exit-sites.ts';
import type { Frame } from './frame.ts';
import { FLOW, type Instruction } from './instruction.ts';

/** Their handlers look at the record that runs, or the guest sleeps after them. */
export const LEFT_TO_TIER0: ReadonlySet<SystemCall> = new Set(['inString', 'outString', 'halt', 'floatError']);

interface SystemCallSite {
  readonly frame: Frame;
  readonly e: Ops;
  readonly name: SystemCall;
  readonly args: readonly Word[];
  readonly instruction: Instruction;
  /** Not 0: there is nothing left to do. */
  readonly done?: I32 | undefined;
}

export function callSystem({ frame, e, name, args, instruction, done }: SystemCallSite): void {
  const { recorder } = frame;
  if (recorder) {
    if (recorder.flagsWritten !== 2) recorder.flagsRead = true;
    recorder.flagsWritten = Math.max(recorder.flagsWritten, 1) as 1 | 2;
    recorder.leavesAfterFlags = true;
    frame.forgetAll();
    return;
  }
  const { f, callees } = frame;
  const { at } = instruction;
  const next = at + instruction.d.length;
  const zero = k32(0);
  const low = args.map((value, n): I32 => {
    const v = f.let(value);
    if (v.type === 'i64') f.store64(zero, v as I64, frame.stateAt + STATE.wideArgument + n * 8);
    return word.low(v);
  });
  frame.makeFlagWords(e);
  const before = [STATE.mode, frame.epochAt].map((field) => ({ field, value: f.let(frame.get(field)) }));

  const leave = (): void => {
    f.set(frame.exitKind, k32(EXIT.transferred ^ EXIT.near));
    frame.emitBudget(1);
    frame.leaveX87();
    f.br(frame.exit);
  };
  const goElsewhere = (status: I32): void => {
    f.if(i32.gtU(status, k32(STATUS.jumped)), () => frame.leaveRarely(SITE.fault, at));
    f.set(frame.exitEip, frame.eip(next));
    f.if(status, () => f.set(frame.exitEip, frame.getWide(STATE.eip)));
    leave();
  };
  const callIt = (): I32 => {
    frame.setWide(STATE.eip, frame.eip(at));
    frame.setWide(STATE.nextEip, frame.eip(next));
    frame.storeRegisters();
    const [a, b, c, d] = [...low, zero, zero, zero, zero];
    const status = f.let(call(callees.system, k32(SYSTEM_CALLS.indexOf(name)), a, b, c, d));
    frame.loadRegisters();
    frame.forgetAll();
    return status;
  };
  if (instruction.flow === FLOW.transfer) {
    goElsewhere(callIt());
    return;
  }
  const callAndGoOn = (): void => {
    const status = callIt();
    f.ifUnlikely(status, () => goElsewhere(status));
  };
  if (done === undefined) callAndGoOn();
  else f.if(i32.eqz(done), callAndGoOn);
  // What the call changed or let wait is looked at when the instruction is complete: it may still put an answer somewhere.
  frame.atEnd.push(() => {
    frame.makeFlagWords(e);
    let changed = i32.xor(frame.get(STATE.tlbBase), k32(frame.tlbAt));
    for (const { field, value } of before) changed = i32.or(changed, i32.xor(frame.get(field), value));
    const different = f.let(changed);
    f.ifUnlikely(i32.or(different, frame.get(STATE.attention)), () => {
      const wanted = i32.and(frame.get(STATE.attention), attentionMask(frame.get(STATE.eflags)));
      f.ifUnlikely(i32.or(different, wanted), () => {
        f.set(frame.exitEip, frame.eip(next));
        leave();
      });
    });
  });
}
