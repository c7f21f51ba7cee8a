/** The desktop of a machine somewhere else, behind a link: for gateways that show it to clients of another protocol. */
import type { SoundSource } from '#emu/host/sound.ts';
import type {
  CodedForm,
  Desktop,
  DesktopSeat,
  DesktopView,
  GivenFile,
  VideoSource,
  VideoWatcher,
} from '../desktop/desktop.ts';
import { DesktopViews } from '../desktop/desktop-views.ts';
import { InputSeats } from '../desktop/input-seats.ts';
import { SharedClipboard } from '../desktop/shared-clipboard.ts';
import type { Picture } from '../raster/thumbnail.ts';
import { NO_VIDEO } from '../stream/video-forms.ts';
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
  readonly #forms = { ...NO_VIDEO };
  readonly #watchers = new Set<VideoWatcher>();
  #screen: Picture = NOTHING;
  /** What is asked for. */
  #form: CodedForm | undefined;

  constructor(parts: Omit<ViewerParts, 'onPicture' | 'video'>) {
    const size = (): Picture => this.#screen;
    this.#views = new DesktopViews({ size, refresh: () => {}, onDemand: () => this.#tellVideo() });
    this.viewer = new Viewer({
      ...parts,
      video: {
        ...{ drawn: () => {} },
        forms: this.#forms,
        take: ({ form, x, y, width, height, data, isKey, layer }) => {
          // What it was before everybody knew that this end takes nothing else.
          if (form !== 'h264' && form !== 'jpeg') return;
          const picture = { form, area: { x, y, width, height }, data, isKey, layer };
          for (const watcher of this.#watchers) if (watcher.form === form) watcher.picture(picture);
        },
        end: () => {
          for (const watcher of this.#watchers) watcher.end();
        },
      },
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

  readonly video: VideoSource = {
    watch: (watcher) => {
      this.#watchers.add(watcher);
      this.#tellVideo();
      return {
        wantKey: () => this.viewer.wantVideoKey(),
        close: () => {
          this.#watchers.delete(watcher);
          this.#tellVideo();
        },
      };
    },
  };

  async giveFiles(files: readonly GivenFile[]): Promise<void> {
    await this.viewer.giveDisc(files.map(({ name, bytes }) => ({ name, blob: new Blob([bytes]) })));
  }

  /** Videos come coded only while all who look here can show them; nothing here decodes them. */
  #tellVideo(): void {
    const forms = new Set([...this.#watchers].map(({ form }) => form));
    const [first] = forms;
    const form = forms.size === 1 && this.#watchers.size >= this.#views.count ? first : undefined;
    if (form === this.#form) return;
    this.#form = form;
    this.#forms.h264 = form === 'h264';
    this.#forms.jpeg = form === 'jpeg';
    this.viewer.tellVideo();
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
