import { describe, expect, it } from 'vitest';
import { MemoryBlockPort } from '#emu/host/block.ts';
import { SharedFrame, sharedFrameBytes } from '#emu/host/frame.ts';
import { bench, biosImage } from './fake-cpu.suite.ts';

const disk = (sectors = 2048): MemoryBlockPort => new MemoryBlockPort(new Uint8Array(sectors * 512).fill(0x5a));
const text = (chunks: readonly Uint8Array[]): string => Buffer.concat(chunks).toString('latin1');

describe('the board as a driver finds it', () => {
  it('has its PCI functions', () => {
    const b = bench();
    const ids = [
      [0, 0],
      [1, 0],
      [1, 1],
      [1, 3],
      [2, 0],
      [3, 0],
    ].map(([device, fn]) => b.pci(device, fn, 0).toString(16));
    expect(ids).toEqual(['12378086', '70008086', '70108086', '71138086', '11111234', 'ffffffff']);
  });

  it('answers at the ports of a PC', () => {
    const b = bench();
    b.out(0x70, 0x0d);
    expect(b.in(0x71)).toBe(0x80);
    b.out(0x21, 0xa5);
    expect(b.in(0x21)).toBe(0xa5);
    for (const port of [0x3f8, 0x2f8, 0x3e8, 0x2e8]) {
      b.out(port + 7, port >> 4);
      expect(b.in(port + 7)).toBe((port >> 4) & 0xff);
    }
    b.out(0x80, 0x42);
    expect(b.in(0x80)).toBe(0x42);
    b.out(0x87, 0x12);
    expect(b.in(0x87)).toBe(0x12);
    expect([b.in(0xe9), b.in(0x402)]).toEqual([0xe9, 0xe9]);
    b.out(0x510, 0, 2);
    expect([0, 1, 2, 3].map(() => String.fromCharCode(b.in(0x511))).join('')).toBe('QEMU');
    b.out(0x1ce, 0, 2);
    expect(b.in(0x1cf, 2) & 0xfff0).toBe(0xb0c0);
    // Nobody there.
    expect(b.in(0x300, 4)).toBe(0xffff_ffff);
  });

  it('shows RAM, the ROM below 4 GB and its end below 1 MB, and nothing behind RAM', () => {
    const { memory } = bench({ memoryMb: 4 }).pc;
    const bios = biosImage();
    expect(memory.readU32(0xffff_fff0)).toBe(memory.readU32(0xf_fff0));
    expect(memory.readSized(0xe_0000, 1)).toBe(bios[0x2_0000]);
    memory.writeSized(0x3f_fffc, 4, 0x1234_5678);
    expect(memory.readU32(0x3f_fffc)).toBe(0x1234_5678);
    expect(memory.readU32(0x40_0000)).toBe(0xffff_ffff);
  });

  it('lets firmware shadow the BIOS into RAM and takes it back at a reset', () => {
    const b = bench();
    b.pciWrite(0, 0, 0x59, 0x30, 1);
    b.pc.memory.writeSized(0xf_0000, 1, 0x77);
    expect(b.pc.memory.readSized(0xf_0000, 1)).toBe(0x77);
    b.pc.powerOn();
    expect(b.pc.memory.readSized(0xf_0000, 1)).toBe(biosImage()[0x3_0000]);
  });

  it('reads a disk by PIO and raises IRQ 14', () => {
    const b = bench(
      { ide: { primaryMaster: { kind: 'disk', label: 'd' } } },
      { ide: { primaryMaster: disk() }, floppies: [undefined, undefined] },
    );
    b.pciWrite(1, 1, 0x40, 0x8000, 2);
    b.pciWrite(1, 1, 4, 1, 2);
    for (const [port, value] of [
      [0x21, 0xfb],
      [0xa1, 0xbf],
      [0x1f6, 0xe0],
      [0x1f2, 1],
      [0x1f3, 5],
      [0x1f4, 0],
      [0x1f5, 0],
      [0x1f7, 0x20],
    ]) {
      b.out(port, value);
    }
    expect(b.cpu.interrupt).toBe(true);
    expect(b.in(0x1f7) & 0x88).toBe(0x08);
    expect(b.in(0x1f0, 4)).toBe(0x5a5a_5a5a);
  });

  it('ors the sources of IRQ 4: two serial ports', () => {
    const b = bench();
    b.out(0x20, 0x11);
    b.out(0x21, 0x08);
    b.out(0x21, 0x04);
    b.out(0x21, 0x01);
    b.out(0x21, 0xef);
    for (const base of [0x3f8, 0x3e8]) {
      b.out(base + 4, 0x08);
      b.out(base + 1, 0x02);
    }
    expect(b.cpu.interrupt).toBe(true);
    expect(b.cpu.parts.interrupts.acknowledge()).toBe(0x0c);
    b.out(0x20, 0x20);
    b.in(0x3f8 + 2);
    b.in(0x3e8 + 2);
    expect(b.cpu.interrupt).toBe(false);
    b.out(0x3e8, 0x41);
    expect(b.cpu.interrupt).toBe(true);
  });

  it('opens A20 by either gate', () => {
    const b = bench();
    b.pc.powerOn();
    expect(b.cpu.a20).toBe(true);
    b.out(0x92, 0);
    expect(b.cpu.a20).toBe(false);
    b.out(0x64, 0xdf);
    expect(b.cpu.a20).toBe(true);
  });

  it('raises IRQ 13 for an x87 error until port F0h is written, which ignores the error once', () => {
    const b = bench();
    b.out(0x21, 0xfb);
    b.out(0xa1, 0xdf);
    expect(b.cpu.parts.onFloatError()).toBe(false);
    expect(b.cpu.interrupt).toBe(true);
    b.out(0xf0, 0);
    expect(b.pc.board.interrupts.pic.isWaiting(13)).toBe(false);
    expect(b.cpu.parts.onFloatError()).toBe(true);
    expect(b.cpu.parts.onFloatError()).toBe(false);
  });

  it('maps video memory behind the legacy window in mode 13h', () => {
    const b = bench();
    for (const [index, value] of [
      [0x02, 0x0f],
      [0x04, 0x0e],
    ]) {
      b.out(0x3c4, index);
      b.out(0x3c5, value);
    }
    b.out(0x3c2, 0x63);
    for (const [index, value] of [
      [0x05, 0x40],
      [0x06, 0x05],
      [0x08, 0xff],
    ]) {
      b.out(0x3ce, index);
      b.out(0x3cf, value);
    }
    b.pc.memory.writeSized(0xa_1234, 1, 0x99);
    expect(b.pc.vram[0x1234]).toBe(0x99);
    const frame = new SharedFrame(new SharedArrayBuffer(sharedFrameBytes(b.pc.vram.length)), 0, b.pc.vram.length);
    b.pc.publish(frame);
    expect([frame.generation, b.cpu.trackedFlushes]).toEqual([1, 1]);
  });
});

