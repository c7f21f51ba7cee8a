/**
 * DSDT of the 440FX board: PCI host bridge, interrupt links, ISA devices, sleep state S5.
 * Source: ACPI Specification 2.0, sections 6.2.8 (_PRT), 7.3.4 (_Sx), 5.6.5 (_GPE); PCI Firmware Specification 3.0
 * (host bridge _CRS); PIIX3 data sheet (PIRQ routing registers).
 * Not modelled: hot-plug, S1 to S4, thermal zones, _FDE.
 */
import type { AcpiConfig } from './acpi-config.ts';
import { COM_PORTS, LINK_IRQS } from './acpi-config.ts';
import {
  ACCESS,
  type Aml,
  and,
  andInto,
  arg,
  createDwordField,
  device,
  eisaId,
  field,
  ifThen,
  local,
  method,
  name,
  operationRegion,
  orInto,
  packageOf,
  path,
  processor,
  REGION,
  returnValue,
  scope,
  store,
  text,
} from './aml.ts';
import { hpetRange } from './fixed-tables.ts';
import {
  dma8,
  dwordMemory,
  INTERRUPT_NUMBER_AT,
  interrupt,
  io,
  irq,
  memory32Fixed,
  resourceTemplate,
  wordBusNumber,
  wordIo,
} from './resources.ts';
import { systemTable } from './table.ts';

const STA = { present: 0x0f, presentDisabled: 0x09, presentEnabled: 0x0b } as const;
const LINK_NAMES = ['LNKA', 'LNKB', 'LNKC', 'LNKD'] as const;

/** SLP_TYP values of S5, for PM1a and PM1b. */
const S5 = packageOf([0, 0, 0, 0]);

/** The whole table, checksummed. */
export function dsdt(config: AcpiConfig): Uint8Array {
  const terms: Aml[] = [
    scope('\\_SB', [hostBridge(config), ...links(), sciLink(config)]),
    scope('\\_SB', [...processors(config), ...hpet(config)]),
    scope('\\_GPE', [name('_HID', text('ACPI0006'))]),
    name('\\_S5', S5),
  ];
  return systemTable('DSDT', 1, terms.flat());
}

function hostBridge(config: AcpiConfig): Aml {
  return device('PCI0', [
    name('_HID', eisaId('PNP0A03')),
    name('_UID', 0),
    name('_CRS', hostBridgeResources(config)),
    name('_PRT', routing()),
    isaBridge(config),
    device('PX13', [name('_ADR', 0x0001_0003)]),
  ]);
}

function hostBridgeResources(config: AcpiConfig): Aml {
  return resourceTemplate([
    wordBusNumber(0, 0xff),
    io(0xcf8, 8),
    wordIo(0x0000, 0x0cf7),
    wordIo(0x0d00, 0xffff),
    dwordMemory(0xa_0000, 0xb_ffff, true),
    dwordMemory(config.pciHole.first, config.pciHole.last, false),
  ]);
}

/** Every pin of every device to its link; the power management function of device 1 is wired to the SCI. */
function routing(): Aml {
  const entries: Aml[] = [];
  for (let slot = 0; slot < 32; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      const link = slot === 1 && pin === 0 ? 'LNKS' : LINK_NAMES[(slot + pin + 3) & 3];
      entries.push(packageOf([slot * 0x1_0000 + 0xffff, pin, path(`\\_SB.${link}`), 0]));
    }
  }
  return packageOf(entries);
}

