import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PduError } from '../pdu/bytes.ts';
import { DynamicChannels } from './dynamic-channels.ts';

function opened() {
  const sent: Uint8Array[] = [];
  const got: Uint8Array[] = [];
  let send: ((message: Uint8Array) => void) | undefined;
  let closes = 0;
  const channels = new DynamicChannels(
    (pdu) => sent.push(pdu.slice()),
    [
      {
        name: 'echo',
        opened: (by) => {
          send = by;
        },
        closed: () => closes++,
        received: (message) => got.push(message.slice()),
      },
    ],
  );
  return { channels, sent, got, send: (message: Uint8Array) => send?.(message), closes: () => closes };
}

/** [MS-RDPEDYC] 4.2.1, 4.2.2, 4.3, 4.4: the bytes of its examples, but for the channel's number and name. */
it('opens, carries and closes a channel by the bytes of the specification', () => {
  const { channels, sent, got, send, closes } = opened();
  channels.begin();
  channels.receive(Uint8Array.of(0x50, 0, 1, 0));
  expect(sent).toEqual([Uint8Array.of(0x50, 0, 1, 0), Uint8Array.of(0x10, 1, 0x65, 0x63, 0x68, 0x6f, 0)]);
  channels.receive(Uint8Array.of(0x30, 1, 9));
  expect(got).toEqual([]);
  channels.receive(Uint8Array.of(0x10, 1, 0, 0, 0, 0));
  channels.receive(Uint8Array.of(0x30, 1, 7, 8));
  channels.receive(Uint8Array.of(0x24, 1, 4, 0, 1, 2));
  channels.receive(Uint8Array.of(0x30, 1, 3, 4));
  expect(got).toEqual([Uint8Array.of(7, 8), Uint8Array.of(1, 2, 3, 4)]);
  sent.length = 0;
  send(Uint8Array.of(5));
  expect(sent).toEqual([Uint8Array.of(0x30, 1, 5)]);
  sent.length = 0;
  const long = Uint8Array.from({ length: 4000 }, (_, i) => i);
  send(long);
  expect(sent.map(({ length }) => length)).toEqual([1600, 1600, 810]);
  expect([...sent[0].subarray(0, 6)]).toEqual([0x28, 1, 0xa0, 0x0f, 0, 0]);
  const body = [...sent[0].subarray(6), ...sent[1].subarray(2), ...sent[2].subarray(2)];
  expect(Uint8Array.from(body)).toEqual(long);
  channels.receive(Uint8Array.of(0x40, 1));
  send(long);
  expect([closes(), sent.length]).toEqual([1, 3]);
});

it('is told when the client does not have it', () => {
  const { channels, closes } = opened();
  channels.begin();
  channels.receive(Uint8Array.of(0x50, 0, 1, 0));
  channels.receive(Uint8Array.of(0x10, 1, 0x90, 0x04, 0x07, 0x80));
  expect(closes()).toBe(1);
});

it('opens more later, closes them, and uses a number again once the client has answered', () => {
  const { channels, sent } = opened();
  const got: number[] = [];
  const late = (): (() => void) =>
    channels.add({
      name: 'late',
      opened: () => {},
      closed: () => got.push(-1),
      received: (message) => got.push(message[0]),
    });
  channels.begin();
  channels.receive(Uint8Array.of(0x50, 0, 1, 0));
  sent.length = 0;
  const ask = [0x10, 2, 0x6c, 0x61, 0x74, 0x65, 0];
  const close = late();
  channels.receive(Uint8Array.of(0x10, 2, 0, 0, 0, 0));
  channels.receive(Uint8Array.of(0x30, 2, 7));
  close();
  channels.receive(Uint8Array.of(0x30, 2, 8));
  // Closed before the client has said that it is open.
  const closeThird = late();
  closeThird();
  channels.receive(Uint8Array.of(0x10, 3, 0, 0, 0, 0));
  channels.receive(Uint8Array.of(0x40, 2));
  late();
  expect(sent.map((pdu) => [...pdu])).toEqual([ask, [0x40, 2], [0x10, 3, ...ask.slice(2)], [0x40, 3], ask]);
  expect(got).toEqual([7]);
});

it('takes any bytes', () => {
  const pdu = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 40 }));
  fc.assert(
    fc.property(fc.array(pdu, { maxLength: 20 }), (pdus) => {
      const { channels } = opened();
      channels.begin();
      channels.receive(Uint8Array.of(0x50, 0, 1, 0));
      channels.receive(Uint8Array.of(0x10, 1, 0, 0, 0, 0));
      try {
        for (const [header, rest] of pdus) channels.receive(Uint8Array.of(header, ...rest));
      } catch (cause) {
        if (!(cause instanceof PduError)) throw cause;
      }
    }),
  );
});
