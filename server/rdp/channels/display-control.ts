/**
 * A client's wish for other sizes of the screens: what the panel asks the guest for, which follows if its driver does.
 * Source: [MS-RDPEDISP] 1.3, 3.2 (server).
 * Not modelled: places of screens, orientation, scaling.
 */
import { decodeMonitorLayout, encodeDisplayCapabilities, type ScreenSize } from '../pdu/display-control.ts';
import type { DynamicChannel } from './dynamic-channels.ts';

/** Most of a screen: what the adapter's memory holds at 32 bits a pixel. */
const MOST: ScreenSize = { width: 2560, height: 1600 };

export class DisplayControl implements DynamicChannel {
  readonly name = 'Microsoft::Windows::RDS::DisplayControl';
  readonly #onWish: (sizes: readonly ScreenSize[]) => void;
  readonly #count: number;

  /** @param onWish gets sizes, the primary screen's first. @param count screens that there are at most */
  constructor(onWish: (sizes: readonly ScreenSize[]) => void, count = 1) {
    this.#onWish = onWish;
    this.#count = count;
  }

  opened(send: (message: Uint8Array) => void): void {
    send(encodeDisplayCapabilities(this.#count, MOST));
  }

  closed(): void {}

  received(message: Uint8Array): void {
    const wishes = decodeMonitorLayout(message).slice(0, this.#count);
    if (wishes.length === 0) return;
    // Drivers want whole bytes of a line in the planar modes that they come from.
    const possible = ({ width, height }: ScreenSize): ScreenSize => ({
      width: Math.min(MOST.width, width & ~7),
      height: Math.min(MOST.height, height),
    });
    this.#onWish(wishes.map(possible));
  }
}
