/** Runs programs of `ProgramGenerator` on a CPU of one tier, with small slices and interrupts in between. */
import { IoBus } from '#emu/bus/io-bus.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Cpu } from '../cpu.ts';
import { LINEAR, SEG, STATE } from '../state/layout.ts';
import { createLinearMemory } from '../wasm/host.ts';
import {
  CALL_VECTOR,
  END_VECTOR,
  PLACE,
  PORT,
  ProgramGenerator,
  Random,
  startRegisters,
} from './program-generator.suite.ts';
import type { RegionCompilerPort } from './region-order.ts';
import type { TierMode } from './tier1.ts';

const TSS_BYTES = 0x68;
const RAM_BYTES = 0x10_0000;
/** Page tables of 64-bit programs beside `directory`, their root, and `table`. */
const LONG_TABLES = { pointers: 0x5000, directory: 0xd000 };
/** IA32_EFER: SCE, LME, LMA. */
const EFER_LONG = 0x501;
const REGISTERS = 16;
const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const HANDLER_BYTES = 128;
/** OSFXSR, OSXMMEXCPT, OSXSAVE, SMAP; the same, with PAE and FSGSBASE. */
const CR4 = 0x24_0600;
const CR4_LONG = 0x25_0620;
const VECTORS = CALL_VECTOR + 1;
/** Where SYSENTER and SYSCALL go, and what flags SYSCALL clears: the arithmetic ones, TF, IF, DF, AC. */
const KERNEL_ENTRY = PLACE.handlers + VECTORS * HANDLER_BYTES;
const FMASK = 0x4_0fd5;
const INTERRUPT = 32;
const FUEL = 300;
const MOST_SLICES = 5000;
/** Faults whose frame has an error code. */
const WITH_ERROR = [8, 10, 11, 12, 13, 14, 17];

export interface RunEnd {
  /** Low and high halves. */
  readonly registers: readonly number[];
  readonly eip: number;
  readonly eflags: number;
  readonly memory: Buffer;
  /** Registers of x87 and SSE. */
  readonly float: Buffer;
  readonly retired: number;
  readonly exit: string;
  readonly slices: number;
  /** Are page tables, GDT, IDT and TSS as they were, apart from accessed and dirty bits? */
  readonly tablesIntact: boolean;
}

export class ProgramRunner {
  readonly cpu: Cpu;
  readonly #physical: PhysicalMemory;
  readonly #long: boolean;
  /** What the port answers; one in four times it also raises the interrupt line, when there are interrupts. */
  #answers = new Random(0);
  #interrupts = false;

