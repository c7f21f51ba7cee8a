/** Entry point of the worker that compiles a machine's hot code. */
import { type CompilerMessage, serveOrders } from '#emu/cpu/jit/region-compiler.ts';

const take = serveOrders((built) => postMessage(built));
addEventListener('message', (event: MessageEvent<CompilerMessage>) => take(event.data));
