/** The desktop of a running machine, over the shared memory it publishes its frames in. */
import type { SharedFrame } from '#emu/host/frame.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import { SILENCE, type SoundSource } from '#emu/host/sound.ts';
import { Rasteriser } from '../raster/rasteriser.ts';
import { screenText } from '../raster/screen-text.ts';
import type { Picture } from '../raster/thumbnail.ts';
import type { Desktop, DesktopSeat, DesktopView } from './desktop.ts';
import { DesktopViews } from './desktop-views.ts';
import { InputSeats } from './input-seats.ts';
import { SharedClipboard } from './shared-clipboard.ts';
import { ShownPicture } from './shown-picture.ts';

export interface MachineDesktopParts {
  /** Video memory and frame of the machine, shared with its thread. */
  readonly vram: Uint8Array;
  readonly frame: SharedFrame;
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  /** Types text on the guest's keyboard, at a pace that it can follow. */
  readonly typeText: (text: string) => void;
  /** Left out: the machine has no sound card. */
  readonly sound?: SoundSource | undefined;
  readonly requestSize?: ((width: number, height: number) => void) | undefined;
  /** Told when the first view opens and the last one closes, for machines that publish frames on demand only. */
  readonly onWatched?: (watched: boolean) => void;
}

/**
 * The same in a page and in Node. Draws only while somebody waits for a change, and only when a frame was published.
 *
 * @example
 *   const desktop = new MachineDesktop({ vram, frame, keyboard, mouse, typeText });
 *   const view = desktop.view();
 *   const send = () => {
 *     const { resized, rects } = view.take();
 *     // ... encode desktop.screen.pixels in rects, write it, and when the peer has room:
 *     view.request(send);
 *   };
 *   view.request(send);
 */
export class MachineDesktop implements Desktop {
  readonly sound: SoundSource;
  readonly clipboard: SharedClipboard = new SharedClipboard();
  readonly requestSize: ((width: number, height: number) => void) | undefined;
  /** Set by whoever hears of it. */
  leds: number | undefined;
  readonly #rasteriser: Rasteriser;
  readonly #frame: SharedFrame;
  readonly #vram: Uint8Array;
  readonly #views: DesktopViews;
  readonly #seats: InputSeats;
  readonly #onWatched: (watched: boolean) => void;
  #screen: Picture;
  #shown: ShownPicture;
  #watched = false;
  #pumping = false;
  #closed = false;

  constructor(parts: MachineDesktopParts) {
    this.sound = parts.sound ?? SILENCE;
    this.requestSize = parts.requestSize;
    this.#rasteriser = new Rasteriser(parts.vram, parts.frame);
    this.#frame = parts.frame;
    this.#vram = parts.vram;
    this.#screen = pictureOf(this.#rasteriser);
    this.#shown = new ShownPicture(this.#screen);
    const size = (): Picture => this.#screen;
    this.#views = new DesktopViews({ size, refresh: () => this.#refresh(), onDemand: () => this.#onDemand() });
    const { keyboard, mouse, typeText } = parts;
    this.#seats = new InputSeats({ keyboard, mouse, typeText, size });
    this.#onWatched = parts.onWatched ?? (() => {});
  }

  get screen(): Picture {
    return this.#screen;
  }

  /** Up to date while there is a view. */
  screenText(): string {
    const lines = screenText(this.#frame, this.#vram);
    return lines.length === 0 ? '' : `${lines.join('\n').trimEnd()}\n`;
  }

  view(): DesktopView {
    return this.#views.open();
  }

  seat(): DesktopSeat {
    return this.#seats.open();
  }

  /** Stops drawing for good. */
  close(): void {
    this.#closed = true;
  }

  #refresh(): void {
    const rects = this.#rasteriser.render();
    if (rects.length === 0) return;
    if (this.#screen.pixels !== this.#rasteriser.pixels) {
      this.#screen = pictureOf(this.#rasteriser);
      this.#shown = new ShownPicture(this.#screen);
      this.#views.resized();
      return;
    }
    for (const rect of rects) this.#shown.update(this.#screen, rect, (box) => this.#views.damaged(box));
  }

  #onDemand(): void {
    const watched = this.#views.count > 0;
    if (watched !== this.#watched) {
      this.#watched = watched;
      this.#onWatched(watched);
    }
    if (!this.#pumping && this.#views.isAnyWaiting) this.#pump();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    // Whoever asked is called later, even if something is there already.
    await undefined;
    while (!this.#closed && this.#views.isAnyWaiting) {
      const seen = this.#frame.generation;
      this.#refresh();
      this.#views.wake();
      if (!this.#views.isAnyWaiting) break;
      await this.#frame.changed(seen, oneFrame);
    }
    this.#pumping = false;
  }
}

const oneFrame = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 16));

const pictureOf = ({ width, height, pixels }: Rasteriser): Picture => ({ width, height, pixels });
