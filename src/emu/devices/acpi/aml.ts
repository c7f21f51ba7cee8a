/**
 * AML writer: one function for each ASL term that the tables use.
 * Source: ACPI Specification 2.0, chapter 17 (AML encoding, sections 17.2.2 to 17.2.5).
 *
 * A term is its bytes, so terms nest as plain calls: `device('PCI0', [name('_ADR', 0)])`.
 */
import { unreachable } from '#base/errors.ts';

/** Encoded bytes of one term. */
export type Aml = readonly number[];

/** A constant where a term is expected. */
export type AmlArgument = Aml | number;

const OP = {
  zero: 0x00,
  one: 0x01,
  name: 0x08,
  byte: 0x0a,
  word: 0x0b,
  dword: 0x0c,
  string: 0x0d,
  scope: 0x10,
  buffer: 0x11,
  package: 0x12,
  method: 0x14,
  dualNamePrefix: 0x2e,
  multiNamePrefix: 0x2f,
  ext: 0x5b,
  root: 0x5c,
  parent: 0x5e,
  local0: 0x60,
  arg0: 0x68,
  store: 0x70,
  and: 0x7b,
  or: 0x7d,
  createDwordField: 0x8a,
  equal: 0x93,
  if: 0xa0,
  else: 0xa1,
  return: 0xa4,
} as const;
/** Second bytes after the extension prefix. */
const EXT = { operationRegion: 0x80, field: 0x81, device: 0x82, processor: 0x83 } as const;

/** Package length: it counts itself. Source: 17.2.4. */
function packageLength(contentBytes: number): Aml {
  if (contentBytes + 1 < 0x40) return [contentBytes + 1];
  for (let extra = 1; extra <= 3; extra++) {
    const total = contentBytes + 1 + extra;
    if (total >= 2 ** (4 + 8 * extra)) continue;
    const bytes = [(extra << 6) | (total & 0x0f)];
    for (let i = 0; i < extra; i++) bytes.push((total >>> (4 + 8 * i)) & 0xff);
    return bytes;
  }
  return unreachable('an AML package of 256 MB');
}

/** One name segment, padded with underscores to four characters. */
function nameSegment(segment: string): number[] {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) unreachable(`AML name segment ${segment}`);
  return [...segment.padEnd(4, '_')].map((c) => c.charCodeAt(0));
}

/** A name path as ASL writes it: `\_SB.PCI0`, `^ISA.PRQ0`, `FOO`. */
export function path(text: string): Aml {
  const prefix = /^(\\|\^*)/.exec(text)?.[0] ?? '';
  const bytes = [...prefix].map((c) => (c === '\\' ? OP.root : OP.parent)) as number[];
  const rest = text.slice(prefix.length);
  if (rest === '') return [...bytes, OP.zero];
  const segments = rest.split('.');
  if (segments.length === 2) bytes.push(OP.dualNamePrefix);
  else if (segments.length > 2) bytes.push(OP.multiNamePrefix, segments.length);
  for (const segment of segments) bytes.push(...nameSegment(segment));
  return bytes;
}

/** Integer constant, 0..2^32-1, in its shortest form. */
export function integer(value: number): Aml {
  if (value === 0) return [OP.zero];
  if (value === 1) return [OP.one];
  if (value < 0x100) return [OP.byte, value];
  if (value < 0x1_0000) return [OP.word, value & 0xff, value >>> 8];
  return [OP.dword, ...dwordBytes(value)];
}

export function dwordBytes(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
}

const argument = (a: AmlArgument): Aml => (typeof a === 'number' ? integer(a) : a);
const flat = (terms: readonly AmlArgument[]): number[] => terms.flatMap((t) => [...argument(t)]);

function packaged(opcode: readonly number[], content: readonly number[]): Aml {
  return [...opcode, ...packageLength(content.length), ...content];
}

/** `String`: ASCII. */
export const text = (value: string): Aml => [OP.string, ...[...value].map((c) => c.charCodeAt(0)), 0];

