import { describe, expect, it } from 'vitest';
import { apicBench } from './apic.suite.ts';
import { ApicBus, BROADCAST, DELIVERY } from './apic-bus.ts';

const LVT = { timer: 0x320, lint0: 0x350, lint1: 0x360, error: 0x370 } as const;
const MASKED = 0x1_0000;

describe('registers', () => {
  it('are after power-on as the manual says', () => {
    const b = apicBench({ id: 3 });
    expect(b.seen).toEqual(['at fee00000']);
    expect([0x20, 0x30, 0x80, 0xa0, 0xd0, 0xe0, 0xf0].map(b.read)).toEqual([
      0x0300_0000, 0x0005_0014, 0, 0, 0, 0xffff_ffff, 0xff,
    ]);
    for (let at = 0x320; at <= 0x370; at += 0x10) expect(b.read(at)).toBe(MASKED);
    expect([b.read(0x380), b.read(0x390), b.read(0x3e0)]).toEqual([0, 0, 0]);
    expect(b.rdmsr(0x1b)).toBe(0xfee0_0900n);
  });

  it('keep LVT entries masked while the APIC is disabled by software', () => {
    const b = apicBench();
    b.write(LVT.lint1, 0x400);
    expect(b.read(LVT.lint1)).toBe(MASKED | 0x400);
    b.enable();
    b.write(LVT.lint1, 0x400);
    expect(b.read(LVT.lint1)).toBe(0x400);
    b.write(0xf0, 0xff);
    expect(b.read(LVT.lint1)).toBe(MASKED | 0x400);
  });

  it('ignore narrow writes and read narrow parts', () => {
    const b = apicBench();
    b.apic.registers.write(0x80, 1, 0x20);
    expect(b.read(0x80)).toBe(0);
    expect(b.apic.registers.read(0x30, 1)).toBe(0x14);
    expect(b.apic.registers.read(0x32, 2)).toBe(0x0005);
    expect(b.apic.registers.read(0x34, 4)).toBe(0);
  });

  it('report errors once software has asked for them', () => {
    const b = apicBench();
    b.enable();
    b.write(LVT.error, 0x51);
    b.write(0x300, 0x4_0004);
    b.read(0x2f0);
    expect(b.read(0x280)).toBe(0);
    b.write(0x280, 0);
    expect(b.read(0x280)).toBe(0xa0);
    b.write(0x280, 0);
    expect(b.read(0x280)).toBe(0);
    expect(b.take()).toBe(0x51);
    b.bus.send(DELIVERY.fixed, 9, false, BROADCAST, false);
    b.write(0x280, 0);
    expect(b.read(0x280)).toBe(0x40);
  });
});

describe('priorities', () => {
  const request = (b: ReturnType<typeof apicBench>, vector: number, level = false): void =>
    b.bus.send(DELIVERY.fixed, vector, level, 0, false);

  it('takes the highest vector first and nests only higher classes', () => {
    const b = apicBench();
    b.enable();
    for (const vector of [0x41, 0x9f, 0x42]) request(b, vector);
    expect([b.read(0x220), b.read(0x240)]).toEqual([0b110, 0x8000_0000]);
    expect(b.take()).toBe(0x9f);
    expect(b.read(0xa0)).toBe(0x90);
    expect(b.take()).toBeUndefined();
    request(b, 0x90);
    expect(b.take()).toBeUndefined();
    request(b, 0xa0);
    expect(b.take()).toBe(0xa0);
    const order: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      b.write(0xb0, 0);
      order.push(b.take());
    }
    // A0 ends under 9F; then 90, 42, and 41 of the same class as 42 after it.
    expect(order).toEqual([undefined, 0x90, 0x42, 0x41, undefined]);
    expect(b.seen.at(-1)).toBe('quiet');
  });

  it('holds back what the task priority outranks, through CR8 too', () => {
    const b = apicBench();
    b.enable();
    b.write(0x80, 0x4f);
    request(b, 0x45);
    expect(b.apic.output).toBe(false);
    expect(b.read(0xa0)).toBe(0x4f);
    expect(b.apic.taskPriorityClass).toBe(4);
    b.apic.taskPriorityClass = 3;
    expect(b.read(0x80)).toBe(0x30);
    expect(b.take()).toBe(0x45);
  });

  it('gives the spurious vector when the request has gone', () => {
    const b = apicBench();
    b.write(0xf0, 0x1ef);
    request(b, 0x50);
    b.write(0x80, 0xf0);
    expect(b.apic.acknowledge()).toBe(0xef);
    expect(b.read(0x120)).toBe(0);
  });

  it('broadcasts the EOI of level-triggered vectors only', () => {
    const b = apicBench();
    const ended: number[] = [];
    b.bus.addIoApic({ endOfInterrupt: (vector) => void ended.push(vector) });
    b.enable();
    request(b, 0x61, true);
    request(b, 0x52, false);
    expect(b.read(0x1b0)).toBe(2);
    for (let i = 0; i < 2; i++) {
      b.take();
      b.write(0xb0, 0);
    }
    expect(ended).toEqual([0x61]);
    b.write(0xb0, 0);
    expect(ended).toEqual([0x61]);
  });

  it('takes no fixed interrupt while disabled by software', () => {
    const b = apicBench();
    request(b, 0x50);
    b.enable();
    expect(b.apic.output).toBe(false);
  });
});

