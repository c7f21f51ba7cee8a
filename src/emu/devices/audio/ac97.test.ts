import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '#emu/bus/io-bus.ts';
import { BarWindows } from '#emu/devices/pci/bar-windows.ts';
import { DIRTY_MAP_BYTES, PAGE_MAP_BYTES, PhysicalMemory } from '#emu/memory/physical-memory.ts';
import { Ac97 } from './ac97.ts';

const RAM_BYTES = 0x10_0000;
const RAM_AT = PAGE_MAP_BYTES + DIRTY_MAP_BYTES;
const [CODEC, MASTER] = [0xd000, 0xd400];
const PCM_OUT = MASTER + 0x10;
const LIST = 0x1000;
/** Data sheet 290655, 13.2. */
const [CIV, LVI, SR, PICB, CR] = [4, 5, 6, 8, 0xb];
const [RUN, RESET, ON_COMPLETION] = [1, 2, 16];
const [HALTED, LAST_VALID, COMPLETED] = [1, 4, 8];

class Bench {
  readonly memory: PhysicalMemory;
  readonly ports = new IoBus();
  readonly clock = new ManualClock();
  readonly timers = new TimerQueue(this.clock);
  readonly heard: number[] = [];
  readonly card: Ac97;
  readonly switches: boolean[] = [];
  /** The last sample that was recorded: a ramp goes on and on. */
  spoken = 0;
  interrupt = false;

  constructor() {
    const buffer = new SharedArrayBuffer(RAM_AT + RAM_BYTES);
    this.memory = new PhysicalMemory({ buffer, pageMapAt: 0, dirtyMapAt: PAGE_MAP_BYTES });
    this.memory.mapBacked(0, RAM_BYTES, RAM_AT, 'ram');
    this.card = new Ac97({
      ...{ memory: this.memory, timers: this.timers },
      interrupt: {
        set: (asserted) => {
          this.interrupt = asserted;
        },
      },
      windows: new BarWindows({ ports: this.ports, memory: this.memory }),
      onSound: (samples) => this.heard.push(...samples),
      input: {
        record: (on) => this.switches.push(on),
        read: (into) => {
          for (let i = 0; i < into.length; i++) into[i] = ++this.spoken;
        },
      },
    });
    this.card.writeConfig(0x10, 4, CODEC);
    this.card.writeConfig(0x14, 4, MASTER);
    this.card.writeConfig(0x04, 2, 5);
  }

  /** As a driver begins: the link on, full volume. */
  start(): void {
    this.ports.write(MASTER + 0x2c, 4, 2);
    this.ports.write(CODEC + 0x02, 2, 0);
    this.ports.write(CODEC + 0x18, 2, 0x0808);
  }

  /** A list whose buffers of so many samples hold a ramp. */
  prepare(buffers: number, samples: number): void {
    const ramp = Int16Array.from({ length: buffers * samples }, (_, i) => i);
    this.memory.write(0x4000, new Uint8Array(ramp.buffer));
    for (let i = 0; i < buffers; i++) {
      const descriptor = Uint32Array.of(0x4000 + i * samples * 2, (0x8000_0000 | samples) >>> 0);
      this.memory.write(LIST + i * 8, new Uint8Array(descriptor.buffer));
    }
    this.ports.write(PCM_OUT + CR, 1, RESET);
    this.ports.write(PCM_OUT, 4, LIST);
    this.ports.write(PCM_OUT + LVI, 1, buffers - 1);
  }

