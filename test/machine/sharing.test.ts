/** A machine without a page that others watch by a link: the built command, a real relay, a viewer's own code. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Viewer } from '#display/sharing/viewer.ts';
import { relayServices } from '../../server/cli/serve.ts';
import { type RunningServer, startServer } from '../../server/http/serve.ts';
import { JoinTokens, loadTokenKey } from '../../server/relay/join-tokens.ts';
import { Relay } from '../../server/relay/relay.ts';
import { guest, Headless } from './support/headless.ts';

const KEYS = 40;

let folder = '';
let server: RunningServer;
let machine: Headless;
const before = process.env['TABBOX_STATE'];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-share-'));
  process.env['TABBOX_STATE'] = folder;
  const tokens = new JoinTokens(loadTokenKey(folder));
  server = await startServer({
    ...{ pageDirectory: folder, guestsDirectory: folder, host: '127.0.0.1', ports: [0] },
    extension: new Relay({ tokens, services: relayServices(tokens), ownPageTokens: false }),
  });
  machine = new Headless([
    ...['--floppy', guest('grub-rescue-floppy.img'), '--memory', '64'],
    ...['--share', server.url, '--share-role', 'control', '--share-uses', '2'],
  ]);
}, 120_000);

afterAll(async () => {
  await machine?.kill();
  await server?.close();
  if (before === undefined) delete process.env['TABBOX_STATE'];
  else process.env['TABBOX_STATE'] = before;
  rmSync(folder, { recursive: true, force: true });
});

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (let left = 600; left > 0; left--) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no ${what}; the machine said:\n${machine.errors}`);
}

const viewerOf = (token: string, name: string): Viewer =>
  new Viewer({
    ...{ base: server.url, token, name, key: '', onKey: () => {} },
    newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
  });

describe('tabbox run --share', () => {
  let token = '';
  let viewer: Viewer;

  it('prints a link, and names who comes', async () => {
    token = await until('link', () => /may watch and type: \S+#join=(\S+)/.exec(machine.errors)?.[1]);
    viewer = viewerOf(token, 'Ann');
    await until('picture', () => (viewer.state.value.isShown ? true : undefined));
    expect(await until('name', () => /Ann watches/.exec(machine.errors)?.[0])).toBeTruthy();
  });

  it('shows the pixels that the machine has', async () => {
    await machine.screen(/GNU GRUB[\s\S]*GNU\/Linux/, 120);
    viewer.keyboard.putScancodes([0x2e, 0xae]);
    await machine.screen(/grub> *$/m, 60);
    // The cursor blinks; a stopped machine keeps still.
    await machine.command('pause');
    const path = join(folder, 'screen.png');
    await machine.command(`screenshotpng ${path}`);
    const { width, height, data } = decode(readFileSync(path));
    await until('the same picture', () => {
      if (viewer.width !== width || viewer.height !== height) return undefined;
      for (let i = 0, at = 0; i < width * height; i++, at += 3) {
        const pixel = viewer.pixels[i];
        const isSame =
          (pixel & 255) === data[at] && ((pixel >> 8) & 255) === data[at + 1] && ((pixel >> 16) & 255) === data[at + 2];
        if (!isSame) return undefined;
      }
      return true;
    });
    await machine.command('resume');
  });

  it('takes keys and text, and answers quickly', async () => {
    const times: number[] = [];
    for (let key = 0; key < KEYS; key++) {
      viewer.render();
      const start = performance.now();
      viewer.keyboard.putScancodes([0x1e, 0x9e]);
      while (viewer.render().length === 0) await new Promise((resolve) => setImmediate(resolve));
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 37));
    }
    times.sort((a, b) => a - b);
    console.log(`key to a viewer's pixel, ms: p50 ${times[KEYS / 2].toFixed(1)}, p95 ${times[KEYS - 2].toFixed(1)}`);
    await machine.screen(new RegExp(`grub> a{${KEYS}} *$`, 'm'), 30);
    viewer.keyboard.putScancodes([0x1c, 0x9c]);
    viewer.typeText('echo typed by Ann\n');
    await machine.screen(/^ *typed by Ann *$/m, 60);
  });

  it('lets in as many as it says, and says who has left', async () => {
    const second = viewerOf(token, 'Bob');
    await until('Bob', () => /Bob watches/.exec(machine.errors)?.[0]);
    const third = viewerOf(token, 'Eve');
    expect(
      await until('a refusal', () => (third.state.value.connection === 'closed' ? third : undefined)),
    ).toBeTruthy();
    expect(third.state.value.why).toMatch(/used as often/);
    second.close();
    await until('farewell', () => /Bob has left/.exec(machine.errors)?.[0]);
    await machine.command('poweroff');
    expect((await machine.ended(30)).status).toBe(0);
    await until('the end', () => (viewer.state.value.connection === 'closed' ? true : undefined));
    expect(viewer.state.value.why).toMatch(/stopped sharing/);
  });
});
