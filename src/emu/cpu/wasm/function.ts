/** Builds the body of one WebAssembly function: structured control flow over the expressions of `expr.ts`. */
import { unreachable } from '#base/errors.ts';
import {
  type Code,
  type F32,
  type F64,
  type I32,
  type I64,
  i32,
  i64,
  type Known,
  recipe,
  uleb,
  type V128,
  type Val,
  type ValType,
  withKnown,
  withOrigin,
} from './expr.ts';

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
/** `pair`: an i64 and an i32. */
export type ResultType = ValType | 'void' | 'pair';
export interface Callee<R extends ResultType = ResultType> {
  readonly index: number;
  readonly params: readonly ValType[];
  readonly result: R;
}

/** `get` of each local, which are the same in every function. */
const VARIABLES: Record<ValType, Var[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
const variable = <T extends ValType>(type: T, index: number): Var<T> => {
  const known = VARIABLES[type];
  known[index] ??= { type, index, get: recipe(type, [0x20, ...uleb(index)]) };
  return known[index] as Var<T>;
};

export class FunctionBuilder {
  readonly params: readonly ValType[];
  readonly result: ValType | undefined;
  readonly #locals: ValType[] = [];
  readonly #free: Record<ValType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  #scopes: { type: ValType; index: number }[][] = [];
  #code = new Uint8Array(512);
  #length = 0;
  #depth = 0;
  readonly #unlikely: number[] = [];
  readonly #isDry: boolean;

  /** @param dry nobody needs the code: only locals and what is open are kept account of */
  constructor(params: readonly ValType[], result?: ValType, dry = false) {
    this.params = params;
    this.result = result;
    this.#isDry = dry;
  }

  /** Parameter `index`, which may also be assigned. */
  param<T extends ValType>(index: number, type: T): Var<T> {
    if (this.params[index] !== type) unreachable(`parameter ${index} is ${this.params[index]}`);
    return variable(type, index);
  }

  /** A new local; its value is undefined until set (a reused local keeps an old one). */
  local<T extends ValType>(type: T): Var<T> {
    let index = this.#free[type].pop();
    if (index === undefined) {
      index = this.params.length + this.#locals.length;
      this.#locals.push(type);
    }
    this.#scopes.at(-1)?.push({ type, index });
    return variable(type, index);
  }

  /** A new local that no `scope` takes back. */
  permanentLocal<T extends ValType>(type: T): Var<T> {
    const index = this.params.length + this.#locals.length;
    this.#locals.push(type);
    return variable(type, index);
  }

  /** Locals made inside `body` are given back afterwards. */
  scope(body: () => void): void {
    this.#scopes.push([]);
    body();
    for (const l of this.#scopes.pop() ?? []) this.#free[l.type].push(l.index);
  }

  set<T extends ValType>(variable: Var<T>, value: Val<T>): void {
    this.#push(value.code);
    this.#byte(0x21);
    this.#number(variable.index);
  }

  /** Evaluates now and remembers. */
  let<T extends ValType>(value: Val<T>): Val<T> {
    if (value.constant !== undefined || value.known?.settled) return value;
    if (value.known) return this.#letKnown(value, value.known);
    const v = this.local(value.type);
    this.set(v, value);
    return value.origin === undefined ? v.get : withOrigin(v.get, value.origin);
  }

  /** Likewise; what is known goes on to be. */
  #letKnown<T extends ValType>(value: Val<T>, { float, ordinary, parts }: Known): Val<T> {
    if (float) {
      const evaluated = this.let<'f32' | 'f64'>(float);
      const bits = value.type === 'i64' ? i64.reinterpretF64(evaluated as F64) : i32.reinterpretF32(evaluated as F32);
      return bits as Val as Val<T>;
    }
    const evaluated = parts && { low: this.let<'f32' | 'f64'>(parts.low) as F64, rest: this.let(parts.rest) };
    const v = this.local(value.type);
    this.set(v, value);
    const kept = { ...(ordinary ? { ordinary } : {}), ...(evaluated ? { parts: evaluated } : {}) };
    return withKnown(v.get, kept);
  }

  /** Evaluates for its effect. */
  drop(value: Val): void {
    this.#push(value.code);
    this.#byte(0x1a);
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
    this.#push([to.code, from.code, bytes.code, 0xfc, 10, 0, 0]);
  }
  memoryFill(to: I32, value: I32, bytes: I32): void {
    this.#push([to.code, value.code, bytes.code, 0xfc, 11, 0]);
  }

  /** Constructs that are open. */
  get depth(): number {
    return this.#depth;
  }

  /** `if` whose condition is nearly always 0: said in the branch-hint section. */
  ifUnlikely(condition: I32, then: () => void, otherwise?: () => void): void {
    if (condition.constant === undefined) {
      this.#push(condition.code);
      this.#unlikely.push(this.#length);
      this.#ifBody(then, otherwise);
    } else this.if(condition, then, otherwise);
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    if (condition.constant !== undefined) {
      if (condition.constant !== 0) then();
      else otherwise?.();
      return;
    }
    this.#push(condition.code);
    this.#ifBody(then, otherwise);
  }

  #ifBody(then: () => void, otherwise?: () => void): void {
    this.#byte(0x04);
    this.#byte(0x40);
    this.#depth++;
    then();
    if (otherwise) {
      this.#byte(0x05);
      otherwise();
    }
    this.#depth--;
    this.#byte(0x0b);
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
    this.#byte(0x0c);
    this.#number(this.#depth - label.depth);
  }

  brIf(label: Label, condition: I32): void {
    this.#push(condition.code);
    this.#byte(0x0d);
    this.#number(this.#depth - label.depth);
  }

  /** `brIf` of a condition that nearly never holds. */
  brIfUnlikely(label: Label, condition: I32): void {
    this.#push(condition.code);
    this.#unlikely.push(this.#length);
    this.#byte(0x0d);
    this.#number(this.#depth - label.depth);
  }
  /** `br` when a condition is 0, which nearly never happens. */
  brUnless(label: Label, condition: I32): void {
    this.brIfUnlikely(label, recipe('i32', [condition.code, 0x45]));
  }

  /** `body` when one of the conditions is 0, which nearly never happens. */
  unless(conditions: readonly I32[], body: () => void): void {
    this.block((done) => {
      this.block((otherwise) => {
        for (const condition of conditions) this.brUnless(otherwise, condition);
        this.br(done);
      });
      body();
    });
  }

  brTable(index: I32, labels: readonly Label[], otherwise: Label): void {
    this.#push(index.code);
    this.#byte(0x0e);
    this.#number(labels.length);
    for (const l of labels) this.#number(this.#depth - l.depth);
    this.#number(this.#depth - otherwise.depth);
  }

  /** Calls a function without a result. */
  call(callee: Callee<'void'>, ...args: Val[]): void {
    this.#push(callCode(callee, args));
  }

  /** Calls a function through the module's table. */
  callIndirect<R extends ValType>(typeIndex: number, result: R, slot: I32, ...args: Val[]): Val<R> {
    return this.callTable(0, typeIndex, result, slot, ...args);
  }
  /** Through table `table` of the module. */
  callTable<R extends ValType>(table: number, typeIndex: number, result: R, slot: I32, ...args: Val[]): Val<R> {
    return recipe(result, [...args.map((a) => a.code), slot.code, 0x11, uleb(typeIndex), table]);
  }

  /** Calls a function with two results. */
  setPair(first: Var<'i64'>, second: Var<'i32'>, callee: Callee<'pair'>, ...args: Val[]): void {
    this.#push(callCode(callee, args));
    this.#byte(0x21);
    this.#number(second.index);
    this.#byte(0x21);
    this.#number(first.index);
  }
  returnPair(first: I64, second: I32): void {
    this.#push([first.code, second.code]);
    this.#byte(0x0f);
  }

  return(value?: Val): void {
    if (value) this.#push(value.code);
    this.#byte(0x0f);
  }

  unreachable(): void {
    this.#byte(0x00);
  }

  /** Where `ifUnlikely` was used: byte offsets from the function's locals on, ascending. */
  hints(): readonly number[] {
    const head = this.#head().length;
    return this.#unlikely.map((at) => head + at);
  }

  /** The function body as the code section holds it, size first. */
  body(): Uint8Array {
    const head = this.#head();
    const size = uleb(head.length + this.#length + 1);
    const out = new Uint8Array(size.length + head.length + this.#length + 1);
    out.set(size);
    out.set(head, size.length);
    out.set(this.#code.subarray(0, this.#length), size.length + head.length);
    out[out.length - 1] = 0x0b;
    return out;
  }

  #head(): number[] {
    const runs: { type: ValType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    const head = uleb(runs.length);
    for (const r of runs) head.push(...uleb(r.count), TYPE_BYTE[r.type]);
    return head;
  }

  #construct(opcode: number, body: (label: Label) => void): void {
    this.#byte(opcode);
    this.#byte(0x40);
    this.#depth++;
    body({ depth: this.#depth });
    this.#depth--;
    this.#byte(0x0b);
  }

  #store(op: readonly number[], at: I32, value: Val, offset: number): void {
    this.#push(at.code);
    this.#push(value.code);
    this.#push(op);
    this.#byte(0);
    this.#number(offset);
  }

  #push(code: Code): void {
    if (this.#isDry) return;
    for (let n = 0; n < code.length; n++) {
      const part = code[n];
      if (typeof part === 'number') this.#byte(part);
      else this.#push(part);
    }
  }

  #byte(byte: number): void {
    if (this.#length === this.#code.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#code);
      this.#code = larger;
    }
    this.#code[this.#length++] = byte;
  }

  /** Unsigned LEB128. */
  #number(value: number): void {
    let v = value;
    for (; v >= 0x80; v >>>= 7) this.#byte((v & 0x7f) | 0x80);
    this.#byte(v);
  }
}

const callCode = (callee: Callee, args: readonly Val[]): Code => {
  if (args.length !== callee.params.length || args.some((a, i) => a.type !== callee.params[i])) {
    unreachable(`call with (${args.map((a) => a.type)}) of a function of (${callee.params})`);
  }
  return [...args.map((a) => a.code), 0x10, uleb(callee.index)];
};

/** The result of a call, as a value: use it once, or `let` it. */
export const call = <R extends ValType>(callee: Callee<R>, ...args: Val[]): Val<R> =>
  recipe(callee.result, callCode(callee, args));
