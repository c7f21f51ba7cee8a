/**
 * x87 arithmetic, loads, stores, comparisons and constants: opcodes D8-DF. Source: SDM Vol. 2, appendix A.5; Vol. 1, 8.3.
 *
 * Register forms are one row for each ST(i): which register it is depends on TOP, so a decoded slot would say nothing.
 */

import { SCRATCH } from '../float/kernel-set.ts';
import { TRANSCENDENTAL } from '../float/transcendental.ts';
import { BLOCKING, COMPARE_HOW, HOW } from '../float/x87-stack.ts';
import { STATE } from '../state/layout.ts';
import { type I32, type I64, i32, i64, k32, k64, type Val, word } from '../wasm/expr.ts';
import { setArithmeticBits } from './flag-ops.ts';
import type { Ops, X87Operation } from './ops.ts';
import { fixedSize, type Row, type RowOptions, row } from './row.ts';
import { x87ControlRows } from './x87-control-rows.ts';
import { begin, hex, kernelRun, kernelValue, memoryOpcode, recordPointers, registerOpcode } from './x87-support.ts';

const REGISTERS = [0, 1, 2, 3, 4, 5, 6, 7] as const;
type Semantics = (e: Ops) => void;

/** A register form: begins, records the pointers, does `body`. */
const plain = (first: number, second: number, body: Semantics): Semantics => {
  return (e) => {
    begin(e);
    recordPointers(e, registerOpcode(first, second));
    body(e);
  };
};
/** Eight rows, one a register. */
const registers = (
  first: number,
  base: number,
  mnemonic: string,
  operands: string,
  body: (e: Ops, i: number) => void,
): Row[] =>
  REGISTERS.map((i) =>
    row(
      `${hex(first)} ${hex(base + i)}`,
      mnemonic,
      operands,
      plain(first, base + i, (e) => body(e, i)),
    ),
  );
const single = (first: number, second: number, mnemonic: string, body: Semantics): Row =>
  row(`${hex(first)} ${hex(second)}`, mnemonic, '', plain(first, second, body));
const memory = (
  first: number,
  extension: number,
  mnemonic: string,
  operands: string,
  body: Semantics,
  options: RowOptions = {},
): Row => row(`${hex(first)} /${extension} m`, mnemonic, operands, body, options);

/** A memory form that reads: `read` before the pointers are recorded. */
const reading = (first: number, extension: number, read: (e: Ops) => Val, use: (e: Ops, v: Val) => void): Semantics => {
  return (e) => {
    begin(e);
    const value = e.f.let(read(e));
    recordPointers(e, memoryOpcode(first, extension), 0);
    use(e, value);
  };
};
const READ: Record<string, (e: Ops) => Val> = {
  F32: (e) => e.read(0),
  F64: (e) => e.read64(0),
  Int32: (e) => e.read(0),
  Int16: (e) => e.readSigned(0),
};
const OPERAND_TYPE: Record<string, string> = { F32: 'Md', F64: 'Mq', Int32: 'Md', Int16: 'Mw' };
const isFloat = (source: string): boolean => source.startsWith('F');
const kindOf = (source: string): string => (source.startsWith('Int') ? 'Integer' : source);

interface Arithmetic {
  readonly extension: number;
  readonly name: string;
  readonly kernel: X87Operation;
  readonly how: number;
}
/** ModRM.reg of D8, DA, DC, DE; 2 and 3 compare. */
const ARITHMETIC: readonly Arithmetic[] = [
  { extension: 0, name: 'add', kernel: 'Add', how: 0 },
  { extension: 1, name: 'mul', kernel: 'Multiply', how: 0 },
  { extension: 4, name: 'sub', kernel: 'Add', how: HOW.subtract },
  { extension: 5, name: 'subr', kernel: 'Add', how: HOW.subtract | HOW.reverse },
  { extension: 6, name: 'div', kernel: 'Divide', how: 0 },
  { extension: 7, name: 'divr', kernel: 'Divide', how: HOW.reverse },
];

const MEMORY_ARITHMETIC = [
  { first: 0xd8, source: 'F32', prefix: 'f' },
  { first: 0xda, source: 'Int32', prefix: 'fi' },
  { first: 0xdc, source: 'F64', prefix: 'f' },
  { first: 0xde, source: 'Int16', prefix: 'fi' },
] as const;

