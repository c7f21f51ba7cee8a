/** Registers of a local APIC. Source: SDM Vol. 3A, table 10-1, figures 10-5, 10-8, 10-9, 10-12, 10-23; table 10-6. */

/** Offset in the register page divided by 16, which is the MSR minus 800h in x2APIC mode. */
export const REG = {
  id: 0x02,
  version: 0x03,
  tpr: 0x08,
  apr: 0x09,
  ppr: 0x0a,
  eoi: 0x0b,
  remoteRead: 0x0c,
  ldr: 0x0d,
  dfr: 0x0e,
  svr: 0x0f,
  /** Eight each. */
  isr: 0x10,
  tmr: 0x18,
  irr: 0x20,
  esr: 0x28,
  icrLow: 0x30,
  icrHigh: 0x31,
  /** Timer, thermal, performance, LINT0, LINT1, error. */
  lvtTimer: 0x32,
  initialCount: 0x38,
  currentCount: 0x39,
  divide: 0x3e,
} as const;

/** Integrated APIC, six LVT entries. */
export const VERSION = 0x0005_0014;

/** IA32_APIC_BASE. */
export const APIC_BASE = {
  bootstrap: 1 << 8,
  x2: 1 << 10,
  enable: 1 << 11,
  address: 0xffff_f000 | 0,
  reserved: 0x2ff,
  /** Physical addresses have 40 bits. */
  highReserved: ~0xff,
  /** FEE00000h, enabled. */
  default: 0xfee0_0800 | 0,
} as const;

export const SVR = { vector: 0xff, enable: 1 << 8, writable: 0x3ff } as const;

export const ESR = { sendIllegalVector: 1 << 5, receiveIllegalVector: 1 << 6, illegalRegister: 1 << 7 } as const;

export const ICR = {
  modeShift: 8,
  logical: 1 << 11,
  assert: 1 << 14,
  level: 1 << 15,
  shorthandShift: 18,
  /** Delivery status (bit 12) is read-only: a message is delivered at once. */
  writable: 0x000c_cfff,
} as const;

export const LVT = {
  modeShift: 8,
  remoteIrr: 1 << 14,
  level: 1 << 15,
  masked: 1 << 16,
  timerModeShift: 17,
  /** By entry: bits that a write stores. */
  writable: [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff],
} as const;

/** Registers that can be written in x2APIC mode and which bits must be zero; others are #GP. */
export const X2_RESERVED: Readonly<Record<number, number>> = {
  [REG.tpr]: ~0xff,
  [REG.eoi]: ~0,
  [REG.svr]: ~0x3ff,
  [REG.esr]: ~0,
  [REG.lvtTimer]: ~0x7_10ff,
  [REG.lvtTimer + 1]: ~0x1_17ff,
  [REG.lvtTimer + 2]: ~0x1_17ff,
  [REG.lvtTimer + 3]: ~0x1_f7ff,
  [REG.lvtTimer + 4]: ~0x1_f7ff,
  [REG.lvtTimer + 5]: ~0x1_10ff,
  [REG.initialCount]: 0,
  [REG.divide]: ~0xb,
};

/** Registers that a write leaves alone without an error. */
export function isReadOnly(register: number): boolean {
  if (register >= REG.isr && register < REG.esr) return true;
  return (
    register === REG.version ||
    register === REG.apr ||
    register === REG.ppr ||
    register === REG.remoteRead ||
    register === REG.currentCount
  );
}

/** Source: SDM Vol. 3A, table 10-6. */
export function isReadableInX2(register: number): boolean {
  if (register >= REG.isr && register <= REG.esr) return true;
  if (register >= REG.lvtTimer && register <= REG.currentCount) return true;
  switch (register) {
    case REG.id:
    case REG.version:
    case REG.tpr:
    case REG.ppr:
    case REG.ldr:
    case REG.svr:
    case REG.icrLow:
    case REG.divide:
      return true;
    default:
      return false;
  }
}

/** Whether IA32_APIC_BASE takes a value. Source: 10.4.4, 10.12.5.1 (the legal changes of mode). */
export function mayChangeBase(from: number, low: number, high: number, offersX2: boolean): boolean {
  const { enable, x2 } = APIC_BASE;
  if (high & APIC_BASE.highReserved || low & APIC_BASE.reserved) return false;
  // x2APIC mode is entered from xAPIC mode only, and left only by disabling.
  if (low & x2) return offersX2 && (low & enable) !== 0 && (from & enable) !== 0;
  return !(from & x2 && low & enable);
}
