import { beforeEach, expect, it } from 'vitest';
import type { IoDevice } from '#emu/bus/io-bus.ts';
import { VmmDev } from './vmmdev.ts';

const MEMORY_BYTES = 0x4000;
const AT = 0x1000;

let device: VmmDev;
let ram: Uint8Array;
let wire: boolean;
let ports: IoDevice;
let memory: IoDevice;

function make(): void {
  ram = new Uint8Array(MEMORY_BYTES);
  wire = false;
  const view = new DataView(ram.buffer);
  device = new VmmDev({
    memory: {
      read: (at, into) => into.set(ram.subarray(at, at + into.length)),
      write: (at, from) => ram.set(from, at),
      readU16: (at) => view.getUint16(at, true),
      readU32: (at) => view.getUint32(at, true),
    },
    windows: {
      io: (_count, made) => {
        ports = made;
        return () => {};
      },
      memory: (_count, window) => {
        if (window.kind === 'mmio') memory = window.device;
        return () => {};
      },
    },
    interrupt: {
      set: (asserted) => {
        wire = asserted;
      },
    },
  });
}
beforeEach(make);

/** Makes a request as a driver does. @returns its status and the words behind its header */
function request(type: number, words: readonly number[] = [], size = 24 + words.length * 4, version = 0x1_0001) {
  const view = new DataView(ram.buffer);
  [size, version, type, -1, 0, 0, ...words].forEach((word, i) => {
    view.setUint32(AT + i * 4, word >>> 0, true);
  });
  ports.write(0, 4, AT);
  return { status: view.getInt32(AT + 12, true), words: words.map((_, i) => view.getUint32(AT + 24 + i * 4, true)) };
}

it('is VirtualBox’s device', () => {
  expect([device.config.readConfig(0, 4), device.config.readConfig(8, 4) >>> 8]).toEqual([0xcafe_80ee, 0x08_8000]);
  // Linux wants version 1 and at least 32 bytes of it in the header; what is behind is zeros.
  expect([memory.read(0, 4), memory.read(4, 4), memory.read(8, 4), memory.read(12, 4)]).toEqual([32, 1, 0, 0]);
  expect(request(4, [0, 0, 0, 0])).toEqual({ status: 0, words: [7, 0, 0, 1] });
  expect(request(20, [5, 5])).toEqual({ status: 0, words: [0, 0] });
});

it('tells positions of the pointer to a guest that takes them', () => {
  device.point(0x8000, 70_000);
  expect([device.takesPositions, wire]).toEqual([false, false]);
  expect(request(42, [1 << 9, 0]).status).toBe(0);
  expect(request(2, [0x11, 0, 0]).status).toBe(0);
  expect([device.takesPositions, wire]).toEqual([true, false]);
  device.point(0x1234, 0x4321);
  expect([wire, memory.read(8, 1), memory.read(8, 4)]).toEqual([true, 1, 1]);
  expect(request(41, [0]).words).toEqual([1 << 9]);
  expect([wire, memory.read(8, 4)]).toEqual([false, 0]);
  expect(request(1, [0, 0, 0]).words).toEqual([0x13, 0x1234, 0x4321]);
  expect(request(41, [0]).words).toEqual([0]);
});

it('keeps to itself what the guest does not want to hear', () => {
  request(2, [1, 0, 0]);
  device.point(1, 2);
  expect(wire).toBe(false);
  request(42, [1 << 9, 0]);
  expect(wire).toBe(true);
  request(42, [0, 1 << 9]);
  expect(wire).toBe(false);
  request(42, [1 << 9, 0]);
  device.reset();
  expect([wire, device.takesPositions]).toEqual([false, false]);
});

it('refuses what makes no sense', () => {
  expect(request(77).status).toBe(-12);
  expect(request(60, [1, 2, 3]).status).toBe(-12);
  expect(request(1, [0]).status).toBe(-2);
  expect(request(1, [0, 0, 0], 8).status).toBe(-2);
  expect(request(1, [0, 0, 0], 0x10_0000).status).toBe(-2);
  expect(request(1, [0, 0, 0], 36, 5).status).toBe(-11);
});

it('goes on from its saved state', () => {
  request(42, [1 << 9, 0]);
  request(2, [0x11, 0, 0]);
  device.point(7, 8);
  const state = structuredClone(device.save());
  make();
  device.restore(state);
  expect([wire, device.takesPositions]).toEqual([true, true]);
  expect(request(1, [0, 0, 0]).words).toEqual([0x13, 7, 8]);
});
