/**
 * The clipboard of one client and the one that the people at the machine share.
 * Source: [MS-RDPECLIP] 1.3.2 (sequences), 3.2 (server).
 *
 * What a client copies is fetched soon, so that others can paste it when the client has gone. xfreerdp looks at its
 * clipboard itself when that changes, loses answers while it does and says that there is nothing; so it is left a moment, and
 * asked again. Several copies in a row become one, and there is one question at a time.
 * Files are fetched only when they are wanted: by the machine (`clipboard-files.ts`), by others (`copied-files.ts`), or by this
 * client, which may paste what others have copied (`files-for-client.ts`).
 * Not modelled: formats other than text and lists of files.
 */
import type { ClipboardPlace, SharedClipboard, SharedFiles } from '#display/desktop/shared-clipboard.ts';
import {
  CF_UNICODETEXT,
  type ClipboardFormat,
  clipboardText,
  decodeClipboardMessage,
  encodeClipboardCapabilities,
  encodeClipboardData,
  encodeDataRequest,
  encodeFilesFormat,
  encodeFormatsTaken,
  encodeMonitorReady,
  encodeNoFormats,
  encodeTextFormat,
  FILE_LIST_NAME,
  FILES_FORMAT,
} from '../pdu/clipboard.ts';
import { ClipboardFiles, type FileTaker } from './clipboard-files.ts';
import { CopiedFiles, FIRST_SHARED_STREAM } from './copied-files.ts';
import { FilesForClient } from './files-for-client.ts';

/** Which ways text may go. */
export interface ClipboardWays {
  /** What a client copies. */
  readonly fromClient: boolean;
  /** What others copy. */
  readonly toClient: boolean;
  /** Files as well, where text may go. */
  readonly files?: boolean;
}

/** What a client's files have to do with. */
export interface ClipboardFileParts {
  /** Who makes a CD of what the client has copied; undefined: nobody. */
  readonly taker?: FileTaker | undefined;
  /** What it has copied may go to others. */
  readonly mayGive: boolean;
  /** It takes what is sent to it. */
  readonly hasRoom: () => boolean;
}

/** @returns a function that calls it off */
export type Later = (ms: number, what: () => void) => () => void;

/** How long a client's clipboard has to have been the same. */
const SETTLE_MS = 100;
/** A question that has had no answer for so long gets none. */
const ANSWER_MS = 3000;
/**
 * How often in a row the client may answer that there is nothing, or not at all, before it is believed. Each wait is twice the
 * one before: a client on a busy computer takes seconds to see what it has.
 */
const MOST_ATTEMPTS = 7;
/** A client that has not said by then which files it has does not say it. */
const LIST_MS = 10_000;
/** The longest that a text's being the same makes the next question wait, as a power of two of {@link SETTLE_MS}. */
const MOST_REPEATS = 4;

export class ClipboardChannel {
  readonly #send: (message: Uint8Array) => void;
  readonly #ways: ClipboardWays;
  readonly #later: Later;
  readonly #place: ClipboardPlace;
  readonly #files: ClipboardFiles | undefined;
  readonly #mayGive: boolean;
  readonly #forClient: FilesForClient;
  /** What the client has copied, while others may have it. */
  #copies: CopiedFiles | undefined;
  /** Whose list the client's next data is. */
  #listing: CopiedFiles | undefined;
  #callOffListing = (): void => {};
  #callOffWaiting = (): void => {};
  #lastStream = FIRST_SHARED_STREAM;
  #hasLongNames = false;
  #clientHasFiles = false;
  /** What the client may paste; undefined: its own clipboard is newer. */
  #offered: string | undefined;
  /** The client has told its formats: from then on it may be told ours. */
  #isReady = false;
  /** The client has been told our formats and has not said that it has them. */
  #isTold = false;
  #isToTell = false;
  #callOffTelling = (): void => {};
  /** The client has been asked for its text. */
  #isAsked = false;
  /** The client has copied something since. */
  #isStale = false;
  /** As soon as the question before has been answered. */
  #areFilesWanted = false;
  #attempts = 0;
  #fetched: string | undefined;
  /** How often in a row the client has given the same text: rdesktop tells its formats again after each answer. */
  #repeats = 0;
  #callOffAsking = (): void => {};

