/** Floating-point and vector instructions of random programs. */
import type { Random } from './program-generator.suite.ts';

/** What writes a program. */
export interface ProgramWriter {
  bytes(...bytes: number[]): void;
  dword(value: number): void;
  /** ModRM, and more, of a memory operand with `reg`. */
  memory(reg: number): void;
  /** Likewise of one at a fixed address. */
  absolute(reg: number, address: number): void;
  register(reg: number, rm: number): void;
  /** Address of a few bytes that may be overwritten. */
  readonly scratch: number;
}

/** EAX, ECX, EDX, EBX. */
const GENERAL = [0, 1, 2, 3] as const;

export class FloatPrograms {
  readonly #r: Random;
  readonly #out: ProgramWriter;

  constructor(r: Random, out: ProgramWriter) {
    this.#r = r;
    this.#out = out;
  }

  /** An AVX or AVX2 instruction on XMM0 to XMM3 or YMM0 to YMM3. */
  vex(): void {
    const r = this.#r;
    const xmm = r.below(4);
    const wide = r.below(2) << 2;
    const operand = (): void => (r.chance(2) ? this.#out.memory(xmm) : this.#out.register(xmm, r.below(4)));
    /** VEX.vvvv, length and mandatory prefix: none, 66, F3, F2. */
    const prefix = (source: number, length: number, mandatory: number): void =>
      this.#out.bytes(0xc5, 0x80 | ((~source & 15) << 3) | length | mandatory);
    switch (r.below(6)) {
      case 0: // arithmetic
        prefix(r.below(4), wide, r.below(4));
        this.#out.bytes(r.pick([0x58, 0x59, 0x5c, 0x5e, 0x5d]));
        operand();
        return;
      case 1: // vmovdqu both ways
        prefix(0, wide, 2);
        this.#out.bytes(r.pick([0x6f, 0x7f]));
        this.#out.memory(xmm);
        return;
      case 2: // integers
        prefix(r.below(4), wide, 1);
        this.#out.bytes(r.pick([0xef, 0xfe, 0x74, 0xda, 0xeb, 0x61, 0x6c]));
        operand();
        return;
      case 3: // vpmovmskb
        prefix(0, wide, 1);
        this.#out.bytes(0xd7);
        this.#out.register(r.pick(GENERAL), xmm);
        return;
      case 4: // vzeroupper
        this.#out.bytes(0xc5, 0xf8, 0x77);
        return;
      default: // vpbroadcastb, vpmovzxbw, vpermq by the longer prefix
        this.#out.bytes(0xc4, 0xe2, 0x79 | wide, r.pick([0x78, 0x30, 0x58]));
        operand();
    }
  }

  /** x87 instructions that mostly leave the stack as deep as it was. */
  x87(): void {
    const r = this.#r;
    const pushes = 1 + r.below(3);
    for (let i = 0; i < pushes; i++) {
      if (r.chance(4)) this.#out.bytes(0xd9, r.pick([0xe8, 0xee, 0xeb, 0xc0, 0xc1]));
      else {
        const [opcode, extension] = r.pick([
          [0xd9, 0],
          [0xdd, 0],
          [0xdb, 0],
          [0xdf, 5],
          [0xdb, 5],
        ]);
        this.#out.bytes(opcode);
        this.#out.memory(extension);
      }
    }
    let depth = pushes;
    for (let i = r.below(6); i > 0; i--) {
      const other = r.chance(8) ? r.below(8) : r.below(depth);
      switch (r.below(9)) {
        case 0:
        case 1: // op st, st(i); op st(i), st
          this.#out.bytes(r.pick([0xd8, 0xdc]), 0xc0 | (r.pick([0, 1, 4, 5, 6, 7]) << 3) | other);
          break;
        case 2: // op m32, m64
          this.#out.bytes(r.pick([0xd8, 0xdc]));
          this.#out.memory(r.pick([0, 1, 4, 5, 6, 7]));
          break;
        case 3: // fxch, fst st(i)
          this.#out.bytes(
            ...r.pick([
              [0xd9, 0xc8 | other],
              [0xdd, 0xd0 | other],
            ]),
          );
          break;
        case 4: // fchs, fabs, fsqrt, fxam, ftst, frndint
          this.#out.bytes(0xd9, r.pick([0xe0, 0xe0, 0xe1, 0xfa, 0xe5, 0xe4, 0xfc]));
          break;
        case 5: // fucomi, fcomi; fcom m64
          if (r.chance(3)) {
            this.#out.bytes(0xdc);
            this.#out.memory(2);
          } else this.#out.bytes(0xdb, r.pick([0xe8, 0xf0]) | other);
          break;
        case 6: // op st(i), st and pop; fstp st(i)
          if (depth > 1) {
            this.#out.bytes(
              ...r.pick([
                [0xde, 0xc0 | (r.pick([0, 1, 4, 5, 6, 7]) << 3) | other],
                [0xdd, 0xd8 | other],
              ]),
            );
            depth--;
          }
          break;
        case 7: // fnstsw ax; now and then another control word, or everything anew
          if (r.chance(3)) {
            this.#out.bytes(0xc7);
            this.#out.absolute(0, this.#out.scratch + 16);
            this.#out.dword(r.pick([0x37f, 0x37f, 0x27f, 0x7f, 0x77f, 0xf7f, 0x37f & ~(1 << r.below(6))]));
            this.#out.bytes(0xd9);
            this.#out.absolute(5, this.#out.scratch + 16);
          } else if (r.chance(4)) {
            this.#out.bytes(0xdb, 0xe3);
            return;
          } else this.#out.bytes(0xdf, 0xe0);
          break;
        default: // a branch over an addition
          this.#out.bytes(0x70 | r.below(16), 2, 0xd8, 0xc0 | other);
      }
    }
    for (; depth > 0; depth--) {
      if (r.chance(12)) continue;
      const [opcode, extension] = r.pick([
        [0xd9, 3],
        [0xdd, 3],
        [0xdd, 3],
        [0xdb, 3],
        [0xdb, 7],
      ]);
      this.#out.bytes(opcode);
      this.#out.memory(extension);
    }
  }

  /** An SSE or SSE2 instruction on XMM0 to XMM3: registers are used as scalars, vectors and integers in turn. */
  simd(): void {
    const r = this.#r;
    const xmm = r.below(4);
    const operand = (): void => (r.chance(2) ? this.#out.memory(xmm) : this.#out.register(xmm, r.below(4)));
    switch (r.below(12)) {
      case 0:
      case 1: // scalar and packed arithmetic
        this.#out.bytes(...r.pick([[0xf2], [0xf2], [0xf3], [0x66], []]), 0x0f);
        this.#out.bytes(r.pick([0x51, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f]));
        if (r.chance(4)) operand();
        else this.#out.register(xmm, r.below(4));
        return;
      case 2: // movss, movsd, movq, movlps, movhps, movdqu to a register
        this.#out.bytes(
          ...r.pick([
            [0xf2, 0x0f, 0x10],
            [0xf3, 0x0f, 0x10],
            [0xf3, 0x0f, 0x7e],
            [0xf3, 0x0f, 0x6f],
          ]),
        );
        operand();
        return;
      case 3: // the other way
        this.#out.bytes(
          ...r.pick([
            [0xf2, 0x0f, 0x11],
            [0xf3, 0x0f, 0x11],
            [0x66, 0x0f, 0xd6],
            [0xf3, 0x0f, 0x7f],
          ]),
        );
        operand();
        return;
      case 4: // cvtsi2sd, cvtsi2ss: numbers that are neither tiny nor huge
        this.#out.bytes(r.pick([0xf2, 0xf3]), 0x0f, 0x2a);
        this.#out.register(xmm, r.pick(GENERAL));
        return;
      case 5: // cvttsd2si, cvtsd2si, cvttss2si
        this.#out.bytes(r.pick([0xf2, 0xf3]), 0x0f, r.pick([0x2c, 0x2d]));
        this.#out.register(r.pick(GENERAL), xmm);
        return;
      case 6: // ucomis*, comis*
        this.#out.bytes(...r.pick([[0x66], []]), 0x0f, r.pick([0x2e, 0x2f]));
        operand();
        return;
      case 7: // cvtsd2ss, cvtss2sd, cvtdq2ps, cvtps2pd
        this.#out.bytes(
          ...r.pick([
            [0xf2, 0x0f, 0x5a],
            [0xf3, 0x0f, 0x5a],
            [0x0f, 0x5b],
            [0x0f, 0x5a],
            [0xf3, 0x0f, 0xe6],
          ]),
        );
        this.#out.register(xmm, r.below(4));
        return;
      case 8: // movaps, logic, unpacking between registers
        this.#out.bytes(...r.pick([[0x66], []]), 0x0f, r.pick([0x28, 0x54, 0x56, 0x57, 0x14, 0x15]));
        this.#out.register(xmm, r.below(4));
        return;
      case 9: // integers
        this.#out.bytes(0x66, 0x0f, r.pick([0xef, 0xfe, 0xd4, 0x74, 0xda, 0xf4, 0x61, 0x6c, 0xdb]));
        this.#out.register(xmm, r.below(4));
        return;
      case 10: // pshufd, shufps, pinsrw, shifts by an immediate
        if (r.chance(3)) this.#out.bytes(0x66, 0x0f, r.pick([0x71, 0x72]), 0xc0 | (r.pick([2, 4, 6]) << 3) | xmm);
        else {
          this.#out.bytes(
            ...r.pick([
              [0x66, 0x0f, 0x70],
              [0xf2, 0x0f, 0x70],
              [0x0f, 0xc6],
              [0x66, 0x0f, 0xc6],
              [0x66, 0x0f, 0xc4],
            ]),
          );
          this.#out.register(xmm, r.below(4));
        }
        this.#out.bytes(r.next());
        return;
      default: // cmpsd and friends; now and then stmxcsr, ldmxcsr
        if (r.chance(2)) {
          this.#out.bytes(...r.pick([[0xf2], [0xf3], [0x66], []]), 0x0f, 0xc2);
          this.#out.register(xmm, r.below(4));
          this.#out.bytes(r.below(8));
        } else if (r.chance(3)) {
          this.#out.bytes(0xc7);
          this.#out.absolute(0, this.#out.scratch);
          this.#out.dword(
            r.pick([0x1f80, 0x1fa0, 0x1fa0, 0x9fc0, 0x5fa0, 0x1f80 & ~(1 << r.pick([7, 8, 9, 10, 11, 12]))]),
          );
          this.#out.bytes(0x0f, 0xae);
          this.#out.absolute(2, this.#out.scratch);
        } else {
          this.#out.bytes(0x0f, 0xae);
          this.#out.absolute(3, this.#out.scratch + 8);
        }
    }
  }
}
