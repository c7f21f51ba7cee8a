/**
 * Sixth phase: capabilities and finalization; entered again when the size of the screen changes.
 * Source: [MS-RDPBCGR] 1.3.1.1, 1.3.1.3 (deactivation-reactivation), 2.2.1.13 to 2.2.1.22.
 */
import { decodeClientCapabilities, encodeServerCapabilities } from '../pdu/capabilities.ts';
import { EARLY_CAPABILITY } from '../pdu/gcc.ts';
import {
  CONTROL,
  controlBody,
  decodeConfirmActive,
  decodeShareControl,
  decodeShareData,
  encodeDemandActive,
  fontMapBody,
  monitorLayoutBody,
  SHARE_CONTROL,
  SHARE_DATA,
  synchronizeBody,
} from '../pdu/share.ts';
import { isTpkt } from '../pdu/tpkt.ts';
import { Active } from './active.ts';
import { IO_CHANNEL_ID, SERVER_CHANNEL_ID, SHARE_ID } from './link.ts';
import { type ConnectionState, type Phase, Refused } from './phase.ts';

export class Activation implements Phase {
  readonly framing = 'rdp';
  readonly #state: ConnectionState;
  #isConfirmed = false;

  private constructor(state: ConnectionState) {
    this.#state = state;
  }

  /** Demands that the client be active at the size the screen has now. */
  static begin(state: ConnectionState): Activation {
    const { width, height } = state.host.screen();
    const sets = encodeServerCapabilities({ width, height, bitsPerPixel: state.bitsPerPixel });
    state.link.sendToChannel(IO_CHANNEL_ID, encodeDemandActive(SHARE_ID, SERVER_CHANNEL_ID, sets));
    return new Activation(state);
  }

  receive(packet: Uint8Array): Phase {
    const { link, session } = this.#state;
    if (!isTpkt(packet)) {
      // What was typed while the old share ended; decrypted, so that the keys keep step.
      link.receiveFastPath(packet);
      return this;
    }
    const data = link.receiveData(packet);
    if (!data) throw new Refused({ errorInfo: 0, why: 'the client left' });
    if (data.channelId !== IO_CHANNEL_ID) {
      // Channels outlive shares.
      session.onChannelData(data.channelId, data.payload);
      return this;
    }
    let next: Phase = this;
    while (data.payload.remaining >= 6 && next === this) {
      const { type, body } = decodeShareControl(data.payload);
      if (type === SHARE_CONTROL.confirmActive) {
        const { count, sets } = decodeConfirmActive(body);
        this.#state.capabilities = decodeClientCapabilities(sets, count);
        this.#isConfirmed = true;
      } else if (type === SHARE_CONTROL.data) next = this.#finalize(decodeShareData(body));
    }
    return next;
  }

  #tellMonitors(): void {
    const { link, host, client } = this.#state;
    const monitors = host.monitors();
    const listens = ((client?.core.earlyCapabilities ?? 0) & EARLY_CAPABILITY.monitorLayout) !== 0;
    if (listens && monitors.length > 1) link.sendShareData(SHARE_DATA.monitorLayout, monitorLayoutBody(monitors));
  }

  #finalize({ type, body }: ReturnType<typeof decodeShareData>): Phase {
    const { link, host } = this.#state;
    if (!this.#isConfirmed) return this;
    if (type === SHARE_DATA.synchronize) {
      this.#tellMonitors();
      link.sendShareData(type, synchronizeBody(link.userId));
    } else if (type === SHARE_DATA.control) {
      const action = body.u16();
      if (action === CONTROL.cooperate) link.sendShareData(type, controlBody(CONTROL.cooperate, 0, 0));
      else if (action === CONTROL.request) {
        link.sendShareData(type, controlBody(CONTROL.granted, link.userId, SERVER_CHANNEL_ID));
      }
    } else if (type === SHARE_DATA.fontList) {
      link.sendShareData(SHARE_DATA.fontMap, fontMapBody());
      const active = new Active(this.#state);
      host.onActive();
      return active;
    }
    return this;
  }
}
