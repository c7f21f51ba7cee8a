/** Remmina: connects, shows the picture, sends a key. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Display, eventually } from './support/rdp-clients.ts';
import { openGateway, type TestGateway } from './support/rdp-gateways.ts';

const COLOUR = 0x2040c0;
const folder = mkdtempSync(join(tmpdir(), 'tabbox-remmina-'));
let display: Display;
let made: TestGateway;
let client: ChildProcess | undefined;
let said = '';

beforeAll(async () => {
  display = await Display.open(1200, 900);
  made = await openGateway();
  made.desktop.paint(0, 0, 640, 480, COLOUR);
});
afterAll(async () => {
  // The session bus and everything on it.
  if (client?.pid !== undefined) process.kill(-client.pid, 'SIGKILL');
  made.gateway.close();
  await display.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** Its profile instead of its dialogues: the certificate is taken, the password given. */
function startRemmina(): ChildProcess {
  const runtime = join(folder, 'run');
  mkdirSync(join(folder, '.config', 'remmina'), { recursive: true });
  mkdirSync(runtime, { mode: 0o700 });
  const preferences = ['periodic_usage_stats_permitted=false', 'confirm_close=false', 'survey=1', 'secret='];
  const all = ['[remmina_pref]', ...preferences, 'prevent_snap_welcome_message=true', ''];
  writeFileSync(join(folder, '.config', 'remmina', 'remmina.pref'), all.join('\n'));
  const profile = join(folder, 'test.remmina');
  const settings = {
    ...{ protocol: 'RDP', name: 'rdptest', server: `127.0.0.1:${made.gateway.port}`, username: 'tester' },
    ...{ password: '', security: 'tls', colordepth: '32', resolution_mode: '0', resolution_width: '640' },
    ...{ resolution_height: '480', cert_ignore: '1', 'ignore-tls-errors': '1', disablepasswordstoring: '1' },
    ...{ window_width: '800', window_height: '650', viewmode: '1', scale: '0', sound: 'off' },
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  writeFileSync(profile, ['[remmina]', ...lines, ''].join('\n'));
  const env = { ...process.env, DISPLAY: display.name, HOME: folder, XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: '' };
  const started = spawn('dbus-run-session', ['--', 'remmina', '-c', profile], { env, detached: true, stdio: 'pipe' });
  for (const stream of [started.stdout, started.stderr]) {
    stream?.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-20_000);
    });
  }
  return started;
}

/** How many of some places on the display have the colour. */
async function coloured(): Promise<number> {
  const shot = await display.shot('root');
  let count = 0;
  for (let at = 0; at < shot.width * shot.height; at += 101) {
    if (shot.at(at % shot.width, Math.floor(at / shot.width)) === COLOUR) count++;
  }
  return count;
}

it('connects, shows the picture and types', async () => {
  client = startRemmina();
  const because = (cause: Error): never => {
    throw new Error(`${cause.message}\n${made.log.join('\n')}\n${said.slice(-3000)}`);
  };
  await eventually('a connection', () => made.gateway.activeCount > 0 || undefined, 40_000).catch(because);
  await eventually('the picture', async () => ((await coloured()) > 1000 ? true : undefined), 40_000).catch(because);
  const type = async (): Promise<true | undefined> => {
    const window = await display.find('rdptest');
    if (window === undefined) return undefined;
    await display.xdotool(
      'windowfocus',
      window,
      'mousemove',
      '--window',
      window,
      '400',
      '400',
      'click',
      '1',
      'key',
      'q',
    );
    return made.desktop.scancodes.join().includes('16,144') ? true : undefined;
  };
  await eventually('a key', type, 40_000).catch(because);
  expect(made.desktop.mouse.length).toBeGreaterThan(0);
}, 150_000);
