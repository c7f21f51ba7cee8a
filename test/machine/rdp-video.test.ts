/** Coded videos on channels of their own, as a client that people have shows them. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { PaintedVideo } from '#display/desktop/painted-desktop.suite.ts';
import { PlainH264 } from './support/plain-h264.ts';
import { Display, RdpClient, type Shot } from './support/rdp-clients.ts';
import { openGateway, testCard } from './support/rdp-gateways.ts';

let display: Display;
const closers: (() => void | Promise<void>)[] = [];
const [WIDTH, HEIGHT] = [640, 480];
/** Neither on squares of the screen nor on macroblocks. */
const AREA = { x: 100, y: 60, width: 322, height: 238 };
const SHOWN_MS = 30_000;
const PICTURE_MS = 80;
/** Side of a square that the screen draws again and again. */
const CORNER = 20;
/** From one key picture to the next. */
const PICTURES = 8;
/** What of the client says how it shows videos. */
const LOG = 'com.freerdp.channels.video';

beforeAll(async () => {
  display = await Display.open();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  await display.close();
});

/** Of the video's picture. */
const grey = (x: number, y: number, tick: number): number => 32 + (((x >> 3) * 5 + (y >> 3) * 11 + tick * 24) % 192);

interface Look {
  /** Pixels around the video that are not as they were painted. */
  readonly wrong: number;
  /** How far the video is from the picture it is nearest to, a pixel. */
  readonly off: number;
  readonly tick: number;
  /** Pixels at its left and top that are not the video's, but the screen's. */
  readonly through: number;
}

function look(shot: Shot, area: typeof AREA, around: (x: number, y: number) => number, tolerance: number): Look {
  let wrong = 0;
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const isInside = area.x <= x && x < area.x + area.width && area.y <= y && y < area.y + area.height;
      if (isInside) continue;
      const [is, should] = [shot.at(x, y), around(x, y)];
      if ([16, 8, 0].some((by) => Math.abs(((is >> by) & 255) - ((should >> by) & 255)) > tolerance)) wrong++;
    }
  }
  let [off, tick] = [255, 0];
  for (let t = 0; t < PICTURES; t++) {
    let sum = 0;
    let count = 0;
    for (let y = 1; y < area.height; y += 7) {
      for (let x = 1; x < area.width; x += 7, count++) {
        const is = shot.at(area.x + x, area.y + y);
        sum += Math.abs(((is >> 8) & 255) - grey(x, y, t));
      }
    }
    if (sum / count < off) [off, tick] = [sum / count, t];
  }
  let through = 0;
  for (let y = 0; y < CORNER; y++) {
    for (let x = 0; x < CORNER; x++) {
      if (Math.abs(((shot.at(area.x + x, area.y + y) >> 8) & 255) - grey(x, y, tick)) > 8) through++;
    }
  }
  return { wrong, off, tick, through };
}

it.each([
  ['bitmaps', ['/bpp:24'], 0],
  ['RemoteFX', ['/bpp:32', '/rfx', '/network:lan'], 12],
  ['the graphics pipeline without H.264', ['/bpp:32', '/gfx', '/network:lan'], 0],
])(
  'a video shows over a screen by %s, which stays as it is, and has its place again afterwards',
  {
    timeout: 120_000,
  },
  async (_, args, tolerance) => {
    const { desktop, gateway } = await openGateway();
    closers.push(() => gateway.close());
    const video = new PaintedVideo();
    desktop.video = video;
    // Text and plain colours, which all of them show exactly or nearly so.
    let shade = 1;
    const around = (x: number, y: number): number =>
      y < 300 ? testCard(x & ~15, 210, shade) : 0x203040 * (1 + (x >> 8));
    desktop.paint(0, 0, WIDTH, HEIGHT, around);
    const client = RdpClient.freerdp(display, {
      port: gateway.port,
      args: ['/sec:tls', '/video', '/log-level:WARN', `/log-filters:${LOG}:DEBUG`, ...args],
    });
    closers.push(() => client.close());
    let area = AREA;
    let seen: Look = { wrong: -1, off: 255, tick: 0, through: 0 };
    const isWhole = (shot: Shot): boolean =>
      shot.width === WIDTH && shot.height === HEIGHT && (seen = look(shot, area, around, tolerance)).wrong === 0;
    const because = (cause: Error): never => {
      throw new Error(`${cause.message}: ${JSON.stringify(seen)}\n${client.log.slice(-3000)}`);
    };
    await client.shows('the screen', (shot) => isWhole(shot) && seen.off > 20, SHOWN_MS).catch(because);
    expect(video.watchers.size).toBe(1);

    const coder = new PlainH264(AREA.width, AREA.height);
    let tick = 0;
    const next = (): void => {
      const isKey = tick % PICTURES === 0;
      const data = coder.encode((x, y) => grey(x, y, tick % PICTURES), isKey);
      video.show({ form: 'h264', area, data, isKey, layer: 0 });
      // A square of the screen changes half under the video and half beside it, when the client has shown the picture.
      const { x, y } = area;
      setTimeout(() => desktop.paint(x - CORNER, y - CORNER, 2 * CORNER, 2 * CORNER, around), PICTURE_MS / 2);
      tick++;
    };
    const timer = setInterval(next, PICTURE_MS);
    closers.push(() => clearInterval(timer));
    const plays = (shot: Shot): boolean => isWhole(shot) && seen.off < 4 && seen.through === 0;
    await client.shows('the video', plays, SHOWN_MS).catch(because);
    const first = seen.tick;
    await client.shows('another picture of it', (shot) => plays(shot) && seen.tick !== first, SHOWN_MS).catch(because);
    // Never, in any picture, does the screen show through.
    for (let i = 0; i < 10; i++) expect(plays(await client.shot())).toBe(true);
    // It goes somewhere else, and the screen is there again.
    area = { ...AREA, x: 200, y: 150 };
    await client.shows('the video at another place', plays, SHOWN_MS).catch(because);
    clearInterval(timer);
    video.end();
    const isBack = (shot: Shot): boolean => isWhole(shot) && wrongIn(shot) === 0;
    const wrongIn = (shot: Shot): number => {
      let wrong = 0;
      for (let y = area.y; y < area.y + area.height; y++) {
        for (let x = area.x; x < area.x + area.width; x++) {
          const [is, should] = [shot.at(x, y), around(x, y)];
          if ([16, 8, 0].some((by) => Math.abs(((is >> by) & 255) - ((should >> by) & 255)) > tolerance)) wrong++;
        }
      }
      return wrong;
    };
    await client.shows('the screen again', isBack, SHOWN_MS).catch(because);
    // Another one, later.
    shade++;
    desktop.paint(0, 0, WIDTH, HEIGHT, around);
    area = AREA;
    tick = 0;
    const again = setInterval(next, PICTURE_MS);
    closers.push(() => clearInterval(again));
    await client.shows('another video', plays, SHOWN_MS).catch(because);
  },
);
