// What the relay offers to pages, path by path: the interface that each offer implements.

import type { MetricFamily } from './metrics.ts';

/** What a join token says. */
export interface JoinClaims {
  /** Machine or session that the token is for. */
  readonly subject: string;
  /** Differs from token to token. */
  readonly id: string;
  readonly expiresAtMs: number;
  /** What each service grants, by `RelayService.name`; only that service knows what is in it. */
  readonly rights: Readonly<Record<string, unknown>>;
}

/** Close codes of the relay: RFC 6455, 7.4.2, leaves 4000 to 4999 to applications. From 4400 on: do not try again. */
export const CLOSE = {
  /** The relay ends; it may come back. */
  goingAway: 1001,
  /** A defect of ours. */
  internal: 1011,
  /** A message that the service does not understand or allow. */
  protocol: 4400,
  /** No token, a forged one, one that has expired. */
  token: 4401,
  /** The token does not grant this. */
  rights: 4403,
  /** More connections than the token allows. */
  tooMany: 4429,
} as const;

/** One client. Everything that it may do is in `claims`. */
export interface RelayConnection {
  readonly claims: JoinClaims;
  /** Address of the peer, for logs. */
  readonly remote: string;
  /** Sends one message; a string as text. A peer that lets more than `service.mostBufferedBytes` pile up is cut off. */
  send(message: Uint8Array | string): void;
  /** Bytes that the peer has not taken yet. */
  readonly bufferedBytes: number;
  /** Takes no more messages from the peer until `read(true)`: TCP makes it wait. */
  read(on: boolean): void;
  /**
   * @param code of `CLOSE`
   * @param reason `code: what happened, what to do`, cut at 123 bytes of UTF-8
   */
  close(code: number, reason: string): void;
}

export interface ConnectionHandler {
  /** One message; text as a string. What it throws ends this connection as a protocol error. */
  message(message: Uint8Array | string): void;
  /** Once, whoever ended it. @param isLost nobody said good-bye: the client may be back in a moment */
  closed(isLost: boolean): void;
}

export interface RelayService {
  /** Names its rights in tokens; it is at `/relay/NAME`. */
  readonly name: string;
  /** Longest message from a client. */
  readonly mostMessageBytes: number;
  /** Most that may wait for a client that does not read. */
  readonly mostBufferedBytes: number;
  /** A client whose token has rights for this service. @throws CodedError the rights do not allow it; the client is told */
  connect(connection: RelayConnection): ConnectionHandler;
  /**
   * Rights for a page that this server gave to a browser on this computer.
   * @param subject as the page names itself
   * @returns undefined: none
   */
  ownPageRights?(subject: string): unknown;
  /** Figures for `/metrics`, asked for every time. */
  metrics?(): readonly MetricFamily[];
  /** The relay ends; connections are closed already. */
  close(): Promise<void> | void;
}
