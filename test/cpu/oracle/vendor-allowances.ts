/**
 * What processors of one maker do in their own way where the manuals leave it open, seen on hosts of that maker (Intel:
 * Sapphire Rapids). Each allows one outcome beside the virtual CPU's; the rest of the state is compared.
 */

import { EXCEPTION } from '#emu/cpu/isa/ops.ts';
import { GPR } from '#emu/cpu/state/layout.ts';
import { isTranscendental } from './allowances.ts';
import { hostVendor } from './host.ts';
import { addressAt, COMPLETED, FX, GIVEN, HIGH_WINDOW, registerAt, type Shape, segmentOf, WINDOW } from './layout.ts';
import type { Case } from './plan.ts';

const intel = hostVendor === 'intel';
const amd = hostVendor === 'amd';

const givenOf = (c: Case): DataView => new DataView(c.given.buffer, c.given.byteOffset, c.given.byteLength);

/** x87 status: TOP, and what an exception that waits for a handler sets: its bits, SF, ES, C1 and B. */
const STATUS = { top: 0x3800, exception: 0x82ff, inexact: 0x20, busy: 0x8000 } as const;
const ERROR_SUMMARY = 0x80;
const topOf = (status: number): number => (status >> 11) & 7;

/**
 * Intel's processors find an unmasked exception of an x87 store before they look at the page or the segment, so there
 * is nothing to fault; AMD's and the virtual CPU look at memory first (SDM Vol. 3A, 6.9: the order is left open).
 * @returns bits of the status word that then differ; undefined: the difference is none of this
 */
export function storeWithheld(
  shape: Shape,
  c: Case,
  trap: number,
  virtualTrap: number,
  h: DataView,
): number | undefined {
  const memoryFault = [EXCEPTION.pf, EXCEPTION.gp, EXCEPTION.ss].some((fault) => fault === virtualTrap);
  if (!intel || trap !== COMPLETED || !memoryFault || !/^(fstp?|fistp?|fisttp|fbstp)$/.test(c.row.mnemonic))
    return undefined;
  const { result } = shape;
  const status = h.getUint16(result.fx + FX.status, true);
  const unmasked = status & ~h.getUint16(result.fx + FX.control, true) & 0x3f;
  const next = addressAt(shape, h, result.eip) === c.eip + c.code.length;
  return next && unmasked !== 0 && (status & ERROR_SUMMARY) !== 0 ? STATUS.exception : undefined;
}

/**
 * Transcendental functions whose result is exact, such as FYL2X of a power of two: Intel's processors say inexact all the
 * same (SDM Vol. 1, 8.3.10, promises a result within one unit in the last place, and no more).
 * @returns bits of the status word that then differ
 */
export function inexactAtLeast(c: Case, status: number, virtualStatus: number): number {
  const alone = (status & STATUS.inexact) !== 0 && (virtualStatus & STATUS.inexact) === 0;
  return intel && alone && isTranscendental(c.row.mnemonic) ? STATUS.inexact | ERROR_SUMMARY | STATUS.busy : 0;
}

/**
 * VCVTPS2PH converts before it stores: on Intel's processors the flags of the conversion are in MXCSR when the store
 * faults, and an unmasked exception comes before the page fault. No order is documented.
 */
export const convertsFirst = (c: Case, trap: number, virtualTrap: number): boolean =>
  intel &&
  c.row.mnemonic === 'vcvtps2ph' &&
  (trap === virtualTrap || trap === EXCEPTION.xm) &&
  [EXCEPTION.pf, EXCEPTION.gp, EXCEPTION.ss].some((fault) => fault === virtualTrap);

/**
 * Several faults at once (SDM Vol. 3A, table 6-2, leaves the order open), as Intel's processors do it: a masked access
 * looks at the segment for all elements, then at pages; BOUND compares with the lower bound before it reads the upper.
 */
export function faultsInOtherOrder(c: Case, trap: number, virtualTrap: number): boolean {
  if (!intel) return false;
  const isSegment = (fault: number): boolean => fault === EXCEPTION.gp || fault === EXCEPTION.ss;
  if (c.row.mnemonic === 'bound') {
    return trap === EXCEPTION.br && (isSegment(virtualTrap) || virtualTrap === EXCEPTION.pf);
  }
  const masked = c.row.options.access === 'masked' && !isGather(c);
  return masked && !c.flat && isSegment(trap) && virtualTrap === EXCEPTION.pf;
}

