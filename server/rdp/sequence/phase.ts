/** What the phases of a connection share. */

import type { PduReader } from '../pdu/bytes.ts';
import type { ClientCapabilities } from '../pdu/capabilities.ts';
import type { ClientInfo } from '../pdu/client-info.ts';
import type { ClientData } from '../pdu/gcc.ts';
import type { InputEvent } from '../pdu/input.ts';
import type { MonitorBox } from '../pdu/share.ts';
import type { CredSspSettings } from '../security/credssp.ts';
import type { StandardKey } from '../security/proprietary-certificate.ts';
import type { ReconnectProof } from '../security/reconnect-cookies.ts';
import type { Link } from './link.ts';

/** Security/Method of VirtualBox, and whether network level authentication is offered where TLS is. */
export interface SecurityPolicy {
  /** `negotiate`: what the client has, with TLS before standard RDP security. */
  readonly method: 'rdp' | 'tls' | 'negotiate';
  /** Undefined: nobody is known by a hash that NTLM could use. */
  readonly credSsp: CredSspSettings | undefined;
  /** Clients have to use it. */
  readonly credSspOnly: boolean;
}

export interface Credentials {
  readonly domain: string;
  readonly userName: string;
  readonly password: string;
  /** CredSSP has checked them already. */
  readonly isProven: boolean;
  /** The client says that it was here before. */
  readonly reconnect: ReconnectClaim | undefined;
}

export interface ReconnectClaim {
  readonly proof: ReconnectProof;
  /** 32 bytes; zeros under TLS. */
  readonly clientRandom: Uint8Array;
}

/** Why somebody is not let in, or is sent away; codes of ERROR_INFO. */
export interface Refusal {
  readonly errorInfo: number;
  readonly why: string;
}

/** What a connection asks of the outside. */
export interface ConnectionHost {
  readonly policy: SecurityPolicy;
  readonly standardKey: () => StandardKey;
  readonly send: (bytes: Uint8Array) => void;
  /** Everything from the next byte on is TLS, and comes decrypted. */
  readonly startTls: () => void;
  readonly random: (count: number) => Uint8Array;
  /** @returns undefined to let the client in */
  readonly authenticate: (who: Credentials) => Promise<Refusal | undefined>;
  /** Waits out what wrong passwords have cost a user or an address; before each look at a password. */
  readonly slowDown: (userName: string) => Promise<void>;
  /** CredSSP has found one. */
  readonly onWrongPassword: () => void;
  /**
   * Takes the monitor that the client asks for, from 1; undefined: it has not asked.
   * @returns false when there is none of that number
   */
  readonly chooseMonitor: (number: number | undefined) => boolean;
  /** The monitors that the client sees now, where it asked to see several. */
  readonly monitors: () => readonly MonitorBox[];
  /** Size of the screen. */
  readonly screen: () => { readonly width: number; readonly height: number };
  /** The client sees the screen from now on; again after each change of its size. */
  readonly onActive: () => void;
  /** The client is gone or has to go; close the socket once what was sent is out. */
  readonly onEnd: (why: string) => void;
}

/** What a running session hears from its client. */
export interface SessionEvents {
  readonly onInput: (event: InputEvent) => void;
  readonly onChannelData: (channelId: number, chunk: PduReader) => void;
  /** The client has lost what it showed. */
  readonly onRefresh: () => void;
  /** The client does not show anything, or does again. */
  readonly onSuppress: (suppressed: boolean) => void;
  readonly onFrameAcknowledged: (frameId: number) => void;
}

/** What is known about the peer and how to reach it; filled in as the phases go by. */
export interface ConnectionState {
  readonly host: ConnectionHost;
  readonly link: Link;
  readonly session: SessionEvents;
  cookie: string;
  requestedProtocols: number;
  selectedProtocol: number;
  client: ClientData | undefined;
  serverRandom: Uint8Array | undefined;
  clientRandom: Uint8Array | undefined;
  encryptionMethod: number;
  /** By MCS channel id. */
  readonly channels: Map<number, string>;
  /** For clients that measure the network with us, under TLS; its PDUs have a security header all the same. */
  messageChannelId: number | undefined;
  info: ClientInfo | undefined;
  /** Name that CredSSP has proven. */
  proven: { readonly domain: string; readonly userName: string; readonly password: string } | undefined;
  /** The one the client asked for, from 1. */
  screen: number | undefined;
  bitsPerPixel: number;
  capabilities: ClientCapabilities | undefined;
}

export type Framing = 'rdp' | 'der';

/** One step of the connection sequence. */
export interface Phase {
  readonly framing: Framing;
  /**
   * Takes one whole packet.
   * @returns the phase that takes the next one; a promise when something outside has to be asked first
   * @throws PduError
   */
  receive(packet: Uint8Array): Phase | Promise<Phase>;
}

/** Ends a connection with a reason that the client can understand. */
export class Refused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.why);
    this.refusal = refusal;
  }
}
