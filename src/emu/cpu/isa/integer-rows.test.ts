import { describe, expect, it } from 'vitest';
import { STATE } from '../state/layout.ts';
import { IntegerBench, type Registers } from './integer-bench.suite.ts';
import { integerRows } from './integer-rows.ts';

const bench = new IntegerBench();
const run = (code: string, registers: Partial<Registers> = {}, flags = 2) => bench.run(code, registers, flags);
const [CF, PF, AF, ZF, SF, DF, OF] = [1, 4, 0x10, 0x40, 0x80, 0x400, 0x800] as const;
const ALL = CF | PF | AF | ZF | SF | OF;
const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** Values where carries and signs turn. */
const EDGES = [
  0, 1, 2, 0x0f, 0x10, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
  0x1234_5678, 0x9abc_def0,
];

const parity = (v: number): number => (hexBits(v & 0xff) % 2 === 0 ? PF : 0);
const hexBits = (v: number): number => v.toString(2).replaceAll('0', '').length;
const signed = (bits: number, v: bigint): bigint => BigInt.asIntN(bits, v);

/** ADD (or SUB) with carry in by the manual's words: unsigned range is CF, signed range OF, low digit AF. */
function reference(
  bits: number,
  a: number,
  b: number,
  carry: number,
  sign: 1n | -1n,
): { result: number; flags: number } {
  const mask = (1n << BigInt(bits)) - 1n;
  const [x, y, c] = [BigInt(a) & mask, BigInt(b) & mask, BigInt(carry)];
  const unsigned = x + sign * (y + c);
  const value = signed(bits, x) + sign * (signed(bits, y) + c);
  const digit = (x & 15n) + sign * ((y & 15n) + c);
  const result = Number(BigInt.asUintN(bits, unsigned));
  const flags =
    (unsigned < 0n || unsigned > mask ? CF : 0) |
    (value === signed(bits, value) ? 0 : OF) |
    (digit < 0n || digit > 15n ? AF : 0) |
    (result === 0 ? ZF : 0) |
    (signed(bits, BigInt(result)) < 0n ? SF : 0) |
    parity(result);
  return { result, flags };
}

describe('ADD, ADC, SUB, SBB, CMP', () => {
  const FORMS = [
    { bits: 8, prefix: '', opcode: 0 },
    { bits: 16, prefix: '66', opcode: 1 },
    { bits: 32, prefix: '', opcode: 1 },
  ] as const;
  const OPS = [
    { name: 'add', n: 0, sign: 1n, carries: false, writes: true },
    { name: 'adc', n: 2, sign: 1n, carries: true, writes: true },
    { name: 'sbb', n: 3, sign: -1n, carries: true, writes: true },
    { name: 'sub', n: 5, sign: -1n, carries: false, writes: true },
    { name: 'cmp', n: 7, sign: -1n, carries: false, writes: false },
  ] as const;
  for (const op of OPS) {
    it(`${op.name} at the edges, in three sizes`, () => {
      for (const form of FORMS) {
        const code = `${form.prefix}${hex(op.n * 8 + form.opcode)}c8`;
        const mask = 2 ** form.bits - 1;
        for (const a of EDGES) {
          for (const b of EDGES) {
            for (const carry of op.carries ? [0, 1] : [1]) {
              const expected = reference(form.bits, a, b, op.carries ? carry : 0, op.sign);
              const got = run(code, { eax: a, ecx: b }, 2 | carry);
              const high = a - (a % (mask + 1));
              const eax = op.writes ? high + expected.result : a;
              expect([code, a, b, got.eax, got.flags]).toEqual([code, a, b, eax, expected.flags]);
            }
          }
        }
      }
    });
  }

  it('take their operands from memory, registers and immediates', () => {
    bench.put32(0x6000, 0x11);
    expect(run('01 0d 00 60 00 00', { ecx: 0xffff_ffff }).flags).toBe(CF | AF);
    expect(bench.get32(0x6000)).toBe(0x10);
    expect(run('03 05 00 60 00 00', { eax: 1 }).eax).toBe(0x11);
    expect(run('83 e8 ff').eax).toBe(1);
    expect(run('81 e8 ff 00 00 00').eax).toBe(0xffff_ff01);
    expect(run('2c 01 80 ec 01', { eax: 0x1_0000 }).eax).toBe(0x1_ffff);
    expect(run('82 c0 7f', { eax: 1 }).flags).toBe(OF | SF | AF);
  });
});

