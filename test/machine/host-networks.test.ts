/**
 * One Debian guest on four networks of its host, and who it meets there: host-only and bridged interfaces of Linux (in a
 * network namespace), and a Debian guest of QEMU through a UDP tunnel and through a `vde_switch`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noKernelGuest } from '../../server/net/kernel-guest.suite.ts';
import { guest, Headless } from './support/headless.ts';
import { bootNetworkGuest, COMMAND_LINE, cardsOf, dhcp, QemuGuest, run, untilShell } from './support/network-guest.ts';

const why = noKernelGuest();
const BOOT_MS = 300_000;
const TYPES = ['82540EM', 'virtio', 'Am79C973', '82545EM'] as const;
/** Networks by the number of the card. */
const HOST_ONLY = 1;
const BRIDGED = 2;
const UDP = 3;
const VDE = 4;
const CARDS = [HOST_ONLY, BRIDGED, UDP, VDE];
const NAMES: Readonly<Record<number, string>> = {
  ...{ [HOST_ONLY]: 'host-only', [BRIDGED]: 'bridged', [UDP]: 'UDP', [VDE]: 'VDE' },
};
const ours = (card: number): string => `192.168.5${card}.15`;
const theirs = (card: number): string => `192.168.5${card}.1`;
const mac = (card: number): string => `08:00:27:00:0a:0${card}`;
const BYTES = 700_000;

