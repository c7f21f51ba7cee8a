/**
 * A read-only TFTP server, for network boot. Source: RFC 1350, RFC 2347, RFC 2348 (blksize), RFC 2349 (timeout, tsize),
 * RFC 7440 (windowsize). Not modelled: writing, the mode netascii (sent as it is, since boot files are binary).
 *
 *   state of a transfer    event            next
 *   (none)                 RRQ              DATA 1..n sent, or OACK when options were agreed
 *   sent up to block n     ACK n            DATA n+1.., or done behind the last
 *                          ACK m < n        sent again from m+1 (a window) or ignored (RFC 1123 4.2.3.1)
 *                          time             sent again, five times, then dropped
 *                          ERROR            dropped
 */
import { decodeTftp, encodeTftp, TFTP_ERROR, type TftpPacket } from '../wire/tftp.ts';

/** A file that stays open during a transfer. */
export interface TftpFile {
  readonly size: number;
  /** Up to `bytes` bytes from `offset`; fewer at the end. */
  read(offset: number, bytes: number): Uint8Array;
  close(): void;
}

const DEFAULT_BLOCK = 512;
const DEFAULT_TIMEOUT_MS = 1000;
const MOST_TRIES = 5;

interface Transfer {
  readonly file: TftpFile;
  readonly blockBytes: number;
  readonly timeoutMs: number;
  readonly windowBlocks: number;
  /** Answer with options, until the first ACK. */
  optionAck: Uint8Array | undefined;
  /** Blocks acknowledged and sent, counted from 0 and not wrapped. */
  acknowledged: number;
  sent: number;
  tries: number;
  deadlineMs: number;
}

export interface TftpParts {
  openFile(name: string): TftpFile | undefined;
  /** @param client as it was handed to `receive` */
  send(client: string, packet: Uint8Array): void;
}

export class TftpServer {
  readonly #parts: TftpParts;
  readonly #mostTransfers: number;
  readonly #mostBlockBytes: number;
  readonly #transfers = new Map<string, Transfer>();

  /** @param mtu largest IP packet, in bytes */
  constructor(parts: TftpParts, mtu: number, mostTransfers: number) {
    this.#parts = parts;
    this.#mostTransfers = mostTransfers;
    this.#mostBlockBytes = Math.min(mtu - 32, 65_464); // 20 /* IP */ + 8 /* UDP */ + 4 /* TFTP */
  }

  get deadlineMs(): number | undefined {
    let earliest: number | undefined;
    for (const { deadlineMs } of this.#transfers.values()) {
      if (earliest === undefined || deadlineMs < earliest) earliest = deadlineMs;
    }
    return earliest;
  }

  /** @param client names address and port of the guest */
  receive(nowMs: number, client: string, bytes: Uint8Array): void {
    const packet = decodeTftp(bytes);
    if (packet === undefined) return;
    switch (packet.kind) {
      case 'read':
        this.#begin(nowMs, client, packet);
        return;
      case 'write':
        this.#error(client, TFTP_ERROR.accessViolation, 'this server only reads');
        return;
      case 'ack':
        this.#acknowledge(nowMs, client, packet.block);
        return;
      case 'error':
        this.#end(client);
        return;
      default:
        this.#error(client, TFTP_ERROR.illegalOperation, 'unexpected packet');
    }
  }

  tick(nowMs: number): void {
    for (const [client, transfer] of this.#transfers) {
      if (nowMs < transfer.deadlineMs) continue;
      if (++transfer.tries > MOST_TRIES) this.#end(client);
      else {
        transfer.sent = transfer.acknowledged;
        this.#send(nowMs, client, transfer);
      }
    }
  }

  close(): void {
    for (const client of this.#transfers.keys()) this.#end(client);
  }

  #begin(nowMs: number, client: string, request: Extract<TftpPacket, { kind: 'read' | 'write' }>): void {
    this.#end(client);
    if (this.#transfers.size >= this.#mostTransfers) {
      this.#error(client, TFTP_ERROR.undefined, 'too many transfers at once');
      return;
    }
    const file = this.#parts.openFile(request.file);
    if (!file) {
      this.#error(client, TFTP_ERROR.notFound, 'no such file');
      return;
    }
    const agreed = this.#agree(request.options, file.size);
    const number = (name: string, otherwise: number): number => Number(agreed.get(name) ?? otherwise);
    const transfer: Transfer = {
      file,
      blockBytes: number('blksize', DEFAULT_BLOCK),
      timeoutMs: number('timeout', DEFAULT_TIMEOUT_MS / 1000) * 1000,
      windowBlocks: number('windowsize', 1),
      optionAck: agreed.size > 0 ? encodeTftp({ kind: 'optionAck', options: agreed }) : undefined,
      acknowledged: 0,
      sent: 0,
      tries: 0,
      deadlineMs: 0,
    };
    this.#transfers.set(client, transfer);
    this.#send(nowMs, client, transfer);
  }

  #agree(options: ReadonlyMap<string, string>, fileBytes: number): Map<string, string> {
    const agreed = new Map<string, string>();
    const within = (name: string, least: number, most: number, cap = most): void => {
      const text = options.get(name);
      const value = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
      if (least <= value && value <= most) agreed.set(name, String(Math.min(value, cap)));
    };
    within('blksize', 8, 65_464, this.#mostBlockBytes);
    within('timeout', 1, 255);
    within('windowsize', 1, 65_535, 64);
    if (options.has('tsize')) agreed.set('tsize', String(fileBytes));
    return agreed;
  }

  #acknowledge(nowMs: number, client: string, block: number): void {
    const transfer = this.#transfers.get(client);
    if (!transfer) {
      this.#error(client, TFTP_ERROR.unknownTransfer, 'no such transfer');
      return;
    }
    // Block numbers wrap at 16 bits; what is meant lies between the acknowledged and the sent ones.
    const ahead = (block - transfer.acknowledged) & 0xffff;
    if (transfer.optionAck) {
      if (ahead !== 0) return;
      transfer.optionAck = undefined;
    } else if (ahead === 0 || ahead > transfer.sent - transfer.acknowledged) return;
    transfer.acknowledged += ahead;
    transfer.sent = transfer.acknowledged;
    transfer.tries = 0;
    if (transfer.acknowledged * transfer.blockBytes > transfer.file.size) this.#end(client);
    else this.#send(nowMs, client, transfer);
  }

  #send(nowMs: number, client: string, transfer: Transfer): void {
    transfer.deadlineMs = nowMs + transfer.timeoutMs;
    if (transfer.optionAck) {
      this.#parts.send(client, transfer.optionAck);
      return;
    }
    const { blockBytes, file } = transfer;
    // The last block is the one that is not full, and may be empty.
    const lastBlock = Math.floor(file.size / blockBytes) + 1;
    const stop = Math.min(transfer.acknowledged + transfer.windowBlocks, lastBlock);
    while (transfer.sent < stop) {
      const data = file.read(transfer.sent * blockBytes, blockBytes);
      transfer.sent++;
      this.#parts.send(client, encodeTftp({ kind: 'data', block: transfer.sent & 0xffff, data }));
    }
  }

  #error(client: string, code: number, message: string): void {
    this.#parts.send(client, encodeTftp({ kind: 'error', code, message }));
  }

  #end(client: string): void {
    this.#transfers.get(client)?.file.close();
    this.#transfers.delete(client);
  }
}
