/** Third phase: the client attaches and joins its channels. Source: [MS-RDPBCGR] 1.3.1.1, 2.2.1.5 to 2.2.1.9. */
import { PduError } from '../pdu/bytes.ts';
import { decodeDomainPdu, encodeAttachUserConfirm, encodeChannelJoinConfirm } from '../pdu/mcs.ts';
import { decodeData } from '../pdu/x224.ts';
import { IO_CHANNEL_ID } from './link.ts';
import { Logon } from './logon.ts';
import { type ConnectionState, type Phase, Refused } from './phase.ts';
import { SecurityExchange } from './security-exchange.ts';

export class ChannelConnection implements Phase {
  readonly framing = 'rdp';
  readonly #state: ConnectionState;
  readonly #joined = new Set<number>();
  #isAttached = false;

  constructor(state: ConnectionState) {
    this.#state = state;
  }

  receive(packet: Uint8Array): Phase | Promise<Phase> {
    const { link } = this.#state;
    const pdu = decodeDomainPdu(decodeData(packet));
    switch (pdu.kind) {
      case 'erectDomain':
        return this;
      case 'attachUser':
        this.#isAttached = true;
        link.sendMcs(encodeAttachUserConfirm(link.userId));
        return this;
      case 'channelJoin':
        this.#join(pdu.channelId);
        return this;
      case 'disconnect':
        throw new Refused({ errorInfo: 0, why: 'the client left' });
      case 'data':
        if (!this.#isAttached || !this.#joined.has(IO_CHANNEL_ID)) {
          throw new PduError('a client sends data to a channel it has not joined', { channel: pdu.channelId });
        }
        return this.#next().receive(packet);
    }
  }

  #join(channelId: number): void {
    const { link, channels, messageChannelId } = this.#state;
    const isOurs = [IO_CHANNEL_ID, link.userId, messageChannelId].includes(channelId);
    const exists = isOurs || channels.has(channelId);
    if (exists) this.#joined.add(channelId);
    link.sendMcs(encodeChannelJoinConfirm(link.userId, channelId, exists));
  }

  #next(): Phase {
    return this.#state.serverRandom ? new SecurityExchange(this.#state) : new Logon(this.#state);
  }
}
