/**
 * Whole x87 instructions as kernels: stack faults, operand conversion, the operation, pops.
 * Source: SDM Vol. 1, 8.1.2, 8.5.1.1 (stack overflow and underflow); Vol. 2.
 */
import { STATE } from '../state/layout.ts';
import { type I32, i32, i64, k32, k64, select, type Val } from '../wasm/expr.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import {
  controlWord,
  isEmpty,
  isNormal,
  isSignalling,
  loadExtended,
  popStack,
  registerAt,
  setValid,
  storeExtended,
  storeIndefinite,
  unmasked,
} from './extended.ts';
import {
  CC,
  CONTROL,
  FLAG,
  INDEFINITE_SIGN_EXPONENT,
  INDEFINITE_SIGNIFICAND,
  type KernelSet,
  or32,
  SCRATCH,
} from './kernel-set.ts';
import { F32, F64, FORMATS, type Format } from './round.ts';
import { narrow, widen64 } from './sse-arith.ts';
import {
  emitFast,
  emitFastLoad,
  emitFastStore,
  emitPop,
  emitRegisters,
  emitWiden,
  type Operation,
} from './x87-fast.ts';
import { COMPARED_KEPT } from './x87-more.ts';

/** The `how` word of arithmetic kernels; bits 0-2 name a register. */
export const HOW = { register: 7, subtract: 8, reverse: 16, toRegister: 32, pop: 64 } as const;
/** The `how` word of comparisons; bits 2-3 count pops, bits 5-7 name a register. */
export const COMPARE_HOW = { quiet: 1, popShift: 2, eflags: 16, registerShift: 5 } as const;

const QUIET_BIT = 1n << 62n;
const OPERATIONS = ['Add', 'Multiply', 'Divide'] as const;

/** Operands in memory: name, type of the value the kernel takes. */
const MEMORY_OPERANDS = [
  ['F32', 'i32'],
  ['F64', 'i64'],
  ['Integer', 'i32'],
] as const;

/** Puts a memory operand into the scratch operand; returns MODE.denormal or 0. */
function widen(set: KernelSet, f: FunctionBuilder, kind: string, value: Val, state: I32): I32 {
  const at = i32.add(state, k32(SCRATCH.operand));
  if (kind === 'Integer') {
    const wide = value.type === 'i64' ? value : i64.extendS(value as I32);
    set.run(f, 'x87FromInteger', wide, at);
    return k32(0);
  }
  return f.let(set.value('i32', `x87From${kind}`, value, at));
}

/** x87Underflow(state, i): an empty register was used; ST(i) gets the indefinite. 1 when unmasked. */
function defineUnderflow(set: KernelSet): void {
  set.define('x87Underflow', ['i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const i = f.param(1, 'i32').get;
    set.run(f, 'x87Commit', state, k32(FLAG.ie | FLAG.sf));
    f.if(unmasked(state, k32(FLAG.ie)), () => f.return(k32(1)));
    storeIndefinite(f, registerAt(state, i));
    setValid(f, state, i);
    f.return(k32(0));
    f.unreachable();
  });
}

