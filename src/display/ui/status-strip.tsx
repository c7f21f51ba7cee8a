/** What the machine is doing: drives, speed, what is unsaved, how much room is left. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { DriveActivity, MachineStats } from '#emu/workers/machine-protocol.ts';
import { SLOT_NAMES } from '../session/drives.ts';
import type { MachineLibrary } from '../session/machine-library.ts';
import type { MachineSession } from '../session/machine-session.ts';
import { megabytes, percent } from './format.ts';
import { stateText } from './machine-card.tsx';
import { NetworkLamp } from './network-activity.tsx';

export function StatusStrip({
  session,
  library,
}: {
  readonly session: MachineSession;
  readonly library: MachineLibrary;
}): JSX.Element {
  const stats = session.stats.value;
  const before = useSignal<MachineStats | undefined>(undefined);
  const latest = useSignal<MachineStats | undefined>(undefined);
  useEffect(() => {
    before.value = latest.peek();
    latest.value = stats;
  }, [stats]);
  const state = stateText(session, library.saved.value.has(session.id));
  const quota = library.quota.value;
  const left = quota?.quotaBytes === undefined ? undefined : quota.quotaBytes - (quota.usedBytes ?? 0);
  return (
    <footer class="status" data-testid="status">
      <span data-testid="state" class="state">
        <span class={`lamp ${state}`} aria-hidden="true" /> {state}
      </span>
      {stats?.drives.map((drive) => (
        <Activity
          key={drive.slot}
          drive={drive}
          before={before.value?.drives.find(({ slot }) => slot === drive.slot)}
        />
      ))}
      {session.network.cards.value.map((card) => (
        <NetworkLamp
          key={card.slot}
          card={card}
          relay={session.network.states.value.get(card.slot)}
          address={session.network.addresses.value.get(card.slot)}
          directPeers={session.network.directPeers.value.get(card.slot) ?? 0}
          activity={stats?.networkCards.find(({ slot }) => slot === card.slot)}
          before={before.value?.networkCards.find(({ slot }) => slot === card.slot)}
        />
      ))}
      <span data-testid="speed">{stats ? speedText(stats) : ''}</span>
      <Saved session={session} />
      <span class="room">{left === undefined ? '' : `${megabytes(left)} free in this browser`}</span>
    </footer>
  );
}

function speedText({ state, mips, haltedShare }: MachineStats): string {
  if (state !== 'running') return '';
  return haltedShare > 0.9 ? 'idle' : `${mips.toFixed(mips < 10 ? 1 : 0)} MIPS, ${percent(1 - haltedShare)} busy`;
}

function Activity({
  drive,
  before,
}: {
  readonly drive: DriveActivity;
  readonly before: DriveActivity | undefined;
}): JSX.Element {
  const writing = before !== undefined && drive.sectorsWritten > before.sectorsWritten;
  const reading = drive.pending > 0 || (before !== undefined && drive.sectorsRead > before.sectorsRead);
  const doing = writing ? 'writing' : reading ? 'reading' : 'idle';
  const total = `${megabytes(drive.sectorsRead * 512)} read, ${megabytes(drive.sectorsWritten * 512)} written`;
  return (
    <span class={`activity ${doing}`} title={`${doing}; ${total}`} data-testid={`activity-${drive.slot}`}>
      <span class="lamp" aria-hidden="true" /> {SLOT_NAMES[drive.slot]}
      <span class="hidden">{doing}</span>
    </span>
  );
}

function Saved({ session }: { readonly session: MachineSession }): JSX.Element | null {
  const disks = session.disks.value.filter(({ writable }) => writable);
  if (disks.length === 0) return null;
  const unsaved = disks.reduce((sum, disk) => sum + disk.unsavedBytes, 0);
  const full = disks.some((disk) => disk.full);
  const text = full ? 'no room to save' : unsaved > 0 ? `${megabytes(unsaved)} not saved yet` : 'everything saved';
  return (
    <span data-testid="saved" class={full ? 'full' : ''}>
      {text}
    </span>
  );
}
