import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ataDrive, BUS_MASTER, IdeTestMachine, SlowPort } from './ide-driver.suite.ts';

const two = (): IdeTestMachine =>
  new IdeTestMachine([
    ataDrive(new SlowPort(100, { immediate: true })),
    ataDrive(new SlowPort(200, { immediate: true })),
  ]);

describe('IdeChannel', () => {
  it('floats without devices, and as device 0 when only device 1 is there', () => {
    const empty = new IdeTestMachine([]);
    const second = new IdeTestMachine([undefined, ataDrive(new SlowPort(8))]);
    for (const m of [empty, second]) {
      m.out(6, 0xa0);
      m.out(2, 0x55);
      expect([m.in(7), m.in(2), m.altStatus, m.in(0, 2), m.in(0, 4)]).toEqual([0x7f, 0x7f, 0x7f, 0xff7f, 0xff7f_ff7f]);
    }
    second.out(6, 0xb0);
    expect(second.in(7)).toBe(0x50);
  });

  it('lets device 0 answer for a missing device 1 with a status of zero', () => {
    const m = new IdeTestMachine([ataDrive(new SlowPort(8))]);
    m.out(6, 0xb0);
    m.out(2, 0x55);
    expect([m.in(7), m.altStatus, m.in(2)]).toEqual([0, 0, 0x55]);
    m.out(7, 0xec);
    expect(m.irqs[0].level).toBe(false);
  });

  it('keeps two drives apart', () => {
    const m = two();
    for (const [device, size] of [
      [0xe0, 100],
      [0xf0, 200],
    ] as const) {
      m.command28(0xec, 0, 0, device);
      const id = m.readWords(512);
      expect(id[120] | (id[121] << 8)).toBe(size);
      expect(id[187], 'word 93 tells the position').toBe(device === 0xe0 ? 0x60 : 0x6b);
    }
  });

  it('drives INTRQ only for the selected device, and not with nIEN', () => {
    const m = two();
    m.command28(0xec, 0, 0);
    expect(m.irqs[0].level).toBe(true);
    m.readWords(512);
    m.command28(0xe7, 0, 0);
    expect(m.irqs[0].level).toBe(true);
    m.out(6, 0xb0);
    expect(m.irqs[0].level).toBe(false);
    m.out(6, 0xa0);
    expect(m.irqs[0].level).toBe(true);
    m.bus.write(0x3f6, 1, 2);
    expect([m.irqs[0].level, m.altStatus]).toEqual([false, 0x50]);
    m.bus.write(0x3f6, 1, 0);
    expect(m.irqs[0].level, 'reading Alternate Status acknowledges nothing').toBe(true);
    m.in(7);
    expect(m.irqs[0].level).toBe(false);
  });

  it('runs diagnostics on both devices and selects device 0', () => {
    const m = two();
    m.out(6, 0xf0);
    m.out(7, 0x90);
    expect([m.irqs[0].edges, m.in(6) & 0x10, m.in(1)]).toEqual([1, 0, 1]);
    m.in(7);
    m.out(6, 0xf0);
    expect([m.irqs[0].level, m.in(1), m.in(2)]).toEqual([false, 1, 1]);
  });

  it('answers at the legacy ports only while the function decodes them', () => {
    const m = two();
    m.piix.writeConfig(0x40, 2, 0);
    expect([m.in(7), m.altStatus, m.in(0, 2)]).toEqual([0xff, 0xff, 0xffff]);
    m.piix.writeConfig(0x40, 2, 0x8000);
    expect(m.in(7)).toBe(0x50);
    m.piix.writeConfig(0x04, 2, 0x0004);
    expect([m.in(7), m.bus.read(BUS_MASTER + 2, 1)]).toEqual([0xff, 0xff]);
  });

  it('ignores registers of a device that is at work', () => {
    const port = new SlowPort(100);
    const m = new IdeTestMachine([ataDrive(port)]);
    m.command28(0x20, 4, 1);
    m.out(3, 0x99);
    m.out(6, 0xb0);
    m.out(7, 0xec);
    port.complete();
    expect([m.in(7), m.in(3)]).toEqual([0x58, 4]);
    expect(m.readWords(512)).toEqual(port.memory.image.slice(4 * 512, 5 * 512));
  });

  it('survives any register traffic, and a save of it continues like the original', () => {
    const access = fc.record({
      port: fc.oneof(
        fc.integer({ min: 0x1f0, max: 0x1f7 }),
        fc.constant(0x3f6),
        fc.integer({ min: BUS_MASTER, max: BUS_MASTER + 15 }),
        fc.constant(0x1f7),
      ),
      width: fc.constantFrom<1 | 2 | 4>(1, 2, 4),
      value: fc.oneof(
        fc.integer({ min: 0, max: 255 }),
        fc.constantFrom(0x20, 0x24, 0x25, 0x30, 0x35, 0xc8, 0xca, 0xec, 0xc6, 0xef, 0x91, 0x90, 0xa0, 0x01, 0x09),
        fc.nat(0xffff_ffff),
      ),
      write: fc.boolean(),
      repeat: fc.constantFrom(1, 1, 1, 256),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), fc.array(access, { maxLength: 20 }), (before, after) => {
        const run = (m: IdeTestMachine, list: typeof before): number[] => {
          const seen: number[] = [];
          for (const a of list) {
            for (let i = 0; i < a.repeat; i++) {
              if (!a.write) seen.push(m.bus.read(a.port, a.width));
              else m.bus.write(a.port, a.width, a.value & (a.width === 4 ? -1 : (1 << (a.width * 8)) - 1));
            }
          }
          return [...seen, m.irqs[0].level ? 1 : 0];
        };
        const m = two();
        run(m, before);
        const copy = two();
        copy.memory.bytes.set(m.memory.bytes);
        for (const i of [0, 1]) {
          const from = m.channels[0].drives[i];
          expect(from?.idle).toBe(true);
        }
        copy.piix.restore(m.save() as ReturnType<typeof copy.piix.save>);
        expect(copy.irqs[0].level).toBe(m.irqs[0].level);
        // Media differ once a write went through; registers and interrupts may not.
        const wrote = before
          .concat(after)
          .some((a) => a.write && [0x30, 0x35, 0xca, 0x34, 0xc5].includes(a.value & 0xff));
        const [one, other] = [run(m, after), run(copy, after)];
        if (!wrote) expect(other).toEqual(one);
      }),
      { numRuns: 300 },
    );
  });
});
