/** XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B, PAUSE. Source: SDM Vol. 2. NOP is XCHG eAX,eAX. */
import { EFLAGS } from '../state/flags.ts';
import { GPR } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, select, type Word, word } from '../wasm/expr.ts';
import { arithmeticBits, setArithmeticBits, typeOf, zeroExtend } from './flag-ops.ts';
import { EXCEPTION, type Ops } from './ops.ts';
import { getAccumulator, getReg, setAccumulator } from './register-ops.ts';
import { type Row, row } from './row.ts';

/** Keeps what a `modify` found, for use after it. */
function modifyKeeping(e: Ops, n: number, change: (old: Word) => Word): Word {
  const kept = e.f.local(typeOf(e.size));
  e.modify(n, (old) => {
    e.f.set(kept, old);
    return change(kept.get);
  });
  return kept.get;
}

const exchange = (e: Ops): void => {
  const source = e.f.let(e.readWord(1));
  e.write(
    1,
    modifyKeeping(e, 0, () => source),
  );
};

/** With the same register twice the sum wins, so a register destination is written last. */
const exchangeAdd = (e: Ops): void => {
  const source = e.f.let(e.readWord(1));
  const sum = (old: Word): Word => {
    const result = e.f.let(word.add(old, source));
    e.setFlags({ kind: 'add', bits: e.size, a: old, b: source, result });
    return result;
  };
  if (e.isMemory(0)) {
    e.write(1, modifyKeeping(e, 0, sum));
    return;
  }
  const old = e.f.let(e.readWord(0));
  e.write(1, old);
  e.write(0, sum(old));
};

/** Flags as CMP accumulator, destination. The destination is written in any case. */
const compareExchange = (e: Ops): void => {
  const source = e.f.let(e.readWord(1));
  const accumulator = getAccumulator(e, e.size);
  const equal = e.f.local('i32');
  const old = modifyKeeping(e, 0, (found) => {
    const result = e.f.let(word.sub(accumulator, found));
    e.setFlags({ kind: 'sub', bits: e.size, a: accumulator, b: found, result });
    e.f.set(equal, word.eqz(zeroExtend(e.size, result)));
    return select(equal.get, source, found);
  });
  e.f.if(i32.eqz(equal.get), () => setAccumulator(e, e.size, old));
};

const setZero = (e: Ops, zero: I32): void =>
  setArithmeticBits(e, i32.or(i32.and(arithmeticBits(e), k32(~EFLAGS.zf)), i32.mul(zero, k32(EFLAGS.zf))));

/** Only ZF changes. */
const compareExchange8 = (e: Ops): void => {
  const { f } = e;
  const pair = (high: number, low: number): I64 =>
    f.let(i64.or(i64.shl(i64.extendU(getReg(e, 32, high)), i64.extendU(k32(32))), i64.extendU(getReg(e, 32, low))));
  const at = f.let(e.linear(0));
  e.probe(at, k32(8));
  const old = f.let(e.load64(at));
  const equal = f.let(i64.eq(old, pair(GPR.edx, GPR.eax)));
  e.store64(at, select(equal, pair(GPR.ecx, GPR.ebx), old));
  f.if(i32.eqz(equal), () => {
    e.setRegister(32, GPR.eax, i32.wrap(old));
    e.setRegister(32, GPR.edx, i32.wrap(i64.shrU(old, i64.extendU(k32(32)))));
  });
  setZero(e, equal);
};

/** The operand must be aligned. Only ZF changes. */
const compareExchange16 = (e: Ops): void => {
  const { f } = e;
  const wide = (n: number): I64 => e.register(64, n) as I64;
  const at = f.let(e.linear(0));
  e.raiseIf(word.nonzero(word.and(at, 15)), EXCEPTION.gp, k32(0));
  e.probe(at, k32(16));
  const low = f.let(e.load64(at));
  const high = f.let(e.load64(f.let(word.add(at, 8))));
  const equal = f.let(i32.and(i64.eq(low, wide(GPR.eax)), i64.eq(high, wide(GPR.edx))));
  e.store64(at, f.let(select(equal, wide(GPR.ebx), low)));
  e.store64(f.let(word.add(at, 8)), f.let(select(equal, wide(GPR.ecx), high)));
  f.if(i32.eqz(equal), () => {
    e.setRegister(64, GPR.eax, low);
    e.setRegister(64, GPR.edx, high);
  });
  setZero(e, equal);
};

export const integerExchangeRows: readonly Row[] = [
  row('86', 'xchg', 'Eb,Gb', exchange, { lock: true }),
  row('87', 'xchg', 'Ev,Gv', exchange, { lock: true }),
  row('90', 'nop', '', () => {}, { size: 32, hot: true }),
  row('90 +r', 'xchg', 'Zv,eAX', exchange, { hot: true, rexB: true }),
  row('F3 90', 'pause', '', () => {}),
  row('0F B0', 'cmpxchg', 'Eb,Gb', compareExchange, { lock: true }),
  row('0F B1', 'cmpxchg', 'Ev,Gv', compareExchange, { lock: true }),
  row('0F C0', 'xadd', 'Eb,Gb', exchangeAdd, { lock: true }),
  row('0F C1', 'xadd', 'Ev,Gv', exchangeAdd, { lock: true }),
  row(
    '0F C7 /1 m',
    'cmpxchg8b|cmpxchg8b|cmpxchg16b',
    'Myy',
    (e) => (e.size === 64 ? compareExchange16(e) : compareExchange8(e)),
    { lock: true, access: 'write' },
  ),
];
