/**
 * What a machine is, as the person set it up: one record per machine, kept in the browser.
 *
 * Records carry a version. A change of the schema adds a step to `MIGRATIONS` that turns the previous version's record
 * into the next one's; old records are brought up when they are read.
 */
import * as v from 'valibot';
import type { CodedError } from '#base/errors.ts';
import {
  MAX_NETWORK_CARDS,
  NAT_MTU,
  NAT_WINDOW_KB,
  type NetworkCardConfig,
  NIC_TYPES,
  parseMac,
} from '#emu/host/network-card.ts';
import { isStorageError, type StorageErrorCode, storageError } from '../block/block-store.ts';

const text = v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(200));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const between = (least: number, most: number) => v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most));
const diskId = v.pipe(v.string(), v.regex(/^[\w-]+$/), v.maxLength(100));

/** Where a disk's first content comes from. A picked file is only remembered: the browser asks for it again. */
const image = v.variant('kind', [
  v.strictObject({ kind: v.literal('blank'), sectorCount: v.pipe(count, v.minValue(1)) }),
  v.strictObject({ kind: v.literal('url'), url: text }),
  v.strictObject({ kind: v.literal('file'), name: text, sizeBytes: count, lastModifiedMs: count }),
]);

/** A disk, CD or diskette, where VirtualBox would attach it. */
const drive = v.strictObject({
  controller: v.picklist(['floppy', 'ide', 'ahci', 'scsi', 'virtio']),
  port: between(0, 29),
  device: between(0, 1),
  medium: v.picklist(['hard-disk', 'optical', 'floppy']),
  /** Null: the drive is empty. */
  image: v.nullable(image),
  /** What becomes of what the guest writes: see `DiskChanges` of the storage worker. */
  changes: v.picklist(['keep', 'forget', 'none']),
  /** Names the stored changes. */
  diskId,
  /** True once changes were stored: if the browser has none then, it threw them away. */
  hasChanges: v.boolean(),
});

/** A file of the direct boot: on a web server, or kept in this browser by `FileStore`. */
const bootFile = v.variant('kind', [
  v.strictObject({ kind: v.literal('url'), url: text }),
  v.strictObject({ kind: v.literal('kept'), key: text, name: text, sizeBytes: count }),
]);

/** A kernel started without a BIOS boot. */
const directBoot = v.strictObject({
  kernel: bootFile,
  initrd: v.nullable(bootFile),
  commandLine: v.pipe(v.string(), v.maxLength(2047)),
});

const name = v.pipe(v.string(), v.maxLength(200));

/** 0: the usual. */
const zeroOr = (range: v.GenericSchema<number>) => v.union([v.literal(0), range]);
const natMtu = zeroOr(between(NAT_MTU.least, NAT_MTU.most));
const natWindowKb = zeroOr(between(NAT_WINDOW_KB.least, NAT_WINDOW_KB.most));
const dhcpServer = v.strictObject({ serverIp: name, netmask: name, lowerIp: name, upperIp: name });

/** As `NicAttachment` of the host interface has it. */
const attachment = v.variant('kind', [
  v.strictObject({ kind: v.literal('null') }),
  v.strictObject({
    kind: v.literal('nat'),
    network: name,
    forwards: v.array(name),
    localhostReachable: v.exactOptional(v.boolean()),
    hostResolver: v.exactOptional(v.boolean()),
    tftpFolder: v.exactOptional(name),
    bootFile: v.exactOptional(name),
    tftpServer: v.exactOptional(name),
    dnsProxy: v.exactOptional(v.boolean()),
    passDomain: v.exactOptional(v.boolean()),
    bindIp: v.exactOptional(name),
    mtu: v.exactOptional(natMtu),
    tcpSendKb: v.exactOptional(natWindowKb),
    tcpReceiveKb: v.exactOptional(natWindowKb),
  }),
  v.strictObject({ kind: v.literal('intnet'), network: text, dhcpServer: v.exactOptional(dhcpServer) }),
  v.strictObject({ kind: v.literal('hostonly'), adapter: text, dhcpServer: v.exactOptional(dhcpServer) }),
  v.strictObject({ kind: v.literal('bridged'), adapter: text }),
  v.strictObject({ kind: v.literal('natnetwork'), network: text }),
  v.strictObject({ kind: v.literal('generic'), driver: text, properties: v.record(text, name) }),
]);

const networkCard: v.GenericSchema<NetworkCardConfig> = v.strictObject({
  slot: between(1, MAX_NETWORK_CARDS),
  type: v.picklist(NIC_TYPES),
  mac: v.pipe(
    v.string(),
    v.check((mac) => parseMac(mac) === mac, 'a MAC address is 12 hexadecimal digits, the second one even'),
  ),
  cableConnected: v.boolean(),
  attachment,
  promiscuous: v.exactOptional(v.picklist(['deny', 'allow-vms', 'allow-all'])),
  bandwidthGroup: v.exactOptional(name),
  trace: v.exactOptional(v.boolean()),
});

