/**
 * Runs cases on a virtual CPU, in the surroundings that `native/oracle-long.c` has: 64-bit user mode, the windows at both
 * their addresses.
 *
 * The "kernel" is IRETQ, which starts a case, and a HLT for each vector, which ends it; see emulated.ts.
 */
import { IoBus } from '#emu/bus/io-bus.ts';
import { Cpu } from '#emu/cpu/cpu.ts';
import { EFLAGS } from '#emu/cpu/state/flags.ts';
import { GPR, LINEAR, SEG, SEGMENT, STATE, XMM_BYTES } from '#emu/cpu/state/layout.ts';
import { createLinearMemory } from '#emu/cpu/wasm/host.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import {
  addressAt,
  COMPLETED,
  FX,
  LONG_GIVEN as GIVEN,
  HIGH_WINDOW,
  LONG_SHAPE,
  type Outcome,
  PAGE_FAULT,
  LONG_RESULT as RESULT,
  WINDOW,
} from './layout.ts';

const PAGE = 4096;
const RAM_BYTES = 1 << 18;
/** Physical addresses. */
const AT = {
  pml4: 0x1000,
  kernelTables: 0x2000,
  lowTables: 0x5000,
  lowDataTable: 0x8000,
  highTables: 0x9000,
  highDataTable: 0xc000,
  gdt: 0xd000,
  idt: 0xe000,
  tss: 0xf000,
  iret: 0xf100,
  handlers: 0xf200,
  stackTop: 0x1_1000,
  code: 0x2_0000,
  data: 0x3_0000,
} as const;
/** The kernel's linear addresses: physical ones from here. */
const KERNEL = -(2 ** 47);
/** Linux's selectors. */
const SEL = { code0: 0x10, data0: 0x18, data3: 0x2b, code3: 0x33, tss: 0x40 } as const;
const CR0 = 0x8001_0033 | 0;
/** PAE, OSFXSR, OSXMMEXCPT, OSXSAVE. */
const CR4 = 0x4_0620;
/** x87, SSE and AVX state. */
const XCR0 = 7;
/** NXE, LMA, LME, SCE. */
const EFER = 0xd01;
const PTE = { present: 1, writable: 2, user: 4, noExecute: 0x8000_0000 } as const;
const VECTORS = 32;
const FRAME_BYTES = 40;
const BUDGET = 100_000;
const MAX_STEPS = 5000;
const TWO_32 = 0x1_0000_0000;

export class LongEmulatedOracle {
  readonly cpu: Cpu;
  readonly #physical: PhysicalMemory;
  readonly #pages: { readonly live: Buffer; readonly original: Buffer }[] = [];
  readonly #blank = new Uint8Array(16).fill(WINDOW.fill);
  readonly #frame: DataView;

  /** @param window what the data window holds before each case */
  constructor(window: Uint8Array) {
    const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
    const { buffer } = linear;
    this.#physical = new PhysicalMemory({ buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap });
    this.#physical.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    this.#frame = new DataView(buffer, LINEAR.guest + AT.stackTop - FRAME_BYTES - 8, FRAME_BYTES + 8);
    this.cpu = new Cpu({
      linear,
      physical: this.#physical,
      ports: new IoBus(),
      interrupts: { acknowledge: () => 0 },
      tsc: () => 0,
    });
    for (let page = 0; page * PAGE < WINDOW.dataBytes; page++) {
      const original = Buffer.from(window.subarray(page * PAGE, (page + 1) * PAGE));
      const live = Buffer.from(buffer, LINEAR.guest + dataPage(page), PAGE);
      live.set(original);
      this.#pages.push({ live, original });
    }
    this.#buildTables();
    this.#enterKernel();
  }

