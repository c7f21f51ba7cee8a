/** A virtual CPU in IA-32e mode, without an interpreter: for tests. */
import { GPR, LINEAR, SEG, STATE } from '../state/layout.ts';
import { STATUS, type Status, type SystemCall } from './calls.ts';
import { CpuBench, IDT, RAM_BYTES, SEL, TSS_AT } from './cpu-bench.suite.ts';
import type { CpuConfig } from './cpu-features.ts';

/** Selectors beside those of `SEL`; `tss` and `gate` take 16 bytes. */
export const SEL64 = {
  code0: 0x70,
  code3: 0x7b,
  tss: 0x80,
  conforming: 0x90,
  /** L and D set: reserved. */
  both: 0x98,
  gate: 0xa0,
  ldt: 0xb0,
} as const;

/** Page tables: 4 KB pages for the first 2 MB, one large page for the next; all user, writable, identity. */
export const PML4 = 0x20_0000;
export const PDPT = 0x20_1000;
export const PD = 0x20_2000;
export const PT = 0x20_3000;
/** Linear addresses from here on show the first gigabyte again. */
export const HIGH: number = -(2 ** 39);
/** Stacks that the 64-bit TSS names. */
export const RSP0 = 0x9000;
export const IST1: number = HIGH + 0xa008;

const TWO_32 = 0x1_0000_0000;
const upper = (value: number): number => Math.floor(value / TWO_32);

export class LongBench extends CpuBench {
  /** In 64-bit mode at CPL 0: CS `SEL64.code0`, RIP HIGH + 5000h, RSP HIGH + 8000h, SS `SEL.data0`. */
  constructor(config: Partial<CpuConfig> = {}) {
    super(config);
    this.enterLongMode();
  }

  /** The same again, with everything else in memory 0. */
  restart(): void {
    this.physical.bytes.fill(0, LINEAR.guest, LINEAR.guest + RAM_BYTES);
    this.system.reset();
    this.enterLongMode();
  }

  enterLongMode(): void {
    this.enterProtectedMode();
    this.descriptor(SEL64.code0, 0, 0, 0x209a);
    this.descriptor(SEL64.code3, 0, 0, 0x20fa);
    this.descriptor(SEL64.conforming, 0, 0, 0x209e);
    this.descriptor(SEL64.both, 0, 0, 0x609a);
    this.wideDescriptor(SEL64.tss, HIGH + TSS_AT, 0x2fff, 0x89);
    this.wideDescriptor(SEL64.ldt, HIGH + 0x4000, 0xff, 0x82);
    this.#pageTables();
    this.#must(this.call('movToCr', 4, 0x20), STATUS.jumped);
    this.#must(this.call('movToCr', 3, PML4), STATUS.jumped);
    this.wrmsr(0xc000_0080, 0x901);
    this.#must(this.call('movToCr', 0, 0x8001_0031 | 0), STATUS.jumped);
    this.#must(this.call('farJump', SEL64.code0, 0x5000, 32), STATUS.jumped);
    this.#must(this.call64('loadGdt', 0xff, HIGH + 0x1000), STATUS.next);
    this.#must(this.call64('loadIdt', 64 * 16 - 1, HIGH + IDT), STATUS.next);
    this.state.set(STATE.eip, 0x5000);
    this.putQuad(TSS_AT + 4, RSP0);
    this.putQuad(TSS_AT + 0x24, IST1);
    this.put16(TSS_AT + 0x66, 0x68);
    this.#must(this.call('loadTr', SEL64.tss), STATUS.next);
    this.rip = HIGH + 0x5000;
    this.rsp = HIGH + 0x8000;
  }

