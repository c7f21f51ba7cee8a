/** What stands before every packet in a network device's queues. Source: VIRTIO 1.2, section 5.1.6. */

/** Byte offsets. */
export const HEADER = {
  flags: 0,
  gsoType: 1,
  headerLength: 2,
  gsoSize: 4,
  sumStart: 6,
  sumOffset: 8,
  buffers: 10,
} as const;
export const HEADER_FLAG = { needsChecksum: 1, dataValid: 2 } as const;
export const GSO = { none: 0, tcp4: 1, udp: 3, tcp6: 4, ecn: 0x80 } as const;
/** With the number of buffers, and as it was before. */
export const HEADER_BYTES = 12;
export const SHORT_HEADER_BYTES = 10;

export const NET_FEATURE = {
  checksum: 1 << 0,
  guestChecksum: 1 << 1,
  mac: 1 << 5,
  guestTso4: 1 << 7,
  guestTso6: 1 << 8,
  hostTso4: 1 << 11,
  hostTso6: 1 << 12,
  hostEcn: 1 << 13,
  mergeBuffers: 1 << 15,
  status: 1 << 16,
  controlQueue: 1 << 17,
  controlReceive: 1 << 18,
  controlVlan: 1 << 19,
  controlReceiveExtra: 1 << 20,
  controlMac: 1 << 23,
} as const;

export const getU16le = (bytes: Uint8Array, at: number): number => bytes[at] | (bytes[at + 1] << 8);
export function putU16le(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}