const isMaskedStore = (c: Case): boolean =>
  /^vp?maskmov(p[sd]|[dq])$/.test(c.row.mnemonic) && c.row.operands.startsWith('M');

/** Not in 64-bit code, where the whole slot is written. */
const pushesSegment = (c: Case): boolean =>
  c.row.mnemonic === 'push' && /^[ECSDFG]S$/.test(c.row.operands) && c.codeSize !== 64;

/**
 * What 16 bits do not reach cannot fault: the other half of PUSH's slot (mayStoreOtherByte has the rest of it), and of the
 * operand of MOVSXD with 16 bits, which is r/m16 to Intel (SDM Vol. 2), r/m32 to AMD and the virtual CPU.
 */
export function mayNotReach(shape: Shape, c: Case, trap: number, virtualTrap: number, h: DataView): boolean {
  const fault = [EXCEPTION.pf, EXCEPTION.gp, EXCEPTION.ss].some((vector) => vector === virtualTrap);
  if (!intel || trap !== COMPLETED || !fault) return false;
  const { given, result } = shape;
  if (c.row.mnemonic === 'movsxd') return c.size === 16 && addressAt(shape, h, result.eip) === c.eip + c.code.length;
  if (!pushesSegment(c) || c.size !== 32) return false;
  const moved = givenOf(c).getUint32(given.gpr + GPR.esp * 4, true) - h.getUint32(result.gpr + GPR.esp * 4, true);
  return (moved & 0xffff) === 4 && addressAt(shape, h, result.eip) === c.eip + c.code.length;
}

/**
 * The address that a faulting masked store reports. Intel's: the last byte of an element that is to be stored, and for
 * MASKMOVDQU the second half. The virtual CPU's: the first byte on the missing page.
 */
export function mayReportOtherByte(shape: Shape, c: Case, cr2: number, virtualCr2: number): boolean {
  if (!intel) return false;
  const { given } = shape;
  if (/^v?maskmovdqu$/.test(c.row.mnemonic)) {
    // Addresses of 16 and 32 bits wrap.
    const ahead = [16, 32, 64].map((bits) => BigInt.asUintN(bits, BigInt(cr2) - BigInt(virtualCr2)));
    return ahead.some((bytes) => 0n < bytes && bytes <= 8n);
  }
  if (!isMaskedStore(c) || c.memory === undefined) return false;
  const size = /[sd]$/.test(c.row.mnemonic) && c.row.mnemonic !== 'vmaskmovpd' ? 4 : 8;
  const behind = cr2 + 1 - c.memory.at;
  if (behind <= 0 || behind > c.memory.bytes || behind % size !== 0) return false;
  const mask = vvvvOf(c);
  const at = behind - 1;
  const view = givenOf(c);
  const from = at < 16 ? given.fx + FX.xmm + mask * 16 + at : given.ymm + mask * 16 + at - 16;
  return (view.getUint8(from) & 0x80) !== 0;
}

/** The register of VEX.vvvv in a case with the prefix C4 or C5. */
function vvvvOf({ code }: Case): number {
  const at = code.findIndex((byte) => byte === 0xc4 || byte === 0xc5);
  return (~(code[at] === 0xc4 ? code[at + 2] : code[at + 1]) >> 3) & 15;
}

/**
 * String instructions with REP and 32-bit addresses in 64-bit code: Intel's processors clear the upper halves of RCX,
 * RSI and RDI even when no iteration has been done; AMD's and the virtual CPU leave them (SDM Vol. 2, REP: nothing is
 * said of it).
 * @param n the register
 * @param now the host's value
 */
export function mayClearUpperHalf(shape: Shape, c: Case, n: number, now: number | bigint): boolean {
  if (!intel || c.codeSize !== 64 || !/^(movs|stos|lods|cmps|scas)/.test(c.row.mnemonic)) return false;
  if (n !== GPR.ecx && n !== GPR.esi && n !== GPR.edi) return false;
  const before = BigInt(registerAt(shape, givenOf(c), shape.given.gpr, n));
  return c.code.includes(0x67) && BigInt(now) === BigInt.asUintN(32, before);
}

/**
 * CMPS and SCAS that fault after some iterations, single-stepped: Intel's processors restore the flags from before the
 * instruction (SDM Vol. 2, REP), whatever traps came between; to the virtual CPU each iteration after a trap is one.
 */
