// What the command line says of one network card: VBoxManage modifyvm's options, in both spellings.

import { CodedError } from '#base/errors.ts';

/** Values of node:util's parseArgs. */
export type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** Without the card's number; the first spelling is the one that messages use. */
export const NIC_OPTIONS = {
  nic: ['nic'],
  type: ['nictype', 'nic-type'],
  mac: ['macaddress', 'mac-address'],
  cable: ['cableconnected', 'cable-connected'],
  trace: ['nictrace', 'nic-trace'],
  traceFile: ['nictracefile', 'nic-trace-file'],
  speed: ['nicspeed', 'nic-speed'],
  bootPriority: ['nicbootprio', 'nic-boot-prio'],
  natNetwork: ['natnet', 'nat-net'],
  natForward: ['natpf', 'nat-pf'],
  natLocalhost: ['nat-localhostreachable', 'natlocalhostreachable'],
  natHostResolver: ['natdnshostresolver', 'nat-dns-host-resolver'],
  natDnsProxy: ['natdnsproxy', 'nat-dns-proxy'],
  natPassDomain: ['natdnspassdomain', 'nat-dns-pass-domain'],
  natTftpFolder: ['nattftpprefix', 'nat-tftp-prefix'],
  natBootFile: ['nattftpfile', 'nat-tftp-file'],
  natTftpServer: ['nattftpserver', 'nat-tftp-server'],
  natBindIp: ['natbindip', 'nat-bind-ip'],
  natSettings: ['natsettings', 'nat-settings'],
  natAliasMode: ['nataliasmode', 'nat-alias-mode'],
  promiscuous: ['nicpromisc', 'nic-promisc'],
  bandwidthGroup: ['nicbandwidthgroup', 'nic-bandwidth-group'],
  internalNetwork: ['intnet'],
  bridgeAdapter: ['bridgeadapter', 'bridge-adapter'],
  hostOnlyAdapter: ['hostonlyadapter', 'host-only-adapter'],
  sharedNatNetwork: ['nat-network', 'natnetwork'],
  genericDriver: ['nicgenericdrv', 'nic-generic-drv'],
  genericProperty: ['nicproperty', 'nic-property'],
} as const;
export type NicOption = keyof typeof NIC_OPTIONS;

export const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** Of a machine that has no name. */
export const USUAL_NAME = 'tabbox';

export class CardValues {
  readonly slot: number;
  readonly #values: Values;

  constructor(values: Values, slot: number) {
    this.#values = values;
    this.slot = slot;
  }

  /** What the machine is called. */
  get machine(): string {
    const { name } = this.#values;
    return typeof name === 'string' ? name : USUAL_NAME;
  }

  name(option: NicOption): string {
    return `--${NIC_OPTIONS[option][0]}${this.slot}`;
  }

  all(option: NicOption): string[] {
    return NIC_OPTIONS[option].flatMap((name) => {
      const given = this.#values[`${name}${this.slot}`];
      return Array.isArray(given) ? given.map(String) : [];
    });
  }

  /** The last one counts, as for VBoxManage. */
  one(option: NicOption): string | undefined {
    return this.all(option).at(-1);
  }

  /** @throws CodedError<'usage'> */
  flag(option: NicOption): boolean | undefined {
    const text = this.one(option);
    if (text === undefined || text === 'on' || text === 'off') return text === undefined ? undefined : text === 'on';
    throw usage(`${this.name(option)} takes on or off, not '${text}'`);
  }
}
