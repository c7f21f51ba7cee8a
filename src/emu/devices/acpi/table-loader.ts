/**
 * Linker script: how firmware places the tables and fills in addresses and checksums.
 * Source: QEMU documentation, fw_cfg file "etc/table-loader" (BIOS linker/loader commands, 128 bytes each, little-endian).
 */
import { unreachable } from '#base/errors.ts';
import { putAscii } from './table.ts';

/** Where a file goes: anywhere in high memory, or in the F segment that operating systems search. */
export type LoaderZone = 'high' | 'fseg';

export type LoaderCommand =
  | { readonly kind: 'allocate'; readonly file: string; readonly alignment: number; readonly zone: LoaderZone }
  /** Adds the address of `source` to the pointer of `byteCount` bytes at `offset` of `file`. */
  | {
      readonly kind: 'add-pointer';
      readonly file: string;
      readonly source: string;
      readonly offset: number;
      readonly byteCount: 4 | 8;
    }
  /** Sets the byte at `offset` so that `start` to `start + byteCount` sums to zero. */
  | {
      readonly kind: 'add-checksum';
      readonly file: string;
      readonly offset: number;
      readonly start: number;
      readonly byteCount: number;
    };

export const LOADER_COMMAND_BYTES = 128;
const FILE_NAME_BYTES = 56;
const KIND = { allocate: 1, addPointer: 2, addChecksum: 3 } as const;
const ZONE = { high: 1, fseg: 2 } as const;

export function encodeLoaderScript(commands: readonly LoaderCommand[]): Uint8Array {
  const bytes = new Uint8Array(commands.length * LOADER_COMMAND_BYTES);
  const view = new DataView(bytes.buffer);
  commands.forEach((command, i) => {
    encode(command, bytes, view, i * LOADER_COMMAND_BYTES);
  });
  return bytes;
}

function encode(command: LoaderCommand, bytes: Uint8Array, view: DataView, at: number): void {
  const put = (offset: number, text: string): void => {
    if (text.length >= FILE_NAME_BYTES) unreachable(`loader file name ${text}`);
    putAscii(bytes, at + offset, text);
  };
  put(4, command.file);
  switch (command.kind) {
    case 'allocate':
      view.setUint32(at, KIND.allocate, true);
      view.setUint32(at + 60, command.alignment, true);
      view.setUint8(at + 64, ZONE[command.zone]);
      break;
    case 'add-pointer':
      view.setUint32(at, KIND.addPointer, true);
      put(60, command.source);
      view.setUint32(at + 116, command.offset, true);
      view.setUint8(at + 120, command.byteCount);
      break;
    case 'add-checksum':
      view.setUint32(at, KIND.addChecksum, true);
      view.setUint32(at + 60, command.offset, true);
      view.setUint32(at + 64, command.start, true);
      view.setUint32(at + 68, command.byteCount, true);
      break;
  }
}
