/** A virtual CPU without an interpreter: state, memory and the system part, for tests. */
import { IoBus } from '#emu/bus/io-bus.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Mmu } from '../mmu/mmu.ts';
import { CpuState } from '../state/cpu-state.ts';
import { LINEAR, STATE } from '../state/layout.ts';
import { createLinearMemory, type LinearMemory } from '../wasm/host.ts';
import { STATUS, type Status, SYSTEM_CALLS, type SystemCall } from './calls.ts';
import { type CpuConfig, CpuFeatures, DEFAULT_CPU } from './cpu-features.ts';
import { System } from './system.ts';

export const RAM_BYTES = 4 * 1024 * 1024;
export const GDT = 0x1000;
export const IDT = 0x2000;

/** Selectors of the standard table that `enterProtectedMode` builds. */
export const SEL = {
  code0: 0x08,
  data0: 0x10,
  code3: 0x1b,
  data3: 0x23,
  tss: 0x28,
  tss2: 0x30,
  ldt: 0x38,
  code0Conforming: 0x40,
  gate: 0x48,
  code16: 0x50,
  data16: 0x58,
  free: 0x60,
} as const;
export const TSS_AT = 0x3000;
export const TSS2_AT = 0x3800;

export class CpuBench {
  /** Real linear memory, so that generated code can run on it. */
  readonly memory: LinearMemory;
  readonly physical: PhysicalMemory;
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly ports = new IoBus();
  readonly system: System;
  ticks = 0;
  nextVector = 0x20;
  shutdowns = 0;
  ignoreFloatError = false;

  constructor(config: Partial<CpuConfig> = {}) {
    this.memory = createLinearMemory(LINEAR.guest + RAM_BYTES + 65536);
    const { buffer } = this.memory;
    this.physical = new PhysicalMemory({ buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap });
    this.physical.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    this.state = new CpuState(buffer);
    this.mmu = new Mmu({ state: this.state, physical: this.physical });
    this.system = new System({
      state: this.state,
      mmu: this.mmu,
      ports: this.ports,
      interrupts: { acknowledge: () => this.nextVector },
      tsc: () => this.ticks,
      x87Transcendental: () => {},
      features: new CpuFeatures({ ...DEFAULT_CPU, ...config }),
      callbacks: { onShutdown: () => this.shutdowns++, onFloatError: () => this.ignoreFloatError },
    });
    this.state.set(STATE.a20Mask, -1);
    this.system.reset();
  }

  call(name: SystemCall, a = 0, b = 0, c = 0, d = 0): Status {
    return this.system.call(SYSTEM_CALLS.indexOf(name), a, b, c, d);
  }

  get32(at: number): number {
    return this.physical.readU32(at);
  }
  get16(at: number): number {
    return this.physical.readU16(at);
  }
  put32(at: number, ...values: number[]): void {
    values.forEach((v, i) => {
      this.physical.writeSized(at + i * 4, 4, v >>> 0);
    });
  }
  put16(at: number, ...values: number[]): void {
    values.forEach((v, i) => {
      this.physical.writeSized(at + i * 2, 2, v & 0xffff);
    });
  }

  /** @param access as in SEGMENT.access; bit 15 is G */
  descriptor(selector: number, base: number, limit: number, access: number, table = GDT): void {
    const at = table + (selector & 0xfff8);
    this.put32(at, (limit & 0xffff) | (base << 16));
    const high = ((base >>> 16) & 0xff) | ((access & 0xf0ff) << 8) | (limit & 0xf_0000) | (base & 0xff00_0000);
    this.put32(at + 4, high);
  }

  /** A call, interrupt, trap or task gate at `at`. @param access type, DPL and P */
  gate(at: number, selector: number, offset: number, access: number, parameters = 0): void {
    this.put32(at, (offset & 0xffff) | (selector << 16), (offset & 0xffff_0000) | (access << 8) | parameters);
  }

