import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PduError } from './bytes.ts';
import { encodeGeometry, encodeGeometryEnd } from './geometry.ts';
import {
  decodeVideoNotice,
  encodePresentationStart,
  encodePresentationStop,
  encodeVideoSample,
  parameterSetsOf,
} from './video-redirection.ts';

const bytes = (hex: string): number[] => (hex.match(/[0-9a-f]{2}/gi) ?? []).map((byte) => Number.parseInt(byte, 16));

it('tells where something shows as the specification’s example does', () => {
  // [MS-RDPEGT] 4.1, but for the numbers of the mapping and of the window.
  const example = bytes(`78000000 01000000 22020400 00000000 01000000 00000000 00000000 00000000
    10000000 8A000000 F0010000 7E010000 23010000 72000000 78040000 CA020000 02000000 30000000
    20000000 01000000 01000000 00000000 00000000 00000000 E0010000 F4000000
    00000000 00000000 E0010000 F4000000 00`);
  const window = { x: 0x123, y: 0x72, width: 0x478 - 0x123, height: 0x2ca - 0x72 };
  const area = { x: 16, y: 138, width: 480, height: 244 };
  expect([...encodeGeometry(0x40222, window, area)]).toEqual(example);
  const end = [...encodeGeometryEnd(0x40222, window, area)];
  expect(end.filter((byte, at) => byte !== example[at])).toEqual([2]);
});

it('asks for a presentation, and ends it', () => {
  const presentation = { id: 7, mapping: 0x1234, width: 320, height: 240, parameterSets: Uint8Array.of(9, 8, 7) };
  // [MS-RDPEVOR] 2.2.1.2.
  const request = (command: number, extra: number[]): number[] => [
    ...[68 + extra.length, 0, 0, 0, 1, 0, 0, 0, 7, 1, command, 0, 0, 0, 0, 0],
    ...[0x40, 1, 0, 0, 240, 0, 0, 0, 0x40, 1, 0, 0, 240, 0, 0, 0],
    ...[0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0],
    ...bytes('48323634 0000 1000 8000 00aa00389b71'),
    ...[extra.length, 0, 0, 0, ...extra],
  ];
  expect([...encodePresentationStart(presentation)]).toEqual(request(1, [9, 8, 7]));
  expect([...encodePresentationStop(presentation)]).toEqual(request(2, []));
});

it('sends a picture in one packet, with the time in units of 100 ns', () => {
  const data = Uint8Array.of(0, 0, 1, 0x65);
  const sample = { presentation: 7, number: 3, atMs: 500_000.25, isKey: true, hasNewRate: false, data };
  // [MS-RDPEVOR] 2.2.1.6: 5,000,002,500 is 0x1_2a05_fbc4.
  expect([...encodeVideoSample(sample)]).toEqual([
    ...[44, 0, 0, 0, 4, 0, 0, 0, 7, 1, 3, 0],
    ...[0xc4, 0xfb, 0x05, 0x2a, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ...[1, 0, 1, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1, 0x65],
  ]);
  expect(encodeVideoSample({ ...sample, isKey: false, hasNewRate: true })[10]).toBe(5);
});

it('hears that a client is ready, what it has lost, and how many pictures it would like', () => {
  const notification = (type: number, ...data: number[]): Uint8Array =>
    Uint8Array.of(16 + data.length, 0, 0, 0, 3, 0, 0, 0, 7, type, 0, 0, data.length, 0, 0, 0, ...data);
  const rate = (flags: number, wanted: number): Uint8Array =>
    notification(2, flags, 0, 0, 0, wanted, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const heard = [
    decodeVideoNotice(Uint8Array.of(12, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0)),
    decodeVideoNotice(notification(1)),
    decodeVideoNotice(rate(1, 0)),
    decodeVideoNotice(rate(2, 24)),
    decodeVideoNotice(rate(2, 200)),
    decodeVideoNotice(rate(0, 0)),
    decodeVideoNotice(notification(9)),
    decodeVideoNotice(Uint8Array.of(8, 0, 0, 0, 1, 0, 0, 0)),
  ];
  expect(heard).toEqual([
    { kind: 'accepted', presentation: 7 },
    { kind: 'lost', presentation: 7 },
    { kind: 'rate', presentation: 7, most: undefined },
    { kind: 'rate', presentation: 7, most: 24 },
    { kind: 'rate', presentation: 7, most: 30 },
    undefined,
    undefined,
    undefined,
  ]);
  // Shorter than it says, or than it may be.
  for (const wrong of [
    [7, 0, 0, 0, 2, 0, 0, 0, 7],
    [13, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0],
    [8, 0, 0, 0, 2, 0, 0, 0],
  ]) {
    expect(() => decodeVideoNotice(Uint8Array.from(wrong))).toThrow(PduError);
  }
  const hostile = fc.uint8Array({ maxLength: 40 }).map((random) => {
    if (random.length > 7) random.set([random.length, 0, 0, 0, 2 + (random[4] & 1), 0, 0, 0]);
    return random;
  });
  fc.assert(
    fc.property(hostile, (message) => {
      try {
        decodeVideoNotice(message);
      } catch (cause) {
        if (!(cause instanceof PduError)) throw cause;
      }
    }),
  );
});

it('finds the parameter sets of a key picture', () => {
  const sets = [0, 0, 0, 1, 0x67, 66, 0, 40, 0, 0, 1, 0x68, 3, 4];
  const of = (...data: number[]): number[] => [...parameterSetsOf(Uint8Array.from(data))];
  expect(of(...sets, 0, 0, 0, 1, 0x65, 1, 2)).toEqual(sets);
  expect(of(...sets, 0, 0, 1, 0x65, 1, 2)).toEqual(sets);
  // A delimiter in front of them, and nothing behind.
  expect(of(0, 0, 0, 1, 9, 0x10, ...sets)).toEqual(sets);
  expect(of(0, 0, 0, 1, 0x65, 1, 2)).toEqual([]);
  expect(of()).toEqual([]);
  expect(of(0, 0, 1)).toEqual([]);
});
