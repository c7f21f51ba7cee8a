/**
 * DNS answers out of the host's own way to resolve names (its hosts file, its domain, its multicast names): VirtualBox's
 * --natdnshostresolverN. Source: RFC 1035, section 4; RFC 3596 (AAAA).
 * Not modelled: other questions than for addresses, which go to the name servers.
 */
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { parseIp } from '../../src/net-relay/wire/address.ts';
import { concat, put16, u16 } from '../../src/net-relay/wire/bytes.ts';

const HEADER_BYTES = 12;
const TYPE = { a: 1, aaaa: 28 } as const;
const CLASS_INTERNET = 1;
const TTL_SECONDS = 60;
const MOST_NAME_BYTES = 255;
/** RCODE. */
const CODE = { none: 0, serverFailure: 2, noSuchName: 3 } as const;

interface Question {
  readonly name: string;
  readonly family: 4 | 6;
  /** One behind it. */
  readonly end: number;
}

/** @returns undefined when it does not ask for the addresses of one name */
function questionOf(query: Uint8Array): Question | undefined {
  if (query.length < HEADER_BYTES || u16(query, 4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at] ?? 64; length !== 0; length = query[at]) {
    const end = at + 1 + length;
    // Two bits are for compression, which a question has no use for. The name's end is still to come.
    if (length > 63 || end >= query.length || end - HEADER_BYTES > MOST_NAME_BYTES) return undefined;
    labels.push(String.fromCharCode(...query.subarray(at + 1, end)));
    at = end;
  }
  if (labels.length === 0 || query.length < at + 5 || u16(query, at + 3) !== CLASS_INTERNET) return undefined;
  const type = u16(query, at + 1);
  // What is no host name is nothing for the host to look for.
  if ((type !== TYPE.a && type !== TYPE.aaaa) || !labels.every((label) => /^[\w-]+$/.test(label))) return undefined;
  return { name: labels.join('.'), family: type === TYPE.a ? 4 : 6, end: at + 5 };
}

/** @returns the response, or undefined when the question is none for the host */
export async function hostNames(query: Uint8Array): Promise<Uint8Array | undefined> {
  const question = questionOf(query);
  if (!question) return undefined;
  const { name, family, end } = question;
  const found = await lookup(name, { all: true }).catch((error: NodeJS.ErrnoException) => error.code);
  if (Array.isArray(found)) {
    return response(
      query,
      end,
      CODE.none,
      found.filter((one) => one.family === family),
    );
  }
  return response(query, end, found === 'ENOTFOUND' ? CODE.noSuchName : CODE.serverFailure, []);
}

function response(query: Uint8Array, end: number, code: number, addresses: readonly LookupAddress[]): Uint8Array {
  const records = addresses.flatMap(({ address }) => {
    const ip = parseIp(address);
    return ip ? [recordOf(ip)] : [];
  });
  const reply = concat(query.subarray(0, end), ...records);
  // QR; the query's opcode and RD; RA.
  reply[2] = (query[2] & 0x79) | 0x80;
  reply[3] = 0x80 | code;
  put16(reply, 6, records.length);
  reply.fill(0, 8, HEADER_BYTES);
  return reply;
}

function recordOf(ip: Uint8Array): Uint8Array {
  const record = new Uint8Array(12 + ip.length);
  // The name is the question's.
  put16(record, 0, 0xc000 | HEADER_BYTES);
  put16(record, 2, ip.length === 4 ? TYPE.a : TYPE.aaaa);
  put16(record, 4, CLASS_INTERNET);
  put16(record, 8, TTL_SECONDS);
  put16(record, 10, ip.length);
  record.set(ip, 12);
  return record;
}
