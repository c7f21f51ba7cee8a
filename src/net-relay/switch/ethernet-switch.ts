/**
 * A learning switch: an internal network. Source: IEEE 802.1D-2004 7.7-7.9 (learning, filtering, ageing); the
 * promiscuous policies are those of VirtualBox's manual, section 6.9 (`--nicpromisc`).
 * Not modelled: spanning trees, VLANs (tags are carried and not looked at).
 *
 * A frame to a known station goes to its port, anything else to all. A card in promiscuous mode additionally sees
 * others' frames when its policy allows it, and that is for the switch to say, because a guest can ask its card for
 * anything: `deny` nothing, `allow-vms` those between machines, `allow-all` also those of the host's ports.
 */
import type { PromiscuousPolicy } from '#emu/host/network-card.ts';
import type { PacketPort, PacketReceiver } from '#emu/host/packet-port.ts';
import { isGroupMac, type Mac, readMac } from '../wire/address.ts';
import { ETHERNET_HEADER_BYTES, MAX_FRAME_BYTES } from '../wire/ethernet.ts';
import { FrameQueue } from './frame-queue.ts';

export interface SwitchPortOptions {
  readonly promiscuous: PromiscuousPolicy;
  /** A machine's, or one that leads to the host's network. */
  readonly kind: 'machine' | 'host';
  /** Stations that may speak here; undefined: any. Frames with another source are dropped. */
  readonly stations?: ReadonlySet<Mac>;
}

/** Forgotten when silent for so long. Source: IEEE 802.1D-2004, table 7-5. */
const AGEING_MS = 300_000;
const MOST_STATIONS = 4096;
const MOST_STATIONS_A_PORT = 256;
const QUEUE_BYTES = 512 * 1024;

interface Station {
  port: SwitchPort;
  seenMs: number;
}

export interface SwitchPortCounts {
  received: number;
  sent: number;
  /** Not for anybody, spoofed, too short or too long. */
  refused: number;
}

/** One socket of the switch; the holder of a cable's end. */
export class SwitchPort implements PacketReceiver {
  readonly options: SwitchPortOptions;
  readonly counts: SwitchPortCounts = { received: 0, sent: 0, refused: 0 };
  readonly #switch: EthernetSwitch;
  readonly #cable: PacketPort;
  readonly #queue: FrameQueue;
  stations = 0;
  /** Ports that this one's frames reach without the switch: nothing is passed between them. */
  readonly direct = new Set<SwitchPort>();

  constructor(ofSwitch: EthernetSwitch, cable: PacketPort, options: SwitchPortOptions) {
    this.#switch = ofSwitch;
    this.#cable = cable;
    this.#queue = new FrameQueue(cable, QUEUE_BYTES);
    this.options = options;
    cable.connect(this);
    cable.setLink(true);
  }

  /** Frames that the port's queue had no room for. */
  get dropped(): number {
    return this.#queue.dropped;
  }

  receive(frame: Uint8Array): boolean {
    this.#switch.forward(this, frame);
    return true;
  }

  resume(): void {
    this.#queue.resume();
  }

  linkChanged(): void {
    if (this.#cable.linkUp) return;
    this.#queue.clear();
    this.#switch.forget(this);
  }

  send(frame: Uint8Array): void {
    this.counts.sent++;
    this.#queue.send(frame, false);
  }

  close(): void {
    this.#cable.setLink(false);
    this.#switch.remove(this);
  }
}

export class EthernetSwitch {
  /** Milliseconds, monotonic. */
  readonly nowMs: () => number;
  readonly #ports = new Set<SwitchPort>();
  readonly #stations = new Map<Mac, Station>();

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  get ports(): ReadonlySet<SwitchPort> {
    return this.#ports;
  }

  get stations(): number {
    return this.#stations.size;
  }

  plug(cable: PacketPort, options: SwitchPortOptions): SwitchPort {
    const port = new SwitchPort(this, cable, options);
    this.#ports.add(port);
    return port;
  }

  remove(port: SwitchPort): void {
    this.#ports.delete(port);
    for (const other of port.direct) this.setDirect(port, other, false);
    this.forget(port);
  }

  /** Two ports have found, or lost, a way around the switch. */
  setDirect(a: SwitchPort, b: SwitchPort, isDirect: boolean): void {
    if (isDirect) {
      a.direct.add(b);
      b.direct.add(a);
    } else {
      a.direct.delete(b);
      b.direct.delete(a);
    }
  }

  /** The port's stations may be anywhere now. */
  forget(port: SwitchPort): void {
    for (const [mac, station] of this.#stations) if (station.port === port) this.#drop(mac, station);
  }

  forward(from: SwitchPort, frame: Uint8Array): void {
    const nowMs = this.nowMs();
    if (frame.length < ETHERNET_HEADER_BYTES || MAX_FRAME_BYTES < frame.length || !this.#learn(nowMs, from, frame)) {
      from.counts.refused++;
      return;
    }
    from.counts.received++;
    const destination = readMac(frame, 0);
    const known = isGroupMac(destination) ? undefined : this.#stations.get(destination);
    const to = known && nowMs - known.seenMs < AGEING_MS ? known.port : undefined;
    for (const port of this.#ports) {
      if (port === from || port.direct.has(from)) continue;
      if (to === undefined || port === to || maySee(port, from, to)) port.send(frame);
    }
  }

  /** @returns false when the source may not be there */
  #learn(nowMs: number, from: SwitchPort, frame: Uint8Array): boolean {
    const source = readMac(frame, 6);
    if (isGroupMac(source)) return false;
    const allowed = from.options.stations;
    if (allowed && !allowed.has(source)) return false;
    const known = this.#stations.get(source);
    if (known?.port === from) {
      known.seenMs = nowMs;
      return true;
    }
    // One port cannot push out the others' stations.
    if (from.stations >= MOST_STATIONS_A_PORT) return true;
    if (known) this.#drop(source, known);
    else if (this.#stations.size >= MOST_STATIONS) this.#dropOldest();
    this.#stations.set(source, { port: from, seenMs: nowMs });
    from.stations++;
    return true;
  }

  #dropOldest(): void {
    for (const [mac, station] of this.#stations) {
      this.#drop(mac, station);
      return;
    }
  }

  #drop(mac: Mac, station: Station): void {
    station.port.stations--;
    this.#stations.delete(mac);
  }
}

/** Whether a port sees frames between two others. */
function maySee(port: SwitchPort, from: SwitchPort, to: SwitchPort): boolean {
  const { promiscuous } = port.options;
  if (promiscuous === 'deny') return false;
  return promiscuous === 'allow-all' || (from.options.kind === 'machine' && to.options.kind === 'machine');
}