const arithmeticRows: readonly Row[] = [
  ...MEMORY_ARITHMETIC.flatMap(({ first, source, prefix }) => [
    ...ARITHMETIC.map((a) =>
      memory(
        first,
        a.extension,
        `${prefix}${a.name}`,
        OPERAND_TYPE[source],
        reading(first, a.extension, READ[source], (e, v) => {
          if (e.x87 && isFloat(source)) e.x87.arithmetic(a.kernel, a.how, v);
          else kernelRun(e, `x87${a.kernel}${kindOf(source)}`, v, k32(a.how));
        }),
      ),
    ),
    ...[2, 3].map((extension) =>
      memory(
        first,
        extension,
        `${prefix}com${extension === 3 ? 'p' : ''}`,
        OPERAND_TYPE[source],
        reading(first, extension, READ[source], (e, v) => {
          const how = (extension === 3 ? 1 : 0) << COMPARE_HOW.popShift;
          if (e.x87 && isFloat(source)) e.x87.conditions(e.x87.compare(how, v));
          else kernelValue(e, 'i32', `x87Compare${kindOf(source)}`, v, k32(how));
        }),
      ),
    ),
  ]),
  ...ARITHMETIC.flatMap((a) => {
    const run = (how: number) => (e: Ops, i: number) => {
      if (e.x87) e.x87.arithmetic(a.kernel, how | i);
      else kernelRun(e, `x87${a.kernel}Register`, k32(how | i));
    };
    // DC and DE name the reversed forms the other way round: DC E0 is FSUBR, and ST(i) = ST(i) op ST(0) is ModRM.reg xor 1.
    const swapped = a.extension >= 4 ? a.extension ^ 1 : a.extension;
    return [
      ...registers(0xd8, 0xc0 + a.extension * 8, `f${a.name}`, 'ST0,STi', run(a.how)),
      ...registers(0xdc, 0xc0 + swapped * 8, `f${a.name}`, 'STi,ST0', run(a.how | HOW.toRegister)),
      ...registers(0xde, 0xc0 + swapped * 8, `f${a.name}p`, 'STi,ST0', run(a.how | HOW.toRegister | HOW.pop)),
    ];
  }),
];

const compare = (quiet: boolean, pops: number) => (e: Ops, i: number) => {
  const how = (quiet ? COMPARE_HOW.quiet : 0) | (pops << COMPARE_HOW.popShift) | (i << COMPARE_HOW.registerShift);
  if (e.x87) e.x87.conditions(e.x87.compare(how));
  else kernelValue(e, 'i32', 'x87CompareRegister', k32(how));
};
const compareToFlags = (quiet: boolean, pops: number) => (e: Ops, i: number) => {
  const how =
    (quiet ? COMPARE_HOW.quiet : 0) |
    COMPARE_HOW.eflags |
    (pops << COMPARE_HOW.popShift) |
    (i << COMPARE_HOW.registerShift);
  if (e.x87) {
    const ordered = i32.shrU(e.x87.compare(how), k32(8));
    e.setFlags({ kind: 'bits', bits: 32, result: e.f.let(ordered) });
    return;
  }
  const code = kernelValue(e, 'i32', 'x87CompareRegister', k32(how));
  // C0, C2 and C3 shifted down by 8 are CF, PF and ZF.
  e.f.if(i32.ne(code, k32(-1)), () => setArithmeticBits(e, i32.shrU(code, k32(8))));
};

const comparisonRows: readonly Row[] = [
  ...registers(0xd8, 0xd0, 'fcom', 'ST0,STi', compare(false, 0)),
  ...registers(0xd8, 0xd8, 'fcomp', 'ST0,STi', compare(false, 1)),
  ...registers(0xdc, 0xd0, 'fcom', 'ST0,STi', compare(false, 0)),
  ...registers(0xdc, 0xd8, 'fcomp', 'ST0,STi', compare(false, 1)),
  ...registers(0xde, 0xd0, 'fcomp', 'ST0,STi', compare(false, 1)),
  single(0xde, 0xd9, 'fcompp', (e) => compare(false, 2)(e, 1)),
  ...registers(0xdd, 0xe0, 'fucom', 'ST0,STi', compare(true, 0)),
  ...registers(0xdd, 0xe8, 'fucomp', 'ST0,STi', compare(true, 1)),
  single(0xda, 0xe9, 'fucompp', (e) => compare(true, 2)(e, 1)),
  ...registers(0xdb, 0xe8, 'fucomi', 'ST0,STi', compareToFlags(true, 0)),
  ...registers(0xdb, 0xf0, 'fcomi', 'ST0,STi', compareToFlags(false, 0)),
  ...registers(0xdf, 0xe8, 'fucomip', 'ST0,STi', compareToFlags(true, 1)),
  ...registers(0xdf, 0xf0, 'fcomip', 'ST0,STi', compareToFlags(false, 1)),
  single(0xd9, 0xe4, 'ftst', (e) => kernelRun(e, 'x87TestTop')),
  single(0xd9, 0xe5, 'fxam', (e) => kernelRun(e, 'x87ExamineTop')),
];

