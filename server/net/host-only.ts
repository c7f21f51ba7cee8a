/**
 * Host-only networks: a tap interface of the host, or, where privileges do not allow that, a network inside this process
 * at which the host answers at its address: what a guest sends there goes through the host's sockets.
 *
 * Inside, a guest reaches what listens on all addresses of the host, as it would through an interface, and not what listens
 * on loopback only. The host reaches guests through forwarded ports.
 */
import { fileURLToPath } from 'node:url';
import { CodedError } from '#base/errors.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import type { DhcpServerSettings } from '../../src/net-relay/nat/dhcp-station.ts';
import { hostNetworkConfig } from '../../src/net-relay/nat/nat-config.ts';
import { formatIpv4, type Ipv4, type Ipv4Network, inNetwork, netmask } from '../../src/net-relay/wire/address.ts';
import { NatDriver } from './nat-driver.ts';
import { FORWARD_HOST_IP } from './open-nat.ts';
import { outerAddress } from './own-addresses.ts';
import type { HostEnd } from './shared-network.ts';
import { openTap } from './tap.ts';

export const TAP_HELPER: string = fileURLToPath(new URL('../../server/net/tap-helper.pl', import.meta.url));

/** As `VBoxManage hostonlyif ipconfig` has it. */
export interface HostOnlyInterface {
  readonly ip: Ipv4;
  /** 1 to 30. */
  readonly prefix: number;
}

/** VirtualBox's address of the host on its first such interface; the others follow. */
const FIRST_IP = 0xc0a8_3801;
const FIRST_MAC = 0x0a00_2700_0000;
/** What VirtualBox's DHCP servers give away first. */
const FIRST_GUEST = 101;
const NOTHING = { loopback: false, private: false, public: false } as const;

const numberOf = (adapter: string): number => Number(/^vboxnet(\d{1,2})$/.exec(adapter)?.[1] ?? 0);

/** The host's address where nobody has said one: beside that of the network's DHCP server, or VirtualBox's. */
export function usualInterface(adapter: string, dhcp: DhcpServerSettings | undefined): HostOnlyInterface {
  if (!dhcp) return { ip: FIRST_IP + (numberOf(adapter) << 8), prefix: 24 };
  const { network, serverIp, pool } = dhcp;
  const isTaken = (ip: Ipv4): boolean => ip === serverIp || (pool[0] <= ip && ip <= pool[1]);
  const free = [1, 2, pool[1] - network.address + 1].map((n) => network.address + n);
  return {
    ip: free.find((ip) => !isTaken(ip) && inNetwork(ip, network)) ?? network.address + 1,
    prefix: network.prefix,
  };
}

/** @param end the host's end of a cable to the network's switch @param guest whom forwarded ports lead to, if known */
export async function openHostOnly(
  end: PacketPort,
  adapter: string,
  { ip, prefix }: HostOnlyInterface,
  guest: Ipv4 | undefined,
): Promise<HostEnd> {
  try {
    const address = `${formatIpv4(ip)}/${prefix}`;
    const tap = await openTap(end, { interface: adapter, helper: TAP_HELPER, address });
    const about = `the interface ${adapter} of this computer`;
    return { nat: undefined, isInterface: true, about, close: () => tap.close() };
  } catch (cause) {
    if (!(cause instanceof CodedError && cause.code === 'no-tap')) throw cause;
    return openInside(end, adapter, { ip, prefix }, guest, cause.message);
  }
}

function openInside(
  end: PacketPort,
  adapter: string,
  { ip, prefix }: HostOnlyInterface,
  guest: Ipv4 | undefined,
  why: string,
): HostEnd {
  const network: Ipv4Network = { address: (ip & netmask(prefix)) >>> 0, prefix };
  const outside = outerAddress();
  const firstGuest = guest ?? network.address + Math.min(FIRST_GUEST, 2 ** (32 - prefix) - 2);
  const mac = FIRST_MAC + numberOf(adapter);
  const nat = new NatDriver(end, {
    config: hostNetworkConfig({ network, address: ip, mac, outside, firstGuest }),
    ...{ rights: NOTHING, resolver: { servers: [] }, tftpFolder: undefined, alsoReached: outside },
    forwardHostIp: FORWARD_HOST_IP,
  });
  const reach = outside ? 'its servers are reached there' : 'it has no address but loopback, so none of its servers is';
  const about = `no interface, but a network inside this process: this computer is at ${formatIpv4(ip)}, and ${reach}. The reason: ${why}`;
  return { nat, isInterface: false, about, close: () => nat.close() };
}
