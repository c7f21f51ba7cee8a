/**
 * Guest memory in region code: TLB look-ups inline, misses in cold paths that come back.
 *
 * Not modelled: a device that changes the memory map while a group is open (the group's later accesses see the old map).
 */
import { STATE, TLB } from '../state/layout.ts';
import { type I32, i32, k32, type Val } from '../wasm/expr.ts';
import { call } from '../wasm/function.ts';
import { SITE } from './exit-sites.ts';
import type { Frame } from './frame.ts';
import type { Group, OpenGroup } from './groups.ts';

const PAGE_MASK = ~0xfff;
const ENTRY_MASK = (TLB.entries - 1) * TLB.entryBytes;

/** What an access does once it knows the host address: `at` plus the constant `offset`. */
type Use = (at: I32, offset: number) => void;

export class MemoryAccess {
  readonly #frame: Frame;
  readonly #block: number;
  readonly #depth: number;
  readonly #at: number;

  /** @param depth of constructs at the start of the instruction, which is at offset `at` */
  constructor(frame: Frame, block: number, depth: number, at: number) {
    this.#frame = frame;
    this.#block = block;
    this.#depth = depth;
    this.#at = at;
  }

  read(at: I32, bytes: number, use: Use): void {
    const { f, callees, recorder } = this.#frame;
    if (recorder) recorder.reads = true;
    const group = this.#group(at, bytes, false);
    if (group) {
      f.ifUnlikely(
        i32.eqz(group.host.get),
        () => use(this.#faultIfZero(call(callees.readHost, at, k32(bytes))), 0),
        () => use(group.host.get, distance(at, group)),
      );
      return;
    }
    const host = f.local('i32');
    const { miss, entry } = this.#lookUp(at, bytes, TLB.readTag);
    f.ifUnlikely(
      miss,
      () => f.set(host, this.#faultIfZero(call(callees.readSlow, at, k32(bytes)))),
      () => f.set(host, i32.add(at, i32.load(entry, this.#frame.tlbAt + TLB.addend))),
    );
    use(host.get, 0);
  }

  write(at: I32, bytes: number, put: Use): void {
    const { f, callees, recorder, stateAt } = this.#frame;
    if (recorder) recorder.writes = true;
    const slow = (): void => {
      put(k32(stateAt + STATE.scratch), 0);
      const status = f.let(call(callees.writeSlow, at, k32(bytes)));
      f.if(status, () => this.#fault());
    };
    const group = this.#group(at, bytes, true);
    if (group) {
      f.ifUnlikely(
        i32.eqz(group.host.get),
        () => {
          const host = f.let(call(callees.writeHost, at, k32(bytes)));
          f.if(host, () => put(host, 0), slow);
        },
        () => put(group.host.get, distance(at, group)),
      );
      return;
    }
    const { miss, entry } = this.#lookUp(at, bytes, TLB.writeTag);
    f.ifUnlikely(miss, slow, () => put(f.let(i32.add(at, i32.load(entry, this.#frame.tlbAt + TLB.addend))), 0));
  }

  /** Reads and writes one place; `change` gets its host address. */
  modify(at: I32, bytes: number, change: (host: I32) => void): void {
    const { f, callees, recorder, stateAt } = this.#frame;
    if (recorder) {
      recorder.reads = true;
      recorder.writes = true;
    }
    const host = f.local('i32');
    const slow = (): void => {
      f.set(host, this.#faultIfZero(call(callees.modifySlow, at, k32(bytes))));
    };
    const group = this.#group(at, bytes, true);
    if (group) {
      f.ifUnlikely(
        i32.eqz(group.host.get),
        () => {
          f.set(host, call(callees.writeHost, at, k32(bytes)));
          f.if(i32.eqz(host.get), slow);
        },
        () => f.set(host, i32.add(group.host.get, k32(distance(at, group)))),
      );
    } else {
      const { miss, entry } = this.#lookUp(at, bytes, TLB.writeTag);
      f.ifUnlikely(miss, slow, () => f.set(host, i32.add(at, i32.load(entry, this.#frame.tlbAt + TLB.addend))));
    }
    change(host.get);
    f.ifUnlikely(i32.eq(host.get, k32(stateAt + STATE.scratch)), () => f.call(callees.commitWrite));
  }

  /** Host address of the byte at `at`, or 0 when its page is not in the TLB. */
  peek(at: I32, write: boolean): I32 {
    const { f, recorder } = this.#frame;
    if (recorder) recorder[write ? 'writes' : 'reads'] = true;
    const host = f.local('i32');
    const { miss, entry } = this.#lookUp(at, 1, write ? TLB.writeTag : TLB.readTag);
    f.set(host, k32(0));
    f.if(i32.eqz(miss), () => f.set(host, i32.add(at, i32.load(entry, this.#frame.tlbAt + TLB.addend))));
    return host.get;
  }

  probe(at: I32, bytes: I32): void {
    const { f, callees, recorder } = this.#frame;
    if (recorder) recorder.writes = true;
    const status = f.let(call(callees.probeSlow, at, bytes));
    f.if(status, () => this.#fault());
  }

  #fault(): void {
    this.#frame.leaveRarely(SITE.fault, this.#at);
  }

  #faultIfZero(host: I32): I32 {
    const { f } = this.#frame;
    const h = f.let(host);
    f.if(i32.eqz(h), () => this.#fault());
    return h;
  }

  #lookUp(at: I32, bytes: number, tag: number): { miss: I32; entry: I32 } {
    const { f, tlbAt } = this.#frame;
    const entry = f.let(i32.and(i32.shrU(at, k32(8)), k32(ENTRY_MASK)));
    const last = i32.add(at, k32(bytes - 1));
    return { miss: i32.ne(i32.load(entry, tlbAt + tag), i32.and(last, k32(PAGE_MASK))), entry };
  }

  /** The open group of an access, opened if this is its first. */
  #group(at: I32, bytes: number, write: boolean): OpenGroup | undefined {
    const { origin } = at;
    const frame = this.#frame;
    const { f } = frame;
    if (origin === undefined || f.depth !== this.#depth) return undefined;
    if (frame.recorder) {
      frame.memory.record(origin, bytes, write, this.#block);
      return undefined;
    }
    const inside = (g: Group): boolean =>
      g.symbol === origin.symbol && g.from <= origin.offset && origin.offset + bytes <= g.to && (g.write || !write);
    const open = frame.now.groups.find(inside);
    if (open) return open;
    const group = frame.memory.find(origin, bytes, write);
    if (!group) return undefined;
    const host = frame.host();
    const start = f.let(i32.add(at, k32(group.from - origin.offset)));
    const { miss, entry } = this.#lookUp(start, group.to - group.from, group.write ? TLB.writeTag : TLB.readTag);
    f.ifUnlikely(
      miss,
      () => f.set(host, k32(0)),
      () => f.set(host, i32.add(start, i32.load(entry, frame.tlbAt + TLB.addend))),
    );
    const opened = { ...group, host };
    frame.now.groups.push(opened);
    return opened;
  }
}

const distance = (at: Val, group: Group): number => (at.origin?.offset ?? 0) - group.from;
