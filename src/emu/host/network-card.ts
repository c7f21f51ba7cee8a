/**
 * Network cards as a person sets them up, in VBoxManage's words. Plain data: machine settings, command line and saved
 * states carry it.
 */

/** Values of VBoxManage's --nic-type. */
export const NIC_TYPES = ['Am79C970A', 'Am79C973', '82540EM', '82543GC', '82545EM', 'virtio'] as const;
export type NicType = (typeof NIC_TYPES)[number];

export const MAX_NETWORK_CARDS = 8;
/** What --natsettingsN takes besides 0: bytes (IPv6 needs 1280; VirtualBox's most), and VirtualBox's KB. */
export const NAT_MTU = { least: 1280, most: 16_000 } as const;
export const NAT_WINDOW_KB = { least: 8, most: 1024 } as const;

/** What a card's cable leads to. `null` is VirtualBox's "not attached": a card without a link. */
export type NicAttachment =
  | { readonly kind: 'null' }
  | {
      readonly kind: 'nat';
      /** --natnetN: the guest's network as address/prefix; '' for 10.0.(N + 1).0/24. */
      readonly network: string;
      /** --natpfN: name,tcp|udp,hostip,hostport,guestip,guestport. */
      readonly forwards: readonly string[];
      /** --nat-localhostreachableN: the gateway's address is the host's loopback. */
      readonly localhostReachable?: boolean;
      /** --natdnshostresolverN: names are resolved as the host does. */
      readonly hostResolver?: boolean;
      /** --nattftpprefixN: the host's folder that TFTP serves; --nattftpfileN: what PXE loads from it. */
      readonly tftpFolder?: string;
      readonly bootFile?: string;
      /** --nattftpserverN: IPv4 address that PXE loads from; absent: the network's own. */
      readonly tftpServer?: string;
      /** --natdnsproxyN: DHCP names the network's own name server, which asks the host's, and not those; absent: it does. */
      readonly dnsProxy?: boolean;
      /** --natdnspassdomainN: DHCP names the host's domain; absent: it does. */
      readonly passDomain?: boolean;
      /** --natbindipN: the host's address that the guest's connections come from. */
      readonly bindIp?: string;
      /** --natsettingsN: largest IP packet in bytes; 0 and absent: 1500. */
      readonly mtu?: number;
      /** --natsettingsN: KB of a TCP connection on their way to the guest, and from it; 0 and absent: the usual. */
      readonly tcpSendKb?: number;
      readonly tcpReceiveKb?: number;
    }
  /** --intnetN. */
  | { readonly kind: 'intnet'; readonly network: string; readonly dhcpServer?: DhcpServerWords }
  /** --hostonlyadapterN. */
  | { readonly kind: 'hostonly'; readonly adapter: string; readonly dhcpServer?: DhcpServerWords }
  /** --bridgeadapterN. */
  | { readonly kind: 'bridged'; readonly adapter: string }
  /** --nat-networkN. */
  | { readonly kind: 'natnetwork'; readonly network: string }
  /** --nicgenericdrvN and --nicpropertyN. */
  | { readonly kind: 'generic'; readonly driver: string; readonly properties: Readonly<Record<string, string>> };

/** The DHCP server of a network, in words of `VBoxManage dhcpserver add`: IPv4 addresses and a mask as text. */
export interface DhcpServerWords {
  readonly serverIp: string;
  readonly netmask: string;
  readonly lowerIp: string;
  readonly upperIp: string;
}

/** VirtualBox's for vboxnet0. */
export const USUAL_DHCP: DhcpServerWords = {
  ...{ serverIp: '192.168.56.100', netmask: '255.255.255.0' },
  ...{ lowerIp: '192.168.56.101', upperIp: '192.168.56.254' },
};

export type PromiscuousPolicy = 'deny' | 'allow-vms' | 'allow-all';

export interface NetworkCardConfig {
  /** 1 to 8: the N of VBoxManage's options. */
  readonly slot: number;
  readonly type: NicType;
  /** 12 hexadecimal digits. */
  readonly mac: string;
  readonly cableConnected: boolean;
  readonly attachment: NicAttachment;
  /** --nicpromiscN: what a card in promiscuous mode sees of others' frames; absent: deny. */
  readonly promiscuous?: PromiscuousPolicy;
  /** --nicbandwidthgroupN. */
  readonly bandwidthGroup?: string;
  /** --nictraceN: what passes is recorded from power-on; absent: not. The command line says where, too. */
  readonly trace?: boolean;
}

/** VirtualBox's own address block. */
const MAC_PREFIX = '080027';

/** @returns 12 upper-case digits, or undefined when the text is no address of a single station */
export function parseMac(text: string): string | undefined {
  const digits = text.replace(/[:-]/g, '');
  return /^[0-9a-f][02468ace][0-9a-f]{10}$/i.test(digits) && !/^0{12}$/.test(digits) ? digits.toUpperCase() : undefined;
}

/** @param random three bytes of chance */
export function macFrom(random: Uint8Array): string {
  const tail = Array.from(random.subarray(0, 3), (byte) => byte.toString(16).padStart(2, '0'));
  return `${MAC_PREFIX}${tail.join('')}`.toUpperCase();
}

/** The six bytes of a configuration's `mac`. */
export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from({ length: 6 }, (_, i) => Number.parseInt(mac.slice(i * 2, i * 2 + 2), 16));
}
