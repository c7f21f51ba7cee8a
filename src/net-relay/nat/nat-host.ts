// What the NAT engine asks of its driver. Nothing here calls back before it has returned.

import type { IpBytes } from '../wire/address.ts';
import type { HostStream, TcpConnection } from './tcp/tcp-connection.ts';
import type { TftpFile } from './tftp-server.ts';
import type { UdpFlow } from './udp-flows.ts';

/** A host's datagram socket. */
export interface HostDatagrams {
  /** Bytes are valid during the call only. */
  send(bytes: Uint8Array, address: IpBytes, port: number): void;
  close(): void;
}

/** Where a stream goes: an address of the host's world, or whatever name server the host uses. */
export type StreamTarget =
  | { readonly kind: 'address'; readonly address: IpBytes; readonly port: number }
  | { readonly kind: 'nameserver' };

export interface NatHost {
  /** A frame for the guests, valid during the call only. */
  send(frame: Uint8Array): void;
  /** False: frames would be dropped; `NatEngine.linkReady` will be called. */
  readonly isLinkReady: boolean;
  /** Whether a guest may connect to an address (never one of the engine's own). */
  mayReach(address: IpBytes): boolean;
  /** Connects a stream, paused, and tells the connection how that went. */
  connect(connection: TcpConnection, target: StreamTarget): HostStream;
  /** Opens a socket for a flow of a guest. */
  openDatagrams(flow: UdpFlow, version: 4 | 6): HostDatagrams;
  /** Answers a DNS message. @param answer gets the response, or undefined when there is none */
  resolve(query: Uint8Array, answer: (nowMs: number, reply: Uint8Array | undefined) => void): void;
  /** @param answer whether an echo came back */
  ping(address: IpBytes, answer: (nowMs: number, isAlive: boolean) => void): void;
  /** A file that may be read by TFTP. @returns undefined when there is none of that name, or no folder */
  openFile(name: string): TftpFile | undefined;
  /** 32 random bits, hard to guess. */
  random32(): number;
}