  /** @param send takes messages of the channel, @param files left out: it has nothing to do with any */
  constructor(
    clipboard: SharedClipboard,
    ways: ClipboardWays,
    later: Later,
    send: (message: Uint8Array) => void,
    { taker, mayGive, hasRoom }: ClipboardFileParts = { mayGive: false, hasRoom: () => true },
  ) {
    this.#ways = ways;
    this.#later = later;
    this.#send = send;
    if (taker && ways.files && ways.fromClient) this.#files = new ClipboardFiles(send, later, taker);
    this.#mayGive = mayGive && ways.files === true && ways.fromClient;
    this.#forClient = new FilesForClient(send, hasRoom);
    this.#place = clipboard.open(
      (text, isBesideFiles) => {
        this.#files?.copied(undefined);
        this.#closeCopies();
        if (!(isBesideFiles && this.#givesFiles)) this.offer(text);
      },
      (files) => {
        this.#files?.copied(undefined);
        this.#closeCopies();
        this.#offerFiles(files);
      },
    );
    this.offer(clipboard.text);
    this.#offerFiles(clipboard.files);
  }

  begin(): void {
    this.#send(encodeClipboardCapabilities(this.#hasToDoWithFiles));
    this.#send(encodeMonitorReady());
  }

  /** A message of the channel. @throws PduError */
  receive(message: Uint8Array): void {
    const said = decodeClipboardMessage(message, this.#hasLongNames);
    switch (said?.kind) {
      case 'capabilities':
        this.#hasLongNames = this.#hasToDoWithFiles && said.hasLongNames;
        this.#clientHasFiles = said.hasFiles;
        return;
      case 'formats':
        this.#copied(said.formats);
        return;
      case 'formatsTaken':
        this.#isTaken();
        return;
      case 'dataRequest':
        if (said.format === FILES_FORMAT && this.#givesFiles) this.#forClient.list();
        else this.#send(encodeClipboardData(said.format === CF_UNICODETEXT ? this.#offered : undefined));
        return;
      case 'data':
        if (this.#listing) this.#listed(said.data);
        else if (this.#files?.isListing) this.#files.listed(said.data);
        else this.#answered(said.data && clipboardText(said.data));
        return;
      case 'contents':
        if (said.stream >= FIRST_SHARED_STREAM) this.#copies?.contents(said.stream, said.data);
        else this.#files?.contents(said.stream, said.data);
        return;
      case 'contentsRequest':
        this.#forClient.contents(said);
    }
  }

  /** What was sent to the client is out. */
  onRoom(): void {
    this.#forClient.onRoom();
  }

  /** Fetches the files that the client has copied. @returns false: it has copied something else last */
  fetchFiles(): boolean {
    // One question at a time: it is a moment until the client has said what else it has.
    if (!this.#files?.areThere) return false;
    if (this.#isAsked || this.#listing) this.#areFilesWanted = true;
    else this.#files.fetch();
    return true;
  }

  close(): void {
    this.#closeCopies();
    this.#callOffListing();
    this.#callOffWaiting();
    this.#listing = undefined;
    this.#forClient.close();
    this.#place.close();
    this.#callOffAsking();
    this.#callOffTelling();
    this.#files?.close();
  }

  /** The client has copied something. @param formats none: its clipboard is empty, or it has lost sight of it */
  #copied(formats: readonly ClipboardFormat[]): void {
    this.#send(encodeFormatsTaken());
    // It had not yet seen ours, which take its clipboard's place.
    if (this.#isTold) return;
    const isText = formats.some(({ id }) => id === CF_UNICODETEXT);
    const isNothing = formats.length === 0;
    const list = formats.find(({ name }) => name === FILE_LIST_NAME);
    this.#areFilesWanted = false;
    this.#files?.copied(this.#clientHasFiles ? list?.id : undefined);
    const isFirst = !this.#isReady;
    this.#isReady = true;
    // The first list says what the client's clipboard has had all along; what was copied here may be newer.
    if (isFirst && (this.#offered !== undefined || this.#givesFiles)) this.#tell();
    else {
      this.#offered = undefined;
      this.#forClient.offer(undefined);
      // One that has lost sight of its files has them when it is asked; one that has none says so then.
      if (!isNothing) this.#shareFiles(this.#clientHasFiles ? list?.id : undefined);
      if (!this.#ways.fromClient) return;
      this.#attempts = 0;
      this.#isStale = this.#isAsked;
      // xfreerdp tells so as well when it was too slow to see what there is: it may know when it is asked.
      if (this.#isAsked || isNothing) return;
      this.#callOffAsking();
      if (isText) this.#askIn(SETTLE_MS << this.#repeats);
    }
  }

  #askIn(ms: number): void {
    this.#callOffAsking = this.#later(ms, () => {
      if (this.#files?.isListing || this.#listing) {
        this.#askIn(SETTLE_MS);
        return;
      }
      this.#isAsked = true;
      this.#isStale = false;
      this.#attempts++;
      this.#send(encodeDataRequest(CF_UNICODETEXT));
      this.#callOffAsking = this.#later(ANSWER_MS, () => this.#answered(undefined));
    });
  }

  /** @param text undefined: there is none, or no answer */
  #answered(text: string | undefined): void {
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.#callOffAsking();
    this.#fetchWanted();
    if (text !== undefined && !this.#isStale) {
      this.#repeats = text === this.#fetched ? Math.min(this.#repeats + 1, MOST_REPEATS) : 0;
      this.#fetched = text;
      this.#place.put(text);
    } else if (this.#isStale || this.#attempts < MOST_ATTEMPTS) this.#askIn(SETTLE_MS << this.#attempts);
  }

  /** The client has been asked for something else before. */
  #fetchWanted(): void {
    if (!this.#areFilesWanted) return;
    this.#areFilesWanted = false;
    this.#files?.fetch();
  }

  get #hasToDoWithFiles(): boolean {
    return this.#files !== undefined || this.#mayGive || (this.#ways.files === true && this.#ways.toClient);
  }

  /** The client can paste files, and there are some. */
  get #givesFiles(): boolean {
    return this.#hasLongNames && this.#clientHasFiles && this.#forClient.areThere;
  }

  /** @param format the client's number for lists of files; undefined: it has copied something else */
  #shareFiles(format: number | undefined): void {
    if (format === undefined || !this.#mayGive) {
      this.#closeCopies();
      return;
    }
    this.#copies?.close();
    const copies: CopiedFiles = new CopiedFiles({
      send: this.#send,
      later: this.#later,
      askForList: () => this.#askForList(copies, format),
      nextStream: () => {
        this.#lastStream = this.#lastStream === 0xffff_ffff ? FIRST_SHARED_STREAM : this.#lastStream + 1;
        return this.#lastStream;
      },
    });
    this.#copies = copies;
    this.#place.putFiles(copies);
  }

  #closeCopies(): void {
    const copies = this.#copies;
    this.#copies = undefined;
    if (!copies) return;
    copies.close();
    this.#place.putFiles(undefined);
  }

  /** One question at a time. */
  #askForList(copies: CopiedFiles, format: number): void {
    if (copies !== this.#copies) return;
    if (this.#isAsked || this.#listing || this.#files?.isListing) {
      this.#callOffWaiting = this.#later(SETTLE_MS, () => this.#askForList(copies, format));
      return;
    }
    this.#listing = copies;
    this.#callOffListing = this.#later(LIST_MS, () => this.#listed(undefined));
    this.#send(encodeDataRequest(format));
  }

  /** @param data undefined: there are none, or no answer. @throws PduError */
  #listed(data: Uint8Array | undefined): void {
    const copies = this.#listing;
    this.#listing = undefined;
    this.#callOffListing();
    this.#fetchWanted();
    copies?.listed(data);
  }

  /** Gives the client files to paste. @param files undefined: they are there no longer */
  #offerFiles(files: SharedFiles | undefined): void {
    if (!this.#ways.toClient || this.#ways.files !== true) return;
    const gaveFiles = this.#givesFiles;
    this.#forClient.offer(files);
    if (!this.#isReady || !(gaveFiles || this.#givesFiles)) return;
    this.#offered = undefined;
    this.#dropQuestions();
    this.#tell();
  }

  /** Whatever the client had is older. Asked afterwards, it would ask back what this side has. */
  #dropQuestions(): void {
    this.#areFilesWanted = false;
    this.#isAsked = false;
    this.#callOffAsking();
    this.#repeats = 0;
  }

  /** Gives the client a text to paste. @returns false: there is none, or none may go to clients */
  offer(text: string): boolean {
    if (!this.#ways.toClient || text === '') return false;
    this.#offered = text;
    this.#forClient.offer(undefined);
    this.#dropQuestions();
    if (this.#isReady) this.#tell();
    return true;
  }

  #tell(): void {
    this.#isToTell = this.#isTold;
    if (this.#isTold) return;
    this.#isTold = true;
    if (this.#givesFiles) this.#send(encodeFilesFormat());
    else this.#send(this.#offered === undefined ? encodeNoFormats() : encodeTextFormat(this.#hasLongNames));
    this.#callOffTelling = this.#later(ANSWER_MS, () => this.#isTaken());
  }

  /** Our formats have arrived, or never will. */
  #isTaken(): void {
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#callOffTelling();
    if (this.#isToTell) this.#tell();
  }
}
