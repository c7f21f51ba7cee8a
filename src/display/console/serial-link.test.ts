import { describe, expect, it } from 'vitest';
import { ByteRingReader, ByteRingWriter, createByteRing } from '#emu/host/byte-ring.ts';
import { SerialLink } from './serial-link.ts';

const rings = (capacity = 64) => ({
  fromGuest: createByteRing(capacity),
  toGuest: createByteRing(capacity),
  doorbell: new SharedArrayBuffer(4),
});
const settle = () => new Promise((resolve) => setTimeout(resolve, 30));

describe('serial link', () => {
  it('hands on what the guest sends, split characters whole in its log', async () => {
    const parts = rings();
    const seen: number[] = [];
    const link = new SerialLink(parts, async (bytes) => {
      seen.push(...bytes);
    });
    const guest = new ByteRingWriter(parts.fromGuest);
    const bytes = new TextEncoder().encode('a→b');
    guest.write(bytes.subarray(0, 2));
    await settle();
    guest.write(bytes.subarray(2));
    await settle();
    expect(seen).toEqual([...bytes]);
    expect(link.text).toBe('a→b');
    link.stop();
  });

  it('leaves bytes in the ring while the terminal is slow', async () => {
    const parts = rings(64);
    let next: () => void = () => {};
    let pieces = 0;
    const link = new SerialLink(parts, () => {
      pieces++;
      return new Promise((resolve) => {
        next = resolve;
      });
    });
    const guest = new ByteRingWriter(parts.fromGuest);
    guest.write(new Uint8Array(10));
    await settle();
    expect(guest.write(new Uint8Array(100))).toBe(64);
    await settle();
    expect([pieces, guest.room]).toEqual([1, 0]);
    next();
    await settle();
    expect([pieces, guest.room]).toEqual([2, 64]);
    link.stop();
    next();
  });

  it('keeps what is typed until the guest has room, and rings for it', async () => {
    const parts = rings(16);
    const link = new SerialLink(parts, async () => {});
    const text = new TextEncoder().encode('x'.repeat(10).concat('y'.repeat(30), 'z'));
    link.send(text.subarray(0, 10));
    link.send(text.subarray(10));
    expect(new Int32Array(parts.doorbell)[0]).toBeGreaterThan(0);
    const guest = new ByteRingReader(parts.toGuest);
    const got: number[] = [];
    for (let i = 0; i < 20 && got.length < text.length; i++) {
      const into = new Uint8Array(7);
      got.push(...into.subarray(0, guest.read(into)));
      await settle();
    }
    expect(got).toEqual([...text]);
    link.stop();
  });
});
