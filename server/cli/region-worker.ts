// Entry point of the thread that compiles hot code; it talks to the machine's thread through the port it is given.

import { type MessagePort, workerData } from 'node:worker_threads';
import { type CompilerMessage, serveOrders } from '#emu/cpu/jit/region-compiler.ts';

const port = workerData as MessagePort;
const take = serveOrders((built) => port.postMessage(built));
port.on('message', (message: CompilerMessage) => take(message));
