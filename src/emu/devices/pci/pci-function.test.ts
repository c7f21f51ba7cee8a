import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PciConfigSpace } from './pci-function.ts';

function build() {
  const moves: string[] = [];
  const wire: boolean[] = [];
  const say = (name: string) => (base: number | undefined) => void moves.push(`${name} ${base?.toString(16) ?? 'off'}`);
  const config = new PciConfigSpace({
    identity: {
      vendorId: 0x1234,
      deviceId: 0x1111,
      classCode: 0x030000,
      revisionId: 2,
      subsystemVendorId: 0x1af4,
      subsystemId: 0x1100,
      interruptPin: 1,
    },
    bars: [
      { index: 0, space: 'memory', byteCount: 0x100_0000, prefetchable: true, onMoved: say('mem') },
      { index: 4, space: 'io', byteCount: 16, onMoved: say('io') },
      { index: 'rom', space: 'memory', byteCount: 0x10000, onMoved: say('rom') },
    ],
    interrupt: { set: (asserted) => void wire.push(asserted) },
  });
  return { config, moves, wire };
}

describe('PciConfigSpace', () => {
  it('shows its identity and ignores writes to it', () => {
    const { config } = build();
    for (const offset of [0, 8, 0x2c]) config.writeConfig(offset, 4, 0xffff_ffff);
    expect(config.readConfig(0, 4)).toBe(0x1111_1234);
    expect(config.readConfig(8, 4)).toBe(0x0300_0002);
    expect(config.readConfig(0x2c, 4)).toBe(0x1100_1af4);
    expect(config.readConfig(0x3d, 1)).toBe(1);
  });

  it('answers sizing with the size mask and the type bits', () => {
    const { config } = build();
    for (const offset of [0x10, 0x14, 0x20]) config.writeConfig(offset, 4, 0xffff_ffff);
    config.writeConfig(0x30, 4, 0xffff_fffe);
    expect(config.readConfig(0x10, 4)).toBe(0xff00_0008);
    expect(config.readConfig(0x14, 4)).toBe(0);
    expect(config.readConfig(0x20, 4)).toBe(0xffff_fff1);
    expect(config.readConfig(0x30, 4)).toBe(0xffff_0000);
  });

  it('decodes a BAR only while the command register enables its space', () => {
    const { config, moves } = build();
    config.writeConfig(0x10, 4, 0xe000_0000);
    config.writeConfig(0x20, 4, 0xc041);
    expect(moves).toEqual([]);
    config.writeConfig(4, 2, 1);
    expect(moves).toEqual(['io c040']);
    config.writeConfig(4, 2, 3);
    config.writeConfig(0x30, 4, 0xfe00_0000);
    expect(moves).toEqual(['io c040', 'mem e0000000']);
    config.writeConfig(0x30, 4, 0xfe00_0001);
    config.writeConfig(4, 2, 0);
    expect(moves.slice(2)).toEqual(['rom fe000000', 'mem off', 'io off', 'rom off']);
  });

  it('takes a BAR away while the guest sizes it with decoding on', () => {
    const { config, moves } = build();
    config.writeConfig(0x10, 4, 0xe000_0000);
    config.writeConfig(4, 2, 2);
    config.writeConfig(0x10, 4, 0xffff_ffff);
    config.writeConfig(0x10, 4, 0xe000_0000);
    expect(moves).toEqual(['mem e0000000', 'mem off', 'mem e0000000']);
  });

  it('drives the pin from the interrupt status, unless disabled', () => {
    const { config, wire } = build();
    config.setInterrupt(true);
    expect(config.readConfig(6, 2) & 8).toBe(8);
    config.writeConfig(4, 2, 0x400);
    config.writeConfig(4, 2, 0);
    config.setInterrupt(false);
    expect(wire).toEqual([true, false, true, false]);
  });

  it('clears error status bits by writing one and leaves DEVSEL timing alone', () => {
    const { config } = build();
    config.poke(6, 2, 0x2200);
    config.writeConfig(6, 2, 0xffff);
    expect(config.readConfig(6, 2)).toBe(0x0200);
  });

  it('restores every byte and tells the BARs again', () => {
    const a = build();
    a.config.writeConfig(0x20, 4, 0xc041);
    a.config.writeConfig(4, 2, 1);
    const b = build();
    b.config.restore(structuredClone(a.config.save()));
    expect(b.moves).toEqual(['io c040']);
    expect(b.config.save()).toEqual(a.config.save());
    b.config.reset();
    expect(b.moves).toEqual(['io c040', 'io off']);
  });

  it('never reports an unaligned or out-of-range base, whatever the guest writes', () => {
    const writes = fc.array(fc.tuple(fc.integer({ min: 0, max: 63 }), fc.nat(0xffff_ffff)), { maxLength: 40 });
    fc.assert(
      fc.property(writes, (list) => {
        const mapped = new Map<string, number>();
        const follow = (name: string, byteCount: number, space: 'io' | 'memory', index: number | 'rom') => ({
          index,
          space,
          byteCount,
          onMoved: (base: number | undefined) => {
            if (base === undefined) {
              if (!mapped.delete(name)) throw new Error('moved away twice');
              return;
            }
            if (mapped.has(name)) throw new Error('mapped twice');
            if (base % byteCount !== 0 || base + byteCount > (space === 'io' ? 0x1_0000 : 2 ** 32))
              throw new Error('bad');
            mapped.set(name, base);
          },
        });
        const config = new PciConfigSpace({
          identity: { vendorId: 1, deviceId: 2, classCode: 3 },
          bars: [follow('a', 256, 'io', 0), follow('b', 4096, 'memory', 1), follow('c', 65536, 'memory', 'rom')],
        });
        for (const [dword, value] of list) config.writeConfig(dword * 4, 4, value >>> 0);
        config.reset();
        expect(mapped.size).toBe(0);
      }),
    );
  });
});
