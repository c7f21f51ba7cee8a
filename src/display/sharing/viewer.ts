/** The end of somebody who watches a shared machine by a link. */
import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { CodedError } from '#base/errors.ts';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import type { SoundSource } from '#emu/host/sound.ts';
import type { PictureSource } from '../canvas/canvas-presenter.ts';
import type { MonitorPlace } from '../raster/all-monitors.ts';
import type { Rect } from '../raster/rects.ts';
import {
  type BodyOf,
  decodeMessage,
  encodeMessage,
  HOST,
  type LeaseAction,
  MAX_SCANCODES,
  type Message,
  NOBODY,
  type Person,
  type Role,
  STREAM_VERSION,
  type VideoForms,
} from '../stream/messages.ts';
import { ScreenDecoder } from '../stream/screen-decoder.ts';
import { sayVideoForms } from '../stream/video-forms.ts';
import { ClipboardAssembler, type Copied, clipboardParts } from './clipboard-parts.ts';
import { canBeDirect, DirectPeer } from './direct-peer.ts';
import { DiscOutbox, type NamedBlob } from './disc-outbox.ts';
import { sessionAddress } from './early-socket.ts';
import { movePointer, type Pointers } from './machine-sharing.ts';
import { type MadeDecoder, ReceivedSound } from './received-sound.ts';
import { type MadeVideoDecoder, ReceivedVideo } from './received-video.ts';
import { type LinkState, RelayLink, type SocketMaker } from './relay-link.ts';

export interface ViewerParts {
  /** Address of the page, from which the relay's is made. */
  readonly base: string;
  readonly newSocket?: SocketMaker;
  /** The link's. */
  readonly token: string;
  readonly name: string;
  /** Of an earlier visit, to be the same person again. */
  readonly key: string;
  readonly onKey: (key: string) => void;
  /** Decodes Opus, where there is something that does. */
  readonly newOpusDecoder?: MadeDecoder | undefined;
  /** Decodes video, where there is something that does. */
  readonly videoDecoder?: Promise<MadeVideoDecoder | undefined>;
  /** Takes videos as they come, in the forms it says; then none are decoded here. */
  readonly video?: VideoSink | undefined;
  /** The picture has changed, and is what it now is until control goes back to the event loop. */
  readonly onPicture?: (rects: readonly Rect[]) => void;
}

/** Where a video's pictures go. */
export interface VideoSink {
  /** What it can show now. */
  readonly forms: VideoForms;
  take(picture: BodyOf<'video'>): void;
  /** The picture itself has that part again. */
  end(): void;
  /** The picture was drawn there. */
  drawn(rects: readonly Rect[]): void;
}

export interface ViewerState {
  readonly connection: LinkState;
  readonly why: string;
  readonly id: number;
  readonly role: Role;
  readonly machine: string;
  readonly people: readonly Person[];
  readonly lease: BodyOf<'lease'>;
  /** There is a picture. */
  readonly isShown: boolean;
  /** Pictures and input go from browser to browser rather than through the relay. */
  readonly isDirect: boolean;
}

const BEFORE: ViewerState = {
  ...{
    connection: 'connecting',
    why: '',
    id: NOBODY,
    role: 'view',
    machine: '',
    people: [],
    isShown: false,
    isDirect: false,
  },
  lease: { mode: 'share', holder: NOBODY, epoch: 0, asking: [] },
};
/** Within a signed field of so many bits and a sign. */
const bounded = (count: number, bits: number): number =>
  Math.max(-(2 ** bits), Math.min(2 ** bits - 1, Math.trunc(count)));
const NOTHING: readonly Rect[] = [];
/** A message through the relay has arrived after so long. */
const OVERTAKE_MS = 500;
const MOST_PARAGRAPH = 2000;

export class Viewer implements PictureSource {
  readonly #link: RelayLink;
  readonly #decoder = new ScreenDecoder();
  readonly #state: Signal<ViewerState> = signal(BEFORE);
  readonly #pointers: Signal<Pointers> = signal(new Map());
  readonly #monitors: Signal<readonly MonitorPlace[]> = signal([]);
  readonly #copied: Signal<Copied | undefined> = signal(undefined);
  readonly #copies = new ClipboardAssembler();
  readonly #onKey: (key: string) => void;
  readonly #onPicture: ((rects: readonly Rect[]) => void) | undefined;
  readonly #sound: ReceivedSound;
  readonly #video: VideoSink;
  #videoKnown: Promise<void> | undefined;
  /** Of the video's pictures: the last that came. By two ways, while they change over, each comes twice. */
  #videoNumber = 0;
  #relayVersion = 0;
  readonly #discs = new DiscOutbox((message) => this.#link.send(message));
  #direct: DirectPeer | undefined;
  #directBytes = 0;
  /** When input last went through the relay. */
  #relayedAt = 0;
  #key: string;
  #changed: Rect[] = [];