describe('AND, OR, XOR, TEST, NOT, NEG, INC, DEC', () => {
  it('logic clears CF, OF and AF', () => {
    expect(run('21 c8', { eax: 0x8000_00f0, ecx: 0x8000_0030 }, 2 | ALL)).toMatchObject({
      eax: 0x8000_0030,
      flags: SF | PF,
    });
    expect(run('66 09 c8', { eax: 0xffff_0000, ecx: 1 }, 2 | ALL)).toMatchObject({ eax: 0xffff_0001, flags: 0 });
    expect(run('30 c0', { eax: 0x1ff }, 2 | ALL)).toMatchObject({ eax: 0x100, flags: ZF | PF });
    expect(run('a8 80', { eax: 0x80 })).toMatchObject({ eax: 0x80, flags: SF });
    expect(run('f7 c8 01 00 00 00', { eax: 2 }).flags).toBe(ZF | PF);
    expect(run('f6 d4', { eax: 0x1234 }, 2 | ALL)).toMatchObject({ eax: 0xed34, flags: ALL });
  });

  it('INC and DEC keep CF', () => {
    expect(run('40', { eax: 0x7fff_ffff }, 3)).toMatchObject({ eax: 0x8000_0000, flags: CF | OF | SF | AF | PF });
    expect(run('40', { eax: 0xffff_ffff }, 2)).toMatchObject({ eax: 0, flags: ZF | AF | PF });
    expect(run('66 48', { eax: 0x1_8000 }, 3)).toMatchObject({ eax: 0x1_7fff, flags: CF | OF | AF | PF });
    expect(run('fe c8', { eax: 0 }, 2)).toMatchObject({ eax: 0xff, flags: SF | AF | PF });
    expect(run('fe c0', { eax: 0x7f }, 2)).toMatchObject({ eax: 0x80, flags: OF | SF | AF });
  });

  it('NEG borrows unless the operand is 0', () => {
    expect(run('f7 d8', { eax: 0 })).toMatchObject({ eax: 0, flags: ZF | PF });
    expect(run('f7 d8', { eax: 0x8000_0000 })).toMatchObject({ eax: 0x8000_0000, flags: CF | OF | SF | PF });
    expect(run('f6 d8', { eax: 1 })).toMatchObject({ eax: 0xff, flags: CF | AF | SF | PF });
  });
});

