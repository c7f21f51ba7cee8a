/**
 * A card's cable to a relay: how machines of several processes and computers, and those of tabs, meet on one network.
 * While the relay is away the card has no link.
 */
import { WebSocket } from 'ws';
import type { NetworkCardConfig } from '#emu/host/network-card.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { OrphanedConnections } from '../../src/net-relay/transports/orphaned-connections.ts';
import { RelayClient, type RelayState } from '../../src/net-relay/transports/relay-client.ts';

/** Where a relay is, and how to join it. */
export interface RelayPlace {
  /** Of its web server, with a slash at the end. */
  readonly server: string;
  /** A join token that is still good. */
  readonly token: () => Promise<string>;
  /** Tells the person how it is. */
  readonly say: (text: string) => void;
}

/** From here on a close code of the relay says that trying again is no use. */
const FIRST_FINAL_CODE = 4400;
const SUBPROTOCOL = 'tabbox';

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** @param cable its end on the network's side @returns ends it */
export function joinRelay(card: NetworkCardConfig, cable: PacketPort, place: RelayPlace): () => void {
  const after = (ms: number, call: () => void): (() => void) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  };
  // Connections of its NAT are the relay's: when it forgets them the guest is told.
  const end = card.attachment.kind === 'natnetwork' ? new OrphanedConnections(cable, after) : cable;
  let told = '';
  const client = new RelayClient(end, {
    request: json({ card }),
    open: (events) => {
      let socket: WebSocket | undefined;
      let isOver = false;
      const closed = (refusal?: { readonly code: string; readonly message: string }): void => {
        if (isOver) return;
        isOver = true;
        events.closed(refusal);
      };
      const join = async (): Promise<void> => {
        const token = await place.token();
        if (isOver) return;
        const address = new URL('relay/net', place.server).href.replace(/^http/, 'ws');
        socket = new WebSocket(address, [SUBPROTOCOL, `token.${token}`]);
        socket.on('error', () => {});
        socket.on('open', () => events.opened());
        socket.on('message', (data: Buffer) => events.message(data));
        socket.on('close', (code, reason) => {
          const [name, ...rest] = reason.toString().split(': ');
          closed(code >= FIRST_FINAL_CODE ? { code: name, message: rest.join(': ') } : undefined);
        });
      };
      join().catch((error: Error) => closed({ code: 'no-token', message: error.message }));
      return {
        send: (message) => {
          if (socket?.readyState === WebSocket.OPEN) socket.send(message);
        },
        close: () => {
          isOver = true;
          socket?.close();
        },
      };
    },
    ...{ after, soon: (flush) => setImmediate(flush), random: () => Math.random() },
    readText: (bytes) => Buffer.from(bytes).toString(),
    onState: (state) => {
      const text = textOf(state, place.server);
      if (text !== '' && text !== told) place.say(`network card ${card.slot}: ${text}`);
      if (text !== '') told = text;
    },
  });
  client.start();
  return () => client.close();
}

/** @returns '' when there is nothing to tell */
function textOf(state: RelayState, server: string): string {
  switch (state.kind) {
    case 'attached':
      return `${state.network}, through the relay at ${server}`;
    case 'waiting':
      return `the relay at ${server} cannot be reached; trying again`;
    case 'refused':
      return `no network: ${state.message}`;
    default:
      return '';
  }
}
