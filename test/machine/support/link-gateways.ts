/** `tabbox rdp LINK` in a process of its own, as somebody runs it who has got a link. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
// @ts-expect-error: plain JavaScript, for it runs before anything is installed
import { ROOT } from '../../../server/bin/prepare.mjs';
import { eventually } from './rdp-clients.ts';

export class LinkGateway {
  readonly #process: ChildProcess;
  /** Its exit status. */
  readonly exit: Promise<number | null>;
  #said = '';

  /** @param state where it keeps its certificate. @param args such as `--vrdeport` */
  constructor(link: string, state: string, args: readonly string[] = []) {
    const command = join(ROOT as string, 'dist', 'node', 'main.js');
    const env = { ...process.env, XDG_CONFIG_HOME: state };
    const ports = ['--vrdeport', '42800-42899'];
    this.#process = spawn(process.execPath, [command, 'rdp', link, ...ports, ...args], { env, stdio: 'pipe' });
    this.#process.stderr?.on('data', (bytes: Buffer) => {
      this.#said += bytes.toString();
    });
    this.exit = new Promise((resolve) => this.#process.once('exit', resolve));
  }

  get said(): string {
    return this.#said;
  }

  /** Waits until RDP clients can come. @throws Error with what it said when they cannot */
  async port(): Promise<number> {
    const found = (): number | undefined =>
      Number(/RDP clients reach .* at 127\.0\.0\.1:(\d+)\n/.exec(this.#said)?.[1]) || undefined;
    return await eventually('gateway', found).catch((cause: Error) => {
      throw new Error(`${cause.message}; it said:\n${this.#said}`);
    });
  }

  async close(): Promise<void> {
    this.#process.kill();
    await this.exit;
  }
}