describe('shifts and rotates', () => {
  // Measured on a processor; AF is not compared.
  const MEASURED: readonly (readonly [string, number, number, number, number])[] = [
    ['d3 e0', 0x6800_0000, 1, 0xd000_0000, OF | SF | PF],
    ['d3 e0', 0x6800_0000, 2, 0xa000_0000, SF | PF | CF],
    ['d3 f0', 0x6800_0000, 3, 0x4000_0000, OF | PF | CF],
    ['d3 e0', 0x6800_0000, 5, 0, OF | ZF | PF | CF],
    ['d3 e8', 0xb000_0006, 1, 0x5800_0003, OF | PF],
    ['d3 e8', 0xb000_0006, 2, 0x2c00_0001, CF],
    ['d3 f8', 0xb000_0006, 3, 0xf600_0000, SF | PF | CF],
    ['d2 e0', 0x81, 8, 0, OF | ZF | PF | CF],
    ['d2 e0', 0x81, 9, 0, ZF | PF],
    ['d2 e8', 0x81, 8, 0, ZF | PF | CF],
    ['d2 f8', 0x81, 17, 0xff, SF | PF | CF],
    ['d3 c0', 0x6800_0001, 2, 0xa000_0005, CF],
    ['d3 c0', 0x6800_0001, 3, 0x4000_000b, OF | CF],
    ['d2 c0', 0x81, 8, 0x81, CF],
    ['d2 c0', 0x80, 16, 0x80, OF],
    ['d3 c8', 0x6000_0005, 1, 0xb000_0002, OF | CF],
    ['d3 c8', 0x6000_0005, 2, 0x5800_0001, OF],
    ['d2 c8', 0x81, 8, 0x81, OF | CF],
    ['d3 d0', 0x6800_0001, 3, 0x4000_0009, OF | CF],
    ['d3 d0', 0x6800_0001, 4, 0x8000_0013, OF],
    ['d3 d8', 0x6000_0005, 2, 0x9800_0001, OF],
    ['d3 d8', 0x6000_0005, 3, 0x4c00_0000, OF | CF],
    ['d2 d0', 0x81, 9, 0x81, OF],
    ['66 d3 d8', 0x4001, 17, 0x4001, OF],
  ];
  it('as measured', () => {
    for (const [code, eax, ecx, result, flags] of MEASURED) {
      const got = run(code, { eax, ecx });
      expect([code, eax, ecx, got.eax, got.flags & ~AF]).toEqual([code, eax, ecx, result, flags]);
    }
  });

  it('a count of 0 modulo 32 changes nothing', () => {
    for (let n = 0; n < 8; n++) {
      const code = `d3 ${hex(0xc0 + n * 8)} c0 ${hex(0xc0 + n * 8)} 40`;
      expect([n, run(code, { eax: 0x9234_5678, ecx: 0xe0 }, 2 | ALL)]).toMatchObject([
        n,
        { eax: 0x9234_5678, flags: ALL },
      ]);
    }
  });

  it('RCL and RCR go through CF, all the way round', () => {
    for (const [prefix, bits] of [
      ['66', 16],
      ['', 32],
    ] as const) {
      let code = '';
      for (let i = 0; i <= bits; i++) code += `${prefix} d1 d0`;
      expect(run(code, { eax: 0x9abc_5678 }, 3)).toMatchObject({
        eax: 0x9abc_5678,
        flags: CF | (bits === 32 ? 0 : OF),
      });
    }
    expect(run('d1 d8', { eax: 2 }, 3)).toMatchObject({ eax: 0x8000_0001, flags: OF });
  });

  it('SHLD and SHRD', () => {
    const with2 = { edx: 0x1234_5678, eax: 0x6800_0001 };
    expect(run('0f a4 d0 04', with2)).toMatchObject({ eax: 0x8000_0011, flags: OF | SF | PF });
    expect(run('0f ac d0 04', { eax: 0x6800_0005, edx: 0x1234_567d })).toMatchObject({
      eax: 0xd680_0000,
      flags: SF | PF,
    });
    const words = { eax: 0xffff_6c01, edx: 0x925d };
    expect(run('66 0f a5 d0', { ...words, ecx: 15 }).eax).toBe(0xffff_c92e);
    expect(run('66 0f a5 d0', { ...words, ecx: 17 })).toMatchObject({ eax: 0xffff_24bb, flags: PF });
    expect(run('66 0f ad d0', { ...words, ecx: 18 }).eax).toBe(0xffff_6497);
    expect(run('66 0f ad d0', { ...words, ecx: 31 })).toMatchObject({ eax: 0xffff_24bb, flags: PF });
    expect(run('0f a5 d0', { ...with2, ecx: 32 }, 2 | ALL)).toMatchObject({ eax: 0x6800_0001, flags: ALL });
  });
});

