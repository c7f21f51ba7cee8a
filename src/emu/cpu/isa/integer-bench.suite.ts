/** Runs machine code on a virtual CPU in flat 32-bit protected mode, for tests of integer rows. */
import { IoBus } from '#emu/bus/io-bus.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Cpu, type CpuParts } from '../cpu.ts';
import { LINEAR, STATE } from '../state/layout.ts';
import { testedTier } from '../tier.suite.ts';
import { createLinearMemory } from '../wasm/host.ts';

const RAM_BYTES = 0x10_0000;
const GDT = 0x800;
const IDT = 0x1000;
const HANDLERS = 0x2000;
const HANDLER_BYTES = 16;
const CODE = 0x1_0000;
const HLT = 0xf4;

const NAMES = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
export type RegisterName = (typeof NAMES)[number];
export type Registers = Record<RegisterName, number>;

export interface Outcome extends Registers {
  readonly flags: number;
  /** Vector of the exception that ended the run; undefined when the code ran to its end. */
  readonly fault: number | undefined;
}

export class IntegerBench {
  readonly physical: PhysicalMemory;
  readonly cpu: Cpu;
  #codeAt = CODE;
  /** Where programs are: one that runs again is neither written nor decoded again. */
  readonly #programs = new Map<string, number>();

  constructor(
    options: Partial<Pick<CpuParts, 'random' | 'features' | 'localApic' | 'tier' | 'tsc' | 'tscHolds'>> = {},
  ) {
    const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
    const { buffer } = linear;
    this.physical = new PhysicalMemory({ buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap });
    this.physical.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    this.cpu = new Cpu({
      ...testedTier,
      linear,
      physical: this.physical,
      ports: new IoBus(),
      interrupts: { acknowledge: () => 0 },
      tsc: () => 0,
      ...options,
    });
    this.put32(GDT, 0, 0, 0xffff, 0x00cf_9a00, 0xffff, 0x00cf_9200);
    for (let vector = 0; vector < 32; vector++) {
      this.put32(IDT + vector * 8, (8 << 16) | (HANDLERS + vector * HANDLER_BYTES), 0x8e00);
      this.put(HANDLERS + vector * HANDLER_BYTES, HLT);
    }
  }

  put(at: number, ...bytes: number[]): void {
    bytes.forEach((b, i) => {
      this.physical.writeSized(at + i, 1, b);
    });
  }
  put32(at: number, ...values: number[]): void {
    values.forEach((v, i) => {
      this.physical.writeSized(at + i * 4, 4, v >>> 0);
    });
  }
  get32(at: number): number {
    return this.physical.readU32(at) >>> 0;
  }
  bytes(at: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.physical.readSized(at + i, 1));
  }

  /** @param code hexadecimal, spaces allowed @param flags EFLAGS before; IF stays clear */
  run(code: string, registers: Partial<Registers> = {}, flags = 2): Outcome {
    const at = this.#programs.get(code) ?? this.#write(code);
    const zeros = { eax: 0, ecx: 0, edx: 0, ebx: 0, esp: 0x8000, ebp: 0, esi: 0, edi: 0 };
    this.cpu.enter({
      eip: at,
      registers: { ...zeros, ...registers },
      eflags: flags,
      cr0: 0x11,
      gdt: { base: GDT, limit: 0x17 },
      idt: { base: IDT, limit: 0xff },
      cs: { selector: 8, base: 0, limit: 0xffff_ffff, attributes: 0xc09b },
      data: { selector: 16, base: 0, limit: 0xffff_ffff, attributes: 0xc093 },
    });
    const exit = this.cpu.run(1_000_000);
    if (exit !== 'halt') throw new Error(`${code}: ${exit}`);
    const { state } = this.cpu;
    const eip = state.get(STATE.eip);
    const fault = eip < CODE ? (eip - 1 - HANDLERS) / HANDLER_BYTES : undefined;
    const values = Object.fromEntries(NAMES.map((name, n) => [name, state.gpr(n) >>> 0])) as Registers;
    return { ...values, flags: state.eflags & 0xed5, fault };
  }

  #write(code: string): number {
    const at = this.#codeAt;
    const bytes = (code.replaceAll(' ', '').match(/../g) ?? []).map((h) => Number.parseInt(h, 16));
    this.#codeAt += Math.ceil((bytes.length + 1) / 64) * 64;
    this.put(at, ...bytes, HLT);
    this.#programs.set(code, at);
    return at;
  }
}
