/**
 * Answers the guests' DNS queries: messages are handed to the host's name servers and back, untouched but for the id.
 * Source: RFC 1035 4, RFC 5452 9 (random ports and ids).
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { parseIp } from '../../src/net-relay/wire/address.ts';
import { put16, u16 } from '../../src/net-relay/wire/bytes.ts';
import { hostNames } from './host-names.ts';

const TRY_MS = 2500;
const TRIES = 4;
const SERVER_FAILURE = 2;

export interface NameServer {
  readonly address: string;
  readonly port: number;
}

export interface ResolverOptions {
  /** Undefined: those of the host. */
  readonly servers?: readonly NameServer[];
  /** Addresses are asked of the host's own resolver, which knows more names than its servers. */
  readonly asHost?: boolean;
}

/** `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1`, `[2001:db8::1]:53`. */
function parseServer(text: string): NameServer | undefined {
  const parts = /^\[(.*)\]:(\d+)$/.exec(text) ?? /^([\d.]+):(\d+)$/.exec(text);
  const address = (parts?.[1] ?? text).split('%')[0];
  return parseIp(address) ? { address, port: Number(parts?.[2] ?? 53) } : undefined;
}

export class NameResolver {
  readonly #options: ResolverOptions;

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** Name servers, in the order in which they are asked. Read anew, because a host moves between networks. */
  get servers(): readonly NameServer[] {
    return this.#options.servers ?? getServers().flatMap((text) => parseServer(text) ?? []);
  }

  /** @returns the response, or undefined when the query is no query */
  async resolve(query: Uint8Array): Promise<Uint8Array | undefined> {
    // A header, QR=0, one opcode that asks.
    if (query.length < 12 || (query[2] & 0x80) !== 0) return undefined;
    const own = this.#options.asHost ? await hostNames(query) : undefined;
    if (own) return own;
    for (let n = 0; n < TRIES; n++) {
      const { servers } = this;
      const server = servers[n % servers.length];
      if (!server) break;
      const reply = await exchange(query, server);
      if (reply) return reply;
    }
    return failure(query, SERVER_FAILURE);
  }
}

/** An answer that says why there is none: the query's header and question, nothing else. */
function failure(query: Uint8Array, code: number): Uint8Array {
  const reply = Uint8Array.from(query);
  reply[2] = (reply[2] & 0x79) | 0x80; // QR; OPCODE and RD are the query's.
  reply[3] = 0x80 | code; // RA.
  return reply;
}

/** Asks one server once. */
function exchange(query: Uint8Array, { address, port }: NameServer): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(parseIp(address)?.length === 16 ? 'udp6' : 'udp4');
    // A Buffer's `slice` would share its bytes.
    const own = Uint8Array.from(query);
    put16(own, 0, randomInt(0x10000));
    const end = (reply: Uint8Array | undefined): void => {
      clearTimeout(timer);
      socket.close();
      resolve(reply);
    };
    const timer = setTimeout(() => end(undefined), TRY_MS);
    socket.once('error', () => end(undefined));
    socket.on('message', (bytes: Buffer) => {
      if (bytes.length < 12 || u16(bytes, 0) !== u16(own, 0)) return;
      const reply = Uint8Array.from(bytes);
      put16(reply, 0, u16(query, 0));
      end(reply);
    });
    // Connected: only the server's answers are let in.
    socket.connect(port, address, (error?: Error) => {
      if (!error) socket.send(own);
      else end(undefined);
    });
  });
}