describe('multiplication and division', () => {
  it('products say in CF and OF whether the upper half counts', () => {
    expect(run('f6 e1', { eax: 0x10, ecx: 0x10 })).toMatchObject({ eax: 0x100, flags: CF | OF | ZF | PF });
    expect(run('f6 e9', { eax: 0xff, ecx: 0x80 })).toMatchObject({ eax: 0x80, flags: CF | OF | SF });
    expect(run('66 f7 e1', { eax: 0x1_8000, edx: 0x1_0000, ecx: 2 })).toMatchObject({ eax: 0x1_0000, edx: 0x1_0001 });
    expect(run('f7 e1', { eax: 0x8000_0000, ecx: 3 })).toMatchObject({
      eax: 0x8000_0000,
      edx: 1,
      flags: CF | OF | SF | PF,
    });
    expect(run('f7 e9', { eax: 0xffff_fffe, ecx: 3 })).toMatchObject({ eax: 0xffff_fffa, edx: 0xffff_ffff });
    expect(run('0f af c1', { eax: 0x4000_0000, ecx: 2 }).flags & (CF | OF)).toBe(CF | OF);
    expect(run('6b c1 fe', { ecx: 5 })).toMatchObject({ eax: 0xffff_fff6, flags: SF | PF });
    expect(run('66 69 c1 00 40', { ecx: 2 })).toMatchObject({ eax: 0x8000, flags: CF | OF | SF | PF });
  });

  it('quotients that fit', () => {
    expect(run('f6 f1', { eax: 0xfeff, ecx: 0xff })).toMatchObject({ eax: 0xfeff, fault: undefined });
    expect(run('f6 f9', { eax: 0xff80, ecx: 0x01 })).toMatchObject({ eax: 0x0080, fault: undefined });
    expect(run('66 f7 f9', { eax: 0xfff9, edx: 0xffff, ecx: 2 })).toMatchObject({ eax: 0xfffd, edx: 0xffff });
    expect(run('f7 f1', { eax: 7, edx: 9, ecx: 10 })).toMatchObject({ eax: 0xe666_6667, edx: 1 });
    expect(run('f7 f9', { eax: 0x8000_0000, edx: 0xffff_ffff, ecx: 1 })).toMatchObject({ eax: 0x8000_0000, edx: 0 });
  });

  it('#DE for 0 and for quotients that do not, registers as before', () => {
    const cases: readonly (readonly [string, Partial<Registers>])[] = [
      ['f6 f1', { eax: 0x100, ecx: 1 }],
      ['f6 f1', { eax: 5, ecx: 0 }],
      ['f6 f9', { eax: 0x80, ecx: 1 }],
      ['f6 f9', { eax: 0xff80, ecx: 0xff }],
      ['66 f7 f1', { eax: 0, edx: 1, ecx: 1 }],
      ['66 f7 f9', { eax: 0x8000, edx: 0xffff, ecx: 0xffff }],
      ['66 f7 f9', { eax: 0, edx: 0x8000, ecx: 0xffff }],
      ['f7 f1', { eax: 0, edx: 5, ecx: 5 }],
      ['f7 f9', { eax: 0x8000_0000, edx: 0, ecx: 1 }],
      ['f7 f9', { eax: 0, edx: 0x8000_0000, ecx: 0xffff_ffff }],
      ['d4 00', { eax: 0x1234 }],
    ];
    for (const [code, registers] of cases) {
      expect([code, run(code, registers)]).toMatchObject([code, { ...registers, fault: 0 }]);
    }
  });
});

describe('decimal adjustment', () => {
  it('DAA after every addition of two packed numbers gives their sum', () => {
    const packed = (n: number): number => Number.parseInt(String(n), 16);
    for (let a = 0; a < 100; a += 7) {
      for (let b = 0; b < 100; b += 9) {
        const sum = run('00 c8 27', { eax: packed(a), ecx: packed(b) });
        expect([a, b, sum.eax, sum.flags & CF]).toEqual([a, b, packed((a + b) % 100), a + b > 99 ? CF : 0]);
        const difference = run('28 c8 2f', { eax: packed(a), ecx: packed(b) });
        expect([a, b, difference.eax, difference.flags & CF]).toEqual([
          a,
          b,
          packed((a - b + 100) % 100),
          a < b ? CF : 0,
        ]);
      }
    }
    expect(run('2f', { eax: 3 }, 2 | AF)).toMatchObject({ eax: 0xfd, flags: CF | AF | SF });
  });

  it('AAA, AAS, AAM, AAD', () => {
    expect(run('37', { eax: 0x010b })).toMatchObject({ eax: 0x0201, flags: CF | AF });
    expect(run('37', { eax: 0x0105 }, 3)).toMatchObject({ eax: 0x0105, flags: PF });
    expect(run('3f', { eax: 0x02ff })).toMatchObject({ eax: 0x0109 });
    expect(run('d4 0a', { eax: 0x3f })).toMatchObject({ eax: 0x0603, flags: PF });
    expect(run('d5 0a', { eax: 0x0603 })).toMatchObject({ eax: 0x3f, flags: PF });
  });
});

