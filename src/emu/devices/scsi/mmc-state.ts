import { USER_DATA_BYTES } from './cd-sector.ts';
import type { CdTrayState } from './cd-tray.ts';
import type { ScsiPhase } from './logical-unit.ts';
import type { ModePageState } from './mmc-mode-pages.ts';
import type { Sense } from './sense.ts';

/**
 * What a CD/DVD reader remembers between phases.
 * Source: MMC-3 (T10/1363-D), clause 6.
 */
export interface ReadState {
  lba: number;
  remainingBlocks: number;
  /** Blocks of the open request or window. */
  chunkBlocks: number;
  servedBlocks: number;
  /** A request of this chunk failed: blocks are asked one by one. */
  single: boolean;
  failed: boolean;
  /** First and last+1 byte of the raw sector that the host asked for. */
  from: number;
  to: number;
}

export interface MmcCdromState {
  tray: CdTrayState;
  modePages: ModePageState;
  phase: ScsiPhase;
  cdb: Uint8Array;
  buffer: Uint8Array;
  position: number;
  end: number;
  status: number;
  sense: Sense;
  /** Sense that REQUEST SENSE returns. */
  pending: Sense;
  headLba: number;
  read: ReadState;
}

export const noRead = (): ReadState => ({
  lba: 0,
  remainingBlocks: 0,
  chunkBlocks: 0,
  servedBlocks: 0,
  single: false,
  failed: false,
  from: 16,
  to: 16 + USER_DATA_BYTES,
});
