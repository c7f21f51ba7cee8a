// Echo to addresses of the host's world. Node has no ICMP sockets, so the host's own `ping` asks.

import { execFile } from 'node:child_process';
import { formatIp, type IpBytes } from '../../src/net-relay/wire/address.ts';

const SECONDS = 3;

/** Whether an echo came back within three seconds; false when the host has no `ping`. */
export function pingOnce(address: IpBytes): Promise<boolean> {
  const args = ['-n', '-q', '-c', '1', '-W', String(SECONDS), formatIp(address)];
  return new Promise((resolve) => {
    execFile('ping', args, { timeout: (SECONDS + 2) * 1000 }, (error) => resolve(error === null));
  });
}
