/** Sharing a machine: links, who is here, who may type. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { MachineSession } from '../session/machine-session.ts';
import type { MachineSharing } from '../sharing/machine-sharing.ts';
import { ANY_NUMBER_OF_USES, HOST, type Link, ROLES, type Role } from '../stream/messages.ts';
import { PeopleList, ROLE_NAMES } from './company.tsx';
import { DialogFrame } from './dialog-frame.tsx';
import { isLoopback, linkTo, publicAddress, rememberedName, rememberName, setPublicAddress } from './invitation.ts';
import { QrCode } from './qr-code.tsx';
import type { Shell } from './shell.ts';

export interface ShareDialogProps {
  readonly shell: Shell;
  readonly session: MachineSession;
}

const LIFETIMES: readonly (readonly [string, number])[] = [
  ['an hour', 3600],
  ['8 hours', 8 * 3600],
  ['a day', 24 * 3600],
  ['until I stop sharing', 0],
];
const USES: readonly (readonly [string, number])[] = [
  ['any number of people', ANY_NUMBER_OF_USES],
  ['one person', 1],
  ['5 people', 5],
  ['30 people', 30],
];
const ROLE_CHOICES: Readonly<Record<Role, string>> = {
  view: 'Watch only',
  control: 'Type and use the mouse',
  owner: 'Also decide who may type',
};

export function ShareDialog({ shell, session }: ShareDialogProps): JSX.Element {
  const close = (): void => {
    shell.dialog.value = undefined;
  };
  const sharing = session.sharing.value;
  return (
    <DialogFrame title={`Share ${session.settings.name}`} onClose={close}>
      {sharing ? <Shared {...{ session, sharing }} /> : <NotShared session={session} />}
      <div class="row end">
        <button type="button" data-testid="share-close" onClick={close}>
          Close
        </button>
      </div>
    </DialogFrame>
  );
}

function NotShared({ session }: { readonly session: MachineSession }): JSX.Element {
  const name = useSignal(rememberedName());
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        rememberName(name.value);
        session.share(name.value.trim() || 'Host');
      }}
    >
      <p>
        Whoever has a link sees this screen as it is, in their browser. The machine stays in this tab; nothing is
        recorded, and you always see who watches.
      </p>
      <label>
        Your name, as others see it
        <input
          data-testid="share-name"
          value={name.value}
          maxLength={40}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
      </label>
      <div class="row">
        <button type="submit" class="primary" data-testid="share-start">
          Start sharing
        </button>
      </div>
    </form>
  );
}

function Shared({
  session,
  sharing,
}: {
  readonly session: MachineSession;
  readonly sharing: MachineSharing;
}): JSX.Element {
  const { connection, why, people, links, lease } = sharing.state.value;
  const origin = useSignal(publicAddress(sharing.server));
  return (
    <div class="share">
      <p role="status" data-testid="share-state" data-state={connection}>
        {connection === 'open' ? 'Shared.' : connection === 'closed' ? `Not shared: ${why}.` : `Connecting … ${why}`}
      </p>
      {connection === 'open' && isLoopback(sharing.server) && <PublicAddress server={sharing.server} origin={origin} />}
      {connection === 'open' && <NewLink sharing={sharing} />}
      <ul class="links">
        {links.map((link) => (
          <LinkRow
            key={link.id}
            link={link}
            address={linkTo(link.token, sharing.server, origin.value)}
            onRevoke={() => sharing.revokeLink(link.id)}
          />
        ))}
      </ul>
      <fieldset class="row">
        <legend>Keyboard and mouse</legend>
        <label class="check">
          <input
            type="radio"
            name="mode"
            data-testid="mode-share"
            checked={lease.mode === 'share'}
            onChange={() => sharing.act('share')}
          />
          Everybody at once
        </label>
        <label class="check">
          <input
            type="radio"
            name="mode"
            data-testid="mode-lease"
            checked={lease.mode === 'lease'}
            onChange={() => sharing.act('lease')}
          />
          One person at a time
        </label>
      </fieldset>
      <PeopleList
        {...{ people, lease, me: HOST, role: 'owner' }}
        act={(action, target) => sharing.act(action, target)}
        onDismiss={(id) => sharing.dismiss(id)}
      />
      <div class="row">
        <button type="button" data-testid="share-stop" onClick={() => void session.stopSharing()}>
          Stop sharing
        </button>
      </div>
    </div>
  );
}

interface PublicAddressProps {
  readonly server: string;
  readonly origin: { value: string };
}

/** A page opened as localhost gives links that nobody else can follow, unless somebody says how they reach the server. */
function PublicAddress({ server, origin }: PublicAddressProps): JSX.Element {
  return (
    <label>
      Others reach this server at (this page’s own address works on this computer only)
      <input
        type="url"
        data-testid="public-address"
        value={origin.value}
        placeholder="https://192.168.1.20:8086"
        onChange={(event) => {
          if (setPublicAddress(event.currentTarget.value)) origin.value = publicAddress(server);
        }}
      />
    </label>
  );
}

