/** `tabbox serve` in a process of its own, to be killed. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
// @ts-expect-error: plain JavaScript, for it runs before anything is installed
import { ROOT } from '../../../server/bin/prepare.mjs';

export class RelayProcess {
  readonly #process: ChildProcessByStdio<null, Readable, null>;
  readonly #ended: Promise<void>;
  /** The port that it listens on. */
  readonly ready: Promise<number>;

  /** @param state its directory @param port 0: any */
  constructor(state: string, port: number, more: readonly string[] = []) {
    const options = ['--port', String(port), '--state', state, ...more];
    const args = [join(ROOT as string, 'dist', 'node', 'main.js'), 'serve', ...options];
    this.#process = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#ended = new Promise((resolve) => this.#process.once('exit', () => resolve()));
    this.ready = new Promise((resolve) => {
      let text = '';
      this.#process.stdout.on('data', (bytes: Buffer) => {
        text += bytes;
        const found = /:(\d+)\//.exec(text);
        if (found) resolve(Number(found[1]));
      });
    });
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  get handles(): number {
    return readdirSync(`/proc/${this.#process.pid}/fd`).length;
  }

  get residentMb(): number {
    const status = readFileSync(`/proc/${this.#process.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  }
}
