/** Loops whose head faults: the handler finds the flags that the loop's end has left, however the loop was compiled. */
import { beforeAll, describe, expect, it } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Cpu } from '../cpu.ts';
import { EFLAGS } from '../state/flags.ts';
import { GPR, LINEAR, STATE } from '../state/layout.ts';
import { createLinearMemory } from '../wasm/host.ts';
import type { TierMode } from './tier1.ts';

const RAM_BYTES = 0x10_0000;
const TABLES = [0x1000, 0x2000, 0x3000, 0x4000];
const GDT = 0x5000;
const IDT = 0x6000;
const STACK = 0x9000;
const HANDLER = 0xb000;
/** A page for each run: one whose code changes too often is compiled no more. */
const CODE = 0x2_0000;
/** Nothing is mapped there. */
const ABSENT = 0x4_1000;
const ITERATIONS = 700;
const PAGE_FAULT = 14;
const PRESENT_WRITABLE = 3;
const HLT = 0xf4;
const ECX = 0x9d3c_71e5;
const EDI = 0x4_5678;
const ADDEND = 0x1234_5679;

const dword = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, (v >> 24) & 0xff];

interface Fault {
  readonly flags: number;
  readonly ecx: number;
  readonly ebx: number;
  readonly retired: number;
}

/** A CPU, for all loops of one tier and code size. */
class LoopRunner {
  readonly #tier: TierMode;
  readonly #long: boolean;
  readonly #cpu: Cpu;
  readonly #physical: PhysicalMemory;
  #runs = 0;

  constructor(tier: TierMode, long: boolean) {
    this.#tier = tier;
    this.#long = long;
    const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
    const { buffer } = linear;
    this.#physical = new PhysicalMemory({ buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap });
    this.#physical.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    this.#cpu = new Cpu({
      ...{ linear, physical: this.#physical, tier, ports: new IoBus(), tsc: () => 0 },
      interrupts: { acknowledge: () => 0 },
    });
  }

  /**
   * Runs `mov al, [esi]; xor ebx, eax; lea esi, [esi + 1]; END; jmp` to the page fault.
   * @param slice instructions of a slice
   */
  run(end: readonly number[], slice: number): Fault {
    const long = this.#long;
    const cpu = this.#cpu;
    const physical = this.#physical;
    const put32 = (at: number, ...values: number[]): void => {
      values.forEach((v, i) => {
        physical.writeSized(at + i * 4, 4, v >>> 0);
      });
    };
    const levels = long ? TABLES : TABLES.slice(0, 2);
    levels.slice(1).forEach((table, n) => {
      put32(levels[n], table | PRESENT_WRITABLE);
    });
    for (let at = 0; at < RAM_BYTES; at += 4096)
      put32(levels[levels.length - 1] + (at / 4096) * (long ? 8 : 4), at | (at === ABSENT ? 0 : PRESENT_WRITABLE));
    put32(GDT, 0, 0, 0xffff, long ? 0x00af_9b00 : 0x00cf_9b00, 0xffff, 0x00cf_9300);
    put32(IDT + PAGE_FAULT * (long ? 16 : 8), (8 << 16) | HANDLER, 0x8e00);
    physical.write(HANDLER, Uint8Array.of(HLT));
    for (let at = 0; at < 4096; at++) physical.writeSized(ABSENT - 4096 + at, 1, (at * 37) & 0xff);
    const head = [...(long ? [0x48] : []), 0x8d, 0x76, 1];
    const body = [0x8a, 0x06, 0x31, 0xc3, ...head, ...end];
    const code = CODE + 4096 * this.#runs++;
    physical.write(code, Uint8Array.from([...body, 0xeb, -(body.length + 2) & 0xff]));
    const flat = (selector: number, attributes: number) => ({ selector, base: 0, limit: 0xffff_ffff, attributes });
    cpu.enter({
      eip: code,
      registers: { eax: 0, ebx: 0, ecx: ECX, edx: 0, esp: STACK, ebp: 0, esi: ABSENT - ITERATIONS, edi: EDI },
      eflags: 2,
      cr0: 0x11,
      gdt: { base: GDT, limit: 0x17 },
      idt: { base: IDT, limit: 0x1ff },
      cs: flat(8, long ? 0xa09b : 0xc09b),
      data: flat(16, 0xc093),
    });
    cpu.state.set(STATE.cr3, TABLES[0]);
    cpu.state.set(STATE.cr4, long ? 0x20 : 0);
    cpu.state.set(STATE.efer, long ? 0x500 : 0);
    cpu.state.set(STATE.cr0, 0x8001_0011 | 0);
    cpu.system.reload();
    const { regions } = cpu.tier1.counts;
    const before = cpu.retired;
    let exit = 'budget';
    for (let slices = 0; exit === 'budget' && slices < 5 * ITERATIONS; slices++) exit = cpu.run(slice);
    expect(exit).toBe('halt');
    if (this.#tier === '1') expect(cpu.tier1.counts.regions).toBeGreaterThan(regions);
    // Error code, EIP, CS, EFLAGS.
    const frame = cpu.state.gpr(GPR.esp);
    const flags = physical.readU32(frame + (long ? 24 : 12)) & ~EFLAGS.rf;
    return {
      flags,
      ecx: cpu.state.gpr(GPR.ecx) >>> 0,
      ebx: cpu.state.gpr(GPR.ebx) >>> 0,
      retired: cpu.retired - before,
    };
  }
}