  #pageTables(): void {
    this.put32(PML4, PDPT | 7, 0);
    this.put32(PML4 + 511 * 8, PDPT | 7, 0);
    this.put32(PDPT, PD | 7, 0);
    this.put32(PD, PT | 7, 0, 0x20_0000 | 0x87, 0);
    for (let page = 0; page < 512; page++) this.put32(PT + page * 8, (page << 12) | 7, 0);
  }

  /** A system call whose arguments 64-bit code gives as 64-bit values. */
  call64(name: SystemCall, ...args: number[]): Status {
    args.forEach((value, n) => {
      this.state.setAddress(STATE.wideArgument + n * 8, value);
    });
    const [a = 0, b = 0, c = 0, d = 0] = args.map((value) => value | 0);
    return this.call(name, a, b, c, d);
  }

  /** A 16-byte system descriptor. */
  wideDescriptor(selector: number, base: number, limit: number, access: number): void {
    this.descriptor(selector, base >>> 0, limit, access);
    this.put32(0x1000 + (selector & 0xfff8) + 8, upper(base), 0);
  }

  /** A 64-bit gate at `at`: of the IDT with an entry of the interrupt stack table, or a call gate. */
  gate64(at: number, selector: number, offset: number, access: number, ist = 0): void {
    this.gate(at, selector, offset >>> 0, access, ist);
    this.put32(at + 8, upper(offset), 0);
  }

  putQuad(at: number, ...values: number[]): void {
    values.forEach((value, n) => {
      this.put32(at + n * 8, value | 0, upper(value));
    });
  }
  /** Signed. */
  getQuad(at: number): number {
    return (this.get32(at + 4) | 0) * TWO_32 + this.get32(at);
  }
  /** `count` items of 8 bytes from the top of the stack, which lies in the first 2 MB. */
  stack(count: number): number[] {
    const at = this.rsp < 0 ? this.rsp - HIGH : this.rsp;
    return Array.from({ length: count }, (_, n) => this.getQuad(at + n * 8));
  }

  get rip(): number {
    return this.state.address(STATE.eip);
  }
  /** Sets RIP; the instruction takes 2 bytes. */
  set rip(value: number) {
    this.state.setAddress(STATE.eip, value);
    this.state.setAddress(STATE.nextEip, value + 2);
  }
  register(n: number): number {
    return this.state.address(STATE.gpr + n * 8);
  }
  setRegister(n: number, value: number): void {
    this.state.setAddress(STATE.gpr + n * 8, value);
  }
  get rsp(): number {
    return this.register(GPR.esp);
  }
  set rsp(value: number) {
    this.setRegister(GPR.esp, value);
  }

  /** To 64-bit code at CPL 3. */
  enterUser64(rip = 0x6000, rsp = 0xb000, rflags = 0x202): void {
    this.rsp -= 40;
    this.putQuad(this.rsp - HIGH, rip, SEL64.code3, rflags, rsp, SEL.data3);
    this.#must(this.call('interruptReturn', 64), STATUS.jumped);
    this.rip = rip;
  }

  /** To compatibility mode at CPL 3, flat. */
  enterCompatibility(eip = 0x6000, esp = 0xb000, rflags = 0x202): void {
    this.rsp -= 40;
    this.putQuad(this.rsp - HIGH, eip, SEL.code3, rflags, esp, SEL.data3);
    this.#must(this.call('interruptReturn', 64), STATUS.jumped);
    for (const seg of [SEG.es, SEG.ds]) this.call('loadSegment', seg, SEL.data3);
    this.at(eip);
  }

  /** @returns 'ok' or the fault */
  wrmsr(number: number, value: number): unknown {
    this.state.setGpr(GPR.ecx, number | 0);
    this.state.setGpr(GPR.eax, value | 0);
    this.state.setGpr(GPR.edx, upper(value));
    return this.call('wrmsr') === STATUS.fault ? this.takeFault() : 'ok';
  }
  rdmsr(number: number): unknown {
    this.state.setGpr(GPR.ecx, number | 0);
    if (this.call('rdmsr') === STATUS.fault) return this.takeFault();
    return this.state.gpr(GPR.edx) * TWO_32 + (this.state.gpr(GPR.eax) >>> 0);
  }

  #must(got: Status, wanted: Status): void {
    if (got !== wanted) throw new Error(`status ${got}, fault ${this.takeFault()}`);
  }
}
