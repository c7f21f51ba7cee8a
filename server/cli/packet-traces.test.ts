import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NetworkCable } from '#emu/host/network-cable.ts';
import { createWire, NO_RECEIVER } from '#emu/host/packet-port.ts';
import { PacketTraces } from './packet-traces.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tabbox-traces-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('writes what passes while it is on, into the file named last', () => {
  const [near, far] = createWire();
  const cable = new NetworkCable(near, true);
  far.connect(NO_RECEIVER);
  far.setLink(true);
  const traces = new PacketTraces({ cable: () => cable });
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  expect(() => traces.setOn(1, true)).toThrow(/nictracefile1/);
  traces.setFile(1, first);
  cable.send(new Uint8Array(60));
  traces.setOn(1, true);
  cable.send(new Uint8Array(61).fill(1));
  far.send(new Uint8Array(62).fill(2));
  traces.setFile(1, second);
  cable.send(new Uint8Array(63).fill(3));
  traces.setOn(1, false);
  cable.send(new Uint8Array(64).fill(4));
  traces.setOn(1, true);
  traces.close();
  expect(readFileSync(first).length).toBe(24 + 16 + 61 + 16 + 62);
  expect(readFileSync(second).length).toBe(24);
  expect(() => traces.setFile(1, folder) ?? traces.setOn(1, true)).toThrow(/cannot be written/);
});
