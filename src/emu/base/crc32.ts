/** Eight tables, so that eight bytes go through at once: saved machines have hundreds of megabytes, and every frame is summed. */
const CRC_TABLES: readonly Int32Array[] = crcTables();

function crcTables(): Int32Array[] {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb8_8320 : c >>> 1;
    tables[0][n] = c;
  }
  for (let t = 1; t < 8; t++) {
    for (let n = 0; n < 256; n++) {
      const before = tables[t - 1][n];
      tables[t][n] = (before >>> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

/** CRC-32 of ITU-T V.42 and IEEE 802.3, unsigned. @param end default: all of `bytes` */
export function crc32(bytes: Uint8Array, end: number = bytes.length): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = CRC_TABLES;
  let c = -1;
  let i = 0;
  for (; i + 8 <= end; i += 8) {
    const low = c ^ (bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24));
    c =
      t7[low & 0xff] ^
      t6[(low >>> 8) & 0xff] ^
      t5[(low >>> 16) & 0xff] ^
      t4[low >>> 24] ^
      t3[bytes[i + 4]] ^
      t2[bytes[i + 5]] ^
      t1[bytes[i + 6]] ^
      t0[bytes[i + 7]];
  }
  for (; i < end; i++) c = (c >>> 8) ^ t0[(c ^ bytes[i]) & 0xff];
  return (c ^ -1) >>> 0;
}
