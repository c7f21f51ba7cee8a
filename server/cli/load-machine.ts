// From options to a machine: opens files, reads images. Runs on the machine's thread, which may block.

import { randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CodedError } from '#base/errors.ts';
import { isMultiboot } from '#emu/firmware/multiboot-image.ts';
import type { BlockPort } from '#emu/host/block.ts';
import { macFrom, type NetworkCardConfig, type NicType } from '#emu/host/network-card.ts';
import {
  DEFAULT_CONFIG,
  type DirectKernelConfig,
  type FloppyDriveConfig,
  type IdeDriveConfig,
  type IdePosition,
  type MachineConfig,
  type MachineMedia,
} from '#emu/machine/config.ts';
import { createPc, openSavedMachine } from '#emu/machine/create-pc.ts';
import type { Pc, PcHost } from '#emu/machine/pc.ts';
import { NodeFileBlockPort } from '#storage/backends/node-file.ts';
import { guestsDirectory } from './guests-directory.ts';
import type { NicOptions } from './network-options.ts';
import { type CardCable, createCables } from './network-ports.ts';
import type { RunOptions } from './run-options.ts';

export interface LoadedMachine {
  readonly pc: Pc;
  /** True: it goes on where it was saved. */
  readonly restored: boolean;
  /** What is odd about the files, in sentences. */
  readonly notes: readonly string[];
  /** Of the network cards, for whoever has the networks. */
  readonly cables: readonly CardCable[];
  /** Lets the network cards have what came; to be called often. */
  readonly pollNetwork: () => void;
}

const FIRMWARE_FILES = {
  BIOS: { system: 'bios-256k.bin', target: 'firmware' },
  EFI64: { system: 'OVMF_CODE_4M.fd', target: 'ovmf' },
} as const;
const VARIABLES_FILE = 'OVMF_VARS_4M.fd';
const VIDEO_FILE = 'vgabios-stdvga.bin';
/** One of iPXE's serves several cards that it has the driver for. */
const NETWORK_ROMS: Readonly<Record<NicType, string>> = {
  '82540EM': 'pxe-e1000.rom',
  '82543GC': 'pxe-e1000.rom',
  '82545EM': 'pxe-e1000.rom',
  Am79C970A: 'pxe-pcnet.rom',
  Am79C973: 'pxe-pcnet.rom',
  virtio: 'pxe-virtio.rom',
};

/** @throws CodedError what is wrong, why, and what to do */
export function loadMachine(options: RunOptions, host: PcHost, nowUnixMs: number): LoadedMachine {
  const notes: string[] = [];
  if (options.restoreState !== undefined) {
    const opened = openSavedMachine(readWhole('the saved machine', options.restoreState));
    const { cables, ports, poll } = createCables(opened.config.networkCards);
    const media = { ...mediaOf(opened.config, options, notes), network: ports };
    return { pc: opened.createPc(media, host), restored: true, notes, cables, pollNetwork: poll };
  }
  const config = configOf(options, nowUnixMs, notes);
  const { cables, ports, poll } = createCables(config.networkCards);
  const media = { ...mediaOf(config, options, notes), network: ports };
  return { pc: createPc(config, media, host), restored: false, notes, cables, pollNetwork: poll };
}

/** Reads a file that must fit into memory. @throws CodedError<'unreadable'> */
export function readWhole(what: string, path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist; check the name',
  EACCES: 'may not be read; check its permissions',
  EISDIR: 'is a folder; give a file',
  ERR_FS_FILE_TOO_LARGE: 'is too large to be read',
};

function unreadable(what: string, path: string, cause: unknown): CodedError<'unreadable'> {
  const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return new CodedError('unreadable', `${what} ${path} ${WHY[errno] ?? 'could not be read'}`, { path, errno }, cause);
}

function configOf(options: RunOptions, nowUnixMs: number, notes: string[]): MachineConfig {
  const ide: Partial<Record<IdePosition, IdeDriveConfig>> = {
    secondaryMaster: { kind: 'cdrom', label: options.cdrom === undefined ? '' : resolve(options.cdrom) },
  };
  if (options.hda) ide.primaryMaster = { kind: 'disk', label: resolve(options.hda.path) };
  if (options.hdb) ide.primarySlave = { kind: 'disk', label: resolve(options.hdb.path) };
  const floppyA: FloppyDriveConfig = {
    type: options.floppy !== undefined && sizeOf(options.floppy) > 1_763_328 ? '2.88M' : '1.44M',
    label: options.floppy === undefined ? '' : resolve(options.floppy),
  };
  const start = options.rtcStartUnixMs ?? nowUnixMs;
  return {
    ...DEFAULT_CONFIG,
    cpu: options.cpu ?? DEFAULT_CONFIG.cpu,
    platform: options.platform ?? DEFAULT_CONFIG.platform,
    memoryMb: options.memoryMb ?? DEFAULT_CONFIG.memoryMb,
    ...options.graphics,
    bootOrder: options.bootOrder ?? ['floppy', 'cdrom', 'disk'],
    ide,
    floppies: [floppyA, null],
    networkCards: options.networkCards.map(networkCardOf),
    soundCard: options.audio.card,
    rtcStartUnixMs: options.localTime ? start - new Date(start).getTimezoneOffset() * 60_000 : start,
    firmware: firmwareOf(options, notes),
    kernel: options.kernel === undefined ? null : kernelOf(options.kernel, options),
    debugExitPort: options.debugExitPort ?? null,
    nsPerInstruction: options.nsPerInstruction ?? null,
  };
}

