// The file in which a machine's UEFI variables live between its runs.

import { renameSync, writeFileSync } from 'node:fs';
import { CodedError } from '#base/errors.ts';

export interface VariableStore {
  readonly path: string;
  /** A reader, or a run after a crash, finds all of it or what was there before. @throws CodedError<'unwritable'> */
  store(contents: Uint8Array): void;
}

export function variableStore(path: string): VariableStore {
  return {
    path,
    store(contents): void {
      const part = `${path}.part`;
      try {
        writeFileSync(part, contents);
        renameSync(part, path);
      } catch (cause) {
        throw new CodedError('unwritable', `${path} cannot be written; check its folder`, { path }, cause);
      }
    },
  };
}
