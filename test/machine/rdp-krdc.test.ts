/** KRDC: connects with its dialogue and its prompt for the password, or without; shows the picture, sends keys. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { KRDC_WITHOUT_REMOTEFX, Krdc } from './support/desktop-clients.ts';
import { Display, type Shot } from './support/rdp-clients.ts';
import { meanError, openGateway, paintTestCard, type TestGateway, wrongPixels } from './support/rdp-gateways.ts';

const PASSWORD = 'secret 4';
const TEST_TIMEOUT_MS = 300_000;
/** A mean difference of a channel that a lossy picture may have where the test card is smooth. */
const CLOSE = 3;
let display: Display;
let made: TestGateway;
let client: Krdc;

beforeAll(async () => {
  display = await Display.open(1200, 900);
});
afterAll(async () => {
  await display.close();
});
beforeEach(async () => {
  made = await openGateway({ check: async ({ userName, password }) => userName === 'tester' && password === PASSWORD });
  paintTestCard(made.desktop);
});
afterEach(async () => {
  await client.close();
  made.gateway.close();
});

function startKrdc(settings: readonly string[]): void {
  client = new Krdc(display, { port: made.gateway.port, log: () => made.log.join('\n') }, settings);
}

async function shows(what: string, isRight: (shot: Shot) => boolean): Promise<void> {
  let off = 'never 640x480';
  const look = async (): Promise<true | undefined> => {
    const shot = await client.shot();
    if (shot?.width !== 640 || shot.height !== 480) return undefined;
    if (isRight(shot)) return true;
    off = `${wrongPixels(shot)} wrong pixels, off by ${meanError(shot, 1)} on average`;
    return undefined;
  };
  await client.wait(what, look).catch((cause: Error) => {
    throw new Error(`${off}: ${cause.message}`);
  });
}

/** Clicks into the picture and presses Q until the machine has got both. */
async function types(): Promise<void> {
  const { mouse, scancodes } = made.desktop;
  const look = async (): Promise<true | undefined> => {
    await client.clickAndPress(200, 220, 'q');
    return scancodes.join().includes('16,144') && mouse.some(({ buttons }) => buttons === 1) ? true : undefined;
  };
  await client.wait('a key and a click', look);
  // Nothing stays down.
  await client.wait('the releases', () => (mouse.at(-1)?.buttons === 0 && scancodes.at(-1) === 144 ? true : undefined));
}

it('connects as it is installed, shows the picture and types', { timeout: TEST_TIMEOUT_MS }, async () => {
  startKrdc([]);
  await client.answer('Host Configuration', '');
  expect(made.gateway.activeCount).toBe(0);
  await client.answer('Password', PASSWORD);
  await client.wait('a connection', () => made.gateway.activeCount > 0 || undefined);
  // It asks for RemoteFX, which loses something of the noise.
  const isClose = (seed: number) => (shot: Shot) => meanError(shot, seed) < CLOSE;
  await shows('the test card, with a loss', (shot) => isClose(1)(shot) && meanError(shot, 1, 300, 480) > 1);
  paintTestCard(made.desktop, 2);
  await shows('a second test card', isClose(2));
  await types();
});

it('shows every pixel without RemoteFX', { timeout: TEST_TIMEOUT_MS }, async () => {
  startKrdc(KRDC_WITHOUT_REMOTEFX);
  await client.answer('Password', PASSWORD);
  await client.wait('a connection', () => made.gateway.activeCount > 0 || undefined);
  for (const seed of [1, 2]) {
    paintTestCard(made.desktop, seed);
    await shows(`test card ${seed}`, (shot) => wrongPixels(shot, [0, 0, 0], seed) === 0);
  }
  await types();
});
