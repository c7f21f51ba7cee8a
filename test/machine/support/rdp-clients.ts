/** Real RDP clients on a display of their own: what they show can be looked at, and keys and clicks go in. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const WINDOW_TIMEOUT_MS = 20_000;
/** One call of xdotool or import on a busy machine. */
const CALL_TIMEOUT_MS = 30_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks again until there is an answer. @throws Error after `ms` */
export async function eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>, ms = 20_000) {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`no ${what} within ${ms} ms`);
    await pause(50);
  }
}

/** An X server without a screen. */
export class Display {
  readonly name: string;
  readonly #process: ChildProcess;

  private constructor(name: string, process: ChildProcess) {
    this.name = name;
    this.#process = process;
  }

  static async open(width = 2000, height = 1100): Promise<Display> {
    const args = ['-displayfd', '3', '-screen', '0', `${width}x${height}x24`, '-nolisten', 'tcp', '-noreset'];
    const server = spawn('Xvfb', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    const number = await new Promise<string>((resolve, reject) => {
      server.once('error', reject);
      server.once('exit', (status) => reject(new Error(`Xvfb ended with status ${status}`)));
      let text = '';
      server.stdio[3]?.on('data', (bytes: Buffer) => {
        text += bytes.toString();
        if (text.includes('\n')) resolve(text.trim());
      });
    });
    return new Display(`:${number}`, server);
  }

  /** Hands: searches windows, presses keys, moves the pointer. @returns what it prints @throws Error when it fails */
  async xdotool(...args: readonly string[]): Promise<string> {
    const env = { ...process.env, DISPLAY: this.name };
    const { stdout } = await run('xdotool', args, { env, timeout: CALL_TIMEOUT_MS });
    return stdout.trim();
  }

  /** @param title a regular expression @returns the first window with such a title that can be seen */
  async find(title: string): Promise<string | undefined> {
    const ids = await this.xdotool('search', '--onlyvisible', '--name', title).catch(() => '');
    return ids.split('\n')[0] || undefined;
  }

  /** Eyes: what a window shows, `root` for all of them. @throws Error when there is no such window */
  async shot(window: string): Promise<Shot> {
    const options = {
      ...{ env: { ...process.env, DISPLAY: this.name }, timeout: CALL_TIMEOUT_MS },
      ...({ encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 } as const),
    };
    const { stdout } = await run('import', ['-window', window, '-depth', '8', 'ppm:-'], options);
    const [, size = '0 0'] = /^P6\n(\d+ \d+)\n/.exec(stdout.subarray(0, 40).toString('latin1')) ?? [];
    const [width, height] = size.split(' ').map(Number);
    const at = stdout.length - width * height * 3;
    return {
      ...{ width, height },
      at: (x, y) => stdout.readUIntBE(at + (y * width + x) * 3, 3),
    };
  }

  async close(): Promise<void> {
    await ended(this.#process);
  }
}

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exit = new Promise((resolve) => process.once('exit', resolve));
  process.kill('SIGTERM');
  const late = setTimeout(() => process.kill('SIGKILL'), 3000);
  await exit;
  clearTimeout(late);
}

export interface Shot {
  readonly width: number;
  readonly height: number;
  /** 0xrrggbb */
  at(x: number, y: number): number;
}

export interface ClientOptions {
  readonly port: number;
  readonly host?: string;
  readonly user?: string;
  readonly password?: string;
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

interface More {
  /** Typed on its standard input. */
  readonly answers: string;
  readonly environment: Readonly<Record<string, string>> | undefined;
}

const counter = { next: 1 };

/** One client process and its window. */
export class RdpClient {
  readonly #display: Display;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #title: string;
  readonly #exit: Promise<number>;
  log = '';
  #window: string | undefined;

