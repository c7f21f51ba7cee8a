import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import {
  type BodyOf,
  decodeMessage,
  encodeMessage,
  INPUT_MODES,
  LEASE_ACTIONS,
  MAX_VIEWER_MESSAGE_BYTES,
  type MessageName,
  ROLES,
  SOUND_FORMS,
  VIDEO_FORMS,
} from './messages.ts';

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const name = fc.string({ unit: 'grapheme', maxLength: 5 });
const id = fc.string({ maxLength: 20 });
const role = fc.constantFrom(...ROLES);
const some = (most: number) => fc.uint8Array({ maxLength: most });

const BODIES: { readonly [N in MessageName]: fc.Arbitrary<BodyOf<N>> } = {
  join: fc.record({ version: u16, name, key: id, since: u32 }),
  host: fc.record({ version: u16, machine: name, name, key: id }),
  welcome: fc.record({ version: u16, participant: u16, role, machine: name, key: id }),
  roster: fc.record({ people: fc.array(fc.record({ id: u16, name, role, link: id }), { maxLength: 8 }) }),
  lease: fc.record({ mode: fc.constantFrom(...INPUT_MODES), holder: u16, epoch: u16, asking: fc.array(u16) }),
  leaseAction: fc.record({ participant: u16, action: fc.constantFrom(...LEASE_ACTIONS), target: u16 }),
  keys: fc.record({ participant: u16, epoch: u16, scancodes: some(32) }),
  mouse: fc.record({
    ...{ participant: u16, epoch: u16, buttons: fc.nat(255) },
    dx: fc.integer({ min: -32_768, max: 32_767 }),
    dy: fc.integer({ min: -32_768, max: 32_767 }),
    dz: fc.integer({ min: -128, max: 127 }),
    dw: fc.integer({ min: -128, max: 127 }),
  }),
  typed: fc.record({ participant: u16, epoch: u16, text: fc.string({ unit: 'grapheme' }) }),
  pointer: fc.record({ participant: u16, x: u16, y: u16, shown: fc.boolean() }),
  update: fc.record({
    ...{ sequence: u32, base: u32, width: u16, height: u16, fourByThree: fc.boolean(), rawBytes: u32 },
    tiles: some(100),
  }),
  ack: fc.record({ sequence: u32 }),
  refresh: fc.record({ since: u32 }),
  keepAlive: fc.constant({}),
  makeLink: fc.record({ label: name, role, lifetime: u32, uses: u16 }),
  revokeLink: fc.record({ id }),
  dismiss: fc.record({ participant: u16 }),
  links: fc.record({
    links: fc.array(fc.record({ id, label: name, token: id, role, expires: u32, usesLeft: u16, people: u16 }), {
      maxLength: 5,
    }),
  }),
  signal: fc.record({ participant: u16, data: fc.string() }),
  end: fc.constant({}),
  direct: fc.record({ on: fc.boolean(), since: u32 }),
  disc: fc.record({
    ...{ participant: u16, id: u16 },
    files: fc.array(fc.record({ name, byteCount: u32 }), { maxLength: 5 }),
  }),
  discPart: fc.record({ participant: u16, id: u16, at: u32, data: some(100) }),
  discTaken: fc.record({ participant: u16, id: u16, upTo: u32, refusal: name }),
  clipboard: fc.record({ participant: u16, isFirst: fc.boolean(), isLast: fc.boolean(), text: name }),
  monitors: fc.record({
    places: fc.array(fc.record({ monitor: fc.nat(255), x: u16, y: u16, width: u16, height: u16 }), { maxLength: 4 }),
  }),
  soundForms: fc.record({ pcm: fc.boolean(), opus: fc.boolean() }),
  videoCoders: fc.record({
    forms: fc.record({
      h264: fc.boolean(),
      vp9: fc.boolean(),
      vp8: fc.boolean(),
      av1: fc.boolean(),
      jpeg: fc.boolean(),
    }),
  }),
  videoForms: fc.record({ h264: fc.boolean(), vp9: fc.boolean(), vp8: fc.boolean() }),
  video: fc.record({
    ...{ number: u32, form: fc.constantFrom(...VIDEO_FORMS), x: u16, y: u16, width: u16, height: u16 },
    ...{ isKey: fc.boolean(), layer: fc.nat(255), data: some(100) },
  }),
  videoEnd: fc.constant({}),
  videoAck: fc.record({ number: u32 }),
  videoKey: fc.constant({}),
  sound: fc.record({ form: fc.constantFrom(...SOUND_FORMS), firstFrame: u32, frames: u16, data: some(100) }),
};

const NAMES = Object.keys(BODIES) as MessageName[];

describe('every message', () => {
  it.each(NAMES)('%s comes back as it was, and no shorter part of it is taken for one', (what) => {
    fc.assert(
      fc.property(BODIES[what] as fc.Arbitrary<BodyOf<MessageName>>, fc.nat(), (body, cut) => {
        const bytes = encodeMessage(what, body);
        expect(decodeMessage(bytes)).toEqual({ name: what, body });
        expect(() => decodeMessage(bytes.subarray(0, cut % bytes.length))).toThrow(CodedError);
        expect(() => decodeMessage(Uint8Array.of(...bytes, 0))).toThrow(/follow the end/);
      }),
      { numRuns: 100 },
    );
  });
});

describe('hostile messages', () => {
  it('of random bytes are messages or refused with a reason', () => {
    fc.assert(
      fc.property(fc.nat(NAMES.length + 3), some(200), (number, rest) => {
        try {
          expect(NAMES).toContain(decodeMessage(Uint8Array.of(number, ...rest)).name);
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
          expect((error as CodedError).code).toBe('bad-stream');
        }
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['nothing', [], /too early/],
    ['an unknown number', [250], /no message 250/],
    ['a list longer than the message', [3, 0xff, 0xff], /65535 entries/],
    ['more scan codes than allowed', [6, 1, 0, 0, 0, 33, 0, 0, 0], /33 bytes are more than 32/],
    [
      'four gigabytes of picture',
      [10, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 9, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255],
      /more than/,
    ],
    ['a flag of 2', [9, 0, 0, 0, 0, 0, 0, 2], /neither/],
    ['a role of 9', [2, 1, 0, 0, 0, 9, 0, 0, 0, 0], /stands for none/],
    ['text that is no UTF-8', [15, 2, 0, 0xc3, 0x28], /not UTF-8/],
  ])('%s is refused', (_, bytes, why) => {
    expect(() => decodeMessage(Uint8Array.from(bytes))).toThrow(why);
  });

  it('longer than the receiver takes are refused before they are read', () => {
    const bytes = encodeMessage('signal', { participant: 0, data: 'x'.repeat(16_000) });
    expect(() => decodeMessage(bytes, MAX_VIEWER_MESSAGE_BYTES)).not.toThrow();
    expect(() => decodeMessage(bytes, 100)).toThrow(/longer than 100/);
  });

  it('are not made either', () => {
    const typed = { participant: 0, epoch: 0, text: 'ä'.repeat(5000) };
    expect(() => encodeMessage('typed', typed)).toThrow(/longer than/);
    expect(() => encodeMessage('ack', { sequence: -1 })).toThrow(/whole number/);
    expect(() =>
      encodeMessage('mouse', { participant: 0, epoch: 0, dx: 1.5, dy: 0, dz: 0, buttons: 0, dw: 0 }),
    ).toThrow();
  });
});
