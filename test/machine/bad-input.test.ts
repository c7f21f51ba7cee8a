/** What is not good is refused with a sentence; nothing else is touched. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { guest, Headless, runToEnd } from './support/headless.ts';

let folder = '';
const file = (name: string, bytes: Uint8Array | string): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};
const noise = (length: number): Uint8Array => {
  let x = 0x2545f491;
  return Uint8Array.from({ length }, () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x & 0xff;
  });
};
const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-bad-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The command ends with status 1 and one message that names the file or option, without a stack trace. */
async function refused(args: readonly string[], wanted: RegExp): Promise<void> {
  const { status, errors, output } = await runToEnd(['run', ...args]);
  expect(`${errors}${output}`).toMatch(wanted);
  expect(errors).not.toMatch(/^\s+at /m);
  expect(status).toBe(1);
}

describe('what cannot start', () => {
  test('a kernel of noise', async () => {
    await refused(['--kernel', file('noise', noise(100_000))], /Linux setup header/);
  });
  test('a truncated kernel', async () => {
    await refused(
      ['--kernel', file('half', readFileSync(guest('default-kernel')).subarray(0, 700_000))],
      /half|kernel|truncated/i,
    );
  });
  test('an empty kernel', async () => {
    await refused(['--kernel', file('none', '')], /none|empty|kernel/i);
  });
  test('an initrd larger than the memory', async () => {
    const initrd = file('large', new Uint8Array(64 << 20));
    await refused(['--kernel', guest('default-kernel'), '--initrd', initrd, '--memory', '32'], /memory/i);
  });
  test('a disk of no bytes', async () => {
    await refused(['--hda', file('empty.img', '')], /empty/i);
  });
  test('a file that is not there', async () => {
    await refused(['--hda', join(folder, 'nowhere.img')], /nowhere\.img/);
  });
  test('too much memory', async () => {
    await refused(['--kernel', guest('default-kernel'), '--memory', '99999'], /memory/i);
  });
  test('a diskette of an impossible size', async () => {
    await refused(['--floppy', file('huge.img', new Uint8Array(5_000_000))], /floppy|diskette|size/i);
  });
  test('a saved machine of noise, and one cut short', async () => {
    await refused(['--restore-state', file('state', noise(50_000))], /state|saved/i);
    await refused(['--restore-state', file('state-none', '')], /state|saved/i);
  });
  test('an option that does not exist', async () => {
    await refused(['--frobnicate'], /frobnicate/);
  });
});

test('an initrd of noise, a CD of noise and a disk of noise leave the machine running and the other disk untouched', async () => {
  const other = join(folder, 'other.img');
  copyFileSync(guest('grub-rescue-floppy.img'), other);
  const before = hash(other);
  const machine = new Headless([
    ...['--cdrom', file('noise.iso', noise(300_000))],
    ...['--hda', file('noise.img', noise(1 << 20))],
    ...['--hdb', other],
  ]);
  try {
    await machine.screen(/No bootable device|Boot failed|not a bootable disk/i, 90);
    expect(await machine.command('info')).toMatch(/ok$/);
  } finally {
    await machine.kill();
  }
  expect(hash(other)).toBe(before);
});
