// The socket a debugger connects to. What it says is answered on the machine's thread, by the stub there.

import { createServer, type Server, type Socket } from 'node:net';
import { CodedError } from '#base/errors.ts';

/** What the machine's thread is told. */
export type GdbEvent =
  | { readonly kind: 'attached' }
  | { readonly kind: 'received'; readonly bytes: Uint8Array }
  | { readonly kind: 'detached' };

export class GdbSocket {
  readonly #server: Server;
  readonly #onEvent: (event: GdbEvent) => void;
  #client: Socket | undefined;

  private constructor(onEvent: (event: GdbEvent) => void) {
    this.#onEvent = onEvent;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** @throws CodedError<'gdb-failed'> */
  static async listen(host: string, port: number, onEvent: (event: GdbEvent) => void): Promise<GdbSocket> {
    const socket = new GdbSocket(onEvent);
    await new Promise<void>((listening, reject) => {
      socket.#server.once('error', (cause) => {
        const why = 'code' in cause && cause.code === 'EADDRINUSE' ? 'another process uses it' : cause.message;
        reject(new CodedError('gdb-failed', `GDB cannot be served on ${host}:${port}: ${why}`, { host, port }, cause));
      });
      socket.#server.listen(port, host, listening);
    });
    socket.#server.unref();
    return socket;
  }

  /** As `target remote` takes it. */
  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') return `${address}`;
    return `${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  }

  send(bytes: Uint8Array): void {
    this.#client?.write(bytes);
  }

  close(): void {
    this.#client?.destroy();
    this.#server.close();
  }

  /** One debugger at a time: a second one would stop and start the machine under the first. */
  #accept(client: Socket): void {
    client.on('error', () => {});
    if (this.#client) {
      client.destroy();
      return;
    }
    this.#client = client;
    // A question and an answer at a time: waiting to fill packets would only delay them.
    client.setNoDelay(true);
    client.on('data', (bytes) => this.#onEvent({ kind: 'received', bytes: new Uint8Array(bytes) }));
    client.on('close', () => {
      this.#client = undefined;
      this.#onEvent({ kind: 'detached' });
    });
    this.#onEvent({ kind: 'attached' });
  }
}
