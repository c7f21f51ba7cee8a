/** From a machine's settings to the disks that the storage worker opens and the drives they are in. */
import { CodedError } from '#base/errors.ts';
import type { DriveSlot } from '#emu/workers/machine-protocol.ts';
import type { DriveSettings } from '#storage/settings/machine-settings.ts';
import type { DiskSource, DiskSpec } from '#storage/worker/disk-spec.ts';

const IDE_SLOTS: readonly DriveSlot[] = ['hda', 'hdb', 'hdc', 'hdd'];
const FLOPPY_SLOTS: readonly DriveSlot[] = ['fda', 'fdb'];

/** What a person calls a drive. */
export const SLOT_NAMES: Readonly<Record<DriveSlot, string>> = {
  hda: 'Disk 1',
  hdb: 'Disk 2',
  hdc: 'CD',
  hdd: 'CD 2',
  fda: 'Floppy A',
  fdb: 'Floppy B',
};

/** @throws CodedError<'bad-config'> for a place this machine does not have */
export function slotOf(drive: Pick<DriveSettings, 'controller' | 'port' | 'device'>): DriveSlot {
  const { controller, port, device } = drive;
  const slot = controller === 'ide' ? IDE_SLOTS[port * 2 + device] : FLOPPY_SLOTS[device];
  if ((controller === 'ide' || controller === 'floppy') && slot && (controller === 'ide' || port === 0)) return slot;
  throw new CodedError('bad-config', `this machine has no ${controller} port ${port} device ${device}`, { controller });
}

/** The place in the settings for a slot. */
export function placeOf(slot: DriveSlot): Pick<DriveSettings, 'controller' | 'port' | 'device'> {
  const ide = IDE_SLOTS.indexOf(slot);
  if (ide >= 0) return { controller: 'ide', port: ide >> 1, device: ide & 1 };
  return { controller: 'floppy', port: 0, device: FLOPPY_SLOTS.indexOf(slot) };
}

/** Where the first medium of a kind goes, and the next ones. */
export const SLOTS_FOR: Readonly<Record<DriveSettings['medium'], readonly DriveSlot[]>> = {
  'hard-disk': ['hda', 'hdb', 'hdd'],
  optical: ['hdc', 'hdd', 'hdb'],
  floppy: FLOPPY_SLOTS,
};

/** Drives every machine has, so that media can be put in while it runs. */
export const ALWAYS_THERE: readonly { readonly slot: DriveSlot; readonly medium: DriveSettings['medium'] }[] = [
  { slot: 'hdc', medium: 'optical' },
  { slot: 'fda', medium: 'floppy' },
];

/**
 * @param files images picked in this session, by disk id
 * @param base what relative addresses count from
 * @returns undefined for an empty drive
 * @throws CodedError<'file-needed'> when a picked file must be picked again
 */
export function diskSpecOf(drive: DriveSettings, files: ReadonlyMap<string, File>, base: string): DiskSpec | undefined {
  const { image, diskId, changes, hasChanges } = drive;
  if (!image) return undefined;
  return { id: diskId, source: sourceOf(image, files.get(diskId), diskId, base), changes, expectChanges: hasChanges };
}

function sourceOf(
  image: NonNullable<DriveSettings['image']>,
  file: File | undefined,
  diskId: string,
  base: string,
): DiskSource {
  if (image.kind === 'blank') return { kind: 'blank', sectorCount: image.sectorCount };
  if (image.kind === 'url') return { kind: 'url', url: new URL(image.url, base).href };
  if (file) return { kind: 'file', file };
  const why = `${image.name} was chosen for one session only, and a page may not open files by itself`;
  throw new CodedError('file-needed', why, { name: image.name, diskId });
}

/** Where a person finds what a drive holds, for its card. */
export function keptWhere(drive: DriveSettings): string {
  const { image, changes } = drive;
  if (!image) return 'empty';
  if (image.kind === 'blank') return changes === 'keep' ? 'kept in this browser' : 'forgotten at power-off';
  const from = image.kind === 'url' ? hostOf(image.url) : image.name;
  const written = { keep: 'changes kept in this browser', forget: 'changes forgotten at power-off', none: 'read-only' };
  return `${from}, ${written[changes]}`;
}

function hostOf(url: string): string {
  const name = url.split(/[?#]/, 1)[0].split('/').pop();
  const host = /^https?:\/\/([^/]+)/.exec(url)?.[1];
  return host ? `${name} from ${host}` : `${name} from this site`;
}
