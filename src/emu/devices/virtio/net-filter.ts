/**
 * Which frames a network device lets in, as its control queue says.
 * Source: VIRTIO 1.2, section 5.1.6.5 (control virtqueue).
 */
import type { Saveable } from '#emu/bus/wires.ts';

const CLASS = { receive: 0, mac: 1, vlan: 2 } as const;
const MAC_COMMAND = { setTable: 0, setAddress: 1 } as const;
/** Entries of both tables; a longer table lets everything of its kind in. */
const TABLE_ENTRIES = 64;

export interface NetFilterState {
  readonly mac: Uint8Array;
  readonly modes: Uint8Array;
  readonly unicast: Uint8Array;
  readonly multicast: Uint8Array;
  readonly allUnicast: boolean;
  readonly allMulticast: boolean;
  readonly vlans: Uint32Array;
}

/** Modes in the order of the commands of class 0. */
const MODE = { promiscuous: 0, allMulticast: 1, allUnicast: 2, noMulticast: 3, noUnicast: 4, noBroadcast: 5 } as const;

export class NetFilter implements Saveable<NetFilterState> {
  readonly #factoryMac: Uint8Array;
  readonly mac: Uint8Array;
  readonly #modes: Uint8Array = new Uint8Array(6);
  #unicast: Uint8Array = new Uint8Array(0);
  #multicast: Uint8Array = new Uint8Array(0);
  #allUnicast = false;
  #allMulticast = false;
  readonly #vlans: Uint32Array = new Uint32Array(128);
  /** Whether the driver manages VLANs. */
  filtersVlans = false;
  /** Whether the driver manages addresses; one that cannot gets everything. */
  filtersAddresses = false;

  constructor(mac: Uint8Array) {
    this.#factoryMac = mac;
    this.mac = mac.slice();
  }

  reset(): void {
    this.mac.set(this.#factoryMac);
    this.#modes.fill(0);
    this.#unicast = new Uint8Array(0);
    this.#multicast = new Uint8Array(0);
    this.#allUnicast = false;
    this.#allMulticast = false;
    this.#vlans.fill(0);
    this.filtersVlans = false;
    this.filtersAddresses = false;
  }

  accepts(frame: Uint8Array): boolean {
    if (this.filtersVlans && frame[12] === 0x81 && frame[13] === 0 && frame.length >= 16) {
      const id = ((frame[14] & 15) << 8) | frame[15];
      if (((this.#vlans[id >> 5] >>> (id & 31)) & 1) === 0) return false;
    }
    const modes = this.#modes;
    if (!this.filtersAddresses || modes[MODE.promiscuous] !== 0) return true;
    if ((frame[0] & 1) === 0) {
      if (modes[MODE.noUnicast] !== 0) return false;
      if (modes[MODE.allUnicast] !== 0 || this.#allUnicast || isAt(frame, this.mac, 0)) return true;
      return contains(this.#unicast, frame);
    }
    if (isBroadcast(frame)) return modes[MODE.noBroadcast] === 0;
    if (modes[MODE.noMulticast] !== 0) return false;
    return modes[MODE.allMulticast] !== 0 || this.#allMulticast || contains(this.#multicast, frame);
  }

  /** @param request class, command and data @returns whether it was carried out */
  control(request: Uint8Array): boolean {
    if (request.length < 3) return false;
    const [kind, command] = request;
    const data = request.subarray(2);
    if (kind === CLASS.receive && command < this.#modes.length) {
      this.#modes[command] = data[0];
      return true;
    }
    if (kind === CLASS.mac && command === MAC_COMMAND.setAddress && data.length >= 6) {
      this.mac.set(data.subarray(0, 6));
      return true;
    }
    if (kind === CLASS.mac && command === MAC_COMMAND.setTable) return this.#setTables(data);
    if (kind === CLASS.vlan && command < 2 && data.length >= 2) {
      const id = (data[0] | (data[1] << 8)) & 0xfff;
      if (command === 0) this.#vlans[id >> 5] |= 1 << (id & 31);
      else this.#vlans[id >> 5] &= ~(1 << (id & 31));
      return true;
    }
    return false;
  }

  save(): NetFilterState {
    return {
      mac: this.mac.slice(),
      modes: this.#modes.slice(),
      unicast: this.#unicast.slice(),
      multicast: this.#multicast.slice(),
      allUnicast: this.#allUnicast,
      allMulticast: this.#allMulticast,
      vlans: this.#vlans.slice(),
    };
  }

  restore(state: NetFilterState): void {
    this.mac.set(state.mac);
    this.#modes.set(state.modes);
    this.#unicast = state.unicast.slice();
    this.#multicast = state.multicast.slice();
    this.#allUnicast = state.allUnicast;
    this.#allMulticast = state.allMulticast;
    this.#vlans.set(state.vlans);
  }

  /** Two tables, each a count of 32 bits and so many addresses. */
  #setTables(data: Uint8Array): boolean {
    const unicast = tableAt(data, 0);
    const multicast = unicast && tableAt(data, 4 + unicast.length);
    if (!unicast || !multicast) return false;
    this.#allUnicast = unicast.length > TABLE_ENTRIES * 6;
    this.#allMulticast = multicast.length > TABLE_ENTRIES * 6;
    this.#unicast = this.#allUnicast ? new Uint8Array(0) : unicast.slice();
    this.#multicast = this.#allMulticast ? new Uint8Array(0) : multicast.slice();
    return true;
  }
}

function tableAt(data: Uint8Array, at: number): Uint8Array | undefined {
  if (at + 4 > data.length) return undefined;
  const count = data[at] | (data[at + 1] << 8) | (data[at + 2] << 16);
  const end = at + 4 + count * 6;
  return data[at + 3] === 0 && end <= data.length ? data.subarray(at + 4, end) : undefined;
}

function isAt(frame: Uint8Array, table: Uint8Array, at: number): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== table[at + i]) return false;
  return true;
}

function contains(table: Uint8Array, frame: Uint8Array): boolean {
  for (let at = 0; at < table.length; at += 6) if (isAt(frame, table, at)) return true;
  return false;
}

function isBroadcast(frame: Uint8Array): boolean {
  for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) return false;
  return true;
}
