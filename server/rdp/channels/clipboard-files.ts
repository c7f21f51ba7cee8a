/**
 * Files that a client has copied, fetched when somebody wants them: the list, then one file after the other.
 * Source: [MS-RDPECLIP] 1.3.2.2 (file streams), 3.1.5.4.
 * Not modelled: folders (what lies in them comes without them), locks.
 */
import { CodedError } from '#base/errors.ts';
import type { GivenFile } from '#display/desktop/desktop.ts';
import {
  type CopiedFile,
  decodeFileList,
  encodeDataRequest,
  encodeRangeRequest,
  encodeSizeRequest,
} from '../pdu/clipboard.ts';
import type { Later } from './clipboard.ts';

/** What a CD may hold here. */
export const MOST_FILES = 64;
export const MOST_FILE_BYTES: number = 256 << 20;
const RANGE_BYTES = 128 << 10;
/** Without an answer for so long there is none. */
const ANSWER_MS = 10_000;

/** What becomes of the files. */
export interface FileTaker {
  /** @throws CodedError they cannot be used, and why */
  take(files: readonly GivenFile[]): Promise<void>;
  /** Something that a person should know. */
  say(text: string): void;
}

interface Fetch {
  readonly files: readonly CopiedFile[];
  readonly done: GivenFile[];
  /** Of all files, as far as they are known. */
  byteCount: number;
  /** The file that is being fetched; undefined: its length is being asked for. */
  bytes: Uint8Array<ArrayBuffer> | undefined;
  got: number;
}

export class ClipboardFiles {
  readonly #send: (message: Uint8Array) => void;
  readonly #later: Later;
  readonly #taker: FileTaker;
  /** The client's number for lists of files; undefined: it has copied none. */
  #format: number | undefined;
  #isListing = false;
  #fetch: Fetch | undefined;
  #isTaking = false;
  /** Answers to older questions have older numbers. */
  #stream = 0;
  #callOff = (): void => {};

  constructor(send: (message: Uint8Array) => void, later: Later, taker: FileTaker) {
    this.#send = send;
    this.#later = later;
    this.#taker = taker;
  }

  /** The client has copied files last, and they can be had. */
  get areThere(): boolean {
    return this.#format !== undefined;
  }

  /** The client's next data is a list of files. */
  get isListing(): boolean {
    return this.#isListing;
  }

  /** @param format the client's number for lists of files; undefined: it has copied something else */
  copied(format: number | undefined): void {
    this.#format = format;
    if (this.#isListing || this.#fetch) this.#fail('something else was copied meanwhile');
  }

  /** Asks for them, unless they are on their way. */
  fetch(): void {
    if (this.#format === undefined || this.#isListing || this.#fetch || this.#isTaking) return;
    this.#isListing = true;
    this.#ask(encodeDataRequest(this.#format));
  }

  /** @param data undefined: the client has none. @throws PduError */
  listed(data: Uint8Array | undefined): void {
    if (!this.#isListing) return;
    this.#isListing = false;
    this.#callOff();
    if (!data) {
      this.#fail('the client does not say which');
      return;
    }
    const files = decodeFileList(data).filter(({ isFolder }) => !isFolder);
    const byteCount = files.reduce((sum, one) => sum + (one.byteCount ?? 0), 0);
    const refusal = refusalOf(files.length, byteCount);
    if (refusal) this.#fail(refusal);
    else {
      this.#fetch = { files, done: [], byteCount, bytes: undefined, got: 0 };
      this.#goOn(this.#fetch);
    }
  }

  /** @param data undefined: the client cannot read it */
  contents(stream: number, data: Uint8Array | undefined): void {
    const fetch = this.#fetch;
    if (!fetch || stream !== this.#stream) return;
    this.#callOff();
    const { path } = fetch.files[fetch.done.length];
    if (!data || (data.length === 0 && fetch.bytes)) this.#fail(`${path} cannot be read`);
    else if (!fetch.bytes) this.#sized(fetch, data);
    else if (data.length > fetch.bytes.length - fetch.got) this.#fail(`${path} has grown meanwhile`);
    else {
      fetch.bytes.set(data, fetch.got);
      fetch.got += data.length;
      this.#goOn(fetch);
    }
  }

  close(): void {
    this.#callOff();
    this.#format = undefined;
    this.#isListing = false;
    this.#fetch = undefined;
  }

  #sized(fetch: Fetch, data: Uint8Array): void {
    if (data.length < 8) {
      this.#fail('the client does not say how long a file is');
      return;
    }
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const byteCount = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
    fetch.byteCount += byteCount;
    const refusal = refusalOf(fetch.files.length, fetch.byteCount);
    if (refusal) this.#fail(refusal);
    else {
      fetch.bytes = new Uint8Array(byteCount);
      this.#goOn(fetch);
    }
  }

  #goOn(fetch: Fetch): void {
    for (;;) {
      const { index, path, byteCount } = fetch.files[fetch.done.length];
      if (!fetch.bytes && byteCount === undefined) {
        this.#ask(encodeSizeRequest(++this.#stream, index));
        return;
      }
      fetch.bytes ??= new Uint8Array(byteCount ?? 0);
      const { bytes, got } = fetch;
      if (got < bytes.length) {
        this.#ask(encodeRangeRequest(++this.#stream, index, got, Math.min(RANGE_BYTES, bytes.length - got)));
        return;
      }
      fetch.done.push({ name: path.slice(path.lastIndexOf('\\') + 1), bytes });
      fetch.bytes = undefined;
      fetch.got = 0;
      if (fetch.done.length < fetch.files.length) continue;
      this.#fetch = undefined;
      void this.#give(fetch.done);
      return;
    }
  }

  async #give(files: readonly GivenFile[]): Promise<void> {
    this.#isTaking = true;
    try {
      await this.#taker.take(files);
      this.#taker.say(`${files.length === 1 ? files[0].name : `${files.length} files`} in the CD drive`);
    } catch (error) {
      this.#refuse(error instanceof CodedError ? error.message : 'the disc could not be put in');
    } finally {
      this.#isTaking = false;
    }
  }

  #ask(question: Uint8Array): void {
    this.#callOff = this.#later(ANSWER_MS, () => this.#fail('the client does not answer'));
    this.#send(question);
  }

  #fail(why: string): void {
    this.#callOff();
    this.#isListing = false;
    this.#fetch = undefined;
    this.#stream++;
    this.#refuse(why);
  }

  #refuse(why: string): void {
    this.#taker.say(`copied files were not given to the machine: ${why}`);
  }
}

function refusalOf(fileCount: number, byteCount: number): string | undefined {
  if (fileCount === 0) return 'there is none but folders';
  if (fileCount > MOST_FILES) return `a disc takes ${MOST_FILES} files, and these are ${fileCount}`;
  if (byteCount > MOST_FILE_BYTES) return `a disc holds ${MOST_FILE_BYTES >> 20} MB, and these files are larger`;
  return undefined;
}
