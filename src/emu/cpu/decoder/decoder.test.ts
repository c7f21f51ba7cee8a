import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Row, type RowOptions, row } from '../isa/row.ts';
import { instructionTable } from '../isa/table.ts';
import { GPR, SEG } from '../state/layout.ts';
import { DECODE, type Decoded, type DecodeStatus } from './decoded.ts';
import { Decoder, newDecoded } from './decoder.ts';
import { disassemble } from './disassembler.ts';

const decoder = new Decoder(instructionTable);
const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/[0-9a-f]{2}/gi) ?? [], (b) => Number.parseInt(b, 16));

const tryDecode = (hex: string, codeSize: 16 | 32 | 64 = 32): { status: DecodeStatus; d: Decoded } => {
  const bytes = bytesOf(hex);
  const d = newDecoded();
  return { status: decoder.decode(bytes, 0, bytes.length, codeSize, d), d };
};
const decode = (hex: string, codeSize: 16 | 32 | 64 = 32): Decoded => {
  const { status, d } = tryDecode(hex, codeSize);
  expect(status, hex).toBe(DECODE.ok);
  expect(d.length, hex).toBe(bytesOf(hex).length);
  return d;
};
const text = (hex: string, codeSize: 16 | 32 | 64 = 32): string =>
  disassemble(bytesOf(hex), 0, 0x1000, codeSize, decoder).text;

describe('addresses', () => {
  it('with SIB and displacement', () => {
    const d = decode('C7848801000000 05000000');
    expect(d).toMatchObject({ memory: true, base: GPR.eax, index: GPR.ecx, scale: 2, disp: 1, imm: 5, size: 32 });
  });

  it('of 16 bits in 32-bit code, SS where BP is the base', () => {
    expect(decode('67 8B42F0')).toMatchObject({
      ...{ addressSize: 16, base: GPR.ebp, index: GPR.esi, disp: -16, segment: SEG.ss },
    });
    expect(decode('67 8B06 3412')).toMatchObject({ base: -1, index: -1, disp: 0x1234, segment: SEG.ds });
  });

  it('have SS as segment with ESP and EBP as base, not as index', () => {
    expect(decode('8B0424').segment).toBe(SEG.ss);
    expect(decode('8B4500').segment).toBe(SEG.ss);
    expect(decode('8B042D 00000000')).toMatchObject({ base: -1, index: GPR.ebp, segment: SEG.ds });
    expect(decode('8B0425 78563412')).toMatchObject({ base: -1, index: -1, disp: 0x12345678, segment: SEG.ds });
  });

  it('take the last segment prefix', () => {
    expect(decode('2E 64 8B4500').segment).toBe(SEG.fs);
    expect(decode('64 3E 8B4500').segment).toBe(SEG.ds);
    expect(decode('65 A4').segment).toBe(SEG.gs);
    expect(decode('A4').segment).toBe(SEG.ds);
  });

  it('that the opcode holds are memory without base', () => {
    expect(decode('A1 78563412')).toMatchObject({ memory: true, base: -1, disp: 0x12345678, segment: SEG.ds });
    expect(decode('36 A2 FEFF', 16)).toMatchObject({ memory: true, disp: 0xfffe, segment: SEG.ss, size: 8 });
  });
});

describe('sizes and immediates', () => {
  it('follow the code segment and the prefix', () => {
    expect(decode('B8 78563412')).toMatchObject({ size: 32, reg: 0, imm: 0x12345678 });
    expect(decode('66 BF 3482')).toMatchObject({ size: 16, reg: 7, imm: 0x8234 });
    expect(decode('66 BF 78563412', 16)).toMatchObject({ size: 32, imm: 0x12345678 });
  });

  it('are signed as the row says', () => {
    expect(decode('83C0FF')).toMatchObject({ imm: -1, size: 32 });
    expect(decode('CD80')).toMatchObject({ imm: 0x80, size: 8 });
    expect(decode('EBFE').imm).toBe(-2);
    expect(decode('66 E9 FDFF').imm).toBe(-3);
  });

  it('may be two', () => {
    expect(decode('C8 3412 05')).toMatchObject({ imm: 0x1234, imm2: 5 });
    expect(decode('EA 78563412 0800')).toMatchObject({ imm: 0x12345678, imm2: 8 });
    expect(decode('EA 3412 0080', 16)).toMatchObject({ imm: 0x1234, imm2: 0x8000 });
  });
});

describe('prefixes', () => {
  it('of repetition count only where the row takes one', () => {
    expect(decode('F3 A4').rep).toBe('rep');
    expect(decode('F2 A4').rep).toBe('rep');
    expect(decode('F2 A6').rep).toBe('repne');
    expect(decode('F2 F3 A6').rep).toBe('rep');
    expect(decode('F3 89C0').rep).toBe('none');
  });

  it('choose rows: F2 and F3 before 66, the last of them', () => {
    expect(decode('0F10C1').row?.mnemonic).toBe('movups');
    expect(decode('66 0F10C1').row?.mnemonic).toBe('movupd');
    expect(decode('F3 66 0F10C1').row?.mnemonic).toBe('movss');
    expect(decode('F3 F2 0F10C1').row?.mnemonic).toBe('movsd');
    expect(tryDecode('F3 0F77').status).toBe(DECODE.undefined);
  });

  it('LOCK only with a destination in memory', () => {
    expect(decode('F0 0108').lock).toBe(true);
    expect(tryDecode('F0 01C8').status).toBe(DECODE.undefined);
    expect(tryDecode('F0 0308').status).toBe(DECODE.undefined);
    expect(tryDecode('F0 90').status).toBe(DECODE.undefined);
  });
});

