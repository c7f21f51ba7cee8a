import { describe, expect, it } from 'vitest';
import { ACPI_COMMAND } from '../chipset/piix4-pm.ts';
import { ACPI_BOARD, type AcpiConfig } from './acpi-config.ts';
import { ACPI_FILES, acpiTables } from './acpi-tables.ts';
import { AmlDecoder, namespaceOf, type Term } from './aml-decoder.suite.ts';
import { dsdt } from './dsdt.ts';
import { checksum } from './table.ts';
import { encodeLoaderScript } from './table-loader.ts';

const config: AcpiConfig = {
  ...ACPI_BOARD,
  ramBytes: 0x1000_0000,
  cpuCount: 2,
  pciHole: { first: 0x1000_0000, last: 0xfebf_ffff },
  serialPorts: [true, false, false, true],
  floppy: true,
  keyboard: true,
  mouse: true,
};

/** Links as a second, simple-minded loader would: files at fixed addresses. */
function link(tables: ReturnType<typeof acpiTables>) {
  const at: Record<string, number> = { [ACPI_FILES.tables]: 0x0ffe_0000, [ACPI_FILES.rsdp]: 0xf_0010 };
  const bytes: Record<string, Uint8Array> = {
    [ACPI_FILES.tables]: tables.tables.slice(),
    [ACPI_FILES.rsdp]: tables.rsdp.slice(),
  };
  for (const command of tables.commands) {
    const file = bytes[command.file];
    const view = new DataView(file.buffer);
    if (command.kind === 'add-pointer') {
      view.setUint32(command.offset, view.getUint32(command.offset, true) + at[command.source], true);
    } else if (command.kind === 'add-checksum') {
      file[command.offset] += checksum(file.subarray(command.start, command.start + command.byteCount));
    }
  }
  const table = (address: number) => {
    const offset = address - at[ACPI_FILES.tables];
    const length = new DataView(bytes[ACPI_FILES.tables].buffer).getUint32(offset + 4, true);
    return bytes[ACPI_FILES.tables].slice(offset, offset + length);
  };
  return { rsdp: bytes[ACPI_FILES.rsdp], table };
}

const u32 = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
const signature = (bytes: Uint8Array) => String.fromCharCode(...bytes.subarray(0, 4));

describe.each([1, 3] as const)('linked tables, FADT revision %i', (fadtRevision) => {
  const { rsdp, table } = link(acpiTables({ ...config, fadtRevision }));
  const rsdt = table(u32(rsdp, 16));
  const listed = Array.from({ length: (rsdt.length - 36) / 4 }, (_, i) => table(u32(rsdt, 36 + 4 * i)));

  it('sums to zero everywhere', () => {
    expect(checksum(rsdp.subarray(0, 20))).toBe(0);
    if (fadtRevision === 3) expect(checksum(rsdp)).toBe(0);
    for (const t of [rsdt, ...listed]) expect([signature(t), checksum(t)]).toEqual([signature(t), 0]);
  });

  it('lists FADT and WAET and no MADT without APICs', () => {
    expect(signature(rsdt)).toBe('RSDT');
    expect(listed.map(signature)).toEqual(['FACP', 'WAET']);
  });

  it('leads from the FADT to an aligned FACS and to the DSDT', () => {
    const [fadt] = listed;
    expect(u32(fadt, 36) % 64).toBe(0);
    expect(signature(table(u32(fadt, 36)))).toBe('FACS');
    const found = table(u32(fadt, 40));
    expect(signature(found)).toBe('DSDT');
    expect(checksum(found)).toBe(0);
    if (fadtRevision === 3) {
      expect(u32(fadt, 132)).toBe(0);
      expect(u32(fadt, 140)).toBe(u32(fadt, 40));
      expect(signature(table(u32(rsdp, 24)))).toBe('XSDT');
    }
  });

  it('describes the chipset that is there', () => {
    const [fadt] = listed;
    expect(u32(fadt, 48)).toBe(0xb2);
    expect([fadt[52], fadt[53]]).toEqual([ACPI_COMMAND.enable, ACPI_COMMAND.disable]);
    expect([u32(fadt, 56), u32(fadt, 64), u32(fadt, 76), u32(fadt, 80)]).toEqual([0x600, 0x604, 0x608, 0xafe0]);
    expect(u32(fadt, 112) & (1 << 4)).toBe(0); // Fixed power button.
  });
});

it('adds a MADT with overrides when the machine has APICs', () => {
  const apic = { localApicBase: 0xfee0_0000, ioApicBase: 0xfec0_0000, ioApicId: 2, localApicIds: [0, 1] };
  const { rsdp, table } = link(acpiTables({ ...config, apic }));
  const rsdt = table(u32(rsdp, 16));
  const madt = table(u32(rsdt, 40));
  expect(signature(madt)).toBe('APIC');
  const types: number[] = [];
  let at = 44;
  for (; at < madt.length; at += madt[at + 1]) types.push(madt[at]);
  expect(at).toBe(madt.length);
  expect(types).toEqual([0, 0, 1, 2, 2, 2, 2, 2, 4]);
});

