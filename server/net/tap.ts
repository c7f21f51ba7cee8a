// A tap interface of the host, through a helper process (`tap-helper.pl`), because Node has no ioctl.

import { type ChildProcess, spawn } from 'node:child_process';
import { CodedError } from '#base/errors.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { FramedPipe } from './framed-pipe.ts';

export interface TapOptions {
  /**
   * At most 15 letters, digits, `.`, `-` and `_`. Made when it does not exist and privileges allow it; of a bridge, a new
   * port is made, which goes with the helper; of an interface that is neither, what passes it.
   */
  readonly interface: string;
  /** `IP/PREFIX`, which the host has there when the interface is made here. */
  readonly address?: string;
  /** Path of `tap-helper.pl`. */
  readonly helper: string;
  /** What to start the helper with, as `ip netns exec NAME` in tests. */
  readonly prefix?: readonly string[];
}

/**
 * @param cable its end on the interface's side
 * @throws CodedError<'no-tap'>
 */
export async function openTap(cable: PacketPort, options: TapOptions): Promise<FramedPipe> {
  const [command, ...args] = [...(options.prefix ?? []), 'perl', options.helper, options.interface];
  if (options.address !== undefined) args.push(options.address);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  await started(child, options.interface);
  return new FramedPipe(cable, child.stdout, child.stdin, () => {
    child.stdin.end();
    child.kill();
  });
}

function started(child: ChildProcess, name: string): Promise<void> {
  let why = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    why += bytes.toString();
  });
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      const message = `the interface ${name} cannot be used: ${reason.trim()}; run as root, or let root create it for you with 'ip tuntap add mode tap user NAME dev ${name}'`;
      reject(new CodedError('no-tap', message));
    };
    child.once('error', (error) => fail(error.message));
    child.once('exit', (status) => fail(why || `the helper ended with status ${status}`));
    // The helper's first two bytes, an empty frame, are left for the pipe. An end is readable as well.
    child.stdout?.once('readable', () => {
      if (child.stdout?.readableLength) resolve();
    });
  });
}