function defineArithmetic(set: KernelSet, operation: Operation): void {
  set.define(`x87${operation}Register`, ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const how = f.param(1, 'i32').get;
    const i = f.let(i32.and(how, k32(HOW.register)));
    const into = f.let(i32.and(how, k32(HOW.toRegister)));
    const reverse = f.let(i32.and(how, k32(HOW.reverse)));
    const registers = emitRegisters(f, state, i);
    f.if(registers.used, () => {
      emitFast(f, {
        state,
        operation,
        a: loadExtended(f, registers.st0),
        b: loadExtended(f, registers.sti),
        subtract: f.let(i32.and(i32.shrU(how, k32(3)), k32(1))),
        swap: f.let(i32.xor(i32.ne(into, k32(0)), i32.ne(reverse, k32(0)))),
        to: f.let(select(into, registers.sti, registers.st0)),
        done: () => {
          f.if(i32.and(how, k32(HOW.pop)), () => emitPop(f, state, registers.top));
          f.return();
        },
      });
    });
    f.if(
      i32.or(isEmpty(state, k32(0)), isEmpty(state, i)),
      () => f.if(set.value('i32', 'x87Underflow', state, select(into, i, k32(0))), () => f.return()),
      () => {
        const st0 = f.let(registerAt(state, k32(0)));
        const sti = f.let(registerAt(state, i));
        // The destination comes first unless reversed.
        const swap = f.let(i32.xor(i32.ne(into, k32(0)), i32.ne(reverse, k32(0))));
        const kept = set.value(
          'i32',
          `x87${operation}`,
          state,
          select(swap, sti, st0),
          select(swap, st0, sti),
          select(into, sti, st0),
          i32.and(i32.shrU(how, k32(3)), k32(1)),
        );
        f.if(kept, () => f.return());
      },
    );
    f.if(i32.and(how, k32(HOW.pop)), () => popStack(f, state, k32(1)));
  });
  for (const [kind, type] of MEMORY_OPERANDS) {
    set.define(`x87${operation}${kind}`, ['i32', type, 'i32'], 'void', (f) => {
      const state = f.param(0, 'i32').get;
      const how = f.param(2, 'i32').get;
      const format = FORMATS.find((x) => kind === `F${x.bits}`);
      if (format) {
        const registers = emitRegisters(f, state, k32(0));
        const value: Val = f.param(1, type).get;
        f.if(registers.used, () => {
          emitFast(f, {
            state,
            operation,
            a: loadExtended(f, registers.st0),
            b: emitWiden(f, format, f.let(widen64(value))),
            subtract: f.let(i32.and(i32.shrU(how, k32(3)), k32(1))),
            swap: f.let(i32.ne(i32.and(how, k32(HOW.reverse)), k32(0))),
            to: registers.st0,
            done: () => f.return(),
          });
        });
      }
      f.if(
        isEmpty(state, k32(0)),
        () => f.drop(set.value('i32', 'x87Underflow', state, k32(0))),
        () => {
          const denormal = widen(set, f, kind, f.param(1, type).get, state);
          const st0 = f.let(registerAt(state, k32(0)));
          const other = f.let(i32.add(state, k32(SCRATCH.operand)));
          const reverse = f.let(i32.and(how, k32(HOW.reverse)));
          const mode = i32.or(i32.and(i32.shrU(how, k32(3)), k32(1)), denormal);
          f.drop(
            set.value(
              'i32',
              `x87${operation}`,
              state,
              select(reverse, other, st0),
              select(reverse, st0, other),
              st0,
              mode,
            ),
          );
        },
      );
    });
  }
}

/** x87Overflow(state): 1 when a push has no room; the response is done. */
function defineOverflow(set: KernelSet): void {
  set.define('x87Overflow', ['i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    f.if(isEmpty(state, k32(7)), () => f.return(k32(0)));
    set.run(f, 'x87Commit', state, k32(FLAG.ie | FLAG.sf | FLAG.c1));
    f.if(i32.eqz(unmasked(state, k32(FLAG.ie))), () => {
      push(f, state);
      storeIndefinite(f, registerAt(state, k32(0)));
    });
    f.return(k32(1));
    f.unreachable();
  });
}

/** Moves TOP down and marks the new ST0 valid. */
function push(f: FunctionBuilder, state: I32): void {
  f.store32(state, i32.and(i32.add(i32.load(state, STATE.fpuTop), k32(7)), k32(7)), STATE.fpuTop);
  setValid(f, state, k32(0));
}

const clearC1 = (f: FunctionBuilder, state: I32): void =>
  f.store32(state, i32.and(i32.load(state, STATE.fpuStatus), k32(~CC.c1)), STATE.fpuStatus);

