/**
 * A machine of the built command, as a script has it: `tabbox run` in a process of its own, serial line on its standard
 * input and output, monitor on a socket.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// @ts-expect-error: plain JavaScript, for it runs before anything is installed
import { guestsDirectory, ROOT } from '../../../server/bin/prepare.mjs';

const COMMAND = join(ROOT as string, 'dist', 'node', 'main.js');

/** A file that `npm run guests` has made. */
export const guest = (name: string): string => join(guestsDirectory() as string, name);

export interface Ended {
  /** Exit status, or -1 when a signal ended it. */
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** Where a machine runs, if not simply here. */
export interface Surroundings {
  /** A command that runs another, as `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** The host's name servers, ADDRESS or ADDRESS:PORT. */
  readonly nameServers?: readonly string[];
}

export class Headless {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #folder: string;
  readonly #monitorPath: string;
  #monitor: Promise<Socket> | undefined;
  #answers = '';
  #output = '';
  #errors = '';
  readonly #ended: Promise<Ended>;
  #alive = true;

  constructor(args: readonly string[], { prefix = [], nameServers }: Surroundings = {}) {
    this.#folder = mkdtempSync(join(tmpdir(), 'tabbox-machine-'));
    this.#monitorPath = join(this.#folder, 'monitor');
    const all = ['run', ...args, '--serial', 'stdio', '--monitor', `unix:${this.#monitorPath}`];
    // What /etc/resolv.conf says is not for a test to change; Node can be told in its place.
    const preload = [
      "import { setServers } from 'node:dns'; import { syncBuiltinESMExports } from 'node:module'",
      `setServers(${JSON.stringify(nameServers)}); syncBuiltinESMExports()`,
    ].join(';');
    const node = nameServers
      ? [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(preload)}`]
      : [process.execPath];
    const [command, ...rest] = [...prefix, ...node, COMMAND, ...all];
    this.#process = spawn(command, rest, { stdio: 'pipe' });
    this.#process.stdout.on('data', (bytes: Buffer) => {
      this.#output += bytes.toString('latin1');
    });
    this.#process.stderr.on('data', (bytes: Buffer) => {
      this.#errors += bytes.toString();
    });
    this.#process.stdin.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      this.#process.on('exit', (code) => {
        this.#alive = false;
        rmSync(this.#folder, { recursive: true, force: true });
        resolve({ status: code ?? -1, output: this.#output, errors: this.#errors });
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }
  get output(): string {
    return this.#output;
  }
  /** What the command itself said. */
  get errors(): string {
    return this.#errors;
  }

  /** Waits until the process has ended by itself. @throws Error when it has not within `seconds` */
  async ended(seconds: number): Promise<Ended> {
    await this.#until('end', seconds, () => (this.#alive ? undefined : true), true);
    return await this.#ended;
  }

  /** Types on the serial line. */
  type(text: string): void {
    this.#process.stdin.write(text);
  }

  /**
   * Types more than a person does, so that input meets every state of the machine, and has the guest's shell say what
   * arrived. @throws Error when a character was lost or changed
   */
  async typesAll(): Promise<void> {
    for (let round = 0; round < 6; round++) {
      // Less than the 4096 characters that Linux keeps for a reader who is late.
      const lines = Array.from({ length: 20 }, (_, n) => `${round}-${n}-${randomBytes(24).toString('hex')}\n`).join('');
      const from = this.#output.length;
      this.type(
        `echo go-$((${round}+1))-; cat >/tmp/typed; sha256sum </tmp/typed; wc -c </tmp/typed; echo typed-$((${round}+1))-\n`,
      );
      await this.serial(`go-${round + 1}-`, 30, from);
      this.type(`${lines}\x04`);
      const said = await this.serial(new RegExp(`typed-${round + 1}-`), 60, from);
      const wanted = createHash('sha256').update(lines).digest('hex');
      if (!said.includes(wanted)) throw new Error(`of ${lines.length} characters not all arrived as typed: ${said}`);
    }
  }

  /** Waits for text on the serial line, after what was there `from`. @returns what came up to it */
  async serial(wanted: string | RegExp, seconds: number, from = 0): Promise<string> {
    return await this.#until(`${wanted} on the serial line`, seconds, () => {
      const here = this.#output.slice(from);
      const found = typeof wanted === 'string' ? here.includes(wanted) : wanted.test(here);
      return found ? here : undefined;
    });
  }

  /** Waits for text on the screen. @returns the screen's lines */
  async screen(wanted: RegExp, seconds: number): Promise<string> {
    let last = '';
    return await this.#until(`${wanted} on the screen`, seconds, async () => {
      last = await this.screenText();
      return wanted.test(last) ? last : undefined;
    }).catch((cause: unknown) => {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\nthe screen shows:\n${last}`);
    });
  }

  async screenText(): Promise<string> {
    const reply = await this.command('screentext');
    return reply.split('\n').slice(0, -1).join('\n');
  }

  /** One monitor command; its data lines and the last line `ok`. @throws Error what the machine answered */
  async command(line: string): Promise<string> {
    const socket = await this.#connected();
    this.#answers = '';
    socket.write(`${line}\n`);
    const reply = await this.#until(`an answer to ${line}`, 60, () => {
      const done = /^(ok|error: .*)\n/m.exec(this.#answers);
      return done ? this.#answers.slice(0, done.index + done[0].length - 1) : undefined;
    });
    const failure = /^error: .*/m.exec(reply);
    if (failure) throw new Error(`${line}: ${failure[0]}`);
    return reply;
  }

  /** Ends the process at once, as a crash does. */
  async kill(): Promise<Ended> {
    if (this.#alive) this.#process.kill('SIGKILL');
    return await this.#ended;
  }

  async #connected(): Promise<Socket> {
    this.#monitor ??= this.#until('the monitor', 30, async () => {
      const socket = connect(this.#monitorPath);
      const ready = await new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      if (!ready) return undefined;
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        this.#answers += bytes.toString();
      });
      return socket;
    });
    return await this.#monitor;
  }

  async #until<T>(
    what: string,
    seconds: number,
    look: () => T | undefined | Promise<T | undefined>,
    mayEnd = false,
  ): Promise<T> {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      const why = this.#alive ? `not within ${seconds} s` : 'the machine has ended';
      if ((!this.#alive && !mayEnd) || Date.now() > end) {
        throw new Error(`no ${what}: ${why}\n${this.#output.slice(-2000)}\n${this.#errors.slice(-2000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Runs the command to its end. */
export async function runToEnd(args: readonly string[], seconds = 60): Promise<Ended> {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString('latin1');
  });
  child.stderr.on('data', (bytes: Buffer) => {
    errors += bytes.toString();
  });
  const late = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
  const status = await new Promise<number>((resolve) => {
    child.on('exit', (code) => resolve(code ?? -1));
  });
  clearTimeout(late);
  return { status, output, errors };
}
