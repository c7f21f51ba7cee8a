// `tabbox rdp LINK`: any RDP client into a machine that somebody shares, be it in a tab or headless.

import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { CodedError } from '#base/errors.ts';
import { StreamDesktop } from '#display/sharing/stream-desktop.ts';
import { STATUS } from './machine-messages.ts';
import { parseVrde, VRDE_HELP, type VrdeOptions, vrdeOptions } from './vrde-options.ts';
import { openVrde } from './vrde-server.ts';

const HELP = `usage: tabbox rdp LINK [--name NAME] [options]

Joins a session by its link, as a browser would, and lets RDP clients see it and, if the link says so, type.
It ends when the session does.

  --name NAME                what others there see (default: RDP gateway)
${VRDE_HELP.replace('    --vrde on|off            (default: off)\n', '')}`;

interface RdpLinkOptions {
  /** Address of the server whose session it is. */
  readonly base: string;
  readonly token: string;
  readonly name: string;
  readonly vrde: VrdeOptions;
}

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);
const say = (text: string): void => void process.stderr.write(`tabbox: ${text}\n`);

/** @throws CodedError<'usage'>; `help` when that was asked for */
export function parseRdpLink(args: readonly string[]): RdpLinkOptions | 'help' {
  const { values, positionals } = parsed(args);
  if (values['help'] === true) return 'help';
  const [link, ...more] = positionals;
  if (link === undefined || more.length > 0) throw usage('give one link, as the Share dialog or tabbox share makes it');
  const address = URL.canParse(link) ? new URL(link) : undefined;
  const token = /^#join=(.+)$/.exec(address?.hash ?? '')?.[1];
  if (!address || token === undefined || !/^https?:$/.test(address.protocol)) {
    throw usage(`'${link}' is no link to a session: it looks like http://ADDRESS/#join=TOKEN`);
  }
  const vrde = parseVrde({ ...values, vrde: 'on' });
  if (!vrde) throw usage('the remote display is what this command is for; leave --vrde out');
  return { base: new URL('.', address).href, token, name: String(values['name'] ?? 'RDP gateway'), vrde };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, name: { type: 'string' }, ...vrdeOptions() },
    });
  } catch (cause) {
    throw usage((cause as Error).message);
  }
}

/** @param args behind `rdp`. @returns the exit status */
export async function rdpCommand(args: readonly string[]): Promise<number> {
  try {
    const options = parseRdpLink(args);
    if (options === 'help') {
      process.stdout.write(HELP);
      return STATUS.ok;
    }
    return await serve(options);
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    say(`${cause.message}\ntry 'tabbox rdp --help'`);
    return STATUS.usage;
  }
}

async function serve({ base, token, name, vrde }: RdpLinkOptions): Promise<number> {
  for (const warning of vrde.warnings) say(warning);
  const desktop = new StreamDesktop({
    ...{ base, token, name, key: '', onKey: () => {} },
    newSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as globalThis.WebSocket,
  });
  const { state } = desktop.viewer;
  const over = new Promise<string>((resolve) => {
    state.subscribe(({ connection, why }) => {
      if (connection === 'closed') resolve(why);
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(''));
  });
  const shown = new Promise<void>((resolve) => {
    state.subscribe(({ isShown }) => isShown && resolve());
  });
  await Promise.race([shown, over]);
  if (!state.value.isShown) {
    desktop.close();
    throw new CodedError('no-session', `the session cannot be joined: ${await over}`);
  }
  try {
    const gateway = await openVrde(desktop, vrde, say);
    say(`RDP clients reach ${state.value.machine} at ${gateway.address}`);
    const why = await over;
    if (why !== '') say(`the session is over: ${why}`);
    gateway.close();
    return STATUS.ok;
  } finally {
    desktop.close();
  }
}
