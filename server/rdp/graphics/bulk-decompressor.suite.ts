/** RDP 8.0 bulk data the other way, from [MS-RDPEGFX] 3.1.9.1.2, for tests. */

/** Code as it is written, bits behind it, what they count from; distances, then literals. */
const DISTANCES: Readonly<Record<string, readonly [number, number]>> = {
  ...{ '10001': [5, 0], '10010': [7, 32], '10011': [9, 160], '10100': [10, 672], '10101': [12, 1696] },
  ...{ '101100': [14, 5792], '101101': [15, 22176], '1011100': [18, 54944], '1011101': [20, 317088] },
  ...{ '10111100': [20, 1365664], '10111101': [21, 2414240] },
};
const LITERALS: Readonly<Record<string, number>> = {
  ...{ '11000': 0x00, '11001': 0x01, '110100': 0x02, '110101': 0x03, '110110': 0xff, '1101110': 0x04, '1101111': 0x05 },
  ...{ '1110000': 0x06, '1110001': 0x07, '1110010': 0x08, '1110011': 0x09, '1110100': 0x0a, '1110101': 0x0b },
  ...{ '1110110': 0x3a, '1110111': 0x3b, '1111000': 0x3c, '1111001': 0x3d, '1111010': 0x3e, '1111011': 0x3f },
  ...{ '1111100': 0x40, '1111101': 0x80, '11111100': 0x0c, '11111101': 0x38, '11111110': 0x39, '11111111': 0x66 },
};

export class BulkDecompressor {
  readonly #history: number[] = [];

  /** @throws Error when it is no bulk data */
  decode(message: Uint8Array): Uint8Array {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    if (message[0] === 0xe0) return Uint8Array.from(this.#segment(message.subarray(1)));
    if (message[0] !== 0xe1) throw new Error(`no segments: ${message[0]}`);
    const out: number[] = [];
    let at = 7;
    for (let left = view.getUint16(1, true); left > 0; left--) {
      const size = view.getUint32(at, true);
      for (const byte of this.#segment(message.subarray(at + 4, at + 4 + size))) out.push(byte);
      at += 4 + size;
    }
    if (out.length !== view.getUint32(3, true) || at !== message.length) throw new Error('lengths do not match');
    return Uint8Array.from(out);
  }

  #segment(segment: Uint8Array): number[] {
    const start = this.#history.length;
    if ((segment[0] & 0x0f) !== 4) throw new Error(`not RDP 8: ${segment[0]}`);
    if (segment[0] & 0x20) this.#expand(segment.subarray(1));
    else for (const byte of segment.subarray(1)) this.#history.push(byte);
    return this.#history.slice(start);
  }

  #expand(data: Uint8Array): void {
    const history = this.#history;
    const bits = (data.length - 1) * 8 - data[data.length - 1];
    let at = 0;
    const read = (count: number): number => {
      let value = 0;
      for (let i = 0; i < count; i++, at++) value = value * 2 + ((data[at >> 3] >> (7 - (at & 7))) & 1);
      return value;
    };
    while (at < bits) {
      if (read(1) === 0) {
        history.push(read(8));
        continue;
      }
      let code = '1';
      while (!(code in DISTANCES) && !(code in LITERALS)) {
        if (code.length > 9) throw new Error(`no such code: ${code}`);
        code += read(1);
      }
      const distance = DISTANCES[code];
      if (!distance) {
        history.push(LITERALS[code]);
        continue;
      }
      const back = distance[1] + read(distance[0]);
      let length = 3;
      if (read(1)) {
        length = 4;
        let extra = 2;
        for (; read(1); extra++) length *= 2;
        length += read(extra);
      }
      if (back === 0 || back > history.length || back > 2_500_000) throw new Error(`a match ${back} bytes back`);
      for (; length > 0; length--) history.push(history[history.length - back]);
    }
    if (at !== bits) throw new Error('bits are left over');
  }
}
