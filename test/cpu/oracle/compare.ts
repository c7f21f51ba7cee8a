/** Compares what the host and the virtual CPU made of a case. */
import { EFLAGS } from '#emu/cpu/state/flags.ts';
import { GPR } from '#emu/cpu/state/layout.ts';
import {
  APPROXIMATIONS,
  ignoredBytes,
  isLimitNotModelled,
  isResultUndefined,
  isTranscendental,
  mayBeUnaligned,
  mayBeUndefined,
  mayFaultAroundEnd,
  mayFaultAtOther,
  mayFaultInOtherOrder,
  mayFaultInside,
  mayFaultOrNot,
  mayHalfWork,
  mayJumpBeyondLimit,
  mayRefuseWide,
  undefinedFlags,
  undefinedStatus,
} from './allowances.ts';
import { addressAt, COMPLETED, FX, type Outcome, PAGE_FAULT, registerAt, type Shape, WINDOW } from './layout.ts';
import type { Case } from './plan.ts';
import {
  convertsFirst,
  faultClears,
  faultsInOtherOrder,
  inexactAtLeast,
  mayClearUpperHalf,
  mayGatherElsewise,
  mayNotReach,
  mayPropagateOther,
  mayReportOtherByte,
  mayRestoreFlags,
  mayStoreOtherByte,
  sameRegister,
  storeWithheld,
} from './vendor-allowances.ts';

const { cf, pf, af, zf, sf, of, df } = EFLAGS;
const FLAGS = cf | pf | af | zf | sf | of | df | EFLAGS.nt | EFLAGS.iopl | EFLAGS.if | EFLAGS.ac | EFLAGS.id;
const REGISTERS = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
const LONG_REGISTERS = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
] as const;
export const registerNames = (shape: Shape): readonly string[] => (shape.wide ? LONG_REGISTERS : REGISTERS);
const sameLowHalf = (a: number | bigint, b: number | bigint): boolean =>
  BigInt.asUintN(32, BigInt(a) ^ BigInt(b)) === 0n;
/** Exception flags of MXCSR. */
const MXCSR_FLAGS = 0x3f;
/** P of a page fault's error code, and I/D, which only fetches from pages without execution set. */
const ERROR = { present: 1, fetch: 0x10 } as const;

const differs = (what: string, a: number | bigint, b: number | bigint): string => `${what}: ${hex(a)}, not ${hex(b)}`;
const hex = (n: number | bigint): string => `${(typeof n === 'number' ? n >>> 0 : n).toString(16)}h`;

/** Bits of an error code that must agree. Tables without NX belong to 32-bit cases; to a page fault in the kernel's half Linux always says P. */
const errorBits = (shape: Shape, address: number): number =>
  0xffff ^ (shape.wide ? 0 : ERROR.fetch) ^ (shape.wide && address < 0 ? ERROR.present : 0);

/**
 * @returns what differs, in words: the host's value first; undefined when nothing does
 */
