/**
 * MOVS, STOS, LODS, SCAS, CMPS, and their repetition. Source: SDM Vol. 2, the instructions' pages and REP; Vol. 1, 7.3.9.
 *
 * Registers move on after every iteration, so a fault in the middle shows the state the manual wants. CMPS and SCAS set
 * flags when the instruction stops: a fault leaves those from before it. Repeated MOVS and STOS that count up do as much
 * of a page at once as they can.
 *
 * Not modelled: segment limits of single iterations.
 */
import { EFLAGS } from '../state/flags.ts';
import { GPR, SEG, SEGMENT, STATE } from '../state/layout.ts';
import { type I32, type I64, type IntType, i32, k32, k64, select, type Word, word } from '../wasm/expr.ts';
import type { Var } from '../wasm/function.ts';
import { typeOf } from './flag-ops.ts';
import type { Address, AddressWidth, Ops, Width } from './ops.ts';
import { getAccumulator, setAccumulator } from './register-ops.ts';
import { type Row, row } from './row.ts';

/** What one run of a string instruction works with. All values are evaluated once, at its start. */
interface StringRun {
  readonly e: Ops;
  readonly bits: Width;
  /** Bytes an element has. */
  readonly bytes: number;
  /** Width of the registers that address and count. */
  readonly width: AddressWidth;
  /** `bytes`, negative when DF is set. */
  readonly step: I32;
  readonly sourceBase: Address;
  readonly destinationBase: Address;
}

const has = (what: string, letter: string): boolean => what.includes(letter);

const ES_BASE = STATE.segments + SEG.es * SEGMENT.bytes + SEGMENT.base;

/** @param uses `s`: DS:rSI is read; `d`: ES:rDI is used */
function start(e: Ops, wide: boolean, uses: string): StringRun {
  const bits: Width = wide ? e.size : 8;
  const zero = word.constant(e.long ? 'i64' : 'i32', 0);
  const bytes = bits / 8;
  const down = i32.and(e.get(STATE.eflags), k32(EFLAGS.df));
  return {
    e,
    bits,
    bytes,
    width: e.addressSize,
    step: e.f.let(select(down, k32(-bytes), k32(bytes))),
    sourceBase: has(uses, 's') ? e.f.let(e.segmentBase()) : zero,
    destinationBase: has(uses, 'd') && !e.long ? e.f.let(e.get(ES_BASE)) : zero,
  };
}

const countType = (r: StringRun): IntType => typeOf(r.width);
/** A register that addresses, as an address. */
const pointer = (r: StringRun, register: number): Address =>
  word.toU(r.sourceBase.type, r.e.register(r.width, register));
const source = (r: StringRun): Address => r.e.f.let(word.add(r.sourceBase, pointer(r, GPR.esi)));
const destination = (r: StringRun): Address => r.e.f.let(word.add(r.destinationBase, pointer(r, GPR.edi)));
const move = (r: StringRun, register: number, by: I32): void =>
  r.e.setRegister(r.width, register, word.add(r.e.register(r.width, register), word.toS(countType(r), by)));

/** One element, registers included. */
type Iteration = (r: StringRun) => void;

const moveElement: Iteration = (r) => {
  const value = r.e.f.let(r.e.loadWord(r.bits, source(r)));
  r.e.store(r.bits, destination(r), value);
  move(r, GPR.esi, r.step);
  move(r, GPR.edi, r.step);
};
const storeElement: Iteration = (r) => {
  r.e.store(r.bits, destination(r), getAccumulator(r.e, r.bits));
  move(r, GPR.edi, r.step);
};
const loadElement: Iteration = (r) => {
  setAccumulator(r.e, r.bits, r.e.f.let(r.e.loadWord(r.bits, source(r))));
  move(r, GPR.esi, r.step);
};

/** Several elements at once: sets `chunk` to how many it did, or leaves it 0. Registers but the count are moved. */
type Bulk = (r: StringRun, most: I32, chunk: Var<'i32'>) => void;

