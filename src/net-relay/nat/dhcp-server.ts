/**
 * A DHCP server for one network, and the answer for BOOTP clients of PXE. Source: RFC 2131 4.3, RFC 2132.
 *
 * A client is its hardware address. RFC 2131 prefers the client identifier, but a boot ROM, an installer and the system
 * it installs are one machine with three identifiers, and a forwarded port has to find all of them at one address.
 * A client that asks for an address it had before gets it when it is free, so leases survive this server.
 */
import { type Ipv4, type Ipv4Network, inNetwork, type Mac, netmask } from '../wire/address.ts';
import { put16, u32 } from '../wire/bytes.ts';
import { addressOption, DHCP_OPTION, DHCP_TYPE, type DhcpMessage, secondsOption, textOption } from '../wire/dhcp.ts';

const OFFER_MS = 60_000;
const DECLINED_MS = 600_000;

export interface DhcpConfig {
  readonly network: Ipv4Network;
  readonly server: Ipv4;
  /** 0: no router. */
  readonly router: Ipv4;
  readonly dns: readonly Ipv4[];
  readonly pool: readonly [first: Ipv4, last: Ipv4];
  readonly leaseSeconds: number;
  readonly domain: string;
  readonly mtu: number;
  /** Empty: no network boot. */
  readonly bootFile: string;
  readonly bootServer: Ipv4;
}

export interface Lease {
  readonly mac: Mac;
  readonly ip: Ipv4;
  readonly untilMs: number;
}

export class DhcpServer {
  readonly #config: DhcpConfig;
  readonly #byMac = new Map<Mac, Lease>();
  readonly #byIp = new Map<Ipv4, Lease>();

  constructor(config: DhcpConfig) {
    this.#config = config;
  }

