/** A machine whose CPU runs nothing, for tests of the board: the test is the driver and talks to the ports. */
import { PAGE_BYTES } from '#base/units.ts';
import {
  DEFAULT_CONFIG,
  DEFAULT_PLATFORM,
  type MachineConfig,
  type MachineMedia,
  NO_MEDIA,
  type PlatformConfig,
} from './config.ts';
import type { CpuExit, CpuParts, CpuPort } from './cpu-port.ts';
import { linearBytesOf, Pc, type PcHost } from './pc.ts';

export class FakeCpu implements CpuPort {
  readonly parts: CpuParts;
  halted = true;
  retired = 0;
  interrupt = false;
  a20 = true;
  nmis = 0;
  resets = 0;
  trackedFlushes = 0;
  entry: unknown;
  yieldWanted = false;
  registers = 0;
  programRan = false;
  /** Budgets that `run` was given. */
  readonly budgets: number[] = [];
  /** What `run` does; by default the CPU sleeps. */
  onRun: (cpu: FakeCpu, instructions: number) => CpuExit = () => 'halt';

  constructor(parts: CpuParts) {
    this.parts = parts;
  }

  run(instructions: number): CpuExit {
    this.budgets.push(instructions);
    this.yieldWanted = false;
    return this.onRun(this, instructions);
  }
  takeProgramRan(): boolean {
    return this.programRan;
  }
  setInterruptRequest(asserted: boolean): void {
    this.interrupt = asserted;
  }
  raiseNmi(): void {
    this.nmis++;
  }
  setA20(open: boolean): void {
    this.a20 = open;
  }
  reset(): void {
    this.resets++;
  }
  requestYield(): void {
    this.yieldWanted = true;
  }
  enter(entry: unknown): void {
    this.entry = entry;
  }
  flushTracked(): void {
    this.trackedFlushes++;
  }
  save(): unknown {
    return { registers: this.registers };
  }
  restore(state: unknown): void {
    this.registers = (state as { registers: number }).registers;
  }
}

/** The 8259 pair alone: no firmware runs that would open a local APIC to it. */
export const PLAIN_PLATFORM: PlatformConfig = { ...DEFAULT_PLATFORM, apic: false, ioApic: false };

/** An image with a jump at its reset vector. */
export function biosImage(): Uint8Array {
  const image = new Uint8Array(0x4_0000).map((_, i) => (i * 7) & 0xff);
  image[image.length - 16] = 0xea;
  return image;
}

export interface Bench {
  readonly pc: Pc;
  readonly cpu: FakeCpu;
  /** Host time in milliseconds, moved by the test. */
  nowMs: number;
  in(port: number, width?: 1 | 2 | 4): number;
  out(port: number, value: number, width?: 1 | 2 | 4): void;
  /** Reads a PCI configuration register of bus 0. */
  pci(device: number, fn: number, register: number, width?: 1 | 2 | 4): number;
  pciWrite(device: number, fn: number, register: number, value: number, width?: 1 | 2 | 4): void;
}

export function bench(
  config: Partial<MachineConfig> = {},
  media: MachineMedia = NO_MEDIA,
  host: Partial<PcHost> = {},
): Bench {
  const whole: MachineConfig = {
    ...DEFAULT_CONFIG,
    memoryMb: 4,
    platform: PLAIN_PLATFORM,
    firmware: { system: biosImage(), video: null },
    ...config,
  };
  const byteCount = Math.ceil(linearBytesOf(whole, media) / PAGE_BYTES) * PAGE_BYTES;
  let made: FakeCpu | undefined;
  const time = { nowMs: 0 };
  const pc = new Pc({
    config: whole,
    media,
    host: { nowMs: () => time.nowMs, ...host },
    linear: { buffer: new SharedArrayBuffer(byteCount), handle: undefined, pages: byteCount / 65536 },
    createCpu: (parts) => {
      made = new FakeCpu(parts);
      return made;
    },
  });
  const { ports } = pc.board;
  const select = (device: number, fn: number, register: number): number => {
    ports.write(0xcf8, 4, (0x8000_0000 | (device << 11) | (fn << 8) | (register & 0xfc)) >>> 0);
    return 0xcfc + (register & 3);
  };
  if (!made) throw new Error('the machine made no CPU');
  return Object.assign(time, {
    pc,
    cpu: made,
    in: (port, width = 1) => ports.read(port, width),
    out: (port, value, width = 1) => ports.write(port, width, value),
    pci: (device, fn, register, width = 4) => ports.read(select(device, fn, register), width),
    pciWrite: (device, fn, register, value, width = 4) => ports.write(select(device, fn, register), width, value),
  } satisfies Omit<Bench, 'nowMs'>);
}
