// Which IPv4 address the guest uses, for people to see: that of its own packets, however it came by it.

import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import { formatIp, ipv4Bytes } from '../wire/address.ts';
import { u16, u32 } from '../wire/bytes.ts';
import { ETHERTYPE } from '../wire/ethernet.ts';

const SOURCE_MAC_AT = 6;
/** Of an IPv4 header's and an ARP packet's sender, in a frame without tags. */
const IPV4_SOURCE_AT = 26;
const ARP_SENDER_AT = 28;

/** The network's end of a cable, watched. Not modelled: several addresses on one card; the last one seen counts. */
export class GuestAddress implements PacketPort {
  readonly #port: PacketPort;
  readonly #mac: Uint8Array;
  readonly #changed: (address: string) => void;
  #address = 0;

  /** @param mac the card's; what a bridge in the guest passes on is somebody else's */
  constructor(port: PacketPort, mac: Uint8Array, changed: (address: string) => void) {
    this.#port = port;
    this.#mac = mac;
    this.#changed = changed;
  }

  get linkUp(): boolean {
    return this.#port.linkUp;
  }

  connect(receiver: PacketReceiver): void {
    this.#port.connect({
      receive: (frame) => {
        if (!receiver.receive(frame)) return false;
        this.#look(frame);
        return true;
      },
      resume: () => receiver.resume(),
      linkChanged: () => receiver.linkChanged(),
    });
  }

  send(frame: Uint8Array): boolean {
    return this.#port.send(frame);
  }

  resume(): void {
    this.#port.resume();
  }

  setLink(up: boolean): void {
    this.#port.setLink(up);
  }

  #look(frame: Uint8Array): void {
    const type = u16(frame, 12);
    const at = type === ETHERTYPE.ipv4 ? IPV4_SOURCE_AT : type === ETHERTYPE.arp ? ARP_SENDER_AT : 0;
    if (at === 0 || frame.length < at + 4) return;
    const address = u32(frame, at);
    // Before it has one it says 0.0.0.0.
    if (address === this.#address || address === 0) return;
    for (let n = 0; n < 6; n++) if (frame[SOURCE_MAC_AT + n] !== this.#mac[n]) return;
    this.#address = address;
    this.#changed(formatIp(ipv4Bytes(address)));
  }
}
