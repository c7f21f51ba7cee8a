import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { toPng } from './png.ts';
import { scaleDown, thumbnailSize } from './raster/thumbnail.ts';

describe('toPng', () => {
  it('keeps every pixel', () => {
    const pixels = new Uint32Array([0xff000001, 0xff000200, 0xff030000, 0xffffffff, 0xff000000, 0xff102030]);
    const image = decode(toPng({ width: 3, height: 2, pixels }));
    expect([image.width, image.height, image.channels, image.depth]).toEqual([3, 2, 3, 8]);
    expect([...image.data]).toEqual([1, 0, 0, 0, 2, 0, 0, 0, 3, 255, 255, 255, 0, 0, 0, 0x30, 0x20, 0x10]);
  });
});

describe('thumbnails', () => {
  it('average the pixels they cover', () => {
    const pixels = new Uint32Array([
      0xff0000ff, 0xff0000ff, 0xff00ff00, 0xff000000, 0xff0000ff, 0xff0000ff, 0xff00ff00, 0xff000000,
    ]);
    expect(scaleDown({ width: 4, height: 2, pixels }, 2, 1)).toEqual({
      width: 2,
      height: 1,
      pixels: new Uint32Array([0xff0000ff, 0xff008000]),
    });
  });

  it('have the shape the screen is shown in', () => {
    expect(thumbnailSize({ width: 720, height: 400, fourByThree: true }, 240)).toEqual({ width: 240, height: 180 });
    expect(thumbnailSize({ width: 1920, height: 1200, fourByThree: false }, 240)).toEqual({ width: 240, height: 150 });
  });
});
