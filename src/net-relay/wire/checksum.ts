// The Internet checksum. Source: RFC 1071; RFC 1624 (incremental update); RFC 9293 3.1 and RFC 8200 8.1 (pseudo headers).

/** From here on reading words is worth making a view for it. */
const LONG_BYTES = 128;

/**
 * Adds 16-bit words without folding.
 * @param from, to byte range of `bytes`, at most 65,535 bytes; an odd last byte counts as the high half of a word
 * @param sum what was added before
 */
export function addWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let total = sum;
  let at = from;
  if (to - from >= LONG_BYTES) {
    total += addLittleEndian(bytes, from, to);
    at += (to - from) & ~15;
  }
  for (const end = to - 1; at < end; at += 2) total += (bytes[at] << 8) | bytes[at + 1];
  if (at < to) total += bytes[at] << 8;
  return total;
}

/**
 * The same for the whole 16-byte groups of a range: 32 bits at a time in the order of the host's bytes, which only swaps
 * the two bytes of the sum (RFC 1071, section 2 (B) and (C)). 1,460 bytes take a quarter of the time that bytes take.
 */
function addLittleEndian(bytes: Uint8Array, from: number, to: number): number {
  const view = viewOf(bytes.buffer);
  const first = bytes.byteOffset + from;
  let total = 0;
  for (let at = first, end = first + ((to - from) & ~15); at < end; at += 16) {
    total +=
      view.getUint32(at, true) +
      view.getUint32(at + 4, true) +
      view.getUint32(at + 8, true) +
      view.getUint32(at + 12, true);
  }
  // Less than 2^46: exact, and three words.
  const folded = fold(
    (total % 0x1_0000) + (Math.floor(total / 0x1_0000) % 0x1_0000) + Math.floor(total / 0x1_0000_0000),
  );
  return ((folded & 255) << 8) | (folded >>> 8);
}

/** Largest buffer that is kept alive for its view: rings and scratch frames are smaller, a guest's memory is not. */
const MOST_KEPT_BYTES = 1 << 20;
let keptBuffer: ArrayBufferLike = new ArrayBuffer(0);
let keptView: DataView = new DataView(keptBuffer);

/** A view of a buffer. Segments of a transfer are summed in one scratch frame, and a view takes as long as half of that. */
function viewOf(buffer: ArrayBufferLike): DataView {
  if (buffer === keptBuffer) return keptView;
  const view = new DataView(buffer);
  if (buffer.byteLength > MOST_KEPT_BYTES) return view;
  keptBuffer = buffer;
  keptView = view;
  return view;
}

/** Folds carries; the result fits 16 bits. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}

/** The checksum of a byte range, as it is written in a header whose checksum field is zero. */
export const checksum = (bytes: Uint8Array, from: number, to: number, sum = 0): number =>
  ~fold(addWords(bytes, from, to, sum)) & 0xffff;

/** Whether a range that includes its checksum is intact. */
export const isIntact = (bytes: Uint8Array, from: number, to: number, sum = 0): boolean =>
  fold(addWords(bytes, from, to, sum)) === 0xffff;

/** A checksum after one 16-bit word of what it covers changed. Source: RFC 1624, equation 3. */
export const updateChecksum = (old: number, oldWord: number, newWord: number): number =>
  ~fold((~old & 0xffff) + (~oldWord & 0xffff) + newWord) & 0xffff;

/** The pseudo header's sum. @param addressAt, addressBytes source and destination, adjacent as IP has them */
export const pseudoHeader = (
  bytes: Uint8Array,
  addressAt: number,
  addressBytes: number,
  protocol: number,
  payloadBytes: number,
): number => addWords(bytes, addressAt, addressAt + addressBytes, protocol + payloadBytes);