describe('bits', () => {
  it('bit strings reach beyond their operand in both directions', () => {
    bench.put32(0x6000, 0x8000_0000, 0, 0, 1);
    expect(run('0f a3 05 04 60 00 00', { eax: 0xffff_ffff }, 2 | (ALL & ~CF)).flags).toBe(ALL);
    run('0f ab 05 00 60 00 00', { eax: 37 });
    run('0f bb 05 00 60 00 00', { eax: 96 });
    run('66 0f ab 05 08 60 00 00', { eax: 0x1_ffff });
    expect([0, 4, 8, 12].map((i) => bench.get32(0x6000 + i))).toEqual([0x8000_0000, 0x8000_0020, 0, 0]);
    expect(run('0f ba f0 25', { eax: 0x30 })).toMatchObject({ eax: 0x10, flags: CF });
  });

  it('BSF and BSR of 0 leave the destination', () => {
    expect(run('0f bc c1', { eax: 5, ecx: 0 })).toMatchObject({ eax: 5, flags: ZF | PF });
    expect(run('0f bc c1', { eax: 5, ecx: 0x30 })).toMatchObject({ eax: 4, flags: 0 });
    expect(run('0f bd c1', { eax: 5, ecx: 1 })).toMatchObject({ eax: 0, flags: PF });
    expect(run('66 0f bd c1', { ecx: 0xf_8000 }).eax).toBe(15);
    expect(run('0f c8', { eax: 0x1234_5678 }).eax).toBe(0x7856_3412);
  });
});

describe('exchange', () => {
  it('XCHG, XADD, CMPXCHG', () => {
    bench.put32(0x6000, 7);
    expect(run('87 05 00 60 00 00', { eax: 9 }).eax).toBe(7);
    expect(run('f0 0f c1 05 00 60 00 00', { eax: 0xffff_ffff })).toMatchObject({ eax: 9, flags: CF | AF });
    expect(bench.get32(0x6000)).toBe(8);
    expect(run('0f c1 c0', { eax: 3 }).eax).toBe(6);
    expect(run('0f b1 0d 00 60 00 00', { eax: 8, ecx: 5 })).toMatchObject({ eax: 8, flags: ZF | PF });
    expect(run('0f b1 0d 00 60 00 00', { eax: 8, ecx: 6 })).toMatchObject({ eax: 5, flags: PF });
    expect(bench.get32(0x6000)).toBe(5);
    expect(run('91 90', { eax: 1, ecx: 2 })).toMatchObject({ eax: 2, ecx: 1 });
  });

  it('CMPXCHG8B changes ZF only', () => {
    bench.put32(0x6000, 1, 2);
    const registers = { eax: 1, edx: 2, ebx: 3, ecx: 4 };
    expect(run('0f c7 0d 00 60 00 00', registers, 2 | (ALL & ~ZF)).flags).toBe(ALL);
    expect([bench.get32(0x6000), bench.get32(0x6004)]).toEqual([3, 4]);
    expect(run('0f c7 0d 00 60 00 00', registers, 2 | ALL)).toMatchObject({ eax: 3, edx: 4, flags: ALL & ~ZF });
  });
});

