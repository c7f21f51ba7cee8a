// The listening sockets of forwarded ports.

import { createServer, type Server } from 'node:net';
import { CodedError } from '#base/errors.ts';
import type { NatEngine } from '../../src/net-relay/nat/nat-engine.ts';
import type { ForwardRule } from '../../src/net-relay/nat/port-forwarding.ts';
import { type IpBytes, parseIp } from '../../src/net-relay/wire/address.ts';
import { SocketDatagrams } from './host-datagrams.ts';
import { SocketStream } from './host-stream.ts';

interface Open {
  readonly rule: ForwardRule;
  close(): Promise<void>;
}

export interface ForwardParts {
  readonly engine: NatEngine;
  readonly now: () => number;
  /** Where a rule without an address listens. */
  readonly defaultHostIp: string;
  /** To be called after something was handed to the engine. */
  readonly moved: () => void;
}

export class PortForwards {
  readonly #parts: ForwardParts;
  readonly #open = new Map<string, Open>();

  constructor(parts: ForwardParts) {
    this.#parts = parts;
  }

  /** As they are in force: with the port that was chosen where a rule had 0. */
  get rules(): readonly ForwardRule[] {
    return [...this.#open.values()].map(({ rule }) => rule);
  }

  /**
   * Begins to listen. Connections through other rules are not touched.
   * @returns the rule with its port
   * @throws CodedError<'bad-rule' | 'rule-exists' | 'port-in-use'>
   */
  async add(rule: ForwardRule): Promise<ForwardRule> {
    if (this.#open.has(rule.name)) {
      throw new CodedError('rule-exists', `there is a rule '${rule.name}' already; delete it or choose another name`);
    }
    const guest = this.#parts.engine.forwardAddress(rule.guestIp);
    const one = rule.protocol === 'tcp' ? await this.#listenTcp(rule, guest) : await this.#listenUdp(rule, guest);
    this.#open.set(rule.name, one);
    return one.rule;
  }

  /**
   * Stops listening. What is connected goes on.
   * @throws CodedError<'no-such-rule'>
   */
  async delete(name: string): Promise<void> {
    const one = this.#open.get(name);
    if (!one) throw new CodedError('no-such-rule', `there is no rule '${name}'; the rules are ${this.#names()}`);
    this.#open.delete(name);
    await one.close();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((name) => this.delete(name)));
  }

  #names(): string {
    return [...this.#open.keys()].join(', ') || 'none';
  }

  #listenTcp(rule: ForwardRule, guest: IpBytes): Promise<Open> {
    const { engine, now, moved, defaultHostIp } = this.#parts;
    const server: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      const remote = parseIp((socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '').split('%')[0]);
      const stream = SocketStream.accept(socket, now, moved);
      const connection =
        remote && engine.openForward(now(), guest, rule.guestPort, remote, socket.remotePort ?? 0, stream);
      if (connection) stream.serve(connection);
      else stream.destroy();
      moved();
    });
    const host = rule.hostIp || defaultHostIp;
    return new Promise((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => reject(cannotListen(rule, host, cause)));
      server.listen({ host, port: rule.hostPort }, () => {
        const address = server.address();
        const hostPort = typeof address === 'object' && address ? address.port : rule.hostPort;
        server.on('error', () => {});
        // Closing waits for connections, which are meant to go on.
        resolve({ rule: { ...rule, hostPort }, close: async () => void server.close() });
      });
    });
  }

  #listenUdp(rule: ForwardRule, guest: IpBytes): Promise<Open> {
    const { engine, now, moved, defaultHostIp } = this.#parts;
    const host = rule.hostIp || defaultHostIp;
    const datagrams: SocketDatagrams = new SocketDatagrams(
      parseIp(host)?.length === 16 ? 6 : 4,
      (bytes, remote, port) => {
        engine.receiveForward(now(), guest, rule.guestPort, datagrams, bytes, remote, port);
        moved();
      },
    );
    return new Promise((resolve, reject) => {
      datagrams.socket.once('error', (cause: NodeJS.ErrnoException) => reject(cannotListen(rule, host, cause)));
      datagrams.socket.bind({ address: host, port: rule.hostPort, exclusive: true }, () => {
        const close = async (): Promise<void> => {
          engine.closeForward(datagrams);
          datagrams.close();
        };
        resolve({ rule: { ...rule, hostPort: datagrams.socket.address().port }, close });
      });
    });
  }
}

function cannotListen(rule: ForwardRule, host: string, cause: NodeJS.ErrnoException): CodedError<'port-in-use'> {
  const why: Record<string, string> = {
    EADDRINUSE: 'somebody listens there already; choose another host port',
    EACCES: 'this needs privileges; choose a host port from 1024',
    EADDRNOTAVAIL: 'the host has no such address; leave it empty for the loopback address',
  };
  const message = `rule '${rule.name}' cannot listen on ${host} port ${rule.hostPort}: ${why[cause.code ?? ''] ?? cause.message}`;
  return new CodedError('port-in-use', message, { port: rule.hostPort }, cause);
}
