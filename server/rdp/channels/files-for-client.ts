/**
 * Files that somebody else has copied, for one client to paste: it asks for the list, then for parts of each.
 * Source: [MS-RDPECLIP] 2.2.5.3, 2.2.5.4, 3.1.5.4.
 *
 * One part is fetched at a time, in pieces, and the next when the client has room for it: a client that asks for more than it
 * takes, or than whoever has the files gives, costs one part.
 */
import type { SharedFiles } from '#display/desktop/shared-clipboard.ts';
import {
  type ContentsRequest,
  encodeClipboardFiles,
  encodeContents,
  encodeFileSize,
  encodeNoClipboardData,
} from '../pdu/clipboard.ts';

/** Bytes of one question to whoever has the files. */
export const PIECE_BYTES: number = 64 * 1024;
/** Bytes of one answer to a client that wants more at once. */
export const MOST_PART_BYTES: number = 1024 * 1024;
/** Questions of a client that wait; those beyond it are answered with a no. */
const MOST_WAITING = 32;

export class FilesForClient {
  readonly #send: (message: Uint8Array) => void;
  readonly #hasRoom: () => boolean;
  #files: SharedFiles | undefined;
  readonly #waiting: { readonly request: ContentsRequest; readonly files: SharedFiles | undefined }[] = [];
  #isFetching = false;
  #isListing = false;
  #isClosed = false;

  /** @param hasRoom the client takes what is sent to it; `onRoom` is called when it does again */
  constructor(send: (message: Uint8Array) => void, hasRoom: () => boolean) {
    this.#send = send;
    this.#hasRoom = hasRoom;
  }

  /** The client may paste files. */
  get areThere(): boolean {
    return this.#files !== undefined;
  }

  offer(files: SharedFiles | undefined): void {
    this.#files = files;
  }

  /** The client wants the list. */
  list(): void {
    // One that asks again before it is answered would be told as often.
    if (!this.#files || this.#isListing) {
      this.#send(encodeNoClipboardData());
      return;
    }
    this.#isListing = true;
    this.#files.list((files) => {
      this.#isListing = false;
      if (!this.#isClosed) this.#send(files ? encodeClipboardFiles(files) : encodeNoClipboardData());
    });
  }

  /** The client wants a part of a file. */
  contents(request: ContentsRequest): void {
    if (this.#waiting.length >= MOST_WAITING) {
      this.#send(encodeContents(request.stream, undefined));
      return;
    }
    // What it asks about are the files that it was told of.
    this.#waiting.push({ request, files: this.#files });
    this.onRoom();
  }

  onRoom(): void {
    while (!this.#isFetching && !this.#isClosed && this.#hasRoom()) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#isFetching = true;
      this.#fetch(next.request, next.files);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#files = undefined;
    this.#waiting.length = 0;
  }

  #answer(stream: number, data: Uint8Array | undefined): void {
    this.#isFetching = false;
    if (this.#isClosed) return;
    this.#send(encodeContents(stream, data));
    this.onRoom();
  }

  #fetch({ stream, index, want, at, byteCount }: ContentsRequest, files: SharedFiles | undefined): void {
    if (!files || want === 'neither') {
      this.#answer(stream, undefined);
      return;
    }
    if (want === 'size') {
      files.byteCount(index, (size) => this.#answer(stream, size === undefined ? undefined : encodeFileSize(size)));
      return;
    }
    const part = new Uint8Array(Math.min(byteCount, MOST_PART_BYTES));
    let got = 0;
    if (part.length === 0) {
      this.#answer(stream, part);
      return;
    }
    const next = (): void => {
      const piece = Math.min(PIECE_BYTES, part.length - got);
      files.read(index, at + got, piece, (bytes) => {
        if (!bytes || bytes.length > piece || this.#isClosed) {
          this.#answer(stream, undefined);
          return;
        }
        part.set(bytes, got);
        got += bytes.length;
        // Less than was asked for: the file ends there.
        if (bytes.length < piece || got === part.length) this.#answer(stream, part.subarray(0, got));
        else next();
      });
    };
    next();
  }
}