describe('moves', () => {
  it('extend, convert, look up', () => {
    bench.put(0x6000, 0x80, 0xff, 0x12, 0x34);
    expect(run('0f be 05 00 60 00 00').eax).toBe(0xffff_ff80);
    expect(run('66 0f be c1', { eax: 0x1_0000, ecx: 0x80 }).eax).toBe(0x1_ff80);
    expect(run('0f b7 05 00 60 00 00').eax).toBe(0xff80);
    expect(run('a1 00 60 00 00 a2 10 60 00 00').eax).toBe(0x3412_ff80);
    expect(bench.bytes(0x6010, 1)).toEqual([0x80]);
    expect(run('8d 44 88 f0', { eax: 0x100, ecx: 3 }).eax).toBe(0xfc);
    expect(run('98 99', { eax: 0x8001 })).toMatchObject({ eax: 0xffff_8001, edx: 0xffff_ffff });
    expect(run('66 98 66 99', { eax: 0x1_0080, edx: 0x1_0000 })).toMatchObject({ eax: 0x1_ff80, edx: 0x1_ffff });
    expect(run('d7', { eax: 2, ebx: 0x6000 }).eax).toBe(0x12);
    expect(run('d6', { eax: 0x100 }, 3).eax).toBe(0x1ff);
    expect(run('0f 94 c4 0f 45 c1', { ecx: 9 }, 2 | ZF).eax).toBe(0x100);
    expect(run('9f 9e', { eax: 0 }, 2 | ALL)).toMatchObject({ eax: 0xd700, flags: ALL });
  });

  it('all sixteen conditions', () => {
    const holds = (code: number, f: number): boolean => {
      const less = ((f & SF) !== 0) !== ((f & OF) !== 0);
      const tests = [f & OF, f & CF, f & ZF, f & (CF | ZF), f & SF, f & PF, less, less || f & ZF];
      return Boolean(tests[code >> 1]) !== (code % 2 === 1);
    };
    for (let code = 0; code < 16; code++) {
      for (const flags of [0, CF, PF, ZF, SF, OF, SF | OF, ZF | SF, CF | ZF, ALL]) {
        const program = `0f ${hex(0x90 + code)} c0 ${hex(0x70 + code)} 01 41 0f ${hex(0x40 + code)} d3`;
        const got = run(program, { ebx: 1 }, 2 | flags);
        // INC changes flags other than CF, so CMOV is only looked at where the jump was taken.
        expect([code, flags, got.eax, got.ecx]).toEqual([
          code,
          flags,
          Number(holds(code, flags)),
          Number(!holds(code, flags)),
        ]);
        if (holds(code, flags)) expect(got.edx).toBe(1);
      }
    }
  });
});

describe('the stack', () => {
  it('PUSH ESP, POP ESP, POP [ESP]', () => {
    expect(run('54 58')).toMatchObject({ eax: 0x8000, esp: 0x8000 });
    expect(run('68 34 12 00 00 5c').esp).toBe(0x1234);
    run('6a ff 6a 07 8f 04 24');
    expect(bench.get32(0x7ffc)).toBe(7);
    expect(run('66 6a fe 66 58', { eax: 0x1_0000 })).toMatchObject({ eax: 0x1_fffe, esp: 0x8000 });
  });

  it('PUSHA and POPA', () => {
    const registers = { eax: 1, ecx: 2, edx: 3, ebx: 4, esp: 0x8000, ebp: 5, esi: 6, edi: 7 };
    expect(run('60 31 c0 31 f6 61', registers)).toMatchObject(registers);
    expect(bench.get32(0x8000 - 20)).toBe(0x8000);
    expect(run('66 60 66 61', registers)).toMatchObject(registers);
  });

  it('ENTER and LEAVE', () => {
    expect(run('c8 10 00 00', { ebp: 0x1234 })).toMatchObject({ ebp: 0x7ffc, esp: 0x7fec });
    bench.put32(0x9000 - 8, 0xbbbb, 0xaaaa);
    expect(run('c8 04 00 03', { ebp: 0x9000 })).toMatchObject({ ebp: 0x7ffc, esp: 0x7fec });
    expect([0x7ffc, 0x7ff8, 0x7ff4, 0x7ff0].map((at) => bench.get32(at))).toEqual([0x9000, 0xaaaa, 0xbbbb, 0x7ffc]);
    expect(run('c8 10 00 00 c9', { ebp: 0x1234 })).toMatchObject({ ebp: 0x1234, esp: 0x8000 });
  });

  it('calls come back', () => {
    expect(run('e8 03 00 00 00 40 eb 04 40 c2 00 00 40').eax).toBe(3);
    expect(run('6a 01 e8 02 00 00 00 eb 05 b0 05 c2 04 00')).toMatchObject({ eax: 5, esp: 0x8000 });
    expect(run('e8 00 00 00 00 58 83 c0 07 ff e0 f4 40').eax & 0xf).toBe(0xd);
  });

  it('LOOP and JECXZ', () => {
    expect(run('40 e2 fd', { ecx: 5 })).toMatchObject({ eax: 5, ecx: 0 });
    expect(run('40 67 e2 fc', { ecx: 0x7_0003 })).toMatchObject({ eax: 3, ecx: 0x7_0000 });
    expect(run('40 83 f8 03 e0 fa', { ecx: 9 })).toMatchObject({ eax: 3, ecx: 6 });
    expect(run('e3 01 40').eax).toBe(0);
    expect(run('e3 01 40', { ecx: 1 }).eax).toBe(1);
  });
});

