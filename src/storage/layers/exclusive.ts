/**
 * One opener at a time, across tabs and workers of an origin. Source: W3C Web Locks API, section 3.
 * Where there are no Web Locks (Node, old browsers) two pages are not kept apart.
 */
import { storageError } from '../block/block-store.ts';

/** The part of `navigator.locks` used here. */
export interface Locks {
  request(
    name: string,
    options: { readonly ifAvailable: true },
    granted: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown>;
}

export function pageLocks(): Locks | undefined {
  return typeof navigator === 'undefined' ? undefined : (navigator as { readonly locks?: Locks }).locks;
}

/**
 * @returns gives the name free again; a closed or crashed page gives it free too
 * @throws CodedError<'in-use'> when somebody holds it
 */
export async function takeExclusive(name: string, locks: Locks | undefined): Promise<() => void> {
  if (!locks) return () => {};
  return new Promise<() => void>((resolve, reject) => {
    const held = (lock: unknown): Promise<void> | undefined => {
      if (lock) return new Promise<void>((release) => resolve(release));
      reject(storageError('in-use', 'this disk is in use in another tab or window: close the machine there', { name }));
      return undefined;
    };
    locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}
