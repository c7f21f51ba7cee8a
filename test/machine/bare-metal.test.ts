/** A Multiboot kernel of our own, assembled here: debug console, exit port and modules as bare-metal test suites use them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runToEnd } from './support/headless.ts';

/** Writes its command line and the first byte of its module to port E9h, then 16 to port F4h. */
const SOURCE = `
  .section .text
  .align 4
  .long 0x1BADB002, 0, -0x1BADB002
  .globl _start
_start:
  cmpl $0x2BADB002, %eax
  jne bad
  movl 16(%ebx), %esi
1: lodsb
  testb %al, %al
  jz 2f
  outb %al, $0xE9
  jmp 1b
2: movl 24(%ebx), %edi
  movl (%edi), %esi
  movb (%esi), %al
  outb %al, $0xE9
  movl $16, %eax
  outl %eax, $0xF4
bad: movl $1, %eax
  outl %eax, $0xF4
  hlt
`;

let folder = '';
let kernel = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-bare-'));
  kernel = join(folder, 'kernel');
  const source = join(folder, 'kernel.s');
  writeFileSync(source, SOURCE);
  execFileSync('gcc', ['-m32', '-nostdlib', '-static', '-Wl,-Ttext=0x200000,--build-id=none', '-o', kernel, source]);
  writeFileSync(join(folder, 'module'), 'M');
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const run = (...more: string[]): ReturnType<typeof runToEnd> =>
  runToEnd([
    ...[
      'run',
      '--kernel',
      kernel,
      '--append',
      'hello from a kernel',
      '--initrd',
      `${join(folder, 'module')} its arguments`,
    ],
    ...['--debug-exit', '0xf4', ...more],
  ]);

test('a Multiboot kernel gets its command line and module, writes to the console and ends the run', async () => {
  const { status, output } = await run('--debugcon', 'stdio');
  expect(output).toContain('hello from a kernel');
  expect(output.trimEnd().endsWith('M')).toBe(true);
  expect(status).toBe((16 << 1) | 1);
});

test('the debug console goes to a file', async () => {
  const log = join(folder, 'log');
  expect((await run('--debugcon', `file:${log}`)).status).toBe(33);
  expect(readFileSync(log, 'latin1')).toMatch(/hello from a kernel ?M$/);
});