  /**
   * @param given an encoded case
   * @param block run it as part of a block; else single-stepped
   */
  run(given: Uint8Array, block: boolean): Outcome {
    const view = new DataView(given.buffer, given.byteOffset, given.byteLength);
    const start = addressAt(LONG_SHAPE, view, GIVEN.eip);
    const codeBytes = given[GIVEN.codeBytes];
    this.#patch(given, view);
    const codeAt = start - (start >= HIGH_WINDOW.code ? HIGH_WINDOW.code : WINDOW.code);
    this.#writeCode(codeAt, given.subarray(GIVEN.code, GIVEN.code + codeBytes));
    this.#loadRegisters(view);
    const frame = this.#frame;
    frame.setBigInt64(8, view.getBigInt64(GIVEN.eip, true), true);
    frame.setBigInt64(24, view.getBigInt64(GIVEN.eflags, true) | BigInt(block ? 0 : EFLAGS.tf), true);
    frame.setBigInt64(32, view.getBigInt64(GIVEN.gpr + GPR.esp * 8, true), true);
    let steps = 0;
    let eip = start;
    let vector: number;
    for (;;) {
      vector = this.#resume();
      if (vector < 0) break;
      steps++;
      eip = Number(frame.getBigInt64(8, true));
      if (vector !== COMPLETED || eip !== start || given[GIVEN.repeats] === 0 || steps >= MAX_STEPS) break;
    }
    const result = new DataView(new ArrayBuffer(RESULT.bytes));
    const { state } = this.cpu;
    const completed = vector === COMPLETED || (block && vector >= 0 && eip !== start);
    const hasError = state.address(STATE.gpr + GPR.esp * 8) === KERNEL + AT.stackTop - FRAME_BYTES - 8;
    result.setInt32(RESULT.trap, completed ? COMPLETED : vector, true);
    result.setUint32(RESULT.error, !completed && hasError ? frame.getUint32(0, true) : 0, true);
    result.setBigUint64(RESULT.cr2, vector === PAGE_FAULT ? state.view.getBigUint64(STATE.cr2, true) : 0n, true);
    result.setBigUint64(RESULT.eip, frame.getBigUint64(8, true), true);
    result.setUint32(RESULT.steps, steps, true);
    for (let i = 0; i < 16; i++)
      result.setBigUint64(RESULT.gpr + i * 8, state.view.getBigUint64(STATE.gpr + i * 8, true), true);
    result.setBigUint64(RESULT.gpr + GPR.esp * 8, frame.getBigUint64(32, true), true);
    result.setBigUint64(RESULT.eflags, frame.getBigUint64(24, true), true);
    this.#storeFloat(result);
    this.#writeCode(codeAt, this.#blank.subarray(0, codeBytes));
    const changes = this.#collectChanges();
    result.setUint32(RESULT.changes, changes.length / 2, true);
    return { view: result, changes };
  }

