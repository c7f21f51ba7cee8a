/**
 * What a machine is made of: plain data, which a saved state carries along. Media are given beside it, since a disk
 * belongs to the host.
 */
import { CodedError } from '#base/errors.ts';
import { MIB } from '#base/units.ts';
import { CPU_PROFILES, type CpuConfig, DEFAULT_CPU } from '#emu/cpu/system/cpu-features.ts';
import { FLOPPY_DRIVES, type FloppyDriveType } from '#emu/devices/storage/floppy/floppy-geometry.ts';
import type { BlockPort } from '#emu/host/block.ts';
import { MAX_MONITORS } from '#emu/host/frame.ts';
import {
  MAX_NETWORK_CARDS,
  type NetworkCardConfig,
  NIC_TYPES,
  type NicType,
  parseMac,
} from '#emu/host/network-card.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';

export const BOOT_DEVICES = ['disk', 'cdrom', 'floppy', 'network'] as const;
export type BootDevice = (typeof BOOT_DEVICES)[number];

/** Positions on the two IDE cables, as channel * 2 + device. */
export const IDE_POSITIONS = ['primaryMaster', 'primarySlave', 'secondaryMaster', 'secondarySlave'] as const;
export type IdePosition = (typeof IDE_POSITIONS)[number];

/** Sound cards, as VBoxManage names controllers; AC'97 with a STAC9700 as codec. */
export const SOUND_CARDS = ['ac97'] as const;
export type SoundCard = (typeof SOUND_CARDS)[number];

/** Display adapters: QEMU's standard VGA, and VirtualBox's VBoxVGA with up to four monitors. */
export const GRAPHICS_CONTROLLERS = ['stdvga', 'vboxvga'] as const;
export type GraphicsController = (typeof GRAPHICS_CONTROLLERS)[number];

/** A drive and what the host calls the medium in it (a path, a URL); an empty label means none. */
export interface IdeDriveConfig {
  readonly kind: 'disk' | 'cdrom';
  readonly label: string;
}

export interface FloppyDriveConfig {
  readonly type: FloppyDriveType;
  readonly label: string;
}

/** A kernel that starts without firmware: a Linux bzImage or a Multiboot 1 image. */
export interface DirectKernelConfig {
  readonly image: Uint8Array;
  /** Linux: one, or several that become one. Multiboot: modules, each with its command line. */
  readonly modules: readonly { readonly bytes: Uint8Array; readonly commandLine: string }[];
  /** ASCII. */
  readonly commandLine: string;
}

/** Interrupt controllers, timers and tables beyond those of a PC/AT, named as VirtualBox's settings. */
export interface PlatformConfig {
  /** The processor has a local APIC. */
  readonly apic: boolean;
  /** It offers x2APIC mode. */
  readonly x2apic: boolean;
  /** There is an I/O APIC; needs `apic`. */
  readonly ioApic: boolean;
  readonly hpet: boolean;
  /** Firmware gets ACPI tables. */
  readonly acpi: boolean;
}

/** VirtualBox's for a new machine, the I/O APIC included. */
export const DEFAULT_PLATFORM: PlatformConfig = { apic: true, x2apic: true, ioApic: true, hpet: false, acpi: true };

export interface FirmwareConfig {
  readonly system: Uint8Array | null;
  readonly video: Uint8Array | null;
  /** Option ROMs of network cards; a card without one is not booted from. */
  readonly network?: Readonly<Partial<Record<NicType, Uint8Array>>>;
  /**
   * UEFI: what its variables are at power-on; `system` is the code then, and both lie in flash at the end of 4 GB, the
   * variables below the code. Null or left out: a BIOS.
   */
  readonly variables?: Uint8Array | null;
}

