import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '#base/crc32.ts';
import { CodedError } from '#base/errors.ts';
import { MemoryBlockPort } from '#emu/host/block.ts';
import type { MachineConfig, MachineMedia } from './config.ts';
import { openSavedMachine } from './create-pc.ts';
import { type Bench, bench } from './fake-cpu.suite.ts';
import type { PcRecord } from './pc.ts';
import { decodeRecord, encodeRecord, placePieces } from './record-codec.ts';
import { decodeSavedState, encodeSavedState } from './saved-state.ts';

const CODES = ['not-a-saved-state', 'other-version', 'damaged-state', 'bad-record'];

/** The error of a damaged file; anything but a CodedError is a bug. */
function refusal(file: Uint8Array): string | undefined {
  try {
    openSavedMachine(file);
    return undefined;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return error.code;
  }
}

describe('records', () => {
  const round = (value: unknown): unknown => {
    const { json, pieces, byteCount } = encodeRecord(value);
    const bytes = new Uint8Array(byteCount);
    placePieces(pieces, bytes, 0);
    return decodeRecord(json, bytes);
  };

  it('keep every kind of plain data', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withTypedArray: true,
          withNullPrototype: false,
          key: fc.string().filter((k) => !k.startsWith('$') && k !== '__proto__'),
        }),
        (value) => {
          // Properties that are undefined are as good as none.
          expect(round(value)).toEqual(value);
        },
      ),
    );
  });

  it('keep numbers that JSON does not know', () => {
    const odd = [Number.NaN, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 53 - 1, 1e-300];
    expect(round(odd)).toEqual(odd);
  });

  it('refuse arrays outside their bytes and unknown marks', () => {
    for (const json of [
      '{"$array":"Uint8Array","at":0,"byteCount":9}',
      '{"$array":"Uint32Array","at":0,"byteCount":6}',
      '{"$array":"Uint8Array","at":-1,"byteCount":1}',
      '{"$array":"Function","at":0,"byteCount":1}',
      '{"$what":1}',
      '{"$bigint":"x"}',
      '[',
      '['.repeat(100) + ']'.repeat(100),
    ]) {
      expect(() => decodeRecord(json, new Uint8Array(8))).toThrow(CodedError);
    }
  });
});

describe('the file', () => {
  const record = {
    config: { memoryMb: 1, name: 'Größe ☃' },
    guestNs: 5,
    devices: { a: Uint8Array.of(1, 2, 3) },
    cpu: 1,
  };
  const ram = new Uint8Array(64 * 4096);
  ram.fill(0xab, 5 * 4096, 5 * 4096 + 9);
  ram[63 * 4096 + 4095] = 1;
  const file = encodeSavedState(record, ram);

  it('keeps the record and memory, without pages of zeros', () => {
    const saved = decodeSavedState(file);
    const back = new Uint8Array(ram.length).fill(0x11);
    saved.fillRam(back);
    expect(saved.record).toEqual(record);
    expect(Buffer.compare(back, ram)).toBe(0);
    expect(file.length).toBeLessThan(4 * 4096);
  });

  it('has the checksum of ITU-T V.42', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf4_3926);
    expect(crc32(Buffer.from('The quick brown fox jumps over the lazy dog'))).toBe(0x414f_a339);
  });

  it('is refused when it is cut off anywhere', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: file.length - 1 }), (length) => {
        expect(CODES).toContain(refusal(file.slice(0, length)));
      }),
      { numRuns: 300 },
    );
  });

  it('is refused when any byte is another, or bytes follow', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: file.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = file.slice();
        damaged[at] ^= flip;
        expect(CODES).toContain(refusal(damaged));
      }),
      { numRuns: 300 },
    );
    expect(refusal(Buffer.concat([file, Buffer.from('x')]))).toBe('damaged-state');
  });

  it('is refused when it is anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(refusal(noise)).toBe('not-a-saved-state');
        expect(['damaged-state', 'other-version']).toContain(refusal(Buffer.concat([file.subarray(0, 8), noise])));
      }),
    );
  });

  it('names the version it cannot read', () => {
    const newer = file.slice();
    newer[8] = 9;
    expect(() => decodeSavedState(newer)).toThrow(/format 9/);
  });

  it('is refused when the record is not a machine', () => {
    expect(refusal(encodeSavedState({ hello: 1 }, ram))).toBe('damaged-state');
  });
});

