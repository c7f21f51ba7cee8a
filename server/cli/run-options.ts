// The arguments of `tabbox run`, as data. Files are opened later, on the machine's own thread.

import { parseArgs } from 'node:util';
import { CodedError } from '#base/errors.ts';
import type { TierMode } from '#emu/cpu/jit/tier1.ts';
import type { CpuConfig } from '#emu/cpu/system/cpu-features.ts';
import { type BootDevice, MEMORY_MB, type PlatformConfig } from '#emu/machine/config.ts';
import { parseLimit } from '../../src/net-relay/switch/bandwidth-group.ts';
import { AUDIO_HELP, AUDIO_OPTIONS, type AudioOptions, parseAudio } from './audio-options.ts';
import { parseCpu } from './cpu-options.ts';
import { DEBUG_HELP, DEBUG_OPTIONS, type DebugOptions, parseDebugOptions } from './debug-options.ts';
import { GRAPHICS_HELP, GRAPHICS_OPTIONS, type GraphicsOptions, parseGraphics } from './graphics-options.ts';
import { NETWORK_HELP, type NicOptions, networkOptions, parseNetworkCards } from './network-options.ts';
import { parsePlatform } from './platform-options.ts';
import { parseRelayOptions, RELAY_HELP, RELAY_OPTIONS, type RelayOptions } from './relay-options.ts';
import { parseShareOptions, SHARE_HELP, SHARE_OPTIONS, type ShareOptions } from './share-options.ts';
import {
  type DhcpServerOptions,
  type HostOnlyOptions,
  type NatNetworkOptions,
  parseDhcpServer,
  parseHostOnlyInterface,
  parseNatNetwork,
} from './shared-network-options.ts';
import { parseVrde, VRDE_HELP, type VrdeOptions, vrdeOptions } from './vrde-options.ts';

/** Where a stream of bytes goes. */
export type Sink =
  | { readonly kind: 'none' }
  | { readonly kind: 'stdio' }
  | { readonly kind: 'file'; readonly path: string };

export type MonitorPlace =
  | { readonly kind: 'none' }
  | { readonly kind: 'stdio' }
  | { readonly kind: 'unix'; readonly path: string };

export interface DiskOption {
  readonly path: string;
  readonly readOnly: boolean;
}

export type FirmwareKind = 'BIOS' | 'EFI64';

export interface RunOptions {
  readonly kernel: string | undefined;
  /** Linux: initial RAM disks. Multiboot: a path and the module's arguments. */
  readonly initrds: readonly string[];
  readonly append: string;
  readonly hda: DiskOption | undefined;
  readonly hdb: DiskOption | undefined;
  readonly cdrom: string | undefined;
  readonly floppy: string | undefined;
  /** Undefined: 128, or what the saved machine has. */
  readonly memoryMb: number | undefined;
  /** Undefined: no switch of the CPU was given. */
  readonly cpu: CpuConfig | undefined;
  /** Undefined: no switch was given. */
  readonly platform: PlatformConfig | undefined;
  /** Undefined: no switch was given. */
  readonly graphics: GraphicsOptions | undefined;
  /** Undefined: none was named. */
  readonly bootOrder: readonly BootDevice[] | undefined;
  /** COM1 to COM4. */
  readonly serial: readonly Sink[];
  readonly monitor: MonitorPlace;
  readonly debugcon: Sink;
  readonly firmwareLog: Sink;
  /** By slot. */
  readonly networkCards: readonly NicOptions[];
  readonly dhcpServers: readonly DhcpServerOptions[];
  readonly hostOnlyInterfaces: readonly HostOnlyOptions[];
  readonly natNetworks: readonly NatNetworkOptions[];
  /** Undefined: networks are those of this process. */
  readonly relay: RelayOptions | undefined;
  /** In bytes a second, 0 for none. */
  readonly bandwidthGroups: readonly { readonly name: string; readonly bytesPerSecond: number }[];
  readonly audio: AudioOptions;
  readonly debugExitPort: number | undefined;
  /** Where `savestate` and an interrupt save the machine. */
  readonly saveState: string | undefined;
  readonly restoreState: string | undefined;
  readonly bios: string | undefined;
  readonly firmware: FirmwareKind;
  /** Where UEFI's variables are kept; undefined: forgotten. */
  readonly nvram: string | undefined;
  readonly videoBios: string | undefined;
  /** A reset ends the run. */
  readonly noReboot: boolean;
  /** Unix milliseconds that the machine's clock shows at power-on; undefined: now, in UTC. */
  readonly rtcStartUnixMs: number | undefined;
  /** The machine's clock shows local time. */
  readonly localTime: boolean;
  /** Guest time is counted, so many nanoseconds an instruction. */
  readonly nsPerInstruction: number | undefined;
  readonly debug: DebugOptions;
  /** Undefined: nobody is shown the machine. */
  readonly share: ShareOptions | undefined;
  /** Undefined: no remote display. */
  readonly vrde: VrdeOptions | undefined;
  /** Undefined: mixed. */
  readonly tier: TierMode | undefined;
}

