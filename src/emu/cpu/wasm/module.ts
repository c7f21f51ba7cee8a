/** Assembles a WebAssembly binary module (core specification 2.0, chapter 5.5). */
import { unreachable } from '#base/errors.ts';
import { uleb, type ValType } from './expr.ts';
import { type Callee, FunctionBuilder, type ResultType, typeByte } from './function.ts';

interface Signature {
  readonly params: readonly ValType[];
  readonly result: ResultType;
}

const charactersOf = (text: string): number[] => Array.from(text, (c) => c.charCodeAt(0));
const bytesOf = (name: string): number[] => [...uleb(name.length), ...charactersOf(name)];

export class ModuleBuilder {
  readonly #types: Signature[] = [];
  readonly #imports: { name: string; type: number }[] = [];
  readonly #functions: { type: number; builder: FunctionBuilder; exported: string | undefined }[] = [];
  readonly #elements = new Map<number, number>();
  readonly #memoryPages: { initial: number; maximum: number };
  readonly #exports: { name: string; index: number }[] = [];
  readonly #custom: { name: string; text: string }[] = [];
  #secondTable = 0;
  #importsClosed = false;

  /** The module imports `env.memory` (shared, in 64 KB pages) and, when it has elements, `env.table`. */
  constructor(memoryPages: { initial: number; maximum: number }) {
    this.#memoryPages = memoryPages;
  }

  typeIndex(params: readonly ValType[], result: ResultType): number {
    const key = `${params}>${result}`;
    const found = this.#types.findIndex((t) => `${t.params}>${t.result}` === key);
    if (found >= 0) return found;
    this.#types.push({ params, result });
    return this.#types.length - 1;
  }

  /** A host function `env.name`. All imports come before the first function. */
  import<R extends ResultType>(name: string, params: readonly ValType[], result: R): Callee<R> {
    if (this.#importsClosed) unreachable('imports come before functions');
    this.#imports.push({ name, type: this.typeIndex(params, result) });
    return { index: this.#imports.length - 1, params, result };
  }

  /** Declares a function whose body is built in `build`, at once. */
  define<R extends ResultType>(
    params: readonly ValType[],
    result: R,
    build: (f: FunctionBuilder) => void,
    exported?: string,
  ): Callee<R> {
    const { callee, builder } = this.declare(params, result, exported);
    build(builder);
    return callee;
  }

  /** Declares a function to be built later, so that functions can call each other. */
  declare<R extends ResultType>(
    params: readonly ValType[],
    result: R,
    exported?: string,
  ): { callee: Callee<R>; builder: FunctionBuilder } {
    this.#importsClosed = true;
    const builder = new FunctionBuilder(params);
    this.#functions.push({ type: this.typeIndex(params, result), builder, exported });
    return { callee: { index: this.#imports.length + this.#functions.length - 1, params, result }, builder };
  }

  /** Exports a function under a name of its own. */
  export(name: string, callee: Callee): void {
    this.#exports.push({ name, index: callee.index });
  }

  /** Imports `env.regions`, a table of at least `size` functions: table 1 of `callTable`. The module must have elements. */
  importSecondTable(size: number): void {
    this.#secondTable = size;
  }

  /** Puts a function into slot `slot` of the table. */
  element(slot: number, callee: Callee): void {
    this.#elements.set(slot, callee.index);
  }

  /** A section that means nothing to WebAssembly. @param text in ASCII */
  custom(name: string, text: string): void {
    this.#custom.push({ name, text });
  }

  get tableSize(): number {
    return this.#elements.size === 0 ? 0 : Math.max(...this.#elements.keys()) + 1;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const out: number[] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const section = (id: number, body: readonly number[]): void => {
      out.push(id, ...uleb(body.length));
      for (const b of body) out.push(b);
    };
    for (const { name, text } of this.#custom) section(0, [...bytesOf(name), ...charactersOf(text)]);
    const types = uleb(this.#types.length);
    for (const t of this.#types) {
      types.push(0x60, ...uleb(t.params.length), ...t.params.map(typeByte));
      if (t.result === 'void') types.push(0);
      else if (t.result === 'pair') types.push(2, typeByte('i64'), typeByte('i32'));
      else types.push(1, typeByte(t.result));
    }
    section(1, types);

    const hasTable = this.#elements.size > 0;
    const imports = uleb(1 + this.#imports.length + (hasTable ? 1 : 0) + (this.#secondTable > 0 ? 1 : 0));
    for (const i of this.#imports) imports.push(...bytesOf('env'), ...bytesOf(i.name), 0, ...uleb(i.type));
    const { initial, maximum } = this.#memoryPages;
    imports.push(...bytesOf('env'), ...bytesOf('memory'), 2, 3, ...uleb(initial), ...uleb(maximum));
    if (hasTable) imports.push(...bytesOf('env'), ...bytesOf('table'), 1, 0x70, 0, ...uleb(this.tableSize));
    if (this.#secondTable > 0)
      imports.push(...bytesOf('env'), ...bytesOf('regions'), 1, 0x70, 0, ...uleb(this.#secondTable));
    section(2, imports);

    const functions = uleb(this.#functions.length);
    for (const f of this.#functions) functions.push(...uleb(f.type));
    section(3, functions);

    const exported = this.#functions.flatMap((f, i) => (f.exported ? [{ name: f.exported, i }] : []));
    const exports = uleb(exported.length + this.#exports.length);
    for (const e of exported) exports.push(...bytesOf(e.name), 0, ...uleb(this.#imports.length + e.i));
    for (const e of this.#exports) exports.push(...bytesOf(e.name), 0, ...uleb(e.index));
    section(7, exports);

    if (hasTable) {
      const slots = [...this.#elements].sort(([a], [b]) => a - b);
      const elements: number[] = [];
      let segments = 0;
      for (let i = 0; i < slots.length; ) {
        let n = 1;
        while (i + n < slots.length && slots[i + n][0] === slots[i][0] + n) n++;
        elements.push(0, 0x41, ...slebOf(slots[i][0]), 0x0b, ...uleb(n));
        for (let j = 0; j < n; j++) elements.push(...uleb(slots[i + j][1]));
        segments++;
        i += n;
      }
      section(9, [...uleb(segments), ...elements]);
    }

    const hinted = this.#functions
      .map((f, i) => ({ index: this.#imports.length + i, at: f.builder.hints() }))
      .filter((f) => f.at.length > 0);
    if (hinted.length > 0) {
      const hints = [...bytesOf('metadata.code.branch_hint'), ...uleb(hinted.length)];
      for (const { index, at } of hinted) {
        hints.push(...uleb(index), ...uleb(at.length));
        for (const offset of at) hints.push(...uleb(offset), 1, 0);
      }
      section(0, hints);
    }

    const bodies = this.#functions.map((f) => f.builder.body());
    const count = uleb(bodies.length);
    const total = count.length + bodies.reduce((n, b) => n + b.length, 0);
    const result = new Uint8Array(out.length + 1 + uleb(total).length + total);
    result.set(out);
    let at = out.length;
    result[at++] = 10;
    for (const part of [uleb(total), count, ...bodies]) {
      result.set(part, at);
      at += part.length;
    }
    return result;
  }
}

/** Signed LEB128 of a table slot: slots are small and not negative. */
const slebOf = (slot: number): number[] => {
  const out: number[] = [];
  let v = slot;
  while (v >= 64) {
    out.push((v & 0x7f) | 0x80);
    v >>>= 7;
  }
  out.push(v);
  return out;
};
