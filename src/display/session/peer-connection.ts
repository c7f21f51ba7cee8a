/** WebRTC connections to other tabs, for the network worker, which can have none itself. */
import type { PeerNews, PeerOrder, PeerRequest } from '../../net-relay/worker/direct-peers.ts';
import { DirectPeer } from '../sharing/direct-peer.ts';

/** Until it is there, and when it never is, the relay carries everything: nothing is in a hurry. */
const PATIENCE_MS = 60_000;

/** Makes one connection, and carries its messages until either side ends it. */
export function connectPeer({ isInitiator, port }: PeerRequest): void {
  const tell = (news: PeerNews): void => port.postMessage(news);
  const peer = new DirectPeer({
    isInitiator,
    patienceMs: PATIENCE_MS,
    onSignal: (data) => tell({ kind: 'signal', data }),
    onOpen: () => tell({ kind: 'open' }),
    onMessage: (message) => {
      const { buffer } = Uint8Array.from(message);
      port.postMessage(buffer, [buffer]);
    },
    onClose: () => tell({ kind: 'closed' }),
  });
  port.onmessage = ({ data: order }: MessageEvent<PeerOrder>) => {
    if (order instanceof ArrayBuffer) peer.send(new Uint8Array(order));
    else if (order.kind === 'signal') peer.signal(String(order.data));
    else {
      peer.close();
      port.close();
    }
  };
}
