/**
 * The machine's drives: two IDE cables and two diskette drives, filled with the media of power-on.
 * A CD drive and a diskette drive keep their medium changeable; a disk is there for good.
 */
import type { Timers } from '#base/clock.ts';
import { CodedError } from '#base/errors.ts';
import type { IrqLine } from '#emu/bus/wires.ts';
import { MmcCdrom } from '#emu/devices/scsi/mmc-cdrom.ts';
import { FloppyDrive } from '#emu/devices/storage/floppy/floppy-drive.ts';
import { AtaDrive } from '#emu/devices/storage/ide/ata-drive.ts';
import { AtapiDrive } from '#emu/devices/storage/ide/atapi-drive.ts';
import { IdeChannel } from '#emu/devices/storage/ide/ide-channel.ts';
import type { IdeDrive } from '#emu/devices/storage/ide/ide-drive.ts';
import type { BlockPort } from '#emu/host/block.ts';
import { IDE_POSITIONS, type IdePosition, type MachineConfig, type MachineMedia } from './config.ts';
import { wholeDiskette } from './short-diskette.ts';

export type DriveName = IdePosition | 'floppyA' | 'floppyB';

export interface DrivesParts {
  readonly config: MachineConfig;
  readonly media: MachineMedia;
  readonly timers: Timers;
  /** IRQ 14 and 15. */
  readonly ideIrqs: readonly [IrqLine, IrqLine];
  readonly onActivity: (drive: DriveName, kind: 'read' | 'write') => void;
  /** The guest opened a CD drive. */
  readonly onEjected: (drive: IdePosition) => void;
}

const FIRMWARE_REVISION = '1.0';

export class Drives {
  readonly channels: readonly [IdeChannel, IdeChannel];
  readonly floppies: readonly [FloppyDrive | undefined, FloppyDrive | undefined];
  /** CD readers by position. */
  readonly cdroms: ReadonlyMap<IdePosition, MmcCdrom>;

  /** @throws CodedError when a medium does not fit its drive: see the drives */
  constructor(parts: DrivesParts) {
    const cdroms = new Map<IdePosition, MmcCdrom>();
    const ide = IDE_POSITIONS.map((position) => makeIdeDrive(parts, position, cdroms));
    this.cdroms = cdroms;
    this.channels = [
      new IdeChannel({ irq: parts.ideIrqs[0], drives: [ide[0], ide[1]] }),
      new IdeChannel({ irq: parts.ideIrqs[1], drives: [ide[2], ide[3]] }),
    ];
    this.floppies = [makeFloppyDrive(parts, 0), makeFloppyDrive(parts, 1)];
  }

  /** The CD reader that a person means who names none. */
  get firstCdrom(): MmcCdrom | undefined {
    return this.cdroms.values().next().value;
  }

  /**
   * Puts a disc or a diskette in, or takes it out with undefined.
   * @param force also when the guest has locked the door
   * @throws CodedError<'no-drive' | 'locked'>, and what the drive says of the medium
   */
  change(kind: 'cdrom' | 'floppy', medium: BlockPort | undefined, force: boolean): void {
    if (kind === 'floppy') {
      const drive = this.floppies[0] ?? this.floppies[1];
      if (!drive) throw noDrive('floppy drive');
      drive.insert(medium && wholeDiskette(medium, drive.type));
      return;
    }
    const cdrom = this.firstCdrom;
    if (!cdrom) throw noDrive('CD drive');
    if (medium ? cdrom.insert(medium, force) : cdrom.eject(force)) return;
    throw new CodedError('locked', 'the guest has locked the CD drive; unmount the disc there, or use force');
  }
}

const noDrive = (what: string): CodedError<'no-drive'> =>
  new CodedError('no-drive', `the machine has no ${what}; start it with one`);

function makeIdeDrive(
  parts: DrivesParts,
  position: IdePosition,
  cdroms: Map<IdePosition, MmcCdrom>,
): IdeDrive | undefined {
  const drive = parts.config.ide[position];
  if (!drive) return undefined;
  const medium = parts.media.ide[position];
  const number = IDE_POSITIONS.indexOf(position) + 1;
  const activity = (kind: 'read' | 'write'): void => parts.onActivity(position, kind);
  if (drive.kind === 'disk') {
    if (!medium) throw new CodedError('bad-config', `the disk at ${position} has no medium`, { field: position });
    const identity = { model: 'TABBOX HARDDISK', serial: `TB${number.toString().padStart(8, '0')}` };
    return new AtaDrive({ medium, identity: { ...identity, firmware: FIRMWARE_REVISION }, activity });
  }
  const serial = `TC${number.toString().padStart(8, '0')}`;
  const cdrom = new MmcCdrom({
    timers: parts.timers,
    identity: { vendor: 'TABBOX', product: 'CD-ROM', revision: FIRMWARE_REVISION, serial },
    onEjected: () => parts.onEjected(position),
    activity,
    ...(medium ? { medium } : {}),
  });
  cdroms.set(position, cdrom);
  return new AtapiDrive({ unit: cdrom, identity: { model: 'TABBOX CD-ROM', serial, firmware: FIRMWARE_REVISION } });
}

function makeFloppyDrive(parts: DrivesParts, index: 0 | 1): FloppyDrive | undefined {
  const drive = parts.config.floppies[index];
  if (!drive) return undefined;
  const medium = parts.media.floppies[index];
  const name = index === 0 ? 'floppyA' : 'floppyB';
  return new FloppyDrive({
    type: drive.type,
    activity: (kind) => parts.onActivity(name, kind),
    ...(medium ? { medium: wholeDiskette(medium, drive.type) } : {}),
  });
}
