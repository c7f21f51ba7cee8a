/** A video as it comes out of the stream, over the part of the picture that it belongs to. */
import { overlap, type Rect } from '../raster/rects.ts';
import { type BodyOf, MAX_SCREEN_SIDE, VIDEO_FORMS, type VideoForm } from '../stream/messages.ts';

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
  /** Nothing comes out: a picture that builds upon no other is needed. */
  readonly onBroken: () => void;
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

  constructor(parts: ReceivedVideoParts) {
    this.#parts = parts;
  }

  get forms(): BodyOf<'videoForms'> {
    const can = (form: VideoForm): boolean => this.#parts.decoder()?.forms.includes(form) ?? false;
    return Object.fromEntries(VIDEO_FORMS.map((form) => [form, can(form)])) as BodyOf<'videoForms'>;
  }

  take({ number, form, x, y, width, height, isKey, data }: BodyOf<'video'>): void {
    const area = { x, y, width, height };
    if (!this.#playing || !isSame(this.#playing, form, area)) {
      this.end();
      if (isKey && width > 0 && height > 0 && width <= MAX_SCREEN_SIDE && height <= MAX_SCREEN_SIDE)
        this.#begin(form, area);
    }
    this.#playing?.decoder.decode({ data: data.slice(), isKey, number });
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

  #begin(form: VideoForm, area: Rect): void {
    const decoder = this.#parts.decoder()?.open(
      form,
      area.width,
      area.height,
      (pixels) => {
        const playing = this.#playing;
        if (!playing || playing.decoder !== decoder) return;
        playing.shown = pixels;
        this.#show(playing);
      },
      () => {
        if (this.#playing?.decoder !== decoder) return;
        this.end();
        this.#parts.onBroken();
      },
    );
    if (decoder) this.#playing = { area, form, decoder, shown: undefined };
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
