/** Both ends of a direct connection with a real relay beside it; only the channel between them is made up. */
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { DirectHub } from '#display/sharing/direct-hub.ts';
import { ShareHost } from '#display/sharing/share-host.ts';
import { Viewer } from '#display/sharing/viewer.ts';
import { ANY_NUMBER_OF_USES } from '#display/stream/messages.ts';
import { JoinTokens } from '../relay/join-tokens.ts';
import { newSocket, type RelayBench, startRelay, until } from './relay-bench.suite.ts';

/** How the made-up network behaves. */
const network = vi.hoisted(() => ({
  /** The answering end says so late that it is connected: the library looks for statistics first. */
  lateMs: 200,
  /** What comes before that is lost. */
  losesEarly: false,
  peers: [] as { destroy(): void }[],
}));

vi.mock('simple-peer/simplepeer.min.js', () => {
  const offering: Peer[] = [];
  class Peer {
    readonly #isInitiator: boolean;
    readonly #handlers = new Map<string, (value?: unknown) => void>();
    #partner: Peer | undefined;
    #isConnected = false;
    #isDestroyed = false;

    constructor({ initiator }: { readonly initiator: boolean }) {
      this.#isInitiator = initiator;
      network.peers.push(this);
      if (initiator) setTimeout(() => this.#emit('signal', { type: 'offer', number: offering.push(this) - 1 }));
    }
    on(event: string, handler: (value?: unknown) => void): void {
      this.#handlers.set(event, handler);
    }
    signal(data: { readonly type: string; readonly number: number }): void {
      if (this.#isInitiator) {
        this.#connect();
        return;
      }
      this.#partner = offering[data.number];
      this.#partner.#partner = this;
      this.#emit('signal', { type: 'answer' });
      setTimeout(() => this.#connect(), network.lateMs);
    }
    send(data: Uint8Array): void {
      const copy = data.slice();
      setTimeout(() => {
        if (this.#partner) this.#partner.#receive(copy);
      });
    }
    destroy(): void {
      if (this.#isDestroyed) return;
      this.#isDestroyed = true;
      setTimeout(() => {
        if (this.#partner) this.#partner.#emit('close');
      });
    }
    #connect(): void {
      this.#isConnected = true;
      this.#emit('connect');
    }
    #receive(data: Uint8Array): void {
      if (this.#isConnected || !network.losesEarly) this.#emit('data', data);
    }
    #emit(event: string, value?: unknown): void {
      if (!this.#isDestroyed || event === 'close') this.#handlers.get(event)?.(value);
    }
  }
  return { default: Peer };
});

const tokens = new JoinTokens(new Uint8Array(32).fill(5));
let bench: RelayBench;
let base = '';
const open: (() => void)[] = [];

beforeAll(async () => {
  vi.stubGlobal('RTCPeerConnection', class {});
  bench = await startRelay(tokens);
  base = bench.base;
});

afterEach(() => {
  for (const close of open.splice(0)) close();
});

afterAll(async () => {
  vi.unstubAllGlobals();
  await bench.close();
});

/** A host with a hub as its page has one, and somebody who watches it. */
async function meet(desktop: PaintedDesktop): Promise<Viewer> {
  const host: ShareHost = new ShareHost({
    ...{ url: `${base.replace('http', 'ws')}relay/session`, machine: 'Painted', name: 'Host', desktop, newSocket },
    token: () => tokens.issue({ subject: 'test', rights: { session: { host: true } }, lifeSeconds: 60 }),
    fourByThree: () => false,
    keyboard: { putScancodes: (set1) => desktop.scancodes.push(...set1) },
    mouse: { move: () => {} },
    ...{ typeText: () => {}, onPointer: () => {}, onState: () => {} },
    direct: {
      signal: (participant, data) => hub.signal(participant, data),
      send: (participant, message) => hub.send(participant, message),
      close: (participant) => hub.close(participant),
    },
  });
  const hub = new DirectHub({
    onSignal: (participant, data) => host.signal(participant, data),
    onOpen: (participant) => host.directOpened(participant),
    onMessage: (participant, message) => host.directMessage(participant, message),
    onClose: (participant) => host.directClosed(participant),
  });
  await until('shared', () => host.state.people.length > 0);
  host.makeLink({ label: 'all', role: 'control', lifetime: 0, uses: ANY_NUMBER_OF_USES });
  await until('a link', () => host.state.links.length > 0);
  const token = host.state.links[0].token;
  const viewer = new Viewer({ base, token, name: 'Ann', key: '', onKey: () => {}, newSocket });
  open.push(
    () => viewer.close(),
    () => host.stop(),
    () => hub.closeAll(),
  );
  return viewer;
}

const shows = (viewer: Viewer, { screen }: PaintedDesktop): boolean =>
  Buffer.compare(Buffer.from(viewer.pixels.buffer), Buffer.from(screen.pixels.buffer)) === 0;

const isDirect = (viewer: Viewer): boolean => viewer.state.value.isDirect;

it('a viewer changes over to a direct connection and back, and always has the newest picture', async () => {
  Object.assign(network, { lateMs: 200, losesEarly: false });
  const desktop = new PaintedDesktop(200, 100);
  const ann = await meet(desktop);
  await until('direct', () => isDirect(ann));
  // A still screen at the change-over must not stay an old one.
  await until('the same', () => shows(ann, desktop));
  for (let i = 0; i < 20; i++) {
    desktop.paint(i * 9, i * 4, 20, 20, 0x10_0000 + i);
    await until('the same', () => shows(ann, desktop));
  }
  ann.keyboard.putScancodes([0x1e]);
  await until('the key', () => desktop.scancodes.length === 1);
  for (const peer of network.peers.splice(0)) peer.destroy();
  await until('through the relay', () => !isDirect(ann));
  await until('the release', () => desktop.scancodes.includes(0x9e));
  for (let i = 0; i < 5; i++) {
    desktop.paint(i * 9, i * 4, 20, 20, 0x20_0000 + i);
    await until('the same', () => shows(ann, desktop));
  }
});

it('a viewer whose first word to the host is lost goes on through the relay', async () => {
  Object.assign(network, { lateMs: 500, losesEarly: true });
  const desktop = new PaintedDesktop(200, 100);
  const ann = await meet(desktop);
  await until('the picture', () => shows(ann, desktop) && network.peers.length >= 2);
  await new Promise((resolve) => setTimeout(resolve, 700));
  for (let i = 0; i < 5; i++) {
    desktop.paint(i * 9, i * 4, 20, 20, 0x30_0000 + i);
    await until('the same', () => shows(ann, desktop));
  }
  expect(isDirect(ann)).toBe(false);
});