describe('power and reset', () => {
  it.each([
    ['the keyboard controller', 0x64, 0xfe],
    ['port 92h', 0x92, 0x03],
    ['CF9h', 0xcf9, 0x06],
  ])('resets everything by %s, after the instruction', (_, port, value) => {
    const resets: string[] = [];
    const b = bench({}, undefined, { onReset: (source) => resets.push(source) });
    b.pc.powerOn();
    b.out(0x21, 0x77);
    b.out(port, value);
    expect(b.cpu.yieldWanted).toBe(true);
    expect(b.in(0x21)).toBe(0x77);
    b.pc.advance(1);
    expect(b.in(0x21)).not.toBe(0x77);
    expect(resets).toHaveLength(1);
    expect(b.cpu.resets).toBe(2);
  });

  it('resets after a triple fault', () => {
    const resets: string[] = [];
    const b = bench({}, undefined, { onReset: (source) => resets.push(source) });
    b.pc.powerOn();
    b.cpu.onRun = (cpu) => (cpu.resets === 1 ? 'shutdown' : 'halt');
    b.pc.advance(1);
    expect(resets).toEqual(['triple-fault']);
  });

  it('reports a crash, but not of a guest that has asked for a reset', () => {
    const reports: string[] = [];
    const b = bench({}, undefined, { onCrash: ({ report }) => reports.push(report) });
    b.pc.powerOn();
    b.cpu.parts.onCrash({ kind: 'triple-fault', report: 'first' });
    b.out(0xcf9, 0x06);
    b.cpu.parts.onCrash({ kind: 'triple-fault', report: 'second' });
    b.pc.advance(1);
    b.cpu.parts.onCrash({ kind: 'triple-fault', report: 'third' });
    expect(reports).toEqual(['first', 'third']);
  });

  it('goes off when the guest asks by ACPI, and tells the host', () => {
    const log: string[] = [];
    const b = bench({}, undefined, { onPowerOff: () => log.push('off') });
    b.pc.powerOn();
    b.pciWrite(1, 3, 0x40, 0x601);
    b.pciWrite(1, 3, 0x80, 1, 1);
    b.out(0x604, 0x2000, 2);
    expect([b.pc.state, log]).toEqual(['off', ['off']]);
    expect(b.pc.advance(1)).toBe(Number.POSITIVE_INFINITY);
  });

  it('tells whether anybody listens to the power button', () => {
    const b = bench();
    b.pc.powerOn();
    expect(b.pc.pressPowerButton()).toBe(false);
    b.pciWrite(1, 3, 0x40, 0x601);
    b.pciWrite(1, 3, 0x80, 1, 1);
    b.out(0xb2, 0xf1);
    b.out(0x602, 0x100, 2);
    expect(b.pc.pressPowerButton()).toBe(true);
    expect(b.in(0x600, 2) & 0x100).toBe(0x100);
  });

  it('ends the run at the exit port', () => {
    const values: number[] = [];
    const b = bench({ debugExitPort: 0xf4 }, undefined, { onDebugExit: (value) => values.push(value) });
    b.pc.powerOn();
    b.out(0xf4, 0x10, 4);
    expect([values, b.pc.state]).toEqual([[0x10], 'off']);
  });
});