export const RUN_HELP = `usage: tabbox run [options]

Runs a PC without a screen and ends when it is switched off.

  Booting
    --kernel FILE            start a Linux bzImage or a Multiboot 1 image without firmware
    --initrd FILE            its initial RAM disk; may be repeated. For Multiboot: a module, as "FILE ARGUMENTS"
    --append TEXT            its command line
    --boot1 .. --boot4 WHAT  disk, dvd, floppy, net or none (default: floppy, dvd, disk)
    --firmware KIND          BIOS or EFI64 (default: BIOS). EFI64 is OVMF, from npm run guests -- ovmf
    --nvram FILE             keeps the variables of EFI64; made when it is not there
    --bios FILE              system firmware (default: that of the kind, from npm run guests)
    --vga-bios FILE          video BIOS (default: SeaVGABIOS, from npm run guests)
  Hardware
    --name NAME              what the machine is called (default: tabbox)
    --memory MB              ${MEMORY_MB.least} to ${MEMORY_MB.most} (default: 128)
    --longmode on|off        64-bit mode (default: on)
    --pae on|off             physical address extension and execute-disable (default: on; 64-bit mode needs it)
    --apic, --x2apic, --ioapic, --hpet, --acpi on|off  (default: all on but --hpet)
    --cpu-profile NAME       a processor to look like (default: host, all that there is)
    --cpuid-set "LEAF[:SUB] EAX EBX ECX EDX"  hexadecimal: what CPUID answers for a leaf; may be repeated
    --hda FILE[,ro]          first disk; with ,ro the file is never written
    --hdb FILE[,ro]          second disk
    --cdrom FILE             disc in the CD drive
    --floppy FILE            diskette in drive A
    --rtc WHEN               what the clock shows at power-on: utc, local, or a time such as 2024-02-29T12:00:00Z
${GRAPHICS_HELP}${AUDIO_HELP}${NETWORK_HELP}${RELAY_HELP}${VRDE_HELP}  Talking to it
    --serial WHERE           stdio, file:PATH or none; repeated for COM2 to COM4. On a terminal Ctrl-A x quits
    --monitor WHERE          stdio or unix:PATH: commands, one a line (see help there)
    --debugcon WHERE         stdio or file:PATH: what the guest writes to port E9h
    --firmware-log WHERE     stdio or file:PATH: what SeaBIOS writes to port 402h
  Ending
    --debug-exit PORT        a write of N to the port ends the run with exit status (N << 1) | 1
    --save-state FILE        where savestate, Ctrl-C and a termination signal save the machine
    --restore-state FILE     go on with a saved machine
    --no-reboot              a reset ends the run with exit status 3
${SHARE_HELP}${DEBUG_HELP}  Testing
    --clock-ns NS            count guest time, NS nanoseconds an instruction, instead of taking the host's
    --tier 0|1|mixed         interpret, compile everything at its first run, or compile what is hot (default)

Exit status: 0 switched off, saved or quit; 1 something is wrong with the arguments or files; 2 the machine broke;
3 reset under --no-reboot; with --debug-exit what the guest says.
`;

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** @throws CodedError<'usage'>; `help` when that was asked for */
export function parseRunOptions(args: readonly string[]): RunOptions | 'help' {
  const values = parsed(args);
  if (values.help) return 'help';
  const serial = values.serial.map((text, n) => parseSink(n === 0 ? '--serial' : `--serial (COM${n + 1})`, text));
  if (serial.length > 4) throw usage('a PC has four serial ports; give --serial at most four times');
  const options: RunOptions = {
    kernel: values.kernel,
    initrds: values.initrd,
    append: values.append ?? '',
    hda: parseDisk(values.hda),
    hdb: parseDisk(values.hdb),
    cdrom: values.cdrom,
    floppy: values.floppy,
    memoryMb: parseMemory(values.memory),
    cpu: parseCpu(values),
    platform: parsePlatform(values),
    graphics: parseGraphics(values),
    bootOrder: parseBootOrder([values.boot1, values.boot2, values.boot3, values.boot4]),
    serial,
    monitor: parseMonitor(values.monitor),
    debugcon: parseSink('--debugcon', values.debugcon),
    firmwareLog: parseSink('--firmware-log', values['firmware-log']),
    networkCards: parseNetworkCards(values),
    dhcpServers: values.dhcpserver.map(parseDhcpServer),
    hostOnlyInterfaces: values.hostonlyif.map(parseHostOnlyInterface),
    natNetworks: values.natnetwork.map(parseNatNetwork),
    relay: parseRelayOptions(values),
    bandwidthGroups: values.bandwidthgroup.map(parseBandwidthGroup),
    audio: parseAudio(values),
    debugExitPort: parsePort(values['debug-exit']),
    saveState: values['save-state'],
    restoreState: values['restore-state'],
    bios: values.bios,
    firmware: parseFirmware(values.firmware),
    nvram: values.nvram,
    videoBios: values['vga-bios'],
    noReboot: values['no-reboot'],
    ...parseRtc(values.rtc),
    nsPerInstruction: parseClock(values['clock-ns']),
    debug: parseDebugOptions(values),
    share: parseShareOptions(values),
    vrde: parseVrde(values),
    tier: parseTier(values.tier),
  };
  checkTogether(options);
  return options;
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { ...flag, short: 'h' },
        kernel: text,
        initrd: { type: 'string', multiple: true, default: [] },
        append: text,
        hda: text,
        hdb: text,
        cdrom: text,
        floppy: text,
        name: text,
        memory: text,
        longmode: text,
        pae: text,
        'cpu-profile': text,
        apic: text,
        x2apic: text,
        ioapic: text,
        hpet: text,
        acpi: text,
        'cpuid-set': { type: 'string', multiple: true, default: [] },
        boot1: text,
        boot2: text,
        boot3: text,
        boot4: text,
        serial: { type: 'string', multiple: true, default: [] },
        monitor: text,
        debugcon: text,
        'firmware-log': text,
        'debug-exit': text,
        'save-state': text,
        'restore-state': text,
        bios: text,
        firmware: text,
        nvram: text,
        'vga-bios': text,
        'no-reboot': flag,
        rtc: text,
        'clock-ns': text,
        dhcpserver: { type: 'string', multiple: true, default: [] },
        hostonlyif: { type: 'string', multiple: true, default: [] },
        natnetwork: { type: 'string', multiple: true, default: [] },
        bandwidthgroup: { type: 'string', multiple: true, default: [] },
        tier: text,
        ...AUDIO_OPTIONS,
        ...GRAPHICS_OPTIONS,
        ...RELAY_OPTIONS,
        ...networkOptions(),
        ...vrdeOptions(),
        ...DEBUG_OPTIONS,
        ...SHARE_OPTIONS,
      },
    });
    return values;
  } catch (cause) {
    throw usage(cause instanceof Error ? firstSentence(cause.message) : String(cause));
  }
}

