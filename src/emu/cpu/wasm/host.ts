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
export type WasmFunction = (...args: (number | bigint)[]) => number | bigint | undefined;

/** A table of functions that modules can call through. */
export interface FunctionTable {
  /** For imports. */
  readonly handle: unknown;
  readonly size: number;
  set(slot: number, f: WasmFunction | null): void;
}

export function createFunctionTable(size: number): FunctionTable {
  const table = new WebAssembly.Table({ initial: size, element: 'anyfunc' });
  return {
    handle: table,
    size,
    set: (slot, f) => table.set(slot, f as never),
  };
}

/** Compiles on the calling thread. */
export const compileModule = (bytes: Uint8Array<ArrayBuffer>): unknown => new WebAssembly.Module(bytes);

/** Text of a custom section that `ModuleBuilder.custom` made. */
export function customSection(module: unknown, name: string): string | undefined {
  const section = WebAssembly.Module.customSections(module as WebAssembly.Module, name)[0];
  return section && Array.from(new Uint8Array(section), (code) => String.fromCharCode(code)).join('');
}

/** Instantiates a module of `compileModule`, here or on another thread. */
export function instantiateModule(
  module: unknown,
  memory: LinearMemory,
  imports: Record<string, unknown>,
): Record<string, WasmFunction> {
  const env: Record<string, unknown> = { memory: memory.handle, ...imports };
  // The DOM's types and ours describe the values of imports differently; both take anything a module may import.
  const instance = new WebAssembly.Instance(module as WebAssembly.Module, { env: env as Record<string, never> });
  return instance.exports as Record<string, WasmFunction>;
}

/** Compiles and instantiates on the calling thread; returns the exported functions. */
export function instantiate(
  bytes: Uint8Array<ArrayBuffer>,
  memory: LinearMemory,
  hostFunctions: Record<string, HostFunction> = {},
  tableSize = 0,
  regions?: FunctionTable,
): Record<string, WasmFunction> {
  const imports: Record<string, unknown> = { ...hostFunctions };
  if (tableSize > 0) imports['table'] = new WebAssembly.Table({ initial: tableSize, element: 'anyfunc' });
  if (regions) imports['regions'] = regions.handle;
  return instantiateModule(compileModule(bytes), memory, imports);
}
