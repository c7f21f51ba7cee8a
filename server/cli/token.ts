// `tabbox token`: prints a join token of this computer's relay, for somebody else's page.

import { parseArgs } from 'node:util';
import { CodedError } from '#base/errors.ts';
import { JoinTokens, loadTokenKey, stateDirectory } from '../relay/join-tokens.ts';
import { STATUS } from './machine-messages.ts';

const USAGE = `usage: tabbox token --subject NAME --rights JSON [--life TIME] [--state DIRECTORY]
  --subject NAME      machine or session that the token is for
  --rights JSON       what it may do, by service: {"metrics": {}}; server/relay/README.md names the services
  --life TIME         how long one can join with it: 90s, 15m, 12h, 30d (default: 12h)
  --state DIRECTORY   where the relay's key is kept (default: ~/.local/state/tabbox)
`;
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** @returns seconds @throws CodedError<'usage'> */
export function parseLife(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count && unit) return Number(count) * UNIT_SECONDS[unit];
  throw usage(`a time is a number and s, m, h or d, not '${text}'`);
}

function parseRights(text: string): Record<string, unknown> {
  let rights: unknown;
  try {
    rights = JSON.parse(text);
  } catch (cause) {
    throw usage(`--rights is no JSON: ${(cause as Error).message}`);
  }
  if (typeof rights === 'object' && rights !== null && !Array.isArray(rights)) return { ...rights };
  throw usage('--rights takes an object, as {"metrics": {}}');
}

/** @param args behind `tabbox token` */
export async function tokenCommand(args: readonly string[]): Promise<number> {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        subject: { type: 'string' },
        rights: { type: 'string' },
        life: { type: 'string', default: '12h' },
        state: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return STATUS.ok;
    }
    const { subject, rights, life, state } = values;
    if (subject === undefined || rights === undefined) throw usage('--subject and --rights are needed');
    const tokens = new JoinTokens(loadTokenKey(state ?? stateDirectory()));
    const token = await tokens.issue({ subject, rights: parseRights(rights), lifeSeconds: parseLife(life) });
    process.stdout.write(`${token}\n`);
    return STATUS.ok;
  } catch (error) {
    // parseArgs throws TypeErrors with messages for people.
    if (!(error instanceof CodedError || error instanceof TypeError)) throw error;
    process.stderr.write(`tabbox token: ${error.message}\n${USAGE}`);
    return STATUS.usage;
  }
}
