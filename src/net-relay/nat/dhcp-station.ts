/**
 * A station of a network that is nothing but its DHCP server: VirtualBox's for host-only and internal networks. It answers
 * ARP for its address.
 */
import { CodedError } from '#base/errors.ts';
import { formatIpv4, type Ipv4, type Ipv4Network, inNetwork, netmask, parseIpv4 } from '../wire/address.ts';
import { ARP_OPERATION, decodeArp, encodeArp } from '../wire/arp.ts';
import { DHCP_PORT, decodeDhcp } from '../wire/dhcp.ts';
import { decodeEthernet, ETHERNET_HEADER_BYTES, ETHERTYPE, ethernetFrame, ethernetHeader } from '../wire/ethernet.ts';
import { decodeIpv4, ipHeader, PROTOCOL } from '../wire/ip.ts';
import { decodeUdp } from '../wire/udp.ts';
import { dhcpFrames } from './dhcp-frames.ts';
import { DhcpServer } from './dhcp-server.ts';

/** VirtualBox's own address block, and a machine that nobody has. */
const MAC = 0x0800_27ff_ff67;
const MTU = 1500;
const LEASE_SECONDS = 86_400;
/** Who asks can claim to be anybody, so that every address may be given away: what is beyond is not. */
const MOST_LEASES = 4096;

/** As `VBoxManage dhcpserver add` has it. */
export interface DhcpServerSettings {
  readonly serverIp: Ipv4;
  readonly network: Ipv4Network;
  readonly pool: readonly [lower: Ipv4, upper: Ipv4];
}

/** Text: three addresses and a mask. */
type DhcpServerWords = Readonly<Record<'serverIp' | 'netmask' | 'lowerIp' | 'upperIp', string>>;

/** @throws CodedError<'bad-network'> */
export function dhcpServerSettings({ serverIp, netmask: mask, lowerIp, upperIp }: DhcpServerWords): DhcpServerSettings {
  const wrong = (what: string): CodedError<'bad-network'> => new CodedError('bad-network', `the DHCP server: ${what}`);
  const address = (name: string, text: string): Ipv4 => {
    const ip = parseIpv4(text);
    if (ip === undefined) throw wrong(`${name} takes an address, not '${text}'`);
    return ip;
  };
  const server = address('server-ip', serverIp);
  const [lower, upper] = [address('lower-ip', lowerIp), address('upper-ip', upperIp)];
  const prefix = prefixOf(mask);
  if (prefix === undefined) throw wrong(`netmask takes one such as 255.255.255.0, not '${mask}'`);
  const network = { address: (server & netmask(prefix)) >>> 0, prefix };
  if (lower > upper || !inNetwork(lower, network) || !inNetwork(upper, network)) {
    throw wrong('lower-ip to upper-ip is no part of the network of server-ip');
  }
  if (lower <= server && server <= upper) throw wrong('server-ip is among those that it gives away');
  return { serverIp: server, network, pool: [lower, Math.min(upper, lower + MOST_LEASES - 1)] };
}

/** The settings as text. */
export const dhcpServerWords = ({ serverIp, network, pool }: DhcpServerSettings): DhcpServerWords => ({
  ...{ serverIp: formatIpv4(serverIp), netmask: formatIpv4(netmask(network.prefix)) },
  ...{ lowerIp: formatIpv4(pool[0]), upperIp: formatIpv4(pool[1]) },
});

export class DhcpStation {
  readonly #send: (frame: Uint8Array) => void;
  readonly #settings: DhcpServerSettings;
  readonly #server: DhcpServer;
  readonly #ethernet = ethernetHeader();
  readonly #header = ipHeader();
  #id = 0;

  /** @param send to the network; what it does not take is lost, and asked for again */
  constructor(settings: DhcpServerSettings, send: (frame: Uint8Array) => void) {
    this.#send = send;
    this.#settings = settings;
    this.#server = new DhcpServer({
      ...{ network: settings.network, server: settings.serverIp, router: 0, dns: [], pool: settings.pool },
      ...{ leaseSeconds: LEASE_SECONDS, domain: '', mtu: MTU, bootFile: '', bootServer: 0 },
    });
  }

  receive(nowMs: number, frame: Uint8Array): void {
    // Tagged frames are another network's.
    if (!decodeEthernet(frame, this.#ethernet) || this.#ethernet.payloadAt !== ETHERNET_HEADER_BYTES) return;
    if (this.#ethernet.etherType === ETHERTYPE.arp) this.#receiveArp(frame);
    if (this.#ethernet.etherType === ETHERTYPE.ipv4) this.#receiveIp(nowMs, frame);
  }

  #receiveArp(frame: Uint8Array): void {
    const arp = decodeArp(frame, ETHERNET_HEADER_BYTES);
    if (arp?.operation !== ARP_OPERATION.request || arp.targetIp !== this.#settings.serverIp) return;
    const [targetMac, targetIp] = [arp.senderMac, arp.senderIp];
    const reply = encodeArp({
      ...{ operation: ARP_OPERATION.reply, senderMac: MAC, senderIp: arp.targetIp, targetMac, targetIp },
    });
    this.#send(ethernetFrame(targetMac, MAC, ETHERTYPE.arp, reply));
  }

  #receiveIp(nowMs: number, frame: Uint8Array): void {
    const header = this.#header;
    if (!decodeIpv4(frame, ETHERNET_HEADER_BYTES, header) || header.isFragment) return;
    if (header.protocol !== PROTOCOL.udp) return;
    const udp = decodeUdp(frame, header.payloadAt, header.end, header.addressAt, header.addressBytes);
    const message = udp?.destinationPort === DHCP_PORT.server ? decodeDhcp(udp.data) : undefined;
    const reply = message && this.#server.receive(nowMs, message);
    if (!reply) return;
    this.#id = (this.#id + 1) & 0xffff;
    const sender = { mac: MAC, ip: this.#settings.serverIp, mtu: MTU };
    for (const one of dhcpFrames(sender, reply, this.#id)) this.#send(one);
  }
}

/** @param mask as `255.255.255.0` @returns undefined when it is none, or leaves no room */
export function prefixOf(mask: string): number | undefined {
  const bits = parseIpv4(mask);
  return [...Array(31).keys()].find((prefix) => netmask(prefix) === bits);
}
