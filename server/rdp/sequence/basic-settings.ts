/** Second phase: settings of both sides in the MCS connect PDUs. Source: [MS-RDPBCGR] 1.3.1.1, 2.2.1.3, 2.2.1.4. */
import { PduError } from '../pdu/bytes.ts';
import {
  decodeConferenceCreateRequest,
  EARLY_CAPABILITY,
  ENCRYPTION_LEVEL,
  ENCRYPTION_METHOD,
  encodeConferenceCreateResponse,
} from '../pdu/gcc.ts';
import { decodeConnectInitial, encodeConnectResponse } from '../pdu/mcs.ts';
import { decodeData, PROTOCOL } from '../pdu/x224.ts';
import { chooseMethod, RANDOM_BYTES } from '../security/standard-security.ts';
import { ChannelConnection } from './channel-connection.ts';
import { FIRST_CHANNEL_ID, IO_CHANNEL_ID } from './link.ts';
import type { ConnectionState, Phase } from './phase.ts';

/** Depths a session can have; others are rounded up to the next. */
const DEPTHS = [8, 15, 16, 24, 32] as const;

export class BasicSettings implements Phase {
  readonly framing = 'rdp';
  readonly #state: ConnectionState;

  constructor(state: ConnectionState) {
    this.#state = state;
  }

  receive(packet: Uint8Array): Phase {
    const state = this.#state;
    const client = decodeConferenceCreateRequest(decodeConnectInitial(decodeData(packet)));
    const { selectedProtocol } = client.core;
    // Somebody in between has changed the negotiation.
    if (selectedProtocol !== undefined && selectedProtocol !== state.selectedProtocol) {
      throw new PduError('client and server understood different security protocols', { selectedProtocol });
    }
    state.client = client;
    state.bitsPerPixel = DEPTHS.find((depth) => depth >= client.core.colorDepth) ?? 32;
    client.channels.forEach(({ name }, i) => {
      state.channels.set(FIRST_CHANNEL_ID + i, name.toLowerCase());
    });
    state.link.userId = FIRST_CHANNEL_ID + client.channels.length;
    // Behind standard security its headers would not be told from those of encryption.
    const canMeasure =
      client.hasMessageChannel && (client.core.earlyCapabilities & EARLY_CAPABILITY.networkAutoDetect) !== 0;
    if (canMeasure && state.selectedProtocol !== PROTOCOL.rdp) state.messageChannelId = state.link.userId + 1;
    const security = state.selectedProtocol === PROTOCOL.rdp ? this.#standardSecurity(client.encryptionMethods) : NONE;
    const response = encodeConferenceCreateResponse({
      ...security,
      requestedProtocols: state.requestedProtocols,
      ioChannelId: IO_CHANNEL_ID,
      channelIds: [...state.channels.keys()],
      messageChannelId: state.messageChannelId,
    });
    state.link.sendMcs(encodeConnectResponse(response));
    return new ChannelConnection(state);
  }

  #standardSecurity(methods: number) {
    const state = this.#state;
    const encryptionMethod = chooseMethod(methods);
    if (encryptionMethod === ENCRYPTION_METHOD.none) {
      throw new PduError('a client without TLS has no encryption that is supported', { methods });
    }
    const random = state.host.random(RANDOM_BYTES);
    state.serverRandom = random;
    state.encryptionMethod = encryptionMethod;
    const { certificate } = state.host.standardKey();
    return { encryptionMethod, encryptionLevel: ENCRYPTION_LEVEL.clientCompatible, random, certificate };
  }
}

const NONE = { encryptionMethod: ENCRYPTION_METHOD.none, encryptionLevel: ENCRYPTION_LEVEL.none };
