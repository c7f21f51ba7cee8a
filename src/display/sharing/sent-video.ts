/**
 * A video on the screen, on its way to those who watch: coded once for all of them, while the rest of the screen goes as
 * ever. Only when everybody here can show it; with others the screen is all tiles.
 */
import { joinTouching, VideoDetector } from '../desktop/video-detector.ts';
import { contains, overlap, type Rect } from '../raster/rects.ts';
import { type BodyOf, VIDEO_FORMS, type VideoForm } from '../stream/messages.ts';
import type { ScreenPicture } from '../stream/screen-encoder.ts';

export interface CodedPicture {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly isKey: boolean;
  /** 0: others build upon it. */
  readonly layer: number;
}

/** A video coder of the platform's, at work. */
export interface OpenVideoEncoder {
  /** It has not coded yet what it was given. */
  readonly isBusy: boolean;
  /** @param pixels `width * height` of R, G, B, 255; copied */
  encode(pixels: Uint8Array<ArrayBuffer>, isKey: boolean): void;
  close(): void;
}

export interface MadeVideoEncoder {
  readonly forms: readonly VideoForm[];
  /** @param width, height even. @param onBroken it codes no more */
  open(
    form: VideoForm,
    width: number,
    height: number,
    onPicture: (picture: CodedPicture) => void,
    onBroken: () => void,
  ): OpenVideoEncoder;
}

export interface SentVideoParts {
  readonly encoder: MadeVideoEncoder | undefined;
  readonly send: (picture: BodyOf<'video'>) => void;
  readonly sendEnd: () => void;
  /** There is something to do, though the screen is still. */
  readonly onStill: () => void;
}

/**
 * What changes in this time is looked at together: a guest takes a while to draw a picture, and the screen may be looked at
 * in the middle of that.
 */
const GATHER_MS = 100;
/** A video is over after so long without changes in this share of it. */
const STILL_MS = 400;
const MOVING_SHARE = 0.4;
/** At most 30 pictures a second, and a little unevenly. */
const LEAST_MS = 27;
const KEY_MS = 1000;
/** Smaller ones are tiles. */
const LEAST_PIXELS = 128 * 128;
/** Pictures that the relay may not have taken yet. */
const MOST_IN_FLIGHT = 4;

interface Playing {
  readonly area: Rect;
  readonly form: VideoForm;
  readonly encoder: OpenVideoEncoder;
  /** The screen, what is in the area as it was when the video began. */
  readonly masked: ScreenPicture;
  readonly pixels: Uint32Array<ArrayBuffer>;
  movedAt: number;
}

