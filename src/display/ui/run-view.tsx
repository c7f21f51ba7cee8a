/** One machine: its screen, its console and what can be done to it. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { CodedError } from '#base/errors.ts';
import type { DriveSettings, MachineSettings } from '#storage/settings/machine-settings.ts';
import type { MachineSession } from '../session/machine-session.ts';
import type { Remedy } from '../session/problems.ts';
import type { MachineSharing } from '../sharing/machine-sharing.ts';
import { HOST } from '../stream/messages.ts';
import { CopiedNotice, CopyButton, LeaseButtons, WatchersChip } from './company.tsx';
import { ConsolePanel } from './console-panel.tsx';
import { toggleFullscreen } from './fullscreen.ts';
import { stateText } from './machine-card.tsx';
import { ProblemPanel } from './problem-panel.tsx';
import { saveFile } from './save-file.ts';
import { Screen } from './screen.tsx';
import type { Shell } from './shell.ts';
import { StatusStrip } from './status-strip.tsx';
import { Toolbar, type View } from './toolbar.tsx';

export interface RunViewProps {
  readonly shell: Shell;
  readonly settings: MachineSettings;
}

export function RunView({ shell, settings }: RunViewProps): JSX.Element {
  const session = shell.session.value;
  const state = stateText(session, shell.library.saved.value.has(settings.id));
  const view = useSignal<View>({ console: true, crisp: false, monitor: 'all', fits: false });
  const stage = useRef<HTMLDivElement>(null);
  const outputs = session?.outputs.value;
  const traces = session?.traces.whole.value;
  useEffect(() => {
    for (const [slot, contents] of session?.traces.take() ?? []) {
      saveFile(contents, `${settings.name}-card${slot}.pcap`);
    }
  }, [traces]);
  const focusScreen = (): void => stage.current?.querySelector<HTMLElement>('.screen')?.focus();
  const typeText = (text: string): void => {
    if (session && text !== '') void shell.attempt(() => session.typeText(text));
    focusScreen();
  };
  const paste = (): void => void shell.attempt(async () => typeText(await navigator.clipboard.readText()));
  const copyText = (): void =>
    void shell.attempt(async () => {
      const text = session?.screenText().join('\n').trimEnd() ?? '';
      if (text === '') throw new CodedError('no-text', 'the screen shows no text mode now: there is nothing to copy');
      await navigator.clipboard.writeText(`${text}\n`);
      focusScreen();
    });
  const fullscreen = (): void => void shell.attempt(() => toggleFullscreen(stage.current, focusScreen));
  const onHostCombination = (code: string): void => {
    if (!session) return;
    if (code === 'KeyF') fullscreen();
    else if (code === 'KeyV') paste();
    else if (code === 'KeyC') copyText();
    else if (code === 'Delete') void shell.attempt(() => session.pressKeys('Ctrl-Alt-Del'));
    else if (code === 'KeyP')
      void shell.attempt(() => (session.state.value === 'paused' ? session.resume() : session.pause()));
    else if (code === 'KeyH') void shell.attempt(() => session.acpiPowerButton());
    else if (code === 'KeyR') void shell.attempt(() => session.reset());
  };
  return (
    <div class="run" data-testid="run-view" data-state={state} data-machine={settings.id}>
      <header class="bar">
        <button type="button" class="back" data-testid="back" onClick={() => shell.home()}>
          ← Machines
        </button>
        <h1>{settings.name}</h1>
        {session?.sharing.value && <Watched shell={shell} sharing={session.sharing.value} />}
        {session && (
          <Toolbar
            {...{ shell, session, onPaste: paste, onCopyText: copyText, onFullscreen: fullscreen, onDone: focusScreen }}
            view={view.value}
            onView={(changes) => {
              view.value = { ...view.value, ...changes };
            }}
          />
        )}
      </header>
      {session?.sharing.value && (
        <CopiedNotice
          people={session.sharing.value.state.value.people}
          {...{ copied: session.sharing.value.copied, typeText }}
        />
      )}
      {session?.problem.value && <SessionProblem shell={shell} session={session} settings={settings} />}
      <div class={view.value.console ? 'stage' : 'stage no-console'} ref={stage}>
        {session && outputs ? (
          <>
            <Screen {...{ session, outputs, onHostCombination, onPaste: typeText, view: view.value }} />
            {view.value.console && <ConsolePanel outputs={outputs} />}
          </>
        ) : (
          <Off shell={shell} settings={settings} state={state} />
        )}
      </div>
      {session?.crash.value && <CrashReport session={session} />}
      {session && <StatusStrip session={session} library={shell.library} />}
    </div>
  );
}

/** No silent watching: whoever looks is named beside the screen. */
function Watched({ shell, sharing }: { readonly shell: Shell; readonly sharing: MachineSharing }): JSX.Element {
  const { people, lease } = sharing.state.value;
  return (
    <>
      <WatchersChip
        {...{ people, me: HOST }}
        onClick={() => {
          shell.dialog.value = { kind: 'share' };
        }}
      />
      <LeaseButtons
        {...{ people, lease, me: HOST, role: 'owner' }}
        act={(action, target) => sharing.act(action, target)}
      />
      <CopyButton isOff={false} copy={(text) => sharing.copy(text)} />
    </>
  );
}

function Off({ shell, settings, state }: RunViewProps & { readonly state: string }): JSX.Element {
  const isOff = ['off', 'saved', 'failed'].includes(state);
  const label = state === 'saved' ? 'Resume' : 'Start';
  return (
    <div class="off" data-testid="off">
      <p role="status">{isOff ? `This machine is ${state}.` : `${state[0].toUpperCase()}${state.slice(1)} …`}</p>
      {isOff && (
        <button type="button" class="primary big" data-testid="start" onClick={() => void shell.run(settings)}>
          {label}
        </button>
      )}
    </div>
  );
}

/** Closed until somebody wants it: a guest may crash on purpose, to restart. */
function CrashReport({ session }: { readonly session: MachineSession }): JSX.Element {
  return (
    <details class="crash" data-testid="crash">
      <summary>The guest crashed: registers, code and what led there</summary>
      <pre>{session.crash.value}</pre>
      <button
        type="button"
        onClick={() => {
          session.crash.value = undefined;
        }}
      >
        Forget it
      </button>
    </details>
  );
}

interface SessionProblemProps extends RunViewProps {
  readonly session: MachineSession;
}

function SessionProblem({ shell, session, settings }: SessionProblemProps): JSX.Element | null {
  const chooser = useRef<HTMLInputElement>(null);
  const problem = session.problem.value;
  if (!problem) return null;
  const missing: DriveSettings | undefined = settings.drives.find(({ diskId }) => diskId === session.troubledDisk);
  const onRemedy = (remedy: Remedy): void => {
    if (remedy === 'choose-file') chooser.current?.click();
    else void shell.remedy(remedy, settings.id);
  };
  return (
    <>
      <ProblemPanel
        problem={problem}
        onRemedy={onRemedy}
        onDismiss={() => {
          session.problem.value = undefined;
        }}
      />
      <input
        ref={chooser}
        type="file"
        class="hidden"
        tabIndex={-1}
        aria-label="Image file"
        data-testid="supply-file"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file && missing) void shell.supplyFile(settings, missing, file);
        }}
      />
    </>
  );
}
