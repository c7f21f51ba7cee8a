/**
 * Network cards as a person sets them up, in VBoxManage's words. Plain data: machine settings, command line and saved
 * states carry it.
 */

/** Values of VBoxManage's --nic-type. */
export const NIC_TYPES = ['Am79C970A', 'Am79C973', '82540EM', '82543GC', '82545EM', 'virtio'] as const;
export type NicType = (typeof NIC_TYPES)[number];

export const MAX_NETWORK_CARDS = 8;

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
    }
  /** --intnetN. */
  | { readonly kind: 'intnet'; readonly network: string }
  /** --hostonlyadapterN. */
  | { readonly kind: 'hostonly'; readonly adapter: string }
  /** --bridgeadapterN. */
  | { readonly kind: 'bridged'; readonly adapter: string }
  /** --nat-networkN. */
  | { readonly kind: 'natnetwork'; readonly network: string }
  /** --nicgenericdrvN and --nicpropertyN. */
  | { readonly kind: 'generic'; readonly driver: string; readonly properties: Readonly<Record<string, string>> };

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
