/**
 * Fields of binary records: what is written, what is read back, and what is refused. Little endian.
 * A record is described once, and its encoder, decoder, type and limits all come from that description.
 */
import { CodedError } from '#base/errors.ts';

export type StreamError = 'bad-stream';

const UTF8 = new TextEncoder();
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws CodedError<'bad-stream'>, always */
export function refuse(why: string, details: Readonly<Record<string, string | number>> = {}): never {
  throw new CodedError<StreamError>('bad-stream', why, details);
}

/** Bytes of a message that is being written; grows as needed. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  bytes(value: Uint8Array): void {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
  }

  /** Everything written so far, as its own copy. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Bytes of a message that is being read; ending early is an error, never a read beyond the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A view of the next bytes, not a copy. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  #take(count: number): number {
    if (count > this.left) refuse(`the message ends ${count - this.left} bytes too early`, { at: this.#at });
    const at = this.#at;
    this.#at += count;
    return at;
  }
}

/** How one value is written and read. */
export interface Field<T> {
  /** @throws CodedError<'bad-stream'> when the value is outside its range */
  write(to: ByteWriter, value: T): void;
  /** @throws CodedError<'bad-stream'> when the bytes are no such value */
  read(from: ByteReader): T;
}

export type ValueOf<F> = F extends Field<infer T> ? T : never;
export type Shape = Readonly<Record<string, Field<never> | Field<unknown>>>;
export type RecordOf<S extends Shape> = { readonly [K in keyof S]: ValueOf<S[K]> };

function whole(bits: 8 | 16 | 32, isSigned: boolean): Field<number> {
  const least = isSigned ? -(2 ** (bits - 1)) : 0;
  const most = least + 2 ** bits - 1;
  const method = `u${bits}` as const;
  return {
    write(to, value) {
      if (!Number.isInteger(value) || value < least || most < value) {
        refuse(`${value} is not a whole number from ${least} to ${most}`);
      }
      to[method](value);
    },
    read(from) {
      const value = from[method]();
      return isSigned && value > most ? value - 2 ** bits : value;
    },
  };
}

export const u8: Field<number> = whole(8, false);
export const u16: Field<number> = whole(16, false);
export const u32: Field<number> = whole(32, false);
export const s8: Field<number> = whole(8, true);
export const s16: Field<number> = whole(16, true);

export const flag: Field<boolean> = {
  write(to, value) {
    to.u8(value ? 1 : 0);
  },
  read(from) {
    const value = from.u8();
    if (value > 1) refuse(`${value} is neither yes (1) nor no (0)`);
    return value === 1;
  },
};

/** One of a few names, as its place in the list. */
export function choice<const T extends string>(names: readonly T[]): Field<T> {
  return {
    write(to, value) {
      const index = names.indexOf(value);
      if (index < 0) refuse(`'${value}' is none of ${names.join(', ')}`);
      to.u8(index);
    },
    read(from) {
      const index = from.u8();
      const name = names[index];
      if (name === undefined) refuse(`${index} stands for none of ${names.join(', ')}`);
      return name as T;
    },
  };
}

/**
 * Which of some names hold, a bit each. Bits beyond them are dropped: the other end may know more names.
 * @param names up to 16
 */
export function flags<const T extends string>(names: readonly T[]): Field<Readonly<Record<T, boolean>>> {
  return {
    write(to, value) {
      to.u16(names.reduce((bits, name, index) => bits | (Number(value[name]) << index), 0));
    },
    read(from) {
      const bits = from.u16();
      return Object.fromEntries(names.map((name, index) => [name, ((bits >> index) & 1) === 1])) as Record<T, boolean>;
    },
  };
}

/** UTF-8 after its length. @param most bytes, up to 65535 */
export function text(most: number): Field<string> {
  return {
    write(to, value) {
      const encoded = UTF8.encode(value);
      if (encoded.length > most) refuse(`a text of ${encoded.length} bytes is longer than ${most}`);
      to.u16(encoded.length);
      to.bytes(encoded);
    },
    read(from) {
      const length = from.u16();
      if (length > most) refuse(`a text of ${length} bytes is longer than ${most}`);
      try {
        return STRICT_UTF8.decode(from.bytes(length));
      } catch (error) {
        if (error instanceof CodedError) throw error;
        return refuse('a text is not UTF-8');
      }
    },
  };
}

/** Bytes after their length; reading gives a view, not a copy. */
export function bytes(most: number): Field<Uint8Array> {
  return {
    write(to, value) {
      if (value.length > most) refuse(`${value.length} bytes are more than ${most}`);
      to.u32(value.length);
      to.bytes(value);
    },
    read(from) {
      const length = from.u32();
      if (length > most) refuse(`${length} bytes are more than ${most}`);
      return from.bytes(length);
    },
  };
}

/** @param most entries, up to 65535 */
export function list<T>(item: Field<T>, most: number): Field<readonly T[]> {
  return {
    write(to, values) {
      if (values.length > most) refuse(`${values.length} entries are more than ${most}`);
      to.u16(values.length);
      for (const value of values) item.write(to, value);
    },
    read(from) {
      const length = from.u16();
      // An entry takes a byte at least, so that a short message cannot ask for much memory.
      if (length > most || length > from.left) refuse(`${length} entries are more than ${Math.min(most, from.left)}`);
      const values: T[] = [];
      for (let i = 0; i < length; i++) values.push(item.read(from));
      return values;
    },
  };
}

/** Fields one after the other, in the order of the description. */
export function record<S extends Shape>(shape: S): Field<RecordOf<S>> {
  const fields = Object.entries(shape) as [string, Field<unknown>][];
  return {
    write(to, value) {
      for (const [name, field] of fields) field.write(to, (value as Record<string, unknown>)[name]);
    },
    read(from) {
      const value: Record<string, unknown> = {};
      for (const [name, field] of fields) value[name] = field.read(from);
      return value as RecordOf<S>;
    },
  };
}
