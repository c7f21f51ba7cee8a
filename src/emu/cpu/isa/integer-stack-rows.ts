/**
 * PUSH, POP, PUSHA, POPA, ENTER, LEAVE. Source: SDM Vol. 2.
 * Not modelled: the 8086's PUSH SP; segment limits of ENTER after its first push.
 */
import { GPR } from '../state/layout.ts';
import { i32, k32, type Word, word } from '../wasm/expr.ts';
import { zeroExtend } from './flag-ops.ts';
import type { Ops } from './ops.ts';
import { type Row, row } from './row.ts';
import {
  pop,
  push,
  readStack,
  release,
  type StackWidth,
  setStackPointer,
  stackBits,
  stackLinear,
  stackOffset,
  stackPointer,
} from './stack-ops.ts';

const pushOperand = (e: Ops): void => push(e, stackBits(e), e.f.let(e.readWord(0)));

const popOperand = (e: Ops): void => {
  if (!e.isMemory(0)) {
    e.write(0, pop(e, stackBits(e)));
    return;
  }
  // The store may fault, so ESP moves last; `popAddress` makes its address that of after the POP.
  e.write(0, e.f.let(readStack(e, stackBits(e))));
  release(e, e.size / 8);
};

const ALL = [GPR.eax, GPR.ecx, GPR.edx, GPR.ebx, GPR.esp, GPR.ebp, GPR.esi, GPR.edi] as const;

/** Stores below the old stack pointer only, so a fault in the middle changes nothing that counts. */
const pushAll = (e: Ops): void => {
  const bits = stackBits(e);
  const top = stackPointer(e);
  ALL.forEach((n, i) => {
    const at = e.f.let(stackLinear(e, word.sub(top, (i + 1) * (bits / 8))));
    e.store(bits, at, e.register(bits, n));
  });
  setStackPointer(e, word.sub(top, 8 * (bits / 8)));
};

/** Upwards from EDI. The stored ESP is skipped. */
const popAll = (e: Ops): void => {
  const bits = stackBits(e);
  const values = ALL.toReversed().map((n, i) => ({ n, value: e.f.let(readStack(e, bits, i * (bits / 8))) }));
  for (const { n, value } of values) if (n !== GPR.esp) e.setRegister(bits, n, value);
  release(e, 8 * (bits / 8));
};

/** Copies level - 1 frame pointers, then adds its own; ends with the check that the new top can be written. */
const enter = (e: Ops): void => {
  const { f } = e;
  const bits = stackBits(e);
  const unit = bits / 8;
  const type = e.long ? 'i64' : 'i32';
  const bytes = word.toU(type, f.let(i32.and(e.read(0), k32(0xffff))));
  const level = f.let(i32.and(e.read(1), k32(31)));
  const top = f.local(type);
  const frame = f.local(type);
  f.set(top, word.sub(stackPointer(e), unit));
  e.store(bits, f.let(stackLinear(e, top.get)), e.register(bits, GPR.ebp), true);
  // On a 16-bit stack the frame pointer is SP within the old ESP.
  const cut = stackOffset(e, top.get);
  f.set(frame, e.stackSize === 16 ? word.or(word.and(stackPointer(e), ~0xffff), cut) : cut);
  f.if(level, () => {
    const left = f.local('i32');
    const link = f.local(type);
    f.set(left, i32.sub(level, k32(1)));
    f.set(link, e.register(e.long ? 64 : 32, GPR.ebp));
    f.block((done) => {
      f.loop((next) => {
        f.brIf(done, i32.eqz(left.get));
        f.set(link, word.sub(link.get, unit));
        f.set(top, word.sub(top.get, unit));
        const value = f.let(e.loadWord(bits, f.let(stackLinear(e, link.get)), true));
        e.store(bits, f.let(stackLinear(e, top.get)), value, true);
        f.set(left, i32.sub(left.get, k32(1)));
        f.br(next);
      });
    });
    f.set(top, word.sub(top.get, unit));
    e.store(bits, f.let(stackLinear(e, top.get)), ofWidth(bits, frame.get), true);
  });
  f.set(top, word.sub(top.get, bytes));
  e.probe(f.let(stackLinear(e, top.get)), k32(unit));
  setStackPointer(e, top.get);
  e.setRegister(bits, GPR.ebp, ofWidth(bits, frame.get));
};

/** A value of `bits` from an address: of the type that `store` and `setRegister` want. */
const ofWidth = (bits: StackWidth, v: Word): Word => (bits === 64 ? v : zeroExtend(bits, word.low(v)));

const leave = (e: Ops): void => {
  const bits = stackBits(e);
  const frame = e.register(e.long ? 64 : 32, GPR.ebp);
  const value = e.f.let(e.loadWord(bits, e.f.let(stackLinear(e, frame)), true));
  setStackPointer(e, word.add(frame, bits / 8));
  e.setRegister(bits, GPR.ebp, value);
};

export const integerStackRows: readonly Row[] = [
  row('50 +r', 'push', 'Zv', pushOperand, { stack: -1, hot: true, default64: true }),
  row('58 +r', 'pop', 'Zv', popOperand, { stack: 1, hot: true, default64: true }),
  row('60', 'pusha|pushad', '', pushAll, { stack: -8, not64: true }),
  row('61', 'popa|popad', '', popAll, { stack: 8, not64: true }),
  row('68', 'push', 'Iz', pushOperand, { stack: -1, hot: true, default64: true }),
  row('6A', 'push', 'Ibs', pushOperand, { stack: -1, hot: true, default64: true }),
  row('8F /0', 'pop', 'Ev', popOperand, { stack: 1, access: 'write', popAddress: true, default64: true }),
  row('C8', 'enter', 'Iw,Ib', enter, { stack: -1, default64: true }),
  row('C9', 'leave', '', leave, { stack: 'frame', hot: true, default64: true }),
  row('FF /6', 'push', 'Ev', pushOperand, { stack: -1, access: 'read', hot: true, default64: true }),
];
