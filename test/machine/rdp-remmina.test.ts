/** Remmina: connects, shows the picture, sends a key. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Remmina } from './support/desktop-clients.ts';
import { Display } from './support/rdp-clients.ts';
import { openGateway, type TestGateway } from './support/rdp-gateways.ts';

const COLOUR = 0x2040c0;
let display: Display;
let made: TestGateway;
let client: Remmina;

beforeAll(async () => {
  display = await Display.open(1200, 900);
  made = await openGateway();
  made.desktop.paint(0, 0, 640, 480, COLOUR);
});
afterAll(async () => {
  await client?.close();
  made.gateway.close();
  await display.close();
});

/** How many of some places in its window have the colour. */
async function coloured(): Promise<number> {
  const shot = await client.shot();
  let count = 0;
  for (let at = 0; shot && at < shot.width * shot.height; at += 101) {
    if (shot.at(at % shot.width, Math.floor(at / shot.width)) === COLOUR) count++;
  }
  return count;
}

it('connects, shows the picture and types', { timeout: 200_000 }, async () => {
  const settings = { colordepth: '32', resolution_width: '640', resolution_height: '480' };
  client = new Remmina(display, { port: made.gateway.port, log: () => made.log.join('\n') }, settings);
  await client.wait('a connection', () => made.gateway.activeCount > 0 || undefined);
  await client.wait('the picture', async () => (await coloured()) > 1000 || undefined);
  await client.wait('a key', async () => {
    await client.clickAndPress(400, 400, 'q');
    return made.desktop.scancodes.join().includes('16,144') || undefined;
  });
  expect(made.desktop.mouse.length).toBeGreaterThan(0);
});
