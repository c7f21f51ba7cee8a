import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock, TimerQueue } from '#base/clock.ts';
import { IoBus } from '../../bus/io-bus.ts';
import { Uart16550 } from './uart16550.ts';

const [DATA, IER, FCR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7].map((r) => 0x3f8 + r);
const IIR = FCR;

describe('Uart16550', () => {
  let clock: ManualClock;
  let timers: TimerQueue;
  let bus: IoBus;
  let uart: Uart16550;
  let irq: boolean;
  let sent: number[];
  let rooms: number;
  let lines: [boolean, boolean][];
  let breaks: boolean[];

  beforeEach(() => {
    clock = new ManualClock();
    timers = new TimerQueue(clock);
    bus = new IoBus();
    irq = false;
    sent = [];
    rooms = 0;
    lines = [];
    breaks = [];
    uart = new Uart16550({
      timers,
      irq: {
        set(on) {
          irq = on;
        },
      },
      onTransmit: (b) => sent.push(b),
      onReceiveRoom: () => rooms++,
      onModemControl: (dtr, rts) => lines.push([dtr, rts]),
      onBreak: (on) => breaks.push(on),
    });
    bus.map(0x3f8, 8, uart);
    bus.write(LCR, 1, 3);
  });

  const r = (port: number): number => bus.read(port, 1);
  const w = (port: number, value: number): void => bus.write(port, 1, value);
  const give = (...bytes: number[]): number => uart.receive(Uint8Array.from(bytes));
  const advance = (ns: number): void => {
    clock.advance(ns);
    timers.runExpired();
  };

  it('is recognised as a 16550A by the tests drivers make', () => {
    w(IER, 0);
    expect(r(IER)).toBe(0);
    w(IER, 0xff);
    expect(r(IER)).toBe(0x0f);
    w(IER, 0);
    w(MCR, 0x1a); // Loop, OUT2, RTS.
    expect(r(MSR) & 0xf0).toBe(0x90);
    w(MCR, 0);
    w(FCR, 1);
    expect(r(IIR) & 0xc0).toBe(0xc0);
    w(LCR, 0x80);
    w(FCR, 0x21);
    expect(r(IIR) & 0x20).toBe(0);
    w(LCR, 3);
    w(SCR, 0x5a);
    expect(r(SCR)).toBe(0x5a);
    w(FCR, 0);
    expect(r(IIR)).toBe(0x01);
  });

  it('programs the divisor behind DLAB without touching IER and data', () => {
    w(IER, 1);
    w(LCR, 0x83);
    w(DATA, 0x01);
    w(IER, 0x00);
    expect([r(DATA), r(IER)]).toEqual([1, 0]);
    w(LCR, 3);
    expect([uart.baud, r(IER), sent]).toEqual([115_200, 1, []]);
  });

  it('sends at once to a guest that polls', () => {
    for (const c of 'hi') {
      expect(r(LSR) & 0x60).toBe(0x60);
      w(DATA, c.charCodeAt(0));
    }
    expect(sent).toEqual([0x68, 0x69]);
  });

  it('raises the transmitter interrupt when enabled, after each write, and drops it when IIR is read', () => {
    w(MCR, 8);
    w(IER, 2);
    expect([irq, r(IIR), irq, r(IIR)]).toEqual([true, 0x02, false, 0x01]);
    w(DATA, 1);
    expect(irq).toBe(true);
    r(IIR);
    w(IER, 0);
    w(IER, 2);
    expect(r(IIR)).toBe(0x02);
  });

  it('needs OUT2 to reach the bus', () => {
    w(IER, 2);
    expect([irq, r(IIR)]).toEqual([false, 0x02]);
    w(IER, 0);
    w(IER, 2);
    w(MCR, 8);
    expect(irq).toBe(true);
    w(MCR, 0);
    expect(irq).toBe(false);
  });

  it('lets a handler that loops while there is a cause leave, and wakes it again', () => {
    w(MCR, 8);
    w(FCR, 1);
    let left = 20_000;
    let longest = 0;
    const handler = (): void => {
      let rounds = 0;
      for (;;) {
        const iir = r(IIR);
        if (iir & 1) break;
        rounds++;
        for (let i = 0; i < 16 && left > 0; i++, left--) w(DATA, left & 0xff);
        if (left === 0) w(IER, 0);
      }
      longest = Math.max(longest, rounds);
    };
    w(IER, 2);
    while (left > 0) {
      if (irq) handler();
      else advance(timers.nextDeadline - clock.now());
    }
    expect(sent.length).toBe(20_000);
    expect(longest).toBeLessThan(100);
    expect(clock.now()).toBeLessThan(2e6); // More than 10 MB a second of guest time.
  });

  it('keeps a transmitter interrupt that is held back over save and restore', () => {
    w(MCR, 8);
    w(IER, 2);
    for (let i = 0; r(IIR) === 0x02 && i < 1000; i++) w(DATA, i & 0xff);
    expect(irq).toBe(false);
    const saved = structuredClone(uart.save());
    uart.reset();
    uart.restore(saved);
    expect([irq, r(IIR)]).toEqual([true, 0x02]);
  });

  it('takes one byte without FIFOs and sixteen with', () => {
    expect([uart.receiveRoom, give(1, 2, 3)]).toEqual([1, 1]);
    expect([give(2), r(DATA), r(LSR) & 1]).toEqual([0, 1, 0]);
    expect(rooms).toBe(1);
    w(FCR, 1);
    expect(give(...Array.from({ length: 20 }, (_, i) => i))).toBe(16);
    const got = [];
    while (r(LSR) & 1) got.push(r(DATA));
    expect(got).toEqual(Array.from({ length: 16 }, (_, i) => i));
    expect(rooms).toBe(2);
  });

  it.each([
    [0x01, 1],
    [0x41, 4],
    [0x81, 8],
    [0xc1, 14],
  ])('FCR %i interrupts at %i bytes, and after four characters for fewer', (fcr, trigger) => {
    w(LCR, 0x83);
    w(DATA, 1);
    w(IER, 0);
    w(LCR, 3);
    w(MCR, 8);
    w(FCR, fcr);
    w(IER, 1);
    for (let i = 1; i < trigger; i++) give(i);
    expect(irq).toBe(false);
    give(0xff);
    expect([irq, r(IIR)]).toEqual([true, 0xc4]);
    r(DATA);
    if (trigger === 1) return;
    expect(irq).toBe(false);
    advance(340_000);
    expect(irq).toBe(false);
    advance(10_000);
    expect([irq, r(IIR)]).toEqual([true, 0xcc]);
    r(DATA);
    expect(irq).toBe(false);
    expect(r(IIR)).toBe(0xc1);
  });

  it('clears the receive FIFO and asks for more', () => {
    w(FCR, 1);
    give(1, 2, 3);
    w(FCR, 3);
    expect([r(LSR) & 1, rooms]).toEqual([0, 1]);
  });

  it('reports causes in order of priority', () => {
    w(MCR, 8);
    w(FCR, 1);
    w(IER, 0x0f);
    uart.setConnected(true);
    uart.receiveBreak();
    expect(r(IIR)).toBe(0xc6);
    expect(r(LSR)).toBe(0xf1);
    expect(r(IIR)).toBe(0xc4);
    expect(r(DATA)).toBe(0);
    expect(r(IIR)).toBe(0xc2);
    expect(r(IIR)).toBe(0xc0);
    expect(r(MSR)).toBe(0xbb);
    expect(r(IIR)).toBe(0xc1);
    expect(irq).toBe(false);
  });

  it('shows a break when it reaches the head', () => {
    w(FCR, 1);
    give(0x31);
    uart.receiveBreak();
    expect(r(LSR) & 0x91).toBe(0x81);
    r(DATA);
    expect(r(LSR) & 0x91).toBe(0x91);
    r(DATA);
    expect(r(LSR) & 0x91).toBe(0x00);
  });

  it('follows what is plugged in and tells its own lines', () => {
    uart.setConnected(true);
    expect(r(MSR)).toBe(0xbb);
    expect(r(MSR)).toBe(0xb0);
    uart.setModemInputs(true, true, true, true);
    expect(r(MSR)).toBe(0xf0);
    uart.setModemInputs(true, true, false, false);
    expect(r(MSR)).toBe(0x3c);
    w(MCR, 3);
    w(MCR, 1);
    expect(lines).toEqual([
      [true, true],
      [true, false],
    ]);
    w(LCR, 0x43);
    w(LCR, 0x03);
    expect(breaks).toEqual([true, false]);
  });

  it('loops back data, overruns and modem lines', () => {
    w(MCR, 0x10);
    w(DATA, 0x12);
    w(DATA, 0x34);
    expect([uart.receiveRoom, r(LSR) & 3, r(DATA), sent]).toEqual([0, 3, 0x34, []]);
    r(MSR);
    w(MCR, 0x15);
    expect(r(MSR)).toBe(0x62);
    w(MCR, 0x11);
    expect(r(MSR)).toBe(0x24);
    expect(lines).toEqual([]);
    w(MCR, 0x00);
    expect(rooms).toBe(1);
  });

  it('carries any bytes through in order, whatever the guest reads at a time', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 16 })),
        (bytes, chunk) => {
          uart.reset();
          w(FCR, 0xc1);
          const got: number[] = [];
          let offered = 0;
          while (got.length < bytes.length) {
            offered += uart.receive(bytes.subarray(offered));
            let n = chunk.next().value ?? 1;
            while (n-- > 0 && r(LSR) & 1) got.push(r(DATA));
          }
          expect(got).toEqual([...bytes]);
        },
      ),
    );
  });

  it('resumes from its saved state', () => {
    w(MCR, 0x0b);
    w(FCR, 0x81);
    w(IER, 1);
    give(1, 2, 3);
    const saved = structuredClone(uart.save());
    uart.reset();
    expect([irq, lines.at(-1)]).toEqual([false, [false, false]]);
    uart.restore(saved);
    expect(lines.at(-1)).toEqual([true, true]);
    advance(10e6);
    expect([irq, r(IIR), r(DATA), r(DATA), r(DATA)]).toEqual([true, 0xcc, 1, 2, 3]);
  });
});
