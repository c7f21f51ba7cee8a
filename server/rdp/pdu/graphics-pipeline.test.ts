import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PduError } from './bytes.ts';
import { chooseCapabilities, decodePipelineMessages, PipelineWriter } from './graphics-pipeline.ts';

it('takes any bytes', () => {
  const pdu = fc.tuple(fc.constantFrom(0x12, 0x0d, 0x10), fc.nat(60), fc.uint8Array({ maxLength: 50 }));
  fc.assert(
    fc.property(fc.array(pdu, { maxLength: 5 }), (pdus) => {
      const bytes = pdus.flatMap(([command, length, body]) => [command, 0, 0, 0, length, 0, 0, 0, ...body]);
      try {
        decodePipelineMessages(Uint8Array.from(bytes));
      } catch (cause) {
        if (!(cause instanceof PduError)) throw cause;
      }
    }),
  );
});

it('chooses the newest version that is known, and none of others', () => {
  const set = (version: number) => ({ version, data: Uint8Array.of(0, 0, 0, 0) });
  expect(chooseCapabilities([set(0x80004), set(0xa0502), set(0x80105), set(0xb0000)])?.version).toBe(0xa0502);
  expect(chooseCapabilities([set(0xb0000)])).toBeUndefined();
});

it('puts long messages into segments', () => {
  const data = Uint8Array.from({ length: 150_000 }, (_, i) => i * 7);
  const message = new PipelineWriter().bitmap(1, 0, { x: 0, y: 0, width: 1, height: 1 }, data).done();
  // [MS-RDPEGFX] 2.2.5.1: multipart, three segments, all bytes.
  const view = new DataView(message.buffer, message.byteOffset);
  expect([message[0], view.getUint16(1, true), view.getUint32(3, true)]).toEqual([0xe1, 3, data.length + 25]);
  const joined: number[] = [];
  for (let at = 7; at < message.length; ) {
    const length = view.getUint32(at, true);
    expect(message[at + 4]).toBe(4);
    for (const byte of message.subarray(at + 5, at + 4 + length)) joined.push(byte);
    at += 4 + length;
  }
  expect(Uint8Array.from(joined.slice(25))).toEqual(data);
});
