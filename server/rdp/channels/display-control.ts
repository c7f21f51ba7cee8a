/**
 * A client's wish for another size of the screen: what the panel asks the guest for, which follows if its driver does.
 * Source: [MS-RDPEDISP] 1.3, 3.2 (server).
 * Not modelled: more than one screen, orientation, scaling.
 */
import { decodeMonitorLayout, encodeDisplayCapabilities, type ScreenSize } from '../pdu/display-control.ts';
import type { DynamicChannel } from './dynamic-channels.ts';

/** Most of a screen: what the adapter's memory holds at 32 bits a pixel. */
const MOST: ScreenSize = { width: 2560, height: 1600 };

export class DisplayControl implements DynamicChannel {
  readonly name = 'Microsoft::Windows::RDS::DisplayControl';
  readonly #onWish: (size: ScreenSize) => void;

  constructor(onWish: (size: ScreenSize) => void) {
    this.#onWish = onWish;
  }

  opened(send: (message: Uint8Array) => void): void {
    send(encodeDisplayCapabilities(MOST));
  }

  closed(): void {}

  received(message: Uint8Array): void {
    const wish = decodeMonitorLayout(message);
    if (!wish) return;
    // Drivers want whole bytes of a line in the planar modes that they come from.
    const width = Math.min(MOST.width, wish.width & ~7);
    this.#onWish({ width, height: Math.min(MOST.height, wish.height) });
  }
}
