/** Fourth phase, with standard security only: the client's random number, and with it keys. Source: [MS-RDPBCGR] 2.2.1.10. */
import { PduError } from '../pdu/bytes.ts';
import { SEC } from '../pdu/security-header.ts';
import { StandardSecurity } from '../security/standard-security.ts';
import { Logon } from './logon.ts';
import { type ConnectionState, type Phase, Refused } from './phase.ts';

export class SecurityExchange implements Phase {
  readonly framing = 'rdp';
  readonly #state: ConnectionState;

  constructor(state: ConnectionState) {
    this.#state = state;
  }

  receive(packet: Uint8Array): Phase {
    const state = this.#state;
    const data = state.link.receiveData(packet, true);
    if (!data) throw new Refused({ errorInfo: 0, why: 'the client left' });
    if ((data.flags & SEC.exchange) === 0) throw new PduError('a client sends no random number', { flags: data.flags });
    const encrypted = data.payload.take(data.payload.u32());
    const clientRandom = state.host.standardKey().decryptRandom(encrypted);
    state.clientRandom = clientRandom;
    const serverRandom = state.serverRandom ?? new Uint8Array(0);
    state.link.security = new StandardSecurity(clientRandom, serverRandom, state.encryptionMethod);
    return new Logon(state);
  }
}
