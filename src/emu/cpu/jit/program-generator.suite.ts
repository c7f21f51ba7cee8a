/**
 * Random programs for comparing tiers: loops, calls, indirect jumps, faults in the middle, code that changes itself.
 *
 * Every program ends: backward jumps and calls spend fuel, and what faults goes on at the place that the running
 * piece wrote into RECOVER.
 */

import { FloatPrograms } from './program-floats.suite.ts';

/** Linear addresses; paging maps them to themselves. */
export const PLACE = {
  directory: 0x1000,
  table: 0x2000,
  gdt: 0x3000,
  idt: 0x4000,
  tss: 0x4800,
  /** Top of the handlers' stack; the page is not compared. */
  kernelStack: 0xa000,
  handlers: 0xb000,
  fuel: 0x6000,
  recover: 0x6004,
  interrupts: 0x6008,
  /** How often the kernel was called. */
  calls: 0x600c,
  /** Not for programs: where the next entry of the log goes. */
  logAt: 0x8000,
  log: 0x7000,
  stack: 0x1_f000,
  stackBytes: 0x2000,
  code: 0x2_0000,
  data: 0x4_0000,
  dataBytes: 0x8000,
  /** Pages of the data window that cannot be read, and that cannot be written. */
  absent: 0x4_3000,
  readOnly: 0x4_5000,
} as const;

/** CF PF AF ZF SF OF */
const STATUS_FLAGS = 0x8d5;

/** Programs may use it; it answers something else each time. */
export const PORT = 0x60;

/** A program ends with INT of this vector, whose handler halts. */
export const END_VECTOR = 33;

/** INT of this vector calls the kernel, as SYSENTER or SYSCALL do. */
export const CALL_VECTOR = 34;

/** Numbers from 0 to 2^32 - 1 by a seed. Source: xorshift32, G. Marsaglia 2003. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (Math.imul(seed + 1, 0x9e37_79b9) | 1) >>> 0;
    for (let i = 0; i < 8; i++) this.next();
  }
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }
  below(n: number): number {
    return this.next() % n;
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

const EAX = 0;
const ECX = 1;
const EDX = 2;
const EBX = 3;
const EBP = 5;
const ESI = 6;
const EDI = 7;
/** Registers that hold anything; the others point somewhere. */
const FREE = [EAX, ECX, EDX, EBX] as const;
const POINTERS = [EBP, ESI, EDI] as const;

/** Cases of `#instruction` that begin with an opcode that takes a REX prefix. */
const WITH_REX: ReadonlySet<number> = new Set([
  0, 1, 2, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 23, 24, 25,
]);

const LONG_SYSTEM_CALLS: readonly (readonly number[])[] = [
  [0x0f, 0xa0, 0x0f, 0xa1], // push fs; pop fs
  [0x0f, 0xa8, 0x0f, 0xa9], // push gs; pop gs
  [0xf3, 0x48, 0x0f, 0xae, 0xc0], // rdfsbase rax
  [0xf3, 0x0f, 0xae, 0xd9], // wrgsbase ecx
  [0x0f, 0x01, 0xf8], // swapgs: a fault
  [0x0f, 0x07], // sysret: a fault
];

interface Fixup {
  readonly at: number;
  readonly label: number;
  readonly relative: boolean;
}

export class ProgramGenerator {
  readonly #r: Random;
  readonly #long: boolean;
  readonly #code: number[] = [];
  readonly #labels: number[] = [];
  readonly #fixups: Fixup[] = [];
  /** Offsets of immediate bytes that may be changed while the program runs. */
  readonly #patchable: number[] = [];
  readonly #pieces: number;
  readonly #functions: number;
  readonly #withSelfModification: boolean;
  readonly #floats: FloatPrograms;