  /** Flat 32-bit protected mode at CPL 0: GDT, IDT of 64 entries (absent), a 32-bit TSS with a stack for level 0. */
  enterProtectedMode(): void {
    const { state, system } = this;
    this.descriptor(SEL.code0, 0, 0xf_ffff, 0xc09a);
    this.descriptor(SEL.data0, 0, 0xf_ffff, 0xc092);
    this.descriptor(SEL.code3, 0, 0xf_ffff, 0xc0fa);
    this.descriptor(SEL.data3, 0, 0xf_ffff, 0xc0f2);
    this.descriptor(SEL.tss, TSS_AT, 0x2fff, 0x89);
    this.descriptor(SEL.tss2, TSS2_AT, 0x67, 0x89);
    this.descriptor(SEL.ldt, 0x4000, 0xff, 0x82);
    this.descriptor(SEL.code0Conforming, 0, 0xf_ffff, 0xc09e);
    this.descriptor(SEL.code16, 0x1_0000, 0xffff, 0x9a);
    this.descriptor(SEL.data16, 0x1_0000, 0xffff, 0x92);
    this.call('loadGdt', 0xff, GDT);
    this.call('loadIdt', 64 * 8 - 1, IDT);
    this.put32(TSS_AT + 4, 0x9000, SEL.data0);
    this.put16(TSS_AT + 0x66, 0x68);
    this.#expect(this.call('movToCr', 0, 0x11), STATUS.jumped);
    this.#expect(this.call('farJump', SEL.code0, 0x5000, 32), STATUS.jumped);
    for (const seg of [0, 2, 3, 4, 5]) this.call('loadSegment', seg, SEL.data0);
    this.#expect(this.call('loadTr', SEL.tss), STATUS.next);
    state.set(STATE.inhibitEip, -1);
    state.setGpr(4, 0x8000);
    system.updateMode();
  }

  /** To flat CPL 3 with the given stack pointer. */
  enterUser(eip = 0x6000, esp = 0xa000, eflags = 0x202): void {
    const { state } = this;
    const esp0 = state.gpr(4) - 20;
    this.put32(esp0, eip, SEL.code3, eflags, esp, SEL.data3);
    state.setGpr(4, esp0);
    this.#expect(this.call('interruptReturn', 32), STATUS.jumped);
    for (const seg of [0, 3]) this.call('loadSegment', seg, SEL.data3);
    this.at(eip);
  }

  /** To virtual-8086 mode: CS 1000h, SS 2000h, and so on. */
  enterVirtual(eip = 0x100, esp = 0x800, iopl = 0): void {
    const { state } = this;
    const esp0 = state.gpr(4) - 36;
    this.put32(esp0, eip, 0x1000, 0x2_0202 | (iopl << 12), esp, 0x2000, 0x3000, 0x3100, 0x3200, 0x3300);
    state.setGpr(4, esp0);
    this.#expect(this.call('interruptReturn', 32), STATUS.jumped);
  }

  /** Sets EIP of the instruction that runs and of the one after it. */
  at(eip: number, next = eip + 2): void {
    this.state.set(STATE.eip, eip);
    this.state.set(STATE.nextEip, next);
  }

  /** The pending fault as `vector` or `[vector, error code]`; -1 when none. Clears it. */
  takeFault(): number | [number, number] {
    const { state } = this;
    const vector = state.get(STATE.faultVector);
    state.set(STATE.faultVector, -1);
    if (vector < 0 || !state.get(STATE.faultHasErrorCode)) return vector;
    return [vector, state.get(STATE.faultErrorCode)];
  }

  get eip(): number {
    return this.state.get(STATE.eip) >>> 0;
  }
  get esp(): number {
    return this.state.gpr(4) >>> 0;
  }
  get cpl(): number {
    return this.state.get(STATE.cpl);
  }
  selector(seg: number): number {
    return this.state.selector(seg);
  }
  /** `count` doublewords from the top of a flat stack. */
  stack32(count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.get32(this.esp + i * 4));
  }

  #expect(got: Status, wanted: Status): void {
    if (got !== wanted) throw new Error(`status ${got}, fault ${this.takeFault()}`);
  }
}
