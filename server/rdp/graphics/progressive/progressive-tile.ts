/**
 * Tiles of progressive RemoteFX: a coarse first pass, and an upgrade that brings what is missing.
 * Source: [MS-RDPEGFX] 3.2.8.1 (encoding), 3.2.8.1.5 (SRL and raw bits), 2.2.4.2.1.5 (tiles).
 * Not modelled: more passes than two, differences from the tile before.
 */
import type { Picture } from '#display/raster/thumbnail.ts';
import { takeTile } from '../remotefx/tile-encoder.ts';
import { TileModule } from '../remotefx/tile-module.ts';
import { BitWriter } from './bit-writer.ts';
import { ExtrapolatedTransform, LOWEST, SUBBAND_COUNT, SUBBAND_STARTS, subbandEnd } from './extrapolated-transform.ts';

/** In the order of a tile's subbands, see SUBBAND_STARTS: bits that are dropped from each for good, and 1. */
export const FULL: readonly number[] = [8, 8, 9, 7, 7, 8, 6, 6, 6, 6];
/** Bits that the first pass drops besides. */
export const FIRST_PASS: readonly number[] = [3, 3, 3, 2, 2, 2, 1, 1, 1, 0];

export interface UpgradedPlane {
  readonly srl: Uint8Array;
  readonly raw: Uint8Array;
}

/** SRL's parameter is that of RLGR. */
const [KP_START, KP_MAX, UP, DOWN] = [8, 80, 4, 6];

export class ProgressiveTileEncoder {
  readonly #module = new TileModule();
  readonly #transform = new ExtrapolatedTransform();

  /** Codes of Y, Cb and Cr. @param column, row of the tile; beyond the edges of the screen its last pixels go on */
  first(screen: Picture, column: number, row: number): Uint8Array[] {
    this.#quantize(screen, column, row);
    return this.#module.planes.map((plane, i) => {
      for (let band = 0; band < SUBBAND_COUNT; band++) {
        const drop = FIRST_PASS[band];
        // The lowest subband is told by its value, the others by sign and magnitude.
        if (drop > 0)
          for (let at = SUBBAND_STARTS[band]; at < subbandEnd(band); at++) plane[at] = shown(plane[at], drop);
      }
      const lowest = SUBBAND_STARTS[LOWEST];
      for (let at = subbandEnd(LOWEST) - 1; at > lowest; at--) plane[at] -= plane[at - 1];
      return this.#module.encode(i);
    });
  }

  /** What a first pass of the same pixels has left out, for Y, Cb and Cr. */
  upgrade(screen: Picture, column: number, row: number): UpgradedPlane[] {
    this.#quantize(screen, column, row);
    return this.#module.planes.map(upgradeOf);
  }

  #quantize(screen: Picture, column: number, row: number): void {
    const module = this.#module;
    takeTile(module.pixels, screen, column, row);
    module.convert();
    for (const plane of module.planes) {
      this.#transform.forward(plane);
      for (let band = 0; band < SUBBAND_COUNT; band++) {
        const shift = FULL[band] - 1;
        const half = 1 << (shift - 1);
        for (let at = SUBBAND_STARTS[band]; at < subbandEnd(band); at++) plane[at] = (plane[at] + half) >> shift;
      }
    }
  }
}

const shown = (value: number, drop: number): number => (value < 0 ? -(-value >> drop) : value >> drop);

function upgradeOf(plane: Int16Array): UpgradedPlane {
  const raw = new BitWriter();
  const srl = new SrlWriter();
  for (let band = 0; band < LOWEST; band++) {
    const bits = FIRST_PASS[band];
    const mask = (1 << bits) - 1;
    for (let at = SUBBAND_STARTS[band]; at < subbandEnd(band); at++) {
      const value = plane[at];
      if (shown(value, bits) === 0) srl.put(value, bits);
      else raw.put(Math.abs(value) & mask, bits);
    }
  }
  return { srl: srl.done(), raw: raw.done() };
}

/** Coefficients that the first pass showed as nothing: runs of zeros, and sign and magnitude of the others. */
class SrlWriter {
  readonly #bits = new BitWriter();
  #kp = KP_START;
  #zeros = 0;

  put(value: number, bits: number): void {
    if (value === 0) {
      this.#zeros++;
      return;
    }
    this.#wholeRuns();
    const k = this.#kp >> 3;
    this.#bits.put(1, 1);
    this.#bits.put(this.#zeros, k);
    this.#zeros = 0;
    this.#bits.put(value < 0 ? 1 : 0, 1);
    this.#kp = Math.max(0, this.#kp - DOWN);
    const magnitude = Math.abs(value);
    // One less in zeros, and a one; the largest needs no end.
    this.#bits.put(0, magnitude - 1);
    if (magnitude < (1 << bits) - 1) this.#bits.put(1, 1);
  }

  done(): Uint8Array {
    this.#wholeRuns();
    // A run that ends beyond the last coefficient.
    if (this.#zeros > 0) this.#bits.put(0, 1);
    return this.#bits.done();
  }

  #wholeRuns(): void {
    while (this.#zeros >= 1 << (this.#kp >> 3)) {
      this.#zeros -= 1 << (this.#kp >> 3);
      this.#bits.put(0, 1);
      this.#kp = Math.min(KP_MAX, this.#kp + UP);
    }
  }
}
