import type { Saveable } from '#emu/bus/wires.ts';
import type { DataPhase } from './data-phase.ts';
import type { TaskFile } from './task-file.ts';

/** The wires from a device to its channel. */
export interface DriveSignals {
  /** INTRQ may have changed. */
  interruptChanged(): void;
  /** DMARQ was asserted: the bus master may move the open window. */
  dmaRequested(): void;
}

/** What a channel asks of the device at one of its two positions. */
export interface IdeDrive extends Saveable<unknown> {
  readonly taskFile: TaskFile;
  readonly data: DataPhase;
  /** Plugs the drive in as device 0 or 1; called once by the channel. */
  connect(position: 0 | 1, signals: DriveSignals): void;
  /** A write to the Command register. Only DEVICE RESET reaches a device with BSY or DRQ set. */
  command(opcode: number): void;
  /** EXECUTE DEVICE DIAGNOSTIC, which both devices of a channel run. */
  diagnose(): void;
  /** SRST: `true` starts the reset, `false` ends it. */
  softReset(asserted: boolean): void;
  /** RESET- or power-on. */
  reset(): void;
  /** No block request is outstanding: `save` may be called. */
  readonly idle: boolean;
}

/** A drive's activity light: `kind` says which way bytes moved. */
export type Activity = (kind: 'read' | 'write') => void;
