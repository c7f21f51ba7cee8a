/** Tiles that were shown by a first pass alone, until they are upgraded. */
import { around, overlap, type Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import { TILE_SIZE } from '../remotefx/tile-module.ts';
import type { ProgressiveTile } from './message.ts';
import { ProgressiveTileEncoder } from './progressive-tile.ts';

interface Coarse {
  readonly column: number;
  readonly row: number;
  /** Around everything of the tile that is coarse. */
  box: Rect;
  /** The one that showed it last. */
  frame: number;
  /** What another codec has drawn there since then: an upgrade would be of something else. */
  over: Rect[];
}

export interface Upgrades {
  readonly upgrades: readonly ProgressiveTile[];
  /** Where they show. */
  readonly rects: readonly Rect[];
  /** To be shown another way, since something was drawn over the first pass; and what that was, to be drawn again. */
  readonly anew: readonly Rect[];
  readonly over: readonly Rect[];
}

export class CoarsePasses {
  #made: ProgressiveTileEncoder | undefined;
  readonly #coarse = new Map<number, Coarse>();

  /** Many clients never see a photograph. */
  get #encoder(): ProgressiveTileEncoder {
    this.#made ??= new ProgressiveTileEncoder();
    return this.#made;
  }

  get hasAny(): boolean {
    return this.#coarse.size > 0;
  }

  reset(): void {
    this.#coarse.clear();
  }

  touches(rect: Rect): boolean {
    for (const { box } of this.#coarse.values()) if (overlap(box, rect)) return true;
    return false;
  }

  /** @param rects each inside one tile. @returns the tiles they are in */
  first(screen: Picture, rects: readonly Rect[], frame: number): ProgressiveTile[] {
    const tiles = new Map<number, ProgressiveTile>();
    for (const rect of rects) {
      const { key, column, row } = placeOf(rect);
      const before = this.#coarse.get(key);
      const box = before ? around(before.box, rect) : rect;
      this.#coarse.set(key, { column, row, box, frame, over: [] });
      if (!tiles.has(key)) {
        tiles.set(key, { kind: 'first', column, row, planes: this.#encoder.first(screen, column, row) });
      }
    }
    return [...tiles.values()];
  }

  /** Another codec has drawn there. @param rect inside one tile */
  drawnOver(rect: Rect): void {
    this.#coarse.get(placeOf(rect).key)?.over.push(rect);
  }

  /**
   * What may be shown better by now: what the client has had time to show.
   * @param sent the screen as the first passes have shown it, and what was drawn over them
   * @param covered what is there waits
   */
  take(sent: Picture, acknowledged: number, covered?: Rect): Upgrades {
    const upgrades: ProgressiveTile[] = [];
    const rects: Rect[] = [];
    const anew: Rect[] = [];
    const drawn: Rect[] = [];
    for (const [key, { column, row, box, frame, over }] of this.#coarse) {
      if (frame > acknowledged || (covered && overlap(box, covered))) continue;
      this.#coarse.delete(key);
      if (over.length > 0) {
        anew.push(box);
        drawn.push(...over);
      } else {
        upgrades.push({ kind: 'upgrade', column, row, planes: this.#encoder.upgrade(sent, column, row) });
        rects.push(box);
      }
    }
    return { upgrades, rects, anew, over: drawn };
  }
}

function placeOf({ x, y }: Rect): { readonly key: number; readonly column: number; readonly row: number } {
  const [column, row] = [Math.floor(x / TILE_SIZE), Math.floor(y / TILE_SIZE)];
  return { key: row * 0x1_0000 + column, column, row };
}
