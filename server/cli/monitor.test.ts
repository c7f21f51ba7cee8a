import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { MONITOR_HELP, type MonitorCommand, parseMonitorLine } from './monitor-commands.ts';
import { answer, type Execute, serveLines, serveSocket } from './monitor-server.ts';
import { EscapeFilter } from './terminal.ts';

const modeHint = (monitor: number, width: number, height: number, enabled: boolean, more = {}): MonitorCommand => ({
  verb: 'setvideomodehint',
  hint: { monitor, width, height, enabled, ...more },
});

describe('the monitor’s language', () => {
  it.each<[string, MonitorCommand]>([
    ['pause', { verb: 'pause' }],
    ['  acpipowerbutton \r', { verb: 'acpipowerbutton' }],
    ['savestate', { verb: 'savestate', path: undefined }],
    ['savestate "/tmp/my machine"', { verb: 'savestate', path: '/tmp/my machine' }],
    ['screenshotpng /tmp/a b.png', { verb: 'screenshotpng', path: '/tmp/a b.png', monitor: 0 }],
    ['screenshotpng "/tmp/a b.png" 3', { verb: 'screenshotpng', path: '/tmp/a b.png', monitor: 3 }],
    ['keyboardputscancode 1d 38 e0 53', { verb: 'keyboardputscancode', codes: [0x1d, 0x38, 0xe0, 0x53] }],
    ['mouse -5 7', { verb: 'mouse', dx: -5, dy: 7, dz: 0, buttons: 0, dw: 0 }],
    ['mouse 0 0 -1 3', { verb: 'mouse', dx: 0, dy: 0, dz: -1, buttons: 3, dw: 0 }],
    ['mouse 0 0 0 0 -2', { verb: 'mouse', dx: 0, dy: 0, dz: 0, buttons: 0, dw: -2 }],
    ['mouse 1 0 0 24', { verb: 'mouse', dx: 1, dy: 0, dz: 0, buttons: 24, dw: 0 }],
    ['setvideomodehint 1024 768 32', modeHint(0, 1024, 768, true)],
    ['setvideomodehint 640 480 32 3 no', modeHint(3, 640, 480, false)],
    ['setvideomodehint 640 480 32 1 yes', modeHint(1, 640, 480, true)],
    ['setvideomodehint 800 600 32 1 1024 0', modeHint(1, 800, 600, true, { origin: { x: 1024, y: 0 } })],
    ['setlinkstate1 off', { verb: 'setlinkstate', slot: 1, on: false }],
    ['nic1 nat', { verb: 'nic', slot: 1, attachment: { kind: 'nat', network: '', forwards: [] } }],
    ['nic2 intnet "my lab"', { verb: 'nic', slot: 2, attachment: { kind: 'intnet', network: 'my lab' } }],
    ['nic3 bridged br0', { verb: 'nic', slot: 3, attachment: { kind: 'bridged', adapter: 'br0' } }],
    ['nic4 hostonly', { verb: 'nic', slot: 4, attachment: { kind: 'hostonly', adapter: 'vboxnet0' } }],
    ['nic5 generic VDE', { verb: 'nic', slot: 5, attachment: { kind: 'generic', driver: 'VDE', properties: {} } }],
    ['nicpromisc1 allow-vms', { verb: 'nicpromisc', slot: 1, policy: 'allow-vms' }],
    ['nicproperty1 network=/a=b', { verb: 'nicproperty', slot: 1, name: 'network', value: '/a=b' }],
    ['nictrace8 on', { verb: 'nictrace', slot: 8, on: true }],
    ['natpf1 ssh,tcp,,2222,,22', { verb: 'natpf', slot: 1, rule: 'ssh,tcp,,2222,,22' }],
    ['natpf2 delete ssh', { verb: 'natpfdelete', slot: 2, name: 'ssh' }],
    ['natpf8', { verb: 'natpflist', slot: 8 }],
    ['bandwidthctl list', { verb: 'bandwidthctl', action: 'list', name: '', limit: '' }],
    [
      'bandwidthctl add up --type network --limit 20m',
      { verb: 'bandwidthctl', action: 'add', name: 'up', limit: '20m' },
    ],
    ['bandwidthctl set up --limit 0', { verb: 'bandwidthctl', action: 'set', name: 'up', limit: '0' }],
    ['bandwidthctl remove up', { verb: 'bandwidthctl', action: 'remove', name: 'up', limit: '' }],
    ['natnetwork list', { verb: 'natnetwork', action: 'list', name: '', words: [] }],
    [
      'natnetwork add --netname "my net" --network=192.168.15.0/24 --enable --dhcp off',
      {
        ...{ verb: 'natnetwork', action: 'add', name: 'my net' },
        words: [
          { option: 'network', value: '192.168.15.0/24' },
          { option: 'enable', value: '' },
          { option: 'dhcp', value: 'off' },
        ],
      },
    ],
    [
      'natnetwork modify --netname n --port-forward-4 delete ssh --loopback-4 "127.0.0.1=2"',
      {
        ...{ verb: 'natnetwork', action: 'modify', name: 'n' },
        words: [
          { option: 'port-forward-4', value: 'ssh', isDelete: true },
          { option: 'loopback-4', value: '127.0.0.1=2' },
        ],
      },
    ],
    ['dhcpserver list', { verb: 'dhcpserver', action: 'list', network: '', words: {} }],
    [
      'dhcpserver add --network="my lab" --server-ip 10.1.0.1 --netmask=255.255.0.0 --lowerip 10.1.2.0 --enable',
      {
        ...{ verb: 'dhcpserver', action: 'add', network: 'intnet my lab' },
        words: { serverIp: '10.1.0.1', netmask: '255.255.0.0', lowerIp: '10.1.2.0' },
      },
    ],
    [
      'dhcpserver remove --interface vboxnet0',
      { verb: 'dhcpserver', action: 'remove', network: 'hostonly vboxnet0', words: {} },
    ],
    ['natnetwork stop --netname n', { verb: 'natnetwork', action: 'stop', name: 'n', words: [] }],
    ['nictracefile2 "a b.pcap"', { verb: 'nictracefile', slot: 2, path: 'a b.pcap' }],
    ['eject cdrom', { verb: 'eject', drive: 'cdrom', force: false }],
    ['eject floppy force', { verb: 'eject', drive: 'floppy', force: true }],
    ["insert cdrom 'a b.iso'", { verb: 'insert', drive: 'cdrom', path: 'a b.iso' }],
  ])('reads %j', (line, command) => {
    expect(parseMonitorLine(line)).toEqual(command);
  });

  it('types text with its spaces and escapes', () => {
    const keys = (line: string): unknown => {
      const command = parseMonitorLine(line);
      return command?.verb === 'keyboardputstring' ? command.keys.map((k) => k[0]) : undefined;
    };
    // a: 1e, b: 30, space: 39, Enter: 1c, Escape: 01, backslash: 2b, n: 31.
    expect(keys('keyboardputstring a b\\n')).toEqual([0x1e, 0x39, 0x30, 0x1c]);
    expect(keys('keyboardputstring  a')).toEqual([0x39, 0x1e]);
    expect(keys('keyboardputstring \\e\\\\n')).toEqual([0x01, 0x2b, 0x31]);
  });

  it('takes an empty line for nothing', () => {
    expect(parseMonitorLine(' \t')).toBeUndefined();
  });

  it.each([
    ['reboot', /no command 'reboot'/],
    ['pause now', /no arguments/],
    ['setvideomodehint 1024', /a width and a height/],
    ['setvideomodehint 9999 768', /a width and a height/],
    ['setvideomodehint 1024 768 16', /a width and a height/],
    ['keyboardputscancode', /scan code|hexadecimal/],
    ['keyboardputscancode zz', /zz/],
    ['keyboardputstring', /takes a text/],
    ['keyboardputstring ü', /no key/],
    ['screenshotpng', /name of a file/],
    ['screenshotpng a.png 4', /a monitor from 0 to 3/],
    ['setvideomodehint 1024 768 32 4', /a monitor from 0 to 3/],
    ['setvideomodehint 1024 768 32 1 7', /yes, no, or two coordinates/],
    ['mouse 1', /DX DY/],
    ['mouse 1 x', /DX DY/],
    ['mouse 1 1 1 32', /buttons/],
    ['mouse 1 1 1 1 1 1', /DX DY/],
    ['setlinkstate9 on', /no command/],
    ['setlinkstate1', /on or off/],
    ['nic1', /takes null, nat/],
    ['nic1 bridged', /the name of an interface/],
    ['nicpromisc1 maybe', /deny, allow-vms/],
    ['nicproperty1 dest', /NAME=VALUE/],
    ['bandwidthctl add up', /takes list, add/],
    ['bandwidthctl add up --type disk --limit 5', /takes list, add/],
    ['dhcpserver', /takes add, modify, remove, list/],
    ['dhcpserver add --ip 1.2.3.4', /takes --network NAME or --interface NAME/],
    ['dhcpserver remove --network n --ip 1.2.3.4', /no addresses/],
    ['dhcpserver add --network n --disable', /not '--disable'/],
    ['natnetwork', /takes add, modify, remove/],
    ['natnetwork add --network 10.0.0.0/24', /takes --netname NAME/],
    ['natnetwork add --netname n', /takes --network NETWORK/],
    ['natnetwork add --netname n --color red', /not '--color'/],
    ['natnetwork start --netname n --dhcp on', /and not --dhcp/],
    ['natnetwork modify --netname n --port-forward-4', /takes a value/],
    ['nictracefile1', /name of a file/],
    ['eject', /cdrom or floppy/],
    ['eject cdrom now', /force/],
    ['insert cdrom', /name of a file/],
    ['insert hda x', /cdrom or floppy/],
  ])('says what is wrong with %j', (line, message) => {
    expect(() => parseMonitorLine(line)).toThrow(message);
  });

  it('never throws anything but a CodedError', () => {
    const verbs = MONITOR_HELP.map((line) => line.split(/[ ,]/)[0]);
    fc.assert(
      fc.property(fc.constantFrom('', ...verbs), fc.string(), (verb, rest) => {
        try {
          parseMonitorLine(`${verb} ${rest}`);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('its answers', () => {
  const execute: Execute = async (command) => {
    // The first takes longer than the second.
    if (command.verb === 'screentext') await new Promise((resolve) => setTimeout(resolve, 20));
    if (command.verb === 'eject') return { lines: [], error: 'the guest has locked\nthe CD drive' };
    return { lines: command.verb === 'screentext' ? ['ok', '', ' x'] : [], error: undefined };
  };

  it('put a space before every line of data and end with ok or error', async () => {
    expect(await answer('screentext', execute)).toBe(' ok\n \n  x\nok\n');
    expect(await answer('eject cdrom', execute)).toBe('error: the guest has locked the CD drive\n');
    expect(await answer('what', execute)).toMatch(/^error: there is no command 'what'.*\n$/);
    expect(await answer('', execute)).toBeUndefined();
    const help = (await answer('help', execute)) ?? '';
    expect(
      help
        .split('\n')
        .slice(0, -2)
        .every((line) => line.startsWith(' ')),
    ).toBe(true);
  });

  it('keep the order of the commands', async () => {
    const input = new PassThrough();
    const output: string[] = [];
    const done = new Promise<void>((resolve) => {
      serveLines(
        input,
        {
          write: (text) => {
            output.push(text);
            if (output.length === 3) resolve();
          },
        },
        execute,
      );
    });
    input.write('screentext\npause\neject cd');
    input.end('rom\n');
    await done;
    expect(output.map((text) => text.split('\n').at(-2))).toEqual(['ok', 'ok', expect.stringMatching(/^error/)]);
  });

  it('come through a socket, which goes away at the end', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tabbox-monitor-'));
    const path = join(folder, 'monitor');
    const close = await serveSocket(path, execute);
    const client = connect(path);
    const text = await new Promise<string>((resolve) => {
      client.once('data', (bytes) => resolve(String(bytes)));
      client.write('pause\n');
    });
    expect(text).toBe('ok\n');
    client.destroy();
    close();
    await expect(serveSocket(join(folder, 'no', 'such'), execute)).rejects.toThrow(/cannot listen/);
    // What a killed process left is in nobody's way.
    const again = await serveSocket(path, execute);
    again();
    await rm(folder, { recursive: true });
  });
});

describe('the terminal’s escape key', () => {
  const typed = (...chunks: string[]) => {
    const keys: string[] = [];
    const filter = new EscapeFilter((key) => keys.push(key));
    const bytes = chunks.flatMap((chunk) => [...filter.filter(Buffer.from(chunk, 'latin1'))]);
    return { text: String.fromCharCode(...bytes), keys };
  };

  it('lets everything else through', () => {
    expect(typed('ls\r\x03\x1b[A')).toEqual({ text: 'ls\r\x03\x1b[A', keys: [] });
  });

  it('works across chunks and doubles for itself', () => {
    expect(typed('a\x01', 'xb')).toEqual({ text: 'ab', keys: ['quit'] });
    expect(typed('\x01\x01\x01h\x01?')).toEqual({ text: '\x01', keys: ['help'] });
  });
});
