/** Debian's gdb at an unmodified kernel; traces and crash reports of the same. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { guest, Headless } from './support/headless.ts';

const BOOT_S = 500;
const ANSWER_S = 120;
const PROMPT = /root@tabbox:\S+# /;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-debug-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const cleanUps: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function machine(append: string, ...more: string[]): Headless {
  const kernel = ['--kernel', guest('default-kernel'), '--initrd', guest('default-initrd'), '--memory', '128'];
  const one = new Headless([...kernel, '--append', `console=ttyS0 nokaslr ${append}`, ...more]);
  cleanUps.push(() => one.kill());
  return one;
}

/** gdb as a person has it, one command after the other. */
class Gdb {
  readonly #process: ChildProcessWithoutNullStreams;
  #output = '';

  constructor() {
    this.#process = spawn('gdb', ['-q', '-nx'], { stdio: 'pipe', env: { ...process.env, TERM: 'dumb', LC_ALL: 'C' } });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (bytes: Buffer) => {
        this.#output += bytes.toString();
      });
    }
    this.#process.stdin.on('error', () => {});
    cleanUps.push(() => this.#process.kill('SIGKILL'));
  }

  /** @returns what gdb prints for a command */
  async command(text: string): Promise<string> {
    this.start(text);
    return await this.finish();
  }

  start(text: string): void {
    this.#output = '';
    this.#process.stdin.write(`${text}\necho \\n<done>\\n\n`);
  }

  async finish(): Promise<string> {
    const end = Date.now() + ANSWER_S * 1000;
    while (!this.#output.includes('\n<done>\n')) {
      if (Date.now() > end) throw new Error(`gdb does not answer:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this.#output.replace('\n<done>\n', '');
  }
}

/** @returns the address `target remote` takes */
async function gdbAddress(one: Headless): Promise<string> {
  const end = Date.now() + ANSWER_S * 1000;
  for (;;) {
    const [, address] = /target remote (\S+)/.exec(one.errors) ?? [];
    if (address) return address;
    if (Date.now() > end) throw new Error(`no address of the stub:\n${one.errors}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function connected(one: Headless): Promise<Gdb> {
  const gdb = new Gdb();
  for (const setting of ['pagination off', 'confirm off', 'tcp connect-timeout 60', 'remotetimeout 60']) {
    await gdb.command(`set ${setting}`);
  }
  expect(await gdb.command(`target remote ${await gdbAddress(one)}`)).toMatch(/0x[0-9a-f]+ in \?\?/);
  return gdb;
}

/** Types a command into the guest's shell. @returns what it printed */
async function shell(one: Headless, line: string): Promise<string> {
  const from = one.output.length;
  one.type(`${line}; echo end-$((1+1))\r`);
  return await one.serial(/end-2\r?\n/, ANSWER_S, from);
}

async function symbol(one: Headless, name: string): Promise<string> {
  const text = await shell(one, `grep -w ${name} /proc/kallsyms`);
  const [, address] = new RegExp(`([0-9a-f]{8}) [tT] ${name}\\b`).exec(text) ?? [];
  if (!address) throw new Error(`no symbol ${name}:\n${text}`);
  return `0x${address}`;
}

describe('Debian’s gdb', () => {
  test('breaks at a kernel symbol, steps, looks around, goes on and leaves', async () => {
    const one = machine('', '--gdb', '0');
    await one.serial(PROMPT, BOOT_S);
    const address = await symbol(one, 'ksys_write');
    const gdb = await connected(one);
    expect(await gdb.command('show architecture')).toContain('i386');

    await gdb.command(`break *${address}`);
    gdb.start('continue');
    one.type('echo hello\r');
    expect(await gdb.finish()).toMatch(/Breakpoint 1, 0x[0-9a-f]+/);
    expect(await gdb.command('p/x $eip')).toContain(address);
    expect(await gdb.command('info registers cs cpl cr3')).toMatch(/cs +0x60\b[\s\S]*cpl +0x0\b[\s\S]*cr3 +0x[1-9a-f]/);
    const code = await gdb.command(`x/8xb ${address}`);
    expect(code).toMatch(/0x[0-9a-f]{2}/);
    expect(await gdb.command(`monitor walk ${address}`)).toMatch(/PDE[\s\S]*physical/);

    // Instruction by instruction, as the disassembler of gdb sees them.
    for (let i = 0; i < 8; i++) {
      const listing = await gdb.command('x/2i $pc');
      const [, now, text] = /=> (0x[0-9a-f]+):\s+(\S+)/.exec(listing) ?? [];
      const [, next] = /\n\s+(0x[0-9a-f]+):/.exec(listing) ?? [];
      expect(now, listing).toBeDefined();
      await gdb.command('stepi');
      if (!/^(j|call|ret|int|sys|iret|rep)/.test(text)) expect(await gdb.command('p/x $eip')).toContain(next);
    }

    // Again and again at the same place; registers and memory can be changed.
    const before = await gdb.command('p/x $eip');
    gdb.start('continue');
    expect(await gdb.finish()).toMatch(/Breakpoint 1/);
    expect(await gdb.command('p/x $eip')).not.toBe(before);
    await gdb.command('set $saved = $edx');
    await gdb.command('set $edx = 0x1234');
    expect(await gdb.command('p/x $edx')).toContain('0x1234');
    await gdb.command('set $edx = $saved');
    await gdb.command('delete');
    expect(await gdb.command('detach')).toContain('detached');
    await one.serial(/hello\r?\n[\s\S]*# /, ANSWER_S);
    // Nothing of it is left in the code.
    const again = await connected(one);
    expect(await again.command(`x/8xb ${address}`)).toBe(code);
    await again.command('detach');
    expect(await shell(one, 'echo alive')).toContain('alive');
  });
});

describe('a trace', () => {
  test('lists the instructions from an address on, and no more than wanted', async () => {
    const path = join(folder, 'trace');
    const one = machine('', '--trace', path, '--trace-from', '0x100008', '--trace-count', '3000');
    // The machine goes on at full speed after it.
    await one.serial('Linux version', BOOT_S);
    await one.kill();
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(3000);
    expect(lines[0]).toMatch(/^00100008 {2}e8\S+ +call /);
    let straight = 0;
    for (let i = 0; i + 1 < lines.length; i++) {
      const [, at, bytes, text] = /^([0-9a-f]{8}) {2}((?:[0-9a-f]{2})+) +(\S.*)$/.exec(lines[i]) ?? [];
      expect(text, lines[i]).toBeDefined();
      if (/^(j|call|ret|loop|int|iret|rep)/.test(text)) continue;
      expect(lines[i + 1].slice(0, 8)).toBe((Number.parseInt(at, 16) + bytes.length / 2).toString(16).padStart(8, '0'));
      straight++;
    }
    expect(straight).toBeGreaterThan(1000);
  });
});
