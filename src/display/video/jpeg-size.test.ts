import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { jpegSize } from './jpeg-size.ts';

/** As Chromium has coded 24 x 10 pixels, up to where they begin; its colour profile and tables are shortened. */
const PICTURE = Uint8Array.from(
  Buffer.from(
    'ffd8ffe000104a46494600010100000100010000' +
      'ffe2000c4943435f50524f46494c' +
      'ffdb0008000806060705' +
      'ffc0001108000a001803012200021101031101' +
      'ffda000c03010002110311003f00',
    'hex',
  ),
);
const FRAME = 44;
const changed = (at: number, ...bytes: number[]): Uint8Array => {
  const picture = PICTURE.slice();
  picture.set(bytes, at);
  return picture;
};

describe('the size of a JPEG picture', () => {
  it('is found behind whatever comes before it', () => {
    expect(jpegSize(PICTURE)).toEqual({ width: 24, height: 10 });
    expect(jpegSize(changed(FRAME + 1, 0xc2))).toEqual({ width: 24, height: 10 });
    expect(jpegSize(Uint8Array.of(...PICTURE.subarray(0, FRAME), 0xff, 0xff, ...PICTURE.subarray(FRAME)))).toEqual({
      width: 24,
      height: 10,
    });
  });

  it.each([
    ['nothing', new Uint8Array(0), /does not begin/],
    ['a PNG', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a), /does not begin/],
    ['what is cut off before its size', PICTURE.subarray(0, FRAME + 8), /cut off/],
    ['what has no size', PICTURE.subarray(0, FRAME), /ends before/],
    ['no pixels', changed(FRAME + 5, 0, 0), /24 x 0/],
    ['a segment without an end', changed(FRAME + 2, 0, 1), /1 bytes long/],
    ['arithmetic coding', changed(FRAME + 1, 0xc9), /process 9/],
    ['pixels before the size', changed(FRAME + 1, 0xda), /before its size/],
    ['a marker without a segment', changed(FRAME + 1, 0xd3), /out of place/],
    ['bytes between segments', changed(FRAME, 0), /no marker at 44/],
  ])('is not found in %s', (_, bytes, why) => {
    expect(() => jpegSize(bytes)).toThrow(why);
  });

  it('is a size or an error, whatever the bytes are', () => {
    const cut = fc.tuple(fc.nat(PICTURE.length - 1), fc.nat(255), fc.nat(PICTURE.length)).map(([at, byte, length]) => {
      return changed(at, byte).subarray(0, length);
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), cut), (bytes) => {
        try {
          const { width, height } = jpegSize(bytes);
          expect(Math.min(width, height)).toBeGreaterThan(0);
          expect(Math.max(width, height)).toBeLessThan(65_536);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
