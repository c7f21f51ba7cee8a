/** Makes random cases: an encoding of a row of the instruction table, and a machine state in which it does something. */
import { DECODE } from '#emu/cpu/decoder/decoded.ts';
import { Decoder, newDecoded } from '#emu/cpu/decoder/decoder.ts';
import { type OperandSpec, operandSizes } from '#emu/cpu/decoder/operands.ts';
import { nameOf, type Row } from '#emu/cpu/isa/row.ts';
import { EFLAGS } from '#emu/cpu/state/flags.ts';
import { GPR } from '#emu/cpu/state/layout.ts';
import { randomFloatState } from './float-state.ts';
import { FX, GIVEN, KERNEL, LEGACY_SHAPE, SEGMENTS, type Segment, WINDOW } from './layout.ts';
import { meansTheSameInLongMode } from './long-subset.ts';
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
import { harmless, reaches } from './reach.ts';
import { fillIndices, usesXsaveArea, type VectorAddress, vectorForm, vexPrefix, xsaveHeader } from './vector-cases.ts';

const ARITHMETIC = EFLAGS.cf | EFLAGS.pf | EFLAGS.af | EFLAGS.zf | EFLAGS.sf | EFLAGS.of;
const { flatCode, flatData } = SEGMENTS;
const DIVIDEND = (1 << GPR.eax) | (1 << GPR.edx);

export class Generator {
  readonly #seed: number;
  readonly #long: boolean;
  readonly #plans: readonly Plan[];
  readonly #decoder: Decoder;
  readonly #decoded = newDecoded();

  // Of the case being made.
  #r = new Random(0, 0);
  readonly #gpr = new Uint32Array(8);
  #patches: Patch[] = [];
  #memory: Case['memory'];
  /** Registers of the memory operand's address, a bit each: they stay as they are. */
  #fixed = 0;
  #vector: VectorAddress | undefined;
  /** Linear, and as an offset in the code segment. */
  #codeAt = 0;
  #eip = 0;
  #cs: Segment = flatCode;
  #ss: Segment = flatData;
  #ds: Segment = flatData;
  #es: Segment = flatData;

