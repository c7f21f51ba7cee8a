import { describe, expect, it } from 'vitest';
import { crc32 } from '#base/crc32.ts';
import { CardBench, MAC } from '../card-bench.suite.ts';
import { type CardDriver, describeNetworkCard, ethernetFrame } from '../network-card.suite.ts';
import { Pcnet, type PcnetModelName } from './pcnet.ts';

const RING = 8;
const BUFFER_BYTES = 1600;
const RECEIVE_RING = 0x1_0000;
const TRANSMIT_RING = 0x1_1000;
const INIT_BLOCK = 0x1_2000;
const BUFFERS = 0x2_0000;

type Style = 0 | 2 | 3;

/** As the data sheet's "Software access" has it, in one of the styles, with words or double words. */
class PcnetDriver implements CardDriver {
  bench: CardBench;
  readonly ringSize = RING;
  readonly #base: number;
  readonly style: Style;
  readonly wide: boolean;
  transmitNext = 0;
  receiveNext = 0;
  held: number[] = [];
  sent: number[] = [];
  mode = 0;
  filter: number[] = [0, 0, 0, 0];

  constructor(bench: CardBench, base: number, style: Style, wide: boolean) {
    this.bench = bench;
    this.#base = base;
    this.style = style;
    this.wide = wide;
  }

