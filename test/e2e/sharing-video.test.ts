/** What moves on a guest's screen reaches others as a video, coded once by the browser that runs the guest. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { RdpGateway } from '../../server/rdp/gateway.ts';
import { makeSelfSigned } from '../../server/rdp/security/certificate.ts';
import { StreamDesktop } from '../../src/display/sharing/stream-desktop.ts';
import { decodeMessage, type MessageName } from '../../src/display/stream/messages.ts';
import { Display, RdpClient, type Shot } from '../machine/support/rdp-clients.ts';
import { BOOT_MS, makeMachine, prepare, until } from './support/machine-page.ts';
import { AREA, HEIGHT, movingAt, movingGuest, patternAt, WIDTH } from './support/moving-guest.ts';
import { type Lab, openLab } from './support/page-test.ts';
import { People } from './support/people.ts';

const SHOWN_MS = 60_000;
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

/** What a page shows of the guest's screen. */
async function shown(page: Page): Promise<Look> {
  const text = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('[data-testid=canvas]');
    const data = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
    let text = `${canvas?.width} `;
    for (let at = 0; data && at < data.length; at += 0x8000)
      text += String.fromCharCode(...data.subarray(at, at + 0x8000));
    return text;
  });
  const start = text.indexOf(' ') + 1;
  if (Number(text.slice(0, start)) !== WIDTH || text.length - start !== WIDTH * HEIGHT * 4)
    return { wrong: -1, off: 255, tick: 0 };
  return look((x, y) => {
    const at = start + (y * WIDTH + x) * 4;
    return (text.charCodeAt(at) << 16) | (text.charCodeAt(at + 1) << 8) | text.charCodeAt(at + 2);
  });
}

async function comeIn(name: string, before: (page: Page) => Promise<void> = async () => {}): Promise<Page> {
  const { page } = await people.open(address, before);
  await page.getByTestId('viewer-name').fill(name);
  await page.getByTestId('join').click();
  await page.locator('[data-testid=viewer][data-shown=true]').waitFor({ timeout: SHOWN_MS });
  return page;
}

const withoutDecoder = (page: Page): Promise<void> =>
  page.addInitScript(() => void Reflect.deleteProperty(window, 'VideoDecoder')) as Promise<unknown> as Promise<void>;

const isRight = ({ wrong, off }: Look): string =>
  wrong === 0 && off < NEAR ? 'right' : `${wrong} wrong, off by ${off}`;

/** What a page has received: messages and their bytes, by name. */
type Received = Partial<Record<MessageName, { count: number; bytes: number }>>;

/** By the relay alone, so that it can be counted. */
const countedBy =
  (received: Received) =>
  async (page: Page): Promise<void> => {
    await page.addInitScript(() => void Reflect.deleteProperty(window, 'RTCPeerConnection'));
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => {
        const { name } = decodeMessage(payload as Buffer);
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
  await seen('video', 1);
  const tilesBefore = { ...received.update };
  await seen('video', PICTURES);
  const first = await shown(ann);
  expect(isRight(first)).toBe('right');
  // Nothing else moves.
  expect(received.update).toEqual(tilesBefore);
  const asVideo = pictureBytes(received.video);
  // Somebody who comes later sees it as well.
  const bob = await comeIn('Bob');
  await until(async () => isRight(await shown(bob)), /right/, SHOWN_MS);
  expect((await shown(ann)).tick).not.toBe(first.tick);
  await bob.close();
  // With somebody who cannot decode it, all is tiles.
  const old = await comeIn('Old', withoutDecoder);
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

it('an RDP client gets what the browser has coded, as it is', { timeout: 600_000 }, async () => {
  const [base, token] = address.split(/#/);
  const desktop = new StreamDesktop({
    ...{ base, token: new URLSearchParams(token).get('join') ?? token, name: 'RDP', key: '', onKey: () => {} },
    newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
  });
  const gateway = await RdpGateway.open(desktop, {
    ...{ address: '127.0.0.1', ports: [0], check: async () => true, multiple: true, reuse: false },
    policy: { method: 'negotiate', credSsp: undefined, credSspOnly: false },
    disabled: { display: false, input: false, audio: false },
    ...{ videoQuality: 75, clipboard: { fromClient: false, toClient: false }, log: () => {} },
    identity: await makeSelfSigned('gateway.test'),
  });
  const display = await Display.open();
  const args = ['/sec:tls', '/bpp:32', '/gfx:AVC420', '/network:lan'];
  const client = RdpClient.freerdp(display, { port: gateway.port, args });
  let pictures = 0;
  const watch = desktop.video.watch({ picture: () => pictures++, end: () => {} });
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
