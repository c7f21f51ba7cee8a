/** A network device on the PCI bus. */
import type { DmaMemory, IrqLine } from '#emu/bus/wires.ts';
import type { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { VirtioNet } from './virtio-net.ts';
import { VirtioPci } from './virtio-pci.ts';

export interface VirtioNetCardParts {
  /** Six bytes. */
  readonly mac: Uint8Array;
  readonly memory: DmaMemory;
  /** INTA#. */
  readonly interrupt: IrqLine;
  readonly windows: Pick<BarWindows, 'io' | 'memory'>;
  readonly port: PacketPort;
  /** Option ROM. */
  readonly rom?: Uint8Array;
}

export function createVirtioNet(parts: VirtioNetCardParts): VirtioPci {
  const { mac, port } = parts;
  return new VirtioPci({ ...parts, createDevice: (transport) => new VirtioNet({ transport, mac, port }) });
}