  #port(which: number): number {
    return this.#base + 0x10 + which * (this.wide ? 4 : 2);
  }
  #out(which: number, value: number): void {
    this.bench.ports.write(this.#port(which), this.wide ? 4 : 2, value);
  }
  #in(which: number): number {
    return this.bench.ports.read(this.#port(which), this.wide ? 4 : 2) & 0xffff;
  }
  csr(number: number): number {
    this.#out(1, number);
    return this.#in(0);
  }
  setCsr(number: number, value: number): void {
    this.#out(1, number);
    this.#out(0, value);
  }
  bcr(number: number): number {
    this.#out(1, number);
    return this.#in(3);
  }
  setBcr(number: number, value: number): void {
    this.#out(1, number);
    this.#out(3, value);
  }

  start(): void {
    if (this.wide) this.bench.ports.write(this.#base + 0x10, 4, 0);
    this.#in(2);
    this.setBcr(20, this.style);
    for (let i = 0; i < RING; i++) this.#giveReceive(i);
    this.#writeInitBlock();
    this.setCsr(1, INIT_BLOCK & 0xffff);
    this.setCsr(2, INIT_BLOCK >>> 16);
    this.setCsr(0, 1);
    expect(this.csr(0) & 0x100).toBe(0x100);
    this.setCsr(0, 0x0142);
  }

  /** Stops and starts with another mode or filter. */
  #restart(): void {
    this.setCsr(0, 4);
    this.setCsr(15, this.mode);
    this.filter.forEach((word, i) => {
      this.setCsr(8 + i, word);
    });
    this.setCsr(0, 0x42);
  }

  #writeInitBlock(): void {
    const { bench } = this;
    const words =
      this.style === 0
        ? [
            ...[0, 0x0008, 0x1227, 0x5634, 0, 0, 0, 0],
            ...[RECEIVE_RING & 0xffff, (3 << 13) | (RECEIVE_RING >> 16)],
            ...[TRANSMIT_RING & 0xffff, (3 << 13) | (TRANSMIT_RING >> 16)],
          ]
        : [
            ...[0, (3 << 12) | (3 << 4), 0x0008, 0x1227, 0x5634, 0, 0, 0, 0, 0],
            ...[RECEIVE_RING & 0xffff, RECEIVE_RING >>> 16, TRANSMIT_RING & 0xffff, TRANSMIT_RING >>> 16],
          ];
    words.forEach((word, i) => {
      bench.write(INIT_BLOCK + i * 2, 2, word);
    });
  }

  readMac(): Uint8Array {
    return Uint8Array.from({ length: 6 }, (_, i) => this.bench.ports.read(this.#base + i, 1));
  }

  linkUp(): boolean {
    return (this.bcr(4) & 0x8000) !== 0;
  }

  /** One descriptor. @param flags bits 31 to 16 */
  #write(ring: number, index: number, buffer: number, byteCount: number, flags: number): void {
    const { bench, style } = this;
    const count = 0x1_0000 - byteCount;
    if (style === 0) {
      const at = ring + index * 8;
      bench.write(at, 2, buffer & 0xffff);
      bench.write(at + 4, 2, count);
      bench.write(at + 6, 2, 0);
      bench.write(at + 2, 2, flags | (buffer >> 16));
      return;
    }
    const at = ring + index * 16;
    bench.write(at + (style === 3 ? 8 : 0), 4, buffer);
    bench.write(at + (style === 3 ? 0 : 8), 4, 0);
    bench.write(at + 4, 4, ((flags << 16) | count) >>> 0);
  }

  #flags(ring: number, index: number): number {
    return this.style === 0
      ? this.bench.read(ring + index * 8 + 2, 2) & 0xff00
      : this.bench.read(ring + index * 16 + 6, 2);
  }

  #messageBytes(index: number): number {
    if (this.style === 0) return this.bench.read(RECEIVE_RING + index * 8 + 6, 2);
    return this.bench.read(RECEIVE_RING + index * 16 + (this.style === 3 ? 0 : 8), 2);
  }

  /** TMD2 or TMD3. */
  transmitErrors(index: number): number {
    if (this.style === 0) return this.bench.read(TRANSMIT_RING + index * 8 + 6, 2);
    return this.bench.read(TRANSMIT_RING + index * 16 + (this.style === 3 ? 2 : 10), 2);
  }
  transmitFlags(index: number): number {
    return this.#flags(TRANSMIT_RING, index);
  }

  #giveReceive(i: number): void {
    this.#write(RECEIVE_RING, i, BUFFERS + i * BUFFER_BYTES, BUFFER_BYTES, 0x8000);
  }

  /** In two buffers, handed over last first. */
  send(frame: Uint8Array): void {
    this.place(frame);
    this.setCsr(0, 0x48);
  }

  /** Hands a frame over and says nothing. */
  place(frame: Uint8Array): void {
    const at = BUFFERS + 0x8000 + this.transmitNext * BUFFER_BYTES;
    this.bench.memory.write(at, frame);
    const [first, second] = [this.transmitNext, (this.transmitNext + 1) % RING];
    this.#write(TRANSMIT_RING, second, at + 20, frame.length - 20, 0x8100);
    this.#write(TRANSMIT_RING, first, at, 20, 0x8200);
    this.sent.push(second);
    this.transmitNext = (this.transmitNext + 2) % RING;
  }

  sentCount(): number {
    return (
      this.sent.length - this.sent.slice(-RING / 2).filter((i) => (this.#flags(TRANSMIT_RING, i) & 0x8000) !== 0).length
    );
  }

  receive(): Uint8Array[] {
    const frames = this.receiveAndHold();
    this.release();
    return frames;
  }

  receiveAndHold(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (;;) {
      const i = this.receiveNext;
      const flags = this.#flags(RECEIVE_RING, i);
      if ((flags & 0x8000) !== 0 || this.held.length === RING) return frames;
      expect(flags & 0xff00).toBe(0x0300);
      const bytes = this.bench.bytes(BUFFERS + i * BUFFER_BYTES, this.#messageBytes(i));
      const fcs = new DataView(bytes.buffer).getUint32(bytes.length - 4, true);
      expect(fcs).toBe(crc32(bytes, bytes.length - 4));
      frames.push(bytes.subarray(0, -4));
      this.held.push(i);
      this.receiveNext = (i + 1) % RING;
    }
  }

  release(): void {
    for (const i of this.held.splice(0)) this.#giveReceive(i);
    // No register tells the card: it looks for itself.
    this.bench.pass(200_000_000);
  }

  acknowledge(): void {
    this.setCsr(0, 0x7f40);
  }

  setPromiscuous(on: boolean): void {
    this.mode = on ? 0x8000 : 0;
    this.#restart();
  }

  addMulticast(address: Uint8Array): void {
    const hash = ~crc32(address) >>> 26;
    this.filter[hash >> 4] |= 1 << (hash & 15);
    this.#restart();
  }
}

const VARIANTS: readonly (readonly [PcnetModelName, Style, boolean])[] = [
  ['Am79C970A', 0, false],
  ['Am79C973', 2, true],
  ['Am79C973', 3, false],
];
for (const [model, style, wide] of VARIANTS) {
  describeNetworkCard(`${model} in style ${style}, ${wide ? 'double words' : 'words'}`, {
    make: (parts) => new Pcnet({ ...parts, model }),
    driver: (bench, bases) => new PcnetDriver(bench, bases[0], style, wide),
    id: 0x2000_1022,
  });
}

function running(model: PcnetModelName = 'Am79C973', style: Style = 2, wide = false) {
  const bench = new CardBench((parts) => new Pcnet({ ...parts, model }));
  const bases = bench.enable();
  const driver = new PcnetDriver(bench, bases[0], style, wide);
  driver.start();
  driver.acknowledge();
  return { bench, bases, driver };
}

describe('PCnet registers', () => {
  it('name the chip and its address PROM', () => {
    const { bench, bases, driver } = running('Am79C970A');
    expect([driver.csr(88), driver.csr(89)]).toEqual([0x1003, 0x0262]);
    const prom = Array.from({ length: 16 }, (_, i) => bench.ports.read(bases[0] + i, 1));
    const sum = prom.reduce((a, b, i) => (i === 12 || i === 13 ? a : a + b), 0);
    expect([prom[12] + prom[13] * 256, prom[14], prom[15], prom[9]]).toEqual([sum, 0x57, 0x57, 0x11]);
  });

  it('stop at a reset and keep word access, until a double word is written', () => {
    const { bench, bases, driver } = running('Am79C973', 0, false);
    bench.ports.read(bases[0] + 0x14, 2);
    expect(driver.csr(0)).toBe(4);
    expect(driver.bcr(18) & 0x80).toBe(0);
    bench.ports.write(bases[0] + 0x10, 4, 4);
    bench.ports.write(bases[0] + 0x14, 4, 18);
    expect(bench.ports.read(bases[0] + 0x1c, 4) & 0x80).toBe(0x80);
  });

  it('are the same in memory', () => {
    const { bench, bases } = running();
    bench.write(bases[1] + 0x12, 2, 89);
    expect(bench.read(bases[1] + 0x10, 2)).toBe(0x0262);
    expect(bench.read(bases[1], 4)).toBe(0x1227_0008);
  });

  it('reach the PHY of the Am79C973 and none on the Am79C970A', () => {
    const { driver } = running('Am79C973');
    const mii = (d: PcnetDriver, phy: number, register: number) => {
      d.setBcr(33, (phy << 5) | register);
      return d.bcr(34);
    };
    expect([mii(driver, 30, 2), mii(driver, 30, 3) & 0xfff0, mii(driver, 1, 2)]).toEqual([0, 0x6b60, 0xffff]);
    expect(mii(driver, 30, 1) & 0x24).toBe(0x24);
    driver.bench.cable.connected = false;
    expect(mii(driver, 30, 1) & 0x24).toBe(0);
    expect(mii(running('Am79C970A').driver, 30, 2)).toBe(0);
  });
});

describe('PCnet interrupts', () => {
  it('are masked by CSR3, CSR0 and cleared by ones', () => {
    const { bench, driver } = running();
    driver.setCsr(3, 0x0400);
    bench.far.send(ethernetFrame(MAC, 60));
    expect([bench.interrupt, driver.csr(0) & 0x480]).toEqual([false, 0x400]);
    driver.setCsr(3, 0);
    expect([bench.interrupt, driver.csr(0) & 0x480]).toEqual([true, 0x480]);
    driver.setCsr(0, 0);
    expect(bench.interrupt).toBe(false);
    driver.setCsr(0, 0x0440);
    expect([bench.interrupt, driver.csr(0) & 0x480]).toEqual([false, 0]);
  });
});

describe('PCnet rings', () => {
  it('are looked at now and then without being told', () => {
    const { bench, driver } = running();
    const frame = ethernetFrame(MAC, 100);
    bench.pass(1_000_000_000);
    driver.place(frame);
    expect(bench.inbox.frames).toEqual([]);
    bench.pass(100_000_000);
    expect(bench.inbox.frames).toEqual([frame]);
  });

  it('are left alone with automatic polling off, and while suspended', () => {
    const { bench, driver } = running();
    driver.setCsr(4, 0x1115);
    bench.pass(1_000_000_000);
    driver.place(ethernetFrame(MAC, 100));
    bench.pass(1_000_000_000);
    expect(bench.inbox.frames).toEqual([]);
    driver.setCsr(5, 1);
    expect(driver.csr(5) & 1).toBe(1);
    driver.setCsr(0, 0x48);
    expect(bench.inbox.frames).toEqual([]);
    driver.setCsr(5, 0);
    expect(bench.inbox.frames.length).toBe(1);
  });

  it('tell of a lost carrier', () => {
    const { bench, driver } = running('Am79C970A', 0);
    bench.cable.connected = false;
    driver.send(ethernetFrame(MAC, 100));
    expect([driver.transmitFlags(1) & 0xc000, driver.transmitErrors(1) & 0x0800]).toEqual([0x4000, 0x0800]);
  });

  it('carry frames round inside in loopback', () => {
    const { bench, driver } = running();
    driver.setCsr(0, 4);
    driver.setCsr(15, 0x0044);
    driver.setCsr(0, 0x42);
    const frame = ethernetFrame(MAC, 100);
    driver.send(frame);
    expect(bench.inbox.frames).toEqual([]);
    expect(driver.receive()).toEqual([frame]);
  });

  it('have padding added and taken away when asked', () => {
    const { bench, driver } = running();
    driver.setCsr(4, 0x0d15);
    driver.send(ethernetFrame(MAC, 40));
    expect(bench.inbox.frames[0].length).toBe(60);
    const frame = ethernetFrame(MAC, 60);
    frame.set([0, 5], 12);
    bench.far.send(frame);
    expect(bench.read(RECEIVE_RING + 8, 2)).toBe(19);
  });
});
