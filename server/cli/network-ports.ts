// From what a card is attached to, to the end of its cable.

import { CodedError } from '#base/errors.ts';
import type { NetworkCardConfig } from '#emu/host/network-card.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';

/** @returns by slot @throws CodedError<'no-network'> */
export function connectNetwork(cards: readonly NetworkCardConfig[]): Record<number, PacketPort> {
  for (const { slot, attachment } of cards) {
    if (attachment.kind === 'null') continue;
    const message = `network card ${slot} cannot be attached to '${attachment.kind}' yet; use --nic${slot} null`;
    throw new CodedError('no-network', message, { slot });
  }
  return {};
}
