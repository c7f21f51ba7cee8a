/** One client and the desktop it uses: connection, picture and input, without a socket. */
import type { Desktop, DesktopSeat, DesktopView, GivenFile } from '#display/desktop/desktop.ts';
import type { Rect } from '#display/raster/rects.ts';
import { AudioInput } from './channels/audio-input.ts';
import { ClipboardChannel, type ClipboardWays } from './channels/clipboard.ts';
import { DisplayControl } from './channels/display-control.ts';
import { type DynamicChannel, DynamicChannels } from './channels/dynamic-channels.ts';
import { MultimediaRedirection } from './channels/multimedia-redirection.ts';
import { LOST_MS, NetworkDetection } from './channels/network-detection.ts';
import { SoundPlayback } from './channels/sound-playback.ts';
import { StaticChannels } from './channels/static-channels.ts';
import { TouchInput } from './channels/touch.ts';
import { VideoRedirection } from './channels/video-redirection.ts';
import { ClientInput } from './client-input.ts';
import { ClientVideo } from './client-video.ts';
import { BitmapOutput, type ScreenOutput } from './graphics/bitmap-output.ts';
import { PipelineOutput } from './graphics/pipeline-output.ts';
import type { ColorDepth } from './graphics/pixels.ts';
import { PointerOutput } from './graphics/pointer-output.ts';
import { ScreenTiles } from './graphics/remotefx/screen-tiles.ts';
import { canShowRemoteFx, RemoteFxOutput } from './graphics/remotefx-output.ts';
import type { PduReader } from './pdu/bytes.ts';
import { INFO } from './pdu/client-info.ts';
import type { ScreenSize } from './pdu/display-control.ts';
import { EARLY_CAPABILITY } from './pdu/gcc.ts';
import { SEC } from './pdu/security-header.ts';
import { reconnectCookieBody, SHARE_DATA } from './pdu/share.ts';
import type { StandardKey } from './security/proprietary-certificate.ts';
import type { ReconnectCookie } from './security/reconnect-cookies.ts';
import type { Credentials, Refusal, SecurityPolicy } from './sequence/phase.ts';
import { ServerConnection } from './sequence/server-connection.ts';

/** What of a session a person has switched off: Client/Disable* of VirtualBox. */
export interface DisabledFeatures {
  readonly display: boolean;
  readonly input: boolean;
  readonly audio: boolean;
  /** What clients record. */
  readonly upstreamAudio?: boolean;
}

/** A little more than a video's pictures may be apart. */
const REFINE_MS = 330;
/** Pixels of a side that a client may sensibly ask for ([MS-RDPEDISP] 2.2.2.2.1). */
const [LEAST_SIDE, MOST_SIDE] = [200, 8192];

export interface ClientSessionParts {
  readonly desktop: Desktop;
  readonly policy: SecurityPolicy;
  readonly disabled: DisabledFeatures;
  /** Quality of videos, percent; undefined: they are shown like everything else. */
  readonly videoQuality: number | undefined;
  readonly clipboard: ClipboardWays;
  readonly nowMs: () => number;
  /** @returns a function that calls it off */
  readonly later: (ms: number, what: () => void) => () => void;
  readonly standardKey: () => StandardKey;
  /** @returns false when no more should be sent until `onDrain` */
  readonly send: (bytes: Uint8Array) => boolean;
  readonly startTls: () => void;
  readonly random: (count: number) => Uint8Array;
  readonly authenticate: (who: Credentials) => Promise<Refusal | undefined>;
  readonly slowDown: (userName: string) => Promise<void>;
  readonly onWrongPassword: () => void;
  /** @returns what the client needs to come back without a password */
  readonly onActive: () => ReconnectCookie;
  readonly onEnd: (why: string) => void;
  /** Something that an operator should know. */
  readonly note: (text: string) => void;
}

