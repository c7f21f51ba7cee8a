// Whether a request comes from a page that this server gave to a browser on this computer. Such a page gets a token
// without anybody's doing; a page of another site, however it resolves its name, does not.

import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** What a proxy adds: its clients only look local. */
const FORWARDED = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'] as const;

export function isLoopback(address: string | undefined): boolean {
  if (!address) return false;
  const plain = address.replace(/^::ffff:/, '');
  return plain === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain);
}

/** Names that no resolver of an attacker's can point here: rebinding a name needs a name. */
const isLoopbackName = (name: string): boolean =>
  name === 'localhost' || isLoopback(name.startsWith('[') ? name.slice(1, -1) : name);

/** @returns why it is not, for the message; undefined: it is */
export function whyNotOwnPage(request: IncomingMessage): string | undefined {
  const { headers, socket } = request;
  if (!isLoopback(socket.remoteAddress) || !isLoopback(socket.localAddress)) return 'it comes from another computer';
  if (FORWARDED.some((name) => headers[name] !== undefined)) return 'it comes through a proxy';
  const scheme = (socket as TLSSocket).encrypted ? 'https' : 'http';
  const own = `${scheme}://${headers.host}`;
  if (headers.host === undefined || !URL.canParse(own)) return 'it does not name this server';
  if (!isLoopbackName(new URL(own).hostname)) return 'it names this server otherwise than as localhost';
  // Browsers send it with every POST, and no page can forge it.
  if (headers.origin !== own) return 'it is not of a page of this server';
  const site = headers['sec-fetch-site'];
  return site === undefined || site === 'same-origin' ? undefined : 'it is not of a page of this server';
}
