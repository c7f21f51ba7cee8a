/**
 * Coded videos for clients that decode them beside the picture of the screen, and show them over it: one presentation at a
 * time, on three dynamic channels. What lies under a video is not to be drawn meanwhile (`covered`).
 * Source: [MS-RDPEVOR] 1.3, 3.3 (server); [MS-RDPEGT] 3.2 (where it shows).
 * Not modelled: fewer pictures than those that others build upon, whatever rate a client would like.
 */
import type { VideoPicture } from '#display/desktop/desktop.ts';
import type { Rect } from '#display/raster/rects.ts';
import { encodeGeometry, encodeGeometryEnd } from '../pdu/geometry.ts';
import {
  decodeVideoNotice,
  encodePresentationStart,
  encodePresentationStop,
  encodeVideoSample,
  type Presentation,
  parameterSetsOf,
} from '../pdu/video-redirection.ts';
import type { DynamicChannel } from './dynamic-channels.ts';
import { PictureGate } from './picture-gate.ts';
import { type PresentationHost, PresentationLife } from './presentation-life.ts';

/** A client that cannot show a presentation says nothing (3.3.3). */
const ANSWER_MS = 3000;
/** Pictures that wait for that answer. */
const MOST_WAITING = 32;
const LAST_ID = 255;

export interface VideoRedirectionParts extends PresentationHost {
  readonly nowMs: () => number;
  /** The client can be shown videos from now on. */
  readonly onReady: () => void;
  /** A picture of the video that builds upon no other is needed. */
  readonly wantKey: () => void;
}

interface Playing extends Presentation {
  area: Rect;
  readonly beganMs: number;
  isAccepted: boolean;
  samples: number;
  /** When the next picture may go out, at the rate that the client would like. */
  dueMs: number;
  intervalMs: number;
  hasNewRate: boolean;
  /** Until the client has accepted it. */
  waiting: VideoPicture[];
  readonly stopWaiting: () => void;
}

type Send = (message: Uint8Array) => void;

export class VideoRedirection {
  readonly form = 'h264';
  /** To be opened for a client. */
  readonly channels: readonly DynamicChannel[];
  readonly #parts: VideoRedirectionParts;
  readonly #gate: PictureGate;
  #geometry: Send | undefined;
  #control: Send | undefined;
  #data: Send | undefined;
  readonly #life: PresentationLife<Playing>;
  #lastMapping = 0;

  constructor(parts: VideoRedirectionParts) {
    this.#parts = parts;
    this.#gate = new PictureGate(parts.wantKey);
    this.#life = new PresentationLife(parts, (playing) => this.#tellEnd(playing));
    const channel = (name: string, set: (send: Send | undefined) => void, received = (_: Uint8Array) => {}) => ({
      name: `Microsoft::Windows::RDS::${name}`,
      opened: (send: Send) => {
        set(send);
        if (this.isReady) parts.onReady();
      },
      closed: () => {
        set(undefined);
        this.#life.refuse();
      },
      received,
    });
    this.channels = [
      channel('Geometry::v08.01', (send) => {
        this.#geometry = send;
      }),
      channel(
        'Video::Control::v08.01',
        (send) => {
          this.#control = send;
        },
        (message) => this.#heard(message),
      ),
      channel('Video::Data::v08.01', (send) => {
        this.#data = send;
      }),
    ];
  }

  /** The client can be shown videos. */
  get isReady(): boolean {
    return (
      !this.#life.isRefused && this.#geometry !== undefined && this.#control !== undefined && this.#data !== undefined
    );
  }

  /** Where the client shows a video over the screen. */
  get covered(): Rect | undefined {
    return this.#life.covered;
  }

  /** @param hasRoom the client can take more */
  showVideo(picture: VideoPicture, hasRoom: boolean): void {
    const { width, height } = picture.area;
    if (!this.isReady || !this.#life.isOnScreen(picture.area)) return;
    this.#life.goOn();
    const before = this.#life.presented;
    const isSame = before?.width === width && before.height === height;
    if (before && isSame && this.#comesTooSoon(before, picture)) return;
    const isFull = isSame && before.waiting.length >= MOST_WAITING;
    if (!this.#gate.accepts(picture, hasRoom && !isFull)) return;
    if (!isSame) this.#life.begin(() => this.#start(picture));
    const playing = this.#life.presented;
    if (!playing) return;
    if (playing.isAccepted) this.#send(playing, picture);
    else playing.waiting.push(picture);
  }

  /** The video is over. */
  endVideo(): void {
    this.#life.end();
  }

  close(): void {
    this.#life.close();
  }

  /** The client would like fewer, and no other builds upon this one. */
  #comesTooSoon({ dueMs }: Playing, { layer }: VideoPicture): boolean {
    return layer > 0 && this.#parts.nowMs() < dueMs;
  }

  #start({ area, data }: VideoPicture): Playing {
    const mapping = ++this.#lastMapping;
    const { width, height } = area;
    const presentation = { id: ((mapping - 1) % LAST_ID) + 1, mapping, width, height };
    const now = this.#parts.nowMs();
    const playing: Playing = {
      ...{ ...presentation, parameterSets: parameterSetsOf(data), area },
      ...{ beganMs: now, dueMs: now, intervalMs: 0, hasNewRate: false, isAccepted: false, samples: 0, waiting: [] },
      stopWaiting: this.#parts.later(ANSWER_MS, () => this.#life.refuse()),
    };
    this.#tellPlace(mapping, area);
    this.#control?.(encodePresentationStart(playing));
    return playing;
  }

  #tellPlace(mapping: number, area: Rect): void {
    this.#geometry?.(encodeGeometry(mapping, { x: 0, y: 0, ...this.#parts.screen() }, area));
  }

  #send(playing: Playing, { area, data, isKey }: VideoPicture): void {
    const { x, y } = playing.area;
    if (area.x !== x || area.y !== y) {
      const before = playing.area;
      playing.area = area;
      this.#tellPlace(playing.mapping, area);
      this.#parts.onUncovered(before);
    }
    const now = this.#parts.nowMs();
    const { id, intervalMs, hasNewRate, beganMs } = playing;
    playing.dueMs = Math.min(Math.max(playing.dueMs + intervalMs, now), now + 2 * intervalMs);
    playing.hasNewRate = false;
    const number = ++playing.samples;
    this.#data?.(encodeVideoSample({ presentation: id, number, atMs: now - beganMs, isKey, hasNewRate, data }));
  }

  #tellEnd(playing: Playing): void {
    this.#gate.reset();
    this.#control?.(encodePresentationStop(playing));
    this.#geometry?.(encodeGeometryEnd(playing.mapping, { x: 0, y: 0, ...this.#parts.screen() }, playing.area));
  }

  #heard(message: Uint8Array): void {
    const notice = decodeVideoNotice(message);
    const playing = this.#life.presented;
    if (!notice || !playing || notice.presentation !== playing.id) return;
    if (notice.kind === 'lost') this.#gate.reset();
    else if (notice.kind === 'rate') {
      playing.intervalMs = notice.most === undefined ? 0 : 1000 / notice.most;
      playing.dueMs = this.#parts.nowMs();
      playing.hasNewRate = true;
    } else if (!playing.isAccepted) {
      playing.isAccepted = true;
      playing.stopWaiting();
      for (const picture of playing.waiting.splice(0)) this.#send(playing, picture);
    }
  }
}
