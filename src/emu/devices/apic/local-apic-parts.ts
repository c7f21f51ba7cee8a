/** What a local APIC is wired to, and what a saved machine keeps of it. */
import type { Timers } from '#base/clock.ts';
import type { InterruptSource } from '#emu/bus/wires.ts';
import type { ApicBus } from './apic-bus.ts';
import type { ApicTimerState } from './apic-timer.ts';

export interface LocalApicParts {
  readonly timers: Timers;
  readonly bus: ApicBus;
  /** 0..254; also the processor's number. */
  readonly id: number;
  readonly bootstrapProcessor: boolean;
  readonly offersX2: boolean;
  /** The 8259 pair behind LINT0, whose INTA cycle gives the vector of an ExtINT. */
  readonly legacy: InterruptSource;
  /** The processor has an interrupt to take. Only on change. */
  readonly onOutput: (asserted: boolean) => void;
  readonly onNmi: () => void;
  /** INIT: the processor starts anew, or waits for a start-up message. */
  readonly onInit?: () => void;
  /** Start at `vector` * 4096. */
  readonly onStartUp?: (vector: number) => void;
  /** Where the registers answer in memory from now on; undefined: nowhere. Only on change. */
  readonly onMoved?: (base: number | undefined) => void;
}

export interface LocalApicState {
  /** IA32_APIC_BASE, low and high half. */
  readonly base: readonly [low: number, high: number];
  /** xAPIC ID, 8 bits, which software may change. */
  readonly id: number;
  readonly taskPriority: number;
  readonly logicalDestination: number;
  readonly destinationFormat: number;
  readonly spurious: number;
  readonly errors: number;
  readonly errorsLatched: number;
  readonly commandLow: number;
  readonly commandHigh: number;
  readonly lvt: readonly number[];
  readonly inService: Uint32Array;
  readonly requested: Uint32Array;
  readonly triggerMode: Uint32Array;
  readonly pins: readonly boolean[];
  readonly extIntMessage: boolean;
  readonly timer: ApicTimerState;
}
