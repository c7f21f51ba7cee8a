/** A machine that is shared, as the page knows it. */
import { type ReadonlySignal, type Signal, signal } from '@preact/signals';
import * as Comlink from 'comlink';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import type { BodyOf, LeaseAction } from '../stream/messages.ts';
import type { Copied } from './clipboard-parts.ts';
import { DirectHub } from './direct-hub.ts';
import { canBeDirect } from './direct-peer.ts';
import type { ShareState } from './share-host.ts';
import type { ShareListener, ShareOrder, ShareService } from './share-worker.ts';

export interface MachineSharingParts extends ShareOrder {
  readonly newShareWorker: () => Worker;
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  readonly typeText: (text: string) => void;
  /** Puts a CD image into the guest's drive. @throws CodedError */
  readonly insertDisc: (image: Uint8Array<ArrayBuffer>, name: string) => Promise<void>;
}

/** Where somebody's pointer is, in guest pixels. */
export interface PointerAt {
  readonly x: number;
  readonly y: number;
}

export type Pointers = ReadonlyMap<number, PointerAt>;

/** @returns `before` with one pointer elsewhere or gone */
export function movePointer(before: Pointers, { participant, x, y, shown }: BodyOf<'pointer'>): Pointers {
  const after = new Map(before);
  if (shown) after.set(participant, { x, y });
  else after.delete(participant);
  return after;
}

const NOBODY_YET: ShareState = {
  ...{ connection: 'connecting', why: '', people: [], links: [] },
  lease: { mode: 'share', holder: 0xffff, epoch: 0, asking: [] },
};

export class MachineSharing {
  /** Address of the relay's web server, where links lead. */
  readonly server: string;
  readonly #worker: Worker;
  readonly #service: Comlink.Remote<ShareService>;
  readonly #hub: DirectHub;
  readonly #state: Signal<ShareState> = signal(NOBODY_YET);
  readonly #pointers: Signal<Pointers> = signal(new Map());
  readonly #copied: Signal<Copied | undefined> = signal(undefined);

  constructor({ newShareWorker, keyboard, mouse, typeText, insertDisc, ...order }: MachineSharingParts) {
    this.server = order.server;
    this.#worker = newShareWorker();
    this.#service = Comlink.wrap<ShareService>(this.#worker);
    this.#worker.addEventListener('error', ({ message }) => {
      this.#state.value = {
        ...this.#state.value,
        connection: 'closed',
        why: message || 'sharing could not be started',
      };
    });
    const listener: ShareListener = {
      putScancodes: (set1) => keyboard.putScancodes(set1),
      moveMouse: (dx, dy, dz, buttons, dw) => mouse.move(dx, dy, dz, buttons, dw),
      ...{ typeText, insertDisc },
      onState: (state) => {
        this.#state.value = state;
      },
      onPointer: (pointer) => {
        this.#pointers.value = movePointer(this.#pointers.value, pointer);
      },
      onCopied: (copied) => {
        this.#copied.value = copied;
      },
      signalDirect: (participant, data) => {
        if (canBeDirect()) this.#hub.signal(participant, data);
      },
      sendDirect: (participant, message) => this.#hub.send(participant, message),
      closeDirect: (participant) => this.#hub.close(participant),
    };
    this.#hub = new DirectHub({
      onSignal: (participant, data) => void this.#service.signal(participant, data),
      onOpen: (participant) => void this.#service.directOpened(participant),
      onMessage: (participant, message) => void this.#service.directMessage(participant, message),
      onClose: (participant) => void this.#service.directClosed(participant),
    });
    void this.#service.start(order, Comlink.proxy(listener));
  }

  get state(): ReadonlySignal<ShareState> {
    return this.#state;
  }

  get pointers(): ReadonlySignal<Pointers> {
    return this.#pointers;
  }

  /** What somebody who watches has copied for all, last. */
  get copied(): ReadonlySignal<Copied | undefined> {
    return this.#copied;
  }

  /** The host's own keys, which wait for the lease like everybody's. */
  readonly keyboard: KeyboardInput = { putScancodes: (set1) => void this.#service.putScancodes(set1) };

  readonly mouse: MouseInput = {
    move: (dx, dy, dz, buttons, dw) => void this.#service.moveMouse(dx, dy, dz, buttons, dw),
  };

  point(x: number, y: number, shown: boolean): void {
    void this.#service.point({ x, y, shown });
  }

  /** Gives a text to all who may type. */
  copy(text: string): void {
    void this.#service.copy(text);
  }

  makeLink(link: BodyOf<'makeLink'>): void {
    void this.#service.makeLink(link);
  }

  revokeLink(id: string): void {
    void this.#service.revokeLink(id);
  }

  dismiss(participant: number): void {
    void this.#service.dismiss(participant);
  }

  act(action: LeaseAction, target = 0): void {
    void this.#service.act(action, target);
  }

  /** Ends the session for everybody. */
  async stop(): Promise<void> {
    this.#hub.closeAll();
    await this.#service.stop();
    this.#worker.terminate();
  }
}