describe('forms', () => {
  it('of one kind only are undefined in the other', () => {
    expect(tryDecode('8DC0').status).toBe(DECODE.undefined);
    expect(tryDecode('62C0').status).toBe(DECODE.undefined);
    expect(tryDecode('0FD700').status).toBe(DECODE.undefined);
  });

  it('of control registers ignore mod', () => {
    expect(decode('0F2003')).toMatchObject({ memory: false, rm: 3, reg: 0 });
    expect(decode('0F22D8')).toMatchObject({ memory: false, rm: 0, reg: 3 });
  });
});

describe('limits', () => {
  it('15 bytes are an instruction, 16 are not', () => {
    expect(decode(`${'66'.repeat(14)} 90`).length).toBe(15);
    expect(tryDecode(`${'66'.repeat(15)} 90`).status).toBe(DECODE.tooLong);
    expect(tryDecode(`${'2E'.repeat(5)} C7848801000000 05000000`).status).toBe(DECODE.tooLong);
  });

  it('an instruction that is cut anywhere needs more', () => {
    const whole = fc.uint8Array({ minLength: 15, maxLength: 15 });
    fc.assert(
      fc.property(whole, fc.constantFrom<16 | 32 | 64>(16, 32, 64), (bytes, codeSize) => {
        const d = newDecoded();
        fc.pre(decoder.decode(bytes, 0, bytes.length, codeSize, d) === DECODE.ok);
        const { length } = d;
        for (let end = 0; end < length; end++)
          if (decoder.decode(bytes, 0, end, codeSize, d) !== DECODE.needMore) return false;
        return decoder.decode(bytes, 0, length, codeSize, d) === DECODE.ok;
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a table', () => {
  const nothing = (): void => {};
  const make = (...rows: readonly (readonly [string, string, RowOptions?])[]): Decoder =>
    new Decoder(rows.map(([opcode, operands, options]): Row => row(opcode, 'x', operands, nothing, options)));

  it('may not claim an encoding twice', () => {
    expect(() => make(['40 +r', 'Zv'], ['40 +r', 'Zv'])).toThrow('two rows claim one encoding');
    expect(() => make(['0F 01 /1', 'Ev'], ['0F 01 /1', 'Ew'])).toThrow('two rows claim one encoding');
    expect(() => make(['66 0F 01 /1 m', 'Ev'], ['0F 01 C8', ''], ['66 0F 01 /1 r', 'Ew'])).not.toThrow();
  });

  it('may not be written wrongly', () => {
    expect(() => make(['4', ''])).toThrow('no opcode');
    expect(() => make(['40 /8', 'Ev'])).toThrow('cannot read "/8"');
    expect(() => make(['40', 'Kq'])).toThrow('no operand is written "Kq"');
    expect(() => make(['40 r', 'Md'])).toThrow('contradict');
    expect(() => make(['40', 'Ib,Ib'])).toThrow('immediates');
    expect(() => make(['40', 'Ev'], ['40', ''])).toThrow('no ModRM');
  });

  it('means the row with more conditions', () => {
    const d = newDecoded();
    const map = make(['10', 'Ev'], ['10 /1', 'Ev'], ['10 /1 r', 'Ev'], ['10 C8', ''], ['F3 10 /1 r', 'Ev']);
    const find = (hex: string): number => {
      const bytes = bytesOf(hex);
      map.decode(bytes, 0, bytes.length, 32, d);
      return d.rowIndex;
    };
    expect(['10C0', '1008', '10C9', '10C8', 'F310C9'].map(find)).toEqual([0, 1, 2, 3, 4]);
  });
});

it('instructions are written in Intel syntax', () => {
  expect(text('C7848810000000 05000000')).toBe('mov dword ptr [eax+ecx*4+10h], 5');
  expect(text('E8 FBFFFFFF')).toBe('call 00001000h');
  expect(text('66 98')).toBe('cbw');
  expect(text('98')).toBe('cwde');
  expect(text('67 E3 00')).toBe('jcxz 00001003h');
  expect(text('F3 2E A5')).toBe('cs rep movsd');
  expect(text('F3 A6')).toBe('repe cmpsb');
  expect(text('F0 0FB10B')).toBe('lock cmpxchg dword ptr [ebx], ecx');
  expect(text('C8 3412 02')).toBe('enter 1234h, 2');
  expect(text('D8C3')).toBe('fadd st, st(3)');
  expect(text('0FFFFF', 16)).toBe('ud0 di, di');
  expect(text('0F04')).toBe('(undefined)');
  expect(text('0F')).toBe('(cut off)');
});
