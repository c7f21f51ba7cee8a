/** A headless machine that is seen and used by RDP clients. */
import { readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { copy, pasted } from './support/clipboards.ts';
import { guest, Headless } from './support/headless.ts';
import { Display, eventually, RdpClient } from './support/rdp-clients.ts';

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

/** GRUB's rescue diskette: a menu and a shell, soon after power-on. */
function machine(...args: string[]): Headless {
  const made = new Headless(['--floppy', guest('grub-rescue-floppy.img'), '--vrde', 'on', ...args]);
  closers.push(() => made.kill());
  return made;
}

function client(kind: 'freerdp' | 'rdesktop', host: string, port: number, ...args: string[]): RdpClient {
  const made = RdpClient[kind](display, { host, port, args });
  closers.push(() => made.close());
  return made;
}

async function boundPort(one: Headless): Promise<number> {
  return await eventually(
    'bound port',
    () => {
      const [, port] = /RDP: \S+:(\d+)\n/.exec(one.errors) ?? [];
      return port === undefined ? undefined : Number(port);
    },
    60_000,
  );
}

const listen = (host: string): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, host, () => resolve(server));
  });
const portOf = (server: Server): number => {
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
};

it('shows its screen, pixel by pixel, and takes what is typed', async () => {
  const one = machine('--vrdeport', '40000-40100', '--clipboard-mode', 'bidirectional');
  const port = await boundPort(one);
  const holder = await copy(display, 'echo H2\n');
  closers.push(() => holder.kill());
  const viewer = client('freerdp', '127.0.0.1', port, '/sec:tls', '/bpp:24');
  await viewer.window();
  await one.screen(/GNU GRUB[\s\S]*GNU\/Linux/, 120);
  // For its shell; also, the menu would not wait for ever.
  await viewer.key('c');
  await one.screen(/grub>/, 60);
  const path = join(tmpdir(), `tabbox-rdp-${process.pid}.png`);
  closers.push(() => rmSync(path, { force: true }));
  // The cursor blinks, so that the two pictures may be of different moments; some are not.
  const differing = async (): Promise<number> => {
    await one.command(`screenshotpng ${path}`);
    const { width, height, data, channels } = decode(readFileSync(path));
    const shot = await viewer.shot();
    expect([shot.width, shot.height]).toEqual([width, height]);
    let count = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = (y * width + x) * channels;
        if (shot.at(x, y) !== ((data[at] << 16) | (data[at + 1] << 8) | data[at + 2])) count++;
      }
    }
    return count;
  };
  await viewer.shows('something bright', (shot) => shot.width === 720 && shot.height === 400);
  await eventually('same pixels', async () => ((await differing()) === 0 ? true : undefined), 30_000);
  await viewer.key('e', 'c', 'h', 'o', 'space', 'H', '1', 'Return');
  await one.screen(/grub> echo H1\s+H1/, 20);
  await eventually('same pixels after typing', async () => ((await differing()) === 0 ? true : undefined), 30_000);
  // Text for it, and its own.
  await viewer.key('ctrl+alt+shift+v');
  await one.screen(/grub> echo H2\s+H2/, 20);
  await viewer.key('ctrl+alt+shift+x');
  await eventually('its text', async () => /^H2$/m.test((await pasted(display)) ?? '') || undefined);
  expect(await one.command('info')).toContain(`vrde: 127.0.0.1:${port}, 1 clients`);
});

it('takes the first free port of a list, on IPv6 as well', async () => {
  const taken = await listen('::1');
  closers.push(() => taken.close());
  const free = await listen('::1');
  const port = portOf(free);
  await new Promise((resolve) => free.close(resolve));
  const one = machine('--vrdeaddress', '::1', '--vrdeport', `${portOf(taken)},${port}`);
  expect(await boundPort(one)).toBe(port);
  expect(one.errors).toContain(`RDP: [::1]:${port}`);
  await client('freerdp', '[::1]', port, '/sec:tls', '/bpp:24').window();
});

it('says so when there is no port', async () => {
  const taken = await listen('127.0.0.1');
  closers.push(() => taken.close());
  const one = machine('--vrdeport', `${portOf(taken)}`);
  const { status, errors } = await one.ended(60);
  expect(status).toBe(1);
  expect(errors).toContain(`no port of ${portOf(taken)} can be had at 127.0.0.1`);
});
