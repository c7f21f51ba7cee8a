/** The only place in the core that touches the WebAssembly JavaScript API. */
import { CodedError } from '#base/errors.ts';

const WASM_PAGE_BYTES = 65536;

/** A machine's linear memory, shared with every worker. */
export interface LinearMemory {
  readonly buffer: SharedArrayBuffer;
  /** For `instantiate`. */
  readonly handle: unknown;
  readonly pages: number;
}

/** @throws CodedError<'memory-refused'> when the host gives no memory of that size. */
export function createLinearMemory(byteCount: number): LinearMemory {
  const pages = Math.ceil(byteCount / WASM_PAGE_BYTES);
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const buffer: unknown = memory.buffer;
    if (!(buffer instanceof SharedArrayBuffer)) throw new TypeError('WebAssembly memory is not shared here');
    return { buffer, handle: memory, pages };
  } catch (cause) {
    throw new CodedError(
      'memory-refused',
      `the host refused ${Math.round(byteCount / 1048576)} MB of shared memory; give the machine less memory or close other tabs`,
      { byteCount },
      cause,
    );
  }
}

export type HostFunction = (...args: number[]) => number | undefined;

/** Compiles and instantiates on the calling thread; returns the exported functions. */
export function instantiate(
  bytes: Uint8Array<ArrayBuffer>,
  memory: LinearMemory,
  hostFunctions: Record<string, HostFunction> = {},
  tableSize = 0,
): Record<string, (...args: (number | bigint)[]) => number | bigint | undefined> {
  const module = new WebAssembly.Module(bytes);
  const env: Record<string, unknown> = { memory: memory.handle, ...hostFunctions };
  if (tableSize > 0) env['table'] = new WebAssembly.Table({ initial: tableSize, element: 'anyfunc' });
  // The DOM's types and ours describe the values of imports differently; both take anything a module may import.
  const instance = new WebAssembly.Instance(module, { env: env as Record<string, never> });
  return instance.exports as Record<string, (...args: (number | bigint)[]) => number | bigint | undefined>;
}
