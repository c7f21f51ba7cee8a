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
  /** Which monitor is shown, from 0. */
  readonly monitor: number | 'all';
  /** The guest is asked for a screen of the size that there is room for. */
  readonly fits: boolean;
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
        {session.settings.audio === 'ac97' && <MicrophoneSwitch shell={shell} session={session} />}
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
        {session.settings.graphics.monitors > 1 && (
          <select
            aria-label="Monitor"
            data-testid="monitor"
            value={String(view.monitor)}
            onChange={(event) => {
              const chosen = event.currentTarget.value;
              onView({ monitor: chosen === 'all' ? 'all' : Number(chosen) });
              onDone();
            }}
          >
            <option value="all">All monitors</option>
            {Array.from({ length: session.settings.graphics.monitors }, (_, monitor) => (
              <option key={monitor} value={monitor}>
                Monitor {monitor + 1}
              </option>
            ))}
          </select>
        )}
        <button
          type="button"
          aria-pressed={view.fits}
          data-testid="fits"
          title="Asks the guest for a screen as large as there is room for; it follows if its driver does"
          onClick={() => onView({ fits: !view.fits })}
        >
          Resize guest
        </button>
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

/** Off until a person wants it; the browser shows by itself that a microphone is in use. */
function MicrophoneSwitch({
  shell,
  session,
}: {
  readonly shell: Shell;
  readonly session: MachineSession;
}): JSX.Element {
  const microphone = session.outputs.value?.microphone;
  const isOn = microphone?.isOn.value ?? false;
  return (
    <button
      type="button"
      aria-pressed={isOn}
      data-testid="microphone"
      title="The guest can record what this computer’s microphone hears, while it is on"
      onClick={() => void shell.attempt(async () => await microphone?.turn(!isOn))}
    >
      Microphone
    </button>
  );
}

async function save(shell: Shell, session: MachineSession): Promise<void> {
  await session.saveState();
  await shell.library.refresh();
}
