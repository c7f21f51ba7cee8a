import { afterEach, describe, expect, it, vi } from 'vitest';
import { ByteRingReader, ByteRingWriter } from '#emu/host/byte-ring.ts';
import { SharedFrame } from '#emu/host/frame.ts';
import { createPacketRing, PacketRingEnd } from '#emu/host/packet-ring.ts';
import type { MachineEvent, MachineLinks, MachineSpec } from './machine-protocol.ts';
import { MachineService } from './machine-service.ts';

/** Sends 0, 1, 2 ... 255, 0 ... to the first serial port for ever. */
const COUNTER = [0xba, 0xf8, 0x03, 0x30, 0xc0, 0xee, 0xfe, 0xc0, 0xeb, 0xfb];
/** Sends every byte of the serial port back with 1 added: in line status, wait for bit 0, in, inc, out. */
const ECHO = [0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xba, 0xf8, 0x03, 0xec, 0xfe, 0xc0, 0xee, 0xeb, 0xef];
/**
 * Puts the power management ports of the PIIX4 (function 3) at 600h and sets sleep type S5 with sleep enable there:
 * CF8 = 8000_0B40h, CFC = 601h; CF8 = 8000_0B80h, CFC = 1; out 604h, 2000h; hlt.
 */
const POWER_OFF = [
  ...[0xfa, 0xba, 0xf8, 0x0c, 0x66, 0xb8, 0x40, 0x0b, 0x00, 0x80, 0x66, 0xef],
  ...[0xba, 0xfc, 0x0c, 0x66, 0xb8, 0x01, 0x06, 0x00, 0x00, 0x66, 0xef],
  ...[0xba, 0xf8, 0x0c, 0x66, 0xb8, 0x80, 0x0b, 0x00, 0x80, 0x66, 0xef],
  ...[0xba, 0xfc, 0x0c, 0xb0, 0x01, 0xee, 0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd],
];
/** Sends bits 24 to 31 of EDX of CPUID leaf 80000001h; bit 29 is long mode's. */
const LONG_MODE = [
  0x66, 0xb8, 1, 0, 0, 0x80, 0x0f, 0xa2, 0x66, 0xc1, 0xea, 24, 0x88, 0xd0, 0xba, 0xf8, 3, 0xee, 0xfa, 0xf4,
];
/** cli; lidt [8000h], where memory is 0; int3: there is no handler for anything. */
const TRIPLE_FAULT = [0xfa, 0x0f, 0x01, 0x1e, 0x00, 0x80, 0xcc];
/** cli; hlt */
const SLEEP = [0xfa, 0xf4, 0xeb, 0xfd];

function rom(code: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(65_536);
  bytes.set(code, 0);
  bytes.set([0xea, 0x00, 0x00, 0x00, 0xf0], 0xfff0);
  return bytes;
}

const spec = (code: readonly number[], changes: Partial<MachineSpec> = {}): MachineSpec => ({
  ...{ memoryMb: 1, uuid: new Uint8Array(16), bootOrder: [], clockOffsetMinutes: 0, directBoot: undefined },
  ...{ bios: rom(code), vgaBios: rom([]).subarray(0, 32_768), savedState: undefined },
  drives: [{ slot: 'hdc', medium: 'optical', ring: undefined }],
  networkCards: [],
  doorbell: new SharedArrayBuffer(4),
  ...changes,
});

let service: MachineService;
let events: MachineEvent[] = [];

function start(what: MachineSpec): Promise<MachineLinks> {
  // A list of its own: the machine before this one may still have something to say.
  const mine: MachineEvent[] = [];
  events = mine;
  service = new MachineService({
    nowMs: () => performance.now(),
    unixMs: () => 1e12,
    yieldNow: () => new Promise((resolve) => setImmediate(resolve)),
    sleep: async (words, index, value, ms) => {
      await Atomics.waitAsync(words, index, value, ms).value;
    },
  });
  service.subscribe((event) => mine.push(event));
  return service.start(what);
}

const settle = (ms = 50) => new Promise((resolve) => setTimeout(resolve, ms));

async function read(reader: ByteRingReader, count: number): Promise<number[]> {
  const got: number[] = [];
  const into = new Uint8Array(1000);
  for (let i = 0; i < 400 && got.length < count; i++) {
    got.push(...into.subarray(0, reader.read(into)));
    await settle(1);
  }
  return got;
}

