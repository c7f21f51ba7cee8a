/** Cables of the machine's network cards: in, out, and once more. */
import type { JSX } from 'preact';
import type { MachineSession } from '../session/machine-session.ts';
import { megabytes } from './format.ts';
import { Menu, type MenuItem } from './menu.tsx';
import type { Shell } from './shell.ts';

export function NetworkMenu({
  shell,
  session,
}: {
  readonly shell: Shell;
  readonly session: MachineSession;
}): JSX.Element | null {
  const { network } = session;
  const cards = network.cards.value;
  if (cards.length === 0) return null;
  const items = cards.flatMap((card): MenuItem[] => {
    const { slot } = card;
    const activity = session.stats.value?.networkCards.find((one) => one.slot === slot);
    const isConnected = activity?.cableConnected ?? card.cableConnected;
    const refused = network.states.value.get(slot)?.kind === 'refused';
    return [
      {
        label: isConnected ? `Pull the cable of card ${slot}` : `Plug the cable of card ${slot} in`,
        testId: `cable-${slot}`,
        onChoose: () => void shell.attempt(() => session.setCableConnected(slot, !isConnected)),
      },
      activity?.traceBytes === undefined
        ? {
            label: `Record what passes card ${slot}`,
            testId: `trace-${slot}`,
            onChoose: () => void shell.attempt(() => session.traces.start(slot)),
          }
        : {
            label: `Save what passed card ${slot} (${megabytes(activity.traceBytes)})`,
            testId: `save-trace-${slot}`,
            onChoose: () => void shell.attempt(() => session.traces.end(slot)),
          },
      ...(refused
        ? [
            {
              label: `Try the network of card ${slot} again`,
              testId: `retry-network-${slot}`,
              onChoose: () => void shell.attempt(() => network.replug(card)),
            },
          ]
        : []),
    ];
  });
  return (
    <Menu
      label="Network"
      testId="network"
      items={[
        ...items,
        {
          label: 'Settings of networks …',
          testId: 'network-settings',
          onChoose: () => {
            shell.dialog.value = { kind: 'settings', id: session.id };
          },
        },
      ]}
    />
  );
}