const PAGE = 4096;
const least = (r: StringRun, a: I32, b: I32): I32 => {
  const x = r.e.f.let(a);
  const y = r.e.f.let(b);
  return r.e.f.let(select(i32.ltU(x, y), x, y));
};
/** The smaller of a count in rCX and a 32-bit one. */
const leastCount = (r: StringRun, left: Word, most: I32): I32 => {
  const limit = word.toU(left.type, r.e.f.let(most));
  return r.e.f.let(word.low(select(word.ltU(left, limit), left, limit)));
};
/** Whole elements from a linear address to the end of its page. */
const elementsInPage = (r: StringRun, at: Address): I32 => {
  const left = i32.sub(k32(PAGE), i32.and(word.low(at), k32(PAGE - 1)));
  return r.bytes === 1 ? left : i32.shrU(left, k32(Math.log2(r.bytes)));
};
const bytesOf = (r: StringRun, elements: I32): I32 => i32.mul(elements, k32(r.bytes));

/** Not where the destination begins inside the source: there every element must see the one before. */
const bulkMove: Bulk = (r, most, chunk) => {
  const { e } = r;
  const from = source(r);
  const to = destination(r);
  const n = least(r, least(r, most, elementsInPage(r, from)), elementsInPage(r, to));
  const bytes = e.f.let(bytesOf(r, n));
  const read = e.f.let(e.readable(from));
  const written = e.f.let(e.writable(to));
  const known = i32.and(i32.and(i32.ne(read, k32(0)), i32.ne(written, k32(0))), i32.ne(n, k32(0)));
  e.f.if(i32.and(known, i32.geU(i32.sub(written, read), bytes)), () => {
    e.f.memoryCopy(written, read, bytes);
    move(r, GPR.esi, bytes);
    move(r, GPR.edi, bytes);
    e.f.set(chunk, n);
  });
};

/** A value with 1 in every byte. */
const everyByte = (bits: Width): Word => {
  if (bits === 64) return k64(0x0101_0101_0101_0101n);
  return k32(bits === 8 ? 1 : bits === 16 ? 0x101 : 0x0101_0101);
};

const bulkStore: Bulk = (r, most, chunk) => {
  const { e } = r;
  const { f } = e;
  const to = destination(r);
  const n = least(r, most, elementsInPage(r, to));
  const bytes = f.let(bytesOf(r, n));
  const written = f.let(e.writable(to));
  // Not even a move by nothing, where an element crosses the page's end: it clears the upper half of a 32-bit pointer.
  f.if(i32.and(i32.ne(written, k32(0)), i32.ne(n, k32(0))), () => {
    const value = getAccumulator(e, r.bits);
    const repeated = f.let(word.mul(word.and(value, 0xff), everyByte(r.bits)));
    f.if(
      word.eq(repeated, value),
      () => f.memoryFill(written, word.low(value), bytes),
      () => {
        const at = f.local('i32');
        const end = f.let(i32.add(written, bytes));
        f.set(at, written);
        f.block((done) => {
          f.loop((next) => {
            f.brIf(done, i32.geU(at.get, end));
            if (r.bits === 16) f.store16(at.get, value as I32);
            else if (r.bits === 64) f.store64(at.get, value as I64);
            else f.store32(at.get, value as I32);
            f.set(at, i32.add(at.get, k32(r.bytes)));
            f.br(next);
          });
        });
      },
    );
    move(r, GPR.edi, bytes);
    f.set(chunk, n);
  });
};

/** Repeats until rCX is 0 or the share is used up. */
function repeat(r: StringRun, iteration: Iteration, bulk?: Bulk): void {
  const { e } = r;
  const { f } = e;
  const limit = f.let(e.repeatLimit());
  const done = f.local('i32');
  const left = f.local(countType(r));
  const chunk = f.local('i32');
  f.set(done, k32(0));
  f.set(left, e.register(r.width, GPR.ecx));
  f.block((stop) => {
    f.loop((next) => {
      f.brIf(stop, i32.or(word.eqz(left.get), i32.geU(done.get, limit)));
      f.set(chunk, k32(0));
      if (bulk && r.width !== 16) {
        f.if(i32.gtS(r.step, k32(0)), () => bulk(r, leastCount(r, left.get, i32.sub(limit, done.get)), chunk));
      }
      f.if(i32.eqz(chunk.get), () => {
        iteration(r);
        f.set(chunk, k32(1));
      });
      f.set(left, word.sub(left.get, word.toU(left.type, chunk.get)));
      e.setRegister(r.width, GPR.ecx, left.get);
      f.set(done, i32.add(done.get, chunk.get));
      f.br(next);
    });
  });
  e.spend(done.get);
  f.if(word.nonzero(left.get), () => e.again());
}

