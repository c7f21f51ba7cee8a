// Echo to addresses of the host's world. Node has no ICMP sockets, so the host's own `ping` asks, or BusyBox's.

import { execFile } from 'node:child_process';
import { formatIp, type IpBytes } from '../../src/net-relay/wire/address.ts';

const SECONDS = 3;
/** In the order in which they are tried, with what BusyBox does not know. */
const PROGRAMS: readonly (readonly [string, ...string[]])[] = [
  ['ping', '-n'],
  ['busybox', 'ping'],
];

/** Whether an echo came back within three seconds; false when the host has none of the programs. */
export async function pingOnce(address: IpBytes): Promise<boolean> {
  for (const [program, ...args] of PROGRAMS) {
    const answer = await run(program, [...args, '-q', '-c', '1', '-W', String(SECONDS), formatIp(address)]);
    if (answer !== undefined) return answer;
  }
  return false;
}

/** @returns undefined when there is no such program */
function run(program: string, args: readonly string[]): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: (SECONDS + 2) * 1000 }, (error) =>
      resolve(error?.code === 'ENOENT' ? undefined : error === null),
    );
  });
}
