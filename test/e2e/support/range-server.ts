/** Somebody else's web server with one image on it, which can be pulled out of the wall and put back. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const HEADERS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'Content-Range, Content-Length, ETag',
  'Accept-Ranges': 'bytes',
  ETag: '"the-only-version"',
};

export class RangeServer {
  readonly #image: Buffer;
  #server: Server | undefined;
  #port = 0;
  /** Bytes sent since the start. */
  #sent = 0;
  /** Falls over in the middle of an answer, once so much has been sent. */
  #diesAt = Number.POSITIVE_INFINITY;
  #onDeath: () => void = () => {};

  private constructor(image: Buffer) {
    this.#image = image;
  }

  static async start(image: Buffer): Promise<RangeServer> {
    const server = new RangeServer(image);
    await server.comeBack();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/disk.img`;
  }

  /** @returns when the connections have been cut, in the middle of a range, after `bytes` more bytes */
  dieAfter(bytes: number): Promise<void> {
    this.#diesAt = this.#sent + bytes;
    return new Promise((resolve) => {
      this.#onDeath = resolve;
    });
  }

  /** Listens where it did before. */
  async comeBack(): Promise<void> {
    this.#diesAt = Number.POSITIVE_INFINITY;
    const server = createServer((request, response) => this.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const total = this.#image.length;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const first = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, total) : total;
    const body = this.#image.subarray(first, end);
    const about = range ? { 'Content-Range': `bytes ${first}-${end - 1}/${total}` } : {};
    response.writeHead(range ? 206 : 200, { ...HEADERS, ...about, 'Content-Length': body.length });
    if (request.method === 'HEAD') return void response.end();
    if (this.#sent + body.length < this.#diesAt) {
      this.#sent += body.length;
      response.end(body);
      return;
    }
    response.write(body.subarray(0, body.length >> 1), () => void this.close().then(this.#onDeath));
  }
}