  /**
   * @param regionCompiler where hot code is compiled; default: on this thread
   * @param long 64-bit programs
   */
  constructor(tier: TierMode, regionCompiler?: RegionCompilerPort, long = false) {
    this.#long = long;
    const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
    const { buffer } = linear;
    this.#physical = new PhysicalMemory({ buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap });
    this.#physical.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    const ports = new IoBus();
    ports.map(PORT, 4, {
      read: (_offset, width) => {
        if (this.#interrupts && this.#answers.chance(4)) this.cpu.setInterruptRequest(true);
        return this.#answers.next() >>> (32 - 8 * width);
      },
      write: () => {
        if (this.#interrupts) this.cpu.setInterruptRequest(true);
      },
    });
    this.cpu = new Cpu({
      linear,
      physical: this.#physical,
      ports,
      interrupts: {
        acknowledge: () => {
          this.cpu.setInterruptRequest(false);
          return INTERRUPT;
        },
      },
      tsc: () => 0,
      tier,
      regionCompiler,
    });
  }

  /** @param interrupts a line is raised between slices; then `retired` is of no use */
  run(seed: number, interrupts: boolean): RunEnd {
    this.#prepare(seed);
    const tables = this.#tables();
    const { cpu } = this;
    const { state } = cpu;
    const r = new Random(seed ^ 0x1234);
    this.#answers = new Random(seed ^ 0x4321);
    this.#interrupts = interrupts;
    const before = cpu.retired;
    let exit = 'budget';
    let slices = 0;
    for (; exit !== 'halt' && slices < MOST_SLICES; slices++) {
      if (interrupts && r.chance(3)) cpu.setInterruptRequest(true);
      exit = cpu.run(interrupts ? 1 + r.below(60) : r.chance(3) ? r.below(20) : 3000);
    }
    cpu.setInterruptRequest(false);
    const memory = Buffer.from(this.#physical.bytes.slice(LINEAR.guest, LINEAR.guest + RAM_BYTES));
    memory.writeUInt32LE(0, PLACE.interrupts);
    memory.fill(0, PLACE.kernelStack - 0x1000, PLACE.kernelStack);
    // Code that is looked at but not run may set accessed bits.
    for (let i = 0; i < 4096; i += 4) memory[PLACE.table + i] &= ~ACCESSED;
    const float = Buffer.from(this.#physical.bytes.slice(state.at + STATE.fpr, state.at + STATE.spare));
    return {
      registers: Array.from({ length: 2 * REGISTERS }, (_, n) => state.get(STATE.gpr + n * 4) >>> 0),
      eip: state.get(STATE.eip) >>> 0,
      eflags: state.eflags,
      memory,
      float,
      retired: interrupts ? 0 : cpu.retired - before,
      exit,
      slices,
      tablesIntact: tables.equals(this.#tables()),
    };
  }

  #tables(): Buffer {
    const tables = Buffer.from(
      this.#physical.bytes.slice(LINEAR.guest + PLACE.directory, LINEAR.guest + PLACE.tss + TSS_BYTES),
    );
    for (let at = 0; at < PLACE.gdt - PLACE.directory; at += 4) tables[at] &= ~(ACCESSED | DIRTY);
    return tables;
  }

  #put32(at: number, ...values: number[]): void {
    values.forEach((v, i) => {
      this.#physical.writeSized(at + i * 4, 4, v >>> 0);
    });
  }
  #put(at: number, ...bytes: number[]): void {
    bytes.forEach((b, i) => {
      this.#physical.writeSized(at + i, 1, b);
    });
  }

  #prepare(seed: number): void {
    const { cpu } = this;
    const r = new Random(seed ^ 0x77);
    this.#physical.write(0, new Uint8Array(RAM_BYTES));
    const entry = PRESENT | WRITABLE | USER;
    if (this.#long) {
      this.#put32(PLACE.directory, LONG_TABLES.pointers | entry);
      this.#put32(LONG_TABLES.pointers, LONG_TABLES.directory | entry);
      this.#put32(LONG_TABLES.directory, PLACE.table | entry);
    } else this.#put32(PLACE.directory, PLACE.table | entry);
    for (let at = 0; at < RAM_BYTES; at += 4096) {
      const flags = at === PLACE.absent ? 0 : at === PLACE.readOnly ? PRESENT : PRESENT | WRITABLE;
      const user = at >= PLACE.stack - PLACE.stackBytes ? USER : at === (PLACE.fuel & ~0xfff) ? USER : 0;
      this.#put32(PLACE.table + (at / 4096) * (this.#long ? 8 : 4), at | flags | user);
    }
    // Accessed already: whether an interrupt has come back through them is no difference.
    const code = this.#long ? 0x00af_9b00 : 0x00cf_9b00;
    this.#put32(PLACE.gdt, 0, 0, 0xffff, code, 0xffff, 0x00cf_9300, 0xffff, code | 0x6000, 0xffff, 0x00cf_f300);
    // What SYSRET loads: SS, then CS.
    this.#put32(PLACE.gdt + 0x28, 0xffff, 0x00cf_f300, 0xffff, code | 0x6000);
    this.#put32(PLACE.tss + 4, PLACE.kernelStack, this.#long ? 0 : 0x10);
    for (let vector = 0; vector < VECTORS; vector++) {
      const handler = PLACE.handlers + vector * HANDLER_BYTES;
      const gate = PLACE.idt + vector * (this.#long ? 16 : 8);
      this.#put32(gate, (8 << 16) | (handler & 0xffff), vector < END_VECTOR ? 0x8e00 : 0xee00);
      this.#put(handler, ...(this.#long ? longHandler(vector) : handlerOf(vector)));
    }
    this.#put(KERNEL_ENTRY, ...(this.#long ? LONG_ENTRY : ENTRY));
    this.#put32(PLACE.fuel, FUEL);
    this.#put32(PLACE.logAt, PLACE.log);
    for (let at = 0; at < PLACE.dataBytes; at += 4) {
      this.#put32(PLACE.data + at, r.chance(3) ? 0x3f80_0000 + r.below(0x10_0000) : r.next());
    }
    this.#physical.write(PLACE.code, new ProgramGenerator(seed, this.#long).make());
    const flat = (selector: number, attributes: number) => ({ selector, base: 0, limit: 0xffff_ffff, attributes });
    cpu.enter({
      eip: PLACE.code,
      registers: startRegisters(seed),
      // IOPL 3: ports are the program's.
      eflags: 0x3202,
      cr0: 0x11,
      gdt: { base: PLACE.gdt, limit: 0x37 },
      idt: { base: PLACE.idt, limit: VECTORS * (this.#long ? 16 : 8) - 1 },
      cs: flat(0x1b, this.#long ? 0xa0fb : 0xc0fb),
      data: flat(0x23, 0xc0f3),
    });
    cpu.system.setSegment(SEG.tr, 0x38, PLACE.tss, 0x67, 0x8b);
    cpu.state.set(STATE.cpl, 3);
    cpu.state.set(STATE.cr3, PLACE.directory);
    cpu.state.set(STATE.cr4, this.#long ? CR4_LONG : CR4);
    cpu.state.set(STATE.efer, this.#long ? EFER_LONG : 0);
    cpu.state.set(STATE.sysenterCs, this.#long ? 0 : 8);
    cpu.state.setAddress(STATE.sysenterEsp, PLACE.kernelStack);
    cpu.state.setAddress(STATE.sysenterEip, KERNEL_ENTRY);
    cpu.state.set(STATE.star + 4, 0x0023_0008);
    cpu.state.setAddress(STATE.lstar, KERNEL_ENTRY);
    cpu.state.setAddress(STATE.fmask, FMASK);
    // x87, SSE and AVX state.
    cpu.state.set(STATE.xcr0, 7);
    // PG, WP, NE, ET, MP, PE
    cpu.state.set(STATE.cr0, 0x8001_0033 | 0);
    cpu.system.reload();
    for (let n = 0; n < REGISTERS && this.#long; n++) {
      const pointer = n >= 12 ? PLACE.data + r.below(0x2f00) : undefined;
      const value = n < 8 ? cpu.state.gpr(n) : (pointer ?? r.next());
      cpu.state.set(STATE.gpr + n * 8, value);
      cpu.state.set(STATE.gpr + n * 8 + 4, n < 8 || pointer ? 0 : r.next());
    }
  }
}

const dword = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >> 24) & 0xff];
/** HLT. */
const END_HANDLER = [0xf4];
const STAC = [0x0f, 0x01, 0xcb];
const CLAC = [0x0f, 0x01, 0xca];
const SWAPGS = [0x0f, 0x01, 0xf8];
/** What SYSENTER finds, with ESP for the way back in ECX and EIP in EDX: by a bit of EBX it goes back with SYSEXIT or IRET. */
const ENTRY = [
  ...[0x50, 0x9c, 0xf7, 0xd3], // push eax; pushfd; not ebx
  ...STAC,
  ...[0xff, 0x05, ...dword(PLACE.calls)],
  ...CLAC,
  ...[0x9d, 0x58, 0xfb], // popfd; pop eax; sti
  ...[0xf6, 0xc3, 1, 0x75, 2, 0x0f, 0x35], // test bl, 1; jnz over sysexit
  ...[0x6a, 0x23, 0x51, 0x9c, 0x6a, 0x1b, 0x52, 0xcf], // push 23h, ecx, flags, 1bh, edx; iret
];
/** What SYSCALL finds, on the program's stack: back with SYSRET, or on a stack of its own with IRET. */
const LONG_ENTRY = [
  ...[...SWAPGS, 0x48, 0xf7, 0xd3], // not rbx
  ...STAC,
  ...[0xff, 0x04, 0x25, ...dword(PLACE.calls)],
  ...[...CLAC, ...SWAPGS],
  ...[0xf6, 0xc3, 1, 0x75, 3, 0x48, 0x0f, 0x07], // test bl, 1; jnz over sysret
  ...[0x49, 0x89, 0xe2, 0xbc, ...dword(PLACE.kernelStack)], // mov r10, rsp; mov esp, kernelStack
  ...[0x6a, 0x2b, 0x41, 0x52, 0x41, 0x53, 0x6a, 0x33, 0x51, 0x48, 0xcf], // push 2bh, r10, r11, 33h, rcx; iretq
];

/**
 * An interrupt counts itself. A fault notes its EIP, flags and stack pointer (the log wraps around in its page) and goes
 * on at [PLACE.recover], with the stack as at the start.
 * Handlers have a stack of their own, since interrupts come at other times in other tiers.
 */
function handlerOf(vector: number): number[] {
  if (vector === END_VECTOR) return END_HANDLER;
  // sti; not ebx; add edx, ebx; xor dword [esp + 8], CF and OF; iret
  if (vector === CALL_VECTOR) return [0xfb, 0xf7, 0xd3, 0x01, 0xda, 0x81, 0x74, 0x24, 8, ...dword(0x801), 0xcf];
  if (vector === INTERRUPT) {
    return [
      ...STAC,
      ...[0x50, 0x1e, 0x0f, 0xa0, 0x06], // push eax, ds, fs, es
      ...[0xb8, 0x10, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xe0], // mov eax, 10h; mov ds, eax; mov fs, eax
      ...[0xff, 0x05, ...dword(PLACE.interrupts)],
      ...[0x07, 0x0f, 0xa1, 0x1f, 0x58, 0xcf], // pop es, fs, ds, eax; iret
    ];
  }
  const skip = WITH_ERROR.includes(vector) ? 4 : 0;
  return [
    ...STAC,
    ...[0x8b, 0x3d, ...dword(PLACE.logAt)], // mov edi, [logAt]
    ...[0x8b, 0x74, 0x24, skip], // mov esi, [esp + skip]: EIP
    ...[0x89, 0x37], // mov [edi], esi
    ...[0x8b, 0x74, 0x24, skip + 8, 0x89, 0x77, 4], // flags
    ...[0x8b, 0x74, 0x24, skip + 12, 0x89, 0x77, 8], // esp
    ...[0x83, 0xc7, 12], // add edi, 12
    ...[0x81, 0xe7, ...dword(PLACE.log | 0xfff)], // and edi
    ...[0x89, 0x3d, ...dword(PLACE.logAt)],
    ...(skip === 0 ? [] : [0x58]), // pop eax: the error code
    ...[0xa1, ...dword(PLACE.recover), 0x89, 0x04, 0x24], // EIP of the frame
    ...[0xc7, 0x44, 0x24, 12, ...dword(PLACE.stack)], // its ESP
    ...[0xbe, ...dword(PLACE.data + 0x100)], // mov esi, data
    0xcf,
  ];
}

/** The same in 64-bit code. */
function longHandler(vector: number): number[] {
  if (vector === END_VECTOR) return END_HANDLER;
  if (vector === CALL_VECTOR) {
    return [0xfb, 0x48, 0xf7, 0xd3, 0x01, 0xda, 0x81, 0x74, 0x24, 16, ...dword(0x801), 0x48, 0xcf];
  }
  const at = (address: number): number[] => [0x25, ...dword(address)];
  if (vector === INTERRUPT) return [...STAC, 0xff, 0x04, ...at(PLACE.interrupts), ...CLAC, 0x48, 0xcf];
  const skip = WITH_ERROR.includes(vector) ? 8 : 0;
  return [
    ...STAC,
    ...[0x8b, 0x3c, ...at(PLACE.logAt)],
    ...[0x8b, 0x74, 0x24, skip, 0x89, 0x37],
    ...[0x8b, 0x74, 0x24, skip + 16, 0x89, 0x77, 4],
    ...[0x8b, 0x74, 0x24, skip + 24, 0x89, 0x77, 8],
    ...[0x83, 0xc7, 12],
    ...[0x81, 0xe7, ...dword(PLACE.log | 0xfff)],
    ...[0x89, 0x3c, ...at(PLACE.logAt)],
    ...(skip === 0 ? [] : [0x58]),
    ...[0x8b, 0x04, ...at(PLACE.recover), 0x48, 0x89, 0x04, 0x24],
    ...[0x48, 0xc7, 0x44, 0x24, 24, ...dword(PLACE.stack)],
    ...[0xbe, ...dword(PLACE.data + 0x100)],
    ...[0x48, 0xcf],
  ];
}

/** What differs between two ends, as text; empty when nothing does. */
export function differences(a: RunEnd, b: RunEnd): string {
  // A program that ends in a triple fault has written over its tables, and went by what the TLB still held.
  if (a.exit === 'shutdown' && b.exit === 'shutdown') return '';
  // Cut short by the number of slices: where that was depends on the tier, and so does who just managed to end.
  const cutShort = (end: RunEnd): boolean => end.exit === 'budget';
  if ((cutShort(a) || cutShort(b)) && a.slices > MOST_SLICES / 2 && b.slices > MOST_SLICES / 2) return '';
  const found: string[] = [];
  if (a.exit !== b.exit) found.push(`exit ${a.exit} / ${b.exit}`);
  if (a.eip !== b.eip) found.push(`eip ${a.eip.toString(16)} / ${b.eip.toString(16)}`);
  if (a.eflags !== b.eflags) found.push(`eflags ${a.eflags.toString(16)} / ${b.eflags.toString(16)}`);
  if (a.retired !== b.retired) found.push(`retired ${a.retired} / ${b.retired}`);
  a.registers.forEach((v, n) => {
    if (v !== b.registers[n]) found.push(`r${n} ${v.toString(16)} / ${b.registers[n].toString(16)}`);
  });
  for (let i = 0; i < a.memory.length && found.length < 20; i++) {
    if (a.memory[i] !== b.memory[i]) found.push(`[${i.toString(16)}] ${a.memory[i]} / ${b.memory[i]}`);
  }
  if (!a.float.equals(b.float)) found.push('x87 or SSE registers');
  return found.join('\n');
}
