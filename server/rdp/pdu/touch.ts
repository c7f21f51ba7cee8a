/**
 * PDUs of the channel for touch input.
 * Source: [MS-RDPEI] 2.2.2 (integers of variable length), 2.2.3 (messages).
 * Not modelled: pens, and what the server may ask (suspend, resume).
 */
import { PduError, PduReader, PduWriter } from './bytes.ts';

/** 2.2.2.6, eventId. */
const MESSAGE = { serverReady: 1, clientReady: 2, touch: 3, dismissHovering: 6 } as const;
const VERSION_1 = 0x0001_0000;
/** 2.2.3.3.1.1, fieldsPresent. */
const FIELD = { rect: 1, orientation: 2, pressure: 4 } as const;
/** 2.2.3.3.1.1, contactFlags. */
const CONTACT = { inContact: 0x10, canceled: 0x20 } as const;
const MAX_FRAMES = 1024;
const MAX_CONTACTS = 256;

/** One finger in one moment. */
export interface TouchContact {
  readonly id: number;
  /** Pixels of the screen. */
  readonly x: number;
  readonly y: number;
  /** It touches; otherwise it hovers or is gone. */
  readonly isDown: boolean;
  /** What it has done since it came down is not to count. */
  readonly isCanceled: boolean;
}

export const encodeTouchReady = (): Uint8Array =>
  new PduWriter(10).u16(MESSAGE.serverReady).u32(10).u32(VERSION_1).done();

/** @returns moments in order, each with the fingers that have changed. @throws PduError */
export function decodeTouch(message: Uint8Array): TouchContact[][] {
  const r = new PduReader(message);
  if (r.u16() !== MESSAGE.touch) return [];
  r.skip(4);
  unsigned32(r);
  const count = unsigned16(r);
  if (count > MAX_FRAMES) throw new PduError('too many moments of touching in one PDU', { count });
  return Array.from({ length: count }, () => {
    const contacts = unsigned16(r);
    if (contacts > MAX_CONTACTS) throw new PduError('too many fingers', { contacts });
    unsigned64(r);
    return Array.from({ length: contacts }, () => decodeContact(r));
  });
}

function decodeContact(r: PduReader): TouchContact {
  const id = r.u8();
  const fields = unsigned16(r);
  const [x, y] = [signed32(r), signed32(r)];
  const flags = unsigned32(r);
  // Bytes, whatever the sign: two bits say how many.
  if (fields & FIELD.rect) for (let i = 0; i < 4; i++) unsigned16(r);
  if (fields & FIELD.orientation) unsigned32(r);
  if (fields & FIELD.pressure) unsigned32(r);
  return { id, x, y, isDown: (flags & CONTACT.inContact) !== 0, isCanceled: (flags & CONTACT.canceled) !== 0 };
}

/** 2.2.2.1: a bit that says whether a second byte comes, and 7 or 15 bits. */
function unsigned16(r: PduReader): number {
  const first = r.u8();
  return first & 0x80 ? ((first & 0x7f) << 8) | r.u8() : first;
}

/** 2.2.2.3: two bits that say how many bytes come, and 6 to 30 bits. */
const unsigned32 = (r: PduReader): number => continued(r, r.u8(), 6);

/** 2.2.2.5: three bits that say how many bytes come, and 5 to 61 bits. */
const unsigned64 = (r: PduReader): number => continued(r, r.u8(), 5);

/** 2.2.2.4: as unsigned, with a sign before the bits. */
function signed32(r: PduReader): number {
  const first = r.u8();
  const value = continued(r, first & ~0x20, 6);
  return first & 0x20 ? -value : value;
}

function continued(r: PduReader, first: number, bits: number): number {
  let value = first & ((1 << bits) - 1);
  for (let left = first >>> bits; left > 0; left--) value = value * 256 + r.u8();
  return value;
}
