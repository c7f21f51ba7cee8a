/** The part of the WebAssembly JavaScript API that `host.ts` uses; the core has no DOM library. */
declare namespace WebAssembly {
  class Memory {
    constructor(options: { initial: number; maximum: number; shared: true });
    readonly buffer: SharedArrayBuffer;
  }
  class Table {
    constructor(options: { initial: number; maximum?: number; element: 'anyfunc' });
    get(index: number): unknown;
    set(index: number, value: unknown): void;
    readonly length: number;
  }
  class Module {
    static customSections(module: Module, name: string): ArrayBuffer[];
    constructor(bytes: Uint8Array<ArrayBuffer>);
  }
  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
}