const transfer =
  (wide: boolean, uses: string, iteration: Iteration, bulk?: Bulk) =>
  (e: Ops): void => {
    const r = start(e, wide, uses);
    if (e.rep === 'none') iteration(r);
    else repeat(r, iteration, bulk);
  };

/** Reads what one comparison compares, then moves the registers. */
type Compared = (r: StringRun, a: Var<IntType>, b: Var<IntType>) => void;

const compareElements: Compared = (r, a, b) => {
  const first = r.e.f.let(r.e.loadWord(r.bits, source(r)));
  const second = r.e.f.let(r.e.loadWord(r.bits, destination(r)));
  r.e.f.set(a, first);
  r.e.f.set(b, second);
  move(r, GPR.esi, r.step);
  move(r, GPR.edi, r.step);
};
const scanElement: Compared = (r, a, b) => {
  const found = r.e.f.let(r.e.loadWord(r.bits, destination(r)));
  r.e.f.set(a, getAccumulator(r.e, r.bits));
  r.e.f.set(b, found);
  move(r, GPR.edi, r.step);
};

const setCompareFlags = (r: StringRun, a: Word, b: Word): void =>
  r.e.setFlags({ kind: 'sub', bits: r.bits, a, b, result: r.e.f.let(word.sub(a, b)) });

/** Repeats while elements are equal (REPE) or differ (REPNE). */
function repeatCompare(r: StringRun, compared: Compared): void {
  const { e } = r;
  const { f } = e;
  const limit = f.let(e.repeatLimit());
  const a = f.local(typeOf(r.bits));
  const b = f.local(typeOf(r.bits));
  const done = f.local('i32');
  const left = f.local(countType(r));
  f.set(done, k32(0));
  f.set(left, e.register(r.width, GPR.ecx));
  f.block((stop) => {
    f.loop((next) => {
      f.brIf(stop, i32.or(word.eqz(left.get), i32.geU(done.get, limit)));
      compared(r, a, b);
      f.set(left, word.sub(left.get, 1));
      e.setRegister(r.width, GPR.ecx, left.get);
      f.set(done, i32.add(done.get, k32(1)));
      f.brIf(next, e.rep === 'rep' ? word.eq(a.get, b.get) : word.ne(a.get, b.get));
      // Found: nothing is left to do, whatever rCX says.
      f.set(left, word.constant(left.type, 0));
    });
  });
  e.spend(done.get);
  f.if(done.get, () => setCompareFlags(r, a.get, b.get));
  f.if(word.nonzero(left.get), () => e.again());
}

const comparison =
  (wide: boolean, uses: string, compared: Compared) =>
  (e: Ops): void => {
    const r = start(e, wide, uses);
    if (e.rep !== 'none') {
      repeatCompare(r, compared);
      return;
    }
    const a = e.f.local(typeOf(r.bits));
    const b = e.f.local(typeOf(r.bits));
    compared(r, a, b);
    setCompareFlags(r, a.get, b.get);
  };

const REP = { address: true, rep: 'rep', access: 'none' } as const;
const REPZ = { address: true, rep: 'repz', access: 'none' } as const;

export const integerStringRows: readonly Row[] = [
  row('A4', 'movsb', 'Yb,Xb', transfer(false, 'sd', moveElement, bulkMove), REP),
  row('A5', 'movsw|movsd|movsq', 'Yv,Xv', transfer(true, 'sd', moveElement, bulkMove), REP),
  row('A6', 'cmpsb', 'Xb,Yb', comparison(false, 'sd', compareElements), REPZ),
  row('A7', 'cmpsw|cmpsd|cmpsq', 'Xv,Yv', comparison(true, 'sd', compareElements), REPZ),
  row('AA', 'stosb', 'Yb,AL', transfer(false, 'd', storeElement, bulkStore), REP),
  row('AB', 'stosw|stosd|stosq', 'Yv,eAX', transfer(true, 'd', storeElement, bulkStore), REP),
  row('AC', 'lodsb', 'AL,Xb', transfer(false, 's', loadElement), REP),
  row('AD', 'lodsw|lodsd|lodsq', 'eAX,Xv', transfer(true, 's', loadElement), REP),
  row('AE', 'scasb', 'AL,Yb', comparison(false, 'd', scanElement), REPZ),
  row('AF', 'scasw|scasd|scasq', 'eAX,Yv', comparison(true, 'd', scanElement), REPZ),
];
