// The options of `tabbox run` for showing the machine to others by a link.

import { CodedError } from '#base/errors.ts';
import { ANY_NUMBER_OF_USES, ROLES, type Role } from '#display/stream/messages.ts';
import { parseLife } from './token.ts';

export interface ShareOptions {
  /** Address of the server whose relay is used. */
  readonly server: string;
  /** Undefined: signed with this computer's key. */
  readonly token: string | undefined;
  readonly role: Role;
  /** Seconds; 0: until the machine ends. */
  readonly lifetime: number;
  readonly uses: number | undefined;
}

/** Where `npm start` and `tabbox serve` listen. */
export const DEFAULT_SERVER = 'http://127.0.0.1:8086/';

export const SHARE_HELP = `  Sharing
    --share SERVER           print a link that shows the machine to others, through the relay of tabbox serve at
                             SERVER, as ${DEFAULT_SERVER}; tabbox share OPTIONS is run --share with that one
    --share-role ROLE        what the link allows: ${ROLES.join(', ')} (default: view)
    --share-life TIME        how long it is valid: 90s, 15m, 12h, 30d (default: until the machine ends)
    --share-uses N           how many people it lets in (default: any number)
    --share-token TOKEN      for the relay of another computer: of tabbox token --rights '{"session": {"host": true}}'
`;

const text = { type: 'string' } as const;
/** For `parseArgs`. */
export const SHARE_OPTIONS = {
  share: text,
  'share-role': text,
  'share-life': text,
  'share-uses': text,
  'share-token': text,
} as const;

export type ShareValues = { readonly [name in keyof typeof SHARE_OPTIONS]?: string | undefined };

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** @throws CodedError<'usage'> */
export function parseShareOptions(values: ShareValues): ShareOptions | undefined {
  const { share, 'share-role': role = 'view', 'share-life': life, 'share-uses': uses, 'share-token': token } = values;
  if (share === undefined) {
    const stray = Object.keys(SHARE_OPTIONS).find((name) => values[name as keyof ShareValues] !== undefined);
    if (stray !== undefined) throw usage(`--${stray} needs --share; give both`);
    return undefined;
  }
  if (!URL.canParse(share) || !/^https?:$/.test(new URL(share).protocol)) {
    throw usage(`--share takes the address of a server, as ${DEFAULT_SERVER}, not '${share}'`);
  }
  const known = ROLES.find((one) => one === role);
  if (!known) throw usage(`--share-role takes ${ROLES.join(', ')}, not '${role}'`);
  return {
    ...{ server: new URL('.', share).href, token, role: known },
    lifetime: life === undefined ? 0 : parseLife(life),
    uses: uses === undefined ? undefined : parseUses(uses),
  };
}

function parseUses(given: string): number {
  const count = /^\d{1,5}$/.test(given) ? Number(given) : 0;
  if (0 < count && count < ANY_NUMBER_OF_USES) return count;
  throw usage(`--share-uses takes a number from 1 to ${ANY_NUMBER_OF_USES - 1}, not '${given}'`);
}
