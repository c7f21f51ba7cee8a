/** Our side of the RDP benchmark, in a process of its own: a gateway on a desktop that shows what `source.c` shows. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Desktop, DesktopSeat, DesktopView, VideoSource, VideoWatcher } from '#display/desktop/desktop.ts';
import { DesktopViews } from '#display/desktop/desktop-views.ts';
import { InputSeats } from '#display/desktop/input-seats.ts';
import { SharedClipboard } from '#display/desktop/shared-clipboard.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import { SILENCE, type SoundSource } from '#emu/host/sound.ts';
import { RdpGateway } from '../../../server/rdp/gateway.ts';
import { makeSelfSigned } from '../../../server/rdp/security/certificate.ts';
import { playInBrowser } from './browser-video.ts';

const [SCREEN_WIDTH, SCREEN_HEIGHT] = [1024, 768];
const [WIDTH, HEIGHT, FPS, CELL, BITS, EDGE] = [640, 360, 60, 16, 40, 200];
/** As many as a link's host codes. */
const CODED_FPS = 32;
const [LINE, COLUMN, LINES_A_SECOND] = [16, 8, 30];

type Played = 'video' | 'text';

/** Where the two things are drawn, as the peers' source is told. */
export interface Places {
  readonly video: readonly [number, number];
  readonly key: readonly [number, number];
}

export async function play(places: Places): Promise<void> {
  const desktop = new BenchDesktop(places);
  const gateway = await RdpGateway.open(desktop, {
    ...{ address: '127.0.0.1', ports: [0], check: async () => true, multiple: true, reuse: false },
    policy: { method: 'negotiate', credSsp: undefined, credSspOnly: false },
    disabled: { display: false, input: false, audio: false },
    clipboard: { fromClient: true, toClient: true },
    videoQuality: 75,
    identity: await makeSelfSigned('bench'),
    log: () => {},
  });
  process.on('message', (message) => {
    if (message === 'figures') process.send?.({ cpuMs: cpuMs() - desktop.drawingMs });
    else desktop.play(message === 'video' || message === 'text' ? message : undefined);
  });
  process.send?.({ port: gateway.port });
}

