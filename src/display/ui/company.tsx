/** The people around one machine: who is here, who has keyboard and mouse, where they point. */
import { type ReadonlySignal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { MAX_CLIPBOARD_TEXT } from '../desktop/shared-clipboard.ts';
import type { Rect } from '../raster/rects.ts';
import type { Copied } from '../sharing/clipboard-parts.ts';
import type { Pointers } from '../sharing/machine-sharing.ts';
import { type BodyOf, HOST, type LeaseAction, NOBODY, type Person, type Role } from '../stream/messages.ts';
import type { PictureBox } from './screen-view.tsx';

export const ROLE_NAMES: Readonly<Record<Role, string>> = {
  view: 'may watch',
  control: 'may type',
  owner: 'owner',
};

export interface Company {
  readonly people: readonly Person[];
  readonly lease: BodyOf<'lease'>;
}

export const nameOf = (people: readonly Person[], id: number): string =>
  people.find((one) => one.id === id)?.name ?? 'nobody';

/** What to say below the host's screen while somebody else has keyboard and mouse. */
export function leaseHint({ people, lease }: Company): string | undefined {
  if (lease.mode === 'share' || lease.holder === HOST) return undefined;
  return lease.holder === NOBODY
    ? 'Nobody has keyboard and mouse'
    : `${nameOf(people, lease.holder)} has keyboard and mouse`;
}

export interface WatchersChipProps {
  readonly people: readonly Person[];
  /** Who looks at it. */
  readonly me: number;
  readonly onClick?: () => void;
}

/** Who else sees this screen; always there while it is shared. */
export function WatchersChip({ people, me, onClick }: WatchersChipProps): JSX.Element {
  const watching = people.filter(({ id }) => id !== HOST && id !== me);
  const names = watching.map(({ name }) => name);
  const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} more`] : names;
  const text = names.length === 0 ? 'nobody else watches' : `${names.length} watching: ${shown.join(', ')}`;
  return (
    <button type="button" class="chip" data-testid="watchers" title={names.join(', ')} onClick={onClick}>
      <span class={`lamp ${names.length > 0 ? 'running' : ''}`} aria-hidden="true" /> {text}
    </button>
  );
}

export interface LeaseButtonsProps extends Company {
  readonly me: number;
  readonly role: Role;
  readonly act: (action: LeaseAction, target?: number) => void;
}

/** Who has keyboard and mouse, and how to get and give them; nothing while all share them. */
export function LeaseButtons({ people, lease, me, role, act }: LeaseButtonsProps): JSX.Element | null {
  if (lease.mode === 'share' || role === 'view') return null;
  const isMine = lease.holder === me;
  const isAsking = lease.asking.includes(me);
  const button = (label: string, testId: string, action: LeaseAction, target?: number): JSX.Element => (
    <button type="button" key={testId} data-testid={testId} onClick={() => act(action, target)}>
      {label}
    </button>
  );
  const others = lease.asking.filter((id) => id !== me);
  return (
    <fieldset class="lease" aria-label="Keyboard and mouse">
      <span role="status" data-testid="lease-holder">
        {isMine ? 'You have keyboard and mouse' : `${nameOf(people, lease.holder)} has keyboard and mouse`}
      </span>
      {isMine && button('Give back', 'lease-release', 'release')}
      {!isMine && !isAsking && button('Ask for them', 'lease-request', 'request')}
      {isAsking && button('Stop asking', 'lease-withdraw', 'release')}
      {!isMine && role === 'owner' && button('Take', 'lease-take', 'take', me)}
      {(isMine || role === 'owner') &&
        others.map((id) => button(`Give to ${nameOf(people, id)}`, `lease-give-${id}`, 'give', id))}
    </fieldset>
  );
}

export interface PeopleListProps extends Company {
  readonly me: number;
  readonly role: Role;
  readonly act: (action: LeaseAction, target?: number) => void;
  readonly onDismiss?: (participant: number) => void;
}

export function PeopleList({ people, lease, me, role, act, onDismiss }: PeopleListProps): JSX.Element {
  return (
    <ul class="people" data-testid="people">
      {people.map((person) => (
        <li key={person.id} data-testid={`person-${person.id}`}>
          <span>
            <strong>{person.name}</strong>
            {person.id === me && ' (you)'}, {person.id === HOST ? 'whose machine it is' : ROLE_NAMES[person.role]}
            {lease.mode === 'lease' && lease.holder === person.id && ', has keyboard and mouse'}
            {lease.asking.includes(person.id) && ', asks for keyboard and mouse'}
          </span>
          {lease.mode === 'lease' && role === 'owner' && person.role !== 'view' && lease.holder !== person.id && (
            <button type="button" data-testid={`give-${person.id}`} onClick={() => act('give', person.id)}>
              Give keyboard and mouse
            </button>
          )}
          {onDismiss && person.id !== HOST && person.id !== me && (
            <button type="button" data-testid={`dismiss-${person.id}`} onClick={() => onDismiss(person.id)}>
              Send away
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}

const COPY_TO_OTHERS = 'Copy to others';
const TOLD_MS = 3000;

export interface CopyButtonProps {
  readonly isOff: boolean;
  readonly copy: (text: string) => void;
}

/** Gives what this person has copied to the others: only when they say so. */
export function CopyButton({ isOff, copy }: CopyButtonProps): JSX.Element {
  const label = useSignal(COPY_TO_OTHERS);
  const tell = (what: string): void => {
    label.value = what;
    setTimeout(() => {
      label.value = COPY_TO_OTHERS;
    }, TOLD_MS);
  };
  const give = (text: string): void => {
    if (text.length > MAX_CLIPBOARD_TEXT) tell('Too long to copy');
    else if (text === '') tell('No text to copy');
    else {
      copy(text);
      tell('Copied to others');
    }
  };
  return (
    <button
      type="button"
      data-testid="copy-to-others"
      title="What you have copied can then be pasted by everybody who may type"
      disabled={isOff}
      onClick={() => void navigator.clipboard.readText().then(give, () => tell('The browser keeps the clipboard'))}
    >
      {label.value}
    </button>
  );
}

export interface CopiedNoticeProps {
  readonly people: readonly Person[];
  readonly copied: ReadonlySignal<Copied | undefined>;
  /** Types a text into the machine; left out: this person may not. */
  readonly typeText: ((text: string) => void) | undefined;
}

/** What somebody else has copied, until it is taken or put away. */
export function CopiedNotice({ people, copied, typeText }: CopiedNoticeProps): JSX.Element | null {
  const done = useSignal<Copied | undefined>(undefined);
  const now = copied.value;
  if (!now || done.value === now) return null;
  const { participant, text } = now;
  const close = (): void => {
    done.value = now;
  };
  const button = (label: string, testId: string, act: () => void): JSX.Element => (
    <button
      type="button"
      data-testid={testId}
      onClick={() => {
        act();
        close();
      }}
    >
      {label}
    </button>
  );
  return (
    <p class="notice" role="status" data-testid="copied">
      {nameOf(people, participant)} has copied: <q>{beginningOf(text)}</q>{' '}
      {button('Copy', 'copied-take', () => void navigator.clipboard.writeText(text).catch(() => {}))}{' '}
      {typeText && button('Type into the machine', 'copied-type', () => typeText(text))}{' '}
      {button('Close', 'copied-close', () => {})}
    </p>
  );
}

const SHOWN_CHARACTERS = 60;

function beginningOf(text: string): string {
  const characters = [...text.slice(0, SHOWN_CHARACTERS * 2)];
  const isAll = text.length <= SHOWN_CHARACTERS;
  return isAll ? text : `${characters.slice(0, SHOWN_CHARACTERS).join('')}…`;
}

export interface PointerLayerProps {
  readonly picture: PictureBox;
  readonly pointers: ReadonlySignal<Pointers>;
  readonly people: readonly Person[];
  /** What of the machine's picture is shown, in guest pixels; left out: all. */
  readonly part?: Rect;
}

/** Where others point, with their names. */
export function PointerLayer({ picture, pointers, people, part }: PointerLayerProps): JSX.Element {
  const { left, top, width, height } = picture;
  const [guestWidth, guestHeight] = [part?.width ?? picture.guestWidth, part?.height ?? picture.guestHeight];
  const shown = [...pointers.value].flatMap(([id, at]) => {
    const [x, y] = [at.x - (part?.x ?? 0), at.y - (part?.y ?? 0)];
    return x >= 0 && y >= 0 && x < guestWidth && y < guestHeight ? [{ id, x, y }] : [];
  });
  return (
    <div class="pointers" aria-hidden="true">
      {shown.map(({ id, x, y }) => (
        <span
          key={id}
          class={`pointer colour-${id % 6}`}
          data-testid={`pointer-${id}`}
          style={{ left: `${left + (x / guestWidth) * width}px`, top: `${top + (y / guestHeight) * height}px` }}
        >
          {nameOf(people, id)}
        </span>
      ))}
    </div>
  );
}
