/** Auto-detection as a client sees it, on the wire. Values from [MS-RDPBCGR] 2.2.14. */
import { describe, expect, it } from 'vitest';
import { PduReader } from '../pdu/bytes.ts';
import { NetworkDetection } from './network-detection.ts';

/** SEC_AUTODETECT_RSP, and an answer to the round trip of that number. */
const answer = (sequence: number, flags = 0x2000, type = 0): PduReader =>
  new PduReader(
    Uint8Array.of(flags & 255, flags >> 8, 0, 0, 6, 1, sequence & 255, sequence >> 8, type & 255, type >> 8),
  );

function measured(tookMs: readonly number[]) {
  const sent: Uint8Array[] = [];
  let now = 5000;
  const trips = new NetworkDetection(
    (pdu: Uint8Array) => sent.push(pdu),
    () => now,
  );
  const requests = (): Uint8Array[] => sent.filter((pdu) => pdu[4] === 1 && pdu[5] === 0);
  for (const ms of tookMs) {
    now += 1000;
    trips.sending();
    const last = requests().at(-1) ?? new Uint8Array(4);
    now += ms;
    trips.receive(answer(last[2] | (last[3] << 8)));
  }
  return {
    ...{ trips, sent, requests },
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('round trips', () => {
  it('are measured at most once a second, and not while an answer is on its way', () => {
    const { trips, requests, pass } = measured([]);
    trips.sending();
    expect(requests()).toEqual([Uint8Array.of(6, 0, 1, 0, 1, 0)]);
    pass(9999);
    trips.sending();
    expect(requests()).toHaveLength(1);
    // Lost.
    pass(1);
    trips.sending();
    expect(requests().slice(1)).toEqual([Uint8Array.of(6, 0, 2, 0, 1, 0)]);
    trips.receive(answer(2));
    pass(999);
    trips.sending();
    expect(requests()).toHaveLength(2);
    pass(1);
    trips.sending();
    expect(requests()).toHaveLength(3);
  });

  it.each([
    [[], 2],
    [[1], 2],
    [[100], 5],
    [[5000], 8],
    // Others have waited behind pictures.
    [[100, 900, 400], 5],
    // It is another way by now.
    [[10, ...new Array<number>(8).fill(100)], 5],
  ])('of %j ms let %i frames be under way', (tookMs, frames) => {
    expect(measured(tookMs).trips.framesInFlight).toBe(frames);
  });

  it('count by the answer to the last question alone', () => {
    const { trips, pass } = measured([]);
    trips.sending();
    pass(100);
    for (const other of [answer(2), answer(1, 0x4000), answer(1, 0x2000, 3)]) trips.receive(other);
    expect(trips.framesInFlight).toBe(2);
    trips.receive(answer(1));
    trips.receive(answer(1));
    expect(trips.framesInFlight).toBe(5);
    expect(() => trips.receive(new PduReader(Uint8Array.of(0, 0x20, 0, 0, 6, 1)))).toThrow('too early');
  });

  it('are told to the client after four: the shortest, and the average', () => {
    const { sent } = measured([10, 20, 30, 300]);
    expect(sent.at(-1)).toEqual(Uint8Array.of(14, 0, 5, 0, 0x40, 8, 10, 0, 0, 0, 90, 0, 0, 0));
    expect(sent).toHaveLength(5);
  });
});

/** A way that carries so much, and a client behind it that counts and answers as [MS-RDPBCGR] 3.2.5.14 wants it. */
class SlowWay {
  now = 5000;
  readonly results: Uint8Array[] = [];
  starts = 0;
  stops = 0;
  readonly trips: NetworkDetection;
  bytesAMs: number;
  readonly #delayMs: number;
  readonly #answers: { readonly at: number; readonly reader: PduReader }[] = [];
  readonly #queue: { readonly bytes: number; readonly pdu: Uint8Array | undefined; readonly leftMs: number }[] = [];
  /** Bytes of the first that are over. */
  #over = 0;
  #counting: { sinceMs: number; bytes: number } | undefined;
  answers = true;

  /** @param delayMs that an answer takes */
  constructor(bytesAMs: number, delayMs = 0) {
    this.bytesAMs = bytesAMs;
    this.#delayMs = delayMs;
    this.trips = new NetworkDetection(
      (pdu) => this.put(pdu.length, pdu),
      () => this.now,
    );
  }

  get queued(): number {
    return this.#queue.reduce((sum, { bytes }) => sum + bytes, 0) - this.#over;
  }

  put(bytes: number, pdu?: Uint8Array): void {
    this.trips.sent(bytes);
    this.#queue.push({ bytes, pdu, leftMs: this.now });
  }

  show(bytes: number, pixels = 640 * 360): boolean {
    if (!this.trips.hasRoom) return false;
    this.trips.sending(pixels);
    this.put(bytes);
    this.trips.isSent();
    return true;
  }

  /** A millisecond. */
  tick(): void {
    this.now++;
    this.#over += this.bytesAMs;
    while (this.#queue.length > 0 && this.#over >= this.#queue[0].bytes) {
      const [{ bytes, pdu }] = this.#queue.splice(0, 1);
      this.#over -= bytes;
      if (this.#counting) this.#counting.bytes += bytes;
      if (pdu && this.answers) this.#take(pdu);
    }
    if (this.#queue.length === 0) this.#over = 0;
    while (this.#answers.length > 0 && this.#answers[0].at <= this.now) {
      const [{ reader }] = this.#answers.splice(0, 1);
      this.trips.receive(reader);
    }
  }

  #say(reader: PduReader): void {
    this.#answers.push({ at: this.now + this.#delayMs, reader });
  }

  #take(pdu: Uint8Array): void {
    const type = pdu[4] | (pdu[5] << 8);
    const sequence = pdu[2] | (pdu[3] << 8);
    if (type === 1) this.#say(answer(sequence));
    else if (type === 0x14) {
      this.starts++;
      this.#counting = { sinceMs: this.now, bytes: 0 };
    } else if (type === 0x429 && this.#counting) {
      this.stops++;
      this.#say(counted(sequence, this.now - this.#counting.sinceMs, this.#counting.bytes));
      this.#counting = undefined;
    } else this.results.push(pdu);
  }
}

/** RDP_BW_RESULTS. */
function counted(sequence: number, tookMs: number, byteCount: number): PduReader {
  const bytes = new Uint8Array(18);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x2000, true);
  bytes.set([14, 1], 4);
  view.setUint16(6, sequence, true);
  view.setUint16(8, 0x0b, true);
  view.setUint32(10, tookMs, true);
  view.setUint32(14, byteCount, true);
  return new PduReader(bytes);
}

describe('bandwidth', () => {
  it.each([
    [250, 55_000],
    [250, 20_000],
    [1250, 55_000],
  ])('of %i bytes a ms is found out with pictures of %i, and no queue grows', (bytesAMs, picture) => {
    const way = new SlowWay(bytesAMs);
    let most = 0;
    let shown = 0;
    for (let ms = 0; ms < 20_000; ms++) {
      if (ms % 33 === 0 && way.show(picture)) shown++;
      way.tick();
      if (ms > 2000) most = Math.max(most, way.queued);
    }
    expect(way.trips.bytesAMs).toBeGreaterThan(bytesAMs * 0.9);
    expect(way.trips.bytesAMs).toBeLessThan(bytesAMs * 1.1);
    // A picture, and what may wait in front of it.
    expect(most / bytesAMs).toBeLessThan(picture / bytesAMs + 150);
    // Nothing of the way is wasted, nor is more shown than there was.
    const could = Math.min(20_000 / 33, (20_000 * bytesAMs) / picture);
    expect(shown).toBeGreaterThan(could * 0.9);
    const [last] = way.results.slice(-1);
    // The shortest round trip, kilobits a second, the average.
    expect([last[0], last[1], last[4], last[5]]).toEqual([18, 0, 0xc0, 8]);
    const told = new DataView(last.buffer, last.byteOffset).getUint32(10, true);
    expect(Math.abs(told - bytesAMs * 8)).toBeLessThan(bytesAMs * 0.8);
  });

  it('that is large slows nothing, and is measured once a second', () => {
    const way = new SlowWay(100_000);
    for (let ms = 0; ms < 10_000; ms++) {
      if (ms % 16 === 0) expect(way.show(200_000)).toBe(true);
      way.tick();
    }
    expect(way.stops).toBeGreaterThan(5);
    expect(way.stops).toBeLessThan(16);
    // What is typed has no part in it.
    const { starts } = way;
    for (let ms = 0; ms < 3000; ms++) {
      if (ms % 100 === 0) way.show(300, 8 * 16);
      way.tick();
    }
    expect(way.starts).toBe(starts);
  });

  it('that is large and far away slows nothing, and is not taken for small where pictures are', () => {
    for (const [every, bytes] of [
      [33, 55_000],
      [150, 60_000],
      [16, 200_000],
    ]) {
      const way = new SlowWay(12_500, 250);
      let late = 0;
      for (let ms = 0; ms < 10_000; ms++) {
        if (ms % every === 0 && !way.show(bytes) && ms > 2000) late++;
        way.tick();
      }
      expect([every, bytes, late]).toEqual([every, bytes, 0]);
      // It carries each of the pictures in a tenth of a second, which is enough for the best quality.
      expect(way.trips.bytesAMs ?? 0).toBeGreaterThan(bytes / 100);
    }
  });

  it('is forgotten after half a minute of little, so that a way that is larger by now is found out', () => {
    const way = new SlowWay(250);
    for (let ms = 0; ms < 5000; ms++) {
      if (ms % 33 === 0) way.show(55_000);
      way.tick();
    }
    expect(way.trips.bytesAMs).toBeCloseTo(250, -2);
    for (let ms = 0; ms < 500; ms++) way.tick();
    way.bytesAMs = 10_000;
    for (let ms = 0; ms < 27_000; ms++) {
      if (ms % 33 === 0) way.show(20_000);
      way.tick();
    }
    expect(way.trips.bytesAMs).toBeCloseTo(250, -2);
    for (let ms = 0; ms < 4000; ms++) way.tick();
    expect(way.trips.bytesAMs).toBeUndefined();
    way.show(100_000);
    for (let ms = 0; ms < 100; ms++) way.tick();
    expect(way.trips.bytesAMs).toBeGreaterThan(8000);
  });

  it('is found out anew when the way is another one', () => {
    const fast = new SlowWay(10_000);
    const results = (took: number): void => {
      for (let i = 0; i < 8; i++) {
        fast.now += 1000;
        fast.trips.sending(640 * 480);
        fast.trips.sent(100_000);
        fast.trips.isSent();
        // The last sequence number is the question's: each is one more.
        for (let sequence = 1; sequence < 60; sequence++) fast.trips.receive(counted(sequence, took, 100_000));
      }
    };
    fast.trips.receive(answer(0));
    results(10);
    expect(fast.trips.bytesAMs).toBe(10_000);
    results(400);
    expect(fast.trips.bytesAMs).toBe(250);
  });

  it.each([
    ['nothing in no time', 0, 0, undefined],
    ['all in no time', 0, 100_000, 100_000],
    ['more than there is', 1, 0xffff_ffff, 0xffff_ffff],
    ['nothing in a month', 0xffff_ffff, 1, 1 / 0xffff_ffff],
  ])('that a client says is %s does not stop its picture', (_, tookMs, byteCount, rate) => {
    const way = new SlowWay(250);
    way.answers = false;
    way.trips.receive(answer(0));
    way.trips.sending(640 * 480);
    way.trips.sent(100_000);
    way.trips.isSent();
    expect(way.trips.hasRoom).toBe(false);
    // Sequence numbers 1 to 3: a round trip, the start, the stop. Only the last is asked, and once.
    for (const sequence of [1, 2, 3, 3]) way.trips.receive(counted(sequence, tookMs, byteCount));
    expect(way.trips.bytesAMs).toBe(rate);
    expect(way.trips.hasRoom).toBe(true);
    for (let i = 0; i < 8; i++) {
      way.trips.sending(640 * 480);
      way.trips.sent(100_000);
      way.trips.isSent();
      for (let sequence = 0; sequence < 100; sequence++) {
        way.trips.receive(counted(sequence, tookMs, byteCount));
        way.trips.receive(answer(sequence));
      }
      expect(way.trips.hasRoom).toBe(true);
    }
  });

  it('is not asked of a client that has never answered, nor waited for', () => {
    const way = new SlowWay(250);
    way.answers = false;
    for (let i = 0; i < 20; i++) expect(way.show(100_000)).toBe(true);
    expect(way.queued).toBeLessThan(20 * 100_000 + 100);
    way.trips.receive(answer(1));
    while (way.show(100_000));
    expect(way.trips.hasRoom).toBe(false);
    way.trips.givesUp();
    for (let i = 0; i < 20; i++) expect(way.show(100_000)).toBe(true);
  });
});
