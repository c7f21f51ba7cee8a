/** Makes modules of orders. Runs on any thread: it shares nothing with the CPU but what it is sent. */
import { Decoder } from '../decoder/decoder.ts';
import { instructionTable } from '../isa/table.ts';
import { compileModule, createLinearMemory, instantiateModule, type LinearMemory } from '../wasm/host.ts';
import { buildRegions, kernelsOf } from './build-regions.ts';
import { EffectsTable } from './effects.ts';
import { planRegion } from './emit.ts';
import {
  type BuiltModule,
  type CompilerSetup,
  type RegionCompilerPort,
  type RegionOrder,
  unpackRegion,
} from './region-order.ts';

const PAGE_BYTES = 65536;

export class RegionCompiler {
  readonly #setup: CompilerSetup;
  readonly #decoder: Decoder;
  readonly #effects: { readonly narrow: EffectsTable; readonly wide: EffectsTable };
  /** Memory of the machine's size in which nothing is: regions that are called with it leave at once. */
  #nowhere: LinearMemory | undefined;

  constructor(setup: CompilerSetup) {
    this.#setup = setup;
    const { kernels, stateAt, hidden } = setup;
    this.#decoder = new Decoder(instructionTable, (feature) => !hidden.has(feature));
    this.#effects = {
      narrow: new EffectsTable(false, kernels, stateAt),
      wide: new EffectsTable(true, kernels, stateAt),
    };
  }

  build(orders: readonly RegionOrder[]): BuiltModule {
    const { kernels, stateAt, memoryPages } = this.#setup;
    const jobs = orders.map(({ number, descriptor, region }) => {
      const effects = region.long ? this.#effects.wide : this.#effects.narrow;
      const planned = planRegion(unpackRegion(region, this.#decoder, effects), (i) => effects.of(i));
      return { number, descriptor, planned };
    });
    const { bytes, sites } = buildRegions(jobs, kernels, stateAt, memoryPages);
    return {
      module: compileModule(bytes),
      byteCount: bytes.length,
      kernels: [...kernelsOf(jobs)],
      regions: jobs.map(({ number, planned }, n) => ({
        ...{ ticket: orders[n].ticket, number, long: planned.region.long },
        entries: planned.structure.entries.map((b) => planned.region.blocks[b].at),
        sites: sites[n].words,
      })),
      failure: undefined,
    };
  }

  /** The same; what goes wrong is in the answer. */
  tryBuild(orders: readonly RegionOrder[]): BuiltModule {
    try {
      return this.build(orders);
    } catch (cause) {
      const why = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      const failure = { why, tickets: orders.map(({ ticket }) => ticket) };
      return { module: undefined, byteCount: 0, kernels: [], regions: [], failure };
    }
  }

  /**
   * Calls each function once, so that the host compiles it now and here: code is shared between threads. STATE.tlbBase of
   * empty memory is no bank, so a region does nothing but say so.
   */
  warmUp({ module, kernels, regions }: BuiltModule): void {
    if (module === undefined) return;
    this.#nowhere ??= createLinearMemory(this.#setup.memoryPages * PAGE_BYTES);
    const imports: Record<string, unknown> = {};
    const nothing = (): number => 0;
    for (const name of [...kernels, ...SLOW, 'commitWrite', 'system']) imports[name] = nothing;
    const exports = instantiateModule(module, this.#nowhere, imports);
    for (const { number, long } of regions) exports[String(number)](0, long ? 0n : 0);
  }
}

const SLOW = ['readSlow', 'writeSlow', 'modifySlow', 'probeSlow'].flatMap((name) => [name, `${name}64`]);

/** Compiles on the calling thread. What goes wrong is thrown. */
export class InlineCompiler implements RegionCompilerPort {
  #compiler: RegionCompiler | undefined;
  readonly #ready: BuiltModule[] = [];

  setUp(setup: CompilerSetup): void {
    this.#compiler = new RegionCompiler(setup);
  }
  send(orders: readonly RegionOrder[]): void {
    if (this.#compiler) this.#ready.push(this.#compiler.build(orders));
  }
  receive(): BuiltModule | undefined {
    return this.#ready.shift();
  }
}

/** What crosses to the thread of `serveOrders`. */
export type CompilerMessage =
  | { readonly kind: 'set-up'; readonly setup: CompilerSetup }
  | { readonly kind: 'orders'; readonly orders: readonly RegionOrder[] };

/** The other thread: give it each message that arrives; `answer` sends a module back. */
export function serveOrders(answer: (built: BuiltModule) => void): (message: CompilerMessage) => void {
  let compiler: RegionCompiler | undefined;
  return (message) => {
    if (message.kind === 'set-up') {
      compiler = new RegionCompiler(message.setup);
      return;
    }
    if (compiler === undefined) return;
    const built = compiler.tryBuild(message.orders);
    try {
      compiler.warmUp(built);
    } catch {
      // The host has no memory for it: then the CPU's thread pays for the first call.
    }
    answer(built);
  };
}
