/**
 * What a client's keyboard and mouse do, from slow-path and fast-path PDUs.
 * Source: [MS-RDPBCGR] 2.2.8.1.1.3 (slow path), 2.2.8.1.2 (fast path).
 */
import { PduError, type PduReader } from './bytes.ts';

/** 2.2.8.1.1.3.1.1, messageType. */
const MESSAGE = {
  synchronize: 0,
  unused: 2,
  scancode: 4,
  unicode: 5,
  mouse: 0x8001,
  mouseX: 0x8002,
  mouseRelative: 0x8004,
} as const;
/** 2.2.8.1.2.2, eventCode. */
const FAST = { scancode: 0, mouse: 1, mouseX: 2, synchronize: 3, unicode: 4, mouseRelative: 5, timestamp: 6 } as const;
/** 2.2.8.1.1.3.1.1.1, keyboardFlags. */
const KEY = { extended: 0x100, extended1: 0x200, release: 0x8000 } as const;
/** 2.2.8.1.2.2.1, eventFlags. */
const FAST_KEY = { release: 1, extended: 2, extended1: 4 } as const;
/** 2.2.8.1.1.3.1.1.3 and .4, pointerFlags. */
export const POINTER = {
  wheelNegative: 0x0100,
  verticalWheel: 0x0200,
  horizontalWheel: 0x0400,
  move: 0x0800,
  button1: 0x1000,
  button2: 0x2000,
  button3: 0x4000,
  down: 0x8000,
} as const;
const WHEEL_MASK = 0x01ff;
const MAX_EVENTS = 1024;

export type InputEvent =
  | {
      readonly kind: 'key';
      readonly code: number;
      /** Behind E0. */
      readonly extended: boolean;
      /** Behind E1: the Pause key. */
      readonly extended1: boolean;
      readonly down: boolean;
    }
  | { readonly kind: 'unicode'; readonly unit: number; readonly down: boolean }
  /** `flags`: bits of POINTER; buttons 4 and 5 have `isX`. */
  | { readonly kind: 'mouse'; readonly flags: number; readonly x: number; readonly y: number; readonly isX: boolean }
  | { readonly kind: 'relative'; readonly flags: number; readonly dx: number; readonly dy: number }
  /** State of the lock keys; everything is to be let go. */
  | { readonly kind: 'synchronize'; readonly toggles: number };

/** Rotation of a wheel event, 120 a notch: away from the person positive, of a horizontal wheel to the right. */
export function wheelRotation(flags: number): number {
  const rotation = flags & WHEEL_MASK;
  return flags & POINTER.wheelNegative ? rotation - 0x200 : rotation;
}

/** @param r the body of a share data PDU of type input. @throws PduError */
export function decodeSlowPathInput(r: PduReader): InputEvent[] {
  const count = r.u16();
  r.skip(2);
  if (count > MAX_EVENTS) throw new PduError('too many input events in one PDU', { count });
  const events: InputEvent[] = [];
  for (let i = 0; i < count; i++) {
    r.skip(4);
    const event = slowPathEvent(r);
    if (event) events.push(event);
  }
  return events;
}

function slowPathEvent(r: PduReader): InputEvent | undefined {
  const type = r.u16();
  const a = r.u16();
  const b = r.u16();
  const c = r.u16();
  switch (type) {
    case MESSAGE.synchronize:
      return { kind: 'synchronize', toggles: b };
    case MESSAGE.unused:
      return undefined;
    case MESSAGE.scancode:
      return {
        kind: 'key',
        code: b & 0x7f,
        extended: (a & KEY.extended) !== 0,
        extended1: (a & KEY.extended1) !== 0,
        down: (a & KEY.release) === 0,
      };
    case MESSAGE.unicode:
      return { kind: 'unicode', unit: b, down: (a & KEY.release) === 0 };
    case MESSAGE.mouse:
    case MESSAGE.mouseX:
      return { kind: 'mouse', flags: a, x: b, y: c, isX: type === MESSAGE.mouseX };
    case MESSAGE.mouseRelative:
      return { kind: 'relative', flags: a, dx: (b << 16) >> 16, dy: (c << 16) >> 16 };
    default:
      throw new PduError('an unknown kind of input', { type });
  }
}

/** @param count from the header; 0: the first byte has it. @param r behind header and signature. @throws PduError */
export function decodeFastPathInput(r: PduReader, count: number): InputEvent[] {
  const events: InputEvent[] = [];
  for (let left = count || r.u8(); left > 0; left--) {
    const event = fastPathEvent(r);
    if (event) events.push(event);
  }
  return events;
}

function fastPathEvent(r: PduReader): InputEvent | undefined {
  const header = r.u8();
  const flags = header & 0x1f;
  switch (header >>> 5) {
    case FAST.scancode:
      return {
        kind: 'key',
        code: r.u8() & 0x7f,
        extended: (flags & FAST_KEY.extended) !== 0,
        extended1: (flags & FAST_KEY.extended1) !== 0,
        down: (flags & FAST_KEY.release) === 0,
      };
    case FAST.mouse:
      return { kind: 'mouse', flags: r.u16(), x: r.u16(), y: r.u16(), isX: false };
    case FAST.mouseX:
      return { kind: 'mouse', flags: r.u16(), x: r.u16(), y: r.u16(), isX: true };
    case FAST.synchronize:
      return { kind: 'synchronize', toggles: flags };
    case FAST.unicode:
      return { kind: 'unicode', unit: r.u16(), down: (flags & FAST_KEY.release) === 0 };
    case FAST.mouseRelative:
      return { kind: 'relative', flags: r.u16(), dx: r.i16(), dy: r.i16() };
    case FAST.timestamp:
      r.skip(4);
      return undefined;
    default:
      throw new PduError('an unknown kind of fast-path input', { header });
  }
}
