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
import { type I32, i32, k32, select } from '../wasm/expr.ts';
import type { Var } from '../wasm/function.ts';
import { setCarryFlags, subBorrows } from './flag-ops.ts';
import type { Ops, Width32 } from './ops.ts';
import { getAccumulator, getReg, setAccumulator, setReg } from './register-ops.ts';
import { type Row, row } from './row.ts';

/** What one run of a string instruction works with. All values are evaluated once, at its start. */
interface StringRun {
  readonly e: Ops;
  readonly bits: Width32;
  /** Bytes an element has. */
  readonly bytes: number;
  /** Width of the registers that address and count. */
  readonly width: 16 | 32;
  /** `bytes`, negative when DF is set. */
  readonly step: I32;
  readonly sourceBase: I32;
  readonly destinationBase: I32;
}

const has = (what: string, letter: string): boolean => what.includes(letter);

/** @param uses `s`: DS:rSI is read; `d`: ES:rDI is used */
function start(e: Ops, wide: boolean, uses: string): StringRun {
  const bits: Width32 = wide ? e.size : 8;
  const bytes = bits / 8;
  const down = i32.and(e.get(STATE.eflags), k32(EFLAGS.df));
  return {
    e,
    bits,
    bytes,
    width: e.address32 ? 32 : 16,
    step: e.f.let(select(down, k32(-bytes), k32(bytes))),
    sourceBase: has(uses, 's') ? e.f.let(e.segmentBase()) : k32(0),
    destinationBase: has(uses, 'd') ? e.f.let(e.get(STATE.segments + SEG.es * SEGMENT.bytes + SEGMENT.base)) : k32(0),
  };
}

const source = (r: StringRun): I32 => r.e.f.let(i32.add(r.sourceBase, getReg(r.e, r.width, GPR.esi)));
const destination = (r: StringRun): I32 => r.e.f.let(i32.add(r.destinationBase, getReg(r.e, r.width, GPR.edi)));
const move = (r: StringRun, register: number, by: I32): void =>
  setReg(r.e, r.width, register, i32.add(getReg(r.e, r.width, register), by));

/** One element, registers included. */
type Iteration = (r: StringRun) => void;

