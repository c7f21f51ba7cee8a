/** A screen that takes keys and the mouse: of a machine here, or of one somewhere else. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { KeyboardInput, MouseInput } from '#emu/host/input.ts';
import { CanvasPresenter, type PictureSource } from '../canvas/canvas-presenter.ts';
import { KeyboardCapture } from '../input/keyboard-capture.ts';
import { MouseCapture } from '../input/mouse-capture.ts';

export interface ScreenViewProps {
  /** What it is the screen of. */
  readonly name: string;
  readonly source: PictureSource;
  readonly keyboard: KeyboardInput;
  readonly mouse: MouseInput;
  /** Scale by whole numbers only. */
  readonly crisp: boolean;
  readonly onHostCombination: (code: string) => void;
  readonly onPaste: (text: string) => void;
  /** There is room for a picture of this size, in CSS pixels; told at first, and when it has been another for a while. */
  readonly onRoom?: (width: number, height: number) => void;
  /** Of a guest that may take positions of the pointer. */
  readonly pointing?: Pointing | undefined;
  /** The person did something: sound may start now. */
  readonly onActive?: () => void;
  /** The free pointer is over a guest pixel, or has left. */
  readonly onPoint?: (x: number, y: number, shown: boolean) => void;
  /** What lies over the picture, given where it is. */
  readonly overlay?: (picture: PictureBox) => ComponentChildren;
  /** Instead of the usual line below, when keys do not reach the machine. */
  readonly hint?: string | undefined;
}

export interface Pointing {
  /** The guest takes positions now. */
  isOn(): boolean;
  /** The pointer is over a pixel of the picture. */
  at(x: number, y: number): void;
  /** Called for each animation frame. @returns the CSS cursor over the picture */
  cursor(): string;
}

/** Where the picture lies in its box, in CSS pixels, and how many guest pixels it has. */
export interface PictureBox {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly guestWidth: number;
  readonly guestHeight: number;
}

/** Positions of the pointer are told this often, at most. */
const POINT_MS = 50;
/** How long a size lasts before a guest is asked for it. */
const ROOM_MS = 400;

export function ScreenView(props: ScreenViewProps): JSX.Element {
  const { name, source, keyboard, mouse, crisp, onHostCombination, onPaste, onActive, onPoint, overlay, hint } = props;
  const { onRoom, pointing } = props;
  const wantsRoom = onRoom !== undefined;
  const tellRoom = useRef(onRoom);
  tellRoom.current = onRoom;
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const presenter = useRef<CanvasPresenter>(null);
  const captured = useSignal(false);
  const focused = useSignal(false);
  const pointedAt = useRef(0);

  useEffect(() => {
    if (!box.current || !canvas.current) return;
    const shown = new CanvasPresenter({
      ...{ canvas: canvas.current, container: box.current, source },
      options: { integerScaling: crisp },
    });
    presenter.current = shown;
    shown.start();
    return () => shown.stop();
  }, [source]);

  useEffect(() => {
    const target = box.current;
    if (!target || !wantsRoom) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(() => tellRoom.current?.(target.clientWidth, target.clientHeight), ROOM_MS);
    });
    observer.observe(target);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
    };
  }, [wantsRoom, source]);

  useEffect(() => {
    if (presenter.current) presenter.current.options = { integerScaling: crisp };
  }, [crisp]);

  useEffect(() => {
    const target = box.current;
    if (!target) return;
    const capture = new MouseCapture({
      ...{ target, mouse },
      free: pointing && {
        isOn: () => pointing.isOn(),
        at: (clientX, clientY) => {
          const at = presenter.current?.guestPoint(clientX, clientY);
          if (at) pointing.at(at.x, at.y);
        },
      },
      onCapture: (now) => {
        captured.value = now;
      },
    });
    const leave = (): void => {
      capture.release();
      target.blur();
      document.querySelector<HTMLElement>('[data-testid=toolbar] button')?.focus();
    };
    const keys = new KeyboardCapture({ target, keyboard, onHostKey: leave, onHostCombination });
    target.focus();
    return () => {
      capture.stop();
      keys.stop();
    };
  }, [keyboard, mouse, pointing]);

  useEffect(() => {
    const picture = canvas.current;
    if (!picture || !pointing) return;
    const follow = (): void => {
      request = requestAnimationFrame(follow);
      const cursor = pointing.cursor();
      if (picture.style.cursor !== cursor) picture.style.cursor = cursor;
    };
    let request = requestAnimationFrame(follow);
    return () => cancelAnimationFrame(request);
  }, [pointing]);

  const point = (event: PointerEvent): void => {
    const now = performance.now();
    if (!onPoint || captured.peek() || now - pointedAt.current < POINT_MS) return;
    pointedAt.current = now;
    const at = presenter.current?.guestPoint(event.clientX, event.clientY);
    onPoint(at?.x ?? 0, at?.y ?? 0, at !== undefined);
  };

  const usual = captured.value
    ? 'Right Ctrl gives the mouse and keyboard back'
    : focused.value
      ? 'Keys go to the machine; right Ctrl gives them back. Click to capture the mouse.'
      : 'Click the screen to type into the machine';
  return (
    <div class="screen-column">
      <div
        ref={box}
        class="screen"
        data-testid="screen"
        // A screen that takes every key is an application to assistive technology, too.
        role="application"
        aria-label={`Screen of ${name}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes keys
        tabIndex={0}
        onFocus={() => {
          focused.value = true;
          onActive?.();
        }}
        onPointerDown={() => onActive?.()}
        onKeyDown={() => onActive?.()}
        onPointerMove={point}
        onPointerLeave={() => onPoint?.(0, 0, false)}
        onBlur={() => {
          focused.value = false;
        }}
        onPaste={(event) => {
          event.preventDefault();
          onPaste(event.clipboardData?.getData('text') ?? '');
        }}
      >
        <canvas ref={canvas} data-testid="canvas" />
        {overlay && canvas.current && overlay(boxOf(canvas.current))}
      </div>
      <p class="hint" data-testid="screen-hint">
        {hint ?? usual}
      </p>
    </div>
  );
}

const boxOf = (canvas: HTMLCanvasElement): PictureBox => ({
  ...{ left: canvas.offsetLeft, top: canvas.offsetTop, width: canvas.offsetWidth, height: canvas.offsetHeight },
  ...{ guestWidth: canvas.width, guestHeight: canvas.height },
});