describe('advance', () => {
  it('sleeps until the next timer while the CPU is halted', () => {
    const b = bench();
    b.pc.powerOn();
    b.out(0x43, 0x30);
    b.out(0x40, 0x00);
    b.out(0x40, 0x80);
    const sleep = b.pc.advance(5);
    expect(sleep).toBeGreaterThan(27);
    expect(sleep).toBeLessThan(28);
    b.nowMs += sleep + 0.1;
    b.pc.advance(5);
    b.out(0x20, 0x0a);
    expect(b.in(0x20) & 1).toBe(1);
  });

  it('sleeps for ever when nothing is due, and stands still while paused', () => {
    const b = bench();
    b.pc.powerOn();
    expect(b.pc.advance(5)).toBe(Number.POSITIVE_INFINITY);
    b.nowMs += 10;
    b.pc.pause();
    b.nowMs += 1000;
    expect(b.pc.guestNs).toBe(10e6);
    b.pc.resume();
    b.nowMs += 1;
    expect(b.pc.guestNs).toBe(11e6);
  });

  /** A kernel that ticks 250 times a second by counter 0 and does nothing else. @returns runs to its next sleep, in ms */
  function ticking(b: ReturnType<typeof bench>, control: number): (instructions?: number) => number {
    const PERIOD_MS = 4;
    let due = PERIOD_MS;
    let executes = 0;
    const arm = (ms: number): void => {
      const count = Math.round(ms * 1193.182);
      for (const [port, value] of [[0x43, control] as const, [0x40, count & 0xff] as const]) b.out(port, value);
      b.out(0x40, count >> 8);
    };
    b.pc.powerOn();
    arm(due);
    b.cpu.onRun = (cpu) => {
      if (b.nowMs < due) return 'halt';
      cpu.retired += executes;
      due += PERIOD_MS * Math.ceil((b.nowMs - due) / PERIOD_MS + 0.001);
      arm(due - b.nowMs);
      return 'halt';
    };
    return (instructions = 3000) => {
      executes = instructions;
      const ms = b.pc.advance(5);
      b.nowMs += ms + 0.01;
      return ms;
    };
  }

  const ONE_SHOT = 0x38;
  const PERIODIC = 0x34;

  it('serves several ticks of an idle kernel with one wake', () => {
    const b = bench();
    const tick = ticking(b, ONE_SHOT);
    for (let n = 0; n < 60; n++) expect(tick()).toBeLessThan(4.1);
    for (let n = 0; n < 10; n++) tick();
    for (let n = 0; n < 10; n++) {
      const ms = tick();
      expect(ms).toBeGreaterThan(15);
      expect(ms).toBeLessThan(20.1);
    }
  });

  it('is on time for a guest whose programs run, and for one that counts ticks', () => {
    const calm = bench();
    const tick = ticking(calm, ONE_SHOT);
    for (let n = 0; n < 80; n++) tick();
    calm.cpu.programRan = true;
    tick();
    calm.cpu.programRan = false;
    for (let n = 0; n < 60; n++) expect(tick()).toBeLessThan(4.1);
    for (let n = 0; n < 20; n++) tick();
    expect(tick()).toBeGreaterThan(15);
    // A kernel with work of its own.
    tick(50_000);
    expect(tick()).toBeLessThan(4.1);

    const counting = ticking(bench(), PERIODIC);
    for (let n = 0; n < 100; n++) expect(counting()).toBeLessThan(4.1);
  });

  it('comes back after its time while the CPU is busy, in slices of under a millisecond', () => {
    const b = bench();
    b.pc.powerOn();
    b.cpu.onRun = (cpu, instructions) => {
      cpu.retired += instructions;
      b.nowMs += instructions / 50_000;
      return 'budget';
    };
    expect(b.pc.advance(100)).toBe(0);
    expect(b.nowMs).toBeGreaterThanOrEqual(100);
    expect(b.nowMs).toBeLessThan(102);
    const last = b.cpu.budgets.at(-1) ?? 0;
    expect(last / 50_000).toBeGreaterThan(0.4);
    expect(last / 50_000).toBeLessThan(1);
  });

  it('cuts a slice at a timer that is set while it runs', () => {
    const b = bench();
    b.pc.powerOn();
    b.cpu.onRun = (cpu) => {
      b.out(0x43, 0x30);
      b.out(0x40, 100);
      b.out(0x40, 0);
      expect(cpu.yieldWanted).toBe(true);
      cpu.onRun = () => 'halt';
      return 'yield';
    };
    b.pc.advance(1);
    expect(b.cpu.budgets.length).toBeGreaterThan(1);
  });

  it('ends a slice in time when the guest talks to slow devices', () => {
    const b = bench();
    b.pc.powerOn();
    let accesses = 0;
    b.cpu.onRun = (cpu) => {
      // Each takes 2 us, whatever the slice was planned for.
      while (!cpu.yieldWanted && accesses < 10_000) {
        accesses++;
        b.nowMs += 0.002;
        b.in(0x3fd);
      }
      cpu.onRun = () => 'halt';
      return 'yield';
    };
    b.pc.advance(5);
    expect(accesses * 0.002).toBeGreaterThan(0.6);
    expect(accesses * 0.002).toBeLessThan(0.8);
  });

  it('counts time in instructions when told to, the same every time', () => {
    const run = (): number[] => {
      const b = bench({ nsPerInstruction: 10 });
      b.pc.powerOn();
      b.out(0x43, 0x34);
      b.out(0x40, 0);
      b.out(0x40, 0x10);
      b.cpu.onRun = (cpu, instructions) => {
        cpu.retired += instructions;
        b.nowMs += 0.1;
        return cpu.retired > 100_000 ? 'halt' : 'budget';
      };
      b.pc.advance(50);
      return [b.pc.guestNs, ...b.cpu.budgets];
    };
    const first = run();
    expect(first[0]).toBeGreaterThan(1e6);
    expect(run()).toEqual(first);
  });

  it('collects what serial ports and debug consoles say', () => {
    const serial: Uint8Array[] = [];
    const debug: Uint8Array[] = [];
    const log: Uint8Array[] = [];
    const b = bench({}, undefined, {
      onSerialOutput: (port, bytes) => port === 1 && serial.push(bytes),
      onDebugOutput: (bytes) => debug.push(bytes),
      onFirmwareLog: (bytes) => log.push(bytes),
    });
    b.pc.powerOn();
    for (const c of Buffer.from('hello')) b.out(0x2f8, c);
    for (const c of Buffer.from('debug')) b.out(0xe9, c);
    for (const c of Buffer.from('bios')) b.out(0x402, c);
    b.pc.advance(1);
    expect([text(serial), text(debug), text(log)]).toEqual(['hello', 'debug', 'bios']);
  });

  it('feeds a serial port no faster than the guest reads', () => {
    const b = bench();
    b.pc.powerOn();
    b.out(0x3fa, 0x01);
    const sent = Buffer.from('The quick brown fox jumps over the lazy dog');
    b.pc.sendSerial(0, sent);
    let got = '';
    while (b.in(0x3fd) & 1) got += String.fromCharCode(b.in(0x3f8));
    expect(got).toBe(sent.toString());
    expect(b.pc.board.serial[0].waitingBytes).toBe(0);
  });
});

