/** Our side of the RDP benchmark, in a process of its own: a gateway on a desktop that shows what `source.c` shows. */
import type { Desktop, DesktopSeat, DesktopView } from '#display/desktop/desktop.ts';
import { DesktopViews } from '#display/desktop/desktop-views.ts';
import { InputSeats } from '#display/desktop/input-seats.ts';
import { SharedClipboard } from '#display/desktop/shared-clipboard.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import { SILENCE, type SoundSource } from '#emu/host/sound.ts';
import { RdpGateway } from '../../../server/rdp/gateway.ts';
import { makeSelfSigned } from '../../../server/rdp/security/certificate.ts';

const [SCREEN_WIDTH, SCREEN_HEIGHT] = [1024, 768];
const [WIDTH, HEIGHT, FPS, CELL, BITS, EDGE] = [640, 360, 60, 16, 40, 200];

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
    else desktop.play(message === 'video');
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

  play(isPlaying: boolean): void {
    clearTimeout(this.#timer);
    if (!isPlaying) return;
    const start = performance.now();
    let drawn = 0;
    const next = (): void => {
      this.#draw((performance.now() - start) / 1000);
      drawn++;
      this.#timer = setTimeout(next, Math.max(0, start + (drawn * 1000) / FPS - performance.now()));
    };
    next();
  }

  #draw(t: number): void {
    const before = cpuMs();
    const [left, top] = this.#places.video;
    const from = Math.max(0, Math.floor(WIDTH / 2 + (WIDTH / 2) * Math.sin(t * 0.9)) - 1);
    const down = Math.max(0, Math.floor(HEIGHT / 2 + (HEIGHT / 2) * Math.cos(t * 0.7)) - 1);
    const { pixels } = this.screen;
    for (let y = 0; y < HEIGHT; y++) {
      const at = (y + down) * 2 * WIDTH + from;
      pixels.set(this.#waves.subarray(at, at + WIDTH), (top + y) * SCREEN_WIDTH + left);
    }
    // The clock that `eye` reads as well.
    const ms = Number((process.hrtime.bigint() / 1_000_000n) & 0xffff_ffffn);
    const sum = (ms ^ (ms >>> 8) ^ (ms >>> 16) ^ (ms >>> 24)) & 255;
    for (let i = 0; i < BITS; i++) {
      const colour = (i < 32 ? (ms >>> i) & 1 : (sum >>> (i - 32)) & 1) ? 0xffffffff : 0xff000000;
      for (let y = 0; y < CELL; y++) {
        const at = (top + y) * SCREEN_WIDTH + left + i * CELL;
        pixels.fill(colour, at, at + CELL);
      }
    }
    this.drawingMs += cpuMs() - before;
    this.#views.damaged({ x: left, y: top, width: WIDTH, height: HEIGHT });
    this.#views.wake();
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
