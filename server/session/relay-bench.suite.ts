/** A relay with the session service, for tests of what meets over it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket } from 'ws';
import type { JoinTokens } from '../relay/join-tokens.ts';
import { Relay } from '../relay/relay.ts';
import { SessionService } from './session-service.ts';

export interface RelayBench {
  /** Where pages of it would come from, with a slash at its end. */
  readonly base: string;
  close(): Promise<void>;
}

export async function startRelay(tokens: JoinTokens): Promise<RelayBench> {
  const relay = new Relay({ tokens, services: [new SessionService(tokens)], ownPageTokens: false });
  const server = createServer();
  server.on('upgrade', (request, socket, head) => relay.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      await relay.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

export const newSocket = (url: string, protocols: string[]): globalThis.WebSocket =>
  new WebSocket(url, protocols) as unknown as globalThis.WebSocket;

/** Looks every 10 ms, for some ms. */
export async function until(what: string, isSo: () => boolean, ms = 10_000): Promise<void> {
  for (let left = ms / 10; left > 0; left--) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`not ${what}`);
}
