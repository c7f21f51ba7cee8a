/** What a client with a clipboard of files sends, for tests. */
import { PduWriter } from '../pdu/bytes.ts';

/** Identifier that the client has given to its list of files. */
export const LIST_FORMAT = 0xc0de;
export const pdu = (type: number, flags: number, body: Uint8Array = new Uint8Array(0)): Uint8Array =>
  new PduWriter().u16(type).u16(flags).u32(body.length).bytes(body).done();
/** [MS-RDPECLIP] 2.2.2.1.1.1: a general capability set. */
export const capabilities = (flags: number): Uint8Array =>
  pdu(7, 0, new PduWriter().u16(1).u16(0).u16(1).u16(12).u32(2).u32(flags).done());
/** [MS-RDPECLIP] 2.2.3.1.2.1: identifiers, and names that end with NUL. */
export const formats = (...all: readonly (readonly [number, string])[]): Uint8Array => {
  const w = new PduWriter();
  for (const [id, name] of all) w.u32(id).utf16(name).u16(0);
  return pdu(2, 0, w.done());
};

export interface Listed {
  readonly path: string;
  /** Undefined: the list does not say. */
  readonly size?: number;
  readonly isFolder?: boolean;
}

/** [MS-RDPECLIP] 2.2.5.2.3.1: descriptors of 592 bytes. */
export function list(files: readonly Listed[]): Uint8Array {
  const w = new PduWriter().u32(files.length);
  for (const { path, size, isFolder = false } of files) {
    w.u32(4 | (size === undefined ? 0 : 0x40)).zeros(32);
    w.u32(isFolder ? 0x10 : 0x20).zeros(24);
    w.u32(Math.floor((size ?? 0) / 2 ** 32)).u32(size ?? 0);
    w.utf16(path).zeros(520 - path.length * 2);
  }
  return pdu(5, 1, w.done());
}
