import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { parseRunOptions, RUN_HELP, type RunOptions } from './run-options.ts';

function parse(...args: string[]): RunOptions {
  const options = parseRunOptions(args);
  if (options === 'help') throw new Error('help was not asked for');
  return options;
}

const complaint = (...args: string[]): string => {
  try {
    parse(...args);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'usage') return error.message;
    throw error;
  }
  return '';
};

describe('--relay', () => {
  it('is the address of a server, and its token goes with it', () => {
    const options = parseRunOptions(['--relay', 'http://127.0.0.1:8086/index.html', '--relay-token', 't']);
    expect(options).toMatchObject({ relay: { server: 'http://127.0.0.1:8086/', token: 't' } });
    expect(() => parseRunOptions(['--relay', 'there'])).toThrow(/takes the address of a server/);
    expect(() => parseRunOptions(['--relay-token', 't'])).toThrow(/needs --relay/);
  });
});

describe('tabbox run', () => {
  it('takes a direct boot', () => {
    const options = parse('--kernel', 'k', '--initrd', 'a', '--initrd=b c', '--append', 'console=ttyS0 x=-1');
    expect(options).toMatchObject({ kernel: 'k', initrds: ['a', 'b c'], append: 'console=ttyS0 x=-1' });
  });

  it('takes drives, memory and a boot order', () => {
    const options = parse(
      ...['--hda', 'd.img', '--hdb', 'e.img,ro', '--cdrom', 'c.iso', '--floppy', 'f.img'],
      ...['--memory', '1024', '--boot1', 'dvd', '--boot2', 'none', '--boot3', 'disk'],
    );
    expect(options).toMatchObject({
      hda: { path: 'd.img', readOnly: false },
      hdb: { path: 'e.img', readOnly: true },
      cdrom: 'c.iso',
      floppy: 'f.img',
      memoryMb: 1024,
      bootOrder: ['cdrom', 'disk'],
    });
    expect(parse('--boot1', 'none').bootOrder).toEqual([]);
    expect(parse().bootOrder).toBeUndefined();
  });

  it('takes a display adapter and monitors', () => {
    expect(parse().graphics).toBeUndefined();
    const standard = { graphicsController: 'stdvga', monitorCount: 1, videoMemoryMb: 32 };
    expect(parse('--vram', '20', '--accelerate3d', 'off').graphics).toEqual(standard);
    expect(parse('--graphicscontroller', 'VBoxVGA').graphics).toMatchObject({ graphicsController: 'vboxvga' });
    const three = { graphicsController: 'vboxvga', monitorCount: 3, videoMemoryMb: 64 };
    expect(parse('--monitorcount', '3').graphics).toEqual(three);
    expect(complaint('--monitorcount', '5')).toBe("--monitorcount takes 1 to 4, not '5'");
    expect(complaint('--graphicscontroller', 'vmsvga')).toMatch(/takes stdvga or vboxvga, not 'vmsvga'/);
    expect(complaint('--graphicscontroller', 'stdvga', '--monitorcount', '2')).toMatch(/has one monitor; take vboxvga/);
    expect(complaint('--vram', '300')).toMatch(/1 to 256 megabytes, not '300'/);
    expect(complaint('--accelerate3d', 'on')).toMatch(/nothing here accelerates/);
    expect(complaint('--vram', '16', '--restore-state', 'x')).toMatch(/cannot change a saved machine/);
  });

  it('takes the switches of the CPU', () => {
    expect([parse().firmware, parse('--firmware', 'EFI64', '--nvram', 'v').firmware]).toEqual(['BIOS', 'EFI64']);
    expect(complaint('--firmware', 'EFI32')).toBe("--firmware takes BIOS or EFI64, not 'EFI32'");
    expect(complaint('--nvram', 'v')).toBe('--nvram is for --firmware EFI64; give both');
    expect(parse().platform).toBeUndefined();
    expect(parse('--hpet', 'on').platform).toEqual({ apic: true, x2apic: true, ioApic: true, hpet: true, acpi: true });
    const off = { apic: false, x2apic: false, ioApic: false, hpet: false, acpi: false };
    expect(parse('--apic', 'off', '--acpi', 'off').platform).toEqual(off);
    expect(parse('--ioapic', 'off', '--x2apic', 'off').platform).toMatchObject({
      apic: true,
      x2apic: false,
      ioApic: false,
    });
    expect(complaint('--apic', 'yes')).toBe("--apic takes on or off, not 'yes'");
    expect(complaint('--apic', 'off', '--ioapic', 'on')).toMatch(/^--ioapic on needs --apic on/);
    expect(complaint('--hpet', 'on', '--restore-state', 'x')).toMatch(/cannot change a saved machine/);
    expect(parse().cpu).toBeUndefined();
    expect(parse('--longmode', 'off').cpu).toEqual({ profile: 'host', pae: true, longMode: false, cpuidSet: [] });
    expect(parse('--pae', 'off').cpu).toMatchObject({ pae: false, longMode: false });
    const { cpu } = parse('--cpuid-set', '80000001 0 0 0 100000', '--cpuid-set', '0x4:2  1 2 3 FFFFFFFF');
    expect(cpu?.longMode).toBe(true);
    expect(cpu?.cpuidSet).toEqual([
      { leaf: 0x8000_0001, eax: 0, ebx: 0, ecx: 0, edx: 0x10_0000 },
      { leaf: 4, subleaf: 2, eax: 1, ebx: 2, ecx: 3, edx: 0xffff_ffff },
    ]);
    expect(complaint('--longmode', 'yes')).toBe("--longmode takes on or off, not 'yes'");
    expect(complaint('--longmode', 'on', '--pae', 'off')).toMatch(/needs --pae on/);
    expect(complaint('--cpu-profile', 'Z80')).toMatch(/takes 'host' or .*, not 'Z80'/);
    expect(complaint('--cpuid-set', '1 2 3 4')).toMatch(/^--cpuid-set takes "LEAF/);
    expect(complaint('--restore-state', 'x', '--pae', 'on')).toMatch(/cannot change a saved machine/);
  });

  it('takes a sound card, in both spellings of VBoxManage', () => {
    expect(parse().audio).toEqual({ card: null, out: true, in: false });
    expect(parse('--audio-enabled', 'on').audio).toEqual({ card: 'ac97', out: true, in: false });
    expect(parse('--audio', 'null', '--audiocontroller', 'ac97').audio).toEqual({
      card: 'ac97',
      out: false,
      in: false,
    });
    expect(parse('--audio-driver', 'default', '--audioout', 'off', '--audioin', 'on').audio).toEqual({
      card: 'ac97',
      out: false,
      in: true,
    });
    expect(parse('--audio-enabled', 'on', '--audio-driver', 'none').audio.card).toBeNull();
    expect(parse('--audio-enabled', 'off', '--audio-codec', 'stac9700').audio.card).toBeNull();
    expect(complaint('--audio-controller', 'gus')).toMatch(/takes ac97, not 'gus'/);
    expect(complaint('--audio-driver', 'tape')).toMatch(/takes default, null or none/);
    expect(complaint('--audio-in', 'maybe')).toBe("--audio-in takes on or off, not 'maybe'");
    expect(complaint('--restore-state', 'x', '--audio-enabled', 'on')).toMatch(/cannot change a saved machine/);
  });

  it('takes places for bytes', () => {
    const options = parse(
      ...['--serial', 'stdio', '--serial', 'file:/tmp/a:b', '--serial', 'none', '--monitor', 'unix:/run/m'],
      ...['--debugcon', 'file:x', '--firmware-log', 'stdio'],
    );
    expect(options).toMatchObject({
      serial: [{ kind: 'stdio' }, { kind: 'file', path: '/tmp/a:b' }, { kind: 'none' }],
      monitor: { kind: 'unix', path: '/run/m' },
      debugcon: { kind: 'file', path: 'x' },
      firmwareLog: { kind: 'stdio' },
    });
  });

  it('takes ports, clocks and states', () => {
    expect(parse('--debug-exit', '0xf4').debugExitPort).toBe(0xf4);
    expect(parse('--debug-exit', '1281').debugExitPort).toBe(0x501);
    expect(parse('--rtc', '2000-02-29T12:00:00Z').rtcStartUnixMs).toBe(Date.UTC(2000, 1, 29, 12));
    expect(parse('--rtc', 'local').localTime).toBe(true);
    expect(parse('--clock-ns', '12.5').nsPerInstruction).toBe(12.5);
    expect(parse('--restore-state', 's', '--hda', 'moved.img')).toMatchObject({ restoreState: 's' });
  });

  it.each([
    [['--memory', '0'], /--memory takes 1 to/],
    [['--memory', '1e3'], /'1e3'/],
    [['--memory', '99999'], /--memory takes/],
    [['--boot2', 'cdrom'], /--boot2 takes disk, dvd/],
    [['--boot1', 'toString'], /--boot1 takes/],
    [['--serial', 'tcp:1'], /--serial takes stdio/],
    [['--serial', 'none', '--serial', 'x'], /COM2/],
    [['--serial', 'file:'], /--serial takes/],
    [Array.from({ length: 10 }, (_, i) => (i % 2 ? 'none' : '--serial')), /four serial ports/],
    [['--monitor', 'file:x'], /--monitor takes stdio or unix/],
    [['--monitor', 'stdio', '--serial', 'stdio'], /only one/],
    [['--serial', 'stdio', '--serial', 'stdio'], /only one/],
    [['--debug-exit', '65535'], /--debug-exit takes/],
    [['--debug-exit', 'f4'], /--debug-exit takes/],
    [['--rtc', 'tomorrow'], /--rtc takes/],
    [['--rtc', '1969-01-01'], /--rtc takes/],
    [['--clock-ns', '0'], /--clock-ns takes/],
    [['--initrd', 'x'], /--initrd needs --kernel/],
    [['--append', 'x'], /--append needs --kernel/],
    [['--restore-state', 's', '--memory', '64'], /--memory cannot change/],
    [['--restore-state', 's', '--kernel', 'k'], /--kernel cannot change/],
    [['--hdz', 'x'], /unknown option '--hdz'/],
    [['--hda'], /'--hda/],
    [['stray'], /stray/],
    [['--no-reboot=1'], /no-reboot/],
  ])('says what is wrong with %j', (args, message) => {
    expect(complaint(...args)).toMatch(message);
  });

  it('never throws anything but a usage error', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '--hda',
        '--memory',
        '--serial',
        '--boot1',
        '--rtc',
        '--kernel',
        '--',
        '-h',
        '--clock-ns',
        'stdio',
      ),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (args) => {
        try {
          parseRunOptions(args);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
        }
      }),
    );
  });

  it('documents every option', () => {
    expect(parseRunOptions(['--help'])).toBe('help');
    const options = [
      ...['kernel', 'initrd', 'append', 'hda', 'hdb', 'cdrom', 'floppy', 'memory', 'boot1', 'serial', 'monitor'],
      ...['debugcon', 'firmware-log', 'debug-exit', 'save-state', 'restore-state', 'bios', 'vga-bios', 'no-reboot'],
      ...['rtc', 'clock-ns'],
    ];
    expect(options.filter((name) => !RUN_HELP.includes(`--${name} `))).toEqual([]);
  });
});
