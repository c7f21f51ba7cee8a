import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PduError } from './bytes.ts';
import { chooseCapabilities, decodePipelineMessages, hasAvc420, PipelineWriter } from './graphics-pipeline.ts';

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

it('a picture of several monitors says where they lie', () => {
  const places = [0, 100].map((x) => ({ x, y: 0, width: 100, height: 80 }));
  const two = new PipelineWriter().reset(200, 80, places).done();
  // [MS-RDPEGFX] 2.2.2.14: 340 bytes whatever the count; the right and lower edges belong to a monitor.
  expect([two.length, two[4] | (two[5] << 8)]).toEqual([340, 340]);
  const words = new Uint32Array(two.slice().buffer, 8, 13);
  expect([...words]).toEqual([200, 80, 2, 0, 0, 99, 79, 1, 100, 0, 199, 79, 0]);
  const one = new PipelineWriter().reset(200, 80).done();
  expect([...new Uint32Array(one.slice().buffer, 8, 8)]).toEqual([200, 80, 1, 0, 0, 199, 79, 1]);
});

it('chooses the newest version that is known, and none of others', () => {
  const set = (version: number) => ({ version, data: Uint8Array.of(0, 0, 0, 0) });
  expect(chooseCapabilities([set(0x80004), set(0xa0502), set(0x80105), set(0xb0000)])?.version).toBe(0xa0502);
  expect(chooseCapabilities([set(0xb0000)])).toBeUndefined();
});

it('H.264 is there where a version says so, and from version 10 on unless it says not', () => {
  const has = (version: number, flags: number) => hasAvc420({ version, data: Uint8Array.of(flags, 0, 0, 0) });
  expect([has(0x80004, 0x10), has(0x80105, 0), has(0x80105, 0x10)]).toEqual([false, false, true]);
  expect([has(0xa0002, 0), has(0xa0002, 0x20), has(0xa0701, 0x22), has(0xa0701, 2)]).toEqual([
    true,
    false,
    false,
    true,
  ]);
});