describe('pins', () => {
  it('lets the 8259 pair through as an ExtINT, without an in-service bit', () => {
    const b = apicBench();
    b.apic.setLint0(true);
    expect(b.apic.output).toBe(false);
    b.enable();
    b.write(LVT.lint0, 0x700);
    expect(b.take()).toBe(0x30);
    expect(b.read(0x110)).toBe(0);
    b.apic.setLint0(false);
    expect(b.apic.output).toBe(false);
    b.write(LVT.lint0, MASKED | 0x700);
    b.apic.setLint0(true);
    expect(b.apic.output).toBe(false);
  });

  it('is bypassed when IA32_APIC_BASE disables it', () => {
    const b = apicBench();
    expect(b.wrmsr(0x1b, 0xfee0_0100n)).toBe(true);
    expect(b.seen.at(-1)).toBe('at nowhere');
    expect(b.apic.enabled).toBe(false);
    b.apic.setLint0(true);
    expect(b.take()).toBe(0x30);
    expect(b.apic.pulseLint1()).toBe(true);
    expect(b.seen).toContain('nmi');
  });

  it('turns LINT1 into NMIs once opened', () => {
    const b = apicBench();
    expect(b.apic.pulseLint1()).toBe(false);
    b.enable();
    b.write(LVT.lint1, 0x400);
    expect(b.apic.pulseLint1()).toBe(true);
    expect(b.seen.filter((s) => s === 'nmi')).toHaveLength(1);
  });

  it('delivers a fixed level on LINT0 again until it falls', () => {
    const b = apicBench();
    b.enable();
    b.write(LVT.lint0, 0x8055);
    b.apic.setLint0(true);
    expect(b.take()).toBe(0x55);
    expect(b.read(LVT.lint0)).toBe(0xc055);
    b.write(0xb0, 0);
    expect(b.take()).toBe(0x55);
    b.apic.setLint0(false);
    b.write(0xb0, 0);
    expect(b.take()).toBeUndefined();
    expect(b.read(LVT.lint0)).toBe(0x8055);
  });
});

describe('interprocessor interrupts', () => {
  function pair() {
    const bus = new ApicBus();
    const first = apicBench({ id: 0 }, bus);
    const second = apicBench({ id: 1, bootstrapProcessor: false }, bus);
    first.enable();
    second.enable();
    return { first, second };
  }

  it('reach self, all, all others, or one by its ID', () => {
    const { first, second } = pair();
    const got = (): (number | undefined)[] =>
      [first, second].map((b) => {
        const vector = b.take();
        b.write(0xb0, 0);
        return vector;
      });
    first.write(0x300, 0x4_4041);
    expect(got()).toEqual([0x41, undefined]);
    first.write(0x300, 0x8_4042);
    expect(got()).toEqual([0x42, 0x42]);
    first.write(0x300, 0xc_4043);
    expect(got()).toEqual([undefined, 0x43]);
    first.write(0x310, 0x0100_0000);
    first.write(0x300, 0x4044);
    expect(got()).toEqual([undefined, 0x44]);
    first.write(0x310, 0xff00_0000);
    first.write(0x300, 0x4045);
    expect(got()).toEqual([0x45, 0x45]);
    expect(first.read(0x300) & 0x1000).toBe(0);
  });

  it('start another processor', () => {
    const { first, second } = pair();
    first.write(0x310, 0x0100_0000);
    first.write(0x300, 0xc500);
    first.write(0x300, 0x8500);
    first.write(0x300, 0x4609);
    expect(second.seen.filter((s) => s !== 'at fee00000')).toEqual(['init', 'start 9']);
    expect(second.rdmsr(0x1b)).toBe(0xfee0_0800n);
    first.write(0x300, 0x4400);
    expect(second.seen.at(-1)).toBe('nmi');
  });

  it('find logical destinations in flat and cluster model', () => {
    const { first, second } = pair();
    const reached = (destination: number): string => {
      first.write(0x310, (destination << 24) >>> 0);
      first.write(0x300, 0x4850);
      return [first, second]
        .map((b, n) => {
          const vector = b.take();
          b.write(0xb0, 0);
          return vector === undefined ? '' : `${n}`;
        })
        .join('');
    };
    first.write(0xd0, 0x0100_0000);
    second.write(0xd0, 0x0200_0000);
    expect([1, 2, 3, 4, 0xff].map(reached)).toEqual(['0', '1', '01', '', '01']);
    for (const b of [first, second]) b.write(0xe0, 0x0fff_ffff);
    first.write(0xd0, 0x2100_0000);
    second.write(0xd0, 0x3100_0000);
    expect([0x21, 0x31, 0x22, 0xf1, 0x01].map(reached)).toEqual(['0', '1', '', '01', '']);
  });

  it('go to the lowest priority of those named', () => {
    const { first, second } = pair();
    first.write(0x80, 0x20);
    first.write(0x310, 0xff00_0000);
    first.write(0x300, 0x4160);
    expect([first.take(), second.take()]).toEqual([undefined, 0x60]);
    second.write(0x80, 0x80);
    second.write(0xb0, 0);
    first.write(0x300, 0x4161);
    expect([first.take(), second.take()]).toEqual([0x61, undefined]);
  });
});