/** A network card's settings from elsewhere. @throws CodedError<'bad-settings'> naming the field that is wrong */
export function parseNetworkCard(record: unknown): NetworkCardConfig {
  const result = v.safeParse(networkCard, record);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? '';
  throw storageError('bad-settings', `the network card's settings are not valid: ${field}: ${issue.message}`, {
    field,
  });
}

/** VBoxManage bandwidthctl's network groups; `limit` as its --limit. */
const bandwidthGroup = v.strictObject({ name: text, limit: v.pipe(v.string(), v.regex(/^\d+[kmgKMG]?$/)) });

const word = v.pipe(count, v.maxValue(0xffff_ffff));
/** The switches of the processor, as VirtualBox has them. */
const processor = v.strictObject({
  /** A name that the machine knows; `host`: all that there is. */
  profile: text,
  longMode: v.boolean(),
  pae: v.boolean(),
  /** What CPUID answers for a leaf, whatever else it would. */
  cpuidSet: v.pipe(
    v.array(v.strictObject({ leaf: word, subleaf: v.optional(word), eax: word, ebx: word, ecx: word, edx: word })),
    v.maxLength(64),
  ),
});
const ALL_PROCESSOR: v.InferOutput<typeof processor> = { profile: 'host', longMode: true, pae: true, cpuidSet: [] };

/** VirtualBox's --apic, --x2apic, --ioapic, --hpet and --acpi. */
const platform = v.strictObject({
  apic: v.boolean(),
  x2apic: v.boolean(),
  /** Needs `apic`. */
  ioApic: v.boolean(),
  hpet: v.boolean(),
  acpi: v.boolean(),
});
const DEFAULT_PLATFORM = { apic: true, x2apic: true, ioApic: true, hpet: false, acpi: true };

/** VirtualBox's --graphicscontroller and --monitorcount. */
const graphics = v.strictObject({
  controller: v.picklist(['stdvga', 'vboxvga']),
  monitors: between(1, 4),
});
const DEFAULT_GRAPHICS: v.InferOutput<typeof graphics> = { controller: 'stdvga', monitors: 1 };

const machine = v.strictObject({
  version: v.literal(1),
  id: diskId,
  name: text,
  createdMs: count,
  modifiedMs: count,
  memoryMb: between(1, 3584),
  videoMemoryMb: between(1, 256),
  graphics: v.optional(
    v.pipe(
      graphics,
      v.check(({ controller, monitors }) => monitors === 1 || controller === 'vboxvga', 'only VBoxVGA has several'),
    ),
    DEFAULT_GRAPHICS,
  ),
  cpus: between(1, 32),
  processor: v.optional(processor, ALL_PROCESSOR),
  /** VirtualBox's --firmware; without effect beside a direct boot. */
  firmware: v.optional(v.picklist(['BIOS', 'EFI64']), 'BIOS'),
  bootOrder: v.array(v.picklist(['floppy', 'optical', 'hard-disk', 'network'])),
  drives: v.array(drive),
  /** Null: the BIOS boots from `bootOrder`. */
  directBoot: v.optional(v.nullable(directBoot), null),
  networkCards: v.pipe(v.array(networkCard), v.maxLength(MAX_NETWORK_CARDS)),
  bandwidthGroups: v.optional(v.pipe(v.array(bandwidthGroup), v.maxLength(64)), []),
  /** `sb16` is known from before there was any, and is as `none`. */
  audio: v.picklist(['none', 'sb16', 'ac97']),
  /** Host clock as local time instead of UTC, as DOS and Windows expect. */
  localTimeClock: v.boolean(),
  platform: v.optional(
    v.pipe(
      platform,
      v.check(({ apic, ioApic }) => apic || !ioApic, 'an I/O APIC needs a local APIC'),
    ),
    DEFAULT_PLATFORM,
  ),
});

export type ImageSettings = v.InferOutput<typeof image>;
export type DriveSettings = v.InferOutput<typeof drive>;
export type BootFileSettings = v.InferOutput<typeof bootFile>;
export type DirectBootSettings = v.InferOutput<typeof directBoot>;
export type BandwidthGroupSettings = v.InferOutput<typeof bandwidthGroup>;
export type NetworkCardSettings = NetworkCardConfig;
export type MachineSettings = v.InferOutput<typeof machine>;
/** What a person may set; the rest is kept by the store. */
export type EditableSettings = Omit<MachineSettings, 'version' | 'id' | 'createdMs' | 'modifiedMs'>;

