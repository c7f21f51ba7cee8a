/** Guest memory as generated code reaches it: the TLB inline, `mmu` after a miss (layout: TLB, TLB64 in state/layout.ts). */
import type { Address } from '../isa/ops.ts';
import { STATE, TLB, TLB64 } from '../state/layout.ts';
import { STATUS } from '../system/calls.ts';
import { f64, type I32, type I64, i32, i64, k32, k64, type Val, word } from '../wasm/expr.ts';
import { type Callee, call, type FunctionBuilder, type Var } from '../wasm/function.ts';

/** How code leaves the case. None returns. */
export interface Exits {
  /** A fault or restart: `status` is a STATUS. */
  fault(status: I32): void;
  /** A system call's status other than `next` ends the case with it; `next` falls through. */
  status(status: I32): void;
  /** Goes to EIP `target` (already cut). `link`: the record keeps the way for next time. */
  near(target: Address, link: boolean): void;
}

/** Host functions of the module. Addresses are i32, in the module of 64-bit code f64 (exact for canonical ones). */
export interface HostCallees {
  readonly readSlow: Callee<'i32'>;
  readonly writeSlow: Callee<'i32'>;
  readonly modifySlow: Callee<'i32'>;
  readonly commitWrite: Callee<'void'>;
  readonly probeSlow: Callee<'i32'>;
  readonly system: Callee<'i32'>;
}

const PAGE_MASK = ~0xfff;
const at0 = k32(0);

export class GuestAccess {
  readonly #f: FunctionBuilder;
  readonly #long: boolean;
  readonly #state: number;
  readonly #host: HostCallees;
  readonly #exits: Exits;

  constructor(f: FunctionBuilder, long: boolean, stateAt: number, host: HostCallees, exits: Exits) {
    this.#f = f;
    this.#long = long;
    this.#state = stateAt;
    this.#host = host;
    this.#exits = exits;
  }

  /** An address as the host functions take it. */
  outside(at: Address): Val {
    return this.#long ? f64.convertI64S(at as I64) : at;
  }

  /** `place`: where the byte is in linear memory, after a hit. */
  #lookUp(at: Address, bytes: number, access: 'read' | 'write', bank?: I32): { hit: I32; place: () => I32 } {
    const f = this.#f;
    const base = bank ?? i32.load(at0, this.#state + STATE.tlbBase);
    const last = bytes === 1 ? at : word.add(at, bytes - 1);
    if (this.#long) {
      const number = i32.wrap(i64.shrU(at as I64, k64(12 - Math.log2(TLB64.entryBytes))));
      const entry = f.let(i32.add(i32.and(number, k32((TLB64.entries - 1) * TLB64.entryBytes)), base));
      const tag = i64.load(entry, access === 'read' ? TLB64.readTag : TLB64.writeTag);
      return {
        hit: i64.eq(tag, i64.and(last as I64, k64(PAGE_MASK))),
        place: () => i32.add(i32.wrap(at as I64), i32.load(entry, TLB64.addend)),
      };
    }
    const number = i32.shrU(at as I32, k32(12 - Math.log2(TLB.entryBytes)));
    const entry = f.let(i32.add(i32.and(number, k32((TLB.entries - 1) * TLB.entryBytes)), base));
    const tag = i32.load(entry, access === 'read' ? TLB.readTag : TLB.writeTag);
    return {
      hit: i32.eq(tag, i32.and(last as I32, k32(PAGE_MASK))),
      place: () => i32.add(at as I32, i32.load(entry, TLB.addend)),
    };
  }

  peek(address: Address, access: 'read' | 'write', bank?: I32): I32 {
    const at = this.#f.let(address);
    const { hit, place } = this.#lookUp(at, 1, access, bank);
    const host = this.#f.local('i32');
    this.#f.set(host, k32(0));
    this.#f.if(hit, () => this.#f.set(host, place()));
    return host.get;
  }

  /**
   * Sets `host` to where the bytes at `at` are: in place after a hit, else where a slow function says, or leaves with its
   * fault.
   * @param at evaluated; `byteCount` is what the slow function gets
   */
  place(
    host: Var<'i32'>,
    at: Address,
    bytes: number,
    access: 'read' | 'write',
    slow: Callee<'i32'>,
    byteCount: I32,
  ): void {
    const { hit, place } = this.#lookUp(at, bytes, access);
    this.#f.if(
      hit,
      () => this.#f.set(host, place()),
      () => {
        this.#f.set(host, call(slow, this.outside(at), byteCount));
        this.#f.if(i32.eqz(host.get), () => this.#exits.fault(k32(STATUS.fault)));
      },
    );
  }

  store<V extends Val>(
    address: Address,
    bytes: number,
    value: V,
    put: (host: I32, v: V) => void,
    byteCount: I32,
  ): void {
    const f = this.#f;
    const at = f.let(address);
    const v = f.let(value) as V;
    const { hit, place } = this.#lookUp(at, bytes, 'write');
    f.if(
      hit,
      () => put(f.let(place()), v),
      () => {
        put(k32(this.#state + STATE.scratch), v);
        const status = f.let(call(this.#host.writeSlow, this.outside(at), byteCount));
        f.if(status, () => this.#exits.fault(status));
      },
    );
  }
}
