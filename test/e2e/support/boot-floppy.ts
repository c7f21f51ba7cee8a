/** Guests of a few sectors, from assembler. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FLOPPY_BYTES = 1_474_560;

/**
 * @param source for GNU as; begins where a BIOS loads a boot sector, at 0x7c00
 * @returns a floppy disk that begins with it
 */
export function bootFloppy(source: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-floppy-'));
  try {
    const [file, linked] = [join(folder, 'sector.s'), join(folder, 'sector')];
    writeFileSync(file, source);
    const layout = '-Wl,-Ttext=0x7c00,--oformat=binary,--build-id=none';
    execFileSync('gcc', ['-m32', '-nostdlib', '-static', layout, '-o', linked, file]);
    const floppy = Buffer.alloc(FLOPPY_BYTES);
    readFileSync(linked).copy(floppy);
    return floppy;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
