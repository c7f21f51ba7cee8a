/** Debian guests that have drivers for network cards and nothing else, so that they boot quickly, and their shell. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guest, Headless, type Surroundings } from './headless.ts';

const BOOT_SECONDS = 240;
export const INITRDS: readonly string[] = [guest('default-initrd'), guest('net-initrd')];
export const COMMAND_LINE = 'console=ttyS0 quiet rdinit=/sbin/net-init';

/** A shell on a serial line. */
export interface SerialShell {
  readonly output: string;
  type(text: string): void;
  serial(wanted: string | RegExp, seconds: number, from?: number): Promise<string>;
}

/** Waits for the shell, and teaches it what to do with a lease. */
export async function untilShell(shell: SerialShell): Promise<void> {
  await shell.serial('BOOT-OK', BOOT_SECONDS);
  await shell.serial('# ', 30);
  const lines = ['#!/bin/sh', '[ "$1" = bound ] || exit 0', 'ip addr add $ip/$mask dev $interface'];
  const script = [...lines, 'echo lease $ip $router $dns'].map((line) => `'${line}'`).join(' ');
  await run(shell, `printf '%s\\n' ${script} > /tmp/dhcp; chmod +x /tmp/dhcp`, 30);
}

/** @param machine told as soon as there is one, for it to be ended whatever happens */
export async function bootNetworkGuest(
  args: readonly string[],
  machine: (started: Headless) => void,
  surroundings?: Surroundings,
): Promise<Headless> {
  const image = ['--kernel', guest('default-kernel'), ...INITRDS.flatMap((path) => ['--initrd', path])];
  const started = new Headless([...image, '--append', COMMAND_LINE, '--memory', '256', ...args], surroundings);
  machine(started);
  await untilShell(started);
  return started;
}

let marks = 0;
/** Runs a command in the guest. @returns what it printed */
export async function run(shell: SerialShell, command: string, seconds: number): Promise<string> {
  const mark = `done-${++marks}`;
  const from = shell.output.length;
  shell.type(`${command}; echo; echo ${mark.replace('-', "-''")}\n`);
  const printed = await shell.serial(new RegExp(`^${mark}`, 'm'), seconds, from);
  return printed.replaceAll('\r', '').split('\n').slice(1, -1).join('\n');
}

export const dhcp = (shell: SerialShell, name: string): Promise<string> =>
  run(shell, `ip link set ${name} up; udhcpc -i ${name} -n -q -f -s /tmp/dhcp`, 60);

export interface FoundCard {
  readonly name: string;
  readonly driver: string;
}

/** The guest's interfaces by the last digit of their addresses: the kernel numbers them as it likes. */
export async function cardsOf(shell: SerialShell): Promise<ReadonlyMap<number, FoundCard>> {
  const look = 'echo $(basename $d) $(cat $d/address) $(basename $(readlink $d/device/driver))';
  const list = await run(shell, `for d in /sys/class/net/eth*; do ${look}; done`, 60);
  const found = [...list.matchAll(/^(eth\d) (\S+) (\S+)$/gm)];
  return new Map(found.map(([, name, address, driver]) => [Number(address.at(-1)), { name, driver }]));
}

/** A command that tells what the kernel and the driver of a card have counted. */
export const countersOf = (name: string): string =>
  `cd /sys/class/net/${name}/statistics; for c in *; do echo "$c: $(cat $c)"; done; cd /; ethtool -S ${name}`;

export const parseCounters = (told: string): ReadonlyMap<string, number> =>
  new Map([...told.matchAll(/^\s*(\w+): (\d+)$/gm)].map(([, key, value]) => [key, Number(value)]));

const TROUBLE = /error|dropped|crc|collision|missed|over|abort|timeout/;
/** @returns what is not zero and should be @throws Error when the kernel's own counters are not there */
export function troublesIn(counters: ReadonlyMap<string, number>): [string, number][] {
  const all = [...counters].filter(([key]) => TROUBLE.test(key));
  if (all.length < 10) throw new Error(`only ${all.length} counters of errors`);
  return all.filter(([, value]) => value > 0);
}

/** The same guest in QEMU, translated: somebody else's cards and networks. */
export class QemuGuest implements SerialShell {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tabbox-qemu-'));
  #output = '';
  #errors = '';

  constructor(args: readonly string[], prefix: readonly string[]) {
    const initrd = join(this.#folder, 'initrd');
    writeFileSync(initrd, Buffer.concat(INITRDS.map((path) => readFileSync(path))));
    const image = ['-kernel', guest('default-kernel'), '-initrd', initrd, '-append', COMMAND_LINE, '-m', '256'];
    const plain = ['-accel', 'tcg', '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot'];
    const [command, ...rest] = [...prefix, 'qemu-system-i386', ...plain, ...image, ...args];
    this.#process = spawn(command, rest, { stdio: 'pipe' });
    this.#process.on('error', () => {});
    this.#process.stdin.on('error', () => {});
    this.#process.stdout.on('data', (bytes: Buffer) => {
      this.#output += bytes.toString('latin1');
    });
    this.#process.stderr.on('data', (bytes: Buffer) => {
      this.#errors += bytes.toString();
    });
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  get output(): string {
    return this.#output;
  }

  type(text: string): void {
    this.#process.stdin.write(text);
  }

  async serial(wanted: string | RegExp, seconds: number, from = 0): Promise<string> {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
      const here = this.#output.slice(from);
      if (typeof wanted === 'string' ? here.includes(wanted) : wanted.test(here)) return here;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`QEMU: no ${wanted} within ${seconds} s\n${this.#output.slice(-2000)}\n${this.#errors}`);
  }

  close(): void {
    this.#process.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
