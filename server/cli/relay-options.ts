// The options of `tabbox run` for a relay where its machine meets others.

import { hostname } from 'node:os';
import type { RelayPlace } from '../net/relay-link.ts';
import { JoinTokens, loadTokenKey, stateDirectory } from '../relay/join-tokens.ts';
import { usage } from './nic-values.ts';

export interface RelayOptions {
  readonly server: string;
  /** Undefined: signed with this computer's key. */
  readonly token: string | undefined;
}

export const RELAY_HELP = `    --relay SERVER           cards of internal and NAT networks meet those of other machines and tabs through the relay of
                             tabbox serve at SERVER, such as http://127.0.0.1:8086/
    --relay-token TOKEN      for the relay of another computer: of tabbox token --rights '{"net": {"intnet": ["lab"]}}'
`;

const text = { type: 'string' } as const;
/** For `parseArgs`. */
export const RELAY_OPTIONS = { relay: text, 'relay-token': text } as const;

/** @throws CodedError<'usage'> */
export function parseRelayOptions(values: {
  readonly relay?: string | undefined;
  readonly 'relay-token'?: string | undefined;
}): RelayOptions | undefined {
  const { relay, 'relay-token': token } = values;
  if (relay === undefined) {
    if (token !== undefined) throw usage('--relay-token needs --relay; give both');
    return undefined;
  }
  if (!URL.canParse(relay) || !/^https?:$/.test(new URL(relay).protocol)) {
    throw usage(`--relay takes the address of a server, as http://127.0.0.1:8086/, not '${relay}'`);
  }
  return { server: new URL('.', relay).href, token };
}

const TOKEN_SECONDS = 3600;
/** Whoever has the key could give himself any. */
const OWN_RIGHTS = { nat: { private: true }, intnet: '*', natnetwork: '*', promiscuous: true, otherMacs: true };

export function relayPlace({ server, token }: RelayOptions, say: (text: string) => void): RelayPlace {
  const subject = `tabbox run ${process.pid} on ${hostname()}`;
  const ownToken = (): Promise<string> =>
    new JoinTokens(loadTokenKey(stateDirectory())).issue({
      ...{ subject, rights: { net: OWN_RIGHTS }, lifeSeconds: TOKEN_SECONDS },
    });
  return { server, say, token: async () => token ?? ownToken() };
}
