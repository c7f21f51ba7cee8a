/**
 * Videos of JPEG for clients that play multimedia by themselves, and show it over the screen: a presentation of one stream, as
 * VirtualBox has it. Whether a client can show JPEG at all is asked once, of a presentation that never plays.
 * Source: [MS-RDPEV] 1.3.1, 3.1 (server).
 */
import type { VideoPicture } from '#display/desktop/desktop.ts';
import type { Rect } from '#display/raster/rects.ts';
import {
  acceptsFormat,
  acceptsTopology,
  encodeAddStream,
  encodeFormatCheck,
  encodeNewPresentation,
  encodePlaybackStarted,
  encodePlaybackStopped,
  encodeRemoveStream,
  encodeSample,
  encodeShutdown,
  encodeTopology,
  encodeVideoGeometry,
  encodeVideoWindow,
  type PictureSize,
} from '../pdu/multimedia.ts';
import type { DynamicChannel } from './dynamic-channels.ts';
import { MultimediaChannel } from './multimedia-channel.ts';
import { type PresentationHost, PresentationLife } from './presentation-life.ts';

const STREAM = 1;
/** What is asked for before there is any video. */
const USUAL: PictureSize = { width: 640, height: 360 };
/** A client may take so long to begin. */
const BEGIN_MS = 5000;
/** Pictures that it has not shown yet. */
const MOST_IN_FLIGHT = 4;

export interface MultimediaRedirectionParts extends PresentationHost {
  readonly nowMs: () => number;
  readonly random: (count: number) => Uint8Array;
  /** Opens a channel. @returns a function that closes it */
  readonly open: (channel: DynamicChannel) => () => void;
  readonly onReady: () => void;
}

interface Playing {
  readonly id: Uint8Array;
  readonly control: MultimediaChannel;
  readonly stream: MultimediaChannel;
  area: Rect;
  readonly beganMs: number;
  isStarted: boolean;
  inFlight: number;
  samples: number;
  readonly stopWaiting: () => void;
  readonly close: () => void;
}

export class MultimediaRedirection {
  readonly form = 'jpeg';
  readonly #parts: MultimediaRedirectionParts;
  #probe: (() => void) | undefined;
  readonly #life: PresentationLife<Playing>;
  #isReady = false;

  constructor(parts: MultimediaRedirectionParts) {
    this.#parts = parts;
    const onRefused = (): void => {
      // Nobody counts on one that has not said that it can.
      if (this.#isReady) parts.onRefused();
    };
    this.#life = new PresentationLife({ ...parts, onRefused }, (playing) => this.#tellEnd(playing));
  }

  /** Asks the client whether it can. */
  begin(): void {
    const { random, open } = this.#parts;
    const channel = new MultimediaChannel({
      ...{ id: random(16), stream: 0 },
      onReady: () =>
        channel.ask(
          (message) => encodeFormatCheck(message, USUAL),
          acceptsFormat,
          () => {
            this.#isReady = true;
            this.#probe?.();
            this.#parts.onReady();
          },
        ),
      onRefused: () => this.#life.refuse(),
    });
    this.#probe = open(channel);
  }

  /** Where the client shows a video over the screen. */
  get covered(): Rect | undefined {
    return this.#life.covered;
  }

  /** @param hasRoom the client can take more */
  showVideo({ area, data }: VideoPicture, hasRoom: boolean): void {
    if (!this.#isReady || this.#life.isRefused || !this.#life.isOnScreen(area)) return;
    this.#life.goOn();
    const before = this.#life.presented;
    const isSame = before?.area.width === area.width && before.area.height === area.height;
    if (!isSame) this.#life.begin(() => this.#start(area));
    const playing = this.#life.presented;
    // None builds upon another: what comes too early or too fast is left out.
    if (!playing?.isStarted || !hasRoom || playing.inFlight >= MOST_IN_FLIGHT) return;
    this.#move(playing, area);
    playing.inFlight++;
    playing.samples++;
    const atMs = this.#parts.nowMs() - playing.beganMs;
    playing.stream.say((message) => encodeSample(message, playing.id, STREAM, atMs, data));
  }

  /** The video is over. */
  endVideo(): void {
    this.#life.end();
  }

  close(): void {
    this.#life.close();
  }

  #start(area: Rect): Playing {
    const { random, open, later, nowMs } = this.#parts;
    const id = random(16);
    const refuse = (): void => {
      if (this.#life.presented === playing) this.#life.refuse();
    };
    const control = new MultimediaChannel({
      ...{ id, stream: 0, onRefused: refuse },
      onReady: () => {
        control.say((message) => encodeNewPresentation(message, id));
        control.ask(
          (message) => encodeFormatCheck(message, area),
          acceptsFormat,
          () => {
            control.say((message) => encodeAddStream(message, id, STREAM, area));
            closers.push(open(stream));
          },
        );
      },
    });
    const stream = new MultimediaChannel({
      ...{ id, stream: STREAM, onRefused: refuse },
      onReady: () =>
        control.ask(
          (message) => encodeTopology(message, id),
          acceptsTopology,
          () => {
            if (this.#life.presented === playing) this.#play(playing);
          },
        ),
      onPlayed: () => {
        playing.inFlight = Math.max(0, playing.inFlight - 1);
      },
    });
    const closers: (() => void)[] = [];
    const playing: Playing = {
      ...{ id, control, stream, area, beganMs: nowMs(), isStarted: false, inFlight: 0, samples: 0 },
      stopWaiting: later(BEGIN_MS, refuse),
      close: () => {
        for (const close of closers) close();
      },
    };
    closers.push(open(control));
    return playing;
  }

  #play(playing: Playing): void {
    const { id, control, area } = playing;
    playing.stopWaiting();
    control.say((message) => encodeVideoWindow(message, id));
    control.say((message) => encodeVideoGeometry(message, id, area));
    control.say((message) => encodePlaybackStarted(message, id));
    playing.isStarted = true;
  }

  #move(playing: Playing, area: Rect): void {
    const { area: before, id } = playing;
    if (area.x === before.x && area.y === before.y) return;
    const { covered } = this;
    playing.area = area;
    playing.control.say((message) => encodeVideoGeometry(message, id, area));
    if (covered) this.#parts.onUncovered(covered);
  }

  #tellEnd({ id, control, isStarted, close }: Playing): void {
    if (isStarted) {
      control.say((message) => encodePlaybackStopped(message, id));
      control.say((message) => encodeRemoveStream(message, id, STREAM));
    }
    control.say((message) => encodeShutdown(message, id));
    close();
  }
}
