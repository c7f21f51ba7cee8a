/** Videos from a host to viewers through a real relay, with a coder that keeps one colour of a picture. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import type { MadeVideoDecoder } from '#display/sharing/received-video.ts';
import type { MadeVideoEncoder } from '#display/sharing/sent-video.ts';
import { ShareHost } from '#display/sharing/share-host.ts';
import { StreamDesktop } from '#display/sharing/stream-desktop.ts';
import { Viewer } from '#display/sharing/viewer.ts';
import { ANY_NUMBER_OF_USES, type VideoForm } from '#display/stream/messages.ts';
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

interface Counts {
  pictures: number;
  keys: number;
  /** What was coded, in the order of coders. */
  readonly forms: VideoForm[];
}

/** How it fails: after so many pictures when it is given one; the same, later; or when it is to begin. */
interface Faults {
  readonly throwsAfter?: number;
  readonly breaksAfter?: number;
  readonly doesNotOpen?: readonly VideoForm[];
}

/** Keeps the first pixel, and the form. */
const encoder = (
  counts: Counts,
  forms: readonly VideoForm[],
  { throwsAfter = Number.POSITIVE_INFINITY, breaksAfter = Number.POSITIVE_INFINITY, doesNotOpen = [] }: Faults,
): MadeVideoEncoder => ({
  forms,
  open: (form, _width, _height, onPicture, onBroken) => {
    if (doesNotOpen.includes(form)) throw new Error('no such coder');
    counts.forms.push(form);
    let coded = 0;
    return {
      isBusy: false,
      encode: (pixels, isKey) => {
        if (form === forms[0] && coded >= throwsAfter) throw new Error('out of memory');
        if (form === forms[0] && coded >= breaksAfter) {
          setTimeout(onBroken, 1);
          return;
        }
        counts.pictures++;
        const isFirst = coded++ === 0;
        if (isKey || isFirst) counts.keys++;
        const layer = isKey ? 0 : counts.pictures & 1;
        const data = Uint8Array.of(...pixels.subarray(0, 4), forms.indexOf(form));
        setTimeout(() => onPicture({ data, isKey: isKey || isFirst, layer }), 1);
      },
      close: () => {},
    };
  },
});

/** @param breaks the form whose pictures it cannot decode after all */
const decoder = (forms: readonly VideoForm[], breaks?: VideoForm): MadeVideoDecoder => ({
  forms,
  open: (form, width, height, onPicture, onBroken) => {
    let hasKey = false;
    return {
      decode: ({ data, isKey, number }) => {
        hasKey ||= isKey;
        if (!hasKey) throw new Error('a picture that builds upon nothing');
        const colour = new DataView(data.buffer).getUint32(0, true);
        if (form === breaks) setTimeout(onBroken, 1);
        else setTimeout(() => onPicture(new Uint32Array(width * height).fill(colour), number), 1);
      },
      close: () => {},
    };
  },
});

const H264: readonly VideoForm[] = ['h264'];

async function shared(codes: readonly VideoForm[] = H264, faults: Faults = {}) {
  const desktop = new PaintedDesktop(WIDTH, HEIGHT);
  const counts: Counts = { pictures: 0, keys: 0, forms: [] };
  const host = new ShareHost({
    ...{ url: `${base.replace('http', 'ws')}relay/session`, machine: 'Painted', name: 'Host', desktop, newSocket },
    token: () => tokens.issue({ subject: 'test', rights: { session: { host: true } }, lifeSeconds: 60 }),
    ...{ fourByThree: () => false, keyboard: { putScancodes: () => {} }, mouse: { move: () => {} } },
    ...{ typeText: () => {}, onPointer: () => {}, onState: () => {} },
    videoEncoder: encoder(counts, codes, faults),
  });
  open.push({ close: () => host.stop() });
  await until('shared', () => host.state.people.length > 0);
  host.makeLink({ label: 'all', role: 'view', lifetime: 0, uses: ANY_NUMBER_OF_USES });
  await until('a link', () => host.state.links.length > 0);
  const token = host.state.links[0].token;
  const join = (name: string, forms = codes, breaks?: VideoForm, connect = newSocket): Viewer => {
    const videoDecoder = Promise.resolve(forms.length > 0 ? decoder(forms, breaks) : undefined);
    const viewer = new Viewer({ base, token, name, key: '', onKey: () => {}, newSocket: connect, videoDecoder });
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
  const old = join('Old', []);
  await until('tiles', () => old.pixels.length > 0 && !look(ann.pixels, desktop).isVideo);
  stop();
  await until('the same for both', () => isWhole(ann, desktop) && isWhole(old, desktop));
  old.close();
  play();
  await until('a video again', () => look(ann.pixels, desktop).isVideo);
  stop();
});