/** Ten bytes of a memory operand. */
function readTen(e: Ops): { low: Val<'i64'>; high: I32 } {
  const at = e.f.let(e.linear(0));
  return { low: e.f.let(e.load64(at)), high: e.f.let(e.load(16, word.add(at, 8))) };
}

const loadTen = (first: number, extension: number, kernel: string): Semantics => {
  return (e) => {
    begin(e);
    const { low, high } = readTen(e);
    recordPointers(e, memoryOpcode(first, extension), 0);
    if (e.x87 && kernel === 'x87LoadExtended') e.x87.load(low, high);
    else kernelRun(e, kernel, low, high);
  };
};
const loadInteger = (first: number, extension: number, read: (e: Ops) => Val): Semantics =>
  reading(first, extension, read, (e, v) => {
    const wide = v.type === 'i64' ? (v as I64) : i64.extendS(v as I32);
    if (e.x87) e.x87.loadInteger(wide);
    else kernelRun(e, 'x87LoadInteger', wide);
  });
const loadFloat = (first: number, kind: 'F32' | 'F64'): Semantics =>
  reading(first, 0, READ[kind], (e, v) => {
    if (e.x87) e.x87.loadNarrow(v);
    else kernelRun(e, `x87Load${kind}`, v);
  });

const loadRows: readonly Row[] = [
  memory(0xd9, 0, 'fld', 'Md', loadFloat(0xd9, 'F32')),
  memory(0xdd, 0, 'fld', 'Mq', loadFloat(0xdd, 'F64')),
  memory(0xdb, 5, 'fld', 'Mt', loadTen(0xdb, 5, 'x87LoadExtended'), { access: 'read' }),
  memory(0xdf, 4, 'fbld', 'Mt', loadTen(0xdf, 4, 'x87LoadBcd'), { access: 'read' }),
  memory(
    0xdf,
    0,
    'fild',
    'Mw',
    loadInteger(0xdf, 0, (e) => e.readSigned(0)),
  ),
  memory(
    0xdb,
    0,
    'fild',
    'Md',
    loadInteger(0xdb, 0, (e) => e.read(0)),
  ),
  memory(
    0xdf,
    5,
    'fild',
    'Mq',
    loadInteger(0xdf, 5, (e) => e.read64(0)),
  ),
  ...registers(0xd9, 0xc0, 'fld', 'STi', (e, i) => {
    if (e.x87) e.x87.loadRegister(i);
    else kernelRun(e, 'x87LoadRegister', k32(i));
  }),
];

/**
 * A store: the value and its flags first, then memory unless an unmasked exception forbids it, then the status word and
 * the pop; so that a page fault leaves everything as it was.
 */
const storing = (first: number, extension: number, pops: number, write: (e: Ops) => void): Semantics => {
  return (e) => {
    begin(e);
    write(e);
    recordPointers(e, memoryOpcode(first, extension), 0);
    kernelRun(e, 'x87StoreCommit', k32(pops));
  };
};
/** Non-zero when an unmasked exception among the gathered flags keeps a store from happening. */
const blocked = (e: Ops): I32 =>
  i32.and(i32.and(e.get(SCRATCH.flags), k32(BLOCKING)), i32.xor(e.get(STATE.fpuControl), k32(-1)));
/** The page is looked at in either case: #PF comes before the exception is noted, as measured. */
const unlessBlocked = (e: Ops, byteCount: number, write: () => void): void =>
  e.f.if(i32.eqz(blocked(e)), write, () => e.probe(e.f.let(e.linear(0)), k32(byteCount)));

const storeFloat = (first: number, extension: number, kind: 'F32' | 'F64', pops: number): Semantics => {
  const long = storeFloatByKernel(first, extension, kind, pops);
  return (e) => {
    const short = e.x87;
    if (!short) {
      long(e);
      return;
    }
    short.begin();
    const { value, flags } = short.store(kind === 'F32' ? 32 : 64);
    if (kind === 'F32') e.write(0, value);
    else e.write64(0, value as I64);
    recordPointers(e, memoryOpcode(first, extension), 0);
    short.stored(flags, pops);
  };
};
const storeFloatByKernel = (first: number, extension: number, kind: 'F32' | 'F64', pops: number): Semantics =>
  storing(first, extension, pops, (e) => {
    if (kind === 'F32') {
      const bits = kernelValue(e, 'i32', 'x87StoreF32');
      unlessBlocked(e, 4, () => e.write(0, bits));
    } else {
      const bits = kernelValue(e, 'i64', 'x87StoreF64');
      unlessBlocked(e, 8, () => e.write64(0, bits));
    }
  });
