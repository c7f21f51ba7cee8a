/** Rows whose encodings, without REX and with 32-bit addresses, mean the same in 64-bit mode as in 32-bit mode. */
import type { Row } from '#emu/cpu/isa/row.ts';

/** Other instructions in 64-bit mode, or none (SDM Vol. 2D, appendix A: i64, and the stores of selectors). */
const OTHERWISE = /^(0[67EF]|1[67EF]|27|2F|37|3F|40|48|6[0-3]|82|8C|9A|C[45]|CE|D[456]|EA|FF \/[35])( |$)/;
/** The operand is 64 bits wide there. */
const WIDE = /^(push|pop|enter|leave|call|jmp|ret|loop|j)/;

export const meansTheSameInLongMode = (row: Row): boolean =>
  !(OTHERWISE.test(row.opcode) && !row.opcode.startsWith('0F')) &&
  !WIDE.test(row.mnemonic) &&
  row.options.stack === undefined &&
  row.options.ends !== true &&
  !/(^|,)[CD]d/.test(row.operands);
