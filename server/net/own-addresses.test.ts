import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hostDomain } from './own-addresses.ts';

const folder = mkdtempSync(join(tmpdir(), 'tabbox-domain-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the domain of the host', () => {
  it.each([
    ['nameserver 192.0.2.1\nsearch lab.example example\n', 'lab.example'],
    ['search old.example\n domain\tnew.example. \n', 'new.example'],
    ['# search no.example\n; domain no.example\nnameserver 192.0.2.1\n', ''],
    ['search .\n', ''],
    ['search a b"c\n', 'a'],
    ['domain x;rm -rf /\n', ''],
    [`search ${'a.'.repeat(200)}b\n`, ''],
  ])('of %j is %j', (text, expected) => {
    const path = join(folder, 'resolv.conf');
    writeFileSync(path, text);
    expect(hostDomain(path)).toBe(expected);
  });

  it('is none without the file', () => expect(hostDomain(join(folder, 'none'))).toBe(''));
});