export interface MachineConfig {
  readonly cpu: CpuConfig;
  /** Whole megabytes, `MEMORY_MB.least` to `MEMORY_MB.most`. */
  readonly memoryMb: number;
  /** A power of two, 1 to 256; 16 is enough for 1920x1200 with 32 bits a pixel. */
  readonly videoMemoryMb: number;
  /** Left out: the standard VGA. */
  readonly graphicsController?: GraphicsController;
  /** 1 to MAX_MONITORS; left out: 1. More than one needs VBoxVGA. */
  readonly monitorCount?: number;
  /** Tried in order; empty leaves it to the firmware. */
  readonly bootOrder: readonly BootDevice[];
  readonly ide: Readonly<Partial<Record<IdePosition, IdeDriveConfig>>>;
  /** Drives A and B. */
  readonly floppies: readonly [FloppyDriveConfig | null, FloppyDriveConfig | null];
  /** At most one a slot. */
  readonly networkCards: readonly NetworkCardConfig[];
  /** Left out or null: none. */
  readonly soundCard?: SoundCard | null;
  /** What the real-time clock shows at power-on, Unix milliseconds; add the zone's offset for local time. */
  readonly rtcStartUnixMs: number;
  /** 16 bytes in the order of the text form. */
  readonly uuid: Uint8Array;
  readonly platform: PlatformConfig;
  /** `system` is needed unless a kernel is given. Without `video` there is no video BIOS. */
  readonly firmware: FirmwareConfig;
  readonly kernel: DirectKernelConfig | null;
  /** First of four ports at which a write ends the run. */
  readonly debugExitPort: number | null;
  /** Null: guest time is the host's. A number: guest time is counted, that many nanoseconds an instruction. */
  readonly nsPerInstruction: number | null;
}

/** The media in the drives and the ends of the network cables at power-on. */
export interface MachineMedia {
  readonly ide: Readonly<Partial<Record<IdePosition, BlockPort>>>;
  readonly floppies: readonly [BlockPort | undefined, BlockPort | undefined];
  /** Where cables lead, by slot, 1 to 8; a card without has nothing at the other end. */
  readonly network?: Readonly<Record<number, PacketPort>>;
}

export const NO_MEDIA: MachineMedia = { ide: {}, floppies: [undefined, undefined] };

/** Guest memory, PCI space and what the emulator needs for itself share 4 GB. */
export const MEMORY_MB = { least: 1, most: 3072 } as const;

export const DEFAULT_CONFIG: MachineConfig = {
  cpu: DEFAULT_CPU,
  memoryMb: 128,
  videoMemoryMb: 16,
  bootOrder: [],
  ide: {},
  floppies: [null, null],
  networkCards: [],
  soundCard: null,
  rtcStartUnixMs: 0,
  uuid: new Uint8Array(16),
  platform: DEFAULT_PLATFORM,
  firmware: { system: null, video: null },
  kernel: null,
  debugExitPort: null,
  nsPerInstruction: null,
};

export const graphicsOf = (config: MachineConfig): GraphicsController => config.graphicsController ?? 'stdvga';

/** Memory that BARs may use: what SeaBIOS chooses for the same amount of RAM. */
export function pciHoleOf(memoryMb: number): { readonly first: number; readonly last: number } {
  return { first: memoryMb * MIB <= 0x8000_0000 ? 0x8000_0000 : 0xc000_0000, last: 0xfebf_ffff };
}

/** The configuration once a card's cable was plugged in or out, or leads elsewhere. */
export function recabled(
  config: MachineConfig,
  slot: number,
  change: Partial<Pick<NetworkCardConfig, 'cableConnected' | 'attachment' | 'promiscuous'>>,
): MachineConfig {
  const networkCards = config.networkCards.map((card) => (card.slot === slot ? { ...card, ...change } : card));
  return { ...config, networkCards };
}

/** The configuration once the first drive of a kind holds another medium. */
export function relabelled(config: MachineConfig, kind: 'cdrom' | 'floppy', label: string): MachineConfig {
  if (kind === 'cdrom') {
    const position = IDE_POSITIONS.find((p) => config.ide[p]?.kind === 'cdrom');
    return position ? { ...config, ide: { ...config.ide, [position]: { kind, label } } } : config;
  }
  const [a, b] = config.floppies;
  if (a) return { ...config, floppies: [{ ...a, label }, b] };
  return { ...config, floppies: [a, b ? { ...b, label } : b] };
}

const bad = (field: string, message: string): CodedError<'bad-config'> =>
  new CodedError('bad-config', message, { field });

/**
 * Checks what the types do not say.
 * @throws CodedError<'bad-config'> whose detail `field` names what is wrong
 */
