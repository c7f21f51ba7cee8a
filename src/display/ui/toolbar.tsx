/** Power, keys, media and view of the machine shown. */
import type { JSX } from 'preact';
import { COMBINATIONS } from '#emu/devices/input/keystrokes.ts';
import type { MachineSession } from '../session/machine-session.ts';
import { MediaMenu } from './media-menu.tsx';
import { Menu } from './menu.tsx';
import { NetworkMenu } from './network-menu.tsx';
import type { Shell } from './shell.ts';

export interface View {
  readonly console: boolean;
  readonly crisp: boolean;
}

export interface ToolbarProps {
  readonly shell: Shell;
  readonly session: MachineSession;
  readonly view: View;
  readonly onView: (changes: Partial<View>) => void;
  readonly onFullscreen: () => void;
  readonly onPaste: () => void;
  /** Copies what a text screen says. */
  readonly onCopyText: () => void;
  /** Gives the screen the focus back. */
  readonly onDone: () => void;
}

export function Toolbar(props: ToolbarProps): JSX.Element {
  const { shell, session, view, onView, onFullscreen, onPaste, onCopyText, onDone } = props;
  const state = session.state.value;
  const isOn = state === 'running' || state === 'paused';
  const act = (action: () => Promise<void>): void => {
    void shell.attempt(action);
    onDone();
  };
  return (
    <div class="toolbar" role="toolbar" aria-label="Machine" data-testid="toolbar">
      <fieldset aria-label="Power" disabled={!isOn}>
        {state === 'paused' ? (
          <button type="button" data-testid="resume" onClick={() => act(() => session.resume())}>
            Resume
          </button>
        ) : (
          <button type="button" data-testid="pause" onClick={() => act(() => session.pause())}>
            Pause
          </button>
        )}
        <Menu
          label="Power"
          testId="power"
          disabled={!isOn}
          items={[
            { label: 'Shut down (power button)', testId: 'acpi', onChoose: () => act(() => session.acpiPowerButton()) },
            { label: 'Reset', testId: 'reset', onChoose: () => act(() => session.reset()) },
            {
              label: 'Save state',
              testId: 'save-state',
              onChoose: () => void shell.attempt(() => save(shell, session)),
            },
            {
              label: 'Power off',
              testId: 'power-off',
              onChoose: () => void shell.attempt(() => shell.library.stop(session.id)),
            },
          ]}
        />
      </fieldset>
      <fieldset aria-label="Keys" disabled={!isOn}>
        <button type="button" data-testid="ctrl-alt-del" onClick={() => act(() => session.pressKeys('Ctrl-Alt-Del'))}>
          Ctrl-Alt-Del
        </button>
        <Menu
          label="Keys"
          testId="keys"
          disabled={!isOn}
          items={COMBINATIONS.map((name) => ({
            label: name,
            testId: `keys-${name}`,
            onChoose: () => act(() => session.pressKeys(name)),
          }))}
        />
        <button type="button" data-testid="paste" onClick={onPaste}>
          Paste
        </button>
        <button type="button" data-testid="copy-text" onClick={onCopyText}>
          Copy text
        </button>
      </fieldset>
      <fieldset aria-label="Media and network" disabled={!isOn}>
        <MediaMenu shell={shell} session={session} />
        <NetworkMenu shell={shell} session={session} />
      </fieldset>
      <fieldset aria-label="Share" disabled={!isOn}>
        <button
          type="button"
          data-testid="share"
          aria-pressed={session.sharing.value !== undefined}
          onClick={() => {
            shell.dialog.value = { kind: 'share' };
          }}
        >
          Share
        </button>
      </fieldset>
      <fieldset aria-label="View">
        <button
          type="button"
          aria-pressed={view.crisp}
          data-testid="crisp"
          onClick={() => onView({ crisp: !view.crisp })}
        >
          Whole pixels
        </button>
        <button
          type="button"
          aria-pressed={view.console}
          data-testid="toggle-console"
          onClick={() => onView({ console: !view.console })}
        >
          Console
        </button>
        <button type="button" data-testid="fullscreen" onClick={onFullscreen}>
          Fullscreen
        </button>
      </fieldset>
    </div>
  );
}

async function save(shell: Shell, session: MachineSession): Promise<void> {
  await session.saveState();
  await shell.library.refresh();
}
