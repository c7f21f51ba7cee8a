/** Auto-detection as a client sees it, on the wire. Values from [MS-RDPBCGR] 2.2.14. */
import { describe, expect, it } from 'vitest';
import { PduReader } from '../pdu/bytes.ts';
import { RoundTrips } from './round-trips.ts';

/** SEC_AUTODETECT_RSP, and an answer to the round trip of that number. */
const answer = (sequence: number, flags = 0x2000, type = 0): PduReader =>
  new PduReader(
    Uint8Array.of(flags & 255, flags >> 8, 0, 0, 6, 1, sequence & 255, sequence >> 8, type & 255, type >> 8),
  );

function measured(tookMs: readonly number[]) {
  const sent: Uint8Array[] = [];
  let now = 5000;
  const trips = new RoundTrips(
    (pdu) => sent.push(pdu),
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