it('adds an HPET table and its device when the machine has one', () => {
  const { rsdp, table } = link(acpiTables({ ...config, hpet: { base: 0xfed0_0000, id: 0x8086_a201 } }));
  const hpet = table(u32(table(u32(rsdp, 16)), 40));
  expect([signature(hpet), hpet.length, checksum(hpet)]).toEqual(['HPET', 56, 0]);
  expect([u32(hpet, 36), hpet[40], u32(hpet, 44), u32(hpet, 48)]).toEqual([0x8086_a201, 0, 0xfed0_0000, 0]);
  const names = namespaceOf(new AmlDecoder(dsdt({ ...config, hpet: { base: 0xfed0_0000, id: 0 } }).subarray(36)).all());
  expect([...names.keys()]).toContain('\\_SB_.HPET._CRS');
});

describe('DSDT', () => {
  const table = dsdt(config);
  const terms = new AmlDecoder(table.subarray(36)).all();
  const names = namespaceOf(terms);

  it('decodes to its last byte and defines each name once', () => {
    expect(u32(table, 4)).toBe(table.length);
    expect([...names.keys()]).toEqual(
      expect.arrayContaining(['\\_SB_.PCI0', '\\_SB_.PCI0._PRT', '\\_SB_.LNKD._SRS', '\\_SB_.C001', '\\_S5_']),
    );
  });

  it('resolves every absolute path', () => {
    const missing: string[] = [];
    const walk = (term: Term) => {
      if (term.kind === 'path' && term.path.startsWith('\\') && !names.has(term.path)) missing.push(term.path);
      if ('terms' in term) term.terms.forEach(walk);
      if ('elements' in term) term.elements.forEach(walk);
      if ('operands' in term) term.operands.forEach(walk);
      if (term.kind === 'name') walk(term.value);
    };
    terms.forEach(walk);
    expect(missing).toEqual([]);
  });

  it('routes pins as the bus wires them', () => {
    const prt = names.get('\\_SB_.PCI0._PRT');
    const entries = prt?.kind === 'name' && prt.value.kind === 'package' ? prt.value.elements : [];
    const routes = entries.map((entry) => {
      if (entry.kind !== 'package') throw new Error('not a package');
      const [address, pin, link, zero] = entry.elements;
      if (address.kind !== 'integer' || pin.kind !== 'integer' || link.kind !== 'path') throw new Error('bad entry');
      expect(address.value & 0xffff).toBe(0xffff);
      expect(zero).toEqual({ kind: 'integer', value: 0 });
      return [address.value >>> 16, pin.value, link.path.slice(-4)] as const;
    });
    expect(routes).toHaveLength(128);
    for (const [slot, pin, link] of routes) {
      const expected = slot === 1 && pin === 0 ? 'LNKS' : `LNK${'ABCD'[(slot - 1 + pin + 4) % 4]}`;
      expect(link).toBe(expected);
    }
  });

  it('names only the ISA devices that are there', () => {
    const isa = [...names.keys()].filter((n) => /^\\_SB_\.PCI0\.ISA_\.[^.]+$/.test(n)).map((n) => n.slice(-4));
    expect(isa).toEqual([
      '_ADR',
      'P40C',
      'PRQ0',
      'PRQ1',
      'PRQ2',
      'PRQ3',
      'RTC_',
      'MBRD',
      'PS2K',
      'PS2M',
      'FDC0',
      'COM1',
      'COM4',
    ]);
  });

  it('ends every resource template with an end tag at the end of its last descriptor', () => {
    const templates = [...names].filter(([path]) => /\._(CRS|PRS)$/.test(path));
    let checked = 0;
    for (const [path, term] of templates) {
      if (term.kind !== 'name' || term.value.kind !== 'buffer') continue;
      const { bytes } = term.value;
      let at = 0;
      while (bytes[at] !== 0x79) at += bytes[at] & 0x80 ? 3 + bytes[at + 1] + bytes[at + 2] * 256 : 1 + (bytes[at] & 7);
      expect([path, at + 2]).toEqual([path, bytes.length]);
      checked++;
    }
    expect(checked).toBeGreaterThan(10);
  });

  it('hands the PCI hole to the host bridge', () => {
    const crs = names.get('\\_SB_.PCI0._CRS');
    if (crs?.kind !== 'name' || crs.value.kind !== 'buffer') throw new Error('no _CRS');
    const { bytes } = crs.value;
    const last = bytes.length - 2 - 26;
    expect([bytes[last], u32(bytes, last + 10), u32(bytes, last + 14), u32(bytes, last + 22)]).toEqual([
      0x87, 0x1000_0000, 0xfebf_ffff, 0xeec0_0000,
    ]);
  });
});

describe('linker script', () => {
  it('allocates first and is 128 bytes a command', () => {
    const { commands } = acpiTables(config);
    const script = encodeLoaderScript(commands);
    expect(script.length).toBe(commands.length * 128);
    expect(u32(script, 0)).toBe(1);
    expect(String.fromCharCode(...script.subarray(4, 20))).toBe('etc/acpi/tables\0');
    expect([u32(script, 60), script[64]]).toEqual([64, 1]);
    expect([u32(script, 128), u32(script, 128 + 60), script[128 + 64]]).toEqual([1, 16, 2]);
  });

  it('encodes pointers and checksums', () => {
    const script = encodeLoaderScript([
      { kind: 'add-pointer', file: 'a', source: 'b', offset: 0x1234, byteCount: 8 },
      { kind: 'add-checksum', file: 'a', offset: 9, start: 4, byteCount: 36 },
    ]);
    expect([u32(script, 0), script[4], script[60], u32(script, 116), script[120]]).toEqual([2, 97, 98, 0x1234, 8]);
    expect([u32(script, 128), u32(script, 188), u32(script, 192), u32(script, 196)]).toEqual([3, 9, 4, 36]);
  });
});
