/** Videos from a host to viewers through a real relay, with a coder that keeps one colour of a picture. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import type { MadeVideoDecoder } from '#display/sharing/received-video.ts';
import type { MadeVideoEncoder } from '#display/sharing/sent-video.ts';
import { ShareHost } from '#display/sharing/share-host.ts';
import { StreamDesktop } from '#display/sharing/stream-desktop.ts';
import { Viewer } from '#display/sharing/viewer.ts';
import { ANY_NUMBER_OF_USES } from '#display/stream/messages.ts';
import { JoinTokens } from '../relay/join-tokens.ts';
import { newSocket, type RelayBench, startRelay, until } from './relay-bench.suite.ts';

const tokens = new JoinTokens(new Uint8Array(32).fill(9));
const [WIDTH, HEIGHT] = [320, 256];
/** Where it moves; at odd places, so that tiles are cut. */
const AREA = { x: 37, y: 41, width: 180, height: 140 };
let bench: RelayBench;
let base = '';
const open: { close(): void }[] = [];

beforeAll(async () => {
  bench = await startRelay(tokens);
  base = bench.base;
});
afterEach(() => {
  for (const one of open.splice(0).reverse()) one.close();
});
afterAll(() => bench.close());

/** Keeps the first pixel. @param breaksAfter pictures after which it fails */
const encoder = (counts: { pictures: number; keys: number }, breaksAfter: number): MadeVideoEncoder => ({
  forms: ['h264'],
  open: (_form, _width, _height, onPicture) => ({
    isBusy: false,
    encode: (pixels, isKey) => {
      if (counts.pictures >= breaksAfter) throw new Error('out of memory');
      const isFirst = counts.pictures++ === 0;
      if (isKey || isFirst) counts.keys++;
      const layer = isKey ? 0 : counts.pictures & 1;
      setTimeout(() => onPicture({ data: pixels.slice(0, 4), isKey: isKey || isFirst, layer }), 1);
    },
    close: () => {},
  }),
});

const decoder: MadeVideoDecoder = {
  forms: ['h264'],
  open: (_form, width, height, onPicture) => {
    let hasKey = false;
    return {
      decode: ({ data, isKey, number }) => {
        hasKey ||= isKey;
        if (!hasKey) throw new Error('a picture that builds upon nothing');
        const colour = new DataView(data.buffer).getUint32(0, true);
        setTimeout(() => onPicture(new Uint32Array(width * height).fill(colour), number), 1);
      },
      close: () => {},
    };
  },
};

async function shared(breaksAfter = Number.POSITIVE_INFINITY) {
  const desktop = new PaintedDesktop(WIDTH, HEIGHT);
  const counts = { pictures: 0, keys: 0 };
  const host = new ShareHost({
    ...{ url: `${base.replace('http', 'ws')}relay/session`, machine: 'Painted', name: 'Host', desktop, newSocket },
    token: () => tokens.issue({ subject: 'test', rights: { session: { host: true } }, lifeSeconds: 60 }),
    ...{ fourByThree: () => false, keyboard: { putScancodes: () => {} }, mouse: { move: () => {} } },
    ...{ typeText: () => {}, onPointer: () => {}, onState: () => {} },
    videoEncoder: encoder(counts, breaksAfter),
  });
  open.push({ close: () => host.stop() });
  await until('shared', () => host.state.people.length > 0);
  host.makeLink({ label: 'all', role: 'view', lifetime: 0, uses: ANY_NUMBER_OF_USES });
  await until('a link', () => host.state.links.length > 0);
  const token = host.state.links[0].token;
  const join = (name: string, canDecode = true): Viewer => {
    const videoDecoder = Promise.resolve(canDecode ? decoder : undefined);
    const viewer = new Viewer({ base, token, name, key: '', onKey: () => {}, newSocket, videoDecoder });
    open.push(viewer);
    return viewer;
  };
  // Around it something that has to stay sharp.
  desktop.paint(0, 0, WIDTH, HEIGHT, (x, y) => (((x * 7) ^ (y * 13)) & 1 ? 0xc0c0c0 : 0x101010));
  let picture = 0;
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => clearInterval(timer);
  const play = (): void => {
    timer = setInterval(() => {
      const { x, y, width, height } = AREA;
      const shade = ++picture & 0xff;
      desktop.paint(x, y, width, height, (column, row) => shade * 0x10000 + ((column * row * (picture | 1)) & 0xffff));
    }, 30);
  };
  open.push({ close: stop });
  return { desktop, host, token, counts, join, play, stop };
}

