/**
 * Runs cases on a virtual CPU, in the surroundings that `native/oracle.c` has: flat 32-bit user mode, paging, the windows.
 *
 * The "kernel" is IRET, which starts a case, and a HLT for each vector, which ends it; so cases enter and leave through the
 * CPU's own transfers, and with TF in the flags IRET loads the instruction runs alone.
 */
import { IoBus } from '#emu/bus/io-bus.ts';
import { Cpu } from '#emu/cpu/cpu.ts';
import { EFLAGS } from '#emu/cpu/state/flags.ts';
import { LINEAR, SEG, STATE, XMM_BYTES } from '#emu/cpu/state/layout.ts';
import { testedTier } from '#emu/cpu/tier.suite.ts';
import { createLinearMemory } from '#emu/cpu/wasm/host.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import {
  COMPLETED,
  FX,
  GIVEN,
  KERNEL,
  type Outcome,
  PAGE_FAULT,
  RESULT,
  SEGMENTS,
  segmentOf,
  WINDOW,
} from './layout.ts';

const PAGE = 4096;
const RAM_BYTES = 1 << 18;
/** Physical addresses. */
const AT = {
  directory: 0x1000,
  kernelTable: 0x2000,
  codeTable: 0x3000,
  dataTable: 0x4000,
  gdt: 0x5000,
  ldt: 0x5800,
  idt: 0x6000,
  tss: 0x7000,
  iret: 0x8000,
  handlers: 0x8100,
  stackTop: 0xa000,
  code: 0x1_0000,
  data: 0x2_0000,
} as const;
/** Linux's selectors of a 32-bit program, so that what stores selectors agrees. */
const SEL = { code0: 0x08, data0: 0x10, tls: 0x63, tss: 0x40 } as const;
const { flatCode, flatData } = SEGMENTS;
const CR0 = 0x8001_0033 | 0;
/** OSFXSR, OSXMMEXCPT, OSXSAVE. */
const CR4 = 0x4_0600;
/** x87, SSE and AVX state. */
const XCR0 = 7;
const PTE = { present: 1, writable: 2, user: 4 } as const;
const VECTORS = 32;
const FRAME_BYTES = 20;
const BUDGET = 100_000;
const MAX_STEPS = 5000;
const GPRS = [0, 1, 2, 3, 4, 5, 6, 7] as const;

export class EmulatedOracle {
  readonly cpu: Cpu;
  readonly #physical: PhysicalMemory;
  readonly #pages: { readonly live: Buffer; readonly original: Buffer }[] = [];
  readonly #blank = new Uint8Array(16).fill(WINDOW.fill);

  /** @param window what the data window holds before each case */
  constructor(window: Uint8Array) {
    const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
    const { buffer } = linear;
    this.#physical = new PhysicalMemory({ buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap });
    this.#physical.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    this.cpu = new Cpu({
      ...testedTier,
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
    const start = view.getUint32(GIVEN.eip, true);
    const codeBytes = given[GIVEN.codeBytes];
    this.#patch(given, view);
    const codeAt = (segmentOf(view.getUint16(GIVEN.cs, true)).base + start) >>> 0;
    this.#writeCode(codeAt, given.subarray(GIVEN.code, GIVEN.code + codeBytes));
    this.#loadRegisters(view);
    const { state } = this.cpu;
    let steps = 0;
    let eip = start;
    let eflags = view.getUint32(GIVEN.eflags, true);
    let esp = view.getUint32(GIVEN.gpr + 16, true);
    let vector: number;
    for (;;) {
      this.#loadSegments(view);
      vector = this.#resume(eip, block ? eflags : eflags | EFLAGS.tf, esp);
      if (vector < 0) break;
      steps++;
      eip = this.#popped(0);
      eflags = this.#popped(8);
      esp = this.#popped(12);
      if (vector !== COMPLETED || eip !== start || given[GIVEN.repeats] === 0 || steps >= MAX_STEPS) break;
    }
    const result = new DataView(new ArrayBuffer(RESULT.bytes));
    const completed = vector === COMPLETED || (block && vector >= 0 && eip !== start);
    const hasError = state.gpr(4) >>> 0 === KERNEL + AT.stackTop - FRAME_BYTES - 4;
    result.setInt32(RESULT.trap, completed ? COMPLETED : vector, true);
    result.setUint32(
      RESULT.error,
      !completed && hasError ? this.#physical.readU32(AT.stackTop - FRAME_BYTES - 4) : 0,
      true,
    );
    result.setUint32(RESULT.cr2, vector === PAGE_FAULT ? state.get(STATE.cr2) : 0, true);
    result.setUint32(RESULT.eip, eip, true);
    result.setUint32(RESULT.steps, steps, true);
    for (const i of GPRS) result.setInt32(RESULT.gpr + i * 4, i === 4 ? esp : state.gpr(i), true);
    result.setUint32(RESULT.eflags, eflags, true);
    this.#storeFloat(result);
    this.#writeCode(codeAt, this.#blank.subarray(0, codeBytes));
    const changes = this.#collectChanges();
    result.setUint32(RESULT.changes, changes.length / 2, true);
    return { view: result, changes };
  }

