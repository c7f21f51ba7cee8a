// What the command line's main thread and its machine worker say to each other. A machine worker hardly ever returns to
// its event loop, so messages to it are followed by a ring of the doorbell.

import type { MessagePort } from 'node:worker_threads';
import type { GdbEvent } from './gdb-socket.ts';
import type { MonitorCommand } from './monitor-commands.ts';
import type { CardCable } from './network-ports.ts';
import type { RunOptions } from './run-options.ts';

export interface MachineWorkerData {
  readonly options: RunOptions;
  /** See SHARED. */
  readonly shared: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** 32-bit words in shared memory. */
export const SHARED = {
  /** Goes up when a message was sent to the machine. */
  doorbell: 0,
  /** Bytes of output that the machine has sent and the main thread has not written. */
  unwritten: 1,
} as const;
export const SHARED_BYTES = 8;
/** The machine waits while more than so much output is unwritten. */
export const UNWRITTEN_LIMIT: number = 4 * 1024 * 1024;

export type ToMachine =
  | { readonly kind: 'command'; readonly id: number; readonly command: MonitorCommand }
  | { readonly kind: 'serial'; readonly port: number; readonly bytes: Uint8Array }
  /** To a new thread that compiles hot code, or none any more; the one before, if any, has died of `why`. */
  | { readonly kind: 'regions'; readonly port: MessagePort | undefined; readonly why: string }
  /** News of the debugger's connection. */
  | { readonly kind: 'gdb'; readonly event: GdbEvent }
  /** Whether somebody looks at the screen, so that frames are published. */
  | { readonly kind: 'watched'; readonly on: boolean }
  | { readonly kind: 'scancodes'; readonly set1: readonly number[] }
  | {
      readonly kind: 'mouse';
      readonly dx: number;
      readonly dy: number;
      readonly dz: number;
      readonly buttons: number;
      readonly dw: number;
    }
  /** See `MouseInput.point`. */
  | { readonly kind: 'point'; readonly x: number; readonly y: number }
  /** A signal asks the run to end. */
  | { readonly kind: 'end'; readonly status: number };

export type FromMachine =
  /** The machine is switched on. */
  | { readonly kind: 'started' }
  /** Video memory and the frame record, shared; frames are published while the screen is `watched`. */
  | {
      readonly kind: 'screen';
      readonly vram: Uint8Array;
      readonly frame: SharedArrayBuffer;
      /** What the sound card plays: see emu/host/sound-ring.ts. */
      readonly sound: SharedArrayBuffer | undefined;
      /** What it records: see emu/host/recording-ring.ts; undefined: silence. */
      readonly recording: SharedArrayBuffer | undefined;
    }
  /** The machine's network cards are ready to be attached. */
  | { readonly kind: 'cables'; readonly cables: readonly CardCable[] }
  /** The thread that compiles hot code does not answer. */
  | { readonly kind: 'regions-silent' }
  /** The guest has set the lights of its keyboard. */
  | { readonly kind: 'leds'; readonly leds: number }
  /** Something a person should know. */
  | { readonly kind: 'note'; readonly text: string }
  /** Bytes for the debugger. */
  | { readonly kind: 'gdb'; readonly bytes: Uint8Array }
  /** Bytes for the terminal. */
  | { readonly kind: 'output'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'reply';
      readonly id: number;
      readonly lines: readonly string[];
      readonly error: string | undefined;
    }
  | { readonly kind: 'ended'; readonly status: number; readonly message: string | undefined };

/** Exit statuses of `tabbox run`. */
export const STATUS = { ok: 0, usage: 1, broken: 2, reset: 3 } as const;