it('a coder that fails leaves tiles, which go on', async () => {
  const { desktop, counts, join, play, stop } = await shared(H264, { throwsAfter: 20 });
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

it('somebody without H.264 costs nobody the video: all get another form, and the better one again afterwards', async () => {
  const { desktop, counts, join, play, stop } = await shared(['h264', 'vp9', 'vp8', 'jpeg']);
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  play();
  await until('a video', () => look(ann.pixels, desktop).isVideo);
  expect(counts.forms).toEqual(['h264']);
  const bob = join('Bob', ['vp9', 'vp8', 'jpeg']);
  await until('VP9', () => counts.forms.at(-1) === 'vp9');
  const carl = join('Carl', ['jpeg']);
  await until('JPEG', () => counts.forms.at(-1) === 'jpeg');
  const areVideo = (...viewers: Viewer[]): boolean =>
    viewers.every(({ pixels }) => pixels.length > 0 && look(pixels, desktop).isVideo);
  await until('a video for all three', () => areVideo(ann, bob, carl));
  carl.close();
  await until('VP9 again', () => counts.forms.at(-1) === 'vp9');
  bob.close();
  await until('H.264 again', () => counts.forms.at(-1) === 'h264');
  await until('a video', () => areVideo(ann));
  expect(counts.forms).toEqual(['h264', 'vp9', 'jpeg', 'vp9', 'h264']);
  stop();
  await until('the last picture, exactly', () => isWhole(ann, desktop));
});

it('a video that is drawn in pieces by now goes on with another coder all the same', { timeout: 60_000 }, async () => {
  const { desktop, host, counts, join, play, stop } = await shared(['h264', 'vp9']);
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  // No two alike, so that nothing could tell anew that this is a video.
  let piece = 0;
  const paintPiece = (): void => {
    const { x, y, width, height } = AREA;
    const [less, more] = [(++piece * 7) % 40, (piece * 11) % 30];
    desktop.paint(x + less, y, width - less - more, height, (column, row) => (column * row * piece) & 0xffffff);
  };
  let timer: NodeJS.Timeout | undefined;
  open.push({ close: () => clearInterval(timer) });
  let bob: Viewer;
  // A host busy with other work may leave a pause between pieces in which the video is over; then all of it once more.
  for (let attempts = 4; ; ) {
    play();
    await until('a video', () => look(ann.pixels, desktop).isVideo);
    stop();
    timer = setInterval(paintPiece, 30);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(counts.forms.at(-1)).toBe('h264');
    const people = host.state.people.length;
    bob = join('Bob', ['vp9']);
    const isVideo = (): boolean =>
      counts.forms.at(-1) === 'vp9' &&
      [ann, bob].every(({ pixels }) => pixels.length > 0 && look(pixels, desktop).isVideo);
    const trouble = await until('a video of VP9 for both', isVideo, 5000).catch((cause: Error) => cause);
    if (!trouble) break;
    if (--attempts === 0) throw trouble;
    clearInterval(timer);
    bob.close();
    await until('Bob gone', () => host.state.people.length === people);
  }
  clearInterval(timer);
  await until('the last picture, exactly', () => isWhole(ann, desktop) && isWhole(bob, desktop));
});

it('text that moves goes in AV1, also where a film was shown before', async () => {
  const { desktop, counts, join, play, stop } = await shared(['h264', 'av1']);
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  play();
  await until('a video', () => look(ann.pixels, desktop).isVideo);
  expect(counts.forms).toEqual(['h264']);
  stop();
  const { x, y, width, height } = AREA;
  let line = 0;
  const timer = setInterval(() => {
    line++;
    desktop.paint(x, y, width, height, (column, row) => (((column >> 3) * (row + line)) & 1 ? 0xffff55 : 0x0000aa));
  }, 30);
  open.push({ close: () => clearInterval(timer) });
  await until('AV1', () => counts.forms.at(-1) === 'av1');
  await until('a video', () => look(ann.pixels, desktop).isVideo);
  const bob = join('Bob', ['h264']);
  await until('H.264', () => counts.forms.at(-1) === 'h264');
  bob.close();
  await until('AV1 again', () => counts.forms.at(-1) === 'av1');
  clearInterval(timer);
  await until('the last picture, exactly', () => isWhole(ann, desktop));
});

it.each([
  ['throws', { throwsAfter: 10 }],
  ['breaks', { breaksAfter: 10 }],
  ['does not open', { doesNotOpen: H264 }],
])('a coder that %s is followed by the next one', async (_, faults) => {
  const { desktop, counts, join, play, stop } = await shared(['h264', 'vp8'], faults);
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  play();
  await until('VP8', () => counts.forms.at(-1) === 'vp8');
  const coded = counts.pictures;
  await until('more of it', () => counts.pictures > coded + 5 && look(ann.pixels, desktop).isVideo);
  stop();
  await until('the last picture, exactly', () => isWhole(ann, desktop));
});

it('a viewer whose decoder fails gets another form, and so do all', async () => {
  const { desktop, counts, join, play, stop } = await shared(['h264', 'vp9']);
  const ann = join('Ann', undefined, 'h264');
  const bob = join('Bob');
  await until('the picture', () => isWhole(ann, desktop) && isWhole(bob, desktop));
  play();
  await until('a video', () => [ann, bob].every(({ pixels }) => look(pixels, desktop).isVideo));
  expect(counts.forms).toEqual(['h264', 'vp9']);
  stop();
  await until('the last picture, exactly', () => isWhole(ann, desktop) && isWhole(bob, desktop));
});

it('a screen that is as it was before a video shows so again, wherever that was', async () => {
  const { desktop, join } = await shared();
  const ann = join('Ann');
  await until('the picture', () => isWhole(ann, desktop));
  const { x, y, width, height } = AREA;
  let hasShown = false;
  // A whole tile and more of it never changes, so that nothing there is news when the video is over.
  for (let shade = 1; !hasShown; shade = (shade % 120) + 1) {
    desktop.paint(x, y, width, height, (column, row) => {
      const isStill = 60 <= column && column < 200 && 60 <= row && row < 132;
      return isStill ? 0x00ff00 : shade * 0x20000 + ((column * row * shade) & 0xffff);
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    hasShown = look(ann.pixels, desktop).isVideo;
  }
  await until('the last picture, exactly', () => isWhole(ann, desktop));
});

it('somebody who was away while a video ended sees the screen as it is', async () => {
  const { desktop, join, play, stop } = await shared();
  let isAway = false;
  let socket: globalThis.WebSocket | undefined;
  const connect: typeof newSocket = (url, protocols) => {
    socket = newSocket(isAway ? 'ws://127.0.0.1:9/' : url, protocols);
    socket.addEventListener('error', () => {});
    return socket;
  };
  const ann = join('Ann', H264, undefined, connect);
  const bob = join('Bob');
  await until('the picture', () => isWhole(ann, desktop) && isWhole(bob, desktop));
  play();
  await until('a video', () => look(ann.pixels, desktop).isVideo);
  isAway = true;
  socket?.close();
  stop();
  await until('the last picture for Bob', () => isWhole(bob, desktop));
  isAway = false;
  await until('the same for Ann', () => isWhole(ann, desktop));
});

it.each([
  ['h264', 0],
  ['jpeg', 1],
] as const)('a gateway gets %s as it comes while all who look there can show it', async (form, number) => {
  const { desktop, token, play, stop } = await shared(['h264', 'jpeg']);
  const far = new StreamDesktop({ base, token, name: 'RDP', key: '', onKey: () => {}, newSocket });
  open.push(far);
  const view = far.view();
  await until('the picture', () => isWhole(far.screen, desktop));
  const seen: { isKey: boolean; area: object; coder: number }[] = [];
  let ended = 0;
  const watch = far.video.watch({
    form,
    picture: ({ isKey, area, data }) => seen.push({ isKey, area, coder: data[4] }),
    end: () => ended++,
  });
  play();
  await until('pictures', () => seen.length > 5);
  expect(seen[0]).toEqual({ isKey: true, area: AREA, coder: number });
  // One more looks, and cannot.
  const other = far.view();
  await until('the end', () => ended > 0);
  let count = seen.length;
  other.close();
  await until('pictures again', () => seen.length > count);
  // One more watches, for another form.
  const differs = far.video.watch({ form: form === 'jpeg' ? 'h264' : 'jpeg', picture: () => {}, end: () => {} });
  await until('another end', () => ended > 1);
  count = seen.length;
  differs.close();
  await until('pictures once more', () => seen.length > count);
  watch.close();
  stop();
  await until('the last picture, exactly', () => isWhole(far.screen, desktop));
  view.close();
});
