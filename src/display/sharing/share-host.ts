/** A machine's end of a session: sends its screen, takes the input of those who may give it. */
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import type { Desktop, DesktopView } from '../desktop/desktop.ts';
import type { ClipboardPlace } from '../desktop/shared-clipboard.ts';
import type { MonitorPlace } from '../raster/all-monitors.ts';
import { InputArbiter } from '../stream/input-arbiter.ts';
import {
  type BodyOf,
  decodeMessage,
  encodeMessage,
  HOST,
  type Link,
  MAX_PLACES,
  MAX_VIEWER_MESSAGE_BYTES,
  type Message,
  type Person,
  RELAY_VERSION,
  STREAM_VERSION,
  type VideoForms,
} from '../stream/messages.ts';
import { PictureFan, type PictureFeed } from '../stream/picture-fan.ts';
import { ScreenEncoder } from '../stream/screen-encoder.ts';
import { NO_VIDEO, olderForms } from '../stream/video-forms.ts';
import { ClipboardAssembler, type Copied, clipboardParts } from './clipboard-parts.ts';
import { DiscIntake } from './disc-intake.ts';
import { type MadeMessages, PictureOutlet } from './picture-outlet.ts';
import { type LinkState, RelayLink, type SocketMaker } from './relay-link.ts';
import { type MadeEncoder, SentSound } from './sent-sound.ts';
import { type MadeVideoEncoder, SentVideo } from './sent-video.ts';

export interface ShareHostParts {
  readonly url: string;
  readonly token: () => Promise<string>;
  readonly newSocket?: SocketMaker;
  /** Names of the machine and of the person who shares it, as others see them. */
  readonly machine: string;
  readonly name: string;
  readonly desktop: Desktop;
  /** Whether the picture is to fill a 4:3 screen. */
  readonly fourByThree: () => boolean;
  /** Where monitors lie in the picture, where there may be several. */
  readonly places?: (() => readonly MonitorPlace[]) | undefined;
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  readonly typeText: (text: string) => void;
  /**
   * Puts a CD image that somebody made into the guest's drive.
   * @throws CodedError it is not in, and why
   */
  readonly insertDisc?: ((image: Uint8Array<ArrayBuffer>, name: string) => Promise<void>) | undefined;
  /** Codes Opus, where there is something that does. */
  readonly newOpusEncoder?: MadeEncoder | undefined;
  /** Codes video, where there is something that does. */
  readonly videoEncoder?: MadeVideoEncoder | undefined;
  readonly onState: (state: ShareState) => void;
  readonly onPointer: (pointer: BodyOf<'pointer'>) => void;
  /** Somebody who watches has copied a text for all. */
  readonly onCopied?: (copied: Copied) => void;
  /** Connections from browser to browser, where there are any. */
  readonly direct?: DirectConnections;
}

const NO_MONITORS: BodyOf<'monitors'> = { places: [] };

/** See `DirectHub`. */
export interface DirectConnections {
  signal(participant: number, data: string): void;
  send(participant: number, message: Uint8Array): void;
  close(participant: number): void;
}

/** What the page shows; plain data. */
export interface ShareState {
  readonly connection: LinkState;
  /** Why there is no connection; empty when there is. */
  readonly why: string;
  /** The host first. */
  readonly people: readonly Person[];
  readonly links: readonly Link[];
  readonly lease: BodyOf<'lease'>;
}

/** Updates the relay may not have taken yet. */
const MOST_IN_FLIGHT = 3;
/** Less than a video's pictures are apart. */
const LOOKOUT_MS = 25;
/** At most a third of a core goes into coding: after an update, twice its time is a pause. */
const PAUSE_SHARE = 2;
/** Viewers that get pictures from here; those beyond have them copied by the relay. */
const MOST_DIRECT = 4;

