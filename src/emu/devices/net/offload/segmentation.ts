/**
 * Cuts one large TCP or UDP packet into frames, as network cards do for their driver.
 * Source: Intel 8254x SDM, section 3.5 (TCP segmentation); VIRTIO 1.2, section 5.1.6.2.
 *
 * Not modelled: IPv6 extension headers between the IP and the transport header are copied, not understood.
 */
import { getU16, getU32, putU16, putU32 } from './internet-checksum.ts';

export interface SegmentLayout {
  /** Bytes from the start of the frame to the payload. */
  readonly headerBytes: number;
  /** Most payload bytes a frame has; 1 or more. */
  readonly mss: number;
  /** Where the IP header is. */
  readonly ipAt: number;
  /** Where the TCP or UDP header is. */
  readonly transportAt: number;
  readonly protocol: 'tcp' | 'udp';
}

const TCP_SEQUENCE = 4;
const TCP_FLAGS = 13;
const TCP_FIN = 0x01;
const TCP_PSH = 0x08;
const TCP_CWR = 0x80;
const UDP_LENGTH = 4;

/** How many frames `byteCount` bytes, headers included, become; at least one. */
export function segmentCount(byteCount: number, layout: SegmentLayout): number {
  return Math.max(1, Math.ceil((byteCount - layout.headerBytes) / layout.mss));
}

/**
 * Writes one of the frames: lengths, identification, sequence number and flags are right, checksums are the caller's.
 * @param packet headers and payload, `byteCount` bytes
 * @param index 0 to `segmentCount` - 1
 * @returns the frame's length
 */
export function writeSegment(
  packet: Uint8Array,
  byteCount: number,
  layout: SegmentLayout,
  index: number,
  into: Uint8Array,
): number {
  const { headerBytes, mss, ipAt, transportAt, protocol } = layout;
  const from = headerBytes + index * mss;
  const to = Math.min(byteCount, from + mss);
  const length = headerBytes + to - from;
  into.set(packet.subarray(0, headerBytes), 0);
  into.set(packet.subarray(from, to), headerBytes);
  if (into[ipAt] >> 4 === 6) putU16(into, ipAt + 4, length - ipAt - 40);
  else {
    putU16(into, ipAt + 2, length - ipAt);
    putU16(into, ipAt + 4, (getU16(packet, ipAt + 4) + index) & 0xffff);
  }
  if (protocol === 'udp') {
    putU16(into, transportAt + UDP_LENGTH, length - transportAt);
    return length;
  }
  putU32(into, transportAt + TCP_SEQUENCE, (getU32(packet, transportAt + TCP_SEQUENCE) + index * mss) >>> 0);
  // Only the last one ends or pushes the stream, only the first one tells of congestion.
  let flags = into[transportAt + TCP_FLAGS];
  if (to < byteCount) flags &= ~(TCP_FIN | TCP_PSH);
  if (index > 0) flags &= ~TCP_CWR;
  into[transportAt + TCP_FLAGS] = flags;
  return length;
}