export function difference(shape: Shape, c: Case, host: Outcome, virtual: Outcome): string | undefined {
  const at = shape.result;
  const h = host.view;
  const v = virtual.view;
  const trap = h.getInt32(at.trap, true);
  const virtualTrap = v.getInt32(at.trap, true);
  const eip = addressAt(shape, h, at.eip);
  const virtualEip = addressAt(shape, v, at.eip);
  const withheld = storeWithheld(shape, c, trap, virtualTrap, h);
  const converted = convertsFirst(c, trap, virtualTrap);
  if (trap !== virtualTrap && withheld === undefined && !converted) {
    if (mayBeUnaligned(c, virtualTrap) || mayBeUndefined(c, trap, virtualTrap) || mayRefuseWide(c, trap))
      return undefined;
    if (mayFaultOrNot(c) || mayFaultInOtherOrder(c, trap, virtualTrap) || isLimitNotModelled(c, trap, virtualTrap))
      return undefined;
    if (faultsInOtherOrder(c, trap, virtualTrap) || mayNotReach(shape, c, trap, virtualTrap, h)) return undefined;
    if (mayFaultAroundEnd(c, trap)) return undefined;
    if (virtualTrap === COMPLETED && mayJumpBeyondLimit(c, trap, virtualEip)) return undefined;
    return `vector (1: completed): ${trap}, not ${virtualTrap}`;
  }
  const completed = trap === COMPLETED;
  if (eip !== virtualEip && withheld === undefined) return differs('eip', BigInt(eip), BigInt(virtualEip));
  if (trap === virtualTrap && !completed) {
    const cr2 = addressAt(shape, h, at.cr2);
    const virtualCr2 = addressAt(shape, v, at.cr2);
    const index = (n: number): bigint => BigInt(registerAt(shape, h, at.gpr, n));
    const elsewhere =
      trap === PAGE_FAULT &&
      ((mayFaultInside(c, cr2) && mayFaultInside(c, virtualCr2)) ||
        mayFaultAtOther(c, virtualCr2, index(GPR.esi), index(GPR.edi)) ||
        mayReportOtherByte(shape, c, cr2, virtualCr2));
    if (trap === PAGE_FAULT && cr2 !== virtualCr2 && !elsewhere) return differs('cr2', BigInt(cr2), BigInt(virtualCr2));
    const bits = trap === PAGE_FAULT ? errorBits(shape, cr2) : 0xffff;
    const error = h.getUint32(at.error, true) & bits;
    const virtualError = v.getUint32(at.error, true) & bits;
    if (error !== virtualError && (cr2 === virtualCr2 || !elsewhere)) return differs('error code', error, virtualError);
  } else if (completed && isResultUndefined(c)) return undefined;
  // A gather may be interrupted after each element.
  const stepwise = c.row.options.vsib !== undefined;
  if (!c.block && !stepwise && h.getUint32(at.steps, true) !== v.getUint32(at.steps, true))
    return differs('single-step traps', h.getUint32(at.steps, true), v.getUint32(at.steps, true));
  const half = completed ? undefined : mayHalfWork(c);
  for (let i = 0; i < shape.gprs; i++) {
    if (half?.gpr && i !== GPR.esp) continue;
    const a = registerAt(shape, h, at.gpr, i);
    const b = registerAt(shape, v, at.gpr, i);
    if (a === b || (i === c.halfDefined && sameLowHalf(a, b)) || mayClearUpperHalf(shape, c, i, a)) continue;
    return differs(registerNames(shape)[i], a, b);
  }
  const flags = FLAGS & ~(completed && withheld === undefined ? undefinedFlags(c) : half?.flags ? -1 : 0);
  const eflags = h.getUint32(at.eflags, true) & flags;
  const virtualFlags = v.getUint32(at.eflags, true) & flags;
  const restored = !completed && mayRestoreFlags(shape, c, eflags, flags);
  if (eflags !== virtualFlags && !restored) return differs('eflags', eflags, virtualFlags);
  const loose = {
    status: withheld ?? (completed ? undefinedStatus(c) : faultClears(c)),
    mxcsr: converted ? MXCSR_FLAGS : 0,
  };
  const float = half?.x87 ? undefined : floatDifference(shape, c, h, v, loose);
  if (float !== undefined || half?.memory) return float;
  return memoryDifference(shape, c, host, virtual);
}

