/** The views of one desktop: who has seen what, and who waits. */
import type { Rect } from '../raster/rects.ts';
import type { DesktopUpdate, DesktopView } from './desktop.ts';
import { TileDamage } from './tile-damage.ts';

export interface DesktopViewsParts {
  /** Size of the screen, in pixels. */
  readonly size: () => { readonly width: number; readonly height: number };
  /** Brings the screen up to date and reports through `damaged` and `resized`. */
  readonly refresh: () => void;
  /** The number of views that wait for a change, or of views, has changed. */
  readonly onDemand: () => void;
}

export class DesktopViews {
  readonly #parts: DesktopViewsParts;
  readonly #views = new Set<View>();

  constructor(parts: DesktopViewsParts) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#views.size;
  }

  /** True while a view that has seen everything waits for more. */
  get isAnyWaiting(): boolean {
    for (const view of this.#views) if (view.isWaiting) return true;
    return false;
  }

  open(): DesktopView {
    const view = new View(this.#parts, {
      onRefreshed: () => this.#wakeOthers(view),
      onClose: () => {
        this.#views.delete(view);
        this.#parts.onDemand();
      },
    });
    this.#views.add(view);
    this.#parts.onDemand();
    return view;
  }

  damaged(rect: Rect): void {
    for (const view of this.#views) view.damaged(rect);
  }

  resized(): void {
    for (const view of this.#views) view.resized();
  }

  /** Calls those that wait and have something to take. */
  wake(): void {
    for (const view of [...this.#views]) view.wake();
  }

  /**
   * One view has brought the screen up to date for itself: others that waited for just that are called as well. They no
   * longer count as waiting, so nobody else would.
   */
  #wakeOthers(taker: View): void {
    for (const view of this.#views) if (view !== taker && view.isDue) queueMicrotask(() => view.wake());
  }
}

interface ViewEvents {
  /** The screen was brought up to date for what this one takes. */
  readonly onRefreshed: () => void;
  readonly onClose: () => void;
}

class View implements DesktopView {
  readonly #parts: DesktopViewsParts;
  readonly #events: ViewEvents;
  #damage: TileDamage;
  #resized = true;
  #ready: (() => void) | undefined;
  #closed = false;

  constructor(parts: DesktopViewsParts, events: ViewEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#damage = this.#everything();
  }

  get isWaiting(): boolean {
    return this.#ready !== undefined && this.#damage.isEmpty;
  }

  /** It has asked, and there is something. */
  get isDue(): boolean {
    return this.#ready !== undefined && !this.#damage.isEmpty;
  }

  request(ready: () => void): void {
    if (this.#closed) return;
    this.#ready = ready;
    if (this.#damage.isEmpty) this.#parts.onDemand();
    else queueMicrotask(() => this.wake());
  }

  take(): DesktopUpdate {
    if (!this.#closed) {
      this.#parts.refresh();
      this.#events.onRefreshed();
    }
    const update = { resized: this.#resized, rects: this.#damage.take() };
    this.#resized = false;
    return update;
  }

  invalidate(part?: Rect): void {
    if (part) this.#damage.add(part);
    else this.#damage.addAll();
    queueMicrotask(() => this.wake());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ready = undefined;
    this.#events.onClose();
  }

  damaged(rect: Rect): void {
    this.#damage.add(rect);
  }

  resized(): void {
    this.#resized = true;
    this.#damage = this.#everything();
  }

  wake(): void {
    if (this.#damage.isEmpty) return;
    const ready = this.#ready;
    this.#ready = undefined;
    ready?.();
  }

  #everything(): TileDamage {
    const { width, height } = this.#parts.size();
    const damage = new TileDamage(width, height);
    damage.addAll();
    return damage;
  }
}
