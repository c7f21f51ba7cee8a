/** Entry point of the page's network worker, a module worker: `Comlink.wrap<NetworkService>(worker)` on the page's side. */
import * as Comlink from 'comlink';
import { carryCodedErrors } from '#emu/workers/coded-errors.ts';
import { NetworkService } from './network-service.ts';

const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();

carryCodedErrors();
Comlink.expose(
  new NetworkService({
    // A message to ourselves comes behind those of WebSockets and of the page; a timer would take 4 ms.
    yieldNow: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        channel.port2.postMessage(0);
      }),
    now: () => performance.now(),
    random: () => Math.random(),
  }),
);
