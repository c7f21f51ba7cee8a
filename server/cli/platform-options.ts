// Interrupt controllers, timers and tables of a machine, switched as VBoxManage modifyvm names them.

import { CodedError } from '#base/errors.ts';
import { DEFAULT_PLATFORM, type PlatformConfig } from '#emu/machine/config.ts';

export interface PlatformTexts {
  readonly apic?: string | undefined;
  readonly x2apic?: string | undefined;
  readonly ioapic?: string | undefined;
  readonly hpet?: string | undefined;
  readonly acpi?: string | undefined;
}

const usage = (message: string): CodedError<'usage'> => new CodedError('usage', message);

/** `on` or `off`. @returns undefined when the option was not given. @throws CodedError<'usage'> */
export function parseSwitch(option: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text !== 'on' && text !== 'off') throw usage(`${option} takes on or off, not '${text}'`);
  return text === 'on';
}

/** @returns undefined when nothing was given. @throws CodedError<'usage'> */
export function parsePlatform(texts: PlatformTexts): PlatformConfig | undefined {
  const { apic, x2apic, ioapic, hpet, acpi } = texts;
  if ([apic, x2apic, ioapic, hpet, acpi].every((text) => text === undefined)) return undefined;
  const hasApic = parseSwitch('--apic', apic) ?? DEFAULT_PLATFORM.apic;
  const x2 = parseSwitch('--x2apic', x2apic);
  const io = parseSwitch('--ioapic', ioapic);
  if (!hasApic && x2) throw usage('--x2apic on needs --apic on; leave one of them out');
  if (!hasApic && io) throw usage('--ioapic on needs --apic on; leave one of them out');
  return {
    apic: hasApic,
    x2apic: x2 ?? hasApic,
    ioApic: io ?? hasApic,
    hpet: parseSwitch('--hpet', hpet) ?? DEFAULT_PLATFORM.hpet,
    acpi: parseSwitch('--acpi', acpi) ?? DEFAULT_PLATFORM.acpi,
  };
}
