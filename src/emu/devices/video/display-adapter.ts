/** What a machine has in its video slot, whichever adapter it is. */
import type { IoDevice, Width } from '#emu/bus/io-bus.ts';
import type { Saveable } from '#emu/bus/wires.ts';
import type { PciConfigSpace } from '#emu/devices/pci/pci-function.ts';
import type { SharedFrame } from '#emu/host/frame.ts';
import type { WindowMapping } from './vga-memory.ts';

/** Ports for the machine's bus. */
export interface PortRange {
  readonly base: number;
  readonly ports: number;
  readonly device: IoDevice;
  readonly maxWidth?: Width;
}

/** What the host would like a monitor to be; the guest follows if its driver does. */
export interface ModeHint {
  /** 0 to 3. */
  readonly monitor: number;
  /** Whether the monitor is there at all. */
  readonly enabled: boolean;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Where it stands, in pixels from the first one's corner; left out: the guest decides. */
  readonly origin?: { readonly x: number; readonly y: number } | undefined;
}

export interface DisplayAdapter<State = unknown> extends Saveable<State> {
  /** The PCI function. */
  readonly config: PciConfigSpace;
  readonly portRanges: readonly PortRange[];
  /** A0000h-BFFFFh. */
  readonly window: IoDevice;
  /** What is to be mapped at A0000h-BFFFFh now. */
  readonly windowMapping: WindowMapping;
  readonly monitorCount: number;
  reset(): void;
  /** See `FramePublisher.publish`. */
  publish(frame: SharedFrame, others?: boolean): boolean;
  /** @returns false when the guest has no driver that listens, and is not likely to follow */
  suggestMode(hint: ModeHint): boolean;
}
