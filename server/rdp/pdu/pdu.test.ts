import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAutoDetectResponse } from './auto-detect.ts';
import { ber, berInteger, readBer, readBerInteger, readPerLength, writePerLength } from './ber.ts';
import { PduError, PduReader, PduWriter } from './bytes.ts';
import { decodeClientCapabilities, encodeServerCapabilities } from './capabilities.ts';
import { ChannelAssembler, encodeChannelChunks } from './channel.ts';
import { decodeClientInfo } from './client-info.ts';
import { decodeFastPathInputHeader, encodeFastPathUpdates, MAX_FRAGMENT_BYTES } from './fast-path.ts';
import { decodeConferenceCreateRequest } from './gcc.ts';
import { decodeFastPathInput, decodeSlowPathInput, POINTER, wheelRotation } from './input.ts';
import { encodeValidClient } from './license.ts';
import { decodeConnectInitial, decodeDomainPdu, encodeDisconnectUltimatum, MCS_REASON } from './mcs.ts';
import { decodeConfirmActive, decodeShareControl, decodeShareData } from './share.ts';
import { packetLength } from './tpkt.ts';
import { decodeConnectionRequest, decodeData, encodeConnectionConfirm, PROTOCOL } from './x224.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const reader = (bytes: Uint8Array): PduReader => new PduReader(bytes);

/** [MS-RDPBCGR] 4.1.1: connection request of "eltons" with TLS. */
const CONNECTION_REQUEST = hex(
  '03 00 00 2c 27 e0 00 00 00 00 00 43 6f 6f 6b 69 65 3a 20 6d 73 74 73 68 61 73 68 3d 65 6c 74 6f 6e 73 0d 0a 01 00 08 00 00 00 00 00',
);
/** [MS-RDPBCGR] 4.1.5 to 4.1.8: erect domain, attach user, channel join; 2.2.2.3: ultimatum. */
const ERECT_DOMAIN = hex('03 00 00 0c 02 f0 80 04 01 00 01 00');
const CHANNEL_JOIN = hex('03 00 00 0c 02 f0 80 38 00 06 03 ef');

describe('packets', () => {
  it('have the length that their header says', () => {
    expect(packetLength(CONNECTION_REQUEST)).toBe(44);
    expect(packetLength(hex('03 00'))).toBeUndefined();
    expect(packetLength(hex('04 06 00 1e'))).toBe(6);
    expect(packetLength(hex('04 81 00'))).toBe(256);
    expect(packetLength(hex('04'))).toBeUndefined();
    for (const bad of ['03 00 00 06', '04 01', '04 80 02', '05 06']) {
      expect(() => packetLength(hex(bad))).toThrow(PduError);
    }
  });

  it('that connect are as [MS-RDPBCGR] 4.1 shows them', () => {
    expect(decodeConnectionRequest(CONNECTION_REQUEST)).toEqual({ cookie: 'Cookie: mstshash=eltons', protocols: 0 });
    const answer = { kind: 'selected', protocol: PROTOCOL.rdp, flags: 0 } as const;
    expect(encodeConnectionConfirm(answer)).toEqual(hex('03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 00 00 00 00'));
    expect(decodeDomainPdu(decodeData(ERECT_DOMAIN))).toEqual({ kind: 'erectDomain' });
    expect(decodeDomainPdu(decodeData(CHANNEL_JOIN))).toEqual({ kind: 'channelJoin', userId: 1007, channelId: 1007 });
    expect(encodeDisconnectUltimatum(MCS_REASON.userRequested)).toEqual(hex('21 80'));
    expect(encodeValidClient()).toEqual(hex('ff 03 10 00 07 00 00 00 02 00 00 00 04 00 00 00'));
  });
});

describe('encodings', () => {
  it('BER and PER come back as they were', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 70_000 }), (value, length) => {
        expect(readBerInteger(reader(berInteger(value)))).toBe(value);
        const contents = new Uint8Array(length);
        expect(readBer(reader(ber(4, contents)), 4).remaining).toBe(length);
        const short = length & 0x3fff;
        expect(readPerLength(reader(writePerLength(new PduWriter(), short).done()))).toBe(short);
      }),
      { numRuns: 50 },
    );
  });

  it('channel messages come together again, and not without end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (message) => {
        const assembler = new ChannelAssembler(5000);
        const chunks = encodeChannelChunks(message);
        const results = chunks.map((chunk) => assembler.take(reader(chunk)));
        expect(results.slice(0, -1).every((one) => one === undefined)).toBe(true);
        expect(Buffer.compare(results.at(-1)!, message)).toBe(0);
      }),
      { numRuns: 30 },
    );
    const assembler = new ChannelAssembler(4000);
    const endless = new PduWriter().u32(1).u32(0).zeros(1600).done();
    expect(() => {
      for (let i = 0; i < 4; i++) assembler.take(reader(endless));
    }).toThrow('too long');
  });

  it('fast-path updates are cut into parts that a client puts together', () => {
    const body = Uint8Array.from({ length: MAX_FRAGMENT_BYTES * 2 + 5 }, (_, i) => i);
    const parts = encodeFastPathUpdates(1, body);
    expect(parts.map((part) => (part[0] >> 4) & 3)).toEqual([2, 3, 1]);
    expect(Buffer.concat(parts.map((part) => part.subarray(3)))).toEqual(Buffer.from(body));
    expect(encodeFastPathUpdates(1, new Uint8Array(3))[0][0]).toBe(1);
  });
});

