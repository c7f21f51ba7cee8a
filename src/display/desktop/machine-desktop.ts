/** The desktop of a running machine, over the shared memory it publishes its frames in. */
import type { PointerShape, SharedFrame } from '#emu/host/frame.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import { SILENCE, type SoundSource } from '#emu/host/sound.ts';
import { AllMonitors, type MonitorPlace } from '../raster/all-monitors.ts';
import { Rasteriser } from '../raster/rasteriser.ts';
import { screenText } from '../raster/screen-text.ts';
import type { Picture } from '../raster/thumbnail.ts';
import type { Desktop, DesktopSeat, DesktopView, MicrophoneJack } from './desktop.ts';
import { DesktopViews } from './desktop-views.ts';
import { InputSeats } from './input-seats.ts';
import { MonitorLayout } from './monitor-layout.ts';
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
  /** Left out: it records from nobody. */
  readonly microphones?: MicrophoneJack | undefined;
  /** Left out: it takes no files. */
  readonly giveFiles?: Desktop['giveFiles'];
  /** Asks the guest for another size of a monitor, 0 to MAX_MONITORS - 1. */
  readonly requestSize?: ((width: number, height: number, monitor: number) => void) | undefined;
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
  readonly microphones: MicrophoneJack | undefined;
  readonly giveFiles: Desktop['giveFiles'];
  readonly clipboard: SharedClipboard;
  readonly requestSize: ((width: number, height: number) => void) | undefined;
  /** Set by whoever hears of it. */
  leds: number | undefined;
  readonly #parts: MachineDesktopParts;
  readonly #rasteriser: Rasteriser | AllMonitors;
  readonly #frame: SharedFrame;
  readonly #vram: Uint8Array;
  readonly #views: DesktopViews;
  readonly #layout: MonitorLayout;
  readonly #seats: InputSeats;
  readonly #shows: number | 'all';
  readonly #onWatched: (watched: boolean) => void;
  /** Of the first monitor: the desktops of the others, as far as anybody asked. */
  readonly #others: MachineDesktop[] = [];
  #together: MachineDesktop | undefined;
  #watchedOthers = 0;
  readonly #onPointer = new Set<() => void>();
  #pointerSerial = 0;
  #screen: Picture;
  #shown: ShownPicture;
  #watched = false;
  #pumping = false;
  #closed = false;

  /** @param shows a monitor, or all in one picture, then with the pointer in it unless it is another one's */
  constructor(parts: MachineDesktopParts, shows: number | 'all' = 0, first?: MachineDesktop) {
    this.#parts = parts;
    this.#shows = shows;
    const { requestSize, vram, frame } = parts;
    this.sound = first?.sound ?? parts.sound ?? SILENCE;
    this.microphones = parts.microphones;
    this.giveFiles = parts.giveFiles;
    this.clipboard = first?.clipboard ?? new SharedClipboard();
    // Nobody knows which of several is meant.
    this.requestSize = requestSize && shows !== 'all' ? (...size) => requestSize(...size, shows) : undefined;
    this.#rasteriser =
      shows === 'all'
        ? new AllMonitors(vram, frame, { drawsPointer: first === undefined })
        : new Rasteriser(vram, frame, shows);
    this.#frame = frame;
    this.#vram = vram;
    this.#screen = pictureOf(this.#rasteriser);
    this.#shown = new ShownPicture(this.#screen);
    const size = (): Picture => this.#screen;
    this.#views = new DesktopViews({ size, refresh: () => this.#refresh(), onDemand: () => this.#onDemand() });
    const { keyboard, mouse, typeText } = parts;
    this.#layout = first ? first.#layout : new MonitorLayout(frame);
    const seats = {
      ...{ keyboard, mouse, typeText, size: () => this.#layout.size(size()) },
      takesPositions: () => frame.takesPositions,
    };
    this.#seats = first ? first.#seats : new InputSeats(seats);
    this.#onWatched = first ? (watched) => first.#otherWatched(watched) : (parts.onWatched ?? (() => {}));
  }

  /** The first monitor's desktop knows the others; they know none. */
  get monitors(): readonly MachineDesktop[] {
    while (this.#others.length + 1 < this.#frame.monitorCount && this.#shows === 0) {
      this.#others.push(new MachineDesktop(this.#parts, this.#others.length + 1, this));
    }
    return [this, ...this.#others];
  }

  get together(): MachineDesktop | undefined {
    if (this.#frame.monitorCount === 1 || this.#shows !== 0) return undefined;
    this.#together ??= new MachineDesktop(this.#parts, 'all', this);
    return this.#together;
  }

  places(): readonly MonitorPlace[] {
    return this.#rasteriser instanceof AllMonitors ? this.#rasteriser.places : [];
  }

  /** True when the picture is to fill a 4:3 screen. */
  get fourByThree(): boolean {
    return this.#rasteriser.fourByThree;
  }

  get pointer(): PointerShape | undefined {
    const isDrawn = this.#rasteriser instanceof AllMonitors && this.#rasteriser.drawsPointer;
    return isDrawn || this.#frame.pointerSerial === 0 ? undefined : this.#frame.readPointer();
  }

  onPointer(changed: () => void): () => void {
    this.#onPointer.add(changed);
    return () => this.#onPointer.delete(changed);
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
    return this.#seats.open((x, y) => this.#layout.onDesktop(this.#placeAt(x, y), x, y));
  }

  /** Stops drawing for good. */
  close(): void {
    this.#closed = true;
    for (const other of this.#others) other.close();
    this.#together?.close();
  }

  /** The monitor under a pixel of the picture, and where that begins. */
  #placeAt(x: number, y: number): MonitorPlace {
    const shown = this.#rasteriser;
    if (!(shown instanceof AllMonitors)) {
      return { monitor: this.#shows as number, x: 0, y: 0, width: shown.width, height: shown.height };
    }
    const { places } = shown;
    const isInside = (p: MonitorPlace): boolean => p.x <= x && x < p.x + p.width && p.y <= y && y < p.y + p.height;
    return places.find(isInside) ?? places[0];
  }

  #otherWatched(watched: boolean): void {
    this.#watchedOthers += watched ? 1 : -1;
    this.#tellWatched();
  }

  #tellWatched(): void {
    const watched = this.#views.count > 0 || this.#watchedOthers > 0;
    if (watched === this.#watched) return;
    this.#watched = watched;
    this.#onWatched(watched);
  }

  #refresh(): void {
    const { pointerSerial } = this.#frame;
    if (pointerSerial !== this.#pointerSerial) {
      this.#pointerSerial = pointerSerial;
      for (const changed of this.#onPointer) changed();
    }
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
    this.#tellWatched();
    if (!this.#pumping && this.#views.isAnyWaiting) this.#pump();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      // Whoever asked is called later, even if something is there already.
      await undefined;
      while (!this.#closed && this.#views.isAnyWaiting) {
        const seen = this.#frame.generation;
        this.#refresh();
        this.#views.wake();
        if (!this.#views.isAnyWaiting) break;
        await this.#frame.changed(seen, oneFrame);
      }
    } finally {
      // Also when somebody who was called failed: the others go on as soon as anybody asks.
      this.#pumping = false;
    }
  }
}

const oneFrame = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 16));

const pictureOf = ({ width, height, pixels }: Picture): Picture => ({ width, height, pixels });
