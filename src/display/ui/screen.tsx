/** The screen of a machine that runs here, and the keyboard and mouse that go with it. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { Rasteriser } from '../raster/rasteriser.ts';
import type { MachineSession, Outputs } from '../session/machine-session.ts';
import { leaseHint, PointerLayer } from './company.tsx';
import { ScreenView } from './screen-view.tsx';

export interface ScreenProps {
  readonly session: MachineSession;
  readonly outputs: Outputs;
  /** Scale by whole numbers only. */
  readonly crisp: boolean;
  readonly onHostCombination: (code: string) => void;
  readonly onPaste: (text: string) => void;
}

export function Screen({ session, outputs, crisp, onHostCombination, onPaste }: ScreenProps): JSX.Element {
  const source = useMemo(() => new Rasteriser(outputs.vram, outputs.frame), [outputs]);
  const sharing = session.sharing.value;
  return (
    <ScreenView
      {...{ name: session.settings.name, source, keyboard: session.keyboard, mouse: session.mouse }}
      {...{ crisp, onHostCombination, onPaste }}
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
