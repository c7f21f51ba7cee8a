/**
 * Plain records as JSON with their bytes beside it: typed arrays go into one block of bytes, everything else JSON cannot
 * say gets an object with a key of its own.
 */
import { CodedError, unreachable } from '#base/errors.ts';

const ARRAYS = {
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
} as const;
type ArrayName = keyof typeof ARRAYS;

const MARK = { array: '$array', number: '$number', bigint: '$bigint', absent: '$absent' } as const;
const MAX_DEPTH = 64;

export interface EncodedRecord {
  readonly json: string;
  /** Pieces of the block of bytes, each padded to 8. */
  readonly pieces: readonly Uint8Array[];
  readonly byteCount: number;
}

const padded = (byteCount: number): number => Math.ceil(byteCount / 8) * 8;

/** @param record plain data: numbers, strings, booleans, null, bigints, arrays, objects, typed arrays */
export function encodeRecord(record: unknown): EncodedRecord {
  const pieces: Uint8Array[] = [];
  let byteCount = 0;
  const plain = (value: unknown): unknown => {
    if (value === undefined) return { [MARK.absent]: true };
    if (typeof value === 'bigint') return { [MARK.bigint]: value.toString() };
    if (typeof value === 'number') {
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { [MARK.number]: printed(value) };
    }
    if (typeof value !== 'object' || value === null) return value;
    if (ArrayBuffer.isView(value)) {
      // A host's own subclass counts as what it is.
      const name = Object.prototype.toString.call(value).slice(8, -1);
      if (!Object.hasOwn(ARRAYS, name)) unreachable(`a record holds a ${name}`);
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      const at = byteCount;
      pieces.push(bytes);
      byteCount += padded(bytes.length);
      return { [MARK.array]: name, at, byteCount: bytes.length };
    }
    if (Array.isArray(value)) return value.map(plain);
    return Object.fromEntries(Object.entries(value).flatMap(([key, v]) => (v === undefined ? [] : [[key, plain(v)]])));
  };
  return { json: JSON.stringify(plain(record)), pieces, byteCount };
}

const printed = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

/** Puts the pieces where `decodeRecord` looks for them. @returns the byte after the last */
export function placePieces(pieces: readonly Uint8Array[], into: Uint8Array, at: number): number {
  let next = at;
  for (const piece of pieces) {
    into.set(piece, next);
    next += padded(piece.length);
  }
  return next;
}

const broken = (why: string): CodedError<'bad-record'> =>
  new CodedError('bad-record', `the record is damaged: ${why}; use an undamaged copy`);

/**
 * @param bytes the block that `placePieces` filled
 * @throws CodedError<'bad-record'>
 */
export function decodeRecord(json: string, bytes: Uint8Array): unknown {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    throw new CodedError('bad-record', 'the record is damaged: it is not JSON; use an undamaged copy', {}, cause);
  }
  const whole = (value: unknown, depth: number): unknown => {
    if (depth > MAX_DEPTH) throw broken('it is nested too deeply');
    if (Array.isArray(value)) return value.map((v) => whole(v, depth + 1));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    const [first] = entries;
    if (first?.[0].startsWith('$')) return special(first[0], first[1], Object.fromEntries(entries), bytes);
    return Object.fromEntries(entries.map(([key, v]) => [key, whole(v, depth + 1)]));
  };
  return whole(parsed, 0);
}

function special(mark: string, value: unknown, record: Record<string, unknown>, bytes: Uint8Array): unknown {
  switch (mark) {
    case MARK.absent:
      return undefined;
    case MARK.number:
      return Number(value);
    case MARK.bigint:
      if (typeof value !== 'string' || !/^-?\d{1,100}$/.test(value)) throw broken('a large number is none');
      return BigInt(value);
    case MARK.array:
      return typedArray(value, record['at'], record['byteCount'], bytes);
    default:
      throw broken(`it holds a ${mark}`);
  }
}

function typedArray(name: unknown, at: unknown, byteCount: unknown, bytes: Uint8Array): unknown {
  const known = typeof name === 'string' && Object.hasOwn(ARRAYS, name) ? ARRAYS[name as ArrayName] : undefined;
  if (!known) throw broken('an array has an unknown type');
  const inside =
    typeof at === 'number' &&
    typeof byteCount === 'number' &&
    Number.isInteger(at) &&
    Number.isInteger(byteCount) &&
    at >= 0 &&
    byteCount >= 0 &&
    at + byteCount <= bytes.length &&
    byteCount % known.BYTES_PER_ELEMENT === 0;
  if (!inside) throw broken('an array lies outside it');
  return new known(bytes.slice(at, at + byteCount).buffer);
}
