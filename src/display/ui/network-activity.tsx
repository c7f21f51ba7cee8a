/** One network card in the status strip: what passes, and what is wrong with its network. */
import type { JSX } from 'preact';
import type { NetworkCardConfig } from '#emu/host/network-card.ts';
import type { NetworkActivity } from '#emu/workers/machine-protocol.ts';
import type { RelayState } from '../../net-relay/transports/relay-client.ts';
import { megabytes } from './format.ts';

interface NetworkLampProps {
  readonly card: NetworkCardConfig;
  readonly relay: RelayState | undefined;
  /** Of the guest; undefined: not known yet. */
  readonly address: string | undefined;
  /** Cards of other tabs that are reached without the relay. */
  readonly directPeers: number;
  readonly activity: NetworkActivity | undefined;
  /** The reading before. */
  readonly before: NetworkActivity | undefined;
}

export function NetworkLamp({ card, relay, address, directPeers, activity, before }: NetworkLampProps): JSX.Element {
  const { slot } = card;
  const sending = moved(activity?.bytesSent, before?.bytesSent);
  const receiving = moved(activity?.bytesReceived, before?.bytesReceived);
  const trouble = troubleOf(card, relay, activity);
  const doing = trouble ? 'trouble' : sending ? 'writing' : receiving ? 'reading' : 'idle';
  const said = { trouble: trouble ?? '', writing: 'sending', reading: 'receiving', idle: 'idle' }[doing];
  const where = relay?.kind === 'attached' ? relay.network : card.attachment.kind;
  const network = directPeers > 0 ? `${where}, ${directPeers} reached directly` : where;
  const totals = activity
    ? `${megabytes(activity.bytesSent)} sent, ${megabytes(activity.bytesReceived)} received`
    : 'nothing yet';
  return (
    <span
      class={`activity ${doing}`}
      title={`${said}; ${network}; ${card.type}, ${card.mac}; ${totals}`}
      data-testid={`network-${slot}`}
      data-direct={directPeers}
      data-relay={relay?.kind ?? 'none'}
    >
      <span class="lamp" aria-hidden="true" /> Net {slot}
      {address !== undefined && !trouble && <span data-testid={`network-address-${slot}`}> {address}</span>}
      <span class="hidden">{said}</span>
      {trouble && (
        <span class="trouble-text" role="status" data-testid={`network-trouble-${slot}`}>
          {trouble}
        </span>
      )}
    </span>
  );
}

const moved = (now: number | undefined, then: number | undefined): boolean =>
  now !== undefined && then !== undefined && now > then;

/** @returns undefined: all is well */
function troubleOf(
  { attachment }: NetworkCardConfig,
  relay: RelayState | undefined,
  activity: NetworkActivity | undefined,
): string | undefined {
  if (activity && !activity.cableConnected) return 'cable not connected';
  if (attachment.kind === 'null') return 'not attached';
  if (relay?.kind === 'attached' && relay.note) return relay.note;
  if (relay?.kind === 'refused') return `no network: ${relay.message}`;
  if (relay?.kind === 'waiting') {
    const seconds = Math.ceil(relay.ms / 1000);
    return `the relay cannot be reached; trying again within ${seconds} s`;
  }
  return undefined;
}
