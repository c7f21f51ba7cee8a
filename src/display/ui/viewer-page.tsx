/** The page behind a link to a shared machine: a name, then its screen. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { canSound, FarSound } from '../audio/far-sound.ts';
import { opusDecoder } from '../audio/opus.ts';
import { Viewer, type ViewerState } from '../sharing/viewer.ts';
import { NOBODY } from '../stream/messages.ts';
import {
  CopiedNotice,
  CopyButton,
  LeaseButtons,
  nameOf,
  PeopleList,
  PointerLayer,
  ROLE_NAMES,
  WatchersChip,
} from './company.tsx';
import { toggleFullscreen } from './fullscreen.ts';
import { rememberedKey, rememberedName, rememberKey, rememberName } from './invitation.ts';
import { ScreenView } from './screen-view.tsx';

export interface ViewerPageProps {
  /** The link's. */
  readonly token: string;
  readonly base: string;
}

export function ViewerPage({ token, base }: ViewerPageProps): JSX.Element {
  const name = useSignal<string | undefined>(undefined);
  if (name.value === undefined) {
    return (
      <NameForm
        onName={(given) => {
          rememberName(given);
          name.value = given;
        }}
      />
    );
  }
  return <Watching {...{ token, base, name: name.value }} />;
}

function NameForm({ onName }: { readonly onName: (name: string) => void }): JSX.Element {
  const name = useSignal(rememberedName());
  return (
    <main class="alone">
      <h1 class="wordmark">TabBox</h1>
      <form
        class="invitation"
        data-testid="invitation"
        onSubmit={(event) => {
          event.preventDefault();
          onName(name.value.trim());
        }}
      >
        <p>Somebody shows you a machine. Everybody there sees your name and that you watch.</p>
        <label>
          Your name
          <input
            data-testid="viewer-name"
            value={name.value}
            maxLength={40}
            required
            // biome-ignore lint/a11y/noAutofocus: it is all there is to do on this page
            autoFocus
            onInput={(event) => {
              name.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" class="primary big" data-testid="join">
          Join
        </button>
      </form>
    </main>
  );
}

function Watching({ token, base, name }: ViewerPageProps & { readonly name: string }): JSX.Element {
  const viewer = useMemo(
    () =>
      new Viewer({
        ...{ token, base, name, key: rememberedKey(token), onKey: (key) => rememberKey(token, key) },
        newOpusDecoder: opusDecoder(),
      }),
    [],
  );
  const sound = useMemo(() => (canSound() ? new FarSound(viewer.sound) : undefined), [viewer]);
  useEffect(() => {
    window.tabboxViewer = viewer;
    window.tabboxSound = sound;
    // The click that led here lets the page sound.
    sound?.turn(true);
    return () => {
      sound?.turn(false);
      viewer.close();
    };
  }, []);
  const state = viewer.state.value;
  if (state.connection === 'closed') return <Over state={state} />;
  return <Shown {...{ viewer, state, sound }} />;
}

function Over({ state }: { readonly state: ViewerState }): JSX.Element {
  return (
    <main class="alone">
      <h1 class="wordmark">TabBox</h1>
      <section class="problem" role="alert" data-testid="viewer-over">
        <h2>{state.id === NOBODY ? 'This link lets nobody in' : `You no longer see ${state.machine}`}</h2>
        <p>{state.why || 'The session is over.'}</p>
      </section>
    </main>
  );
}

interface ShownProps {
  readonly viewer: Viewer;
  readonly state: ViewerState;
  /** Undefined: this browser cannot. */
  readonly sound: FarSound | undefined;
}

function Shown({ viewer, state, sound }: ShownProps): JSX.Element {
  const { id, role, machine, people, lease, connection, isShown } = state;
  const stage = useRef<HTMLDivElement>(null);
  const crisp = useSignal(false);
  const withPeople = useSignal(false);
  const focusScreen = (): void => stage.current?.querySelector<HTMLElement>('.screen')?.focus();
  const paste = (): void =>
    void navigator.clipboard
      .readText()
      .then((text) => viewer.typeText(text))
      .catch(() => {})
      .then(focusScreen);
  const gift = useSignal<string | undefined>(undefined);
  const give = (files: readonly File[]): void => {
    if (files.length === 0) return;
    const names = files.length === 1 ? files[0].name : `${files.length} files`;
    const tell = (share: number): void => {
      gift.value = `${names} on the way to the CD drive: ${Math.floor(share * 100)} %`;
    };
    tell(0);
    viewer
      .giveDisc(
        files.map((file) => ({ name: file.name, blob: file })),
        tell,
      )
      .then(
        () => {
          gift.value = `${names}: in the machine’s CD drive now`;
        },
        (error: Error) => {
          gift.value = `${names}: not given: ${error.message}`;
        },
      );
  };
  const fullscreen = (): void => void toggleFullscreen(stage.current, focusScreen).catch(() => {});
  const isHostHere = people.some((person) => person.id === 0);
  return (
    <div class="run viewer" data-testid="viewer" data-connection={connection} data-shown={isShown}>
      <header class="bar">
        <h1>{machine || 'A shared machine'}</h1>
        <span class="role" data-testid="my-role">
          {ROLE_NAMES[role]}
        </span>
        <WatchersChip
          {...{ people, me: id }}
          onClick={() => {
            withPeople.value = !withPeople.value;
          }}
        />
        <LeaseButtons {...{ people, lease, me: id, role }} act={(action, target) => viewer.act(action, target)} />
        <div class="toolbar" role="toolbar" aria-label="Screen" data-testid="toolbar">
          <button type="button" data-testid="paste" disabled={!viewer.mayType} onClick={paste}>
            Paste
          </button>
          <button
            type="button"
            aria-pressed={crisp.value}
            data-testid="crisp"
            onClick={() => {
              crisp.value = !crisp.value;
            }}
          >
            Whole pixels
          </button>
          <CopyButton isOff={!viewer.mayType} copy={(text) => viewer.copy(text)} />
          <GiveFiles isOff={!viewer.mayType} onFiles={give} />
          {sound && (
            <button
              type="button"
              aria-pressed={sound.isOn.value}
              data-testid="sound"
              onClick={() => sound.turn(!sound.isOn.value)}
            >
              Sound
            </button>
          )}
          <button type="button" data-testid="fullscreen" onClick={fullscreen}>
            Fullscreen
          </button>
        </div>
      </header>
      {connection !== 'open' && <Notice text={`No connection: ${state.why || 'trying'} … it comes back by itself.`} />}
      {connection === 'open' && !isHostHere && <Notice text="The machine’s owner is away; waiting for them." />}
      {withPeople.value && (
        <PeopleList {...{ people, lease, me: id, role }} act={(action, target) => viewer.act(action, target)} />
      )}
      <CopiedNotice
        {...{ people, copied: viewer.copied }}
        typeText={viewer.mayType ? (text) => viewer.typeText(text) : undefined}
      />
      {gift.value !== undefined && (
        <p class="notice" role="status" data-testid="gift">
          {gift.value}{' '}
          <button
            type="button"
            onClick={() => {
              gift.value = undefined;
            }}
          >
            Close
          </button>
        </p>
      )}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button does the same */}
      <div
        class="stage no-console"
        ref={stage}
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          give([...(event.dataTransfer?.files ?? [])]);
        }}
      >
        <ScreenView
          {...{ name: machine, source: viewer, keyboard: viewer.keyboard, mouse: viewer.mouse, crisp: crisp.value }}
          onPaste={(text) => viewer.typeText(text)}
          onHostCombination={(code) => {
            if (code === 'KeyF') fullscreen();
            else if (code === 'KeyV') paste();
          }}
          onPoint={(x, y, shown) => viewer.point(x, y, shown)}
          overlay={(picture) => <PointerLayer {...{ picture, pointers: viewer.pointers, people }} />}
          hint={hintFor(state, viewer.mayType)}
        />
      </div>
    </div>
  );
}

/** For files that are not dragged onto the screen. */
function GiveFiles({
  isOff,
  onFiles,
}: {
  readonly isOff: boolean;
  readonly onFiles: (files: readonly File[]) => void;
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" data-testid="give-files" disabled={isOff} onClick={() => input.current?.click()}>
        Files as CD…
      </button>
      <input
        ref={input}
        type="file"
        multiple
        class="hidden"
        tabIndex={-1}
        aria-label="Files for the machine’s CD drive"
        data-testid="given-files"
        onChange={(event) => {
          onFiles([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}

function Notice({ text }: { readonly text: string }): JSX.Element {
  return (
    <p class="notice" role="status" data-testid="viewer-notice">
      {text}
    </p>
  );
}

function hintFor({ role, people, lease, isShown }: ViewerState, mayType: boolean): string | undefined {
  if (!isShown) return 'Waiting for the first picture …';
  if (role === 'view') return 'You watch; your link does not let you type';
  return mayType ? undefined : `${nameOf(people, lease.holder)} has keyboard and mouse: ask for them above`;
}

declare global {
  interface Window {
    /** For tests and for looking closely. */
    tabboxViewer?: Viewer;
    tabboxSound?: FarSound | undefined;
  }
}