export class ClientSession {
  readonly #parts: ClientSessionParts;
  readonly #connection: ServerConnection;
  /** The monitor that the client has asked for. */
  #desktop: Desktop;
  #view: DesktopView | undefined;
  #seat: DesktopSeat | undefined;
  #input: ClientInput | undefined;
  #output: ScreenOutput | undefined;
  #forgetPointer: (() => void) | undefined;
  #channels: StaticChannels | undefined;
  readonly #network: NetworkDetection;
  #sound: SoundPlayback | undefined;
  #microphone: AudioInput | undefined;
  #clipboard: ClipboardChannel | undefined;
  #shownWidth = 0;
  #shownHeight = 0;
  #hasRoom = true;
  #isSuppressed = false;
  /** The view is asked, or something keeps it from being asked. */
  #isAsking = false;
  #callOff: (() => void) | undefined;
  #stopWaiting: (() => void) | undefined;
  #stopWaitingForAnswer: (() => void) | undefined;
  #video: ClientVideo | undefined;
  #redirection: VideoRedirection | undefined;
  #multimedia: MultimediaRedirection | undefined;
  /** Where the client has shown a video, and is shown the screen next. */
  #uncovered: Rect[] = [];

  constructor(parts: ClientSessionParts) {
    this.#parts = parts;
    this.#desktop = parts.desktop;
    this.#network = new NetworkDetection((pdu) => {
      const { link, messageChannelId } = this.#connection.state;
      if (messageChannelId !== undefined) link.sendToChannel(messageChannelId, pdu, SEC.autoDetectRequest);
    }, parts.nowMs);
    const { policy, standardKey, startTls, random, authenticate, slowDown, onWrongPassword } = parts;
    this.#connection = new ServerConnection(
      {
        ...{ policy, standardKey, startTls, random, authenticate, slowDown, onWrongPassword },
        send: (bytes) => {
          this.#network.sent(bytes.length);
          if (!parts.send(bytes)) this.#hasRoom = false;
        },
        chooseMonitor: (number) => {
          const { desktop } = parts;
          const hasSeveral = (this.#connection.state.client?.monitors.length ?? 0) > 1;
          const usual = (hasSeveral ? desktop.together : undefined) ?? desktop;
          const chosen = number === undefined ? usual : number === 1 ? desktop : desktop.monitors?.[number - 1];
          this.#desktop = chosen ?? desktop;
          return chosen !== undefined;
        },
        monitors: () => this.#desktop.places?.() ?? [],
        screen: () => {
          const { width, height } = this.#sizeToDemand();
          this.#shownWidth = width;
          this.#shownHeight = height;
          return { width, height };
        },
        onActive: () => this.#begin(),
        onEnd: (why) => {
          this.#release();
          parts.onEnd(why);
        },
      },
      {
        onInput: (event) => this.#input?.take(event),
        onChannelData: (id, chunk) => {
          if (id === this.#connection.state.messageChannelId) this.#measured(chunk);
          else this.#channels?.receive(id, chunk);
        },
        onRefresh: () => {
          this.#output?.forget();
          this.#view?.invalidate();
        },
        onSuppress: (suppressed) => {
          this.#isSuppressed = suppressed;
          if (!suppressed) this.#ask();
        },
        onFrameAcknowledged: (frame) => {
          this.#output?.onFrameAcknowledged(frame);
          this.#ask();
        },
      },
    );
  }

  get connection(): ServerConnection {
    return this.#connection;
  }

  receive(bytes: Uint8Array): void {
    this.#connection.receive(bytes);
  }

  /** What was sent is out. */
  onDrain(): void {
    this.#hasRoom = true;
    this.#clipboard?.onRoom();
    this.#ask();
  }

  /** The peer is gone without a word. */
  lost(): void {
    this.#connection.disconnect(0, 'the connection was lost');
    this.#release();
  }

  /**
   * The size of the screen; at first the one that the client has asked for, if that is less. Remmina 1.4 follows only
   * changes and would cut off what is beyond its own; this change comes as soon as it is active.
   */
  #sizeToDemand(): ScreenSize {
    const { screen } = this.#desktop;
    const { client } = this.#connection.state;
    if (!client || this.#seat || client.monitors.length > 1) return screen;
    const { width, height } = client.core;
    const isLess = width < screen.width || height < screen.height;
    const isSound = [width, height].every((one) => one >= LEAST_SIDE && one <= MOST_SIDE);
    return isLess && isSound ? { width, height } : screen;
  }

  #begin(): void {
    const { disabled } = this.#parts;
    const desktop = this.#desktop;
    const isFirst = this.#seat === undefined;
    if (isFirst) {
      this.#seat = desktop.seat();
      if (!disabled.input) {
        this.#input = new ClientInput(this.#seat, () => desktop.leds, {
          paste: () => this.#paste(),
          copy: () => this.#clipboard?.offer(desktop.screenText?.() ?? '') ?? false,
        });
      }
      if (!disabled.display) this.#view = desktop.view();
      this.#beginVideo();
      this.#beginChannels();
      this.#tellCookie(this.#parts.onActive());
    } else this.#view?.invalidate();
    this.#beginPointer();
    if (!this.#output?.followsSize) this.#showBy(this.#plainOutput());
  }

  /** After each activation the client has none of what it kept. */
  #beginPointer(): void {
    const { link, capabilities } = this.#connection.state;
    this.#forgetPointer?.();
    if (!capabilities || this.#parts.disabled.display) return;
    const output = new PointerOutput(link, capabilities);
    const show = (): void => {
      const { pointer } = this.#desktop;
      if (pointer) output.show(pointer);
    };
    // While a client is activated anew it is shown nothing; the last one comes when that is over.
    this.#forgetPointer = this.#desktop.onPointer?.(() => this.#connection.isActive && show());
    show();
  }

  #tellCookie({ logonId, random }: ReconnectCookie): void {
    const { link, capabilities } = this.#connection.state;
    if (capabilities?.autoReconnect)
      link.sendShareData(SHARE_DATA.saveSessionInfo, reconnectCookieBody(logonId, random));
  }

  #beginChannels(): void {
    const { link, channels, client } = this.#connection.state;
    this.#channels = new StaticChannels(link, channels);
    this.#beginSound(this.#channels);
    this.#beginClipboard(this.#channels);
    const dynamic: DynamicChannel[] = [];
    if (((client?.core.earlyCapabilities ?? 0) & EARLY_CAPABILITY.graphicsPipeline) !== 0) {
      dynamic.push(this.#pipeline());
    }
    const { disabled } = this.#parts;
    const desktop = this.#desktop;
    const shown = (desktop.places?.().length ?? 0) > 1 ? (this.#parts.desktop.monitors ?? []) : [desktop];
    // Who may not type may not change what others see either.
    if (shown.some(({ requestSize }) => requestSize) && !disabled.display && !disabled.input) {
      const ask = (sizes: readonly ScreenSize[]): void =>
        sizes.forEach(({ width, height }, i) => {
          shown[i].requestSize?.(width, height);
        });
      dynamic.push(new DisplayControl(ask, shown.length));
    }
    if (!disabled.input) dynamic.push(new TouchInput(() => this.#seat));
    if (this.#video) dynamic.push(...this.#videoRedirection(this.#video).channels);
    const jack = disabled.upstreamAudio ? undefined : desktop.microphones;
    if (dynamic.length === 0 && !jack) return;
    const send = this.#channels.open('drdynvc', (message) => carrier.receive(message));
    if (!send) return;
    const carrier = new DynamicChannels(send, dynamic);
    if (this.#video) this.#beginMultimedia(this.#video, carrier);
    if (jack) this.#microphone = new AudioInput(jack, (channel) => carrier.add(channel));
    carrier.begin();
  }

  #beginSound(channels: StaticChannels): void {
    const { desktop, disabled } = this.#parts;
    const isUnwanted = ((this.#connection.state.info?.flags ?? 0) & INFO.noAudioPlayback) !== 0;
    if (disabled.audio || isUnwanted) return;
    const send = channels.open('rdpsnd', (message) => this.#sound?.receive(message));
    if (!send) return;
    this.#sound = new SoundPlayback(desktop.sound, send);
    this.#sound.begin();
  }

  #beginClipboard(channels: StaticChannels): void {
    const { desktop, clipboard: ways, later } = this.#parts;
    if (!ways.fromClient && !ways.toClient) return;
    const send = channels.open('cliprdr', (message) => this.#clipboard?.receive(message));
    if (!send) return;
    const { disabled, note } = this.#parts;
    const from = this.#connection.state.info?.userName || 'an RDP client';
    const give = disabled.input ? undefined : desktop.giveFiles;
    const taker = give && { take: (files: readonly GivenFile[]) => give.call(desktop, files, from), say: note };
    // Who may not type may look at what others have, and gives nothing.
    const files = { taker, mayGive: !disabled.input, hasRoom: () => this.#hasRoom };
    this.#clipboard = new ClipboardChannel(desktop.clipboard, ways, later, send, files);
    this.#clipboard.begin();
  }

  /** @returns what is to be typed; nothing where files are fetched; undefined: there is nothing to paste */
  #paste(): string | undefined {
    if (this.#clipboard?.fetchFiles()) return '';
    const { text } = this.#parts.desktop.clipboard;
    return this.#clipboard && this.#parts.clipboard.fromClient && text !== '' ? text : undefined;
  }

  /** Takes the picture over once the client has said that it can. */
  #pipeline(): PipelineOutput {
    const pipeline: PipelineOutput = new PipelineOutput(
      {
        framesInFlight: this.#framesInFlight,
        monitors: () => this.#desktop.places?.() ?? [],
        onReady: () => {
          this.#view?.invalidate();
          this.#showBy(pipeline);
          this.#video?.set('pipeline', pipeline.hasAvc ? pipeline : undefined);
        },
        wantVideoKey: () => this.#video?.wantKey(),
        onRefused: () => {
          this.#video?.set('pipeline', undefined);
          if (this.#output !== pipeline) return;
          this.#view?.invalidate();
          this.#showBy(this.#plainOutput());
        },
        onAcknowledged: () => this.#ask(),
      },
      this.#newTiles(),
    );
    return pipeline;
  }

  /** Videos that somebody has coded already are passed on. */
  #beginVideo(): void {
    const { video } = this.#desktop;
    if (!video || !this.#view || this.#parts.videoQuality === undefined) return;
    this.#video = new ClientVideo(video, (pixelCount, put) => {
      const isWanted = this.#hasRoom && !this.#isSuppressed && this.#connection.isActive;
      if (!isWanted || !this.#network.hasRoom) put(false);
      else this.#put(pixelCount, () => put(true));
      if (!this.#network.hasRoom) this.#waitForAnswer();
    });
  }

  #videoRedirection(video: ClientVideo): VideoRedirection {
    const { nowMs, later } = this.#parts;
    const redirection: VideoRedirection = new VideoRedirection({
      ...{ nowMs, later },
      screen: () => this.#desktop.screen,
      onReady: () => video.set('redirection', redirection),
      onRefused: () => video.set('redirection', undefined),
      wantKey: () => video.wantKey(),
      onUncovered: this.#drawAgain,
    });
    this.#redirection = redirection;
    return redirection;
  }

  #beginMultimedia(video: ClientVideo, carrier: DynamicChannels): void {
    const { nowMs, later, random } = this.#parts;
    const multimedia: MultimediaRedirection = new MultimediaRedirection({
      ...{ nowMs, later, random },
      screen: () => this.#desktop.screen,
      open: (channel) => carrier.add(channel),
      onReady: () => video.set('multimedia', multimedia),
      onRefused: () => video.set('multimedia', undefined),
      onUncovered: this.#drawAgain,
    });
    this.#multimedia = multimedia;
    multimedia.begin();
  }

  /** The client has shown something else there. */
  readonly #drawAgain = (area: Rect): void => {
    this.#uncovered.push(area);
    this.#view?.invalidate(area);
  };

  readonly #framesInFlight = (): number => this.#network.framesInFlight;

  #plainOutput(): ScreenOutput | undefined {
    const { link, capabilities, bitsPerPixel } = this.#connection.state;
    if (!capabilities) return undefined;
    return canShowRemoteFx(capabilities)
      ? new RemoteFxOutput(link, capabilities, this.#newTiles(), this.#framesInFlight)
      : new BitmapOutput(link, capabilities, bitsPerPixel as ColorDepth);
  }

  #newTiles(): ScreenTiles {
    return new ScreenTiles(this.#parts.videoQuality, this.#parts.nowMs, () => this.#network.bytesAMs);
  }

  #showBy(output: ScreenOutput | undefined): void {
    this.#output = output;
    output?.begin();
    this.#ask();
  }

  #ask(): void {
    if (this.#isAsking || !this.#view || !this.#hasRoom || this.#isSuppressed || !this.#output?.isReady) return;
    if (!this.#network.hasRoom) {
      this.#waitForAnswer();
      return;
    }
    this.#isAsking = true;
    const { waitMs } = this.#output;
    if (waitMs > 0) {
      this.#stopWaiting = this.#parts.later(waitMs, () => {
        this.#isAsking = false;
        this.#ask();
      });
      return;
    }
    this.#view.request(() => {
      this.#isAsking = false;
      this.#show();
    });
  }

  /** What is on its way has to arrive; a client that no longer says so is not waited for. */
  #waitForAnswer(): void {
    this.#stopWaitingForAnswer ??= this.#parts.later(LOST_MS, () => {
      this.#stopWaitingForAnswer = undefined;
      this.#network.givesUp();
      this.#ask();
    });
  }

  /** An answer of the client to what the network is asked. @throws PduError */
  #measured(chunk: PduReader): void {
    this.#network.receive(chunk);
    this.#stopWaitingForAnswer?.();
    this.#stopWaitingForAnswer = undefined;
    this.#ask();
  }

  /** Sends a picture, and measures how it gets there. @param pixelCount of what it shows */
  #put(pixelCount: number, send: () => void): void {
    if (this.#connection.state.messageChannelId === undefined) {
      send();
      return;
    }
    this.#network.sending(pixelCount);
    send();
    this.#network.isSent();
  }

  #show(): void {
    if (!this.#view || !this.#connection.isActive || this.#isSuppressed) return;
    const { rects } = this.#view.take();
    const { screen } = this.#desktop;
    const isResized = screen.width !== this.#shownWidth || screen.height !== this.#shownHeight;
    if (isResized && !this.#output?.followsSize) {
      this.#connection.reactivate();
      return;
    }
    for (const area of this.#uncovered.splice(0)) this.#output?.overwritten(area);
    const left = this.#video?.uncovered(rects) ?? rects;
    const pixelCount = left.reduce((sum, { width, height }) => sum + width * height, 0);
    this.#put(pixelCount, () => this.#output?.show(screen, left));
    this.#refineLater();
    this.#ask();
  }

  /** A video that has stopped is shown as it is, though nothing changes any more. */
  #refineLater(): void {
    if (this.#callOff || !this.#output?.canRefine) return;
    this.#callOff = this.#parts.later(REFINE_MS, () => {
      this.#callOff = undefined;
      if (!this.#view || !this.#connection.isActive) return;
      const { screen } = this.#desktop;
      const isSameSize = screen.width === this.#shownWidth && screen.height === this.#shownHeight;
      const canShow = this.#hasRoom && this.#network.hasRoom && !this.#isSuppressed && this.#output?.isReady;
      const refine = (): void => this.#output?.refine(screen, this.#video?.covered);
      if (canShow && (isSameSize || this.#output?.followsSize)) this.#put(screen.width * screen.height, refine);
      this.#refineLater();
    });
  }

  #release(): void {
    this.#view?.close();
    this.#seat?.close();
    this.#forgetPointer?.();
    this.#sound?.close();
    this.#microphone?.close();
    this.#clipboard?.close();
    this.#callOff?.();
    this.#stopWaiting?.();
    this.#stopWaitingForAnswer?.();
    this.#video?.close();
    this.#redirection?.close();
    this.#multimedia?.close();
    this.#view = undefined;
    this.#seat = undefined;
    this.#input = undefined;
  }
}
