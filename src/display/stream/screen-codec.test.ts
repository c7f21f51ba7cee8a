import fc from 'fast-check';
import { deflateSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { type BodyOf, decodeMessage, encodeMessage, MAX_MESSAGE_BYTES } from './messages.ts';
import { ScreenDecoder } from './screen-decoder.ts';
import { ScreenEncoder, type ScreenPicture } from './screen-encoder.ts';

interface Canvas extends ScreenPicture {
  readonly pixels: Uint32Array;
}

const canvas = (width: number, height: number, fourByThree = false): Canvas => ({
  ...{ width, height, fourByThree },
  pixels: new Uint32Array(width * height).fill(0xff00_0000),
});

function paint(on: Canvas, x: number, y: number, width: number, height: number, colour: number) {
  for (let row = y; row < y + height; row++) {
    for (let at = x; at < x + width; at++) on.pixels[row * on.width + at] = (colour | 0xff00_0000) >>> 0;
  }
  return { x, y, width, height };
}

const whole = ({ width, height }: ScreenPicture) => [{ x: 0, y: 0, width, height }];
const isSame = (a: { readonly pixels: Uint32Array }, b: { readonly pixels: Uint32Array }): boolean =>
  Buffer.compare(Buffer.from(a.pixels.buffer), Buffer.from(b.pixels.buffer)) === 0;
/** Over the wire and back. */
const carried = (update: BodyOf<'update'>): BodyOf<'update'> =>
  decodeMessage(encodeMessage('update', update)).body as BodyOf<'update'>;

describe('a part that viewers have lost', () => {
  it('is sent again though it is as it was, and nothing else is', () => {
    const screen = canvas(256, 256);
    paint(screen, 0, 0, 256, 256, 0x123456);
    const encoder = new ScreenEncoder();
    encoder.absorb(screen, whole(screen));
    const viewer = new ScreenDecoder();
    viewer.apply(encoder.updateSince(0));
    // Something else was shown over it.
    viewer.pixels.fill(0);
    expect(encoder.absorb(screen, [{ x: 0, y: 0, width: 256, height: 64 }])).toBe(false);
    expect(encoder.absorb(screen, [], { x: 70, y: 70, width: 60, height: 60 })).toBe(true);
    const rects = viewer.apply(carried(encoder.updateSince(viewer.sequence)));
    expect(rects).toEqual([64, 128].flatMap((y) => [64, 128].map((x) => ({ x, y, width: 64, height: 64 }))));
    expect(viewer.pixels[70 * 256 + 70]).toBe(screen.pixels[0]);
    expect(viewer.pixels[0]).toBe(0);
  });
});

describe('a screen through the stream', () => {
  it('shows the same pixels to those who follow, join late or miss updates', () => {
    const step = fc.record({
      x: fc.nat(199),
      y: fc.nat(149),
      width: fc.integer({ min: 1, max: 200 }),
      height: fc.integer({ min: 1, max: 150 }),
      colour: fc.integer({ min: 0, max: 0xff_ffff }),
      size: fc.nat(20),
      seen: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        let screen = canvas(200, 150);
        const encoder = new ScreenEncoder();
        const follower = new ScreenDecoder();
        const slow = new ScreenDecoder();
        encoder.absorb(screen, whole(screen));
        for (const { x, y, width, height, colour, size, seen } of steps) {
          if (size === 0) screen = canvas(130, 190, true);
          if (size === 1) screen = canvas(200, 150);
          const [left, top] = [Math.min(x, screen.width - 1), Math.min(y, screen.height - 1)];
          const rect = paint(
            ...([screen, left, top] as const),
            ...([Math.min(width, screen.width - left), Math.min(height, screen.height - top), colour] as const),
          );
          encoder.absorb(screen, size < 2 ? whole(screen) : [rect]);
          follower.apply(carried(encoder.updateSince(follower.sequence)));
          expect(isSame(follower, screen)).toBe(true);
          expect(follower.fourByThree).toBe(screen.fourByThree);
          if (seen) slow.apply(carried(encoder.updateSince(slow.sequence)));
        }
        slow.apply(carried(encoder.updateSince(slow.sequence)));
        const late = new ScreenDecoder();
        late.apply(carried(encoder.updateSince(0)));
        expect(isSame(slow, screen)).toBe(true);
        expect(isSame(late, screen)).toBe(true);
        expect([late.width, late.height]).toEqual([screen.width, screen.height]);
      }),
      { numRuns: 100 },
    );
  });

  it('is not taken back by an older picture that comes late', () => {
    const screen = canvas(100, 100);
    const encoder = new ScreenEncoder();
    const decoder = new ScreenDecoder();
    encoder.absorb(screen, whole(screen));
    const old = encoder.updateSince(0);
    encoder.absorb(screen, [paint(screen, 0, 0, 9, 9, 0xff_0000)]);
    decoder.apply(encoder.updateSince(0));
    expect(decoder.apply(old)).toEqual([]);
    expect(isSame(decoder, screen)).toBe(true);
    expect(decoder.sequence).toBe(2);
  });

  it('says nothing when what was drawn again looks the same', () => {
    const screen = canvas(640, 400);
    const encoder = new ScreenEncoder();
    expect(encoder.absorb(screen, whole(screen))).toBe(true);
    expect(encoder.absorb(screen, whole(screen))).toBe(false);
    expect(encoder.absorb(screen, [])).toBe(false);
    expect(encoder.sequence).toBe(1);
  });

  it('sends the tiles that changed and no others', () => {
    const screen = canvas(640, 400);
    const encoder = new ScreenEncoder();
    const decoder = new ScreenDecoder();
    encoder.absorb(screen, whole(screen));
    decoder.apply(encoder.updateSince(0));
    encoder.absorb(screen, [paint(screen, 70, 70, 8, 16, 0xaa_aaaa)]);
    const update = encoder.updateSince(1);
    expect(decoder.apply(update)).toEqual([{ x: 64, y: 64, width: 64, height: 64 }]);
    expect(encodeMessage('update', update).length).toBeLessThan(100);
  });

  it('of the largest mode full of noise fits a message, and what is larger loses its lowest lines', {
    timeout: 600_000,
  }, () => {
    const screen = canvas(3840, 2160);
    let state = 1;
    for (let i = 0; i < screen.pixels.length; i++) {
      state = Math.imul(state, 1_664_525) + 1_013_904_223;
      screen.pixels[i] = (state | 0xff00_0000) >>> 0;
    }
    const encoder = new ScreenEncoder();
    encoder.absorb(screen, whole(screen));
    const message = encodeMessage('update', encoder.updateSince(0));
    expect(message.length).toBeLessThan(MAX_MESSAGE_BYTES);
    const decoder = new ScreenDecoder();
    decoder.apply(decodeMessage(message).body as BodyOf<'update'>);
    expect(isSame(decoder, screen)).toBe(true);
    const tall = canvas(3840, 2300);
    encoder.absorb(tall, whole(tall));
    decoder.apply(encoder.updateSince(decoder.sequence));
    expect([decoder.width, decoder.height]).toEqual([3840, 2160]);
  });
});

