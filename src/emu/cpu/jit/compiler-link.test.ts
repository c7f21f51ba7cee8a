import { describe, expect, it } from 'vitest';
import { CompilerLink, type CompilerThread, SILENT_MS } from './compiler-link.ts';
import { CompilerWatch } from './compiler-watch.ts';
import { differences, ProgramRunner } from './program-runner.suite.ts';
import { serveOrders } from './region-compiler.ts';

const SEED = 4711;

/** Compiles on this thread, until it is told to die of an order. */
class Thread implements CompilerThread {
  readonly #serve: ReturnType<typeof serveOrders>;
  readonly #died: ((why: string) => void) | undefined;
  orders = 0;
  built = 0;

  constructor(link: CompilerLink, died?: (why: string) => void) {
    this.#died = died;
    this.#serve = serveOrders((module) => {
      this.built++;
      link.take(module);
    });
  }

  post(message: Parameters<CompilerThread['post']>[0]): void {
    if (message.kind === 'orders') this.orders++;
    if (message.kind === 'orders' && this.#died) this.#died('it was told to');
    else this.#serve(message);
  }
}

/** @param mortal how many threads die of their first order */
function machine(mortal: number) {
  let nowMs = 0;
  let silent = 0;
  const link = new CompilerLink({ nowMs: () => nowMs, onSilent: () => silent++ });
  const threads: Thread[] = [];
  const messages: string[] = [];
  new CompilerWatch({
    nowMs: () => nowMs,
    start: (died) => {
      const thread = new Thread(link, threads.length < mortal ? died : undefined);
      threads.push(thread);
      link.connect(thread);
    },
    onDied: (why) => link.lost(why),
    onGivenUp: (message) => {
      messages.push(message);
      link.close(message);
    },
  });
  return {
    ...{ link, threads, messages },
    get silent(): number {
      return silent;
    },
    pass: (ms: number): void => {
      nowMs += ms;
    },
  };
}

describe('a compiling thread', { timeout: 60_000 }, () => {
  it('that dies is replaced, and the program runs as it should', () => {
    const { link, threads, messages } = machine(2);
    const runner = new ProgramRunner('eager', link);
    const reference = new ProgramRunner('0');
    for (let n = 0; n < 20 && !threads[2]?.built; n++) {
      expect(differences(reference.run(SEED + n, false), runner.run(SEED + n, false))).toBe('');
    }
    expect(threads.map(({ orders, built }) => [orders > 0, built > 0])).toEqual([
      [true, false],
      [true, false],
      [true, true],
    ]);
    expect(runner.cpu.compilation.failed).toBeGreaterThanOrEqual(2);
    expect(messages).toEqual([]);
  });

  it('that dies again and again is given up with a reason, and tier 0 goes on alone', () => {
    const { link, threads, messages } = machine(9);
    const runner = new ProgramRunner('eager', link);
    const reference = new ProgramRunner('0');
    for (let n = 0; n < 20 && !link.closed; n++) {
      expect(differences(reference.run(SEED + n, false), runner.run(SEED + n, false))).toBe('');
    }
    expect(threads.length).toBe(5);
    expect(messages).toEqual([expect.stringMatching(/slower.*5 times.*it was told to.*off and on/)]);
    const { regions } = runner.cpu.compilation;
    runner.run(SEED + 20, false);
    expect(runner.cpu.compilation.regions).toBe(regions);
  });

  it('that dies seldom is always replaced', () => {
    const watched: string[] = [];
    let nowMs = 0;
    let die = (_: string): void => {};
    new CompilerWatch({
      nowMs: () => nowMs,
      start: (died) => {
        die = died;
      },
      onDied: (why) => watched.push(why),
      onGivenUp: () => watched.push('given up'),
    });
    for (let n = 0; n < 10; n++) {
      nowMs += 200_000;
      die(String(n));
    }
    expect(watched).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  it('that owes an answer for a minute is reported once', () => {
    const tested = machine(0);
    const { link } = tested;
    link.connect({ post: () => {} });
    link.send([]);
    tested.pass(SILENT_MS - 1);
    link.receive();
    expect(tested.silent).toBe(0);
    tested.pass(1);
    link.receive();
    link.receive();
    expect(tested.silent).toBe(1);
    link.lost('it gave no answer');
    expect(link.receive()?.failure?.why).toBe('it gave no answer');
    expect(link.receive()).toBeUndefined();
  });
});