/** Node adds advice about `--` that does not fit here. */
const firstSentence = (message: string): string => message.split('. ')[0].replace(/^./, (c) => c.toLowerCase());

function parseBandwidthGroup(text: string): RunOptions['bandwidthGroups'][number] {
  const [, name, limit] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (name === undefined) throw usage(`--bandwidthgroup takes NAME=LIMIT, not '${text}'`);
  try {
    return { name, bytesPerSecond: parseLimit(limit) };
  } catch (cause) {
    throw usage(`--bandwidthgroup ${name}: ${(cause as Error).message}`);
  }
}

/** VBoxManage's names. */
function parseFirmware(text: string | undefined): FirmwareKind {
  if (text === undefined || text === 'BIOS') return 'BIOS';
  if (text === 'EFI' || text === 'EFI64') return 'EFI64';
  throw usage(`--firmware takes BIOS or EFI64, not '${text}'`);
}

function parseDisk(text: string | undefined): DiskOption | undefined {
  if (text === undefined) return undefined;
  const readOnly = text.endsWith(',ro');
  return { path: readOnly ? text.slice(0, -3) : text, readOnly };
}

function parseMemory(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const megabytes = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (megabytes >= MEMORY_MB.least && megabytes <= MEMORY_MB.most) return megabytes;
  throw usage(`--memory takes ${MEMORY_MB.least} to ${MEMORY_MB.most} megabytes, not '${text}'`);
}

const BOOT: Readonly<Record<string, BootDevice | 'none'>> = {
  disk: 'disk',
  dvd: 'cdrom',
  floppy: 'floppy',
  net: 'network',
  none: 'none',
};