/** LNKA to LNKD over the PIRQ route registers. */
function links(): Aml[] {
  return LINK_NAMES.map((link, i) => {
    const route = path(`\\_SB.PCI0.ISA.PRQ${i}`);
    return device(link, [
      name('_HID', eisaId('PNP0C0F')),
      name('_UID', i),
      name('_PRS', resourceTemplate([interrupt(LINK_IRQS)])),
      method('_STA', 0, [
        ifThen(and(route, 0x80), [returnValue(STA.presentDisabled)]),
        returnValue(STA.presentEnabled),
      ]),
      method('_DIS', 0, [orInto(route, 0x80, route)]),
      method(
        '_CRS',
        0,
        [
          name('PRR0', resourceTemplate([interrupt([0])])),
          createDwordField(path('PRR0'), INTERRUPT_NUMBER_AT, 'PRRI'),
          store(route, local(0)),
          ifThen(and(local(0), 0x80), [store(0, local(0))]),
          andInto(local(0), 0x0f, path('PRRI')),
          returnValue(path('PRR0')),
        ],
        true,
      ),
      method('_SRS', 1, [createDwordField(arg(0), INTERRUPT_NUMBER_AT, 'PRRI'), store(path('PRRI'), route)], true),
    ]);
  });
}

/** The PIIX4 power management function's pin is tied to the SCI. */
function sciLink(config: AcpiConfig): Aml {
  const resources = resourceTemplate([interrupt([config.sciIrq])]);
  return device('LNKS', [
    name('_HID', eisaId('PNP0C0F')),
    name('_UID', 4),
    name('_PRS', resources),
    name('_CRS', resources),
    name('_STA', STA.presentEnabled),
    method('_DIS', 0, []),
    method('_SRS', 1, []),
  ]);
}

function isaBridge(config: AcpiConfig): Aml {
  const parts: Aml[] = [
    name('_ADR', 0x0001_0000),
    operationRegion('P40C', REGION.pciConfig, 0x60, 4),
    field('P40C', ACCESS.byte, [
      { name: 'PRQ0', bits: 8 },
      { name: 'PRQ1', bits: 8 },
      { name: 'PRQ2', bits: 8 },
      { name: 'PRQ3', bits: 8 },
    ]),
    isaDevice('RTC', 'PNP0B00', [io(0x70, 8), irq(8)]),
    boardResources(config),
  ];
  if (config.keyboard) parts.push(isaDevice('PS2K', 'PNP0303', [io(0x60, 1), io(0x64, 1), irq(1)]));
  if (config.mouse) parts.push(isaDevice('PS2M', 'PNP0F13', [irq(12)]));
  if (config.floppy) parts.push(isaDevice('FDC0', 'PNP0700', [io(0x3f2, 4), io(0x3f7, 1), irq(6), dma8(2)]));
  COM_PORTS.forEach((port, i) => {
    if (!config.serialPorts[i]) return;
    parts.push(isaDevice(`COM${i + 1}`, 'PNP0501', [io(port.base, 8), irq(port.irq)], i + 1));
  });
  return device('ISA', parts);
}

function isaDevice(at: string, id: string, resources: readonly (readonly number[])[], uid?: number): Aml {
  const unique = uid === undefined ? [] : [name('_UID', uid)];
  return device(at, [
    name('_HID', eisaId(id)),
    ...unique,
    name('_STA', STA.present),
    name('_CRS', resourceTemplate(resources)),
  ]);
}

/** Ports that belong to the board and no driver: the operating system must not give them to BARs. */
function boardResources(config: AcpiConfig): Aml {
  return isaDevice('MBRD', 'PNP0C02', [
    io(config.pmBase, 64),
    io(config.smbusBase, 16),
    io(config.gpe0Base, 4),
    io(0x4d0, 2),
    io(0xb2, 2),
    io(0x510, 12),
  ]);
}

function hpet(config: AcpiConfig): Aml[] {
  if (!config.hpet) return [];
  return [
    device('HPET', [
      name('_HID', eisaId('PNP0103')),
      name('_UID', 0),
      name('_STA', STA.present),
      name('_CRS', resourceTemplate([memory32Fixed(...hpetRange(config.hpet.base))])),
    ]),
  ];
}

function processors(config: AcpiConfig): Aml[] {
  const list: Aml[] = [];
  for (let i = 0; i < config.cpuCount; i++) {
    list.push(processor(`C${i.toString(16).toUpperCase().padStart(3, '0')}`, i, 0, 0));
  }
  return list;
}
