import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import type { NicOptions } from './network-options.ts';
import { parseRunOptions } from './run-options.ts';
import { parseDhcpServer, parseHostOnlyInterface, parseNatNetwork } from './shared-network-options.ts';

function cards(...args: string[]): readonly NicOptions[] {
  const options = parseRunOptions(args);
  if (options === 'help') throw new Error('help was not asked for');
  return options.networkCards;
}

const complaint = (...args: string[]): string => {
  try {
    cards(...args);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'usage') return error.message;
    throw error;
  }
  return '';
};

describe('network cards of tabbox run', () => {
  it('are none unless named', () => {
    expect(cards()).toEqual([]);
    expect(cards('--nic1', 'none', '--nictype1', '82540EM')).toEqual([]);
  });

  it('have defaults', () => {
    expect(cards('--nic1', 'nat')).toEqual([
      {
        slot: 1,
        type: '82540EM',
        mac: undefined,
        cableConnected: true,
        attachment: { kind: 'nat', network: '', forwards: [] },
        traceFile: undefined,
      },
    ]);
    expect(cards('--nic2=intnet')[0]).toMatchObject({ slot: 2, attachment: { kind: 'intnet', network: 'intnet' } });
  });

  it('take both spellings, with = or a space, the last one counting', () => {
    const old = cards(
      ...['--nic8', 'nat', '--nictype8', 'am79c973', '--macaddress8', '0800270000aa', '--cableconnected8', 'off'],
      ...['--natnet8', '10.9.0.0/16', '--natpf8', 'ssh,tcp,,2222,,22', '--natpf8', 'web,tcp,,8080,,80'],
      ...['--nictrace8', 'on', '--nictracefile8', 'a.pcap'],
    );
    const hyphenated = cards(
      ...['--nic8=null', '--nic8=nat', '--nic-type8=Am79C973', '--mac-address8=08:00:27:00:00:AA'],
      ...['--cable-connected8=off', '--nat-net8=10.9.0.0/16', '--nat-pf8=ssh,tcp,,2222,,22'],
      ...['--nat-pf8=web,tcp,,8080,,80', '--nic-trace8=on', '--nic-trace-file8=a.pcap'],
    );
    expect(hyphenated).toEqual(old);
    expect(old).toEqual([
      {
        slot: 8,
        type: 'Am79C973',
        mac: '0800270000AA',
        cableConnected: false,
        attachment: { kind: 'nat', network: '10.9.0.0/16', forwards: ['ssh,tcp,,2222,,22', 'web,tcp,,8080,,80'] },
        traceFile: 'a.pcap',
      },
    ]);
  });

  it('take what NAT, the switch and groups need', () => {
    const [card] = cards(
      ...[
        '--nic1',
        'nat',
        '--nat-localhostreachable1',
        'on',
        '--nattftpprefix1=/srv/tftp',
        '--nattftpfile1',
        'vm.pxe',
        '--nat-dns-host-resolver1=on',
      ],
      ...['--nicpromisc1', 'allow-vms', '--nicbandwidthgroup1', 'up'],
    );
    expect(card).toMatchObject({
      attachment: {
        kind: 'nat',
        localhostReachable: true,
        hostResolver: true,
        tftpFolder: '/srv/tftp',
        bootFile: 'vm.pxe',
      },
      promiscuous: 'allow-vms',
      bandwidthGroup: 'up',
    });
    const bootFileOf = (...args: string[]): unknown => {
      const { attachment } = cards('--nic1', 'nat', '--nattftpprefix1', '/srv', ...args)[0];
      return attachment.kind === 'nat' ? attachment.bootFile : undefined;
    };
    expect([bootFileOf(), bootFileOf('--name', 'web')]).toEqual(['tabbox.pxe', 'web.pxe']);
    expect(() => cards('--nic1', 'nat', '--nicpromisc1', 'yes')).toThrow(/deny, allow-vms or allow-all/);
    expect(() => cards('--nic1', 'intnet', '--nattftpfile1', 'x')).toThrow(/goes with --nic1 nat/);
  });

  it('take every attachment', () => {
    const all = cards(
      ...['--nic1', 'null', '--nic2', 'intnet', '--intnet2', 'lab', '--nic3', 'bridged', '--bridgeadapter3', 'eth0'],
      ...['--nic4', 'hostonly', '--nic5', 'natnetwork', '--nat-network5', 'shared', '--nic6', 'generic'],
      ...['--nicgenericdrv6', 'UDPTunnel', '--nicproperty6', 'dest=10.0.0.1', '--nicproperty6', 'sport=1'],
    );
    expect(all.map(({ attachment }) => attachment)).toEqual([
      { kind: 'null' },
      { kind: 'intnet', network: 'lab' },
      { kind: 'bridged', adapter: 'eth0' },
      { kind: 'hostonly', adapter: 'vboxnet0' },
      { kind: 'natnetwork', network: 'shared' },
      { kind: 'generic', driver: 'UDPTunnel', properties: { dest: '10.0.0.1', sport: '1' } },
    ]);
  });

  it.each([
    [['--nic1', 'wifi'], '--nic1 takes none'],
    [['--nic9', 'nat'], 'unknown option'],
    [['--nictype1', '82540EM'], '--nictype1 needs --nic1'],
    [['--nic1', 'nat', '--nictype1', 'NE2000'], '--nictype1 takes Am79C970A'],
    [['--nic1', 'nat', '--macaddress1', '01:00:5e:00:00:01'], '--macaddress1 takes auto or 12'],
    [['--nic1', 'nat', '--cableconnected1', 'yes'], '--cableconnected1 takes on or off'],
    [['--nic1', 'nat', '--intnet1', 'x'], '--intnet1 goes with --nic1 intnet, not nat'],
    [['--nic1', 'intnet', '--intnet1', ''], '--intnet1 takes a name'],
    [['--nic1', 'bridged'], '--nic1 bridged needs --bridgeadapter1'],
    [['--nic1', 'generic'], '--nic1 generic needs --nicgenericdrv1'],
    [['--nic1', 'generic', '--nicgenericdrv1', 'VDE', '--nicproperty1', 'x'], '--nicproperty1 takes NAME=VALUE'],
    [['--nic1', 'nat', '--nictrace1', 'on'], '--nictrace1 needs --nictracefile1'],
    [['--restore-state', 's', '--nic1', 'nat'], '--nic1 to --nic8 cannot change a saved machine'],
  ])('%j is refused', (args, message) => expect(complaint(...args)).toContain(message));
});

