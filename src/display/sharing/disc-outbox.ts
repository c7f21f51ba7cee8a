/** Files on their way to a guest's CD drive, from somebody who watches it. */
import { CodedError } from '#base/errors.ts';
import { type BodyOf, DISC_WINDOW_BYTES, encodeMessage, HOST, MAX_DISC_PART_BYTES } from '../stream/messages.ts';

/** A `File`, or a blob with a name. */
export interface NamedBlob {
  readonly name: string;
  readonly blob: Blob;
}

/** The relay takes 400 messages a second from somebody; keys and the mouse are among them. */
const PARTS_A_TURN = 10;
const TURN_MS = 50;
/** Without a word from the host for so long, it will not answer any more. */
const PATIENCE_MS = 20_000;

interface Sending {
  readonly id: number;
  readonly byteCount: number;
  taken: number;
  heardAt: number;
  refusal: string;
  isDone: boolean;
}

export class DiscOutbox {
  readonly #send: (message: Uint8Array<ArrayBuffer>) => void;
  #sending: Sending | undefined;
  #nextId = 1;

  constructor(send: (message: Uint8Array<ArrayBuffer>) => void) {
    this.#send = send;
  }

  /**
   * @param onProgress 0 to 1
   * @throws CodedError<'not-taken'> the disc is not in the drive, and why
   */
  async give(files: readonly NamedBlob[], onProgress: (share: number) => void): Promise<void> {
    if (this.#sending) throw notTaken('another disc is on its way; wait for it');
    const whole = new Blob(files.map(({ blob }) => blob));
    const sending: Sending = {
      ...{ id: this.#nextId, byteCount: whole.size, taken: -1, heardAt: Date.now(), refusal: '', isDone: false },
    };
    this.#nextId = (this.#nextId % 0xffff) + 1;
    this.#sending = sending;
    try {
      const heads = files.map(({ name, blob }) => ({ name: shortened(name), byteCount: blob.size }));
      this.#send(encodeMessage('disc', { participant: HOST, id: sending.id, files: heads }));
      await this.#sendParts(whole, sending, onProgress);
    } finally {
      this.#sending = undefined;
    }
  }

  /** The host has said something. */
  taken({ id, upTo, refusal }: BodyOf<'discTaken'>): void {
    const sending = this.#sending;
    if (sending?.id !== id) return;
    sending.heardAt = Date.now();
    sending.taken = upTo;
    sending.refusal = refusal;
    if (refusal === '' && upTo === sending.byteCount) sending.isDone = true;
  }

  async #sendParts(whole: Blob, sending: Sending, onProgress: (share: number) => void): Promise<void> {
    let at = 0;
    while (!sending.isDone) {
      if (sending.refusal !== '') throw notTaken(sending.refusal);
      if (Date.now() - sending.heardAt > PATIENCE_MS) throw notTaken('the machine’s owner does not answer');
      for (let parts = 0; parts < PARTS_A_TURN && sending.taken >= 0; parts++) {
        const end = Math.min(whole.size, at + MAX_DISC_PART_BYTES);
        if (at === end || end - sending.taken > DISC_WINDOW_BYTES) break;
        const data = new Uint8Array(await whole.slice(at, end).arrayBuffer());
        this.#send(encodeMessage('discPart', { participant: HOST, id: sending.id, at, data }));
        at = end;
      }
      onProgress(whole.size === 0 ? 1 : at / whole.size);
      await new Promise((resolve) => setTimeout(resolve, TURN_MS));
    }
  }
}

const notTaken = (message: string): CodedError<'not-taken'> => new CodedError('not-taken', message);

/** At most 255 bytes of UTF-8, its ending kept. */
function shortened(name: string): string {
  const ending = /\.[^.]{1,10}$/.exec(name)?.[0] ?? '';
  let stem = name.slice(0, name.length - ending.length);
  while (new TextEncoder().encode(stem + ending).length > 255) stem = [...stem].slice(0, -1).join('');
  return stem + ending;
}