function defineLoads(set: KernelSet): void {
  /** x87LoadExtended(state, significand, sign-exponent): no exceptions but stack overflow. */
  set.define('x87LoadExtended', ['i32', 'i64', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    f.if(set.value('i32', 'x87Overflow', state), () => f.return());
    clearC1(f, state);
    push(f, state);
    storeExtended(f, registerAt(state, k32(0)), f.param(1, 'i64').get, f.param(2, 'i32').get);
  });
  set.define('x87LoadRegister', ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const i = f.param(1, 'i32').get;
    f.if(isEmpty(state, i), () => {
      // An empty source, and perhaps no room either: underflow is what is reported.
      set.run(f, 'x87Commit', state, k32(FLAG.ie | FLAG.sf));
      f.if(i32.eqz(unmasked(state, k32(FLAG.ie))), () => {
        push(f, state);
        storeIndefinite(f, registerAt(state, k32(0)));
      });
      f.return();
    });
    const from = f.let(registerAt(state, i));
    set.run(f, 'x87LoadExtended', state, i64.load(from), i32.load16U(from, 8));
  });
  set.define('x87LoadInteger', ['i32', 'i64'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const at = f.let(i32.add(state, k32(SCRATCH.operand)));
    set.run(f, 'x87FromInteger', f.param(1, 'i64').get, at);
    set.run(f, 'x87LoadExtended', state, i64.load(at), i32.load16U(at, 8));
  });
  set.define('x87LoadBcd', ['i32', 'i64', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const at = f.let(i32.add(state, k32(SCRATCH.operand)));
    set.run(f, 'x87FromBcd', f.param(1, 'i64').get, f.param(2, 'i32').get, at);
    set.run(f, 'x87LoadExtended', state, i64.load(at), i32.load16U(at, 8));
  });
  for (const format of FORMATS) {
    const kind = `F${format.bits}`;
    const { type } = format;
    set.define(`x87Load${kind}`, ['i32', type], 'void', (f) => {
      const state = f.param(0, 'i32').get;
      const raw: Val = f.param(1, type).get;
      emitFastLoad(f, state, format, f.let(widen64(raw)));
      f.if(set.value('i32', 'x87Overflow', state), () => f.return());
      const denormal = widen(set, f, kind, f.param(1, type).get, state);
      const at = f.let(i32.add(state, k32(SCRATCH.operand)));
      const v = loadExtended(f, at);
      const flags = f.let(i32.or(denormal, isSignalling(v)));
      f.if(
        flags,
        () => {
          set.run(f, 'x87Commit', state, flags);
          // An unmasked denormal exception is reported, but the value has been loaded.
          f.if(unmasked(state, i32.and(flags, k32(FLAG.ie))), () => f.return());
          push(f, state);
          const quiet = select(i32.and(flags, k32(FLAG.ie)), k64(QUIET_BIT), k64(0));
          storeExtended(f, registerAt(state, k32(0)), i64.or(v.sig, quiet), v.signExp);
        },
        () => {
          clearC1(f, state);
          push(f, state);
          storeExtended(f, registerAt(state, k32(0)), v.sig, v.signExp);
        },
      );
    });
  }
}

/** Flags after which a store to memory does not happen. */
export const BLOCKING: number = FLAG.ie | FLAG.de | FLAG.ze | FLAG.oe | FLAG.ue;

