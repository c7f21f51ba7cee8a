/** The parts of the sharing benchmark, each in a process of its own. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket } from 'ws';
import type { Desktop, DesktopSeat, DesktopView } from '#display/desktop/desktop.ts';
import { DesktopViews } from '#display/desktop/desktop-views.ts';
import { SharedClipboard } from '#display/desktop/shared-clipboard.ts';
import { ShareHost } from '#display/sharing/share-host.ts';
import { decodeMessage, encodeMessage, HOST, STREAM_VERSION } from '#display/stream/messages.ts';
import { ScreenDecoder } from '#display/stream/screen-decoder.ts';
import { SILENCE, type SoundSource } from '#emu/host/sound.ts';
import { JoinTokens } from '../../server/relay/join-tokens.ts';
import { Relay } from '../../server/relay/relay.ts';
import { SessionService } from '../../server/session/session-service.ts';

interface Settings {
  readonly url: string;
  readonly fps: number;
  readonly link: string;
  readonly count: number;
}

const tokens = new JoinTokens(new Uint8Array(32).fill(1));
const [WIDTH, HEIGHT, ROW] = [1024, 768, 16];
const CURSOR = 16;
const MIDDLE = (HEIGHT / 2) * WIDTH + WIDTH / 2;
const PRESSES = 60;

const tell = (message: unknown): void => void process.send?.(message);
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
/** Answers whoever asks for figures, or for something else that is to be done first. */
const answer = (figures: () => object, more: Readonly<Record<string, () => object | Promise<object>>> = {}): void =>
  void process.on('message', async (what: string) => tell({ cpuMs: cpuMs(), ...(await (more[what] ?? figures)()) }));

export async function play(role: string, settings: Settings): Promise<void> {
  if (role === 'relay') await relay();
  else if (role === 'host') host(settings);
  else await viewers(settings);
}

