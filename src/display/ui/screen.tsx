/** The guest's screen, and the keyboard and mouse that go with it. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { CanvasPresenter } from '../canvas/canvas-presenter.ts';
import { KeyboardCapture } from '../input/keyboard-capture.ts';
import { MouseCapture } from '../input/mouse-capture.ts';
import type { MachineSession, Outputs } from '../session/machine-session.ts';

export interface ScreenProps {
  readonly session: MachineSession;
  readonly outputs: Outputs;
  /** Scale by whole numbers only. */
  readonly crisp: boolean;
  readonly onHostCombination: (code: string) => void;
  readonly onPaste: (text: string) => void;
}

export function Screen({ session, outputs, crisp, onHostCombination, onPaste }: ScreenProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const presenter = useRef<CanvasPresenter>(null);
  const captured = useSignal(false);
  const focused = useSignal(false);

  useEffect(() => {
    if (!box.current || !canvas.current) return;
    const shown = new CanvasPresenter({
      ...{ canvas: canvas.current, container: box.current, vram: outputs.vram, frame: outputs.frame },
      options: { integerScaling: crisp },
    });
    presenter.current = shown;
    shown.start();
    return () => shown.stop();
  }, [outputs]);

  useEffect(() => {
    if (presenter.current) presenter.current.options = { integerScaling: crisp };
  }, [crisp]);

  useEffect(() => {
    const target = box.current;
    if (!target) return;
    const mouse = new MouseCapture({
      ...{ target, mouse: session.mouse },
      onCapture: (now) => {
        captured.value = now;
      },
    });
    const leave = (): void => {
      mouse.release();
      target.blur();
      document.querySelector<HTMLElement>('[data-testid=toolbar] button')?.focus();
    };
    const keyboard = new KeyboardCapture({ target, keyboard: session.keyboard, onHostKey: leave, onHostCombination });
    target.focus();
    return () => {
      mouse.stop();
      keyboard.stop();
    };
  }, [session]);

  const hint = captured.value
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
        aria-label={`Screen of ${session.settings.name}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes keys
        tabIndex={0}
        onFocus={() => {
          focused.value = true;
          outputs.speaker.unlock();
        }}
        onPointerDown={() => outputs.speaker.unlock()}
        onKeyDown={() => outputs.speaker.unlock()}
        onBlur={() => {
          focused.value = false;
        }}
        onPaste={(event) => {
          event.preventDefault();
          onPaste(event.clipboardData?.getData('text') ?? '');
        }}
      >
        <canvas ref={canvas} data-testid="canvas" />
      </div>
      <p class="hint" data-testid="screen-hint">
        {hint}
      </p>
    </div>
  );
}
