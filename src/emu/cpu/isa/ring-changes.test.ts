/**
 * The usual ring changes, which generated code does, against the system's own, on random states: whichever way is taken, the
 * whole machine must end the same. Environment: TABBOX_RING_CASES (how many of each), TABBOX_RING_SEED.
 */
import { describe, expect, it } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Cpu } from '../cpu.ts';
import { Random } from '../jit/program-generator.suite.ts';
import type { TierMode } from '../jit/tier1.ts';
import { GPR, LINEAR, SEG, STATE } from '../state/layout.ts';
import { STATUS, SYSTEM_CALLS, type SystemCall } from '../system/calls.ts';
import { environment } from '../tier.suite.ts';
import { createLinearMemory } from '../wasm/host.ts';

const RAM_BYTES = 0x4_0000;
const PLACE = {
  root: 0x1000,
  gdt: 0x5000,
  idt: 0x6000,
  tss: 0x7000,
  handlers: 0x8000,
  stack: 0x9800,
  code: 0xb000,
} as const;
const SEL = { code0: 0x08, data0: 0x10, code3: 0x1b, data3: 0x23, data3Long: 0x2b, code3Long: 0x33 } as const;
/** Not flat; of the wrong kind; not there. */
const ODD = { small: 0x3b, notPresent: 0x40, beyond: 0x1f8, ldt: 0x0c } as const;
const VECTORS = 0x82;
const CALL = 0x80;
const USER_CALL = 0x81;
const HLT = 0xf4;

interface Way {
  readonly name: string;
  readonly code: readonly number[];
  readonly call: SystemCall;
  readonly arguments: readonly number[];
  readonly long: boolean;
}
const WAYS: readonly Way[] = [
  { name: 'SYSENTER', code: [0x0f, 0x34], call: 'sysenter', arguments: [], long: false },
  { name: 'SYSEXIT', code: [0x0f, 0x35], call: 'sysexit', arguments: [32], long: false },
  { name: 'IRET', code: [0xcf], call: 'interruptReturn', arguments: [32], long: false },
  { name: 'INT 80h', code: [0xcd, CALL], call: 'softwareInterrupt', arguments: [CALL], long: false },
  { name: 'INT 81h', code: [0xcd, USER_CALL], call: 'softwareInterrupt', arguments: [USER_CALL], long: false },
  { name: 'STAC', code: [0x0f, 0x01, 0xcb], call: 'stac', arguments: [], long: false },
  { name: 'CLAC', code: [0x0f, 0x01, 0xca], call: 'clac', arguments: [], long: false },
  { name: 'SYSCALL', code: [0x0f, 0x05], call: 'syscall', arguments: [], long: true },
  { name: 'SYSRET', code: [0x48, 0x0f, 0x07], call: 'sysret', arguments: [64], long: true },
  { name: 'IRETQ', code: [0x48, 0xcf], call: 'interruptReturn', arguments: [64], long: true },
  { name: 'CLAC in 64-bit code', code: [0x0f, 0x01, 0xca], call: 'clac', arguments: [], long: true },
];

/** What belongs to caches that stay as they are. */
const LASTING: readonly number[] = [0, 4, 8, 12]
  .map((n) => STATE.jumpModes + n)
  .concat(STATE.codeEpoch, STATE.codeEpoch + 4);

/** What a run leaves behind that is not the guest's: see STATE. */
const OURS: readonly number[] = [
  ...[STATE.nextEip, STATE.blockEip, STATE.block, STATE.linkFrom, STATE.record, STATE.budget, STATE.exitSite].flatMap(
    (field) => [field, field + 4],
  ),
  ...LASTING,
  ...[STATE.region, STATE.attention, STATE.userRan, STATE.queryResult, STATE.codeEpoch, STATE.codeEpoch + 4],
  ...[STATE.exitBase, STATE.exitFlagX, STATE.exitFlagY].flatMap((field) => [field, field + 4]),
  ...Array.from({ length: (STATE.selfModifyOk - STATE.scratch) / 4 }, (_, n) => STATE.scratch + n * 4),
  // Compared as flags; of a fault that was delivered only the frame counts.
  ...[STATE.eflags, STATE.flagAux, STATE.flagResult, STATE.flagResult + 4],
  ...[STATE.faultErrorCode, STATE.faultHasErrorCode, STATE.faultIsSoftware],
];