  private constructor(display: Display, command: string, args: readonly string[], title: string, more: More) {
    this.#display = display;
    this.#title = title;
    // Each has its own home: rdesktop keeps there whom it trusts.
    this.#folder = mkdtempSync(join(tmpdir(), 'tabbox-rdp-client-'));
    const env = {
      ...process.env,
      DISPLAY: display.name,
      HOME: this.#folder,
      XDG_CONFIG_HOME: this.#folder,
      ...more.environment,
    };
    this.#process = spawn(command, args, { env, stdio: 'pipe' });
    const listen = (bytes: Buffer): void => {
      this.log = (this.log + bytes.toString()).slice(-200_000);
    };
    this.#process.stdout?.on('data', listen);
    this.#process.stderr?.on('data', listen);
    this.#process.stdin?.on('error', () => {});
    if (more.answers) this.#process.stdin?.write(more.answers);
    this.#exit = new Promise((resolve) => {
      this.#process.once('exit', (status) => {
        rmSync(this.#folder, { recursive: true, force: true });
        resolve(status ?? -1);
      });
    });
  }

  /** xfreerdp 2. @param options.args such as `/sec:tls` */
  static freerdp(display: Display, options: ClientOptions): RdpClient {
    const title = `rdp-test-${process.pid}-${counter.next++}`;
    const { host = '127.0.0.1', port, user = 'tester', password = 'secret', args = [] } = options;
    const trust = args.some((arg) => arg.startsWith('/cert')) ? [] : ['/cert:ignore'];
    // Apart, because xfreerdp takes no port behind an IPv6 address.
    const all = [`/v:${host}`, `/port:${port}`, `/u:${user}`, `/p:${password}`, `/t:${title}`, ...trust, ...args];
    return new RdpClient(display, 'xfreerdp', all, title, { answers: '', environment: options.environment });
  }

  /** rdesktop 1.9. @param options.args such as `-a 24` */
  static rdesktop(display: Display, options: ClientOptions): RdpClient {
    const title = `rdp-test-${process.pid}-${counter.next++}`;
    const { host = '127.0.0.1', port, user = 'tester', password = 'secret', args = [] } = options;
    const all = ['-u', user, '-p', password, '-T', title, ...args, `${host}:${port}`];
    return new RdpClient(display, 'rdesktop', all, title, {
      answers: 'yes\nyes\nyes\n',
      environment: options.environment,
    });
  }

  get exited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Waits until it ends by itself. @returns its exit status */
  async exit(): Promise<number> {
    return await this.#exit;
  }

  /** Waits for its window. @throws Error with what the client said when there is none */
  async window(): Promise<string> {
    this.#window ??= await eventually(
      'window',
      async () => {
        if (this.exited) throw new Error(`the client ended with ${this.#process.exitCode}:\n${this.log}`);
        return await this.#display.find(this.#title);
      },
      WINDOW_TIMEOUT_MS,
    ).catch((cause: unknown) => {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\n${this.log.slice(-4000)}`);
    });
    return this.#window;
  }

  /** What the window shows. */
  async shot(): Promise<Shot> {
    return await this.#display.shot(await this.window());
  }

  /** Waits until the window shows something. */
  async shows(what: string, isThere: (shot: Shot) => boolean, ms = 20_000): Promise<Shot> {
    await this.window();
    return await eventually(
      what,
      async () => {
        if (this.exited) throw new Error(`the client ended with ${this.#process.exitCode}:\n${this.log}`);
        // The window may be changing its size.
        const shot = await this.shot().catch(() => undefined);
        return shot && isThere(shot) ? shot : undefined;
      },
      ms,
    );
  }

  /** Presses keys by their X names, as `a` or `ctrl+c`. */
  async key(...names: readonly string[]): Promise<void> {
    await this.#focus();
    await this.#display.xdotool('key', '--delay', '30', ...names);
  }

  async keyDown(name: string): Promise<void> {
    await this.#focus();
    await this.#display.xdotool('keydown', name);
  }

  /** Whoever has the keyboard by now. */
  async keyUp(name: string): Promise<void> {
    await this.#display.xdotool('keyup', name);
  }

  /** Moves the pointer to a place in the window. */
  async point(x: number, y: number): Promise<void> {
    await this.#display.xdotool('mousemove', '--window', await this.window(), `${x}`, `${y}`);
  }

  /** @param button 1 left, 2 middle, 3 right, 4 and 5 the wheel, 6 and 7 the horizontal one, 8 and 9 the others */
  async click(button: number): Promise<void> {
    await this.#display.xdotool('click', `${button}`);
  }

  async resize(width: number, height: number): Promise<void> {
    await this.#display.xdotool('windowsize', await this.window(), `${width}`, `${height}`);
  }

  async close(): Promise<void> {
    await ended(this.#process);
  }

  async #focus(): Promise<void> {
    await this.#display.xdotool('windowfocus', '--sync', await this.window());
  }
}
