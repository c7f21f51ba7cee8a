// Where firmware comes from when none is named: the same rule as guestsDirectory() of bin/prepare.mjs, which is not part
// of the build.

import { homedir } from 'node:os';
import { join } from 'node:path';

export function guestsDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(environment['TABBOX_CACHE'] || join(base, 'tabbox'), 'guests');
}