describe('every NAT option of VBoxManage modifyvm', () => {
  it.each([
    ['nat-net', '10.9.0.0/16', { network: '10.9.0.0/16' }],
    ['nat-pf', 'a,tcp,,1,,2', { forwards: ['a,tcp,,1,,2'] }],
    ['nat-localhostreachable', 'on', { localhostReachable: true }],
    ['nat-dns-host-resolver', 'on', { hostResolver: true }],
    ['nat-dns-proxy', 'off', { dnsProxy: false }],
    ['nat-dns-pass-domain', 'off', { passDomain: false }],
    ['nat-tftp-prefix', '/srv/tftp', { tftpFolder: '/srv/tftp' }],
    ['nat-tftp-file', 'x.pxe', { bootFile: 'x.pxe' }],
    ['nat-tftp-server', '10.0.0.9', { tftpServer: '10.0.0.9' }],
    ['nat-bind-ip', '127.0.0.1', { bindIp: '127.0.0.1' }],
    ['nat-settings', '9000,0,0,128,0', { mtu: 9000, tcpSendKb: 128, tcpReceiveKb: 0 }],
    ['nat-alias-mode', 'default', {}],
    ['nic-speed', '0', {}],
    ['nic-boot-prio', '0', {}],
  ])('--%s is taken in both spellings', (option, value, expected) => {
    for (const name of [option, option === 'nat-localhostreachable' ? option : option.replaceAll('-', '')]) {
      const [card] = cards('--nic2', 'nat', `--${name}2`, value);
      expect(card.attachment, name).toMatchObject({ kind: 'nat', ...expected });
    }
  });

  it.each([
    ['nataliasmode', 'sameports', /not modelled: there is no libalias/],
    ['nicspeed', '1000', /not modelled: .*--nicbandwidthgroup/],
    ['nicbootprio', '1', /not modelled: firmware asks/],
    ['natsettings', '1500,64,64,64,64', /not modelled, because the host adapts/],
    ['natsettings', '1500', /five numbers/],
    ['natsettings', '100,0,0,0,0', /the MTU is 0 or 1280 to 16000, not 100/],
    ['natsettings', '0,0,0,4,0', /what TCP holds, in KB, is 0 or 8 to 1024, not 4/],
    ['nattftpserver', 'host', /takes an IP address/],
    ['natbindip', '1.2.3', /takes an IP address/],
    ['natdnsproxy', 'yes', /takes on or off/],
  ])('--%s %s says what is wrong', (option, value, message) => {
    expect(complaint('--nic1', 'nat', `--${option}1`, value)).toMatch(message);
  });
});

