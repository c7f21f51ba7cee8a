import { beforeEach, describe, expect, it } from 'vitest';
import { FRAME, FRAME_KIND, FRAME_WORDS, NO_LINE } from '#emu/host/frame.ts';
import { DISPI, DISPI_ENABLE } from './dispi.ts';
import { MODE_03, MODE_12, MODE_13, MODE_X, type VgaRig, vgaRig } from './vga-modes.suite.ts';

let rig: VgaRig;
beforeEach(() => {
  rig = vgaRig();
});

function published(): Uint32Array {
  rig.vga.publish(rig.frame);
  const record = new Uint32Array(FRAME_WORDS);
  rig.frame.read(record);
  return record;
}

function enable(width: number, height: number, bpp: number, flags = 0): void {
  rig.dispi(DISPI.enable, 0);
  rig.dispi(DISPI.xRes, width);
  rig.dispi(DISPI.yRes, height);
  rig.dispi(DISPI.bpp, bpp);
  rig.dispi(DISPI.enable, DISPI_ENABLE.enabled | DISPI_ENABLE.linearFramebuffer | flags);
}

describe('ports', () => {
  it('moves the CRTC between 3B4h and 3D4h with miscellaneous output bit 0', () => {
    rig.ports.write(0x3c2, 1, 0x66);
    rig.indexed(0x3b4, 0x0c, 0x12);
    rig.ports.write(0x3b4, 1, 0x0c);
    expect(rig.ports.read(0x3b5, 1)).toBe(0x12);
    expect(rig.ports.read(0x3d5, 1)).toBe(0xff);
    rig.ports.write(0x3c2, 1, 0x67);
    expect(rig.ports.read(0x3d5, 1)).toBe(0x12);
    expect(rig.ports.read(0x3b5, 1)).toBe(0xff);
    expect(rig.ports.read(0x3cc, 1)).toBe(0x67);
  });

  it('protects CRTC registers 0 to 7 except the line-compare bit', () => {
    rig.setMode(MODE_03);
    rig.indexed(0x3d4, 0x01, 0x11);
    rig.ports.write(0x3d4, 1, 0x01);
    expect(rig.ports.read(0x3d5, 1)).toBe(0x4f);
    rig.indexed(0x3d4, 0x07, 0x00);
    rig.ports.write(0x3d4, 1, 0x07);
    expect(rig.ports.read(0x3d5, 1)).toBe(0x0f);
  });

  it('takes attribute index and data in turn, and starts over at the index when 3DAh is read', () => {
    rig.setMode(MODE_03);
    rig.ports.read(0x3da, 1);
    rig.ports.write(0x3c0, 1, 0x11);
    rig.ports.read(0x3da, 1);
    rig.ports.write(0x3c0, 1, 0x12);
    rig.ports.write(0x3c0, 1, 0x05);
    expect(rig.ports.read(0x3c1, 1)).toBe(0x05);
    expect(rig.ports.read(0x3c0, 1)).toBe(0x12);
  });

  it('reads back DAC entries and tells reading from writing', () => {
    rig.setColours(254, 1, 2, 3, 0xff, 5, 6, 7, 8, 9);
    expect(rig.ports.read(0x3c7, 1)).toBe(0);
    expect(rig.ports.read(0x3c8, 1)).toBe(1);
    rig.ports.write(0x3c7, 1, 255);
    expect(rig.ports.read(0x3c7, 1)).toBe(3);
    const entries = Array.from({ length: 6 }, () => rig.ports.read(0x3c9, 1));
    expect(entries).toEqual([0x3f, 5, 6, 7, 8, 9]);
  });

  it('keeps only the bits that registers have', () => {
    rig.ports.write(0x3c2, 1, 0x67);
    rig.indexed(0x3c4, 2, 0xff);
    rig.indexed(0x3ce, 6, 0xff);
    expect(rig.ports.read(0x3c5, 1)).toBe(0x0f);
    expect(rig.ports.read(0x3cf, 1)).toBe(0x0f);
  });

  it('scans 70 frames a second in text mode, with two lines of retrace', () => {
    rig.setMode(MODE_03);
    const step = 2_000;
    let retraces = 0;
    let retraceSteps = 0;
    let displaySteps = 0;
    let before = false;
    for (let t = 0; t < 1e9; t += step) {
      const status = rig.ports.read(0x3da, 1);
      const retrace = (status & 8) !== 0;
      if (retrace && !before) retraces += 1;
      if (retrace) retraceSteps += 1;
      if (!(status & 1)) displaySteps += 1;
      if (retrace) expect(status & 1).toBe(1);
      before = retrace;
      rig.clock.advance(step);
    }
    expect(retraces).toBe(70);
    expect((retraceSteps * step) / retraces / 31_778).toBeCloseTo(2, 1);
    expect((displaySteps * step) / 1e9).toBeCloseTo((400 / 449) * 0.8, 2);
  });
});

