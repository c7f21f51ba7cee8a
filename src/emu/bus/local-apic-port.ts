/**
 * What a CPU asks of its own local APIC besides interrupts (`InterruptSource`): model-specific registers, the task
 * priority that CR8 shows, and what CPUID says of it.
 */
export interface LocalApicPort {
  /** CPUID leaf 1, EBX bits 31..24. */
  readonly initialId: number;
  /** IA32_APIC_BASE.EN; CPUID announces the APIC only while it is set. */
  readonly enabled: boolean;
  /** CPUID announces x2APIC mode. */
  readonly offersX2: boolean;
  /** CR8: bits 7..4 of the task-priority register. */
  taskPriorityClass: number;
  /** True for the registers that are the APIC's: IA32_APIC_BASE, IA32_TSC_DEADLINE and 800h to 8FFh. */
  ownsMsr(number: number): boolean;
  /**
   * RDMSR of a register of its own.
   * @param answer low and high half, written when the answer is true
   * @returns false for #GP(0)
   */
  readMsr(number: number, answer: Int32Array): boolean;
  /** WRMSR, 32-bit halves of either sign. @returns false for #GP(0) */
  writeMsr(number: number, low: number, high: number): boolean;
  /**
   * IA32_TIME_STAMP_COUNTER is from now on the source (a tick a nanosecond of guest time) plus this, modulo 2^64: the
   * timer's deadline is given in it.
   */
  setTscOffset(low: number, high: number): void;
}
