// Sees to the network's end of a cable to a machine's thread, on the main thread: wakes when the card has done something.

import type { PacketRingEnd } from '#emu/host/packet-ring.ts';

/** `Atomics.waitAsync`, which the compiler's library does not have yet. */
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: false } | { readonly async: true; readonly value: Promise<unknown> };
const { waitAsync } = Atomics as unknown as { readonly waitAsync: WaitAsync };

/** Calls `poll` whenever there is something to do. @returns ends it */
export function pumpRing(end: PacketRingEnd): () => void {
  let isOver = false;
  const { words, index } = end.bell;
  const run = async (): Promise<void> => {
    while (!isOver && !end.closed) {
      const seen = Atomics.load(words, index);
      end.poll();
      const wait = waitAsync(words, index, seen);
      if (wait.async) await wait.value;
      // Sockets want their turn as well.
      else await new Promise((resolve) => setImmediate(resolve));
    }
  };
  run();
  return () => {
    isOver = true;
    end.close();
    Atomics.add(words, index, 1);
    Atomics.notify(words, index);
  };
}
