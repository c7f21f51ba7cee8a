import type { Saveable } from '#emu/bus/wires.ts';
import type { Sense } from './sense.ts';

/**
 * What a transport (ATAPI, AHCI, a SCSI host adapter, USB storage) asks of a logical unit.
 * Source: SAM-3 (T10/1561-D), 4.5 to 5.3.
 *
 * One command at a time. `start` leaves `idle`; every change to another phase than `busy` calls `onPhase`,
 * possibly before `start` or `moved` returns:
 *
 *   idle -> busy -> data-in  -> (moved all of the window) busy -> data-in ... -> status -> idle
 *                -> data-out -> (moved all of the window) busy -> data-out ... -> status -> idle
 */
export type ScsiPhase = 'idle' | 'busy' | 'data-in' | 'data-out' | 'status';

export const SCSI_STATUS = { good: 0x00, checkCondition: 0x02 } as const;

export interface ScsiLogicalUnit extends Saveable<unknown> {
  readonly phase: ScsiPhase;
  /** The window to move next: bytes to take (data-in) or to fill (data-out). A view, valid in those phases. */
  readonly window: Uint8Array;
  /** Bytes of the whole command still to move, this window included. */
  readonly remainingBytes: number;
  /** In `status`: GOOD or CHECK CONDITION. */
  readonly status: number;
  /** In `status`: why; NO SENSE after GOOD. */
  readonly sense: Sense;
  /** Called on each new phase but `busy`. Set by the transport. */
  onPhase: () => void;
  /** Starts a command. @param cdb 6 to 16 bytes; shorter ones are read as padded with zeros */
  start(cdb: Uint8Array): void;
  /** The transport has moved the first `byteCount` bytes of the window. */
  moved(byteCount: number): void;
  /** The transport has taken the status: back to `idle`. */
  statusTaken(): void;
  /** Drops the command at once (task abort, bus reset): back to `idle`. */
  abort(): void;
  /** Power-on or hard reset. */
  reset(): void;
  /** No block request is outstanding: `save` may be called. */
  readonly idle: boolean;
}
