/**
 * A CD with files in its root directory.
 * Source: ECMA-119 (ISO 9660), sections 6 to 9, interchange level 1; Joliet Specification (Microsoft, 1995) for long names.
 * Not modelled: folders, Rock Ridge, boot records.
 */
export interface DiscFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const SECTOR = 2048;
const SYSTEM_SECTORS = 16;
const [PRIMARY, SUPPLEMENTARY, TERMINATOR] = [1, 2, 255];
/** Descriptors and path tables lie at fixed places; root directories and files follow. */
const [PATH_TABLES, JOLIET_PATH_TABLES, FIRST_FREE] = [19, 21, 23];
const PATH_TABLE_BYTES = 10;
const DIRECTORY = 2;
const RECORD_BYTES = 33;
const JOLIET_MOST = 64;
/** UCS-2 level 3. */
const JOLIET_ESCAPE = [0x25, 0x2f, 0x45];

interface Entry {
  readonly identifier: Uint8Array;
  readonly at: number;
  readonly byteCount: number;
  readonly flags: number;
}

/**
 * @param volume name of the disc, as file managers show it
 * @param now of its dates
 */
export function isoImage(volume: string, files: readonly DiscFile[], now: Date): Uint8Array<ArrayBuffer> {
  const short = shortNames(files.map(({ name }) => name));
  const long = longNames(files.map(({ name }) => name));
  const sectorsOf = (identifiers: readonly Uint8Array[]): number => directorySectors(identifiers);
  const plainSectors = sectorsOf(short.map(ascii));
  const jolietSectors = sectorsOf(long.map(ucs2));
  const plainAt = FIRST_FREE;
  const jolietAt = plainAt + plainSectors;
  let next = jolietAt + jolietSectors;
  const places = files.map(({ bytes }) => {
    const at = next;
    next += Math.ceil(bytes.length / SECTOR);
    return at;
  });
  const image = new Uint8Array(next * SECTOR);
  const entries = (identifiers: readonly Uint8Array[]): Entry[] =>
    files
      .map(({ bytes }, i) => ({ identifier: identifiers[i], at: places[i], byteCount: bytes.length, flags: 0 }))
      .sort((a, b) => compare(a.identifier, b.identifier));
  const plain = { at: plainAt, byteCount: plainSectors * SECTOR };
  const joliet = { at: jolietAt, byteCount: jolietSectors * SECTOR };
  writeDescriptor(image, SYSTEM_SECTORS, PRIMARY, volume, plain, next, now);
  writeDescriptor(image, SYSTEM_SECTORS + 1, SUPPLEMENTARY, volume, joliet, next, now);
  image.set([TERMINATOR, ...ascii('CD001'), 1], (SYSTEM_SECTORS + 2) * SECTOR);
  writePathTables(image, PATH_TABLES, plainAt);
  writePathTables(image, JOLIET_PATH_TABLES, jolietAt);
  writeDirectory(image, plain, entries(short.map(ascii)), now);
  writeDirectory(image, joliet, entries(long.map(ucs2)), now);
  files.forEach(({ bytes }, i) => {
    image.set(bytes, places[i] * SECTOR);
  });
  return image;
}

interface Extent {
  readonly at: number;
  readonly byteCount: number;
}

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

function ucs2(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) new DataView(bytes.buffer).setUint16(2 * i, text.charCodeAt(i));
  return bytes;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/** Eight characters, a point, three: capitals, digits and underscores (ECMA-119, 7.5 and 10.1), each once. */
function shortNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const clean = (part: string, most: number): string =>
      part
        .toUpperCase()
        .replace(/[^A-Z0-9_]/g, '_')
        .slice(0, most);
    const dot = name.lastIndexOf('.');
    const stem = clean(dot > 0 ? name.slice(0, dot) : name, 8) || '_';
    const ending = dot > 0 ? clean(name.slice(dot + 1), 3) : '';
    let candidate = stem;
    for (let n = 1; taken.has(`${candidate}.${ending}`); n++) candidate = `${stem.slice(0, 8 - `${n}`.length)}${n}`;
    taken.add(`${candidate}.${ending}`);
    return `${candidate}.${ending};1`;
  });
}

/** Up to 64 characters, none of those that Joliet keeps for itself; each once. */
function longNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const clean = name.replace(/[\p{Cc}*/:;?\\]/gu, '_').slice(0, JOLIET_MOST) || '_';
    let candidate = clean;
    for (let n = 1; taken.has(candidate.toLowerCase()); n++) candidate = `${n} ${clean}`.slice(0, JOLIET_MOST);
    taken.add(candidate.toLowerCase());
    return candidate;
  });
}

