/** Remmina: connects, shows the picture, sends a key. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Remmina } from './support/desktop-clients.ts';
import { Display } from './support/rdp-clients.ts';
import { openGateway, type TestGateway } from './support/rdp-gateways.ts';

const [COLOUR, EDGE] = [0x2040c0, 0xc06020];
let display: Display;
let made: TestGateway;
let client: Remmina;

beforeAll(async () => {
  display = await Display.open(1200, 900);
});
afterEach(async () => {
  await client.close();
  made.gateway.close();
});
afterAll(async () => {
  await display.close();
});

async function start(width: number, height: number): Promise<void> {
  made = await openGateway({}, width, height);
  made.desktop.paint(0, 0, width, height, COLOUR);
  client = new Remmina(display, { port: made.gateway.port, log: () => made.log.join('\n') }, { colordepth: '32' });
  await client.wait('a connection', () => made.gateway.activeCount > 0 || undefined);
}

/** How many pixels of its window have a colour. */
async function count(colour: number): Promise<number> {
  const shot = await client.shot();
  let found = 0;
  for (let y = 0; shot && y < shot.height; y++) {
    for (let x = 0; x < shot.width; x++) if (shot.at(x, y) === colour) found++;
  }
  return found;
}

it('connects, shows the picture and types', { timeout: 200_000 }, async () => {
  await start(640, 480);
  await client.wait('the picture', async () => (await count(COLOUR)) === 640 * 480 || undefined);
  await client.wait('a key', async () => {
    await client.clickAndPress(400, 400, 'q');
    return made.desktop.scancodes.join().includes('16,144') || undefined;
  });
  expect(made.desktop.mouse.length).toBeGreaterThan(0);
});

it('shows all of a screen that is larger than it has asked for', { timeout: 200_000 }, async () => {
  await start(720, 500);
  await client.wait('the picture', async () => (await count(COLOUR)) === 720 * 500 || undefined);
  made.desktop.paint(700, 0, 20, 500, EDGE);
  made.desktop.paint(0, 490, 700, 10, EDGE);
  await client.wait('its edges', async () => (await count(EDGE)) === 20 * 500 + 700 * 10 || undefined);
});
