/** Shows a screen to a client by RemoteFX in surface commands. Source: [MS-RDPBCGR] 2.2.9.2; [MS-RDPRFX] 1.3. */
import { isDrawn } from '#display/desktop/drawn.ts';
import type { Rect } from '#display/raster/rects.ts';
import type { Picture } from '#display/raster/thumbnail.ts';
import { PduWriter } from '../pdu/bytes.ts';
import { type ClientCapabilities, SURFACE_COMMAND } from '../pdu/capabilities.ts';
import { FAST_UPDATE } from '../pdu/fast-path.ts';
import type { Link } from '../sequence/link.ts';
import type { ScreenOutput } from './bitmap-output.ts';
import { encodeFrame, encodeHeaders, type PlacedTile, tileBytes } from './remotefx/message.ts';
import type { ScreenTiles } from './remotefx/screen-tiles.ts';

const COMMAND = { setSurfaceBits: 1, frameMarker: 4 } as const;
const FRAME_BEGIN = 0;
const FRAME_END = 1;
/** Room for everything in an update that is not a tile. */
const OVERHEAD_BYTES = 8192;
const LONGEST_UPDATE = 256 * 1024;

/** True for clients that asked for it and can take what it needs. */
export const canShowRemoteFx = (capabilities: ClientCapabilities): boolean =>
  capabilities.remoteFxId !== undefined &&
  capabilities.fastPathOutput &&
  (capabilities.surfaceCommands & SURFACE_COMMAND.setSurfaceBits) !== 0 &&
  capabilities.multifragmentBytes > OVERHEAD_BYTES * 8;

export class RemoteFxOutput implements ScreenOutput {
  readonly #link: Link;
  readonly #codecId: number;
  readonly #limit: number;
  readonly #tiles: ScreenTiles;
  readonly #framesInFlight: () => number;
  #frame = 0;
  #acknowledged = 0;
  #hasHeaders = false;
  /** A client that has never acknowledged anything may not know how. */
  #acknowledges = false;

  /** @param framesInFlight that the client may have before it says that it has shown one */
  constructor(link: Link, capabilities: ClientCapabilities, tiles: ScreenTiles, framesInFlight: () => number) {
    this.#framesInFlight = framesInFlight;
    this.#tiles = tiles;
    this.#link = link;
    this.#codecId = capabilities.remoteFxId ?? 0;
    this.#limit = Math.min(capabilities.multifragmentBytes, LONGEST_UPDATE) - OVERHEAD_BYTES;
  }

  readonly followsSize = false;

  begin(): void {
    this.#hasHeaders = false;
    this.#tiles.reset();
  }

  forget(): void {
    this.#tiles.reset();
  }

  get isReady(): boolean {
    return !this.#acknowledges || this.#frame - this.#acknowledged < this.#framesInFlight();
  }

  onFrameAcknowledged(frame: number): void {
    this.#acknowledges = true;
    // Frames are told by number, and all before it are shown as well.
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(frame, this.#frame));
  }

  get canRefine(): boolean {
    return this.#tiles.hasCoarse;
  }

  show(screen: Picture, rects: readonly Rect[]): void {
    this.#tiles.drawn(rects);
    this.#put(screen, rects);
  }

  overwritten(): void {}

  refine(screen: Picture, covered?: Rect): void {
    this.#put(screen, this.#tiles.takeStopped(covered));
  }

  get waitMs(): number {
    return this.#tiles.waitMs;
  }

  #put(screen: Picture, rects: readonly Rect[]): void {
    if (rects.length === 0) return;
    this.#frame++;
    this.#mark(FRAME_BEGIN);
    let tiles: PlacedTile[] = [];
    let shown: Rect[] = [];
    let bytes = 0;
    let sent = 0;
    // Each rectangle lies inside one square of the desktop's grid, which is RemoteFX's as well.
    for (const rect of rects) {
      const tile = this.#tiles.encode(screen, rect);
      const more = tileBytes(tile);
      if (tiles.length > 0 && bytes + more > this.#limit) {
        this.#send(screen, shown, tiles);
        tiles = [];
        shown = [];
        sent += bytes;
        bytes = 0;
      }
      tiles.push(tile);
      shown.push(rect);
      bytes += more;
    }
    this.#send(screen, shown, tiles);
    this.#mark(FRAME_END);
    // Text that scrolls is no video, though it moves like one.
    const videos = rects.filter((rect) => this.#tiles.showsVideo(rect));
    const photos = videos.filter((rect) => !isDrawn(screen, rect));
    if (photos.length > videos.length / 2) this.#tiles.sentVideo(sent + bytes);
  }

  #mark(action: number): void {
    const body = new PduWriter().u16(COMMAND.frameMarker).u16(action).u32(this.#frame).done();
    this.#link.sendFastPath(FAST_UPDATE.surfaceCommands, body);
  }

  #send(screen: Picture, rects: readonly Rect[], tiles: readonly PlacedTile[]): void {
    const { width, height } = screen;
    const headers = this.#hasHeaders ? new Uint8Array(0) : encodeHeaders(width, height);
    this.#hasHeaders = true;
    const frame = encodeFrame({ index: this.#frame, rects, tiles, quantizations: this.#tiles.quantizations });
    const w = new PduWriter(headers.length + frame.length + 32).u16(COMMAND.setSurfaceBits);
    w.u16(0).u16(0).u16(width).u16(height).u8(32).u8(0).u8(0).u8(this.#codecId).u16(width).u16(height);
    w.u32(headers.length + frame.length)
      .bytes(headers)
      .bytes(frame);
    this.#link.sendFastPath(FAST_UPDATE.surfaceCommands, w.done());
  }
}
