/** WebRTC connections to other tabs, for the network worker, which can have none itself. */
import SimplePeer from 'simple-peer/simplepeer.min.js';
import type { PeerNews, PeerOrder, PeerRequest } from '../../net-relay/worker/direct-peers.ts';

/** Long enough for a slow machine; until then, and afterwards, the relay carries everything. */
const CONNECT_MS = 60_000;

export const canConnectPeers = (): boolean => typeof RTCPeerConnection === 'function';

/** Makes one connection, and carries its messages until either side ends it. */
export function connectPeer({ isInitiator, port }: PeerRequest): void {
  const tell = (news: PeerNews): void => {
    if (news instanceof ArrayBuffer) port.postMessage(news, [news]);
    else port.postMessage(news);
  };
  // Addresses of this computer only: asking a STUN server would tell others who plays with whom.
  const peer = new SimplePeer({ initiator: isInitiator, config: { iceServers: [] } });
  const timer = setTimeout(() => peer.destroy(), CONNECT_MS);
  peer.on('signal', (data) => tell({ kind: 'signal', data: JSON.parse(JSON.stringify(data)) as unknown }));
  peer.on('connect', () => {
    clearTimeout(timer);
    tell({ kind: 'open' });
  });
  peer.on('data', (data) => tell(Uint8Array.from(data).buffer));
  // Every error is followed by a close.
  peer.on('error', () => {});
  peer.on('close', () => {
    clearTimeout(timer);
    tell({ kind: 'closed' });
  });
  port.onmessage = ({ data }: MessageEvent<PeerOrder>) => {
    if (data instanceof ArrayBuffer) {
      if (peer.connected) peer.send(new Uint8Array(data));
    } else if (data.kind === 'close') {
      peer.destroy();
      port.close();
    } else if (!peer.destroyed) {
      // What comes from the other tab is not to be trusted.
      try {
        peer.signal(data.data);
      } catch {
        peer.destroy();
      }
    }
  };
}