const recordBytes = (identifier: Uint8Array): number => (RECORD_BYTES + identifier.length + 1) & ~1;

/** Records do not cross sectors (6.8.1.1). */
function directorySectors(identifiers: readonly Uint8Array[]): number {
  let [sectors, used] = [1, 2 * recordBytes(Uint8Array.of(0))];
  for (const identifier of [...identifiers].sort(compare)) {
    const length = recordBytes(identifier);
    if (used + length > SECTOR) {
      sectors++;
      used = 0;
    }
    used += length;
  }
  return sectors;
}

/** A number in both byte orders (7.3.3). */
function both32(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, value);
}

function both16(view: DataView, at: number, value: number): void {
  view.setUint16(at, value, true);
  view.setUint16(at + 2, value);
}

function writeRecord(image: Uint8Array, at: number, { identifier, ...entry }: Entry, now: Date): number {
  const length = recordBytes(identifier);
  const view = new DataView(image.buffer, at, length);
  view.setUint8(0, length);
  both32(view, 2, entry.at);
  both32(view, 10, entry.byteCount);
  const time = [now.getUTCFullYear() - 1900, now.getUTCMonth() + 1, now.getUTCDate(), now.getUTCHours()];
  image.set([...time, now.getUTCMinutes(), now.getUTCSeconds(), 0], at + 18);
  view.setUint8(25, entry.flags);
  both16(view, 28, 1);
  view.setUint8(32, identifier.length);
  image.set(identifier, at + RECORD_BYTES);
  return length;
}

function writeDirectory(image: Uint8Array, extent: Extent, entries: readonly Entry[], now: Date): void {
  const self = { ...extent, flags: DIRECTORY };
  let at = extent.at * SECTOR;
  for (const entry of [
    { ...self, identifier: Uint8Array.of(0) },
    { ...self, identifier: Uint8Array.of(1) },
    ...entries,
  ]) {
    const left = SECTOR - (at % SECTOR);
    if (recordBytes(entry.identifier) > left) at += left;
    at += writeRecord(image, at, entry, now);
  }
}

/** One directory, the root, which is its own parent; little endian, then big endian (9.4). */
function writePathTables(image: Uint8Array, sector: number, rootAt: number): void {
  for (const [i, isLittle] of [true, false].entries()) {
    const view = new DataView(image.buffer, (sector + i) * SECTOR, SECTOR);
    view.setUint8(0, 1);
    view.setUint32(2, rootAt, isLittle);
    view.setUint16(6, 1, isLittle);
  }
}

/** Primary (8.4) or supplementary (8.5) volume descriptor. */
function writeDescriptor(
  image: Uint8Array,
  sector: number,
  type: number,
  volume: string,
  root: Extent,
  sectorCount: number,
  now: Date,
): void {
  const start = sector * SECTOR;
  const view = new DataView(image.buffer, start, SECTOR);
  const isJoliet = type === SUPPLEMENTARY;
  const text = (at: number, value: string, byteCount: number): void => {
    const padded = isJoliet ? ucs2(value.padEnd(byteCount / 2)) : ascii(value.padEnd(byteCount));
    image.set(padded.subarray(0, byteCount), start + at);
  };
  image.set([type, ...ascii('CD001'), 1], start);
  text(8, '', 32);
  text(40, isJoliet ? volume : volume.toUpperCase().replace(/[^A-Z0-9_]/g, '_'), 32);
  both32(view, 80, sectorCount);
  if (isJoliet) image.set(JOLIET_ESCAPE, start + 88);
  both16(view, 120, 1);
  both16(view, 124, 1);
  both16(view, 128, SECTOR);
  both32(view, 132, PATH_TABLE_BYTES);
  const tables = isJoliet ? JOLIET_PATH_TABLES : PATH_TABLES;
  view.setUint32(140, tables, true);
  view.setUint32(148, tables + 1);
  writeRecord(image, start + 156, { ...root, flags: DIRECTORY, identifier: Uint8Array.of(0) }, now);
  for (const at of [190, 318, 446, 574]) text(at, '', 128);
  for (const [at, length] of [
    [702, 37],
    [739, 37],
    [776, 37],
  ]) {
    image.fill(isJoliet ? 0 : 0x20, start + at, start + at + length);
  }
  const digits = now.toISOString().replace(/\D/g, '').slice(0, 16);
  for (const at of [813, 830]) image.set([...ascii(digits), 0], start + at);
  for (const at of [847, 864]) image.set([...ascii('0'.repeat(16)), 0], start + at);
  view.setUint8(881, 1);
}
