/** Debian's gdb at an unmodified kernel; traces and crash reports of the same. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  return kernel('default', 128, append, more);
}

function kernel(name: string, memory: number, append: string, more: readonly string[]): Headless {
  const kernel = ['--kernel', guest(`${name}-kernel`), '--initrd', guest(`${name}-initrd`), '--memory', `${memory}`];
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

/** An ELF file with functions at these addresses, and nothing in them: what gdb knows of a kernel without its debug package. */
function symbolFile(addresses: ReadonlyMap<string, bigint>): string {
  const base = 0xffff_ffff_8000_0000n;
  const sorted = [...addresses].sort(([, a], [, b]) => (a < b ? -1 : 1));
  const lines = sorted.map(
    ([name, at]) => `.org ${at - base}\n.globl ${name}\n.type ${name},@function\n${name}: .skip 16\n.size ${name},16`,
  );
  const source = join(folder, 'kernel.s');
  const file = join(folder, 'kernel.elf');
  writeFileSync(source, `.section .kernel,"ax",@nobits\n${lines.join('\n')}\n`);
  execFileSync('gcc', [
    '-nostdlib',
    '-static',
    '-no-pie',
    `-Wl,--section-start=.kernel=0x${base.toString(16)},-e,0`,
    source,
    '-o',
    file,
  ]);
  return file;
}

describe('Debian’s gdb and a 64-bit kernel', () => {
  test('breaks at a function by its name, steps, reads and writes registers of all kinds', async () => {
    const one = kernel('amd64', 256, '', ['--gdb', '0']);
    await one.serial(PROMPT, BOOT_S);
    const names = ['ksys_write', 'vfs_write', 'ksys_read', 'vfs_read', '__x64_sys_write', 'do_syscall_64'];
    const listed = await shell(one, `grep -E ' (${names.join('|')})$' /proc/kallsyms`);
    const found = listed.matchAll(/^([0-9a-f]{16}) [tT] (\w+)\r?$/gm);
    const addresses = new Map(Array.from(found, ([, address, name]) => [name, BigInt(`0x${address}`)]));
    expect([...addresses.keys()].sort()).toEqual(names.sort());

    const gdb = await connected(one);
    expect(await gdb.command('show architecture')).toContain('x86-64');
    await gdb.command(`symbol-file ${symbolFile(addresses)}`);
    await gdb.command('break ksys_write');
    gdb.start('continue');
    one.type('echo hello\r');
    expect(await gdb.finish()).toMatch(/Breakpoint 1, 0xffffffff[0-9a-f]+ in ksys_write/);
    // It was called by the system call's function, or in its place.
    const [, caller] = /= 0x([0-9a-f]+)/.exec(await gdb.command('p/x *(long *)$rsp')) ?? [];
    const from = ['__x64_sys_write', 'do_syscall_64'].map(
      (name) => BigInt(`0x${caller}`) - (addresses.get(name) ?? 0n),
    );
    expect(from.some((distance) => distance > 0n && distance < 0x200n)).toBe(true);
    expect(await gdb.command('info registers cs ss cpl cr3 efer')).toMatch(
      /cs +0x10\b[\s\S]*ss +0x18\b[\s\S]*cpl +0x0\b[\s\S]*cr3 +0x[1-9a-f][\s\S]*efer +0x[0-9a-f]*d01\b/,
    );
    expect(await gdb.command('p/x $gs_base')).toMatch(/0xffff[0-9a-f]{12}/);
    expect(
      await gdb.command('monitor walk $rip'.replace('$rip', `0x${addresses.get('ksys_write')?.toString(16)}`)),
    ).toMatch(/PML4[\s\S]*physical/);
    for (let i = 0; i < 5; i++) {
      const listing = await gdb.command('x/2i $pc');
      const [, text] = /=> 0x[0-9a-f]+[^:]*:\s+(\S+)/.exec(listing) ?? [];
      const [, next] = /\n\s+(0x[0-9a-f]+)/.exec(listing) ?? [];
      await gdb.command('stepi');
      if (!/^(j|call|ret|int|sys|iret|rep)/.test(text)) expect(await gdb.command('p/x $rip')).toContain(next);
    }

    // Each is written, read and put back as it was.
    for (const [register, value] of [
      ['$r12', '0x123456789abcdef0'],
      ['$xmm3.v2_int64[1]', '0x1122334455667788'],
      ['$ymm9.v4_int64[3]', '0x8877665544332211'],
      ['$mxcsr', '0x1fa0'],
      ['$fs_base', '0x7fff00001000'],
      ['$ds', '0x2b'],
    ]) {
      await gdb.command(`set $saved = ${register}`);
      await gdb.command(`set ${register} = ${value}`);
      expect(await gdb.command(`p/x ${register}`), register).toMatch(new RegExp(`= (${value}|\\[[^\\]]*\\])`));
      await gdb.command(`set ${register} = $saved`);
    }
    await gdb.command('delete');
    expect(await gdb.command('detach')).toContain('detached');
    await one.serial(/hello\r?\n[\s\S]*# /, ANSWER_S);
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
