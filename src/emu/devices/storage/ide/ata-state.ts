import type { BlockStatus } from '#emu/host/block.ts';
import type { TransferModes } from './ata-registers.ts';
import type { DataPhaseState } from './data-phase.ts';
import type { TaskFileState } from './task-file.ts';

/**
 * What a hard disk remembers between accesses.
 * Source: ATA/ATAPI-6, clauses 8 and 9.
 */
export type TransferKind = 'none' | 'buffer' | 'read' | 'write' | 'verify' | 'flush';

export interface AtaTransfer {
  kind: TransferKind;
  dma: boolean;
  ext: boolean;
  chs: boolean;
  /** Write: complete only when durable. */
  durable: boolean;
  /** Sector the current chunk starts at. */
  lba: number;
  /** Sectors from there to the end of the command. */
  remainingSectors: number;
  /** Sectors a DRQ block. */
  blockSectors: number;
  chunkSectors: number;
  /** Sectors of the chunk the medium has served. */
  servedSectors: number;
  /** A request of this chunk failed: sectors are asked one by one. */
  single: boolean;
  /** Address of a sector the medium could not serve, or -1; reported once the sectors before it have moved. */
  failedLba: number;
  failure: BlockStatus;
}

export interface AtaDriveState {
  taskFile: TaskFileState;
  data: DataPhaseState;
  transfer: AtaTransfer;
  heads: number;
  sectorsPerTrack: number;
  multipleSectors: number;
  writeCache: boolean;
  lookAhead: boolean;
  revertOnReset: boolean;
  modes: TransferModes;
  asleep: boolean;
  standby: boolean;
  /** `held`: SRST is set; `finishing`: a reset waits for an outstanding request. */
  resetting: 'no' | 'held' | 'finishing';
}

export const noTransfer = (): AtaTransfer => ({
  kind: 'none',
  dma: false,
  ext: false,
  chs: false,
  durable: false,
  lba: 0,
  remainingSectors: 0,
  blockSectors: 1,
  chunkSectors: 0,
  servedSectors: 0,
  single: false,
  failedLba: -1,
  failure: 'ok',
});
