/** The screen of a machine that runs here, and the keyboard and mouse that go with it. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { GuestCursor } from '../canvas/guest-cursor.ts';
import { MonitorLayout } from '../desktop/monitor-layout.ts';
import { AllMonitors, type MonitorPlace } from '../raster/all-monitors.ts';
import type { MachineSession, Outputs } from '../session/machine-session.ts';
import { leaseHint, PointerLayer } from './company.tsx';
import { type Pointing, ScreenView } from './screen-view.tsx';
import type { View } from './toolbar.tsx';

export interface ScreenProps {
  readonly session: MachineSession;
  readonly outputs: Outputs;
  readonly view: View;
  readonly onHostCombination: (code: string) => void;
  readonly onPaste: (text: string) => void;
}

/** Sides of what a guest is asked for; drivers like widths that are multiples of eight. */
const LEAST_SIDE = 320;
const WIDTH_STEP = 8;

export function Screen({ session, outputs, view, onHostCombination, onPaste }: ScreenProps): JSX.Element {
  const { monitor, crisp, fits } = view;
  const source = useMemo(() => {
    const { vram, frame } = outputs;
    return new AllMonitors(vram, frame, { monitor: monitor === 'all' ? undefined : monitor });
  }, [outputs, monitor]);
  const pointing = useMemo(() => pointingAt(session, outputs, source), [session, outputs, source]);
  const ask = (width: number, height: number): void => {
    const shown = source.places.map((place) => place.monitor);
    const columns = Math.min(2, shown.length);
    const side = (size: number, parts: number, step: number): number =>
      Math.max(LEAST_SIDE, Math.floor(size / parts / step) * step);
    const wanted = [side(width, columns, WIDTH_STEP), side(height, Math.ceil(shown.length / columns), 1)] as const;
    for (const one of shown) void session.suggestSize(one, ...wanted);
  };
  const sharing = session.sharing.value;
  return (
    <ScreenView
      {...{ name: session.settings.name, source, keyboard: session.keyboard, mouse: session.mouse }}
      {...{ crisp, onHostCombination, onPaste, pointing }}
      {...(fits && { onRoom: ask })}
      onActive={() => {
        outputs.speaker.unlock();
        outputs.sound.unlock();
      }}
      {...(sharing && {
        onPoint: (x, y, shown) => sharing.point(x, y, shown),
        overlay: (picture) => (
          <PointerLayer {...{ picture, pointers: sharing.pointers, people: sharing.state.value.people }} />
        ),
        hint: leaseHint(sharing.state.value),
      })}
    />
  );
}

/** Of positions. */
const FULL_SCALE = 0xffff;

/** The page's pointer as the guest's, while the guest takes positions; otherwise the guest's is drawn into the picture. */
function pointingAt(session: MachineSession, { frame }: Outputs, source: AllMonitors): Pointing {
  const layout = new MonitorLayout(frame);
  const cursor = new GuestCursor(frame);
  return {
    isOn: () => session.takesPositions,
    at: (x, y) => {
      const isHere = (p: MonitorPlace): boolean => p.x <= x && x < p.x + p.width && p.y <= y && y < p.y + p.height;
      const place = source.places.find(isHere);
      if (!place) return;
      const at = layout.onDesktop(place, x, y);
      const { width, height } = layout.size(source);
      session.mouse.point?.(((at.x + 0.5) * FULL_SCALE) / width, ((at.y + 0.5) * FULL_SCALE) / height);
    },
    cursor: () => {
      const isOn = session.takesPositions;
      source.drawsPointer = !isOn;
      return isOn ? cursor.css : '';
    },
  };
}
