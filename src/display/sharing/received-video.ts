/** A video as it comes out of the stream, over the part of the picture that it belongs to. */
import { overlap, type Rect } from '../raster/rects.ts';
import { type BodyOf, MAX_SCREEN_SIDE, type VideoForm, type VideoForms } from '../stream/messages.ts';
import { videoForms } from '../stream/video-forms.ts';

/** A video decoder of the platform's, at work. */
export interface OpenVideoDecoder {
  decode(picture: { readonly data: Uint8Array<ArrayBuffer>; readonly isKey: boolean; readonly number: number }): void;
  close(): void;
}

export interface MadeVideoDecoder {
  readonly forms: readonly VideoForm[];
  /** @param onPicture gets `width * height` words of R, G, B, 255, and the picture's number */
  open(
    form: VideoForm,
    width: number,
    height: number,
    onPicture: (pixels: Uint32Array, number: number) => void,
    onBroken: () => void,
  ): OpenVideoDecoder;
}

export interface ReceivedVideoParts {
  readonly decoder: () => MadeVideoDecoder | undefined;
  /** The picture that a video's is shown over. */
  readonly picture: () => { readonly width: number; readonly height: number; readonly pixels: Uint32Array };
  readonly onShown: (rect: Rect) => void;
  /** What can be shown here has changed: a decoder has failed. */
  readonly onBroken: () => void;
  /** What came builds upon what is not here: a picture that builds upon no other is needed. */
  readonly onLost: () => void;
}

interface Playing {
  readonly area: Rect;
  readonly form: VideoForm;
  readonly decoder: OpenVideoDecoder;
  shown: Uint32Array | undefined;
}

export class ReceivedVideo {
  readonly #parts: ReceivedVideoParts;
  #playing: Playing | undefined;
  /** Their decoders have failed. */
  readonly #broken = new Set<VideoForm>();

  constructor(parts: ReceivedVideoParts) {
    this.#parts = parts;
  }

  get forms(): VideoForms {
    return videoForms((form) => this.#shows(form));
  }

  take({ number, form, x, y, width, height, isKey, data }: BodyOf<'video'>): void {
    if (!this.#shows(form)) return;
    const area = { x, y, width, height };
    if (!this.#playing || !isSame(this.#playing, form, area)) {
      this.end();
      if (!isKey) {
        // Such as when the end of an earlier video has come by the slower of two ways.
        this.#parts.onLost();
        return;
      }
      if (width > 0 && height > 0 && width <= MAX_SCREEN_SIDE && height <= MAX_SCREEN_SIDE) this.#begin(form, area);
    }
    const playing = this.#playing;
    try {
      playing?.decoder.decode({ data: data.slice(), isKey, number });
    } catch {
      this.#broke(form);
    }
  }

  /** The picture itself has that part again. */
  end(): void {
    this.#playing?.decoder.close();
    this.#playing = undefined;
  }

  /** Tiles were drawn, maybe over the video. */
  drawn(rects: readonly Rect[]): void {
    const playing = this.#playing;
    if (playing?.shown && rects.some((rect) => overlap(rect, playing.area))) this.#show(playing);
  }

  #shows(form: VideoForm): boolean {
    return !this.#broken.has(form) && (this.#parts.decoder()?.forms.includes(form) ?? false);
  }

  #begin(form: VideoForm, area: Rect): void {
    const take = (pixels: Uint32Array): void => {
      const playing = this.#playing;
      if (!playing || playing.decoder !== decoder) return;
      playing.shown = pixels;
      this.#show(playing);
    };
    const onBroken = (): void => {
      if (this.#playing?.decoder === decoder) this.#broke(form);
    };
    let decoder: OpenVideoDecoder | undefined;
    try {
      decoder = this.#parts.decoder()?.open(form, area.width, area.height, take, onBroken);
    } catch {
      this.#broke(form);
    }
    if (decoder) this.#playing = { area, form, decoder, shown: undefined };
  }

  /** From here on videos come in another form, or none do. */
  #broke(form: VideoForm): void {
    this.end();
    this.#broken.add(form);
    this.#parts.onBroken();
  }

  #show({ area, shown }: Playing): void {
    const { width, height, pixels } = this.#parts.picture();
    if (!shown || area.x + area.width > width || area.y + area.height > height) return;
    for (let row = 0; row < area.height; row++) {
      pixels.set(shown.subarray(row * area.width, (row + 1) * area.width), (area.y + row) * width + area.x);
    }
    this.#parts.onShown(area);
  }
}

const isSame = ({ area, form }: Playing, otherForm: VideoForm, other: Rect): boolean =>
  form === otherForm &&
  area.x === other.x &&
  area.y === other.y &&
  area.width === other.width &&
  area.height === other.height;