describe('a machine', () => {
  const config: Partial<MachineConfig> = {
    ide: {
      primaryMaster: { kind: 'disk', label: 'disk' },
      secondaryMaster: { kind: 'cdrom', label: 'disc' },
    },
    floppies: [{ type: '1.44M', label: '' }, null],
  };
  const media = (): MachineMedia => ({
    ide: {
      primaryMaster: new MemoryBlockPort(new Uint8Array(4096 * 512).fill(3)),
      secondaryMaster: new MemoryBlockPort(new Uint8Array(64 * 512), false),
    },
    floppies: [undefined, undefined],
  });

  /** Through the file's bytes into another machine. */
  function moved(from: Bench): Bench {
    const saved = decodeSavedState(encodeSavedState(from.pc.save(), from.pc.ram));
    const to = bench(config, media());
    to.pc.restore(saved.record as PcRecord, saved.fillRam);
    return to;
  }

  /** Everything that is saved, as a checksum. */
  const fileOf = (b: Bench): number => crc32(encodeSavedState(b.pc.save(), b.pc.ram));

  function busy(): Bench {
    const b = bench(config, media());
    b.pc.powerOn();
    b.nowMs += 1234;
    b.cpu.registers = 42;
    b.pciWrite(1, 1, 0x40, 0x8000_8000);
    b.pciWrite(1, 1, 4, 5, 2);
    b.pciWrite(1, 1, 0x20, 0xc000);
    b.pciWrite(2, 0, 0x10, 0xe000_0000);
    b.pciWrite(2, 0, 4, 3, 2);
    b.pciWrite(0, 0, 0x59, 0x30, 1);
    b.pc.memory.writeSized(0xf_1234, 4, 0xcafe_f00d);
    b.pc.memory.writeSized(0x20_0000, 4, 0x1234_5678);
    b.pc.memory.writeSized(0xe012_3456, 1, 0x77);
    for (const [port, value] of [
      [0x20, 0x11],
      [0x21, 0x30],
      [0x21, 0x04],
      [0x21, 0x01],
      [0x21, 0xbe],
      [0x43, 0x34],
      [0x40, 0x9c],
      [0x40, 0x2e],
      [0x3fb, 0x83],
      [0x3f8, 0x01],
      [0x3fb, 0x03],
      [0x92, 0x00],
      [0x1f6, 0xe0],
      [0x1f2, 0x02],
      [0x1f3, 0x00],
      [0x1f4, 0x00],
      [0x1f5, 0x00],
      [0x1f7, 0x20],
    ]) {
      b.out(port, value);
    }
    b.in(0x1f0, 2);
    return b;
  }

  it('goes on in another process where it was', () => {
    const to = moved(busy());
    expect(to.pc.state).toBe('paused');
    expect(to.pc.guestNs).toBe(1234e6);
    expect(to.cpu.registers).toBe(42);
    expect(to.cpu.a20).toBe(false);
    expect(to.pc.memory.readU32(0xf_1234)).toBe(0xcafe_f00d);
    expect(to.pc.memory.readU32(0x20_0000)).toBe(0x1234_5678);
    expect(to.pc.memory.readSized(0xe012_3456, 1)).toBe(0x77);
    expect(to.pci(1, 1, 0x20)).toBe(0xc001);
    expect(to.in(0x21)).toBe(0xbe);
    // In the middle of a sector: 255 words are left of it, and another sector.
    to.pc.resume();
    for (let i = 0; i < 255; i++) expect(to.in(0x1f0, 2)).toBe(0x0303);
    expect(to.in(0x1f7) & 0x88).toBe(0x08);
    to.nowMs += 20;
    to.pc.advance(1);
    expect(to.cpu.parts.interrupts.acknowledge()).toBe(0x30);
  });

  it('saves the same again', () => {
    const from = busy();
    expect(fileOf(moved(from))).toBe(fileOf(from));
  });

  it('takes the place of a machine that has run', () => {
    const from = busy();
    const saved = decodeSavedState(encodeSavedState(from.pc.save(), from.pc.ram));
    const to = bench(config, media());
    to.pc.powerOn();
    to.out(0x64, 0x60);
    to.out(0x60, 0x47);
    to.pc.board.keyboard.putScancodes([0x1e]);
    to.out(0x3fc, 0x08);
    to.out(0x3f9, 0x02);
    to.pc.memory.writeSized(0x30_0000, 4, 7);
    to.pc.restore(saved.record as PcRecord, saved.fillRam);
    expect(to.pc.memory.readU32(0x30_0000)).toBe(0);
    expect(fileOf(to)).toBe(fileOf(from));
  });

  it('names the medium that is in the drive when it is saved', () => {
    const b = bench(config, media());
    b.pc.changeMedium('floppy', new MemoryBlockPort(new Uint8Array(1440 * 1024)), { label: 'b.img' });
    expect(b.pc.save().config.floppies[0]?.label).toBe('b.img');
    b.pc.changeMedium('cdrom', undefined);
    expect(b.pc.save().config.ide.secondaryMaster).toEqual({ kind: 'cdrom', label: '' });
  });

  it('is refused when a device has no record, or memory does not fit', () => {
    const from = busy();
    const record = from.pc.save();
    const { pit: _, ...devices } = record.devices;
    const to = bench(config, media());
    expect(() => to.pc.restore({ ...record, devices }, () => {})).toThrow(/pit/);
    const saved = decodeSavedState(encodeSavedState(record, new Uint8Array(8 * 2 ** 20).fill(1)));
    expect(() => to.pc.restore(record, saved.fillRam)).toThrow(CodedError);
  });
});
