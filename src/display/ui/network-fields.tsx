/** Network cards in the settings of a machine. Each field is an option of VBoxManage modifyvm; its title says which. */
import type { JSX } from 'preact';
import { type NetworkCardConfig, type NicAttachment, type NicType, parseMac } from '#emu/host/network-card.ts';
import type { BandwidthGroupSettings } from '#storage/settings/machine-settings.ts';
import { newCard } from '../session/network-links.ts';
import { AttachmentFields } from './attachment-fields.tsx';
import { Choice, Lines, pairOf, Switch } from './field-parts.tsx';

const KINDS: Readonly<Record<NicAttachment['kind'], string>> = {
  null: 'Not attached',
  nat: 'NAT',
  natnetwork: 'NAT network',
  intnet: 'Internal network',
  bridged: 'Bridged adapter',
  hostonly: 'Host-only adapter',
  generic: 'Generic driver',
};
const POLICIES = { deny: 'Deny', 'allow-vms': 'Allow VMs', 'allow-all': 'Allow all' } as const;
const TYPE_NAMES: Readonly<Record<NicType, string>> = {
  Am79C970A: 'PCnet-PCI II (Am79C970A)',
  Am79C973: 'PCnet-FAST III (Am79C973)',
  '82540EM': 'Intel PRO/1000 MT Desktop (82540EM)',
  '82543GC': 'Intel PRO/1000 T Server (82543GC)',
  '82545EM': 'Intel PRO/1000 MT Server (82545EM)',
  virtio: 'Paravirtualized network (virtio)',
};

/** What a card has when it is newly attached in a way. */
const FRESH: Readonly<Record<NicAttachment['kind'], NicAttachment>> = {
  null: { kind: 'null' },
  nat: { kind: 'nat', network: '', forwards: [] },
  natnetwork: { kind: 'natnetwork', network: 'NatNetwork' },
  intnet: { kind: 'intnet', network: 'intnet' },
  bridged: { kind: 'bridged', adapter: 'eth0' },
  hostonly: { kind: 'hostonly', adapter: 'vboxnet0' },
  generic: { kind: 'generic', driver: 'UDPTunnel', properties: {} },
};

interface NetworkFieldsProps {
  readonly cards: readonly NetworkCardConfig[];
  readonly groups: readonly BandwidthGroupSettings[];
  readonly onChange: (cards: readonly NetworkCardConfig[]) => void;
  readonly onGroups: (groups: readonly BandwidthGroupSettings[]) => void;
}

export function NetworkFields({ cards, groups, onChange, onGroups }: NetworkFieldsProps): JSX.Element {
  const another = newCard(cards);
  return (
    <fieldset class="network" data-testid="network-cards">
      <legend>Network</legend>
      {cards.map((card) => (
        <CardFields
          key={card.slot}
          card={card}
          groups={groups}
          onChange={(changed) => onChange(cards.map((one) => (one.slot === card.slot ? changed : one)))}
          onRemove={() => onChange(cards.filter(({ slot }) => slot !== card.slot))}
        />
      ))}
      {another && (
        <button
          type="button"
          data-testid="add-card"
          onClick={() => onChange([...cards, another].sort((a, b) => a.slot - b.slot))}
        >
          Add a network card
        </button>
      )}
      {cards.length > 0 && (
        <Lines
          label="Bandwidth groups, one NAME=LIMIT a line: 20m, 100k ... bits a second, 0 for none"
          option="bandwidthgroups"
          lines={groups.map(({ name, limit }) => `${name}=${limit}`)}
          onChange={(lines) => onGroups(lines.map(pairOf).map(([name, limit]) => ({ name, limit })))}
        />
      )}
    </fieldset>
  );
}

interface CardProps {
  readonly card: NetworkCardConfig;
  readonly groups: readonly BandwidthGroupSettings[];
  readonly onChange: (card: NetworkCardConfig) => void;
}

function CardFields({ card, groups, onChange, onRemove }: CardProps & { readonly onRemove: () => void }): JSX.Element {
  const { slot, attachment } = card;
  const { bandwidthGroup, ...ungrouped } = card;
  const { trace, ...untraced } = card;
  const attach = (changed: NicAttachment): void => onChange({ ...card, attachment: changed });
  const isShared = attachment.kind === 'intnet' || attachment.kind === 'natnetwork';
  return (
    <details class="card-fields" data-testid={`card-${slot}`} open>
      <summary>
        Card {slot}: {KINDS[attachment.kind]}
      </summary>
      <Choice
        {...{ label: 'Attached to', option: `nic${slot}`, value: attachment.kind, choices: KINDS }}
        onChange={(kind) => attach(FRESH[kind])}
      />
      <AttachmentFields slot={slot} attachment={attachment} onChange={attach} />
      {isShared && (
        <Choice
          {...{ label: 'Promiscuous mode', option: `nicpromisc${slot}`, choices: POLICIES }}
          value={card.promiscuous ?? 'deny'}
          onChange={(promiscuous) => onChange({ ...card, promiscuous })}
        />
      )}
      <Choice
        {...{ label: 'Adapter type', option: `nictype${slot}`, value: card.type, choices: TYPE_NAMES }}
        onChange={(type) => onChange({ ...card, type })}
      />
      <label title={`--macaddress${slot}`}>
        MAC address
        <input
          data-testid={`macaddress${slot}`}
          value={card.mac}
          required
          spellcheck={false}
          onInput={(event) => {
            const field = event.currentTarget;
            const mac = parseMac(field.value);
            field.setCustomValidity(mac ? '' : '12 hexadecimal digits, the second one even');
            onChange({ ...card, mac: mac ?? field.value });
          }}
        />
      </label>
      <Switch
        {...{ label: 'Cable connected', option: `cableconnected${slot}`, on: card.cableConnected }}
        onChange={(cableConnected) => onChange({ ...card, cableConnected })}
      />
      {groups.length > 0 && (
        <Choice
          {...{ label: 'Bandwidth group', option: `nicbandwidthgroup${slot}`, value: bandwidthGroup ?? '' }}
          choices={{ '': 'None', ...Object.fromEntries(groups.map(({ name }) => [name, name])) }}
          onChange={(name) => onChange(name === '' ? ungrouped : { ...ungrouped, bandwidthGroup: name })}
        />
      )}
      <Switch
        {...{ label: 'Record what passes, from power-on', option: `nictrace${slot}`, on: trace ?? false }}
        onChange={(on) => onChange(on ? { ...untraced, trace: true } : untraced)}
      />
      <button type="button" data-testid={`remove-card-${slot}`} onClick={onRemove}>
        Remove card {slot}
      </button>
    </details>
  );
}
