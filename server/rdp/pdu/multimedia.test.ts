import { expect, it } from 'vitest';
import * as multimedia from './multimedia.ts';

const bytes = (hex: string): number[] => (hex.match(/[0-9a-f]{2}/gi) ?? []).map((byte) => Number.parseInt(byte, 16));
const guid = (hex: string): Uint8Array => Uint8Array.from(bytes(hex));

it('says what the specification’s examples say', () => {
  // [MS-RDPEV] 4.3.
  expect([...multimedia.encodeInterfaceCapabilities(0)]).toEqual(bytes('02000000 00000000 00010000 01000000'));
  // 4.1.1; of the platforms that there are DirectShow, which is 2.
  const first = '4a2afd28 c7efa044 bbcaf317 89969fd2';
  expect([...multimedia.encodeChannelParameters(0, guid(first), 0)]).toEqual(
    bytes(`00000040 00000000 01010000 ${first} 00000000`),
  );
  expect([...multimedia.encodeMultimediaCapabilities(0)]).toEqual(
    bytes('00000040 00000000 00010000 02000000 01000000 04000000 02000000 02000000 04000000 02000000'),
  );
  // 4.1.2.
  const second = '9f0486e0 26d9ae45 8c0f3e05 6af3f7d4';
  expect([...multimedia.encodeNewPresentation(0, guid(second))]).toEqual(
    bytes(`00000040 00000000 05010000 ${second} 02000000`),
  );
  // 4.1.5, with numbers of windows that mean something here, in front of the geometry and in it.
  const third = '9ef9484e 467b8e4a b77ae40f b59ecc63';
  expect([...multimedia.encodeVideoWindow(1, guid(third))]).toEqual(
    bytes(`00000040 01000000 04010000 ${third} 02000000 00000000 01000000 00000000`),
  );
  const area = { x: 0x15f, y: 0x120, width: 0x140, height: 0xf0 };
  expect([...multimedia.encodeVideoGeometry(0, guid(second), area)]).toEqual(
    bytes(`00000040 00000000 14010000 ${second} 2c000000 02000000 00000000 00100000 40010000 f0000000 5f010000
      20010000 00000000 00000000 5f010000 20010000 10000000 00000000 00000000 f0000000 40010000`),
  );
});

it('names the format as 2.2.7 has it, and its length', () => {
  const check = [...multimedia.encodeFormatCheck(5, { width: 320, height: 240 })];
  // The platform, and no other.
  expect(check.slice(0, 24)).toEqual(bytes('00000040 05000000 08010000 02000000 00000000 98000000'));
  expect(check.length).toBe(24 + 0x98);
  expect(check.slice(24, 56)).toEqual(bytes('76696473 0000 1000 800000aa00389b71 4d4a5047 0000 1000 800000aa00389b71'));
});
