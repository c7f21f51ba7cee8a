/** First phase: which security protocol. Source: [MS-RDPBCGR] 1.3.1.1, 2.2.1.1, 2.2.1.2, 5.4.5. */
import {
  type ConnectionAnswer,
  decodeConnectionRequest,
  encodeConnectionConfirm,
  NEGOTIATION_FAILURE,
  PROTOCOL,
  RESPONSE_FLAG,
} from '../pdu/x224.ts';
import { BasicSettings } from './basic-settings.ts';
import { CredSspPhase } from './credssp-phase.ts';
import { type ConnectionState, type Phase, Refused, type SecurityPolicy } from './phase.ts';

export class Negotiation implements Phase {
  readonly framing = 'rdp';
  readonly #state: ConnectionState;

  constructor(state: ConnectionState) {
    this.#state = state;
  }

  receive(packet: Uint8Array): Phase {
    const state = this.#state;
    const { policy, send, startTls } = state.host;
    const { cookie, protocols } = decodeConnectionRequest(packet);
    state.cookie = cookie;
    state.requestedProtocols = protocols ?? PROTOCOL.rdp;
    const answer = answerTo(protocols, policy);
    send(encodeConnectionConfirm(answer));
    if (answer.kind === 'failure') throw new Refused({ errorInfo: 0, why: `no common security (${answer.code})` });
    state.selectedProtocol = answer.kind === 'selected' ? answer.protocol : PROTOCOL.rdp;
    if (state.selectedProtocol === PROTOCOL.rdp) return new BasicSettings(state);
    startTls();
    if (state.selectedProtocol === PROTOCOL.ssl || !policy.credSsp) return new BasicSettings(state);
    return new CredSspPhase(state, policy.credSsp);
  }
}

/** @param requested undefined: the client does not negotiate */
export function answerTo(requested: number | undefined, policy: SecurityPolicy): ConnectionAnswer {
  const { method, credSsp, credSspOnly } = policy;
  const asked = requested ?? PROTOCOL.rdp;
  const selected = (protocol: number): ConnectionAnswer => ({
    ...{ kind: 'selected', protocol },
    flags: RESPONSE_FLAG.extendedClientData | RESPONSE_FLAG.graphicsPipeline,
  });
  if (method !== 'rdp') {
    if (credSsp && asked & PROTOCOL.hybridEx) return selected(PROTOCOL.hybridEx);
    if (credSsp && asked & PROTOCOL.hybrid) return selected(PROTOCOL.hybrid);
    if (credSspOnly) return { kind: 'failure', code: NEGOTIATION_FAILURE.hybridRequired };
    if (asked & PROTOCOL.ssl) return selected(PROTOCOL.ssl);
    if (method === 'tls') return { kind: 'failure', code: NEGOTIATION_FAILURE.sslRequired };
  }
  if (requested === undefined) return { kind: 'none' };
  // A client that asks for something else only must not be led to less.
  if (asked !== PROTOCOL.rdp) return { kind: 'failure', code: NEGOTIATION_FAILURE.sslNotAllowed };
  return selected(PROTOCOL.rdp);
}
