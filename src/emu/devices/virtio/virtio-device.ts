/** What a device is to its transport. Source: VIRTIO 1.2, chapter 2. */
import type { Saveable } from '#emu/bus/wires.ts';
import type { Virtqueue } from './virtqueue.ts';

/** Bits 0 to 31 and 32 to 63. */
export type Features = readonly [low: number, high: number];

/** Feature bits of the transport and the queues. */
export const FEATURE = {
  /** Low word. */
  notifyOnEmpty: 1 << 24,
  anyLayout: 1 << 27,
  indirect: 1 << 28,
  eventIndex: 1 << 29,
  /** High word. */
  version1: 1 << 0,
} as const;

export interface VirtioDevice extends Saveable<unknown> {
  /** 1: network. */
  readonly deviceId: number;
  /** PCI class: base class, subclass, interface. */
  readonly classCode: number;
  /** Without those of the transport and the queues. */
  readonly features: Features;
  /** Largest size of each queue, a power of two. */
  readonly queueSizes: readonly number[];
  readonly configBytes: number;
  /** One byte of the device's configuration. */
  readConfig(offset: number): number;
  writeConfig(offset: number, value: number): void;
  /** The driver is ready. */
  start(features: Features): void;
  /** There may be something new in a queue. */
  notify(queue: number): void;
  reset(): void;
}

/** What a transport is to its device. */
export interface VirtioTransport {
  readonly queues: readonly Virtqueue[];
  /** The driver is ready and the device may use its queues. */
  readonly running: boolean;
  /** The driver may touch memory for us. */
  raiseQueueInterrupt(): void;
  raiseConfigInterrupt(): void;
  /** A queue is broken. */
  needsReset(): void;
}
