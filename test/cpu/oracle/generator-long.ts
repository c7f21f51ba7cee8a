/** Makes random cases of 64-bit code: an encoding of a row of the instruction table, and a machine state in which it does something. */
import { DECODE } from '#emu/cpu/decoder/decoded.ts';
import { Decoder, newDecoded } from '#emu/cpu/decoder/decoder.ts';
import { nameOf, type Row } from '#emu/cpu/isa/row.ts';
import { EFLAGS } from '#emu/cpu/state/flags.ts';
import { GPR, SEG } from '#emu/cpu/state/layout.ts';
import { isLongExcluded } from './exclusions.ts';
import { randomFloatState } from './float-state.ts';
import { FX, LONG_GIVEN as GIVEN, HIGH_WINDOW, LONG_SHAPE, WINDOW } from './layout.ts';
import { operandBytes } from './operand-bytes.ts';
import {
  type Case,
  encodePatches,
  isBitTest,
  isPrefetchGroup,
  LINE,
  MANDATORY,
  MAP_BYTES,
  type MemoryOperand,
  MXCSR_MISALIGNED,
  type Patch,
  type Plan,
  plansOf,
  randomWindow,
  SHIFTS,
} from './plan.ts';
import { Random } from './random.ts';
import { isHarmless64 } from './reach.ts';
import {
  fillIndices,
  longVectorForm,
  longVexPrefix,
  usesXsaveArea,
  type VectorAddress,
  xsaveHeader,
} from './vector-cases.ts';
import {
  fits32,
  immediateBytes,
  LOW,
  longWord,
  offsetInCode,
  offsetOf,
  operand,
  type Size,
  signed,
  sizeOf,
  VIEWS,
  wrap,
} from './views.ts';

const ARITHMETIC = EFLAGS.cf | EFLAGS.pf | EFLAGS.af | EFLAGS.zf | EFLAGS.sf | EFLAGS.of;
const DIVIDEND = (1 << GPR.eax) | (1 << GPR.edx);
const REX = { present: 0x40, w: 8, r: 4, x: 2, b: 1 } as const;
const NO_INDEX = 4;
/** ES, CS, SS, DS: without effect in 64-bit code. */
const IGNORED_SEGMENTS = [0x26, 0x2e, 0x36, 0x3e];
const TWO_32 = 0x1_0000_0000;
const CANONICAL = 2 ** 47;
/** What ModRM becomes when it names memory. */
interface Form {
  /** REX bits. */
  readonly rex: number;
  /** ModRM, SIB, displacement. */
  readonly bytes: number[];
  /** Where in `bytes` a displacement relative to RIP is still to be put; -1: nowhere. */
  readonly relative: number;
}

export class LongGenerator {
  readonly #seed: number;
  readonly #plans: readonly Plan[];
  readonly #decoder: Decoder;
  readonly #decoded = newDecoded();

  // Of the case being made.
  #r = new Random(0, 0);
  readonly #gpr = new BigUint64Array(16);
  #patches: Patch[] = [];
  #memory: MemoryOperand | undefined;
  /** Registers of the memory operand's address, a bit each: they stay as they are. */
  #fixed = 0;
  /** RIP. */
  #at = 0;
  /** Where the stack and the operands lie. */
  #stack: (typeof VIEWS)[number] = LOW;
  #view: (typeof VIEWS)[number] = LOW;
  #fsBase = 0n;
  #gsBase = 0n;
  /** Of the memory operand. */
  #segmentBase = 0n;
  #short = false;
  #vector: VectorAddress | undefined;

  /** @param only rows whose mnemonic or opcode is this text; all when empty */
  constructor(rows: readonly Row[], seed: number, only = '') {
    this.#seed = seed;
    this.#decoder = new Decoder(rows);
    this.#plans = plansOf(rows, only, (row) => !row.options.not64 && !isLongExcluded(row));
  }

  /** Rows that have cases. */
  get rowCount(): number {
    return this.#plans.length;
  }

