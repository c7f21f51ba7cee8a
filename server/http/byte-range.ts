// Source: RFC 9110, 14.1.2 (byte ranges) and 14.2 (Range).
// Not modelled: several ranges in one request (answered with the whole file, as 14.2 allows).

/** First and last byte, both inside the file. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Reads a Range header for a file of `size` bytes.
 * @returns the range; `undefined` when the header asks for nothing this server serves in part, so the whole file is due;
 *   `unsatisfiable` when the file has no such bytes (status 416)
 */
export function parseByteRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/.exec(header ?? '');
  if (!match) return undefined;
  const [, from = '', to = ''] = match;
  if (from === '') {
    if (to === '') return undefined;
    const length = Math.min(Number(to), size);
    return length === 0 ? 'unsatisfiable' : { first: size - length, last: size - 1 };
  }
  const first = Number(from);
  if (to !== '' && Number(to) < first) return undefined;
  if (first >= size) return 'unsatisfiable';
  return { first, last: to === '' ? size - 1 : Math.min(Number(to), size - 1) };
}
