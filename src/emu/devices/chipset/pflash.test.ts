import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { Pflash } from './pflash.ts';

const BLOCK = 0x1000;
const BYTES = 4 * BLOCK;
let flash: Pflash;

beforeEach(() => {
  flash = new Pflash({ contents: new Uint8Array(BYTES).map((_, i) => i & 0xff), blockBytes: BLOCK });
});

const read = (at: number): number => flash.read(at, 1);
const write = (at: number, ...values: number[]): void => {
  for (const value of values) flash.write(at, 1, value);
};
/** As OVMF's driver does it. */
const program = (at: number, value: number): void => write(at, 0x10, value, 0xff);
const erase = (at: number): void => write(at, 0x20, 0xd0, 0xff);

describe('flash', () => {
  it('is told from RAM and ROM by what its status reads', () => {
    expect(read(5)).toBe(5);
    write(5, 0x50);
    // RAM would read 50h, and here the array shows again.
    expect(read(5)).toBe(5);
    write(5, 0x70);
    expect(read(5)).toBe(0);
    write(5, 0xff);
    expect(read(5)).toBe(5);
    expect(flash.contents[5]).toBe(5);
  });

  it('programs bytes and erases blocks', () => {
    program(0x1234, 0xa5);
    expect([read(0x1233), read(0x1234), read(0x1235)]).toEqual([0x33, 0xa5, 0x35]);
    erase(0x1fff);
    expect([read(0xfff), read(0x1000), read(0x1fff), read(0x2000)]).toEqual([0xff, 0xff, 0xff, 0]);
    expect([...new Set(flash.contents.subarray(0x1000, 0x2000))]).toEqual([0xff]);
    write(0x2000, 0x20, 0x99);
    expect(read(0)).toBe(0xb0);
    write(0, 0x50);
    write(0, 0x70);
    expect(read(0)).toBe(0);
    write(0, 0xff);
    expect(read(0x2001)).toBe(1);
  });

  it('programs a buffer after its confirmation only', () => {
    for (const confirmed of [false, true]) {
      write(0x40, 0xe8);
      expect(read(0x40)).toBe(0x80);
      write(0x40, 3);
      flash.write(0x40, 4, 0x4433_2211);
      write(0x40, confirmed ? 0xd0 : 0x00);
      expect(read(0) & 0x10).toBe(confirmed ? 0 : 0x10);
      write(0, 0x50, 0xff);
      expect(flash.read(0x40, 4)).toBe(confirmed ? 0x4433_2211 : 0x4342_4140);
    }
  });

  it('answers the CFI query and the ID', () => {
    write(0x55, 0x98);
    expect([0x10, 0x11, 0x12].map((at) => String.fromCharCode(read(at))).join('')).toBe('QRY');
    expect(2 ** read(0x27)).toBe(BYTES);
    expect([read(0x2c), read(0x2d) | (read(0x2e) << 8), (read(0x2f) | (read(0x30) << 8)) * 256]).toEqual([1, 3, BLOCK]);
    write(0, 0xff, 0x90);
    expect([read(0), read(1)]).toEqual([0x89, 0x18]);
    write(0, 0xf0);
    expect(read(0)).toBe(0);
  });

  it('says when there is something to store', () => {
    expect(flash.takeChanged()).toBe(false);
    write(8, 0x10);
    expect(flash.takeChanged()).toBe(false);
    write(8, 7, 0xff);
    expect([flash.takeChanged(), flash.takeChanged()]).toEqual([true, false]);
    erase(0);
    expect(flash.takeChanged()).toBe(true);
  });

  it('comes back from a saved machine in the middle of anything, and from RESET# with its contents', () => {
    program(9, 1);
    write(0x100, 0xe8, 1, 0xaa);
    const other = new Pflash({ contents: new Uint8Array(BYTES), blockBytes: BLOCK });
    other.restore(structuredClone(flash.save()));
    for (const chip of [flash, other]) {
      chip.write(0x101, 1, 0xbb);
      chip.write(0x100, 1, 0xd0);
      chip.write(0, 1, 0xff);
    }
    expect(other.contents).toEqual(flash.contents);
    expect([other.read(9, 1), other.read(0x100, 2)]).toEqual([1, 0xbbaa]);
    other.write(0, 1, 0x20);
    other.reset();
    expect([other.read(9, 1), other.takeChanged()]).toEqual([1, true]);
  });

  it('survives any sequence of writes, and reading never changes it', () => {
    const access = fc.record({ at: fc.nat(BYTES + 3), width: fc.constantFrom(1, 2, 4), value: fc.nat(0xffff_ffff) });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 40 }), (accesses) => {
        for (const { at, width, value } of accesses) {
          flash.write(at, width as 1 | 2 | 4, value);
          const before = flash.save();
          const seen = flash.read(at, width as 1 | 2 | 4);
          expect(seen >= 0 && seen < 2 ** (8 * width)).toBe(true);
          expect(flash.save()).toEqual(before);
        }
      }),
      { numRuns: 30 },
    );
  });
});
