/**
 * What may differ between the host and the virtual CPU, and why. Nothing that is not listed here may.
 *
 * Flags: SDM Vol. 2, "Flags Affected" of each instruction; Vol. 1, appendix A. Condition codes of the x87: "FPU Flags
 * Affected". What a manual calls undefined differs between processors, so it is not compared.
 */
import { EXCEPTION } from '#emu/cpu/isa/ops.ts';
import { EFLAGS } from '#emu/cpu/state/flags.ts';
import { isPrivileged } from './exclusions.ts';
import { FX, GIVEN, LONG_GIVEN, SEGMENTS, WINDOW } from './layout.ts';
import type { Case } from './plan.ts';

const { cf, pf, af, zf, sf, of } = EFLAGS;
const ALL = cf | pf | af | zf | sf | of;

const UNDEFINED_FLAGS: Readonly<Record<string, number>> = {
  and: af,
  or: af,
  xor: af,
  test: af,
  aaa: of | sf | zf | pf,
  aas: of | sf | zf | pf,
  aam: of | af | cf,
  aad: of | af | cf,
  daa: of,
  das: of,
  bsf: ALL & ~zf,
  bsr: ALL & ~zf,
  bt: of | sf | af | pf,
  bts: of | sf | af | pf,
  btr: of | sf | af | pf,
  btc: of | sf | af | pf,
  lzcnt: of | sf | af | pf,
  tzcnt: of | sf | af | pf,
  andn: af | pf,
  bextr: sf | af | pf,
  bzhi: af | pf,
  blsi: af | pf,
  blsmsk: af | pf,
  blsr: af | pf,
  div: ALL,
  idiv: ALL,
  mul: sf | zf | af | pf,
  imul: sf | zf | af | pf,
};

/** @returns EFLAGS bits that the instruction leaves undefined */
export function undefinedFlags(c: Case): number {
  const name = c.row.mnemonic;
  if (c.count < 0) return UNDEFINED_FLAGS[name] ?? 0;
  if (c.count === 0) return 0;
  const overflow = c.count === 1 ? 0 : of;
  if (/^(rol|ror|rcl|rcr)$/.test(name)) return overflow;
  // CF of SHL and SHR by the operand size or more; SHLD and SHRD beyond it are left out altogether.
  const carry = /^(shl|sal|shr)$/.test(name) && c.count >= c.size ? cf : 0;
  return overflow | carry | af;
}

/** Results, not only flags, are undefined: only completion is compared. */
export function isResultUndefined(c: Case): boolean {
  const name = c.row.mnemonic;
  if (name === 'shld' || name === 'shrd') return c.count > c.size;
  if (name === 'bswap') return c.size === 16;
  // Outside the range that the manual gives for ST(0).
  if (name === 'f2xm1') return !(Math.abs(topOf(c)) <= 1);
  if (name === 'fyl2xp1') return !(Math.abs(topOf(c)) < 1 - Math.SQRT1_2);
  return false;
}

/** ST(0) of the case, roughly; NaN for what is no number. */
function topOf(c: Case): number {
  const { fx } = c.codeSize === 64 ? LONG_GIVEN : GIVEN;
  const view = new DataView(c.given.buffer, c.given.byteOffset + fx + FX.st, 10);
  const high = view.getUint16(8, true);
  const significand = Number(view.getBigUint64(0, true)) / 2 ** 63;
  if ((high & 0x7fff) === 0x7fff) return significand === 1 ? Number.POSITIVE_INFINITY : Number.NaN;
  return significand * 2 ** ((high & 0x7fff) - 16383);
}

/** With nothing to store MASKMOVQ and MASKMOVDQU fault or not, as the processor likes (SDM Vol. 2). */
export const mayFaultOrNot = (c: Case): boolean => /^v?maskmov(q|dqu)/.test(c.row.mnemonic);

/**
 * Several faults at once. The virtual CPU looks at limits and types of all operands before anything else; processors do in
 * an order of their own (SDM Vol. 3A, table 6-2, leaves it open): alignment and privilege, the other operand, an exception
 * pending from before.
 */
