/** Changing CDs and floppies while the machine runs. */
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import type { DriveSlot } from '#emu/workers/machine-protocol.ts';
import type { MachineSession } from '../session/machine-session.ts';
import { Menu, type MenuItem } from './menu.tsx';
import type { Shell } from './shell.ts';

/** The first CD drive and the first floppy drive: every machine has them. */
const REMOVABLE: readonly { readonly slot: DriveSlot; readonly name: string }[] = [
  { slot: 'hdc', name: 'CD' },
  { slot: 'fda', name: 'floppy' },
];

export function MediaMenu({
  shell,
  session,
}: {
  readonly shell: Shell;
  readonly session: MachineSession;
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const wanted = useRef<DriveSlot>('hdc');
  const media = session.media.value;
  const items: MenuItem[] = REMOVABLE.flatMap(({ slot, name }) => [
    {
      label: `Insert ${name}…`,
      testId: `insert-${slot}`,
      onChoose: () => {
        wanted.current = slot;
        input.current?.click();
      },
    },
    {
      label: media.has(slot) ? `Eject ${name} (${media.get(slot)})` : `Eject ${name}`,
      testId: `eject-${slot}`,
      disabled: !media.has(slot),
      onChoose: () => void shell.attempt(() => session.ejectMedium(slot)),
    },
  ]);
  const insert = (file: File | undefined): void => {
    if (file) void shell.attempt(() => session.insertMedium(wanted.current, { kind: 'file', file }, file.name));
  };
  return (
    <>
      <Menu label="Media" items={items} testId="media" />
      <input
        ref={input}
        type="file"
        class="hidden"
        tabIndex={-1}
        aria-label="Image to insert"
        data-testid="medium-file"
        onChange={(event) => {
          insert(event.currentTarget.files?.[0]);
          event.currentTarget.value = '';
        }}
      />
    </>
  );
}
