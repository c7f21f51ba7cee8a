/**
 * PUSH, POP, PUSHA, POPA, ENTER, LEAVE. Source: SDM Vol. 2.
 * Not modelled: the 8086's PUSH SP; segment limits of ENTER after its first push.
 */
import { GPR } from '../state/layout.ts';
import { i32, k32 } from '../wasm/expr.ts';
import type { Ops } from './ops.ts';
import { getReg, setReg } from './register-ops.ts';
import { type Row, row } from './row.ts';
import {
  pop,
  push,
  readStack,
  release,
  setStackPointer,
  stackBits,
  stackLinear,
  stackOffset,
  stackPointer,
} from './stack-ops.ts';

const pushOperand = (e: Ops): void => push(e, stackBits(e), e.f.let(e.read(0)));

const popOperand = (e: Ops): void => {
  if (!e.isMemory(0)) {
    e.write(0, pop(e, stackBits(e)));
    return;
  }
  // The store may fault, so ESP moves last; `popAddress` makes its address that of after the POP.
  e.write(0, e.f.let(readStack(e, stackBits(e))));
  release(e, k32(e.size / 8));
};

const ALL = [GPR.eax, GPR.ecx, GPR.edx, GPR.ebx, GPR.esp, GPR.ebp, GPR.esi, GPR.edi] as const;

/** Stores below the old stack pointer only, so a fault in the middle changes nothing that counts. */
const pushAll = (e: Ops): void => {
  const bits = stackBits(e);
  const top = stackPointer(e);
  ALL.forEach((n, i) => {
    const at = e.f.let(stackLinear(e, i32.sub(top, k32((i + 1) * (bits / 8)))));
    e.store(bits, at, getReg(e, bits, n));
  });
  setStackPointer(e, i32.sub(top, k32(8 * (bits / 8))));
};

/** Upwards from EDI. The stored ESP is skipped. */
const popAll = (e: Ops): void => {
  const bits = stackBits(e);
  const values = ALL.toReversed().map((n, i) => ({ n, value: e.f.let(readStack(e, bits, i * (bits / 8))) }));
  for (const { n, value } of values) if (n !== GPR.esp) setReg(e, bits, n, value);
  release(e, k32(8 * (bits / 8)));
};

/** Copies level - 1 frame pointers, then adds its own; ends with the check that the new top can be written. */
const enter = (e: Ops): void => {
  const { f } = e;
  const bits = stackBits(e);
  const unit = k32(bits / 8);
  const bytes = f.let(i32.and(e.read(0), k32(0xffff)));
  const level = f.let(i32.and(e.read(1), k32(31)));
  const top = f.local('i32');
  const frame = f.local('i32');
  f.set(top, i32.sub(stackPointer(e), unit));
  e.store(bits, f.let(stackLinear(e, top.get)), getReg(e, bits, GPR.ebp));
  // On a 16-bit stack the frame pointer is SP within the old ESP.
  const cut = stackOffset(e, top.get);
  f.set(frame, e.stack32 ? cut : i32.or(i32.and(stackPointer(e), k32(~0xffff)), cut));
  f.if(level, () => {
    const left = f.local('i32');
    const link = f.local('i32');
    f.set(left, i32.sub(level, k32(1)));
    f.set(link, getReg(e, 32, GPR.ebp));
    f.block((done) => {
      f.loop((next) => {
        f.brIf(done, i32.eqz(left.get));
        f.set(link, i32.sub(link.get, unit));
        f.set(top, i32.sub(top.get, unit));
        const value = f.let(e.load(bits, f.let(stackLinear(e, link.get))));
        e.store(bits, f.let(stackLinear(e, top.get)), value);
        f.set(left, i32.sub(left.get, k32(1)));
        f.br(next);
      });
    });
    f.set(top, i32.sub(top.get, unit));
    e.store(bits, f.let(stackLinear(e, top.get)), frame.get);
  });
  f.set(top, i32.sub(top.get, bytes));
  e.probe(f.let(stackLinear(e, top.get)), unit);
  setStackPointer(e, top.get);
  setReg(e, bits, GPR.ebp, frame.get);
};

const leave = (e: Ops): void => {
  const bits = stackBits(e);
  const frame = getReg(e, 32, GPR.ebp);
  const value = e.f.let(e.load(bits, e.f.let(stackLinear(e, frame))));
  setStackPointer(e, i32.add(frame, k32(bits / 8)));
  setReg(e, bits, GPR.ebp, value);
};

export const integerStackRows: readonly Row[] = [
  row('50 +r', 'push', 'Zv', pushOperand, { stack: -1, hot: true }),
  row('58 +r', 'pop', 'Zv', popOperand, { stack: 1, hot: true }),
  row('60', 'pusha|pushad', '', pushAll, { stack: -8 }),
  row('61', 'popa|popad', '', popAll, { stack: 8 }),
  row('68', 'push', 'Iz', pushOperand, { stack: -1, hot: true }),
  row('6A', 'push', 'Ibs', pushOperand, { stack: -1, hot: true }),
  row('8F /0', 'pop', 'Ev', popOperand, { stack: 1, access: 'write', popAddress: true }),
  row('C8', 'enter', 'Iw,Ib', enter, { stack: -1 }),
  row('C9', 'leave', '', leave, { stack: 'frame', hot: true }),
  row('FF /6', 'push', 'Ev', pushOperand, { stack: -1, access: 'read', hot: true }),
];
