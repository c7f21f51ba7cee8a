/** What moves on a guest's screen reaches others as a video, coded once by the browser that runs the guest. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { MultimediaClient } from '../../server/rdp/channels/multimedia-client.suite.ts';
import { WireDynamicChannels } from '../../server/rdp/channels/wire-dynamic-channels.suite.ts';
import { RdpGateway } from '../../server/rdp/gateway.ts';
import { PROTOCOL } from '../../server/rdp/pdu/x224.ts';
import { makeSelfSigned } from '../../server/rdp/security/certificate.ts';
import { connect, pair } from '../../server/rdp/session-pair.suite.ts';
import { StreamDesktop } from '../../src/display/sharing/stream-desktop.ts';
import { decodeMessage, type MessageName, type VideoForm } from '../../src/display/stream/messages.ts';
import { Display, RdpClient, type Shot } from '../machine/support/rdp-clients.ts';
import { BOOT_MS, makeMachine, picture, prepare, until } from './support/machine-page.ts';
import { AREA, HEIGHT, INK, isInkAt, movingAt, movingGuest, PAPER, patternAt, WIDTH } from './support/moving-guest.ts';
import { type Lab, openLab } from './support/page-test.ts';
import { People } from './support/people.ts';

const SHOWN_MS = 60_000;
/** More than a guest counts in this test: 18 a second. */
const MOST_TICKS = 40_000;
const PICTURES = 20;
let lab: Lab;
let people: People;
let folder: string;
let address: string;
/** What the host's page logged as errors. */
let hostErrors: readonly string[] = [];

/** Noise and coding change a channel by so much, on average. */
const NEAR = 14;

interface Look {
  /** Pixels around the moving picture that are not as the guest has drawn them. */
  readonly wrong: number;
  /** How far the moving picture is from the tick that it is nearest to, a channel of a pixel. */
  readonly off: number;
  readonly tick: number;
}

/** @param at 0xrrggbb. @param tolerance by which a grey may be off */
function look(at: (x: number, y: number) => number, tolerance = 0): Look {
  let wrong = 0;
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const isInside = AREA.x <= x && x < AREA.x + AREA.width && AREA.y <= y && y < AREA.y + AREA.height;
      if (!isInside && Math.abs((at(x, y) & 255) - (patternAt(x, y) & 255)) > tolerance) wrong++;
    }
  }
  let [off, tick] = [255, 0];
  for (let t = 0; t < 256; t++) {
    let sum = 0;
    let count = 0;
    for (let y = AREA.y + 5; y < AREA.y + AREA.height; y += 20) {
      for (let x = AREA.x + 5; x < AREA.x + AREA.width; x += 20, count++) {
        const [is, should] = [at(x, y), movingAt(x, y, t)];
        for (const shift of [16, 8, 0]) {
          const by = Math.abs(((is >> shift) & 255) - ((should >> shift) & 255));
          // Around where a channel starts again, colours run into one another.
          sum += Math.min(by, 256 - by) / 3;
        }
      }
    }
    if (sum / count < off) [off, tick] = [sum / count, t];
  }
  return { wrong, off, tick };
}

interface DrawnLook {
  /** Share of the pixels with and without ink that are where they should be at the tick that fits best. */
  readonly share: number;
  /** How far a channel is from the ink's or the paper's, on average. */
  readonly off: number;
  readonly tick: number;
}

/** The drawn picture. */
function lookAtDrawn(at: (x: number, y: number) => number): DrawnLook {
  const places = Array.from({ length: 400 }, (_, i) => ({
    x: AREA.x + ((i * 73) % 318),
    y: AREA.y + ((i * 37) % 238),
  }));
  const seen = places.map(({ x, y }) => ({ x, y, colour: at(x, y), isInk: ((at(x, y) >> 8) & 255) >= 0x80 }));
  let off = 0;
  for (const { colour, isInk } of seen) {
    for (const shift of [16, 8, 0]) {
      off += Math.abs(((colour >> shift) & 255) - (((isInk ? INK : PAPER) >> shift) & 255)) / 3 / seen.length;
    }
  }
  let [share, tick] = [0, 0];
  for (let t = 0; t < MOST_TICKS; t++) {
    const right = seen.filter(({ x, y, isInk }) => isInkAt(x, y, t) === isInk).length / seen.length;
    if (right > share) [share, tick] = [right, t];
  }
  return { share, off, tick };
}

type Pixels = (x: number, y: number) => number;

/** What a page shows of the guest's screen. */
async function shown(page: Page): Promise<Look> {
  const at = await pixelsOf(page);
  return at ? look(at) : { wrong: -1, off: 255, tick: 0 };
}

/** @returns undefined: it shows nothing of the right size */
async function pixelsOf(page: Page): Promise<Pixels | undefined> {
  const { width, height, at } = await picture(page);
  return width === WIDTH && height === HEIGHT ? at : undefined;
}

