import { describe, expect, it } from 'vitest';
import { PaintedDesktop } from '#display/desktop/painted-desktop.suite.ts';
import { ClientInput } from './client-input.ts';
import { PduReader } from './pdu/bytes.ts';
import { decodeFastPathInput, decodeSlowPathInput, type InputEvent } from './pdu/input.ts';

/** [MS-RDPBCGR] 2.2.8.1.2.2.3: one mouse event at 5, 6. */
const fast = (flags: number): InputEvent[] =>
  decodeFastPathInput(new PduReader(Uint8Array.of(0x20, flags & 255, flags >> 8, 5, 0, 6, 0)), 1);
/** [MS-RDPBCGR] 2.2.8.1.1.3.1.1.3, the same. */
const slow = (flags: number): InputEvent[] =>
  decodeSlowPathInput(
    new PduReader(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, flags & 255, flags >> 8, 5, 0, 6, 0)),
  );

const [VERTICAL, HORIZONTAL, NEGATIVE] = [0x200, 0x400, 0x100];
const rotation = (by: number): number => (by < 0 ? NEGATIVE | ((0x100 + by) & 0xff) : by);

describe.each([
  ['fast', fast],
  ['slow', slow],
] as const)('the wheels of a client on the %s path', (_, decode) => {
  function turned(...flags: readonly number[]): number[][] {
    const desktop = new PaintedDesktop(640, 480);
    const chords = { paste: () => undefined, copy: () => false };
    const input = new ClientInput(desktop.seat(), () => undefined, chords);
    for (const one of flags) for (const event of decode(one)) input.take(event);
    // Nothing else moves: a wheel's place means nothing.
    expect(desktop.mouse.every(({ dx, dy, buttons }) => dx === 0 && dy === 0 && buttons === 0)).toBe(true);
    return desktop.mouse.map(({ dz, dw }) => [dz + 0, dw + 0]);
  }

  it('turn both ways', () => {
    expect(turned(HORIZONTAL | rotation(120))).toEqual([[0, -1]]);
    expect(turned(HORIZONTAL | rotation(-120))).toEqual([[0, 1]]);
    expect(turned(HORIZONTAL | rotation(-240))).toEqual([[0, 2]]);
    expect(turned(VERTICAL | rotation(120))).toEqual([[-1, 0]]);
    expect(turned(VERTICAL | rotation(-120))).toEqual([[1, 0]]);
  });

  it('turn by parts of a notch, each its own', () => {
    const [right, left, up] = [HORIZONTAL | rotation(50), HORIZONTAL | rotation(-50), VERTICAL | rotation(70)];
    expect(turned(right, up, right, right)).toEqual([[0, -1]]);
    expect(turned(right, up, up, right, left, left, left, left, left)).toEqual([
      [-1, 0],
      [0, 1],
    ]);
  });
});
