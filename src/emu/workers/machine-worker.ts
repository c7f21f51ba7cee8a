/** Entry point of a machine's worker, a module worker: `Comlink.wrap<MachineService>(worker)` on the page's side. */
import * as Comlink from 'comlink';
import { carryCodedErrors } from './coded-errors.ts';
import { MachineService } from './machine-service.ts';
import { RegionWorkerPort } from './region-worker-port.ts';

/** Where `Atomics.waitAsync` is missing, the doorbell is looked at this often. */
const POLL_MS = 2;

const channel = new MessageChannel();
let onYield: (() => void) | undefined;
channel.port1.onmessage = () => onYield?.();

const regionWorker = new Worker(new URL('./region-worker.ts', import.meta.url), { type: 'module', name: 'regions' });

carryCodedErrors();
Comlink.expose(
  new MachineService({
    nowMs: () => performance.now(),
    unixMs: () => Date.now(),
    random: (into) => crypto.getRandomValues(into as Uint8Array<ArrayBuffer>),
    regionCompiler: new RegionWorkerPort(regionWorker),
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
  }),
);
