import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buffer, device, eisaId, integer, method, name, packageOf, path, returnValue, scope, text } from './aml.ts';
import { AmlDecoder } from './aml-decoder.suite.ts';

const hex = (bytes: readonly number[]) => bytes.map((b) => b.toString(16).padStart(2, '0')).join(' ');
const decode = (bytes: readonly number[]) => new AmlDecoder(Uint8Array.from(bytes)).all();

describe('encodings from the specification', () => {
  it('writes integers in their shortest form', () => {
    expect([0, 1, 2, 0x100, 0x1_0000].map((v) => hex(integer(v)))).toEqual([
      '00',
      '01',
      '0a 02',
      '0b 00 01',
      '0c 00 00 01 00',
    ]);
  });

  it('compresses EISA identifiers', () => {
    expect(hex(eisaId('PNP0A03'))).toBe('0c 41 d0 0a 03');
    expect(hex(eisaId('PNP0C0F'))).toBe('0c 41 d0 0c 0f');
  });

  it('writes paths with root, dual and multi prefixes and padding', () => {
    expect(hex(path('\\_SB'))).toBe('5c 5f 53 42 5f');
    expect(hex(path('A.B'))).toBe('2e 41 5f 5f 5f 42 5f 5f 5f');
    expect(hex(path('^A.B.C'))).toBe('5e 2f 03 41 5f 5f 5f 42 5f 5f 5f 43 5f 5f 5f');
  });

  it('counts the package length in itself', () => {
    expect(hex(scope('\\', [name('A', 0)]))).toBe('10 09 5c 00 08 41 5f 5f 5f 00');
  });
});

describe('properties', () => {
  it('buffers of every size come back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9000 }), (bytes) => {
        expect(decode(buffer([...bytes]))).toEqual([{ kind: 'buffer', bytes }]);
      }),
      { numRuns: 60 },
    );
  });

  it('package length borders are exact', () => {
    for (const size of [0, 57, 58, 59, 60, 61, 4089, 4090, 4091, 4092, 4093, 70_000]) {
      const bytes = new Uint8Array(size).fill(7);
      expect(decode(buffer([...bytes]))).toEqual([{ kind: 'buffer', bytes }]);
    }
  });

  it('nested blocks come back', () => {
    const term = device('DEV', [
      name('_UID', 3),
      name('_STR', text('hello')),
      name('PKG', packageOf([1, text('x'), packageOf([])])),
      method('_STA', 2, [returnValue(15)]),
    ]);
    expect(decode(term)).toMatchObject([
      {
        op: 'Device',
        path: 'DEV_',
        terms: [
          { path: '_UID', value: { value: 3 } },
          { path: '_STR', value: { value: 'hello' } },
          { path: 'PKG_', value: { elements: [{ value: 1 }, { value: 'x' }, { elements: [] }] } },
          { kind: 'method', argumentCount: 2, terms: [{ op: 'Return', operands: [{ value: 15 }] }] },
        ],
      },
    ]);
  });
});
