/**
 * The machine's network cards and the cables in them. A card sits where VirtualBox puts the card of the same number.
 */
import type { Timers } from '#base/clock.ts';
import { CodedError } from '#base/errors.ts';
import type { DmaMemory, Saveable } from '#emu/bus/wires.ts';
import { E1000 } from '#emu/devices/net/e1000/e1000.ts';
import { Pcnet } from '#emu/devices/net/pcnet/pcnet.ts';
import type { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import type { PciBus } from '#emu/devices/pci/pci-bus.ts';
import { PCI_PIN, type PciFunction } from '#emu/devices/pci/pci-function.ts';
import { createVirtioNet } from '#emu/devices/virtio/create-virtio-net.ts';
import { NetworkCable } from '#emu/host/network-cable.ts';
import { macBytes, type NetworkCardConfig } from '#emu/host/network-card.ts';
import { type PacketPort, UnpluggedPort } from '#emu/host/packet-port.ts';
import type { MachineConfig } from './config.ts';

/** PCI device numbers of cards 1 to 8. */
export const NIC_DEVICES: readonly number[] = [3, 8, 9, 10, 16, 17, 18, 19];

/** What every card model is. RST# comes through its PCI function. */
export interface NetworkCard extends PciFunction, Saveable<unknown> {}

export interface NetworkCardsParts {
  readonly cards: readonly NetworkCardConfig[];
  readonly roms: MachineConfig['firmware']['network'];
  /** By slot, 1 to 8. */
  readonly ports: Readonly<Record<number, PacketPort>>;
  readonly memory: DmaMemory;
  readonly timers: Timers;
  readonly windows: BarWindows;
  readonly pci: PciBus;
}

export class NetworkCards {
  /** By slot, 1 to 8. */
  readonly cables: ReadonlyMap<number, NetworkCable>;
  /** By slot, in order. */
  readonly cards: ReadonlyMap<number, NetworkCard>;

  /** Puts the cards on the bus. */
  constructor(parts: NetworkCardsParts) {
    const cables = new Map<number, NetworkCable>();
    const cards = new Map<number, NetworkCard>();
    for (const config of [...parts.cards].sort((a, b) => a.slot - b.slot)) {
      const device = NIC_DEVICES[config.slot - 1];
      const cable = new NetworkCable(parts.ports[config.slot] ?? new UnpluggedPort(), config.cableConnected);
      const card = createCard(config, cable, parts, device);
      parts.pci.attach(device, 0, card);
      cables.set(config.slot, cable);
      cards.set(config.slot, card);
    }
    this.cables = cables;
    this.cards = cards;
  }

  /** @throws CodedError<'no-card'> */
  cable(slot: number): NetworkCable {
    const cable = this.cables.get(slot);
    if (cable) return cable;
    throw new CodedError('no-card', `the machine has no network card ${slot}; start it with one`, { slot });
  }
}

function createCard(
  config: NetworkCardConfig,
  port: PacketPort,
  parts: NetworkCardsParts,
  device: number,
): NetworkCard {
  const { memory, timers, windows } = parts;
  const interrupt = parts.pci.interruptLine(device, PCI_PIN.inta);
  const rom = parts.roms?.[config.type];
  const common = { memory, timers, windows, interrupt, port, mac: macBytes(config.mac), ...(rom ? { rom } : {}) };
  switch (config.type) {
    case '82540EM':
    case '82543GC':
    case '82545EM':
      return new E1000({ ...common, model: config.type });
    case 'Am79C970A':
    case 'Am79C973':
      return new Pcnet({ ...common, model: config.type });
    case 'virtio':
      return createVirtioNet(common);
  }
}
