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
  mayFaultAtOther,
  mayFaultInOtherOrder,
  mayFaultInside,
  mayFaultOrNot,
  mayHalfWork,
  mayJumpBeyondLimit,
  undefinedFlags,
  undefinedStatus,
} from './allowances.ts';
import type { Case } from './generator.ts';
import { COMPLETED, FX, type Outcome, PAGE_FAULT, RESULT, WINDOW, YMM_BYTES } from './layout.ts';

const { cf, pf, af, zf, sf, of, df } = EFLAGS;
const FLAGS = cf | pf | af | zf | sf | of | df | EFLAGS.nt | EFLAGS.iopl | EFLAGS.if | EFLAGS.ac | EFLAGS.id;
export const REGISTERS = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
/** P, W/R, U/S. The host's NX sets another bit for fetches. */
const ERROR_BITS = 0xffff ^ 0x10;

const differs = (what: string, a: number | bigint, b: number | bigint): string => `${what}: ${hex(a)}, not ${hex(b)}`;
const hex = (n: number | bigint): string => `${(typeof n === 'number' ? n >>> 0 : n).toString(16)}h`;

/**
 * @returns what differs, in words: the host's value first; undefined when nothing does
 */
export function difference(c: Case, host: Outcome, virtual: Outcome): string | undefined {
  const h = host.view;
  const v = virtual.view;
  const trap = h.getInt32(RESULT.trap, true);
  const virtualTrap = v.getInt32(RESULT.trap, true);
  if (trap !== virtualTrap) {
    if (mayBeUnaligned(c, virtualTrap)) return undefined;
    if (mayFaultOrNot(c) || mayFaultInOtherOrder(c, trap, virtualTrap) || isLimitNotModelled(c, trap, virtualTrap))
      return undefined;
    if (virtualTrap === COMPLETED && mayJumpBeyondLimit(c, trap, v.getUint32(RESULT.eip, true))) return undefined;
  }
  if (trap !== virtualTrap) return `vector (1: completed): ${trap}, not ${virtualTrap}`;
  const completed = trap === COMPLETED;
  const eip = h.getUint32(RESULT.eip, true);
  if (eip !== v.getUint32(RESULT.eip, true)) return differs('eip', eip, v.getUint32(RESULT.eip, true));
  if (!completed) {
    const cr2 = h.getUint32(RESULT.cr2, true);
    const virtualCr2 = v.getUint32(RESULT.cr2, true);
    const gpr = (n: number): number => h.getUint32(RESULT.gpr + n * 4, true);
    const elsewhere =
      trap === PAGE_FAULT &&
      ((mayFaultInside(c, cr2) && mayFaultInside(c, virtualCr2)) ||
        mayFaultAtOther(c, virtualCr2, gpr(GPR.esi), gpr(GPR.edi)));
    if (trap === PAGE_FAULT && cr2 !== virtualCr2 && !elsewhere) return differs('cr2', cr2, virtualCr2);
    const error = h.getUint32(RESULT.error, true) & ERROR_BITS;
    const virtualError = v.getUint32(RESULT.error, true);
    if (error !== virtualError && (cr2 === virtualCr2 || !elsewhere)) return differs('error code', error, virtualError);
  } else if (isResultUndefined(c)) return undefined;
  // A gather may be interrupted after each element.
  const stepwise = c.row.options.vsib !== undefined;
  if (!c.block && !stepwise && h.getUint32(RESULT.steps, true) !== v.getUint32(RESULT.steps, true))
    return differs('single-step traps', h.getUint32(RESULT.steps, true), v.getUint32(RESULT.steps, true));
  const half = completed ? undefined : mayHalfWork(c);
  for (let i = 0; i < 8; i++) {
    if (half?.gpr && i !== GPR.esp) continue;
    const a = h.getUint32(RESULT.gpr + i * 4, true);
    const b = v.getUint32(RESULT.gpr + i * 4, true);
    if (a !== b) return differs(REGISTERS[i], a, b);
  }
  const flags = FLAGS & ~(completed ? undefinedFlags(c) : half?.flags ? -1 : 0);
  const eflags = h.getUint32(RESULT.eflags, true) & flags;
  const virtualFlags = v.getUint32(RESULT.eflags, true) & flags;
  if (eflags !== virtualFlags) return differs('eflags', eflags, virtualFlags);
  const float = half?.x87 ? undefined : floatDifference(c, h, v, completed);
  if (float !== undefined || half?.memory) return float;
  return memoryDifference(c, host.changes, virtual.changes);
}

function floatDifference(c: Case, h: DataView, v: DataView, completed: boolean): string | undefined {
  for (const [name, offset, bits] of [
    ['x87 control', FX.control, 16],
    ['x87 status', FX.status, 16],
    ['x87 tags', FX.tags, 8],
    ['mxcsr', FX.mxcsr, 32],
  ] as const) {
    const read = (view: DataView): number =>
      bits === 8
        ? view.getUint8(RESULT.fx + offset)
        : bits === 16
          ? view.getUint16(RESULT.fx + offset, true)
          : view.getUint32(RESULT.fx + offset, true);
    const mask = offset === FX.status && completed ? ~undefinedStatus(c) : -1;
    if ((read(h) ^ read(v)) & mask) return differs(name, read(h), read(v));
  }
  for (let i = 0; i < 8; i++) {
    const at = RESULT.fx + FX.st + i * 16;
    const a = h.getBigUint64(at, true);
    const b = v.getBigUint64(at, true);
    const aHigh = h.getUint16(at + 8, true);
    const bHigh = v.getUint16(at + 8, true);
    if (a === b && aHigh === bHigh) continue;
    if (isTranscendental(c.row.mnemonic) && isNeighbour(a, aHigh, b, bHigh)) continue;
    return `st(${i}): ${hex(aHigh)}:${hex(a)}, not ${hex(bHigh)}:${hex(b)}`;
  }
  const tolerance = APPROXIMATIONS[c.row.mnemonic.replace(/^v/, '')];
  const vectors = [RESULT.fx + FX.xmm, RESULT.ymm].flatMap((from) =>
    Array.from({ length: YMM_BYTES / 4 }, (_, i) => from + 4 * i),
  );
  for (const at of vectors) {
    if (h.getUint32(at, true) === v.getUint32(at, true)) continue;
    const a = h.getFloat32(at, true);
    const b = v.getFloat32(at, true);
    // Each side may be off by the tolerance; and below the normal numbers it may be 0.
    if (tolerance && Math.abs(a - b) <= Math.max(2 * tolerance * Math.abs(a), 2 ** -126)) continue;
    const high = at >= RESULT.ymm;
    const n = (at - (high ? RESULT.ymm : RESULT.fx + FX.xmm)) >> 2;
    return differs(
      `${high ? 'y' : 'x'}mm${n >> 2}[${(n & 3) + (high ? 4 : 0)}]`,
      h.getUint32(at, true),
      v.getUint32(at, true),
    );
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

function memoryDifference(c: Case, host: Uint16Array, virtual: Uint16Array): string | undefined {
  const ignored = ignoredBytes(c);
  const start = (c.memory?.at ?? 0) - WINDOW.data;
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
    if (counts(offset) && !(hostHas && virtualHas && host[i + 1] === virtual[k + 1])) {
      const text = (has: boolean, value: number): string => (has ? hex(value) : 'unchanged');
      return `byte at ${hex(WINDOW.data + offset)}: ${text(hostHas, host[i + 1])}, not ${text(virtualHas, virtual[k + 1])}`;
    }
    if (hostHas) i += 2;
    if (virtualHas) k += 2;
  }
  return undefined;
}