function parseBootOrder(texts: readonly (string | undefined)[]): BootDevice[] | undefined {
  if (texts.every((text) => text === undefined)) return undefined;
  return texts.flatMap((text, n) => {
    const device = text === undefined ? 'none' : Object.hasOwn(BOOT, text) ? BOOT[text] : undefined;
    if (!device) throw usage(`--boot${n + 1} takes disk, dvd, floppy, net or none, not '${text}'`);
    return device === 'none' ? [] : [device];
  });
}

function parseSink(option: string, text: string | undefined): Sink {
  if (text === undefined || text === 'none') return { kind: 'none' };
  if (text === 'stdio') return { kind: 'stdio' };
  if (text.startsWith('file:') && text.length > 5) return { kind: 'file', path: text.slice(5) };
  throw usage(`${option} takes stdio, file:PATH or none, not '${text}'`);
}

function parseMonitor(text: string | undefined): MonitorPlace {
  if (text === undefined || text === 'none') return { kind: 'none' };
  if (text === 'stdio') return { kind: 'stdio' };
  if (text.startsWith('unix:') && text.length > 5) return { kind: 'unix', path: text.slice(5) };
  throw usage(`--monitor takes stdio or unix:PATH, not '${text}'`);
}

function parsePort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (port >= 0 && port <= 0xfffc) return port;
  throw usage(`--debug-exit takes a port from 0 to 0xfffc, not '${text}'`);
}

function parseRtc(text: string | undefined): Pick<RunOptions, 'rtcStartUnixMs' | 'localTime'> {
  if (text === undefined || text === 'utc') return { rtcStartUnixMs: undefined, localTime: false };
  if (text === 'local') return { rtcStartUnixMs: undefined, localTime: true };
  const at = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(at) && at >= 0) return { rtcStartUnixMs: at, localTime: false };
  throw usage(`--rtc takes utc, local or a time since 1970 such as 2024-02-29T12:00:00Z, not '${text}'`);
}

function parseClock(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ns = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (ns > 0 && ns <= 1e6) return ns;
  throw usage(`--clock-ns takes more than 0 and at most 1000000 nanoseconds, not '${text}'`);
}

function checkTogether(options: RunOptions): void {
  const { kernel, initrds, append, restoreState } = options;
  if (kernel === undefined && initrds.length > 0) throw usage('--initrd needs --kernel; give both');
  if (kernel === undefined && append !== '') throw usage('--append needs --kernel; give both');
  if (options.nvram !== undefined && options.firmware === 'BIOS' && restoreState === undefined) {
    throw usage('--nvram is for --firmware EFI64; give both');
  }
  if (restoreState !== undefined) refuseWithRestore(options);
  const inputs = [...options.serial, options.monitor].filter((place) => place.kind === 'stdio').length;
  if (inputs > 1)
    throw usage('only one serial port or the monitor can have the terminal; use file: or unix: for others');
}

function parseTier(value: string | undefined): TierMode | undefined {
  if (value === undefined || value === '0' || value === '1' || value === 'mixed') return value;
  throw usage(`--tier is 0, 1 or mixed, not ${JSON.stringify(value)}`);
}

/** The hardware of a saved machine is what it was; only the files behind its drives may have moved. */
function refuseWithRestore(options: RunOptions): void {
  const given: readonly (readonly [string, boolean])[] = [
    ['--kernel', options.kernel !== undefined],
    ['--memory', options.memoryMb !== undefined],
    ['--apic, --x2apic, --ioapic, --hpet and --acpi', options.platform !== undefined],
    ['--longmode, --pae, --cpu-profile and --cpuid-set', options.cpu !== undefined],
    ['--graphicscontroller, --vram and --monitorcount', options.graphics !== undefined],
    ['--boot1 to --boot4', options.bootOrder !== undefined],
    ['--bios', options.bios !== undefined],
    ['--firmware', options.firmware !== 'BIOS'],
    ['--vga-bios', options.videoBios !== undefined],
    ['--debug-exit', options.debugExitPort !== undefined],
    ['--rtc', options.rtcStartUnixMs !== undefined || options.localTime],
    ['--clock-ns', options.nsPerInstruction !== undefined],
    ['--audio-enabled and what belongs to it', options.audio.card !== null],
    ['--nic1 to --nic8', options.networkCards.length > 0],
  ];
  const wrong = given.find(([, is]) => is);
  if (wrong) throw usage(`${wrong[0]} cannot change a saved machine; leave it out with --restore-state`);
}
