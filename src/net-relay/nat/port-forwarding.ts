// Rules of port forwarding, in the words of `VBoxManage modifyvm --natpf1`.

import { CodedError } from '#base/errors.ts';
import { parseIp } from '../wire/address.ts';

export interface ForwardRule {
  readonly name: string;
  readonly protocol: 'tcp' | 'udp';
  /** Text; empty: the host's loopback addresses' default, see the driver. */
  readonly hostIp: string;
  /** 0: any free one. */
  readonly hostPort: number;
  /** Text; empty: the first address that DHCP gives out. */
  readonly guestIp: string;
  readonly guestPort: number;
}

const FORM = 'name,tcp|udp,hostip,hostport,guestip,guestport';

/**
 * `name,tcp|udp,hostip,hostport,guestip,guestport`; both addresses may be empty, and so may the name.
 * @throws CodedError<'bad-rule'>
 */
export function parseForwardRule(text: string): ForwardRule {
  const parts = text.split(',').map((part) => part.trim());
  const bad = (why: string): CodedError<'bad-rule'> =>
    new CodedError('bad-rule', `port forwarding rule '${text}': ${why}; a rule is ${FORM}`);
  if (parts.length !== 6) throw bad(`it has ${parts.length} parts instead of 6`);
  const [name, protocol, hostIp, hostPort, guestIp, guestPort] = parts;
  const lower = protocol.toLowerCase();
  if (lower !== 'tcp' && lower !== 'udp') throw bad(`'${protocol}' is neither tcp nor udp`);
  for (const ip of [hostIp, guestIp]) if (ip !== '' && !parseIp(ip)) throw bad(`'${ip}' is not an IP address`);
  const port = (word: string, least: number): number => {
    const value = /^\d{1,5}$/.test(word) ? Number(word) : Number.NaN;
    if (least <= value && value <= 0xffff) return value;
    throw bad(`'${word}' is not a port from ${least} to 65535`);
  };
  const rule = {
    protocol: lower,
    hostIp,
    hostPort: port(hostPort, 0),
    guestIp,
    guestPort: port(guestPort, 1),
  } as const;
  // VirtualBox's own name for a rule without one.
  return { name: name === '' ? `${lower}_${hostPort}_${guestPort}` : name, ...rule };
}

export const formatForwardRule = (rule: ForwardRule): string =>
  [rule.name, rule.protocol, rule.hostIp, rule.hostPort, rule.guestIp, rule.guestPort].join(',');