  pass(ms: number): void {
    for (let left = ms * 10; left > 0; left--) {
      this.clock.advance(100_000);
      this.timers.runExpired();
    }
  }
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

describe('AC’97', () => {
  it('is found as an 82801AA whose codec is a STAC9700, behind its link', () => {
    expect(bench.card.readConfig(0, 4)).toBe(0x2415_8086);
    expect(bench.card.readConfig(8, 4) >>> 8).toBe(0x04_0100);
    expect(bench.ports.read(CODEC + 0x7c, 2)).toBe(0xffff);
    expect(bench.ports.read(MASTER + 0x30, 4) & 0x8100).toBe(0x8000);
    bench.ports.write(MASTER + 0x30, 4, 0x8000);
    bench.ports.write(MASTER + 0x2c, 4, 2);
    expect(bench.ports.read(MASTER + 0x30, 4) & 0x8100).toBe(0x0100);
    expect(bench.ports.read(CODEC + 0x7c, 2)).toBe(0x8384);
    expect(bench.ports.read(CODEC + 0x7e, 2)).toBe(0x7600);
    expect(bench.ports.read(CODEC + 0x02, 2)).toBe(0x8000);
    // Six bits of attenuation are as many as five (AC'97 2.3, 5.7.2).
    bench.ports.write(CODEC + 0x02, 2, 0x2020);
    expect(bench.ports.read(CODEC + 0x02, 2)).toBe(0x1f1f);
  });

  it('plays a list to its end at 48 kHz, and says so', () => {
    bench.start();
    bench.prepare(2, 960);
    bench.ports.write(PCM_OUT + CR, 1, RUN | ON_COMPLETION);
    bench.pass(5);
    expect(bench.ports.read(PCM_OUT + PICB, 2)).toBe(960 - 480);
    expect(bench.ports.read(PCM_OUT + CIV, 1)).toBe(0);
    expect(bench.interrupt).toBe(false);
    bench.pass(6);
    expect(bench.ports.read(PCM_OUT + CIV, 1)).toBe(1);
    expect(bench.interrupt).toBe(true);
    expect(bench.ports.read(PCM_OUT + SR, 2)).toBe(COMPLETED);
    expect(bench.ports.read(MASTER + 0x30, 4) & 0x40).toBe(0x40);
    bench.ports.write(PCM_OUT + SR, 2, COMPLETED);
    expect(bench.interrupt).toBe(false);
    bench.pass(30);
    expect(bench.heard).toEqual(Array.from({ length: 1920 }, (_, i) => i));
    expect(bench.ports.read(PCM_OUT + SR, 2) & (HALTED | LAST_VALID)).toBe(HALTED | LAST_VALID);
    // A later last buffer lets it go on where the list goes on.
    bench.ports.write(PCM_OUT + LVI, 1, 2);
    expect(bench.ports.read(PCM_OUT + CIV, 1)).toBe(2);
    expect(bench.ports.read(PCM_OUT + SR, 2) & HALTED).toBe(0);
  });

  it('stands still while stopped and goes on where it was', () => {
    bench.start();
    bench.prepare(2, 960);
    bench.ports.write(PCM_OUT + CR, 1, RUN);
    bench.pass(3);
    bench.ports.write(PCM_OUT + CR, 1, 0);
    const left = bench.ports.read(PCM_OUT + PICB, 2);
    bench.pass(50);
    expect(bench.ports.read(PCM_OUT + PICB, 2)).toBe(left);
    bench.ports.write(PCM_OUT + CR, 1, RUN);
    bench.pass(40);
    expect(bench.heard).toEqual(Array.from({ length: 1920 }, (_, i) => i));
  });

  it('has the volume that its mixer says', () => {
    bench.start();
    bench.memory.write(0x4000, new Uint8Array(Int16Array.from([20_000, 20_000, -20_000, -20_000]).buffer));
    const play = (master: number, pcm: number): number[] => {
      bench.ports.write(CODEC + 0x02, 2, master);
      bench.ports.write(CODEC + 0x18, 2, pcm);
      bench.heard.length = 0;
      bench.memory.write(LIST, new Uint8Array(Uint32Array.of(0x4000, 4).buffer));
      bench.ports.write(PCM_OUT + CR, 1, RESET);
      bench.ports.write(PCM_OUT, 4, LIST);
      bench.ports.write(PCM_OUT + CR, 1, RUN);
      bench.pass(2);
      bench.ports.write(PCM_OUT + CR, 1, 0);
      return bench.heard.map((sample) => Math.round(sample / 10) * 10);
    };
    expect(play(0x0000, 0x0808)).toEqual([20_000, 20_000, -20_000, -20_000]);
    expect(play(0x8000, 0x0808)).toEqual([0, 0, 0, 0]);
    // 6 dB (4 steps) less on the left; 12 dB more than full scale is full scale.
    expect(play(0x0400, 0x0808)).toEqual([10_020, 20_000, -10_020, -20_000]);
    expect(play(0x0000, 0x0000)).toEqual([32_770, 32_770, -32_770, -32_770]);
  });

  it('records what it hears into a list, also where a buffer ends within a frame', () => {
    bench.start();
    bench.ports.write(CODEC + 0x1c, 2, 0);
    const list = Uint32Array.of(0x4000, 481, 0x4000 + 962, (0x8000_0000 | 479) >>> 0);
    bench.memory.write(LIST, new Uint8Array(list.buffer));
    bench.ports.write(MASTER, 4, LIST);
    bench.ports.write(MASTER + LVI, 1, 1);
    expect(bench.switches).toEqual([]);
    bench.ports.write(MASTER + CR, 1, RUN | ON_COMPLETION);
    expect(bench.switches).toEqual([true]);
    bench.pass(11);
    const recorded = new Int16Array(960);
    bench.memory.read(0x4000, new Uint8Array(recorded.buffer));
    expect([...recorded]).toEqual(Array.from({ length: 960 }, (_, i) => i + 1));
    expect(bench.interrupt).toBe(true);
    expect(bench.ports.read(MASTER + 0x30, 4) & 0x20).toBe(0x20);
    bench.ports.write(MASTER + CR, 1, 0);
    expect(bench.switches).toEqual([true, false]);
  });

  it('records at the gain that its mixer says, and nothing from inputs that are not there', () => {
    bench.start();
    const record = (gain: number, select = 0, microphone = 0): number[] => {
      bench.ports.write(CODEC + 0x1c, 2, gain);
      bench.ports.write(CODEC + 0x1a, 2, select);
      bench.ports.write(CODEC + 0x0e, 2, microphone);
      bench.memory.write(LIST, new Uint8Array(Uint32Array.of(0x4000, 2).buffer));
      bench.ports.write(MASTER + CR, 1, RESET);
      bench.ports.write(MASTER, 4, LIST);
      bench.spoken = 999;
      bench.ports.write(MASTER + CR, 1, RUN);
      bench.pass(2);
      bench.ports.write(MASTER + CR, 1, 0);
      const recorded = new Int16Array(2);
      bench.memory.read(0x4000, new Uint8Array(recorded.buffer));
      return [...recorded];
    };
    expect(record(0x0000)).toEqual([1000, 1001]);
    expect(record(0x8000)).toEqual([0, 0]);
    // 6 dB (4 steps) more on the left; 20 dB more from the microphone, not from the line in.
    expect(record(0x0400)).toEqual([1995, 1001]);
    expect(record(0x0000, 0x0004, 0x0040)).toEqual([10_000, 1001]);
    expect(record(0x0000, 0x0501)).toEqual([0, 0]);
    // The converter is off (PR0).
    bench.ports.write(CODEC + 0x26, 2, 0x0100);
    expect(record(0x0000)).toEqual([0, 0]);
  });

  it('is the same after being saved and restored in the middle', () => {
    bench.start();
    bench.prepare(4, 960);
    bench.ports.write(PCM_OUT + CR, 1, RUN | ON_COMPLETION);
    bench.pass(13);
    const state = structuredClone(bench.card.save());
    const other = new Bench();
    other.memory.write(0, bench.memory.bytes.slice(RAM_AT, RAM_AT + RAM_BYTES));
    other.card.restore(state);
    expect(other.interrupt).toBe(bench.interrupt);
    const had = bench.heard.length;
    bench.pass(60);
    other.pass(60);
    expect(other.heard).toEqual(bench.heard.slice(had));
    expect(had + other.heard.length).toBe(4 * 960);
  });

  it('does not sound for what a stalled host slept through', () => {
    bench.start();
    bench.prepare(31, (48_000 / 31) | 0);
    bench.ports.write(PCM_OUT + CR, 1, RUN);
    bench.clock.advance(1e10);
    bench.timers.runExpired();
    expect(bench.heard.length).toBeLessThanOrEqual(9600);
    expect(bench.ports.read(PCM_OUT + SR, 2) & HALTED).toBe(0);
  });

  it('survives whatever a guest writes, in bounded time', () => {
    const access = fc.tuple(fc.nat(0x13f), fc.constantFrom<1 | 2 | 4>(1, 2, 4), fc.nat(0xffff_ffff), fc.nat(30));
    fc.assert(
      fc.property(fc.array(access, { maxLength: 200 }), (accesses) => {
        const one = new Bench();
        one.start();
        for (const [offset, width, value, ms] of accesses) {
          const port = offset < 0x40 ? MASTER + offset : CODEC + offset - 0x40;
          one.ports.write(port, width, width === 4 ? value : value & (2 ** (8 * width) - 1));
          one.ports.read(port, width);
          one.clock.advance(ms * 1e6);
          one.timers.runExpired();
        }
        one.card.restore(structuredClone(one.card.save()));
      }),
      { numRuns: 100 },
    );
  });
});
