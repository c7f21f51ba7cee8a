// Machines of two processes meet through a relay: two sets of networks that know nothing of each other.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { NicAttachment } from '#emu/host/network-card.ts';
import { createWire, type PacketPort } from '#emu/host/packet-port.ts';
import { type RunningServer, startServer } from '../http/serve.ts';
import { JoinTokens } from '../relay/join-tokens.ts';
import { NetService } from '../relay/net-service.ts';
import { Relay } from '../relay/relay.ts';
import { Networks } from './networks.ts';

const tokens = new JoinTokens(new Uint8Array(32).fill(9));
const undo: (() => void)[] = [];
let folder: string;
let server: RunningServer;

const serve = (port: number): Promise<RunningServer> => {
  const extension = new Relay({ tokens, services: [new NetService()], ownPageTokens: false });
  const directories = { pageDirectory: folder, guestsDirectory: folder };
  return startServer({ ...directories, host: '127.0.0.1', ports: [port], extension });
};
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-relay-link-'));
  server = await serve(0);
});
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) one();
  await server.close();
  rmSync(folder, { recursive: true });
});

interface Machine {
  readonly port: PacketPort;
  readonly got: string[];
  readonly said: string[];
  close(): void;
}

async function machine(n: number, attachment: NicAttachment, rights: unknown): Promise<Machine> {
  const said: string[] = [];
  const networks = new Networks({
    ...{ server: server.url, say: (text: string) => said.push(text) },
    token: () => tokens.issue({ subject: `m${n}`, rights: { net: rights }, lifeSeconds: 60 }),
  });
  const [port, far] = createWire();
  const got: string[] = [];
  port.connect({
    receive: (frame) => {
      got.push(Buffer.from(frame).toString('latin1', 14).replace(/\0.*$/s, ''));
      return true;
    },
    resume: () => {},
    linkChanged: () => {},
  });
  port.setLink(true);
  const place = await networks.attach(
    { slot: 1, type: 'virtio', mac: `08002700000${n}`, cableConnected: true, attachment },
    far,
  );
  undo.push(() => place.close());
  return { port, got, said, close: () => place.close() };
}

/** To everybody. */
function hello(from: number, text: string): Uint8Array {
  const b = Buffer.alloc(60);
  b.set([255, 255, 255, 255, 255, 255, 8, 0, 0x27, 0, 0, from, 0x88, 0xb5]);
  b.write(text, 14);
  return b;
}
const LAB: NicAttachment = { kind: 'intnet', network: 'lab' };
const until = (look: () => unknown) => expect.poll(look, { timeout: 20_000 });

it('cards of one internal network meet, lose their link with the relay, and get it back', {
  timeout: 60_000,
}, async () => {
  const [a, b] = [await machine(1, LAB, { intnet: ['lab'] }), await machine(2, LAB, { intnet: ['lab'] })];
  await until(() => a.port.linkUp && b.port.linkUp).toBe(true);
  expect(a.said).toEqual([`network card 1: intnet lab, through the relay at ${server.url}`]);
  a.port.send(hello(1, 'first'));
  await until(() => b.got).toEqual(['first']);
  const { port } = server;
  await server.close();
  await until(() => a.port.linkUp || b.port.linkUp).toBe(false);
  expect(a.said.at(-1)).toContain('cannot be reached; trying again');
  server = await serve(port);
  await until(() => a.port.linkUp && b.port.linkUp).toBe(true);
  b.port.send(hello(2, 'second'));
  await until(() => a.got).toEqual(['second']);
  b.close();
  await until(() => b.port.linkUp).toBe(false);
});

it('a card that may not be there is told why', async () => {
  const one = await machine(1, LAB, { intnet: ['elsewhere'] });
  await until(() => one.said.at(-1)).toContain(
    "no network: network card 1: the join token does not allow the internal network 'lab'",
  );
  expect(one.port.linkUp).toBe(false);
});
