// Sees to the network's end of a cable to a machine's thread, on the main thread of Node.

import type { PacketRingEnd } from '#emu/host/packet-ring.ts';
import { pumpRing as pump } from '../../src/net-relay/worker/pump-ring.ts';

/** Calls `poll` whenever there is something to do. @returns ends it */
export function pumpRing(end: PacketRingEnd): () => void {
  // Sockets want their turn as well.
  return pump(end, () => new Promise((resolve) => setImmediate(resolve)));
}