class Bench {
  readonly cpu: Cpu;
  readonly #physical: PhysicalMemory;
  /** System calls that the instruction made. */
  calls = 0;

  constructor(tier: TierMode) {
    const linear = createLinearMemory(LINEAR.guest + RAM_BYTES);
    const { buffer } = linear;
    this.#physical = new PhysicalMemory({ buffer, pageMapAt: LINEAR.pageMap, dirtyMapAt: LINEAR.dirtyMap });
    this.#physical.mapBacked(0, RAM_BYTES, LINEAR.guest, 'ram');
    const interrupts = { acknowledge: () => 0x20 };
    this.cpu = new Cpu({ linear, physical: this.#physical, ports: new IoBus(), interrupts, tsc: () => 0, tier });
    const { system } = this.cpu;
    const call = system.call.bind(system);
    system.call = (number, a, b, c, d) => {
      this.calls++;
      return call(number, a, b, c, d);
    };
  }

  /** By the row. @param warm so often before, so that caches hold what it needs */
  run(way: Way, seed: number, warm: number): readonly string[] {
    this.#prepare(way, seed);
    const { state } = this.cpu;
    const start = state.i32.slice();
    const ram = this.#physical.bytes.slice(LINEAR.guest, LINEAR.guest + RAM_BYTES);
    for (let n = 0; n < warm; n++) {
      this.cpu.run(0);
      const kept = LASTING.map((field) => state.get(field));
      state.i32.set(start);
      LASTING.forEach((field, i) => {
        state.set(field, kept[i]);
      });
      this.#physical.write(0, ram);
    }
    this.calls = 0;
    this.cpu.run(0);
    return this.#end();
  }

  /** By the system. */
  call(way: Way, seed: number): readonly string[] {
    this.#prepare(way, seed);
    const { system, state } = this.cpu;
    state.setAddress(STATE.nextEip, PLACE.code + way.code.length);
    const [a = 0, b = 0] = way.arguments;
    const status = system.call(SYSTEM_CALLS.indexOf(way.call), a, b, 0, 0);
    if (status === STATUS.fault) {
      // Nothing has been executed: the other one goes on with the handler.
      system.deliverFault();
      this.cpu.run(0);
    } else if (status === STATUS.next) state.setAddress(STATE.eip, PLACE.code + way.code.length);
    return this.#end();
  }

  #end(): readonly string[] {
    const { state } = this.cpu;
    const found = [`eflags ${state.eflags.toString(16)}`];
    for (let field = 0; field < STATE.end; field += 4) {
      if (!OURS.includes(field)) found.push(`${nameOf(field)} ${state.get(field).toString(16)}`);
    }
    const ram = new Int32Array(this.#physical.bytes.buffer, LINEAR.guest, RAM_BYTES / 4);
    // Page tables get accessed and dirty bits, at other times.
    for (let at = PLACE.gdt; at < PLACE.code; at += 4) found.push(`[${at.toString(16)}] ${ram[at / 4].toString(16)}`);
    return found;
  }

  #put(at: number, ...values: number[]): void {
    values.forEach((v, i) => {
      this.#physical.writeSized(at + i * 4, 4, v >>> 0);
    });
  }
  #quad(at: number, ...values: number[]): void {
    values.forEach((v, i) => {
      this.#put(at + i * 8, v, Math.floor(v / 2 ** 32));
    });
  }

