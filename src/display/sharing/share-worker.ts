/** A worker's entry point: shares one machine. Off the page's thread, whose timers sleep while its tab is hidden. */
import * as Comlink from 'comlink';
import { CodedError } from '#base/errors.ts';
import { SharedFrame } from '#emu/host/frame.ts';
import { carryCodedErrors } from '#emu/workers/coded-errors.ts';
import { opusEncoder } from '../audio/opus.ts';
import { MachineDesktop } from '../desktop/machine-desktop.ts';
import { SoundRingSource } from '../desktop/sound-ring-source.ts';
import type { BodyOf } from '../stream/messages.ts';
import { videoEncoder } from '../video/video-codec.ts';
import type { Copied } from './clipboard-parts.ts';
import { ShareHost, type ShareState } from './share-host.ts';

/** A machine's memory, as its worker shares it. */
export interface SharedScreen {
  readonly vram: Uint8Array;
  readonly frameBuffer: SharedArrayBuffer;
  readonly frameOffset: number;
  /** See emu/host/sound-ring.ts. */
  readonly sound: SharedArrayBuffer;
}

export interface ShareOrder {
  readonly screen: SharedScreen;
  /** Address of the relay's web server, with a slash at the end. */
  readonly server: string;
  /** Lets its bearer share; undefined: the server gives one to its own page. */
  readonly token: string | undefined;
  readonly machine: string;
  readonly name: string;
}

/** What comes back to the page; calls cross threads and give no answer. */
export interface ShareListener {
  putScancodes(set1: readonly number[]): void;
  moveMouse(dx: number, dy: number, dz: number, buttons: number, dw: number): void;
  typeText(text: string): void;
  /** Puts a CD image into the guest's drive. @throws CodedError */
  insertDisc(image: Uint8Array<ArrayBuffer>, name: string): Promise<void>;
  onState(state: ShareState): void;
  onPointer(pointer: BodyOf<'pointer'>): void;
  onCopied(copied: Copied): void;
  signalDirect(participant: number, data: string): void;
  sendDirect(participant: number, message: Uint8Array): void;
  closeDirect(participant: number): void;
}

/** The calls of the page. */
export class ShareService {
  #host: ShareHost | undefined;

  async start({ screen, server, token, machine, name }: ShareOrder, listener: ShareListener): Promise<void> {
    const frame = new SharedFrame(screen.frameBuffer, screen.frameOffset, screen.vram.length);
    const keyboard = { putScancodes: (set1: readonly number[]): void => listener.putScancodes(set1) };
    const mouse = {
      move: (dx: number, dy: number, dz: number, buttons: number, dw: number): void => {
        listener.moveMouse(dx, dy, dz, buttons, dw);
      },
    };
    const desktop = new MachineDesktop(
      {
        ...{ vram: screen.vram, frame, keyboard, mouse },
        typeText: (text) => listener.typeText(text),
        sound: new SoundRingSource(screen.sound),
      },
      'all',
    );
    this.#host = new ShareHost({
      ...{ desktop, machine, name, keyboard, mouse },
      url: new URL('relay/session', server).href.replace(/^http/, 'ws'),
      token: async () => token ?? hostToken(server, machine),
      fourByThree: () => desktop.fourByThree,
      places: () => desktop.places(),
      typeText: (text) => listener.typeText(text),
      insertDisc: (image, name) => listener.insertDisc(Comlink.transfer(image, [image.buffer]), name),
      newOpusEncoder: await opusEncoder(),
      videoEncoder: await videoEncoder(),
      onState: (state) => listener.onState(state),
      onPointer: (pointer) => listener.onPointer(pointer),
      onCopied: (copied) => listener.onCopied(copied),
      direct: {
        signal: (participant, data) => listener.signalDirect(participant, data),
        send: (participant, message) => listener.sendDirect(participant, message),
        close: (participant) => listener.closeDirect(participant),
      },
    });
  }

  putScancodes(set1: readonly number[]): void {
    this.#host?.keyboard.putScancodes(set1);
  }

  moveMouse(dx: number, dy: number, dz: number, buttons: number, dw: number): void {
    this.#host?.mouse.move(dx, dy, dz, buttons, dw);
  }

  point(pointer: Omit<BodyOf<'pointer'>, 'participant'>): void {
    this.#host?.point(pointer);
  }

  copy(text: string): void {
    this.#host?.copy(text);
  }

  makeLink(link: BodyOf<'makeLink'>): void {
    this.#host?.makeLink(link);
  }

  revokeLink(id: string): void {
    this.#host?.revokeLink(id);
  }

  dismiss(participant: number): void {
    this.#host?.dismiss(participant);
  }

  act(action: BodyOf<'leaseAction'>['action'], target: number): void {
    this.#host?.act(action, target);
  }

  signal(participant: number, data: string): void {
    this.#host?.signal(participant, data);
  }

  directOpened(participant: number): void {
    this.#host?.directOpened(participant);
  }

  directMessage(participant: number, message: Uint8Array): void {
    this.#host?.directMessage(participant, message);
  }

  directClosed(participant: number): void {
    this.#host?.directClosed(participant);
  }

  stop(): void {
    this.#host?.stop();
  }
}

/** A page of this server in a browser on the same computer gets a token without anybody's doing. @throws CodedError */
async function hostToken(server: string, subject: string): Promise<string> {
  const body = JSON.stringify({ subject: subject.slice(0, 100) || 'machine' });
  const response = await fetch(new URL('relay/token', server), { method: 'POST', body });
  if (response.ok) return ((await response.json()) as { readonly token: string }).token;
  // Another attempt may do better.
  if (response.status >= 500) throw new Error('the relay is not well');
  const said = (await response.json().catch(() => undefined)) as { readonly message?: string } | undefined;
  throw new CodedError('no-relay', said?.message ?? 'this page’s server has no relay: start it with npm start');
}

carryCodedErrors();
Comlink.expose(new ShareService());