export const mayRestoreFlags = (shape: Shape, c: Case, flags: number, mask: number): boolean =>
  intel &&
  /^(cmps|scas)/.test(c.row.mnemonic) &&
  ((givenOf(c).getUint32(shape.given.eflags, true) ^ flags) & mask) === 0;

/** @returns TOP when stores of MMX registers clear it before they fault, which Intel's processors do */
export const faultClears = (c: Case): number =>
  intel && /^(movd|movq|movntq|maskmovq)/.test(c.row.mnemonic) && /(^|,)[PN]q/.test(c.row.operands) ? STATUS.top : 0;

/**
 * Where ST(i) of the host is among those of the virtual CPU.
 * @param status of both: TOP may differ after a fault
 */
export const sameRegister = (i: number, status: number, virtualStatus: number): number =>
  (i + topOf(status) - topOf(virtualStatus)) & 7;

const isGather = (c: Case): boolean => c.row.options.vsib !== undefined;

/**
 * A gather that faults. AMD's processors leave the elements of the mask that wait as they were, the manual and the
 * virtual CPU fill them with their sign; the upper half, which 128-bit forms clear, is cleared at the end or at once.
 * @param n dword of the register, 4 and above in the upper half
 */
export function mayGatherElsewise(shape: Shape, c: Case, register: number, n: number, a: number, b: number): boolean {
  if (!isGather(c)) return false;
  const { given } = shape;
  const before = (dword: number): number =>
    givenOf(c).getInt32(
      (dword < 4 ? given.fx + FX.xmm + dword * 4 : given.ymm + (dword - 4) * 4) + register * 16,
      true,
    );
  const isMask = register === vvvvOf(c);
  const sign = before(c.row.operands.includes('Mq') ? n | 1 : n) >> 31;
  // Forms with more room in the mask than elements: Intel's fill all of it first.
  if (intel && isMask && b === 0 && a === sign && /^vp?gatherq(d|ps)$/.test(c.row.mnemonic)) return true;
  if (n >= 4 && !c.row.operands.includes('Hqq')) return (a === 0 && b === before(n)) || (b === 0 && a === before(n));
  return amd && isMask && a === before(n) && (b === sign || b === 0);
}

/**
 * DPPS and DPPD of several NaNs give one of them, or that of an invalid operation. The manual adds once and spreads the
 * sum; Intel's processors add in each element, in another order, so that elements differ.
 * @param at offset in results of an element's lower or only dword
 */
export function mayPropagateOther(shape: Shape, c: Case, h: DataView, v: DataView, at: number): boolean {
  const [, type] = /^v?dpp([sd])$/.exec(c.row.mnemonic) ?? [];
  if (!intel || type === undefined) return false;
  const quiet = type === 's' ? 0x40_0000n : 1n << 51n;
  const infinity = type === 's' ? 0x7f80_0000n : 0x7ff0_0000_0000_0000n;
  const magnitude = type === 's' ? 0x7fff_ffffn : 0x7fff_ffff_ffff_ffffn;
  const start = type === 's' ? at : at - ((at - shape.result.fx - FX.xmm) & 7);
  const read = (view: DataView, from: number): bigint =>
    type === 's' ? BigInt(view.getUint32(from, true)) : view.getBigUint64(from, true);
  const isNan = (n: bigint): boolean => (n & magnitude) > infinity;
  const found = read(h, start);
  if (!isNan(found) || !isNan(read(v, start)) || (found & quiet) === 0n) return false;
  const wanted = (n: bigint): boolean => isNan(n) && (n | quiet) === found;
  if (found === (infinity | quiet | (magnitude + 1n))) return true;
  return factorsOf(shape, c).some((factor) => {
    // Of memory that the case leaves as the run found it, nothing is known here.
    if (factor === undefined) return true;
    const elements = Array.from({ length: factor.byteLength / (type === 's' ? 4 : 8) }, (_, k) => k);
    return elements.some((k) => wanted(read(factor, k * (type === 's' ? 4 : 8))));
  });
}

