// Addresses and names of the host's own.

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type IpBytes, parseIp } from '../../src/net-relay/wire/address.ts';

/** Of all its interfaces, loopback among them. */
export function ownAddresses(): IpBytes[] {
  return all().flatMap(({ address }) => canonical(address));
}

/** An IPv4 address under which the host is known to others: what listens on all addresses, or on this, is there. */
export function outerAddress(): IpBytes | undefined {
  return all()
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .flatMap(({ address }) => canonical(address))[0];
}

const all = () => Object.values(networkInterfaces()).flatMap((list) => list ?? []);

function canonical(text: string): IpBytes[] {
  const ip = parseIp(text.split('%')[0]);
  return ip ? [ip] : [];
}

const MOST_NAME = 253;

/**
 * The host's DNS domain. Source: man 5 resolv.conf: the last of `search` and `domain` counts.
 * Not modelled: hosts without that file; more than the first domain of the search list.
 * @returns '' when there is none
 */
export function hostDomain(path = '/etc/resolv.conf'): string {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return '';
  }
  const name = [...text.matchAll(/^[ \t]*(?:search|domain)[ \t]+(\S+)/gm)].at(-1)?.[1] ?? '';
  return name.length <= MOST_NAME && /^[\w-]+(\.[\w-]+)*\.?$/.test(name) ? name.replace(/\.$/, '') : '';
}