const storeInteger = (
  first: number,
  extension: number,
  bits: 16 | 32 | 64,
  pops: number,
  truncate: boolean,
): Semantics =>
  storing(first, extension, pops, (e) => {
    const value = kernelValue(e, 'i64', 'x87StoreInteger', k32(bits), k32(truncate ? 1 : 0));
    unlessBlocked(e, bits / 8, () => {
      if (bits === 64) e.write64(0, value);
      else e.write(0, bits === 16 ? i32.and(i32.wrap(value), k32(0xffff)) : i32.wrap(value));
    });
  });
const storeTen = (first: number, extension: number, kernel: string): Semantics =>
  storing(first, extension, 1, (e) => {
    kernelRun(e, kernel);
    unlessBlocked(e, 10, () => {
      const at = e.f.let(e.linear(0));
      e.probe(at, k32(10));
      e.store64(at, e.f.let(e.get64(SCRATCH.result)));
      e.store(16, word.add(at, 8), e.f.let(i32.and(e.get(SCRATCH.result + 8), k32(0xffff))));
    });
  });

function storeRegister(e: Ops, i: number, pops: number): void {
  if (e.x87) e.x87.storeRegister(i, pops);
  else kernelRun(e, 'x87StoreRegister', k32(i), k32(pops));
}

const WRITE: RowOptions = { access: 'write' };
const storeRows: readonly Row[] = [
  memory(0xd9, 2, 'fst', 'Md', storeFloat(0xd9, 2, 'F32', 0), WRITE),
  memory(0xd9, 3, 'fstp', 'Md', storeFloat(0xd9, 3, 'F32', 1), WRITE),
  memory(0xdd, 2, 'fst', 'Mq', storeFloat(0xdd, 2, 'F64', 0), WRITE),
  memory(0xdd, 3, 'fstp', 'Mq', storeFloat(0xdd, 3, 'F64', 1), WRITE),
  memory(0xdb, 7, 'fstp', 'Mt', storeTen(0xdb, 7, 'x87StoreExtended'), WRITE),
  memory(0xdf, 6, 'fbstp', 'Mt', storeTen(0xdf, 6, 'x87StoreBcd'), WRITE),
  memory(0xdf, 2, 'fist', 'Mw', storeInteger(0xdf, 2, 16, 0, false), WRITE),
  memory(0xdf, 3, 'fistp', 'Mw', storeInteger(0xdf, 3, 16, 1, false), WRITE),
  memory(0xdb, 2, 'fist', 'Md', storeInteger(0xdb, 2, 32, 0, false), WRITE),
  memory(0xdb, 3, 'fistp', 'Md', storeInteger(0xdb, 3, 32, 1, false), WRITE),
  memory(0xdf, 7, 'fistp', 'Mq', storeInteger(0xdf, 7, 64, 1, false), WRITE),
  memory(0xdf, 1, 'fisttp', 'Mw', storeInteger(0xdf, 1, 16, 1, true), WRITE),
  memory(0xdb, 1, 'fisttp', 'Md', storeInteger(0xdb, 1, 32, 1, true), WRITE),
  memory(0xdd, 1, 'fisttp', 'Mq', storeInteger(0xdd, 1, 64, 1, true), WRITE),
  ...registers(0xdd, 0xd0, 'fst', 'STi', (e, i) => storeRegister(e, i, 0)),
  ...registers(0xd9, 0xd8, 'fstp', 'STi', (e, i) => kernelRun(e, 'x87StoreQuietly', k32(i))),
  ...[
    [0xdd, 0xd8],
    [0xdf, 0xd0],
    [0xdf, 0xd8],
  ].flatMap(([first, base]) => registers(first, base, 'fstp', 'STi', (e, i) => storeRegister(e, i, 1))),
];

