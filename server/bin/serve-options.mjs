// The options of `npm start` and `tabbox serve`, in plain JavaScript because `npm start` reads them before it builds.

import { parseArgs } from 'node:util';

const FIRST_PORT = 8086;
const PORTS_TRIED = 100;

/** @param {string} command as a person types it */
export const serveUsage = (
  command,
) => `usage: ${command} [--port N] [--host ADDRESS] [--tls-certificate FILE --tls-key FILE]
  --port N                port to listen on (default: ${FIRST_PORT}, or the next free one)
  --host ADDRESS          address to listen on (default: 127.0.0.1, this computer only)
  --tls-certificate FILE, --tls-key FILE   speak HTTPS; PEM files
  --natnetwork NAME[,...], --dhcpserver WHERE[,...], --hostonlyif IF,ip=IP[,netmask=MASK]
                          networks of pages, as tabbox run --help has them; may be repeated
  --state DIRECTORY       where the relay's key is kept (default: ~/.local/state/tabbox)
  --no-own-page-tokens    pages of this server join the relay only with a link that has a token
`;

/**
 * @param {readonly string[]} args
 * @throws Error whose message a person can act on
 */
export function parseServeOptions(args) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: 'string' },
      host: { type: 'string', default: '127.0.0.1' },
      'tls-certificate': { type: 'string' },
      'tls-key': { type: 'string' },
      natnetwork: { type: 'string', multiple: true, default: [] },
      dhcpserver: { type: 'string', multiple: true, default: [] },
      hostonlyif: { type: 'string', multiple: true, default: [] },
      state: { type: 'string' },
      'no-own-page-tokens': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { port, host } = values;
  if (port !== undefined && !(/^\d+$/.test(port) && Number(port) <= 65535)) {
    throw new Error(`--port takes a number from 0 to 65535, not '${port}'`);
  }
  if ((values['tls-certificate'] === undefined) !== (values['tls-key'] === undefined)) {
    throw new Error('--tls-certificate and --tls-key go together; give both');
  }
  return {
    help: values.help,
    host,
    ports: port === undefined ? Array.from({ length: PORTS_TRIED }, (_, i) => FIRST_PORT + i) : [Number(port)],
    tlsCertificate: values['tls-certificate'],
    tlsKey: values['tls-key'],
    natNetworks: values.natnetwork,
    dhcpServers: values.dhcpserver,
    hostOnlyInterfaces: values.hostonlyif,
    state: values.state,
    // Each request is checked: pages of other computers get none whatever the address listened on.
    ownPageTokens: !values['no-own-page-tokens'],
  };
}
