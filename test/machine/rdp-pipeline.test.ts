/** The graphics pipeline's codecs, as a client that people have decodes them. */
import { afterAll, afterEach, beforeAll, it } from 'vitest';
import { Display, RdpClient, type Shot } from './support/rdp-clients.ts';
import { openGateway, type TestGateway } from './support/rdp-gateways.ts';

let display: Display;
const closers: (() => void | Promise<void>)[] = [];
const [WIDTH, HEIGHT] = [640, 480];

beforeAll(async () => {
  display = await Display.open();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  await display.close();
});

async function shown(): Promise<TestGateway & { readonly client: RdpClient }> {
  const made = await openGateway();
  closers.push(() => made.gateway.close());
  const args = ['/sec:tls', '/bpp:32', '/gfx', '/network:lan', '/log-level:WARN'];
  const client = RdpClient.freerdp(display, { port: made.gateway.port, args });
  closers.push(() => client.close());
  return { ...made, client };
}

/** A pixel of text that nobody can read, 0xrrggbb; a line is 16 pixels. */
function text(x: number, y: number): number {
  const character = Math.imul((x >> 3) + 101 * (y >> 4), 0x9e3779b1);
  const bits = Math.imul(character ^ ((y & 15) * 0x85ebca6b), 0xc2b2ae35) >>> 20;
  return (character >>> 28) & 1 && (bits >> (x & 7)) & 1 ? 0xc0c0c0 : 0x101018;
}

it('text that scrolls is moved, and comes out as it is', async () => {
  const { desktop, client } = await shown();
  // Beside it something that stays, of more colours than a palette has.
  desktop.paint(480, 0, 160, HEIGHT, (x, y) => (x >> 2) * 0x10203 + (y >> 3) * 0x100);
  let wrong = 0;
  const isAt = (first: number) => (shot: Shot) => {
    if (shot.width !== WIDTH || shot.height !== HEIGHT) return false;
    wrong = 0;
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) if (shot.at(x, y) !== at(x, y, first)) wrong++;
    }
    return wrong === 0;
  };
  const at = (x: number, y: number, first: number): number =>
    x < 480 ? text(x, y + first) : ((x >> 2) * 0x10203 + (y >> 3) * 0x100) & 0xffffff;
  let first = 0;
  for (const by of [0, 16, 32, 5, -48, -7, 160]) {
    first += by;
    const from = first;
    desktop.paint(0, 0, 480, HEIGHT, (x, y) => text(x, y + from));
    await client.shows(`text from ${from}`, isAt(from)).catch((cause: Error) => {
      throw new Error(`${cause.message}: ${wrong} wrong pixels\n${client.log.slice(-2000)}`);
    });
  }
  // Faster than a client can follow.
  for (let i = 0; i < 60; i++) {
    first += 16;
    const from = first;
    desktop.paint(0, 0, 480, HEIGHT, (x, y) => text(x, y + from));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await client.shows('the last text', isAt(first));
});

it('a photograph is coarse at first, and gets what is missing', async () => {
  const { desktop, client } = await shown();
  // Soft waves that only the finest subbands have: a first pass shows none of them.
  const wave = (x: number, y: number): number => {
    const level = Math.round(128 + 14 * Math.sin(x * 2.3 + y * 2.6));
    return ((level + (x & 63)) << 16) | (level << 8) | (level - (y & 63));
  };
  desktop.paint(0, 0, WIDTH, HEIGHT, wave);
  let error = 0;
  const meanError = (shot: Shot): number => {
    let sum = 0;
    for (let y = 0; y < HEIGHT; y += 3) {
      for (let x = 0; x < WIDTH; x += 3) sum += Math.abs(((shot.at(x, y) >> 8) & 255) - ((wave(x, y) >> 8) & 255));
    }
    error = sum / ((WIDTH / 3) * (HEIGHT / 3));
    return error;
  };
  // The waves themselves are 8.9 from their middle, on average.
  const isFine = (shot: Shot): boolean => shot.width === WIDTH && shot.height === HEIGHT && meanError(shot) < 3;
  const because = (cause: Error): never => {
    throw new Error(`${cause.message}: off by ${error}\n${client.log.slice(-2000)}`);
  };
  await client.shows('the photograph', isFine).catch(because);
  // Something is drawn over a part of it before that has got what is missing.
  for (const width of [100, 200]) desktop.paint(0, 0, WIDTH, HEIGHT, (x, y) => wave(x + Math.floor(y / width), y));
  desktop.paint(0, 0, WIDTH, HEIGHT, wave);
  await new Promise((resolve) => setTimeout(resolve, 30));
  desktop.paint(100, 100, 40, 40, 0x00c040);
  const isBoth = (shot: Shot): boolean => {
    for (let y = 100; y < 140; y++) for (let x = 100; x < 140; x++) if (shot.at(x, y) !== 0x00c040) return false;
    return meanError(shot) < 3.5;
  };
  await client.shows('the photograph and a square', isBoth).catch(because);
});