  get leases(): readonly Lease[] {
    return [...this.#byMac.values()];
  }

  /** @returns the reply, or undefined when there is nothing to say */
  receive(nowMs: number, message: DhcpMessage): DhcpMessage | undefined {
    if (message.operation !== 1 || message.relayIp !== 0) return undefined;
    switch (message.options.get(DHCP_OPTION.messageType)?.[0]) {
      case DHCP_TYPE.discover:
        return this.#offer(nowMs, message);
      case DHCP_TYPE.request:
        return this.#request(nowMs, message);
      case DHCP_TYPE.decline:
        this.#decline(nowMs, message);
        return undefined;
      case DHCP_TYPE.release:
        this.#release(nowMs, message);
        return undefined;
      case DHCP_TYPE.inform:
        return this.#reply(message, DHCP_TYPE.ack, 0);
      default:
        return undefined;
    }
  }

  #offer(nowMs: number, message: DhcpMessage): DhcpMessage | undefined {
    const ip = this.#choose(nowMs, message.clientMac, requested(message));
    if (ip === undefined) return undefined;
    const until = Math.max(this.#byMac.get(message.clientMac)?.untilMs ?? 0, nowMs + OFFER_MS);
    this.#bind({ mac: message.clientMac, ip, untilMs: until });
    return this.#reply(message, DHCP_TYPE.offer, ip);
  }

  #request(nowMs: number, message: DhcpMessage): DhcpMessage | undefined {
    const server = message.options.get(DHCP_OPTION.serverIdentifier);
    if (server && (server.length !== 4 || u32(server, 0) !== this.#config.server)) return undefined;
    const ip = requested(message) ?? message.clientIp;
    if (!this.#mayHave(nowMs, message.clientMac, ip)) return this.#refuse(message);
    this.#bind({ mac: message.clientMac, ip, untilMs: nowMs + this.#config.leaseSeconds * 1000 });
    return this.#reply(message, DHCP_TYPE.ack, ip);
  }

  #decline(nowMs: number, message: DhcpMessage): void {
    const ip = requested(message);
    const lease = this.#byMac.get(message.clientMac);
    if (ip === undefined || lease?.ip !== ip) return;
    this.#byMac.delete(message.clientMac);
    // Somebody else uses it; nobody gets it for a while.
    this.#byIp.set(ip, { mac: -1, ip, untilMs: nowMs + DECLINED_MS });
  }

  #release(nowMs: number, message: DhcpMessage): void {
    const lease = this.#byMac.get(message.clientMac);
    if (lease?.ip === message.clientIp) this.#bind({ ...lease, untilMs: nowMs });
  }

  #choose(nowMs: number, mac: Mac, wanted: Ipv4 | undefined): Ipv4 | undefined {
    const lease = this.#byMac.get(mac);
    if (lease && this.#byIp.get(lease.ip) === lease) return lease.ip;
    if (wanted !== undefined && this.#mayHave(nowMs, mac, wanted)) return wanted;
    const [first, last] = this.#config.pool;
    let expired: Ipv4 | undefined;
    for (let ip = first; ip <= last; ip++) {
      const taken = this.#byIp.get(ip);
      if (!taken) return ip;
      if (taken.untilMs <= nowMs) expired ??= ip;
    }
    return expired;
  }

  #mayHave(nowMs: number, mac: Mac, ip: Ipv4): boolean {
    const [first, last] = this.#config.pool;
    if (ip < first || last < ip || !inNetwork(ip, this.#config.network)) return false;
    const taken = this.#byIp.get(ip);
    return !taken || taken.mac === mac || taken.untilMs <= nowMs;
  }

  #bind(lease: Lease): void {
    const before = this.#byMac.get(lease.mac);
    if (before && this.#byIp.get(before.ip) === before) this.#byIp.delete(before.ip);
    const other = this.#byIp.get(lease.ip);
    if (other && this.#byMac.get(other.mac) === other) this.#byMac.delete(other.mac);
    this.#byMac.set(lease.mac, lease);
    this.#byIp.set(lease.ip, lease);
  }

  #refuse(message: DhcpMessage): DhcpMessage {
    const nak = this.#reply(message, DHCP_TYPE.nak, 0);
    const options = new Map<number, Uint8Array>([
      [DHCP_OPTION.messageType, Uint8Array.of(DHCP_TYPE.nak)],
      [DHCP_OPTION.serverIdentifier, addressOption(this.#config.server)],
      [DHCP_OPTION.message, textOption('address not available')],
    ]);
    return { ...nak, wantsBroadcast: true, clientIp: 0, serverIp: 0, bootFile: '', options };
  }

  #reply(message: DhcpMessage, type: number, yourIp: Ipv4): DhcpMessage {
    const config = this.#config;
    const mask = netmask(config.network.prefix);
    const options = new Map<number, Uint8Array>([
      [DHCP_OPTION.messageType, Uint8Array.of(type)],
      [DHCP_OPTION.serverIdentifier, addressOption(config.server)],
    ]);
    if (yourIp !== 0) {
      options.set(DHCP_OPTION.leaseTime, secondsOption(config.leaseSeconds));
      options.set(DHCP_OPTION.renewalTime, secondsOption(Math.floor(config.leaseSeconds / 2)));
      options.set(DHCP_OPTION.rebindingTime, secondsOption(Math.floor((config.leaseSeconds * 7) / 8)));
    }
    options.set(DHCP_OPTION.subnetMask, addressOption(mask));
    options.set(DHCP_OPTION.broadcast, addressOption((config.network.address | ~mask) >>> 0));
    if (config.router !== 0) options.set(DHCP_OPTION.router, addressOption(config.router));
    if (config.dns.length > 0) options.set(DHCP_OPTION.dns, addressOption(...config.dns));
    if (config.domain !== '') options.set(DHCP_OPTION.domainName, textOption(config.domain));
    if (config.mtu !== 1500) options.set(DHCP_OPTION.mtu, put16Option(config.mtu));
    return {
      operation: 2,
      transactionId: message.transactionId,
      seconds: 0,
      wantsBroadcast: message.wantsBroadcast,
      clientIp: message.clientIp,
      yourIp,
      serverIp: config.bootFile === '' ? 0 : config.bootServer,
      relayIp: 0,
      clientMac: message.clientMac,
      serverName: '',
      bootFile: config.bootFile,
      options,
    };
  }
}

function requested(message: DhcpMessage): Ipv4 | undefined {
  const option = message.options.get(DHCP_OPTION.requestedAddress);
  return option?.length === 4 ? u32(option, 0) : undefined;
}

function put16Option(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  put16(bytes, 0, value);
  return bytes;
}
