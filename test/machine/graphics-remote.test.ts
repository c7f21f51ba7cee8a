/** Four monitors seen from elsewhere: each by an RDP client that asks for it by its number, all by a viewer with a link. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Viewer } from '#display/sharing/viewer.ts';
import { relayServices } from '../../server/cli/serve.ts';
import { type RunningServer, startServer } from '../../server/http/serve.ts';
import { JoinTokens, loadTokenKey } from '../../server/relay/join-tokens.ts';
import { Relay } from '../../server/relay/relay.ts';
import {
  drawBars,
  inGuest,
  LAST_POSITION,
  OPEN_MOUSE,
  OPEN_POINTING,
  positionIn,
  shot,
  startGraphicsGuest,
  TURNS,
  turnsIn,
  wrongBars,
} from './support/graphics-guest.ts';
import type { Headless } from './support/headless.ts';
import { Display, eventually, RdpClient } from './support/rdp-clients.ts';

const MONITORS = 4;
const folder = mkdtempSync(join(tmpdir(), 'tabbox-monitors-'));
const before = process.env['TABBOX_STATE'];
let server: RunningServer;
let display: Display;
let machine: Headless;

beforeAll(async () => {
  process.env['TABBOX_STATE'] = folder;
  display = await Display.open();
  const tokens = new JoinTokens(loadTokenKey(folder));
  server = await startServer({
    ...{ pageDirectory: folder, guestsDirectory: folder, host: '127.0.0.1', ports: [0] },
    extension: new Relay({ tokens, services: relayServices(tokens), ownPageTokens: false }),
  });
  machine = await startGraphicsGuest(
    ...['--monitorcount', String(MONITORS), '--share', server.url],
    ...['--vrde', 'on', '--vrdeport', '40000-40100', '--vrdemulticon', 'on'],
  );
  await drawBars(machine);
}, 300_000);

afterAll(async () => {
  await machine?.kill();
  await server?.close();
  await display?.close();
  if (before === undefined) delete process.env['TABBOX_STATE'];
  else process.env['TABBOX_STATE'] = before;
  rmSync(folder, { recursive: true, force: true });
});

it('shows each monitor to the RDP client that asks for it, and none that is not there', async () => {
  const port = Number(/RDP: \S+:(\d+)\n/.exec(machine.errors)?.[1]);
  const connect = (monitor: string): RdpClient =>
    RdpClient.freerdp(display, { port, args: ['/sec:tls', '/bpp:24', `/d:DOMAIN@${monitor}`] });
  for (let monitor = 0; monitor < MONITORS; monitor++) {
    const client = connect(String(monitor + 1));
    try {
      await client.shows(`monitor ${monitor}`, (shot) => wrongBars(shot, monitor, MONITORS) === '');
    } finally {
      await client.close();
    }
  }
  const other = connect(String(MONITORS + 1));
  expect(await other.exit()).not.toBe(0);
  await other.close();
});

function watch(): Viewer {
  const token = /#join=(\S+)/.exec(machine.errors)?.[1] ?? '';
  return new Viewer({
    ...{ base: server.url, token, name: 'Ann', key: '', onKey: () => {} },
    newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
  });
}

/** 0xrrggbb */
function pixelAt(viewer: Viewer, x: number, y: number): number {
  const pixel = viewer.pixels[y * viewer.width + x];
  return ((pixel & 255) << 16) | (pixel & 0xff00) | ((pixel >> 16) & 255);
}

it('shows all of them to a viewer, two in a row', async () => {
  const viewer = watch();
  const wrong = (): string => {
    if (viewer.width !== 2048 || viewer.height !== 1536) return `${viewer.width}x${viewer.height}`;
    const one = (monitor: number): string => {
      const [left, top] = [(monitor % 2) * 1024, Math.floor(monitor / 2) * 768];
      const at = (x: number, y: number): number => pixelAt(viewer, left + x, top + y);
      return wrongBars({ width: 1024, height: 768, at }, monitor, MONITORS);
    };
    return [0, 1, 2, 3].map(one).join('');
  };
  await eventually('all four', () => (wrong() === '' ? true : undefined), 60_000);
  viewer.close();
});

it('moves the pointer to where people have it, and draws it for viewers', async () => {
  await inGuest(machine, 'killall modetest sleep');
  await inGuest(machine, OPEN_POINTING);
  await drawBars(machine, '-C');
  // It says so before it has done it, and until then the desktop is as wide as one.
  const last = async (): Promise<string> =>
    wrongBars(await shot(machine, MONITORS - 1, join(folder, 'last.png')), MONITORS - 1, MONITORS);
  await expect.poll(last, { timeout: 60_000, interval: 500 }).toBe('');
  await machine.command('mouse 300 200');
  await expect
    .poll(async () => positionIn(await inGuest(machine, LAST_POSITION)), { timeout: 60_000, interval: 500 })
    .toEqual([Math.round((300.5 * 65_535) / 4096), Math.round((200.5 * 65_535) / 768)]);
  const viewer = watch();
  /** Where the viewer sees something that is not on the monitor itself: x, y, width, height. */
  const drawn = async (): Promise<number[]> => {
    if (viewer.width !== 2048) return [];
    const own = await shot(machine, 0, join(folder, 'own.png'));
    const found = { left: 1024, top: 768, right: -1, bottom: -1 };
    for (let y = 0; y < 768; y++) {
      for (let x = 0; x < 1024; x++) {
        if (pixelAt(viewer, x, y) === own.at(x, y)) continue;
        found.left = Math.min(found.left, x);
        found.top = Math.min(found.top, y);
        found.right = Math.max(found.right, x);
        found.bottom = Math.max(found.bottom, y);
      }
    }
    return [found.left, found.top, found.right - found.left + 1, found.bottom - found.top + 1];
  };
  await expect.poll(drawn, { timeout: 60_000, interval: 500 }).toEqual([300, 200, 64, 64]);
  await machine.command('mouse 100 0');
  await expect.poll(drawn, { timeout: 60_000, interval: 500 }).toEqual([400, 200, 64, 64]);
  viewer.close();
});

it('turns both wheels of the guest’s mouse, from an RDP client and from the monitor', async () => {
  await inGuest(machine, OPEN_MOUSE);
  const port = Number(/RDP: \S+:(\d+)\n/.exec(machine.errors)?.[1]);
  const client = RdpClient.freerdp(display, { port, args: ['/sec:tls', '/bpp:24', '/d:DOMAIN@1'] });
  const turns = async (): Promise<string> => turnsIn(await inGuest(machine, TURNS));
  try {
    await client.shows('its monitor', ({ width, height }) => width === 1024 && height === 768);
    await client.point(500, 400);
    // Right, left, down, up; each is in the guest before the next.
    let wanted = '';
    for (const [button, turn] of [
      [7, 'sideways 1'],
      [6, 'sideways -1'],
      [5, 'up -1'],
      [4, 'up 1'],
    ] as const) {
      await client.click(button);
      wanted = wanted === '' ? turn : `${wanted}, ${turn}`;
      await expect.poll(turns, { timeout: 60_000, interval: 500 }).toBe(wanted);
    }
    await machine.command('mouse 0 0 1 0 -2');
    await expect.poll(turns, { timeout: 60_000, interval: 500 }).toBe(`${wanted}, sideways 2, up -1`);
  } finally {
    await client.close();
  }
});
