// The machine's end of the port to a thread that compiles hot code.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { CompilerThread } from '#emu/cpu/jit/compiler-link.ts';
import type { BuiltModule } from '#emu/cpu/jit/region-order.ts';

export const regionPort = (port: MessagePort): CompilerThread => ({
  post: (message) => port.postMessage(message),
  receive: () => receiveMessageOnPort(port)?.message as BuiltModule | undefined,
});
