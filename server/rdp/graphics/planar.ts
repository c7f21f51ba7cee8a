/**
 * Bitmaps of 32 bits a pixel as planes, run-length encoded line by line against the line before.
 * Source: [MS-RDPEGDI] 2.2.2.5.1 (RDP6_BITMAP_STREAM), 3.1.9 (compression).
 * Not modelled: colour loss and subsampling, which would not be lossless.
 */

/** formatHeader */
const FORMAT = { rle: 0x10, noAlpha: 0x20 } as const;
const MAX_RAW = 15;
const SHORTEST_RUN = 3;
/** Runs of 16 to 31 and 32 to 47 have control bytes of their own. */
const LONGEST_RUN = 47;

/**
 * @param pixels `width * height` words 0xrrggbb, bottom row first; at most 65536
 * @param withAlpha for clients that cannot do without that plane, which is opaque
 * @param limit bytes
 * @returns undefined when it would take more
 */
export function encodePlanar(
  pixels: Uint32Array,
  size: { readonly width: number; readonly height: number },
  withAlpha: boolean,
  limit: number,
): Uint8Array | undefined {
  const { width, height } = size;
  // A line never takes more than its bytes and a control byte for every 15 of them.
  const out = new Uint8Array(1 + 4 * height * (width + Math.ceil(width / MAX_RAW) + 2));
  out[0] = FORMAT.rle | (withAlpha ? 0 : FORMAT.noAlpha);
  let at = 1;
  const plane = new Uint8Array(width * height);
  if (withAlpha) at = encodePlane(plane.fill(255), width, out, at);
  for (const shift of [16, 8, 0]) {
    for (let i = 0; i < plane.length; i++) plane[i] = pixels[i] >>> shift;
    at = encodePlane(plane, width, out, at);
    if (at > limit) return undefined;
  }
  return out.slice(0, at);
}

function encodePlane(plane: Uint8Array, width: number, out: Uint8Array, start: number): number {
  const line = new Uint8Array(width);
  let to = start;
  for (let from = 0; from < plane.length; from += width) {
    if (from === 0) line.set(plane.subarray(0, width));
    else for (let i = 0; i < width; i++) line[i] = signFolded(plane[from + i] - plane[from + i - width]);
    to = encodeLine(line, out, to);
  }
  return to;
}

/** Differences as a decoder unfolds them: even ones up, odd ones down. They wrap at 256. */
function signFolded(difference: number): number {
  const signed = (difference << 24) >> 24;
  return signed < 0 ? (-signed << 1) - 1 : signed << 1;
}

/** Segments of raw bytes and a run of the last of them; before the first raw byte of a line, runs are of zeros. */
function encodeLine(line: Uint8Array, out: Uint8Array, start: number): number {
  let to = start;
  let rawFrom = 0;
  let at = 0;
  while (at < line.length) {
    const previous = at === 0 ? 0 : line[at - 1];
    let run = 0;
    while (at + run < line.length && line[at + run] === previous) run++;
    if (run < SHORTEST_RUN) {
      at += Math.max(run, 1);
      continue;
    }
    to = writeSegments(line, rawFrom, at, run, out, to);
    at += run;
    rawFrom = at;
  }
  return writeSegments(line, rawFrom, line.length, 0, out, to);
}

function writeSegments(
  line: Uint8Array,
  rawFrom: number,
  rawTo: number,
  runLength: number,
  out: Uint8Array,
  start: number,
): number {
  let to = start;
  let from = rawFrom;
  let run = runLength;
  while (from < rawTo || run > 0) {
    const raw = Math.min(rawTo - from, MAX_RAW);
    const isLast = from + raw === rawTo;
    // Longer runs have no room for raw bytes beside them.
    const short = isLast ? Math.min(run, MAX_RAW) : 0;
    if (raw > 0) {
      // A rest of 1 or 2 could not be told from the control bytes of long runs; 1 to 2 fewer here make it 3.
      const beside = short >= SHORTEST_RUN ? fitting(short, run) : 0;
      out[to++] = (raw << 4) | beside;
      for (let i = 0; i < raw; i++) out[to++] = line[from + i];
      from += raw;
      run -= beside;
    } else {
      const part = fittingLong(run);
      if (part < 16) out[to++] = part;
      else out[to++] = ((part & 15) << 4) | (part < 32 ? 1 : 2);
      run -= part;
    }
  }
  return to;
}

/** How much of a run goes beside raw bytes, so that what is left is no run of 1 or 2. */
function fitting(short: number, run: number): number {
  const rest = run - short;
  return rest === 1 || rest === 2 ? short - SHORTEST_RUN : short;
}

function fittingLong(run: number): number {
  const part = Math.min(run, LONGEST_RUN);
  const rest = run - part;
  return rest === 1 || rest === 2 ? part - SHORTEST_RUN : part;
}