/** EFLAGS after a + b or a - b. Source: SDM Vol. 1, 3.4.3.1. */
function flagsOf(kind: 'add' | 'sub', bits: number, a: bigint, b: bigint): number {
  const cut = (v: bigint): bigint => BigInt.asUintN(bits, v);
  const signed = (v: bigint): bigint => BigInt.asIntN(bits, v);
  const [x, y] = [cut(a), cut(b)];
  const whole = kind === 'add' ? x + y : x - y;
  const result = cut(whole);
  const nibbles = kind === 'add' ? (x & 15n) + (y & 15n) : (x & 15n) - (y & 15n);
  const exact = kind === 'add' ? signed(x) + signed(y) : signed(x) - signed(y);
  let ones = 0;
  for (let bit = 0n; bit < 8n; bit++) ones += Number((result >> bit) & 1n);
  return (
    EFLAGS.reserved1 |
    (whole !== result ? EFLAGS.cf : 0) |
    (ones % 2 === 0 ? EFLAGS.pf : 0) |
    (nibbles < 0n || nibbles > 15n ? EFLAGS.af : 0) |
    (result === 0n ? EFLAGS.zf : 0) |
    (signed(result) < 0n ? EFLAGS.sf : 0) |
    (exact !== signed(result) ? EFLAGS.of : 0)
  );
}

const last = (step: bigint): bigint => BigInt(ECX) + step * BigInt(ITERATIONS - 1);
/** What a loop ends with, and the flags it leaves at the last end before the fault. */
const ENDS: Record<string, { long?: boolean; code: number[]; flags: number }> = {
  'cmp esi, edi': { code: [0x39, 0xfe], flags: flagsOf('sub', 32, BigInt(ABSENT), BigInt(EDI)) },
  'add ecx, imm32': {
    code: [0x81, 0xc1, ...dword(ADDEND)],
    flags: flagsOf('add', 32, last(BigInt(ADDEND)), BigInt(ADDEND)),
  },
  'sub ecx, imm32': {
    code: [0x81, 0xe9, ...dword(ADDEND)],
    flags: flagsOf('sub', 32, last(-BigInt(ADDEND)), BigInt(ADDEND)),
  },
  'add cx, 7679h': { code: [0x66, 0x81, 0xc1, 0x79, 0x76], flags: flagsOf('add', 16, last(0x7679n), 0x7679n) },
  'sub cl, 73h': { code: [0x80, 0xe9, 0x73], flags: flagsOf('sub', 8, last(-0x73n), 0x73n) },
  'test ecx, ecx': { code: [0x85, 0xc9], flags: flagsOf('add', 32, BigInt(ECX), 0n) },
  'stc; inc ecx': { code: [0xf9, 0xff, 0xc1], flags: flagsOf('add', 32, last(1n), 1n) | EFLAGS.cf },
  'cmp rsi, rdi': { long: true, code: [0x48, 0x39, 0xfe], flags: flagsOf('sub', 64, BigInt(ABSENT), BigInt(EDI)) },
  'add rcx, -1': { long: true, code: [0x48, 0x83, 0xc1, 0xff], flags: flagsOf('add', 64, last(-1n), -1n) },
  'sub rcx, rdi': {
    ...{ long: true, code: [0x48, 0x29, 0xf9] },
    flags: flagsOf('sub', 64, last(-BigInt(EDI)), BigInt(EDI)),
  },
};

describe('a fault at the head of a loop', () => {
  for (const long of [false, true]) {
    const runners: LoopRunner[] = [];
    beforeAll(() => {
      runners.push(new LoopRunner('0', long), new LoopRunner('1', long));
    });
    for (const [name, { long: only, code, flags }] of Object.entries(ENDS)) {
      if (only && !long) continue;
      it(`finds the flags of ${name} in ${long ? 64 : 32}-bit code`, () => {
        const [tier0, tier1] = runners;
        const expected = tier0.run(code, 1_000_000);
        expect(expected.flags).toBe(flags);
        expect(tier1.run(code, 1_000_000)).toEqual(expected);
        expect(tier1.run(code, 7)).toEqual(expected);
      });
    }
  }
});
