/**
 * The shape of the instruction table: one row an encoding, in the manual's notation (SDM Vol. 2, chapter 3 and appendix A).
 *
 * Opcode: `[NP|66|F3|F2] [0F [38|3A]] xx [+r] [/n] [r|m] [yy]`, hexadecimal.
 *   `NP`/`66`/`F3`/`F2`: the mandatory prefix (`NP`: none of the three). Without one the prefixes keep their usual meaning.
 *   Or `VEX.<128|256|LIG|L0|L1>[.66|.F3|.F2].<0F|0F38|0F3A>.<WIG|W0|W1> xx ...` as the manual writes it.
 *   `+r`: the low three bits name a register (operand Z). `/n`: ModRM.reg selects the row. `r`/`m`: ModRM.mod is or is not 3.
 *   `yy`: the whole ModRM byte.
 * Operands, destination first, separated by commas; address method then type:
 *   E general register or memory by ModRM; G general register by ModRM.reg; Z register by opcode; M memory only; R register by ModRM.rm
 *   S segment register by ModRM.reg; C, D control and debug register by ModRM.reg
 *   V XMM by ModRM.reg; W XMM or memory by ModRM; U XMM by ModRM.rm; P MMX by ModRM.reg; Q MMX or memory; N MMX by ModRM.rm
 *   H XMM or YMM by VEX.vvvv; B general register by VEX.vvvv; L XMM or YMM by bits 7-4 of the immediate byte
 *   I immediate (b sign-extended where the operand size is larger: `Ibs`); J relative target; A far pointer; O moffs; X DS:rSI; Y ES:rDI
 *   types: b 8, w 16, d 32, q 64, x 128 (also `dq`), qq 256 (a YMM register, where it is one), t 80, v operand size (16/32/64), z
 *   operand size but at most 32 bits (an immediate is sign-extended to 64), y 64 with REX.W, else 32 (its rows have no 16-bit case),
 *   p far pointer (16:v; the immediate `Ap` is two operands: `read(n)` its offset, `read(n + 1)` its selector),
 *   a pair of v (BOUND), yy a pair of y (CMPXCHG8B), s pseudo-descriptor (6 bytes), none = address only or `n<bytes>` that many bytes
 *   fixed: AL CL DX AX eAX (operand size) 1 ST0 STi (ModRM.rm) and segment names ES CS SS DS FS GS.
 */
import type { Ops } from './ops.ts';

export interface Row {
  readonly opcode: string;
  /** Lower case, Intel syntax; for rows whose name depends on the operand size, `word|dword|qword` forms: `cbw|cwde|cdqe`. */
  readonly mnemonic: string;
  readonly operands: string;
  readonly semantics: (e: Ops) => void;
  readonly options: RowOptions;
}

export interface RowOptions {
  /** Inlined in the interpreter's main function: for what programs execute all the time. */
  readonly hot?: boolean;
  /** Control does not (always) go to the next instruction, or what is decoded next may change. */
  readonly ends?: boolean;
  /** One more instruction, then the block ends (STI, MOV SS). */
  readonly shadow?: boolean;
  /** Interrupts that wait may come after it (POPF). */
  readonly unmasks?: boolean;
  /** Needs `stackSize` fixed; bytes pushed (negative) or popped by it in units of the operand size, for limit checks. `frame`: what EBP points to is popped. */
  readonly stack?: number | 'frame';
  /** Needs `addressSize` fixed. */
  readonly address?: boolean;
  /** F3/F2 repeat it. `rep`: both mean REP; `repz`: F3 REPE, F2 REPNE. */
  readonly rep?: 'rep' | 'repz';
  /** LOCK is allowed when the destination is memory. */
  readonly lock?: boolean;
  /** Operand-size prefixes do not change it: `size` is always this. */
  readonly size?: 8 | 16 | 32 | 64;
  /** In 64-bit code the operand size is 64 by default, 16 with 66h. */
  readonly default64?: boolean;
  /** In 64-bit code the operand size is 64 whatever the prefixes say. */
  readonly force64?: boolean;
  /** 32 bits, 64 with REX.W, though no operand shows it. */
  readonly rexW?: boolean;
  /** REX.W does not widen it. */
  readonly max32?: boolean;
  /** Stands for the rows of its opcode in 64-bit code when REX.B is set: XCHG R8,RAX, which is no NOP. */
  readonly rexB?: boolean;
  /** #UD in 64-bit code. */
  readonly not64?: boolean;
  /** Exists in 64-bit code only. */
  readonly only64?: boolean;
  /**
   * How the memory operand is used, for segment checks, where it does not follow from the operands' use. `masked`: only in
   * part, and the semantics check that (`checkSegment`).
   */
  readonly access?: 'read' | 'write' | 'none' | 'masked';
  /** POP to memory: with ESP as the base, the bytes popped (operand size) are added to the displacement (SDM, POP). */
  readonly popAddress?: boolean;
  /** The memory operand's index is a vector register, of this type (VSIB); its address is that without the index. */
  readonly vsib?: 'x' | 'qq';
  /** Not valid in real or virtual-8086 mode (#UD there). */
  readonly protectedOnly?: boolean;
}

export const row = (
  opcode: string,
  mnemonic: string,
  operands: string,
  semantics: (e: Ops) => void,
  options: RowOptions = {},
): Row => ({ opcode, mnemonic, operands, semantics, options });

/** The row's name, of those it has by operand size the first. */
export const nameOf = (r: Row): string => r.mnemonic.split('|')[0];

/** A row whose meaning no operand-size prefix changes: one case instead of two. */
export const fixedSize = (r: Row): Row =>
  r.options.rexW || /y(,|$)/.test(r.operands) ? r : { ...r, options: { size: 32, ...r.options } };
