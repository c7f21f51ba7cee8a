// Virtual Distributed Ethernet: a port of a `vde_switch`. Node has no datagram sockets of the kind that VDE uses, so
// `vde_plug` (Debian package vde2) speaks to the switch and carries frames on its standard input and output.

import { spawn } from 'node:child_process';
import { CodedError } from '#base/errors.ts';
import type { PacketPort } from '#emu/host/packet-port.ts';
import { FramedPipe } from './framed-pipe.ts';

/** How long a plug has to show that it stays. */
const SETTLE_MS = 200;

/**
 * @param cable its end on the switch's side
 * @param network as the property has it: the switch's folder, and its port in brackets if it matters: `/path[3]`
 * @throws CodedError<'no-vde'>
 */
export async function openVde(cable: PacketPort, network: string): Promise<FramedPipe> {
  const [, folder, port] = /^(.*?)(?:\[(\d+)\])?$/.exec(network) ?? [];
  const args = port === undefined ? [folder] : ['-p', port, folder];
  const child = spawn('vde_plug', args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string): void => {
      const hint = 'check that a vde_switch runs there and that vde_plug (Debian package vde2) is installed';
      reject(new CodedError('no-vde', `the VDE switch '${network}' cannot be joined: ${why.trim()}; ${hint}`));
    };
    child.once('error', (error) => fail(error.message));
    child.once('exit', (status) => fail(said || `vde_plug ended with status ${status}`));
    setTimeout(resolve, SETTLE_MS);
  });
  return new FramedPipe(cable, child.stdout, child.stdin, () => {
    child.stdin.end();
    child.kill();
  });
}