const moveRows: readonly Row[] = [
  ...[
    [0xd9, 0xc8],
    [0xdd, 0xc8],
    [0xdf, 0xc8],
  ].flatMap(([first, base]) =>
    registers(first, base, 'fxch', 'ST0,STi', (e, i) => {
      if (e.x87) e.x87.exchange(i);
      else kernelRun(e, 'x87Exchange', k32(i));
    }),
  ),
  ...(
    [
      ['b', 0xc0, 2],
      ['e', 0xc8, 4],
      ['be', 0xd0, 6],
      ['u', 0xd8, 10],
    ] as const
  ).flatMap(([name, base, code]) => [
    ...registers(0xda, base, `fcmov${name}`, 'ST0,STi', (e, i) =>
      kernelRun(e, 'x87ConditionalMove', k32(i), e.condition(code)),
    ),
    ...registers(0xdb, base, `fcmovn${name}`, 'ST0,STi', (e, i) =>
      kernelRun(e, 'x87ConditionalMove', k32(i), e.condition(code + 1)),
    ),
  ]),
];

const CONTROL_WORD_RC = { down: 0x400, up: 0x800 } as const;

/** D9 E8-EE: the constant rounded by RC, as significand when it is rounded down and up. */
const CONSTANTS = [
  { second: 0xe8, name: 'fld1', exponent: 0x3fff, down: 0x8000000000000000n, nearestUp: false, exact: true },
  { second: 0xe9, name: 'fldl2t', exponent: 0x4000, down: 0xd49a784bcd1b8afen, nearestUp: false, exact: false },
  { second: 0xea, name: 'fldl2e', exponent: 0x3fff, down: 0xb8aa3b295c17f0bbn, nearestUp: true, exact: false },
  { second: 0xeb, name: 'fldpi', exponent: 0x4000, down: 0xc90fdaa22168c234n, nearestUp: true, exact: false },
  { second: 0xec, name: 'fldlg2', exponent: 0x3ffd, down: 0x9a209a84fbcff798n, nearestUp: true, exact: false },
  { second: 0xed, name: 'fldln2', exponent: 0x3ffe, down: 0xb17217f7d1cf79abn, nearestUp: true, exact: false },
  { second: 0xee, name: 'fldz', exponent: 0, down: 0n, nearestUp: false, exact: true },
] as const;

const constantRows: readonly Row[] = CONSTANTS.map((c) =>
  single(0xd9, c.second, c.name, (e) => {
    const rounding = e.f.let(i32.and(e.get(STATE.fpuControl), k32(0xc00)));
    const up = c.exact
      ? k32(0)
      : i32.or(i32.eq(rounding, k32(CONTROL_WORD_RC.up)), c.nearestUp ? i32.eqz(rounding) : k32(0));
    const significand = c.exact ? k64(c.down) : i64.add(k64(c.down), i64.extendU(up));
    if (e.x87) e.x87.load(significand, k32(c.exponent));
    else kernelRun(e, 'x87LoadExtended', significand, k32(c.exponent));
  }),
);

const unary = (second: number, mnemonic: string, kernel: string): Row =>
  single(0xd9, second, mnemonic, (e) => kernelRun(e, kernel));
const transcendental = (second: number, mnemonic: keyof typeof TRANSCENDENTAL): Row =>
  single(0xd9, second, mnemonic, (e) => e.system('x87Transcendental', k32(TRANSCENDENTAL[mnemonic])));

const functionRows: readonly Row[] = [
  single(0xd9, 0xe0, 'fchs', (e) => (e.x87 ? e.x87.changeSign(true) : kernelRun(e, 'x87Negate'))),
  single(0xd9, 0xe1, 'fabs', (e) => (e.x87 ? e.x87.changeSign(false) : kernelRun(e, 'x87Absolute'))),
  transcendental(0xf0, 'f2xm1'),
  transcendental(0xf1, 'fyl2x'),
  transcendental(0xf2, 'fptan'),
  transcendental(0xf3, 'fpatan'),
  unary(0xf4, 'fxtract', 'x87ExtractTop'),
  unary(0xf5, 'fprem1', 'x87RemainderNearest'),
  unary(0xf8, 'fprem', 'x87RemainderTruncated'),
  transcendental(0xf9, 'fyl2xp1'),
  single(0xd9, 0xfa, 'fsqrt', (e) => (e.x87 ? e.x87.squareRoot() : kernelRun(e, 'x87SquareRootTop'))),
  transcendental(0xfb, 'fsincos'),
  unary(0xfc, 'frndint', 'x87RoundTop'),
  unary(0xfd, 'fscale', 'x87ScaleTop'),
  transcendental(0xfe, 'fsin'),
  transcendental(0xff, 'fcos'),
];

export const x87Rows: readonly Row[] = [
  ...[
    ...arithmeticRows,
    ...comparisonRows,
    ...loadRows,
    ...storeRows,
    ...moveRows,
    ...constantRows,
    ...functionRows,
  ].map(fixedSize),
  ...x87ControlRows,
];
