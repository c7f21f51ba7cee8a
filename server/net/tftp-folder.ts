// Files that guests may read by TFTP: a folder of the host, and nothing outside of it.

import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { TftpFile } from '../../src/net-relay/nat/tftp-server.ts';

/** @returns undefined when there is no such file below the folder; a link must not lead out of it either */
export function openTftpFile(folder: string, name: string): TftpFile | undefined {
  if (name === '' || name.includes('\0')) return undefined;
  let handle: number | undefined;
  try {
    const root = realpathSync(folder);
    // Boot ROMs write `/pxelinux.0`, and those of DOS times `\pxe\boot.0`.
    const path = realpathSync(join(root, name.replaceAll('\\', '/')));
    if (!path.startsWith(root + sep)) return undefined;
    handle = openSync(path, 'r');
    const file = handle;
    const about = fstatSync(file);
    if (!about.isFile()) {
      closeSync(file);
      return undefined;
    }
    return {
      size: about.size,
      read: (offset, bytes) => {
        const buffer = new Uint8Array(bytes);
        return buffer.subarray(0, readSync(file, buffer, 0, bytes, offset));
      },
      close: () => closeSync(file),
    };
  } catch {
    return undefined;
  }
}
