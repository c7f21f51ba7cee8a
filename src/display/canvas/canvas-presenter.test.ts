import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MODE_03, MODE_13, type VgaRig, vgaRig } from '#emu/devices/video/vga-modes.suite.ts';
import { Rasteriser } from '../raster/rasteriser.ts';
import { CanvasPresenter } from './canvas-presenter.ts';
import { fitScreen } from './fit-screen.ts';

interface Put {
  readonly rect: readonly number[];
  readonly width: number;
}

/** The few parts of a page that a presenter touches. */
class FakePage {
  readonly puts: Put[] = [];
  readonly canvas = {
    width: 300,
    height: 150,
    style: { width: '', height: '', imageRendering: '' },
    getContext: () => ({
      putImageData: (image: { width: number }, dx: number, dy: number, ...rect: number[]) => {
        expect([dx, dy]).toEqual([0, 0]);
        this.puts.push({ rect, width: image.width });
      },
    }),
    getBoundingClientRect: () => ({ left: 10, top: 20, width: 640, height: 480 }),
  };
  readonly container = { clientWidth: 1000, clientHeight: 960 };
  tick: (() => void) | undefined;
  resized: () => void = () => {};

  install(): void {
    const page = this;
    vi.stubGlobal('devicePixelRatio', 1);
    vi.stubGlobal(
      'ImageData',
      class {
        readonly data: Uint8ClampedArray;
        readonly width: number;
        constructor(data: Uint8ClampedArray, width: number, height: number) {
          expect(data.length).toBe(width * height * 4);
          this.data = data;
          this.width = width;
        }
      },
    );
    vi.stubGlobal(
      'ResizeObserver',
      class {
        constructor(onResize: () => void) {
          page.resized = onResize;
        }
        observe(): void {}
        disconnect(): void {}
      },
    );
    vi.stubGlobal('requestAnimationFrame', (tick: () => void) => {
      page.tick = tick;
      return 1;
    });
    vi.stubGlobal('cancelAnimationFrame', () => {
      page.tick = undefined;
    });
  }

  presenter(rig: VgaRig, sizes: number[][]): CanvasPresenter {
    return new CanvasPresenter({
      canvas: this.canvas as unknown as HTMLCanvasElement,
      container: this.container as unknown as HTMLElement,
      source: new Rasteriser(rig.vram, rig.frame),
      onScreenSize: (width, height) => sizes.push([width, height]),
    });
  }

  /** The rectangles put since the last call, as x, y, width, height. */
  taken(): (readonly number[])[] {
    return this.puts.splice(0).map((put) => put.rect);
  }
}

describe('CanvasPresenter', () => {
  let page: FakePage;
  let rig: VgaRig;
  let presenter: CanvasPresenter;
  let sizes: number[][];

  beforeEach(() => {
    page = new FakePage();
    page.install();
    rig = vgaRig();
    sizes = [];
    presenter = page.presenter(rig, sizes);
    rig.setMode(MODE_03);
    rig.indexed(0x3d4, 0x0a, 0x20);
    rig.vga.publish(rig.frame);
  });
  afterEach(() => vi.unstubAllGlobals());

  it('draws on animation frames, only what changed', () => {
    presenter.start();
    page.tick?.();
    expect(page.taken()).toEqual([[0, 0, 720, 400]]);
    expect(sizes).toEqual([[720, 400]]);
    page.tick?.();
    expect(page.taken()).toEqual([]);
    rig.vga.window.write(0x18000, 2, 0x0741);
    page.tick?.();
    expect(page.taken()).toEqual([]); // Not published yet.
    rig.vga.publish(rig.frame);
    page.tick?.();
    expect(page.taken()).toEqual([[0, 0, 9, 16]]);
    presenter.stop();
    expect(page.tick).toBeUndefined();
  });

  it('follows mode changes and resizes', () => {
    presenter.draw();
    expect([page.canvas.width, page.canvas.height]).toEqual([720, 400]);
    expect(page.canvas.style).toEqual({ width: '1000px', height: '750px', imageRendering: 'auto' });
    rig.setMode(MODE_13);
    rig.vga.publish(rig.frame);
    presenter.draw();
    expect([page.canvas.width, page.canvas.height]).toEqual([320, 200]);
    expect(sizes.at(-1)).toEqual([320, 200]);
    expect(page.puts.at(-1)?.width).toBe(320);
    presenter.options = { integerScaling: true };
    expect(page.canvas.style).toEqual({ width: '960px', height: '800px', imageRendering: 'pixelated' });
    page.container.clientWidth = 700;
    page.resized();
    expect(page.canvas.style).toEqual({ width: '640px', height: '400px', imageRendering: 'pixelated' });
  });

  it('finds the guest pixel under the pointer', () => {
    presenter.draw();
    expect(presenter.guestPoint(10, 20)).toEqual({ x: 0, y: 0 });
    expect(presenter.guestPoint(649, 499)).toEqual({ x: 718, y: 399 });
    expect(presenter.guestPoint(9, 20)).toBeUndefined();
    expect(presenter.guestPoint(10, 500)).toBeUndefined();
  });

  it('makes thumbnails in the shape of the screen, also when nothing was drawn yet', () => {
    rig.attribute(0x00, 0);
    rig.setColours(0, 0x3f, 0, 0);
    rig.vga.publish(rig.frame);
    const thumbnail = presenter.toThumbnail(120);
    expect([thumbnail.width, thumbnail.height]).toEqual([120, 90]);
    expect(new Set(thumbnail.pixels)).toEqual(new Set([0xff0000ff]));
  });
});

describe('fitScreen', () => {
  const text = { width: 720, height: 400, fourByThree: true };
  const desktop = { width: 1024, height: 768, fourByThree: false };
  const plain = { aspectCorrection: true, integerScaling: false };
  const whole = { aspectCorrection: true, integerScaling: true };

  it('fills the box in one direction', () => {
    expect(fitScreen(desktop, 2048, 2000, 1, plain)).toEqual({ width: 2048, height: 1536, crisp: true });
    expect(fitScreen(desktop, 2048, 768, 1, plain)).toEqual({ width: 1024, height: 768, crisp: true });
    expect(fitScreen(text, 1600, 600, 1, plain)).toEqual({ width: 800, height: 600, crisp: false });
    expect(fitScreen(text, 1440, 900, 1, { ...plain, aspectCorrection: false })).toEqual({
      width: 1440,
      height: 800,
      crisp: true,
    });
  });

  it('counts device pixels', () => {
    expect(fitScreen(desktop, 1100, 800, 2, whole)).toEqual({ width: 1024, height: 768, crisp: true });
    expect(fitScreen(desktop, 800, 600, 2, whole)).toEqual({ width: 512, height: 384, crisp: true });
  });

  it('shrinks exactly what does not fit once', () => {
    const fitted = fitScreen(desktop, 512, 900, 1, whole);
    expect([fitted.width, fitted.height, fitted.crisp]).toEqual([512, 384, false]);
  });
});
