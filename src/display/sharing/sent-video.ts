/**
 * A video on the screen, on its way to those who watch: coded once for all of them, while the rest of the screen goes as
 * ever. Only when everybody here can show it; with others the screen is all tiles. The coder is chosen for all of them
 * together (`video-choice.ts`), and again when somebody comes or goes, or when it fails.
 */
import { isDrawn } from '../desktop/drawn.ts';
import { joinTouching, VideoDetector } from '../desktop/video-detector.ts';
import { contains, overlap, type Rect } from '../raster/rects.ts';
import type { BodyOf, VideoForm, VideoForms } from '../stream/messages.ts';
import type { ScreenPicture } from '../stream/screen-encoder.ts';
import { NO_VIDEO, videoForms } from '../stream/video-forms.ts';
import { chooseForm, type VideoContent } from './video-choice.ts';

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
/** What shows a film may show text later. It does when it did so often, so long apart; a film may have a title. */
const LOOK_MS = 1000;
const OTHERWISE_TIMES = 2;
/** Smaller ones are tiles. */
const LEAST_PIXELS = 128 * 128;
/** Pictures that the relay may not have taken yet. */
const MOST_IN_FLIGHT = 4;

interface Playing {
  readonly area: Rect;
  readonly form: VideoForm;
  content: VideoContent;
  /** When it was last looked at what is shown, and how often in a row that was of another kind. */
  lookedAt: number;
  otherwise: number;
  readonly encoder: OpenVideoEncoder;
  /** The screen, what is in the area as it was when the video began. */
  readonly masked: ScreenPicture;
  readonly pixels: Uint32Array<ArrayBuffer>;
  movedAt: number;
}

/** What is left for tiles. */
export interface LeftForTiles {
  readonly picture: ScreenPicture;
  readonly rects: readonly Rect[];
  /** Where a video has ended: viewers show its last picture there, whatever the screen was like before it began. */
  readonly lost: Rect | undefined;
}

export class SentVideo {
  readonly #parts: SentVideoParts;
  readonly #detector = new VideoDetector();
  /** Without those that have failed. */
  #codes: readonly VideoForm[];
  #shown: VideoForms = NO_VIDEO;
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
    this.#codes = parts.encoder?.forms ?? [];
  }

  /** What can be coded here. */
  get forms(): VideoForms {
    return videoForms((form) => this.#codes.includes(form));
  }

  get isPlaying(): boolean {
    return this.#playing !== undefined;
  }

  /** There is something to look for: a form that everybody here can show, and something that codes it. */
  get isWanted(): boolean {
    return this.#codes.some((form) => this.#shown[form]);
  }

  /** What everybody here can show. */
  need(forms: VideoForms): void {
    this.#shown = forms;
    const playing = this.#playing;
    if (playing && this.#choose(playing.content) !== playing.form) this.#parts.onStill();
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

  /** Sends the video's part of what changed. */
  step(picture: ScreenPicture, rects: readonly Rect[], now: number): LeftForTiles {
    const before = this.#playing;
    if (before) lookAt(before, picture, now);
    const isMoving = before && moves(before, picture, now);
    const isOver = before && !(isMoving && before.form === this.#choose(before.content));
    const freed = isOver ? this.#stop() : undefined;
    const lost = freed && within(freed, picture);
    if (!this.#playing && this.isWanted) {
      // With another coder it goes on where it is: on a busy machine it can take long to be found again.
      const area = isMoving ? before.area : this.#find(now);
      if (area) this.#start(picture, area, now);
    }
    if (!this.#playing) return { picture, rects, lost };
    return { rects: this.#take(this.#playing, picture, rects, now), picture: this.#playing.masked, lost };
  }

  close(): void {
    this.#stop();
  }

  #choose(content: VideoContent): VideoForm | undefined {
    return chooseForm(this.#codes, this.#shown, content);
  }

  #find(now: number): Rect | undefined {
    const [largest] = [...this.#detector.videos(now)].sort((a, b) => b.width * b.height - a.width * a.height);
    if (!largest) return undefined;
    // Coders want even sizes; a line that is left over is tiles.
    const area = { ...largest, width: largest.width & ~1, height: largest.height & ~1 };
    return area.width * area.height < LEAST_PIXELS ? undefined : area;
  }

  #start(picture: ScreenPicture, area: Rect, now: number): void {
    const content = { width: area.width, height: area.height, isDrawn: isDrawn(picture, area) };
    for (let form = this.#choose(content); form && !this.#playing; form = this.#choose(content)) {
      const encoder = this.#open(form, area);
      if (!encoder) continue;
      const masked = { ...picture, pixels: picture.pixels.slice() };
      const pixels = new Uint32Array(area.width * area.height);
      this.#playing = {
        ...{ area, form, content, encoder, masked, pixels },
        ...{ movedAt: now, lookedAt: now, otherwise: 0 },
      };
      this.#wantsKey = true;
      this.#keyAt = 0;
      this.#inFlight = [];
    }
  }

  /** @returns undefined: it codes no more */
  #open(form: VideoForm, { x, y, width, height }: Rect): OpenVideoEncoder | undefined {
    const take = ({ data, isKey, layer }: CodedPicture): void => {
      // What an earlier coder had still in hand would show over what is there by now.
      if (!encoder || this.#playing?.encoder !== encoder) return;
      this.#inFlight.push(++this.#number);
      this.#parts.send({ number: this.#number, form, x, y, width, height, isKey, layer, data });
    };
    let encoder: OpenVideoEncoder | undefined;
    try {
      encoder = this.#parts.encoder?.open(form, width, height, take, () => this.#broke(form));
    } catch {
      encoder = undefined;
    }
    if (!encoder) this.#codes = this.#codes.filter((one) => one !== form);
    return encoder;
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

  #encode({ area, form, encoder, pixels }: Playing, { width, pixels: from }: ScreenPicture, now: number): void {
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
      queueMicrotask(() => this.#broke(form));
    }
  }

  /** It codes no more: from now on another one does, or all is tiles. */
  #broke(form: VideoForm): void {
    if (!this.#codes.includes(form)) return;
    this.#codes = this.#codes.filter((one) => one !== form);
    this.#parts.onStill();
  }
}

/** It is on the same screen still, and has changed lately. */
function moves({ masked, movedAt }: Playing, { width, height, fourByThree }: ScreenPicture, now: number): boolean {
  const isSame = masked.width === width && masked.height === height && masked.fourByThree === fourByThree;
  return isSame && now - movedAt < STILL_MS;
}

/** Takes note of whether it is a film or text by now. */
function lookAt(playing: Playing, picture: ScreenPicture, now: number): void {
  const { area, content, masked } = playing;
  if (now - playing.lookedAt < LOOK_MS || picture.pixels.length !== masked.pixels.length) return;
  playing.lookedAt = now;
  playing.otherwise = isDrawn(picture, area) === content.isDrawn ? 0 : playing.otherwise + 1;
  if (playing.otherwise < OTHERWISE_TIMES) return;
  playing.content = { ...content, isDrawn: !content.isDrawn };
  playing.otherwise = 0;
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