function defineStores(set: KernelSet): void {
  /** An empty ST0: flags and the given value. */
  const whenEmpty = (f: FunctionBuilder, state: I32, otherwise: () => void): void =>
    f.if(isEmpty(state, k32(0)), () => {
      f.store32(state, k32(FLAG.ie | FLAG.sf), SCRATCH.flags);
      otherwise();
    });
  const store = (format: Format, indefinite: Val): void => {
    const { type, bits } = format;
    set.define(`x87StoreF${bits}`, ['i32'], type, (f) => {
      const state = f.param(0, 'i32').get;
      emitFastStore(f, state, format, (v) => f.return(narrow(format, v)));
      whenEmpty(f, state, () => f.return(indefinite));
      f.return(set.value(type, `x87ToF${bits}`, state, registerAt(state, k32(0))));
      f.unreachable();
    });
  };
  store(F32, k32(0xffc00000));
  store(F64, k64(-(1n << 51n)));

  /** x87StoreInteger(state, bits, truncate) */
  set.define('x87StoreInteger', ['i32', 'i32', 'i32'], 'i64', (f) => {
    const state = f.param(0, 'i32').get;
    const bits = f.param(1, 'i32').get;
    const control = i32.or(controlWord(state), select(f.param(2, 'i32').get, k32(CONTROL.zero), k32(0)));
    whenEmpty(f, state, () => f.return(i64.shl(k64(-1), i64.extendU(i32.sub(bits, k32(1))))));
    f.return(set.value('i64', 'x87ToInteger', state, registerAt(state, k32(0)), bits, control));
    f.unreachable();
  });
  /** x87StoreBcd(state), x87StoreExtended(state): ten bytes at SCRATCH.result */
  set.define('x87StoreBcd', ['i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    whenEmpty(f, state, () => {
      f.store64(state, k64(0xc000000000000000n), SCRATCH.result);
      f.store16(state, k32(0xffff), SCRATCH.result + 8);
      f.return();
    });
    set.run(f, 'x87ToBcd', state, registerAt(state, k32(0)));
  });
  set.define('x87StoreExtended', ['i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    whenEmpty(f, state, () => {
      f.store64(state, k64(INDEFINITE_SIGNIFICAND), SCRATCH.result);
      f.store16(state, k32(INDEFINITE_SIGN_EXPONENT), SCRATCH.result + 8);
      f.return();
    });
    f.store32(state, k32(0), SCRATCH.flags);
    const v = loadExtended(f, registerAt(state, k32(0)));
    storeExtended(f, i32.add(state, k32(SCRATCH.result)), v.sig, v.signExp);
  });
  /** x87StoreCommit(state, pops): makes the scratch flags status, then pops unless the store was blocked. */
  set.define('x87StoreCommit', ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const flags = f.let(i32.load(state, SCRATCH.flags));
    const pops = f.param(1, 'i32').get;
    f.if(i32.and(i32.eqz(unmasked(state, flags)), i32.ltU(pops, k32(2))), () => {
      const status = i32.and(i32.load(state, STATE.fpuStatus), k32(~CC.c1));
      f.store32(state, i32.or(status, flags), STATE.fpuStatus);
      f.if(pops, () => emitPop(f, state, f.let(i32.load(state, STATE.fpuTop))));
      f.return();
    });
    f.if(unmasked(state, i32.and(flags, k32(BLOCKING))), () => {
      // Nothing was stored, so nothing was rounded.
      const rounding = unmasked(state, i32.and(flags, k32(FLAG.oe | FLAG.ue)));
      set.run(f, 'x87Commit', state, select(rounding, i32.and(flags, k32(~(FLAG.pe | FLAG.c1))), flags));
      f.return();
    });
    set.run(f, 'x87Commit', state, flags);
    popStack(f, state, pops);
  });
  /** x87StoreRegister(state, i, pops): FST ST(i). */
  set.define('x87StoreRegister', ['i32', 'i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const i = f.param(1, 'i32').get;
    f.if(
      isEmpty(state, k32(0)),
      () => f.if(set.value('i32', 'x87Underflow', state, i), () => f.return()),
      () => {
        const v = loadExtended(f, registerAt(state, k32(0)));
        storeExtended(f, registerAt(state, i), v.sig, v.signExp);
        setValid(f, state, i);
        clearC1(f, state);
      },
    );
    popStack(f, state, f.param(2, 'i32').get);
  });
  /** x87StoreQuietly(state, i): the undocumented FSTP at D9 D8, which moves an empty register without a stack fault. */
  set.define('x87StoreQuietly', ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const i = f.param(1, 'i32').get;
    clearC1(f, state);
    f.if(
      isEmpty(state, k32(0)),
      () => popStack(f, state, k32(1)),
      () => set.run(f, 'x87StoreRegister', state, i, k32(1)),
    );
  });
}

