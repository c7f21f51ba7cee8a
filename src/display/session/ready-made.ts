/** Guests that the server of this page offers under `guests/`. */
import { DEFAULT_SETTINGS, type EditableSettings } from '#storage/settings/machine-settings.ts';
import { placeOf } from './drives.ts';

export interface ReadyMade {
  /** Also the id of the machine made from it, and its name in deep links. */
  readonly id: string;
  /** What a person reads. */
  readonly about: string;
  /** Files under `guests/` that it needs. */
  readonly files: readonly string[];
  readonly settings: EditableSettings;
}

const MEMORY_MB = 256;
const CONSOLES = 'console=ttyS0 console=tty0';

const url = (name: string): { kind: 'url'; url: string } => ({ kind: 'url', url: `guests/${name}` });

export const DEFAULT_GUEST = 'debian';

export const READY_MADE: readonly ReadyMade[] = [
  {
    id: DEFAULT_GUEST,
    about: 'Debian’s kernel and a busybox shell, all in memory. Up in seconds.',
    files: ['default-kernel', 'default-initrd'],
    settings: {
      ...DEFAULT_SETTINGS,
      name: 'Debian',
      memoryMb: MEMORY_MB,
      directBoot: { kernel: url('default-kernel'), initrd: url('default-initrd'), commandLine: CONSOLES },
    },
  },
  {
    id: 'debian-disk',
    about: 'Debian on a disk, with systemd. What you write is kept in this browser.',
    files: ['debian-i386.img'],
    settings: {
      ...DEFAULT_SETTINGS,
      name: 'Debian disk',
      memoryMb: MEMORY_MB,
      bootOrder: ['hard-disk'],
      drives: [
        {
          ...placeOf('hda'),
          medium: 'hard-disk',
          image: url('debian-i386.img'),
          changes: 'keep',
          diskId: 'debian-disk-hda',
          hasChanges: false,
        },
      ],
    },
  },
];

/** @param name id or name, case does not matter */
export function readyMade(name: string): ReadyMade | undefined {
  const wanted = name.toLowerCase();
  return READY_MADE.find(({ id, settings }) => id === wanted || settings.name.toLowerCase() === wanted);
}
