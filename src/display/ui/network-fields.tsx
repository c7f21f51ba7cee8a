/** Network cards in the settings of a machine. Each field is an option of VBoxManage modifyvm; its title says which. */
import type { JSX } from 'preact';
import { type NetworkCardConfig, NIC_TYPES, type NicAttachment, parseMac } from '#emu/host/network-card.ts';
import { newCard } from '../session/network-links.ts';

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
const TYPE_NAMES: Readonly<Record<(typeof NIC_TYPES)[number], string>> = {
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
  readonly onChange: (cards: readonly NetworkCardConfig[]) => void;
}

export function NetworkFields({ cards, onChange }: NetworkFieldsProps): JSX.Element {
  const another = newCard(cards);
  return (
    <fieldset class="network" data-testid="network-cards">
      <legend>Network</legend>
      {cards.map((card) => (
        <CardFields
          key={card.slot}
          card={card}
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
    </fieldset>
  );
}

interface CardProps {
  readonly card: NetworkCardConfig;
  readonly onChange: (card: NetworkCardConfig) => void;
}

function CardFields({ card, onChange, onRemove }: CardProps & { readonly onRemove: () => void }): JSX.Element {
  const { slot, attachment } = card;
  const attach = (changed: NicAttachment): void => onChange({ ...card, attachment: changed });
  const isShared = attachment.kind === 'intnet' || attachment.kind === 'natnetwork';
  return (
    <details class="card-fields" data-testid={`card-${slot}`} open>
      <summary>
        Card {slot}: {KINDS[attachment.kind]}
      </summary>
      <label title={`--nic${slot}`}>
        Attached to
        <select
          data-testid={`nic${slot}`}
          value={attachment.kind}
          onChange={(event) => attach(FRESH[event.currentTarget.value as NicAttachment['kind']])}
        >
          {Object.entries(KINDS).map(([kind, name]) => (
            <option key={kind} value={kind}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <AttachmentFields slot={slot} attachment={attachment} onChange={attach} />
      {isShared && (
        <label title={`--nicpromisc${slot}`}>
          Promiscuous mode
          <select
            data-testid={`nicpromisc${slot}`}
            value={card.promiscuous ?? 'deny'}
            onChange={(event) => onChange({ ...card, promiscuous: event.currentTarget.value as keyof typeof POLICIES })}
          >
            {Object.entries(POLICIES).map(([policy, name]) => (
              <option key={policy} value={policy}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <label title={`--nictype${slot}`}>
        Adapter type
        <select
          data-testid={`nictype${slot}`}
          value={card.type}
          onChange={(event) => onChange({ ...card, type: event.currentTarget.value as NetworkCardConfig['type'] })}
        >
          {NIC_TYPES.map((type) => (
            <option key={type} value={type}>
              {TYPE_NAMES[type]}
            </option>
          ))}
        </select>
      </label>
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
      <label class="check" title={`--cableconnected${slot}`}>
        <input
          type="checkbox"
          data-testid={`cableconnected${slot}`}
          checked={card.cableConnected}
          onChange={(event) => onChange({ ...card, cableConnected: event.currentTarget.checked })}
        />
        Cable connected
      </label>
      <button type="button" data-testid={`remove-card-${slot}`} onClick={onRemove}>
        Remove card {slot}
      </button>
    </details>
  );
}

interface AttachmentProps {
  readonly slot: number;
  readonly attachment: NicAttachment;
  readonly onChange: (attachment: NicAttachment) => void;
}

function AttachmentFields({ slot, attachment, onChange }: AttachmentProps): JSX.Element | null {
  switch (attachment.kind) {
    case 'null':
      return null;
    case 'nat':
      return <NatFields slot={slot} attachment={attachment} onChange={onChange} />;
    case 'intnet':
    case 'natnetwork': {
      const option = attachment.kind === 'intnet' ? 'intnet' : 'nat-network';
      return (
        <TextField
          {...{ label: 'Name of the network', option: `${option}${slot}`, value: attachment.network, required: true }}
          onChange={(network) => onChange({ ...attachment, network })}
        />
      );
    }
    case 'bridged':
    case 'hostonly': {
      const option = attachment.kind === 'bridged' ? 'bridgeadapter' : 'hostonlyadapter';
      return (
        <TextField
          {...{ label: 'Interface of the relay’s computer', option: `${option}${slot}` }}
          {...{ value: attachment.adapter, required: true }}
          onChange={(adapter) => onChange({ ...attachment, adapter })}
        />
      );
    }
    case 'generic':
      return (
        <>
          <TextField
            {...{ label: 'Driver: UDPTunnel or VDE', option: `nicgenericdrv${slot}` }}
            {...{ value: attachment.driver, required: true }}
            onChange={(driver) => onChange({ ...attachment, driver })}
          />
          <Lines
            {...{ label: 'Properties, one NAME=VALUE a line', option: `nicproperty${slot}` }}
            lines={Object.entries(attachment.properties).map((pair) => pair.join('='))}
            onChange={(lines) => onChange({ ...attachment, properties: Object.fromEntries(lines.map(propertyOf)) })}
          />
        </>
      );
  }
}

function propertyOf(line: string): [string, string] {
  const equals = line.indexOf('=');
  return equals < 0 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
}

function NatFields({
  slot,
  attachment,
  onChange,
}: AttachmentProps & { readonly attachment: Extract<NicAttachment, { readonly kind: 'nat' }> }): JSX.Element {
  return (
    <>
      <TextField
        {...{ label: `Network (empty: 10.0.${slot + 1}.0/24)`, option: `natnet${slot}`, value: attachment.network }}
        onChange={(network) => onChange({ ...attachment, network })}
      />
      <Lines
        label="Forwarded ports, one NAME,tcp|udp,HOSTIP,HOSTPORT,GUESTIP,GUESTPORT a line"
        option={`natpf${slot}`}
        lines={attachment.forwards}
        onChange={(forwards) => onChange({ ...attachment, forwards })}
      />
      <label class="check" title={`--nat-localhostreachable${slot}`}>
        <input
          type="checkbox"
          data-testid={`nat-localhostreachable${slot}`}
          checked={attachment.localhostReachable ?? false}
          onChange={(event) => onChange({ ...attachment, localhostReachable: event.currentTarget.checked })}
        />
        The guest reaches servers on the relay’s own computer, at the gateway’s address
      </label>
      <label class="check" title={`--natdnshostresolver${slot}`}>
        <input
          type="checkbox"
          data-testid={`natdnshostresolver${slot}`}
          checked={attachment.hostResolver ?? false}
          onChange={(event) => onChange({ ...attachment, hostResolver: event.currentTarget.checked })}
        />
        Names are resolved as the relay’s computer does, its hosts file and all
      </label>
    </>
  );
}

interface TextFieldProps {
  readonly label: string;
  readonly option: string;
  readonly value: string;
  readonly required?: boolean;
  readonly onChange: (value: string) => void;
}

function TextField({ label, option, value, required = false, onChange }: TextFieldProps): JSX.Element {
  return (
    <label title={`--${option}`}>
      {label}
      <input
        data-testid={option}
        value={value}
        maxLength={200}
        required={required}
        spellcheck={false}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

interface LinesProps {
  readonly label: string;
  readonly option: string;
  readonly lines: readonly string[];
  readonly onChange: (lines: string[]) => void;
}

/** Lines are read when the field is left, so that a person can have an empty one while typing. */
function Lines({ label, option, lines, onChange }: LinesProps): JSX.Element {
  return (
    <label title={`--${option}`}>
      {label}
      <textarea
        data-testid={option}
        rows={2}
        spellcheck={false}
        onChange={(event) => {
          const given = event.currentTarget.value.split('\n').map((line) => line.trim());
          onChange(given.filter((line) => line !== ''));
        }}
      >
        {lines.join('\n')}
      </textarea>
    </label>
  );
}