describe('timer', () => {
  it('counts down once, at the divided rate', () => {
    const b = apicBench();
    b.enable();
    b.write(LVT.timer, 0x40);
    b.write(0x3e0, 0b0011);
    b.write(0x380, 1000);
    b.pass(1600);
    expect(b.read(0x390)).toBe(900);
    b.pass(14_399);
    expect(b.read(0x390)).toBe(1);
    expect(b.take()).toBeUndefined();
    b.pass(1);
    expect([b.read(0x390), b.take()]).toEqual([0, 0x40]);
    b.pass(1e6);
    b.write(0xb0, 0);
    expect(b.take()).toBeUndefined();
  });

  it('divides by every power of two to 128', () => {
    const b = apicBench();
    const codes = [0b1011, 0b0000, 0b0001, 0b0010, 0b0011, 0b1000, 0b1001, 0b1010];
    codes.forEach((code, power) => {
      b.write(0x3e0, code);
      b.write(0x380, 1_000_000);
      b.pass(128_000);
      expect(b.read(0x390)).toBe(1_000_000 - 128_000 / 2 ** power);
    });
  });

  it('keeps the count when its divisor changes', () => {
    const b = apicBench();
    b.write(0x3e0, 0b1011);
    b.write(0x380, 1000);
    b.pass(400);
    b.write(0x3e0, 0b0000);
    expect(b.read(0x390)).toBe(600);
    b.pass(200);
    expect(b.read(0x390)).toBe(500);
  });

  it('ticks periodically and makes up for what the host was late with, at twice the rate', () => {
    const b = apicBench();
    b.enable();
    b.write(0x3e0, 0b1011);
    b.write(LVT.timer, 0x2_0040);
    b.write(0x380, 1_000_000);
    const ticks: number[] = [];
    const run = (ns: number): void => {
      for (let t = 0; t < ns; t += 100_000) {
        b.pass(100_000);
        if (b.take() === undefined) continue;
        b.write(0xb0, 0);
        ticks.push(b.clock.now());
      }
    };
    run(3e6);
    expect(ticks).toEqual([1e6, 2e6, 3e6]);
    // Asleep for five periods, then awake again.
    b.clock.advance(5e6);
    run(10e6);
    expect(ticks).toHaveLength(18);
    const gaps = ticks.slice(4).map((t, i) => t - ticks[i + 3]);
    expect(Math.min(...gaps)).toBe(500_000);
  });

  it('owes the tick that finds the one before still requested', () => {
    const b = apicBench();
    b.enable();
    b.write(0x3e0, 0b1011);
    b.write(LVT.timer, 0x2_0040);
    b.write(0x380, 1_000_000);
    for (let i = 0; i < 30; i++) b.pass(100_000);
    let taken = 0;
    for (let i = 0; i < 20; i++) {
      if (b.take() !== undefined) taken++;
      b.write(0xb0, 0);
      b.pass(100_000);
    }
    expect(taken).toBeGreaterThanOrEqual(4);
  });

  it('needs nobody while masked, and goes on when opened', () => {
    const b = apicBench();
    b.enable();
    b.write(0x3e0, 0b1011);
    b.write(LVT.timer, 0x3_0040);
    b.write(0x380, 1000);
    expect(b.timers.nextDeadline).toBe(Number.POSITIVE_INFINITY);
    b.pass(2500);
    b.write(LVT.timer, 0x2_0040);
    expect(b.take()).toBeUndefined();
    b.pass(500);
    expect(b.take()).toBe(0x40);
  });

  it('waits for a deadline of the time-stamp counter', () => {
    const b = apicBench();
    b.enable();
    expect(b.wrmsr(0x6e0, 5n)).toBe(true);
    expect(b.rdmsr(0x6e0)).toBe(0n);
    b.write(LVT.timer, 0x4_0040);
    b.write(0x380, 77);
    expect(b.read(0x380)).toBe(0);
    b.wrmsr(0x6e0, 5000n);
    expect(b.rdmsr(0x6e0)).toBe(5000n);
    b.pass(4999);
    expect(b.take()).toBeUndefined();
    b.pass(1);
    expect([b.take(), b.rdmsr(0x6e0)]).toEqual([0x40, 0n]);
    b.write(0xb0, 0);
    b.wrmsr(0x6e0, 6000n);
    b.wrmsr(0x6e0, 0n);
    b.pass(10_000);
    expect(b.take()).toBeUndefined();
    // In the past: at once.
    b.wrmsr(0x6e0, 1n);
    b.pass(0);
    expect(b.take()).toBe(0x40);
  });

  it('follows the counter when software moves it', () => {
    const b = apicBench();
    b.enable();
    b.write(LVT.timer, 0x4_0040);
    // The counter is about to wrap: source minus 1000.
    b.apic.setTscOffset(-1000, -1);
    b.wrmsr(0x6e0, 0xffff_ffff_ffff_ff00n);
    expect(b.timers.nextDeadline).toBe(744);
    b.apic.setTscOffset(0, 0x10);
    b.wrmsr(0x6e0, 0x10_0000_0400n);
    expect(b.timers.nextDeadline).toBe(1024);
    b.apic.setTscOffset(500, 0x10);
    expect(b.timers.nextDeadline).toBe(524);
    b.write(LVT.timer, 0x40);
    expect([b.timers.nextDeadline, b.rdmsr(0x6e0)]).toEqual([Number.POSITIVE_INFINITY, 0n]);
  });
});