describe('media', () => {
  const withCd = () =>
    bench(
      { ide: { secondaryMaster: { kind: 'cdrom', label: '' } }, floppies: [{ type: '1.44M', label: '' }, null] },
      { ide: {}, floppies: [undefined, undefined] },
    );

  it('change while the machine runs', () => {
    const b = withCd();
    b.pc.changeMedium('floppy', disk(2880));
    expect(b.pc.board.drives.floppies[0]?.medium?.sectorCount).toBe(2880);
    b.pc.changeMedium('floppy', undefined);
    expect(b.pc.board.drives.floppies[0]?.medium).toBeUndefined();
    b.pc.changeMedium('cdrom', disk());
    expect(() => b.pc.changeMedium('floppy', disk(6000))).toThrow(/diskette image/);
  });

  it('need a drive', () => {
    expect(() => bench().pc.changeMedium('cdrom', disk())).toThrow(/no CD drive/);
  });
});

describe('a direct kernel', () => {
  it('is refused with the reason when it is none', () => {
    const b = bench({ kernel: { image: new Uint8Array(4096), modules: [], commandLine: '' } });
    expect(() => b.pc.powerOn()).toThrow(/bzImage/);
  });

  it('starts as a Multiboot image, again after a reset', () => {
    const image = new Uint8Array(4096);
    const view = new DataView(image.buffer);
    [0x1bad_b002, 0x1_0000, -(0x1bad_b002 + 0x1_0000), 0x10_0000, 0x10_0000, 0, 0, 0x10_0020].forEach((word, i) => {
      view.setUint32(i * 4, word >>> 0, true);
    });
    const b = bench({ kernel: { image, modules: [], commandLine: 'kernel x' } });
    b.pc.powerOn();
    expect(b.cpu.entry).toMatchObject({ eip: 0x10_0020, registers: { eax: 0x2bad_b002 } });
    expect(b.pc.memory.readU32(0x10_0000)).toBe(0x1bad_b002);
    b.pc.memory.writeSized(0x10_0000, 4, 0);
    b.pc.reset();
    b.pc.advance(1);
    expect(b.pc.memory.readU32(0x10_0000)).toBe(0x1bad_b002);
    expect(b.pci(1, 1, 0x20) & 0xfffc).toBeGreaterThan(0);
  });
});