const inArea = (x: number, y: number): boolean =>
  AREA.x <= x && x < AREA.x + AREA.width && AREA.y <= y && y < AREA.y + AREA.height;

/** Differences from the desktop around the area; and whether the area is of one colour, as only a video is here. */
function look(pixels: Uint32Array, desktop: PaintedDesktop): { wrong: number; isVideo: boolean } {
  let wrong = 0;
  let isVideo = true;
  const first = pixels[AREA.y * WIDTH + AREA.x];
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const pixel = pixels[y * WIDTH + x];
      if (!inArea(x, y)) wrong += Number(pixel !== desktop.screen.pixels[y * WIDTH + x]);
      else if (pixel !== first) isVideo = false;
    }
  }
  return { wrong, isVideo };
}

const isWhole = ({ pixels }: { readonly pixels: Uint32Array }, { screen }: PaintedDesktop): boolean =>
  pixels.length === screen.pixels.length && pixels.every((pixel, i) => pixel === screen.pixels[i]);

it('a moving part is a video for all, also for whoever comes later, and what is around it stays exact', async () => {
  const { desktop, counts, join, play, stop } = await shared();
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  play();
  await until('a video', () => look(ann.pixels, desktop).isVideo);
  desktop.paint(0, 0, WIDTH, 20, 0x00ff00);
  desktop.paint(30, 30, 6, 6, 0xff0000);
  await until('text around it', () => look(ann.pixels, desktop).wrong === 0 && look(ann.pixels, desktop).isVideo);
  const keys = counts.keys;
  const bob = join('Bob');
  await until('a video for Bob', () => bob.pixels.length > 0 && look(bob.pixels, desktop).isVideo);
  expect(counts.keys).toBeGreaterThan(keys);
  expect(look(bob.pixels, desktop).wrong).toBe(0);
  stop();
  await until('the last picture, exactly', () => isWhole(ann, desktop) && isWhole(bob, desktop));
});

it('with somebody here who cannot show it, all of it is tiles', async () => {
  const { desktop, join, play, stop } = await shared();
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  play();
  await until('a video', () => look(ann.pixels, desktop).isVideo);
  const old = join('Old', false);
  await until('tiles', () => old.pixels.length > 0 && !look(ann.pixels, desktop).isVideo);
  stop();
  await until('the same for both', () => isWhole(ann, desktop) && isWhole(old, desktop));
  old.close();
  play();
  await until('a video again', () => look(ann.pixels, desktop).isVideo);
  stop();
});

it('a coder that fails leaves tiles, which go on', async () => {
  const { desktop, counts, join, play, stop } = await shared(20);
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  play();
  await until('it has failed', () => counts.pictures === 20);
  await until('tiles', () => !look(ann.pixels, desktop).isVideo);
  const before = ann.pixels.slice();
  await until('another picture', () => ann.pixels.some((pixel, i) => pixel !== before[i]));
  stop();
  await until('the last picture, exactly', () => isWhole(ann, desktop));
  expect(counts.pictures).toBe(20);
});

it('a gateway gets it as it comes while all who look there can show it', async () => {
  const { desktop, token, play, stop } = await shared();
  const far = new StreamDesktop({ base, token, name: 'RDP', key: '', onKey: () => {}, newSocket });
  open.push(far);
  const view = far.view();
  await until('the picture', () => isWhole(far.screen, desktop));
  const seen: { isKey: boolean; area: object; bytes: number }[] = [];
  let ended = 0;
  const watch = far.video.watch({
    picture: ({ isKey, area, data }) => seen.push({ isKey, area, bytes: data.length }),
    end: () => ended++,
  });
  play();
  await until('pictures', () => seen.length > 5);
  expect(seen[0]).toEqual({ isKey: true, area: AREA, bytes: 4 });
  // One more looks, and cannot.
  const other = far.view();
  await until('the end', () => ended > 0);
  const count = seen.length;
  other.close();
  await until('pictures again', () => seen.length > count);
  watch.close();
  stop();
  await until('the last picture, exactly', () => isWhole(far.screen, desktop));
  view.close();
});