afterEach(() => service.powerOff());

describe('machine service', () => {
  it('tells what happened when the guest broke', async () => {
    await start(spec(TRIPLE_FAULT));
    await vi.waitFor(() => expect(events).toContainEqual(expect.objectContaining({ kind: 'crash' })), 50_000);
    const crash = events.find((event) => event.kind === 'crash');
    expect(crash?.report).toMatch(/^Triple fault[\s\S]*=> 000f0006 {2}cc +int3/);
  });

  it('stops the guest while the console is full, and loses nothing', async () => {
    const links = await start(spec(COUNTER));
    const reader = new ByteRingReader(links.serialFromGuest);
    for (let i = 0; i < 1000 && reader.available < 65_536; i++) await settle(10);
    await settle(50);
    const full = reader.available;
    expect(full).toBe(65_536);
    const { instructions } = service.stats();
    await settle(100);
    expect(service.stats().instructions).toBe(instructions);
    const got = await read(reader, full + 50_000);
    expect(got.length).toBeGreaterThanOrEqual(full + 50_000);
    expect(got.findIndex((byte, i) => byte !== (i & 0xff))).toBe(-1);
  });

  it('hands over what is typed into the console at the guest’s pace', async () => {
    const what = spec(ECHO);
    const links = await start(what);
    const writer = new ByteRingWriter(links.serialToGuest, new Int32Array(what.doorbell));
    const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => i % 200);
    expect(writer.write(bytes)).toBe(bytes.length);
    const got = await read(new ByteRingReader(links.serialFromGuest), bytes.length);
    expect(got).toEqual([...bytes].map((byte) => byte + 1));
  });

  it('has the processor that the settings say', async () => {
    const bitsWith = async (longMode: boolean): Promise<number> => {
      const processor = { profile: 'host', longMode, pae: true, cpuidSet: [] };
      const { serialFromGuest } = await start(spec(LONG_MODE, { processor }));
      const [bits] = await read(new ByteRingReader(serialFromGuest), 1);
      service.powerOff();
      return bits & 0x20;
    };
    expect([await bitsWith(true), await bitsWith(false)]).toEqual([0x20, 0]);
  });

  it('tells what UEFI keeps, the last of it at power-off', async () => {
    // Two NOPs mark UEFI's code; in unreal mode (PE set once, 4 GB in DS), 10h and 42h program the byte in front of it.
    const code = new Uint8Array(65_536);
    const gdt = [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0];
    code.set(gdt, 0x100);
    code.set([15, 0, 0, 1, 0x0f, 0], 0x110);
    // cs lgdt [110h]; CR0.PE = 1; mov ds, 8; CR0.PE = 0; mov ebx, FFFEFFFFh; mov byte [ebx], 10h, 42h, FFh; cli; hlt
    code.set([0x2e, 0x66, 0x0f, 0x01, 0x16, 0x10, 0x01, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], 0);
    code.set([0xb9, 0x08, 0x00, 0x8e, 0xd9, 0x24, 0xfe, 0x0f, 0x22, 0xc0, 0x66, 0xbb, 0xff, 0xff, 0xfe, 0xff], 15);
    code.set([0x67, 0xc6, 0x03, 0x10, 0x67, 0xc6, 0x03, 0x42, 0x67, 0xc6, 0x03, 0xff, 0xfa, 0xf4, 0xeb, 0xfd], 31);
    code.set([0x90, 0x90, 0xe9, 0x0b, 0x00], 0xfff0);
    const variables = new Uint8Array(0x8000).fill(0x5a);
    await start(spec([], { bios: code, variables }));
    await vi.waitFor(() => expect(service.stats().haltedShare).toBeGreaterThan(0.5), 20_000);
    service.powerOff();
    const kept = events.flatMap((event) => (event.kind === 'variables' ? [[...event.contents]] : []));
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.at(-1)).toEqual([...variables.subarray(0, -1), 0x42]);
  });

  it('publishes a picture and sleeps with a sleeping guest', async () => {
    const links = await start(spec(SLEEP));
    await settle(200);
    expect(new SharedFrame(links.frameBuffer, links.frameOffset, links.vram.length).generation).toBeGreaterThan(0);
    service.stats();
    await settle(300);
    const { haltedShare, state } = service.stats();
    expect(state).toBe('running');
    expect(haltedShare).toBeGreaterThan(0.8);
  });

  it('has the card’s end of a packet ring, and pulls its cable', async () => {
    const ring = createPacketRing();
    const far = new PacketRingEnd(ring, 'network');
    far.setLink(true);
    const config = { slot: 3, type: '82540EM', mac: '080027000001', cableConnected: true } as const;
    const attachment = { kind: 'null' } as const;
    await start(spec(SLEEP, { networkCards: [{ config: { ...config, attachment }, ring, farDoorbell: undefined }] }));
    await settle();
    expect(far.linkUp).toBe(true);
    expect(service.stats().networkCards).toMatchObject([{ slot: 3, linkUp: true, framesReceived: 0 }]);
    service.setCableConnected(3, false);
    expect(far.linkUp).toBe(false);
    expect(() => service.setCableConnected(1, false)).toThrow(expect.objectContaining({ code: 'no-card' }));
  });

  it('records what passes a network card, as a capture file', async () => {
    const ring = createPacketRing();
    const far = new PacketRingEnd(ring, 'network');
    far.setLink(true);
    const attachment = { kind: 'null' } as const;
    const config = {
      slot: 2,
      type: '82540EM',
      mac: '080027000001',
      cableConnected: true,
      attachment,
      trace: true,
    } as const;
    start(spec(SLEEP, { networkCards: [{ config, ring, farDoorbell: undefined }] }));
    await settle();
    const frame = Uint8Array.from({ length: 60 }, (_, n) => (n < 6 ? 0xff : n));
    // A receiver that is off loses frames, as hardware does; the cable has seen them all the same.
    for (let n = 0; n < 3; n++) far.send(frame);
    await expect.poll(() => service.stats().networkCards[0].traceBytes).toBe(24 + 3 * (16 + frame.length));
    service.startTrace(2);
    service.powerOff();
    const blob = service.takeTrace(2);
    const bytes = new DataView((await blob?.arrayBuffer()) ?? new ArrayBuffer(0));
    expect([bytes.byteLength, bytes.getUint32(0, true)]).toEqual([24 + 3 * 76, 0xa1b2c3d4]);
    // 10^12 ms, and the length, of the last record.
    expect([bytes.getUint32(24 + 2 * 76, true), bytes.getUint32(24 + 2 * 76 + 8, true)]).toEqual([1e9, 60]);
    expect(service.takeTrace(2)).toBeUndefined();
    expect(() => service.startTrace(2)).toThrow(expect.objectContaining({ code: 'off' }));
  });

  it('tells of every state once', async () => {
    await start(spec(SLEEP));
    service.pause();
    service.pause();
    await settle();
    expect(service.stats().state).toBe('paused');
    service.resume();
    service.powerOff();
    await settle();
    const states = events.flatMap((event) => (event.kind === 'state' ? [event.state] : []));
    expect(states).toEqual(['running', 'paused', 'running', 'off']);
    expect(() => service.pause()).toThrow(expect.objectContaining({ code: 'off' }));
  });

  it('tells when the guest switches itself off', async () => {
    await start(spec(POWER_OFF));
    for (let i = 0; i < 100 && service.stats().state !== 'off'; i++) await settle(10);
    expect(events.at(-1)).toEqual({ kind: 'state', state: 'off', message: '' });
  });

  it('goes on from a saved state, in another machine', async () => {
    await start(spec(COUNTER));
    await expect(service.saveState()).rejects.toMatchObject({ code: 'busy' });
    service.pause();
    await settle();
    const state = new Uint8Array(await (await service.saveState()).arrayBuffer());
    service.powerOff();
    const links = await start(spec([], { savedState: state }));
    const got = await read(new ByteRingReader(links.serialFromGuest), 1000);
    expect(got.slice(0, 1000).every((byte, i) => i === 0 || byte === ((got[i - 1] + 1) & 0xff))).toBe(true);
    expect(got.length).toBeGreaterThanOrEqual(1000);
  });

  it('refuses a broken saved state and what is typed in vain', async () => {
    const broken = spec(SLEEP, { savedState: new Uint8Array(100) });
    await expect(start(broken)).rejects.toMatchObject({ code: 'bad-state' });
    await start(spec(SLEEP));
    expect(() => service.typeText('€')).toThrow(expect.objectContaining({ code: 'no-key' }));
    expect(() => service.pressKeys('Ctrl-Nonsense')).toThrow(expect.objectContaining({ code: 'unknown-key' }));
  });
});
