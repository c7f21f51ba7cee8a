/** From what the page sends to what a `Pc` is made of. */
import type { CpuConfig } from '#emu/cpu/system/cpu-features.ts';
import { RingBlockPort } from '#emu/host/block-ring.ts';
import { PacketRingEnd } from '#emu/host/packet-ring.ts';
import {
  DEFAULT_CONFIG,
  type FloppyDriveConfig,
  type IdeDriveConfig,
  type IdePosition,
  type MachineConfig,
  type MachineMedia,
} from '#emu/machine/config.ts';
import type { DriveName } from '#emu/machine/drives.ts';
import { CountingPort } from './counting-port.ts';
import type { DriveSlot, GraphicsSpec, MachineSpec, NetworkCardSpec, ProcessorSpec } from './machine-protocol.ts';

export const IDE_POSITION: Readonly<Record<Exclude<DriveSlot, 'fda' | 'fdb'>, IdePosition>> = {
  hda: 'primaryMaster',
  hdb: 'primarySlave',
  hdc: 'secondaryMaster',
  hdd: 'secondarySlave',
};
const BOOT_DEVICE = { floppy: 'floppy', optical: 'cdrom', 'hard-disk': 'disk', network: 'network' } as const;
const MINUTE_MS = 60_000;

/** One medium in a drive: the ring to poll and the port the drive uses. */
export interface Attached {
  readonly ring: RingBlockPort;
  readonly port: CountingPort;
}

export function attach(ring: SharedArrayBuffer): Attached {
  const end = new RingBlockPort(ring);
  return { ring: end, port: new CountingPort(end) };
}

const SLOT_OF: Readonly<Record<DriveName, DriveSlot>> = {
  primaryMaster: 'hda',
  primarySlave: 'hdb',
  secondaryMaster: 'hdc',
  secondarySlave: 'hdd',
  floppyA: 'fda',
  floppyB: 'fdb',
};

export const slotOf = (drive: DriveName): DriveSlot => SLOT_OF[drive];

/** A profile that is not known is refused when the machine is made. */
const cpuOf = ({ profile, longMode, pae, cpuidSet }: ProcessorSpec): CpuConfig => ({
  profile: profile as CpuConfig['profile'],
  longMode,
  pae,
  cpuidSet: cpuidSet.map(({ subleaf, ...set }) => (subleaf === undefined ? set : { ...set, subleaf })),
});

type GraphicsConfig = Pick<MachineConfig, 'graphicsController' | 'monitorCount' | 'videoMemoryMb'>;

function graphicsOf({ controller, monitors, videoMemoryMb }: GraphicsSpec): GraphicsConfig {
  const megabytes = Math.max(videoMemoryMb, monitors * DEFAULT_CONFIG.videoMemoryMb);
  return {
    ...{ graphicsController: controller, monitorCount: monitors },
    videoMemoryMb: 2 ** Math.ceil(Math.log2(megabytes)),
  };
}

/** @param nowUnixMs the host's time of day */
export function configOf(spec: MachineSpec, nowUnixMs: number): MachineConfig {
  const ide: Partial<Record<IdePosition, IdeDriveConfig>> = {};
  const floppies: [FloppyDriveConfig | null, FloppyDriveConfig | null] = [null, null];
  for (const { slot, medium } of spec.drives) {
    if (slot === 'fda' || slot === 'fdb') floppies[slot === 'fda' ? 0 : 1] = { type: '1.44M', label: '' };
    else ide[IDE_POSITION[slot]] = { kind: medium === 'optical' ? 'cdrom' : 'disk', label: '' };
  }
  const { directBoot } = spec;
  const initrd = directBoot?.initrd;
  return {
    ...DEFAULT_CONFIG,
    memoryMb: spec.memoryMb,
    cpu: spec.processor ? cpuOf(spec.processor) : DEFAULT_CONFIG.cpu,
    bootOrder: spec.bootOrder.map((device) => BOOT_DEVICE[device]),
    ...(spec.graphics && graphicsOf(spec.graphics)),
    ide,
    floppies,
    networkCards: spec.networkCards.map(({ config }) => config),
    soundCard: spec.soundCard ?? null,
    rtcStartUnixMs: nowUnixMs + spec.clockOffsetMinutes * MINUTE_MS,
    uuid: spec.uuid,
    platform: spec.platform ?? DEFAULT_CONFIG.platform,
    firmware: { system: spec.bios, video: spec.vgaBios, variables: spec.variables ?? null },
    kernel: directBoot
      ? {
          image: directBoot.kernel,
          modules: initrd ? [{ bytes: initrd, commandLine: '' }] : [],
          commandLine: directBoot.commandLine,
        }
      : null,
  };
}

/** The machine's ends of its network cables, by slot. */
export function cablesOf(cards: readonly NetworkCardSpec[]): Record<number, PacketRingEnd> {
  const ends: Record<number, PacketRingEnd> = {};
  for (const { config, ring, farDoorbell } of cards) {
    if (ring) ends[config.slot] = new PacketRingEnd(ring, 'card', farDoorbell && new Int32Array(farDoorbell));
  }
  return ends;
}

export function mediaOf(
  attached: ReadonlyMap<DriveSlot, Attached>,
  network: Readonly<Record<number, PacketRingEnd>>,
): MachineMedia {
  const ide: Partial<Record<IdePosition, CountingPort>> = {};
  for (const [slot, { port }] of attached) if (slot !== 'fda' && slot !== 'fdb') ide[IDE_POSITION[slot]] = port;
  return { ide, floppies: [attached.get('fda')?.port, attached.get('fdb')?.port], network };
}
