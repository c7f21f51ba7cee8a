/** Shows a screen to a client by bitmap updates, on the fast path where it has one. */
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import {
  type BitmapData,
  bitmapDataBytes,
  encodeBitmapUpdate,
  encodePaletteUpdate,
  encodeSynchronizeUpdate,
} from '../pdu/bitmap-update.ts';
import type { ClientCapabilities } from '../pdu/capabilities.ts';
import { FAST_UPDATE } from '../pdu/fast-path.ts';
import { SHARE_DATA } from '../pdu/share.ts';
import type { Link } from '../sequence/link.ts';
import { BitmapEncoder } from './bitmap-encoder.ts';
import { type ColorDepth, PALETTE_332 } from './pixels.ts';

/** Bytes of one update, so that it fits a packet with whatever headers it gets. */
const MAX_UPDATE = 15_000;

/** A way to show changed rectangles to one client. */
export interface ScreenOutput {
  /** The client has just become active, and shows nothing. */
  begin(): void;
  show(screen: Picture, rects: readonly Rect[]): void;
  /** The client asks for all of the screen again. */
  forget(): void;
  /** False while the client has to say first that it has shown what it got. */
  readonly isReady: boolean;
  /** Milliseconds until more should be shown; not above 0: now. */
  readonly waitMs: number;
  /** Something could be shown better once it has been still for a while. */
  readonly canRefine: boolean;
  /** Shows better what has been still. @param covered where the client shows something over the screen: that waits */
  refine(screen: Picture, covered?: Rect): void;
  /** The client has shown something else there, and is shown the screen again with the next update. */
  overwritten(area: Rect): void;
  /** A screen of another size can be shown at once; otherwise the client has to be activated anew. */
  readonly followsSize: boolean;
  onFrameAcknowledged(frame: number): void;
}

export class BitmapOutput implements ScreenOutput {
  readonly #link: Link;
  readonly #capabilities: ClientCapabilities;
  readonly #depth: ColorDepth;
  readonly #encoder: BitmapEncoder;

  constructor(link: Link, capabilities: ClientCapabilities, depth: ColorDepth) {
    this.#link = link;
    this.#capabilities = capabilities;
    this.#depth = depth;
    this.#encoder = new BitmapEncoder(depth, !capabilities.skipAlpha);
  }

  /** Bitmap updates are not acknowledged. */
  readonly isReady = true;
  readonly waitMs = 0;
  readonly followsSize = false;
  readonly canRefine = false;
  refine(): void {}
  overwritten(): void {}
  forget(): void {}

  onFrameAcknowledged(): void {}

  begin(): void {
    if (this.#depth === 8) this.#send(FAST_UPDATE.palette, encodePaletteUpdate(PALETTE_332));
    else if (!this.#capabilities.fastPathOutput) this.#send(FAST_UPDATE.synchronize, encodeSynchronizeUpdate());
  }

  show(screen: Picture, rects: readonly Rect[]): void {
    let waiting: BitmapData[] = [];
    let bytes = 0;
    for (const rect of rects) {
      for (const bitmap of this.#encoder.encode(screen, rect)) {
        const more = bitmapDataBytes(bitmap);
        if (waiting.length > 0 && bytes + more > MAX_UPDATE) {
          this.#flush(waiting);
          waiting = [];
          bytes = 0;
        }
        waiting.push(bitmap);
        bytes += more;
      }
    }
    if (waiting.length > 0) this.#flush(waiting);
  }

  #flush(bitmaps: readonly BitmapData[]): void {
    this.#send(FAST_UPDATE.bitmap, encodeBitmapUpdate(bitmaps, !this.#capabilities.noBitmapCompressionHeader));
  }

  #send(code: number, body: Uint8Array): void {
    if (this.#capabilities.fastPathOutput) this.#link.sendFastPath(code, body);
    else this.#link.sendShareData(SHARE_DATA.update, body);
  }
}
