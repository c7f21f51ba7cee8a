/** A local APIC and an I/O APIC on a bus, driven as an operating system does. */
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { ApicBus } from './apic-bus.ts';
import { IoApic } from './io-apic.ts';
import { LocalApic } from './local-apic.ts';
import type { LocalApicParts } from './local-apic-parts.ts';

export interface ApicBench {
  readonly clock: ManualClock;
  readonly timers: TimerQueue;
  readonly bus: ApicBus;
  readonly apic: LocalApic;
  /** What the processor saw, in order. */
  readonly seen: string[];
  /** The pair of 8259 behind LINT0 gives this vector. */
  legacyVector: number;
  read(offset: number): number;
  write(offset: number, value: number): void;
  /** RDMSR; undefined for #GP. */
  rdmsr(number: number): bigint | undefined;
  /** WRMSR. @returns false for #GP */
  wrmsr(number: number, value: bigint): boolean;
  /** Lets guest time pass and timers run. */
  pass(ns: number): void;
  /** Takes what is requested. @returns its vector, or undefined */
  take(): number | undefined;
  /** Software-enables the APIC with spurious vector FFh. */
  enable(): void;
}

export function apicBench(parts: Partial<LocalApicParts> = {}, bus = new ApicBus()): ApicBench {
  const clock = new ManualClock();
  const timers = new TimerQueue(clock);
  const seen: string[] = [];
  const state = { legacyVector: 0x30 };
  const apic = new LocalApic({
    timers,
    bus,
    id: 0,
    bootstrapProcessor: true,
    offersX2: true,
    legacy: { acknowledge: () => state.legacyVector },
    onOutput: (asserted) => void seen.push(asserted ? 'intr' : 'quiet'),
    onNmi: () => void seen.push('nmi'),
    onInit: () => void seen.push('init'),
    onStartUp: (vector) => void seen.push(`start ${vector.toString(16)}`),
    onMoved: (base) => void seen.push(`at ${base?.toString(16) ?? 'nowhere'}`),
    ...parts,
  });
  const answer = new Int32Array(2);
  return Object.assign(state, {
    clock,
    timers,
    bus,
    apic,
    seen,
    read: (offset: number) => apic.registers.read(offset, 4),
    write: (offset: number, value: number) => apic.registers.write(offset, 4, value >>> 0),
    rdmsr: (number: number) =>
      apic.readMsr(number, answer) ? (BigInt(answer[1] >>> 0) << 32n) | BigInt(answer[0] >>> 0) : undefined,
    wrmsr: (number: number, value: bigint) =>
      apic.writeMsr(number, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))),
    pass(ns: number): void {
      clock.advance(ns);
      timers.runExpired();
    },
    take: () => (apic.output ? apic.acknowledge() : undefined),
    enable: () => apic.registers.write(0xf0, 4, 0x1ff),
  });
}

export interface IoBench extends ApicBench {
  readonly io: IoApic;
  entry(n: number): number;
  /** Writes both halves of a redirection entry. */
  route(n: number, low: number, destination?: number): void;
}

export function ioBench(): IoBench {
  const bench = apicBench();
  const io = new IoApic({ bus: bench.bus, id: 1 });
  const select = (register: number): void => io.registers.write(0, 4, register);
  bench.enable();
  return Object.assign(bench, {
    io,
    entry(n: number): number {
      select(0x10 + 2 * n);
      return io.registers.read(0x10, 4);
    },
    route(n: number, low: number, destination = 0): void {
      select(0x11 + 2 * n);
      io.registers.write(0x10, 4, (destination << 24) >>> 0);
      select(0x10 + 2 * n);
      io.registers.write(0x10, 4, low);
    },
  });
}
