/**
 * Fifth phase: who it is, whether they may, and that they need no licence.
 * Source: [MS-RDPBCGR] 2.2.1.11 (client info), 2.2.1.12 (licensing).
 */
import { PduError } from '../pdu/bytes.ts';
import { decodeClientInfo } from '../pdu/client-info.ts';
import { encodeValidClient } from '../pdu/license.ts';
import { SEC } from '../pdu/security-header.ts';
import { ERROR_INFO } from '../pdu/share.ts';
import { takeScreen } from '../security/monitor-suffix.ts';
import { RANDOM_BYTES } from '../security/standard-security.ts';
import { Activation } from './activation.ts';
import { IO_CHANNEL_ID } from './link.ts';
import { type ConnectionState, type Credentials, type Phase, Refused } from './phase.ts';

export class Logon implements Phase {
  readonly framing = 'rdp';
  readonly #state: ConnectionState;

  constructor(state: ConnectionState) {
    this.#state = state;
  }

  async receive(packet: Uint8Array): Promise<Phase> {
    const state = this.#state;
    const data = state.link.receiveData(packet, true);
    if (!data) throw new Refused({ errorInfo: 0, why: 'the client left' });
    if ((data.flags & SEC.info) === 0) throw new PduError('a client does not say who it is', { flags: data.flags });
    state.info = decodeClientInfo(data.payload);
    const refusal = await state.host.authenticate(this.#credentials());
    if (!refusal && !state.host.chooseMonitor(state.screen)) {
      throw new Refused({ errorInfo: ERROR_INFO.rpcInitiatedDisconnect, why: `there is no screen ${state.screen}` });
    }
    if (refusal) throw new Refused(refusal);
    state.link.sendToChannel(IO_CHANNEL_ID, encodeValidClient(), SEC.license);
    return Activation.begin(state);
  }

  /** What CredSSP has proven counts; the info packet could name anybody. */
  #credentials(): Credentials {
    const { proven, info } = this.#state;
    const named = proven ?? info ?? { domain: '', userName: '', password: '' };
    const [domain, userName] = [takeScreen(named.domain), takeScreen(named.userName)];
    this.#state.screen = domain.screen ?? userName.screen;
    return {
      ...{ domain: domain.name, userName: userName.name, password: named.password },
      isProven: proven !== undefined,
      reconnect: info?.reconnect && {
        proof: info.reconnect,
        clientRandom: this.#state.clientRandom ?? new Uint8Array(RANDOM_BYTES),
      },
    };
  }
}