describe('x2APIC mode', () => {
  const enter = (b: ReturnType<typeof apicBench>): void => void b.wrmsr(0x1b, 0xfee0_0d00n);

  it('is entered from xAPIC mode and left through disabled only', () => {
    const b = apicBench();
    expect(b.wrmsr(0x1b, 0xfee0_0500n)).toBe(false);
    expect(b.wrmsr(0x1b, 0xfee0_0d00n)).toBe(true);
    expect(b.seen.at(-1)).toBe('at nowhere');
    expect(b.wrmsr(0x1b, 0xfee0_0900n)).toBe(false);
    expect(b.wrmsr(0x1b, 0xfee0_0100n)).toBe(true);
    expect(b.wrmsr(0x1b, 0xfee0_0d00n)).toBe(false);
    expect(b.wrmsr(0x1b, 0xfee0_0900n)).toBe(true);
    expect(b.seen.at(-1)).toBe('at fee00000');
    for (const value of [0xfee0_0901n, 0xfee0_0b00n, 0x100_fee0_0900n]) expect(b.wrmsr(0x1b, value)).toBe(false);
    expect(apicBench({ offersX2: false }).wrmsr(0x1b, 0xfee0_0d00n)).toBe(false);
  });

  it('has the registers as MSRs, which are #GP in xAPIC mode', () => {
    const b = apicBench({ id: 0x23 });
    expect([b.rdmsr(0x802), b.wrmsr(0x808, 0n)]).toEqual([undefined, false]);
    enter(b);
    expect(b.rdmsr(0x802)).toBe(0x23n);
    expect(b.rdmsr(0x80d)).toBe(0x0002_0008n);
    expect(b.rdmsr(0x803)).toBe(0x0005_0014n);
    expect(b.wrmsr(0x80f, 0x1ffn)).toBe(true);
    b.wrmsr(0x83f, 0x71n);
    expect(b.rdmsr(0x823)).toBe(0x2_0000n);
    expect(b.take()).toBe(0x71);
    expect(b.rdmsr(0x813)).toBe(0x2_0000n);
    expect(b.wrmsr(0x80b, 1n)).toBe(false);
    expect(b.wrmsr(0x80b, 0n)).toBe(true);
    expect(b.rdmsr(0x813)).toBe(0n);
    for (const n of [0x80b, 0x80e, 0x809, 0x80c, 0x831, 0x83f, 0x82f, 0x83a, 0x840]) {
      expect([n, b.rdmsr(n)]).toEqual([n, undefined]);
    }
    const bad: [number, bigint][] = [
      [0x802, 0n],
      [0x803, 0n],
      [0x808, 0x100n],
      [0x808, 0x1_0000_0000n],
      [0x80d, 1n],
      [0x810, 0n],
      [0x828, 1n],
      [0x832, 0x8_0000n],
      [0x839, 0n],
      [0x830, 0x10_0000n],
    ];
    for (const [n, value] of bad) expect([n, b.wrmsr(n, value)]).toEqual([n, false]);
  });

  it('sends to 32-bit destinations', () => {
    const bus = new ApicBus();
    const first = apicBench({ id: 1 }, bus);
    const second = apicBench({ id: 0x12 }, bus);
    for (const b of [first, second]) {
      enter(b);
      b.wrmsr(0x80f, 0x1ffn);
    }
    const got = (): (number | undefined)[] =>
      [first, second].map((b) => {
        const vector = b.take();
        b.wrmsr(0x80b, 0n);
        return vector;
      });
    first.wrmsr(0x830, 0x12_0000_4045n);
    expect(got()).toEqual([undefined, 0x45]);
    first.wrmsr(0x830, 0x1_0004_0000_4846n);
    expect(got()).toEqual([undefined, 0x46]);
    first.wrmsr(0x830, 0x1_0008_0000_4846n);
    expect(got()).toEqual([undefined, undefined]);
    first.wrmsr(0x830, 0xffff_ffff_0000_4047n);
    expect(got()).toEqual([0x47, 0x47]);
    expect(first.rdmsr(0x830)).toBe(0xffff_ffff_0000_4047n);
  });
});

