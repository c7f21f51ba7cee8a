// Sees to the network's end of a cable to a machine's thread: wakes when the card has done something.

import type { PacketRingEnd } from '#emu/host/packet-ring.ts';

/** `Atomics.waitAsync`, which the compiler's library does not have yet, and older browsers neither. */
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: false } | { readonly async: true; readonly value: Promise<unknown> };
const { waitAsync } = Atomics as unknown as { readonly waitAsync: WaitAsync | undefined };
/** How often the ring is looked at where there is none. */
const POLL_MS = 2;

/**
 * Calls `poll` whenever there is something to do.
 * @param yieldNow lets the thread's other events in and goes on
 * @returns ends it
 */
export function pumpRing(end: PacketRingEnd, yieldNow: () => Promise<void>): () => void {
  let isOver = false;
  const { words, index } = end.bell;
  const run = async (): Promise<void> => {
    while (!isOver && !end.closed) {
      const seen = Atomics.load(words, index);
      end.poll();
      if (!waitAsync) {
        if (Atomics.load(words, index) === seen) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        else await yieldNow();
        continue;
      }
      const wait = waitAsync(words, index, seen);
      if (wait.async) await wait.value;
      else await yieldNow();
    }
  };
  void run();
  return () => {
    isOver = true;
    end.close();
    Atomics.add(words, index, 1);
    Atomics.notify(words, index);
  };
}
