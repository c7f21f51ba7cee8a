// A card's options that only NAT has, and those of VBoxManage that stand for nothing here.

import { NAT_MTU, NAT_WINDOW_KB, type NicAttachment } from '#emu/host/network-card.ts';
import { parseIp, parseIpv4 } from '../../src/net-relay/wire/address.ts';
import { type CardValues, type NicOption, usage } from './nic-values.ts';

type NatSettings = Extract<NicAttachment, { readonly kind: 'nat' }>;

export const NAT_OPTIONS: readonly NicOption[] = [
  ...(['natNetwork', 'natForward', 'natLocalhost', 'natHostResolver', 'natDnsProxy', 'natPassDomain'] as const),
  ...(['natTftpFolder', 'natBootFile', 'natTftpServer', 'natBindIp', 'natSettings', 'natAliasMode'] as const),
];

/** Options that are known and not modelled: what they may say all the same, and why not more. */
const NOT_MODELLED: readonly (readonly [NicOption, plain: string, why: string])[] = [
  ['natAliasMode', 'default', 'there is no libalias in this NAT whose modes could be chosen; leave it at default'],
  ['speed', '0', 'the speed that a card reports is its model’s; for a limit there is --nicbandwidthgroup'],
  [
    'bootPriority',
    '0',
    'firmware asks network cards in the order of their numbers; number them as you want them asked',
  ],
];

/** @throws CodedError<'usage'> */
export function refuseNotModelled(given: CardValues): void {
  for (const [option, plain, why] of NOT_MODELLED) {
    const text = given.one(option);
    if (text !== undefined && text !== plain) throw usage(`${given.name(option)} ${text} is not modelled: ${why}`);
  }
}

/** @throws CodedError<'usage'> */
export function natOf(given: CardValues): NatSettings {
  const tftpFolder = given.one('natTftpFolder');
  const values = {
    localhostReachable: given.flag('natLocalhost'),
    hostResolver: given.flag('natHostResolver'),
    dnsProxy: given.flag('natDnsProxy'),
    passDomain: given.flag('natPassDomain'),
    tftpFolder,
    bootFile: given.one('natBootFile') ?? (tftpFolder === undefined ? undefined : `${given.machine}.pxe`),
    tftpServer: addressOf(given, 'natTftpServer', parseIpv4),
    bindIp: addressOf(given, 'natBindIp', parseIp),
    ...sizesOf(given),
  };
  const known = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  return { kind: 'nat', network: given.one('natNetwork') ?? '', forwards: given.all('natForward'), ...known };
}

function addressOf(given: CardValues, option: NicOption, parse: (text: string) => unknown): string | undefined {
  const text = given.one(option);
  if (text === undefined || parse(text) !== undefined) return text;
  throw usage(`${given.name(option)} takes an IP address, not '${text}'`);
}

type Sizes = Pick<NatSettings, 'mtu' | 'tcpSendKb' | 'tcpReceiveKb'>;

/** `--natsettingsN MTU,SOCKSND,SOCKRCV,TCPSND,TCPRCV`. */
function sizesOf(given: CardValues): Sizes {
  const text = given.one('natSettings');
  if (text === undefined) return {};
  const name = given.name('natSettings');
  const numbers = text.split(',').map((part) => (/^\d{1,6}$/.test(part) ? Number(part) : Number.NaN));
  if (numbers.length !== 5 || numbers.some(Number.isNaN)) {
    throw usage(`${name} takes MTU,SOCKSND,SOCKRCV,TCPSND,TCPRCV, five numbers, not '${text}'`);
  }
  const [mtu, socketSend, socketReceive, tcpSendKb, tcpReceiveKb] = numbers;
  if (socketSend !== 0 || socketReceive !== 0) {
    throw usage(
      `${name} ${text}: the sizes of sockets' buffers are not modelled, because the host adapts them itself; give 0 for the second and third number`,
    );
  }
  const check = (what: string, value: number, { least, most }: { readonly least: number; readonly most: number }) => {
    if (value !== 0 && (value < least || most < value)) {
      throw usage(`${name} ${text}: ${what} is 0 or ${least} to ${most}, not ${value}`);
    }
  };
  check('the MTU', mtu, NAT_MTU);
  for (const kb of [tcpSendKb, tcpReceiveKb]) check('what TCP holds, in KB,', kb, NAT_WINDOW_KB);
  return { mtu, tcpSendKb, tcpReceiveKb };
}
