/** What the tables say about a machine: plain data, filled in by its recipe. */

export interface AcpiConfig {
  /** Guest RAM below 4 GB, in bytes. */
  readonly ramBytes: number;
  /** 1..255. */
  readonly cpuCount: number;
  /** 1: ACPI 1.0 tables, which every operating system reads. 3: ACPI 2.0, adds the XSDT and the reset register. */
  readonly fadtRevision: 1 | 3;
  /** I/O base of the PIIX4 PM block, a multiple of 64; firmware programs the same. */
  readonly pmBase: number;
  /** I/O base of the SMBus host, a multiple of 16. */
  readonly smbusBase: number;
  /** I/O base of the general-purpose event block. */
  readonly gpe0Base: number;
  /** IRQ of the system control interrupt. */
  readonly sciIrq: number;
  /** Port and values that hand the fixed hardware to the operating system and back. */
  readonly smiCommand: { readonly port: number; readonly enable: number; readonly disable: number };
  /** Memory that BARs may use, first and last byte; below the fixed addresses at the top. */
  readonly pciHole: { readonly first: number; readonly last: number };
  /** Serial ports present, in the order COM1 to COM4. */
  readonly serialPorts: readonly boolean[];
  readonly floppy: boolean;
  readonly keyboard: boolean;
  readonly mouse: boolean;
  /** Local APICs and an I/O APIC. Left out: no MADT, the operating system uses the 8259 pair. */
  readonly apic?: {
    readonly localApicBase: number;
    readonly ioApicBase: number;
    readonly ioApicId: number;
    /** Local APIC ID of each processor. */
    readonly localApicIds: readonly number[];
  };
  /** Base of the HPET's registers and the low half of its ID register; left out: there is none. */
  readonly hpet?: { readonly base: number; readonly id: number };
}

/** COM1 to COM4: base port and IRQ. */
export const COM_PORTS = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
] as const;

/** IRQs offered to the PCI interrupt links. */
export const LINK_IRQS = [5, 10, 11] as const;

/** The board's usual addresses around what the machine chooses. */
export const ACPI_BOARD = {
  fadtRevision: 1,
  pmBase: 0x600,
  smbusBase: 0x700,
  gpe0Base: 0xafe0,
  sciIrq: 9,
  smiCommand: { port: 0xb2, enable: 0xf1, disable: 0xf0 },
} as const;