describe('legacy window', () => {
  it('puts text characters and attributes into planes 0 and 1 of one dword', () => {
    rig.setMode(MODE_03);
    rig.vga.window.write(0x18000, 4, 0x1f42_1e41);
    expect([...rig.vram.subarray(0, 8)]).toEqual([0x41, 0x1e, 0, 0, 0x42, 0x1f, 0, 0]);
    expect(rig.vga.window.read(0x18002, 2)).toBe(0x1f42);
    expect(rig.peek(0x00000)).toBe(0xff);
    expect(rig.dirtyMap[0]).toBe(1);
  });

  it('write mode 0: rotate, set/reset, function, bit mask and map mask', () => {
    rig.setMode(MODE_12);
    rig.indexed(0x3c4, 2, 0x0f);
    rig.poke(5, 0xcc);
    expect([...rig.vram.subarray(20, 24)]).toEqual([0xcc, 0xcc, 0xcc, 0xcc]);
    rig.peek(5); // Latches.
    rig.indexed(0x3ce, 0, 0b0001); // Set plane 0 ...
    rig.indexed(0x3ce, 1, 0b0011); // ... reset plane 1; the CPU writes 2 and 3.
    rig.indexed(0x3ce, 3, 0x18 | 4); // XOR, rotate right by 4.
    rig.indexed(0x3ce, 8, 0xf0);
    rig.indexed(0x3c4, 2, 0b0111);
    rig.poke(5, 0x0a);
    expect([...rig.vram.subarray(20, 24)]).toEqual([0x3c, 0xcc, 0x6c, 0xcc]);
  });

  it('write mode 1 copies latches, whatever the CPU writes', () => {
    rig.setMode(MODE_12);
    rig.vram.set([1, 2, 3, 4], 40);
    rig.indexed(0x3ce, 5, 1);
    rig.peek(10);
    rig.poke(11, 0xff);
    expect([...rig.vram.subarray(44, 48)]).toEqual([1, 2, 3, 4]);
  });

  it('write mode 2 spreads a colour under the bit mask', () => {
    rig.setMode(MODE_12);
    rig.vram.set([0xff, 0, 0xff, 0], 0);
    rig.indexed(0x3ce, 5, 2);
    rig.indexed(0x3ce, 8, 0x81);
    rig.peek(0);
    rig.poke(0, 0b0110);
    expect([...rig.vram.subarray(0, 4)]).toEqual([0x7e, 0x81, 0xff, 0]);
  });

  it('write mode 3 masks set/reset with the CPU byte', () => {
    rig.setMode(MODE_12);
    rig.vram.set([0, 0xff, 0, 0xff], 0);
    rig.indexed(0x3ce, 5, 3);
    rig.indexed(0x3ce, 0, 0b0101);
    rig.indexed(0x3ce, 8, 0x3c);
    rig.peek(0);
    rig.poke(0, 0xf0);
    expect([...rig.vram.subarray(0, 4)]).toEqual([0x30, 0xcf, 0x30, 0xcf]);
  });

  it('read mode 0 selects a plane, read mode 1 compares colours', () => {
    rig.setMode(MODE_12);
    rig.vram.set([0b1100, 0b1010, 0, 0xff], 0);
    rig.indexed(0x3ce, 4, 1);
    expect(rig.peek(0)).toBe(0b1010);
    rig.indexed(0x3ce, 5, 8);
    rig.indexed(0x3ce, 2, 0b1001);
    rig.indexed(0x3ce, 7, 0b1111);
    expect(rig.peek(0)).toBe(0b0100);
    rig.indexed(0x3ce, 7, 0b0001); // Only plane 0 counts.
    expect(rig.peek(0)).toBe(0b1100);
  });

  it('is memory itself in mode 13h and a device while plane logic is at work', () => {
    rig.setMode(MODE_13);
    const direct = { kind: 'direct', windowOffset: 0, vramOffset: 0, bytes: 0x10000 };
    expect(rig.mappings.at(-1)).toEqual(direct);
    const told = rig.mappings.length;
    rig.setMode(MODE_13);
    rig.setColours(0, 1, 2, 3);
    expect(rig.mappings.length).toBe(told);
    rig.poke(321, 7);
    expect(rig.vram[321]).toBe(7);
    rig.indexed(0x3c4, 2, 0b0010);
    expect(rig.vga.windowMapping.kind).toBe('device');
    rig.vga.window.write(0, 4, 0x0403_0201);
    expect([...rig.vram.subarray(0, 4)]).toEqual([0, 2, 0, 0]);
    rig.indexed(0x3c4, 2, 0x0f);
    expect(rig.vga.windowMapping).toEqual(direct);
  });

  it('reaches single planes in mode X', () => {
    rig.setMode(MODE_X);
    rig.indexed(0x3c4, 2, 0b0100);
    rig.poke(80, 0x55);
    expect(rig.vram[80 * 4 + 2]).toBe(0x55);
    expect(rig.vga.windowMapping.kind).toBe('device');
  });

  it('does not answer while the RAM enable bit is clear', () => {
    rig.setMode(MODE_12);
    rig.ports.write(0x3c2, 1, 0xe1);
    rig.poke(0, 1);
    expect(rig.vram[0]).toBe(0);
    expect(rig.peek(0)).toBe(0xff);
  });
});

