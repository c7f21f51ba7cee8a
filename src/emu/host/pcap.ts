/**
 * Capture files of Ethernet frames.
 * Source: "PCAP Capture File Format" (draft-ietf-opsawg-pcap), sections 4 and 5.
 */
const MAGIC_MICROSECONDS = 0xa1b2_c3d4;
const LINKTYPE_ETHERNET = 1;
const SNAP_BYTES = 0x4_0000;

/** What a capture file begins with. */
export function pcapHeader(): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC_MICROSECONDS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAP_BYTES, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return bytes;
}

/** One frame's record. @param unixMs when it passed; fractions count */
export function pcapRecord(frame: Uint8Array, unixMs: number): Uint8Array {
  const bytes = new Uint8Array(16 + frame.length);
  const view = new DataView(bytes.buffer);
  const microseconds = Math.round(unixMs * 1000);
  view.setUint32(0, Math.floor(microseconds / 1e6), true);
  view.setUint32(4, microseconds % 1e6, true);
  view.setUint32(8, frame.length, true);
  view.setUint32(12, frame.length, true);
  bytes.set(frame, 16);
  return bytes;
}