describe('strings', () => {
  const pattern = (n: number): number[] => Array.from({ length: n }, (_, i) => (i * 7 + 3) & 0xff);
  const COUNT = 9000;

  it('REP MOVS goes over pages, in both directions', () => {
    bench.put(0x4_0100, ...pattern(COUNT));
    const up = run('f3 a4', { esi: 0x4_0100, edi: 0x5_0ff3, ecx: COUNT });
    expect(up).toMatchObject({ esi: 0x4_0100 + COUNT, edi: 0x5_0ff3 + COUNT, ecx: 0 });
    expect(bench.bytes(0x5_0ff3, COUNT)).toEqual(pattern(COUNT));
    const down = run('f3 a5', { esi: 0x4_0100 + COUNT - 4, edi: 0x6_0ff2 + COUNT - 4, ecx: COUNT / 4 }, 2 | DF);
    expect(down).toMatchObject({ esi: 0x4_0100 - 4, edi: 0x6_0ff2 - 4, ecx: 0 });
    expect(bench.bytes(0x6_0ff2, COUNT)).toEqual(pattern(COUNT));
  });

  it('overlapping moves repeat what they wrote', () => {
    bench.put(0x4_0000, 1, 2, 3);
    run('f3 a4', { esi: 0x4_0000, edi: 0x4_0003, ecx: 12 });
    expect(bench.bytes(0x4_0000, 15)).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
    bench.put(0x4_0000, ...pattern(100));
    run('f3 a4', { esi: 0x4_0003, edi: 0x4_0000, ecx: 97 });
    expect(bench.bytes(0x4_0000, 97)).toEqual(pattern(100).slice(3));
  });

  it('REP STOS', () => {
    for (const [code, eax, bytes] of [
      ['f3 aa', 0x1ab, [0xab]],
      ['66 f3 ab', 0x3_1234, [0x34, 0x12]],
      ['f3 ab', 0x0403_0201, [1, 2, 3, 4]],
      ['f3 ab', 0x5a5a_5a5a, [0x5a, 0x5a, 0x5a, 0x5a]],
    ] as const) {
      const n = 6000 / bytes.length;
      bench.put(0x4_0f02 + 6000, 0xee);
      expect(run(code, { eax, edi: 0x4_0f02, ecx: n })).toMatchObject({ edi: 0x4_0f02 + 6000, ecx: 0 });
      expect(bench.bytes(0x4_0f02, 6001)).toEqual([...Array.from({ length: n }, () => bytes).flat(), 0xee]);
    }
  });

  it('16-bit addresses wrap and keep the upper halves', () => {
    bench.put(0xffff, 0x77);
    bench.put(0, 0x78);
    expect(run('67 f3 a4', { esi: 0x3_ffff, edi: 0x3_6000, ecx: 0x9_0002 })).toMatchObject({
      esi: 0x3_0001,
      edi: 0x3_6002,
      ecx: 0x9_0000,
    });
    expect(bench.bytes(0x6000, 2)).toEqual([0x77, 0x78]);
  });

  it('CMPS and SCAS stop where they should', () => {
    bench.put(0x4_0000, ...pattern(64));
    bench.put(0x4_1000, ...pattern(64));
    bench.put(0x4_1000 + 20, 0);
    const same = run('f3 a6', { esi: 0x4_0000, edi: 0x4_1000, ecx: 64 });
    expect(same).toMatchObject({
      esi: 0x4_0015,
      edi: 0x4_1015,
      ecx: 43,
      flags: reference(8, pattern(64)[20], 0, 0, -1n).flags,
    });
    expect(run('f2 ae', { edi: 0x4_0000, ecx: 64, eax: pattern(64)[9] })).toMatchObject({
      edi: 0x4_000a,
      ecx: 54,
      flags: ZF | PF,
    });
    expect(run('f2 ae', { edi: 0x4_0000, ecx: 0, eax: 1 }, 2 | ALL).flags).toBe(ALL);
    expect(run('f3 af', { edi: 0x4_0000, ecx: 5, eax: 0x1811_0a03 })).toMatchObject({ ecx: 3, edi: 0x4_0008 });
    expect(run('ac', { esi: 0x4_0001 })).toMatchObject({ eax: 0x0a, esi: 0x4_0002 });
    expect(run('fd f3 ad', { esi: 0x4_0004, ecx: 2 })).toMatchObject({ eax: 0x1811_0a03, esi: 0x3_fffc });
  });
});