  /** What the data window holds before each case. */
  window(): Uint8Array {
    return randomWindow(this.#seed);
  }

  make(number: number): Case {
    const plan = this.#plans[number % this.#plans.length];
    for (let attempt = 0; ; attempt++) {
      this.#r = new Random(this.#seed ^ Math.imul(attempt, 0x2545_f491), number);
      const made = this.#attempt(number, plan);
      if (made) return made;
      if (attempt > 1000) throw new Error(`no case of ${plan.row.opcode} ${plan.row.mnemonic} could be made`);
    }
  }

  #attempt(number: number, plan: Plan): Case | undefined {
    const r = this.#r;
    const { row, spec, operands } = plan;
    this.#patches = [];
    this.#memory = undefined;
    this.#vector = undefined;
    this.#fixed = 0;
    for (let i = 0; i < 16; i++) this.#gpr[i] = longWord(r);
    this.#stack = r.pick(VIEWS);
    this.#view = r.pick(VIEWS);
    this.#fsBase = this.#base();
    this.#gsBase = this.#base();
    this.#at = r.pick(VIEWS).code + this.#codeOffset(row);
    this.#gpr[GPR.esp] = this.#stackPointer(row);

    // Near branches ignore the prefix on Intel's processors, on AMD's it makes them 16-bit ones.
    const mayNarrow = spec.prefix === undefined && spec.vex === undefined && !(row.options.force64 && row.options.ends);
    const operandPrefix = mayNarrow && r.oneIn(4);
    const addressPrefix = r.oneIn(row.options.address || row.options.rep || row.mnemonic === 'lea' ? 4 : 10);
    this.#short = addressPrefix;
    if (addressPrefix) this.#view = LOW;
    const wide = spec.vex ? r.pick(spec.vex.w) === 1 : r.below(5) < 2;
    const size = sizeOf(row, operandPrefix, wide);
    const repeat = row.options.rep !== undefined && r.below(5) < 3;
    const lockable = row.options.lock === true && spec.mod !== 'register';
    const lock = (lockable && r.oneIn(5)) || (!plan.privileged && spec.vex === undefined && r.oneIn(100));
    const segment = r.oneIn(6) ? (r.oneIn(2) ? SEG.fs : SEG.gs) : -1;
    this.#segmentBase = segment === SEG.fs ? this.#fsBase : segment === SEG.gs ? this.#gsBase : 0n;

    const prefixes: number[] = [...(spec.prefix === undefined || spec.vex ? [] : MANDATORY[spec.prefix])];
    if (operandPrefix) prefixes.push(0x66);
    if (addressPrefix) prefixes.push(0x67);
    if (repeat) prefixes.push(r.oneIn(2) ? 0xf3 : 0xf2);
    if (lock) prefixes.push(0xf0);
    if (segment >= 0) prefixes.push(segment === SEG.fs ? 0x64 : 0x65);
    else if (r.oneIn(20)) prefixes.push(r.pick(IGNORED_SEGMENTS));
    if (r.oneIn(2)) prefixes.reverse();
    // A REX prefix that something follows is none.
    if (prefixes.length > 0 && !spec.vex && r.oneIn(40)) prefixes.unshift(REX.present | r.below(16));

    const register = r.below(16);
    let rex = (wide ? REX.w : 0) | (spec.register && register >= 8 ? REX.b : 0);
    let reg = spec.register ? register : r.below(16);
    let rm = -1;
    let form: Form = { rex: 0, bytes: [], relative: -1 };
    const memoryOperand = operands.find((o) => 'EMWQ'.includes(o.kind));
    const bytes = memoryOperand ? operandBytes(memoryOperand, size) : 0;
    if (spec.exact !== undefined) form = { rex: 0, bytes: [spec.exact], relative: -1 };
    else if (spec.modrm) {
      if (spec.extension !== undefined) reg = spec.extension | (r.oneIn(4) ? 8 : 0);
      const control = operands.some((o) => o.kind === 'C' || o.kind === 'D');
      const toMemory =
        !control && (spec.mod === 'memory' || (spec.mod === undefined && (r.below(5) < 3 || isPrefetchGroup(row))));
      if (toMemory) {
        // Locked accesses that cross a cache line make Linux slow the program down.
        const atomic = lock || row.mnemonic === 'xchg';
        const made = this.#memoryForm(reg & 7, row, bytes, atomic);
        if (!made) return undefined;
        form = made;
      } else {
        rm = r.below(16);
        form = { rex: rm >= 8 ? REX.b : 0, bytes: [0xc0 | ((reg & 7) << 3) | (rm & 7)], relative: -1 };
      }
      if (reg >= 8) rex |= REX.r;
      if (spec.extension !== undefined) reg = spec.extension;
    }
    rex |= form.rex;
    const opcode = spec.opcode + (spec.register ? register & 7 : 0);
    const head = spec.vex
      ? longVexPrefix(r, spec, operands, rex, wide)
      : [...(rex || r.oneIn(4) ? [REX.present | rex] : []), ...MAP_BYTES[spec.map]];
    const code = [...prefixes, ...head, opcode];
    const displacement = code.length + form.relative;
    code.push(...form.bytes);
    if (!this.#implicitMemory(plan, size, repeat, code)) return undefined;
    this.#immediates(code, plan, size, wide);
    if (code.length > 15) return undefined;
    if (form.relative >= 0 && !this.#relative(code, displacement, row, bytes, lock)) return undefined;
    if (this.#memory && isBitTest(row, operands) && !this.#bitTest(reg, size, lock)) return undefined;
    if (!this.#operandValues(plan, size, reg, rm)) return undefined;
    // A host that runs on another's hypervisor may refuse to load such a stack pointer.
    if (Math.abs(signed(this.#gpr[GPR.esp])) >= CANONICAL) return undefined;

    if (!lock || (lockable && rm < 0)) {
      const status = this.#decoder.decode(Uint8Array.from(code), 0, code.length, 64, this.#decoded);
      // Another row's encoding, by a prefix.
      if (status !== DECODE.ok || this.#decoded.rowIndex !== plan.index) return undefined;
    }
    const block = r.oneIn(2) && this.#mayRunOn(plan, code.length, rm);
    const given = this.#encode(plan, code, repeat || this.#vector !== undefined);
    return {
      number,
      row,
      size,
      code: Uint8Array.from(code),
      eip: this.#at,
      codeSize: 64,
      flat: true,
      given,
      block,
      memory: this.#memory,
      count: this.#count(row, code, size),
      halfDefined: row.mnemonic === 'cmpxchg' && size === 32 && rm >= 0 ? rm : -1,
    };
  }

  /** Of FS or GS: canonical, and the host's user programs may have it. */
  #base(): bigint {
    const r = this.#r;
    switch (r.below(6)) {
      case 0:
        return BigInt(r.u32());
      case 1:
        return BigInt(r.pick(VIEWS).data + r.between(-0x1_0000, 0x1_0000));
      case 2:
        return (BigInt(r.below(0x7fff)) << 32n) | BigInt(r.u32());
      default:
        return 0n;
    }
  }

  /** Mostly in the middle; else across or near the page's or the window's end. */
  #codeOffset(row: Row): number {
    const r = this.#r;
    // Not all processors read the ModRM byte of UD0 and UD1.
    if (/^ud[01]$/.test(row.mnemonic) || !r.oneIn(10)) return r.between(0x200, 0xe00) + (r.oneIn(2) ? 0x1000 : 0);
    return (r.oneIn(3) ? WINDOW.codeBytes : 0x1000) - r.between(1, 14);
  }

  #stackPointer(row: Row): bigint {
    const r = this.#r;
    const usesStack = row.options.stack !== undefined || row.mnemonic.startsWith('popf');
    if (usesStack && r.oneIn(8)) {
      return BigInt(this.#stack.data + r.pick([0, 0x1000, WINDOW.readOnlyFrom, WINDOW.dataBytes]) + r.between(-40, 40));
    }
    const offset = r.between(0x400, WINDOW.readOnlyFrom - 0x400);
    return BigInt(this.#stack.data + (r.oneIn(8) ? offset : offset & ~7));
  }

  /** Not canonical, or in the kernel's half. */
  #beyond(): bigint {
    const r = this.#r;
    const low = BigInt(r.u32()) << 4n;
    if (r.oneIn(3)) return wrap(-(1n << 47n) + low);
    const bits = r.below(0x1_0000);
    return wrap((BigInt(bits) << 48n) | (1n << 40n) | low | (bits === 0 || bits === 0xffff ? 1n << 47n : 0n));
  }

  /** Where an operand of so many bytes shall lie: linear. */
  #target(bytes: number, atomic: boolean): bigint {
    const r = this.#r;
    const { data } = this.#view;
    const size = Math.max(bytes, 1);
    const aligned = 2 ** Math.min(Math.floor(Math.log2(size)), size > 512 ? 6 : 5);
    const inside = r.between(0x10, WINDOW.readOnlyFrom - size - 0x10);
    if (atomic) {
      if (r.oneIn(10)) return BigInt(data + r.pick([-16, WINDOW.readOnlyFrom, WINDOW.dataBytes]));
      return BigInt(data + (inside & ~(LINE - 1)) + r.below(LINE - size + 1));
    }
    switch (r.below(18)) {
      case 0:
        return BigInt(data + 0x1000 * r.between(1, 2) - r.below(size + 1));
      case 1:
        return BigInt(data + r.pick([WINDOW.readOnlyFrom, WINDOW.dataBytes]) - r.below(size + 1));
      case 2:
        return BigInt(data + r.pick([0, WINDOW.readOnlyFrom + 0x800, 0x80_0000, -0x8000]) - r.below(size + 1));
      case 3:
        return this.#short ? BigInt(data + inside) : this.#beyond();
      case 4:
      case 5:
        return BigInt(data + inside);
      default:
        return BigInt(data + (inside & ~(aligned - 1)));
    }
  }

  /** ModRM, SIB and displacement, and register values that make the address. */
  #memoryForm(reg: number, row: Row, bytes: number, atomic: boolean): Form | undefined {
    const r = this.#r;
    const gpr = this.#gpr;
    if (row.options.vsib) {
      const { rex, bytes: form, address } = longVectorForm(r, reg, row, gpr, this.#view.data);
      if (this.#short || this.#segmentBase !== 0n) return undefined;
      this.#vector = address;
      this.#memory = operand(address.at, bytes);
      return { rex, bytes: form, relative: -1 };
    }
    const usesStack = row.options.stack !== undefined;
    const target = wrap(this.#target(bytes, atomic) - this.#segmentBase);
    // Cut to 32 bits, what lies beyond cannot be reached.
    if (this.#short && target >= BigInt(TWO_32)) return undefined;
    if (r.oneIn(6)) return { rex: r.oneIn(8) ? REX.b : 0, bytes: [(reg << 3) | 5, 0, 0, 0, 0], relative: 1 };
    const sib = r.oneIn(2);
    const mod = r.below(3);
    const scale = BigInt(r.below(4));
    const index = sib && !r.oneIn(4) ? r.below(16) : NO_INDEX;
    const base = sib ? r.below(16) : r.pick([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]);
    const absolute = (base & 7) === GPR.ebp && mod === 0;
    if (absolute && !sib) return undefined;
    if (r.oneIn(3) && index !== NO_INDEX) gpr[index] = BigInt(r.between(-64, 64));
    const indexed = (): bigint => (index === NO_INDEX ? 0n : gpr[index] << scale);
    const dispBytes = absolute || mod === 2 ? 4 : mod;
    let disp = BigInt(
      dispBytes === 4 ? (r.oneIn(2) ? r.word() : r.between(-300, 300)) | 0 : dispBytes === 1 ? r.between(-128, 127) : 0,
    );
    const rest = (n: bigint): bigint => BigInt.asIntN(this.#short ? 32 : 64, n);
    if (absolute) {
      if (index !== NO_INDEX && r.oneIn(2)) gpr[index] = wrap(target - disp) >> scale;
      else disp = rest(target - indexed());
    } else if (base === GPR.esp && usesStack) {
      if (mod === 2) disp = rest(target - gpr[GPR.esp] - indexed());
      else if (index !== NO_INDEX && Math.abs(signed(indexed())) > 256) return undefined;
    } else if (base === index) {
      if (mod === 2 && r.oneIn(2)) disp = rest(target - gpr[base] - indexed());
      else gpr[base] = wrap(target - disp) / (1n + (1n << scale));
    } else gpr[base] = target - disp - indexed();
    if (!fits32(disp)) return undefined;
    // What is cut off may be anything.
    if (this.#short && base !== GPR.esp && !absolute && r.oneIn(2)) gpr[base] ^= BigInt(r.u32()) << 32n;
    const code = [(mod << 6) | (reg << 3) | (sib ? 4 : base & 7)];
    if (sib) code.push((Number(scale) << 6) | ((index & 7) << 3) | (base & 7));
    for (let i = 0n; i < dispBytes; i++) code.push(Number((disp >> (i * 8n)) & 0xffn));
    let offset = (absolute ? 0n : gpr[base]) + indexed() + disp;
    if (row.options.popAddress && base === GPR.esp) offset += BigInt(bytes);
    if (!this.#reach(row, offset, bytes, atomic)) return undefined;
    this.#fixed = (absolute ? 0 : 1 << base) | (index === NO_INDEX ? 0 : 1 << index);
    return {
      rex: (base >= 8 ? REX.b : 0) | (index >= 8 ? REX.x : 0),
      bytes: code,
      relative: -1,
    };
  }

  /** Processors differ in whether an address must be canonical already before the base of FS or GS is added. */
  #isCanonicalBefore(offset: bigint): boolean {
    return this.#segmentBase === 0n || this.#short || Math.abs(signed(offset)) < CANONICAL;
  }

  /** Takes an effective address, unless the access would do harm. */
  #reach(row: Row, offset: bigint, bytes: number, atomic: boolean): boolean {
    const at = signed(this.#segmentBase + BigInt.asUintN(this.#short ? 32 : 64, offset));
    const accessed = row.options.access !== 'none' && row.mnemonic !== 'lea';
    if (!this.#isCanonicalBefore(offset)) return false;
    if (accessed && !isHarmless64(at, Math.max(bytes, 1))) return false;
    if (atomic && ((at % LINE) + LINE) % LINE > LINE - bytes) return false;
    this.#memory = operand(at, bytes);
    return true;
  }

  /** Puts a displacement that counts from the next instruction. */
  #relative(code: number[], at: number, row: Row, bytes: number, atomic: boolean): boolean {
    const next = BigInt(this.#at + code.length);
    this.#view = this.#at >= HIGH_WINDOW.from && !this.#short ? VIEWS[1] : LOW;
    const locked = atomic || row.mnemonic === 'xchg';
    const target = this.#target(bytes, locked) - this.#segmentBase;
    let disp = target - next;
    if (this.#short) disp = BigInt.asIntN(32, disp);
    else if (!fits32(disp)) {
      if (row.mnemonic !== 'lea') return false;
      disp = BigInt(this.#r.word() | 0);
    }
    for (let i = 0; i < 4; i++) code[at + i] = Number((disp >> BigInt(i * 8)) & 0xffn);
    this.#fixed = 0;
    return this.#reach(row, next + disp, bytes, locked);
  }

  /** Bit numbers reach beyond the operand, in either direction. */
  #bitTest(reg: number, size: Size, atomic: boolean): boolean {
    const r = this.#r;
    const { at } = this.#memory as MemoryOperand;
    if (!(this.#fixed & (1 << reg)) && !r.oneIn(20))
      this.#gpr[reg] = wrap(BigInt.asIntN(size, BigInt(r.between(-4000, 4000))));
    const bits = Number(BigInt.asIntN(size, this.#gpr[reg]));
    const near = at + Math.floor(bits / size) * (size / 8);
    return isHarmless64(near, size / 8) && !(atomic && ((near % LINE) + LINE) % LINE > LINE - size / 8);
  }

  /** Strings, XLAT, MASKMOV and moffs; the stack's contents. */
  #implicitMemory(plan: Plan, size: Size, repeat: boolean, code: number[]): boolean {
    const r = this.#r;
    const { row, operands } = plan;
    const gpr = this.#gpr;
    const bytes = size / 8;
    const source = this.#segmentBase;
    const noise = (): bigint => (this.#short ? BigInt(r.u32()) << 32n : 0n);
    const offset = (linear: bigint, base: bigint): bigint =>
      this.#short ? BigInt.asUintN(32, linear - base) | noise() : wrap(linear - base);
    if (operands.some((o) => o.kind === 'O')) {
      const wanted = wrap(this.#target(bytes, false) - source);
      const count = this.#short ? 4n : 8n;
      for (let i = 0n; i < count; i++) code.push(Number((wanted >> (i * 8n)) & 0xffn));
      if (!this.#isCanonicalBefore(wanted)) return false;
      this.#memory = operand(signed(source + BigInt.asUintN(Number(count) * 8, wanted)), bytes);
    }
    if (operands.some((o) => o.kind === 'X' || o.kind === 'Y')) {
      const from = this.#stringAddress();
      if (!this.#isCanonicalBefore(from - source)) return false;
      const to = r.oneIn(4) ? from + BigInt(r.between(-20, 20)) : this.#stringAddress();
      gpr[GPR.esi] = offset(from, source);
      gpr[GPR.edi] = offset(to, 0n);
      if (repeat) gpr[GPR.ecx] = BigInt(r.oneIn(12) ? r.between(41, 200) : r.below(12)) | noise();
    }
    if (row.mnemonic === 'xlatb') {
      gpr[GPR.ebx] = offset(this.#target(1, false) - (gpr[GPR.eax] & 0xffn), source);
      if (!this.#isCanonicalBefore(gpr[GPR.ebx])) return false;
    }
    if (/^v?maskmov(q|dqu)/.test(row.mnemonic)) {
      gpr[GPR.edi] = offset(this.#target(16, false), source);
      if (!this.#isCanonicalBefore(gpr[GPR.edi])) return false;
    }
    if (row.mnemonic === 'leave' || row.mnemonic === 'enter') gpr[GPR.ebp] = this.#stackPointer(row);
    return true;
  }

  #stringAddress(): bigint {
    const r = this.#r;
    const { data } = this.#view;
    if (r.oneIn(20) && !this.#short) return this.#beyond();
    if (r.oneIn(6))
      return BigInt(data + r.pick([0, 0x1000, WINDOW.readOnlyFrom, WINDOW.dataBytes]) + r.between(-40, 40));
    return BigInt(data + r.between(0x800, WINDOW.readOnlyFrom - 0x800));
  }

  #immediates(code: number[], plan: Plan, size: Size, wide: boolean): void {
    const r = this.#r;
    const put = (value: number, bytes: number): void => {
      for (let i = 0; i < bytes; i++) code.push((value >>> (i * 8)) & 0xff);
    };
    const z = size === 16 ? 2 : 4;
    for (const o of plan.operands) {
      if (o.kind === 'J') {
        const bytes = o.type === 'b' ? 1 : 4;
        put(this.#codeAddress() - this.#at - code.length - bytes, bytes);
      } else if (o.kind === 'L') put(r.below(256), 1);
      else if (o.kind === 'I') {
        const { mnemonic } = plan.row;
        if (mnemonic === 'enter')
          put(
            o.type === 'w' ? (r.oneIn(8) ? r.word() : r.below(0x100)) : r.oneIn(2) ? 0 : r.below(64),
            o.type === 'w' ? 2 : 1,
          );
        else if (mnemonic === 'ret') put(r.oneIn(3) ? r.word() : r.below(64), 2);
        else if (o.type === 'v' && size === 64 && wide) {
          put(r.word(), 4);
          put(r.word(), 4);
        } else put(r.word(), immediateBytes(o, z));
      }
    }
  }

  /** A target of a relative branch. */
  #codeAddress(): number {
    const r = this.#r;
    // A displacement counts from the instruction's end: as far as it reaches, and a little less.
    if (r.oneIn(50)) return this.#at + 2 ** 31 + r.between(-9, 4);
    if (r.oneIn(20)) return this.#at + Math.max(16 - 2 ** 31, r.word() | 0);
    if (r.oneIn(3)) return this.#at - (this.#at % WINDOW.codeBytes) + r.below(WINDOW.codeBytes);
    return this.#at + r.between(-120, 120);
  }
  /** A target of an indirect one. */
  #target64(): bigint {
    const r = this.#r;
    if (r.oneIn(12)) return this.#beyond();
    return r.oneIn(4) ? BigInt(r.pick(VIEWS).code + r.below(WINDOW.codeBytes)) : BigInt(this.#codeAddress());
  }

  /** Contents of the operand, and relations between operands that random ones seldom have. */
  #operandValues(plan: Plan, size: Size, reg: number, rm: number): boolean {
    const r = this.#r;
    const { row } = plan;
    const gpr = this.#gpr;
    const name = nameOf(row);
    const transfer = name === 'ret' || ((name === 'call' || name === 'jmp') && row.opcode.startsWith('FF'));
    if (/^(div|idiv)$/.test(name) && (this.#fixed & DIVIDEND) === 0 && r.below(4) !== 0) {
      const sign = BigInt.asIntN(size, gpr[GPR.eax]) < 0n ? -1n : 0n;
      gpr[GPR.edx] = wrap(r.oneIn(2) ? sign : BigInt(r.between(-3, 300)));
      if (size === 8) gpr[GPR.eax] = wrap(BigInt(r.between(-3000, 3000)));
    }
    if (/^(popf|pop|ret|leave)/.test(name)) {
      const bytes = new Uint8Array(8);
      r.fill(bytes, 0, 8);
      const view = new DataView(bytes.buffer);
      if (name === 'ret') view.setBigUint64(0, wrap(this.#target64()), true);
      if (name.startsWith('popf')) view.setUint32(0, r.u32(), true);
      this.#patch(signed(name === 'leave' ? gpr[GPR.ebp] : gpr[GPR.esp]), bytes);
    }
    if (usesXsaveArea(row)) {
      if (this.#fixed & DIVIDEND) return false;
      [gpr[GPR.eax], gpr[GPR.edx]] = [BigInt(r.below(8)), 0n];
    }
    if (this.#memory) {
      const bytes = new Uint8Array(Math.max(this.#memory.bytes, 1));
      const view = new DataView(bytes.buffer);
      r.fill(bytes, 0, bytes.length);
      if (name === 'fbld') for (let i = 0; i < 9; i++) bytes[i] = r.below(10) * 16 + r.below(10);
      if (/^v?ldmxcsr$/.test(name)) view.setUint32(0, this.#mxcsrImage(), true);
      if (name.startsWith('xrstor')) xsaveHeader(r, view, this.#mxcsrImage());
      if (name.startsWith('fxrstor')) view.setUint32(FX.mxcsr, this.#mxcsrImage(), true);
      if (transfer) view.setBigUint64(0, wrap(this.#target64()), true);
      if (name.startsWith('cmpxchg') && r.below(5) < 2) {
        const half = name === 'cmpxchg' ? 8 : bytes.length / 2;
        for (let i = 0; i < bytes.length; i++)
          bytes[i] = Number((gpr[i < half ? GPR.eax : GPR.edx] >> BigInt((i % half) * 8)) & 0xffn);
      }
      this.#patch(this.#memory.at, bytes);
    } else if (rm >= 0) {
      if (transfer && rm !== GPR.esp) gpr[rm] = wrap(this.#target64());
      if (name === 'cmpxchg' && r.below(5) < 2 && size >= 32 && rm !== GPR.esp) gpr[rm] = gpr[GPR.eax];
    }
    if (reg === GPR.ecx && rm === GPR.ecx) return true;
    if (SHIFTS.includes(name) && row.operands.includes('CL') && this.#memory === undefined && r.oneIn(2))
      gpr[GPR.ecx] = (gpr[GPR.ecx] & ~0xffn) | BigInt(r.below(66));
    return true;
  }

  #mxcsrImage(): number {
    const r = this.#r;
    return (r.oneIn(5) ? r.u32() & ~MXCSR_MISALIGNED : r.u32() & 0xffff) >>> 0;
  }

  /** Puts bytes into the writable part of the window, as far as they lie there. */
  #patch(at: number, bytes: Uint8Array): void {
    const start = offsetOf(at);
    const from = Math.max(start, 0);
    const to = Math.min(start + bytes.length, WINDOW.readOnlyFrom);
    if (to <= from) return;
    this.#patches.push({ offset: from, bytes: bytes.subarray(from - start, to - start) });
  }

  /** May what comes after the instruction run? Only when that is the window's filling, or not mapped. */
  #mayRunOn(plan: Plan, length: number, rm: number): boolean {
    const { row, operands } = plan;
    const name = nameOf(row);
    // They show or change TF itself.
    if (name.startsWith('pushf') || name.startsWith('popf')) return false;
    const intoItself = (target: number): boolean => {
      const into = offsetInCode(target) - offsetInCode(this.#at);
      return into >= 0 && into < length;
    };
    if (operands.some((o) => o.kind === 'J'))
      return this.#decoded.row === undefined || !intoItself(this.#at + length + this.#decoded.imm);
    // Where these go is known by what was put there.
    if (name === 'ret' || name === 'call' || name === 'jmp')
      return rm >= 0 && rm !== GPR.esp && !intoItself(signed(this.#gpr[rm]));
    return true;
  }

  #encode(plan: Plan, code: readonly number[], repeat: boolean): Uint8Array {
    const r = this.#r;
    const patched = this.#patches.reduce((sum, p) => sum + 4 + p.bytes.length, 0);
    const given = new Uint8Array(GIVEN.bytes + patched);
    const view = new DataView(given.buffer);
    const room = Math.min(code.length, WINDOW.codeBytes - offsetInCode(this.#at));
    given.set(code.slice(0, room), GIVEN.code);
    given[GIVEN.codeBytes] = room;
    given[GIVEN.repeats] = repeat ? 1 : 0;
    view.setBigUint64(GIVEN.eip, BigInt(this.#at), true);
    for (let i = 0; i < 16; i++) view.setBigUint64(GIVEN.gpr + i * 8, this.#gpr[i], true);
    view.setBigUint64(GIVEN.fsBase, this.#fsBase, true);
    view.setBigUint64(GIVEN.gsBase, this.#gsBase, true);
    const down = r.oneIn(plan.row.options.rep ? 3 : 8) ? EFLAGS.df : 0;
    view.setUint32(GIVEN.eflags, (r.u32() & ARITHMETIC) | EFLAGS.if | EFLAGS.reserved1 | down, true);
    randomFloatState(r, LONG_SHAPE, given, view);
    if (this.#vector) fillIndices(r, LONG_SHAPE, view, this.#vector);
    encodePatches(given, GIVEN.patches, this.#patches);
    return given;
  }

  #count(row: Row, code: readonly number[], size: Size): number {
    if (!SHIFTS.includes(row.mnemonic)) return -1;
    if (row.operands.endsWith(',1')) return 1;
    const count = row.operands.endsWith('CL') ? Number(this.#gpr[GPR.ecx] & 0xffn) : code[code.length - 1];
    return count & (size === 64 ? 63 : 31);
  }
}