  constructor(parts: ViewerParts) {
    const { base, token, name, key, onKey, onPicture, newSocket, newOpusDecoder } = parts;
    this.#key = key;
    this.#onKey = onKey;
    this.#onPicture = onPicture;
    this.#sound = new ReceivedSound({
      newOpusDecoder,
      onForms: (forms) => this.#link.send(encodeMessage('soundForms', forms)),
    });
    this.#video = parts.video ?? this.#decodedBy(parts.videoDecoder);
    this.#link = new RelayLink({
      url: sessionAddress(base),
      newSocket,
      token: () => Promise.resolve(token),
      onOpen: () => {
        const since = this.#decoder.sequence;
        this.#link.send(encodeMessage('join', { version: STREAM_VERSION, name, key: this.#key, since }));
      },
      onMessage: (message) => this.#take(message),
      onState: (connection, why) => {
        if (connection !== 'open') this.#direct?.close();
        this.#tell({ connection, why });
      },
    });
  }

  get state(): ReadonlySignal<ViewerState> {
    return this.#state;
  }

  get pointers(): ReadonlySignal<Pointers> {
    return this.#pointers;
  }

  /** Where in the picture the machine's monitors lie; none: there is one. */
  get monitors(): ReadonlySignal<readonly MonitorPlace[]> {
    return this.#monitors;
  }

  /** What somebody else has copied for all, last. */
  get copied(): ReadonlySignal<Copied | undefined> {
    return this.#copied;
  }

  get receivedBytes(): number {
    return this.#link.receivedBytes + this.#directBytes;
  }

  /** Whether what is typed here reaches the guest now. */
  get mayType(): boolean {
    const { role, lease, id } = this.#state.value;
    return role !== 'view' && (lease.mode === 'share' || lease.holder === id);
  }

  /** What the machine plays: sent only while somebody listens here. */
  get sound(): SoundSource {
    return this.#sound;
  }

  /** What videos can be shown here has changed. */
  tellVideo(): void {
    this.#link.send(sayVideoForms(this.#video.forms, this.#relayVersion));
  }

  /** A picture of the video that builds upon no other is needed. */
  wantVideoKey(): void {
    this.#link.send(encodeMessage('videoKey', {}));
  }

  close(): void {
    this.#direct?.close();
    this.#video.end();
    this.#sound.close();
    this.#link.close();
  }

  // The picture.

  get width(): number {
    return Math.max(1, this.#decoder.width);
  }

  get height(): number {
    return Math.max(1, this.#decoder.height);
  }

  get fourByThree(): boolean {
    return this.#decoder.fourByThree;
  }

  get pixels(): Uint32Array<ArrayBuffer> {
    return this.#decoder.pixels;
  }

  get bytes(): Uint8ClampedArray<ArrayBuffer> {
    return this.#decoder.bytes;
  }

  render(): readonly Rect[] {
    if (this.#changed.length === 0) return NOTHING;
    const rects = this.#changed;
    this.#changed = [];
    return rects;
  }

  invalidate(): void {
    const { width, height } = this.#decoder;
    if (width > 0) this.#changed = [{ x: 0, y: 0, width, height }];
  }

  // Input.

  readonly keyboard: KeyboardInput = {
    putScancodes: (set1) => {
      if (!this.mayType || set1.length > MAX_SCANCODES) return;
      this.#sendInput(encodeMessage('keys', { ...this.#mine, scancodes: Uint8Array.from(set1) }));
    },
  };

  readonly mouse: MouseInput = {
    move: (dx, dy, dz, buttons, dw) => {
      if (!this.mayType) return;
      const moved = { dx: bounded(dx, 15), dy: bounded(dy, 15), dz: bounded(dz, 7), dw: bounded(dw, 7) };
      this.#sendInput(encodeMessage('mouse', { ...this.#mine, ...moved, buttons: buttons & 0xff }));
    },
  };

  /** Types text on the guest's keyboard. */
  typeText(text: string): void {
    if (!this.mayType) return;
    for (let at = 0; at < text.length; at += MOST_PARAGRAPH) {
      this.#sendInput(encodeMessage('typed', { ...this.#mine, text: text.slice(at, at + MOST_PARAGRAPH) }));
    }
  }

  /** Gives a text to all who may type. */
  copy(text: string): void {
    if (!this.mayType) return;
    for (const part of clipboardParts(text, HOST)) this.#link.send(encodeMessage('clipboard', part));
  }

  /**
   * Gives the guest files, as a CD in its drive.
   * @param onProgress 0 to 1
   * @throws CodedError<'not-taken'> the disc is not in, and why
   */
  async giveDisc(files: readonly NamedBlob[], onProgress: (share: number) => void = () => {}): Promise<void> {
    if (!this.mayType) throw new CodedError('not-taken', 'you may not give the machine anything now');
    await this.#discs.give(files, onProgress);
  }

  point(x: number, y: number, shown: boolean): void {
    this.#link.send(encodeMessage('pointer', { participant: HOST, x, y, shown }));
  }

  act(action: LeaseAction, target = 0): void {
    this.#link.send(encodeMessage('leaseAction', { participant: HOST, action, target }));
  }

  get #mine(): { readonly participant: number; readonly epoch: number } {
    return { participant: HOST, epoch: this.#state.value.lease.epoch };
  }

  #take(message: Message): void {
    switch (message.name) {
      case 'welcome': {
        const { version, participant: id, role, machine, key } = message.body;
        this.#key = key;
        this.#relayVersion = version;
        // It may have ended while there was no connection; if not, it begins again.
        this.#video.end();
        this.#onKey(key);
        this.#tell({ id, role, machine });
        this.#connectDirectly();
        this.#sound.tell();
        // Others see a video as long as nobody is known who cannot; none comes before this.
        void Promise.resolve(this.#videoKnown).then(() => this.tellVideo());
        return;
      }
      case 'signal':
        this.#direct?.signal(message.body.data);
        return;
      case 'roster':
        this.#tell({ people: message.body.people });
        return;
      case 'lease':
        this.#tell({ lease: message.body });
        return;
      case 'monitors':
        this.#monitors.value = message.body.places;
        return;
      case 'pointer':
        this.#pointers.value = movePointer(this.#pointers.value, message.body);
        return;
      case 'clipboard': {
        const text = this.#copies.take(message.body);
        if (text !== undefined) this.#copied.value = { participant: message.body.participant, text };
        return;
      }
      case 'discTaken':
        this.#discs.taken(message.body);
        return;
      case 'sound':
        this.#sound.take(message.body);
        return;
      case 'update':
        this.#draw(message.body, this.#link);
        return;
      case 'video':
        this.#play(message.body, this.#link);
        return;
      case 'videoEnd':
        this.#video.end();
        return;
    }
  }

  #decodedBy(made: Promise<MadeVideoDecoder | undefined> | undefined): VideoSink {
    let decoder: MadeVideoDecoder | undefined;
    this.#videoKnown = made?.then((found) => {
      decoder = found;
    });
    const shown = (rect: Rect): void => {
      if (this.#onPicture) this.#onPicture([rect]);
      else this.#changed.push(rect);
    };
    return new ReceivedVideo({
      decoder: () => decoder,
      picture: () => this.#decoder,
      onShown: shown,
      onBroken: () => this.tellVideo(),
      onLost: () => this.wantVideoKey(),
    });
  }

  #play(picture: BodyOf<'video'>, reply: { send(message: Uint8Array<ArrayBuffer>): void }): void {
    if (picture.number > this.#videoNumber) {
      this.#videoNumber = picture.number;
      this.#video.take(picture);
    }
    reply.send(encodeMessage('videoAck', { number: picture.number }));
  }

  /** By the shorter way, if nothing can be on the other that this would overtake. */
  #sendInput(message: Uint8Array<ArrayBuffer>): void {
    const now = performance.now();
    if (this.#direct && this.#state.value.isDirect && now - this.#relayedAt > OVERTAKE_MS) {
      this.#direct.send(message);
      return;
    }
    this.#relayedAt = now;
    this.#link.send(message);
  }

  /** Tries a connection from browser to browser; until it is there, and where it never is, the relay carries all. */
  #connectDirectly(): void {
    this.#direct?.close();
    if (!canBeDirect()) return;
    const peer = new DirectPeer({
      isInitiator: true,
      onSignal: (data) => this.#link.send(encodeMessage('signal', { participant: HOST, data })),
      // The relay goes on until the host has said that it has heard this.
      onOpen: () => peer.send(encodeMessage('refresh', { since: this.#decoder.sequence })),
      onMessage: (bytes) => {
        let message: Message;
        try {
          message = decodeMessage(bytes);
        } catch {
          peer.close();
          return;
        }
        this.#directBytes += bytes.length;
        if (message.name === 'update') this.#draw(message.body, peer);
        else if (message.name === 'video') this.#play(message.body, peer);
        else if (message.name === 'videoEnd') this.#video.end();
        else if (message.name === 'direct') this.#isDirectNow(peer);
      },
      onClose: () => {
        if (this.#direct !== peer) return;
        this.#direct = undefined;
        if (!this.#state.value.isDirect) return;
        this.#link.send(encodeMessage('direct', { on: false, since: this.#decoder.sequence }));
        this.#tell({ isDirect: false });
      },
    });
    this.#direct = peer;
  }

  #isDirectNow(peer: DirectPeer): void {
    if (this.#direct !== peer || this.#state.value.isDirect) return;
    this.#link.send(encodeMessage('direct', { on: true, since: this.#decoder.sequence }));
    this.#tell({ isDirect: true });
  }

  /** @param reply the way that it came */
  #draw(update: BodyOf<'update'>, reply: { send(message: Uint8Array<ArrayBuffer>): void }): void {
    try {
      const rects = this.#decoder.apply(update);
      // Whoever is told needs no account of it.
      if (this.#onPicture) this.#onPicture(rects);
      else this.#changed.push(...rects);
      this.#video.drawn(rects);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      reply.send(encodeMessage('refresh', { since: 0 }));
      return;
    }
    reply.send(encodeMessage('ack', { sequence: update.sequence }));
    if (!this.#state.value.isShown) this.#tell({ isShown: true });
  }

  #tell(changes: Partial<ViewerState>): void {
    this.#state.value = { ...this.#state.value, ...changes };
  }
}