  /**
   * @param long only cases that mean the same in 64-bit mode with 32-bit addresses
   * @param only rows whose mnemonic or opcode is this text; all when empty
   */
  constructor(rows: readonly Row[], seed: number, long: boolean, only = '') {
    this.#seed = seed;
    this.#long = long;
    this.#decoder = new Decoder(rows);
    this.#plans = plansOf(rows, only, (row) => !row.options.only64 && !(long && !meansTheSameInLongMode(row)));
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
    this.#fixed = 0;
    for (let i = 0; i < 8; i++) this.#gpr[i] = r.word();
    this.#chooseSegments(row, operands);
    this.#codeAt = WINDOW.code + this.#codeOffset(row);
    this.#eip = this.#codeAt - this.#cs.base;
    this.#gpr[GPR.esp] = this.#stackPointer(row);

    this.#vector = undefined;
    const operandPrefix = spec.prefix === undefined && spec.vex === undefined && r.oneIn(4);
    const code32 = this.#cs.wide;
    const usesAddress = row.options.address || row.options.rep || row.mnemonic === 'lea';
    // 16-bit addresses have no SIB byte, so no vector index.
    const addressPrefix = row.options.vsib ? !code32 : !this.#long && r.oneIn(usesAddress ? 6 : 24);
    const address16 = addressPrefix === code32;
    const sizes = operandSizes(row, false);
    const size = (sizes.length === 1 ? sizes[0] : operandPrefix === code32 ? 16 : 32) as 8 | 16 | 32;
    const repeat = row.options.rep !== undefined && r.below(5) < 3;
    const lockable = row.options.lock === true && spec.mod !== 'register';
    const lock = (lockable && r.oneIn(5)) || (!plan.privileged && spec.vex === undefined && r.oneIn(100));

    const prefixes: number[] = [...(spec.prefix === undefined ? [] : MANDATORY[spec.prefix])];
    if (operandPrefix) prefixes.push(0x66);
    if (addressPrefix) prefixes.push(0x67);
    if (repeat) prefixes.push(r.oneIn(2) ? 0xf3 : 0xf2);
    if (lock) prefixes.push(0xf0);
    if (r.oneIn(2)) prefixes.reverse();

    const register = r.below(8);
    const head = spec.vex
      ? [...(addressPrefix ? [0x67] : []), ...vexPrefix(r, row, spec, operands, this.#long)]
      : [...prefixes, ...MAP_BYTES[spec.map]];
    const code: number[] = [...head, spec.opcode + (spec.register ? register : 0)];
    const memoryOperand = operands.find((o) => 'EMWQ'.includes(o.kind));
    const bytes = memoryOperand ? operandBytes(memoryOperand, size) : 0;
    let reg = spec.register ? register : r.below(8);
    let rm = -1;
    if (spec.exact !== undefined) code.push(spec.exact);
    else if (spec.modrm) {
      reg = spec.extension ?? reg;
      const control = operands.some((o) => o.kind === 'C' || o.kind === 'D');
      const toMemory =
        !control && (spec.mod === 'memory' || (spec.mod === undefined && (r.below(5) < 3 || isPrefetchGroup(row))));
      if (toMemory) {
        // Locked accesses that cross a cache line make Linux slow the program down.
        const atomic = lock || row.mnemonic === 'xchg';
        if (!this.#memoryForm(code, reg, row, address16, bytes, atomic, operands)) return undefined;
      } else {
        rm = r.below(8);
        code.push(0xc0 | (reg << 3) | rm);
      }
    }
    this.#implicitMemory(plan, address16, size, repeat, code);
    this.#immediates(code, plan, size);
    this.#operandValues(plan, size, reg, rm);
    if (code.length > (this.#long ? 14 : 15) || (usesXsaveArea(row) && this.#fixed & DIVIDEND)) return undefined;

    if (!lock || (lockable && rm < 0)) {
      const status = this.#decoder.decode(Uint8Array.from(code), 0, code.length, code32 ? 32 : 16, this.#decoded);
      // Another row's encoding, by a prefix.
      if (status !== DECODE.ok || this.#decoded.rowIndex !== plan.index) return undefined;
    }
    const block = r.oneIn(2) && this.#mayRunOn(plan, code.length, size, rm);
    const given = this.#encode(plan, code, repeat || this.#vector !== undefined);
    const count = this.#count(row, code);
    const eip = this.#eip;
    const flat = [this.#cs, this.#ss, this.#ds, this.#es].every((s) => s.base === 0);
    return {
      number,
      row,
      size,
      code: Uint8Array.from(code),
      eip,
      codeSize: code32 ? 32 : 16,
      flat,
      given,
      block,
      memory: this.#memory,
      count,
      halfDefined: -1,
    };
  }

  /** Flat for the most part; else 16-bit code, or segments with limits. */
  #chooseSegments(row: Row, operands: readonly OperandSpec[]): void {
    const r = this.#r;
    const { code16, code32, data16, data32, down32, down16, readOnly } = SEGMENTS;
    const flat = this.#long || !r.oneIn(3) || (isBitTest(row, operands) && operands[0].kind === 'E');
    this.#cs = flat ? flatCode : r.pick([flatCode, code16, code16, code32]);
    this.#ss = flat ? flatData : r.pick([flatData, data16, data16, data32, down32, down16]);
    this.#ds = flat ? flatData : r.pick([flatData, data16, data32, down32, readOnly]);
    this.#es = flat ? flatData : r.pick([flatData, data16, data32, down32, readOnly]);
  }

  /** Mostly in the middle; else across or near the page's or the window's end. */
  #codeOffset(row: Row): number {
    const r = this.#r;
    // Not all processors read the ModRM byte of UD0 and UD1.
    if (/^ud[01]$/.test(row.mnemonic) || !r.oneIn(10)) return r.between(0x200, 0xe00) + (r.oneIn(2) ? 0x1000 : 0);
    return (r.oneIn(3) ? WINDOW.codeBytes : 0x1000) - r.between(1, 14);
  }

  /** ESP, or a frame pointer. IRET to a 16-bit stack loads SP alone, so the rest is what the kernel has there. */
  #stackPointer(row: Row): number {
    const offset = (this.#stackAddress(row) - this.#ss.base) >>> 0;
    return this.#ss.wide ? offset : (KERNEL | (offset & 0xffff)) >>> 0;
  }

  #stackAddress(row: Row): number {
    const r = this.#r;
    const usesStack = row.options.stack !== undefined || row.mnemonic.startsWith('popf');
    if (usesStack && r.oneIn(8)) {
      const limit = this.#ss === flatData ? 0 : this.#ss.limit + 1;
      const edge = r.pick([limit, 0, 0x1000, WINDOW.readOnlyFrom, WINDOW.dataBytes]);
      return WINDOW.data + edge + r.between(-40, 40);
    }
    const offset = r.between(0x200, WINDOW.readOnlyFrom - 0x200);
    return WINDOW.data + (r.oneIn(8) ? offset : offset & ~3);
  }

  /** Where an operand of so many bytes shall lie. */
  #target(bytes: number, atomic: boolean, segment: Segment): number {
    const r = this.#r;
    const size = Math.max(bytes, 1);
    const aligned = 2 ** Math.min(Math.floor(Math.log2(size)), size > 512 ? 6 : 5);
    const inside = WINDOW.data + r.between(0x10, WINDOW.readOnlyFrom - size - 0x10);
    if (atomic) {
      if (r.oneIn(10)) return WINDOW.data + r.pick([-8, WINDOW.readOnlyFrom, WINDOW.dataBytes]);
      const offset = inside & ~(LINE - 1);
      return offset + r.below(LINE - size + 1);
    }
    switch (r.below(16)) {
      case 0:
        return WINDOW.data + 0x1000 * r.between(1, 2) - r.below(size + 1);
      case 1:
        return WINDOW.data + r.pick([WINDOW.readOnlyFrom, WINDOW.dataBytes]) - r.below(size + 1);
      case 2:
        return WINDOW.data + r.pick([0, WINDOW.readOnlyFrom + 0x800, 0x80_0000, -0x8000]) - r.below(size + 1);
      case 3:
        if (segment !== flatData) return WINDOW.data + segment.limit + 1 - r.below(size + 2);
        return inside;
      case 4:
      case 5:
        return inside;
      default:
        return inside & ~(aligned - 1);
    }
  }

  /** ModRM, SIB and displacement, and register values that make the address. */
  #memoryForm(
    code: number[],
    reg: number,
    row: Row,
    address16: boolean,
    bytes: number,
    atomic: boolean,
    operands: readonly OperandSpec[],
  ): boolean {
    const r = this.#r;
    const gpr = this.#gpr;
    const accessed = row.options.access !== 'none' && row.mnemonic !== 'lea';
    if (row.options.vsib) {
      this.#vector = vectorForm(r, code, reg, row, gpr, this.#ds);
      this.#memory = operand(this.#vector.at, bytes);
      return true;
    }
    if (address16) return this.#memoryForm16(code, reg, bytes, atomic, accessed, isBitTest(row, operands));
    const usesStack = row.options.stack !== undefined;
    const sib = r.oneIn(2);
    const mod = r.below(3);
    const scale = r.below(4);
    const index = sib && !r.oneIn(4) ? r.below(8) : GPR.esp;
    const base = sib ? r.below(8) : r.pick([0, 1, 2, 3, 5, 6, 7]);
    const absolute = base === GPR.ebp && mod === 0;
    // There it is relative to RIP.
    if (this.#long && absolute && !sib) return false;
    const segment = !absolute && (base === GPR.esp || base === GPR.ebp) ? this.#ss : this.#ds;
    const target = this.#target(bytes, atomic, segment) - segment.base;
    if (r.oneIn(3) && index !== GPR.esp) gpr[index] = r.between(-64, 64);
    const indexed = index === GPR.esp ? 0 : Math.imul(gpr[index], 1 << scale);
    const dispBytes = absolute || mod === 2 ? 4 : mod;
    let disp =
      dispBytes === 4 ? (r.oneIn(2) ? r.word() : r.between(-300, 300)) | 0 : dispBytes === 1 ? r.between(-128, 127) : 0;
    if (absolute) disp = (target - indexed) | 0;
    else if (base === GPR.esp && (usesStack || !this.#ss.wide)) {
      if (mod === 2) disp = (target - gpr[GPR.esp] - indexed) | 0;
      else if (index !== GPR.esp && Math.abs(indexed | 0) > 256) return false;
    } else if (base === index) {
      if (mod === 2) disp = (target - gpr[base] - indexed) | 0;
      else {
        const share = 1 + (1 << scale);
        gpr[base] = Math.floor(((target - disp) >>> 0) / share);
      }
    } else gpr[base] = target - disp - indexed;
    code.push((mod << 6) | (reg << 3) | (sib ? 4 : base));
    if (sib) code.push((scale << 6) | (index << 3) | base);
    for (let i = 0; i < dispBytes; i++) code.push((disp >>> (i * 8)) & 0xff);
    const scaled = index === GPR.esp ? 0 : Math.imul(gpr[index], 1 << scale);
    let at = ((absolute ? 0 : gpr[base]) + scaled + disp) >>> 0;
    if (row.options.popAddress && base === GPR.esp) at += 4;
    if (isBitTest(row, operands)) {
      // Bit numbers reach beyond the operand, in either direction.
      if (reg !== base && reg !== index && !r.oneIn(20)) gpr[reg] = r.between(-4000, 4000);
      const bits = gpr[reg] | 0;
      const near = at + (bits >> 5) * 4;
      const nearWord = at + (((bits << 16) >> 16) >> 4) * 2;
      if (!harmless(near - 4, 12) || !harmless(nearWord - 4, 12)) return false;
      if (atomic && ((near & 63) > 60 || (nearWord & 63) > 60)) return false;
    } else if (accessed && !reaches(segment, at, bytes)) return false;
    if (atomic && (at & (LINE - 1)) + bytes > LINE) return false;
    this.#memory = operand((at + segment.base) >>> 0, bytes);
    this.#fixed = (absolute ? 0 : 1 << base) | (index === GPR.esp ? 0 : 1 << index);
    return true;
  }

  /** Likewise with 16-bit addresses. */
  #memoryForm16(
    code: number[],
    reg: number,
    bytes: number,
    atomic: boolean,
    accessed: boolean,
    bitTest: boolean,
  ): boolean {
    const r = this.#r;
    const gpr = this.#gpr;
    const mod = r.below(3);
    const rm = r.below(8);
    const absolute = mod === 0 && rm === 6;
    const base = [GPR.ebx, GPR.ebx, GPR.ebp, GPR.ebp, GPR.esi, GPR.edi, GPR.ebp, GPR.ebx][rm];
    const index = rm >= 4 ? -1 : rm & 1 ? GPR.edi : GPR.esi;
    const segment = !absolute && base === GPR.ebp ? this.#ss : this.#ds;
    const at = (this.#target(bytes, atomic, segment) - segment.base) & 0xffff;
    const dispBytes = absolute ? 2 : mod;
    const disp = absolute ? at : dispBytes === 1 ? r.between(-128, 127) : dispBytes === 2 ? r.word() & 0xffff : 0;
    if (!absolute) {
      const low = (at - disp - (index < 0 ? 0 : gpr[index])) & 0xffff;
      gpr[base] = (gpr[base] & 0xffff_0000) | low;
    }
    code.push((mod << 6) | (reg << 3) | rm);
    for (let i = 0; i < dispBytes; i++) code.push((disp >>> (i * 8)) & 0xff);
    // A bit offset may lead anywhere; and what crosses 64 KB is not the same everywhere.
    if (accessed && (bitTest || at + bytes > 0x1_0000 || !reaches(segment, at, bytes))) return false;
    if (atomic && (at & (LINE - 1)) + bytes > LINE) return false;
    this.#memory = operand(at + segment.base, bytes);
    this.#fixed = (absolute ? 0 : 1 << base) | (index < 0 ? 0 : 1 << index);
    return true;
  }

  /** Strings, XLAT, MASKMOV and moffs; the stack's contents. */
  #implicitMemory(plan: Plan, address16: boolean, size: number, repeat: boolean, code: number[]): void {
    const r = this.#r;
    const { row, operands } = plan;
    const gpr = this.#gpr;
    const bytes = size / 8;
    if (operands.some((o) => o.kind === 'O')) {
      const offset = (this.#target(bytes, false, this.#ds) - this.#ds.base) >>> 0;
      const at = address16 ? offset & 0xffff : offset;
      for (let i = 0; i < (address16 ? 2 : 4); i++) code.push((at >>> (i * 8)) & 0xff);
      this.#memory = operand(at + this.#ds.base, bytes);
    }
    if (operands.some((o) => o.kind === 'X' || o.kind === 'Y')) {
      const flat = this.#ds === flatData && this.#es === flatData;
      const source = this.#stringAddress(flat);
      const destination = r.oneIn(4) ? source + r.between(-20, 20) : this.#stringAddress(flat);
      gpr[GPR.esi] = source - this.#ds.base;
      gpr[GPR.edi] = destination - this.#es.base;
      if (repeat) {
        gpr[GPR.ecx] = r.oneIn(12) ? r.between(41, 200) : r.below(12);
        if (address16) gpr[GPR.ecx] += r.below(0x1_0000) * 0x1_0000;
      }
      if (address16) {
        const low = (n: number, s: Segment): number => (s === flatData ? r.between(0x400, 0xf000) : gpr[n] & 0xffff);
        gpr[GPR.esi] = low(GPR.esi, this.#ds) + r.below(0x1_0000) * 0x1_0000;
        gpr[GPR.edi] = low(GPR.edi, this.#es) + r.below(0x1_0000) * 0x1_0000;
      }
    }
    if (row.mnemonic === 'xlatb')
      gpr[GPR.ebx] = this.#target(1, false, this.#ds) - this.#ds.base - (gpr[GPR.eax] & 0xff);
    if (/^v?maskmov(q|dqu)/.test(row.mnemonic)) gpr[GPR.edi] = this.#target(16, false, this.#ds) - this.#ds.base;
    if (row.mnemonic === 'leave') gpr[GPR.ebp] = this.#stackPointer(row);
    if (row.mnemonic === 'enter') gpr[GPR.ebp] = this.#stackPointer(row);
  }

  /** Limits are only checked where the first element lies, so other than flat segments are not left. */
  #stringAddress(flat: boolean): number {
    const r = this.#r;
    if (!flat) return WINDOW.data + r.between(0x1000, 0x2000);
    if (r.oneIn(6))
      return WINDOW.data + r.pick([0, 0x1000, WINDOW.readOnlyFrom, WINDOW.dataBytes]) + r.between(-40, 40);
    return WINDOW.data + r.between(0x400, WINDOW.readOnlyFrom - 0x400);
  }

  #immediates(code: number[], plan: Plan, size: number): void {
    const r = this.#r;
    const put = (value: number, bytes: number): void => {
      for (let i = 0; i < bytes; i++) code.push((value >>> (i * 8)) & 0xff);
    };
    const wide = size === 16 ? 2 : 4;
    for (const o of plan.operands) {
      if (o.kind === 'J') {
        const bytes = o.type === 'b' ? 1 : wide;
        put(this.#codeAddress() - this.#codeAt - code.length - bytes, bytes);
      } else if (o.kind === 'L') put(r.below(this.#long ? 128 : 256), 1);
      else if (o.kind === 'I') {
        if (plan.row.mnemonic === 'enter')
          put(
            o.type === 'w' ? (r.oneIn(8) ? r.word() : r.below(0x100)) : r.oneIn(2) ? 0 : r.below(64),
            o.type === 'w' ? 2 : 1,
          );
        else if (plan.row.mnemonic === 'ret') put(r.oneIn(3) ? r.word() : r.below(64), 2);
        else {
          const value = r.word();
          put(value, o.type === 'b' || o.type === 'bs' ? 1 : o.type === 'w' ? 2 : o.type === 'd' ? 4 : wide);
        }
      }
    }
  }

  #codeAddress(): number {
    const r = this.#r;
    const near = this.#codeAt + r.between(-120, 120);
    const target = r.oneIn(3) ? WINDOW.code + r.below(WINDOW.codeBytes) : near;
    return r.oneIn(20) && this.#cs === flatCode ? r.word() : target;
  }

  /** Contents of the operand, and relations between operands that random ones seldom have. */
  #operandValues(plan: Plan, size: number, reg: number, rm: number): void {
    const r = this.#r;
    const { row } = plan;
    const gpr = this.#gpr;
    const name = nameOf(row);
    const accumulatorBytes = size / 8;
    const transfer = name === 'ret' || ((name === 'call' || name === 'jmp') && row.opcode.startsWith('FF'));
    if (/^(div|idiv)$/.test(name) && (this.#fixed & DIVIDEND) === 0 && r.below(4) !== 0) {
      gpr[GPR.edx] = r.oneIn(2) ? (gpr[GPR.eax] & 0x8000_0000 ? 0xffff_ffff : 0) : r.between(-3, 300);
      if (size === 8) gpr[GPR.eax] = r.between(-3000, 3000);
    }
    if (/^(popf|popfd|pop|ret|popa|leave)/.test(name)) {
      const pointer = name === 'leave' ? gpr[GPR.ebp] : gpr[GPR.esp];
      const at = this.#ss.base + (this.#ss.wide ? pointer : pointer & 0xffff);
      const bytes = new Uint8Array(name.startsWith('popa') ? 32 : 4);
      r.fill(bytes, 0, bytes.length);
      const view = new DataView(bytes.buffer);
      if (name === 'ret') view.setUint32(0, (this.#codeAddress() - this.#cs.base) >>> 0, true);
      if (name.startsWith('popf')) view.setUint32(0, r.u32(), true);
      this.#patch(at, bytes);
    }
    if (usesXsaveArea(row)) [gpr[GPR.eax], gpr[GPR.edx]] = [r.below(8), 0];
    if (this.#memory) {
      const bytes = new Uint8Array(Math.max(this.#memory.bytes, 1));
      const view = new DataView(bytes.buffer);
      r.fill(bytes, 0, bytes.length);
      if (name === 'fbld') for (let i = 0; i < 9; i++) bytes[i] = r.below(10) * 16 + r.below(10);
      if (/^v?ldmxcsr$/.test(name)) view.setUint32(0, this.#mxcsrImage(), true);
      if (name.startsWith('xrstor')) xsaveHeader(r, view, this.#mxcsrImage());
      if (name === 'fxrstor') view.setUint32(FX.mxcsr, this.#mxcsrImage(), true);
      if (transfer) {
        const target = this.#codeAddress() - this.#cs.base;
        for (let i = 0; i < bytes.length; i++) bytes[i] = target >>> (i * 8);
      }
      if (name.startsWith('cmpxchg') && r.below(5) < 2) {
        for (let i = 0; i < bytes.length; i++) bytes[i] = gpr[i < 4 ? GPR.eax : GPR.edx] >>> ((i & 3) * 8);
      }
      this.#patch(this.#memory.at, bytes);
    } else if (rm >= 0) {
      if (transfer && rm !== GPR.esp) gpr[rm] = this.#codeAddress() - this.#cs.base;
      if (name === 'cmpxchg' && r.below(5) < 2 && accumulatorBytes === 4 && rm !== GPR.esp) gpr[rm] = gpr[GPR.eax];
    }
    if (reg === GPR.ecx && rm === GPR.ecx) return;
    if (SHIFTS.includes(name) && row.operands.includes('CL') && this.#memory === undefined && r.oneIn(2))
      gpr[GPR.ecx] = (gpr[GPR.ecx] & ~0xff) | r.below(34);
  }

  #mxcsrImage(): number {
    const r = this.#r;
    return (r.oneIn(5) ? r.u32() & ~MXCSR_MISALIGNED : r.u32() & 0xffff) >>> 0;
  }

  /** Puts bytes into the writable part of the window, as far as they lie there. */
  #patch(at: number, bytes: Uint8Array): void {
    const from = Math.max(at - WINDOW.data, 0);
    const to = Math.min(at - WINDOW.data + bytes.length, WINDOW.readOnlyFrom);
    if (to <= from) return;
    const skip = from - (at - WINDOW.data);
    this.#patches.push({ offset: from, bytes: bytes.subarray(skip, skip + to - from) });
  }

  /** May what comes after the instruction run? Only when that is the window's filling, or not mapped. */
  #mayRunOn(plan: Plan, length: number, size: number, rm: number): boolean {
    const { row, operands } = plan;
    const name = nameOf(row);
    // They show or change TF itself.
    if (name.startsWith('pushf') || name.startsWith('popf')) return false;
    const inside = (target: number): boolean => {
      const at = (target + this.#cs.base) >>> 0;
      const intoItself = at >= this.#codeAt && at < this.#codeAt + length;
      return intoItself || (at >= WINDOW.data && at < WINDOW.data + WINDOW.dataBytes);
    };
    if (operands.some((o) => o.kind === 'J')) {
      const d = this.#decoded;
      if (d.row === undefined) return true;
      const target = this.#eip + length + d.imm;
      return !inside(size === 16 ? target & 0xffff : target);
    }
    // Where these go is known by what was put there.
    if (name === 'ret' || name === 'call' || name === 'jmp')
      return rm >= 0 && rm !== GPR.esp && size === 32 && !inside(this.#gpr[rm]);
    return true;
  }

  #encode(plan: Plan, code: readonly number[], repeat: boolean): Uint8Array {
    const r = this.#r;
    const patched = this.#patches.reduce((sum, p) => sum + 4 + p.bytes.length, 0);
    const given = new Uint8Array(GIVEN.bytes + patched);
    const view = new DataView(given.buffer);
    const room = Math.min(code.length, WINDOW.code + WINDOW.codeBytes - this.#codeAt);
    given.set(code.slice(0, room), GIVEN.code);
    given[GIVEN.codeBytes] = room;
    given[GIVEN.repeats] = repeat ? 1 : 0;
    view.setUint32(GIVEN.eip, this.#eip, true);
    for (let i = 0; i < 8; i++) view.setUint32(GIVEN.gpr + i * 4, this.#gpr[i], true);
    const down = r.oneIn(plan.row.options.rep ? 3 : 8) ? EFLAGS.df : 0;
    view.setUint32(GIVEN.eflags, (r.u32() & ARITHMETIC) | EFLAGS.if | EFLAGS.reserved1 | down, true);
    view.setUint16(GIVEN.cs, this.#cs.selector, true);
    view.setUint16(GIVEN.ss, this.#ss.selector, true);
    view.setUint16(GIVEN.ds, this.#ds.selector, true);
    view.setUint16(GIVEN.es, this.#es.selector, true);
    randomFloatState(r, LEGACY_SHAPE, given, view);
    if (this.#vector) fillIndices(r, LEGACY_SHAPE, view, this.#vector);
    encodePatches(given, GIVEN.patches, this.#patches);
    return given;
  }

  #count(row: Row, code: readonly number[]): number {
    if (!SHIFTS.includes(row.mnemonic)) return -1;
    if (row.operands.endsWith(',1')) return 1;
    return (row.operands.endsWith('CL') ? this.#gpr[GPR.ecx] : code[code.length - 1]) & 31;
  }
}

const operand = (at: number, bytes: number): MemoryOperand => ({ at, offset: at - WINDOW.data, bytes });