export const DEFAULT_SETTINGS: EditableSettings = {
  name: 'New machine',
  memoryMb: 128,
  videoMemoryMb: 16,
  graphics: DEFAULT_GRAPHICS,
  cpus: 1,
  processor: ALL_PROCESSOR,
  firmware: 'BIOS',
  bootOrder: ['floppy', 'optical', 'hard-disk'],
  drives: [],
  directBoot: null,
  networkCards: [],
  bandwidthGroups: [],
  audio: 'ac97',
  localTimeClock: false,
  platform: DEFAULT_PLATFORM,
};

/** From version n + 1 to version n + 2; takes and returns a plain record, `version` aside. */
export type Migration = (record: Readonly<Record<string, unknown>>) => Record<string, unknown>;

export const MIGRATIONS: readonly Migration[] = [];

/**
 * Brings a stored record up to the present version.
 * @throws CodedError<'newer-version' | 'bad-settings'>
 */
export function migrate(record: unknown, migrations: readonly Migration[] = MIGRATIONS): Record<string, unknown> {
  const current = migrations.length + 1;
  if (typeof record !== 'object' || record === null || !('version' in record)) {
    throw storageError('bad-settings', 'a settings record has no version');
  }
  const { version } = record;
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    throw storageError('bad-settings', 'a settings record has no valid version', { version: String(version) });
  }
  if (version > current) {
    throw storageError('newer-version', 'a newer version of this program wrote these settings: reload', { version });
  }
  let upgraded: Record<string, unknown> = { ...record };
  for (const step of migrations.slice(version - 1)) upgraded = step(upgraded);
  return { ...upgraded, version: current };
}

/** @throws CodedError<'bad-settings' | 'newer-version'> naming the field that is wrong */
export function parseMachineSettings(record: unknown): MachineSettings {
  const result = v.safeParse(machine, migrate(record));
  if (result.success) {
    refuseSharedPlaces(result.output.drives);
    refuseSharedSlots(result.output.networkCards);
    refuseUnknownGroups(result.output);
    return result.output;
  }
  const [issue] = result.issues;
  const field = v.getDotPath(issue) ?? '';
  throw storageError('bad-settings', `the machine settings are not valid: ${field}: ${issue.message}`, { field });
}

/** Two drives cannot be on one plug, nor two machines' changes in one place. */
function refuseSharedPlaces(drives: readonly DriveSettings[]): void {
  const taken = new Set<string>();
  for (const { controller, port, device, diskId: id } of drives) {
    for (const place of [`${controller} port ${port} device ${device}`, `disk ${id}`]) {
      if (taken.has(place)) throw storageError('bad-settings', `${place} is used twice`, { field: 'drives' });
      taken.add(place);
    }
  }
}

function refuseSharedSlots(cards: readonly NetworkCardConfig[]): void {
  const slots = cards.map(({ slot }) => slot);
  const twice = slots.find((slot, i) => slots.indexOf(slot) !== i);
  if (twice === undefined) return;
  throw storageError('bad-settings', `network card ${twice} is there twice`, { field: 'networkCards' });
}

function refuseUnknownGroups({ networkCards, bandwidthGroups }: MachineSettings): void {
  const names = bandwidthGroups.map(({ name }) => name);
  const twice = names.find((one, i) => names.indexOf(one) !== i);
  if (twice !== undefined) {
    throw storageError('bad-settings', `bandwidth group ${twice} is there twice`, { field: 'bandwidthGroups' });
  }
  for (const { slot, bandwidthGroup: group } of networkCards) {
    if (group === undefined || names.includes(group)) continue;
    const why = `network card ${slot} belongs to the bandwidth group ${group}, which there is not`;
    throw storageError('bad-settings', why, { field: 'networkCards' });
  }
}

/**
 * Drives whose stored changes the settings promise and the browser no longer has.
 * @param exists whether the browser holds changes for a disk; undefined where it cannot tell
 */
export async function findEvicted(
  settings: MachineSettings,
  exists: (diskId: string) => Promise<boolean | undefined>,
): Promise<{ readonly drive: DriveSettings; readonly error: CodedError<StorageErrorCode> }[]> {
  const evicted: { drive: DriveSettings; error: CodedError<StorageErrorCode> }[] = [];
  for (const d of settings.drives) {
    if (d.changes !== 'keep' || !d.hasChanges || (await exists(d.diskId)) !== false) continue;
    const what = `the changes of disk ${d.controller} ${d.port}:${d.device} of ${settings.name}`;
    const message = `${what} are gone: the browser threw them away for lack of room, or the site data was cleared; the disk can only start again from its original image`;
    evicted.push({ drive: d, error: storageError('evicted', message, { diskId: d.diskId }) });
  }
  return evicted;
}

/** The `CodedError` in whatever was thrown while reading a record. */
export function settingsError(cause: unknown): CodedError<StorageErrorCode> {
  if (isStorageError(cause)) return cause;
  return storageError('bad-settings', 'a settings record could not be read', {}, cause);
}
