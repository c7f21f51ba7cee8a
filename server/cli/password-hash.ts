// `tabbox passwordhash`: what goes into extradata instead of a password.

import { CodedError } from '#base/errors.ts';
import { ntHash } from '../rdp/security/ntlm.ts';
import { simpleHash } from '../rdp/security/users.ts';

const HELP = `usage: tabbox passwordhash [PASSWORD]

Prints the hashes of a password, which is read from the standard input when it is not given.
The first goes to --extradata VBoxAuthSimple/users/NAME=..., the second to TabBox/nt-hashes/NAME=...
`;

/** @returns the exit status */
export async function passwordHashCommand(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  if (args.length > 1) throw new CodedError('usage', 'passwordhash takes one password');
  const password = args[0] ?? (await firstLine());
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  process.stdout.write(`Password hash: ${hex(simpleHash(password))}\nNT hash: ${hex(ntHash(password))}\n`);
  return 0;
}

async function firstLine(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  return text.split(/\r?\n/)[0];
}