  /** @returns the vector, or -1 when no exception came within the budget */
  #resume(eip: number, eflags: number, esp: number): number {
    const { state } = this.cpu;
    const frame = AT.stackTop - FRAME_BYTES;
    const put = (at: number, value: number): void => this.#physical.writeSized(frame + at, 4, value >>> 0);
    put(0, eip);
    put(8, eflags);
    put(12, esp);
    state.setGpr(4, KERNEL + frame);
    state.set(STATE.eip, KERNEL + AT.iret);
    state.set(STATE.halted, 0);
    if (this.cpu.run(BUDGET) !== 'halt') {
      // Lost in user mode: back to the kernel for the next case.
      this.#enterKernel();
      return -1;
    }
    return (state.get(STATE.eip) >>> 0) - KERNEL - AT.handlers - 1;
  }

  /** DS and ES at once, CS and SS in the frame that IRET pops. */
  #loadSegments(given: DataView): void {
    const frame = AT.stackTop - FRAME_BYTES;
    this.#physical.writeSized(frame + 4, 4, given.getUint16(GIVEN.cs, true));
    this.#physical.writeSized(frame + 16, 4, given.getUint16(GIVEN.ss, true));
    for (const [seg, at] of [
      [SEG.ds, GIVEN.ds],
      [SEG.es, GIVEN.es],
    ] as const) {
      const wanted = segmentOf(given.getUint16(at, true));
      if (this.cpu.state.selector(seg) === wanted.selector) continue;
      const limit = wanted.limit | 0;
      this.cpu.system.setSegment(seg, wanted.selector, wanted.base, limit, wanted.access);
    }
  }

  #popped(at: number): number {
    return this.#physical.readU32(AT.stackTop - FRAME_BYTES + at);
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

  #writeCode(eip: number, code: Uint8Array): void {
    const offset = eip - WINDOW.code;
    const here = Math.min(code.length, PAGE - (offset % PAGE));
    this.#physical.write(codePage(offset >> 12) + (offset % PAGE), code.subarray(0, here));
    if (here < code.length) this.#physical.write(codePage((offset >> 12) + 1), code.subarray(here));
  }

  #loadRegisters(given: DataView): void {
    const { state } = this.cpu;
    for (const i of GPRS) state.setGpr(i, given.getInt32(GIVEN.gpr + i * 4, true));
    const status = given.getUint16(GIVEN.fx + FX.status, true);
    const top = (status >> 11) & 7;
    state.set(STATE.fpuControl, given.getUint16(GIVEN.fx + FX.control, true));
    state.set(STATE.fpuStatus, status & ~0x3800);
    state.set(STATE.fpuTop, top);
    state.set(STATE.fpuTags, given.getUint8(GIVEN.fx + FX.tags));
    state.set(STATE.mxcsr, given.getUint32(GIVEN.fx + FX.mxcsr, true));
    for (const field of [STATE.fpuOpcode, STATE.fpuIp, STATE.fpuCs, STATE.fpuDp, STATE.fpuDs]) state.set(field, 0);
    const { view } = state;
    for (const i of GPRS) {
      const st = GIVEN.fx + FX.st + i * 16;
      const slot = STATE.fpr + ((i + top) & 7) * 16;
      view.setBigUint64(slot, given.getBigUint64(st, true), true);
      view.setUint16(slot + 8, given.getUint16(st + 8, true), true);
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
    for (const i of GPRS) {
      const st = RESULT.fx + FX.st + i * 16;
      const slot = STATE.fpr + ((i + top) & 7) * 16;
      result.setBigUint64(st, view.getBigUint64(slot, true), true);
      result.setUint16(st + 8, view.getUint16(slot + 8, true), true);
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

  #buildTables(): void {
    const put = (at: number, ...values: number[]): void => {
      values.forEach((value, i) => {
        this.#physical.writeSized(at + i * 4, 4, value >>> 0);
      });
    };
    const table = (linear: number, at: number): void =>
      put(AT.directory + (linear >>> 22) * 4, at | PTE.present | PTE.writable | PTE.user);
    table(KERNEL, AT.kernelTable);
    table(WINDOW.code, AT.codeTable);
    table(WINDOW.data, AT.dataTable);
    for (let at = 0; at < RAM_BYTES; at += PAGE) put(AT.kernelTable + at / 1024, at | PTE.present | PTE.writable);
    for (let page = 0; page * PAGE < WINDOW.codeBytes; page++)
      put(AT.codeTable + page * 4, codePage(page) | PTE.present | PTE.writable | PTE.user);
    for (let page = 0; page * PAGE < WINDOW.dataBytes; page++) {
      const writable = page * PAGE < WINDOW.readOnlyFrom ? PTE.writable : 0;
      put(AT.dataTable + page * 4, dataPage(page) | PTE.present | PTE.user | writable);
    }
    const flat = (selector: number, access: number): void =>
      put(AT.gdt + (selector & ~7), 0x0000_ffff, 0x00cf_0000 | (access << 8));
    flat(SEL.code0, 0x9b);
    flat(SEL.data0, 0x93);
    flat(flatCode.selector, 0xfb);
    flat(flatData.selector, 0xf3);
    for (const s of Object.values(SEGMENTS)) {
      if (s === flatCode || s === flatData) continue;
      const high =
        (s.base & 0xff00_0000) | ((s.base >>> 16) & 0xff) | ((s.access & 0xf0ff) << 8) | (s.limit & 0xf_0000);
      put(AT.ldt + (s.selector & ~7), (s.limit & 0xffff) | ((s.base & 0xffff) << 16), high);
    }
    flat(SEL.tls, 0xf3);
    for (let vector = 0; vector < VECTORS; vector++) {
      const handler = KERNEL + AT.handlers + vector;
      put(AT.idt + vector * 8, (SEL.code0 << 16) | (handler & 0xffff), (handler & 0xffff_0000) | 0x8e00);
      this.#physical.writeSized(AT.handlers + vector, 1, 0xf4);
    }
    this.#physical.writeSized(AT.iret, 1, 0xcf);
    put(AT.tss + 4, KERNEL + AT.stackTop, SEL.data0);
    // No I/O permission bitmap.
    put(AT.tss + 0x64, 0x0068_0000);
    for (let at = 0; at < WINDOW.codeBytes; at += this.#blank.length) this.#writeCode(WINDOW.code + at, this.#blank);
  }

  #enterKernel(): void {
    const { cpu } = this;
    const flat = (selector: number, attributes: number) => ({ selector, base: 0, limit: 0xffff_ffff, attributes });
    cpu.enter({
      eip: KERNEL + AT.iret,
      registers: { eax: 0, ebx: 0, ecx: 0, edx: 0, esp: KERNEL + AT.stackTop, ebp: 0, esi: 0, edi: 0 },
      eflags: EFLAGS.reserved1,
      cr0: 0x11,
      gdt: { base: KERNEL + AT.gdt, limit: 0xff },
      idt: { base: KERNEL + AT.idt, limit: VECTORS * 8 - 1 },
      cs: flat(SEL.code0, 0xc09b),
      data: flat(flatData.selector, flatData.access),
    });
    const { state, system } = cpu;
    system.setSegment(SEG.ss, SEL.data0, 0, 0xffff_ffff, 0xc093);
    system.setSegment(SEG.fs, 0, 0, 0, 0);
    system.setSegment(SEG.gs, SEL.tls, 0, 0xffff_ffff, 0xc0f3);
    system.setSegment(SEG.ldtr, 0x48, KERNEL + AT.ldt, 0x7f, 0x82);
    system.setSegment(SEG.tr, SEL.tss, KERNEL + AT.tss, 0x67, 0x8b);
    state.set(STATE.cr3, AT.directory);
    state.set(STATE.cr4, CR4);
    state.set(STATE.xcr0, XCR0);
    state.set(STATE.cr0, CR0);
    system.reload();
  }
}

/** Pages lie in reverse order, so that an access that goes on behind a page's end in physical memory shows. */
const codePage = (page: number): number => AT.code + (WINDOW.codeBytes / PAGE - 1 - page) * PAGE;
const dataPage = (page: number): number => AT.data + (WINDOW.dataBytes / PAGE - 1 - page) * PAGE;
