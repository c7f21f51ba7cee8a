/** The desktop of a machine somewhere else, behind a link: for gateways that show it to clients of another protocol. */
import type { SoundSource } from '#emu/host/sound.ts';
import type { Desktop, DesktopSeat, DesktopView } from '../desktop/desktop.ts';
import { DesktopViews } from '../desktop/desktop-views.ts';
import { InputSeats } from '../desktop/input-seats.ts';
import { SharedClipboard } from '../desktop/shared-clipboard.ts';
import type { Picture } from '../raster/thumbnail.ts';
import { Viewer, type ViewerParts } from './viewer.ts';

/** Before the first picture. */
const NOTHING: Picture = { width: 640, height: 480, pixels: new Uint32Array(640 * 480).fill(0xff00_0000) };

/**
 * Watches as one person, whoever sits behind the gateway: what a link lets its people do, they may do together.
 *
 * @example
 *   const desktop = new StreamDesktop({ base, token, name: 'RDP', key: '', onKey: () => {} });
 *   const gateway = await RdpGateway.open(desktop, settings);
 */
export class StreamDesktop implements Desktop {
  readonly viewer: Viewer;
  readonly clipboard: SharedClipboard = new SharedClipboard();
  readonly #views: DesktopViews;
  readonly #seats: InputSeats;
  #screen: Picture = NOTHING;

  constructor(parts: Omit<ViewerParts, 'onPicture'>) {
    const size = (): Picture => this.#screen;
    this.#views = new DesktopViews({ size, refresh: () => {}, onDemand: () => {} });
    this.viewer = new Viewer({
      ...parts,
      onPicture: (rects) => {
        const { width, height, pixels } = this.viewer;
        if (pixels !== this.#screen.pixels) {
          this.#screen = { width, height, pixels };
          this.#views.resized();
        } else for (const rect of rects) this.#views.damaged(rect);
        this.#views.wake();
      },
    });
    const place = this.clipboard.open((text) => this.viewer.copy(text));
    this.viewer.copied.subscribe((copied) => copied && place.put(copied.text));
    const { keyboard, mouse } = this.viewer;
    this.#seats = new InputSeats({ keyboard, mouse, size, typeText: (text) => this.viewer.typeText(text) });
  }

  get screen(): Picture {
    return this.#screen;
  }

  get sound(): SoundSource {
    return this.viewer.sound;
  }

  view(): DesktopView {
    return this.#views.open();
  }

  seat(): DesktopSeat {
    return this.#seats.open();
  }

  close(): void {
    this.viewer.close();
  }
}