describe('DISPI', () => {
  it('answers identity, memory size and capabilities', () => {
    expect(rig.readDispi(DISPI.id)).toBe(0xb0c5);
    rig.dispi(DISPI.id, 0xb0c2);
    expect(rig.readDispi(DISPI.id)).toBe(0xb0c2);
    rig.dispi(DISPI.id, 0x1234);
    expect(rig.readDispi(DISPI.id)).toBe(0xb0c2);
    expect(rig.readDispi(DISPI.videoMemory64K)).toBe(256);
    rig.dispi(DISPI.enable, DISPI_ENABLE.getCaps);
    expect([DISPI.xRes, DISPI.yRes, DISPI.bpp].map(rig.readDispi)).toEqual([2560, 1600, 32]);
    rig.dispi(DISPI.enable, 0);
    expect(rig.readDispi(DISPI.xRes)).toBe(0);
  });

  it('sets every depth up to 1920x1200x32', () => {
    rig.setMode(MODE_03);
    const kinds = { 4: 'planar', 8: 'indexed8', 15: 'rgb555', 16: 'rgb565', 24: 'rgb888', 32: 'xrgb8888' } as const;
    const pitches = { 4: 960, 8: 1920, 15: 3840, 16: 3840, 24: 5760, 32: 7680 } as const;
    for (const bpp of [4, 8, 15, 16, 24, 32] as const) {
      enable(1920, 1200, bpp);
      const record = published();
      expect(record[FRAME.kind], `${bpp} bpp`).toBe(FRAME_KIND[kinds[bpp]]);
      expect([record[FRAME.width], record[FRAME.height], record[FRAME.pitch]]).toEqual([1920, 1200, pitches[bpp]]);
      expect(record[FRAME.fourByThree]).toBe(0);
    }
  });

  it('clears the screen unless told not to, and keeps what lies behind it', () => {
    rig.vram.fill(0x77);
    enable(640, 480, 8, DISPI_ENABLE.noClear);
    expect(rig.vram[0]).toBe(0x77);
    enable(640, 480, 8);
    expect(rig.vram[640 * 480 - 1]).toBe(0);
    expect(rig.vram[640 * 480]).toBe(0x77);
  });

  it('scrolls by offsets in a virtual screen', () => {
    enable(640, 480, 16);
    expect(rig.readDispi(DISPI.virtWidth)).toBe(640);
    rig.dispi(DISPI.virtWidth, 1024);
    rig.dispi(DISPI.xOffset, 3);
    rig.dispi(DISPI.yOffset, 500);
    expect(rig.readDispi(DISPI.virtHeight)).toBe(8192);
    expect(published()[FRAME.startAddress]).toBe(500 * 2048 + 6);
    enable(640, 480, 4);
    rig.dispi(DISPI.xOffset, 19);
    expect(published()[FRAME.startAddress]).toBe(8);
    expect(published()[FRAME.panning]).toBe(3);
  });

  it('never shows more than there is memory', () => {
    const small = vgaRig(1024 * 1024);
    small.dispi(DISPI.xRes, 1024);
    small.dispi(DISPI.yRes, 768);
    small.dispi(DISPI.bpp, 32);
    small.dispi(DISPI.enable, 1);
    expect(small.readDispi(DISPI.yRes)).toBe(256);
    small.dispi(DISPI.virtWidth, 0xffff);
    expect(small.readDispi(DISPI.virtWidth)).toBe(1024);
  });

  it('maps 64 KB banks directly, whatever the graphics controller holds', () => {
    rig.setMode(MODE_12);
    rig.indexed(0x3ce, 8, 0x0f);
    enable(800, 600, 32);
    rig.dispi(DISPI.bank, 3);
    expect(rig.mappings.at(-1)).toEqual({ kind: 'direct', windowOffset: 0, vramOffset: 0x30000, bytes: 0x10000 });
    rig.poke(5, 0xab);
    expect(rig.vram[0x30005]).toBe(0xab);
    expect(rig.dirtyMap[0x30]).toBe(1);
    rig.dispi(DISPI.enable, 0);
    expect(rig.mappings.at(-1)).toEqual({ kind: 'device' });
  });

  it('banks planar modes through plane logic', () => {
    rig.setMode(MODE_12);
    enable(1280, 1024, 4);
    rig.dispi(DISPI.bank, 1);
    rig.indexed(0x3c4, 2, 0b1000);
    rig.poke(0, 0x99);
    expect(rig.vram[0x10000 * 4 + 3]).toBe(0x99);
  });

  it('widens the DAC to eight bits', () => {
    rig.setMode(MODE_13);
    enable(640, 480, 8, DISPI_ENABLE.dac8Bit);
    rig.setColours(1, 0xfe, 0x81, 0x03);
    expect(published()[FRAME.palette + 1]).toBe(0xff0381fe);
    enable(640, 480, 8);
    rig.setColours(1, 0x3f, 0x20, 0x00);
    expect(published()[FRAME.palette + 1]).toBe(0xff0082ff);
  });
});

