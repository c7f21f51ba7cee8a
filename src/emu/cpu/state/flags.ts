/**
 * Lazy arithmetic flags: the last result and a word of carries, instead of six bits.
 *
 * `flagResult`: the result, sign-extended to 32 bits. ZF is `result == 0`; SF its sign; PF the parity of its low byte.
 * `flagAux`: bit 31 is CF; bit 30 is CF xor OF; bit 3 is AF; bits 8-15 are xored into the byte that PF is taken from;
 * bit 0 is xored into SF. The last two only matter when flags are written as bits (POPF, SAHF, IRET).
 */
export const EFLAGS = {
  cf: 1 << 0,
  reserved1: 1 << 1,
  pf: 1 << 2,
  af: 1 << 4,
  zf: 1 << 6,
  sf: 1 << 7,
  tf: 1 << 8,
  if: 1 << 9,
  df: 1 << 10,
  of: 1 << 11,
  iopl: 3 << 12,
  nt: 1 << 14,
  rf: 1 << 16,
  vm: 1 << 17,
  ac: 1 << 18,
  vif: 1 << 19,
  vip: 1 << 20,
  id: 1 << 21,
} as const;

/** CF, PF, AF, ZF, SF and OF: the bits kept lazily. */
export const ARITHMETIC_FLAGS: number = EFLAGS.cf | EFLAGS.pf | EFLAGS.af | EFLAGS.zf | EFLAGS.sf | EFLAGS.of;

export const AUX = { cf: 1 << 31, partialOverflow: 1 << 30, af: 1 << 3, parityShift: 8, sign: 1 } as const;

/** The six arithmetic flags as EFLAGS bits. */
export function arithmeticFlags(result: number, aux: number): number {
  let parity = (result ^ (aux >>> AUX.parityShift)) & 0xff;
  parity ^= parity >>> 4;
  parity ^= parity >>> 2;
  parity ^= parity >>> 1;
  return (
    (aux >>> 31) |
    (parity & 1 ? 0 : EFLAGS.pf) |
    (aux & AUX.af ? EFLAGS.af : 0) |
    (result === 0 ? EFLAGS.zf : 0) |
    ((result >>> 31) ^ (aux & AUX.sign) ? EFLAGS.sf : 0) |
    ((aux ^ (aux << 1)) < 0 ? EFLAGS.of : 0)
  );
}

/** `flagResult` and `flagAux` that mean the given EFLAGS bits. */
export function lazyFlags(eflags: number): { result: number; aux: number } {
  const zero = (eflags & EFLAGS.zf) !== 0;
  const parityEven = (eflags & EFLAGS.pf) !== 0;
  const carry = eflags & EFLAGS.cf;
  const overflow = eflags & EFLAGS.of ? 1 : 0;
  return {
    result: zero ? 0 : 1,
    aux:
      (carry << 31) |
      ((carry ^ overflow) << 30) |
      (eflags & EFLAGS.af ? AUX.af : 0) |
      (zero !== parityEven ? 1 << AUX.parityShift : 0) |
      (eflags & EFLAGS.sf ? AUX.sign : 0),
  };
}
