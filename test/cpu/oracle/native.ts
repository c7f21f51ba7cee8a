/** Runs cases on the host CPU: compiles `native/oracle.c` and feeds it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Outcome, RESULT } from './layout.ts';

const FLAGS = ['-m32', '-O1', '-static', '-no-pie', '-fno-pic', '-fno-stack-protector'];

export class NativeOracle {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tabbox-oracle-'));
  readonly #program = join(this.#folder, 'oracle');

  /** @throws Error when the host cannot build or run 32-bit programs */
  constructor() {
    const source = fileURLToPath(new URL('../native/oracle.c', import.meta.url));
    const { status, stderr, error } = spawnSync('gcc', [...FLAGS, source, '-o', this.#program], { encoding: 'utf8' });
    if (status === 0) return;
    this.close();
    throw new Error(
      `gcc -m32 failed (${error?.message ?? `exit ${status}`}): these tests need an x86-64 Linux host with gcc and its ` +
        `32-bit libraries; on Debian and Ubuntu: apt-get install gcc gcc-multilib\n${stderr ?? ''}`,
    );
  }

  /**
   * @param window what the data window holds before each case
   * @param cases encoded cases, one after the other
   */
  run(window: Uint8Array, cases: readonly Uint8Array[]): Outcome[] {
    const count = Buffer.alloc(4);
    count.writeUInt32LE(cases.length);
    const input = Buffer.concat([window, count, ...cases]);
    const { stdout, status, signal } = spawnSync(this.#program, { input, maxBuffer: 2 ** 31 - 1 });
    if (status !== 0) throw new Error(`the oracle ended with ${signal ?? status}: a case reached its own memory`);
    const bytes = new Uint8Array(stdout);
    const all = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const outcomes: Outcome[] = [];
    let at = 0;
    for (let i = 0; i < cases.length; i++) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, RESULT.bytes);
      const changes = new Uint16Array(view.getUint32(RESULT.changes, true) * 2);
      at += RESULT.bytes;
      for (let n = 0; n < changes.length; n++, at += 2) changes[n] = all.getUint16(at, true);
      outcomes.push({ view, changes });
    }
    if (at !== bytes.length) throw new Error(`the oracle answered ${bytes.length} bytes, not ${at}`);
    return outcomes;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