describe('PCI', () => {
  it('is 1234:1111 with video memory, a register window and a ROM', () => {
    const rom = new Uint8Array(38_912).fill(0x55);
    rig = vgaRig(undefined, rom);
    const { config } = rig.vga;
    expect(config.readConfig(0, 4)).toBe(0x1111_1234);
    expect(config.readConfig(8, 4)).toBe(0x0300_0002);
    config.writeConfig(0x10, 4, 0xffff_ffff);
    config.writeConfig(0x18, 4, 0xffff_ffff);
    config.writeConfig(0x30, 4, 0xffff_fffe);
    expect([0x10, 0x18, 0x30].map((at) => config.readConfig(at, 4))).toEqual([0xff00_0008, 0xffff_f000, 0xffff_0000]);
    config.writeConfig(0x10, 4, 0xfd00_0000);
    config.writeConfig(0x18, 4, 0xfebf_0000);
    config.writeConfig(0x30, 4, 0xfebe_0001);
    config.writeConfig(4, 2, 2);
    expect(rig.bars.map((bar) => bar.base)).toEqual([0xfd00_0000, 0xfebf_0000, 0xfebe_0000]);
    const romWindow = rig.bars[2].window;
    expect(romWindow.kind === 'mmio' && romWindow.device.read(38_910, 4)).toBe(0xffff_5555);
  });

  it('shows the VGA ports, DISPI and EDID in the register window', () => {
    const window = rig.vga.registerWindow;
    rig.setMode(MODE_03);
    window.write(0x400 + 0x04, 2, 0x0702); // 3C4h: map mask.
    expect(rig.ports.read(0x3c5, 1)).toBe(7);
    window.write(0x500 + DISPI.xRes * 2, 2, 1366);
    window.write(0x500 + DISPI.yRes * 2, 2, 768);
    window.write(0x500 + DISPI.bpp * 2, 2, 32);
    window.write(0x500 + DISPI.enable * 2, 2, 0x41);
    expect(window.read(0x500, 2)).toBe(0xb0c5);
    expect(window.read(0x502, 4)).toBe((768 << 16) | 1366);
    expect(published()[FRAME.pitch]).toBe(1366 * 4);
    expect(window.read(0x600, 4)).toBe(8);
    expect(window.read(0x604, 4)).toBe(0x1e1e_1e1e);
  });

  it('has an EDID with a correct sum and the preferred mode first', () => {
    rig.vga.suggestMode({ monitor: 0, enabled: true, width: 1440, height: 900 });
    const edid = Array.from({ length: 128 }, (_, i) => rig.vga.registerWindow.read(i, 1));
    expect(edid.slice(0, 8)).toEqual([0, 255, 255, 255, 255, 255, 255, 0]);
    expect(edid.reduce((sum, byte) => sum + byte, 0) % 256).toBe(0);
    const timing = edid.slice(0x36);
    expect(timing[2] | ((timing[4] >> 4) << 8)).toBe(1440);
    expect(timing[5] | ((timing[7] >> 4) << 8)).toBe(900);
    const clockHz = (timing[0] | (timing[1] << 8)) * 10_000;
    const across = 1440 + timing[3] + ((timing[4] & 15) << 8);
    const down = 900 + timing[6] + ((timing[7] & 15) << 8);
    expect(clockHz / across / down).toBeCloseTo(60, 1);
  });
});

