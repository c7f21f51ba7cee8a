/** A machine's end of a session: sends its screen, takes the input of those who may give it. */
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import type { Desktop, DesktopView } from '../desktop/desktop.ts';
import { InputArbiter } from '../stream/input-arbiter.ts';
import {
  type BodyOf,
  encodeMessage,
  HOST,
  type Link,
  type Message,
  type Person,
  STREAM_VERSION,
} from '../stream/messages.ts';
import { ScreenEncoder } from '../stream/screen-encoder.ts';
import { type LinkState, RelayLink, type SocketMaker } from './relay-link.ts';

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
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  readonly typeText: (text: string) => void;
  readonly onState: (state: ShareState) => void;
  readonly onPointer: (pointer: BodyOf<'pointer'>) => void;
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
/** At most a third of a core goes into coding: after an update, twice its time is a pause. */
const PAUSE_SHARE = 2;

export class ShareHost {
  readonly #parts: ShareHostParts;
  readonly #link: RelayLink;
  readonly #arbiter: InputArbiter;
  readonly #encoder = new ScreenEncoder();
  #state: ShareState;
  #key = '';
  #view: DesktopView | undefined;
  #hasNews = false;
  /** An update was asked for that builds upon this one. */
  #wanted: number | undefined;
  #sent = 0;
  #acknowledged = 0;
  #inFlight: number[] = [];
  #pause: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: ShareHostParts) {
    this.#parts = parts;
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
        if (connection !== 'open') this.#everybodyLetsGo();
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

  /** Ends the session for everybody. */
  stop(): void {
    this.#link.send(encodeMessage('end', {}));
    this.#everybodyLetsGo();
    this.#unwatched();
    this.#link.close();
  }

  #take(message: Message): void {
    switch (message.name) {
      case 'welcome':
        this.#key = message.body.key;
        this.#inFlight = [];
        this.#link.send(encodeMessage('lease', this.#arbiter.lease));
        return;
      case 'roster':
        this.#meet(message.body.people);
        return;
      case 'links':
        this.#tell({ links: message.body.links });
        return;
      case 'refresh':
        this.#wanted = Math.min(this.#wanted ?? message.body.since, message.body.since);
        this.#step();
        return;
      case 'ack':
        this.#acknowledged = message.body.sequence;
        this.#inFlight = this.#inFlight.filter((sequence) => sequence > this.#acknowledged);
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
      case 'leaseAction':
        this.#arbiter.act(message.body);
        return;
      case 'pointer':
        this.#parts.onPointer(message.body);
        return;
    }
  }

  #meet(people: readonly Person[]): void {
    const here = new Set(people.map(({ id }) => id));
    for (const { id } of this.#state.people) if (!here.has(id)) this.#arbiter.leave(id);
    for (const { id, role } of people) this.#arbiter.join(id, role);
    this.#tell({ people });
    if (people.some(({ id }) => id !== HOST)) this.#watched();
    else this.#unwatched();
  }

  /** Those whose messages no longer come cannot let go themselves. */
  #everybodyLetsGo(): void {
    for (const { id } of this.#state.people) if (id !== HOST) this.#arbiter.letGo(id);
  }

  #tell(changes: Partial<ShareState>): void {
    this.#state = { ...this.#state, ...changes };
    this.#parts.onState(this.#state);
  }

  // Pictures.

  #watched(): void {
    if (this.#view) return;
    this.#view = this.#parts.desktop.view();
    this.#request();
  }

  #unwatched(): void {
    this.#view?.close();
    this.#view = undefined;
    this.#hasNews = false;
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  #request(): void {
    this.#view?.request(() => {
      this.#hasNews = true;
      this.#step();
    });
  }

  /** Sends what is new or was asked for, if the relay keeps up and the last one is long enough ago. */
  #step(): void {
    const isDue = this.#hasNews || this.#wanted !== undefined;
    if (!this.#view || !isDue || this.#pause !== undefined || !this.#link.isOpen) return;
    if (this.#inFlight.length >= MOST_IN_FLIGHT) return;
    const start = performance.now();
    const { desktop } = this.#parts;
    const { rects } = this.#view.take();
    const { width, height, pixels } = desktop.screen;
    this.#encoder.absorb({ width, height, pixels, fourByThree: this.#parts.fourByThree() }, rects);
    const since = Math.min(this.#wanted ?? this.#sent, this.#sent);
    if (this.#encoder.sequence > since) this.#send(since);
    this.#wanted = undefined;
    const hadNews = this.#hasNews;
    this.#hasNews = false;
    if (hadNews) this.#request();
    const pauseMs = (performance.now() - start) * PAUSE_SHARE;
    if (pauseMs < 1) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#step();
    }, pauseMs);
  }

  #send(since: number): void {
    const update = this.#encoder.updateSince(since);
    this.#link.send(encodeMessage('update', update));
    this.#sent = update.sequence;
    this.#inFlight.push(update.sequence);
  }
}
