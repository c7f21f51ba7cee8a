import { describe, expect, it } from 'vitest';
import { IoBus } from '#emu/bus/io-bus.ts';
import { bytesAt, ram } from './ram.suite.ts';
import { fontInVideoBios, setVgaTextMode } from './vga-text-mode.ts';

/** Records what the indexed VGA registers hold in the end, and what they held when plane memory was written. */
function vga() {
  const ports = new IoBus();
  const registers: Record<string, number> = {};
  const indexed = (name: string) => {
    let index = 0;
    return {
      read: () => 0,
      write: (offset: number, _w: number, value: number) => {
        if (offset === 0) index = value;
        else registers[`${name}${index}`] = value;
      },
    };
  };
  ports.map(0x3c4, 2, indexed('seq'));
  ports.map(0x3ce, 2, indexed('gr'));
  ports.map(0x3d4, 2, indexed('cr'));
  let flip = 0;
  let attribute = 0;
  ports.map(0x3c0, 1, {
    read: () => 0,
    write: (_o, _w, value) => {
      flip ^= 1;
      if (flip) attribute = value;
      else registers[`ar${attribute}`] = value;
    },
  });
  ports.map(0x3da, 1, { read: () => (flip = 0), write: () => {} });
  const dac: number[] = [];
  ports.map(0x3c9, 1, { read: () => 0, write: (_o, _w, value) => void dac.push(value) });
  return { ports, registers, dac, attributeIndex: () => attribute };
}

const font = new Uint8Array(4096).map((_, i) => i >> 4);

describe('text mode 3', () => {
  const memory = ram(0x10_0000);
  const card = vga();
  const duringFont: number[] = [];
  setVgaTextMode(
    {
      ports: card.ports,
      memory: {
        read: (at, into) => memory.read(at, into),
        write: (at, from) => {
          if (at < 0xb_0000) duringFont.push(card.registers['seq2'], card.registers['gr6']);
          memory.write(at, from);
        },
        readU16: (at) => memory.readU16(at),
        readU32: (at) => memory.readU32(at),
      },
    },
    font,
  );

  it('shows 80 columns of 25 rows of 16 lines', () => {
    expect(card.registers['cr1'] + 1).toBe(80);
    expect((card.registers['cr9'] & 0x1f) + 1).toBe(16);
    const lines =
      card.registers['cr18'] + ((card.registers['cr7'] & 2) << 7) + ((card.registers['cr7'] & 0x40) << 3) + 1;
    expect(lines).toBe(400);
    expect(card.registers['ar16'] & 1).toBe(0);
    expect(card.attributeIndex() & 0x20).toBe(0x20);
  });

  it('loads the font into plane 2 and goes back to text addressing', () => {
    expect(new Set(duringFont)).toEqual(new Set([4]));
    expect([...bytesAt(memory, 0xa_0000 + 0x41 * 32, 17)]).toEqual([...new Array(16).fill(0x41), 0]);
    expect([card.registers['seq2'], card.registers['seq4'], card.registers['gr5'], card.registers['gr6']]).toEqual([
      3, 2, 0x10, 0x0e,
    ]);
  });

  it('clears the screen and sets 64 colours', () => {
    expect([...bytesAt(memory, 0xb_8000 + 3998, 2)]).toEqual([0x20, 0x07]);
    expect(card.dac).toHaveLength(192);
    expect(card.dac.slice(0x14 * 3, 0x14 * 3 + 3)).toEqual([0x2a, 0x15, 0]);
  });
});

describe('font search', () => {
  it('finds a font by its first glyphs', () => {
    const image = new Uint8Array(10_000).fill(0xee);
    image.fill(0, 1000, 1000 + 4096);
    image.set([0, 0, 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e, 0, 0, 0, 0], 1016);
    image[1000 + 0x41 * 16] = 0x77;
    expect(fontInVideoBios(image)?.[0x41 * 16]).toBe(0x77);
    expect(fontInVideoBios(image.subarray(0, 4000))).toBeUndefined();
    expect(fontInVideoBios(new Uint8Array(10_000))).toBeUndefined();
  });
});