describe('page faults', () => {
  const PAGES = 0xe_0000;
  const ABSENT = 0x5_0000;
  const READ_ONLY = 0x5_1000;
  const ERROR_CODE_AND_FRAME = 16;
  // Identity up to 1 MB but for two pages; then CR3, CR0.PG and CR0.WP.
  bench.put32(PAGES, PAGES + 0x1003);
  for (let i = 0; i < 256; i++) bench.put32(PAGES + 0x1000 + i * 4, (i << 12) | 3);
  bench.put32(PAGES + 0x1000 + (ABSENT >> 12) * 4, 0);
  bench.put32(PAGES + 0x1000 + (READ_ONLY >> 12) * 4, READ_ONLY | 1);
  const paged = (code: string, registers: Partial<Registers>) => {
    const got = run(`bd 00 00 0e 00 0f 22 dd 0f 20 c5 81 cd 00 00 01 80 0f 22 c5 89 e5 31 c0 40 f9 ${code}`, registers);
    expect([code, got.fault, got.flags & ~AF]).toEqual([code, 14, CF]);
    expect([code, got.esp]).toEqual([code, (registers.esp ?? 0x8000) - ERROR_CODE_AND_FRAME]);
    return { ...got, error: bench.get32(got.esp), address: bench.cpu.state.get(STATE.cr2) };
  };

  it('stop a repeated move between two elements', () => {
    const got = paged('f3 a4', { esi: 0x4_0000, edi: ABSENT - 300, ecx: 1000 });
    expect(got).toMatchObject({ esi: 0x4_0000 + 300, edi: ABSENT, ecx: 700, error: 2, address: ABSENT });
    expect(paged('f3 ab', { edi: ABSENT - 6, ecx: 1000 })).toMatchObject({
      edi: ABSENT - 2,
      ecx: 999,
      address: ABSENT,
    });
  });

  it('leave flags and registers of what faults as they were', () => {
    bench.put(ABSENT - 8, ...[0, 0, 0, 0, 0, 0, 0, 0]);
    bench.put(0x4_0000, ...Array.from({ length: 16 }, () => 0));
    const compare = paged('f3 a6', { esi: 0x4_0000, edi: ABSENT - 8, ecx: 16 });
    expect(compare).toMatchObject({ esi: 0x4_0008, edi: ABSENT, ecx: 8, error: 0 });
    for (const code of ['00 07', '0f ab 17', 'fe 07', '87 07', '0f c1 07', '0f b1 17', '0f c7 0f', 'd1 27', '8f 07']) {
      const registers = { edi: READ_ONLY + 8, edx: 5, ebx: 6, ecx: 7 };
      expect([code, paged(code, registers)]).toMatchObject([
        code,
        { ...registers, eax: 1, error: 3, address: READ_ONLY + 8 },
      ]);
    }
  });

  it('leave the stack pointer', () => {
    expect(paged('8f 47 04', { edi: ABSENT })).toMatchObject({ error: 2, address: ABSENT + 4 });
    expect(paged('ff 37', { edi: ABSENT })).toMatchObject({ error: 0 });
    expect(paged('89 fd c9', { edi: ABSENT })).toMatchObject({ ebp: ABSENT, error: 0 });
  });
});

describe('the table', () => {
  it('has every encoding once', () => {
    expect(new Set(integerRows.map((r) => r.opcode)).size).toBe(integerRows.length);
  });
});