export class ShareHost {
  readonly #parts: ShareHostParts;
  readonly #link: RelayLink;
  readonly #arbiter: InputArbiter;
  readonly #encoder = new ScreenEncoder();
  #state: ShareState;
  /** The relay wants a picture. */
  #isAsked = false;
  #key = '';
  #view: DesktopView | undefined;
  /** Looks for videos, however long coding takes. */
  #lookout: DesktopView | undefined;
  #lookAgain: ReturnType<typeof setTimeout> | undefined;
  #hasNews = false;
  #inFlight: number[] = [];
  readonly #toRelay = new PictureOutlet({
    isReady: () => this.#link.isOpen && this.#inFlight.length < MOST_IN_FLIGHT && this.#isRelayWatched(),
    send: (message, { sequence }) => {
      this.#isAsked = false;
      this.#inFlight.push(sequence);
      this.#link.send(message);
    },
  });
  /** Viewers with a connection of their own; their feeds once they have said what they need. */
  readonly #direct = new Map<number, PictureFeed | undefined>();
  /** Viewers who have offered one. */
  readonly #offered = new Set<number>();
  readonly #fan = new PictureFan({
    refresh: (since) => {
      this.#toDirect.want(since);
      // Never inside a call of the fan's own.
      queueMicrotask(() => this.#step());
    },
    wantKey: () => this.#video.wantKey(),
  });
  readonly #toDirect = new PictureOutlet({
    isReady: () => !this.#fan.isEmpty,
    send: (message, update) => this.#fan.update(message, update),
  });
  readonly #outlets: readonly PictureOutlet[] = [this.#toRelay, this.#toDirect];
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** As the relay was told. */
  #monitors = NO_MONITORS;
  readonly #sound: SentSound;
  readonly #video: SentVideo;
  readonly #discs: DiscIntake;
  /** Those at the machine itself, RDP clients among them, are one participant. */
  readonly #clipboard: ClipboardPlace;
  readonly #copies = new ClipboardAssembler();

  constructor(parts: ShareHostParts) {
    this.#parts = parts;
    this.#sound = new SentSound({
      source: parts.desktop.sound,
      newOpusEncoder: parts.newOpusEncoder,
      send: (message) => this.#link.send(message),
      onForms: () => this.#link.send(encodeMessage('soundForms', this.#sound.forms)),
    });
    this.#video = new SentVideo({
      encoder: parts.videoEncoder,
      send: (picture) => this.#sendVideo(picture),
      sendEnd: () => {
        const message = encodeMessage('videoEnd', {});
        this.#fan.videoEnd(message);
        this.#link.send(message);
      },
      onStill: () => {
        this.#hasNews = true;
        this.#step();
      },
    });
    this.#discs = new DiscIntake({
      insert: parts.insertDisc,
      tell: (taken) => this.#link.send(encodeMessage('discTaken', taken)),
    });
    this.#clipboard = parts.desktop.clipboard.open((text) => this.#sendCopy({ participant: HOST, text }));
    this.#arbiter = new InputArbiter({
      ...{ keyboard: parts.keyboard, mouse: parts.mouse, typeText: parts.typeText },
      onLease: (lease) => {
        this.#link.send(encodeMessage('lease', lease));
        this.#tell({ lease });
      },
    });
    this.#state = { connection: 'connecting', why: '', people: [], links: [], lease: this.#arbiter.lease };
    this.#link = new RelayLink({
      ...{ url: parts.url, token: parts.token, newSocket: parts.newSocket },
      onOpen: () => {
        const { machine, name } = parts;
        this.#link.send(encodeMessage('host', { version: STREAM_VERSION, machine, name, key: this.#key }));
      },
      onMessage: (message) => this.#take(message),
      onState: (connection, why) => {
        if (connection !== 'open') {
          this.#everybodyLetsGo();
          this.#sound.need({ pcm: false, opus: false });
          this.#video.need(NO_VIDEO);
        }
        this.#tell({ connection, why });
      },
    });
  }

  get state(): ShareState {
    return this.#state;
  }

  /** The host's own keys and mouse, under the rules for everybody. */
  get keyboard(): KeyboardInput {
    return this.#arbiter.hostKeyboard;
  }

  get mouse(): MouseInput {
    return this.#arbiter.hostMouse;
  }

  makeLink(link: BodyOf<'makeLink'>): void {
    this.#link.send(encodeMessage('makeLink', link));
  }

  revokeLink(id: string): void {
    this.#link.send(encodeMessage('revokeLink', { id }));
  }

  dismiss(participant: number): void {
    this.#link.send(encodeMessage('dismiss', { participant }));
  }

  act(action: BodyOf<'leaseAction'>['action'], target: number): void {
    this.#arbiter.act({ participant: HOST, action, target });
  }

  point(pointer: Omit<BodyOf<'pointer'>, 'participant'>): void {
    if (this.#state.people.length > 1) this.#link.send(encodeMessage('pointer', { participant: HOST, ...pointer }));
  }

  /** Gives a text to all who may type. */
  copy(text: string): void {
    if (this.#clipboard.put(text)) this.#sendCopy({ participant: HOST, text });
  }

  /** Ends the session for everybody. */
  stop(): void {
    this.#link.send(encodeMessage('end', {}));
    this.#everybodyLetsGo();
    this.#unwatched();
    this.#sound.need({ pcm: false, opus: false });
    this.#clipboard.close();
    this.#link.close();
  }

  #take(message: Message): void {
    switch (message.name) {
      case 'welcome':
        this.#key = message.body.key;
        this.#inFlight = [];
        this.#video.reset();
        this.#link.send(encodeMessage('lease', this.#arbiter.lease));
        this.#link.send(encodeMessage('monitors', this.#monitors));
        this.#link.send(encodeMessage('soundForms', this.#sound.forms));
        if (message.body.version >= RELAY_VERSION) {
          this.#link.send(encodeMessage('videoCoders', { forms: this.#video.forms }));
        }
        // It may have ended while there was no connection.
        if (!this.#video.isPlaying) this.#link.send(encodeMessage('videoEnd', {}));
        return;
      case 'roster':
        this.#meet(message.body.people);
        return;
      case 'links':
        this.#tell({ links: message.body.links });
        return;
      case 'soundForms':
        this.#sound.need(message.body);
        return;
      case 'videoForms':
        this.#shows(olderForms(message.body));
        return;
      case 'videoCoders':
        this.#shows(message.body.forms);
        return;
      case 'videoAck':
        this.#video.ack(message.body.number);
        return;
      case 'videoKey':
        this.#video.wantKey();
        return;
      case 'refresh':
        this.#isAsked = true;
        this.#toRelay.want(message.body.since);
        this.#step();
        return;
      case 'ack':
        this.#inFlight = this.#inFlight.filter((sequence) => sequence > message.body.sequence);
        this.#step();
        return;
      case 'keys':
        this.#arbiter.keys(message.body);
        return;
      case 'mouse':
        this.#arbiter.mouse(message.body);
        return;
      case 'typed':
        this.#arbiter.typed(message.body);
        return;
      case 'disc':
        this.#discs.announced(
          message.body,
          this.#arbiter.mayGive(message.body.participant),
          this.#nameOf(message.body),
        );
        return;
      case 'discPart':
        this.#discs.part(message.body);
        return;
      case 'clipboard':
        this.#takeCopy(message.body);
        return;
      case 'leaseAction':
        this.#arbiter.act(message.body);
        return;
      case 'pointer':
        this.#parts.onPointer(message.body);
        return;
      case 'signal':
        this.#signalled(message.body);
        return;
    }
  }

  #meet(people: readonly Person[]): void {
    const here = new Set(people.map(({ id }) => id));
    for (const { id } of this.#state.people) {
      if (here.has(id)) continue;
      this.#arbiter.leave(id);
      this.#discs.leave(id);
      this.#copies.leave(id);
      this.#offered.delete(id);
      this.#parts.direct?.close(id);
    }
    for (const { id, role } of people) this.#arbiter.join(id, role);
    this.#tell({ people });
    if (people.some(({ id }) => id !== HOST)) this.#watched();
    else this.#unwatched();
  }

  #takeCopy(part: BodyOf<'clipboard'>): void {
    const { participant } = part;
    const text = this.#copies.take(part);
    if (text === undefined || !this.#arbiter.mayGive(participant) || !this.#clipboard.put(text)) return;
    this.#sendCopy({ participant, text });
    this.#parts.onCopied?.({ participant, text });
  }

  #sendCopy({ participant, text }: Copied): void {
    for (const part of clipboardParts(text, participant)) this.#link.send(encodeMessage('clipboard', part));
  }

  /** Those whose messages no longer come cannot let go themselves. */
  #everybodyLetsGo(): void {
    for (const { id } of this.#state.people) if (id !== HOST) this.#arbiter.letGo(id);
  }

  #tell(changes: Partial<ShareState>): void {
    this.#state = { ...this.#state, ...changes };
    this.#parts.onState(this.#state);
  }

  // Direct connections. What comes over them is checked like everything else; the relay says who is here as what.

  /** A viewer's connection is there. */
  directOpened(participant: number): void {
    if (this.#isHere(participant)) this.#direct.set(participant, undefined);
    else this.#parts.direct?.close(participant);
  }

  directClosed(participant: number): void {
    const feed = this.#direct.get(participant);
    if (feed) this.#fan.close(feed);
    this.#direct.delete(participant);
    // What was on its way is lost, releases of keys included.
    this.#arbiter.letGo(participant);
    this.#step();
  }

  directMessage(participant: number, bytes: Uint8Array): void {
    if (!this.#direct.has(participant)) return;
    let message: Message;
    try {
      message = decodeMessage(bytes, MAX_VIEWER_MESSAGE_BYTES);
    } catch {
      this.#parts.direct?.close(participant);
      return;
    }
    if (message.name === 'refresh') this.#feed(participant, message.body.since);
    else if (message.name === 'ack') this.#direct.get(participant)?.ack(message.body.sequence);
    else if (message.name === 'videoAck') this.#direct.get(participant)?.videoAck(message.body.number);
    else if (message.name === 'keys') this.#arbiter.keys({ ...message.body, participant });
    else if (message.name === 'mouse') this.#arbiter.mouse({ ...message.body, participant });
    else if (message.name === 'typed') this.#arbiter.typed({ ...message.body, participant });
  }

  /** What a direct connection is to be told by the relay. */
  signal(participant: number, data: string): void {
    this.#link.send(encodeMessage('signal', { participant, data }));
  }

  #signalled({ participant, data }: BodyOf<'signal'>): void {
    const { direct } = this.#parts;
    const isKnown = this.#offered.has(participant);
    // The relay copies for many better than this page sends to many.
    if (!direct || !this.#isHere(participant) || (!isKnown && this.#offered.size >= MOST_DIRECT)) return;
    this.#offered.add(participant);
    direct.signal(participant, data);
  }

  /** A viewer says from where on it needs pictures: at first, and when it could not draw one. */
  #feed(participant: number, since: number): void {
    const before = this.#direct.get(participant);
    if (before) this.#fan.close(before);
    const send = (message: Uint8Array): void => this.#parts.direct?.send(participant, message);
    // From here on; until the viewer knows, the relay goes on as well, and what comes twice is old news.
    send(encodeMessage('direct', { on: true, since }));
    this.#direct.set(participant, this.#fan.open(send, since));
  }

  /** Somebody there has no connection of their own, or the relay has asked. */
  #isRelayWatched(): boolean {
    return this.#isAsked || this.#state.people.some(({ id }) => id !== HOST && !this.#direct.get(id));
  }

  #nameOf({ participant }: { readonly participant: number }): string {
    return this.#state.people.find(({ id }) => id === participant)?.name ?? 'somebody';
  }

  #isHere(participant: number): boolean {
    return participant !== HOST && this.#state.people.some(({ id }) => id === participant);
  }

  // Pictures.

  #watched(): void {
    if (this.#view) return;
    this.#view = this.#parts.desktop.view();
    this.#request();
    this.#lookForVideos();
  }

  /** What everybody can show. */
  #shows(forms: VideoForms): void {
    this.#video.need(forms);
    this.#lookForVideos();
  }

  #lookForVideos(): void {
    if (this.#lookout || !this.#view || !this.#video.isWanted) return;
    const lookout = this.#parts.desktop.view();
    this.#lookout = lookout;
    lookout.take();
    const look = (): void =>
      lookout.request(() => {
        this.#video.see(lookout.take().rects, performance.now());
        if (this.#video.isWanted) this.#lookAgain = setTimeout(look, LOOKOUT_MS);
        else this.#endLookout();
      });
    look();
  }

  #endLookout(): void {
    clearTimeout(this.#lookAgain);
    this.#lookout?.close();
    this.#lookout = undefined;
  }

  #sendVideo(picture: BodyOf<'video'>): void {
    const message = encodeMessage('video', picture);
    this.#fan.video(message, picture);
    if (this.#isRelayWatched()) this.#link.send(message);
    else this.#video.ack(picture.number);
  }

  #unwatched(): void {
    this.#video.close();
    this.#endLookout();
    this.#view?.close();
    this.#view = undefined;
    this.#hasNews = false;
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  /** Ahead of the picture that shows them so. */
  #tellMonitors(): void {
    const places = this.#parts.places?.() ?? [];
    const now = places.length > 1 ? places : NO_MONITORS.places;
    const before = this.#monitors.places;
    if (now.length === before.length && now.every((place, i) => isSamePlace(place, before[i]))) return;
    this.#monitors = { places: now.slice(0, MAX_PLACES) };
    this.#link.send(encodeMessage('monitors', this.#monitors));
  }

  #request(): void {
    this.#view?.request(() => {
      this.#hasNews = true;
      this.#step();
    });
  }

  /** Sends what is new or was asked for to where there is room, if the last one is long enough ago. */
  #step(): void {
    if (!this.#view || this.#pause !== undefined) return;
    const due = this.#outlets.filter((outlet) => outlet.isDue(this.#encoder.sequence, this.#hasNews));
    if (due.length === 0) return;
    const start = performance.now();
    const { desktop } = this.#parts;
    const { rects } = this.#view.take();
    const { width, height, pixels } = desktop.screen;
    this.#tellMonitors();
    const shown = { width, height, pixels, fourByThree: this.#parts.fourByThree() };
    const still = this.#video.step(shown, rects, start);
    this.#encoder.absorb(still.picture, still.rects, still.lost);
    const hadNews = this.#hasNews;
    this.#hasNews = false;
    const made: MadeMessages = new Map();
    for (const outlet of due) outlet.flush(this.#encoder, made);
    if (hadNews) this.#request();
    const pauseMs = (performance.now() - start) * PAUSE_SHARE;
    if (pauseMs < 1) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#step();
    }, pauseMs);
  }
}

const isSamePlace = (a: MonitorPlace, b: MonitorPlace): boolean =>
  a.monitor === b.monitor && a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
