/**
 * Tells which rectangles of a screen show a video, from when which rectangles were drawn. Pure: time is handed in.
 * Source: VirtualBox VRDP's detector, as documented and observed: the same rectangle 10 times, 15 to 300 ms apart, at
 * least 64 x 64 pixels, aspect 1:2 to 3:1; no longer after 300 ms without it, or when something else overlaps it. Unlike
 * there, what is drawn inside of a known video does not end it: pictures of one often differ in a part alone.
 */
import { around, contains, overlap, type Rect } from '../raster/rects.ts';

const LEAST_SIDE = 64;
const NARROWEST = 1 / 2;
const WIDEST = 3;
const TIMES = 10;
/** Milliseconds from one drawing to the next. */
const SOONEST_MS = 15;
const LATEST_MS = 300;
/** Rectangles that are remembered; the one drawn longest ago makes room. */
const MOST = 32;

interface Seen {
  readonly rect: Rect;
  times: number;
  lastMs: number;
}

export class VideoDetector {
  #seen: Seen[] = [];

  /**
   * Takes in what was drawn at once, one rectangle for each thing that was drawn.
   * @param nowMs milliseconds of any clock that does not go back
   */
  see(rects: readonly Rect[], nowMs: number): void {
    this.#forget(nowMs);
    for (const rect of rects) {
      const isPart = this.#seen.some((one) => isVideo(one) && contains(one.rect, rect) && !isSame(one.rect, rect));
      if (isPart) continue;
      this.#seen = this.#seen.filter((one) => isSame(one.rect, rect) || !overlap(one.rect, rect));
      if (!hasVideoShape(rect)) continue;
      const known = this.#seen.find((one) => isSame(one.rect, rect));
      if (!known) this.#remember({ rect, times: 1, lastMs: nowMs });
      else if (nowMs - known.lastMs >= SOONEST_MS) {
        known.times++;
        known.lastMs = nowMs;
      }
      // Drawn in two goes: the second is no further picture.
    }
  }

  /** The rectangles that show a video at this time; none overlaps another. */
  videos(nowMs: number): readonly Rect[] {
    this.#forget(nowMs);
    return this.#seen.filter(isVideo).map(({ rect }) => rect);
  }

  #forget(nowMs: number): void {
    if (this.#seen.some(({ lastMs }) => nowMs - lastMs > LATEST_MS)) {
      this.#seen = this.#seen.filter(({ lastMs }) => nowMs - lastMs <= LATEST_MS);
    }
  }

  #remember(one: Seen): void {
    if (this.#seen.length === MOST) {
      const oldest = this.#seen.reduce((a, b) => (b.lastMs < a.lastMs ? b : a));
      this.#seen = this.#seen.filter((other) => other !== oldest);
    }
    this.#seen.push(one);
  }
}

const isVideo = ({ times }: Seen): boolean => times >= TIMES;

function hasVideoShape({ width, height }: Rect): boolean {
  const aspect = width / height;
  return width >= LEAST_SIDE && height >= LEAST_SIDE && NARROWEST <= aspect && aspect <= WIDEST;
}

const isSame = (a: Rect, b: Rect): boolean =>
  a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;

/**
 * Puts the pieces of what was drawn at once together: those that touch become the box around them. Changes are counted
 * in squares (`DesktopUpdate.rects`), but a picture of a video covers many of them.
 */
export function joinTouching(rects: readonly Rect[]): readonly Rect[] {
  const boxes: Rect[] = [];
  for (const rect of rects) {
    let box = rect;
    // A box that has grown may touch others in turn.
    for (let at = 0; at < boxes.length; ) {
      if (!overlap(grown(box), boxes[at])) at++;
      else {
        box = around(box, boxes[at]);
        boxes.splice(at, 1);
        at = 0;
      }
    }
    boxes.push(box);
  }
  return boxes;
}

/** By a pixel on each side, so that neighbours overlap. */
const grown = ({ x, y, width, height }: Rect): Rect => ({ x: x - 1, y: y - 1, width: width + 2, height: height + 2 });