  /** @param long 64-bit code; what 32-bit code has for it is left out */
  constructor(seed: number, long = false) {
    this.#r = new Random(seed);
    this.#long = long;
    this.#pieces = 3 + this.#r.below(12);
    this.#functions = this.#r.below(4);
    this.#withSelfModification = this.#r.chance(3);
    this.#floats = new FloatPrograms(this.#r, {
      bytes: (...bytes) => this.#bytes(...bytes),
      dword: (value) => this.#dword(value),
      memory: (reg) => this.#memory(reg),
      absolute: (reg, address) => this.#absolute(reg, address),
      register: (reg, rm) => this.#register(reg, rm),
      scratch: PLACE.data,
    });
  }

  /** The program's bytes, for PLACE.code; it begins at the first. */
  make(): Uint8Array {
    const end = this.#pieces;
    for (let piece = 0; piece < this.#pieces; piece++) {
      this.#labels[piece] = this.#code.length;
      this.#piece(piece);
    }
    this.#labels[end] = this.#code.length;
    this.#bytes(0xcd, END_VECTOR);
    for (let n = 0; n < this.#functions; n++) {
      this.#labels[this.#functionLabel(n)] = this.#code.length;
      this.#function(n);
    }
    for (const { at, label, relative } of this.#fixups) {
      const target = this.#labels[label] + (relative ? -(at + 4) : PLACE.code);
      for (let i = 0; i < 4; i++) this.#code[at + i] = (target >> (8 * i)) & 0xff;
    }
    return Uint8Array.from(this.#code);
  }

  #functionLabel(n: number): number {
    return this.#pieces + 1 + n;
  }

  #bytes(...bytes: number[]): void {
    this.#code.push(...bytes.map((b) => b & 0xff));
  }
  #dword(value: number): void {
    this.#bytes(value, value >> 8, value >> 16, value >> 24);
  }
  #target(label: number, relative: boolean): void {
    this.#fixups.push({ at: this.#code.length, label, relative });
    this.#dword(0);
  }

  /** mov dword [PLACE.recover], label */
  #setRecover(label: number): void {
    this.#bytes(0xc7);
    this.#absolute(0, PLACE.recover);
    this.#target(label, false);
  }
  /** sub dword [PLACE.fuel], 1; js end */
  #spend(): void {
    this.#bytes(0x83);
    this.#absolute(5, PLACE.fuel);
    this.#bytes(1, 0x0f, 0x88);
    this.#target(this.#pieces, true);
  }

  #piece(n: number): void {
    const r = this.#r;
    this.#setRecover(n + 1);
    if (r.chance(2)) this.#setPointers();
    const loops = r.chance(2) ? 1 : 0;
    const head = this.#code.length;
    for (let i = 2 + r.below(14); i > 0; i--) this.#instruction();
    if (loops) {
      this.#spend();
      for (let i = r.below(4); i > 0; i--) this.#instruction();
      // jcc head, or loop head
      if (r.chance(6) && this.#code.length - head < 100) this.#bytes(0xe2, head - (this.#code.length + 2));
      else {
        this.#bytes(0x0f, 0x80 + r.below(16));
        this.#dword(head - (this.#code.length + 4));
      }
    }
    switch (r.below(7)) {
      case 0: {
        // Anywhere, but backward only while there is fuel.
        this.#spend();
        this.#bytes(0x0f, 0x80 + r.below(16));
        this.#target(r.below(this.#pieces + 1), true);
        break;
      }
      case 1:
        this.#bytes(0x0f, 0x80 + r.below(16));
        this.#target(n + 1 + r.below(this.#pieces - n), true);
        break;
      case 2:
        if (this.#functions > 0) {
          this.#spend();
          this.#bytes(0xe8);
          this.#target(this.#functionLabel(r.below(this.#functions)), true);
        }
        break;
      case 3: {
        // mov eax, label; jmp eax
        this.#bytes(0xb8);
        this.#target(n + 1, false);
        this.#bytes(0xff, 0xe0);
        break;
      }
      case 4:
        if (this.#functions > 0) {
          // mov eax, function; call eax
          this.#spend();
          this.#bytes(0xb8);
          this.#target(this.#functionLabel(r.below(this.#functions)), false);
          this.#bytes(0xff, 0xd0);
        }
        break;
      default:
    }
  }

  #function(n: number): void {
    const r = this.#r;
    const framed = r.chance(2);
    if (framed) this.#bytes(0x55, 0x89, 0xe5, 0x83, 0xec, 0x10);
    for (let i = 1 + r.below(6); i > 0; i--) this.#instruction();
    if (n + 1 < this.#functions && r.chance(2)) {
      this.#bytes(0xe8);
      this.#target(this.#functionLabel(n + 1), true);
      for (let i = r.below(3); i > 0; i--) this.#instruction();
    }
    if (r.chance(3)) {
      // Sometimes early: jcc over one instruction.
      this.#bytes(0x70 + r.below(16), 1, 0x90);
    }
    if (framed) this.#bytes(0xc9);
    this.#bytes(0xc3);
  }

  /** ebp, esi, edi: somewhere in the data window. */
  #setPointers(): void {
    for (const register of POINTERS) {
      if (this.#r.chance(3)) continue;
      this.#bytes(0xb8 + register);
      this.#dword(this.#address());
    }
    if (!this.#long) return;
    for (const register of [4, ...POINTERS]) {
      if (this.#r.chance(2)) continue;
      this.#bytes(0x41, 0xb8 + register);
      this.#dword(this.#address());
    }
  }

  #address(): number {
    const r = this.#r;
    const near = [PLACE.absent, PLACE.readOnly, PLACE.data + PLACE.dataBytes - 0x1000, PLACE.data + 0x2000];
    if (r.chance(6)) return r.pick(near) - 8 + r.below(16);
    return PLACE.data + r.below(PLACE.absent - PLACE.data - 64);
  }

  /**
   * Sometimes a REX prefix: 64 bits, and R8 to R11 in place of free registers, R12 to R15 of pointers.
   * @param wide may it ask for 64 bits?
   */
  #rex(wide = true): void {
    if (!this.#long || this.#r.chance(2)) return;
    this.#bytes(0x40 | (wide ? this.#r.below(2) << 3 : 0) | (this.#r.below(2) << 2) | this.#r.below(2));
  }

  /** [address] */
  #absolute(reg: number, address: number): void {
    if (this.#long) this.#bytes((reg << 3) | 4, 0x25);
    else this.#bytes((reg << 3) | 5);
    this.#dword(address);
  }

  /** ModRM (and more) of a memory operand with `reg`. */
  #memory(reg: number): void {
    const r = this.#r;
    const mode = r.below(5);
    if (mode === 0) {
      this.#absolute(reg, this.#address());
    } else if (mode === 1) {
      // [esp + disp8]
      this.#bytes(0x44 | (reg << 3), 0x24, r.below(24) - 8);
    } else if (mode === 2) {
      // [pointer + ecx * scale + disp32], where ecx may be anything: often a fault.
      if (r.chance(4)) {
        this.#bytes(0x84 | (reg << 3), (r.below(4) << 6) | (ECX << 3) | r.pick(POINTERS));
        this.#dword(r.below(64));
      } else this.#bytes(0x40 | (reg << 3) | r.pick(POINTERS), r.below(32) - 8);
    } else this.#bytes(0x40 | (reg << 3) | r.pick(POINTERS), r.below(100) - 20);
  }
  #register(reg: number, rm: number): void {
    this.#bytes(0xc0 | (reg << 3) | rm);
  }
  #operand(reg: number, byte = false): void {
    if (this.#r.chance(2)) this.#memory(reg);
    else this.#register(reg, byte ? this.#byteRegister() : this.#r.pick(FREE));
  }
  /** AL to BH: parts of the free registers. */
  #byteRegister(): number {
    return this.#r.below(8);
  }

  #instruction(): void {
    const r = this.#r;
    const free = r.pick(FREE);
    const which = r.below(50);
    if (WITH_REX.has(which)) this.#rex(which !== 7);
    switch (which) {
      case 0:
      case 1:
      case 2: // op r, r/m and op r/m, r
        this.#bytes((r.below(8) << 3) | r.pick([1, 3]));
        this.#operand(free);
        return;
      case 3: // bytes
        this.#bytes((r.below(8) << 3) | r.pick([0, 2]));
        this.#operand(this.#byteRegister(), true);
        return;
      case 4: // 16 bits
        this.#bytes(0x66);
        this.#rex();
        this.#bytes((r.below(8) << 3) | r.pick([1, 3]));
        this.#operand(free);
        return;
      case 5:
      case 6: // op r/m, imm8
        this.#bytes(0x83);
        this.#operand(r.below(8));
        if (this.#withSelfModification) this.#patchable.push(this.#code.length);
        this.#bytes(r.next());
        return;
      case 7: // mov r, imm
        this.#bytes(0xb8 + free);
        this.#dword(r.chance(2) ? r.next() : r.below(64));
        return;
      case 8:
      case 9: // mov r, r/m; mov r/m, r
        this.#bytes(r.pick([0x89, 0x8b]));
        this.#operand(free);
        return;
      case 10: // inc, dec r
        if (this.#long) this.#bytes(0xff, 0xc0 | (r.below(2) << 3) | free);
        else this.#bytes(0x40 + r.below(2) * 8 + free);
        return;
      case 11: // inc, dec r/m
        this.#bytes(0xff);
        this.#operand(r.below(2));
        return;
      case 12: // shifts by imm
        this.#bytes(0xc1);
        this.#operand(r.below(8));
        this.#bytes(r.chance(4) ? 32 * r.below(3) : r.next());
        return;
      case 13: // shifts by CL, by 1
        this.#bytes(r.pick([0xd3, 0xd1, 0xd2]));
        this.#operand(r.below(8), true);
        return;
      case 14: // test
        this.#bytes(0x85);
        this.#operand(free);
        return;
      case 15: // setcc
        this.#bytes(0x0f, 0x90 + r.below(16));
        this.#operand(0, true);
        return;
      case 16: // cmovcc
        this.#bytes(0x0f, 0x40 + r.below(16));
        this.#operand(free);
        return;
      case 17: // movzx, movsx
        this.#bytes(0x0f, r.pick([0xb6, 0xb7, 0xbe, 0xbf]));
        this.#operand(free, true);
        return;
      case 18: // imul r, r/m
        this.#bytes(0x0f, 0xaf);
        this.#operand(free);
        return;
      case 19: // mul, imul, div, idiv, not, neg
        this.#bytes(0xf7);
        this.#operand(r.pick([2, 3, 4, 5, 4, 5, 6, 7]));
        return;
      case 20: // push r; pop r
        this.#bytes(0x50 + r.below(8));
        for (let i = r.below(3); i > 0; i--) this.#bytes(0x89, 0xc0 | (r.pick(FREE) << 3) | r.pick(FREE));
        this.#bytes(0x58 + free);
        return;
      case 21: // push r/m; pop r/m, to memory
        this.#bytes(0xff);
        this.#memory(6);
        this.#bytes(0x8f);
        this.#memory(0);
        return;
      case 22: // lea
        this.#bytes(0x8d);
        this.#memory(free);
        return;
      case 23: // bt, bts, btr, btc by imm
        this.#bytes(0x0f, 0xba);
        this.#operand(4 + r.below(4));
        this.#bytes(r.next());
        return;
      case 24: // shld, shrd
        this.#bytes(0x0f, r.pick([0xa4, 0xac]));
        this.#operand(free);
        this.#bytes(r.next());
        return;
      case 25: // xadd, cmpxchg, xchg
        this.#bytes(...r.pick([[0x0f, 0xc1], [0x0f, 0xb1], [0x87]]));
        this.#operand(free);
        return;
      case 26: // clc, stc, cmc, cld, lahf, sahf, cbw, cdq
        this.#bytes(r.pick([0xf8, 0xf9, 0xf5, 0xfc, 0x9f, 0x9e, 0x98, 0x99]));
        return;
      case 27: // movs, stos, lods, scas, cmps, now and then repeated
        if (r.chance(2)) {
          this.#bytes(0xb9);
          this.#dword(r.below(40));
          this.#bytes(r.pick([0xf3, 0xf2]));
        }
        if (this.#long && r.chance(3)) this.#bytes(0x48);
        this.#bytes(r.pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xae, 0xaf]));
        return;
      case 28: // pushf; pop r, or xor [esp], imm; popf
        this.#bytes(0x9c);
        if (r.chance(2)) this.#bytes(0x58 + free);
        else {
          this.#bytes(0x81, 0x34, 0x24);
          this.#dword(r.next() & STATUS_FLAGS);
          this.#bytes(0x9d);
        }
        return;
      case 29: // bsf, bsr, bswap
        if (r.chance(2)) this.#bytes(0x0f, 0xc8 + free);
        else {
          this.#bytes(0x0f, r.pick([0xbc, 0xbd]));
          this.#operand(free);
        }
        return;
      case 30: // fld m32, fadd m32, fstp m32
        this.#bytes(0xd9);
        this.#memory(0);
        this.#bytes(0xd8);
        this.#memory(r.pick([0, 1, 4]));
        this.#bytes(0xd9);
        this.#memory(3);
        return;
      case 31: // movups, addps, paddd
        this.#bytes(0x0f, 0x10);
        this.#operand(r.below(4));
        this.#bytes(0x0f, r.pick([0x58, 0x59, 0x57]));
        this.#register(r.below(4), r.below(4));
        this.#bytes(0x0f, 0x11);
        this.#memory(r.below(4));
        return;
      case 32: // what TypeScript does
        if (r.chance(2)) this.#systemCall(free);
        else this.#callKernel();
        return;
      case 33:
        this.#selfModification();
        return;
      case 34:
      case 35:
      case 36:
      case 37:
      case 38:
      case 39:
        for (let i = 1 + r.below(4); i > 0; i--) this.#floats.simd();
        return;
      case 40:
      case 41:
      case 42:
      case 43:
      case 44:
      case 45:
        this.#floats.x87();
        return;
      case 46:
        this.#nearIndexed(free);
        return;
      default:
        for (let i = 1 + r.below(3); i > 0; i--) this.#floats.vex();
    }
  }

  /** and ecx, 31; then a few of mov r, [pointer + ecx * scale + disp8], its reverse, lea pointer, of the same sum. */
  #nearIndexed(register: number): void {
    const r = this.#r;
    const sum = (r.below(4) << 6) | (ECX << 3) | r.pick(POINTERS);
    this.#bytes(0x83, 0xe1, 31);
    for (let i = 2 + r.below(3); i > 0; i--) {
      if (this.#long && r.chance(2)) this.#bytes(0x40 | (r.below(2) << 3) | (r.below(2) << 2));
      this.#bytes(r.pick([0x89, 0x8b, 0x03, 0x31]), 0x44 | (register << 3), sum, r.below(100) - 20);
      if (r.chance(4)) this.#bytes(0x83, r.pick([0xc1, 0xc9]), r.below(8)); // add or or ecx, imm8
      if (r.chance(4)) this.#bytes(0x8d, 0x40 | ((sum & 7) << 3) | (sum & 7), r.below(16)); // lea pointer, [pointer + disp8]
    }
  }

  #systemCall(register: number): void {
    const r = this.#r;
    if (this.#long && r.chance(3)) {
      this.#bytes(...r.pick(LONG_SYSTEM_CALLS));
      return;
    }
    const saved = 0x06 + 8 * r.pick([0, 3]); // push es, ds
    const legacy = [
      [0x1e, 0x07, 0x06, 0x1f], // push ds; pop es; push es; pop ds
      [saved, 0x6a, r.below(4), saved + 1, saved + 1], // push null; pop es or ds: not flat for a moment
    ];
    this.#bytes(
      ...r.pick([
        ...(this.#long ? [] : legacy),
        [0x0f, 0xa2], // cpuid
        [0x0f, 0x31], // rdtsc
        [0x8c, 0xd8 | register, 0x8e, 0xc0 | register], // mov r, ds; mov es, r
        [0x8e, 0xe0 | register], // mov fs, r: a fault, unless it is null
        [0x0f, 0x02, 0xc0 | (register << 3) | r.pick(FREE)], // lar r, r
        [0x0f, 0x00, 0xe0 | register], // verr r
        [0xe4, PORT], // in al, PORT
        [0xe5, PORT], // in eax, PORT
        [0xe6, PORT], // out PORT, al
        [0xfb], // sti
        [0x9c, 0xfa, 0x9d], // pushfd; cli; popfd
        [0x68, r.next() & 0xd7, r.pick([0x02, 0x04, 0x06, 0x42]), r.pick([0, 0x04, 0x20]), 0, 0x9d], // push flags; popfd
        [0xcd, 0x80], // int 80h: likewise
      ]),
    );
  }

  /** INT, SYSCALL, or mov edx, (behind it); mov ecx, esp; SYSENTER. */
  #callKernel(): void {
    if (this.#r.chance(2)) this.#bytes(0xcd, CALL_VECTOR);
    else if (this.#long) this.#bytes(0x0f, 0x05);
    else {
      this.#bytes(0xba);
      this.#dword(PLACE.code + this.#code.length + 8);
      this.#bytes(0x89, 0xe1, 0x0f, 0x34);
    }
  }

  /** mov byte [an immediate], imm8 */
  #selfModification(): void {
    const r = this.#r;
    if (this.#patchable.length === 0) return;
    this.#bytes(0xc6);
    this.#absolute(0, PLACE.code + r.pick(this.#patchable));
    this.#bytes(r.next());
  }
}

/** Registers that a program starts with. */
export const startRegisters = (
  seed: number,
): Record<'eax' | 'ebx' | 'ecx' | 'edx' | 'esp' | 'ebp' | 'esi' | 'edi', number> => {
  const r = new Random(seed ^ 0x5555);
  const data = (): number => PLACE.data + r.below(0x2f00);
  const any = (): number => r.next() | 0;
  return {
    ...{ eax: any(), ebx: any(), ecx: r.below(100), edx: any() },
    ...{ esp: PLACE.stack, ebp: data(), esi: data(), edi: data() },
  };
};
