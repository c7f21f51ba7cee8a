// A guest whose TCP/IP is Linux itself: a network namespace with one tap interface, which a link here is the far end of.

import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PacketPort } from '#emu/host/packet-port.ts';
import type { FramedPipe } from './framed-pipe.ts';
import { openTap } from './tap.ts';

const HELPER = fileURLToPath(new URL('tap-helper.pl', import.meta.url));

/** Why there can be no such guest here; undefined: there can. */
export function noKernelGuest(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (!existsSync('/dev/net/tun')) return 'this kernel has no /dev/net/tun';
  if (spawnSync('ip', ['-V']).status !== 0) return "there is no 'ip' (Debian package iproute2)";
  return undefined;
}

export interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class KernelGuest {
  readonly name: string;
  readonly #pipe: FramedPipe;

  private constructor(name: string, pipe: FramedPipe) {
    this.name = name;
    this.#pipe = pipe;
  }

  /**
   * @param cable the guest's end
   * @param mtu of its interface
   */
  static async create(cable: PacketPort, name: string, mtu = 1500): Promise<KernelGuest> {
    const unique = `tb-${process.pid}-${name}`;
    const ip = (...args: string[]): void => {
      const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
      if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
    };
    ip('netns', 'add', unique);
    ip('-n', unique, 'tuntap', 'add', 'mode', 'tap', 'name', 'eth0');
    const pipe = await openTap(cable, { interface: 'eth0', helper: HELPER, prefix: ['ip', 'netns', 'exec', unique] });
    ip('-n', unique, 'link', 'set', 'eth0', 'mtu', String(mtu));
    ip('-n', unique, 'link', 'set', 'lo', 'up');
    ip('-n', unique, 'link', 'set', 'eth0', 'up');
    return new KernelGuest(unique, pipe);
  }

  /** Runs a command of the shell in the guest. */
  run(command: string, input?: string | Uint8Array): Promise<Run> {
    return new Promise((resolve) => {
      const args = ['netns', 'exec', this.name, 'bash', '-c', command];
      const child = execFile('ip', args, { maxBuffer: 1 << 28, encoding: 'utf8' }, (error, stdout, stderr) => {
        const status = typeof error?.code === 'number' ? error.code : error ? 255 : 0;
        resolve({ status, stdout, stderr });
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(input ?? '');
    });
  }

  /**
   * Gets an address and a default route; asks for half a minute, as clients do.
   * @returns what udhcpc said: event, address, router, name servers, mask
   */
  async dhcp(): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'tabbox-dhcp-'));
    const script = join(folder, 'script');
    const lines = [
      '#!/bin/sh',
      'echo "$1 $ip $router $dns $subnet"',
      '[ "$1" = bound ] || exit 0',
      'ip -4 addr flush dev eth0; ip addr add $ip/$mask dev eth0; ip route replace default via $router',
    ];
    writeFileSync(script, lines.join('\n'), { mode: 0o755 });
    try {
      return (await this.run(`busybox udhcpc -i eth0 -n -q -f -t 10 -s ${script}`)).stdout;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** Without DHCP. */
  async configure(address: string, gateway: string): Promise<void> {
    const done = await this.run(`ip addr add ${address} dev eth0 && ip route add default via ${gateway}`);
    if (done.status !== 0) throw new Error(done.stderr);
  }

  close(): void {
    this.#pipe.close();
    spawnSync('ip', ['netns', 'del', this.name]);
  }
}