/** Both factors of a DPPS or DPPD: 16 or 32 bytes each. */
function factorsOf(shape: Shape, c: Case): readonly (DataView | undefined)[] {
  const { code } = c;
  const vex = code.indexOf(0xc4);
  const isVex = c.row.opcode.startsWith('VEX');
  const map = isVex ? vex + 2 : code.indexOf(0x3a);
  const modrm = code[map + 2];
  // REX before 0F 3A; the inverted bits of VEX otherwise.
  const rex = isVex ? ~code[vex + 1] >> 5 : c.codeSize === 64 && (code[map - 2] & 0xf0) === 0x40 ? code[map - 2] : 0;
  const first = isVex ? vvvvOf(c) : ((modrm >> 3) & 7) | ((rex & 4) << 1);
  const second = modrm < 0xc0 ? memoryOf(shape, c) : registerOf(shape, c, (modrm & 7) | ((rex & 1) << 3));
  return [registerOf(shape, c, first), second];
}

function registerOf(shape: Shape, c: Case, n: number): DataView {
  const bytes = new Uint8Array(32);
  bytes.set(c.given.subarray(shape.given.fx + FX.xmm + n * 16).subarray(0, 16));
  bytes.set(c.given.subarray(shape.given.ymm + n * 16).subarray(0, 16), 16);
  return new DataView(bytes.buffer);
}

/** The memory operand, from the case's patches of the data window; undefined when they leave any of it out. */
function memoryOf(shape: Shape, c: Case): DataView | undefined {
  const view = givenOf(c);
  const start = c.memory?.offset ?? 0;
  const bytes = new Uint8Array(c.memory?.bytes ?? 0);
  let known = 0;
  let at = shape.given.patches + 2;
  for (let left = view.getUint16(shape.given.patches, true); left > 0; left--) {
    const offset = view.getUint16(at, true);
    const length = view.getUint16(at + 2, true);
    for (let i = 0; i < length; i++) {
      const to = offset + i - start;
      if (to < 0 || to >= bytes.length) continue;
      bytes[to] = c.given[at + 4 + i];
      known++;
    }
    at += 4 + length;
  }
  return known < bytes.length ? undefined : new DataView(bytes.buffer);
}

/**
 * Bytes of the data window that the host may leave or write otherwise.
 *
 * PUSH of a segment register: Intel's processors write 16 bits of a 32-bit slot (SDM Vol. 2, PUSH: "all recent Intel Core
 * and Intel Atom processors perform a 16-bit move"); AMD's and the virtual CPU write a zero-extended value.
 * Near CALL in 64-bit code to no canonical address: Intel's have pushed when they fault; the manual checks first.
 * FSTP and FBSTP of 80 bits into two pages, the second of which faults: Intel's have written the first part.
 * @param host the host's byte; undefined: unchanged
 */
export function mayStoreOtherByte(
  shape: Shape,
  c: Case,
  offset: number,
  host: number | undefined,
  h: DataView,
): boolean {
  if (!intel) return false;
  if (pushesSegment(c)) {
    const stack = segmentOf(givenOf(c).getUint16(GIVEN.ss, true));
    const top = h.getUint32(shape.result.gpr + GPR.esp * 4, true);
    const n = WINDOW.data + offset - (stack.base + (stack.wide ? top : top & 0xffff));
    return host === undefined && (n === 2 || n === 3);
  }
  if (c.row.mnemonic === 'call' && c.codeSize === 64) {
    const top = addressAt(shape, h, shape.result.gpr + GPR.esp * 8);
    const fault = h.getInt32(shape.result.trap, true) === EXCEPTION.gp;
    const n = [WINDOW.data, HIGH_WINDOW.data].map((window) => window + offset - (top - 8)).find((i) => i >= 0 && i < 8);
    const next = BigInt(c.eip + c.code.length);
    return fault && n !== undefined && BigInt(host ?? -1) === BigInt.asUintN(8, next >> BigInt(n * 8));
  }
  const completed = h.getInt32(shape.result.trap, true) === COMPLETED;
  if (completed || !/^Mt(,|$)/.test(c.row.operands) || c.memory === undefined) return false;
  const n = offset - c.memory.offset;
  if (n < 0 || n >= 10 || host === undefined) return n >= 0 && n < 10;
  // What an invalid operation stores, decimal digits, or the register.
  const indefinite = n < 7 ? 0 : n === 7 ? 0xc0 : 0xff;
  if (c.row.mnemonic === 'fbstp') return host === indefinite || (host & 15) < 10;
  return host === indefinite || host === h.getUint8(shape.result.fx + FX.st + n);
}
