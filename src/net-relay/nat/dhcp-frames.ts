// How a DHCP server's replies travel. Source: RFC 2131, 4.1.

import { BROADCAST_MAC, type Ipv4, ipv4Bytes, type Mac } from '../wire/address.ts';
import { concat } from '../wire/bytes.ts';
import { DHCP_OPTION, DHCP_PORT, DHCP_TYPE, type DhcpMessage, encodeDhcp } from '../wire/dhcp.ts';
import { ipFrames } from '../wire/fragments.ts';
import { PROTOCOL } from '../wire/ip.ts';
import { encodeUdp } from '../wire/udp.ts';

export interface DhcpSender {
  readonly mac: Mac;
  readonly ip: Ipv4;
  readonly mtu: number;
}

/** The frames of a reply, to where the client can hear it. @param id identification of the IP packet */
export function dhcpFrames(sender: DhcpSender, reply: DhcpMessage, id: number): Iterable<Uint8Array> {
  const isNak = reply.options.get(DHCP_OPTION.messageType)?.[0] === DHCP_TYPE.nak;
  const known = reply.clientIp !== 0 && !isNak;
  const toAll = !known && (reply.wantsBroadcast || isNak);
  const ip = known ? reply.clientIp : toAll ? 0xffff_ffff : reply.yourIp;
  const addresses = concat(ipv4Bytes(sender.ip), ipv4Bytes(ip));
  const ports = { sourcePort: DHCP_PORT.server, destinationPort: DHCP_PORT.client };
  const payload = encodeUdp({ ...ports, data: encodeDhcp(reply) }, addresses);
  const to = { destination: toAll ? BROADCAST_MAC : reply.clientMac, source: sender.mac, mtu: sender.mtu };
  return ipFrames(to, addresses, PROTOCOL.udp, payload, id);
}
