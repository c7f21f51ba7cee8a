/** A desktop for tests: what is on it is painted by hand, what is typed and clicked is kept. */
import type { PointerShape } from '#emu/host/frame.ts';
import type { SoundListener, SoundSource } from '#emu/host/sound.ts';
import type { Rect } from '../raster/rects.ts';
import type { Picture } from '../raster/thumbnail.ts';
import type {
  Desktop,
  DesktopSeat,
  DesktopView,
  GivenFile,
  MicrophoneJack,
  VideoPicture,
  VideoSource,
  VideoWatcher,
} from './desktop.ts';
import { DesktopViews } from './desktop-views.ts';
import { InputSeats } from './input-seats.ts';
import { SharedClipboard } from './shared-clipboard.ts';

export interface MouseEventSeen {
  readonly dx: number;
  readonly dy: number;
  readonly dz: number;
  readonly buttons: number;
  readonly dw: number;
}

/** Pictures of a video as a test has them. */
export class PaintedVideo implements VideoSource {
  readonly watchers = new Set<VideoWatcher>();
  /** How often a key picture was wanted. */
  keysWanted = 0;

  watch(watcher: VideoWatcher): ReturnType<VideoSource['watch']> {
    this.watchers.add(watcher);
    return { wantKey: () => void this.keysWanted++, close: () => void this.watchers.delete(watcher) };
  }

  show(picture: VideoPicture): void {
    for (const watcher of this.watchers) if (watcher.form === picture.form) watcher.picture(picture);
  }

  end(): void {
    for (const watcher of this.watchers) watcher.end();
  }
}

export class PaintedDesktop implements Desktop {
  screen: Picture;
  monitors: readonly Desktop[] | undefined;
  together: Desktop | undefined;
  places: (() => readonly Rect[]) | undefined;
  pointer: PointerShape | undefined;
  video: PaintedVideo | undefined;
  readonly #onPointer = new Set<() => void>();
  /** Everything typed, in order. */
  readonly scancodes: number[] = [];
  readonly mouse: MouseEventSeen[] = [];
  /** Texts that were to be typed. */
  readonly typed: string[] = [];
  readonly clipboard: SharedClipboard = new SharedClipboard();
  leds: number | undefined;
  screenText: (() => string) | undefined;
  requestSize: ((width: number, height: number) => void) | undefined;
  /** Who hears what `play` is given. */
  readonly listeners = new Set<SoundListener>();
  readonly sound: SoundSource = {
    listen: (listener) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    },
  };
  /** Who wants to know whether it records. */
  readonly plugged = new Set<(wanted: boolean) => void>();
  /** Left samples that came from microphones. */
  readonly recorded: number[] = [];
  readonly microphones: MicrophoneJack = {
    plug: (onWanted) => {
      this.plugged.add(onWanted);
      return {
        write: (samples) => {
          for (let i = 0; i < samples.length; i += 2) this.recorded.push(samples[i]);
        },
        unplug: () => this.plugged.delete(onWanted),
      };
    },
  };
  /** Files that were given, and by whom. */
  readonly given: { readonly files: readonly GivenFile[]; readonly from: string }[] = [];
  giveFiles: Desktop['giveFiles'] = async (files, from) => void this.given.push({ files, from });
  #played = 0;
  /** Called after each input. */
  onInput: () => void = () => {};
  readonly #views: DesktopViews;
  readonly #seats: InputSeats;

  constructor(width: number, height: number) {
    this.screen = picture(width, height);
    const size = (): Picture => this.screen;
    this.#views = new DesktopViews({ size, refresh: () => {}, onDemand: () => {} });
    this.#seats = new InputSeats({
      size,
      typeText: (text) => {
        this.typed.push(text);
        this.onInput();
      },
      keyboard: {
        putScancodes: (set1) => {
          this.scancodes.push(...set1);
          this.onInput();
        },
      },
      mouse: {
        move: (dx, dy, dz, buttons, dw) => {
          this.mouse.push({ dx, dy, dz, buttons, dw });
          this.onInput();
        },
      },
    });
  }

  view(): DesktopView {
    return this.#views.open();
  }

  seat(): DesktopSeat {
    return this.#seats.open();
  }

  onPointer(changed: () => void): () => void {
    this.#onPointer.add(changed);
    return () => this.#onPointer.delete(changed);
  }

  /** The guest sets another pointer. */
  point(shape: PointerShape): void {
    this.pointer = shape;
    for (const changed of this.#onPointer) changed();
  }

  get viewCount(): number {
    return this.#views.count;
  }

  resize(width: number, height: number): void {
    this.screen = picture(width, height);
    this.#views.resized();
    this.#views.wake();
  }

  /** @param samples left and right alternating, 48 kHz */
  play(samples: Int16Array): void {
    for (const listener of this.listeners) listener(samples, this.#played);
    this.#played += samples.length / 2;
  }

  /** @param colour of a pixel as 0xrrggbb */
  paint(
    x: number,
    y: number,
    width: number,
    height: number,
    colour: number | ((x: number, y: number) => number),
  ): void {
    const colourAt = typeof colour === 'number' ? () => colour : colour;
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) {
        this.screen.pixels[row * this.screen.width + column] = rgba(colourAt(column, row));
      }
    }
    this.#views.damaged({ x, y, width, height });
    this.#views.wake();
  }
}

const picture = (width: number, height: number): Picture => ({
  ...{ width, height },
  pixels: new Uint32Array(width * height).fill(rgba(0)),
});

/** 0xrrggbb to a word whose bytes are R, G, B, 255. */
const rgba = (colour: number): number =>
  (0xff00_0000 | ((colour & 0xff) << 16) | (colour & 0xff00) | (colour >>> 16)) >>> 0;
