// A TCP socket of the host as the NAT engine's stream.

import { connect, type Socket } from 'node:net';
import type { HostStream, TcpConnection } from '../../src/net-relay/nat/tcp/tcp-connection.ts';
import type { IpBytes } from '../../src/net-relay/wire/address.ts';
import { formatIp } from '../../src/net-relay/wire/address.ts';

/** Segments are gathered into blocks of this size, because a write to a socket costs more than copying. */
const BLOCK_BYTES = 64 * 1024;
/** Sockets read into one buffer in turn, since what is read is copied at once. */
const READ_BYTES = 128 * 1024;
const readBuffer = new Uint8Array(READ_BYTES);
/** Blocks that sockets have taken, to be filled again: the collector is late to find those. */
const spareBlocks: Buffer[] = [];
const MOST_SPARE_BLOCKS = 16;

export interface StreamPlace {
  readonly address: IpBytes;
  readonly port: number;
  /** The host's own address that it comes from; undefined: the host's choice. */
  readonly from: IpBytes | undefined;
}

export class SocketStream implements HostStream {
  readonly #socket: Socket;
  readonly #now: () => number;
  readonly #moved: () => void;
  #connection: TcpConnection | undefined;
  #block: Buffer | undefined;
  #written = 0;
  #filled = 0;
  #isScheduled = false;
  #mustEnd = false;

  /** @param moved to be called after something was handed to the connection */
  private constructor(socket: Socket, now: () => number, moved: () => void) {
    this.#socket = socket;
    this.#now = now;
    this.#moved = moved;
    socket.on('end', () => {
      this.#connection?.hostEnded(now());
      moved();
    });
    socket.on('error', () => {});
    socket.on('close', (hadError) => this.#closed(hadError));
  }

  /** Connects to an address. @param onClosed called once */
  static connect(
    connection: TcpConnection,
    { address, port, from }: StreamPlace,
    now: () => number,
    onClosed: () => void,
    moved: () => void,
  ): SocketStream {
    const onread = {
      buffer: readBuffer,
      callback: (bytes: number): boolean => {
        connection.hostReceived(now(), readBuffer.subarray(0, bytes));
        moved();
        return true;
      },
    };
    const place = { host: formatIp(address), port, ...(from ? { localAddress: formatIp(from) } : {}) };
    const socket = connect({ ...place, allowHalfOpen: true, noDelay: true, onread });
    // Nothing is read before the guest has answered.
    socket.pause();
    const stream = new SocketStream(socket, now, moved);
    stream.#connection = connection;
    socket.on('connect', () => {
      connection.hostConnected(now());
      moved();
    });
    socket.on('close', onClosed);
    return stream;
  }

  /** Takes a socket that came in at a forwarded port. It must be paused, and half-open is allowed. */
  static accept(socket: Socket, now: () => number, moved: () => void): SocketStream {
    const stream = new SocketStream(socket, now, moved);
    socket.setNoDelay(true);
    socket.on('data', (bytes: Uint8Array) => {
      stream.#connection?.hostReceived(now(), bytes);
      moved();
    });
    socket.pause();
    return stream;
  }

  serve(connection: TcpConnection): void {
    this.#connection = connection;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      this.#block ??= spareBlocks.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
      const count = Math.min(bytes.length - at, BLOCK_BYTES - this.#filled);
      this.#block.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === BLOCK_BYTES) this.#writeBlock();
    }
    if (this.#isScheduled || this.#filled === this.#written) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#writeBlock();
      if (this.#mustEnd) this.#socket.end();
    });
  }

  #writeBlock(): void {
    const count = this.#filled - this.#written;
    if (!this.#block || count === 0) return;
    const block = this.#block;
    const isFull = this.#filled === BLOCK_BYTES;
    const part = block.subarray(this.#written, this.#filled);
    this.#written = this.#filled;
    if (isFull) {
      this.#block = undefined;
      this.#written = 0;
      this.#filled = 0;
    }
    if (this.#socket.destroyed) return;
    this.#socket.write(part, (error) => {
      if (error) return;
      // Writes end in order: this was the last of the block.
      if (isFull && spareBlocks.length < MOST_SPARE_BLOCKS) spareBlocks.push(block);
      this.#connection?.hostDrained(this.#now(), count);
      this.#moved();
    });
  }

  end(): void {
    if (this.#isScheduled) this.#mustEnd = true;
    else this.#socket.end();
  }

  destroy(): void {
    this.#connection = undefined;
    // The other side should learn that this was no orderly end.
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #closed(hadError: boolean): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (!connection) return;
    // An orderly end has been told as such; anything else is a reset.
    if (hadError || !this.#socket.readableEnded) connection.hostFailed(this.#now());
    this.#moved();
  }
}
