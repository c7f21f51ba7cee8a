/** KRDC: connects with its dialogue and its prompt for the password, or without; shows the picture, sends keys. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Display, eventually, type Shot } from './support/rdp-clients.ts';
import { meanError, openGateway, paintTestCard, type TestGateway, wrongPixels } from './support/rdp-gateways.ts';

const PASSWORD = 'secret 4';
const PATIENCE_MS = 60_000;
const TEST_TIMEOUT_MS = 5 * PATIENCE_MS;
/** A mean difference of a channel that a lossy picture may have where the test card is smooth. */
const CLOSE = 3;
let display: Display;
let made: TestGateway;
let folder: string;
let client: ChildProcess;
let said = '';

beforeAll(async () => {
  display = await Display.open(1200, 900);
});
afterAll(async () => {
  await display.close();
});
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-krdc-'));
  said = '';
  made = await openGateway({ check: async ({ userName, password }) => userName === 'tester' && password === PASSWORD });
  paintTestCard(made.desktop);
});
afterEach(async () => {
  const exit = new Promise((resolve) => client.once('exit', resolve));
  // The session bus and everything on it.
  if (client.pid !== undefined) process.kill(-client.pid, 'SIGKILL');
  await exit;
  made.gateway.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** No wallet, so it asks for the password. @param settings lines of krdcrc (/usr/share/config.kcfg/krdc.kcfg has all) */
function startKrdc(settings: readonly string[]): void {
  const [config, runtime] = [join(folder, '.config'), join(folder, 'run')];
  mkdirSync(config);
  mkdirSync(runtime, { mode: 0o700 });
  writeFileSync(join(config, 'kwalletrc'), '[Wallet]\nEnabled=false\nFirst Use=false\n');
  writeFileSync(join(config, 'krdcrc'), `${settings.join('\n')}\n`);
  const env = {
    ...{ ...process.env, DISPLAY: display.name, WAYLAND_DISPLAY: '', QT_QPA_PLATFORM: 'xcb' },
    ...{ HOME: folder, XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: config, XDG_CACHE_HOME: '', XDG_DATA_HOME: '' },
    // Windows are found by their titles.
    ...{ LC_ALL: 'C.UTF-8', LANGUAGE: 'en' },
  };
  const url = `rdp://tester@127.0.0.1:${made.gateway.port}`;
  client = spawn('dbus-run-session', ['--', 'krdc', url], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [client.stdout, client.stderr]) {
    stream?.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-20_000);
    });
  }
}

/** `eventually`, patiently, and with what both sides said when there is nothing. */
async function wait<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  return await eventually(what, look, PATIENCE_MS).catch((cause: Error) => {
    throw new Error(`${cause.message}\n${made.log.join('\n')}\n${said.slice(-3000)}`);
  });
}

/** Waits for one of its dialogues, gives it the keyboard, types and presses Enter. */
async function answer(title: string, text: string): Promise<void> {
  const window = await wait(title, () => display.find(`^${title}`));
  const typing = text === '' ? [] : ['type', '--delay', '30', text];
  await display.xdotool('windowfocus', '--sync', window, ...typing);
  await display.xdotool('key', 'Return');
  await wait(`end of ${title}`, async () => ((await display.find(`^${title}`)) === undefined ? true : undefined));
}

/** Where xfreerdp shows the machine inside KRDC's window. */
async function view(): Promise<string | undefined> {
  return await display.find(`^FreeRDP: 127\\.0\\.0\\.1:${made.gateway.port}`);
}

async function shows(what: string, isRight: (shot: Shot) => boolean): Promise<void> {
  let off = 'never 640x480';
  const look = async (): Promise<true | undefined> => {
    const window = await view();
    // It may be changing its size.
    const shot = window === undefined ? undefined : await display.shot(window).catch(() => undefined);
    if (shot?.width !== 640 || shot.height !== 480) return undefined;
    if (isRight(shot)) return true;
    off = `${wrongPixels(shot)} wrong pixels, off by ${meanError(shot, 1)} on average`;
    return undefined;
  };
  await wait(what, look).catch((cause: Error) => {
    throw new Error(`${off}: ${cause.message}`);
  });
}

/** Clicks into the picture and presses Q until the machine has got both. */
async function types(): Promise<void> {
  const { mouse, scancodes } = made.desktop;
  const look = async (): Promise<true | undefined> => {
    const window = await view();
    if (window === undefined) return undefined;
    await display.xdotool('mousemove', '--window', window, '200', '220', 'click', '1', 'key', 'q');
    return scancodes.join().includes('16,144') && mouse.some(({ buttons }) => buttons === 1) ? true : undefined;
  };
  await wait('a key and a click', look);
  // Nothing stays down.
  await wait('the releases', () => (mouse.at(-1)?.buttons === 0 && scancodes.at(-1) === 144 ? true : undefined));
}

it('connects as it is installed, shows the picture and types', { timeout: TEST_TIMEOUT_MS }, async () => {
  startKrdc([]);
  await answer('Host Configuration', '');
  expect(made.gateway.activeCount).toBe(0);
  await answer('Password', PASSWORD);
  await wait('a connection', () => made.gateway.activeCount > 0 || undefined);
  // It asks for RemoteFX, which loses something of the noise.
  const isClose = (seed: number) => (shot: Shot) => meanError(shot, seed) < CLOSE;
  await shows('the test card, with a loss', (shot) => isClose(1)(shot) && meanError(shot, 1, 300, 480) > 1);
  paintTestCard(made.desktop, 2);
  await shows('a second test card', isClose(2));
  await types();
});

it('shows every pixel without RemoteFX', { timeout: TEST_TIMEOUT_MS }, async () => {
  startKrdc(['[General]', 'ShowPreferencesForNewConnections=false', '[RDP]', 'RemoteFX=false', 'Sound=2']);
  await answer('Password', PASSWORD);
  await wait('a connection', () => made.gateway.activeCount > 0 || undefined);
  for (const seed of [1, 2]) {
    paintTestCard(made.desktop, seed);
    await shows(`test card ${seed}`, (shot) => wrongPixels(shot, [0, 0, 0], seed) === 0);
  }
  await types();
});
