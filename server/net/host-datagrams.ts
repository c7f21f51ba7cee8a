// UDP sockets of the host as the NAT engine's.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { HostDatagrams } from '../../src/net-relay/nat/nat-host.ts';
import { formatIp, type IpBytes, parseIp } from '../../src/net-relay/wire/address.ts';

/** Bytes in the host's queue of one socket, above which datagrams are dropped, as a full network does. */
const MOST_QUEUED = 1 << 20;

export type OnDatagram = (bytes: Uint8Array, address: IpBytes, port: number) => void;

export class SocketDatagrams implements HostDatagrams {
  readonly socket: Socket;
  #isClosed = false;

  /** @param from the host's own address that datagrams come from; undefined: the host's choice */
  constructor(version: 4 | 6, onDatagram: OnDatagram, from?: IpBytes) {
    this.socket = createSocket({ type: version === 4 ? 'udp4' : 'udp6', ipv6Only: version === 6, reuseAddr: false });
    this.socket.on('error', () => this.close());
    this.socket.on('message', (bytes: Buffer, from: RemoteInfo) => {
      const address = parseIp(from.address.split('%')[0]);
      if (address) onDatagram(bytes, address, from.port);
    });
    // What is sent meanwhile waits for it.
    if (from) this.socket.bind({ address: formatIp(from), port: 0, exclusive: true });
    // An idle flow keeps no process alive.
    this.socket.unref();
  }

  send(bytes: Uint8Array, address: IpBytes, port: number): void {
    if (this.#isClosed || port === 0 || this.socket.getSendQueueSize() > MOST_QUEUED) return;
    // The socket keeps it until it is sent. Errors are what a datagram meets on its way.
    this.socket.send(bytes.slice(), port, formatIp(address), () => {});
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.socket.close();
  }
}