describe.skipIf(why)(`a guest on networks of its host${why ? `: skipped, ${why}` : ''}`, () => {
  const namespace = `tb-${process.pid}-hosts`;
  const elsewhere = `tb-${process.pid}-far`;
  const inside = (where: string): string[] => ['ip', 'netns', 'exec', where];
  const folder = mkdtempSync(join(tmpdir(), 'tabbox-hosts-'));
  const traceOf = (card: number): string => join(folder, `card${card}.pcap`);
  const undo: (() => unknown)[] = [];
  let machine: Headless;
  let qemu: QemuGuest;

  function host(line: string, where = namespace): string {
    const [command, ...args] = [...inside(where), 'sh', '-c', line];
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000 });
    if (status !== 0) throw new Error(`${line}: status ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  beforeAll(async () => {
    for (const name of [namespace, elsewhere]) {
      const { status, stderr } = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
      undo.push(() => spawnSync('ip', ['netns', 'del', name]));
    }
    host('ip link set lo up');
    // A host-only interface as root makes it, with the host's address.
    host(`ip tuntap add mode tap name vboxnet0; ip addr add ${theirs(HOST_ONLY)}/24 dev vboxnet0`);
    host('ip link set vboxnet0 up');
    // A bridge whose other port leads to another computer.
    host(`ip link add br0 type bridge; ip link add leg type veth peer name eth0 netns ${elsewhere}`);
    host('ip link set leg master br0; ip link set leg up; ip link set br0 up');
    host(`ip addr add ${theirs(BRIDGED)}/24 dev eth0; ip link set eth0 up`, elsewhere);

    const hub = join(folder, 'switch');
    const vde: ChildProcess = spawn('vde_switch', ['-s', hub, '-x'], { stdio: ['pipe', 'ignore', 'ignore'] });
    undo.push(() => vde.kill('SIGKILL'));
    const end = (side: string, port: number): string => `${side}.type=inet,${side}.host=127.0.0.1,${side}.port=${port}`;
    qemu = new QemuGuest(
      [
        ...['-netdev', `dgram,id=n${UDP},${end('local', 4002)},${end('remote', 4001)}`],
        ...['-device', `e1000,romfile=,netdev=n${UDP},mac=52:54:00:00:00:0${UDP}`],
        ...['-netdev', `vde,id=n${VDE},sock=${hub}`],
        ...['-device', `virtio-net-pci,romfile=,netdev=n${VDE},mac=52:54:00:00:00:0${VDE}`],
      ],
      inside(namespace),
    );
    undo.push(() => qemu.close());
    const attachments = [
      ['--nic1', 'hostonly', '--hostonlyadapter1', 'vboxnet0'],
      [
        '--dhcpserver',
        `interface=vboxnet0,server-ip=192.168.51.2,lower-ip=${ours(HOST_ONLY)},upper-ip=${ours(HOST_ONLY)}`,
      ],
      ['--nic2', 'bridged', '--bridgeadapter2', 'br0'],
      ['--nic3', 'generic', '--nicgenericdrv3', 'UDPTunnel', '--nicproperty3', 'dest=127.0.0.1'],
      ['--nicproperty3', 'sport=4001', '--nicproperty3', 'dport=4002'],
      ['--nic4', 'generic', '--nicgenericdrv4', 'VDE', '--nicproperty4', `network=${hub}`],
      ...CARDS.map((n) => [`--nictype${n}`, TYPES[n - 1], `--macaddress${n}`, mac(n)]),
      ...CARDS.map((n) => [`--nictrace${n}`, 'on', `--nictracefile${n}`, traceOf(n)]),
    ];
    const started = (one: Headless): void => {
      machine = one;
      undo.push(() => one.kill());
    };
    const legacy = ['--append', `${COMMAND_LINE} virtio_pci.force_legacy=1`];
    await bootNetworkGuest([...attachments.flat(), ...legacy], started, { prefix: inside(namespace) });
    await untilShell(qemu);
    for (const [shell, address, cards] of [
      [machine, ours, CARDS],
      [qemu, theirs, [UDP, VDE]],
    ] as const) {
      const found = await cardsOf(shell);
      for (const card of cards) {
        const { name } = found.get(card) ?? { name: 'none' };
        if (card === HOST_ONLY) {
          expect(await dhcp(shell, name)).toContain(`lease ${address(card)}`);
          continue;
        }
        await run(shell, `ip addr add ${address(card)}/24 dev ${name}; ip link set ${name} up`, 30);
      }
    }
  }, BOOT_MS * 2);

  afterAll(async () => {
    for (const one of undo.reverse()) await one();
    rmSync(folder, { recursive: true, force: true });
  });

  it('has its virtio card in the legacy form', async () => {
    // VIRTIO_F_VERSION_1 is bit 32.
    expect(await run(machine, 'cut -c 33 /sys/bus/virtio/devices/virtio0/features', 30)).toContain('0');
  });

  it('says whether a host-only network is an interface, and is one inside where privileges allow none', async () => {
    expect(machine.errors).toContain('network card 1: hostonly is the interface vboxnet0 of this computer');
    const unprivileged = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'];
    const image = ['--kernel', guest('default-kernel'), '--append', 'console=ttyS0'];
    const other = new Headless([...image, '--nic1', 'hostonly'], { prefix: unprivileged });
    undo.push(() => other.kill());
    const expected = /hostonly is no interface, but a network inside this process: this computer is at 192\.168\.56\.1/;
    await expect.poll(() => other.errors, { timeout: 30_000 }).toMatch(expected);
    expect(await other.command('natpf1 web,tcp,127.0.0.1,0,,80')).toMatch(/web,tcp,127\.0\.0\.1,\d+,,80/);
    await other.kill();
  });

  it.each([
    [HOST_ONLY, 'vboxnet0', namespace],
    [BRIDGED, 'eth0', elsewhere],
  ])('card %d is reached from the host, reaches it, and tshark sees both', async (card, name, where) => {
    const fields = ['eth.src', 'eth.dst', 'ip.src', 'ip.dst', 'icmp.type'].flatMap((field) => ['-e', field]);
    const options = ['-n', '-l', '-i', name, '-T', 'fields', ...fields, 'icmp'];
    const [command, ...args] = [...inside(where), 'tshark', ...options];
    const watch = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    undo.push(() => watch.kill('SIGKILL'));
    let seen = '';
    let said = '';
    watch.stdout.on('data', (bytes) => {
      seen += bytes;
    });
    watch.stderr.on('data', (bytes) => {
      said += bytes;
    });
    // It says that it captures shortly before it does.
    await expect
      .poll(
        () => {
          spawnSync('ip', ['netns', 'exec', where, 'busybox', 'ping', '-c1', '-W1', ours(card)]);
          return seen || said;
        },
        {
          ...{ timeout: 60_000, interval: 500 },
        },
      )
      .toMatch(/^08:00:27/m);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    seen = '';
    expect(host(`busybox ping -c 4 -s 1400 ${ours(card)}`, where)).toContain('4 packets received');
    expect(await run(machine, `ping -c 4 -s 1400 ${theirs(card)}`, 60)).toContain('4 packets received');
    await expect.poll(() => seen.split('\n').length, { timeout: 30_000 }).toBeGreaterThanOrEqual(17);
    watch.kill();
    const lines = seen.trim().split('\n');
    const address = host(`cat /sys/class/net/${name}/address`, where).trim();
    const there = [address, mac(card), theirs(card), ours(card)];
    const back = [mac(card), address, ours(card), theirs(card)];
    const count = (path: readonly string[], type: number): number =>
      lines.filter((one) => one === [...path, type].join('\t')).length;
    // Four requests and four answers, either way.
    expect([count(there, 8), count(back, 0), count(back, 8), count(there, 0)]).toEqual([4, 4, 4, 4]);
  });

  it.each([UDP, VDE])('card %d meets a guest of QEMU: pings, and a file each way', async (card) => {
    expect(await run(machine, `ping -c 3 -s 1400 ${theirs(card)}`, 60), NAMES[card]).toContain('3 packets received');
    expect(await run(qemu, `ping -c 3 -s 1400 ${ours(card)}`, 60), NAMES[card]).toContain('3 packets received');
    for (const [from, to, address] of [
      [qemu, machine, theirs(card)],
      [machine, qemu, ours(card)],
    ] as const) {
      const file = `[ -e /tmp/www/f ] || head -c ${BYTES} /dev/urandom > /tmp/www/f`;
      const made = await run(
        from,
        `mkdir -p /tmp/www; ${file}; httpd -h /tmp/www 2>/dev/null; sha256sum < /tmp/www/f`,
        60,
      );
      const hash = /^[0-9a-f]{64}/m.exec(made)?.[0];
      const got = await run(to, `wget -q -O /tmp/got http://${address}/f; wc -c < /tmp/got; sha256sum < /tmp/got`, 120);
      expect(got, NAMES[card]).toContain(`${BYTES}\n${hash}`);
    }
  });

  it('traces of all cards are whole: tshark finds nothing malformed and no wrong checksum', async () => {
    const check = ['ip', 'tcp', 'udp'].flatMap((layer) => ['-o', `${layer}.check_checksum:TRUE`]);
    // The files are noise, in which tshark may see a protocol and find it malformed.
    const plain = ['-d', 'tcp.port==80,data'];
    const read = (card: number, filter: string): string[] => {
      const args = ['-n', '-r', traceOf(card), ...check, ...plain, '-Y', filter];
      const { status, stdout, stderr } = spawnSync('tshark', args, { encoding: 'utf8', timeout: 60_000 });
      if (status !== 0) throw new Error(stderr);
      return stdout.split('\n').filter((line) => line !== '');
    };
    for (const card of CARDS) await machine.command(`nictrace${card} off`);
    const bad = ['ip', 'tcp', 'udp', 'icmp'].map((layer) => `${layer}.checksum.status == "Bad"`).join(' || ');
    for (const card of CARDS) {
      // As one text, so that a failure says which frames.
      expect(read(card, `_ws.malformed || _ws.short || ${bad}`).join('\n'), NAMES[card]).toBe('');
      const from = (source: string): string => `ip.src == ${source} && icmp && eth`;
      expect(read(card, from(ours(card))).length, NAMES[card]).toBeGreaterThan(5);
      expect(read(card, from(theirs(card))).length, NAMES[card]).toBeGreaterThan(5);
    }
    for (const card of [UDP, VDE]) expect(read(card, 'tcp').length, NAMES[card]).toBeGreaterThan((2 * BYTES) / 1460);
  });
});
