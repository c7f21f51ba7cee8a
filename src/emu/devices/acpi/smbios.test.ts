import { describe, expect, it } from 'vitest';
import { linkAnchor, type SmbiosConfig, smbiosTables } from './smbios.ts';
import { checksum } from './table.ts';

const config: SmbiosConfig = {
  manufacturer: 'TabBox',
  product: 'Standard PC',
  version: '1.0',
  serialNumber: '0',
  uuid: Uint8Array.from({ length: 16 }, (_, i) => i),
  biosVendor: 'SeaBIOS',
  biosVersion: '1.16',
  biosDate: '04/01/2014',
  cpuName: 'Virtual CPU',
  cpuCount: 2,
  cpuMhz: 1000,
  cpuSignature: 0x663,
  cpuFeatures: 0x0183_fbff,
  ramBytes: 0x1000_0000,
};

/** Reads structures as a guest does: formatted length, then strings up to a double zero. */
function structures(tables: Uint8Array) {
  const list: { type: number; bytes: Uint8Array; strings: string[] }[] = [];
  for (let at = 0; at < tables.length; ) {
    const length = tables[at + 1];
    let end = at + length;
    while (tables[end] !== 0 || tables[end + 1] !== 0) end++;
    const strings = Buffer.from(tables.slice(at + length, end)).toString('latin1');
    list.push({ type: tables[at], bytes: tables.slice(at, at + length), strings: strings ? strings.split('\0') : [] });
    at = end + 2;
  }
  return list;
}

describe('SMBIOS', () => {
  const { anchor, tables } = smbiosTables(config);
  const list = structures(tables);

  it('has the structures of a 2.8 machine, ending with type 127 at the last byte', () => {
    expect(list.map((s) => s.type)).toEqual([0, 1, 3, 4, 4, 16, 17, 19, 32, 127]);
  });

  it('gives each structure the length that version 2.8 defines', () => {
    const lengths = Object.fromEntries(list.map((s) => [s.type, s.bytes.length]));
    expect(lengths).toEqual({ 0: 0x18, 1: 0x1b, 3: 0x16, 4: 0x2a, 16: 0x17, 17: 0x28, 19: 0x1f, 32: 0x0b, 127: 4 });
  });

  it('counts and measures in the anchor, with both checksums once linked', () => {
    const linked = linkAnchor(anchor, 0xe_1000);
    const view = new DataView(linked.buffer);
    expect(checksum(linked)).toBe(0);
    expect(checksum(linked.subarray(16))).toBe(0);
    expect([view.getUint16(22, true), view.getUint32(24, true), view.getUint16(28, true)]).toEqual([
      tables.length,
      0xe_1000,
      list.length,
    ]);
  });

  it('names the machine and swaps the first UUID fields', () => {
    const system = list[1];
    expect(system.strings.slice(0, 2)).toEqual(['TabBox', 'Standard PC']);
    expect([...system.bytes.subarray(8, 16)]).toEqual([3, 2, 1, 0, 5, 4, 7, 6]);
  });

  it('tells the memory size', () => {
    const module = list.find((s) => s.type === 17);
    expect(new DataView(module?.bytes.buffer ?? new ArrayBuffer(0)).getUint16(12, true)).toBe(256);
  });

  it('keeps string offsets right for empty and non-ASCII names', () => {
    const odd = structures(smbiosTables({ ...config, manufacturer: '', product: 'Größe' }).tables);
    expect(odd[1].bytes[4]).toBe(0);
    expect(odd[1].strings[odd[1].bytes[5] - 1]).toBe('Gr??e');
    expect(odd.at(-1)?.type).toBe(127);
  });

  it('refuses an id of the wrong size', () => {
    expect(() => smbiosTables({ ...config, uuid: new Uint8Array(4) })).toThrow(
      expect.objectContaining({ code: 'bad-uuid' }),
    );
  });
});