async function comeIn(name: string, before: (page: Page) => Promise<void> = async () => {}): Promise<Page> {
  const { page } = await people.open(address, before);
  await page.getByTestId('viewer-name').fill(name);
  await page.getByTestId('join').click();
  await page.locator('[data-testid=viewer][data-shown=true]').waitFor({ timeout: SHOWN_MS });
  return page;
}

/** What any page logged as errors; ends what waits for something else. */
const why = async (): Promise<string> => [...hostErrors, ...people.errors].join('; ');

/** A browser without some of its ways to decode pictures. */
const without =
  (...names: string[]) =>
  async (page: Page): Promise<void> => {
    await page.addInitScript((hidden) => {
      for (const name of hidden) Reflect.deleteProperty(window, name);
    }, names);
  };
const WEB_CODECS = ['VideoDecoder', 'VideoEncoder', 'VideoFrame', 'EncodedVideoChunk', 'ImageDecoder'];

/** A browser whose decoder does not know codecs that begin so. */
const withoutCodec =
  (prefix: string) =>
  async (page: Page): Promise<void> => {
    await page.addInitScript((unknown) => {
      const ask = VideoDecoder.isConfigSupported.bind(VideoDecoder);
      VideoDecoder.isConfigSupported = async (config) =>
        config.codec.startsWith(unknown) ? { supported: false, config } : ask(config);
      const configure = VideoDecoder.prototype.configure;
      VideoDecoder.prototype.configure = function (config) {
        if (config.codec.startsWith(unknown)) throw new DOMException('no such codec', 'NotSupportedError');
        return configure.call(this, config);
      };
    }, prefix);
  };

const isRight = ({ wrong, off }: Look): string =>
  wrong === 0 && off < NEAR ? 'right' : `${wrong} wrong, off by ${off}`;

/** What a page has received: messages and their bytes, by name. */
type Received = Partial<Record<MessageName, { count: number; bytes: number }>> & {
  /** Of the last picture of a video. */
  form?: VideoForm;
};

/** By the relay alone, so that it can be counted. */
const countedBy =
  (received: Received) =>
  async (page: Page): Promise<void> => {
    await page.addInitScript(() => void Reflect.deleteProperty(window, 'RTCPeerConnection'));
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => {
        const message = decodeMessage(payload as Buffer);
        const { name } = message;
        if (message.name === 'video') received.form = message.body.form;
        const { count, bytes } = received[name] ?? { count: 0, bytes: 0 };
        received[name] = { count: count + 1, bytes: bytes + payload.length };
      }),
    );
  };

/** Bytes of a picture, on average. */
const pictureBytes = ({ count, bytes } = { count: 0, bytes: 0 }): number => bytes / count;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabbox-video-'));
  lab = await openLab();
  people = await People.gather();
  const floppy = join(folder, 'moving.img');
  await writeFile(floppy, movingGuest());
  const { page, errors } = await lab.visit('', 'host');
  hostErrors = errors;
  await prepare(page);
  await makeMachine(page, { files: [floppy], memoryMb: 32 });
  await until(async () => isRight(await shown(page)), /right/, BOOT_MS);
  await page.getByTestId('share').click();
  await page.getByTestId('share-start').click();
  await page.getByTestId('role-control').check();
  await page.getByTestId('make-link').click();
  address = await page.getByTestId('link-address').inputValue();
  await page.getByTestId('share-close').click();
}, 2 * BOOT_MS);

afterAll(async () => {
  await people.close();
  await lab.close();
  await rm(folder, { recursive: true, force: true });
});

it('a moving picture takes a fraction of what tiles take, and text around it stays as it is', {
  timeout: 600_000,
}, async () => {
  const received: Received = {};
  const ann = await comeIn('Ann', countedBy(received));
  await until(async () => isRight(await shown(ann)), /right/, SHOWN_MS);
  const seen = async (name: MessageName, count: number): Promise<void> => {
    const more = count + (received[name]?.count ?? 0);
    const came = async (): Promise<string> => String((received[name]?.count ?? 0) >= more);
    await until(came, /true/, SHOWN_MS, async () => hostErrors.join('; '));
  };
  const ends = (): number => received.videoEnd?.count ?? 0;
  let tilesBefore: Received['update'];
  let endsBefore = -1;
  // A guest that stands still for a moment, on a busy machine, ends the video, and it begins again.
  for (let left = 5; endsBefore !== ends() && left > 0; left--) {
    await seen('video', 1);
    endsBefore = ends();
    tilesBefore = received.update && { ...received.update };
    await seen('video', PICTURES);
  }
  // Nothing else moves.
  expect([ends(), received.update]).toEqual([endsBefore, tilesBefore]);
  await until(async () => isRight(await shown(ann)), /right/, SHOWN_MS);
  const first = await shown(ann);
  const asVideo = pictureBytes(received.video);
  // Somebody who comes later sees it as well.
  const bob = await comeIn('Bob');
  await until(async () => isRight(await shown(bob)), /right/, SHOWN_MS);
  expect((await shown(ann)).tick).not.toBe(first.tick);
  await bob.close();
  // With somebody who can decode nothing, all is tiles.
  const old = await comeIn('Old', without(...WEB_CODECS, 'createImageBitmap'));
  await until(async () => isRight(await shown(old)), /right/, SHOWN_MS);
  await seen('videoEnd', 0);
  received.update = { count: 0, bytes: 0 };
  await seen('update', PICTURES);
  const asTiles = pictureBytes(received.update);
  await old.close();
  console.log(`a picture took ${kb(asVideo)} KB as video, ${kb(asTiles)} KB as tiles`);
  expect(asVideo).toBeLessThan(asTiles / 3);
  expect(people.errors).toEqual([]);
});

