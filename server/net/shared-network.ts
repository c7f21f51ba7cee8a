// A switch that several cards share, with what the host and a DHCP server have there.

import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { type DhcpServerSettings, DhcpStation } from '../../src/net-relay/nat/dhcp-station.ts';
import { EthernetSwitch, type SwitchPort } from '../../src/net-relay/switch/ethernet-switch.ts';
import type { NatDriver } from './nat-driver.ts';

/** What the host has at a network. */
export interface HostEnd {
  readonly nat: NatDriver | undefined;
  /** An interface of the host: whoever listens there, as a bridge or a capture, may see everything. */
  readonly isInterface: boolean;
  /** What it is, for people. */
  readonly about: string;
  close(): void;
}

/** @param end the host's end of a cable to the switch */
export type OpenHost = (end: PacketPort) => Promise<HostEnd>;

const now = (): number => performance.now();

export class SharedNetwork {
  readonly network: EthernetSwitch = new EthernetSwitch(now);
  readonly host: HostEnd | undefined;
  /** What cards asked for; the last one counts. */
  readonly #asked: DhcpServerSettings[] = [];
  #standing: DhcpServerSettings | undefined;
  #dhcp: { readonly settings: string; readonly port: SwitchPort } | undefined;

  private constructor(host: HostEnd | undefined, near: PacketPort | undefined) {
    this.host = host;
    if (near) this.network.plug(near, { kind: 'host', promiscuous: host?.isInterface ? 'allow-all' : 'deny' });
  }

  static async open(open: OpenHost | undefined, dhcp: DhcpServerSettings | undefined): Promise<SharedNetwork> {
    const [near, far] = createWire();
    const shared = open ? new SharedNetwork(await open(far), near) : new SharedNetwork(undefined, undefined);
    shared.standingDhcp = dhcp;
    return shared;
  }

  /** The DHCP server that is there whatever cards ask for; undefined: none. */
  set standingDhcp(settings: DhcpServerSettings | undefined) {
    this.#standing = settings;
    this.#follow();
  }

  /** Has a DHCP server for as long as the caller wants. @returns ends that */
  askForDhcp(settings: DhcpServerSettings): () => void {
    this.#asked.push(settings);
    this.#follow();
    return () => {
      this.#asked.splice(this.#asked.indexOf(settings), 1);
      this.#follow();
    };
  }

  /** One whose settings stay the same stays, with its leases. */
  #follow(): void {
    const wanted = this.#asked.at(-1) ?? this.#standing;
    const settings = wanted ? JSON.stringify(wanted) : undefined;
    if (settings === this.#dhcp?.settings) return;
    this.#dhcp?.port.close();
    this.#dhcp = undefined;
    if (!wanted || settings === undefined) return;
    const [near, far] = createWire();
    const station = new DhcpStation(wanted, (frame) => far.send(frame));
    const receive = (frame: Uint8Array): boolean => {
      station.receive(now(), frame);
      return true;
    };
    far.connect({ receive, resume: () => {}, linkChanged: () => {} });
    far.setLink(true);
    this.#dhcp = { settings, port: this.network.plug(near, { kind: 'host', promiscuous: 'deny' }) };
  }

  close(): void {
    this.host?.close();
  }
}
