/** RDP clients of desktops, as people have them: Remmina and KRDC, each with a home and a session bus of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Display, eventually, type Shot } from './rdp-clients.ts';

const PATIENCE_MS = 60_000;
/** Characters of what a client says that are kept. */
const MOST_SAID = 20_000;

export interface Target {
  readonly port: number;
  /** What the server says, for messages about what did not happen. */
  readonly log: () => string;
}

export abstract class DesktopClient {
  readonly #display: Display;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #log: () => string;
  #said = '';

  /** @param prepare fills its home. @returns the command's arguments */
  protected constructor(display: Display, name: string, log: () => string, prepare: (config: string) => string[]) {
    this.#display = display;
    this.#log = log;
    this.#folder = mkdtempSync(join(tmpdir(), `tabbox-${name}-`));
    const [config, runtime] = [join(this.#folder, '.config'), join(this.#folder, 'run')];
    mkdirSync(config);
    mkdirSync(runtime, { mode: 0o700 });
    const args = prepare(config);
    const env = {
      ...{ ...process.env, DISPLAY: display.name, WAYLAND_DISPLAY: '', QT_QPA_PLATFORM: 'xcb' },
      ...{ HOME: this.#folder, XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: config },
      // Empty, KDE would take it for the first folder of XDG_DATA_DIRS.
      ...{ XDG_CACHE_HOME: join(this.#folder, '.cache'), XDG_DATA_HOME: join(this.#folder, '.local', 'share') },
      // Windows are found by their titles.
      ...{ LC_ALL: 'C.UTF-8', LANGUAGE: 'en' },
    };
    this.#process = spawn('dbus-run-session', ['--', name, ...args], { env, detached: true, stdio: 'pipe' });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (bytes: Buffer) => {
        this.#said = (this.#said + bytes.toString()).slice(-MOST_SAID);
      });
    }
  }

  /** The window that shows the machine, once it is there. */
  abstract view(): Promise<string | undefined>;

  protected get display(): Display {
    return this.#display;
  }

  /** Asks again, patiently. @throws Error with what both sides said when there is no answer */
  async wait<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
    return await eventually(what, look, PATIENCE_MS).catch((cause: Error) => {
      throw new Error(`${cause.message}\n${this.#log()}\n${this.#said.slice(-3000)}`);
    });
  }

  /** What the window shows; undefined when there is none or it is just changing. */
  async shot(): Promise<Shot | undefined> {
    const window = await this.view();
    return window === undefined ? undefined : await this.#display.shot(window).catch(() => undefined);
  }

  /** Clicks at a place of the window, which gets the keyboard by that, and presses keys by their X names. */
  async clickAndPress(x: number, y: number, ...keys: readonly string[]): Promise<void> {
    const window = await this.wait('window', () => this.view());
    const click = ['mousemove', '--window', window, `${x}`, `${y}`, 'click', '1'];
    await this.#display.xdotool('windowfocus', window, ...click, 'key', '--delay', '30', ...keys);
  }

  async close(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#process;
    if (exitCode === null && signalCode === null && pid !== undefined) {
      const exit = new Promise((resolve) => this.#process.once('exit', resolve));
      // The session bus and everything on it.
      process.kill(-pid, 'SIGKILL');
      await exit;
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const REMMINA_TITLE = 'rdptest';
const PREFERENCES = [
  ...['periodic_usage_stats_permitted=false', 'confirm_close=false', 'survey=1', 'secret='],
  'prevent_snap_welcome_message=true',
];

/** Around the picture its window has bars, and black where it is larger. */
export class Remmina extends DesktopClient {
  /** @param settings of its profile, which is there instead of its dialogues: `colordepth`, `resolution_width` ... */
  constructor(display: Display, { port, log }: Target, settings: Readonly<Record<string, string>> = {}) {
    super(display, 'remmina', log, (config) => {
      const folder = join(config, 'remmina');
      mkdirSync(folder);
      writeFileSync(join(folder, 'remmina.pref'), ['[remmina_pref]', ...PREFERENCES, ''].join('\n'));
      const all = {
        ...{ protocol: 'RDP', name: REMMINA_TITLE, server: `127.0.0.1:${port}`, username: 'tester', password: '' },
        ...{ security: 'tls', cert_ignore: '1', 'ignore-tls-errors': '1', disablepasswordstoring: '1' },
        ...{ resolution_mode: '0', resolution_width: '640', resolution_height: '480' },
        ...{ window_width: '900', window_height: '650', viewmode: '1', scale: '0', sound: 'off', ...settings },
      };
      const profile = join(folder, 'test.remmina');
      const lines = Object.entries(all).map(([key, value]) => `${key}=${value}`);
      writeFileSync(profile, ['[remmina]', ...lines, ''].join('\n'));
      return ['-c', profile];
    });
  }

  override view(): Promise<string | undefined> {
    return this.display.find(REMMINA_TITLE);
  }
}

/** It has no wallet here, so that it asks for the password. */
export class Krdc extends DesktopClient {
  readonly #port: number;

  /** @param settings lines of krdcrc (/usr/share/config.kcfg/krdc.kcfg has all) */
  constructor(display: Display, { port, log }: Target, settings: readonly string[] = []) {
    super(display, 'krdc', log, (config) => {
      writeFileSync(join(config, 'kwalletrc'), '[Wallet]\nEnabled=false\nFirst Use=false\n');
      writeFileSync(join(config, 'krdcrc'), `${settings.join('\n')}\n`);
      return [`rdp://tester@127.0.0.1:${port}`];
    });
    this.#port = port;
  }

  /** Where xfreerdp shows the machine inside its window: the picture and nothing else. */
  override view(): Promise<string | undefined> {
    return this.display.find(`^FreeRDP: 127\\.0\\.0\\.1:${this.#port}`);
  }

  /** Waits for one of its dialogues, gives it the keyboard, types and presses Enter. */
  async answer(title: string, text: string): Promise<void> {
    const window = await this.wait(title, () => this.display.find(`^${title}`));
    const typing = text === '' ? [] : ['type', '--delay', '30', text];
    await this.display.xdotool('windowfocus', '--sync', window, ...typing);
    await this.display.xdotool('key', 'Return');
    await this.wait(`end of ${title}`, async () => ((await this.display.find(`^${title}`)) ? undefined : true));
  }

  /** Gives its window another size; at first 800x600 of a machine are in sight, less a list beside them. */
  async resize(width: number, height: number): Promise<void> {
    const window = await this.wait('KRDC', () => this.display.find('^rdp://'));
    await this.display.xdotool('windowsize', '--sync', window, `${width}`, `${height}`);
  }
}

/** A client as somebody has set it up. */
export interface SetUp {
  readonly name: string;
  /** RemoteFX: something of the picture is lost. */
  readonly isLossy: boolean;
  /** Starts it and answers what it asks. */
  readonly open: (display: Display, target: Target) => Promise<DesktopClient>;
}

async function openKrdc(display: Display, target: Target, settings: readonly string[]): Promise<Krdc> {
  const client = new Krdc(display, target, settings);
  try {
    if (settings.length === 0) await client.answer('Host Configuration', '');
    await client.answer('Password', 'secret');
    await client.resize(1150, 850);
    return client;
  } catch (cause) {
    await client.close();
    throw cause;
  }
}

/** Lines of krdcrc: no questions about the connection, no RemoteFX, no sound. */
export const KRDC_WITHOUT_REMOTEFX: readonly string[] = [
  ...['[General]', 'ShowPreferencesForNewConnections=false', '[RDP]', 'RemoteFX=false', 'Sound=2'],
];

export const SET_UPS: readonly SetUp[] = [
  { name: 'Remmina', isLossy: false, open: async (display, target) => new Remmina(display, target) },
  { name: 'KRDC as it is installed', isLossy: true, open: (display, target) => openKrdc(display, target, []) },
  {
    name: 'KRDC without RemoteFX',
    isLossy: false,
    open: (display, target) => openKrdc(display, target, KRDC_WITHOUT_REMOTEFX),
  },
];