/** `EisaId("PNP0A03")` as an integer. Source: ACPI 2.0, 17.1 EISAID; ISA PnP 1.0a, section 6.1. */
export function eisaId(id: string): Aml {
  const match = /^([A-Z]{3})([0-9A-F]{4})$/.exec(id);
  if (!match) return unreachable(`EISA id ${id}`);
  const letters = [...match[1]].map((c) => c.charCodeAt(0) - 0x40);
  const vendor = (letters[0] << 10) | (letters[1] << 5) | letters[2];
  const product = Number.parseInt(match[2], 16);
  return [OP.dword, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

/** `Name (name, value)`. */
export const name = (at: string, value: AmlArgument): Aml => [OP.name, ...path(at), ...argument(value)];
/** `Scope (name) { ... }`. */
export const scope = (at: string, terms: readonly Aml[]): Aml => packaged([OP.scope], [...path(at), ...flat(terms)]);
/** `Device (name) { ... }`. */
export const device = (at: string, terms: readonly Aml[]): Aml =>
  packaged([OP.ext, EXT.device], [...path(at), ...flat(terms)]);
/** `Method (name, argumentCount, serialized) { ... }`. */
export const method = (at: string, argumentCount: number, terms: readonly Aml[], serialized = false): Aml =>
  packaged([OP.method], [...path(at), argumentCount | (serialized ? 8 : 0), ...flat(terms)]);
/** `Processor (name, id, pblk, pblkLength) {}`. */
export const processor = (at: string, id: number, pblk: number, pblkLength: number): Aml =>
  packaged([OP.ext, EXT.processor], [...path(at), id, ...dwordBytes(pblk), pblkLength]);
/** `Package () { ... }`, at most 255 elements. */
export const packageOf = (elements: readonly AmlArgument[]): Aml =>
  packaged([OP.package], [elements.length, ...flat(elements)]);
/** `Buffer () { ... }`. */
export const buffer = (bytes: readonly number[]): Aml => packaged([OP.buffer], [...integer(bytes.length), ...bytes]);

/** Address spaces of an operation region. */
export const REGION = { systemMemory: 0, systemIo: 1, pciConfig: 2 } as const;
/** `OperationRegion (name, space, offset, bytes)`. */
export const operationRegion = (at: string, space: number, offset: number, byteCount: number): Aml => [
  OP.ext,
  EXT.operationRegion,
  ...path(at),
  space,
  ...integer(offset),
  ...integer(byteCount),
];

/** One entry of a field list: a named field, or unnamed bits to skip. Widths in bits. */
export type FieldUnit = { readonly name: string; readonly bits: number } | { readonly skip: number };
export const ACCESS = { any: 0, byte: 1, word: 2, dword: 3 } as const;
/** `Field (region, access, NoLock, Preserve) { ... }`. */
export function field(region: string, access: number, units: readonly FieldUnit[]): Aml {
  const content = [...path(region), access];
  for (const unit of units) {
    if ('skip' in unit) content.push(0, ...fieldBits(unit.skip));
    else content.push(...nameSegment(unit.name), ...fieldBits(unit.bits));
  }
  return packaged([OP.ext, EXT.field], content);
}

/** A field width is encoded as a package length that does not count itself. */
function fieldBits(bits: number): Aml {
  if (bits < 0x40) return [bits];
  return [0x40 | (bits & 0x0f), (bits >>> 4) & 0xff];
}

/** `Local0` to `Local7`. */
export const local = (n: number): Aml => [OP.local0 + n];
/** `Arg0` to `Arg6`. */
export const arg = (n: number): Aml => [OP.arg0 + n];
/** `Store (value, target)`. */
export const store = (value: AmlArgument, target: Aml): Aml => [OP.store, ...argument(value), ...target];
/** `And (a, b)` without a target. */
export const and = (a: AmlArgument, b: AmlArgument): Aml => [OP.and, ...argument(a), ...argument(b), OP.zero];
/** `And (a, b, target)`. */
export const andInto = (a: AmlArgument, b: AmlArgument, target: Aml): Aml => [
  OP.and,
  ...argument(a),
  ...argument(b),
  ...target,
];
/** `Or (a, b, target)`. */
export const orInto = (a: AmlArgument, b: AmlArgument, target: Aml): Aml => [
  OP.or,
  ...argument(a),
  ...argument(b),
  ...target,
];
/** `LEqual (a, b)`. */
export const equal = (a: AmlArgument, b: AmlArgument): Aml => [OP.equal, ...argument(a), ...argument(b)];
/** `CreateDWordField (source, byteOffset, name)`. */
export const createDwordField = (source: Aml, byteOffset: number, at: string): Aml => [
  OP.createDwordField,
  ...source,
  ...integer(byteOffset),
  ...path(at),
];
/** `If (condition) { ... }`. */
export const ifThen = (condition: AmlArgument, terms: readonly Aml[]): Aml =>
  packaged([OP.if], [...argument(condition), ...flat(terms)]);
/** `Else { ... }`, right after an `ifThen`. */
export const otherwise = (terms: readonly Aml[]): Aml => packaged([OP.else], flat(terms));
/** `Return (value)`. */
export const returnValue = (value: AmlArgument): Aml => [OP.return, ...argument(value)];