const kb = (bytes: number): string => (bytes / 1000).toFixed(1);

it('whoever lacks a decoder gets another form and costs the others nothing but that', {
  timeout: 600_000,
}, async () => {
  const received: Received = {};
  const ann = await comeIn('Ann', countedBy(received));
  const form = async (): Promise<string> => received.form ?? 'none';
  /** The right picture, and then another one. */
  const plays = async (...pages: Page[]): Promise<void> => {
    for (const page of pages) {
      await until(async () => isRight(await shown(page)), /right/, SHOWN_MS, why);
      const { tick } = await shown(page);
      const moved = async (): Promise<string> => {
        const now = await shown(page);
        return now.tick === tick ? 'still' : isRight(now);
      };
      await until(moved, /right/, SHOWN_MS, why);
    }
  };
  await until(form, /h264/, SHOWN_MS, why);
  const vera = await comeIn('Vera', withoutCodec('avc1'));
  await until(form, /vp9/, SHOWN_MS, why);
  await plays(vera, ann);
  const jo = await comeIn('Jo', without(...WEB_CODECS));
  await until(form, /jpeg/, SHOWN_MS, why);
  await plays(jo, vera, ann);
  const asJpeg = pictureBytes(received.video);
  await jo.close();
  await until(form, /vp9/, SHOWN_MS, why);
  await plays(vera, ann);
  await vera.close();
  await until(form, /h264/, SHOWN_MS, why);
  await plays(ann);
  await ann.close();
  console.log(`${received.video?.count} pictures, ${kb(asJpeg)} KB each until JPEG was over`);
  expect([people.errors, hostErrors]).toEqual([[], []]);
});

