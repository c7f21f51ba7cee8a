/** An RDP client in a session: xfreerdp, `tabbox rdp LINK`, a relay, and a host as a tab has it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { ShareHost } from '#display/sharing/share-host.ts';
import { ANY_NUMBER_OF_USES, type Role } from '#display/stream/messages.ts';
// @ts-expect-error: plain JavaScript, for it runs before anything is installed
import { ROOT } from '../../server/bin/prepare.mjs';
import { relayServices } from '../../server/cli/serve.ts';
import { type RunningServer, startServer } from '../../server/http/serve.ts';
import { JoinTokens } from '../../server/relay/join-tokens.ts';
import { Relay } from '../../server/relay/relay.ts';
import { copy, pastes } from './support/clipboards.ts';
import { LinkGateway } from './support/link-gateways.ts';
import { Display, eventually, RdpClient, type Shot } from './support/rdp-clients.ts';
import { paintTestCard, testCard } from './support/rdp-gateways.ts';

const tokens = new JoinTokens(new Uint8Array(32).fill(3));
const gateways: LinkGateway[] = [];
const clients: RdpClient[] = [];
let folder = '';
let display: Display;
let server: RunningServer;
let desktop: PaintedDesktop;
let host: ShareHost;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-rdp-link-'));
  display = await Display.open();
  server = await startServer({
    ...{ pageDirectory: folder, guestsDirectory: folder, host: '127.0.0.1', ports: [0] },
    extension: new Relay({ tokens, services: relayServices(tokens), ownPageTokens: false }),
  });
  desktop = new PaintedDesktop(640, 480);
  paintTestCard(desktop);
  host = new ShareHost({
    url: new URL('relay/session', server.url).href.replace('http', 'ws'),
    token: () => tokens.issue({ subject: 'test', rights: { session: { host: true } }, lifeSeconds: 600 }),
    newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
    ...{ machine: 'Painted', name: 'Host', desktop, fourByThree: () => false },
    keyboard: { putScancodes: (set1) => desktop.scancodes.push(...set1) },
    mouse: { move: (dx, dy, dz, buttons, dw) => desktop.mouse.push({ dx, dy, dz, buttons, dw }) },
    ...{ typeText: () => {}, onState: () => {}, onPointer: () => {} },
  });
  await eventually('a session', () => (host.state.people.length > 0 ? true : undefined));
});

afterAll(async () => {
  for (const client of clients) await client.close();
  host?.stop();
  for (const gateway of gateways) await gateway.close();
  await server?.close();
  await display?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function linkFor(role: Role): Promise<string> {
  const had = host.state.links.length;
  host.makeLink({ label: role, role, lifetime: 0, uses: ANY_NUMBER_OF_USES });
  await eventually('a link', () => (host.state.links.length > had ? true : undefined));
  return new URL(`#join=${host.state.links[had].token}`, server.url).href;
}

/** Lets RDP clients in by a link. */
async function gatewayFor(link: string): Promise<{ port: number; gateway: LinkGateway }> {
  const gateway = new LinkGateway(link, folder, ['--clipboard-mode', 'bidirectional']);
  gateways.push(gateway);
  return { port: await gateway.port(), gateway };
}

function isCard(shot: Shot, seed: number): boolean {
  if (shot.width !== 640 || shot.height !== 480) return false;
  for (let y = 0; y < 480; y++) for (let x = 0; x < 640; x++) if (shot.at(x, y) !== testCard(x, y, seed)) return false;
  return true;
}

describe('an RDP client behind a link', () => {
  it('sees the same pixels and types, and goes when the session does', async () => {
    const { port, gateway } = await gatewayFor(await linkFor('control'));
    const client = RdpClient.freerdp(display, { port, args: ['/sec:tls', '/bpp:32'] });
    clients.push(client);
    await client.shows('the card', (shot) => isCard(shot, 1));
    paintTestCard(desktop, 2);
    await client.shows('the second card', (shot) => isCard(shot, 2));
    expect(host.state.people.map(({ name }) => name)).toContain('RDP gateway');
    await client.key('a');
    await eventually('the key', () => (desktop.scancodes.join().includes('30,158') ? true : undefined));
    await client.point(100, 100);
    for (const button of [7, 5, 6]) await client.click(button);
    const turns = (): string => desktop.mouse.map(({ dz, dw }) => `${dz},${dw}`).join(' ');
    await eventually('the wheels', () => /0,-1 .*1,0 .*0,1/.test(turns()) || undefined).catch(() => {
      expect(turns()).toBe('right, down, left');
    });

    // One clipboard for all clients on a display; what they paste and copy goes the whole way.
    const copied: string[] = [];
    const place = desktop.clipboard.open((text) => copied.push(text));
    place.put('of the host');
    await pastes(display, 'of the host');
    const holder = await copy(display, 'of the client');
    await eventually('the copy', () => (copied.includes('of the client') ? true : undefined));
    holder.kill();
    place.close();

    const watching = await gatewayFor(await linkFor('view'));
    const watcher = RdpClient.freerdp(display, { port: watching.port, args: ['/sec:tls', '/bpp:32'] });
    clients.push(watcher);
    await watcher.shows('the second card', (shot) => isCard(shot, 2));
    await watcher.key('b');
    await client.key('c');
    await eventually('the key of who may', () => (desktop.scancodes.join().includes('46,174') ? true : undefined));
    expect(desktop.scancodes).not.toContain(48);

    host.stop();
    expect(await gateway.exit).toBe(0);
    expect(gateway.said).toMatch(/the session is over: the host stopped sharing/);
    expect(await watching.gateway.exit).toBe(0);
  });

  it('is told when the link is no good', async () => {
    const command = join(ROOT as string, 'dist', 'node', 'main.js');
    const child = spawn(process.execPath, [command, 'rdp', `${server.url}#join=nonsense`]);
    let text = '';
    child.stderr.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(1);
    expect(text).toMatch(/cannot be joined: the join token is not of this relay/);
  });
});