export function checkConfig(config: MachineConfig, media: MachineMedia): void {
  const { memoryMb, kernel, firmware } = config;
  if (!Number.isInteger(memoryMb) || memoryMb < MEMORY_MB.least || memoryMb > MEMORY_MB.most) {
    throw bad('memoryMb', `memory is ${MEMORY_MB.least} to ${MEMORY_MB.most} MB in whole megabytes, not ${memoryMb}`);
  }
  if (!CPU_PROFILES.includes(config.cpu.profile)) {
    throw bad('cpu', `CPU profiles are ${CPU_PROFILES.join(', ')}`);
  }
  const { videoMemoryMb } = config;
  if (!Number.isInteger(Math.log2(videoMemoryMb)) || videoMemoryMb < 1 || videoMemoryMb > 256) {
    throw bad('videoMemoryMb', `video memory is a power of two from 1 to 256 MB, not ${videoMemoryMb}`);
  }
  const monitors = config.monitorCount ?? 1;
  if (!GRAPHICS_CONTROLLERS.includes(graphicsOf(config))) {
    throw bad('graphicsController', `display adapters are ${GRAPHICS_CONTROLLERS.join(' and ')}`);
  }
  if (!(Number.isInteger(monitors) && monitors >= 1 && monitors <= MAX_MONITORS)) {
    throw bad('monitorCount', `a machine has 1 to ${MAX_MONITORS} monitors, not ${monitors}`);
  }
  if (monitors > 1 && graphicsOf(config) !== 'vboxvga') {
    throw bad('monitorCount', 'only VBoxVGA has more than one monitor; choose it, or one monitor');
  }
  if (firmware.variables && !firmware.system) {
    throw bad('firmware', 'UEFI variables are of no use without UEFI; give the machine its code too');
  }
  if (!kernel && !firmware.system) {
    throw bad('firmware', 'a machine starts from firmware or from a kernel, and there is neither; give it one');
  }
  if (!(Number.isFinite(config.rtcStartUnixMs) && config.rtcStartUnixMs >= 0)) {
    throw bad('rtcStartUnixMs', 'the clock starts at a time since 1970; give milliseconds');
  }
  if (config.platform.ioApic && !config.platform.apic) {
    throw bad(
      'platform',
      'an I/O APIC sends its interrupts to a local APIC; give the machine one or take the other away',
    );
  }
  if (config.uuid.length !== 16) throw bad('uuid', 'a UUID has 16 bytes');
  if (config.bootOrder.some((device) => !BOOT_DEVICES.includes(device))) {
    throw bad('bootOrder', `boot devices are ${BOOT_DEVICES.join(', ')}`);
  }
  const { nsPerInstruction, debugExitPort } = config;
  if (nsPerInstruction !== null && !(nsPerInstruction > 0 && nsPerInstruction <= 1e6)) {
    throw bad('nsPerInstruction', 'an instruction takes more than 0 and at most a million nanoseconds');
  }
  if (debugExitPort !== null && !(Number.isInteger(debugExitPort) && debugExitPort >= 0 && debugExitPort <= 0xfffc)) {
    throw bad('debugExitPort', 'the exit port is 0 to 65532, for it takes four ports');
  }
  if (config.soundCard && !SOUND_CARDS.includes(config.soundCard)) {
    throw bad('soundCard', `sound cards are ${SOUND_CARDS.join(', ')}; there is no ${config.soundCard}`);
  }
  checkDrives(config, media);
  checkNetworkCards(config.networkCards);
}

function checkNetworkCards(cards: readonly NetworkCardConfig[]): void {
  const taken = new Set<number>();
  for (const { slot, type, mac } of cards) {
    if (!(Number.isInteger(slot) && slot >= 1 && slot <= MAX_NETWORK_CARDS) || taken.has(slot)) {
      throw bad('networkCards', `network cards are numbered 1 to ${MAX_NETWORK_CARDS}, each once; there is a ${slot}`);
    }
    taken.add(slot);
    if (!NIC_TYPES.includes(type)) throw bad('networkCards', `network card ${slot} is of no known type: ${type}`);
    if (parseMac(mac) !== mac) throw bad('networkCards', `network card ${slot} has no valid MAC address: ${mac}`);
  }
}

function checkDrives(config: MachineConfig, media: MachineMedia): void {
  for (const position of IDE_POSITIONS) {
    const drive = config.ide[position];
    const medium = media.ide[position];
    if (drive && drive.kind !== 'disk' && drive.kind !== 'cdrom') throw bad(position, 'a drive is a disk or a cdrom');
    if (medium && !drive) throw bad(position, `a medium is given for ${position}, and there is no drive`);
    if (drive?.kind === 'disk' && !medium) throw bad(position, `the disk at ${position} has no medium; give it one`);
  }
  config.floppies.forEach((drive, i) => {
    const name = `floppy ${'ab'[i]}`;
    if (drive && !(drive.type in FLOPPY_DRIVES)) throw bad(name, `there is no floppy drive of type ${drive.type}`);
    if (media.floppies[i] && !drive) throw bad(name, `a diskette is given for ${name}, and there is no drive`);
  });
}
