import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePacket, fromHex, PacketReader, toHex } from './gdb-packets.ts';

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

describe('packets', () => {
  // From the manual's own example and a session recorded with GDB.
  it('are framed as GDB frames them', () => {
    expect(String.fromCharCode(...encodePacket('OK'))).toBe('$OK#9a');
    expect(String.fromCharCode(...encodePacket(''))).toBe('$#00');
    expect(String.fromCharCode(...encodePacket('vMustReplyEmpty'))).toBe('$vMustReplyEmpty#3a');
  });

  it('survive any bytes in any pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), fc.infiniteStream(fc.nat(20)), (packets, sizes) => {
        const stream = packets.flatMap((data) => [...encodePacket(data)]);
        const reader = new PacketReader();
        const found: Uint8Array[] = [];
        for (let at = 0; at < stream.length; ) {
          const count = (sizes.next().value ?? 0) + 1;
          for (const one of reader.push(Uint8Array.from(stream.slice(at, at + count)))) {
            if (one.kind === 'packet') found.push(one.data);
          }
          at += count;
        }
        expect(found).toEqual(packets);
      }),
    );
  });

  it('with a wrong checksum are said to be damaged, and the next one counts', () => {
    const reader = new PacketReader();
    expect(reader.push(latin1('$OK#00$OK#9a')).map(({ kind }) => kind)).toEqual(['damaged', 'packet']);
  });

  it('leave room for acknowledgements and Ctrl-C between them', () => {
    const reader = new PacketReader();
    expect(reader.push(latin1('+-\x03x$#00')).map(({ kind }) => kind)).toEqual(['ack', 'nack', 'interrupt', 'packet']);
  });
});

describe('hexadecimal', () => {
  it('goes both ways', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void expect(fromHex(toHex(bytes))).toEqual(bytes)));
    expect(fromHex('abc')).toBeUndefined();
    expect(fromHex('zz')).toBeUndefined();
  });
});