  #tables(r: Random, long: boolean): void {
    const accessed = r.chance(8) ? 0 : 0x100;
    const code = (long ? 0x00af_9a00 : 0x00cf_9a00) | accessed;
    const data = 0x00cf_9200 | accessed;
    this.#put(PLACE.gdt, 0, 0, 0xffff, code, 0xffff, data, 0xffff, code | 0x6000, 0xffff, data | 0x6000);
    this.#put(PLACE.gdt + 0x28, 0xffff, data | 0x6000, 0xffff, code | 0x6000, 0x4fff, 0x0040_f300, 0xffff, 0x00cf_1300);
    for (let vector = 0; vector < VECTORS; vector++) {
      const handler = PLACE.handlers + vector * 8;
      const type = r.chance(2) ? 0x8e00 : 0x8f00;
      const rights = vector === USER_CALL || r.chance(3) ? type | 0x6000 : type;
      this.#put(PLACE.idt + vector * (long ? 16 : 8), (SEL.code0 << 16) | handler, rights);
      this.#put(handler, HLT);
    }
    if (r.chance(6)) this.#put(PLACE.idt + USER_CALL * 8 + 4, r.pick([0x0e00, 0xee00, 0xe600, 0xe500, 0xec00]) & ~0);
    if (r.chance(12)) this.#put(PLACE.idt + USER_CALL * 8, (r.pick(SELECTORS) << 16) | PLACE.handlers);
    this.#put(PLACE.tss + 4, PLACE.stack, long ? 0 : r.chance(10) ? r.pick(SELECTORS) : SEL.data0);
    if (!long) return;
    this.#put(PLACE.root, (PLACE.root + 0x1000) | 7);
    this.#put(PLACE.root + 0x1000, (PLACE.root + 0x2000) | 7);
    this.#put(PLACE.root + 0x2000, (PLACE.root + 0x3000) | 7);
    for (let at = 0; at < RAM_BYTES; at += 4096)
      this.#put(PLACE.root + 0x3000 + at / 512, at | 3 | (at === PLACE.code ? 4 : 0));
  }

  #prepare({ code, long, call }: Way, seed: number): void {
    const { cpu } = this;
    const { state, system } = cpu;
    const r = new Random(seed);
    this.#physical.write(PLACE.gdt, new Uint8Array(PLACE.code - PLACE.gdt));
    this.#tables(r, long);
    const enters = call === 'sysenter' || call === 'syscall' || call === 'softwareInterrupt';
    const user = r.chance(8) ? !enters : enters;
    const registers = { eax: 0, ebx: r.next(), ecx: 0, edx: 0, esp: PLACE.stack - 0x100, ebp: 0, esi: 0, edi: 0 };
    const flat = (selector: number, attributes: number) => ({ selector, base: 0, limit: 0xffff_ffff, attributes });
    const dpl = user ? 0x60 : 0;
    cpu.enter({
      eip: PLACE.code,
      registers,
      eflags: 2,
      cr0: 0x11,
      gdt: { base: PLACE.gdt, limit: 0x47 },
      idt: { base: PLACE.idt, limit: r.chance(20) ? 0x100 : VECTORS * (long ? 16 : 8) - 1 },
      cs: flat(user ? SEL.code3 : SEL.code0, (long ? 0xa09b : 0xc09b) | dpl),
      data: flat(user ? SEL.data3 : SEL.data0, 0xc093 | dpl),
    });
    for (const seg of [SEG.ds, SEG.es, SEG.fs, SEG.gs]) {
      const segment = r.pick(r.chance(4) ? [SEL.data0, 0, 2] : [SEL.data3, SEL.data3, 0]);
      if (segment > 3) system.setSegment(seg, segment, 0, -1, segment & 3 ? 0xc0f3 : 0xc093);
      else if (seg >= SEG.fs || long) system.setSegment(seg, segment, 0, 0, 0);
    }
    system.setSegment(SEG.tr, 0x48, PLACE.tss, r.chance(20) ? 7 : 0x67, 0x8b);
    state.set(STATE.cpl, user ? 3 : 0);
    state.eflags = (r.next() & 0x24_0cd5) | 2 | (r.chance(2) ? 0x200 : 0) | (r.chance(10) ? r.next() & 0x7000 : 0);
    const smap = r.chance(2) ? 1 << 21 : 0;
    state.set(STATE.cr4, long ? 0x620 | smap : smap);
    state.set(STATE.cr3, PLACE.root);
    state.set(STATE.efer, long ? (r.chance(20) ? 0x500 : 0x501) : 0);
    state.set(STATE.cr0, (long ? 0x8001_0033 : 0x11) | 0);
    state.set(STATE.sysenterCs, r.chance(20) ? 0 : SEL.code0);
    state.setAddress(STATE.sysenterEsp, PLACE.stack);
    state.setAddress(STATE.sysenterEip, PLACE.handlers + r.below(64));
    state.set(STATE.star + 4, ((SEL.data3 << 16) | SEL.code0) >>> 0);
    state.setAddress(STATE.lstar, PLACE.handlers + r.below(64));
    state.setAddress(STATE.fmask, r.chance(2) ? 0x25_7fd5 : r.next() & 0x3f_7fd5);
    state.set(STATE.nmiBlocked, r.below(2));
    this.#physical.write(PLACE.code, new Uint8Array(4096).fill(HLT));
    this.#physical.write(PLACE.code, Uint8Array.from(code));
    const target = PLACE.code + 0x100 + r.below(64);
    state.setGpr(GPR.edx, target);
    state.setGpr(GPR.ecx, call === 'sysexit' ? PLACE.stack + r.below(16) : target);
    const far = r.chance(12) ? 1 << r.pick([15, 16, 30]) : 0;
    if (long && far) state.set(STATE.gpr + GPR.ecx * 8 + 4, far);
    const image =
      (r.next() & 0x24_0ed5) | 2 | (r.chance(8) ? r.next() & 0x1f_7000 : 0) | (r.chance(8) ? 1 << r.below(22) : 0);
    state.set(STATE.gpr + 11 * 8, image);
    state.set(STATE.gpr + 11 * 8 + 4, 0);
    if (call === 'interruptReturn') this.#frame(r, long, target + (long ? far * 2 ** 32 : 0), image);
    if (r.chance(25)) state.set(STATE.dr7, 0x402 | r.pick([0, 0x1_0000]));
    system.reload();
  }

  #frame(r: Random, long: boolean, target: number, image: number): void {
    const level = r.chance(4) ? 0 : 3;
    const usual = level === 0 ? SEL.code0 : long ? SEL.code3Long : SEL.code3;
    const usualStack = level === 0 ? (long && r.chance(2) ? 0 : SEL.data0) : long ? SEL.data3Long : SEL.data3;
    const code = r.chance(8) ? r.pick(SELECTORS) : usual;
    const stack = r.chance(8) ? r.pick(SELECTORS) : usualStack;
    const at = r.chance(10) ? (PLACE.stack & ~0xfff) + 0x1000 - r.below(48) : PLACE.stack - 0x100;
    const items = [target, code | (r.chance(4) ? 0xabcd_0000 : 0), image, PLACE.stack + r.below(64), stack];
    if (long) this.#quad(at, ...items);
    else this.#put(at, ...items);
    this.cpu.state.setGpr(GPR.esp, at);
  }
}
const SELECTORS: readonly number[] = [0, 3, ...Object.values(SEL), ...Object.values(ODD), 0x09, 0x18, 0x20];

