/**
 * Video as one JPEG picture after the other, for those who have no decoder of videos. All of it by the browser, on threads
 * of its own. Source: HTML standard (OffscreenCanvas.convertToBlob, createImageBitmap).
 */
import { CodedError } from '#base/errors.ts';
import type { OpenVideoDecoder } from '../sharing/received-video.ts';
import type { CodedPicture, OpenVideoEncoder } from '../sharing/sent-video.ts';
import { jpegSize } from './jpeg-size.ts';

const TYPE = 'image/jpeg';
/** As VirtualBox's `VideoChannel/Quality` has it when nobody has set it: 75 %. */
const QUALITY = 0.75;
/** None builds upon it, so that whoever is slow may miss it. */
const LAYER = 1;

/** Whether this browser codes and decodes JPEG off its threads. */
export async function hasJpeg(): Promise<boolean> {
  if (typeof OffscreenCanvas !== 'function' || typeof createImageBitmap !== 'function') return false;
  try {
    const canvas = new OffscreenCanvas(16, 16);
    if (!canvas.getContext('2d', { alpha: false })) return false;
    const blob = await canvas.convertToBlob({ type: TYPE, quality: QUALITY });
    // One that cannot makes a PNG.
    if (blob.type !== TYPE) return false;
    (await createImageBitmap(blob)).close();
    return true;
  } catch {
    return false;
  }
}

/** @throws it cannot be coded here */
export function jpegEncoder(
  width: number,
  height: number,
  onPicture: (picture: CodedPicture) => void,
  onBroken: () => void,
): OpenVideoEncoder {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new CodedError('unsupported', 'this browser has no canvas for pictures');
  let isBusy = false;
  let isClosed = false;
  const code = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const blob = await canvas.convertToBlob({ type: TYPE, quality: QUALITY });
    return new Uint8Array(await blob.arrayBuffer());
  };
  return {
    get isBusy() {
      return isBusy;
    },
    encode(pixels) {
      context.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
      isBusy = true;
      code().then(
        (data) => {
          isBusy = false;
          if (!isClosed) onPicture({ data, isKey: true, layer: LAYER });
        },
        () => {
          if (!isClosed) onBroken();
        },
      );
    },
    close() {
      isClosed = true;
    },
  };
}

/** @throws it cannot be decoded here */
export function jpegDecoder(
  width: number,
  height: number,
  onPicture: (pixels: Uint32Array, number: number) => void,
  onBroken: () => void,
): OpenVideoDecoder {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
  if (!context) throw new CodedError('unsupported', 'this browser has no canvas for pictures');
  type Coded = Parameters<OpenVideoDecoder['decode']>[0];
  let isBusy = false;
  let isClosed = false;
  /** The newest that came meanwhile: none needs those before it. */
  let waiting: Coded | undefined;
  const show = async ({ data, number }: Coded): Promise<void> => {
    // A small message could ask for gigabytes of pixels.
    const size = jpegSize(data);
    if (size.width !== width || size.height !== height) {
      throw new CodedError('bad-stream', `a picture of ${size.width} x ${size.height} is not ${width} x ${height}`);
    }
    const bitmap = await createImageBitmap(new Blob([data], { type: TYPE }));
    if (!isClosed) context.drawImage(bitmap, 0, 0);
    bitmap.close();
    if (!isClosed) onPicture(new Uint32Array(context.getImageData(0, 0, width, height).data.buffer), number);
  };
  const decode = (picture: Coded): void => {
    isBusy = true;
    show(picture).then(
      () => {
        isBusy = false;
        const next = waiting;
        waiting = undefined;
        if (next && !isClosed) decode(next);
      },
      () => {
        if (!isClosed) onBroken();
      },
    );
  };
  return {
    decode(picture) {
      if (isBusy) waiting = picture;
      else decode(picture);
    },
    close() {
      isClosed = true;
      waiting = undefined;
    },
  };
}
