import { describe, expect, it } from 'vitest';
import { crc32 } from '#base/crc32.ts';
import { CardBench, MAC } from '../card-bench.suite.ts';
import { type CardDriver, describeNetworkCard, ethernetFrame } from '../network-card.suite.ts';
import { E1000 } from './e1000.ts';
import { E1000_MODELS, type E1000ModelName } from './models.ts';

const RING = 8;
const BUFFER_BYTES = 2048;

/** As the SDM's section 14 has it, with legacy descriptors. */
class E1000Driver implements CardDriver {
  bench: CardBench;
  readonly ringSize = RING - 1;
  readonly #base: number;
  #receiveRing = 0;
  #transmitRing = 0;
  transmitTail = 0;
  receiveNext = 0;
  sent: number[] = [];

  constructor(bench: CardBench, base: number) {
    this.bench = bench;
    this.#base = base;
    this.#receiveRing = 0x1_0000;
    this.#transmitRing = 0x1_1000;
  }

  reg(offset: number): number {
    return this.bench.read(this.#base + offset, 4);
  }
  set(offset: number, value: number): void {
    this.bench.write(this.#base + offset, 4, value >>> 0);
  }

  start(): void {
    const { bench } = this;
    // RST, then SLU.
    this.set(0x0000, 0x0400_0000);
    this.set(0x0000, 0x0000_0041);
    for (let i = 0; i < RING; i++) {
      bench.write(this.#receiveRing + i * 16, 4, this.#receiveBuffer(i));
      bench.write(this.#receiveRing + i * 16 + 8, 4, 0);
      bench.write(this.#receiveRing + i * 16 + 12, 4, 0);
    }
    for (const [at, ring] of [
      [0x2800, this.#receiveRing],
      [0x3800, this.#transmitRing],
    ]) {
      this.set(at, ring);
      this.set(at + 4, 0);
      this.set(at + 8, RING * 16);
      this.set(at + 0x10, 0);
      this.set(at + 0x18, 0);
    }
    this.set(0x2818, RING - 1);
    // EN, BAM, SECRC; EN, PSP.
    this.set(0x0100, 0x0400_8002);
    this.set(0x0400, 0x0000_000a);
    this.set(0x00d0, 0x0000_009d);
  }

  readMac(): Uint8Array {
    const [low, high] = [this.reg(0x5400), this.reg(0x5404)];
    return Uint8Array.of(low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8);
  }

  linkUp(): boolean {
    return (this.reg(0x0008) & 2) !== 0;
  }

  send(frame: Uint8Array): void {
    const at = this.#transmitRing + this.transmitTail * 16;
    const buffer = 0x4_0000 + this.transmitTail * BUFFER_BYTES;
    this.bench.memory.write(buffer, frame);
    this.bench.write(at, 4, buffer);
    this.bench.write(at + 4, 4, 0);
    // EOP, IFCS, RS.
    this.bench.write(at + 8, 4, (0x0b00_0000 | frame.length) >>> 0);
    this.bench.write(at + 12, 4, 0);
    this.sent.push(at);
    this.transmitTail = (this.transmitTail + 1) % RING;
    this.set(0x3818, this.transmitTail);
  }

  sentCount(): number {
    return this.sent.filter((at) => (this.bench.read(at + 12, 1) & 1) !== 0).length;
  }

  receive(): Uint8Array[] {
    const frames = this.receiveAndHold();
    this.release();
    return frames;
  }

  receiveAndHold(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (;;) {
      const at = this.#receiveRing + this.receiveNext * 16;
      if ((this.bench.read(at + 12, 1) & 1) === 0) return frames;
      frames.push(this.bench.bytes(this.#receiveBuffer(this.receiveNext), this.bench.read(at + 8, 2)));
      this.bench.write(at + 12, 1, 0);
      this.receiveNext = (this.receiveNext + 1) % RING;
    }
  }

  release(): void {
    this.set(0x2818, (this.receiveNext + RING - 1) % RING);
  }

  acknowledge(): void {
    this.reg(0x00c0);
  }

  setPromiscuous(on: boolean): void {
    this.set(0x0100, on ? 0x0400_801a : 0x0400_8002);
  }

  addMulticast(address: Uint8Array): void {
    const hash = ((address[4] >> 4) | (address[5] << 4)) & 0xfff;
    const register = 0x5200 + (hash >> 5) * 4;
    this.set(register, this.reg(register) | (1 << (hash & 31)));
  }

  #receiveBuffer(i: number): number {
    return 0x2_0000 + i * BUFFER_BYTES;
  }
}

for (const name of Object.keys(E1000_MODELS) as E1000ModelName[]) {
  describeNetworkCard(name, {
    make: (parts) => new E1000({ ...parts, model: name }),
    driver: (bench, bases) => new E1000Driver(bench, bases[0]),
    id: ((E1000_MODELS[name].deviceId << 16) | 0x8086) >>> 0,
  });
}

function running(name: E1000ModelName = '82540EM') {
  const bench = new CardBench((parts) => new E1000({ ...parts, model: name }));
  const bases = bench.enable();
  const driver = new E1000Driver(bench, bases[0]);
  driver.start();
  bench.pass(1e9);
  driver.acknowledge();
  return { bench, bases, driver };
}

describe('8254x EEPROM', () => {
  it('is read by EERD and has the checksum BABAh', () => {
    const { driver } = running();
    const words = Array.from({ length: 64 }, (_, i) => {
      driver.set(0x14, (i << 8) | 1);
      expect(driver.reg(0x14) & 0x10).toBe(0x10);
      return driver.reg(0x14) >>> 16;
    });
    expect(words.slice(0, 3)).toEqual([0x0008, 0x1227, 0x5634]);
    expect(words.reduce((a, b) => a + b, 0) & 0xffff).toBe(0xbaba);
  });

  it.each(['82540EM', '82543GC'] as const)('is read, written and read on through pins: %s', (name) => {
    const { driver } = running(name);
    const pins = (value: number) => driver.set(0x10, value | 0x40);
    const shiftOut = (bits: number, count: number) => {
      for (let i = count - 1; i >= 0; i--) {
        const data = ((bits >> i) & 1) << 2;
        pins(2 | data);
        pins(3 | data);
        pins(2 | data);
      }
    };
    const shiftIn = () => {
      let word = 0;
      for (let i = 0; i < 16; i++) {
        pins(3);
        word = (word << 1) | ((driver.reg(0x10) >> 3) & 1);
        pins(2);
      }
      return word;
    };
    const command = (bits: number, then: () => void) => {
      pins(0);
      pins(2);
      shiftOut(bits, 9);
      then();
      pins(0);
    };
    command((6 << 6) | 1, () => expect([shiftIn(), shiftIn()]).toEqual([0x1227, 0x5634]));
    // Not enabled: nothing is written.
    command((5 << 6) | 9, () => shiftOut(0x1234, 16));
    command((6 << 6) | 9, () => expect(shiftIn()).toBe(0xffff));
    command((4 << 6) | 0x30, () => {});
    command((5 << 6) | 9, () => shiftOut(0x1234, 16));
    command((6 << 6) | 9, () => expect(shiftIn()).toBe(0x1234));
  });
});

describe('8254x PHY', () => {
  it('is reached by MDIC on the 82540EM', () => {
    const { driver } = running();
    const read = (register: number, phy = 1) => {
      driver.set(0x20, (2 << 26) | (phy << 21) | (register << 16));
      return driver.reg(0x20);
    };
    expect([read(2) & 0xffff, read(3) & 0xfff0]).toEqual([0x0141, 0x0c20]);
    expect(read(1) & 0x24).toBe(0x24);
    expect(read(2, 5) & 0x4000_0000).not.toBe(0);
    // Restart of auto-negotiation: the link goes and comes, each time with an interrupt.
    driver.acknowledge();
    driver.set(0x20, (1 << 26) | (1 << 21) | 0x1340);
    expect(driver.linkUp()).toBe(false);
    expect(driver.reg(0xc0) & 4).toBe(4);
    driver.bench.pass(1e9);
    expect(driver.linkUp()).toBe(true);
    expect(driver.reg(0xc0) & 4).toBe(4);
  });

  it('is reached by pins of the control register on the 82543GC', () => {
    const { driver } = running('82543GC');
    const base = 0x0241;
    const clockOut = (bits: number, count: number) => {
      for (let i = count - 1; i >= 0; i--) {
        const value = base | 0x0300_0000 | (((bits >>> i) & 1) << 20);
        driver.set(0, value);
        driver.set(0, value | 0x0020_0000);
        driver.set(0, value);
      }
    };
    const read = (register: number) => {
      clockOut(0xffff_ffff, 32);
      clockOut((6 << 10) | (1 << 5) | register, 14);
      const input = base | 0x0200_0000;
      driver.set(0, input);
      driver.set(0, input | 0x0020_0000);
      driver.set(0, input);
      let word = 0;
      for (let i = 0; i < 16; i++) {
        driver.set(0, input | 0x0020_0000);
        word = (word << 1) | ((driver.reg(0) >>> 20) & 1);
        driver.set(0, input);
      }
      driver.set(0, input | 0x0020_0000);
      driver.set(0, input);
      return word;
    };
    const write = (register: number, value: number) => {
      clockOut(0xffff_ffff, 32);
      clockOut(((0x5 << 12) | (1 << 7) | (register << 2) | 2) * 1, 16);
      clockOut(value, 16);
    };
    expect([read(2), read(3) & 0xfff0]).toEqual([0x0141, 0x0c50]);
    write(4, 0x0de1);
    expect(read(4)).toBe(0x0de1);
  });
});

describe('8254x interrupts', () => {
  it('are throttled by ITR', () => {
    const { bench, driver } = running();
    driver.set(0xc4, 400); // 102.4 us
    bench.far.send(ethernetFrame(MAC, 60));
    expect(bench.interrupt).toBe(true);
    driver.acknowledge();
    bench.far.send(ethernetFrame(MAC, 60));
    expect(bench.interrupt).toBe(false);
    bench.pass(102_000);
    expect(bench.interrupt).toBe(false);
    bench.pass(1000);
    expect(bench.interrupt).toBe(true);
  });

  it('of received frames wait for RDTR and no longer than RADV', () => {
    const { bench, driver } = running();
    driver.set(0x2820, 100); // 102.4 us after the last
    driver.set(0x282c, 250); // 256 us after the first
    for (let i = 0; i < 3; i++) {
      bench.far.send(ethernetFrame(MAC, 60));
      expect(bench.interrupt).toBe(false);
      bench.pass(80_000);
      driver.receive();
    }
    expect(bench.interrupt).toBe(false);
    bench.far.send(ethernetFrame(MAC, 60));
    bench.pass(15_000);
    expect(bench.interrupt).toBe(false);
    bench.pass(2000);
    expect(bench.interrupt).toBe(true);
    driver.acknowledge();
    bench.far.send(ethernetFrame(MAC, 60));
    driver.set(0x2820, 0x8000_0064);
    expect(bench.interrupt).toBe(true);
  });
});

/** An IPv4 packet whose checksums the sender left to the card, as Linux does: sum of the pseudo-header in their place. */
function tcpPacket(payload: number, pseudoLength: number): Uint8Array {
  const frame = new Uint8Array(54 + payload).map((_, i) => i * 3);
  frame.set([...MAC, ...MAC, 8, 0, 0x45, 0, 0, 0, 0xff, 0xfe, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2], 0);
  new DataView(frame.buffer).setUint16(16, 40 + payload);
  const sum = 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 6 + pseudoLength;
  // Ports 1 and 2, sequence FFFF_FF00h, flags CWR, PSH, ACK, FIN.
  frame.set([0, 1, 0, 2, 0xff, 0xff, 0xff, 0, 0, 0, 0, 7, 0x50, 0x99, 1, 0, sum >> 8, sum, 0, 0], 34);
  return frame;
}

const sum16 = (bytes: Uint8Array, start = 0): number => {
  let sum = start;
  bytes.forEach((byte, i) => {
    sum += i % 2 === 0 ? byte * 256 : byte;
  });
  return sum % 0xffff;
};
/** Both sums of an IPv4 TCP frame are right. */
const isSound = (frame: Uint8Array): boolean => {
  const length = frame[16] * 256 + frame[17];
  const pseudo = sum16(frame.subarray(26, 34), 6 + length - 20);
  return sum16(frame.subarray(14, 34)) === 0 && sum16(frame.subarray(34, 14 + length), pseudo) === 0;
};

describe('8254x offloads', () => {
  const sendExtended = (driver: E1000Driver, packet: Uint8Array, options: { mss: number; vlan?: number }) => {
    const { bench } = driver;
    const segment = options.mss > 0 ? 4 : 0;
    const context = 0x1_1000;
    bench.memory.write(0x8_0000, packet);
    // IPCSS, IPCSO, IPCSE; TUCSS, TUCSO, TUCSE.
    bench.write(context, 4, (33 << 16) | (24 << 8) | 14);
    bench.write(context + 4, 4, (50 << 8) | 34);
    bench.write(context + 8, 4, (((0x20 | segment | 3) << 24) | (packet.length - 54)) >>> 0);
    bench.write(context + 12, 4, ((options.mss << 16) | (54 << 8)) >>> 0);
    const halves = [100, packet.length - 100];
    halves.forEach((length, i) => {
      const at = context + 16 + i * 16;
      const command = 0x20 | segment | (i === 1 ? 9 : 0) | (options.vlan === undefined ? 0 : 0x40);
      bench.write(at, 4, 0x8_0000 + i * 100);
      bench.write(at + 4, 4, 0);
      bench.write(at + 8, 4, ((command << 24) | (1 << 20) | length) >>> 0);
      bench.write(at + 12, 4, (((options.vlan ?? 0) << 16) | (3 << 8)) >>> 0);
    });
    driver.set(0x3818, 3);
  };

  it('insert the checksums of IP and TCP', () => {
    const { bench, driver } = running();
    sendExtended(driver, tcpPacket(501, 521), { mss: 0 });
    expect(bench.inbox.frames.length).toBe(1);
    expect(isSound(bench.inbox.frames[0])).toBe(true);
    expect(bench.inbox.frames[0].subarray(54)).toEqual(tcpPacket(501, 0).subarray(54));
  });

  it('cut a TCP stream into segments, also while the cable is full', () => {
    const { bench, driver } = running();
    bench.inbox.room = 2;
    const packet = tcpPacket(5000, 0);
    sendExtended(driver, packet, { mss: 1460 });
    expect(bench.inbox.frames.length).toBe(2);
    bench.inbox.room = 9;
    bench.far.resume();
    const { frames } = bench.inbox;
    expect(frames.map((frame) => frame.length)).toEqual([1514, 1514, 1514, 54 + 620]);
    for (const frame of frames) expect(isSound(frame)).toBe(true);
    const view = frames.map((frame) => new DataView(frame.buffer));
    expect(view.map((v) => v.getUint16(18))).toEqual([0xfffe, 0xffff, 0, 1]);
    expect(view.map((v) => v.getUint32(38))).toEqual([0xffff_ff00, 0x4b4, 0xa68, 0x101c]);
    // CWR in the first, PSH and FIN in the last only.
    expect(frames.map((frame) => frame[47])).toEqual([0x90, 0x10, 0x10, 0x19]);
    expect(Buffer.concat(frames.map((frame) => frame.subarray(54)))).toEqual(Buffer.from(packet.subarray(54)));
    expect(driver.reg(0x40f8)).toBe(1);
  });

  it('tag and untag VLANs', () => {
    const { bench, driver } = running();
    driver.set(0, 0x4000_0041);
    sendExtended(driver, tcpPacket(501, 521), { mss: 0, vlan: 0x3007 });
    const [tagged] = bench.inbox.frames;
    expect([...tagged.subarray(12, 18)]).toEqual([0x81, 0, 0x30, 7, 8, 0]);
    const untagged = Uint8Array.of(...tagged.subarray(0, 12), ...tagged.subarray(16));
    expect(isSound(untagged)).toBe(true);
    // Back in: the tag is in the descriptor, and VLAN 8 is not let in.
    driver.set(0x0100, 0x0404_8002);
    driver.set(0x5600, 1 << 7);
    bench.far.send(tagged);
    const other = tagged.slice();
    other[15] = 8;
    bench.far.send(other);
    expect(bench.read(0x1_0000 + 14, 2)).toBe(0x3007);
    expect(bench.read(0x1_0000 + 12, 1) & 8).toBe(8);
    expect(driver.receive()).toEqual([untagged]);
  });

  it('check what comes in', () => {
    const { bench, driver } = running();
    driver.set(0x5000, 0x300);
    sendExtended(driver, tcpPacket(501, 521), { mss: 0 });
    const [good] = bench.inbox.frames;
    const [badTcp, badIp] = [good.slice(), good.slice()];
    badTcp[200]++;
    badIp[22]++;
    for (const frame of [good, badTcp, badIp]) bench.far.send(frame);
    const status = (i: number) => bench.read(0x1_0000 + i * 16 + 12, 2);
    // IPCS and TCPCS; TCPE; IPE.
    expect([0, 1, 2].map((i) => (status(i) & 0x6060).toString(16))).toEqual(['60', '2060', '4040']);
  });

  it('leave the frame check sequence to the driver when asked', () => {
    const { bench, driver } = running();
    driver.set(0x0100, 0x8002);
    const frame = ethernetFrame(MAC, 100);
    bench.far.send(frame);
    const [got] = driver.receive();
    expect(got.length).toBe(104);
    expect(new DataView(got.buffer).getUint32(100, true)).toBe(crc32(frame));
  });

  it('take jumbo frames over several buffers with LPE only', () => {
    const { bench, driver } = running();
    const frame = ethernetFrame(MAC, 9014);
    expect(bench.far.send(frame)).toBe(true);
    expect(driver.receive()).toEqual([]);
    expect(driver.reg(0x40ac)).toBe(1);
    driver.set(0x0100, 0x0400_8022);
    expect(bench.far.send(frame)).toBe(true);
    const parts = driver.receive();
    expect(parts.map((part) => part.length)).toEqual([2048, 2048, 2048, 2048, 822]);
    expect(Buffer.concat(parts)).toEqual(Buffer.from(frame));
  });
});

describe('8254x statistics', () => {
  it('count by kind and size, and are cleared by reading', () => {
    const { bench, driver } = running();
    for (const length of [60, 61, 124, 1514]) bench.far.send(ethernetFrame(MAC, length));
    driver.send(
      ethernetFrame(
        MAC.map(() => 255),
        60,
      ),
    );
    // 64, 65-127, 128-255, 1024 and more; good frames, octets.
    expect([0x405c, 0x4060, 0x4064, 0x4070, 0x4074].map((at) => driver.reg(at))).toEqual([1, 1, 1, 1, 4]);
    expect([driver.reg(0x4088), driver.reg(0x408c), driver.reg(0x4088)]).toEqual([1759 + 16, 0, 0]);
    expect([driver.reg(0x4080), driver.reg(0x40f4), driver.reg(0x40d8)]).toEqual([1, 1, 1]);
    expect(driver.reg(0x4074)).toBe(0);
  });
});

describe('8254x registers through ports', () => {
  it('are the same', () => {
    const { bench, bases, driver } = running('82545EM');
    bench.ports.write(bases[2], 4, 0x0038);
    expect(bench.ports.read(bases[2] + 4, 4)).toBe(0x8100);
    bench.ports.write(bases[2] + 4, 4, 0x88a8);
    expect(driver.reg(0x38)).toBe(0x88a8);
    // Reset by port, as Linux does it.
    bench.ports.write(bases[2], 4, 0);
    bench.ports.write(bases[2] + 4, 4, 0x0400_0000);
    expect(driver.reg(0x38)).toBe(0x8100);
  });
});
