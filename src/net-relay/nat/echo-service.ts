// Echo (ping): answered for our own addresses, asked of the host for others. Source: RFC 792, RFC 4443 4.

import type { IpBytes } from '../wire/address.ts';
import { concat } from '../wire/bytes.ts';
import { decodeIcmp, encodeIcmp, ICMP, ICMPV6 } from '../wire/icmp.ts';
import type { IpHeader } from '../wire/ip.ts';
import type { NatHost } from './nat-host.ts';

export class EchoService {
  readonly #most: number;
  readonly #host: NatHost;
  #pending = 0;

  /** @param most pings at once */
  constructor(most: number, host: NatHost) {
    this.#most = most;
    this.#host = host;
  }

  /**
   * @param target of the packet: ours, the host's world, or nowhere
   * @param send an answer, with its addresses
   * @returns false when the message was dropped
   */
  receive(
    b: Uint8Array,
    header: IpHeader,
    target: IpBytes | 'us' | undefined,
    send: (addresses: Uint8Array, packet: Uint8Array) => void,
  ): boolean {
    const { addressAt, addressBytes, version } = header;
    const message = decodeIcmp(b, header.payloadAt, header.end, version === 6 ? addressAt : -1);
    const isEcho = message?.type === (version === 4 ? ICMP.echo : ICMPV6.echo) && message.code === 0;
    if (!message || !isEcho || target === undefined) return false;
    const half = addressBytes / 2;
    const source = b.subarray(addressAt, addressAt + half);
    const destination = b.subarray(addressAt + half, addressAt + addressBytes);
    const addresses = concat(destination, source);
    const type = version === 4 ? ICMP.echoReply : ICMPV6.echoReply;
    const reply = encodeIcmp({ type, code: 0, body: message.body }, version === 4 ? undefined : addresses);
    if (target === 'us') {
      send(addresses, reply);
      return true;
    }
    if (this.#pending >= this.#most) return false;
    this.#pending++;
    this.#host.ping(target, (_nowMs, isAlive) => {
      this.#pending--;
      if (isAlive) send(addresses, reply);
    });
    return true;
  }
}
