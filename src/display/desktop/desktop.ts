/**
 * A machine's screen and input as a remote consumer sees them: a session link, a remote-desktop gateway.
 * Any number of consumers use one desktop, each at its own pace; a still screen costs none of them anything.
 */
import type { PointerShape } from '#emu/host/frame.ts';
import type { SoundSource } from '#emu/host/sound.ts';
import type { Rect } from '../raster/rects.ts';
import type { Picture } from '../raster/thumbnail.ts';
import type { SharedClipboard } from './shared-clipboard.ts';

/** Edge of the squares in which changes are counted, in pixels. */
export const TILE = 64;

/** What changed since a view was last looked at. */
export interface DesktopUpdate {
  /** The screen has another size than before; then `rects` cover all of it. True as well for a view's first update. */
  readonly resized: boolean;
  /** At most one for each TILE x TILE square of the screen, each inside its square; from top to bottom. */
  readonly rects: readonly Rect[];
}

/** One consumer's account of what it has seen. */
export interface DesktopView {
  /**
   * Calls `ready` once, when there is something to take: never inside this call, and not before that while the screen
   * is still. Ask again after taking; a slow consumer that asks seldom gets fewer and larger updates.
   */
  request(ready: () => void): void;
  /** What changed up to now. `Desktop.screen` shows it until control goes back to the event loop. */
  take(): DesktopUpdate;
  /** Makes the next update report everything, or everything in a part of the screen. */
  invalidate(part?: Rect): void;
  close(): void;
}

/** Bits of a mouse button mask. */
export const BUTTON = { left: 1, right: 2, middle: 4, fourth: 8, fifth: 16 } as const;

/** One consumer's hands. What it holds down is known and comes up with `releaseAll`, whatever others hold. */
export interface DesktopSeat {
  /** Scan codes of set 1 as a keyboard sends them, with E0 and E1 prefixes; whole keys only. */
  putScancodes(set1: readonly number[]): void;
  /** Types text on the guest's keyboard, at a pace that it can follow. */
  typeText(text: string): void;
  /** @param x, y pixels of the screen; outside of it they are moved to its edge */
  moveTo(x: number, y: number): void;
  /** @param dx, dy right and down, in counts */
  moveBy(dx: number, dy: number): void;
  /** @param mask all buttons that are down now, bits of BUTTON */
  setButtons(mask: number): void;
  /**
   * @param notches towards the person positive
   * @param sideways of the horizontal wheel, to the left positive
   */
  wheel(notches: number, sideways?: number): void;
  /** Lets go of every key and button this consumer holds. */
  releaseAll(): void;
  /** `releaseAll`, and nothing gets through from then on. */
  close(): void;
}

/** `h264`: Annex B, parameter sets with each key picture. `jpeg`: every picture is a key picture. */
export type CodedForm = 'h264' | 'jpeg';

/** A picture of a video, as somebody else has coded it. */
export interface VideoPicture {
  readonly form: CodedForm;
  /** Where on the screen it shows. */
  readonly area: Rect;
  readonly data: Uint8Array;
  readonly isKey: boolean;
  /** Pictures of a higher layer are needed by none of a lower one. */
  readonly layer: number;
}

export interface VideoWatcher {
  /** What it can show, and gets. */
  readonly form: CodedForm;
  picture(picture: VideoPicture): void;
  /** `Desktop.screen` has that part again. */
  end(): void;
}

/** Videos as they come, for whoever can show them so. */
export interface VideoSource {
  /**
   * While every view's owner watches, and all of them for the same form, the screen stays as it was where a video plays.
   * @returns how to ask and to end
   */
  watch(watcher: VideoWatcher): { wantKey(): void; close(): void };
}

/** A microphone that somebody has plugged in. */
export interface PluggedMicrophone {
  /**
   * Dropped while the guest does not record, or hears somebody else.
   * @param samples as in emu/host/sound.ts, at most half a second
   */
  write(samples: Int16Array): void;
  unplug(): void;
}

/** Where microphones are plugged in. The one that was there first is heard. */
export interface MicrophoneJack {
  /** @param onWanted called when the guest begins to record, never inside this call, and when it ends */
  plug(onWanted: (wanted: boolean) => void): PluggedMicrophone;
}

export interface GivenFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface Desktop {
  /** All of the machine's monitors in one picture; left out: there is one. */
  readonly together?: Desktop | undefined;
  /** Of such a picture: where the monitors lie in it, the first one first. */
  readonly places?: (() => readonly Rect[]) | undefined;
  /** The machine's monitors by number, the first one first; left out: there is one. They share all but the picture. */
  readonly monitors?: readonly Desktop[] | undefined;
  /** The picture as last taken by any view: RGBA words. Another object after a change of size. */
  readonly screen: Picture;
  view(): DesktopView;
  seat(): DesktopSeat;
  /** What the people here copy for one another. */
  readonly clipboard: SharedClipboard;
  /** What the machine plays; nothing is carried anywhere unless somebody listens. */
  readonly sound: SoundSource;
  /** What the machine may record from; left out: from nothing. */
  readonly microphones?: MicrophoneJack | undefined;
  /**
   * Puts files into the guest's CD drive. Left out: nobody can.
   * @param from who gives them
   * @throws CodedError they are not in, and why
   */
  readonly giveFiles?: ((files: readonly GivenFile[], from: string) => Promise<void>) | undefined;
  /** Left out: there are none. */
  readonly video?: VideoSource | undefined;
  /** What a text screen says, lines ended by LF; empty in graphics modes. Left out: nobody can tell. */
  readonly screenText?: (() => string) | undefined;
  /** Asks the guest for a screen of another size: it follows if its driver does. Left out: nobody can be asked. */
  readonly requestSize?: ((width: number, height: number) => void) | undefined;
  /** The guest's pointer, where whoever shows the screen has to draw it; left out, or undefined: it is in the picture. */
  readonly pointer?: PointerShape | undefined;
  /** Calls back when `pointer` is another one. @returns a function that stops that */
  readonly onPointer?: ((changed: () => void) => () => void) | undefined;
  /** Lights of the keyboard: bit 0 Scroll Lock, bit 1 Num Lock, bit 2 Caps Lock; undefined: nobody knows. */
  readonly leds?: number | undefined;
}
