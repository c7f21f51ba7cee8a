/** What the page and its machine worker say to each other, as plain data. */
import type { NetworkCardConfig } from '#emu/host/network-card.ts';
import type { GraphicsController, PlatformConfig } from '#emu/machine/config.ts';

/** Where a drive is attached: IDE primary and secondary, master and slave; floppy A and B. */
export const DRIVE_SLOTS = ['hda', 'hdb', 'hdc', 'hdd', 'fda', 'fdb'] as const;
export type DriveSlot = (typeof DRIVE_SLOTS)[number];

export interface DriveSpec {
  readonly slot: DriveSlot;
  readonly medium: 'hard-disk' | 'optical' | 'floppy';
  /** The medium's block ring; undefined for an empty CD or floppy drive. */
  readonly ring: SharedArrayBuffer | undefined;
}

export interface NetworkCardSpec {
  readonly config: NetworkCardConfig;
  /** The card's packet ring, side `card`; undefined: nothing at the other end of its cable. */
  readonly ring: SharedArrayBuffer | undefined;
  /** Rung when the card has sent or made room; without one the ring's own bell is. */
  readonly farDoorbell: SharedArrayBuffer | undefined;
}

export interface DirectBootSpec {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array | undefined;
  readonly commandLine: string;
}

/** The switches of the processor: see `CpuConfig` in emu/cpu. */
export interface ProcessorSpec {
  readonly profile: string;
  readonly longMode: boolean;
  readonly pae: boolean;
  readonly cpuidSet: readonly {
    readonly leaf: number;
    readonly subleaf?: number | undefined;
    readonly eax: number;
    readonly ebx: number;
    readonly ecx: number;
    readonly edx: number;
  }[];
}

export interface GraphicsSpec {
  readonly controller: GraphicsController;
  /** 1 to MAX_MONITORS; more than one needs VBoxVGA. */
  readonly monitors: number;
  /** 1 to 256; made a power of two, and enough for the monitors. */
  readonly videoMemoryMb: number;
}

/** A machine to switch on. */
export interface MachineSpec {
  readonly memoryMb: number;
  /** Undefined: all that there is. */
  readonly processor?: ProcessorSpec | undefined;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  readonly bootOrder: readonly ('floppy' | 'optical' | 'hard-disk' | 'network')[];
  /** Minutes that the machine's clock is ahead of UTC. */
  readonly clockOffsetMinutes: number;
  /** Left out: the usual one. */
  readonly platform?: PlatformConfig;
  /** The system's firmware. */
  readonly bios: Uint8Array;
  /** UEFI's variables, where `bios` is its code; left out: it is a BIOS. */
  readonly variables?: Uint8Array | undefined;
  readonly vgaBios: Uint8Array;
  readonly directBoot: DirectBootSpec | undefined;
  readonly drives: readonly DriveSpec[];
  /** A saved machine takes only the rings from here, by slot. */
  readonly networkCards: readonly NetworkCardSpec[];
  /** Left out: none. */
  readonly soundCard?: 'ac97' | null;
  /** Left out: a standard VGA. */
  readonly graphics?: GraphicsSpec | undefined;
  /** 4 bytes; whatever has something for the machine counts the word up and notifies. */
  readonly doorbell: SharedArrayBuffer;
  /** Goes on where this was saved; what it was made of is in it, and only `drives`, rings and `doorbell` count beside it. */
  readonly savedState: Uint8Array | undefined;
}

/** Shared memory that a machine and the page use from power-on to power-off. */
export interface MachineLinks {
  /** Video memory, over shared memory. */
  readonly vram: Uint8Array;
  /** For `new SharedFrame(frameBuffer, frameOffset, vram.length)`. */
  readonly frameBuffer: SharedArrayBuffer;
  readonly frameOffset: number;
  /** First serial port: byte rings. */
  readonly serialFromGuest: SharedArrayBuffer;
  readonly serialToGuest: SharedArrayBuffer;
  /** PC speaker: see `tone-ring.ts`. */
  readonly tones: SharedArrayBuffer;
  /** Sound card: see `emu/host/sound-ring.ts`. */
  readonly sound: SharedArrayBuffer;
  /** What it records: see `emu/host/recording-ring.ts`. */
  readonly recording: SharedArrayBuffer;
}

export interface DriveActivity {
  readonly slot: DriveSlot;
  /** Sectors since power-on. */
  readonly sectorsRead: number;
  readonly sectorsWritten: number;
  /** Requests that have not been answered. */
  readonly pending: number;
}

export interface NetworkActivity {
  readonly slot: number;
  readonly linkUp: boolean;
  readonly cableConnected: boolean;
  /** Since power-on. */
  readonly framesSent: number;
  readonly bytesSent: number;
  readonly framesReceived: number;
  readonly bytesReceived: number;
  /** Of the capture file that is being recorded; undefined: none is. */
  readonly traceBytes: number | undefined;
}

export interface MachineStats {
  readonly state: RunState;
  /** Instructions the guest has executed since power-on. */
  readonly instructions: number;
  /** Millions of instructions a second while the guest was not halted, since the last call. */
  readonly mips: number;
  /** Share of real time since the last call in which the guest was halted or the machine paused, 0 to 1. */
  readonly haltedShare: number;
  /** Guest time since power-on in seconds. */
  readonly guestSeconds: number;
  readonly drives: readonly DriveActivity[];
  readonly networkCards: readonly NetworkActivity[];
}

/** `off`: powered off by the guest or the person; `failed`: a bug or a broken CPU state ended the machine. */
export type RunState = 'off' | 'running' | 'paused' | 'failed';

export type MachineEvent =
  /** @property message why, for `failed`; otherwise '' */
  | { readonly kind: 'state'; readonly state: RunState; readonly message: string }
  /** The guest broke; `report` is for a person who wants to know why. It may have been meant: a triple fault resets. */
  | { readonly kind: 'crash'; readonly report: string }
  /** Hot code is not compiled any more: the machine goes on, many times slower. */
  | { readonly kind: 'slow'; readonly message: string }
  /** UEFI's variables are these from now on, over a restart of the machine as well. */
  | { readonly kind: 'variables'; readonly contents: Uint8Array<ArrayBuffer> }
  /** The guest opened a CD drive: its medium is out. */
  | { readonly kind: 'ejected'; readonly slot: DriveSlot };
