/**
 * Files that a client has copied, for others to fetch from it piece by piece: nothing is asked of it before somebody wants it, and
 * nothing of it is kept.
 * Source: [MS-RDPECLIP] 1.3.2.2 (file streams), 3.1.5.4.
 * Not modelled: folders (what lies in them comes without them), locks.
 */
import type { SharedFile, SharedFiles } from '#display/desktop/shared-clipboard.ts';
import { type CopiedFile, decodeFileList, encodeRangeRequest, encodeSizeRequest } from '../pdu/clipboard.ts';
import type { Later } from './clipboard.ts';
import { safeFileNames } from './file-names.ts';

/** What others are told of; a list of so many has 600 KB. */
export const MOST_SHARED_FILES = 1000;
/** Without an answer for so long there is none. */
const ANSWER_MS = 10_000;
/** Stream numbers from here on; those below are of files that become a CD. */
export const FIRST_SHARED_STREAM = 0x8000_0000;
const SIZE_BYTES = 8;

interface Question {
  readonly done: (data: Uint8Array | undefined) => void;
  readonly most: number;
  readonly callOff: () => void;
}

export interface CopiedFilesParts {
  readonly send: (message: Uint8Array) => void;
  readonly later: Later;
  /** Asks the client for the list; `listed` is called once. */
  readonly askForList: () => void;
  /** @returns a number that no other question of this client has */
  readonly nextStream: () => number;
}

export class CopiedFiles implements SharedFiles {
  readonly #parts: CopiedFilesParts;
  #copied: readonly CopiedFile[] = [];
  #files: readonly SharedFile[] | undefined;
  #waiting: ((files: readonly SharedFile[] | undefined) => void)[] = [];
  readonly #questions = new Map<number, Question>();
  #isOver = false;

  constructor(parts: CopiedFilesParts) {
    this.#parts = parts;
  }

  list(done: (files: readonly SharedFile[] | undefined) => void): void {
    if (this.#isOver || this.#files) {
      done(this.#isOver ? undefined : this.#files);
      return;
    }
    this.#waiting.push(done);
    if (this.#waiting.length === 1) this.#parts.askForList();
  }

  byteCount(index: number, done: (byteCount: number | undefined) => void): void {
    const known = this.#files?.[index]?.byteCount;
    if (known !== undefined && !this.#isOver) {
      done(known);
      return;
    }
    const read = (data: Uint8Array | undefined): void => {
      if (data?.length !== SIZE_BYTES) {
        done(undefined);
        return;
      }
      const view = new DataView(data.buffer, data.byteOffset, SIZE_BYTES);
      done(view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true));
    };
    this.#ask(index, SIZE_BYTES, read, (stream, place) => encodeSizeRequest(stream, place));
  }

  read(index: number, at: number, byteCount: number, done: (bytes: Uint8Array | undefined) => void): void {
    this.#ask(index, byteCount, done, (stream, place) => encodeRangeRequest(stream, place, at, byteCount));
  }

  /** @param data undefined: the client has none, or does not answer. @throws PduError */
  listed(data: Uint8Array | undefined): void {
    if (this.#isOver) return;
    const copied = data && decodeFileList(data).filter(({ isFolder }) => !isFolder);
    if (copied && copied.length > 0 && copied.length <= MOST_SHARED_FILES) {
      const names = safeFileNames(copied.map(({ path }) => path));
      this.#copied = copied;
      this.#files = copied.map(({ byteCount }, i) => ({ name: names[i], byteCount }));
    }
    for (const done of this.#waiting.splice(0)) done(this.#files);
  }

  /** The client's answer to a question of this. @param data undefined: it cannot read that */
  contents(stream: number, data: Uint8Array | undefined): void {
    const question = this.#questions.get(stream);
    if (!question) return;
    this.#questions.delete(stream);
    question.callOff();
    question.done(data && data.length <= question.most ? data : undefined);
  }

  /** The client is gone, or has copied something else: whoever waits is told. */
  close(): void {
    this.#isOver = true;
    for (const done of this.#waiting.splice(0)) done(undefined);
    for (const stream of [...this.#questions.keys()]) this.contents(stream, undefined);
  }

  #ask(
    index: number,
    most: number,
    done: Question['done'],
    encode: (stream: number, place: number) => Uint8Array,
  ): void {
    const one = this.#copied[index] as CopiedFile | undefined;
    if (this.#isOver || !one) {
      done(undefined);
      return;
    }
    const stream = this.#parts.nextStream();
    const callOff = this.#parts.later(ANSWER_MS, () => this.contents(stream, undefined));
    this.#questions.set(stream, { done, most, callOff });
    this.#parts.send(encode(stream, one.index));
  }
}
