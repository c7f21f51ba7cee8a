/** What is around the browser's own coder and decoder; test/e2e/sharing-video.test.ts has those. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { jpegDecoder, jpegEncoder } from './motion-jpeg.ts';

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
/** The beginning of a JPEG picture. */
const jpeg = (width: number, height: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, height >> 8, height, width >> 8, width, 1, 1, 0x11, 0);

let finish: (() => void)[] = [];
let fails = false;
const decoded = vi.fn(
  () =>
    new Promise((resolve, reject) =>
      finish.push(() => (fails ? reject(new Error('broken')) : resolve({ close: () => {} }))),
    ),
);

beforeEach(() => {
  [finish, fails] = [[], false];
  decoded.mockClear();
  const context = {
    ...{ drawImage: () => {}, putImageData: () => {} },
    getImageData: (_x: number, _y: number, width: number, height: number) => ({
      data: new Uint8ClampedArray(width * height * 4),
    }),
  };
  const convertToBlob = (): Promise<Blob> =>
    new Promise((resolve, reject) =>
      finish.push(() => (fails ? reject(new Error('broken')) : resolve(new Blob([jpeg(4, 2)])))),
    );
  vi.stubGlobal('OffscreenCanvas', function OffscreenCanvas() {
    return { getContext: () => context, convertToBlob };
  });
  vi.stubGlobal('ImageData', function ImageData() {});
  vi.stubGlobal('createImageBitmap', decoded);
});
afterEach(() => vi.unstubAllGlobals());

async function goOn(): Promise<void> {
  await turn();
  for (const one of finish.splice(0)) one();
  await turn();
}

describe('a JPEG decoder', () => {
  const open = () => {
    const shown: number[] = [];
    const onBroken = vi.fn();
    return { shown, onBroken, decoder: jpegDecoder(4, 2, (_pixels, number) => shown.push(number), onBroken) };
  };

  it('leaves out pictures that are old before their turn comes', async () => {
    const { shown, decoder, onBroken } = open();
    for (const number of [1, 2, 3, 4]) decoder.decode({ data: jpeg(4, 2), isKey: true, number });
    await goOn();
    await goOn();
    decoder.decode({ data: jpeg(4, 2), isKey: true, number: 5 });
    await goOn();
    expect([shown, onBroken.mock.calls.length]).toEqual([[1, 4, 5], 0]);
  });

  it.each([
    ['of another size', jpeg(30_000, 30_000)],
    ['that is none', new Uint8Array(8)],
  ])('gives up at a picture %s, before anything decodes it', async (_, data) => {
    const { shown, decoder, onBroken } = open();
    decoder.decode({ data, isKey: true, number: 1 });
    await goOn();
    expect([shown, onBroken.mock.calls.length, decoded.mock.calls.length]).toEqual([[], 1, 0]);
  });

  it('gives up at what cannot be decoded, and says nothing more once closed', async () => {
    fails = true;
    const { decoder, onBroken } = open();
    decoder.decode({ data: jpeg(4, 2), isKey: true, number: 1 });
    await goOn();
    expect(onBroken).toHaveBeenCalledOnce();
    const other = open();
    other.decoder.decode({ data: jpeg(4, 2), isKey: true, number: 1 });
    other.decoder.close();
    await goOn();
    expect([other.onBroken.mock.calls.length, other.shown]).toEqual([0, []]);
  });
});

describe('a JPEG encoder', () => {
  it('is busy until a picture is there, which builds upon none and is needed by none', async () => {
    const onPicture = vi.fn();
    const encoder = jpegEncoder(4, 2, onPicture, () => {});
    encoder.encode(new Uint8Array(32), false);
    expect(encoder.isBusy).toBe(true);
    await goOn();
    expect(encoder.isBusy).toBe(false);
    expect(onPicture).toHaveBeenCalledWith({ data: jpeg(4, 2), isKey: true, layer: 1 });
    encoder.encode(new Uint8Array(32), false);
    encoder.close();
    await goOn();
    expect(onPicture).toHaveBeenCalledOnce();
  });

  it('tells when it fails', async () => {
    fails = true;
    const onBroken = vi.fn();
    jpegEncoder(4, 2, () => {}, onBroken).encode(new Uint8Array(32), true);
    await goOn();
    expect(onBroken).toHaveBeenCalledOnce();
  });
});
