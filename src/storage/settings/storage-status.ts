/**
 * What the browser says about room and permanence. Source: WHATWG Storage Standard, sections 4 (persistence) and 5.
 * Figures are the browser's estimate: padded, and for the whole site.
 */

/** The part of `navigator.storage` used here. */
export interface StorageManagerLike {
  estimate?(): Promise<{ usage?: number; quota?: number }>;
  persisted?(): Promise<boolean>;
  persist?(): Promise<boolean>;
}

export interface StorageStatus {
  /** Bytes this site uses, and may use; undefined when the browser does not say. */
  readonly usedBytes: number | undefined;
  readonly quotaBytes: number | undefined;
  /** True: only the person deletes this site's data. False: the browser may, when room is short. */
  readonly persistent: boolean | undefined;
}

function browserStorage(): StorageManagerLike | undefined {
  return typeof navigator === 'undefined'
    ? undefined
    : (navigator as { readonly storage?: StorageManagerLike }).storage;
}

/** Never throws: what the browser refuses to tell is undefined. */
export async function storageStatus(
  storage: StorageManagerLike | undefined = browserStorage(),
): Promise<StorageStatus> {
  const [estimate, persistent] = await Promise.all([
    storage?.estimate?.().catch(() => undefined),
    storage?.persisted?.().catch(() => undefined),
  ]);
  return { usedBytes: estimate?.usage, quotaBytes: estimate?.quota, persistent };
}

/**
 * Asks that the browser keep this site's data until the person deletes it. Chrome decides by itself, without asking
 * the person and sometimes with no; Firefox asks.
 */
export async function askPersistence(storage: StorageManagerLike | undefined = browserStorage()): Promise<boolean> {
  try {
    return (await storage?.persist?.()) ?? false;
  } catch {
    return false;
  }
}