function NewLink({ sharing }: { readonly sharing: MachineSharing }): JSX.Element {
  const role = useSignal<Role>('control');
  const lifetime = useSignal(LIFETIMES[0][1]);
  const uses = useSignal(USES[0][1]);
  const label = useSignal('');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        sharing.makeLink({
          ...{ role: role.value, lifetime: lifetime.value, uses: uses.value },
          label: label.value.trim() || ROLE_CHOICES[role.value],
        });
        label.value = '';
      }}
    >
      <div class="row" role="radiogroup" aria-label="What people with the link may do">
        {ROLES.map((one) => (
          <label class="check" key={one}>
            <input
              type="radio"
              name="role"
              data-testid={`role-${one}`}
              checked={role.value === one}
              onChange={() => {
                role.value = one;
              }}
            />
            {ROLE_CHOICES[one]}
          </label>
        ))}
      </div>
      <div class="row">
        <Choice label="Valid for" testId="lifetime" choices={LIFETIMES} value={lifetime} />
        <Choice label="Lets in" testId="uses" choices={USES} value={uses} />
        <label>
          Called
          <input
            data-testid="link-label"
            value={label.value}
            maxLength={30}
            placeholder="for example: 9b"
            onInput={(event) => {
              label.value = event.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" class="primary" data-testid="make-link">
          Make a link
        </button>
      </div>
    </form>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly testId: string;
  readonly choices: readonly (readonly [string, number])[];
  readonly value: { value: number };
}

function Choice({ label, testId, choices, value }: ChoiceProps): JSX.Element {
  return (
    <label>
      {label}
      <select
        data-testid={testId}
        onChange={(event) => {
          value.value = choices[event.currentTarget.selectedIndex][1];
        }}
      >
        {choices.map(([name, one]) => (
          <option key={one} selected={one === value.value}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

interface LinkRowProps {
  readonly link: Link;
  readonly address: string;
  readonly onRevoke: () => void;
}

function LinkRow({ link, address, onRevoke }: LinkRowProps): JSX.Element {
  const copied = useSignal(false);
  const withCode = useSignal(false);
  return (
    <li data-testid="link">
      <span>
        <strong>{link.label}</strong>: {ROLE_NAMES[link.role]}, {usesText(link)}, {expiryText(link)}; {link.people} here
        now
      </span>
      <input
        readOnly
        value={address}
        aria-label="Link"
        data-testid="link-address"
        onFocus={(event) => event.currentTarget.select()}
      />
      <div class="row">
        <button
          type="button"
          data-testid="copy-link"
          onClick={() => {
            void navigator.clipboard.writeText(address).then(() => {
              copied.value = true;
            });
          }}
        >
          {copied.value ? 'Copied' : 'Copy'}
        </button>
        <button
          type="button"
          aria-pressed={withCode.value}
          data-testid="show-qr"
          onClick={() => {
            withCode.value = !withCode.value;
          }}
        >
          QR code
        </button>
        <button type="button" data-testid="revoke-link" onClick={onRevoke}>
          Revoke
        </button>
      </div>
      {withCode.value && <QrCode text={address} label={`QR code of the link ${link.label}`} />}
    </li>
  );
}

const usesText = ({ usesLeft }: Link): string =>
  usesLeft === ANY_NUMBER_OF_USES ? 'for any number of people' : `${usesLeft} more people`;

const expiryText = ({ expires }: Link): string =>
  expires === 0 ? 'until you stop sharing' : `until ${new Date(expires * 1000).toLocaleString()}`;