export function mayFaultInOtherOrder(c: Case, host: number, virtual: number): boolean {
  const { row } = c;
  // The virtual CPU checks the target first, so that a fault leaves the stack as it was.
  if (c.codeSize === 64 && row.mnemonic === 'call' && host === EXCEPTION.pf) return virtual === EXCEPTION.gp;
  // One operand of CMPS is not canonical, the other not present: the manual does not say which comes first.
  if (c.codeSize === 64 && row.mnemonic.startsWith('cmps')) {
    return (host === EXCEPTION.gp && virtual === EXCEPTION.pf) || (host === EXCEPTION.pf && virtual === EXCEPTION.gp);
  }
  // An image through RBP or RSP that is neither aligned nor at a canonical address.
  if (c.codeSize === 64 && /(^|,)Mn(512|832)/.test(row.operands) && host === EXCEPTION.ss)
    return virtual === EXCEPTION.gp;
  if (c.flat || (virtual !== EXCEPTION.ss && virtual !== EXCEPTION.gp)) return false;
  if (host === EXCEPTION.mf) return isFloat(c) || /(^|,)[PQN]/.test(row.operands);
  const twoPlaces = /^[XY]|,[XY]|Mt|Ma/.test(row.operands) || /^(call|push|pop)$/.test(row.mnemonic);
  // POPA and PUSHA are a series of POPs and PUSHes: on processors a page may fault before a later one passes the limit.
  const series = /^(popa|pusha)/.test(row.mnemonic);
  if (host === EXCEPTION.pf) return twoPlaces || series || /(^|,)Mn/.test(row.operands);
  // The header that XRSTOR reads may be wrong, and the segment end within it.
  const header = row.mnemonic.startsWith('xrstor');
  const either = host === EXCEPTION.gp || host === EXCEPTION.ss;
  return either && (twoPlaces || header || isPrivileged(row) || isUnaligned(c));
}

/** A memory operand that may have to be aligned (SDM Vol. 1, 14.9; Vol. 2, FXSAVE and XSAVE), and is not. */
function isUnaligned(c: Case): boolean {
  const [, , type] = /(^|,)[WM](x|qq|n512|n832)(,|$)/.exec(c.row.operands) ?? [];
  const alignment = { x: 16, qq: 32, n512: 16, n832: 64 }[type ?? ''];
  return alignment !== undefined && c.memory !== undefined && c.memory.at % alignment !== 0;
}

/** AMD's processors take SHA's operands in memory wherever they lie; Intel's ask for alignment (SDM Vol. 2, 2.4.4). */
export const mayBeUnaligned = (c: Case, virtual: number): boolean =>
  c.row.mnemonic.startsWith('sha') && virtual === EXCEPTION.gp && c.memory !== undefined && (c.memory.at & 15) !== 0;

/**
 * VPEXTRQ and VPINSRQ exist in 64-bit code only. In other code AMD's processors do not know VEX.W = 1 (#UD), Intel's ignore
 * it: VPEXTRD and VPINSRD (SDM Vol. 2, the notes there), which is what the virtual CPU does.
 */
export const mayRefuseWide = (c: Case, host: number): boolean =>
  host === EXCEPTION.ud && c.codeSize !== 64 && /^VEX\.128\.66\.0F3A\.WIG (16|22)$/.test(c.row.opcode) && isVexW(c);

/** After an address-size prefix, the third byte of the prefix C4 has W. */
const isVexW = ({ code }: Case): boolean => {
  const at = code[0] === 0x67 ? 1 : 0;
  return code[at] === 0xc4 && (code[at + 2] & 0x80) !== 0;
};

/**
 * Control and debug registers that do not exist are undefined even without the privilege for those that do; and a
 * hypervisor that runs the host's kernel without privileges may answer privileged instructions with another fault.
 */
export const mayBeUndefined = (c: Case, host: number, virtual: number): boolean =>
  isPrivileged(c.row) && host === EXCEPTION.ud && virtual === EXCEPTION.gp;

/**
 * Not modelled: limits of XLAT, of MASKMOVQ and MASKMOVDQU, and of what ENTER accesses after its first push. ARPL is
 * checked for writing even when it will not write.
 */
export function isLimitNotModelled(c: Case, host: number, virtual: number): boolean {
  if (c.flat) return false;
  const fault = c.row.mnemonic === 'arpl' ? virtual : host;
  const unchecked = /^(xlatb|v?maskmov(q|dqu)|enter|arpl)/.test(c.row.mnemonic);
  return unchecked && (fault === EXCEPTION.ss || fault === EXCEPTION.gp);
}

/**
 * A masked operand that begins below 4 GB and ends beyond, at offset 0 and more. The virtual CPU asks the segment for each
 * element that is used, AMD's processors for the operand as a whole; what happens there is left open (SDM Vol. 3A, 5.3).
 */
export function mayFaultAroundEnd(c: Case, host: number): boolean {
  if (c.flat || c.row.options.access !== 'masked' || c.memory === undefined) return false;
  const { at, bytes } = c.memory;
  const around = at < WINDOW.data && at + bytes > WINDOW.data;
  return around && (host === EXCEPTION.gp || host === EXCEPTION.ss);
}

/** Not modelled: a near jump beyond the code segment's limit faults at its target, not at the jump. */
export const mayJumpBeyondLimit = (c: Case, host: number, eip: number): boolean =>
  host === EXCEPTION.gp && !c.flat && eip > SEGMENTS.code32.limit && c.row.options.ends === true;