describe('publish', () => {
  it('describes text mode', () => {
    rig.setMode(MODE_03);
    rig.indexed(0x3d4, 0x0e, 0x01);
    rig.indexed(0x3d4, 0x0f, 0x02);
    const record = published();
    expect(record[FRAME.kind]).toBe(FRAME_KIND.text);
    expect([record[FRAME.width], record[FRAME.height]]).toEqual([720, 400]);
    expect([record[FRAME.cellWidth], record[FRAME.linesPerRow], record[FRAME.pitch]]).toEqual([9, 16, 320]);
    expect([record[FRAME.cursorStart], record[FRAME.cursorEnd]]).toEqual([13, 14]);
    expect(record[FRAME.cursorAddress]).toBe(0x102 * 4);
    expect(record[FRAME.panning]).toBe(0);
    expect(record[FRAME.splitLine]).toBe(NO_LINE);
  });

  it('says nothing when nothing changed, and stamps the pages that did', () => {
    rig.setMode(MODE_13);
    expect(rig.vga.publish(rig.frame)).toBe(true);
    expect(rig.vga.publish(rig.frame)).toBe(false);
    const { generation } = rig.frame;
    rig.linear(5000, [1]);
    expect(rig.vga.publish(rig.frame)).toBe(true);
    expect(rig.frame.generation).toBe(generation + 1);
    expect(rig.frame.pageGeneration[1]).toBe(generation + 1);
    expect(rig.frame.pageGeneration[0]).toBeLessThan(generation + 1);
    rig.indexed(0x3d4, 0x0c, 0x00); // Same value.
    expect(rig.vga.publish(rig.frame)).toBe(false);
    rig.indexed(0x3d4, 0x0c, 0x10);
    expect(rig.vga.publish(rig.frame)).toBe(true);
  });

  it('blinks the cursor with guest time and stands still with it', () => {
    rig.setMode(MODE_03);
    const shown: number[] = [];
    for (let i = 0; i < 8; i++) {
      shown.push(published()[FRAME.cursorShown]);
      rig.clock.advance((8 * 449 * 900 * 1e9) / 28_322_000);
    }
    expect(shown).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
    rig.indexed(0x3d4, 0x0a, 0x2d);
    expect(published()[FRAME.cursorShown]).toBe(0);
    rig.clock.advance(1e9);
    expect(rig.vga.publish(rig.frame)).toBe(false);
  });

  it('blanks with the palette address source or screen-off bit', () => {
    rig.setMode(MODE_13);
    rig.ports.read(0x3da, 1);
    rig.ports.write(0x3c0, 1, 0x00);
    expect(published()[FRAME.kind]).toBe(FRAME_KIND.blank);
    rig.ports.write(0x3c0, 1, 0x00);
    rig.ports.write(0x3c0, 1, 0x20);
    expect(published()[FRAME.kind]).toBe(FRAME_KIND.indexed8);
    rig.indexed(0x3c4, 1, 0x21);
    expect(published()[FRAME.kind]).toBe(FRAME_KIND.blank);
  });

  it('writes everything into a frame it has not seen', () => {
    rig.setMode(MODE_12);
    rig.vga.publish(rig.frame);
    const other = vgaRig().frame;
    expect(rig.vga.publish(other)).toBe(true);
    expect(Math.min(...other.pageGeneration)).toBe(1);
  });
});

