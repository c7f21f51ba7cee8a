/** A desktop for tests: what is on it is painted by hand, what is typed and clicked is kept. */
import type { SoundListener, SoundSource } from '#emu/host/sound.ts';
import type { Picture } from '../raster/thumbnail.ts';
import type { Desktop, DesktopSeat, DesktopView } from './desktop.ts';
import { DesktopViews } from './desktop-views.ts';
import { InputSeats } from './input-seats.ts';
import { SharedClipboard } from './shared-clipboard.ts';

export interface MouseEventSeen {
  readonly dx: number;
  readonly dy: number;
  readonly dz: number;
  readonly buttons: number;
}

export class PaintedDesktop implements Desktop {
  screen: Picture;
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
        move: (dx, dy, dz, buttons) => {
          this.mouse.push({ dx, dy, dz, buttons });
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