/** After a fault: registers that the instruction may have changed before it. */
export const mayHalfWork = (c: Case): Record<'gpr' | 'x87' | 'flags' | 'memory', boolean> => ({
  // POPA is a series of POPs to AMD's processors. ESP stays.
  gpr: c.row.mnemonic.startsWith('popa'),
  // AMD's set TOP to 0, as MMX instructions do, before MASKMOVQ faults.
  x87: c.row.mnemonic === 'maskmovq',
  // Below the stack's top.
  memory: /^(pusha|enter)/.test(c.row.mnemonic),
  // Flags are those from before REP; but the host is single-stepped, so to it each iteration is an instruction.
  flags: c.block && /^(cmps|scas)/.test(c.row.mnemonic),
});

/** An image of the x87 and SSE state: the manual does not say in which order its bytes are accessed. */
export const mayFaultInside = (c: Case, cr2: number): boolean =>
  /(^|,)Mn/.test(c.row.operands) && c.memory !== undefined && cr2 >= c.memory.at && cr2 < c.memory.at + c.memory.bytes;

/**
 * CMPS with two operands that fault: the manual does not say which comes first.
 * @param cr2 the virtual CPU's
 */
export function mayFaultAtOther(c: Case, cr2: number, esi: bigint, edi: bigint): boolean {
  if (!c.row.mnemonic.startsWith('cmps')) return false;
  const { buffer, byteOffset } = c.given;
  const view = new DataView(buffer, byteOffset);
  const long = c.codeSize === 64;
  const bases = long
    ? [0n, view.getBigInt64(LONG_GIVEN.fsBase, true), view.getBigInt64(LONG_GIVEN.gsBase, true)]
    : [0n, BigInt(WINDOW.data)];
  const narrow = long ? 32 : 16;
  return [esi, edi, BigInt.asUintN(narrow, esi), BigInt.asUintN(narrow, edi)].some((offset) =>
    bases.some((base) => {
      const at = Number(BigInt.asIntN(64, offset + base));
      return cr2 >= at && cr2 < at + c.size / 8;
    }),
  );
}

const CONDITIONS = { c0: 0x100, c1: 0x200, c2: 0x400, c3: 0x4000 } as const;
const C023 = CONDITIONS.c0 | CONDITIONS.c2 | CONDITIONS.c3;

/** x87 instructions that say something with all condition codes, or load or keep them. */
const DEFINES_CONDITIONS = /^(fcom|fucom|ficom|ftst|fxam|fprem|fldenv|frstor|fxrstor|fxsave|fninit|fnop|ffree)/;

/** @returns x87 status bits that the instruction leaves undefined */
export function undefinedStatus(c: Case): number {
  const name = c.row.mnemonic;
  // The manual's C1 = 0; AMD processors keep it.
  if (/^(fcmov|fu?comi)/.test(name)) return CONDITIONS.c1;
  if (!isFloat(c) || DEFINES_CONDITIONS.test(name)) return 0;
  if (isTranscendental(name)) return CONDITIONS.c0 | CONDITIONS.c1 | CONDITIONS.c3;
  if (/^(fnclex|fldcw|fnstcw|fnstsw|fnstenv|fnsave)$/.test(name)) return C023 | CONDITIONS.c1;
  return C023;
}

export const isFloat = (c: Case): boolean => /^(D[89A-F]|9B|NP 0F AE \/[01])/.test(c.row.opcode);

const TRANSCENDENTAL = ['f2xm1', 'fyl2x', 'fyl2xp1', 'fptan', 'fpatan', 'fsin', 'fcos', 'fsincos'];
/** Within one unit in the last place, on real processors too (SDM Vol. 1, 8.3.10). */
export const isTranscendental = (name: string): boolean => TRANSCENDENTAL.includes(name);

/** Approximations: the largest relative error (SDM Vol. 2, RCPPS and RSQRTPS) of each side. */
export const APPROXIMATIONS: Readonly<Record<string, number>> = {
  rcpps: 1.5 * 2 ** -12,
  rcpss: 1.5 * 2 ** -12,
  rsqrtps: 1.5 * 2 ** -12,
  rsqrtss: 1.5 * 2 ** -12,
};

/** Bytes of a stored image, relative to its start, that are not compared: `from` inclusive, `to` exclusive. */
export function ignoredBytes(c: Case): readonly (readonly [from: number, to: number])[] {
  switch (c.row.mnemonic.split('|')[0]) {
    // Pointers to the last instruction and operand: AMD processors keep them only while an exception is pending, and the
    // host's kernel reloads them between cases.
    case 'fnstenv':
    case 'fnsave':
      return c.size === 16 ? [[6, 14]] : [[12, 28]];
    case 'xsave':
    case 'xsaveopt':
    case 'fxsave':
    case 'fxsave|fxsave|fxsave64':
      // Likewise; MXCSR_MASK, which has a bit for AMD's misaligned mode; and what is reserved.
      return [
        [6, 24],
        [28, 32],
        ...(c.codeSize === 64 ? [[416, 512] as const] : [[288, 512] as const, [704, 832] as const]),
      ];
    default:
      return [];
  }
}