function networkCardOf(nic: NicOptions): NetworkCardConfig {
  const { slot, type, mac, cableConnected, attachment, promiscuous, bandwidthGroup } = nic;
  return {
    ...{ slot, type, mac: mac ?? macFrom(randomBytes(3)), cableConnected, attachment },
    ...(promiscuous === undefined ? {} : { promiscuous }),
    ...(bandwidthGroup === undefined ? {} : { bandwidthGroup }),
  };
}

function sizeOf(path: string): number {
  const medium = new NodeFileBlockPort(path, { writable: false });
  medium.close();
  return medium.sectorCount * 512;
}

function firmwareOf(options: RunOptions, notes: string[]): MachineConfig['firmware'] {
  const directory = guestsDirectory();
  const { system, target } = FIRMWARE_FILES[options.firmware];
  const read = (path: string | undefined, name: string, needed: boolean, from = 'firmware'): Uint8Array | null => {
    if (path !== undefined) return readWhole('the firmware', path);
    const standard = join(directory, name);
    if (existsSync(standard)) return readWhole('the firmware', standard);
    const message = `there is no ${name} in ${directory}; run 'npm run guests -- ${from}' once`;
    if (needed) throw new CodedError('no-firmware', message, { path: standard });
    notes.push(`${message}; the screen stays without text until then`);
    return null;
  };
  const direct = options.kernel !== undefined;
  return {
    // A kernel needs no BIOS, and one that looks for it finds none rather than one that never ran.
    system: direct && options.bios === undefined ? null : read(options.bios, system, true, target),
    video: read(options.videoBios, VIDEO_FILE, !direct),
    variables:
      options.firmware === 'BIOS' || direct ? null : read(keptVariables(options), VARIABLES_FILE, true, target),
    network: direct ? {} : networkRomsOf(options, directory),
  };
}

function networkRomsOf(options: RunOptions, directory: string): Partial<Record<NicType, Uint8Array>> {
  const roms: Partial<Record<NicType, Uint8Array>> = {};
  for (const { type } of options.networkCards) {
    const path = join(directory, NETWORK_ROMS[type]);
    if (existsSync(path)) roms[type] = readWhole('the option ROM', path);
  }
  return roms;
}

/** The file of an earlier run, once there is one. */
const keptVariables = ({ nvram }: RunOptions): string | undefined =>
  nvram !== undefined && existsSync(nvram) ? nvram : undefined;

function kernelOf(path: string, options: RunOptions): DirectKernelConfig {
  const image = readWhole('the kernel', path);
  const multiboot = isMultiboot(image);
  return {
    image,
    commandLine: multiboot ? [path, options.append].filter((part) => part !== '').join(' ') : options.append,
    modules: options.initrds.map((text) => ({
      bytes: readWhole(multiboot ? 'the module' : 'the initial RAM disk', multiboot ? modulePath(text) : text),
      commandLine: text,
    })),
  };
}

/** The first word, unless the whole is the name of a file. */
function modulePath(text: string): string {
  const [first] = text.split(' ');
  return existsSync(text) ? text : (first ?? text);
}

/** Opens what the configuration's drives hold; for a saved machine options may name other files. */
function mediaOf(config: MachineConfig, options: RunOptions, notes: string[]): MachineMedia {
  const open = (path: string, writable: boolean): BlockPort => {
    const medium = new NodeFileBlockPort(path, { writable });
    if (medium.advice !== undefined) notes.push(`${path}: ${medium.advice}`);
    return medium;
  };
  const ide: Partial<Record<IdePosition, BlockPort>> = {};
  const disk = (position: IdePosition, given: RunOptions['hda'], option: string): void => {
    const drive = config.ide[position];
    if (drive?.kind === 'disk') ide[position] = open(given?.path ?? drive.label, !given?.readOnly);
    else if (given) throw new CodedError('no-drive', `the saved machine has no such disk; leave ${option} out`);
  };
  disk('primaryMaster', options.hda, '--hda');
  disk('primarySlave', options.hdb, '--hdb');
  const disc = options.cdrom ?? config.ide.secondaryMaster?.label ?? '';
  if (disc !== '') ide.secondaryMaster = open(disc, false);
  const diskette = options.floppy ?? config.floppies[0]?.label ?? '';
  return {
    ide,
    floppies: [diskette === '' ? undefined : open(diskette, mayWrite(diskette)), undefined],
  };
}

/** Opens a medium for `insert`. @throws CodedError */
export function openMedium(drive: 'cdrom' | 'floppy', path: string): BlockPort {
  return new NodeFileBlockPort(path, { writable: drive === 'floppy' && mayWrite(path) });
}

/** A diskette whose file is read-only is write-protected. */
function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
