/** A way that carries little: a TCP proxy that lets so many bytes a second through to the client. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const TICK_MS = 5;

export class SlowWay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * To a port of the loopback interface. What the client sends is not slowed.
   * @param bitsASecond that arrive at the client, headers of TCP not counted
   */
  static async open(port: number, bitsASecond: number): Promise<SlowWay> {
    const server = createServer({ noDelay: true });
    const way = new SlowWay(server);
    server.on('connection', (client) =>
      way.#join(client, connect({ port, host: '127.0.0.1', noDelay: true }), bitsASecond / 8000),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return way;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket, bytesAMs: number): void {
    let last = performance.now();
    let credit = 0;
    const timer = setInterval(() => {
      const now = performance.now();
      // A host that stops for longer has lost the time, as a way has that nobody uses.
      credit += Math.min(now - last, 40 * TICK_MS) * bytesAMs;
      last = now;
      while (credit >= 1) {
        const bytes: Buffer | null = server.read(Math.min(Math.floor(credit), server.readableLength));
        if (!bytes || bytes.length === 0) break;
        credit -= bytes.length;
        client.write(bytes);
      }
      if (server.readableLength === 0) credit = Math.min(credit, TICK_MS * bytesAMs);
    }, TICK_MS);
    // So that it fills its buffer, and no more than that.
    server.on('readable', () => {});
    client.pipe(server);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ]) {
      this.#sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        clearInterval(timer);
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}