describe('hostile updates', () => {
  const good = (): BodyOf<'update'> => {
    const screen = canvas(200, 150);
    const encoder = new ScreenEncoder();
    encoder.absorb(screen, whole(screen));
    return encoder.updateSince(0);
  };
  const raw = (bytes: number[]): Partial<BodyOf<'update'>> => ({
    rawBytes: bytes.length,
    tiles: deflateSync(Uint8Array.from(bytes)),
  });

  it.each([
    ['builds upon what is not here', { base: 5, sequence: 6 }, /builds upon 5/],
    ['has no size', { width: 0 }, /no screen is 0 x 150/],
    ['is too large', { width: 8192, height: 8192 }, /no screen is/],
    ['announces more than tiles take', { rawBytes: 0xffff_ffff }, /never take/],
    ['is cut short', { rawBytes: 1_000 }, /announced/],
    ['holds more than announced', { rawBytes: 10 }, /announced/],
    ['is not deflated', { tiles: Uint8Array.of(0xff, 0xff, 0xff) }, /inflated/],
    ['is a bomb', { rawBytes: 100, tiles: deflateSync(new Uint8Array(20 << 20)) }, /announced/],
    ['has tiles off the screen', raw([12, 0, 1, 0, 0, 0]), /off the screen/],
    ['repeats a tile', raw([1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0]), /repeated/],
    ['ends in the number of a tile', raw([1, 0, 1, 0, 0, 0, 2]), /missing/],
  ])('that %s are refused', (_, changes, why) => {
    const decoder = new ScreenDecoder();
    expect(() => decoder.apply({ ...good(), ...changes })).toThrow(why);
    expect(decoder.sequence).toBe(0);
    decoder.apply(good());
    expect(decoder.sequence).toBe(1);
  });

  it('of random bytes are refused within bounds', () => {
    const change = fc.record({ at: fc.nat(10_000), to: fc.nat(255) });
    const message = encodeMessage('update', good());
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(message.length), (changes, length) => {
        const bytes = message.slice(0, length % 3 ? undefined : length);
        for (const { at, to } of changes) if (bytes.length > 0) bytes[at % bytes.length] = to;
        try {
          const { name, body } = decodeMessage(bytes);
          if (name === 'update') new ScreenDecoder().apply(body);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