/** @param loose bits that are not compared */
function floatDifference(
  shape: Shape,
  c: Case,
  h: DataView,
  v: DataView,
  loose: { readonly status: number; readonly mxcsr: number },
): string | undefined {
  const { fx, ymm } = shape.result;
  const [status, virtualStatus] = [h, v].map((view) => view.getUint16(fx + FX.status, true));
  for (const [name, offset, bits] of [
    ['x87 control', FX.control, 16],
    ['x87 status', FX.status, 16],
    ['x87 tags', FX.tags, 8],
    ['mxcsr', FX.mxcsr, 32],
  ] as const) {
    const read = (view: DataView): number =>
      bits === 8
        ? view.getUint8(fx + offset)
        : bits === 16
          ? view.getUint16(fx + offset, true)
          : view.getUint32(fx + offset, true);
    const mask = ~(offset === FX.status
      ? loose.status | inexactAtLeast(c, status, virtualStatus)
      : offset === FX.mxcsr
        ? loose.mxcsr
        : 0);
    if ((read(h) ^ read(v)) & mask) return differs(name, read(h), read(v));
  }
  for (let i = 0; i < 8; i++) {
    const at = fx + FX.st + i * 16;
    const virtualAt = fx + FX.st + sameRegister(i, status, virtualStatus) * 16;
    const a = h.getBigUint64(at, true);
    const b = v.getBigUint64(virtualAt, true);
    const aHigh = h.getUint16(at + 8, true);
    const bHigh = v.getUint16(virtualAt + 8, true);
    if (a === b && aHigh === bHigh) continue;
    if (isTranscendental(c.row.mnemonic) && isNeighbour(a, aHigh, b, bHigh)) continue;
    return `st(${i}): ${hex(aHigh)}:${hex(a)}, not ${hex(bHigh)}:${hex(b)}`;
  }
  const tolerance = APPROXIMATIONS[c.row.mnemonic.replace(/^v/, '')];
  for (let i = 0; i < shape.xmms * 8; i++) {
    const high = i >= shape.xmms * 4;
    const n = high ? i - shape.xmms * 4 : i;
    const at = (high ? ymm : fx + FX.xmm) + n * 4;
    if (h.getUint32(at, true) === v.getUint32(at, true)) continue;
    const dword = (n & 3) + (high ? 4 : 0);
    if (mayGatherElsewise(shape, c, n >> 2, dword, h.getInt32(at, true), v.getInt32(at, true))) continue;
    if (mayPropagateOther(shape, c, h, v, at)) continue;
    const a = h.getFloat32(at, true);
    const b = v.getFloat32(at, true);
    // Each side may be off by the tolerance; and below the normal numbers it may be 0.
    if (tolerance && Math.abs(a - b) <= Math.max(2 * tolerance * Math.abs(a), 2 ** -126)) continue;
    return differs(`${high ? 'y' : 'x'}mm${n >> 2}[${dword}]`, h.getUint32(at, true), v.getUint32(at, true));
  }
  return undefined;
}

/** Two extended numbers of one sign next to each other. */
function isNeighbour(a: bigint, aHigh: number, b: bigint, bHigh: number): boolean {
  const ordered = (significand: bigint, high: number): bigint =>
    (BigInt(high & 0x7fff) << 63n) + (significand & 0x7fff_ffff_ffff_ffffn);
  const distance = ordered(a, aHigh) - ordered(b, bHigh);
  return (aHigh & 0x8000) === (bHigh & 0x8000) && distance >= -1n && distance <= 1n;
}

function memoryDifference(shape: Shape, c: Case, from: Outcome, to: Outcome): string | undefined {
  const host = from.changes;
  const virtual = to.changes;
  const ignored = ignoredBytes(c);
  const start = c.memory?.offset ?? 0;
  const counts = (offset: number): boolean =>
    !ignored.some(([from, to]) => offset >= start + from && offset < start + to);
  let i = 0;
  let k = 0;
  while (i < host.length || k < virtual.length) {
    const a = host[i] ?? 0x1_0000;
    const b = virtual[k] ?? 0x1_0000;
    const offset = Math.min(a, b);
    const hostHas = a === offset;
    const virtualHas = b === offset;
    const same = hostHas && virtualHas && host[i + 1] === virtual[k + 1];
    if (counts(offset) && !same && !mayStoreOtherByte(shape, c, offset, hostHas ? host[i + 1] : undefined, from.view)) {
      const text = (has: boolean, value: number): string => (has ? hex(value) : 'unchanged');
      return `byte at ${hex(WINDOW.data + offset)}: ${text(hostHas, host[i + 1])}, not ${text(virtualHas, virtual[k + 1])}`;
    }
    if (hostHas) i += 2;
    if (virtualHas) k += 2;
  }
  return undefined;
}
