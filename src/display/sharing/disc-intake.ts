/** Files that people give to a guest, until they are on a disc in its drive. One disc at a time. */
import { CodedError } from '#base/errors.ts';
import { type BodyOf, type DiscFileHead, MAX_DISC_BYTES } from '../stream/messages.ts';
import { isoImage } from './iso-image.ts';

export interface DiscIntakeParts {
  /** Undefined: this machine takes none. @throws CodedError the disc is not in */
  readonly insert: ((image: Uint8Array<ArrayBuffer>, name: string) => Promise<void>) | undefined;
  readonly tell: (taken: BodyOf<'discTaken'>) => void;
}

interface Disc {
  readonly participant: number;
  readonly id: number;
  readonly files: readonly DiscFileHead[];
  readonly from: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  got: number;
}

/** The viewer is told after so many bytes. */
const TELL_BYTES = 64 << 10;

export class DiscIntake {
  readonly #parts: DiscIntakeParts;
  #disc: Disc | undefined;
  #told = 0;

  constructor(parts: DiscIntakeParts) {
    this.#parts = parts;
  }

  /** @param from name of whoever gives it */
  announced({ participant, id, files }: BodyOf<'disc'>, mayGive: boolean, from: string): void {
    if (this.#disc?.participant === participant) this.#disc = undefined;
    const byteCount = files.reduce((sum, file) => sum + file.byteCount, 0);
    const refusal = this.#refusal(files.length, byteCount, mayGive);
    if (refusal === '') {
      this.#disc = { participant, id, files, from, bytes: new Uint8Array(byteCount), got: 0 };
      this.#told = 0;
      if (byteCount === 0) {
        void this.#insert(this.#disc);
        return;
      }
    }
    this.#parts.tell({ participant, id, upTo: 0, refusal });
  }

  #refusal(fileCount: number, byteCount: number, mayGive: boolean): string {
    if (!this.#parts.insert) return 'this machine takes no discs';
    if (!mayGive) return 'you may not give the machine anything now: ask for keyboard and mouse';
    if (fileCount === 0) return 'there is no file';
    if (byteCount > MAX_DISC_BYTES) return `a disc holds ${MAX_DISC_BYTES >> 20} MB, and these files are larger`;
    return this.#disc ? `${this.#disc.from} is giving it a disc just now; try again soon` : '';
  }

  part({ participant, id, at, data }: BodyOf<'discPart'>): void {
    const disc = this.#disc;
    if (disc?.participant !== participant || disc.id !== id) return;
    if (at !== disc.got || at + data.length > disc.bytes.length) {
      this.#disc = undefined;
      this.#parts.tell({ participant, id, upTo: disc.got, refusal: 'a part of the files was lost; give them again' });
      return;
    }
    disc.bytes.set(data, at);
    disc.got += data.length;
    if (disc.got === disc.bytes.length) void this.#insert(disc);
    else if (disc.got - this.#told >= TELL_BYTES) {
      this.#told = disc.got;
      this.#parts.tell({ participant, id, upTo: disc.got, refusal: '' });
    }
  }

  /** Whoever is gone finishes nothing. */
  leave(participant: number): void {
    if (this.#disc?.participant === participant) this.#disc = undefined;
  }

  async #insert(disc: Disc): Promise<void> {
    const { participant, id, files, bytes, from } = disc;
    let end = 0;
    const contents = files.map(({ name, byteCount }) => {
      end += byteCount;
      return { name, bytes: bytes.subarray(end - byteCount, end) };
    });
    let refusal = '';
    try {
      await this.#parts.insert?.(isoImage(`From ${from}`, contents, new Date()), `Files from ${from}`);
    } catch (error) {
      refusal = (error instanceof CodedError ? error.message : 'the disc could not be put in').slice(0, 200);
    }
    if (this.#disc === disc) this.#disc = undefined;
    this.#parts.tell({ participant, id, upTo: bytes.length, refusal });
  }
}