describe('message-signalled interrupts', () => {
  it('are decoded from address and data', () => {
    const b = apicBench();
    b.enable();
    expect(b.bus.message(0xfee0_0000, 0x4081)).toBe(true);
    expect(b.take()).toBe(0x81);
    expect(b.bus.message(0xfee0_1000, 0x4082)).toBe(true);
    expect(b.take()).toBeUndefined();
    b.bus.message(0xfeef_f000, 0x4091);
    expect(b.take()).toBe(0x91);
    b.write(0xd0, 0x0400_0000);
    b.bus.message(0xfee0_4004, 0xc0a1);
    expect(b.take()).toBe(0xa1);
    expect(b.read(0x1d0)).toBe(2);
    b.bus.message(0xfee0_4004, 0x80b1);
    expect(b.take()).toBeUndefined();
    b.bus.message(0xfee0_0000, 0x400);
    expect(b.seen.at(-1)).toBe('nmi');
    expect(b.bus.message(0xfed0_0000, 0)).toBe(false);
  });
});

describe('life', () => {
  it('comes back from a saved machine, and from RESET#', () => {
    const a = apicBench();
    a.enable();
    a.write(0x3e0, 0b1011);
    a.write(LVT.timer, 0x2_0040);
    a.write(0x380, 1000);
    a.write(LVT.lint0, 0x700);
    a.write(0xd0, 0x0100_0000);
    a.write(0x80, 0x10);
    a.bus.send(DELIVERY.fixed, 0x61, true, 0, false);
    a.take();
    a.bus.send(DELIVERY.fixed, 0x77, false, 0, false);
    a.pass(300);
    const b = apicBench();
    b.clock.advance(300);
    b.apic.restore(structuredClone(a.apic.save()));
    expect(b.seen.at(-1)).toBe('intr');
    for (let at = 0x20; at <= 0x3e0; at += 0x10) {
      if (at !== 0x2f0 && (at < 0x40 || at > 0x70) && (at < 0x290 || at > 0x2f0) && (at < 0x3a0 || at > 0x3d0)) {
        expect([at, b.read(at)]).toEqual([at, a.read(at)]);
      }
    }
    expect(b.take()).toBe(0x77);
    b.write(0xb0, 0);
    b.pass(700);
    expect(b.take()).toBeUndefined();
    b.write(0xb0, 0);
    expect(b.take()).toBe(0x40);
    expect(b.apic.save()).not.toEqual(a.apic.save());
    b.apic.reset();
    expect([b.read(0xf0), b.read(0x80), b.read(0x380), b.read(LVT.lint0)]).toEqual([0xff, 0, 0, MASKED]);
    expect(b.apic.output).toBe(false);
  });
});
