/**
 * Memory type range registers and the machine-check banks: storage with the checks of hardware. All memory is coherent
 * and nothing breaks here, so neither has an effect.
 *
 * Source: SDM Vol. 3A, 11.11 (MTRRs), 15.3 (machine-check MSRs); Vol. 4, chapter 2.
 * Not modelled: SMRR, CMCI, IA32_MCG_CTL (MCG_CTL_P is clear), errors injected by software.
 */
import { PHYSICAL_BITS } from '../mmu/page-walk.ts';
import type { CpuState } from '../state/cpu-state.ts';
import { STATE } from '../state/layout.ts';

const MTRR_CAP = 0xfe;
const PHYS_BASE0 = 0x200;
const DEFAULT_TYPE = 0x2ff;
const VARIABLE_RANGES = 8;
/** VCNT, FIX and WC. */
const MTRR_CAP_LOW = VARIABLE_RANGES | (1 << 8) | (1 << 10);
const FIXED: readonly number[] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];

const MCG_CAP = 0x179;
const MCG_STATUS = 0x17a;
const MCG_STATUS_WRITABLE = 0x7;
const MC0_CTL = 0x400;
const BANKS = 4;

const PHYSICAL_HIGH_RESERVED = ~((1 << (PHYSICAL_BITS - 32)) - 1);
const DEFAULT_TYPE_RESERVED = ~0xcff;
const BASE_RESERVED = 0xf00;
const MASK_RESERVED = 0x7ff;

/** What is read, as 32-bit halves: a field of the state block, or constants. */
export type RangeMsr = { readonly field: number } | { readonly low: number };

/** The register with this number, or undefined when it is none of these. */
export function rangeMsr(number: number): RangeMsr | undefined {
  if (number === MTRR_CAP) return { low: MTRR_CAP_LOW };
  if (number >= PHYS_BASE0 && number < PHYS_BASE0 + VARIABLE_RANGES * 2) {
    return { field: STATE.mtrrVariable + (number - PHYS_BASE0) * 8 };
  }
  if (number === DEFAULT_TYPE) return { field: STATE.mtrrDefault };
  const fixed = FIXED.indexOf(number);
  if (fixed >= 0) return { field: STATE.mtrrFixed + fixed * 8 };
  if (number === MCG_CAP) return { low: BANKS };
  if (number === MCG_STATUS) return { field: STATE.mcgStatus };
  if (number < MC0_CTL || number >= MC0_CTL + BANKS * 4) return undefined;
  // STATUS, ADDR and MISC of a bank without errors are zero.
  return number & 3 ? { low: 0 } : { field: STATE.mcControl + ((number - MC0_CTL) >> 2) * 8 };
}

/** WRMSR. @returns false for #GP(0) */
export function writeRangeMsr(state: CpuState, number: number, low: number, high: number): boolean {
  const register = rangeMsr(number);
  if (!register || !accepts(number, low, high)) return false;
  if (!('field' in register)) return true;
  state.set(register.field, low);
  state.set(register.field + 4, high);
  return true;
}

function accepts(number: number, low: number, high: number): boolean {
  if (number === MTRR_CAP || number === MCG_CAP) return false;
  if (number === MCG_STATUS) return high === 0 && (low & ~MCG_STATUS_WRITABLE) === 0;
  if (number >= MC0_CTL) return (number & 3) === 0 || (low === 0 && high === 0);
  if (number === DEFAULT_TYPE) return high === 0 && (low & DEFAULT_TYPE_RESERVED) === 0 && isType(low & 0xff);
  if (number >= 0x250) return isTypeWord(low) && isTypeWord(high);
  if (high & PHYSICAL_HIGH_RESERVED) return false;
  return number & 1 ? (low & MASK_RESERVED) === 0 : (low & BASE_RESERVED) === 0 && isType(low & 0xff);
}

/** Uncacheable, write-combining, write-through, write-protected, write-back. */
const isType = (type: number): boolean => type === 0 || type === 1 || (type >= 4 && type <= 6);
const isTypeWord = (word: number): boolean => [0, 8, 16, 24].every((shift) => isType((word >>> shift) & 0xff));

const WRITE_BACK = 0x0606_0606;
const WRITE_PROTECTED = 0x0505_0505;
/** Default type write-back, MTRRs and fixed ranges on. */
const ON_WRITE_BACK = 0xc06;

/** RESET#: off, everything uncacheable; SDM 11.11.5 leaves the rest undefined. */
export function resetRanges(state: CpuState): void {
  const end = STATE.mcControl + BANKS * 8;
  for (let at = STATE.mtrrFixed; at < end; at += 4) state.set(at, 0);
}

/**
 * Sets the ranges as a BIOS does: RAM write-back, VGA uncacheable, ROM write-protected, device memory uncacheable.
 * @param deviceBase where memory of devices begins; a power of two below it reaches to 4 GB
 */
export function setRangesAsFirmware(state: CpuState, deviceBase: number): void {
  const fixed = (index: number, value: number): void => {
    state.set(STATE.mtrrFixed + index * 8, value);
    state.set(STATE.mtrrFixed + index * 8 + 4, value);
  };
  for (let index = 0; index < FIXED.length; index++) {
    fixed(index, index < 2 ? WRITE_BACK : index === 2 ? 0 : WRITE_PROTECTED);
  }
  state.set(STATE.mtrrVariable, deviceBase | 0);
  state.set(STATE.mtrrVariable + 8, deviceBase | 0x800 | 0);
  state.set(STATE.mtrrVariable + 12, ~PHYSICAL_HIGH_RESERVED);
  state.set(STATE.mtrrDefault, ON_WRITE_BACK);
}
