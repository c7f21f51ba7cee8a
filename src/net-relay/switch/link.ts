// What every carrier of frames here is made of: two ends of a cable.

/** Where frames go to: a card, a switch's port, a tunnel. */
export interface FrameSink {
  /**
   * Takes an Ethernet frame without FCS. Never fails: a sink that cannot take it drops it. A frame may have many takers,
   * so nobody writes to one after it was sent.
   */
  send(frame: Uint8Array): void;
  /** False while frames would be dropped. A sender that can wait does so until it is told (`onReady`). */
  readonly isReady: boolean;
}

/** A place a cable can be plugged into. */
export interface FrameLink extends FrameSink {
  /** Frames that come out here go to `peer` from now on; undefined: unplugged. */
  connect(peer: FrameSink | undefined): void;
  /** Tells whoever sends to this link that it takes frames again. */
  onReady: (() => void) | undefined;
  close(): void;
}

/** Takes frames and drops them: a cable that is not plugged in. */
export const NOWHERE: FrameSink = { send: () => {}, isReady: true };