describe('save and restore', () => {
  it('continues on another instance', () => {
    rig.setMode(MODE_12);
    rig.setColours(5, 1, 2, 3);
    rig.vram.set([0x11, 0x22, 0x33, 0x44], 400);
    rig.peek(100);
    rig.indexed(0x3ce, 5, 1);
    rig.ports.read(0x3da, 1);
    rig.ports.write(0x3c0, 1, 0x13);
    const state = structuredClone(rig.vga.save());
    const before = published();
    expect(state.vram.length).toBe(4096);

    rig = vgaRig();
    rig.vram.fill(0xee);
    rig.vga.restore(state);
    rig.poke(200, 0);
    expect([...rig.vram.subarray(800, 804)]).toEqual([0x11, 0x22, 0x33, 0x44]);
    expect(rig.vram[5000]).toBe(0);
    rig.ports.write(0x3c0, 1, 3); // The flip-flop still waits for data.
    expect(rig.ports.read(0x3c1, 1)).toBe(3);
    rig.ports.write(0x3c0, 1, 0x13);
    rig.ports.write(0x3c0, 1, 0);
    rig.ports.write(0x3c0, 1, 0x33);
    before[FRAME.kind] = FRAME_KIND.planar;
    expect(published()).toEqual(before);
  });

  it('restores a banked mode with its mapping', () => {
    enable(1024, 768, 32);
    rig.dispi(DISPI.bank, 7);
    const state = rig.vga.save();
    rig = vgaRig();
    rig.vga.restore(state);
    expect(rig.mappings).toEqual([{ kind: 'direct', windowOffset: 0, vramOffset: 0x70000, bytes: 0x10000 }]);
    rig.vga.reset();
    expect(rig.mappings.at(-1)).toEqual({ kind: 'device' });
    expect(rig.readDispi(DISPI.enable)).toBe(0);
    expect(published()[FRAME.kind]).toBe(FRAME_KIND.blank);
  });
});
