/**
 * Runs cases on the host CPU: compiles `native/oracle.c` and feeds it.
 *
 * Hosts whose kernel runs 32-bit programs do so in 32-bit mode. On others the program is a 64-bit one, and the cases are
 * those whose encoding means the same in 64-bit mode with 32-bit addresses: the prefix that chooses those is put in front.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GIVEN, LEGACY_SHAPE, LONG_SHAPE, type Outcome, RESULT, type Shape } from './layout.ts';

const FLAGS = ['-O1', '-static', '-no-pie', '-fno-pic', '-fno-stack-protector', '-fcf-protection=none'];
const ADDRESS_SIZE = 0x67;

export class NativeOracle {
  /** Cases of 16- and 32-bit code run in 64-bit mode: only those that mean the same there. */
  readonly subset: boolean = false;
  /** How the host runs the cases, in words. */
  readonly how: string;
  readonly #shape: Shape;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tabbox-oracle-'));
  readonly #program = join(this.#folder, 'oracle');

  /**
   * @param long for cases of 64-bit code
   * @throws Error when the host cannot build the program
   */
  constructor(long: boolean) {
    this.#shape = long ? LONG_SHAPE : LEGACY_SHAPE;
    this.how = '64-bit mode';
    const problem = this.#compile(long ? 'oracle-long.c' : 'oracle.c', []);
    if (problem !== '') {
      this.close();
      throw new Error(
        `gcc failed: these tests need an x86-64 Linux host with gcc, and to test all of 32-bit mode its 32-bit libraries; ` +
          `on Debian and Ubuntu: apt-get install gcc gcc-multilib\n${problem}`,
      );
    }
    if (long) return;
    // A 32-bit program may be refused, or be run by an emulator.
    const processor = this.#processor();
    this.subset = !(this.#compile('oracle.c', ['-m32']) === '' && this.#processor() === processor);
    this.how = this.subset ? '64-bit mode with 32-bit addresses, as it runs no 32-bit programs' : '32-bit mode';
    if (this.subset) this.#compile('oracle.c', []);
  }

  #compile(name: string, mode: readonly string[]): string {
    const source = fileURLToPath(new URL(`../native/${name}`, import.meta.url));
    const { status, stderr, error } = spawnSync('gcc', [...mode, ...FLAGS, source, '-o', this.#program], {
      encoding: 'utf8',
    });
    return status === 0 ? '' : `${error?.message ?? `exit ${status}`} ${stderr ?? ''}`;
  }

  /** What the program sees of the processor; empty when it does not start. */
  #processor(): string {
    const { status, stdout } = spawnSync(this.#program, ['processor'], { encoding: 'hex' });
    return status === 0 ? stdout : '';
  }

  /**
   * @param window what the data window holds before each case
   * @param cases encoded cases, one after the other
   */
  run(window: Uint8Array, cases: readonly Uint8Array[]): Outcome[] {
    const { result } = this.#shape;
    const count = Buffer.alloc(4);
    count.writeUInt32LE(cases.length);
    const input = Buffer.concat([window, count, ...(this.subset ? cases.map(withAddressSize) : cases)]);
    const { stdout, status, signal } = spawnSync(this.#program, { input, maxBuffer: 2 ** 31 - 1 });
    if (status !== 0) throw new Error(`the oracle ended with ${signal ?? status}: a case reached its own memory`);
    const bytes = new Uint8Array(stdout);
    const all = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const outcomes: Outcome[] = [];
    let at = 0;
    for (let i = 0; i < cases.length; i++) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, result.bytes);
      const changes = new Uint16Array(view.getUint32(result.changes, true) * 2);
      at += result.bytes;
      for (let n = 0; n < changes.length; n++, at += 2) changes[n] = all.getUint16(at, true);
      if (this.subset) skipAddressSize(view, cases[i]);
      outcomes.push({ view, changes });
    }
    if (at !== bytes.length) throw new Error(`the oracle answered ${bytes.length} bytes, not ${at}`);
    return outcomes;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const eipOf = (given: Uint8Array): number =>
  new DataView(given.buffer, given.byteOffset, given.byteLength).getUint32(GIVEN.eip, true);

/** The case with the prefix in front, so that the instruction ends where it did. */
function withAddressSize(given: Uint8Array): Uint8Array {
  const longer = given.slice();
  const view = new DataView(longer.buffer);
  longer.set(given.subarray(GIVEN.code, GIVEN.code + given[GIVEN.codeBytes]), GIVEN.code + 1);
  longer[GIVEN.code] = ADDRESS_SIZE;
  longer[GIVEN.codeBytes] = given[GIVEN.codeBytes] + 1;
  view.setUint32(GIVEN.eip, eipOf(given) - 1, true);
  return longer;
}
function skipAddressSize(result: DataView, given: Uint8Array): void {
  const eip = eipOf(given);
  if (result.getUint32(RESULT.eip, true) === eip - 1) result.setUint32(RESULT.eip, eip, true);
}