/** As a gateway has it. */
function farDesktop(): StreamDesktop {
  const [base, token] = address.split(/#/);
  return new StreamDesktop({
    ...{ base, token: new URLSearchParams(token).get('join') ?? token, name: 'RDP', key: '', onKey: () => {} },
    newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
  });
}

it.each([
  ['in the graphics pipeline', ['/gfx:AVC420']],
  ['on channels of its own', ['/rfx', '/video']],
])('an RDP client gets what the browser has coded, as it is, %s', { timeout: 600_000 }, async (_, ways) => {
  const desktop = farDesktop();
  const gateway = await RdpGateway.open(desktop, {
    ...{ address: '127.0.0.1', ports: [0], check: async () => true, multiple: true, reuse: false },
    policy: { method: 'negotiate', credSsp: undefined, credSspOnly: false },
    disabled: { display: false, input: false, audio: false },
    ...{ videoQuality: 75, clipboard: { fromClient: false, toClient: false }, log: () => {} },
    identity: await makeSelfSigned('gateway.test'),
  });
  const display = await Display.open();
  const args = ['/sec:tls', '/bpp:32', '/network:lan', ...ways];
  const client = RdpClient.freerdp(display, { port: gateway.port, args });
  let pictures = 0;
  const watch = desktop.video.watch({ form: 'h264', picture: () => pictures++, end: () => {} });
  try {
    let seen: Look = { wrong: -1, off: 255, tick: 0 };
    const isShown = (shot: Shot): boolean => {
      if (shot.width !== WIDTH || shot.height !== HEIGHT) return false;
      // Tiles at the border were photographs before they were a video.
      seen = look(shot.at, 60);
      return isRight(seen) === 'right' && pictures > 20;
    };
    const because = (cause: Error): never => {
      throw new Error(`${cause.message}: ${JSON.stringify(seen)}, ${pictures} pictures\n${client.log.slice(-3000)}`);
    };
    await client.shows('the video', isShown, SHOWN_MS).catch(because);
    const { tick } = seen;
    await client.shows('another picture of it', (shot) => isShown(shot) && seen.tick !== tick, SHOWN_MS).catch(because);
  } finally {
    watch.close();
    await client.close();
    gateway.close();
    desktop.close();
    await display.close();
  }
});

it('an RDP client that plays multimedia gets JPEG, as the browser has coded it', { timeout: 600_000 }, async () => {
  const desktop = farDesktop();
  const { client, session } = pair(
    { protocols: PROTOCOL.ssl, channels: ['drdynvc'] },
    {
      ...{ desktop, nowMs: () => performance.now(), random: (count) => randomBytes(count) },
      later: (ms, what) => {
        const timer = setTimeout(what, ms);
        return () => clearTimeout(timer);
      },
    },
  );
  client.selectedProtocol = PROTOCOL.ssl;
  const player = new MultimediaClient();
  const channels = new WireDynamicChannels(
    client,
    (name) => name === 'TSMF',
    (channel, _, message) => player.take(channel, message),
  );
  try {
    await connect(client);
    const plays = async (): Promise<string> => {
      channels.settle();
      for (const { channel, message } of player.acknowledge()) channels.say(channel, message);
      return player.shown.length > 20 ? 'plays' : `${player.shown.length} pictures; ${player.said.slice(-3)}`;
    };
    await until(plays, /plays/, SHOWN_MS, why);
  } finally {
    session.lost();
    desktop.close();
  }
  const places = player.said.map((one) => /at (\d+),(\d+) (\d+)x(\d+)/.exec(one)).filter((one) => one !== null);
  const [x, y, width, height] = places[places.length - 1].slice(1).map(Number);
  const { page } = await lab.visit('', 'decoder');
  const looks: Look[] = [];
  for (const { data } of [player.shown[player.shown.length - 8], player.shown[player.shown.length - 1]]) {
    const pixels = await page.evaluate(async (jpeg) => {
      const bitmap = await createImageBitmap(new Blob([Uint8Array.from(jpeg)], { type: 'image/jpeg' }));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
      context?.drawImage(bitmap, 0, 0);
      return [...(context?.getImageData(0, 0, bitmap.width, bitmap.height).data ?? [])];
    }, data);
    expect(pixels.length).toBe(width * height * 4);
    const at = (column: number, row: number): number => {
      const isInside = x <= column && column < x + width && y <= row && row < y + height;
      if (!isInside) return patternAt(column, row);
      const i = ((row - y) * width + column - x) * 4;
      return (pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2];
    };
    looks.push(look(at, 60));
  }
  expect(looks.map(isRight)).toEqual(['right', 'right']);
  expect(looks[1].tick).not.toBe(looks[0].tick);
});

// The last one: from here on the guest draws.
it('what is drawn and moves stays sharp, in AV1 with whole colours, while everybody can show that', {
  timeout: 600_000,
}, async () => {
  const received: Received = {};
  const ann = await comeIn('Ann', countedBy(received));
  const form = async (): Promise<string> => received.form ?? 'none';
  await until(form, /h264/, SHOWN_MS, why);
  await ann.evaluate(() => window.tabboxViewer?.keyboard.putScancodes([0x1e, 0x9e]));
  await until(form, /av1/, SHOWN_MS, why);
  const drawn = async (page: Page): Promise<DrawnLook> => {
    const at = await pixelsOf(page);
    return at ? lookAtDrawn(at) : { share: 0, off: 255, tick: 0 };
  };
  let last: DrawnLook = { share: 0, off: 255, tick: 0 };
  const isSharp = (page: Page) => async (): Promise<string> => {
    const before = last.tick;
    last = await drawn(page);
    return last.share > 0.98 && last.off < 12 && last.tick !== before ? 'sharp' : JSON.stringify(last);
  };
  await until(isSharp(ann), /sharp/, SHOWN_MS, why);
  const asAv1 = last;
  const old = await comeIn('Old', withoutCodec('av01'));
  await until(form, /h264/, SHOWN_MS, why);
  // What comes first are tiles; the next picture is the video's.
  const first = await drawn(old);
  let asH264 = first;
  const isReadable = async (): Promise<string> => {
    asH264 = await drawn(old);
    return asH264.share > 0.8 && asH264.tick > first.tick ? 'readable' : JSON.stringify(asH264);
  };
  await until(isReadable, /readable/, SHOWN_MS, why);
  await old.close();
  await until(form, /av1/, SHOWN_MS, why);
  await until(isSharp(ann), /sharp/, SHOWN_MS, why);
  console.log(`a channel is off by ${asAv1.off.toFixed(1)} in AV1, by ${asH264.off.toFixed(1)} in H.264`);
  expect(asAv1.off).toBeLessThan(asH264.off);
  expect([people.errors, hostErrors]).toEqual([[], []]);
});
