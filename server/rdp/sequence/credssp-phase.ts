/** Between negotiation and settings, where it was chosen: network level authentication. Source: [MS-CSSP] 3.1.5. */
import { PROTOCOL } from '../pdu/x224.ts';
import { CredSspServer, type CredSspSettings } from '../security/credssp.ts';
import { BasicSettings } from './basic-settings.ts';
import { type ConnectionState, type Phase, Refused } from './phase.ts';

/** [MS-RDPBCGR] 2.2.10.2, Early User Authorization Result. */
const AUTHORIZED = Uint8Array.of(0, 0, 0, 0);

export class CredSspPhase implements Phase {
  readonly framing = 'der';
  readonly #state: ConnectionState;
  readonly #server: CredSspServer;

  constructor(state: ConnectionState, settings: CredSspSettings) {
    this.#state = state;
    this.#server = new CredSspServer(settings, state.host.random);
  }

  async receive(packet: Uint8Array): Promise<Phase> {
    const state = this.#state;
    await state.host.slowDown('');
    const { send, done, failed } = this.#server.receive(packet);
    if (send) state.host.send(send);
    if (failed !== undefined) {
      state.host.onWrongPassword();
      throw new Refused({ errorInfo: 0, why: failed });
    }
    if (!done) return this;
    state.proven = done;
    if (state.selectedProtocol === PROTOCOL.hybridEx) state.host.send(AUTHORIZED);
    return new BasicSettings(state);
  }
}