describe('--natnetwork and --hostonlyif', () => {
  it('take what VBoxManage does', () => {
    const rule = 'ssh:tcp:[]:1022:[192.168.15.5]:22';
    const text = `lab,network=192.168.15.0/24,dhcp=off,ipv6=on,port-forward-4=${rule},loopback-4=127.0.0.1=2`;
    const words = [
      { option: 'network', value: '192.168.15.0/24' },
      { option: 'dhcp', value: 'off' },
      { option: 'ipv6', value: 'on' },
      { option: 'port-forward-4', value: rule },
      { option: 'loopback-4', value: '127.0.0.1=2' },
    ];
    expect(parseNatNetwork(text)).toEqual({ name: 'lab', words });
    const own = { ip: 0xc0a8_3901, prefix: 25 };
    const given = 'vboxnet1,ip=192.168.57.1,netmask=255.255.255.128';
    expect(parseHostOnlyInterface(given)).toEqual({ adapter: 'vboxnet1', own });
  });

  it.each([
    ['', /takes NAME/],
    ['lab,color=red', /not 'color'/],
    ['lab,network=10.0.0.0/30', /is not a network for NAT/],
    ['lab,dhcp=yes', /on or off/],
    ['lab,port-forward-4=ssh:tcp', /is not NAME:tcp/],
    ['lab,loopback-4=8.8.8.8=2', /is not ADDRESS=OFFSET/],
    ['lab,loopback-4=127.0.0.1=9', /from 2 to 3/],
    ['lab,ipv6=on,ipv6-prefix=fd00::/48', /is no IPv6 prefix/],
  ])('--natnetwork %j says what is wrong', (text, message) => {
    expect(() => parseNatNetwork(text)).toThrow(message);
  });

  it.each(['vboxnet0', 'vboxnet0,ip=1.2.3', ',ip=1.2.3.4', 'vboxnet0,ip=1.2.3.4,mask=255.0.0.0'])(
    '--hostonlyif %j is refused',
    (text) => {
      expect(() => parseHostOnlyInterface(text)).toThrow(/takes INTERFACE,ip=IP/);
    },
  );
});

describe('--dhcpserver', () => {
  it('has VirtualBox’s defaults for its first interface', () => {
    expect(parseDhcpServer('interface=vboxnet0')).toEqual({
      network: 'hostonly vboxnet0',
      settings: {
        serverIp: 0xc0a8_3864,
        network: { address: 0xc0a8_3800, prefix: 24 },
        pool: [0xc0a8_3865, 0xc0a8_38fe],
      },
    });
  });

  it('takes all that VBoxManage does', () => {
    const text = 'network=lab,server-ip=10.1.0.1,netmask=255.255.0.0,lower-ip=10.1.2.0,upper-ip=10.1.2.255';
    expect(parseDhcpServer(text)).toEqual({
      network: 'intnet lab',
      settings: {
        serverIp: 0x0a01_0001,
        network: { address: 0x0a01_0000, prefix: 16 },
        pool: [0x0a01_0200, 0x0a01_02ff],
      },
    });
  });

  it.each([
    ['', /an interface or a network/],
    ['interface=a,network=b', /an interface or a network/],
    ['interface=a,lowerip=1.2.3.4', /not 'lowerip'/],
    ['interface=a,server-ip=1.2.3', /server-ip takes an address/],
    ['interface=a,netmask=255.0.255.0', /netmask takes one/],
    ['interface=a,server-ip=10.0.0.1', /no part of the network/],
    ['interface=a,server-ip=192.168.56.110', /among those/],
  ])('refuses %j', (text, message) => {
    expect(() => parseDhcpServer(text)).toThrow(message);
  });
});
