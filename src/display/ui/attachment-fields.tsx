/** What a network card is attached to, in the settings of a machine. */
import type { JSX } from 'preact';
import { type DhcpServerWords, type NicAttachment, USUAL_DHCP } from '#emu/host/network-card.ts';
import { Lines, pairOf, Switch, TextField } from './field-parts.tsx';

interface AttachmentProps<T extends NicAttachment = NicAttachment> {
  readonly slot: number;
  readonly attachment: T;
  readonly onChange: (attachment: NicAttachment) => void;
}
type Of<K extends NicAttachment['kind']> = Extract<NicAttachment, { readonly kind: K }>;

export function AttachmentFields({ slot, attachment, onChange }: AttachmentProps): JSX.Element | null {
  switch (attachment.kind) {
    case 'null':
      return null;
    case 'nat':
      return <NatFields slot={slot} attachment={attachment} onChange={onChange} />;
    case 'intnet':
    case 'natnetwork': {
      const option = attachment.kind === 'intnet' ? 'intnet' : 'nat-network';
      return (
        <>
          <TextField
            {...{ label: 'Name of the network', option: `${option}${slot}`, value: attachment.network, required: true }}
            onChange={(network) => onChange({ ...attachment, network })}
          />
          {attachment.kind === 'intnet' && <DhcpFields slot={slot} attachment={attachment} onChange={onChange} />}
        </>
      );
    }
    case 'bridged':
    case 'hostonly': {
      const option = attachment.kind === 'bridged' ? 'bridgeadapter' : 'hostonlyadapter';
      return (
        <>
          <TextField
            {...{ label: 'Interface of the relay’s computer', option: `${option}${slot}` }}
            {...{ value: attachment.adapter, required: true }}
            onChange={(adapter) => onChange({ ...attachment, adapter })}
          />
          {attachment.kind === 'hostonly' && <DhcpFields slot={slot} attachment={attachment} onChange={onChange} />}
        </>
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
            onChange={(lines) => onChange({ ...attachment, properties: Object.fromEntries(lines.map(pairOf)) })}
          />
        </>
      );
  }
}

const DHCP_FIELDS: readonly (readonly [keyof DhcpServerWords, option: string, label: string])[] = [
  ['serverIp', 'server-ip', 'Address of the server'],
  ['netmask', 'netmask', 'Network mask'],
  ['lowerIp', 'lower-ip', 'First address it gives'],
  ['upperIp', 'upper-ip', 'Last address it gives'],
];

function DhcpFields({ slot, attachment, onChange }: AttachmentProps<Of<'intnet' | 'hostonly'>>): JSX.Element {
  const { dhcpServer, ...plain } = attachment;
  return (
    <>
      <Switch
        {...{ label: 'The network has a DHCP server', option: `dhcpserver${slot}`, on: dhcpServer !== undefined }}
        onChange={(on) => onChange(on ? { ...plain, dhcpServer: USUAL_DHCP } : plain)}
      />
      {dhcpServer &&
        DHCP_FIELDS.map(([field, option, label]) => (
          <TextField
            key={field}
            {...{ label, option: `dhcpserver-${option}${slot}`, value: dhcpServer[field], required: true }}
            onChange={(text) => onChange({ ...plain, dhcpServer: { ...dhcpServer, [field]: text.trim() } })}
          />
        ))}
    </>
  );
}

function NatFields({ slot, attachment, onChange }: AttachmentProps<Of<'nat'>>): JSX.Element {
  const { bindIp, ...unbound } = attachment;
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
      <Switch
        label="The guest reaches servers on the relay’s own computer, at the gateway’s address"
        option={`nat-localhostreachable${slot}`}
        on={attachment.localhostReachable ?? false}
        onChange={(localhostReachable) => onChange({ ...attachment, localhostReachable })}
      />
      <Switch
        label="Names are resolved as the relay’s computer does, its hosts file and all"
        option={`natdnshostresolver${slot}`}
        on={attachment.hostResolver ?? false}
        onChange={(hostResolver) => onChange({ ...attachment, hostResolver })}
      />
      <Switch
        label="Names are asked for here, and not of the name servers of the relay’s computer"
        option={`natdnsproxy${slot}`}
        on={attachment.dnsProxy ?? true}
        onChange={(dnsProxy) => onChange({ ...attachment, dnsProxy })}
      />
      <Switch
        label="The guest is told the domain of the relay’s computer"
        option={`natdnspassdomain${slot}`}
        on={attachment.passDomain ?? true}
        onChange={(passDomain) => onChange({ ...attachment, passDomain })}
      />
      <TextField
        label="Address of the relay’s computer that connections come from (empty: any)"
        {...{ option: `natbindip${slot}`, value: bindIp ?? '' }}
        onChange={(text) => onChange(text.trim() === '' ? unbound : { ...unbound, bindIp: text.trim() })}
      />
    </>
  );
}