async function relay(): Promise<void> {
  const one = new Relay({ tokens, services: [new SessionService(tokens)], ownPageTokens: false });
  const server = createServer();
  server.on('upgrade', (request, socket, head) => one.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  answer(() => ({}));
  tell({ url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/relay/session` });
}

/** Lines of text in four colours that move up by one row a frame; the first pixels are the time. */
function host({ url, fps }: Settings): void {
  const desktop = new ScrollingDesktop();
  let updates = 0;
  let isTold = false;
  let isLinked = false;
  const sharing = new ShareHost({
    ...{ url, machine: 'Bench', name: 'Bench', desktop, fourByThree: () => false },
    token: () => tokens.issue({ subject: 'bench', rights: { session: { host: true } }, lifeSeconds: 600 }),
    newSocket: (address, protocols) => {
      const socket = new WebSocket(address, protocols);
      const send = socket.send.bind(socket);
      socket.send = ((message: Uint8Array) => {
        if (message.length > 200) updates++;
        send(message);
      }) as typeof socket.send;
      return socket as unknown as globalThis.WebSocket;
    },
    keyboard: { putScancodes: (set1) => set1.some((code) => code < 0x80) && desktop.flip() },
    ...{ mouse: { move: () => {} }, typeText: () => {}, onPointer: () => {} },
    onState: ({ links, people }) => {
      if (people.length > 0 && links.length === 0 && !isTold) {
        isTold = true;
        sharing.makeLink({ label: 'bench', role: 'control', lifetime: 0, uses: 65_535 });
      }
      if (links.length > 0 && !isLinked) {
        isLinked = true;
        tell({ link: links[0].token });
      }
    },
  });
  let frame = 0;
  const scrolling = setInterval(() => {
    scroll(desktop.screen.pixels, frame++);
    desktop.screen.pixels[0] = (0xff00_0000 | (Date.now() & 0xff_ffff)) >>> 0;
    desktop.changed();
  }, 1000 / fps);
  const figures = (): object => ({ updates });
  const still = (): object => {
    clearInterval(scrolling);
    return {};
  };
  answer(figures, { still });
}

class ScrollingDesktop implements Desktop {
  readonly sound: SoundSource = SILENCE;
  readonly clipboard: SharedClipboard = new SharedClipboard();
  readonly screen = { width: WIDTH, height: HEIGHT, pixels: new Uint32Array(WIDTH * HEIGHT).fill(0xff00_0000) };
  readonly #views = new DesktopViews({ size: () => this.screen, refresh: () => {}, onDemand: () => {} });

  view(): DesktopView {
    return this.#views.open();
  }

  seat(): DesktopSeat {
    throw new Error('nobody types here');
  }

  changed(): void {
    this.#views.damaged({ x: 0, y: 0, width: WIDTH, height: HEIGHT });
    this.#views.wake();
  }

  /** What a key does: a square of CURSOR pixels in the middle changes its colour. */
  flip(): void {
    const colour = (this.screen.pixels[MIDDLE] ^ 0x00ff_ffff) >>> 0;
    for (let y = 0; y < CURSOR; y++) this.screen.pixels.fill(colour, MIDDLE + y * WIDTH, MIDDLE + y * WIDTH + CURSOR);
    this.#views.damaged({ x: WIDTH / 2, y: HEIGHT / 2, width: CURSOR, height: CURSOR });
    this.#views.wake();
  }
}

function scroll(pixels: Uint32Array, frame: number): void {
  pixels.copyWithin(0, ROW * WIDTH);
  const top = (HEIGHT - ROW) * WIDTH;
  pixels.fill(0xff00_0000, top);
  const colours = [0xffaa_aaaa, 0xff00_aa00, 0xff55_55ff, 0xffff_ffff];
  let seed = frame * 7919 + 1;
  for (let column = 0; column < 30 + (frame % 90); column++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    if ((seed >> 9) % 6 === 0) continue;
    for (let y = 3; y < 13; y++) {
      const bits = Math.imul(seed, y * 31 + 7) >> 8;
      for (let x = 0; x < 7; x++) {
        if ((bits >> x) & 1) pixels[top + y * WIDTH + column * 8 + x] = colours[(column >> 4) & 3];
      }
    }
  }
}

const shareOf = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;

async function viewers({ url, link, count }: Settings): Promise<void> {
  const updates = new Array<number>(count).fill(0);
  /** How old the picture of the first one is when it is drawn, in ms. */
  const ages: number[] = [];
  const decoder = new ScreenDecoder();
  let bytes = 0;
  let first: WebSocket | undefined;
  let onPicture = (): void => {};
  for (let i = 0; i < count; i++) {
    const socket = new WebSocket(url, ['tabbox', `token.${link}`]);
    first ??= socket;
    socket.on('open', () =>
      socket.send(encodeMessage('join', { version: STREAM_VERSION, name: `V${i}`, key: '', since: 0 })),
    );
    socket.on('message', (data: Buffer) => {
      const message = decodeMessage(data);
      if (message.name !== 'update') return;
      updates[i]++;
      bytes += data.length;
      if (i === 0) {
        decoder.apply(message.body);
        ages.push((Date.now() - decoder.pixels[0]) & 0xff_ffff);
        onPicture();
      }
      socket.send(encodeMessage('ack', { sequence: message.body.sequence }));
    });
    await new Promise((resolve) => socket.once('open', resolve));
  }
  /** Milliseconds from a key of the first viewer to what it changes on its screen. */
  const press = async (): Promise<number> => {
    const before = decoder.pixels[MIDDLE];
    const began = performance.now();
    const seen = new Promise<number>((resolve) => {
      onPicture = () => decoder.pixels[MIDDLE] !== before && resolve(performance.now() - began);
    });
    first?.send(encodeMessage('keys', { participant: HOST, epoch: 0, scancodes: Uint8Array.of(0x1e, 0x9e) }));
    return await seen;
  };
  const keys = async (): Promise<object> => {
    const took: number[] = [];
    for (let i = 0; i < PRESSES; i++) {
      took.push(await press());
      await new Promise((resolve) => setTimeout(resolve, 50 + (i % 7) * 5));
    }
    return { p50: shareOf(took, 0.5), p95: shareOf(took, 0.95) };
  };
  answer(
    () => {
      const seen = ages.splice(0);
      return { updates, bytes, p50: shareOf(seen, 0.5), p95: shareOf(seen, 0.95) };
    },
    { keys },
  );
  tell('ready');
}