const moveElement: Iteration = (r) => {
  const value = r.e.f.let(r.e.load(r.bits, source(r)));
  r.e.store(r.bits, destination(r), value);
  move(r, GPR.esi, r.step);
  move(r, GPR.edi, r.step);
};
const storeElement: Iteration = (r) => {
  r.e.store(r.bits, destination(r), getAccumulator(r.e, r.bits));
  move(r, GPR.edi, r.step);
};
const loadElement: Iteration = (r) => {
  setAccumulator(r.e, r.bits, r.e.f.let(r.e.load(r.bits, source(r))));
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
/** Whole elements from a linear address to the end of its page. */
const elementsInPage = (r: StringRun, at: I32): I32 => {
  const left = i32.sub(k32(PAGE), i32.and(at, k32(PAGE - 1)));
  return r.bytes === 1 ? left : i32.shrU(left, k32(r.bytes / 2));
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
  const known = i32.and(i32.ne(read, k32(0)), i32.ne(written, k32(0)));
  e.f.if(i32.and(known, i32.geU(i32.sub(written, read), bytes)), () => {
    e.f.memoryCopy(written, read, bytes);
    move(r, GPR.esi, bytes);
    move(r, GPR.edi, bytes);
    e.f.set(chunk, n);
  });
};

const bulkStore: Bulk = (r, most, chunk) => {
  const { e } = r;
  const { f } = e;
  const to = destination(r);
  const n = least(r, most, elementsInPage(r, to));
  const bytes = f.let(bytesOf(r, n));
  const written = f.let(e.writable(to));
  f.if(written, () => {
    const value = getAccumulator(e, r.bits);
    const repeated = f.let(
      i32.mul(i32.and(value, k32(0xff)), k32(r.bits === 8 ? 1 : r.bits === 16 ? 0x101 : 0x0101_0101)),
    );
    f.if(
      i32.eq(repeated, value),
      () => f.memoryFill(written, value, bytes),
      () => {
        const at = f.local('i32');
        const end = f.let(i32.add(written, bytes));
        f.set(at, written);
        f.block((done) => {
          f.loop((next) => {
            f.brIf(done, i32.geU(at.get, end));
            if (r.bits === 16) f.store16(at.get, value);
            else f.store32(at.get, value);
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
  const left = f.local('i32');
  const chunk = f.local('i32');
  f.set(done, k32(0));
  f.set(left, getReg(e, r.width, GPR.ecx));
  f.block((stop) => {
    f.loop((next) => {
      f.brIf(stop, i32.or(i32.eqz(left.get), i32.geU(done.get, limit)));
      f.set(chunk, k32(0));
      if (bulk && r.width === 32) {
        f.if(i32.gtS(r.step, k32(0)), () => bulk(r, least(r, left.get, i32.sub(limit, done.get)), chunk));
      }
      f.if(i32.eqz(chunk.get), () => {
        iteration(r);
        f.set(chunk, k32(1));
      });
      f.set(left, i32.sub(left.get, chunk.get));
      setReg(e, r.width, GPR.ecx, left.get);
      f.set(done, i32.add(done.get, chunk.get));
      f.br(next);
    });
  });
  e.spend(done.get);
  f.if(left.get, () => e.again());
}

const transfer =
  (wide: boolean, uses: string, iteration: Iteration, bulk?: Bulk) =>
  (e: Ops): void => {
    const r = start(e, wide, uses);
    if (e.rep === 'none') iteration(r);
    else repeat(r, iteration, bulk);
  };

/** Reads what one comparison compares, then moves the registers. */
type Compared = (r: StringRun, a: Var<'i32'>, b: Var<'i32'>) => void;

const compareElements: Compared = (r, a, b) => {
  const first = r.e.f.let(r.e.load(r.bits, source(r)));
  const second = r.e.f.let(r.e.load(r.bits, destination(r)));
  r.e.f.set(a, first);
  r.e.f.set(b, second);
  move(r, GPR.esi, r.step);
  move(r, GPR.edi, r.step);
};
const scanElement: Compared = (r, a, b) => {
  const found = r.e.f.let(r.e.load(r.bits, destination(r)));
  r.e.f.set(a, getAccumulator(r.e, r.bits));
  r.e.f.set(b, found);
  move(r, GPR.edi, r.step);
};

function setCompareFlags(r: StringRun, a: I32, b: I32): void {
  const difference = r.e.f.let(i32.sub(a, b));
  setCarryFlags(r.e, r.bits, difference, subBorrows(a, b, difference));
}

/** Repeats while elements are equal (REPE) or differ (REPNE). */
function repeatCompare(r: StringRun, compared: Compared): void {
  const { e } = r;
  const { f } = e;
  const limit = f.let(e.repeatLimit());
  const a = f.local('i32');
  const b = f.local('i32');
  const done = f.local('i32');
  const left = f.local('i32');
  f.set(done, k32(0));
  f.set(left, getReg(e, r.width, GPR.ecx));
  f.block((stop) => {
    f.loop((next) => {
      f.brIf(stop, i32.or(i32.eqz(left.get), i32.geU(done.get, limit)));
      compared(r, a, b);
      f.set(left, i32.sub(left.get, k32(1)));
      setReg(e, r.width, GPR.ecx, left.get);
      f.set(done, i32.add(done.get, k32(1)));
      f.brIf(next, e.rep === 'rep' ? i32.eq(a.get, b.get) : i32.ne(a.get, b.get));
      // Found: nothing is left to do, whatever rCX says.
      f.set(left, k32(0));
    });
  });
  e.spend(done.get);
  f.if(done.get, () => setCompareFlags(r, a.get, b.get));
  f.if(left.get, () => e.again());
}

const comparison =
  (wide: boolean, uses: string, compared: Compared) =>
  (e: Ops): void => {
    const r = start(e, wide, uses);
    if (e.rep !== 'none') {
      repeatCompare(r, compared);
      return;
    }
    const a = e.f.local('i32');
    const b = e.f.local('i32');
    compared(r, a, b);
    setCompareFlags(r, a.get, b.get);
  };

const REP = { address: true, rep: 'rep', access: 'none' } as const;
const REPZ = { address: true, rep: 'repz', access: 'none' } as const;

export const integerStringRows: readonly Row[] = [
  row('A4', 'movsb', 'Yb,Xb', transfer(false, 'sd', moveElement, bulkMove), REP),
  row('A5', 'movsw|movsd', 'Yv,Xv', transfer(true, 'sd', moveElement, bulkMove), REP),
  row('A6', 'cmpsb', 'Xb,Yb', comparison(false, 'sd', compareElements), REPZ),
  row('A7', 'cmpsw|cmpsd', 'Xv,Yv', comparison(true, 'sd', compareElements), REPZ),
  row('AA', 'stosb', 'Yb,AL', transfer(false, 'd', storeElement, bulkStore), REP),
  row('AB', 'stosw|stosd', 'Yv,eAX', transfer(true, 'd', storeElement, bulkStore), REP),
  row('AC', 'lodsb', 'AL,Xb', transfer(false, 's', loadElement), REP),
  row('AD', 'lodsw|lodsd', 'eAX,Xv', transfer(true, 's', loadElement), REP),
  row('AE', 'scasb', 'AL,Yb', comparison(false, 'd', scanElement), REPZ),
  row('AF', 'scasw|scasd', 'eAX,Yv', comparison(true, 'd', scanElement), REPZ),
];
