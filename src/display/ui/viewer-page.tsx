/** The page behind a link to a shared machine: a name, then its screen. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { canSound, FarSound } from '../audio/far-sound.ts';
import { opusDecoder } from '../audio/opus.ts';
import { MonitorPicture } from '../sharing/monitor-picture.ts';
import type { SocketMaker } from '../sharing/relay-link.ts';
import { Viewer, type ViewerState } from '../sharing/viewer.ts';
import { NOBODY } from '../stream/messages.ts';
import { videoDecoder } from '../video/video-codec.ts';
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
  readonly newSocket: SocketMaker;
}

export function ViewerPage({ token, base, newSocket }: ViewerPageProps): JSX.Element {
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
  return <Watching {...{ token, base, newSocket, name: name.value }} />;
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

/** From the first picture, and from the click when there is none, until the machine is heard. */
const [AFTER_PICTURE_MS, WITHOUT_PICTURE_MS] = [50, 800];

function Watching({ token, base, newSocket, name }: ViewerPageProps & { readonly name: string }): JSX.Element {
  const viewer = useMemo(
    () =>
      new Viewer({
        ...{ token, base, newSocket, name, key: rememberedKey(token), onKey: (key) => rememberKey(token, key) },
        newOpusDecoder: opusDecoder(),
        videoDecoder: videoDecoder(),
      }),
    [],
  );
  const sound = useMemo(() => (canSound() ? new FarSound(viewer.sound) : undefined), [viewer]);
  useEffect(() => {
    window.tabboxViewer = viewer;
    window.tabboxSound = sound;
    return () => {
      sound?.turn(false);
      viewer.close();
    };
  }, []);
  const state = viewer.state.value;
  const hasSounded = useRef(false);
  useEffect(() => {
    // The click that led here lets the page sound. Opening an audio device takes the page's thread up to a quarter of a
    // second, so the picture goes first; a browser does not wait for it much longer than that.
    const begin = (): void => {
      if (!hasSounded.current) sound?.turn(true);
      hasSounded.current = true;
    };
    const timer = setTimeout(begin, state.isShown ? AFTER_PICTURE_MS : WITHOUT_PICTURE_MS);
    return () => clearTimeout(timer);
  }, [state.isShown]);
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
  const monitors = viewer.monitors.value;
  const chosen = useSignal<number | undefined>(undefined);
  // A monitor that is no longer there is not shown.
  const monitor = monitors.some((place) => place.monitor === chosen.value) ? chosen.value : undefined;
  const part = monitors.find((place) => place.monitor === monitor);
  const one = useMemo(() => {
    const place = () => viewer.monitors.peek().find((place) => place.monitor === monitor);
    return monitor === undefined ? undefined : new MonitorPicture(viewer, place);
  }, [viewer, monitor]);
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
          {monitors.length > 1 && (
            <select
              aria-label="Monitor"
              data-testid="monitor"
              value={monitor === undefined ? 'all' : String(monitor)}
              onChange={({ currentTarget: { value } }) => {
                chosen.value = value === 'all' ? undefined : Number(value);
              }}
            >
              <option value="all">All monitors</option>
              {monitors.map((place) => (
                <option key={place.monitor} value={place.monitor}>
                  Monitor {place.monitor + 1}
                </option>
              ))}
            </select>
          )}
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
          {...{
            name: machine,
            source: one ?? viewer,
            keyboard: viewer.keyboard,
            mouse: viewer.mouse,
            crisp: crisp.value,
          }}
          onPaste={(text) => viewer.typeText(text)}
          onHostCombination={(code) => {
            if (code === 'KeyF') fullscreen();
            else if (code === 'KeyV') paste();
          }}
          onPoint={(x, y, shown) => viewer.point(x + (part?.x ?? 0), y + (part?.y ?? 0), shown)}
          overlay={(picture) => (
            <PointerLayer {...{ picture, pointers: viewer.pointers, people, ...(part && { part }) }} />
          )}
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