function defineComparisons(set: KernelSet): void {
  /** Common end: condition codes (unless EFLAGS take them), then the pops unless an unmasked exception forbids them. */
  const finish = (f: FunctionBuilder, state: I32, how: I32, result: I32): void => {
    f.if(i32.eqz(i32.and(how, k32(COMPARE_HOW.eflags))), () => {
      const status = i32.and(i32.load(state, STATE.fpuStatus), k32(~CC.c320));
      f.store32(state, i32.or(status, i32.and(result, k32(CC.c320))), STATE.fpuStatus);
    });
    f.if(i32.eqz(i32.and(result, k32(COMPARED_KEPT))), () =>
      popStack(f, state, i32.and(i32.shrU(how, k32(COMPARE_HOW.popShift)), k32(3))),
    );
    f.return(result);
  };
  const whenEmpty = (f: FunctionBuilder, state: I32, how: I32): void => {
    set.run(f, 'x87Commit', state, k32(FLAG.ie | FLAG.sf));
    finish(f, state, how, f.let(i32.or(k32(CC.c320), i32.ne(unmasked(state, k32(FLAG.ie)), k32(0)))));
  };
  set.define('x87CompareRegister', ['i32', 'i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const how = f.param(1, 'i32').get;
    const i = f.let(i32.and(i32.shrU(how, k32(COMPARE_HOW.registerShift)), k32(7)));
    f.if(i32.or(isEmpty(state, k32(0)), isEmpty(state, i)), () => whenEmpty(f, state, how));
    const mode = i32.and(how, k32(COMPARE_HOW.quiet));
    const result = f.let(set.value('i32', 'x87Compare', state, registerAt(state, k32(0)), registerAt(state, i), mode));
    finish(f, state, how, result);
    f.unreachable();
  });
  for (const [kind, type] of MEMORY_OPERANDS) {
    set.define(`x87Compare${kind}`, ['i32', type, 'i32'], 'i32', (f) => {
      const state = f.param(0, 'i32').get;
      const how = f.param(2, 'i32').get;
      f.if(isEmpty(state, k32(0)), () => whenEmpty(f, state, how));
      const denormal = widen(set, f, kind, f.param(1, type).get, state);
      const other = i32.add(state, k32(SCRATCH.operand));
      const result = f.let(set.value('i32', 'x87Compare', state, registerAt(state, k32(0)), other, denormal));
      finish(f, state, how, result);
      f.unreachable();
    });
  }
}

function defineUnary(set: KernelSet): void {
  const onTop = (name: string, needs: readonly number[], body: (f: FunctionBuilder, state: I32) => void): void => {
    set.define(name, ['i32'], 'void', (f) => {
      const state = f.param(0, 'i32').get;
      f.if(or32(...needs.map((i) => isEmpty(state, k32(i)))), () => {
        f.drop(set.value('i32', 'x87Underflow', state, k32(0)));
        f.return();
      });
      body(f, state);
    });
  };
  const st0 = (state: I32): I32 => registerAt(state, k32(0));
  const sign = (name: string, change: (signExp: I32) => I32): void =>
    onTop(name, [0], (f, state) => {
      const at = f.let(st0(state));
      f.store16(at, change(i32.load16U(at, 8)), 8);
      clearC1(f, state);
    });
  sign('x87Negate', (v) => i32.xor(v, k32(0x8000)));
  sign('x87Absolute', (v) => i32.and(v, k32(0x7fff)));
  onTop('x87SquareRootTop', [0], (f, state) => {
    f.drop(set.value('i32', 'x87SquareRoot', state, st0(state), st0(state)));
  });
  onTop('x87RoundTop', [0], (f, state) => {
    f.drop(set.value('i32', 'x87RoundInteger', state, st0(state), st0(state)));
  });
  onTop('x87ScaleTop', [0, 1], (f, state) => f.drop(set.value('i32', 'x87Scale', state)));
  for (const [name, nearest] of [
    ['x87RemainderTruncated', 0],
    ['x87RemainderNearest', 1],
  ] as const) {
    set.define(name, ['i32'], 'void', (f) => {
      const state = f.param(0, 'i32').get;
      f.store32(state, i32.and(i32.load(state, STATE.fpuStatus), k32(~CC.c2)), STATE.fpuStatus);
      f.if(
        i32.or(isEmpty(state, k32(0)), isEmpty(state, k32(1))),
        () => f.drop(set.value('i32', 'x87Underflow', state, k32(0))),
        () => f.drop(set.value('i32', 'x87Remainder', state, k32(nearest))),
      );
    });
  }

  /** FXTRACT: exponent replaces ST0, then the significand is pushed. */
  set.define('x87ExtractTop', ['i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const empty = f.let(isEmpty(state, k32(0)));
    f.if(i32.or(empty, i32.eqz(isEmpty(state, k32(7)))), () => {
      set.run(f, 'x87Commit', state, i32.or(k32(FLAG.ie | FLAG.sf), select(empty, k32(0), k32(FLAG.c1))));
      f.if(unmasked(state, k32(FLAG.ie)), () => f.return());
      storeIndefinite(f, st0(state));
      setValid(f, state, k32(0));
      push(f, state);
      storeIndefinite(f, st0(state));
      f.return();
    });
    const above = registerAt(state, k32(7));
    f.if(set.value('i32', 'x87Extract', state, st0(state), st0(state), above), () => f.return());
    push(f, state);
  });
  set.define('x87ExamineTop', ['i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const at = f.let(st0(state));
    const emptyCode = i32.or(k32(CC.c3 | CC.c0), i32.shl(i32.shrU(i32.load16U(at, 8), k32(15)), k32(9)));
    const code = f.local('i32');
    f.if(
      isEmpty(state, k32(0)),
      () => f.set(code, emptyCode),
      () => f.set(code, set.value('i32', 'x87Examine', at)),
    );
    const status = i32.and(i32.load(state, STATE.fpuStatus), k32(~(CC.c320 | CC.c1)));
    f.store32(state, i32.or(status, code.get), STATE.fpuStatus);
  });
  set.define('x87TestTop', ['i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    f.drop(set.value('i32', 'x87CompareInteger', state, k32(0), k32(0)));
  });
  set.define('x87Exchange', ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const i = f.param(1, 'i32').get;
    clearC1(f, state);
    f.if(i32.or(isEmpty(state, k32(0)), isEmpty(state, i)), () => {
      set.run(f, 'x87Commit', state, k32(FLAG.ie | FLAG.sf));
      f.if(unmasked(state, k32(FLAG.ie)), () => f.return());
      for (const n of [k32(0), i]) {
        f.if(isEmpty(state, n), () => {
          storeIndefinite(f, registerAt(state, n));
          setValid(f, state, n);
        });
      }
    });
    const a = loadExtended(f, st0(state));
    const b = loadExtended(f, registerAt(state, i));
    storeExtended(f, st0(state), b.sig, b.signExp);
    storeExtended(f, registerAt(state, i), a.sig, a.signExp);
  });
  /** x87ConditionalMove(state, i, condition) */
  set.define('x87ConditionalMove', ['i32', 'i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const i = f.param(1, 'i32').get;
    f.if(i32.or(isEmpty(state, k32(0)), isEmpty(state, i)), () => {
      f.drop(set.value('i32', 'x87Underflow', state, k32(0)));
      f.return();
    });
    clearC1(f, state);
    f.if(f.param(2, 'i32').get, () => {
      const v = loadExtended(f, registerAt(state, i));
      storeExtended(f, st0(state), v.sig, v.signExp);
    });
  });
}

