/** One client and the desktop it uses: connection, picture and input, without a socket. */
import type { Desktop, DesktopSeat, DesktopView } from '#display/desktop/desktop.ts';
import { ClipboardChannel, type ClipboardWays } from './channels/clipboard.ts';
import { DisplayControl } from './channels/display-control.ts';
import { type DynamicChannel, DynamicChannels } from './channels/dynamic-channels.ts';
import { SoundPlayback } from './channels/sound-playback.ts';
import { StaticChannels } from './channels/static-channels.ts';
import { ClientInput } from './client-input.ts';
import { BitmapOutput, type ScreenOutput } from './graphics/bitmap-output.ts';
import { PipelineOutput } from './graphics/pipeline-output.ts';
import type { ColorDepth } from './graphics/pixels.ts';
import { ScreenTiles } from './graphics/remotefx/screen-tiles.ts';
import { canShowRemoteFx, RemoteFxOutput } from './graphics/remotefx-output.ts';
import { INFO } from './pdu/client-info.ts';
import { EARLY_CAPABILITY } from './pdu/gcc.ts';
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
}

/** A little more than a video's pictures may be apart. */
const REFINE_MS = 330;

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
}

export class ClientSession {
  readonly #parts: ClientSessionParts;
  readonly #connection: ServerConnection;
  #view: DesktopView | undefined;
  #seat: DesktopSeat | undefined;
  #input: ClientInput | undefined;
  #output: ScreenOutput | undefined;
  #channels: StaticChannels | undefined;
  #sound: SoundPlayback | undefined;
  #clipboard: ClipboardChannel | undefined;
  #shownWidth = 0;
  #shownHeight = 0;
  #hasRoom = true;
  #isSuppressed = false;
  /** The view is asked, or something keeps it from being asked. */
  #isAsking = false;
  #callOff: (() => void) | undefined;

  constructor(parts: ClientSessionParts) {
    this.#parts = parts;
    const { desktop, policy, standardKey, startTls, random, authenticate, slowDown, onWrongPassword } = parts;
    this.#connection = new ServerConnection(
      {
        ...{ policy, standardKey, startTls, random, authenticate, slowDown, onWrongPassword },
        send: (bytes) => {
          if (!parts.send(bytes)) this.#hasRoom = false;
        },
        screen: () => {
          const { width, height } = desktop.screen;
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
        onChannelData: (id, chunk) => this.#channels?.receive(id, chunk),
        onRefresh: () => this.#view?.invalidate(),
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
    this.#ask();
  }

  /** The peer is gone without a word. */
  lost(): void {
    this.#connection.disconnect(0, 'the connection was lost');
    this.#release();
  }

  #begin(): void {
    const { desktop, disabled } = this.#parts;
    const isFirst = this.#seat === undefined;
    if (isFirst) {
      this.#seat = desktop.seat();
      if (!disabled.input) {
        this.#input = new ClientInput(this.#seat, () => desktop.leds, {
          paste: () => this.#textToType(),
          copy: () => this.#clipboard?.offer(desktop.screenText?.() ?? '') ?? false,
        });
      }
      if (!disabled.display) this.#view = desktop.view();
      this.#beginChannels();
      this.#tellCookie(this.#parts.onActive());
    } else this.#view?.invalidate();
    if (!this.#output?.followsSize) this.#showBy(this.#plainOutput());
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
    const { desktop, disabled } = this.#parts;
    // Who may not type may not change what others see either.
    if (desktop.requestSize && !disabled.display && !disabled.input) {
      dynamic.push(new DisplayControl(({ width, height }) => desktop.requestSize?.(width, height)));
    }
    if (dynamic.length === 0) return;
    const send = this.#channels.open('drdynvc', (message) => carrier.receive(message));
    if (!send) return;
    const carrier = new DynamicChannels(send, dynamic);
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
    this.#clipboard = new ClipboardChannel(desktop.clipboard, ways, later, send);
    this.#clipboard.begin();
  }

  #textToType(): string | undefined {
    const { text } = this.#parts.desktop.clipboard;
    return this.#clipboard && this.#parts.clipboard.fromClient && text !== '' ? text : undefined;
  }

  /** Takes the picture over once the client has said that it can. */
  #pipeline(): PipelineOutput {
    const pipeline: PipelineOutput = new PipelineOutput(
      {
        onReady: () => {
          this.#view?.invalidate();
          this.#showBy(pipeline);
        },
        onRefused: () => {
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

  #plainOutput(): ScreenOutput | undefined {
    const { link, capabilities, bitsPerPixel } = this.#connection.state;
    if (!capabilities) return undefined;
    return canShowRemoteFx(capabilities)
      ? new RemoteFxOutput(link, capabilities, this.#newTiles())
      : new BitmapOutput(link, capabilities, bitsPerPixel as ColorDepth);
  }

  #newTiles(): ScreenTiles {
    return new ScreenTiles(this.#parts.videoQuality, this.#parts.nowMs);
  }

  #showBy(output: ScreenOutput | undefined): void {
    this.#output = output;
    output?.begin();
    this.#ask();
  }

  #ask(): void {
    if (this.#isAsking || !this.#view || !this.#hasRoom || this.#isSuppressed || !this.#output?.isReady) return;
    this.#isAsking = true;
    this.#view.request(() => {
      this.#isAsking = false;
      this.#show();
    });
  }

  #show(): void {
    if (!this.#view || !this.#connection.isActive || this.#isSuppressed) return;
    const { rects } = this.#view.take();
    const { screen } = this.#parts.desktop;
    const isResized = screen.width !== this.#shownWidth || screen.height !== this.#shownHeight;
    if (isResized && !this.#output?.followsSize) {
      this.#connection.reactivate();
      return;
    }
    this.#output?.show(screen, rects);
    this.#refineLater();
    this.#ask();
  }

  /** A video that has stopped is shown as it is, though nothing changes any more. */
  #refineLater(): void {
    if (this.#callOff || !this.#output?.canRefine) return;
    this.#callOff = this.#parts.later(REFINE_MS, () => {
      this.#callOff = undefined;
      if (!this.#view || !this.#connection.isActive) return;
      const { screen } = this.#parts.desktop;
      const isSameSize = screen.width === this.#shownWidth && screen.height === this.#shownHeight;
      const canShow = this.#hasRoom && !this.#isSuppressed && this.#output?.isReady;
      if (canShow && (isSameSize || this.#output?.followsSize)) this.#output?.refine(screen);
      this.#refineLater();
    });
  }

  #release(): void {
    this.#view?.close();
    this.#seat?.close();
    this.#sound?.close();
    this.#clipboard?.close();
    this.#callOff?.();
    this.#view = undefined;
    this.#seat = undefined;
    this.#input = undefined;
  }
}