const count = Number(environment['TABBOX_RING_CASES'] ?? 60);
const first = Number(environment['TABBOX_RING_SEED'] ?? Math.floor(Math.random() * 2 ** 24));

describe('usual ring changes', () => {
  for (const tier of ['0', '1'] as const) {
    const generated = new Bench(tier);
    const system = new Bench('0');
    for (const way of WAYS) {
      it(`${way.name} in tier ${tier}, as the system does it: ${count} from seed ${first}`, {
        timeout: 600_000,
      }, () => {
        let usual = 0;
        for (let seed = first; seed < first + count; seed++) {
          const got = generated.run(way, seed, seed % 8 === 0 ? 0 : 2);
          if (generated.calls === 0) usual++;
          const wanted = system.call(way, seed);
          const differ = got.flatMap((text, i) => (text === wanted[i] ? [] : [`${text} instead of ${wanted[i]}`]));
          expect(differ, `seed ${seed}`).toEqual([]);
        }
        // Many cases are usual ones, and not all.
        expect(usual).toBeGreaterThan(count / 20);
        expect(usual).toBeLessThan(count);
      });
    }
  }
});
/** For messages. */
function nameOf(field: number): string {
  const [name, at] = Object.entries(STATE)
    .filter(([, from]) => from <= field)
    .reduce((a, b) => (b[1] >= a[1] ? b : a));
  return `${name}+${field - at}`;
}
