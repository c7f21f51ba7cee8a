/** A client whose network breaks comes back by itself: without a password, and in its own place. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Display, eventually, RdpClient, type Shot } from './support/rdp-clients.ts';
import { openGateway } from './support/rdp-gateways.ts';

let display: Display;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  display = await Display.open();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  await display.close();
});

/** A network between client and gateway that can be cut on the client's side: the gateway is told nothing. */
async function breakableNetwork(to: number) {
  const ends = new Set<Socket>();
  const server: Server = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    near.pipe(far);
    far.pipe(near);
    for (const end of [near, far]) end.on('error', () => {});
    ends.add(near);
    closers.push(() => far.destroy());
    near.on('close', () => ends.delete(near));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    cut: (): void => {
      for (const end of ends) {
        end.unpipe();
        end.resetAndDestroy();
      }
    },
  };
}

it('cut three times, it is there again each time', async () => {
  const asked: string[] = [];
  const check = async ({ userName }: { userName: string }): Promise<boolean> => {
    asked.push(userName);
    return asked.length === 1;
  };
  const { gateway, desktop, log } = await openGateway({ multiple: false, check });
  closers.push(() => gateway.close());
  const network = await breakableNetwork(gateway.port);
  const args = ['/sec:tls', '/bpp:24', '+auto-reconnect', '/auto-reconnect-max-retries:50'];
  const client = RdpClient.freerdp(display, { port: network.port, args });
  closers.push(() => client.close());
  const because = (cause: Error): never => {
    throw new Error(`${cause.message}\n${log.join('\n')}\n${client.log.slice(-3000)}`);
  };
  for (const colour of [0x2040c0, 0xc04020, 0x20c040, 0xc0c0c0]) {
    desktop.paint(0, 0, 640, 480, colour);
    await client.shows('the screen', (shot: Shot) => shot.at(320, 240) === colour, 40_000).catch(because);
    if (colour === 0xc0c0c0) break;
    const before = log.filter((line) => line.endsWith('is back')).length;
    network.cut();
    const isBack = (): true | undefined => log.filter((line) => line.endsWith('is back')).length > before || undefined;
    await eventually('reconnection', isBack, 40_000).catch(because);
  }
  expect(asked).toEqual(['tester']);
  expect(gateway.clientCount).toBe(1);
  await client.key('a');
  await eventually('a key', () => desktop.scancodes.includes(0x9e) || undefined);
});
