// What the NAT engine asks of its host, done with Node's sockets, files and randomness.

import { randomBytes } from 'node:crypto';
import { addressKind, mayReach, type NatRights } from '../../src/net-relay/nat/address-policy.ts';
import type { HostDatagrams, NatHost, StreamTarget } from '../../src/net-relay/nat/nat-host.ts';
import type { HostStream, TcpConnection } from '../../src/net-relay/nat/tcp/tcp-connection.ts';
import type { TftpFile } from '../../src/net-relay/nat/tftp-server.ts';
import type { UdpFlow } from '../../src/net-relay/nat/udp-flows.ts';
import { formatIp, type IpBytes, parseIp } from '../../src/net-relay/wire/address.ts';
import { sameBytes } from '../../src/net-relay/wire/bytes.ts';
import { type OnDatagram, SocketDatagrams } from './host-datagrams.ts';
import { pingOnce } from './host-ping.ts';
import { SocketStream } from './host-stream.ts';
import { NameResolver, type ResolverOptions } from './name-resolver.ts';
import { ownAddresses } from './own-addresses.ts';
import { openTftpFile } from './tftp-folder.ts';

export interface NatSocketOptions {
  readonly rights: NatRights;
  readonly resolver: ResolverOptions;
  /** Undefined: no TFTP. */
  readonly tftpFolder: string | undefined;
  /** The host's own address that guests' connections of the same family come from, but for those to its loopback. */
  readonly bindIp?: IpBytes | undefined;
  /** May be reached whatever `rights` say. */
  readonly alsoReached?: IpBytes | undefined;
}

/** How sockets talk to the network they belong to. */
export interface NatSocketParts {
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  readonly send: (frame: Uint8Array) => void;
  readonly isLinkReady: () => boolean;
  readonly received: (flow: UdpFlow, bytes: Uint8Array, address: IpBytes, port: number) => void;
  /** Something was handed to the engine outside of a call of its driver. */
  readonly moved: () => void;
}

/** How long the host's own addresses are believed. */
const OWN_MS = 5000;
const UNREACHABLE_V4 = Uint8Array.of(0, 0, 0, 0);

export class NatSockets implements NatHost {
  readonly #options: NatSocketOptions;
  readonly #parts: NatSocketParts;
  readonly #resolver: NameResolver;
  #random = new Uint32Array(0);
  #own: ReadonlySet<string> = new Set();
  #ownUntilMs = Number.NEGATIVE_INFINITY;
  /** Streams that are open. */
  streams = 0;

  constructor(options: NatSocketOptions, parts: NatSocketParts) {
    this.#options = options;
    this.#parts = parts;
    this.#resolver = new NameResolver(options.resolver);
  }

  send(frame: Uint8Array): void {
    this.#parts.send(frame);
  }

  get isLinkReady(): boolean {
    return this.#parts.isLinkReady();
  }

  mayReach(address: IpBytes): boolean {
    const { rights, alsoReached } = this.#options;
    if (alsoReached && sameBytes(alsoReached, address)) return true;
    return mayReach(rights, address, (ip) => this.#isOwn(ip));
  }

  #isOwn(address: IpBytes): boolean {
    const nowMs = this.#parts.now();
    if (nowMs >= this.#ownUntilMs) {
      this.#own = new Set(ownAddresses().map(formatIp));
      this.#ownUntilMs = nowMs + OWN_MS;
    }
    return this.#own.has(formatIp(address));
  }

  connect(connection: TcpConnection, target: StreamTarget): HostStream {
    const { address, port } = target.kind === 'address' ? target : this.#nameServer();
    this.streams++;
    return SocketStream.connect(
      connection,
      { address, port, from: addressKind(address) === 'loopback' ? undefined : this.#from(address.length) },
      this.#parts.now,
      () => {
        this.streams--;
        this.#parts.moved();
      },
      this.#parts.moved,
    );
  }

  #nameServer(): { readonly address: IpBytes; readonly port: number } {
    const server = this.#resolver.servers[0];
    // Nothing listens at address and port zero, so the guest is refused.
    return { address: (server && parseIp(server.address)) ?? UNREACHABLE_V4, port: server?.port ?? 0 };
  }

  #from(addressBytes: number): IpBytes | undefined {
    const { bindIp } = this.#options;
    return bindIp?.length === addressBytes ? bindIp : undefined;
  }

  openDatagrams(flow: UdpFlow, version: 4 | 6): HostDatagrams {
    const received: OnDatagram = (bytes, address, port) => this.#parts.received(flow, bytes, address, port);
    return new SocketDatagrams(version, received, this.#from(version === 4 ? 4 : 16));
  }

  resolve(query: Uint8Array, answer: (nowMs: number, reply: Uint8Array | undefined) => void): void {
    const done = (reply: Uint8Array | undefined): void => answer(this.#parts.now(), reply);
    this.#resolver.resolve(query).then(done, () => done(undefined));
  }

  ping(address: IpBytes, answer: (nowMs: number, isAlive: boolean) => void): void {
    pingOnce(address).then((isAlive) => answer(this.#parts.now(), isAlive));
  }

  openFile(name: string): TftpFile | undefined {
    const { tftpFolder } = this.#options;
    return tftpFolder === undefined ? undefined : openTftpFile(tftpFolder, name);
  }

  random32(): number {
    if (this.#random.length === 0) {
      const bytes = randomBytes(1024);
      this.#random = new Uint32Array(bytes.buffer, bytes.byteOffset, 256);
    }
    const value = this.#random[0];
    this.#random = this.#random.subarray(1);
    return value;
  }
}
