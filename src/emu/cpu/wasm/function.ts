/** Builds the body of one WebAssembly function: structured control flow over the expressions of `expr.ts`. */
import { unreachable } from '#base/errors.ts';
import { type F32, type F64, type I32, type I64, uleb, type V128, type Val, type ValType } from './expr.ts';

const TYPE_BYTE: Record<ValType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };
export const typeByte = (t: ValType): number => TYPE_BYTE[t];

/** A mutable local. `get` is a recipe: it reads the value at the place it is emitted. */
export interface Var<T extends ValType = ValType> {
  readonly type: T;
  readonly index: number;
  readonly get: Val<T>;
}

/** A branch target: the end of a block, or the head of a loop. Only valid inside its construct. */
export interface Label {
  readonly depth: number;
}

/** A function that code can call: its index in the module and its type. */
export interface Callee<R extends ValType | 'void' = ValType | 'void'> {
  readonly index: number;
  readonly params: readonly ValType[];
  readonly result: R;
}

export class FunctionBuilder {
  readonly params: readonly ValType[];
  readonly result: ValType | undefined;
  readonly #locals: ValType[] = [];
  readonly #free: Record<ValType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  #scopes: { type: ValType; index: number }[][] = [];
  #code: number[] = [];
  #depth = 0;

  constructor(params: readonly ValType[], result?: ValType) {
    this.params = params;
    this.result = result;
  }

  /** Parameter `index`, which may also be assigned. */
  param<T extends ValType>(index: number, type: T): Var<T> {
    if (this.params[index] !== type) unreachable(`parameter ${index} is ${this.params[index]}`);
    return { type, index, get: { type, code: [0x20, ...uleb(index)] } };
  }

  /** A new local; its value is undefined until set (a reused local keeps an old one). */
  local<T extends ValType>(type: T): Var<T> {
    let index = this.#free[type].pop();
    if (index === undefined) {
      index = this.params.length + this.#locals.length;
      this.#locals.push(type);
    }
    this.#scopes.at(-1)?.push({ type, index });
    return { type, index, get: { type, code: [0x20, ...uleb(index)] } };
  }

  /** Locals made inside `body` are given back afterwards. */
  scope(body: () => void): void {
    this.#scopes.push([]);
    body();
    for (const l of this.#scopes.pop() ?? []) this.#free[l.type].push(l.index);
  }

  set<T extends ValType>(variable: Var<T>, value: Val<T>): void {
    this.#push(value.code);
    this.#push([0x21, ...uleb(variable.index)]);
  }

  /** Evaluates now and remembers. */
  let<T extends ValType>(value: Val<T>): Val<T> {
    const v = this.local(value.type);
    this.set(v, value);
    return v.get;
  }

  /** Evaluates for its effect. */
  drop(value: Val): void {
    this.#push(value.code);
    this.#code.push(0x1a);
  }

  store8(at: I32, value: I32, offset = 0): void {
    this.#store([0x3a], at, value, offset);
  }
  store16(at: I32, value: I32, offset = 0): void {
    this.#store([0x3b], at, value, offset);
  }
  store32(at: I32, value: I32, offset = 0): void {
    this.#store([0x36], at, value, offset);
  }
  store64(at: I32, value: I64, offset = 0): void {
    this.#store([0x37], at, value, offset);
  }
  storeF32(at: I32, value: F32, offset = 0): void {
    this.#store([0x38], at, value, offset);
  }
  storeF64(at: I32, value: F64, offset = 0): void {
    this.#store([0x39], at, value, offset);
  }
  store128(at: I32, value: V128, offset = 0): void {
    this.#store([0xfd, 11], at, value, offset);
  }

  memoryCopy(to: I32, from: I32, bytes: I32): void {
    this.#push([...to.code, ...from.code, ...bytes.code, 0xfc, 10, 0, 0]);
  }
  memoryFill(to: I32, value: I32, bytes: I32): void {
    this.#push([...to.code, ...value.code, ...bytes.code, 0xfc, 11, 0]);
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.#push(condition.code);
    this.#code.push(0x04, 0x40);
    this.#depth++;
    then();
    if (otherwise) {
      this.#code.push(0x05);
      otherwise();
    }
    this.#depth--;
    this.#code.push(0x0b);
  }

  /** `br(label)` leaves the block. */
  block(body: (label: Label) => void): void {
    this.#construct(0x02, body);
  }

  /** `br(label)` repeats the loop; falling off its end leaves it. */
  loop(body: (label: Label) => void): void {
    this.#construct(0x03, body);
  }

  br(label: Label): void {
    this.#push([0x0c, ...uleb(this.#depth - label.depth)]);
  }

  brIf(label: Label, condition: I32): void {
    this.#push(condition.code);
    this.#push([0x0d, ...uleb(this.#depth - label.depth)]);
  }

  brTable(index: I32, labels: readonly Label[], otherwise: Label): void {
    this.#push(index.code);
    this.#push([0x0e, ...uleb(labels.length)]);
    for (const l of labels) this.#push(uleb(this.#depth - l.depth));
    this.#push(uleb(this.#depth - otherwise.depth));
  }

  /** Calls a function without a result. */
  call(callee: Callee<'void'>, ...args: Val[]): void {
    this.#push(callCode(callee, args));
  }

  /** Calls a function through the module's table. */
  callIndirect<R extends ValType>(typeIndex: number, result: R, slot: I32, ...args: Val[]): Val<R> {
    return { type: result, code: [...args.flatMap((a) => a.code), ...slot.code, 0x11, ...uleb(typeIndex), 0] };
  }

  return(value?: Val): void {
    if (value) this.#push(value.code);
    this.#code.push(0x0f);
  }

  unreachable(): void {
    this.#code.push(0x00);
  }

  /** The function body as the code section holds it, size first. */
  body(): number[] {
    const runs: { type: ValType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    const head = uleb(runs.length);
    for (const r of runs) head.push(...uleb(r.count), TYPE_BYTE[r.type]);
    const size = uleb(head.length + this.#code.length + 1);
    const out = size.concat(head, this.#code);
    out.push(0x0b);
    return out;
  }

  #construct(opcode: number, body: (label: Label) => void): void {
    this.#code.push(opcode, 0x40);
    this.#depth++;
    body({ depth: this.#depth });
    this.#depth--;
    this.#code.push(0x0b);
  }

  #store(op: readonly number[], at: I32, value: Val, offset: number): void {
    this.#push(at.code);
    this.#push(value.code);
    this.#push(op);
    this.#code.push(0);
    this.#push(uleb(offset));
  }

  #push(code: readonly number[]): void {
    for (let i = 0; i < code.length; i++) this.#code.push(code[i]);
  }
}

const callCode = (callee: Callee, args: readonly Val[]): number[] => {
  if (args.length !== callee.params.length || args.some((a, i) => a.type !== callee.params[i])) {
    unreachable(`call with (${args.map((a) => a.type)}) of a function of (${callee.params})`);
  }
  return [...args.flatMap((a) => a.code), 0x10, ...uleb(callee.index)];
};

/** The result of a call, as a value: use it once, or `let` it. */
export const call = <R extends ValType>(callee: Callee<R>, ...args: Val[]): Val<R> => ({
  type: callee.result,
  code: callCode(callee, args),
});
