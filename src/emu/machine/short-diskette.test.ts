import { describe, expect, it } from 'vitest';
import { type BlockStatus, MemoryBlockPort } from '#emu/host/block.ts';
import { wholeDiskette } from './short-diskette.ts';

function request(port: MemoryBlockPort | ReturnType<typeof wholeDiskette>, kind: 'read' | 'write', sector: number) {
  const bytes = new Uint8Array(1024).fill(0xee);
  let status: BlockStatus | undefined;
  port.submit({ kind, sector, bytes, done: (s) => (status = s) });
  return { bytes, status };
}

describe('a short diskette image', () => {
  const image = new Uint8Array(2532 * 512).fill(7);
  const whole = wholeDiskette(new MemoryBlockPort(image), '1.44M');

  it('is taken for the diskette it fits on, write-protected', () => {
    expect([whole.sectorCount, whole.writable]).toEqual([2880, false]);
    expect(request(whole, 'write', 0).status).toBe('read-only');
    expect(image[0]).toBe(7);
  });

  it('is blank behind its end', () => {
    const at = (sector: number) => {
      const { bytes, status } = request(whole, 'read', sector);
      return [status, bytes[0], bytes[1023]];
    };
    expect([at(0), at(2530), at(2531), at(2532), at(2878)]).toEqual([
      ['ok', 7, 7],
      ['ok', 7, 7],
      ['ok', 7, 0],
      ['ok', 0, 0],
      ['ok', 0, 0],
    ]);
  });

  it.each([320, 1440, 2400, 2880, 5760, 6000])('leaves %i sectors alone', (sectors) => {
    const medium = new MemoryBlockPort(new Uint8Array(sectors * 512));
    expect(wholeDiskette(medium, '2.88M')).toBe(medium);
  });
});