  /**
   * Goes to user mode with what the frame says, which then holds what it came back with.
   * @returns the vector, or -1 when no exception came within the budget
   */
  #resume(): number {
    const { state } = this.cpu;
    this.#frame.setBigUint64(16, BigInt(SEL.code3), true);
    this.#frame.setBigUint64(40, BigInt(SEL.data3), true);
    state.setAddress(STATE.gpr + GPR.esp * 8, KERNEL + AT.stackTop - FRAME_BYTES);
    state.setAddress(STATE.eip, KERNEL + AT.iret);
    state.set(STATE.halted, 0);
    if (this.cpu.run(BUDGET) !== 'halt') {
      // Lost in user mode: back to the kernel for the next case.
      this.#enterKernel();
      return -1;
    }
    return state.address(STATE.eip) - KERNEL - AT.handlers - 1;
  }

  #patch(given: Uint8Array, view: DataView): void {
    let at: number = GIVEN.bytes;
    for (let i = 0; i < view.getUint16(GIVEN.patches, true); i++) {
      const offset = view.getUint16(at, true);
      const count = view.getUint16(at + 2, true);
      at += 4;
      for (let n = 0; n < count; n++) this.#pages[(offset + n) >> 12].live[(offset + n) & 0xfff] = given[at + n];
      at += count;
    }
  }

  /** @param offset from the start of the code window */
  #writeCode(offset: number, code: Uint8Array): void {
    const here = Math.min(code.length, PAGE - (offset % PAGE));
    this.#physical.write(codePage(offset >> 12) + (offset % PAGE), code.subarray(0, here));
    if (here < code.length) this.#physical.write(codePage((offset >> 12) + 1), code.subarray(here));
  }

  #loadRegisters(given: DataView): void {
    const { state } = this.cpu;
    const { view } = state;
    for (let i = 0; i < 16; i++)
      view.setBigUint64(STATE.gpr + i * 8, given.getBigUint64(GIVEN.gpr + i * 8, true), true);
    view.setBigUint64(base(SEG.fs), given.getBigUint64(GIVEN.fsBase, true), true);
    view.setBigUint64(base(SEG.gs), given.getBigUint64(GIVEN.gsBase, true), true);
    const status = given.getUint16(GIVEN.fx + FX.status, true);
    const top = (status >> 11) & 7;
    state.set(STATE.fpuControl, given.getUint16(GIVEN.fx + FX.control, true));
    state.set(STATE.fpuStatus, status & ~0x3800);
    state.set(STATE.fpuTop, top);
    state.set(STATE.fpuTags, given.getUint8(GIVEN.fx + FX.tags));
    state.set(STATE.mxcsr, given.getUint32(GIVEN.fx + FX.mxcsr, true));
    for (const field of [STATE.fpuOpcode, STATE.fpuIp, STATE.fpuCs, STATE.fpuDp, STATE.fpuDs]) state.set(field, 0);
    for (let i = 0; i < 8; i++) {
      const st = GIVEN.fx + FX.st + i * 16;
      const slot = STATE.fpr + ((i + top) & 7) * 16;
      view.setBigUint64(slot, given.getBigUint64(st, true), true);
      view.setUint16(slot + 8, given.getUint16(st + 8, true), true);
    }
    for (let i = 0; i < 16; i++) {
      for (let n = 0; n < 16; n += 8) {
        const bits = given.getBigUint64(GIVEN.fx + FX.xmm + i * 16 + n, true);
        view.setBigUint64(STATE.xmm + i * XMM_BYTES + n, bits, true);
        const high = given.getBigUint64(GIVEN.ymm + i * 16 + n, true);
        view.setBigUint64(STATE.xmm + i * XMM_BYTES + 16 + n, high, true);
      }
    }
  }

  #storeFloat(result: DataView): void {
    const { state } = this.cpu;
    const { view } = state;
    const top = state.get(STATE.fpuTop);
    result.setUint16(RESULT.fx + FX.control, state.get(STATE.fpuControl), true);
    result.setUint16(RESULT.fx + FX.status, state.get(STATE.fpuStatus) | (top << 11), true);
    result.setUint8(RESULT.fx + FX.tags, state.get(STATE.fpuTags));
    result.setUint32(RESULT.fx + FX.mxcsr, state.get(STATE.mxcsr), true);
    for (let i = 0; i < 8; i++) {
      const st = RESULT.fx + FX.st + i * 16;
      const slot = STATE.fpr + ((i + top) & 7) * 16;
      result.setBigUint64(st, view.getBigUint64(slot, true), true);
      result.setUint16(st + 8, view.getUint16(slot + 8, true), true);
    }
    for (let i = 0; i < 16; i++) {
      for (let n = 0; n < 16; n += 8) {
        const bits = view.getBigUint64(STATE.xmm + i * XMM_BYTES + n, true);
        result.setBigUint64(RESULT.fx + FX.xmm + i * 16 + n, bits, true);
        const high = view.getBigUint64(STATE.xmm + i * XMM_BYTES + 16 + n, true);
        result.setBigUint64(RESULT.ymm + i * 16 + n, high, true);
      }
    }
  }

  /** What changed in the data window; undoes it. */
  #collectChanges(): Uint16Array {
    const changes: number[] = [];
    this.#pages.forEach(({ live, original }, page) => {
      if (live.equals(original)) return;
      for (let i = 0; i < PAGE; i++) {
        if (live[i] === original[i]) continue;
        changes.push(page * PAGE + i, live[i]);
        live[i] = original[i];
      }
    });
    return Uint16Array.from(changes);
  }

  #put(at: number, low: number, high: number): void {
    this.#physical.writeSized(at, 4, low >>> 0);
    this.#physical.writeSized(at + 4, 4, high >>> 0);
  }

  /** Maps `bytes` from `linear` on through tables at `tables`, `tables` + 1000h, and the page table `table`. */
  #map(linear: number, tables: number, table: number, bytes: number, entry: (page: number) => [number, number]): void {
    const pages = Math.floor(linear / PAGE);
    const level = (n: number): number => (Math.floor(pages / 512 ** n) & 511) * 8;
    const all = PTE.present | PTE.writable | PTE.user;
    this.#put(AT.pml4 + level(3), tables | all, 0);
    this.#put(tables + level(2), (tables + PAGE) | all, 0);
    this.#put(tables + PAGE + level(1), table | all, 0);
    for (let page = 0; page * PAGE < bytes; page++) this.#put(table + page * 8, ...entry(page));
  }

  #buildTables(): void {
    const user = PTE.present | PTE.user;
    const code = (page: number): [number, number] => [codePage(page) | user | PTE.writable, 0];
    const data = (page: number): [number, number] => [
      dataPage(page) | user | (page * PAGE < WINDOW.readOnlyFrom ? PTE.writable : 0),
      PTE.noExecute,
    ];
    this.#map(KERNEL, AT.kernelTables, AT.kernelTables + 2 * PAGE, RAM_BYTES, (page) => [
      (page * PAGE) | PTE.present | PTE.writable,
      0,
    ]);
    this.#map(WINDOW.code, AT.lowTables, AT.lowTables + 2 * PAGE, WINDOW.codeBytes, code);
    this.#map(WINDOW.data, AT.lowTables, AT.lowDataTable, WINDOW.dataBytes, data);
    this.#map(HIGH_WINDOW.code, AT.highTables, AT.highTables + 2 * PAGE, WINDOW.codeBytes, code);
    this.#map(HIGH_WINDOW.data, AT.highTables, AT.highDataTable, WINDOW.dataBytes, data);
    const high = Math.floor(KERNEL / TWO_32);
    this.#put(AT.gdt + SEL.code0, 0xffff, 0x00af_9b00);
    this.#put(AT.gdt + SEL.data0, 0xffff, 0x00cf_9300);
    this.#put(AT.gdt + (SEL.data3 & ~7), 0xffff, 0x00cf_f300);
    this.#put(AT.gdt + (SEL.code3 & ~7), 0xffff, 0x00af_fb00);
    for (let vector = 0; vector < VECTORS; vector++) {
      const handler = AT.handlers + vector;
      this.#put(AT.idt + vector * 16, (SEL.code0 << 16) | (handler & 0xffff), (handler & 0xffff_0000) | 0x8e00);
      this.#put(AT.idt + vector * 16 + 8, high, 0);
      this.#physical.writeSized(AT.handlers + vector, 1, 0xf4);
    }
    this.#physical.write(AT.iret, Uint8Array.of(0x48, 0xcf));
    this.#put(AT.tss + 4, AT.stackTop, high);
    // No I/O permission bitmap.
    this.#physical.writeSized(AT.tss + 0x64, 4, 0x0068_0000);
    for (let at = 0; at < WINDOW.codeBytes; at += this.#blank.length) this.#writeCode(at, this.#blank);
  }

  #enterKernel(): void {
    const { state, system } = this.cpu;
    system.reset();
    state.setAddress(STATE.cr3, AT.pml4);
    state.set(STATE.cr4, CR4);
    state.set(STATE.xcr0, XCR0);
    state.set(STATE.efer, EFER);
    state.set(STATE.cr0, CR0);
    state.setAddress(STATE.gdtBase, KERNEL + AT.gdt);
    state.set(STATE.gdtLimit, 0xff);
    state.setAddress(STATE.idtBase, KERNEL + AT.idt);
    state.set(STATE.idtLimit, VECTORS * 16 - 1);
    for (const seg of [SEG.es, SEG.ds, SEG.fs, SEG.gs]) system.setSegment(seg, 0, 0, 0, 0);
    system.setSegment(SEG.cs, SEL.code0, 0, 0xffff_ffff, 0xa09b);
    system.setSegment(SEG.ss, SEL.data0, 0, 0xffff_ffff, 0xc093);
    system.setSegment(SEG.ldtr, 0, 0, 0, 0);
    system.setSegment(SEG.tr, SEL.tss, 0, 0x67, 0x8b);
    state.setAddress(base(SEG.tr), KERNEL + AT.tss);
    system.reload();
  }
}

/** Offset of a segment's base in the state block. */
const base = (seg: number): number => STATE.segments + seg * SEGMENT.bytes + SEGMENT.base;
/** Pages lie in reverse order, so that an access that goes on behind a page's end in physical memory shows. */
const codePage = (page: number): number => AT.code + (WINDOW.codeBytes / PAGE - 1 - page) * PAGE;
const dataPage = (page: number): number => AT.data + (WINDOW.dataBytes / PAGE - 1 - page) * PAGE;
