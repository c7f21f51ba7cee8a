/** From files a person dropped or picked to the drives and the kernel of a new machine. */

import type { DriveSlot } from '#emu/workers/machine-protocol.ts';
import type { ImageDescription } from '#storage/formats/describe-image.ts';
import type { DriveSettings } from '#storage/settings/machine-settings.ts';
import { SLOTS_FOR } from './drives.ts';

export interface PickedFile {
  readonly file: File;
  readonly image: ImageDescription;
}

export type Role =
  | { readonly kind: 'drive'; readonly slot: DriveSlot; readonly medium: DriveSettings['medium'] }
  | { readonly kind: 'kernel' }
  | { readonly kind: 'initrd' }
  /** Cannot be used. */
  | { readonly kind: 'refused'; readonly why: string };

export interface PlacedFile extends PickedFile {
  readonly role: Role;
}

const KERNEL_FORMATS: ReadonlySet<string> = new Set(['bzimage', 'zimage']);

/** An initial RAM disk says nothing about itself that a compressed file would not; the company it comes in does. */
function looksLikeInitrd({ file, image }: PickedFile): boolean {
  return (
    /initr|initramfs|\.cpio/i.test(file.name) || ['gzip', 'xz', 'zstd', 'bzip2', 'lz4', 'cpio'].includes(image.format)
  );
}

/**
 * Gives every file its place in one machine, in the order of the files.
 * A compressed file beside a kernel is the kernel's initial RAM disk.
 */
export function placeFiles(files: readonly PickedFile[]): PlacedFile[] {
  const taken = new Set<DriveSlot>();
  const hasKernel = files.some(({ image }) => isKernel(image));
  let kernels = 0;
  let initrds = 0;
  return files.map((picked) => {
    const { file, image } = picked;
    const refuse = (why: string): PlacedFile => ({ ...picked, role: { kind: 'refused', why } });
    if (isKernel(image)) {
      return kernels++ === 0 ? { ...picked, role: { kind: 'kernel' } } : refuse(`${file.name} is a second kernel`);
    }
    if (hasKernel && looksLikeInitrd(picked)) {
      return initrds++ === 0 ? { ...picked, role: { kind: 'initrd' } } : refuse(`${file.name} is a second RAM disk`);
    }
    if (image.refusal) return refuse(image.refusal.message);
    if (image.medium === 'kernel' || image.medium === 'none') {
      return refuse(`${file.name} is ${image.summary}, which goes into no drive`);
    }
    const slot = SLOTS_FOR[image.medium].find((one) => !taken.has(one));
    if (!slot) return refuse(`${file.name} has no drive left to go into`);
    taken.add(slot);
    return { ...picked, role: { kind: 'drive', slot, medium: image.medium } };
  });
}

function isKernel(image: ImageDescription): boolean {
  return image.medium === 'kernel' && !image.refusal && KERNEL_FORMATS.has(image.format);
}

/** Where the machine should look first: what a person who brings these media wants to see. */
export function bootOrderFor(files: readonly PlacedFile[]): ('floppy' | 'optical' | 'hard-disk')[] {
  const has = (medium: DriveSettings['medium']): boolean =>
    files.some(({ role, image }) => role.kind === 'drive' && role.medium === medium && image.bootable !== false);
  if (has('optical')) return ['optical', 'hard-disk', 'floppy'];
  if (has('floppy')) return ['floppy', 'hard-disk', 'optical'];
  return ['hard-disk', 'optical', 'floppy'];
}

/** A machine's name from its first file: without folders, endings and what only machines read. */
export function nameFor(files: readonly PlacedFile[]): string {
  const first = files.find(({ role }) => role.kind !== 'refused');
  if (!first) return 'New machine';
  const stem = first.file.name.replace(/\.(iso|img|ima|raw|dsk|bin|flp|vfd)$/i, '').replace(/[_]+/g, ' ');
  return (first.image.label || stem).trim().slice(0, 60) || 'New machine';
}
