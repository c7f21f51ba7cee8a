// The command `tabbox`.

import { STATUS } from './machine-messages.ts';
import { runCommand } from './run.ts';
import { DEFAULT_SERVER } from './share-options.ts';

const HELP = `usage: tabbox COMMAND [options]

  run     runs a machine without a page; see tabbox run --help
  share   runs a machine that others watch by a link; the options are those of run
  rdp     lets RDP clients into a session, by its link; see tabbox rdp --help
  serve   serves the page and the relay; see tabbox serve --help
  passwordhash  prints the hashes of a password for the remote display
  token   prints a join token for a relay; see tabbox token --help
  help    this text
`;

/** Built beside this file. */
const WORKERS = {
  machine: new URL('./machine-worker.js', import.meta.url),
  regions: new URL('./region-worker.js', import.meta.url),
};

/** A machine starts sooner when what serves pages has not been read before. */
async function main([command, ...args]: readonly string[]): Promise<number> {
  switch (command) {
    case 'run':
      return runCommand(args, WORKERS);
    case 'share':
      return runCommand(['--share', DEFAULT_SERVER, ...args], WORKERS);
    case 'rdp':
      return (await import('./rdp-link.ts')).rdpCommand(args);
    case 'serve':
      return (await import('./serve.ts')).serveCommand(args);
    case 'passwordhash':
      return (await import('./password-hash.ts')).passwordHashCommand(args);
    case 'token':
      return (await import('./token.ts')).tokenCommand(args);
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(HELP);
      return STATUS.ok;
    default:
      process.stderr.write(command === undefined ? HELP : `tabbox: there is no command '${command}'\n${HELP}`);
      return STATUS.usage;
  }
}

// A reader that goes away (tabbox run | head) is no error.
process.stdout.on('error', () => process.exit(STATUS.ok));
const status = await main(process.argv.slice(2));
// The terminal or a pipe may still take what was written; open handles of stdin must not keep the process.
process.stdout.write('', () => process.exit(status));
