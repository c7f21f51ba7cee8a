/**
 * One pixel over another.
 * @param over bytes R, G, B, A in memory order, alpha not multiplied in
 * @param below an opaque one
 */
export function blend(over: number, below: number): number {
  const alpha = over >>> 24;
  if (alpha === 0) return below;
  if (alpha === 255) return over;
  const mix = (shift: number): number => {
    const [a, b] = [(over >>> shift) & 0xff, (below >>> shift) & 0xff];
    return Math.round((a * alpha + b * (255 - alpha)) / 255) << shift;
  };
  return (0xff00_0000 | mix(0) | mix(8) | mix(16)) >>> 0;
}