/** Of this process so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

class BenchDesktop implements Desktop {
  readonly screen: Picture = {
    ...{ width: SCREEN_WIDTH, height: SCREEN_HEIGHT },
    pixels: new Uint32Array(SCREEN_WIDTH * SCREEN_HEIGHT).fill(0xff000000),
  };
  readonly sound: SoundSource = SILENCE;
  readonly clipboard: SharedClipboard = new SharedClipboard();
  readonly #places: Places;
  /** For clients that can show it: the moving picture as a browser has coded it, which is what a link's gateway gets. */
  readonly video: VideoSource = {
    watch: (watcher) => {
      this.#watcher = watcher;
      return { wantKey: () => {}, close: () => this.#endCoding() };
    },
  };
  #watcher: VideoWatcher | undefined;
  #stopBrowser: Promise<() => void> | undefined;
  /** How many were begun: pictures still come of one that has been stopped. */
  #codings = 0;
  readonly #views: DesktopViews;
  readonly #seats: InputSeats;
  readonly #waves = waves();
  #timer: NodeJS.Timeout | undefined;
  #isBright = false;
  /** CPU time that drawing has taken; it is the guest's, not the gateway's. */
  drawingMs = 0;

  constructor(places: Places) {
    this.#places = places;
    const size = (): Picture => this.screen;
    this.#views = new DesktopViews({ size, refresh: () => {}, onDemand: () => {} });
    const putScancodes = (codes: readonly number[]): void => {
      for (const code of codes) if (code < 0x80) this.#flip();
    };
    this.#seats = new InputSeats({ size, keyboard: { putScancodes }, mouse: { move: () => {} }, typeText: () => {} });
  }

  view(): DesktopView {
    return this.#views.open();
  }

  seat(): DesktopSeat {
    return this.#seats.open();
  }

  play(what: Played | undefined): void {
    clearTimeout(this.#timer);
    this.#endCoding();
    if (!what) return;
    if (what === 'video' && this.#watcher) {
      this.#stopBrowser = this.#code(this.#watcher);
      return;
    }
    const start = performance.now();
    const perSecond = what === 'text' ? LINES_A_SECOND : FPS;
    let drawn = 0;
    const next = (): void => {
      const before = cpuMs();
      drawn++;
      if (what === 'text') this.#drawText(drawn);
      else this.#drawWaves((performance.now() - start) / 1000);
      this.#mark();
      this.drawingMs += cpuMs() - before;
      const [x, y] = this.#places.video;
      this.#views.damaged({ x, y, width: WIDTH, height: HEIGHT });
      this.#views.wake();
      this.#timer = setTimeout(next, Math.max(0, start + (drawn * 1000) / perSecond - performance.now()));
    };
    next();
  }

  async #code(watcher: VideoWatcher): Promise<() => void> {
    const server = createServer((_, response) => response.end('<!doctype html>')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const [x, y] = this.#places.video;
    const area = { x, y, width: WIDTH, height: HEIGHT };
    const waves = Buffer.from(this.#waves.buffer).toString('base64');
    const pattern = { width: WIDTH, height: HEIGHT, waves, fps: CODED_FPS, cell: CELL, bits: BITS };
    const coding = ++this.#codings;
    const stop = await playInBrowser(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      pattern,
      (picture) => {
        if (coding === this.#codings) watcher.picture({ form: 'h264', area, ...picture });
      },
    );
    return () => {
      stop();
      server.close();
    };
  }

  #endCoding(): void {
    void this.#stopBrowser?.then((stop) => stop());
    this.#codings++;
    if (this.#stopBrowser) this.#watcher?.end();
    this.#stopBrowser = undefined;
  }

  #drawText(first: number): void {
    const [left, top] = this.#places.video;
    for (let y = LINE; y < HEIGHT; y++) {
      const at = (top + y) * SCREEN_WIDTH + left;
      for (let x = 0; x < WIDTH; x += COLUMN) {
        const bits = glyph(first + Math.floor(y / LINE), x / COLUMN, y % LINE);
        for (let i = 0; i < COLUMN; i++) this.screen.pixels[at + x + i] = (bits >> i) & 1 ? 0xffc0c0c0 : 0xff181010;
      }
    }
  }

  #drawWaves(t: number): void {
    const [left, top] = this.#places.video;
    const from = Math.max(0, Math.floor(WIDTH / 2 + (WIDTH / 2) * Math.sin(t * 0.9)) - 1);
    const down = Math.max(0, Math.floor(HEIGHT / 2 + (HEIGHT / 2) * Math.cos(t * 0.7)) - 1);
    const { pixels } = this.screen;
    for (let y = 0; y < HEIGHT; y++) {
      const at = (y + down) * 2 * WIDTH + from;
      pixels.set(this.#waves.subarray(at, at + WIDTH), (top + y) * SCREEN_WIDTH + left);
    }
  }

  /** The clock that `eye` reads as well. */
  #mark(): void {
    const [left, top] = this.#places.video;
    const { pixels } = this.screen;
    const ms = Number((process.hrtime.bigint() / 1_000_000n) & 0xffff_ffffn);
    const sum = (ms ^ (ms >>> 8) ^ (ms >>> 16) ^ (ms >>> 24)) & 255;
    for (let i = 0; i < BITS; i++) {
      const colour = (i < 32 ? (ms >>> i) & 1 : (sum >>> (i - 32)) & 1) ? 0xffffffff : 0xff000000;
      for (let y = 0; y < CELL; y++) {
        const at = (top + y) * SCREEN_WIDTH + left + i * CELL;
        pixels.fill(colour, at, at + CELL);
      }
    }
  }

  #flip(): void {
    this.#isBright = !this.#isBright;
    const [x, y] = this.#places.key;
    for (let row = y; row < y + EDGE; row++) {
      const at = row * SCREEN_WIDTH + x;
      this.screen.pixels.fill(this.#isBright ? 0xffffffff : 0xff000000, at, at + EDGE);
    }
    this.#views.damaged({ x, y, width: EDGE, height: EDGE });
    this.#views.wake();
  }
}

function mixed(value: number): number {
  let n = Math.imul(value, 2654435761);
  n = Math.imul(n ^ (n >>> 15), 2246822519);
  return (n ^ (n >>> 13)) >>> 0;
}

/** As source.c has them: a row of eight pixels of a character that nobody has to read. */
function glyph(line: number, column: number, row: number): number {
  const character = mixed(line * 80 + column) % 80;
  return character < 16 || row < 3 || row > 12 ? 0 : mixed(character * 16 + row) & 0x7e;
}

/** Four times the picture, so that it can move inside: waves and noise. */
function waves(): Uint32Array {
  const pixels = new Uint32Array(4 * WIDTH * HEIGHT);
  const channel = (value: number): number => Math.max(0, Math.min(255, Math.trunc(value + Math.random() * 16)));
  for (let y = 0; y < 2 * HEIGHT; y++) {
    for (let x = 0; x < 2 * WIDTH; x++) {
      const red = channel(127 + 60 * Math.sin(x / 23) + 50 * Math.sin((x + y) / 37));
      const green = channel(127 + 90 * Math.sin(y / 29 + x / 71));
      const blue = channel(127 + 90 * Math.cos((x - y) / 47));
      pixels[y * 2 * WIDTH + x] = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
    }
  }
  return pixels;
}
