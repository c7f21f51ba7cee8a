import { COMMAND } from './ata-registers.ts';

/**
 * The commands that move or check sectors, by what distinguishes them.
 * Source: ATA/ATAPI-6, 8.27 to 8.38 and 8.63 to 8.68; WRITE ... FUA EXT from ATA/ATAPI-7.
 */
export interface SectorCommand {
  readonly kind: 'read' | 'write' | 'verify';
  /** 48-bit address and 16-bit count. */
  readonly ext: boolean;
  /** By DMA, by DRQ blocks of one sector, or by DRQ blocks of the count that SET MULTIPLE MODE left. */
  readonly by: 'dma' | 'pio' | 'multiple';
  /** Complete only when durable. */
  readonly fua: boolean;
}

const row = (kind: SectorCommand['kind'], by: SectorCommand['by'], width: 28 | 48, fua = false): SectorCommand => ({
  kind,
  by,
  ext: width === 48,
  fua,
});

export const SECTOR_COMMANDS: ReadonlyMap<number, SectorCommand> = new Map([
  [COMMAND.readSectors, row('read', 'pio', 28)],
  [COMMAND.readSectorsNoRetry, row('read', 'pio', 28)],
  [COMMAND.readSectorsExt, row('read', 'pio', 48)],
  [COMMAND.readMultiple, row('read', 'multiple', 28)],
  [COMMAND.readMultipleExt, row('read', 'multiple', 48)],
  [COMMAND.readDma, row('read', 'dma', 28)],
  [COMMAND.readDmaNoRetry, row('read', 'dma', 28)],
  [COMMAND.readDmaExt, row('read', 'dma', 48)],
  [COMMAND.readVerify, row('verify', 'pio', 28)],
  [COMMAND.readVerifyNoRetry, row('verify', 'pio', 28)],
  [COMMAND.readVerifyExt, row('verify', 'pio', 48)],
  [COMMAND.writeSectors, row('write', 'pio', 28)],
  [COMMAND.writeSectorsNoRetry, row('write', 'pio', 28)],
  [COMMAND.writeSectorsExt, row('write', 'pio', 48)],
  [COMMAND.writeMultiple, row('write', 'multiple', 28)],
  [COMMAND.writeMultipleExt, row('write', 'multiple', 48)],
  [COMMAND.writeMultipleFuaExt, row('write', 'multiple', 48, true)],
  [COMMAND.writeDma, row('write', 'dma', 28)],
  [COMMAND.writeDmaNoRetry, row('write', 'dma', 28)],
  [COMMAND.writeDmaExt, row('write', 'dma', 48)],
  [COMMAND.writeDmaFuaExt, row('write', 'dma', 48, true)],
]);
