/** Last phase: the session runs. Input comes in, and what the client wants to see. Source: [MS-RDPBCGR] 1.3.1.1, 2.2.8, 2.2.11. */
import { decodeSlowPathInput } from '../pdu/input.ts';
import { encodeDisconnectUltimatum, MCS_REASON } from '../pdu/mcs.ts';
import { decodeShareControl, decodeShareData, decodeSuppressOutput, SHARE_CONTROL, SHARE_DATA } from '../pdu/share.ts';
import { isTpkt } from '../pdu/tpkt.ts';
import { IO_CHANNEL_ID } from './link.ts';
import { type ConnectionState, type Phase, Refused } from './phase.ts';

export class Active implements Phase {
  readonly framing = 'rdp';
  readonly #state: ConnectionState;

  constructor(state: ConnectionState) {
    this.#state = state;
  }

  receive(packet: Uint8Array): Phase {
    const { link, session } = this.#state;
    if (!isTpkt(packet)) {
      for (const event of link.receiveFastPath(packet)) session.onInput(event);
      return this;
    }
    const data = link.receiveData(packet);
    if (!data) throw new Refused({ errorInfo: 0, why: 'the client left' });
    if (data.channelId !== IO_CHANNEL_ID) {
      session.onChannelData(data.channelId, data.payload);
      return this;
    }
    while (data.payload.remaining >= 6) {
      const { type, body } = decodeShareControl(data.payload);
      if (type === SHARE_CONTROL.data) this.#take(decodeShareData(body));
    }
    return this;
  }

  #take({ type, body }: ReturnType<typeof decodeShareData>): void {
    const { link, session } = this.#state;
    switch (type) {
      case SHARE_DATA.input:
        for (const event of decodeSlowPathInput(body)) session.onInput(event);
        return;
      case SHARE_DATA.refreshRect:
        session.onRefresh();
        return;
      case SHARE_DATA.suppressOutput:
        session.onSuppress(!decodeSuppressOutput(body));
        return;
      case SHARE_DATA.frameAcknowledge:
        session.onFrameAcknowledged(body.u32());
        return;
      case SHARE_DATA.shutdownRequest:
        // Nobody is logged on whom a question would have to be asked.
        link.sendMcs(encodeDisconnectUltimatum(MCS_REASON.userRequested));
        throw new Refused({ errorInfo: 0, why: 'the client left' });
    }
  }
}