describe('input', () => {
  it('comes from the fast path', () => {
    const { eventCount, body, mac } = decodeFastPathInputHeader(hex('0c 0e 01 1e 02 48 20 00 98 0a 00 14 00 60'));
    expect([eventCount, mac]).toEqual([3, undefined]);
    expect(decodeFastPathInput(body, 2)).toEqual([
      { kind: 'key', code: 0x1e, extended: false, extended1: false, down: false },
      { kind: 'key', code: 0x48, extended: true, extended1: false, down: true },
    ]);
    expect(decodeFastPathInput(body, 1)).toEqual([{ kind: 'mouse', flags: 0x9800, x: 10, y: 20, isX: false }]);
  });

  it('and from the slow one', () => {
    const key = '00 00 00 00 04 00 00 81 1d 00 00 00';
    const sync = '00 00 00 00 00 00 00 00 02 00 00 00';
    expect(decodeSlowPathInput(reader(hex(`02 00 00 00 ${key} ${sync}`)))).toEqual([
      { kind: 'key', code: 0x1d, extended: true, extended1: false, down: false },
      { kind: 'synchronize', toggles: 2 },
    ]);
  });

  it('turns wheels both ways', () => {
    expect(wheelRotation(POINTER.verticalWheel | 120)).toBe(120);
    expect(wheelRotation(POINTER.verticalWheel | POINTER.wheelNegative | (0x100 - 120))).toBe(-120);
    expect(wheelRotation(POINTER.horizontalWheel | 120)).toBe(120);
    expect(wheelRotation(POINTER.horizontalWheel | POINTER.wheelNegative | (0x100 - 120))).toBe(-120);
  });
});

describe('what the server offers', () => {
  it('is made of sets whose lengths are right, mstsc needs 88 bytes of input and the virtual-channel set', () => {
    const sets = encodeServerCapabilities({ width: 800, height: 600, bitsPerPixel: 24 });
    for (const set of sets) expect(set[2] | (set[3] << 8)).toBe(set.length);
    const lengths = new Map(sets.map((set) => [set[0] | (set[1] << 8), set.length]));
    expect(lengths.get(13)).toBe(88);
    expect(lengths.get(20)).toBe(12);
    expect(lengths.get(2)).toBe(28);
    expect(lengths.get(3)).toBe(88);
  });
});

describe('who logs on', () => {
  /** [MS-RDPBCGR] 2.2.1.11.1.1, in UTF-16. */
  const info = (domain: string, user: string): PduReader => {
    const texts = [domain, user, 'secret', '', ''];
    const w = new PduWriter().u32(0).u32(0x10);
    for (const text of texts) w.u16(text.length * 2);
    for (const text of texts) w.utf16(text).u16(0);
    return reader(w.done());
  };

  it('has names of 512 bytes with their end at most', () => {
    const longest = 'n'.repeat(255);
    expect(decodeClientInfo(info(longest, longest))).toMatchObject({ domain: longest, userName: longest });
    expect(() => decodeClientInfo(info('', `${longest}n`))).toThrow(PduError);
    expect(() => decodeClientInfo(info(`${longest}n`, ''))).toThrow(PduError);
  });
});

describe('decoders', () => {
  const DECODERS: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
    packetLength,
    decodeConnectionRequest,
    decodeDomainPdu: (bytes) => decodeDomainPdu(reader(bytes)),
    decodeConnectInitial: (bytes) => decodeConnectInitial(reader(bytes)),
    decodeConferenceCreateRequest: (bytes) => decodeConferenceCreateRequest(reader(bytes)),
    decodeClientInfo: (bytes) => decodeClientInfo(reader(bytes)),
    decodeAutoDetectResponse: (bytes) => decodeAutoDetectResponse(reader(bytes)),
    decodeShareControl: (bytes) => decodeShareControl(reader(bytes)),
    decodeShareData: (bytes) => decodeShareData(reader(bytes)),
    decodeConfirmActive: (bytes) => decodeConfirmActive(reader(bytes)),
    decodeClientCapabilities: (bytes) => decodeClientCapabilities(reader(bytes), bytes.length),
    decodeSlowPathInput: (bytes) => decodeSlowPathInput(reader(bytes)),
    decodeFastPathInput: (bytes) => decodeFastPathInput(reader(bytes), bytes.length & 15),
  };

  it.each(Object.keys(DECODERS))('%s ends in a value or a PduError', (name) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          DECODERS[name](bytes);
        } catch (cause) {
          expect(cause).toBeInstanceOf(PduError);
        }
      }),
      { numRuns: 300, seed: 6 },
    );
  });

  it('call every truncation one', () => {
    for (const [bytes, decode] of [
      [CONNECTION_REQUEST, (part: Uint8Array) => decodeConnectionRequest(part)],
      [CHANNEL_JOIN, (part: Uint8Array) => decodeDomainPdu(decodeData(part))],
    ] as const) {
      for (let length = 0; length < bytes.length; length++) {
        expect(() => decode(bytes.subarray(0, length))).toThrow(PduError);
      }
    }
  });
});
