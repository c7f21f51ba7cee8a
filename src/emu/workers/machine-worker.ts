/** Entry point of a machine's worker, a module worker: `Comlink.wrap<MachineService>(worker)` on the page's side. */
import * as Comlink from 'comlink';
import { CompilerLink } from '#emu/cpu/jit/compiler-link.ts';
import { CompilerWatch } from '#emu/cpu/jit/compiler-watch.ts';
import type { BuiltModule } from '#emu/cpu/jit/region-order.ts';
import { carryCodedErrors } from './coded-errors.ts';
import { MachineService } from './machine-service.ts';
import { PreparedInterpreters } from './prepared-interpreters.ts';

/** Where `Atomics.waitAsync` is missing, the doorbell is looked at this often. */
const POLL_MS = 2;

const nowMs = (): number => performance.now();
const channel = new MessageChannel();
let onYield: (() => void) | undefined;
channel.port1.onmessage = () => onYield?.();

let regionsDied: ((why: string) => void) | undefined;
const regions = new CompilerLink({ nowMs, onSilent: () => regionsDied?.('it gave no answer for a minute') });

const interpreters = new PreparedInterpreters();

const service = new MachineService({
  nowMs,
  unixMs: () => Date.now(),
  random: (into) => crypto.getRandomValues(into as Uint8Array<ArrayBuffer>),
  regionCompiler: regions,
  preparedInterpreter: (long) => interpreters[long ? 'wide' : 'narrow'],
  prepared: interpreters.narrowLoaded,
  // A message to ourselves comes back in 20 us, behind the page's; a timer would take 4 ms.
  yieldNow: () =>
    new Promise((resolve) => {
      onYield = resolve;
      channel.port2.postMessage(0);
    }),
  sleep: async (words, index, value, ms) => {
    if (typeof Atomics.waitAsync === 'function') await Atomics.waitAsync(words, index, value, ms).value;
    else if (Atomics.load(words, index) === value) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(ms, POLL_MS)));
    }
  },
});

new CompilerWatch({
  nowMs,
  start: (died) => {
    const worker = new Worker(new URL('./region-worker.ts', import.meta.url), { type: 'module', name: 'regions' });
    const end = (why: string): void => {
      if (regionsDied !== end) return;
      regionsDied = undefined;
      worker.onmessage = null;
      worker.terminate();
      died(why);
    };
    regionsDied = end;
    worker.onmessage = (event) => regions.take(event.data as BuiltModule);
    worker.onerror = (event) => {
      event.preventDefault();
      end(event.message || 'its program could not be loaded');
    };
    regions.connect({ post: (message) => worker.postMessage(message) });
  },
  onDied: (why) => regions.lost(why),
  onGivenUp: (message) => {
    regions.close(message);
    service.becameSlow(message);
  },
});

carryCodedErrors();
Comlink.expose(service);
