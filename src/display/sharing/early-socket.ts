/**
 * A connection to the relay before it is known who somebody is: it opens while the page loads and a person gives their
 * name, so that they need not wait for it then. Nothing is said over it until somebody takes it.
 */
import type { SocketMaker } from './relay-link.ts';

/** As the relay has it: the protocol's name, then the token. */
const SUBPROTOCOL = 'tabbox';
/** Who has not taken it by then opens another. */
const KEPT_MS = 120_000;
/** `readyState` of a WebSocket: after it the socket is of no use any more. */
const OPEN = 1;

/** @param base address of the page. @returns that of its relay's session service */
export const sessionAddress = (base: string): string => new URL('relay/session', base).href.replace(/^http/, 'ws');

/** What a WebSocket to the relay offers as subprotocols. */
export const joinProtocols = (token: string): string[] => [SUBPROTOCOL, `token.${token}`];

export class EarlySocket {
  readonly #newSocket: SocketMaker;
  #socket: WebSocket | undefined;
  #end: ReturnType<typeof setTimeout> | undefined;

  constructor(base: string, token: string, newSocket: SocketMaker = (url, protocols) => new WebSocket(url, protocols)) {
    this.#newSocket = newSocket;
    this.#socket = newSocket(sessionAddress(base), joinProtocols(token));
    this.#end = setTimeout(() => {
      this.#socket?.close(1000);
      this.#socket = undefined;
    }, KEPT_MS);
  }

  /** The early one, which may be open already, if it is still there and nobody has it; otherwise a new one. */
  readonly take: SocketMaker = (url, protocols) => {
    clearTimeout(this.#end);
    const early = this.#socket;
    this.#socket = undefined;
    return early && early.readyState <= OPEN ? early : this.#newSocket(url, protocols);
  };
}