/** x87TagWord(state): the full tag word; x87SetTagWord(state, word). */
function defineTags(set: KernelSet): void {
  set.define('x87TagWord', ['i32'], 'i32', (f) => {
    const state = f.param(0, 'i32').get;
    const n = f.local('i32');
    const word = f.local('i32');
    f.set(n, k32(8));
    f.set(word, k32(0));
    f.loop((again) => {
      f.set(n, i32.sub(n.get, k32(1)));
      const used = i32.and(i32.shrU(i32.load(state, STATE.fpuTags), n.get), k32(1));
      const v = loadExtended(f, i32.add(i32.add(state, k32(STATE.fpr)), i32.shl(n.get, k32(4))));
      const zero = i32.and(i32.eqz(v.exp), i64.eqz(v.sig));
      const tag = select(used, select(zero, k32(1), i32.shl(i32.eqz(isNormal(v)), k32(1))), k32(3));
      f.set(word, i32.or(i32.shl(word.get, k32(2)), tag));
      f.brIf(again, n.get);
    });
    f.return(word.get);
    f.unreachable();
  });
  set.define('x87SetTagWord', ['i32', 'i32'], 'void', (f) => {
    const state = f.param(0, 'i32').get;
    const word = f.param(1, 'i32').get;
    const n = f.local('i32');
    const used = f.local('i32');
    f.set(n, k32(8));
    f.set(used, k32(0));
    f.loop((again) => {
      f.set(n, i32.sub(n.get, k32(1)));
      const tag = i32.and(i32.shrU(word, i32.shl(n.get, k32(1))), k32(3));
      f.set(used, i32.or(i32.shl(used.get, k32(1)), i32.ne(tag, k32(3))));
      f.brIf(again, n.get);
    });
    f.store32(state, used.get, STATE.fpuTags);
  });
}

export function defineX87Stack(set: KernelSet): void {
  defineUnderflow(set);
  defineOverflow(set);
  for (const operation of OPERATIONS) defineArithmetic(set, operation);
  defineLoads(set);
  defineStores(set);
  defineComparisons(set);
  defineUnary(set);
  defineTags(set);
}
