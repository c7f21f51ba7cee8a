/** [MS-RDPRFX] 3.1.8.1.7.3 the other way round. */
export function decodeRlgr1(bytes: Uint8Array, count: number): Int16Array {
  const out = new Int16Array(count);
  let at = 0;
  let bit = 0;
  const read = (bits: number): number => {
    let value = 0;
    for (let i = 0; i < bits; i++, bit++) value = (value << 1) | (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1);
    return value;
  };
  const limit = (value: number): number => Math.max(0, Math.min(80, value));
  let kp = 8;
  let krp = 8;
  const golomb = (): number => {
    let high = 0;
    while (read(1) === 1) if (++high > 100_000) throw new Error('no end of ones');
    const kr = krp >> 3;
    const value = (high << kr) | read(kr);
    if (high === 0) krp = limit(krp - 2);
    else if (high > 1) krp = limit(krp + high);
    return value;
  };
  while (at < count) {
    if (kp >> 3 !== 0) {
      while (read(1) === 0) {
        at += 1 << (kp >> 3);
        kp = limit(kp + 4);
      }
      at += read(kp >> 3);
      const sign = read(1);
      const magnitude = golomb() + 1;
      if (at < count) out[at++] = sign ? -magnitude : magnitude;
      kp = limit(kp - 6);
    } else {
      const code = golomb();
      out[at++] = code & 1 ? -((code + 1) >> 1) : code >> 1;
      kp = limit(code === 0 ? kp + 3 : kp - 3);
    }
  }
  return out;
}
