import { expect, it } from 'vitest';
import type { PointerShape } from '#emu/host/frame.ts';
import { PduReader, PduWriter } from '../pdu/bytes.ts';
import { type ClientCapabilities, decodeClientCapabilities } from '../pdu/capabilities.ts';
import { Link } from '../sequence/link.ts';
import { PointerOutput } from './pointer-output.ts';

/** As a client's Confirm Active has them: pointer (8), large pointer (27), general (1). */
function client({ caches = [25, 25], large = 1, fastPath = true } = {}): ClientCapabilities {
  const w = new PduWriter()
    .u16(8)
    .u16(6 + caches.length * 2)
    .u16(1);
  for (const size of caches) w.u16(size);
  w.u16(27).u16(6).u16(large);
  w.u16(1)
    .u16(24)
    .zeros(10)
    .u16(fastPath ? 1 : 0)
    .zeros(8);
  return decodeClientCapabilities(new PduReader(w.done()), 3);
}

function output(capabilities: ClientCapabilities) {
  const sent: Uint8Array[] = [];
  const pointers = new PointerOutput(new Link((packet) => sent.push(packet)), capabilities);
  /** Update code and body of the fast-path packet that a shape makes. */
  const show = (shape: PointerShape): { code: number; body: number[] } => {
    sent.length = 0;
    pointers.show(shape);
    const r = new PduReader(sent[0]);
    r.skip(3);
    const code = r.u8();
    return { code, body: [...r.take(r.u16())] };
  };
  return { sent, pointers, show };
}

/** Opaque red, half seen green; nothing; blue, in a larger picture. */
function shape(side = 8, blue = 0xff): PointerShape {
  const pixels = new Uint32Array(side * side);
  pixels[1 * side + 2] = 0xff00_00ff;
  pixels[1 * side + 3] = 0x8000_ff00;
  pixels[2 * side + 3] = (0xff00_0000 | (blue << 16)) >>> 0;
  return { visible: true, hotX: 2, hotY: 1, width: side, height: side, pixels };
}

it('sends what is seen of a shape, with alpha, from bottom to top', () => {
  const { code, body } = output(client()).show(shape());
  expect(code).toBe(11);
  // 32 bits; cache index 0; hot spot 0, 0; 2 x 2; 4 bytes of mask, 16 of colours.
  expect(body.slice(0, 16)).toEqual([32, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 4, 0, 16, 0]);
  expect(body.slice(16, 32)).toEqual([0, 0, 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0xff, 0xff, 0, 0xff, 0, 0x80]);
  expect(body.slice(32)).toEqual([0x80, 0, 0, 0, 0]);
});

it('sends it in 24 bits to clients that know no other', () => {
  const { code, body } = output(client({ caches: [25] })).show(shape());
  expect(code).toBe(9);
  expect(body.slice(0, 14)).toEqual([0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 4, 0, 12, 0]);
  expect(body.slice(14, 26)).toEqual([0, 0, 0, 0xff, 0, 0, 0, 0, 0xff, 0, 0xff, 0]);
});

it('names what the client has kept, and replaces what was shown longest ago', () => {
  const { show } = output(client({ caches: [2, 2] }));
  expect(show(shape(8, 1)).code).toBe(11);
  expect(show(shape(8, 2)).body.slice(2, 4)).toEqual([1, 0]);
  expect(show(shape(8, 1))).toEqual({ code: 10, body: [0, 0] });
  expect(show(shape(8, 3)).body.slice(2, 4)).toEqual([1, 0]);
  expect(show(shape(8, 1))).toEqual({ code: 10, body: [0, 0] });
  expect(show(shape(8, 2)).code).toBe(11);
});

it('hides it, and leaves the client its own when the guest has none or it is too large', () => {
  const { show } = output(client({ large: 0 }));
  expect(show({ ...shape(), visible: false })).toEqual({ code: 5, body: [] });
  expect(show({ ...shape(), pixels: new Uint32Array(64) })).toEqual({ code: 5, body: [] });
  expect(show({ ...shape(), width: 0, height: 0 })).toEqual({ code: 6, body: [] });
  const wide = shape(64);
  wide.pixels[63 * 64 + 63] = 0xffff_ffff;
  expect(show(wide)).toEqual({ code: 6, body: [] });
  // Much of a large picture is often empty.
  expect(show(shape(64)).code).toBe(11);
  expect(output(client({ large: 1 })).show(wide).code).toBe(11);
  expect(output(client({ caches: [0, 0] })).show(shape()).code).toBe(6);
});

it('goes the slow way where there is no other', () => {
  const { sent, pointers } = output(client({ fastPath: false }));
  pointers.show({ ...shape(), visible: false });
  // The body of the share data PDU, at its end: a system pointer, hidden.
  expect([...sent[0].slice(-8)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  pointers.show({ ...shape(), width: 0 });
  expect([...sent[1].slice(-8)]).toEqual([1, 0, 0, 0, 0, 0x7f, 0, 0]);
  pointers.show(shape());
  expect([...sent[2].slice(-41, -35)]).toEqual([8, 0, 0, 0, 32, 0]);
});
