import { MIB, SECTOR_BYTES } from '#base/units.ts';
import type { BlockStore } from './block-store.ts';

/**
 * The whole content of a store, front to back, in fresh buffers.
 * A store that is written meanwhile yields a mixture, as copying a mounted disk does.
 * @param chunkBytes a whole number of sectors
 */
export async function* contentOf(store: BlockStore, chunkBytes: number = MIB): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const chunkSectors = chunkBytes / SECTOR_BYTES;
  for (let sector = 0; sector < store.sectorCount; sector += chunkSectors) {
    const sectors = Math.min(chunkSectors, store.sectorCount - sector);
    const bytes = new Uint8Array(sectors * SECTOR_BYTES);
    await store.read(sector, bytes);
    yield bytes;
  }
}

const PRIME = 0x0100_0193;

/**
 * FNV-1a, 32 bits, as 8 hex digits: tells images apart by accident of content, not against an adversary.
 * Source: RFC 9923, section 2 (offset basis and prime for 32 bits).
 */
export function fingerprint(bytes: Uint8Array): string {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, PRIME);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