export class SentVideo {
  readonly #parts: SentVideoParts;
  readonly #detector = new VideoDetector();
  #encoder: MadeVideoEncoder | undefined;
  #needed: BodyOf<'videoForms'> = { h264: false, vp9: false, vp8: false };
  #playing: Playing | undefined;
  #number = 0;
  #inFlight: number[] = [];
  #wantsKey = false;
  #keyAt = 0;
  #shownAt = 0;
  #gathered: Rect[] = [];
  #gatheredFrom = 0;
  #still: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: SentVideoParts) {
    this.#parts = parts;
    this.#encoder = parts.encoder;
  }

  /** There is something to look for: a form that everybody here can show, and something that codes it. */
  get isWanted(): boolean {
    return this.#form() !== undefined;
  }

  /** What everybody here can show. */
  need(forms: BodyOf<'videoForms'>): void {
    this.#needed = forms;
    if (this.#playing && !forms[this.#playing.form]) this.#parts.onStill();
  }

  /** Somebody needs a picture that builds upon no other. */
  wantKey(): void {
    this.#wantsKey = true;
  }

  ack(number: number): void {
    this.#inFlight = this.#inFlight.filter((one) => one > number);
  }

  /** The connection is new: what was on its way is lost. */
  reset(): void {
    this.#inFlight = [];
    this.#wantsKey = true;
  }

  /** Takes note of what changed, so that a video is known as one. To be called about as often as a video's pictures come. */
  see(rects: readonly Rect[], now: number): void {
    if (this.#gathered.length === 0) this.#gatheredFrom = now;
    this.#gathered.push(...rects);
    if (now - this.#gatheredFrom < GATHER_MS) return;
    this.#detector.see(joinTouching(this.#gathered), now);
    const playing = this.#playing;
    if (playing) {
      const moved = this.#gathered.reduce((sum, rect) => sum + common(rect, playing.area), 0);
      if (moved >= playing.area.width * playing.area.height * MOVING_SHARE) playing.movedAt = now;
    }
    this.#gathered = [];
  }

  /**
   * Sends the video's part of what changed.
   * @returns what is left for tiles
   */
  step(
    picture: ScreenPicture,
    rects: readonly Rect[],
    now: number,
  ): { picture: ScreenPicture; rects: readonly Rect[] } {
    const form = this.#form();
    const isOver = this.#playing && !this.#goesOn(this.#playing, picture, form, now);
    const freed = isOver ? this.#stop() : undefined;
    if (!this.#playing && form) this.#start(picture, form, now);
    if (!this.#playing) return { picture, rects: freed ? [...rects, within(freed, picture)] : rects };
    const left = this.#take(this.#playing, picture, rects, now);
    return { picture: this.#playing.masked, rects: freed ? [...left, within(freed, picture)] : left };
  }

  close(): void {
    this.#stop();
  }

  #form(): VideoForm | undefined {
    return VIDEO_FORMS.find((form) => this.#needed[form] && this.#encoder?.forms.includes(form));
  }

  #goesOn(
    { form, masked, movedAt }: Playing,
    { width, height, fourByThree }: ScreenPicture,
    needed: VideoForm | undefined,
    now: number,
  ): boolean {
    const isSame = masked.width === width && masked.height === height && masked.fourByThree === fourByThree;
    return isSame && form === needed && now - movedAt < STILL_MS;
  }

  #start(picture: ScreenPicture, form: VideoForm, now: number): void {
    const [largest] = [...this.#detector.videos(now)].sort((a, b) => b.width * b.height - a.width * a.height);
    if (!largest) return;
    // Coders want even sizes; a line that is left over is tiles.
    const area = { ...largest, width: largest.width & ~1, height: largest.height & ~1 };
    if (area.width * area.height < LEAST_PIXELS) return;
    const take = ({ data, isKey, layer }: CodedPicture): void => {
      if (this.#playing?.encoder !== encoder) return;
      this.#inFlight.push(++this.#number);
      const { x, y, width, height } = area;
      this.#parts.send({ number: this.#number, form, x, y, width, height, isKey, layer, data });
    };
    let encoder: OpenVideoEncoder | undefined;
    try {
      encoder = this.#encoder?.open(form, area.width, area.height, take, this.#broke);
    } catch {
      this.#encoder = undefined;
    }
    if (!encoder) return;
    const masked = { ...picture, pixels: picture.pixels.slice() };
    this.#playing = { area, form, encoder, masked, pixels: new Uint32Array(area.width * area.height), movedAt: now };
    this.#wantsKey = true;
    this.#keyAt = 0;
    this.#inFlight = [];
  }

  /** @returns the area that tiles have to show again */
  #stop(): Rect | undefined {
    const playing = this.#playing;
    if (!playing) return undefined;
    this.#playing = undefined;
    clearTimeout(this.#still);
    playing.encoder.close();
    this.#parts.sendEnd();
    return playing.area;
  }

  #take(playing: Playing, picture: ScreenPicture, rects: readonly Rect[], now: number): readonly Rect[] {
    const left: Rect[] = [];
    let isNew = false;
    for (const rect of rects) {
      if (overlap(rect, playing.area)) isNew = true;
      if (contains(playing.area, rect)) continue;
      copyAround(picture, rect, playing.area, playing.masked.pixels);
      left.push(rect);
    }
    if (isNew) this.#encode(playing, picture, now);
    clearTimeout(this.#still);
    this.#still = setTimeout(this.#parts.onStill, STILL_MS + GATHER_MS);
    return left;
  }

  #encode({ area, encoder, pixels }: Playing, { width, pixels: from }: ScreenPicture, now: number): void {
    if (encoder.isBusy || this.#inFlight.length >= MOST_IN_FLIGHT || now - this.#shownAt < LEAST_MS) return;
    this.#shownAt = now;
    for (let row = 0; row < area.height; row++) {
      const at = (area.y + row) * width + area.x;
      pixels.set(from.subarray(at, at + area.width), row * area.width);
    }
    const isKey = this.#wantsKey && now - this.#keyAt >= KEY_MS;
    if (isKey) {
      this.#wantsKey = false;
      this.#keyAt = now;
    }
    try {
      encoder.encode(new Uint8Array(pixels.buffer), isKey);
    } catch {
      // Whoever looks at the screen goes on looking.
      queueMicrotask(this.#broke);
    }
  }

  /** It codes no more: from now on all is tiles. */
  readonly #broke = (): void => {
    this.#encoder = undefined;
    this.#parts.onStill();
  };
}

/** Pixels that are in both. */
function common(a: Rect, b: Rect): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

/** What of an area lies on the screen, which may be another by now. */
function within({ x, y, width, height }: Rect, screen: ScreenPicture): Rect {
  const [left, top] = [Math.min(x, screen.width - 1), Math.min(y, screen.height - 1)];
  return {
    x: left,
    y: top,
    width: Math.min(width, screen.width - left),
    height: Math.min(height, screen.height - top),
  };
}

/** Copies what of a rectangle lies outside of the area. */
function copyAround({ width, pixels }: ScreenPicture, rect: Rect, area: Rect, into: Uint32Array): void {
  const right = rect.x + rect.width;
  for (let y = rect.y; y < rect.y + rect.height; y++) {
    const isBeside = area.y <= y && y < area.y + area.height;
    const [skipFrom, skipTo] = isBeside
      ? [Math.min(right, Math.max(rect.x, area.x)), Math.min(right, Math.max(rect.x, area.x + area.width))]
      : [right, right];
    const line = y * width;
    into.set(pixels.subarray(line + rect.x, line + skipFrom), line + rect.x);
    into.set(pixels.subarray(line + skipTo, line + right), line + skipTo);
  }
}
