import { describe, expect, it } from 'vitest';
import { describeImage } from '#storage/formats/describe-image.ts';
import { bootOrderFor, nameFor, type PickedFile, placeFiles } from './image-files.ts';

function picked(name: string, bytes: Uint8Array): PickedFile {
  return { file: new File([new Uint8Array(bytes)], name), image: describeImage(bytes, bytes.length, name) };
}

function disk(name: string): PickedFile {
  const bytes = new Uint8Array(65_536);
  bytes.set([0x55, 0xaa], 510);
  bytes.set([0x80, 1, 1, 0, 0x83, 1, 1, 1, 63, 0, 0, 0, 1, 0, 0, 0], 446);
  return picked(name, bytes);
}

function kernel(name: string): PickedFile {
  const bytes = new Uint8Array(32_768);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = 4;
  view.setUint16(0x1fe, 0xaa55, true);
  bytes.set(new TextEncoder().encode('HdrS'), 0x202);
  view.setUint16(0x206, 0x020f, true);
  bytes[0x211] = 1;
  return picked(name, bytes);
}

function compressed(name: string): PickedFile {
  const bytes = new Uint8Array(4096);
  bytes.set([0x1f, 0x8b, 8, 0]);
  return picked(name, bytes);
}

const roles = (files: readonly PickedFile[]): string[] =>
  placeFiles(files).map(({ role }) => (role.kind === 'drive' ? role.slot : role.kind));

describe('placing files', () => {
  it('gives disks their slots in order, until none is left', () => {
    expect(roles([disk('a.img'), disk('b.img'), disk('c.img'), disk('d.img')])).toEqual([
      'hda',
      'hdb',
      'hdd',
      'refused',
    ]);
  });

  it('takes a compressed file for a RAM disk only beside a kernel', () => {
    expect(roles([kernel('vmlinuz'), compressed('initrd.img')])).toEqual(['kernel', 'initrd']);
    expect(roles([compressed('initrd.img'), kernel('vmlinuz')])).toEqual(['initrd', 'kernel']);
    expect(roles([compressed('disk.img.gz')])).toEqual(['refused']);
  });

  it('says why an image cannot be used', () => {
    const [empty] = placeFiles([picked('nothing.iso', new Uint8Array(0))]);
    expect(empty.role).toMatchObject({ kind: 'refused', why: expect.stringContaining('0 bytes') });
  });

  it('refuses a second kernel', () => {
    expect(roles([kernel('one'), kernel('two')])).toEqual(['kernel', 'refused']);
  });

  it('starts from the disk when there is nothing else, and names the machine after it', () => {
    const files = placeFiles([disk('my_disk.img')]);
    expect(bootOrderFor(files)[0]).toBe('hard-disk');
    expect(nameFor(files)).toBe('my disk');
    expect(nameFor([])).toBe('New machine');
  });
});
