/** XCHG, XADD, CMPXCHG, CMPXCHG8B, PAUSE. Source: SDM Vol. 2. NOP is XCHG eAX,eAX. */
import { EFLAGS } from '../state/flags.ts';
import { GPR, STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, select } from '../wasm/expr.ts';
import { addCarries, arithmeticBits, setArithmeticBits, setCarryFlags, subBorrows, zeroExtend } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { getAccumulator, setAccumulator } from './register-ops.ts';
import { type Row, row } from './row.ts';

/** Keeps what a `modify` found, for use after it. */
function modifyKeeping(e: Ops, n: number, change: (old: I32) => I32): I32 {
  const kept = e.f.local('i32');
  e.modify(n, (old) => {
    e.f.set(kept, old);
    return change(kept.get);
  });
  return kept.get;
}

const exchange = (e: Ops): void => {
  const source = e.f.let(e.read(1));
  e.write(
    1,
    modifyKeeping(e, 0, () => source),
  );
};

/** With the same register twice the sum wins, so a register destination is written last. */
const exchangeAdd = (e: Ops): void => {
  const source = e.f.let(e.read(1));
  const sum = (old: I32): I32 => {
    const r = e.f.let(i32.add(old, source));
    setCarryFlags(e, e.size, r, addCarries(old, source, r));
    return r;
  };
  if (e.isMemory(0)) {
    e.write(1, modifyKeeping(e, 0, sum));
    return;
  }
  const old = e.f.let(e.read(0));
  e.write(1, old);
  e.write(0, sum(old));
};

/** Flags as CMP accumulator, destination. The destination is written in any case. */
const compareExchange = (e: Ops): void => {
  const source = e.f.let(e.read(1));
  const accumulator = getAccumulator(e, e.size);
  const equal = e.f.local('i32');
  const old = modifyKeeping(e, 0, (found) => {
    const difference = e.f.let(i32.sub(accumulator, found));
    setCarryFlags(e, e.size, difference, subBorrows(accumulator, found, difference));
    e.f.set(equal, i32.eqz(zeroExtend(e.size, difference)));
    return select(equal.get, source, found);
  });
  e.f.if(i32.eqz(equal.get), () => setAccumulator(e, e.size, old));
};

const EAX = STATE.gpr + GPR.eax * 8;
const ECX = STATE.gpr + GPR.ecx * 8;
const EDX = STATE.gpr + GPR.edx * 8;
const EBX = STATE.gpr + GPR.ebx * 8;

/** Only ZF changes. */
const compareExchange8 = (e: Ops): void => {
  const { f } = e;
  const pair = (high: number, low: number): I64 =>
    f.let(i64.or(i64.shl(i64.extendU(e.get(high)), k64(32)), i64.extendU(e.get(low))));
  const at = f.let(e.linear(0));
  e.probe(at, k32(8));
  const old = f.let(e.load64(at));
  const equal = f.let(i64.eq(old, pair(EDX, EAX)));
  e.store64(at, select(equal, pair(ECX, EBX), old));
  f.if(i32.eqz(equal), () => {
    e.set(EAX, i32.wrap(old));
    e.set(EDX, i32.wrap(i64.shrU(old, k64(32))));
  });
  setArithmeticBits(e, i32.or(i32.and(arithmeticBits(e), k32(~EFLAGS.zf)), i32.mul(equal, k32(EFLAGS.zf))));
};

export const integerExchangeRows: readonly Row[] = [
  row('86', 'xchg', 'Eb,Gb', exchange, { lock: true }),
  row('87', 'xchg', 'Ev,Gv', exchange, { lock: true }),
  row('90', 'nop', '', () => {}, { size: 32, hot: true }),
  row('90 +r', 'xchg', 'Zv,eAX', exchange, { hot: true }),
  row('F3 90', 'pause', '', () => {}),
  row('0F B0', 'cmpxchg', 'Eb,Gb', compareExchange, { lock: true }),
  row('0F B1', 'cmpxchg', 'Ev,Gv', compareExchange, { lock: true }),
  row('0F C0', 'xadd', 'Eb,Gb', exchangeAdd, { lock: true }),
  row('0F C1', 'xadd', 'Ev,Gv', exchangeAdd, { lock: true }),
  row('0F C7 /1 m', 'cmpxchg8b', 'Mq', compareExchange8, { lock: true, access: 'write' }),
];
