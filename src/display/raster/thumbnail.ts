/** A picture and its reduction. */

/** RGBA pixels: words whose bytes are R, G, B, A. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint32Array;
}

/**
 * Scales a picture down to `width` by `height` pixels: each pixel is the mean of the ones it covers.
 * A size larger than the picture repeats pixels. Sizes are 1 or more.
 */
export function scaleDown(from: Picture, width: number, height: number): Picture {
  const pixels = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    const top = Math.floor((y * from.height) / height);
    const bottom = Math.max(top + 1, Math.floor(((y + 1) * from.height) / height));
    for (let x = 0; x < width; x++) {
      const left = Math.floor((x * from.width) / width);
      const right = Math.max(left + 1, Math.floor(((x + 1) * from.width) / width));
      pixels[y * width + x] = mean(from, left, right, top, bottom);
    }
  }
  return { width, height, pixels };
}

/** Size of a thumbnail at most `widest` pixels wide, in the shape the screen is shown in. */
export function thumbnailSize(
  screen: { readonly width: number; readonly height: number; readonly fourByThree: boolean },
  widest: number,
): { width: number; height: number } {
  const width = Math.max(1, Math.min(widest, screen.width));
  const aspect = screen.fourByThree ? 4 / 3 : screen.width / screen.height;
  return { width, height: Math.max(1, Math.round(width / aspect)) };
}

function mean(from: Picture, left: number, right: number, top: number, bottom: number): number {
  let r = 0;
  let g = 0;
  let b = 0;
  for (let y = top; y < bottom; y++) {
    for (let i = y * from.width + left; i < y * from.width + right; i++) {
      const p = from.pixels[i];
      r += p & 0xff;
      g += (p >>> 8) & 0xff;
      b += (p >>> 16) & 0xff;
    }
  }
  const count = (right - left) * (bottom - top);
  const byte = (sum: number): number => Math.round(sum / count);
  return (0xff00_0000 | (byte(b) << 16) | (byte(g) << 8) | byte(r)) >>> 0;
}
